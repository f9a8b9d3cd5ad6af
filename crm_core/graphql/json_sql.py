"""JSON made by the database: one table of how each value type is written, and objects and lists for both dialects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias, get_args, get_origin
from uuid import UUID

from sqlalchemy import (
    CTE,
    JSON,
    Boolean,
    ColumnClause,
    ColumnElement,
    Date,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    String,
    Text,
    Uuid,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeEngine

from crm_core.db.types import ExactDecimal, UtcDateTime
from crm_core.graphql.fields import Id, Yuan
from crm_core.graphql.late import Unplanned

Sql: TypeAlias = ColumnElement[Any]
Pairs: TypeAlias = "Sequence[tuple[str, Sql]]"
LONGEST_NAME = 63
"""PostgreSQL cuts longer names of columns."""
MOST_COLUMNS = 1_000
FEN = 100
_MOMENT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


class Joined(FunctionElement[str]):
    """Text put together piece by piece, on one level however many pieces there are.

    It has no brackets, for SQLite's parser knows few levels: it stands in lists, calls and other joined text only.
    """

    inherit_cache = True
    name = "joined"
    type = Text()


@compiles(Joined)
def _joined(element: Joined, compiler: Any, **options: Any) -> str:
    return " || ".join(compiler.process(part, **options) for part in element.clauses)


def words(text: str) -> Sql:
    """A constant text of ours in SQL."""
    return literal_column("'" + text.replace("'", "''") + "'", Text())


class Json(ABC):
    """How one dialect writes JSON. `value` writes a declared value; the others put objects and lists together.

    `flat`: aggregates may stand inside an object, so that a statement needs fewer levels.
    """

    flat = False

    @abstractmethod
    def value(self, sql: Sql, type_: Any) -> Sql:
        """A value of a declared type (null stays null)."""

    @abstractmethod
    def inline(self, pairs: Pairs, rows: CTE | None = None) -> Sql:
        """An object of values that stand at hand, or that refer to named rows given with it."""

    @abstractmethod
    def one(self, pairs: Pairs, rows: Select[Any], *, sure: bool = False) -> Sql:
        """An object of the only row of a statement without columns; null where there is none (`sure`: there is one)."""

    @abstractmethod
    def many(self, pairs: Pairs, rows: Select[Any]) -> Sql:
        """The list of objects of a statement's rows, in their order."""

    @abstractmethod
    def gathered(self, pairs: Pairs, only: ColumnElement[bool]) -> Sql:
        """As an aggregate: the list of objects of those rows for which the condition holds."""

    @abstractmethod
    def hexadecimal(self, text: Sql) -> Sql:
        """A text in UTF-8 as lower-case hex."""

    @abstractmethod
    def bytes(self, column: Sql) -> Sql:
        """Bytes as a text of hex; null stays null."""

    @abstractmethod
    def text(self, sql: Sql, type_: Any) -> Sql:
        """A sort key as JSON text, ids without prefix, money in fen; for cursors."""

    @abstractmethod
    def nothing(self) -> Sql:
        """The value null."""

    @abstractmethod
    def truth(self, condition: Sql) -> Sql:
        """A condition that is never null."""


