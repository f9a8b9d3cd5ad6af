"""Reads by prepared statements, straight to the driver: one statement, one value, as bytes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import URL

from crm_core.db.connections import LOST, AllInUse, Connect, Connections
from crm_core.db.planning import COST, Planning, Trial

REMEMBERED_STATEMENTS = 500
LONGEST_REMEMBERED = 1024 * 1024
"""Bytes; the driver itself would prepare anew at every execution what is longer than 15 KiB."""
SQLITE_CACHE_KIB = 16_000
AGAIN_SECONDS = 0.02
"""So soon a statement that was told to stop, and goes on, is told again."""
SETTLED = 6
"""PostgreSQL plans a prepared statement for its values five times before it decides how to go on."""


EACH_TIME = "/* planned for its values */ "
"""Begins a statement that PostgreSQL is to plan for its values from the first time on: how many rows they mean differs much."""


class TooLong(Exception):
    """The statement ran longer than it may, and was cancelled."""


class Reader(Protocol):
    """Sends one reading statement and gives its only value as bytes."""

    async def value(self, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        """The value; `TooLong` after so many seconds, `AllInUse` when none of them is free for so long.

        The statement ends with the wait for it, also when the caller is cancelled. Raises the driver's errors.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class PostgresReader:
    """Pools of asyncpg connections; each connection remembers the statements it has prepared.

    Nothing is sent besides the statement: a connection for single statements has no state to be reset.
    After some executions PostgreSQL plans a statement once for all values. Where trials show that to be slow
    (`Planning`), the statement is sent through connections that plan it for its values each time; so is, from the first
    time on, one that asks for it.

    Behind a pooler that gives its connections away after each transaction nothing is prepared, so nothing is planned
    once for all.
    """

    def __init__(self, options: dict[str, Any], most: int, *, pooled: bool = False) -> None:
        """`options` as of `asyncpg.connect`; `pooled`: the address is that of a transaction pooler."""
        each = {"plan_cache_mode": "force_custom_plan"}
        settings = options["server_settings"]
        self._pooled = pooled
        self._once = Connections(_connecting(options), most)
        self._each = Connections(_connecting({**options, "server_settings": {**settings, **each}}), most)
        self._planning = Planning()
        self._executed: WeakKeyDictionary[Any, Counter[str]] = WeakKeyDictionary()
        self._trial: asyncio.Task[None] | None = None

    async def value(self, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        """The value of the statement; a connection lost while idle is replaced once."""
        fixed = self._pooled or sql.startswith(EACH_TIME)
        each = not self._pooled if fixed else self._planning.each_time(sql)
        pool = self._each if each else self._once
        try:
            found, took = await self._value(pool, sql, values, seconds)
        except LOST:
            pool.replace()
            found, took = await self._value(pool, sql, values, seconds)
        if not fixed and self._planning.wants_trial(sql, took) and self._trial is None:
            self._trial = asyncio.get_running_loop().create_task(self._try(pool, sql, values, took))
        return found

    async def _value(
        self, pool: Connections, sql: str, values: Sequence[Any], seconds: float
    ) -> tuple[bytes, float]:
        """The value, and how many seconds it took once there was a connection."""
        connection = await pool.take(seconds)
        begun, whole = monotonic(), False
        try:
            found: bytes = await connection.fetchval(sql, *values, timeout=seconds)
            whole = True
        except TimeoutError:
            raise TooLong from None
        except LOST:
            raise
        except asyncpg.PostgresError:
            whole = True
            raise
        finally:
            pool.give_back(connection, whole=whole)
        took = monotonic() - begun
        self._used(connection)[sql] += 1
        return found, took

    async def _try(self, usual: Connections, sql: str, values: Sequence[Any], took: float) -> None:
        """Perform the statement once more in both ways, the other one first: its own may have met cold caches."""
        other = self._once if usual is self._each else self._each
        most, begun = self._planning.patience(took), monotonic()
        try:
            async with asyncio.timeout(COST * most):
                its = await self._tried(other, sql, values, most)
                own = await self._tried(usual, sql, values, most)
        except (
            AllInUse,
            asyncpg.PostgresError,
            OSError,
            *LOST,
        ):  # OSError: it took too long, or nobody answers
            self._planning.put_off(sql, monotonic() - begun)
        else:
            trial = Trial(own, its) if usual is self._once else Trial(its, own)
            self._planning.tried(sql, trial, monotonic() - begun)
        finally:
            self._trial = None

    async def _tried(self, pool: Connections, sql: str, values: Sequence[Any], most: float) -> float:
        """Seconds it takes over a connection that is used to it; `most` where it is given up."""
        connection = await pool.take(most)
        used, whole = self._used(connection), False
        try:
            for _ in range(used[sql], SETTLED if pool is self._once else 1):
                await connection.fetchval(sql, *values, timeout=most)
                used[sql] += 1
            begun = monotonic()
            await connection.fetchval(sql, *values, timeout=most)
            whole = True
            return monotonic() - begun
        except TimeoutError:
            return most
        except asyncpg.PostgresError:
            whole = True
            raise
        finally:
            pool.give_back(connection, whole=whole)

    def _used(self, connection: Any) -> Counter[str]:
        """How often each statement was performed over this connection."""
        used = self._executed.setdefault(connection, Counter())
        if len(used) > 2 * REMEMBERED_STATEMENTS:
            used.clear()
        return used

    async def take(self, seconds: float) -> Any:
        """A connection for statements of one's own; `AllInUse` when none gets free in so many seconds."""
        return await self._once.take(seconds)

    def give_back(self, connection: Any, *, whole: bool, lost: bool) -> None:
        """Take it back; where one was `lost` others may be, so none of today's is used again."""
        if lost:
            self._once.replace()
        self._once.give_back(connection, whole=whole)

    async def close(self) -> None:
        """Close all connections."""
        if self._trial is not None:
            self._trial.cancel()
            await asyncio.gather(self._trial, return_exceptions=True)
        await self._once.close()
        await self._each.close()


async def _prepare(connection: Any) -> None:
    """JSON comes as the bytes the server sent."""
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary"
    )


