"""`crm jobs`: listed with their progress, tried again, cancelled; schedules with their next time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from crm_core import ids
from crm_core.cli import run
from crm_core.db.session import open_database
from crm_core.jobs.enqueuing import row_of
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.registry import Job
from crm_core.settings import load
from crm_core.testing.kit import INDEX_KEY, KEYS

J = QueuedJob.__table__


async def nothing(*_given: object) -> None:
    return None


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path}/crm.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n'
    )
    assert run(["--config", str(file), "db", "upgrade"]) == 0
    return file


def queued(config: Path, **values: object) -> str:
    """A job in this state; its id."""

    async def write() -> str:
        database = open_database(load(config, {}))
        row = row_of(Job("print", nothing), None, now=datetime.now(UTC))
        async with database.transaction() as session:
            await session.execute(insert(J), [row])
            await session.execute(update(J).where(J.c.id == row["id"]).values(**values))
        await database.dispose()
        return ids.show("job", row["id"])

    return asyncio.run(write())


def said(capsys: pytest.CaptureFixture[str], config: Path, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(["--config", str(config), "jobs", *arguments]) == code
    found = capsys.readouterr()
    return " ".join((found.out + found.err).split())


def test_jobs_are_listed_with_their_progress(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = queued(config, state=JobState.DEAD.value, attempts=6, last_error="ValueError: no paper")
    runs = queued(config, state="RUNNING", progress_done=3, progress_total=9, progress_words="customers")
    shown = said(capsys, config, "list")
    assert f"{dead} print DEAD attempt 6 of 6 ValueError: no paper" in shown
    assert f"{runs} print RUNNING attempt 0 of 6 3 of 9 customers" in shown
    assert runs not in said(capsys, config, "list", "--state", "DEAD")
    assert said(capsys, config, "list", "--name", "other") == ""


def test_a_dead_job_is_tried_again_and_a_waiting_one_cancelled(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = queued(config, state=JobState.DEAD.value, attempts=6)
    assert said(capsys, config, "retry", dead) == f"{dead} waits"
    assert "DEAD" not in said(capsys, config, "list")
    assert "only one that failed" in said(capsys, config, "retry", dead, code=1)
    said(capsys, config, "cancel", dead)
    assert "CANCELLED" in said(capsys, config, "list")
    assert "already" in said(capsys, config, "cancel", dead, code=1)


def test_an_id_that_is_none_and_a_job_that_is_none_are_said(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not an id" in said(capsys, config, "retry", "job", code=2)
    assert "NOT" not in said(capsys, config, "schedules")
    assert said(capsys, config, "retry", ids.show("job", ids.uuid7()), code=1)
    assert said(capsys, config, "run") == "Ran 0"
