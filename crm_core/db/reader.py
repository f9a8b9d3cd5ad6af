"""Reads by prepared statements, straight to the driver: one statement, one value, as bytes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote

import asyncpg
from sqlalchemy import URL

from crm_core.db.connections import LOST, Connect, Connections

REMEMBERED_STATEMENTS = 500
LONGEST_REMEMBERED = 1024 * 1024
"""Bytes; the driver itself would prepare anew at every execution what is longer than 15 KiB."""
SQLITE_CACHE_KIB = 16_000
SLOW_SECONDS = 0.01
SLOW_TIMES = 3
"""A statement that took longer so often is planned for its values from then on: planning costs a tenth of that."""


class TooLong(Exception):
    """The statement ran longer than it may, and was cancelled."""


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

    Nothing is sent besides the statement: a connection for single statements has no state to be reset.
    After some executions PostgreSQL plans a statement once for all values. Where that turns out slow, the statement is
    sent from then on through connections that plan it for its values each time.

    Behind a pooler that gives its connections away after each transaction nothing is prepared, so nothing is planned
    once for all.
    """

    def __init__(self, options: dict[str, Any], most: int, *, pooled: bool = False) -> None:
        """`options` as of `asyncpg.connect`; `pooled`: the address is that of a transaction pooler."""
        again = {"plan_cache_mode": "force_custom_plan"}
        settings = options["server_settings"]
        self._pooled, self._most = pooled, most
        self._usual = Connections(_connecting(options), most)
        self._planning = Connections(_connecting({**options, "server_settings": {**settings, **again}}), most)
        self._slow: Counter[str] = Counter()

    async def value(self, sql: str, values: Sequence[Any], seconds: float) -> bytes:
        """The value of the statement; a connection lost while idle is replaced once."""
        pool = self._planning if self._slow.get(sql, 0) >= SLOW_TIMES else self._usual
        try:
            return await self._value(pool, sql, values, seconds)
        except LOST:
            pool.replace()
            return await self._value(pool, sql, values, seconds)

    async def _value(self, pool: Connections, sql: str, values: Sequence[Any], seconds: float) -> bytes:
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
        if not self._pooled and monotonic() - begun > SLOW_SECONDS and pool.in_use <= self._most // 2:
            self._slow_too(sql)
        return found

    async def take(self, seconds: float) -> Any:
        """A connection for statements of one's own; `AllInUse` when none gets free in so many seconds."""
        return await self._usual.take(seconds)

    def give_back(self, connection: Any, *, whole: bool, lost: bool) -> None:
        """Take it back; where one was `lost` others may be, so none of today's is used again."""
        if lost:
            self._usual.replace()
        self._usual.give_back(connection, whole=whole)

    def _slow_too(self, sql: str) -> None:
        if sql in self._slow or len(self._slow) < REMEMBERED_STATEMENTS:
            self._slow[sql] += 1

    async def close(self) -> None:
        """Close all connections."""
        await self._usual.close()
        await self._planning.close()


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
