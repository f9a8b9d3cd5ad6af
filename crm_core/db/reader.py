"""Reads by prepared statements, straight to the driver: one statement, one value, as bytes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote

import asyncpg
from sqlalchemy import URL

REMEMBERED_STATEMENTS = 500
LONGEST_REMEMBERED = 1024 * 1024
"""Bytes; the driver itself would prepare anew at every execution what is longer than 15 KiB."""
SQLITE_CACHE_KIB = 16_000
SLOW_SECONDS = 0.01
SLOW_TIMES = 3
"""A statement that took longer so often is planned for its values from then on: planning costs a tenth of that."""


LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # it was told to go, and has not seen the end of the connection yet
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
)
"""What a connection lost while idle says when it is used again."""


class TooLong(Exception):
    """The statement ran longer than it may, and was cancelled."""


class AllInUse(Exception):
    """No connection got free in time."""


class Reader(Protocol):
    """Sends one reading statement and gives its only value as bytes."""

    async def value(self, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        """The value; `TooLong` after so many seconds, and the statement is cancelled. Raises the driver's errors."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class PostgresReader:
    """Pools of asyncpg connections; each connection remembers the statements it has prepared.

    Nothing is sent besides the statement: a connection that only reads single values has no state to be reset.
    After some executions PostgreSQL plans a statement once for all values. Where that turns out slow, the statement is
    sent from then on through connections that plan it for its values each time.

    Behind a pooler that gives its connections away after each transaction nothing is prepared, so nothing is planned
    once for all.
    """

    def __init__(self, options: dict[str, Any], most: int, *, pooled: bool = False) -> None:
        """`options` as of `asyncpg.connect`; `pooled`: the address is that of a transaction pooler."""
        again = {"plan_cache_mode": "force_custom_plan"}
        settings = options["server_settings"]
        self._pooled = pooled
        self._usual = _Pool(options, most)
        self._planning = _Pool({**options, "server_settings": {**settings, **again}}, most)
        self._slow: Counter[str] = Counter()

    async def value(self, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        """The value of the statement; a connection lost while idle is replaced once."""
        pool = self._planning if self._slow.get(sql, 0) >= SLOW_TIMES else self._usual
        try:
            return await self._value(pool, sql, values, seconds)
        except LOST:
            await pool.expire()
            return await self._value(pool, sql, values, seconds)

    async def _value(self, pool: _Pool, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        connection = await pool.acquire(seconds)
        begun = monotonic()
        try:
            found: bytes = await connection.fetchval(sql, *values, timeout=seconds)
        except TimeoutError:
            raise TooLong from None
        except LOST:
            connection.terminate()
            raise
        finally:
            await pool.release(connection)
        if not self._pooled and monotonic() - begun > SLOW_SECONDS and pool.mostly_idle:
            self._slow_too(sql)
        return found

    def _slow_too(self, sql: str) -> None:
        if sql in self._slow or len(self._slow) < REMEMBERED_STATEMENTS:
            self._slow[sql] += 1

    async def close(self) -> None:
        """Close all connections."""
        await self._usual.close()
        await self._planning.close()


class _Pool:
    """A pool that is opened when it is first needed."""

    def __init__(self, options: dict[str, Any], most: int) -> None:
        self._options, self._most = options, most
        self._pool: asyncpg.Pool | None = None
        self._turn = asyncio.Lock()

    async def acquire(self, seconds: float) -> Any:
        """A connection; `AllInUse` when none gets free in time."""
        pool = self._pool or await self._open()
        if pool.get_idle_size() > 0:
            return await pool.acquire()
        try:
            return await pool.acquire(timeout=seconds)
        except TimeoutError:
            raise AllInUse from None

    async def release(self, connection: Any) -> None:
        """Give it back."""
        if self._pool is not None:
            await self._pool.release(connection)

    async def expire(self) -> None:
        """Replace every connection before it is used again: where one was lost, others may be."""
        if self._pool is not None:
            await self._pool.expire_connections()

    @property
    def mostly_idle(self) -> bool:
        """Whether slowness is no matter of crowding."""
        pool = self._pool
        return pool is not None and pool.get_size() - pool.get_idle_size() <= self._most // 2

    async def _open(self) -> Any:
        async with self._turn:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=self._most, init=_prepare, reset=_nothing, **self._options
                )
        return self._pool

    async def close(self) -> None:
        """Close all connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()


async def _prepare(connection: Any) -> None:
    """JSON comes as the bytes the server sent."""
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary"
    )


async def _nothing(_connection: Any) -> None:
    return None


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
        """The value of the statement."""
        loop = asyncio.get_running_loop()
        asked = _Asked(sql, values)
        stop = loop.call_later(seconds, asked.interrupt)
        try:
            return await loop.run_in_executor(self._threads, self._answer, asked)
        except sqlite3.OperationalError as error:
            if asked.interrupted and "interrupted" in str(error):
                raise TooLong from None
            raise
        finally:
            stop.cancel()

    def _answer(self, asked: _Asked) -> bytes:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect()
        try:
            return asked.answer(connection)
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
    """One statement on its way; it may be interrupted from the loop."""

    def __init__(self, sql: str, values: Sequence[Any]) -> None:
        self._sql, self._values = sql, values
        self._connection: sqlite3.Connection | None = None
        self._turn = Lock()
        self.interrupted = False

    def answer(self, connection: sqlite3.Connection) -> bytes:
        """Its value; in a thread."""
        with self._turn:
            if self.interrupted:
                raise sqlite3.OperationalError("interrupted")
            self._connection = connection
        try:
            found: bytes = connection.execute(self._sql, self._values).fetchone()[0]
            return found
        finally:
            with self._turn:
                self._connection = None

    def interrupt(self) -> None:
        """Stop it, whether it has begun or not; never one that comes after it on the same connection."""
        with self._turn:
            self.interrupted = True
            if self._connection is not None:
                self._connection.interrupt()
