"""Progress: shown, saved, gone on from; a cancelled job hears of it there, and so does one whose process ends."""

from __future__ import annotations

import asyncio

from crm_core.actors import Reach
from crm_core.errors import Json
from crm_core.jobs.context import JobContext
from crm_core.jobs.models import JobState
from crm_core.jobs.running import work_off
from crm_core.testing.kit import Kit
from tests.jobs.job_kit import About, asked, job, row, rows, runner, shown, with_jobs

PROGRESS = "{ jobs { nodes { state progressDone progressTotal progressWords result } } }"


async def test_progress_is_shown_while_a_job_runs(crm: Kit) -> None:
    seen: list[Json] = []

    async def count(context: JobContext, _about: About) -> Json:
        await context.progress(1, 3, "customers")
        seen.append((await crm.data(PROGRESS))["jobs"]["nodes"][0])
        return {"customers": 3}

    services = with_jobs(crm, job("count", count))
    await asked(services, crm.administrator, "a", job="count")
    await work_off(services)
    told = {"progressDone": 1, "progressTotal": 3, "progressWords": "customers"}
    assert seen == [{"state": "RUNNING", **told, "result": None}]
    after = (await crm.data(PROGRESS))["jobs"]["nodes"]
    assert after == [{"state": "DONE", **told, "result": {"customers": 3}}]


async def test_a_progress_that_saves_nothing_is_written_once_a_second(crm: Kit) -> None:
    sent: list[int] = []

    async def count(context: JobContext, _about: About) -> Json:
        with crm.statements() as statements:
            for done in range(100):
                await context.progress(done, 100)
        sent.append(len(statements))
        return None

    services = with_jobs(crm, job("count", count))
    await asked(services, crm.administrator, "a", job="count")
    await work_off(services)
    assert 1 <= sent[0] <= 3


async def test_a_job_that_failed_goes_on_with_what_it_saved(crm: Kit) -> None:
    done: list[int] = []

    async def count(context: JobContext, _about: About) -> Json:
        at = (context.state or {}).get("at", 0)
        for number in range(at, 6):
            if number == 3 and context.claim.attempt == 1:
                raise ValueError("tired")
            done.append(number)
            await context.progress(number + 1, 6, state={"at": number + 1})
        return dict(context.state or {})

    services = with_jobs(crm, job("count", count))
    await asked(services, crm.administrator, "a", job="count")
    await work_off(services)
    crm.clock.advance(minutes=1)
    await work_off(services)
    assert done == list(range(6))
    found = await row(crm)
    assert (found.state, found.progress_done, found.result) == (JobState.DONE, 6, {"at": 6})


async def test_a_job_told_of_the_end_of_its_process_goes_on_elsewhere_uncounted(crm: Kit) -> None:
    stop, done = asyncio.Event(), []

    async def count(context: JobContext, _about: About) -> Json:
        for number in range((context.state or {}).get("at", 0), 4):
            done.append(number)
            if number == 1:
                stop.set()
            await context.progress(state={"at": number + 1})
        return None

    services = with_jobs(crm, job("count", count))
    await asked(services, crm.administrator, "a", job="count")
    one = runner(services, stop)
    [claim] = await one.take(1)
    await one.run(claim.id)
    await one.leave()
    found = await row(crm)
    assert (found.state, found.attempts, found.resume) == (JobState.WAITING, 0, {"at": 2})
    await work_off(services)
    assert done == [0, 1, 2, 3]
    assert (await row(crm)).attempts == 1


async def test_a_job_performs_each_step_once_as_who_asked_for_it(crm: Kit) -> None:
    async def found_teams(context: JobContext, about: About) -> Json:
        for number in range(2):
            body = {"name": f"{about.what} {number}", "line": "east"}
            outcome = await context.perform("team.create", body, step=str(number))
            assert not outcome.errors
            if number == 1 and context.claim.attempt == 1:
                raise ValueError("after the step, before anybody knew")
        return None

    services = with_jobs(crm, job("found_teams", found_teams))
    await asked(services, crm.administrator, "Team", job="found_teams")
    await work_off(services)
    crm.clock.advance(minutes=1)
    await work_off(services)
    assert (await row(crm)).state == JobState.DONE
    teams = await crm.data("{ teams { nodes { name } } }")
    assert sorted(team["name"] for team in teams["teams"]["nodes"]) == ["Team 0", "Team 1"]
    audit = '{ auditEntries(where: {kind: {eq: "team.create"}}) { nodes { channel actorName requestId } } }'
    entries = (await crm.data(audit))["auditEntries"]["nodes"]
    assert entries == [{"channel": "job", "actorName": "admin", "requestId": "request-1"}] * 2