class _PostgresJson(Json):
    """Rows become objects as they are (`row_to_json`): compact, and without a limit of arguments."""

    def __init__(self) -> None:
        self._names = 0

    def value(self, sql: Sql, type_: Any) -> Sql:
        return _POSTGRES.get(_family(type_), _as_text)(sql, type_)

    def inline(self, pairs: Pairs, rows: CTE | None = None) -> Sql:
        if not _fit_columns(pairs):
            found = self._spelled(pairs)
            return found if rows is None else select(found).add_cte(rows, nest_here=True).scalar_subquery()
        return self._row(select(*_labelled(pairs)), rows)

    def _spelled(self, pairs: Pairs) -> Sql:
        """An object whose fields cannot be columns, as text put together."""
        parts: list[Sql] = []
        for key, value in pairs:
            opening = "," if parts else "{"
            text = func.coalesce(cast(func.to_json(_typed(value)), Text), words("null"))
            parts += [words(f'{opening}"{key}":'), text]
        return cast(Joined(words(""), *parts, words("}" if parts else "{}")), JSON)

    def one(self, pairs: Pairs, rows: Select[Any], *, sure: bool = False) -> Sql:
        if not _fit_columns(pairs):
            return rows.add_columns(self.inline(pairs).label("o")).scalar_subquery()
        return self._row(rows.add_columns(*_labelled(pairs)))

    def _row(self, rows: Select[Any], named: CTE | None = None) -> Sql:
        name = self._name()
        found = select(func.row_to_json(literal_column(name))).select_from(rows.subquery(name))
        return (found if named is None else found.add_cte(named, nest_here=True)).scalar_subquery()

    def many(self, pairs: Pairs, rows: Select[Any]) -> Sql:
        name = self._name()
        if not _fit_columns(pairs):
            inner, item = rows.add_columns(self.inline(pairs).label("o")), f"{name}.o"
        else:
            inner, item = rows.add_columns(*_labelled(pairs)), name
        found = func.coalesce(func.json_agg(literal_column(item)), literal_column("'[]'::json"))
        return select(found).select_from(inner.subquery(name)).scalar_subquery()

    def gathered(self, pairs: Pairs, only: ColumnElement[bool]) -> Sql:
        return func.coalesce(func.json_agg(self.inline(pairs)).filter(only), literal_column("'[]'::json"))

    def hexadecimal(self, text: Sql) -> Sql:
        return func.encode(func.convert_to(text, words("UTF8")), words("hex"))

    def bytes(self, column: Sql) -> Sql:
        return func.encode(column, words("hex"), type_=Text())

    def text(self, sql: Sql, type_: Any) -> Sql:
        family = _family(type_)
        if family in (int, bool, Yuan):
            return cast(sql, Text)
        if family is Id:
            return Joined(words('"'), _hexed(sql), words('"'))
        if family in (datetime, date, Decimal):
            return Joined(words('"'), cast(self.value(sql, type_), Text), words('"'))
        return cast(func.to_json(cast(sql, Text)), Text)

    def nothing(self) -> Sql:
        return cast(null(), Text)

    def truth(self, condition: Sql) -> Sql:
        return condition

    def _name(self) -> str:
        self._names += 1
        return f"s{self._names}"


class _SqliteJson(Json):
    """Text put together: JSON once written is not read again on its way up."""

    flat = True

    def value(self, sql: Sql, type_: Any) -> Sql:
        return _SQLITE.get(_family(type_), _as_quoted)(sql, type_)

    def inline(self, pairs: Pairs, rows: CTE | None = None) -> Sql:
        assert rows is None, "rows are gathered, not named"
        parts: list[Sql] = []
        opening = "{"
        for key, value in pairs:
            parts += [words(f'{opening}"{key}":'), value]
            opening = ","
        return Joined(*parts, words("}" if parts else "{}"))

    def one(self, pairs: Pairs, rows: Select[Any], *, sure: bool = False) -> Sql:
        found = rows.add_columns(self.inline(pairs)).scalar_subquery()
        return found if sure else func.coalesce(found, words("null"))

    def many(self, pairs: Pairs, rows: Select[Any]) -> Sql:
        return rows.add_columns(
            self._list(func.group_concat(self.inline(pairs), words(",")))
        ).scalar_subquery()

    def gathered(self, pairs: Pairs, only: ColumnElement[bool]) -> Sql:
        return self._list(func.group_concat(self.inline(pairs), words(",")).filter(only))

    def _list(self, items: Sql) -> Sql:
        return Joined(words("["), func.coalesce(items, words("")), words("]"))

    def hexadecimal(self, text: Sql) -> Sql:
        return func.lower(func.hex(text))

    def bytes(self, column: Sql) -> Sql:
        return case((column.is_not(None), func.hex(column, type_=Text())))  # hex(NULL) is an empty text

    def text(self, sql: Sql, type_: Any) -> Sql:
        if isinstance(type_, Id):
            return Joined(words('"'), func.replace(type_coerce(sql, Text), "-", ""), words('"'))
        return self.value(sql, int if isinstance(type_, Yuan) else type_)

    def nothing(self) -> Sql:
        return words("null")

    def truth(self, condition: Sql) -> Sql:
        return case((condition, words("true")), else_=words("false"))


def writer(dialect: str) -> Json:
    """The writer of a dialect, for one statement."""
    return _PostgresJson() if dialect == "postgresql" else _SqliteJson()


def _typed(value: Sql) -> Sql:
    """PostgreSQL does not know what type a bare constant has."""
    return cast(value, Text) if isinstance(value, ColumnClause) and isinstance(value.type, String) else value


def _fit_columns(pairs: Pairs) -> bool:
    """Whether fields can be columns of a row: there must be some, with names of a length that columns may have."""
    return bool(pairs) and all(len(key.encode()) <= LONGEST_NAME for key, _ in pairs)


def _labelled(pairs: Pairs) -> list[Sql]:
    if len(pairs) > MOST_COLUMNS:
        raise Unplanned("columns")
    return [value.label(quoted_name(key, quote=True)) for key, value in pairs]


# -- values

Written: TypeAlias = "Callable[[Sql, Any], Sql]"


