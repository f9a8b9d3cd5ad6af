"""A large file needs little memory: 100,000 rows, in a process of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROWS = 100_000
MOST_MIB = {"csv": 300, "xlsx": 450}


@pytest.mark.long
@pytest.mark.parametrize("kind", MOST_MIB)
def test_a_hundred_thousand_rows_come_in_without_being_held_in_memory(kind: str) -> None:
    script = ROOT / "benchmarks" / "import_rows.py"
    done = subprocess.run(
        [sys.executable, str(script), kind, "--rows", str(ROWS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak = re.search(r"peak (\d+) MiB", done.stdout)
    assert f"read {ROWS}," in done.stdout
    assert peak is not None, done.stdout
    print(done.stdout)  # noqa: T201  # the figures, for those who ask with `-s`
    assert int(peak[1]) <= MOST_MIB[kind], done.stdout
