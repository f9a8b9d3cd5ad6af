"""The session of one writing transaction: what a command adds is written together, as late as can be."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Connection, TableClause, event, insert, inspect
from sqlalchemy import exc as trouble
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.exc import StaleDataError

from crm_core import errors
from crm_core.db import search
from crm_core.db.base import Base
from crm_core.db.writer import MOST_TOGETHER, Batch, Form, LookUpSelect, Writer
from crm_core.errors import Refused

Watch = Callable[["Pending"], None]


class Pending(Session):
    """The session inside `Unit`. New rows wait until something is read, or until the end.

    Rows go first, then what `later` holds, then changed and deleted records. `watches` hear of everything before it is
    written; `filled` tells which values of a new record are mere defaults.
    """

    def __init__(self, bind: Connection, writer: Writer, binds: None = None) -> None:
        """On this connection, whose transaction belongs to the caller."""
        super().__init__(bind=bind, binds=binds, expire_on_commit=False, autoflush=False)
        self.writer = writer
        self.watches: list[Watch] = []
        self.filled: dict[Base, dict[str, Any]] = {}
        self.later: list[tuple[TableClause, Sequence[Mapping[str, Any]]]] = []
        self.documents: list[Mapping[str, Any]] = []
        self.info[search.LATER] = self.documents
        self.due = False
        self.answered = False
        self.written = False

    def execute(self, *arguments: Any, **more: Any) -> Any:
        """As usual, with everything written that is due."""
        self.settle()
        return self._answer(super().execute(*arguments, **more))

    def scalar(self, *arguments: Any, **more: Any) -> Any:
        """As usual, with everything written that is due."""
        self.settle()
        return self._answer(super().scalar(*arguments, **more))

    def scalars(self, *arguments: Any, **more: Any) -> Any:
        """As usual, with everything written that is due."""
        self.settle()
        return self._answer(super().scalars(*arguments, **more))

    def _answer(self, result: Any) -> Any:
        self.answered = True
        return result

    def settle(self) -> None:
        """Write what is due; what the database does not take is refused as CONFLICT."""
        if self.due or self.later or self.documents:
            try:
                self.flush()
            except (StaleDataError, trouble.IntegrityError) as error:
                raise refusal(error) from None

    def flush(self, objects: Any = None) -> None:
        """Write everything that waits."""
        self.due = False
        for watch in self.watches:
            watch(self)
        batch, rest = self.gather()
        if batch is not None:
            self._send(batch)
            self._keep()
        super().flush(objects)
        self._write_rest(rest)
        self.filled.clear()

    def gather(self) -> tuple[Batch | None, bool]:
        """New rows and what goes with them as one batch; whether anything is left that must be written otherwise."""
        fresh = list(self.new)
        count = len(fresh) + len(self.documents) + sum(len(rows) for _, rows in self.later)
        rows = _values(self.writer, fresh) if 0 < count <= MOST_TOGETHER else None
        if rows is None:
            return None, bool(self.later or self.documents)
        for table, some in self.later:
            form = self.writer.listed(table, tuple(some[0]))
            rows += [(form, form.values(row)) for row in some]
        if self.documents:
            form = self.writer.listed(search.SearchDocument.__table__, search.WRITTEN, search.REPLACING)
            rows += [(form, form.values(row)) for row in _last_of_each(self.documents)]
        return self.writer.batch(rows), False

    def _keep(self) -> None:
        """From now on the new records are like loaded ones."""
        for record in list(self.new):
            self.expunge(record)
            self.filled.pop(record, None)
            self.writer.fill(record)
            make_transient_to_detached(record)
            self.add(record)
        self.later.clear()
        self.documents.clear()

    def _write_rest(self, rest: bool) -> None:  # noqa: FBT001  # the answer of `gather`
        if not rest:
            return
        later, documents = list(self.later), list(self.documents)
        self.later.clear()
        self.documents.clear()
        for table, rows in later:
            super().execute(insert(table), list(rows))
        if documents:
            super().execute(search.writing(self.get_bind().dialect.name), documents)

    def _send(self, batch: Batch) -> None:
        connection = self.connection()
        for text, values in batch.statements:
            connection.exec_driver_sql(text, tuple(values))
        self.answered = True


@event.listens_for(Pending, "after_soft_rollback")
def _forget(session: Pending, _transaction: Any) -> None:
    """What waited to be written goes with what was written."""
    session.later.clear()
    session.documents.clear()
    session.due = False


class Unit(AsyncSession):
    """A session that writes late and together, and looks things up without the ORM.

    `late`: the transaction begins with the first statement of the session; until then `rows` reads what is committed,
    and `write_last` is a transaction of its own.
    """

    sync_session_class = Pending
    sync_session: Pending

    def __init__(self, connection: AsyncConnection, writer: Writer, *, late: bool = False) -> None:
        """On this connection, whose transaction belongs to the caller."""
        super().__init__(bind=connection, writer=writer)
        self._connection, self._writer, self._late = connection, writer, late

    def put_off(self) -> None:
        """Have what waits written before anything is read, or at the end; defaults are put on new records now."""
        pending = self.sync_session
        for record in pending.new:
            if record not in pending.filled:
                pending.filled[record] = pending.writer.fill(record)
        pending.due = True

    def insert(self, table: TableClause, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert these rows, all with the same columns, after the records that wait."""
        if rows:
            self.sync_session.later.append((table, rows))

    async def rows(
        self, key: Hashable, make: Callable[[], LookUpSelect], bound: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Rows of a look-up whose statement is made once per key; `bound` holds the values by name."""
        pending = self.sync_session
        if pending.due or pending.later or pending.documents:
            await self.run_sync(lambda _session: pending.settle())
        known = self._writer.look_up(key, make)
        found = await self._driven(known.sql, known.values(bound))
        pending.answered = True
        return known.rows(found)

    async def write_last(self) -> None:
        """Write everything that waits, in one statement where that is possible; nothing may follow.

        Who watches has been told of it by then.
        """
        pending = self.sync_session
        if pending.dirty or pending.deleted:
            await flush(self)
            return
        batch, _ = pending.gather()
        if batch is None:
            await flush(self)
            return
        pending.answered = pending.written = True
        try:
            for text, values in batch.statements:
                await self._driven(text, values)
        except trouble.IntegrityError as error:
            raise refusal(error) from None
        pending.expunge_all()
        pending.later.clear()
        pending.documents.clear()

    async def end(self) -> None:
        """Write what waits and commit."""
        if not self._late:
            await self.flush()
            await self._connection.commit()
        elif self._in_transaction or not self.sync_session.written:
            await self.commit()

    async def leave(self) -> None:
        """Give the connection back; what was not committed is undone."""
        if self._in_transaction:
            await asyncio.shield(self._left())
        else:
            self.sync_session.close()  # sends nothing: its transaction is over, or never began
            await self._connection.close()

    async def _left(self) -> None:
        await self.close()
        await self._connection.close()

    @property
    def _in_transaction(self) -> bool:
        """Whether a transaction was begun and is not over."""
        connection = self._connection.sync_connection
        return connection is not None and connection.in_transaction()

    async def _driven(self, sql: str, values: Sequence[Any]) -> Iterable[Sequence[Any]]:
        """One statement by the driver itself; its errors are those of SQLAlchemy."""
        connection = self._connection.sync_connection
        assert connection is not None
        for listener in connection.engine.dispatch.before_cursor_execute:
            listener(connection, None, sql, values, None, False)
        driver: Any = connection.connection.driver_connection
        try:
            if isinstance(driver, asyncpg.Connection):
                found: Iterable[Sequence[Any]] = await driver.fetch(sql, *values)
            else:
                found = await driver.execute_fetchall(sql, values)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error) as error:
            raise _translated(error, sql) from error
        return found


async def flush(session: AsyncSession) -> None:
    """Write what is pending; a lost update or a broken constraint is refused as CONFLICT."""
    try:
        await session.flush()
    except (StaleDataError, trouble.IntegrityError) as error:
        raise refusal(error) from None


def refusal(error: StaleDataError | trouble.IntegrityError) -> Refused:
    """A lost update or a broken constraint as a refusal."""
    if isinstance(error, StaleDataError):
        return Refused(errors.CONFLICT(what="version"))
    cause = getattr(error.orig, "__cause__", None) or error.orig
    name = getattr(cause, "constraint_name", None)
    return Refused(errors.CONFLICT(what=str(name or error.orig).split("\n")[0][:200]))


def _values(writer: Writer, fresh: Sequence[Base]) -> list[tuple[Form, Sequence[Any]]] | None:
    """The rows of new records; None when the ORM must write them."""
    rows: list[tuple[Form, Sequence[Any]]] = []
    for record in fresh:
        form, given = writer.form(type(record)), inspect(record).dict
        if form is None or not form.keys <= given.keys():
            return None
        writer.fill(record)
        rows.append((form, form.values(given)))
    return rows


def _last_of_each(documents: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Of several documents of one record the last."""
    return {(one["kind"], one["subject_id"]): one for one in documents}.values()


def _translated(error: Exception, sql: str) -> trouble.DBAPIError:
    kinds: tuple[tuple[Any, type[trouble.DBAPIError]], ...] = (
        ((asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError), trouble.IntegrityError),
        ((asyncpg.DataError, sqlite3.DataError), trouble.DataError),
        ((asyncpg.InterfaceError, sqlite3.InterfaceError), trouble.InterfaceError),
        (sqlite3.OperationalError, trouble.OperationalError),
    )
    made = next((made for kind, made in kinds if isinstance(error, kind)), trouble.DBAPIError)
    return made(sql, None, error, hide_parameters=True)
