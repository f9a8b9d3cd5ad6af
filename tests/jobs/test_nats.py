"""Jobs over NATS JetStream: the message only says where to look, so that restarts and lost lines lose and double nothing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import ConfigurationError, Json
from crm_core.jobs.addresses import addressed
from crm_core.jobs.context import JobContext
from crm_core.jobs.models import JobState
from crm_core.testing.kit import Kit
from crm_core.work import Services
from tests.jobs.job_kit import About, Notes, asked, job, with_jobs
from tests.jobs.nats_kit import NatsServer, nats_server
from tests.jobs.test_worker import all_are, now, until, working

QUICK = {"at_once": 4, "poll_seconds": 0.05, "lease_seconds": 10}


@pytest.fixture
def crm_settings() -> Mapping[str, Any]:
    return {"rooms": {"jobs": QUICK}, "log_level": "error"}


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "nats") as server:
        yield server


def over(nats: NatsServer, services: Services) -> Services:
    """The deployment with NATS as its broker."""
    return replace(services, settings=services.settings.model_copy(update={"broker": nats.url}))


class Counting:
    """A job that counts how often each was begun and ended."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    async def run(self, _context: JobContext, about: About) -> Json:
        self.begun[about.what] += 1
        await asyncio.sleep(0.02)
        self.ended[about.what] += 1
        return None


async def test_jobs_are_run_where_the_message_arrives(crm: Kit, nats: NatsServer) -> None:
    notes = Notes()
    services = over(nats, with_jobs(crm, notes.job(), clock=now))
    whats = [str(number) for number in range(40)]
    async with working(services), working(services):
        await asked(services, crm.administrator, *whats)
        await until(lambda: all_are(crm, JobState.DONE, 40), 20)
    assert sorted(notes.done) == sorted(whats)


async def test_a_job_that_failed_is_woken_again_when_it_is_due(crm: Kit, nats: NatsServer) -> None:
    tries: list[int] = []

    async def twice(context: JobContext, _about: About) -> Json:
        tries.append(context.claim.attempt)
        if context.claim.attempt == 1:
            raise ValueError("the first time")
        return None

    services = over(
        nats, with_jobs(crm, job("twice", twice, waits=(timedelta(milliseconds=300),)), clock=now)
    )
    async with working(services):
        await asked(services, crm.administrator, "a", job="twice")
        await until(lambda: all_are(crm, JobState.DONE, 1), 20)
    assert tries == [1, 2]


async def test_a_server_that_is_killed_and_started_again_loses_and_doubles_nothing(
    crm: Kit, nats: NatsServer
) -> None:
    counting = Counting()
    services = over(nats, with_jobs(crm, job("count", counting.run), clock=now))
    whats = [str(number) for number in range(60)]
    async with working(services), working(services):
        await asked(services, crm.administrator, *whats[:30], job="count")
        await until(lambda: len(counting.ended) >= 5, 20)
        nats.stop()
        await asked(services, crm.administrator, *whats[30:], job="count")
        await asyncio.sleep(0.5)
        nats.start()
        await until(lambda: all_are(crm, JobState.DONE, 60), 60)
    assert counting.begun == Counter(whats)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.long)])
async def test_jobs_wait_while_the_server_is_away_and_each_is_run_once_when_it_is_back(
    crm: Kit, nats: NatsServer, seconds: float
) -> None:
    counting = Counting()
    services = over(nats, with_jobs(crm, job("count", counting.run), clock=now))
    whats = [str(number) for number in range(55)]
    async with working(services), working(services):
        await asked(services, crm.administrator, *whats[:5], job="count")
        await until(lambda: all_are(crm, JobState.DONE, 5), 20)
        nats.stop()
        for start in range(5, 55, 10):
            await asked(services, crm.administrator, *whats[start : start + 10], job="count")
            await asyncio.sleep(seconds / 5)
        assert len(counting.begun) == 5
        nats.start()
        back = time.monotonic()
        await until(lambda: all_are(crm, JobState.DONE, 55), 60)
        took = time.monotonic() - back
        print(f"NATS away for {seconds} s: 50 jobs waited, all done {took:.1f} s after it was back")  # noqa: T201  # the figures
    assert counting.begun == counting.ended == Counter(whats)


async def test_a_lost_line_loses_and_doubles_nothing(crm: Kit, nats: NatsServer) -> None:
    counting = Counting()
    services = over(nats, with_jobs(crm, job("count", counting.run), clock=now))
    whats = [str(number) for number in range(30)]
    async with working(services):
        await asked(services, crm.administrator, *whats[:15], job="count")
        await until(lambda: len(counting.ended) >= 3, 20)
        nats.freeze()
        await asked(services, crm.administrator, *whats[15:], job="count")
        await asyncio.sleep(1.5)
        nats.thaw()
        await until(lambda: all_are(crm, JobState.DONE, 30), 60)
    assert counting.begun == Counter(whats)


async def test_a_worker_that_starts_before_the_server_waits_for_it(crm: Kit, nats: NatsServer) -> None:
    notes = Notes()
    services = over(nats, with_jobs(crm, notes.job(), clock=now))
    nats.stop()
    async with working(services):
        await asked(services, crm.administrator, "a")
        await asyncio.sleep(0.5)
        assert notes.done == []
        nats.start()
        await until(lambda: all_are(crm, JobState.DONE, 1), 20)


def test_addresses_of_several_servers_and_a_name() -> None:
    assert addressed("nats://one:4222") == (["nats://one:4222"], "crm")
    assert addressed("nats://a:b@one:4222, tls://two:4222/prod") == (
        ["nats://a:b@one:4222", "tls://two:4222"],
        "prod",
    )
    for wrong in ("one:4222", "http://one", "nats://one/a.b", ""):
        with pytest.raises(ConfigurationError):
            addressed(wrong)
