"""The worker of a process: runs what is enqueued, here or elsewhere; killed in the middle, another goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import Fault, Json
from crm_core.jobs import worker
from crm_core.jobs.broker import SqlBroker, registered
from crm_core.jobs.context import JobContext
from crm_core.jobs.models import JobState
from crm_core.jobs.settings import JobsSettings
from crm_core.testing.kit import Kit
from crm_core.work import Services
from tests.jobs.job_kit import About, Notes, asked, job, rows, runner, with_jobs

QUICK = {"at_once": 4, "poll_seconds": 0.05, "lease_seconds": 2}


@pytest.fixture
def crm_settings() -> Mapping[str, Any]:
    return {"rooms": {"jobs": QUICK}, "log_level": "error"}


@asynccontextmanager
async def working(services: Services) -> AsyncIterator[asyncio.Event]:
    """A worker as long as the block lasts."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(services, stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 12)


async def until(done: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while True:
            found = done()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


async def all_are(crm: Kit, state: JobState, many: int) -> bool:
    return [found.state for found in await rows(crm)] == [state] * many


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_worker_runs_what_is_enqueued_here_and_elsewhere(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job(), clock=now)
    whats = [str(number) for number in range(30)]
    async with working(services):
        await asked(services, crm.administrator, *whats)
        await until(lambda: all_are(crm, JobState.DONE, 30))
        await asked(replace(services, stirred=type(services.stirred)()), crm.administrator, "elsewhere")
        await until(lambda: all_are(crm, JobState.DONE, 31))
    assert sorted(notes.done) == sorted([*whats, "elsewhere"])


async def test_no_more_jobs_run_at_once_than_are_set(crm: Kit) -> None:
    running, most = 0, 0

    async def wait(_context: JobContext, _about: About) -> Json:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return None

    services = with_jobs(crm, job("wait", wait), clock=now)
    await asked(services, crm.administrator, *(str(n) for n in range(20)), job="wait")
    async with working(services):
        await until(lambda: all_are(crm, JobState.DONE, 20))
    assert most == 4


async def test_a_slow_job_does_not_keep_others_from_ending(crm: Kit) -> None:
    gate = asyncio.Event()

    async def wait(_context: JobContext, _about: About) -> Json:
        await gate.wait()
        return None

    notes = Notes()
    services = with_jobs(crm, job("wait", wait), notes.job(), clock=now)
    async with working(services):
        await asked(services, crm.administrator, "a", "b", "c", job="wait")
        await asked(services, crm.administrator, *"defghijk")
        await until(lambda: len(notes.done) == 8)
        await until(lambda: _done(crm, "note", 8))
        gate.set()
        await until(lambda: all_are(crm, JobState.DONE, 11))


async def _done(crm: Kit, name: str, many: int) -> bool:
    return sum(1 for found in await rows(crm) if (found.name, found.state) == (name, JobState.DONE)) == many


async def test_stopping_tells_jobs_at_their_next_progress_and_ends_soon(crm: Kit) -> None:
    begun = asyncio.Event()

    async def endless(context: JobContext, _about: About) -> Json:
        at = (context.state or {}).get("at", 0)
        while True:
            at += 1
            begun.set()
            await context.progress(at, state={"at": at})
            await asyncio.sleep(0.01)

    services = with_jobs(crm, job("endless", endless), clock=now)
    async with working(services) as stop:
        await asked(services, crm.administrator, "a", job="endless")
        await begun.wait()
        began = asyncio.get_running_loop().time()
        stop.set()
    assert asyncio.get_running_loop().time() - began < 3
    [found] = await rows(crm)
    assert (found.state, found.attempts, found.lease_owner) == (JobState.WAITING, 0, None)
    assert found.resume["at"] >= 1


async def test_a_job_that_does_not_stop_is_cut_off_after_the_grace_and_given_back_uncounted(crm: Kit) -> None:
    begun = asyncio.Event()

    async def deaf(_context: JobContext, _about: About) -> Json:
        begun.set()
        await asyncio.sleep(60)
        return None

    services = with_jobs(crm, job("deaf", deaf), clock=now)
    registry = services.registry
    hasty = {**registry.settings, "jobs": JobsSettings.model_validate({**QUICK, "grace_seconds": 0.3})}
    services = replace(services, registry=replace(registry, settings=hasty))
    async with working(services) as stop:
        await asked(services, crm.administrator, "a", job="deaf")
        await begun.wait()
        began = asyncio.get_running_loop().time()
        stop.set()
    assert 0.3 <= asyncio.get_running_loop().time() - began < 4
    [found] = await rows(crm)
    assert (found.state, found.attempts, found.lease_owner) == (JobState.WAITING, 0, None)


async def test_a_worker_lives_through_a_database_that_is_away(crm: Kit) -> None:
    notes, away = Notes(), True
    services = with_jobs(crm, notes.job(), clock=now)
    await asked(services, crm.administrator, "a")
    one = runner(services)
    take = one.claims.take

    async def sometimes(*given: Any) -> Any:
        nonlocal away
        if away:
            away = False
            raise Fault("DATABASE_UNAVAILABLE", "away")
        return await take(*given)

    broker = SqlBroker(one, 4, 0.05)
    object.__setattr__(one, "claims", _Faulty(one.claims, sometimes))
    listening = registered(broker, one).listen()
    message = await asyncio.wait_for(anext(listening), 10)
    assert isinstance(message, bytes)
    assert b"note" in message
    await listening.aclose()


class _Faulty:
    """Claims of which taking is another function."""

    def __init__(self, claims: Any, take: Any) -> None:
        self._claims, self.take = claims, take

    def __getattr__(self, name: str) -> Any:
        return getattr(self._claims, name)


async def test_a_task_sent_by_taskiq_itself_is_a_job_too(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job(), clock=now)
    broker = registered(SqlBroker(runner(services), 4, 0.05), runner(services))
    task = broker.find_task("note")
    assert task is not None
    await task.kicker().kiq(what="by taskiq")
    async with working(services):
        await until(lambda: notes.done == ["by taskiq"])


# -- another process


PROCESS = """
import asyncio, os, sys
from datetime import timedelta
from pathlib import Path
from pydantic import BaseModel
from crm_core.app import services_of
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.jobs import worker
from crm_core.registry import Job
from crm_core.settings import load
from dataclasses import replace

class About(BaseModel):
    what: str = ""
    many: int = 0

async def count(services, context, about):
    done = Path(sys.argv[1])
    for number in range((context.state or {}).get("at", 0), 20):
        with done.open("a") as file:
            file.write(f"{number} of {about.what} by {os.getpid()}\\n")
        await context.progress(number + 1, 20, state={"at": number + 1})
        await asyncio.sleep(0.05)
    return None

async def main():
    settings = load(None, os.environ)
    database = open_database(settings)
    services = await services_of(settings, database, candidates=())
    registry = replace(services.registry, jobs={"count": Job("count", count, About)}, schedules=())
    print("working", flush=True)
    await worker.run(replace(services, registry=registry), asyncio.Event())

asyncio.run(main())
"""


def process(crm: Kit, folder: Path, done: Path) -> subprocess.Popen[str]:
    """A worker in a process of its own."""
    settings = crm.services.settings
    environment = {
        **os.environ,
        "CRM_DATABASE_URL": settings.database_url,
        "CRM_KEYS": settings.keys.get_secret_value(),
        "CRM_INDEX_KEY": settings.index_key.get_secret_value(),
        "CRM_LINES": '{"east": {"name": "east"}, "west": {"name": "west"}}',
        "CRM_JOBS__AT_ONCE": "2",
        "CRM_JOBS__POLL_SECONDS": "0.1",
        "CRM_JOBS__LEASE_SECONDS": "2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(done)], env=environment, cwd=folder, stdout=subprocess.PIPE, text=True
    )  # fmt: skip


async def test_a_job_whose_process_was_killed_in_the_middle_is_gone_on_with_by_another(
    crm: Kit, tmp_path: Path
) -> None:
    services = with_jobs(crm, job("count", _never), clock=now)
    await asked(services, crm.administrator, "a", "b", job="count")
    done = tmp_path / "done"
    first = process(crm, tmp_path, done)
    second: subprocess.Popen[str] | None = None
    try:
        await until(lambda: done.exists() and len(done.read_text().splitlines()) >= 8, 30)
        os.kill(first.pid, signal.SIGKILL)
        second = process(crm, tmp_path, done)
        await until(lambda: all_are(crm, JobState.DONE, 2), 30)
    finally:
        for one in (first, second):
            if one is not None:
                one.kill()
                one.wait()
                assert one.stdout is not None
                one.stdout.close()
    lines = done.read_text().splitlines()
    by = {line.rsplit(" ", 1)[1] for line in lines}
    assert by == {str(first.pid), str(second.pid)}
    steps = {line.rsplit(" ", 2)[0] for line in lines}
    assert len(steps) == 40
    assert len(lines) <= 42  # of each job at most the step that was not saved was done again
    assert {found.attempts for found in await rows(crm)} == {2}


async def _never(_context: JobContext, _about: About) -> Json:
    raise AssertionError("this process does not run it")