def _family(type_: Any) -> Any:
    """What decides how a declared type is written."""
    if isinstance(type_, Id | Yuan):
        return type(type_)
    if get_origin(type_) is list:
        return _list_family(get_args(type_)[0])
    if isinstance(type_, type) and issubclass(type_, Enum):
        if any(member.name != member.value for member in type_):
            raise Unplanned("enum", f"{type_.__name__}: names and values differ")
        return Enum
    return type_


def _list_family(item: Any) -> Any:
    if item in (str, int, bool) or _family(item) is Enum:
        return dict
    raise Unplanned("list", f"a list of {item}")


def _as_text(sql: Sql, _type: Any) -> Sql:
    return sql if isinstance(sql.type, String) else cast(sql, Text)


def _as_is(sql: Sql, _type: Any) -> Sql:
    return sql


def _hexed(sql: Sql) -> Sql:
    return func.replace(cast(sql, Text), words("-"), words(""), type_=Text())


def _postgres_yuan(sql: Sql, _type: Any) -> Sql:
    return cast(cast(cast(sql, Numeric) / FEN, Numeric(30, 2)), Text)


_POSTGRES: dict[Any, Written] = {
    Id: lambda sql, type_: Joined(words(type_.prefix + "_"), _hexed(sql)),
    Yuan: _postgres_yuan,
    datetime: lambda sql, _type: func.to_char(func.timezone(words("UTC"), sql), words(_MOMENT), type_=Text()),
    date: _as_is,
    Decimal: lambda sql, _type: cast(sql, Text),
    bool: _as_is,
    int: _as_is,
    dict: _as_is,
}


def _as_quoted(sql: Sql, _type: Any) -> Sql:
    return func.json_quote(sql if isinstance(sql.type, String) else cast(sql, Text))


def _in_quotes(sql: Sql) -> Sql:
    """A text without anything to escape."""
    return func.coalesce(Joined(words('"'), sql, words('"')), words("null"))


def _sqlite_id(sql: Sql, type_: Any) -> Sql:
    plain = func.replace(type_coerce(sql, Text), "-", "", type_=Text())
    return func.coalesce(Joined(words(f'"{type_.prefix}_'), plain, words('"')), words("null"))


def _sqlite_yuan(sql: Sql, _type: Any) -> Sql:
    sign = case((sql < 0, words("-")), else_=words(""))
    shown = func.printf(words('"%s%d.%02d"'), sign, func.abs(sql) // FEN, func.abs(sql) % FEN)
    return case((sql.is_(None), words("null")), else_=shown)


def _sqlite_decimal(sql: Sql, _type: Any) -> Sql:
    if isinstance(sql.type, ExactDecimal):
        return func.json_quote(type_coerce(sql, Text))
    scale = getattr(sql.type, "scale", None)
    places = 10 if scale is None else scale
    return case((sql.is_(None), words("null")), else_=func.printf(words(f'"%.{places}f"'), sql))


_SQLITE: dict[Any, Written] = {
    Id: _sqlite_id,
    Yuan: _sqlite_yuan,
    datetime: lambda sql, _type: _in_quotes(
        func.replace(type_coerce(sql, Text), words(" "), words("T")).op("||")(words("Z"))
    ),
    date: lambda sql, _type: _in_quotes(type_coerce(sql, Text)),
    Decimal: _sqlite_decimal,
    bool: lambda sql, _type: case((sql.is_(None), words("null")), (sql, words("true")), else_=words("false")),
    int: lambda sql, _type: func.json_quote(sql),
    dict: lambda sql, _type: func.coalesce(type_coerce(sql, Text), words("null")),
}


# -- columns that plugins' functions need, as the database's own values


def needed(json: Json, column: Sql) -> tuple[Sql, Callable[[Any], Any]]:
    """A column written so that nothing of it is lost, and how to read it back."""
    if isinstance(column.type, LargeBinary):
        return json.value(json.bytes(column), str), _or_null(bytes.fromhex)
    for kind, (type_, read) in _NEEDED.items():
        if isinstance(column.type, kind):
            return json.value(column, type_), read
    raise Unplanned("column", f"a column of type {column.type!r}")


def _or_null(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _plain(value: Any) -> Any:
    return value


_NEEDED: dict[type[TypeEngine[Any]], tuple[Any, Callable[[Any], Any]]] = {
    Uuid: (Id("x"), _or_null(lambda text: UUID(hex=text[2:]))),
    UtcDateTime: (datetime, _or_null(datetime.fromisoformat)),
    Date: (date, _or_null(date.fromisoformat)),
    Boolean: (bool, _plain),
    Integer: (int, _plain),
    Numeric: (Decimal, _or_null(Decimal)),
    ExactDecimal: (Decimal, _or_null(Decimal)),
    String: (str, _plain),
    JSON: (dict, _plain),
}
