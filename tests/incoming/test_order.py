"""Order: a request waits for the earlier ones about the same subject, and those wait for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text, update

from crm_core import ids
from crm_core.customers.models import Customer
from crm_core.db.session import open_database
from crm_core.incoming import processing
from crm_core.incoming.forgetting import forget
from crm_core.incoming.models import IncomingRequest
from crm_core.incoming.processing import work_off
from crm_core.incoming.queries import calling_next, claimed, claiming, held_up
from crm_core.incoming.worker import WORKERS
from crm_core.notices.models import Notice
from tests.incoming.conftest import ONCE, Door, codes

R = IncomingRequest.__table__
BY_ID = {"ordered": "SUBJECT", "about": "=body.id"}


def shown(row: Any) -> str:
    return ids.show("inr", row.id)


async def sent(door: Door, source: Any, *bodies: dict[str, Any]) -> None:
    """Requests, one after the other; a body without a name is refused by the mapping."""
    for body in bodies:
        content = orjson.dumps({"number": len(await door.requests()), **body})
        assert (await door.send(source, content)).status_code == 202


async def made(door: Door) -> list[str]:
    """Names of the customers, in the order made."""
    return [row.name for row in sorted(await door.crm.rows(Customer), key=lambda row: row.number)]


async def states(door: Door) -> list[str]:
    return [row.state for row in await door.requests()]


async def mend(door: Door, row: Any, name: str) -> None:
    """Have a failed request go well, and process it again."""
    async with door.crm.database.transaction() as session:
        body = orjson.dumps({"id": 1, "name": name})
        await session.execute(update(R).where(R.c.id == row.id).values(body=body))
    await door.crm.done("incomingReplay", input={"id": shown(row)})


async def test_a_failed_request_holds_up_the_later_ones_about_its_subject_until_it_is_mended(
    door: Door,
) -> None:
    source = await door.source(**BY_ID)
    await sent(
        door, source, {"id": 1}, {"id": 1, "name": "b"}, {"id": 2, "name": "other"}, {"id": 1, "name": "c"}
    )
    await door.work_off()
    assert await states(door) == ["FAILED", "RECEIVED", "DONE", "RECEIVED"]
    door.crm.clock.advance(minutes=10)
    assert await door.work_off() == 0, "nobody looks at them again and again"
    await sent(door, source, {"id": 1, "name": "d"})
    assert await door.work_off() == 0
    await mend(door, (await door.requests())[0], "a")
    await door.work_off()
    assert await states(door) == ["DONE"] * 5
    assert await made(door) == ["other", "a", "b", "c", "d"]


async def test_a_discarded_request_holds_up_nobody(door: Door) -> None:
    source = await door.source(ordered="SOURCE")
    await sent(door, source, {"id": 1}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"})
    await door.work_off()
    assert await states(door) == ["FAILED", "RECEIVED", "RECEIVED"]
    await door.crm.done("incomingDiscard", input={"id": shown(await first(door))})
    await door.work_off()
    assert await made(door) == ["b", "c"]


async def first(door: Door) -> Any:
    return (await door.requests())[0]


@ONCE
async def test_one_that_was_given_up_for_its_age_holds_up_nobody(door: Door) -> None:
    source = await door.source(ordered="SOURCE")
    await sent(door, source, {"id": 1}, {"id": 2, "name": "b"})
    await door.work_off()
    door.crm.clock.advance(days=90, hours=-1)
    async with door.crm.database.transaction() as session:  # looked at a moment ago
        later = door.crm.clock() + timedelta(days=1)
        await session.execute(update(R).where(R.c.state == "RECEIVED").values(next_at=later))
    door.crm.clock.advance(hours=2)
    await forget(door.services)
    await door.work_off()
    assert await states(door) == ["DISCARDED", "DONE"]


@ONCE
async def test_what_a_failed_request_holds_up_is_looked_at_again_after_a_day(door: Door) -> None:
    source = await door.source(ordered="SOURCE")
    await sent(door, source, {"id": 1}, {"id": 2, "name": "b"})
    await door.work_off()
    async with door.crm.database.transaction() as session:  # settled by somebody who called nobody
        await session.execute(update(R).where(R.c.state == "FAILED").values(state="DISCARDED"))
    assert await door.work_off() == 0
    door.crm.clock.advance(days=1, minutes=1)
    await door.work_off()
    assert await made(door) == ["b"]


@ONCE
async def test_requests_of_a_source_without_order_wait_for_nobody(door: Door) -> None:
    source = await door.source()
    await sent(door, source, {"id": 1}, {"id": 1, "name": "b"})
    await door.work_off()
    assert await states(door) == ["FAILED", "DONE"]


@ONCE
async def test_a_request_whose_subject_is_not_found_waits_for_nobody(door: Door) -> None:
    source = await door.source(**BY_ID)
    await sent(door, source, {}, {"name": "b"})
    await door.work_off()
    assert await states(door) == ["FAILED", "DONE"]
    assert [row.order_key for row in await door.requests()] == [None, None]


@ONCE
async def test_an_order_by_subject_needs_a_subject(door: Door) -> None:
    assert codes(await door.try_source(ordered="SUBJECT")) == [("REQUIRED", "about")]
    assert codes(await door.try_source(about="=body.(")) == [("INCOMING_WRONG_EXPRESSION", "about")]
    source = await door.source(ordered="SUBJECT", about="header:X-Order")
    body = {"id": ids.show("ins", source.id), "about": None}
    assert codes(await door.crm.change("incomingUpdate", input=body)) == [("REQUIRED", "about")]
    changed = await door.crm.done(
        "incomingUpdate", input={**body, "ordered": "SOURCE"}, select="incomingSource { ordered about }"
    )
    assert changed["incomingSource"] == {"ordered": "SOURCE", "about": None}


@ONCE
async def test_managers_are_told_at_once_of_a_failure_that_holds_up_others(door: Door) -> None:
    await door.crm.actor("boss", role="line_manager")
    source = await door.source(ordered="SOURCE")
    await sent(door, source, {"id": 1})
    await door.work_off()
    assert [row.kind for row in await door.crm.rows(Notice)].count("incoming.failing") >= 1


@ONCE
async def test_whoever_put_a_request_off_does_so_until_the_one_before_may_be_settled(door: Door) -> None:
    source = await door.source(ordered="SOURCE")
    await sent(door, source, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    now = door.crm.clock()
    async with door.crm.database.transaction() as session:  # the first is taken by a process that was killed
        await session.execute(claiming(now, timedelta(seconds=60), 1))
    assert await door.work_off() == 0
    one, other = await door.requests()
    assert (one.attempts, other.attempts) == (1, 0)
    assert other.next_at == one.lease_until
    door.crm.clock.advance(seconds=61)
    await door.work_off()
    assert await made(door) == ["a", "b"]


@pytest.mark.parametrize("crm_dialect", ["postgresql"], indirect=True)
async def test_several_processes_keep_the_order(door: Door) -> None:
    door.configure(batch=5, at_once=2)
    source = await door.source(**BY_ID)
    bodies = [{"id": number % 3, "name": f"{number % 3}-{number:02}"} for number in range(30)]
    await sent(door, source, *bodies)
    others = [open_database(door.services.settings) for _ in range(2)]
    try:
        workers = [door.services, *(replace(door.services, database=one) for one in others)]
        for _ in range(20):
            await asyncio.gather(*(work_off(one) for one in workers))
            if set(await states(door)) == {"DONE"}:
                break
            door.crm.clock.advance(seconds=2)
    finally:
        for one in others:
            await one.dispose()
    names = await made(door)
    assert sorted(names) == sorted(str(body["name"]) for body in bodies)
    for subject in range(3):
        own = [name for name in names if name.startswith(f"{subject}-")]
        assert own == sorted(own)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=12),
    batch=st.integers(1, 8),
)
@ONCE
async def test_of_every_subject_exactly_what_stands_before_the_first_failure_is_done(
    door: Door, wanted: Sequence[tuple[int, bool]], batch: int
) -> None:
    async with door.crm.database.transaction() as session:
        await session.execute(R.delete())
        await session.execute(text("DELETE FROM incoming_sources"))
    door.configure(batch=batch, at_once=2)
    source = await door.source(**BY_ID)
    bodies = [{"id": subject, **({"name": "x"} if well else {})} for subject, well in wanted]
    await sent(door, source, *bodies)
    await door.work_off()
    broken: set[int] = set()
    for (subject, well), state in zip(wanted, await states(door), strict=True):
        expected = "RECEIVED" if subject in broken else "DONE" if well else "FAILED"
        assert state == expected
        broken |= set() if well else {subject}


# -- together


async def test_requests_that_go_well_share_transactions(door: Door) -> None:
    door.configure(at_once=1)
    source = await door.source()
    await sent(door, source, *({"name": f"c{number}"} for number in range(10)))
    with door.crm.statements() as statements:
        assert await door.work_off() == 10
    assert await made(door) == [f"c{number}" for number in range(10)]
    assert len([one for one in statements if one.startswith("UPDATE incoming_requests")]) <= 3
    assert len(statements) < 100
    assert len([one for one in statements if "role_grants" in one]) == 1


async def test_those_that_fail_leave_the_others_of_their_transaction_as_they_are(door: Door) -> None:
    door.configure(at_once=1)
    source = await door.source()
    await sent(door, source, *({"name": f"c{n}"} if n % 4 else {} for n in range(12)))
    assert await door.work_off() == 12
    assert await states(door) == ["FAILED", "DONE", "DONE", "DONE"] * 3
    assert sorted(await made(door)) == sorted(f"c{n}" for n in range(12) if n % 4)
    assert {row.attempts for row in await door.requests()} == {1}
    assert door.counted.count(("incoming_done", "website")) == 9


async def test_one_that_was_discarded_meanwhile_is_not_done_with_the_others(door: Door) -> None:
    source = await door.source()
    await sent(door, source, *({"name": f"c{number}"} for number in range(4)))
    async with door.crm.database.transaction() as session:
        taken = (await session.execute(claiming(door.crm.clock(), timedelta(seconds=60), 10))).all()
        rows = (await session.execute(claimed([row.id for row in taken]))).all()
    await door.crm.done("incomingDiscard", input={"id": shown((await door.requests())[2])})
    await processing._one_after_the_other(door.services, rows)
    assert await made(door) == ["c0", "c1", "c3"]
    assert await states(door) == ["DONE", "DONE", "DISCARDED", "DONE"]


@ONCE
async def test_a_request_is_processed_at_once_by_the_process_that_received_it(door: Door) -> None:
    door.configure(poll_seconds=60)
    source, stop = await door.source(), asyncio.Event()
    working = asyncio.ensure_future(WORKERS[0].run(door.services, stop))
    try:
        await asyncio.sleep(0.2)
        await sent(door, source, {"name": "Ann"})
        async with asyncio.timeout(10):
            while await states(door) != ["DONE"]:  # noqa: ASYNC110  # it happens elsewhere
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await working


# -- plans


@pytest.mark.parametrize("many", [20_000, pytest.param(200_000, marks=pytest.mark.long)])
async def test_what_waits_behind_a_failed_request_is_found_by_an_index(door: Door, many: int) -> None:
    source = await door.source(ordered="SOURCE")
    await sent(door, source, {"id": 1})
    await door.work_off()
    template = dict((await door.request())._mapping)
    later = door.crm.clock() + timedelta(days=1)
    common = {**template, "state": "RECEIVED", "next_at": later, "attempts": 0, "finished_at": None}
    rows = [{**common, "id": ids.uuid7(), "dedupe_key": f"d{n}"} for n in range(many)]
    async with door.crm.database.transaction() as session:
        for start in range(0, many, 2_000):
            await session.execute(insert(R), rows[start : start + 2_000])
    async with door.crm.database.connection() as connection:
        await connection.execute(text("ANALYZE"))
    dialect = door.crm.database.dialect
    explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "
    for statement in (
        held_up([row["id"] for row in rows[-3:]]),
        calling_next(source.id, "*", door.crm.clock()),
    ):
        words = statement.compile(
            dialect=door.crm.database.reads.dialect, compile_kwargs={"literal_binds": True}
        )
        async with door.crm.database.connection() as connection:
            found = (await connection.execute(text(explain + str(words).replace(":", "\\:")))).all()
        plan = "\n".join(str(row[-1]) for row in found)
        assert "ix_incoming_requests_in_order" in plan, plan
        assert "Seq Scan on incoming_requests" not in plan
        assert "SCAN incoming_requests" not in plan
