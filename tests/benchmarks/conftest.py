"""A folder for the benchmarks' databases, and how a benchmark is run: as a process, by its command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 900.0
Run = Callable[..., str]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not below pytest's own folders: PostgreSQL's account must go through it, and nobody but us enters those."""
    with tempfile.TemporaryDirectory(prefix="crm-bench-test-") as name:
        made = Path(name)
        made.chmod(0o755)
        yield made


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a benchmark to its end; what it printed. `ended`: with which code it may end."""

    def ran(module: str, *arguments: str | Path, ended: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", "--keep", folder, *arguments],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("CRM_")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode in ended, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return ran
