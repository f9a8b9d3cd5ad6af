"""How each value type travels: GraphQL annotation, database value → API value, API value → database value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NewType, get_args, get_origin
from uuid import UUID

import strawberry
from graphql import GraphQLError
from sqlalchemy import BigInteger, Boolean, Date, Integer, Numeric, String, Uuid
from sqlalchemy.types import TypeEngine
from strawberry.types.scalar import ScalarDefinition

from crm_core import ids, money
from crm_core.db.types import UtcDateTime
from crm_core.graphql.fields import Id, Yuan

Moment = NewType("Moment", str)
Day = NewType("Day", str)
YuanAmount = NewType("YuanAmount", str)
Number = NewType("Number", str)
Anything = NewType("Anything", object)


def show_moment(moment: datetime) -> str:
    """A UTC moment as RFC 3339 with microseconds: `2025-10-31T01:02:03.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_moment(text: Any) -> datetime:
    """A moment from RFC 3339; one without a zone is refused."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise GraphQLError(f"DateTime: {text!r} is not RFC 3339, e.g. 2025-10-31T09:00:00+08:00") from None
    if moment.tzinfo is None:
        raise GraphQLError(f"DateTime: {text!r} has no time zone; append Z or +08:00")
    return moment.astimezone(UTC)


def read_day(text: Any) -> date:
    """A day from `YYYY-MM-DD`."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise GraphQLError(f"Date: {text!r} is not a day of the form 2025-10-31") from None


def read_number(text: Any) -> Decimal:
    """A decimal from its string (or a JSON integer); never from a float."""
    try:
        if isinstance(text, bool | float):
            raise InvalidOperation
        number = Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        raise GraphQLError(
            f'Decimal: {text!r} is not a decimal; write it as a string, e.g. "1200.50"'
        ) from None
    if not number.is_finite():
        raise GraphQLError(f"Decimal: {text!r} is not a finite number")
    return number


def _plain(value: Any) -> Any:
    return value


SCALARS: dict[object, ScalarDefinition] = {
    Moment: strawberry.scalar(
        name="DateTime",
        description="A moment, RFC 3339 with zone; answers are in UTC (时间).",
        serialize=_plain,
        parse_value=read_moment,
    ),
    Day: strawberry.scalar(
        name="Date", description="A day, YYYY-MM-DD (日期).", serialize=_plain, parse_value=read_day
    ),
    YuanAmount: strawberry.scalar(
        name="Yuan",
        description="Money in yuan with two decimals, as a string (元).",
        serialize=_plain,
        parse_value=read_number,
    ),
    Number: strawberry.scalar(
        name="Decimal",
        description="A decimal number as a string, never a float.",
        serialize=_plain,
        parse_value=read_number,
    ),
    Anything: strawberry.scalar(
        name="JSON", description="Any JSON value.", serialize=_plain, parse_value=_plain
    ),
}

_ANNOTATIONS: dict[Any, Any] = {
    str: str, int: int, bool: bool, datetime: Moment, date: Day, Decimal: Number, dict: Anything,
}  # fmt: skip


def annotation(type_: Any) -> Any:
    """The Strawberry annotation of a declared type."""
    if isinstance(type_, Id):
        return strawberry.ID
    if isinstance(type_, Yuan):
        return YuanAmount
    if get_origin(type_) is list:
        return list[annotation(get_args(type_)[0])]  # type: ignore[misc]  # built at run time
    if isinstance(type_, type) and issubclass(type_, Enum):
        return graphql_enum(type_)
    return _ANNOTATIONS[type_]


def graphql_enum(type_: type[Enum]) -> type[Enum]:
    """The enum as a GraphQL enum, described by its docstring; values are its member names."""
    if not hasattr(type_, "__strawberry_definition__"):
        strawberry.enum(type_, description=(type_.__doc__ or "").strip())
    return type_


def shown(type_: Any) -> Callable[[Any], Any]:
    """Database value → API value, for values that are not null."""
    if isinstance(type_, Id):
        return lambda value: ids.show(type_.prefix, value)
    if isinstance(type_, Yuan):
        return lambda value: str(money.yuan(value))
    if get_origin(type_) is list:
        one = shown(get_args(type_)[0])
        return lambda values: [one(value) for value in values]
    if isinstance(type_, type) and issubclass(type_, Enum):
        return type_
    return _SHOWN.get(type_, _plain)


_SHOWN: dict[Any, Callable[[Any], Any]] = {
    datetime: show_moment,
    date: lambda day: day.isoformat(),
    Decimal: lambda number: format(number, "f"),
    bool: bool,
}


def stored(type_: Any) -> Callable[[Any], Any]:
    """API value (already parsed by its scalar) → database value; `GraphQLError` when it is none."""
    if isinstance(type_, Id):
        return lambda shown_id: _read_id(type_.prefix, shown_id)
    if isinstance(type_, Yuan):
        return money.fen
    if isinstance(type_, type) and issubclass(type_, Enum):
        return lambda member: member.value if isinstance(member, Enum) else member
    return _plain


def _read_id(prefix: str, shown_id: str) -> Any:
    try:
        return ids.read_as(prefix, shown_id)
    except ValueError:
        raise GraphQLError(
            f"{shown_id!r} is not an id of the form {prefix}_…", extensions={"code": "INVALID_ID"}
        ) from None


def cursor_value(value: Any) -> Any:
    """A sort key as it stands in a cursor (JSON)."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, UUID):
        return value.hex
    return show_moment(value) if isinstance(value, datetime) else str(value)


def from_cursor(type_: Any, value: Any) -> Any:
    """A sort key from a cursor, as a value of the column."""
    if value is None:
        return None
    reader = _FROM_CURSOR.get(type_)
    if isinstance(type_, Id):
        return UUID(value)
    return reader(value) if reader else value


_FROM_CURSOR: dict[Any, Callable[[Any], Any]] = {
    datetime: read_moment,
    date: read_day,
    Decimal: Decimal,
}


def sql_type(type_: Any) -> TypeEngine[Any]:
    """The SQL type of a bound value of this declared type."""
    if isinstance(type_, Id):
        return Uuid()
    if isinstance(type_, Yuan):
        return BigInteger()
    return _SQL.get(type_, String())


_SQL: dict[Any, TypeEngine[Any]] = {
    int: Integer(), bool: Boolean(), datetime: UtcDateTime(), date: Date(), Decimal: Numeric(),
}  # fmt: skip
