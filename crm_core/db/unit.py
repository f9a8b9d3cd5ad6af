"""The session of one writing transaction: what a command adds is written together, as late as can be."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import asyncpg
from sqlalchemy import Connection, Engine, TableClause
from sqlalchemy import exc as trouble
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from crm_core.db import search
from crm_core.db.base import Base
from crm_core.db.connections import LOST
from crm_core.db.pending import Pending, refusal
from crm_core.db.presuming import Mistaken, Presumption, Rows, joined, parted, values_of
from crm_core.db.waiting import Waiting
from crm_core.db.writer import Batch, LookUpSelect, Reading, Writer


class Lanes(Protocol):
    """Connections of the driver for single statements, each a transaction of its own."""

    async def take(self) -> Any:
        """A connection; raises the driver's errors, or a `Fault` when none gets free."""
        ...

    def give_back(self, lane: Any, *, whole: bool, lost: bool) -> None:
        """Give it back; not `whole`: a statement may be under way on it, `lost`: the server is, as far as it knows."""
        ...

    def heard(self, sql: str) -> None:
        """A statement is sent."""
        ...


class Unit(AsyncSession):
    """A session that writes late and together, looks things up without the ORM, and makes one when it is needed.

    With `lanes` the transaction begins with the first statement of the ORM's session; until then `rows` reads what is
    committed, and `write_last` is a transaction of its own.
    """

    sync_session_class = Pending

    def __init__(
        self,
        writer: Writer,
        engine: AsyncEngine,
        reach: Callable[[], Awaitable[AsyncConnection]],
        *,
        connection: AsyncConnection | None = None,
        lanes: Lanes | None = None,
        presumes: bool = False,
        mistaken: Mistaken | None = None,
    ) -> None:
        """`reach` gives a connection of the engine when one is needed, if there is no `connection` with its transaction begun.

        `presumes`: what mostly finds nothing may be asked later; `mistaken` is what was presumed wrongly before.
        """
        self._writer, self._engine, self._reach = writer, engine, reach
        self._connection, self._lanes = connection, lanes
        self._presumes, self._mistaken = presumes, mistaken
        self._lane: Any = None
        self._whole, self._lost = True, False
        self._async_bind, self._async_binds = None, {}
        self.waiting = Waiting(writer)
        self._info: dict[Any, Any] = {search.LATER: self.waiting.documents}

    # -- the ORM's session, once it is needed

    @property
    def sync_session(self) -> Pending:  # type: ignore[override]  # made when asked for
        """The ORM's session inside."""
        orm = self.waiting.orm
        if orm is None:
            orm = Pending(self.waiting, self._bound, self.settled, self._info)
            self._assign_proxied(orm)
            self.waiting.hand_over(orm)
        return orm

    @property
    def _proxied(self) -> Pending:  # type: ignore[override]
        return self.sync_session

    def get_bind(self, *_arguments: Any, **_more: Any) -> Engine | Connection:
        """The connection, or what it will be one of."""
        connection = self._connection.sync_connection if self._connection is not None else None
        return connection or self._engine.sync_engine

    async def _bound(self) -> Connection:
        """The connection that the ORM uses."""
        if self._connection is None:
            self._let_go()
            self._connection = await self._reach()
        found = self._connection.sync_connection
        assert found is not None
        return found

    @property
    def info(self) -> dict[Any, Any]:
        """What rooms keep with the session."""
        return self._info

    @property
    def new(self) -> Any:
        """Records that were added."""
        return self.waiting.new

    @property
    def dirty(self) -> Any:
        """Loaded records that were touched."""
        return self.waiting.dirty

    @property
    def deleted(self) -> Any:
        """Loaded records that are to go."""
        return self.waiting.deleted

    def add(self, instance: object, *, _warn: bool = True) -> None:
        """Add a new record."""
        assert isinstance(instance, Base)
        self.waiting.add(instance)

    # -- what waits

    def put_off(self) -> None:
        """Have what waits written before anything is read, or at the end; defaults are put on new records now."""
        self.waiting.put_off()

    def insert(self, table: TableClause, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert these rows, all with the same columns, after the records that wait."""
        if rows:
            self.waiting.later.append((table, rows))

    # -- look-ups

    async def rows(self, key: Hashable, make: Callable[[], LookUpSelect], bound: Mapping[str, Any]) -> Rows:
        """Rows of a look-up, in no order; its statement is made once per key, `bound` holds the values by name."""
        if self.waiting.is_urgent:
            orm = self.sync_session
            await self.run_sync(lambda _session: orm.settle())
        presumed, self.waiting.presumed = self.waiting.presumed, None
        if presumed is None:
            return await self._looked_up(key, make, bound)
        width = self._writer.look_up(key, make).width
        both = (presumed.key, "and", key)
        found = await self._looked_up(both, lambda: joined(presumed, make), values_of(presumed, bound))
        return parted(presumed, found, width)

    async def seldom(self, key: Hashable, make: Callable[[], LookUpSelect], bound: Mapping[str, Any]) -> Rows:
        """Rows of a look-up, like `rows`, that mostly finds nothing.

        Where the work can be done again it is not sent by itself: nothing is found for now, and the next statement asks.
        """
        if self._mistaken is not None and self._mistaken.presumption.is_of(key, bound):
            return self._mistaken.rows
        free = self._presumes and self.waiting.orm is None and self.waiting.presumed is None
        if not free:
            return await self.rows(key, make, bound)
        self.waiting.presumed = Presumption(key, make, dict(bound))
        return ()

    async def settled(self) -> None:
        """Ask what was presumed and not asked yet; raises `Mistaken`."""
        presumed, self.waiting.presumed = self.waiting.presumed, None
        if presumed is None:
            return
        found = await self._looked_up(presumed.key, presumed.make, presumed.bound)
        if found:
            raise Mistaken(presumed, found)

    async def _looked_up(
        self, key: Hashable, make: Callable[[], LookUpSelect], bound: Mapping[str, Any]
    ) -> Rows:
        known = self._writer.look_up(key, make)
        found = await self._driven(known.sql, known.values(bound))
        self.waiting.answered = True
        return known.rows(found)

    # -- the end

    async def write_last(self, reading: Reading | None = None) -> bytes | None:
        """Write everything that waits, in one statement where that is possible; nothing may follow.

        What `reading` reads then comes back where the same statement can tell it. Who watches has been told of what
        waits by then.
        """
        await self.settled()
        waiting = self.waiting
        batch = None if waiting.dirty or waiting.deleted else waiting.gather()[0]
        if batch is None:
            await flush(self)
            return None
        waiting.answered = waiting.written = True
        try:
            found = await self._sent(batch, reading)
        except trouble.IntegrityError as error:
            raise refusal(error) from None
        waiting.forget()
        if waiting.orm is not None:
            waiting.orm.expunge_all()
        return found

    async def _sent(self, batch: Batch, reading: Reading | None) -> bytes | None:
        """Send the batch with the reading, or else alone: what cannot be read must not keep it from being written."""
        both = self._writer.with_reading(batch, reading) if reading is not None and self._is_free else None
        if both is not None:
            try:
                return next(row[0] for row in await self._driven(*both))  # type: ignore[no-any-return]  # JSON
            except trouble.IntegrityError:
                raise
            except trouble.DBAPIError as error:
                if not self._whole or _is_of_others(error):
                    raise
        for text, values in batch.statements:
            await self._driven(text, values)
        return None

    @property
    def _is_free(self) -> bool:
        """Whether each statement is a transaction of its own, and no connection of the ORM's is in use."""
        return self._connection is None and self._lanes is not None

    async def end(self) -> None:
        """Write what waits and commit."""
        await self.settled()
        if not self.waiting.is_empty or self.waiting.due:
            await self.flush()
        if self._lanes is None:
            assert self._connection is not None
            await self._connection.commit()
        elif self._in_transaction:
            await self.commit()

    async def leave(self) -> None:
        """Give the connection back; what was not committed is undone. Nobody hears of anything any more."""
        self.waiting.watches.clear()  # they keep each other otherwise
        self._let_go()
        if self._in_transaction:
            await asyncio.shield(self._left())
            return
        if self.waiting.orm is not None:
            self.waiting.orm.close()  # sends nothing: its transaction is over, or never began
        if self._connection is not None:
            await self._connection.close()

    async def _left(self) -> None:
        if self.waiting.orm is not None:
            await self.close()
        if self._connection is not None:
            await self._connection.close()

    @property
    def _in_transaction(self) -> bool:
        """Whether a transaction was begun and is not over."""
        connection = self._connection.sync_connection if self._connection is not None else None
        return connection is not None and connection.in_transaction()

    # -- statements by the driver itself

    def _let_go(self) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:
            assert self._lanes is not None
            self._lanes.give_back(lane, whole=self._whole, lost=self._lost)

    async def _driven(self, sql: str, values: Sequence[Any]) -> Iterable[Sequence[Any]]:
        """One statement by the driver itself; its errors are those of SQLAlchemy."""
        self._whole = False
        try:
            driver = await self._driver(sql, values)
            if isinstance(driver, asyncpg.Connection):
                found: Iterable[Sequence[Any]] = await driver.fetch(sql, *values)
            else:
                found = await driver.execute_fetchall(sql, values)
        except LOST as error:
            self._lost = True
            raise _translated(error, sql) from error
        except (asyncpg.PostgresError, sqlite3.Error) as error:
            self._whole = True
            raise _translated(error, sql) from error
        self._whole = True
        return found

    async def _driver(self, sql: str, values: Sequence[Any]) -> Any:
        """The driver's connection: a lane where the ORM has none."""
        if self._is_free:
            assert self._lanes is not None
            if self._lane is None:
                self._lane = await self._lanes.take()
            self._lanes.heard(sql)
            return self._lane
        connection = await self._bound()
        for listener in connection.engine.dispatch.before_cursor_execute:
            listener(connection, None, sql, values, None, False)
        return connection.connection.driver_connection


async def flush(session: AsyncSession) -> None:
    """Write what is pending; a lost update or a broken constraint is refused as CONFLICT."""
    try:
        await session.flush()
    except (StaleDataError, trouble.IntegrityError) as error:
        raise refusal(error) from None


def _is_of_others(error: trouble.DBAPIError) -> bool:
    """Whether it has nothing to do with what was read: the server goes down, is full, or unties transactions."""
    return str(getattr(error.orig, "sqlstate", "")).startswith(("08", "40", "53", "55", "57"))


def _translated(error: Exception, sql: str) -> trouble.DBAPIError:
    kinds: tuple[tuple[Any, type[trouble.DBAPIError]], ...] = (
        ((asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError), trouble.IntegrityError),
        ((asyncpg.DataError, sqlite3.DataError), trouble.DataError),
        ((*LOST, sqlite3.InterfaceError), trouble.InterfaceError),
        (sqlite3.OperationalError, trouble.OperationalError),
    )
    made = next((made for kind, made in kinds if isinstance(error, kind)), trouble.DBAPIError)
    return made(sql, None, error, hide_parameters=True)
