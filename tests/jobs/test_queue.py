"""The queue: written with the change that asks for it, claimed by one, tried again, given up, taken over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.ext.compiler import compiles

from crm_core.errors import Fault, Json
from crm_core.jobs.claims import reap
from crm_core.jobs.context import GaveUp, JobContext, Superseded
from crm_core.jobs.forgetting import forget
from crm_core.jobs.models import JobState
from crm_core.jobs.queries import GONE, due, lost
from crm_core.jobs.running import work_off
from crm_core.testing.kit import Kit
from tests.jobs.job_kit import About, Demanding, Notes, asked, job, row, rows, runner, with_jobs


async def test_a_job_is_run_after_the_command_that_asked_for_it(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job())
    await asked(services, crm.administrator, "a", "b", line="east")
    assert notes.done == []
    assert await work_off(services) == 2
    assert sorted(notes.done) == ["a", "b"]
    found = (await rows(crm))[0]
    assert (found.state, found.attempts, found.result) == (JobState.DONE, 1, {"noted": "a"})
    assert (found.line, found.requester_id, found.labels) == (
        "east", crm.administrator.user_id, {"request": "request-1"},
    )  # fmt: skip
    assert found.ended_at == crm.clock()
    assert found.lease_owner is None
    assert await work_off(services) == 0


async def test_a_command_that_is_undone_leaves_no_job(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    with pytest.raises(RuntimeError):
        await asked(services, crm.administrator, "a", then_fail=True)
    assert await rows(crm) == []


async def test_an_unknown_job_and_wrong_arguments_are_refused_where_they_are_given(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job(arguments=Demanding))
    with pytest.raises(Fault, match="No job nowhere"):
        await asked(services, crm.administrator, "a", job="nowhere")
    with pytest.raises(ValidationError):
        await asked(services, crm.administrator, "a")
    assert await rows(crm) == []


async def test_a_job_that_fails_is_tried_again_after_its_waits_and_then_dead(crm: Kit) -> None:
    tries: list[int] = []

    async def fail(context: JobContext, _about: About) -> Json:
        tries.append(context.claim.attempt)
        raise ValueError("no paper")

    services = with_jobs(crm, job("fail", fail))
    await asked(services, crm.administrator, "a", job="fail")
    assert await work_off(services) == 1
    found = await row(crm)
    assert (found.state, found.last_error) == (JobState.FAILED, "ValueError: no paper")
    assert found.next_at == crm.clock() + timedelta(seconds=10)
    crm.clock.advance(seconds=9)
    assert await work_off(services) == 0
    crm.clock.advance(seconds=1)
    assert await work_off(services) == 1
    crm.clock.advance(minutes=1)
    assert await work_off(services) == 1
    assert tries == [1, 2, 3]
    found = await row(crm)
    assert (found.state, found.ended_at) == (JobState.DEAD, crm.clock())
    crm.clock.advance(days=1)
    assert await work_off(services) == 0


async def test_a_job_that_gives_up_is_dead_at_once(crm: Kit) -> None:
    async def give_up(_context: JobContext, _about: About) -> Json:
        raise GaveUp("the file is gone")

    services = with_jobs(crm, job("give_up", give_up))
    await asked(services, crm.administrator, "a", job="give_up")
    await work_off(services)
    found = await row(crm)
    assert (found.state, found.attempts, found.last_error) == (JobState.DEAD, 1, "the file is gone")


async def test_a_result_without_a_form_in_json_and_a_job_that_takes_too_long_fail(crm: Kit) -> None:
    async def odd(_context: JobContext, _about: About) -> Any:
        return object()

    async def slow(_context: JobContext, _about: About) -> Json:
        await asyncio.sleep(60)
        return None

    services = with_jobs(crm, job("odd", odd), job("slow", slow, timeout=timedelta(milliseconds=20)))
    await asked(services, crm.administrator, "a", job="odd")
    await asked(services, crm.administrator, "a", job="slow")
    await work_off(services)
    states = {found.name: (found.state, found.last_error) for found in await rows(crm)}
    assert states["odd"][0] == JobState.DEAD
    assert states["slow"][0] == JobState.FAILED
    assert "took longer than 0:00:00.02" in states["slow"][1]


async def test_arguments_that_a_newer_version_no_longer_takes_make_a_job_dead(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    await asked(services, crm.administrator, "a")
    newer = with_jobs(crm, Notes().job(arguments=Demanding))
    await work_off(newer)
    assert (await row(crm)).state == JobState.DEAD


async def test_a_job_whose_plugin_is_gone_waits_for_its_return(crm: Kit) -> None:
    notes = Notes()
    await asked(with_jobs(crm, notes.job()), crm.administrator, "a")
    assert await work_off(with_jobs(crm)) == 0
    assert (await row(crm)).state == JobState.WAITING
    assert await work_off(with_jobs(crm, notes.job())) == 1


async def test_many_processes_run_each_job_once(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job())
    whats = [str(number) for number in range(60)]
    await asked(services, crm.administrator, *whats)
    counts = await asyncio.gather(*(work_off(services, 7) for _ in range(4)))
    assert sum(counts) == 60
    assert sorted(notes.done) == sorted(whats)


async def test_jobs_are_begun_in_the_order_they_became_due(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job())
    await asked(services, crm.administrator, "a", "b")
    crm.clock.advance(seconds=1)
    await asked(services, crm.administrator, "c")
    await work_off(services, 1)
    assert notes.done == ["a", "b", "c"]


# -- unique jobs


async def test_of_a_unique_job_one_is_open_at_a_time(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job(unique=lambda about: about.what))
    for _ in range(2):
        await asked(services, crm.administrator, "a", "b", "a")
    await asyncio.gather(*(asked(services, crm.administrator, "a") for _ in range(4)))
    assert [found.unique_key for found in await rows(crm)] == ["note:a", "note:b"]
    await work_off(services)
    await asked(services, crm.administrator, "a")
    assert len(await rows(crm)) == 3


# -- leases


async def test_a_job_whose_worker_is_gone_is_taken_over_after_its_lease(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job())
    await asked(services, crm.administrator, "a")
    assert len(await runner(services).take(1)) == 1  # and is never heard of again
    crm.clock.advance(seconds=59)
    assert await reap(services) == []
    assert await work_off(services) == 0
    crm.clock.advance(seconds=1)
    assert await reap(services) == [("note", "FAILED")]
    assert (await row(crm)).last_error == GONE
    assert await work_off(services) == 1
    found = await row(crm)
    assert (found.state, found.attempts, found.last_error) == (JobState.DONE, 2, None)


async def test_a_job_that_takes_its_worker_down_each_time_is_dead_in_the_end(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    await asked(services, crm.administrator, "a")
    for _ in range(3):
        assert len(await runner(services).take(1)) == 1
        crm.clock.advance(minutes=1)
        await reap(services)
    found = await row(crm)
    assert (found.state, found.attempts, found.ended_at) == (JobState.DEAD, 3, crm.clock())


async def test_a_lease_is_renewed_while_the_job_runs(crm: Kit) -> None:
    gate = asyncio.Event()

    async def wait(_context: JobContext, _about: About) -> Json:
        await gate.wait()
        return None

    services = with_jobs(crm, job("wait", wait))
    await asked(services, crm.administrator, "a", job="wait")
    one = runner(services)
    [claim] = await one.take(1)
    running = asyncio.create_task(one.run(claim.id))
    for _ in range(5):
        await asyncio.sleep(0)
        crm.clock.advance(seconds=50)
        await one.renew()
        assert await reap(services) == []
    gate.set()
    await running
    await one.flush()
    assert (await row(crm)).state == JobState.DONE


async def test_one_who_lost_his_lease_is_cut_off_and_writes_nothing(crm: Kit) -> None:
    begun, ended = asyncio.Event(), []

    async def stuck(context: JobContext, _about: About) -> Json:
        if context.claim.attempt > 1:
            return "second"
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("first")
        return "first"

    services = with_jobs(crm, job("stuck", stuck))
    await asked(services, crm.administrator, "a", job="stuck")
    late = runner(services)
    [claim] = await late.take(1)
    running = asyncio.create_task(late.run(claim.id))
    await begun.wait()
    crm.clock.advance(minutes=2)
    await reap(services)
    assert await work_off(services) == 1
    await late.renew()
    await running
    assert ended == ["first"]
    assert late.ended == []
    found = await row(crm)
    assert (found.state, found.result, found.attempts) == (JobState.DONE, "second", 2)


async def test_one_who_was_overtaken_cannot_commit_what_he_does_with_his_progress(crm: Kit) -> None:
    seen: list[type[BaseException]] = []

    async def slow(context: JobContext, _about: About) -> Json:
        if context.claim.attempt == 1:
            crm.clock.advance(minutes=2)
            await reap(services)
            await work_off(services)
            try:
                async with services.database.transaction() as session:
                    await session.execute(text("UPDATE business_lines SET name = 'changed'"))
                    await context.progress(state={"at": 1}, within=session)
            except Superseded as superseded:
                seen.append(type(superseded))
                raise
        return context.claim.attempt

    services = with_jobs(crm, job("slow", slow))
    await asked(services, crm.administrator, "a", job="slow")
    await work_off(services)
    assert seen == [Superseded]
    found = await row(crm)
    assert (found.result, found.resume) == (2, None)
    names = await crm.database.fetch(text("SELECT name FROM business_lines"))
    assert "changed" not in {name for (name,) in names}


async def test_a_process_that_stops_gives_its_jobs_back_uncounted(crm: Kit) -> None:
    begun = asyncio.Event()

    async def endless(_context: JobContext, _about: About) -> Json:
        begun.set()
        await asyncio.sleep(60)
        return None

    services = with_jobs(crm, job("endless", endless))
    await asked(services, crm.administrator, "a", "b", job="endless")
    one = runner(services)
    claims = await one.take(2)
    running = asyncio.create_task(one.run(claims[0].id))
    await begun.wait()
    await one.leave()
    await running
    assert [(found.state, found.attempts) for found in await rows(crm)] == [(JobState.WAITING, 0)] * 2


async def test_what_ended_while_the_database_was_away_is_written_when_it_is_back(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job())
    await asked(services, crm.administrator, "a")
    one = runner(services)
    [claim] = await one.take(1)
    await one.run(claim.id)
    take = one.claims.take

    async def away(*_of_taking: Any) -> Any:
        raise Fault("DATABASE_UNAVAILABLE", "away")

    object.__setattr__(one, "claims", type("Away", (), {"take": staticmethod(away)})())
    with pytest.raises(Fault):
        await one.flush()
    object.__setattr__(one, "claims", type("Back", (), {"take": staticmethod(take)})())
    await one.flush()
    assert (await row(crm)).state == JobState.DONE


# -- what is kept, how it is found


async def test_jobs_that_ended_long_ago_are_removed(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    await asked(services, crm.administrator, "a")
    await work_off(services)
    crm.clock.advance(days=29)
    await asked(services, crm.administrator, "b")
    assert await forget(services) == 0
    crm.clock.advance(days=2)
    assert await forget(services) == 1
    assert [found.arguments["what"] for found in await rows(crm)] == ["b"]


async def test_claiming_takes_two_statements_whatever_ended_and_an_idle_look_one(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    await asked(services, crm.administrator, *"abcdef")
    one = runner(services)
    for claim in await one.take(3):
        await one.run(claim.id)
    with crm.statements() as sent:
        await one.take(3)
    assert len(sent) == 2
    with crm.statements() as sent:
        await one.claims.is_due()
    assert len(sent) == 1


async def test_ended_jobs_are_not_looked_at_when_due_ones_are_claimed(crm: Kit) -> None:
    services, dialect = with_jobs(crm, Notes().job()), crm.database.dialect
    await asked(services, crm.administrator, "a")
    await work_off(services)
    await copied(crm, 20_000)
    now = crm.clock()
    wanted = due(["note"], now, dialect).limit(10).with_for_update(skip_locked=True)
    plan = await plan_of(crm, wanted)
    assert "ix_jobs_due" in plan, plan
    plan = await plan_of(crm, lost(now))
    assert "ix_jobs_held" in plan or "ix_jobs_state_id" in plan, plan


async def copied(crm: Kit, many: int) -> None:
    """So many more jobs that ended like the first."""
    columns = [name for name in (await rows(crm))[0]._fields if name != "id"]
    names = ", ".join(columns)
    key = "gen_random_uuid()" if crm.database.dialect == "postgresql" else "lower(hex(randomblob(16)))"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})"  # noqa: S608  # numbers and names of our own
    made = f"INSERT INTO jobs (id, {names}) {numbers} SELECT {key}, {names} FROM jobs, n"  # noqa: S608
    async with crm.database.transaction() as session:
        await session.execute(text(made))
    async with crm.database.transaction() as session:
        await session.execute(text("ANALYZE jobs"))


class Explained(Executable, ClauseElement):
    """A statement whose plan is asked for."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(Explained)
def _explained(element: Explained, compiler: Any, **more: Any) -> str:
    words = "EXPLAIN " if compiler.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    text_ = words + str(compiler.process(element.statement, **more))
    compiler._result_columns.clear()  # the rows are the plan's, not the statement's
    return text_


async def plan_of(crm: Kit, statement: Any) -> str:
    async with crm.database.transaction() as session:
        found = (await session.execute(Explained(statement))).all()
        await session.rollback()
    return "\n".join(str(tuple(row)) for row in found)
