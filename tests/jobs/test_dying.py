"""A job that dies: recorded as an event, told to those who manage the jobs of its line, once of each job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crm_core.actors import Actor, Reach
from crm_core.errors import Json
from crm_core.jobs.claims import reap
from crm_core.jobs.context import GaveUp, JobContext
from crm_core.jobs.models import JobState
from crm_core.jobs.running import work_off
from crm_core.notices.models import Notice
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit
from crm_core.work import Services
from tests.jobs.job_kit import About, asked, job, row, runner, shown, with_jobs


async def _tired(_context: JobContext, _about: About) -> Json:
    raise ValueError("tired")


async def _hopeless(_context: JobContext, _about: About) -> Json:
    raise GaveUp("nothing would help")


@pytest.fixture
async def manager(crm: Kit) -> Actor:
    return await crm.actor("manager", role="line_manager")


async def dead(crm: Kit, line: str | None = "east") -> Services:
    """A deployment with one job that gave up."""
    services = with_jobs(crm, job("hopeless", _hopeless))
    await asked(services, crm.administrator, "a", job="hopeless", line=line)
    await work_off(services)
    return services


async def events(crm: Kit) -> list[Any]:
    return [e for e in await crm.rows(OutboxEvent) if e.kind == "job.died"]


async def told(crm: Kit) -> list[Any]:
    await crm.passed_on()
    return [n for n in await crm.rows(Notice) if n.kind == "job.died"]


async def test_the_death_of_a_job_is_an_event_of_its_line(crm: Kit) -> None:
    await dead(crm)
    [event], found = await events(crm), await row(crm)
    assert found.state == JobState.DEAD
    assert (event.subject_ref, event.line, event.data) == (
        shown(found.id), "east", {"name": "hopeless", "attempts": 1},
    )  # fmt: skip
    assert event.sequence == found.version


async def test_a_job_that_is_tried_again_has_not_died(crm: Kit) -> None:
    services = with_jobs(crm, job("tired", _tired, waits=(timedelta(seconds=10),)))
    await asked(services, crm.administrator, "a", job="tired")
    await work_off(services)
    assert await events(crm) == []
    crm.clock.advance(seconds=11)
    await work_off(services)
    assert [e.data["attempts"] for e in await events(crm)] == [2]


async def test_a_job_that_takes_its_worker_down_each_time_dies_with_an_event(crm: Kit) -> None:
    services = with_jobs(crm, job("tired", _tired, waits=()))
    await asked(services, crm.administrator, "a", job="tired")
    await runner(services).take(1)
    crm.clock.advance(minutes=2)
    assert await reap(services) == [("tired", JobState.DEAD)]
    assert len(await events(crm)) == 1


async def test_what_was_overtaken_announces_no_death(crm: Kit) -> None:
    services = with_jobs(crm, job("hopeless", _hopeless))
    await asked(services, crm.administrator, "a", job="hopeless")
    slow = runner(services)
    [claim] = await slow.take(1)
    crm.clock.advance(minutes=2)
    await reap(services)
    await runner(services).take(1)
    await slow.run(claim.id)
    await slow.flush()
    assert await events(crm) == []


async def test_who_manages_the_jobs_of_the_line_is_told_of_it(crm: Kit, manager: Actor) -> None:
    west = await crm.actor("western", role="line_manager", lines=("west",))
    clerk = await crm.actor("clerk", {"job.read": Reach.OWN, "job.manage": Reach.OWN})
    await dead(crm)
    found = await told(crm)
    assert {n.user_id for n in found} == {manager.user_id, crm.administrator.user_id}
    assert {west.user_id, clerk.user_id}.isdisjoint({n.user_id for n in found})
    query = "{ myNotices { nodes { title body subject line } } }"
    [notice] = (await crm.data(query, manager))["myNotices"]["nodes"]
    assert notice["title"] == "A job has failed for good: hopeless"
    assert "Why: nothing would help" in notice["body"]
    assert (notice["subject"], notice["line"]) == (shown((await row(crm)).id), "east")
    answer = await crm.ask(query, manager, language="zh-CN")
    assert answer.data is not None
    assert answer.data["myNotices"]["nodes"][0]["title"] == "后台任务失败：hopeless"


async def test_of_a_job_without_a_line_those_are_told_who_manage_all_lines(crm: Kit, manager: Actor) -> None:
    await dead(crm, None)
    assert {n.user_id for n in await told(crm)} == {crm.administrator.user_id}


async def test_a_job_that_dies_again_is_told_of_once(crm: Kit) -> None:
    services = await dead(crm)
    key = shown((await row(crm)).id)
    assert len(await told(crm)) == 1
    await crm.done("jobRetry", input={"id": key}, select="job { state }")
    await work_off(services)
    assert len(await events(crm)) == 2
    assert len(await told(crm)) == 1


async def test_a_cancelled_job_has_not_died(crm: Kit) -> None:
    async def cancelled(context: JobContext, _about: About) -> Json:
        await crm.done("jobCancel", input={"id": context.id}, select="job { state }")
        await context.progress(1, 2, state={})
        return None

    services = with_jobs(crm, job("long", cancelled))
    await asked(services, crm.administrator, "a", job="long")
    await work_off(services)
    assert (await row(crm)).state == JobState.CANCELLED
    assert await events(crm) == []
