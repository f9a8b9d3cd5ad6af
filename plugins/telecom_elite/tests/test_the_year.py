"""The example that lives through a year with a served branch: its figures are those worked out by hand."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_core import ids
from crm_core.testing.postgres import Server

EXAMPLE = Path(__file__).parents[3] / "examples" / "elite_year.py"


def lived(*words: str, out: Path) -> str:
    """What the example prints; it exits with 0 only if no figure differs."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *words, "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.rule("OT-111", "OT-112", "OT-113", "MO-030", "MO-043", "MO-044")
def test_two_months_of_a_small_branch_pay_what_is_worked_out_by_hand(tmp_path: Path) -> None:
    said = lived("--small", "--months", "2", out=tmp_path)
    assert "every figure as worked out by hand" in said
    assert "has no distribution yet: TELECOM_ELITE_RUN_PROBLEMS" in said
    assert "the same file came again and changed nothing" in said
    assert "receipts came by webhook" in said
    assert "the run was put back and mended" in said
    statements = {path.suffix: path.read_bytes()[:4] for path in tmp_path.iterdir()}
    assert statements == {".pdf": b"%PDF", ".xlsx": b"PK\x03\x04"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'year.db'}"
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = f"year_{ids.uuid7().hex}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.mark.long
@pytest.mark.rule("OT-111", "OT-112", "OT-113", "OT-119", "MO-076", "MO-077")
def test_a_year_of_eight_teams_pays_what_is_worked_out_by_hand(tmp_path: Path, database: str) -> None:
    said = lived("--database", database, out=tmp_path / "statement")
    assert "every figure as worked out by hand" in said
    assert "up into a higher grade" in said
    assert "is told that his contract ends" in said
