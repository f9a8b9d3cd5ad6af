"""Declarations of object types and fields: SQL, scope, mask, cost and words in one place, for schema and reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from pydantic.alias_generators import to_snake
from sqlalchemy import Alias, ColumnElement, FromClause, Select, Table

from crm_core.graphql.access import Access, Rule

T: TypeAlias = Any
"""A table under its alias: `t.c.name`."""
Sql: TypeAlias = "Callable[[T, Access], ColumnElement[Any]]"
On: TypeAlias = "Callable[[T, T, Access], ColumnElement[bool]]"
Predicate: TypeAlias = "Callable[[ColumnElement[Any]], ColumnElement[bool]]"
Row: TypeAlias = "dict[str, Any]"
Batch: TypeAlias = "Callable[[Sequence[Row], Any], Awaitable[Sequence[Any]]]"


@dataclass(frozen=True, slots=True)
class Id:
    """An id shown as `<prefix>_<32 hex>`; the type of a field that holds one."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Yuan:
    """Money: integer fen in the database, a decimal string of yuan in the API."""


YUAN = Yuan()
"""The type of money fields: yuan with two decimals, kept as fen."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Shows a column in part (`138****1234`) to who lacks the scope `unless`.

    With `reads`, the scope that reads the record, `unless` must reach as far in every line where `reads` is held, so
    that one's own customers do not open everybody's.
    """

    sql: Callable[[ColumnElement[Any]], ColumnElement[Any]]
    unless: str
    reads: str | None = None

    def hides(self, access: Access) -> bool:
        """Whether this caller sees the value only in part."""
        if self.reads is None:
            return not access.actor.may(self.unless)
        return not access.actor.reaches_as_far(self.unless, self.reads)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a type. Which attributes matter depends on `kind`; make them with the functions below."""

    kind: Literal["column", "relation", "listing", "connection", "batch", "query_one", "query_connection"]
    name: str
    description: str
    type: Any = None
    target: str = ""
    sql: Sql | None = None
    on: On | None = None
    match: Callable[[T, Access, Predicate], ColumnElement[bool]] | None = None
    function: Batch | None = None
    needs: tuple[str, ...] = ()
    nullable: bool = True
    scope: str | None = None
    mask: Mask | None = None
    cost: int = 0
    filter: bool = False
    sort: bool = False
    order: Callable[[T], Sequence[ColumnElement[Any]]] | None = None
    uneven: bool = False
    shorthands: tuple[tuple[str, str, str], ...] = ()
    live: Callable[[Any], Awaitable[int]] | None = None
    deprecated: str | None = None
    owner: str = "core"

    def expression(self, t: T, access: Access) -> ColumnElement[Any]:
        """The field's SQL, masked where the actor may see it only in part."""
        plain = self.plain(t, access)
        if self.mask is None or not self.mask.hides(access):
            return plain
        return self.mask.sql(plain)

    def plain(self, t: T, access: Access) -> ColumnElement[Any]:
        """The field's SQL without its mask; by default the column of the same name."""
        if self.sql is not None:
            return self.sql(t, access)
        column: ColumnElement[Any] = t.c[to_snake(self.name)]
        return column


def whole(_access: Access, value: Any) -> tuple[Any]:
    """`Filter(parts=whole)`: the value is compared as it is."""
    return (value,)


@dataclass(frozen=True, slots=True)
class Filter:
    """A further key of a type's `where`, beyond its filterable fields: `sql(t, access, value)` is its predicate.

    One that compares with a masked value names its `mask`: it is refused to whom the value is hidden. `finds` says
    that it leads to few rows by an index. `uneven`: some meet it with many rows and others with few, so PostgreSQL plans
    a list filtered by it for the very caller and value.

    `sql` is asked for every request, and may look at its value. A filter used often is faster with
    `parts(access, value)`, which makes of the value what is to be bound (`whole`: the value as it is), None where
    there is nothing: `sql(t, access, *parts)` is then asked once for all values, and gets parts not known yet. It may
    compare columns with them; which of them are None is all it can see.
    """

    name: str
    type: Any
    description: str
    sql: Callable[..., ColumnElement[bool]]
    owner: str = "core"
    mask: Mask | None = None
    parts: Callable[[Access, Any], Sequence[Any]] | None = None
    finds: bool = False
    uneven: bool = False


@dataclass(frozen=True)
class Source:
    """One source of the customer timeline (时间线): rows of a type as (customer, line, moment, title).

    `select` gives a statement with the columns customer_id, line, at, id (shown form), kind, title, status; the row
    rules of its tables must be part of it.
    """

    name: str
    select: Callable[[Access], Select[Any]]


