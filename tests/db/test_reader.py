"""Reads straight by the driver: what is sent, what happens when it is slow, lost or forbidden."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import make_url, text

from crm_core.db.connections import AllInUse
from crm_core.db.reader import SqliteReader, TooLong
from crm_core.db.session import open_database
from crm_core.errors import Fault
from crm_core.settings import Limits
from crm_core.testing.kit import Kit
from tests.db.relay import relaying

ONE = {"sqlite": "SELECT '1'", "postgresql": "SELECT to_json(1)"}
SLOW = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {}) SELECT {} FROM n"
VERY_SLOW = SLOW.format(40_000_000, "count(*)")
"""Takes many seconds on both databases, and ends at last where nobody stops it."""
SOON = 2.0


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_connections_lost_while_idle_are_replaced(crm: Kit) -> None:
    one = "SELECT to_json(pg_backend_pid()::text || pg_sleep(0.01)::text)"
    lost = await asyncio.gather(*(crm.database.answer(one, []) for _ in range(3)))
    end = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = ANY(:pids)")
    await crm.database.fetch(end.bindparams(pids=[int(pid.strip(b'"')) for pid in lost]))
    again = await asyncio.gather(*(crm.database.answer(one, []) for _ in range(3)))
    assert set(again).isdisjoint(lost)


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
@pytest.mark.parametrize("crm_settings", [{"database_connections": 1}])
async def test_statements_wait_for_a_connection(crm: Kit) -> None:
    found = await asyncio.gather(
        *(crm.database.answer("SELECT to_json(pg_sleep(0.02)::text)", []) for _ in range(5))
    )
    assert found == [b'""'] * 5


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_nothing_is_written_by_a_reading_statement(crm: Kit) -> None:
    with pytest.raises(Exception, match="readonly"):
        await crm.database.answer("DELETE FROM users RETURNING '{}'", [])


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_readers_see_what_was_committed_and_compute_at_once(crm: Kit) -> None:
    count = "SELECT '' || count(*) FROM users"
    before = int(await crm.database.answer(count, []))
    await crm.actor("one", {})
    assert (
        await asyncio.gather(*(crm.database.answer(count, []) for _ in range(12)))
        == [b"%d" % (before + 1)] * 12
    )


async def test_what_the_database_objects_to_is_no_fault_of_the_database(crm: Kit) -> None:
    with pytest.raises(Exception, match="nowhere") as caught:
        await crm.database.answer("SELECT 1 FROM nowhere", [])
    assert not isinstance(caught.value, Fault)


# -- statements that nobody waits for any more


async def by_reader(crm: Kit, sql: str) -> object:
    return await crm.database.answer(sql, [])


async def by_engine(crm: Kit, sql: str) -> object:
    return await crm.database.fetch(text(sql))


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("crm_settings", [{"database_connections": 1}])
@pytest.mark.parametrize("ask", [by_reader, by_engine])
async def test_a_statement_ends_with_the_wait_for_it(
    crm: Kit, ask: Callable[[Kit, str], Awaitable[object]]
) -> None:
    begun = monotonic()
    for _ in range(3):
        task = asyncio.ensure_future(ask(crm, VERY_SLOW))
        await asyncio.sleep(0.1)
        await cancelled(task)
        assert await ask(crm, ONE[crm.database.dialect])
    assert monotonic() - begun < SOON


@pytest.fixture
async def single(tmp_path: Path) -> AsyncIterator[SqliteReader]:
    """A reader with one thread."""
    file = tmp_path / "some.db"
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE things (number)")
    made.close()
    reader = SqliteReader(str(file), 5, 1)
    yield reader
    begun = monotonic()
    await reader.close()
    assert monotonic() - begun < SOON, "something was still under way"


async def test_it_ends_whenever_that_is_and_no_other_statement_with_it(single: SqliteReader) -> None:
    for turn in range(300):
        task = asyncio.create_task(single.value(VERY_SLOW, (), 60))
        await asyncio.sleep(turn % 10 / 50_000)
        task.cancel()
        assert await single.value(SLOW.format(turn * 10, "'' || count(*)"), (), SOON)
        assert task.cancelled()


async def test_time_spent_waiting_for_another_statement_is_not_counted(
    single: SqliteReader, tmp_path: Path
) -> None:
    count = "SELECT '' || count(*) FROM things"
    assert await single.value(count, (), SOON) == b"0"
    other = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # whoever reads waits for it
    first = asyncio.create_task(single.value(VERY_SLOW, (), 0.4))
    await asyncio.sleep(0)
    second = asyncio.create_task(single.value(count, (), 0.8))
    with pytest.raises(TooLong):
        await first
    await asyncio.sleep(0.6)
    other.close()
    assert await second == b"0"


async def test_a_statement_for_which_no_thread_gets_free_is_given_up(single: SqliteReader) -> None:
    first = asyncio.create_task(single.value(VERY_SLOW, (), 60))
    await asyncio.sleep(0)
    with pytest.raises(AllInUse):
        await single.value("SELECT '1'", (), 0.1)
    await cancelled(first)
    assert await single.value("SELECT '1'", (), SOON) == b"1"


async def under_way(crm: Kit, mark: str) -> int:
    """How many statements with this mark the server is computing."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE :m AND pid <> pg_backend_pid()"
    rows = await crm.database.fetch(text(sql).bindparams(m=f"%/* {mark} */%"))
    return int(rows[0][0])


