"""Numbering: gapless, each event once, late commits behind, and never a record's later event before an earlier one."""

from __future__ import annotations

import asyncio
import re
import runpy
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from crm_core import ids, migrate
from crm_core.outbox.relay import Unnumbered, in_order, is_behind, last_position, number
from crm_core.testing.kit import START, Kit
from tests.outbox.feed_kit import E, feed_of, made_up, recorded


async def test_positions_count_on_without_gaps(crm: Kit) -> None:
    while await number(crm.services):
        pass
    last = await last_position(crm.services)
    first = await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(3)))
    assert await is_behind(crm.services)
    assert await number(crm.services) == 3
    second = await recorded(crm, made_up(ids.uuid7(), 1))
    assert await number(crm.services) == 1
    assert await number(crm.services) == 0
    assert not await is_behind(crm.services)
    found = await feed_of(crm)
    assert [row.position for row in found] == list(range(1, last + 5))
    assert [row.id for row in found][-4:] == first + second


async def test_commands_record_and_the_relay_numbers_in_three_statements(crm: Kit) -> None:
    while await number(crm.services):
        pass
    await crm.actor("alice", {"event.read": 4})  # type: ignore[dict-item]
    with crm.statements() as sent:
        done = await number(crm.services)
    assert done > 1
    assert len(sent) == 4, sent  # look and lock, read, number, note how far


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_what_commits_late_comes_late_and_is_not_lost(crm: Kit) -> None:
    while await number(crm.services):
        pass
    early, late = made_up(ids.uuid7(), 1), made_up(ids.uuid7(), 1)
    async with crm.database.transaction() as first:
        await first.execute(insert(E), [early])  # begins first, commits last
        async with crm.database.transaction() as second:
            await second.execute(insert(E), [late])
        assert await number(crm.services) == 1
        seen = (await feed_of(crm))[-1]
        assert seen.id == late["id"]
    assert await number(crm.services) == 1
    assert [row.id for row in await feed_of(crm)][-2:] == [late["id"], early["id"]]


async def test_of_one_record_the_earlier_change_comes_first_whatever_the_clocks_say(crm: Kit) -> None:
    while await number(crm.services):
        pass
    subject = ids.uuid7()
    fast, slow = START + timedelta(minutes=5), START
    await recorded(crm, made_up(subject, 1, at=fast))
    await recorded(crm, *(made_up(ids.uuid7(), 1, at=START + timedelta(seconds=n)) for n in range(5)))
    await recorded(crm, made_up(subject, 3, at=slow), made_up(subject, 2, at=fast))
    assert await number(crm.services, most=2) >= 2  # the head of two takes its record's earlier events along
    while await number(crm.services, most=2):
        pass
    found = await feed_of(crm)
    assert [row.position for row in found] == list(range(1, len(found) + 1))
    assert [row.sequence for row in found if row.subject_id == subject] == [1, 2, 3]


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_several_relays_at_once_number_each_event_once(crm: Kit) -> None:
    subjects = [ids.uuid7() for _ in range(7)]
    for n in range(40):
        await recorded(crm, *(made_up(subject, n + 1) for subject in subjects))

    async def relay() -> int:
        done = 0
        while await is_behind(crm.services):
            done += await number(crm.services, most=11)
        return done

    counts = await asyncio.gather(*(relay() for _ in range(6)))
    found = await feed_of(crm)
    assert sum(counts) >= 280
    assert [row.position for row in found] == list(range(1, len(found) + 1))
    for subject in subjects:
        own = [row.sequence for row in found if row.subject_id == subject]
        assert own == list(range(1, 41))


RELAY = """
import asyncio, sys
from crm_core.db.session import open_database
from crm_core.outbox.relay import is_behind, number
from crm_core.settings import Settings

class Few:
    def __init__(self, database): self.database = database

async def main():
    services = Few(open_database(Settings(database_url=sys.argv[1])))
    done = 0
    while await is_behind(services):
        done += await number(services, most=7)
    print(done)

asyncio.run(main())
"""


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_two_processes_number_each_event_once(crm: Kit) -> None:
    before = len(await feed_of(crm))
    for _ in range(20):
        await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(50)))
    url = crm.services.settings.database_url
    relays = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", RELAY, url, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    counts = [int((await relay.communicate())[0]) for relay in relays]
    found = await feed_of(crm)
    assert sum(counts) == len(found) - before >= 1_000
    assert [row.position for row in found] == list(range(1, len(found) + 1))


async def test_unnumbered_events_are_found_by_an_index_of_their_own(crm: Kit) -> None:
    dialect = crm.database.dialect
    await recorded(crm, *(made_up(ids.uuid7(), 1, position=n + 1_000) for n in range(2_000)))
    async with crm.database.transaction() as session:
        await session.execute(text("ANALYZE"))
        with crm.statements() as sent:
            await is_behind(crm.services)
        explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "
        head = re.sub(r"\?|\$\d(::\w+)?", "1", sent[0])
        plan = "\n".join(str(row) for row in await session.execute(text(explain + head)))
    assert "ix_outbox_events_unnumbered" in plan, plan


one_of_few = st.sampled_from([UUID(int=n) for n in range(3)])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(one_of_few, st.integers(1, 4), st.integers(0, 2), st.uuids()), unique_by=lambda e: e[3]
    )
)
def test_whatever_is_put_in_order_keeps_each_records_own(made: list[tuple[UUID, int, int, UUID]]) -> None:
    events = [Unnumbered(key, "Customer", subject, n, k) for subject, n, k, key in made]
    ordered = in_order(events)
    assert sorted(ordered) == sorted(events)
    for subject in {event.subject_id for event in events}:
        own = [(event.sequence, event.ordinal) for event in ordered if event.subject_id == subject]
        assert all(a <= b for a, b in pairwise(own))


async def test_the_upgrade_numbers_what_was_recorded_before_it_in_the_same_order(crm: Kit) -> None:
    subject = ids.uuid7()
    await recorded(
        crm,
        made_up(subject, 2, at=START),
        made_up(ids.uuid7(), 1, at=START + timedelta(seconds=1)),
        made_up(subject, 1, at=START + timedelta(minutes=5)),
        made_up(subject, 3, at=START),
    )
    file = Path(migrate.__file__).parent / "db/migrations/versions/20261122_08_feed.py"
    numbering: str = runpy.run_path(str(file))["_NUMBERED"]
    key = 'CAST(id AS text) COLLATE "C"' if crm.database.dialect == "postgresql" else "id"
    async with crm.database.transaction() as session:
        await session.execute(text("UPDATE outbox_events SET position = NULL"))
        await session.execute(text(numbering.format(id=key)))
    found = await feed_of(crm)
    assert [row.position for row in found] == list(range(1, len(found) + 1))
    assert [row.sequence for row in found if row.subject_id == subject] == [1, 2, 3]