def _connecting(options: Mapping[str, Any]) -> Connect:
    async def connect() -> Any:
        connection = await asyncpg.connect(**options)
        try:
            await _prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    return connect


def postgres_reader(
    url: URL, settings: dict[str, str], seconds: float, most: int, *, pooled: bool
) -> PostgresReader:
    """A reader of the PostgreSQL at this address; `settings` of its sessions, `seconds` to connect."""
    options = {
        "dsn": url.set(drivername="postgresql").render_as_string(hide_password=False),
        "timeout": seconds,
        "server_settings": settings,
        "statement_cache_size": 0 if pooled else REMEMBERED_STATEMENTS,
        "max_cacheable_statement_size": LONGEST_REMEMBERED,
    }
    return PostgresReader(options, most, pooled=pooled)


class SqliteReader:
    """Threads with a connection each: SQLite computes without holding up the server."""

    def __init__(self, file: str, busy_seconds: float, most: int) -> None:
        """Read this file."""
        self._file, self._busy = file, busy_seconds
        self._threads = ThreadPoolExecutor(most, "read")
        self._free: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []

    async def value(self, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        """The value of the statement; its time begins when a thread begins with it."""
        asked = _Asked(sql, values, seconds)
        work = self._threads.submit(self._answer, asked)
        work.add_done_callback(asked.ended)
        try:
            return await asked.answer
        finally:
            work.cancel()  # where no thread has begun with it
            asked.stop()

    def _answer(self, asked: _Asked) -> bytes:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect()
        try:
            return asked.perform(connection)
        finally:
            self._free.append(connection)

    def _connect(self) -> sqlite3.Connection:
        address = f"file:{quote(str(Path(self._file).resolve()))}?mode=rw"
        connection = sqlite3.connect(
            address, uri=True, check_same_thread=False, cached_statements=REMEMBERED_STATEMENTS
        )
        connection.isolation_level = None
        connection.text_factory = bytes
        for pragma in (
            f"busy_timeout={int(self._busy * 1000)}",
            f"cache_size=-{SQLITE_CACHE_KIB}",
            "query_only=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        self._all.append(connection)
        return connection

    async def close(self) -> None:
        """Close all connections once their statements have ended."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        for connection in self._all:
            connection.close()
        self._all.clear()
        self._free.clear()


class _Asked:
    """One statement on its way through a thread; it may be stopped from the loop."""

    def __init__(self, sql: str, values: Sequence[Any], seconds: float) -> None:
        self._sql, self._values, self._seconds = sql, values, seconds
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[bytes] = self._loop.create_future()
        self._timer = self._loop.call_later(seconds, self._late)
        self._begun: float | None = None
        self._connection: sqlite3.Connection | None = None
        self._stopped = False
        self._turn = Lock()

    def perform(self, connection: sqlite3.Connection) -> bytes:
        """Its value; in a thread."""
        with self._turn:
            if self._stopped:
                raise sqlite3.OperationalError("interrupted")
            self._connection, self._begun = connection, monotonic()
        try:
            found: bytes = connection.execute(self._sql, self._values).fetchone()[0]
            return found
        finally:
            with self._turn:
                self._connection = None

    def ended(self, work: Future[bytes]) -> None:
        """Tell the loop, if it is still there; in a thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, work)

    def _tell(self, work: Future[bytes]) -> None:
        if self.answer.done() or work.cancelled():
            return
        error = work.exception()
        if error is None:
            self.answer.set_result(work.result())
        else:
            self.answer.set_exception(error)

    def _late(self) -> None:
        """Its time is over, to wait for a thread or to be performed."""
        if self.answer.done():
            return
        if self._begun is None:
            self.answer.set_exception(AllInUse())
        elif (left := self._begun + self._seconds - monotonic()) > 0:
            self._timer = self._loop.call_later(left, self._late)
        else:
            self.answer.set_exception(TooLong())

    def stop(self) -> None:
        """Stop it unless it has ended, whether it has begun or not; never one after it on the same connection.

        It is told again until it has ended: SQLite forgets what it is told before the first step of a statement.
        """
        self._timer.cancel()
        with self._turn:
            self._stopped = True
            if self._connection is not None:
                self._connection.interrupt()
                self._timer = self._loop.call_later(AGAIN_SECONDS, self.stop)
