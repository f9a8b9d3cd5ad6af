"""Feeding: in order, exactly once with what the receiver writes; a failing receiver holds up nobody but itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Uuid, insert, select

from crm_core import ids
from crm_core.db.unit import Unit
from crm_core.errors import Unavailable
from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.feeding import (
    BATCH_TRIES,
    EVENT_TRIES,
    Ahead,
    ReceiverFailed,
    cursors,
    failures,
    feed,
    look,
    read_ahead,
    retry,
)
from crm_core.outbox.loop import work_off
from crm_core.outbox.relay import number
from crm_core.registry import Receiver
from crm_core.testing.kit import Kit
from crm_core.work import Services
from tests.outbox.feed_kit import E, Memory, made_up, recorded

NOTES = Table("notes_of_a_test", MetaData(), Column("event_id", Uuid, primary_key=True))


async def fed_by(crm: Kit, *receivers: Receiver) -> Services:
    """The deployment with these receivers alone; what was recorded so far is numbered."""
    await work_off(replace(crm.services, registry=replace(crm.services.registry, receivers=())))
    return replace(crm.services, registry=replace(crm.services.registry, receivers=receivers))


async def with_notes(crm: Kit) -> None:
    async with crm.database.transaction() as session:
        await (await session.connection()).run_sync(NOTES.create)


async def note(_services: Services, session: Unit, events: Sequence[RecordedEvent]) -> None:
    await session.execute(insert(NOTES), [{"event_id": event.id} for event in events])


async def test_a_receiver_gets_every_event_in_order_and_once(crm: Kit) -> None:
    memory = Memory()
    services = await fed_by(crm, memory.receiver(batch=4))
    await work_off(services)
    subject = ids.uuid7()
    made = await recorded(crm, *(made_up(subject, n + 1) for n in range(10)))
    await work_off(services)
    assert [event.id for event in memory.got] == made
    assert memory.batches == [4, 4, 2]
    first = memory.got[0]
    assert (first.subject_ref, first.line, first.data) == (ids.show("cus", subject), "east", {})
    await work_off(services)
    assert len(memory.got) == 10


async def test_receivers_that_stand_alike_share_what_is_read_and_nobody_misses_any(crm: Kit) -> None:
    memories = [Memory(name) for name in ("slow", "even", "fast")]
    slow, even, fast = (memory.receiver(batch=most) for memory, most in zip(memories, (2, 7, 4), strict=True))
    services = await fed_by(crm, slow, even, fast)
    await work_off(services)
    made = await recorded(crm, *(made_up(ids.uuid7(), n + 1) for n in range(9)))
    await number(services)
    now = await look(services)
    ahead = await read_ahead(services, [even, fast], now.due(now.last, crm.clock()), now.last)
    assert [event.id for event in ahead.events] == made[:7]
    await feed(services, slow)
    with crm.statements() as sent:
        await work_off(services)
    assert [[event.id for event in memory.got] for memory in memories] == [made] * 3
    assert memories[1].batches == [7, 2]
    assert len([one for one in sent if "FROM outbox_events" in one]) < sum(len(m.batches) for m in memories)
    with crm.statements() as sent:
        await work_off(services)
    assert len(sent) == 1


def test_what_was_read_ahead_is_found_by_position_though_earlier_events_are_gone() -> None:
    row = {key: value for key, value in made_up(ids.uuid7(), 1).items() if key != "created_at"}
    kept = [RecordedEvent(**row | {"position": position}) for position in (501, 502, 503)]
    ahead = Ahead(0, kept, 503)
    assert ahead.after(0, 2) == kept[:2]
    assert ahead.after(500, 9) == kept
    assert ahead.after(502, 9) == kept[2:]
    assert ahead.after(503, 9) == []
    assert Ahead(501, kept[1:], 503).after(500, 9) == ()


async def test_a_new_receiver_begins_with_the_present_or_with_the_first_event(crm: Kit) -> None:
    await recorded(crm, made_up(ids.uuid7(), 1))
    await work_off(crm.services)
    late, all_ = Memory("late"), Memory("all")
    services = await fed_by(crm, late.receiver(), all_.receiver(from_start=True))
    await work_off(services)
    before = len(all_.got)
    assert late.got == []
    assert before >= 1
    await recorded(crm, made_up(ids.uuid7(), 1))
    await work_off(services)
    assert (len(late.got), len(all_.got)) == (1, before + 1)


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_overlapping_transactions_that_commit_in_reverse_order_both_arrive(crm: Kit) -> None:
    memory = Memory()
    services = await fed_by(crm, memory.receiver())
    await work_off(services)
    early, late = made_up(ids.uuid7(), 1), made_up(ids.uuid7(), 1)
    async with crm.database.transaction() as first:
        await recorded_in(first, early)
        async with crm.database.transaction() as second:
            await recorded_in(second, late)
        await work_off(services)
        assert [event.id for event in memory.got] == [late["id"]]
    await work_off(services)
    assert [event.id for event in memory.got] == [late["id"], early["id"]]


async def recorded_in(session: Unit, row: dict[str, Any]) -> None:
    await session.execute(insert(E), [row])


async def test_what_a_receiver_wrote_is_undone_when_it_fails_and_written_once_in_the_end(crm: Kit) -> None:
    await with_notes(crm)
    fail = True

    async def receive(services: Services, session: Unit, events: Sequence[RecordedEvent]) -> None:
        await note(services, session, events)
        if fail:
            raise RuntimeError("killed before the commit")

    receiver = Receiver("notes", receive)
    services = await fed_by(crm, receiver)
    await work_off(services)
    made = await recorded(crm, made_up(ids.uuid7(), 1), made_up(ids.uuid7(), 1))
    await work_off(services)
    assert await crm.database.fetch(select(NOTES)) == []
    (cursor,) = await cursors(services)
    assert (cursor.attempts, cursor.last_error) == (1, "RuntimeError: killed before the commit")
    fail = False
    await work_off(services)  # it waits
    assert await crm.database.fetch(select(NOTES)) == []
    crm.clock.advance(seconds=2)
    await work_off(services)
    await work_off(services)
    assert {row.event_id for row in await crm.database.fetch(select(NOTES))} == set(made)


async def test_a_failing_receiver_does_not_hold_up_others(crm: Kit) -> None:
    bad, good = Memory("bad"), Memory("good")
    services = await fed_by(crm, bad.receiver(), good.receiver())
    await work_off(services)
    (made,) = await recorded(crm, made_up(ids.uuid7(), 1))
    bad.poison.add(made)
    await work_off(services)
    assert [event.id for event in good.got] == [made]
    assert bad.got == []


async def test_an_event_that_nobody_can_take_is_passed_over_after_its_tries_and_the_others_arrive(
    crm: Kit,
) -> None:
    memory = Memory()
    services = await fed_by(crm, memory.receiver())
    await work_off(services)
    made = await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(6)))
    memory.poison.add(made[3])
    tries = 0
    while len(memory.got) < 5:
        await work_off(services)
        crm.clock.advance(minutes=5)
        tries += 1
        assert tries < 40
    assert [event.id for event in memory.got] == made[:3] + made[4:]
    assert memory.batches.count(6) == BATCH_TRIES
    assert memory.batches.count(1) >= EVENT_TRIES
    (failure,) = await failures(services)
    assert (failure.event_id, failure.attempts, failure.kind) == (made[3], EVENT_TRIES, "customer.updated")
    assert "cannot take" in failure.error


async def test_waits_grow_to_five_minutes(crm: Kit) -> None:
    memory = Memory()
    services = await fed_by(crm, memory.receiver())
    await work_off(services)
    (made,) = await recorded(crm, made_up(ids.uuid7(), 1))
    memory.poison.add(made)
    waits = []
    for _ in range(9):
        await work_off(services)
        (cursor,) = await cursors(services)
        waits.append((cursor.next_at - crm.clock.now).total_seconds())
        crm.clock.now = cursor.next_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256]


async def test_what_was_passed_over_can_be_given_again(crm: Kit) -> None:
    memory = Memory()
    receiver = memory.receiver(batch=1)
    services = await fed_by(crm, receiver)
    await work_off(services)
    (made,) = await recorded(crm, made_up(ids.uuid7(), 1))
    memory.poison.add(made)
    for _ in range(EVENT_TRIES):
        await work_off(services)
        crm.clock.advance(minutes=5)
    assert len(await failures(services, receiver.name)) == 1
    with pytest.raises(ReceiverFailed, match="ValueError: cannot take"):
        await retry(services, receiver)
    assert len(await failures(services)) == 1
    memory.poison.clear()
    assert await retry(services, receiver) == 1
    assert [event.id for event in memory.got] == [made]
    assert await failures(services) == []
    assert await retry(services, receiver) == 0


async def test_trouble_of_the_database_is_no_failure_of_a_receiver(crm: Kit) -> None:
    async def receive(_services: Services, _session: Unit, _events: Sequence[RecordedEvent]) -> None:
        raise Unavailable("gone")

    receiver = Receiver("unlucky", receive)
    services = await fed_by(crm, receiver)
    await work_off(services)
    await recorded(crm, made_up(ids.uuid7(), 1))
    await number(services)
    with pytest.raises(Unavailable):
        await feed(services, receiver)
    (cursor,) = await cursors(services)
    assert cursor.attempts == 0


async def test_a_receiver_that_takes_too_long_is_cut_off(crm: Kit) -> None:
    async def receive(_services: Services, _session: Unit, _events: Sequence[RecordedEvent]) -> None:
        await asyncio.sleep(30)

    services = await fed_by(crm, Receiver("slow", receive, seconds=0.05))
    await work_off(services)
    await recorded(crm, made_up(ids.uuid7(), 1))
    await work_off(services)
    (cursor,) = await cursors(services)
    assert cursor.last_error == "took longer than 0.05 s (超时)"
    assert cursor.next_at == crm.clock.now + timedelta(seconds=1)


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_several_processes_feed_one_receiver_and_each_event_arrives_once(crm: Kit) -> None:
    await with_notes(crm)
    services = await fed_by(crm, Receiver("notes", note, batch=7))
    await work_off(services)
    made = [
        key for n in range(20) for key in await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(10)))
    ]
    for _ in range(3):
        await asyncio.gather(*(work_off(services) for _ in range(5)))
    await work_off(services)
    assert {row.event_id for row in await crm.database.fetch(select(NOTES))} == set(made)
