"""What a writing transaction has still to write, and how it becomes few statements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import TableClause, inspect

from crm_core.db import search
from crm_core.db.base import Base
from crm_core.db.writer import MOST_TOGETHER, Batch, Form, Writer

if TYPE_CHECKING:
    from crm_core.db.pending import Pending
    from crm_core.db.presuming import Presumption

Watch: TypeAlias = Callable[["Waiting"], None]


class Waiting:
    """New rows of one transaction, until they are written.

    Rows go first, then what `later` holds, then changed and deleted records. `orm` is the session of the ORM that holds
    the records, once anything needs one. `watches` hear of everything before it is written; `filled` tells which values
    of a new record are mere defaults. `due`: to be written before anything is read. `presumed` is a look-up that was not
    sent yet. `answered`: the database has answered something; `written`: everything is written and committed.
    """

    def __init__(self, writer: Writer) -> None:
        """Nothing waits yet."""
        self.writer = writer
        self.orm: Pending | None = None
        self.watches: list[Watch] = []
        self.filled: dict[Base, dict[str, Any]] = {}
        self.later: list[tuple[TableClause, Sequence[Mapping[str, Any]]]] = []
        self.documents: list[Mapping[str, Any]] = []
        self.presumed: Presumption | None = None
        self.due = self.answered = self.written = False
        self._fresh: list[Base] = []

    @property
    def new(self) -> Sequence[Base]:
        """Records that were added."""
        return list(self.orm.new) if self.orm is not None else self._fresh

    @property
    def dirty(self) -> Collection[Base]:
        """Loaded records that were touched."""
        return self.orm.dirty if self.orm is not None else ()

    @property
    def deleted(self) -> Collection[Base]:
        """Loaded records that are to go."""
        return self.orm.deleted if self.orm is not None else ()

    @property
    def is_urgent(self) -> bool:
        """Whether something must be written before anything is read."""
        return bool(self.due or self.later or self.documents)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.new or self.later or self.documents or self.dirty or self.deleted)

    def add(self, record: Base) -> None:
        """Add a record."""
        if self.orm is not None:
            self.orm.add(record)
        elif not any(known is record for known in self._fresh):
            self._fresh.append(record)

    def hand_over(self, orm: Pending) -> None:
        """From now on the ORM holds the records."""
        self.orm = orm
        for record in self._fresh:
            orm.add(record)
        self._fresh.clear()

    def put_off(self) -> None:
        """Have what waits written before anything is read; defaults are put on new records now."""
        for record in self.new:
            if record not in self.filled:
                self.filled[record] = self.writer.fill(record)
        self.due = True

    def tell(self) -> None:
        """Have everybody who watches look at what waits."""
        for watch in self.watches:
            watch(self)

    def gather(self) -> tuple[Batch | None, bool]:
        """New rows and what goes with them as one batch; whether anything is left that must be written otherwise."""
        fresh = self.new
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

    def forget(self) -> None:
        """Nothing waits any more, beside the records that the ORM holds."""
        self._fresh.clear()
        self.later.clear()
        self.documents.clear()
        self.due = False


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
