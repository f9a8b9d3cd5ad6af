"""Fetches the assets of the GraphiQL page from npm packages into the environment.

The page must work where public content networks are blocked, so its files are served by ourselves from
`<environment>/share/crm/graphiql/`. Without npm or network there is the plain page, so nothing fails here.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0  # seconds for all packages together


@dataclass(frozen=True)
class Package:
    """One published package: what to fetch, the digest npm publishes for it and the files to keep."""

    name: str
    version: str
    sha512: str
    files: dict[str, str]  # path in the package -> our file name


PACKAGES = (
    # The newest line that still has a self-contained browser file; version 5 needs a bundler.
    Package(
        "graphiql",
        "4.1.2",
        "rNlzQIAzm6i2KBXmVQWBgLvt0TloxFVB2d18bukvdsvjEuFDHsKx5IVOomL1W1o5WW+tE54+ioHb2AEKzO2cUg==",
        {"graphiql.min.js": "graphiql.min.js", "graphiql.min.css": "graphiql.min.css", "LICENSE": "LICENSE"},
    ),
    Package(
        "react",
        "18.3.1",
        "wS+hAgJShR0KhEvPJArfuPVN1+Hz1t0Y6n5jLrGQbkb4urgPE/0Rve+1kMB1v/oWgHgm4WIcV+i7F2pTVj+2iQ==",
        {"umd/react.production.min.js": "react.production.min.js"},
    ),
    Package(
        "react-dom",
        "18.3.1",
        "5m4nQKp+rZRb09LNH59GM4BxTh9251/ylbKIbpe7TpGxfJ+9kv6BLkLBXIjjspbgbnIBNqlI23tRnTWT0snUIw==",
        {"umd/react-dom.production.min.js": "react-dom.production.min.js"},
    ),
)


class NotFetchedError(Exception):
    """The assets are not to be had now; the text says why, in one line."""


def main(prefix: Path) -> int:
    """Install the assets below `prefix` unless this set is there; always 0, the plain page does without."""
    target = prefix / "share" / "crm" / "graphiql"
    if _present(target):
        return 0
    try:
        install(target)
    except NotFetchedError as missing:
        print(f"GraphiQL assets not installed, the plain query page will be served: {missing}")
    else:
        print(f"GraphiQL assets installed in {target}")
    return 0


def install(target: Path) -> None:
    """Fetch, verify and unpack all packages, then put them in place at once."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetchedError("npm not found")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        fresh = Path(folder) / "fresh"
        fresh.mkdir()
        _pack(npm, Path(folder))
        for package in PACKAGES:
            unpack(package, Path(folder), fresh)
        (fresh / "VERSIONS").write_text(_versions())
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)


def unpack(package: Package, folder: Path, target: Path) -> None:
    """Copy the wanted files out of the fetched archive, whose digest must be the published one."""
    archive = folder / f"{package.name}-{package.version}.tgz"
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise NotFetchedError(f"{archive.name} is not the file that was published")
    with tarfile.open(archive) as packed:
        for path, name in package.files.items():
            member = packed.extractfile(f"package/{path}")
            if member is None:
                raise NotFetchedError(f"{archive.name} has no {path}")
            (target / name).write_bytes(member.read())


def _pack(npm: str, folder: Path) -> None:
    """`npm pack` fetches the archives alone: no dependencies, no install scripts."""
    wanted = [f"{package.name}@{package.version}" for package in PACKAGES]
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), *wanted]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE, cwd=folder)
    except subprocess.TimeoutExpired:
        raise NotFetchedError(f"npm did not answer within {PATIENCE:.0f} s") from None
    except subprocess.CalledProcessError as failed:
        said = [line for line in failed.stderr.splitlines() if "warn" not in line]
        raise NotFetchedError(said[0] if said else f"npm ended with {failed.returncode}") from None


def _present(target: Path) -> bool:
    versions = target / "VERSIONS"
    return versions.is_file() and versions.read_text() == _versions()


def _versions() -> str:
    return "".join(f"{package.name} {package.version}\n" for package in PACKAGES)


if __name__ == "__main__":
    sys.exit(main(Path(sys.prefix)))