async def test_a_job_of_somebody_who_left_gives_up(crm: Kit) -> None:
    async def who(context: JobContext, _about: About) -> Json:
        return (await context.actor()).name

    services = with_jobs(crm, job("who", who))
    ann = await crm.actor("ann", {"job.read": Reach.OWN})
    await asked(services, ann, "a", job="who", line="east")
    outcome = await crm.perform("user.update", {"id": ann.user_id, "disabled": True})
    assert not outcome.errors
    await work_off(services)
    found = await row(crm)
    assert found.state == JobState.DEAD
    assert "can no longer act" in found.last_error


# -- cancelling and trying again


async def test_a_job_that_waits_is_cancelled_at_once(crm: Kit) -> None:
    async def never(_context: JobContext, _about: About) -> Json:
        raise AssertionError("never")

    services = with_jobs(crm, job("never", never))
    await asked(services, crm.administrator, "a", job="never")
    key = shown((await row(crm)).id)
    payload = await crm.done("jobCancel", input={"id": key}, select="job { state endedAt }")
    assert payload["job"]["state"] == "CANCELLED"
    assert payload["job"]["endedAt"] is not None
    assert await work_off(services) == 0
    again = await crm.change("jobCancel", input={"id": key})
    assert [error["code"] for error in again["userErrors"]] == ["JOB_IS_OVER"]


async def test_a_job_that_runs_hears_of_its_cancelling_at_its_next_progress(crm: Kit) -> None:
    done: list[int] = []

    async def count(context: JobContext, _about: About) -> Json:
        for number in range(10):
            if number == 2:
                payload = await crm.done("jobCancel", input={"id": context.id}, select="job { state }")
                assert payload["job"]["state"] == "RUNNING"
            done.append(number)
            await context.progress(state={"at": number + 1})
        return None

    services = with_jobs(crm, job("count", count))
    await asked(services, crm.administrator, "a", job="count")
    await work_off(services)
    found = await row(crm)
    assert (found.state, found.resume, done) == (JobState.CANCELLED, {"at": 3}, [0, 1, 2])
    assert found.ended_at is not None


async def test_a_cancelled_job_that_fails_is_not_tried_again(crm: Kit) -> None:
    async def fail(context: JobContext, _about: About) -> Json:
        await crm.done("jobCancel", input={"id": context.id})
        raise ValueError("whatever")

    services = with_jobs(crm, job("fail", fail))
    await asked(services, crm.administrator, "a", job="fail")
    await work_off(services)
    assert (await row(crm)).state == JobState.CANCELLED


async def test_a_dead_job_is_tried_again_with_what_it_saved(crm: Kit) -> None:
    async def count(context: JobContext, _about: About) -> Json:
        if context.state is None:
            await context.progress(state={"at": 7})
            raise ValueError("the first time")
        return dict(context.state)

    services = with_jobs(crm, job("count", count, waits=()))
    await asked(services, crm.administrator, "a", job="count")
    await work_off(services)
    found = await row(crm)
    assert found.state == JobState.DEAD
    payload = await crm.done("jobRetry", input={"id": shown(found.id)}, select="job { state attempts }")
    assert payload["job"] == {"state": "WAITING", "attempts": 0}
    await work_off(services)
    assert ((await row(crm)).state, (await row(crm)).result) == (JobState.DONE, {"at": 7})
    again = await crm.change("jobRetry", input={"id": shown(found.id)})
    assert [error["code"] for error in again["userErrors"]] == ["JOB_NOT_RETRYABLE"]


async def test_a_unique_job_is_not_tried_again_beside_its_twin(crm: Kit) -> None:
    async def fail(_context: JobContext, _about: About) -> Json:
        raise ValueError("no")

    services = with_jobs(crm, job("fail", fail, waits=(), unique=lambda about: about.what))
    await asked(services, crm.administrator, "a", job="fail")
    await work_off(services)
    await asked(services, crm.administrator, "a", job="fail")
    dead = (await rows(crm))[0]
    payload = await crm.change("jobRetry", input={"id": shown(dead.id)})
    assert [error["code"] for error in payload["userErrors"]] == ["JOB_TWIN_OPEN"]
