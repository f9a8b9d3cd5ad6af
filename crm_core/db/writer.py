"""Turns new rows into insert statements, and look-ups into prepared text; both are made once and remembered."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, CompoundSelect, Dialect, Select, TableClause, bindparam, inspect
from sqlalchemy.types import TypeEngine

from crm_core.db.base import Base, stamped

MOST_TOGETHER = 64
"""Rows beyond which a command's new rows are left to the ORM, which writes thousands well."""
MOST_REMEMBERED = 500
Process = Callable[[Any], Any] | None
LookUpSelect: TypeAlias = Select[Any] | CompoundSelect[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column to be written: attribute, name, the value it has when none was given, the way to the driver."""

    key: str
    name: str
    default: Callable[[], Any] | None
    process: Process
    keeps_none: bool


class Form:
    """How rows of one table are inserted; `rank` puts tables before those that point to them.

    `keys` are the attributes of the primary key, `conflict` says what becomes of a row that is there already.
    """

    def __init__(
        self, table: str, columns: Sequence[Column], rank: int, keys: Iterable[str] = (), conflict: str = ""
    ) -> None:
        """Rows of this table, with a value for each of the columns."""
        self.table, self.rank, self.keys, self.conflict = table, rank, frozenset(keys), conflict
        self.names = tuple(column.name for column in columns)
        self._attributes = tuple(column.key for column in columns)
        self._defaults = tuple((c.key, c.default) for c in columns if c.default is not None)
        self._processed = tuple(
            (place, column.process, column.keeps_none and column.key)
            for place, column in enumerate(columns)
            if column.process is not None
        )

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """The driver's values of one row; what is not given is NULL."""
        values = [given.get(key) for key in self._attributes]
        for place, process, kept in self._processed:
            if values[place] is not None or (kept and kept in given):
                values[place] = process(values[place])
        return values

    def missing(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults of the columns that were not given."""
        return {key: default() for key, default in self._defaults if key not in given}


Parts: TypeAlias = Sequence[tuple[Form, int]]
"""Forms with numbers of rows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A statement that reads one value, to be sent after writing or, where that is possible, with it."""

    sql: str
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to be written at once: statements with their values, in order."""

    statements: Sequence[tuple[str, Sequence[Any]]]
    rows: Sequence[tuple[Form, Sequence[Any]]] = ()


@dataclass(frozen=True, slots=True)
class LookUp:
    """A reading statement in the driver's form: text, its values by name in order, what to make of each column."""

    sql: str
    names: tuple[str, ...]
    given: Mapping[str, Any]
    processes: Mapping[str, Callable[[Any], Any]]
    results: tuple[Process, ...] | None
    width: int

    def values(self, bound: Mapping[str, Any]) -> list[Any]:
        """The driver's values; `bound` stands before what the statement was made with."""
        found = []
        for name in self.names:
            value = bound[name] if name in bound else self.given[name]
            process = self.processes.get(name)
            found.append(process(value) if process is not None else value)
        return found

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Rows as Python values."""
        if self.results is None:
            return list(found)
        return [
            tuple(
                value if make is None else make(value) for make, value in zip(self.results, row, strict=True)
            )
            for row in found
        ]


class Writer:
    """Remembers the statements of one database."""

    def __init__(self, dialect: Dialect) -> None:
        """For this dialect."""
        self._dialect = dialect
        self._forms: dict[Any, Form | None] = {}
        self._texts: OrderedDict[Hashable, str] = OrderedDict()
        self._look_ups: OrderedDict[Hashable, LookUp] = OrderedDict()
        self._ranks: dict[str, int] = {}

    # -- rows

    def form(self, model: type[Base]) -> Form | None:
        """How rows of this table are inserted; None where the database itself makes up a value."""
        if model not in self._forms:
            self._forms[model] = self._form(model)
        return self._forms[model]

    def listed(self, table: TableClause, columns: Sequence[str], conflict: str = "") -> Form:
        """A form for these columns alone; `conflict` says what becomes of a row that is there already."""
        key = (table.name, conflict, *columns)
        found = self._forms.get(key)
        if found is None:
            made = [self._column(name, table.c[name]) for name in columns]
            found = self._forms[key] = Form(table.name, made, self._rank(table.name), conflict=conflict)
        return found

    def fill(self, record: Base) -> dict[str, Any]:
        """Give a new record the defaults of its columns, as writing it would; what was filled in."""
        form = self.form(type(record))
        filled = {} if form is None else form.missing(inspect(record).dict)
        if filled:
            stamped(record, **filled)
        return filled

    def batch(self, rows: Sequence[tuple[Form, Sequence[Any]]]) -> Batch:
        """Rows, by table in the order in which they may be written: one statement on PostgreSQL, else one per table."""
        by_form: dict[int, tuple[Form, list[Sequence[Any]]]] = {}
        for form, values in rows:
            by_form.setdefault(id(form), (form, []))[1].append(values)
        ordered = sorted(by_form.values(), key=lambda one: one[0].rank)
        if self._dialect.name != "postgresql":
            return Batch([(self._text([(form, len(some))]), _flat(some)) for form, some in ordered])
        return Batch([(self._text(_counted(ordered)), _values(ordered))], ordered)

    def with_reading(self, batch: Batch, reading: Reading) -> tuple[str, Sequence[Any]] | None:
        """One statement that writes and reads: what it reads of tables written to holds the new rows.

        None where that cannot be said simply: on SQLite, or where rows replace others, or are read more than once.
        """
        if not batch.rows:
            return None
        parts = _counted(batch.rows)
        key = (reading.sql, tuple((id(form), count) for form, count in parts))
        text = self._remembered(key, lambda: _with_reading(parts, reading))
        return (text, [*reading.values, *_values(batch.rows)]) if text else None

    def _form(self, model: type[Base]) -> Form | None:
        mapper, table = inspect(model), model.__table__
        if mapper.relationships or len(mapper.tables) != 1:
            return None
        columns = [
            self._column(str(attribute.key), attribute.columns[0]) for attribute in mapper.column_attrs
        ]
        if any(column.server_default is not None or column.computed is not None for column in table.columns):
            return None
        keys = [mapper.get_property_by_column(key).key for key in mapper.primary_key]
        return Form(table.name, columns, self._rank(table.name), keys)

    def _column(self, key: str, column: Any) -> Column:
        default = column.default
        made: Callable[[], Any] | None = None
        if default is not None:
            made = (lambda: default.arg(None)) if default.is_callable else (lambda: default.arg)
        process = column.type.dialect_impl(self._dialect).bind_processor(self._dialect)
        return Column(key, column.name, made, process, bool(column.type.should_evaluate_none))

    def _rank(self, table: str) -> int:
        if table not in self._ranks:
            self._ranks = {one.name: rank for rank, one in enumerate(Base.metadata.sorted_tables)}
        return self._ranks[table]

    def _text(self, parts: Parts) -> str:
        key = tuple((id(form), count) for form, count in parts)
        return self._remembered(key, lambda: _inserts(parts, numbered=self._dialect.name == "postgresql"))

    def _remembered(self, key: Hashable, make: Callable[[], str]) -> str:
        known = self._texts.get(key)
        if known is None:
            known = self._texts[key] = make()
            if len(self._texts) > MOST_REMEMBERED:
                self._texts.popitem(last=False)
        else:
            self._texts.move_to_end(key)
        return known

    # -- look-ups

    def look_up(self, key: Hashable, make: Callable[[], LookUpSelect]) -> LookUp:
        """The look-up of this key; `make` gives its statement, whose values of every use have names of their own."""
        known = self._look_ups.get(key)
        if known is None:
            known = self._look_ups[key] = self._prepared(make())
            if len(self._look_ups) > MOST_REMEMBERED:
                self._look_ups.popitem(last=False)
        else:
            self._look_ups.move_to_end(key)
        return known

    def _prepared(self, statement: LookUpSelect) -> LookUp:
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        names = tuple(compiled.positiontup or ())
        processes = {
            name: process
            for name, bind in compiled.binds.items()
            if (process := bind.type.dialect_impl(self._dialect).bind_processor(self._dialect)) is not None
        }
        results = tuple(
            column.type.dialect_impl(self._dialect).result_processor(self._dialect, None)
            for column in statement.selected_columns
        )
        return LookUp(
            compiled.string,
            names,
            dict(compiled.params),
            processes,
            results if any(results) else None,
            len(results),
        )


def given(name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
    """A value of a look-up, handed over with each use under this name."""
    return bindparam(name, None, type_=type_)


def _inserts(parts: Parts, *, numbered: bool) -> str:
    """One statement for all parts; `numbered`: values are `$1`, `$2`, …, else `?`."""
    *before, last = _each(parts, numbered=numbered)
    named = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(before))
    return f"WITH {named} {last}" if named else last


def _each(parts: Parts, *, numbered: bool, position: int = 0) -> list[str]:
    """An insert statement for each part; `position` values go before theirs."""
    texts = []
    for form, count in parts:
        names = ", ".join(f'"{name}"' for name in form.names)
        rows = []
        for _ in range(count):
            places = range(position + 1, position + 1 + len(form.names))
            rows.append("(" + ", ".join(f"${n}" if numbered else "?" for n in places) + ")")
            position += len(form.names)
        into = f'INTO "{form.table}" ({names})'  # names of our own tables and columns
        texts.append(f"INSERT {into} VALUES {', '.join(rows)}{form.conflict}")  # noqa: S608  # no value is in it
    return texts


def _with_reading(parts: Parts, reading: Reading) -> str:
    """The parts, then the reading with each table it reads from replaced by the table and its new rows; "" if that cannot be.

    Within one statement PostgreSQL shows no row that it writes, but what writing returns.
    """
    written = [form.table for form, _ in parts]
    named = {table: len(re.findall(rf"\b{table}\b", reading.sql)) for table in written}
    read = [table for table in written if named[table]]
    simple = all(named[table] == written.count(table) == 1 for table in read)
    replacing = any(form.conflict and form.table in read for form, _ in parts)
    if not simple or replacing or not reading.sql.startswith("SELECT"):
        return ""
    texts = _each(parts, numbered=True, position=len(reading.values))
    steps = [
        f"part_{n} AS ({text}{' RETURNING *' if table in read else ''})"
        for n, (text, table) in enumerate(zip(texts, written, strict=True))
    ]
    for table in read:
        both = f'SELECT * FROM part_{written.index(table)} UNION ALL SELECT * FROM "{table}"'  # noqa: S608
        steps.append(f'"{table}" AS NOT MATERIALIZED ({both})')
    return f"WITH {', '.join(steps)} {reading.sql}"


def _counted(ordered: Sequence[tuple[Form, Sequence[Any]]]) -> Parts:
    return [(form, len(some)) for form, some in ordered]


def _values(ordered: Sequence[tuple[Form, Sequence[Any]]]) -> list[Any]:
    return [value for _, some in ordered for row in some for value in row]


def _flat(rows: Iterable[Sequence[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
