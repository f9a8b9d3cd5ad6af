"""The ORM's session of a writing transaction: it writes late, and what it can together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection, event, insert
from sqlalchemy import exc as trouble
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.util import await_only

from crm_core import errors
from crm_core.db import search
from crm_core.db.waiting import Waiting
from crm_core.db.writer import Batch
from crm_core.errors import Refused


class Pending(Session):
    """The session inside `Unit`, made when something needs the ORM. New rows wait until something is read, or until the end."""

    def __init__(
        self,
        waiting: Waiting,
        reach: Callable[[], Awaitable[Connection]],
        settle: Callable[[], Awaitable[None]],
        info: dict[Any, Any],
    ) -> None:
        """`reach` gives the connection, whose transaction belongs to the caller; `settle` asks what was presumed."""
        super().__init__(expire_on_commit=False, autoflush=False)
        self.waiting, self._reach, self._settle_presumed = waiting, reach, settle
        self.info = info
        self._reached: Connection | None = None

    def get_bind(self, *_arguments: Any, **_more: Any) -> Connection:
        """The only connection."""
        if self._reached is None:
            self._reached = await_only(self._reach())
        return self._reached

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
        self.waiting.answered = True
        return result

    def settle(self) -> None:
        """Ask what was presumed, write what is due; what the database does not take is refused as CONFLICT."""
        self._ask()
        if self.waiting.is_urgent:
            try:
                self.flush()
            except (StaleDataError, trouble.IntegrityError) as error:
                raise refusal(error) from None

    def _ask(self) -> None:
        if self.waiting.presumed is not None:
            self.get_bind()
            await_only(self._settle_presumed())

    def flush(self, objects: Any = None) -> None:
        """Write everything that waits."""
        self._ask()
        self.waiting.due = False
        self.waiting.tell()
        batch, rest = self.waiting.gather()
        if batch is not None:
            self._send(batch)
            self._keep()
        super().flush(objects)
        if rest:
            self._write_rest()
        self.waiting.filled.clear()

    def _keep(self) -> None:
        """From now on the new records are like loaded ones."""
        for record in list(self.new):
            self.expunge(record)
            self.waiting.filled.pop(record, None)
            self.waiting.writer.fill(record)
            make_transient_to_detached(record)
            self.add(record)
        self.waiting.later.clear()
        self.waiting.documents.clear()

    def _write_rest(self) -> None:
        later, documents = list(self.waiting.later), list(self.waiting.documents)
        self.waiting.later.clear()
        self.waiting.documents.clear()
        for table, rows in later:
            super().execute(insert(table), list(rows))
        if documents:
            super().execute(search.writing(self.get_bind().dialect.name), documents)

    def _send(self, batch: Batch) -> None:
        connection = self.connection()
        for text, values in batch.statements:
            connection.exec_driver_sql(text, tuple(values))
        self.waiting.answered = True


@event.listens_for(Pending, "after_soft_rollback")
def _forget(session: Pending, _transaction: Any) -> None:
    """What waited to be written goes with what was written."""
    session.waiting.forget()


def refusal(error: StaleDataError | trouble.IntegrityError) -> Refused:
    """A lost update or a broken constraint as a refusal."""
    if isinstance(error, StaleDataError):
        return Refused(errors.CONFLICT(what="version"))
    cause = getattr(error.orig, "__cause__", None) or error.orig
    name = getattr(cause, "constraint_name", None)
    return Refused(errors.CONFLICT(what=str(name or error.orig).split("\n")[0][:200]))
