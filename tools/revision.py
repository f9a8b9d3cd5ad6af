"""Writes a revision of one distribution from its models; `--fresh` renews its first one while nothing is released.

Usage: python tools/revision.py core "add a column" | python tools/revision.py auto_dealer "initial" --fresh
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from crm_core import migrate
from crm_core.loader import load
from crm_core.settings import LineSettings, Settings


def main(arguments: list[str]) -> int:
    """Write the revision and print its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("owner")
    parser.add_argument("message")
    parser.add_argument("--fresh", action="store_true", help="replace the first revision")
    given = parser.parse_args(arguments)
    print(asyncio.run(_write(given.owner, given.message, fresh=given.fresh)))
    return 0


async def _write(owner: str, message: str, *, fresh: bool) -> Path:
    plugins = [] if owner == "core" else [owner]
    with tempfile.TemporaryDirectory() as scratch:
        lines = {"line": LineSettings(plugins=plugins)}
        settings = Settings(database_url=f"sqlite:///{scratch}/crm.db", lines=lines)
        registry = load(settings)
        folder = next(line.folder for line in registry.migrations if line.owner == owner)
        if not fresh:
            await migrate.upgrade(settings, registry)
            return await migrate.revise(settings, registry, owner, message)
        empty = Path(scratch) / "versions"
        empty.mkdir()
        written = await migrate.revise(settings, registry, owner, message, empty)
        for old in folder.glob("*_01_*.py"):
            old.unlink()
        return Path(shutil.copy(written, folder / written.name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
