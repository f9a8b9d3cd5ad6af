"""Compares the committed generated files with what the code says now, or renews them with `--write`."""

import argparse
import difflib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = 40  # lines of difference per file


@dataclass(frozen=True)
class Generated:
    """One committed file and the words after `crm` that print it; a path that ends in `/` is a folder of JSON files.

    For a folder an object is printed: each of its keys names a file.
    """

    path: str
    words: tuple[str, ...]


FILES = (
    Generated("schema/core.graphql", ("schema", "export", "--core")),
    Generated("schema/full.graphql", ("schema", "export")),
    Generated("schema/asyncapi.yaml", ("schema", "asyncapi")),
    Generated("schema/events/", ("schema", "events")),
    *(
        Generated(f"docs/reference/{subject}.md", ("docs", subject))
        for subject in ("commands", "events", "hooks", "scopes", "settings")
    ),
)


def main(arguments: list[str]) -> int:
    """Return 1 if a file differs (or cannot be printed) and is not to be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew the files instead of comparing them")
    write = parser.parse_args(arguments).write
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = pool.map(_printed, FILES)
        found = [one for file, text in zip(FILES, texts, strict=True) for one in _files(file.path, text)]
    stale = [path for path, text in found if not _settle(path, text, write=write)]
    if stale:
        print(f"Not as generated: {', '.join(stale)}. Run `make docs` and read the difference.")
    return 1 if stale else 0


def _files(path: str, text: str | None) -> list[tuple[str, str | None]]:
    """Every file of what was printed, and of a folder those too that should not be there any more."""
    if not path.endswith("/") or text is None:
        return [(path, text)]
    texts = {
        f"{path}{name}.json": json.dumps(value, ensure_ascii=False, indent=2) + "\n"
        for name, value in json.loads(text).items()
    }
    gone = {f"{path}{file.name}" for file in (ROOT / path).glob("*.json")} - texts.keys()
    return [*texts.items(), *((name, "") for name in sorted(gone))]


def _settle(name: str, text: str | None, *, write: bool) -> bool:
    """Whether the committed file is, or has now become, what the code says; one without text is to be gone."""
    path = ROOT / name
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    if text is None or text == committed:
        return text is not None
    if write and not text:
        path.unlink()
        print(f"Removed {name}")
        return True
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"Renewed {name}")
        return True
    lines = difflib.unified_diff(committed.splitlines(), text.splitlines(), name, "generated", lineterm="")
    print("\n".join(list(lines)[:SHOWN]))
    return False


def _printed(file: Generated) -> str | None:
    """What `crm` prints, in an environment without settings of this machine; None if it fails."""
    crm = Path(sys.executable).parent / "crm"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    bare |= {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [crm, *file.words], capture_output=True, text=True, encoding="utf-8", check=False, cwd=ROOT, env=bare
    )
    if done.returncode == 0:
        return done.stdout
    print(f"`crm {' '.join(file.words)}` failed:\n{done.stderr.strip()}")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
