"""The database goes away under server and worker, and comes back: every command is answered, every event arrives."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from crm_core.testing import postgres
from tests.crash.crashing import Crew, Run

SECONDS = float(os.environ.get("OUTAGE_SECONDS") or 60)
STATES = "SELECT DISTINCT state FROM webhook_deliveries"
UNACCOUNTED = """SELECT d.id, d.attempts, count(a.id) FROM webhook_deliveries d
    LEFT JOIN webhook_attempts a ON a.delivery_id = d.id GROUP BY d.id, d.attempts HAVING d.attempts <> count(a.id)"""
"""Deliveries with attempts that were used up and never written down."""


@dataclass
class Stoppable:
    """A PostgreSQL server of the test's own."""

    server: postgres.Server

    @property
    def _folder(self) -> Path:
        assert self.server.folder is not None
        return Path(self.server.folder)

    def stop(self) -> None:
        """Stop it at once; clients are cut off."""
        process = int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(process, signal.SIGINT)
        while (self._folder / "data" / "postmaster.pid").exists():
            time.sleep(0.05)

    def start(self) -> None:
        """Start it again, on the same data."""
        copied = sorted(self._folder.glob("programs/*/*/bin"))
        programs = copied[0] if copied else postgres._programs(os.environ)[1]
        log, data = self._folder / "server.log", self._folder / "data"
        command: list[str | Path] = [programs / "pg_ctl", "-D", data, "-l", log, "--wait", "start"]
        postgres._run(command, self._folder, postgres._account())


@pytest.fixture
def stoppable() -> Iterator[Stoppable]:
    variables = {name: value for name, value in os.environ.items() if name != "CRM_TEST_POSTGRES"}
    with postgres.start(variables) as server:
        yield Stoppable(server)


@dataclass
class Outage(Run):
    """A run in which nobody is killed, but the database is away for a while."""

    database: Stoppable | None = None

    async def _kill(self, crew: Crew, chance: Random) -> None:
        assert self.database is not None
        await asyncio.sleep(2)
        await asyncio.to_thread(self.database.stop)
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(self.database.start)
        await asyncio.sleep(2)
        assert [name for name, process in crew.processes.items() if process.poll() is not None] == []


@pytest.mark.long
async def test_everything_arrives_though_the_database_was_away(tmp_path: Path, stoppable: Stoppable) -> None:
    url = stoppable.server.create_database("outage").replace("+asyncpg", "")
    run = Outage(tmp_path, url, kills=0, workers=1, database=stoppable)
    outcome = await run.play()
    print(outcome.line())  # noqa: T201  # the figures are the result
    assert outcome.faultless, outcome.line()
    assert outcome.commands > 0
    assert [tuple(row) for row in await run._rows(STATES)] == [("DELIVERED",)]
    assert await run._rows(UNACCOUNTED) == []
