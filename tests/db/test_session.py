"""Transactions on both databases: writers wait for one another, other processes are waited for, lost servers come back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Integer, Select, Table, column, func, select, text
from sqlalchemy.engine import make_url

from crm_core.access.models import User
from crm_core.db.session import Database, open_database
from crm_core.errors import ConfigurationError, Fault
from crm_core.settings import Limits, Settings
from crm_core.testing.kit import Kit
from crm_core.testing.postgres import Server, start

USERS: Table = User.__table__
ONE: Select[Any] = select(text("1"))
on_sqlite = pytest.mark.parametrize("crm_dialect", ["sqlite"])
on_postgresql = pytest.mark.parametrize("crm_dialect", ["postgresql"])


async def create(crm: Kit, name: str) -> None:
    outcome = await crm.perform("user.create", {"login": name, "name": name})
    assert not outcome.errors


async def count(crm: Kit) -> int:
    return len(await crm.rows(User))


@pytest.fixture
async def impatient(crm: Kit) -> AsyncIterator[Kit]:
    """The same deployment, waiting for other processes a tenth of a second only."""
    database = open_database(crm.services.settings, busy_seconds=0.1)
    yield replace(crm, services=replace(crm.services, database=database))
    await database.dispose()


async def test_fifty_commands_at_once_are_all_performed(crm: Kit) -> None:
    await asyncio.gather(*(create(crm, f"u{n}") for n in range(50)))
    assert await count(crm) == 51


async def test_reading_goes_on_while_another_writes(crm: Kit) -> None:
    async with crm.database.transaction() as session:
        session.add(User(login="pending", name="pending"))
        await session.flush()
        assert await asyncio.wait_for(count(crm), 5) == 1
    assert await count(crm) == 2


async def test_what_raises_leaves_nothing(crm: Kit) -> None:
    async def fail() -> None:
        async with crm.database.transaction() as session:
            session.add(User(login="lost", name="lost"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await create(crm, "next")
    assert await count(crm) == 2


async def test_a_cancelled_transaction_leaves_nothing_and_holds_nobody_up(crm: Kit) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        async with crm.database.transaction() as session:
            session.add(User(login="lost", name="lost"))
            await session.flush()
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hang())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(create(crm, "next"), 5)
    assert {u.login for u in await crm.rows(User)} == {"admin", "next"}


async def test_a_statement_that_takes_too_long_is_stopped_and_the_next_one_works(crm: Kit) -> None:
    settings = crm.services.settings.model_copy(update={"limits": Limits(statement_seconds=0.2)})
    database = open_database(settings)
    numbers = (
        select(column("n", Integer))
        .select_from(text("(SELECT 0 AS n) AS zero"))
        .cte("numbers", recursive=True)
    )
    endless = numbers.union_all(select(numbers.c.n + 1))
    try:
        with pytest.raises(Fault) as found:
            await database.fetch(select(func.count()).select_from(endless))
        assert found.value.code == "STATEMENT_TIMEOUT"
        assert len(await asyncio.wait_for(database.fetch(select(USERS)), 5)) == 1
    finally:
        await database.dispose()


# -- SQLite


def held(crm: Kit) -> sqlite3.Connection:
    """Another process that writes."""
    other = sqlite3.connect(str(make_url(crm.services.settings.database_url).database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


@on_sqlite
async def test_a_database_held_by_another_process_is_busy_and_then_free(impatient: Kit) -> None:
    other = held(impatient)
    with pytest.raises(Fault) as found:
        await create(impatient, "waiting")
    assert found.value.code == "DATABASE_BUSY"
    assert await count(impatient) == 1, "reading goes on"
    other.rollback()
    other.close()
    await create(impatient, "after")
    assert await count(impatient) == 2


@on_sqlite
async def test_another_process_is_waited_for(crm: Kit) -> None:
    other = held(crm)
    task = asyncio.create_task(create(crm, "waiting"))
    await asyncio.sleep(0.3)
    assert not task.done()
    other.rollback()
    other.close()
    await asyncio.wait_for(task, 5)
    assert await count(crm) == 2


@on_sqlite
async def test_foreign_keys_are_kept_on_every_connection(crm: Kit) -> None:
    for engine in (crm.database.reads, crm.database.writes):
        async with engine.connect() as connection:
            assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1
            assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"


@on_sqlite
async def test_the_reading_side_sees_what_was_committed_at_once(crm: Kit) -> None:
    for number in range(5):
        await create(crm, f"u{number}")
        assert await count(crm) == number + 2


# -- PostgreSQL


async def end_connections(crm: Kit) -> None:
    """What an administrator, a fail-over or a proxy may do."""
    other = open_database(crm.services.settings)
    try:
        ended = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await other.fetch(select(text("*")).select_from(ended.columns(column("x")).alias("ended")))
    finally:
        await other.dispose()


@on_postgresql
async def test_connections_that_were_ended_are_replaced_for_reading_and_writing(crm: Kit) -> None:
    await asyncio.gather(*(create(crm, f"u{n}") for n in range(5)))
    await end_connections(crm)
    assert await count(crm) == 6
    await end_connections(crm)
    await create(crm, "after")
    assert await count(crm) == 7


@on_postgresql
async def test_a_connection_ended_in_the_middle_is_unavailable_and_writes_nothing(crm: Kit) -> None:
    async def interrupted() -> None:
        async with crm.database.transaction() as session:
            session.add(User(login="lost", name="lost"))
            await session.flush()
            await end_connections(crm)
            await session.execute(select(User))

    with pytest.raises(Fault) as found:
        await interrupted()
    assert found.value.code == "DATABASE_UNAVAILABLE"
    await create(crm, "after")
    assert {u.login for u in await crm.rows(User)} == {"admin", "after"}


@on_postgresql
async def test_two_that_wait_for_one_another_are_told_to_try_again(crm: Kit) -> None:
    await create(crm, "one")
    await create(crm, "two")
    first, second = asyncio.Event(), asyncio.Event()

    async def change(names: tuple[str, str], mine: asyncio.Event, theirs: asyncio.Event) -> None:
        async with crm.database.transaction() as session:
            await session.execute(text("UPDATE users SET title = 'x' WHERE login = :n"), {"n": names[0]})
            mine.set()
            await theirs.wait()
            await session.execute(text("UPDATE users SET title = 'x' WHERE login = :n"), {"n": names[1]})

    answers = await asyncio.gather(
        change(("one", "two"), first, second), change(("two", "one"), second, first), return_exceptions=True
    )
    assert [a.code for a in answers if isinstance(a, Fault)] == ["DATABASE_BUSY"]
    assert answers.count(None) == 1


def settings_of(url: str) -> Settings:
    return Settings(database_url=url, database_connections=2)


async def unavailable(database: Database) -> str:
    with pytest.raises(Fault) as found:
        await database.fetch(ONE)
    with pytest.raises(Fault):
        async with database.transaction():
            pass
    return found.value.code


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    for address in (f"postgresql://u@/nothing?host={tmp_path}", "postgresql://u@127.0.0.1:1/nothing"):
        database = open_database(settings_of(address))
        assert await unavailable(database) == "DATABASE_UNAVAILABLE"
        await database.dispose()


async def test_a_database_that_is_not_there_is_unavailable(postgres_server: Server) -> None:
    database = open_database(settings_of(postgres_server.url("no_such_database")))
    assert await unavailable(database) == "DATABASE_UNAVAILABLE"
    await database.dispose()


async def test_a_server_that_goes_away_and_comes_back_is_used_again(tmp_path: Path) -> None:
    with start() as server:
        database = open_database(settings_of(server.url("postgres")))
        assert len(await database.fetch(ONE)) == 1
    assert await unavailable(database) == "DATABASE_UNAVAILABLE"
    await database.dispose()


# -- addresses


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "oracle://x"])
def test_an_address_we_do_not_speak_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database_url"):
        open_database(Settings(database_url=url))


@pytest.mark.parametrize("url", ["nonsense", "sqlite", "://", "postgresql://host:port/x"])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database_url"):
        open_database(Settings(database_url=url))