async def until(crm: Kit, mark: str, many: int) -> None:
    async with asyncio.timeout(SOON):
        while await under_way(crm, mark) != many:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)


@asynccontextmanager
async def limited(crm: Kit, seconds: float) -> AsyncIterator[Kit]:
    """The same deployment with this limit."""
    database = open_database(
        crm.services.settings.model_copy(update={"limits": Limits(statement_seconds=seconds)})
    )
    try:
        yield replace(crm, services=replace(crm.services, database=database))
    finally:
        await database.dispose()


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
@pytest.mark.parametrize("ask", [by_reader, by_engine])
async def test_a_cancelled_statement_is_gone_from_the_server(
    crm: Kit, ask: Callable[[Kit, str], Awaitable[object]]
) -> None:
    tasks = [asyncio.ensure_future(ask(crm, "/* left */ SELECT pg_sleep(60)::text")) for _ in range(3)]
    await until(crm, "left", 3)
    for task in tasks:
        await cancelled(task)
    await until(crm, "left", 0)


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
@pytest.mark.parametrize("ask", [by_reader, by_engine])
async def test_a_statement_that_took_too_long_is_gone_from_the_server(
    crm: Kit, ask: Callable[[Kit, str], Awaitable[object]]
) -> None:
    async with limited(crm, 0.5) as impatient:
        task = asyncio.ensure_future(ask(impatient, "/* long */ SELECT pg_sleep(60)::text"))
        await until(crm, "long", 1)
        with pytest.raises(Fault) as refused:
            await task
        assert refused.value.code == "STATEMENT_TIMEOUT"
        await until(crm, "long", 0)


# -- what goes to the server

AGAIN = "BES"
"""Bind, Execute, Sync: a prepared statement performed, and nothing besides."""
READ = "query ($n: Int!) { customers(first: $n) { nodes { name owner { name } } totalCount } }"


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_read_is_its_statement_and_nothing_besides(crm: Kit) -> None:
    settings = crm.services.settings
    async with relaying(make_url(settings.database_url)) as (relay, url):
        there = settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)})
        database = open_database(there)
        behind = replace(crm, services=replace(crm.services, settings=there, database=database))
        number, word = "SELECT to_json($1::int)", "SELECT to_json($1::text)"
        try:
            assert await database.answer(number, [1]) == b"1"
            relay.heard()
            assert await database.answer(word, ["a"]) == b'"a"'
            assert relay.heard() == "PDH" + AGAIN, "prepared once: Parse, Describe, Flush"
            for turn in range(3):
                assert await database.answer(number, [turn]) == b"%d" % turn
                assert relay.heard() == AGAIN
                assert await database.answer(word, ["b"]) == b'"b"'
                assert relay.heard() == AGAIN
            await behind.data(READ, compiled=True, n=1)
            assert relay.heard() == "PDH" + AGAIN
            for _ in range(3):
                await behind.data(READ, compiled=True, n=1)
                assert relay.heard() == AGAIN
        finally:
            await database.dispose()