@dataclass(frozen=True)
class ObjectType:
    """A type of the API over a table: its row rule belongs to the table and holds wherever the table is used.

    A type without `prefix` is reached only through its parents and has no `node(id:)`. `order` is the default order
    of its lists (column, descending); `id` is added last so that every order is total. `version` says whether
    commands may be guarded by `expectedVersion`. `numbered_by` names a column in place of `order`: an integer that no two
    visible rows share and none lacks; its lists run upwards by it, and it is the cursor of its rows.
    """

    name: str
    table: Table | Callable[[Access], FromClause]
    description: str
    fields: tuple[Field, ...]
    prefix: str | None = None
    model: Any = None
    rule: Rule | None = None
    scope: str | None = None
    order: Callable[[T], Sequence[ColumnElement[Any]]] | None = None
    numbered_by: str | None = None
    filters: tuple[Filter, ...] = ()
    plural: str = ""
    by_name: Mapping[str, Field] = attribute(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the fields."""
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields})

    def aliased(self, access: Access, name: str) -> Alias:
        """The table under an alias of this statement."""
        if isinstance(self.table, Table):
            return _alias(self.table, name)
        return self.table(access).alias(name)  # type: ignore[return-value]  # every FromClause we use can be aliased

    def visible(self, t: T, access: Access, scope: str | None = None) -> ColumnElement[bool] | None:
        """The row rule on this use of the table, for reading or for the scope of a command.

        None: the type is reached only through visible parents.
        """
        return self.rule(t, access, scope or self.scope or "") if self.rule is not None else None


@lru_cache(maxsize=4_096)
def _alias(table: Table, name: str) -> Alias:
    """One object for one table under one name: its columns are made once, not for every statement."""
    return table.alias(name)  # type: ignore[return-value]  # an alias it is


def field(
    name: str,
    type: Any,
    description: str,
    *,
    sql: Sql | None = None,
    match: Callable[[T, Access, Predicate], ColumnElement[bool]] | None = None,
    nullable: bool = True,
    scope: str | None = None,
    mask: Mask | None = None,
    filter: bool = False,
    sort: bool = False,
    uneven: bool = False,
    cost: int = 0,
    deprecated: str | None = None,
) -> Field:
    """A value field backed by SQL; without `sql` the column of the same name in snake_case.

    `type` is str, int, bool, Decimal, date, datetime, an Enum class, `Id(prefix)`, `YUAN`, `dict` (JSON) or
    `list[…]` of these kept as JSON. `filter`/`sort` put it into the type's `where`/`orderBy`; `match` replaces the
    plain comparison of a filter where an index wants another form. A scoped field must be nullable. `uneven`: some of
    its values are had by many rows and others by few, so PostgreSQL plans a list filtered by it for the very value.
    """
    return Field(
        kind="column", name=name, type=type, description=description, sql=sql, match=match,
        nullable=nullable or scope is not None, scope=scope, mask=mask, filter=filter, sort=sort, uneven=uneven,
        cost=cost, deprecated=deprecated,
    )  # fmt: skip


def relation(
    name: str,
    target: str,
    description: str,
    *,
    on: On,
    match: Callable[[T, Access, Predicate], ColumnElement[bool]] | None = None,
    scope: str | None = None,
    filter: bool = False,
    deprecated: str | None = None,
) -> Field:
    """A field to one record of another type, null when there is none or the caller may not see it.

    `match` replaces the look at each record's target in a filter where an index wants another form: it gets a test
    of a column that holds the target's id.
    """
    return Field(
        kind="relation", name=name, target=target, description=description, on=on, match=match, scope=scope,
        filter=filter, cost=1, deprecated=deprecated,
    )  # fmt: skip


def listing(
    name: str,
    target: str,
    description: str,
    *,
    on: On,
    order: Callable[[T], Sequence[ColumnElement[Any]]] | None = None,
    scope: str | None = None,
    filter: bool = False,
) -> Field:
    """A short plain list of parts (at most 100), e.g. the phones of a customer."""
    return Field(
        kind="listing", name=name, target=target, description=description, on=on, order=order, scope=scope, cost=2,
        filter=filter,
    )  # fmt: skip


def connection(
    name: str,
    target: str,
    description: str,
    *,
    on: On,
    scope: str | None = None,
    deprecated: str | None = None,
) -> Field:
    """A field to many records: a Relay connection with first/after/last/before, where, orderBy and totalCount."""
    return Field(
        kind="connection", name=name, target=target, description=description, on=on, scope=scope, cost=2,
        deprecated=deprecated,
    )  # fmt: skip


def batch(
    name: str,
    type: Any,
    description: str,
    function: Batch,
    *,
    needs: tuple[str, ...] = ("id",),
    scope: str | None = None,
    cost: int = 5,
) -> Field:
    """A field computed in Python for all parents at once: `await function(rows, context)` gives one value per row.

    Each row holds the columns named in `needs`. If the function raises, the field is null with an error; the rest
    of the answer stands.
    """
    return Field(
        kind="batch", name=name, type=type, description=description, function=function, needs=needs, scope=scope,
        cost=cost,
    )  # fmt: skip


def query_one(name: str, target: str, description: str) -> Field:
    """A root field for one record by id."""
    return Field(kind="query_one", name=name, target=target, description=description, cost=1)


def query_connection(
    name: str,
    target: str,
    description: str,
    *,
    scope: str | None = None,
    shorthands: Mapping[str, tuple[str, str]] | None = None,
    live: Callable[[Any], Awaitable[int]] | None = None,
) -> Field:
    """A root field for a connection over all records of a type that the caller may see.

    `shorthands` gives it further arguments for what is asked most: argument → (field, operator) of its `where`.
    With `live` it can be subscribed to as well, where the type is `numbered_by` a column and shows it as `position`:
    an async function (services) that gives the last number of all.
    """
    return Field(
        kind="query_connection", name=name, target=target, description=description, scope=scope, cost=2,
        shorthands=tuple((name, *what) for name, what in (shorthands or {}).items()), live=live,
    )  # fmt: skip


def record_fields(prefix: str) -> tuple[Field, ...]:
    """Id, line, moments and version: what every record of one line shows whose ids begin with `prefix`."""
    return (
        field("id", Id(prefix), "Id.", nullable=False, filter=True),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
    )


def asked_where(declared: Field, arguments: Mapping[str, Any]) -> Any:
    """The condition that the arguments of a connection ask for: its `where`, and its shorthands spelled out."""
    parts = [
        {field_: {operator: arguments[name]}}
        for name, field_, operator in declared.shorthands
        if arguments.get(name) is not None
    ]
    where = arguments.get("where")
    return {"and": [where, *parts] if where else parts} if parts else where
