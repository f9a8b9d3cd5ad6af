"""Engines, reading and writing transactions for both databases; nothing global."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import asyncpg
import orjson
from sqlalchemy import URL, Executable, Row, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from crm_core.db.connections import LOST, AllInUse
from crm_core.db.inline import InlineConnection
from crm_core.db.presuming import Mistaken
from crm_core.db.reader import (
    AGAIN_SECONDS,
    PostgresReader,
    Reader,
    SqliteReader,
    TooLong,
    postgres_reader,
)
from crm_core.db.unit import Lanes, Unit
from crm_core.db.writer import Writer
from crm_core.errors import ConfigurationError, Fault, Refused, Unavailable
from crm_core.settings import Settings

_TOO_LONG = "The statement took longer than {} s; ask for less (查询超时，请缩小范围)"
_ALL_IN_USE = "All database connections are in use; try again (数据库连接繁忙，请重试)"
_TRY_AGAIN = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL's states for what may work the next time: serialisation, deadlock, lock not given."""
_UNTIED = frozenset({"40001", "40P01"})
"""Of these, what PostgreSQL ended for the sake of another transaction: to be done once more."""
MOST_TIES = 3
CONNECT_SECONDS = 5.0
Dialect = Literal["sqlite", "postgresql"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """One database with its reading and its writing side.

    SQLite has one writer per process (a queue on `_turn`) and `BEGIN IMMEDIATE`; other processes are waited for
    up to `busy_seconds`, then the caller gets a `DATABASE_BUSY` fault. Statements longer than `statement_seconds`
    are cancelled.
    """

    dialect: Dialect
    reads: AsyncEngine
    writes: AsyncEngine
    reader: Reader
    statement_seconds: float = 10.0
    heard: list[Callable[[str], None]] = field(default_factory=list)
    begins_late: bool = False
    writer: Writer = field(init=False)
    lanes: Lanes | None = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """What is written by this database's statements is remembered with it."""
        object.__setattr__(self, "writer", Writer(self.writes.dialect))
        lanes = _Lanes(self) if isinstance(self.reader, PostgresReader) and self.begins_late else None
        object.__setattr__(self, "lanes", lanes)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading only, without a transaction around it unless a pooler wants one."""
        try:
            async with self.reads.connect() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise fault(error) from error

    async def fetch(
        self, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """All rows of one reading statement, with these values for its parameters; a connection lost while idle is replaced once."""
        try:
            return await self._fetch(statement, values)
        except (DBAPIError, OSError) as error:
            if not _is_lost(error):
                raise fault(error) from error
        try:
            return await self._fetch(statement, values)
        except (DBAPIError, OSError) as error:
            raise fault(error) from error

    async def answer(self, sql: str, values: Sequence[Any]) -> bytes:
        """The only value of a compiled reading statement, as the database wrote it; `heard` hears of each.

        Raises `Fault` (STATEMENT_TIMEOUT, DATABASE_BUSY, DATABASE_UNAVAILABLE); other errors are the driver's.
        """
        for hear in self.heard:
            hear(sql)
        try:
            return await self.reader.value(sql, values, self.statement_seconds)
        except TooLong:
            raise self._too_long() from None
        except AllInUse:
            raise Fault("DATABASE_BUSY", _ALL_IN_USE) from None
        except (*LOST, asyncpg.PostgresError, sqlite3.Error, OSError) as error:
            raise fault(error) from error

    async def _fetch(self, statement: Executable, values: Mapping[str, Any] | None) -> Sequence[Row[Any]]:
        async with self.reads.connect() as connection:
            if self.dialect == "sqlite":
                return await self._interruptible(connection, statement, values)
            try:
                async with asyncio.timeout(self.statement_seconds):  # wait_for may swallow a cancellation
                    rows = await connection.execute(statement, values)
            except TimeoutError:
                raise self._too_long() from None
            return rows.all()

    async def _interruptible(
        self, connection: AsyncConnection, statement: Executable, values: Mapping[str, Any] | None
    ) -> Sequence[Row[Any]]:
        """SQLite computes in a thread that nobody can cancel: it is told to stop, then the statement fails.

        So it does when the caller is cancelled, before his connection is given back.
        """
        raw: Any = (await connection.get_raw_connection()).driver_connection
        work = asyncio.create_task(connection.execute(statement, values))
        try:
            await asyncio.wait((work,), timeout=self.statement_seconds)
        finally:
            stopped = not work.done()
            if stopped:
                await _stopped(work, raw.interrupt)
        try:
            return work.result().all()
        except OperationalError as error:
            if stopped and "interrupted" in str(error.orig):
                raise self._too_long() from None
            raise

    def _too_long(self) -> Fault:
        return Fault("STATEMENT_TIMEOUT", _TOO_LONG.format(self.statement_seconds))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        """A writing transaction: commits when the block ends well, else nothing of it remains."""
        async with self._transaction() as unit:
            yield unit

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[Unit]:
        """A writing transaction of which nothing remains, however the block ends."""
        try:
            async with self._transaction() as unit:
                yield unit
                raise _Undo
        except _Undo:
            return

    @asynccontextmanager
    async def _transaction(self, **how: Any) -> AsyncIterator[Unit]:
        if self.dialect == "sqlite":
            async with self._turn, self._closing(await self._begun(**how)) as unit:
                yield unit
        else:
            async with self._closing(await self._begun(**how)) as unit:
                yield unit

    async def attempt(self, do: Callable[[Unit], Awaitable[T]]) -> T:
        """Do a piece of work in a writing transaction, like `transaction`, with as few statements as can be.

        On PostgreSQL the transaction begins with the first statement that needs one (see `Unit`). A connection lost
        while idle is noticed at the first statement; then everything is done once more, on another one. So it is when
        the database ended this transaction to untie a deadlock, and when something was presumed that turned out wrong
        (`Unit.seldom`): nothing of it remained.
        """
        try:
            return await self._untied(do, presumes=True)
        except Mistaken as mistaken:
            known = mistaken
        return await self._untied(do, mistaken=known)

    async def _untied(self, do: Callable[[Unit], Awaitable[T]], **how: Any) -> T:
        for _ in range(MOST_TIES):
            try:
                return await self._attempt(do, **how)
            except Fault as busy:
                if _sqlstate(busy.__cause__ or busy) not in _UNTIED:
                    raise
        return await self._attempt(do, **how)

    async def _attempt(self, do: Callable[[Unit], Awaitable[T]], **how: Any) -> T:
        if not self.begins_late:
            async with self._transaction(**how) as unit:
                return await _done(do, unit)
        first = self._late(**how)
        try:
            async with self._closing(first):
                return await _done(do, first)
        except Unavailable:
            if first.waiting.answered:
                raise
        async with self._closing(self._late(**how)) as unit:
            return await _done(do, unit)

    def _late(self, **how: Any) -> Unit:
        return Unit(self.writer, self.writes, self._reached, lanes=self.lanes, **how)

    @asynccontextmanager
    async def _closing(self, unit: Unit) -> AsyncIterator[Unit]:
        """Commit when the block ends well; in any case give the connection back."""
        try:
            yield unit
            await unit.end()
        except (DBAPIError, OSError) as error:
            known = _is_lost(error) or _is_busy(error) or _is_full(error)
            if isinstance(error, DBAPIError) and not known:
                raise
            raise fault(error) from error
        finally:
            await unit.leave()

    async def _begun(self, **how: Any) -> Unit:
        """A session with its transaction begun; a connection lost while idle is replaced once."""
        for last_try in (False, True):
            connection = self.writes.connect()
            try:
                await connection.start()
                await connection.begin()
                if self.dialect == "postgresql":
                    await connection.exec_driver_sql("SELECT 1")
            except (DBAPIError, OSError) as error:
                if connection.sync_connection is not None:  # it was reached, then lost
                    await connection.close()
                if last_try or not _is_lost(error):
                    raise fault(error) from error
            else:
                return Unit(self.writer, self.writes, self._reached, connection=connection, **how)
        raise AssertionError("unreachable")

    async def _reached(self) -> AsyncConnection:
        """A connection that was not closed while idle; nothing is sent on it yet."""
        try:
            while True:
                connection = await self.writes.connect()
                assert connection.sync_connection is not None
                driver: Any = connection.sync_connection.connection.driver_connection
                if not driver.is_closed():
                    return connection
                await connection.invalidate()
                await connection.close()
        except (DBAPIError, OSError) as error:
            raise fault(error) from error

    async def dispose(self) -> None:
        """Close all connections."""
        await self.reader.close()
        await self.reads.dispose()
        await self.writes.dispose()


async def _stopped(work: asyncio.Task[Any], interrupt: Callable[[], Awaitable[None]]) -> None:
    """Interrupt a statement until it has ended: SQLite forgets what it is told before the statement's first step."""
    cancelled = False
    while not work.done():
        with suppress(ValueError, sqlite3.ProgrammingError):  # its connection is closed by now
            await interrupt()
        try:
            await asyncio.wait((work,), timeout=AGAIN_SECONDS)
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()  # where the caller is cancelled, nobody else asks for it
    if cancelled:
        raise asyncio.CancelledError


class _Undo(Exception):
    """Leaves a transaction of which nothing remains."""


class _Lanes:
    """Connections of the reader, which need no care: a statement that writes is a transaction of its own there."""

    def __init__(self, database: Database) -> None:
        assert isinstance(database.reader, PostgresReader)
        self._reader, self._database = database.reader, database

    async def take(self) -> Any:
        try:
            return await self._reader.take(self._database.statement_seconds)
        except AllInUse:
            raise Fault("DATABASE_BUSY", _ALL_IN_USE) from None

    def give_back(self, lane: Any, *, whole: bool, lost: bool) -> None:
        self._reader.give_back(lane, whole=whole, lost=lost)

    def heard(self, sql: str) -> None:
        for hear in self._database.heard:
            hear(sql)


async def _done(do: Callable[[Unit], Awaitable[T]], unit: Unit) -> T:
    """What comes of it; a refusal stands only if what was presumed before it is right."""
    try:
        return await do(unit)
    except Refused:
        await unit.settled()
        raise


def address(settings: Settings) -> URL:
    """The database's address; `ConfigurationError` (without the address, which may hold a password) when it is none."""
    try:
        return make_url(settings.database_url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "database_url: not an address; write sqlite:///file or postgresql://user:password@host/name (数据库地址格式错误)"
        ) from None


def open_database(settings: Settings, busy_seconds: float = 5.0, *, inline: bool = False) -> Database:
    """The database the settings name; connects on first use. `ConfigurationError` for a URL we do not speak.

    `busy_seconds`: how long SQLite waits for another process. `inline`: SQLite writes without a thread in between,
    for a process that does one thing.
    """
    url = address(settings)
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite(url, settings, busy_seconds, inline=inline)
    if backend == "postgresql":
        return _postgresql(url, settings)
    raise ConfigurationError(f"database_url: {backend} is not supported; use sqlite:/// or postgresql://")


def _sqlite(url: URL, settings: Settings, busy_seconds: float, *, inline: bool) -> Database:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("database_url: SQLite needs a file, e.g. sqlite:///crm.db (需要文件路径)")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    url = url.set(drivername="sqlite+aiosqlite")
    reads = create_async_engine(
        url, pool_size=settings.database_connections, isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    file = str(url.database)
    creator: dict[str, Any] = {"async_creator": lambda: InlineConnection(file)} if inline else {}
    writes = create_async_engine(
        url, pool_size=1, max_overflow=0, hide_parameters=True, json_serializer=_json, **creator
    )
    event.listen(reads.sync_engine, "connect", _preparation(busy_seconds))
    event.listen(writes.sync_engine, "connect", _preparation(busy_seconds))
    event.listen(
        writes.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
    )
    reader = SqliteReader(file, busy_seconds, settings.database_connections)
    return Database("sqlite", reads, writes, reader, settings.limits.statement_seconds)


def _json(value: Any) -> str:
    """A JSON value as text, for columns."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _preparation(busy_seconds: float) -> Callable[[Any, Any], None]:
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={int(busy_seconds * 1000)}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "cache_size=-16000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return prepare


def _postgresql(url: URL, settings: Settings) -> Database:
    url = url.set(drivername="postgresql+asyncpg")
    pooled = settings.database_pooler == "transaction"
    session = {"application_name": "crm", "timezone": "UTC"}
    if not pooled:  # PgBouncer gives the settings above to whichever server it takes, and refuses others
        session["jit"] = "off"
    arguments: dict[str, Any] = {"server_settings": session, "timeout": CONNECT_SECONDS}
    if pooled:
        arguments |= {
            "prepared_statement_cache_size": 0,
            "statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__crm_{uuid4().hex}__",
        }
    writes = create_async_engine(
        url,
        pool_size=settings.database_connections,
        max_overflow=0,
        connect_args=arguments,
        pool_timeout=10,
        hide_parameters=True,  # parameters are personal data; they must not stand in logged tracebacks
        json_serializer=_json,
        json_deserializer=orjson.loads,
    )
    return Database(
        "postgresql",
        writes if pooled else writes.execution_options(isolation_level="AUTOCOMMIT"),
        writes,
        postgres_reader(url, session, CONNECT_SECONDS, settings.database_connections, pooled=pooled),
        settings.limits.statement_seconds,
        begins_late=not pooled,
    )


OUT_OF_REACH = ("08", "28", "3D", "53", "57P")
"""SQLSTATE classes of a server that is away, going down, full, or lets nobody in."""


def _is_lost(error: BaseException) -> bool:
    if isinstance(error, (OSError, InterfaceError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return True
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    return invalidated or _sqlstate(error).startswith(OUT_OF_REACH)


def _sqlstate(error: BaseException) -> str:
    """PostgreSQL's state, of the driver's error or of SQLAlchemy's around it."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(inner, "sqlstate", None) or "")


def _is_busy(error: BaseException) -> bool:
    if _sqlstate(error) in _TRY_AGAIN:
        return True
    return isinstance(error, OperationalError | sqlite3.OperationalError) and "locked" in _text(error)


def _text(error: BaseException) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error)


_DAMAGED = ("file is not a database", "disk image is malformed")


_FULL = "database or disk is full"
_NO_ROOM = "53100"


def is_trouble(error: BaseException) -> bool:
    """Whether the database itself is in trouble: busy, full, out of reach or damaged; not what was asked of it."""
    return _is_busy(error) or _is_full(error) or _is_lost(error) or _is_damaged(error)


def _is_full(error: BaseException) -> bool:
    known = isinstance(error, DBAPIError | sqlite3.Error | asyncpg.PostgresError)
    return _sqlstate(error) == _NO_ROOM or (known and _FULL in _text(error))


def _is_damaged(error: BaseException) -> bool:
    known = isinstance(error, DBAPIError | sqlite3.Error)
    return known and any(words in _text(error) for words in _DAMAGED)


_ABOUT_STATEMENT = ("0A", "42", "54")
_NOT_ABOUT_STATEMENT = ("unable to open", "disk i/o", "interrupted", "locked", "out of memory")


def is_about_statement(error: BaseException) -> bool:
    """Whether the database objects to a statement whatever its values are: its syntax, its names, its size."""
    if isinstance(error, sqlite3.OperationalError):
        return not any(words in str(error).lower() for words in _NOT_ABOUT_STATEMENT)
    return _sqlstate(error).startswith(_ABOUT_STATEMENT)


def fault(error: BaseException) -> Exception:
    """What a driver's error means to a caller; one that is no trouble of the database itself comes back as it is."""
    if _is_busy(error):
        return Fault(
            "DATABASE_BUSY", "Another process holds the database; try again (数据库正被其他进程占用，请重试)"
        )
    if _is_full(error):
        return Fault(
            "DATABASE_FULL",
            "The database has no room left; nothing was changed (数据库空间已满，未作任何更改)",
        )
    if _is_damaged(error):
        return Fault(
            "DATABASE_DAMAGED", "The database file is damaged or is none (数据库文件已损坏或不是数据库)"
        )
    if _is_lost(error) or isinstance(error, OperationalError):
        return Unavailable("The database does not answer; try again later (数据库暂时不可用，请稍后重试)")
    return error if isinstance(error, Exception) else Fault("INTERNAL", "Interrupted")
