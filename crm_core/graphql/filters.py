"""Typed filters: which operators each value type has, and a `where` input as one SQL predicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from graphql import GraphQLError
from sqlalchemy import ColumnElement, and_, bindparam, false, func, not_, or_, select, true
from sqlalchemy.sql.elements import BindParameter

from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, ObjectType, Yuan
from crm_core.graphql.values import sql_type, stored

OPERATORS: Mapping[str, str] = {
    "eq": "Equal to.",
    "ne": "Not equal to; null counts as not equal.",
    "in": "One of these (at most 100).",
    "gt": "Greater than.",
    "gte": "Greater than or equal to.",
    "lt": "Less than.",
    "lte": "Less than or equal to.",
    "contains": "Contains this text.",
    "startsWith": "Starts with this text.",
    "isNull": "Is (true) or is not (false) null.",
}
_EQUALITY = ("eq", "ne", "in", "isNull")
_ORDER = ("eq", "ne", "in", "gt", "gte", "lt", "lte", "isNull")
_TEXT = ("eq", "ne", "in", "contains", "startsWith", "isNull")
MOST_VALUES = 100
DEEPEST = 6


def operators(type_: Any) -> tuple[str, ...]:
    """The operators a filterable field of this type has."""
    if isinstance(type_, Yuan) or type_ in (int, Decimal, date, datetime):
        return _ORDER
    if type_ is str:
        return _TEXT
    return ("eq", "isNull") if type_ is bool else _EQUALITY


def predicate(
    kind: ObjectType,
    t: Any,
    where: Mapping[str, Any],
    access: Access,
    types: Mapping[str, ObjectType],
    depth: int = 0,
) -> ColumnElement[bool]:
    """The `where` input as SQL over `t`; related tables keep their own row rules. Raises for too deep or too long."""
    if depth > DEEPEST:
        raise GraphQLError(f"where: nested deeper than {DEEPEST}", extensions={"code": "TOO_COMPLEX"})
    parts: list[ColumnElement[bool]] = [true()]
    for key, value in where.items():
        parts.append(_part(kind, t, key, value, access, types, depth))
    return and_(*parts)


def _part(
    kind: ObjectType,
    t: Any,
    key: str,
    value: Any,
    access: Access,
    types: Mapping[str, ObjectType],
    depth: int,
) -> ColumnElement[bool]:
    def inner(one: Mapping[str, Any]) -> ColumnElement[bool]:
        return predicate(kind, t, one, access, types, depth + 1)

    if value is None:
        return true()
    if key == "not":
        return not_(func.coalesce(inner(value), false()))
    if key in ("and", "or"):
        _bounded(key, value)
        return and_(true(), *map(inner, value)) if key == "and" else or_(false(), *map(inner, value))
    own = next((f for f in kind.filters if f.name == key), None)
    if own is not None:
        return own.sql(t, access, stored(own.type)(value))
    declared = kind.by_name[key]
    _allowed(kind, declared, access)
    if declared.kind == "column":
        return _compared(declared, t, value, access)
    return _related(declared, t, value, access, types, depth)


def _allowed(kind: ObjectType, declared: Field, access: Access) -> None:
    if declared.scope is not None and not access.actor.may(declared.scope):
        raise GraphQLError(
            f"where.{declared.name} of {kind.name} needs the permission {declared.scope}",
            extensions={"code": "FORBIDDEN"},
        )


def _related(
    declared: Field,
    t: Any,
    where: Mapping[str, Any],
    access: Access,
    types: Mapping[str, ObjectType],
    depth: int,
) -> ColumnElement[bool]:
    target = types[declared.target]
    other = target.aliased(access, f"w{depth}_{declared.name}")
    assert declared.on is not None
    rule = target.visible(other, access)
    condition = and_(
        declared.on(t, other, access),
        true() if rule is None else rule,
        predicate(target, other, where, access, types, depth + 1),
    )
    return select(1).select_from(other).where(condition).correlate(t).exists()


def _compared(declared: Field, t: Any, tests: Mapping[str, Any], access: Access) -> ColumnElement[bool]:
    def holds(column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(true(), *(_test(column, declared.type, op, value) for op, value in tests.items()))

    if declared.match is not None:
        return declared.match(t, access, holds)
    return holds(declared.plain(t, access))


def _test(column: ColumnElement[Any], type_: Any, operator: str, value: Any) -> ColumnElement[bool]:
    if operator == "isNull":
        return true() if value is None else (column.is_(None) if value else column.is_not(None))
    if value is None:
        raise GraphQLError(
            f"{operator}: null is not a value; use isNull", extensions={"code": "INVALID_FILTER"}
        )
    convert = stored(type_)
    if operator == "in":
        _bounded("in", value)
        found = bindparam(
            None, [convert(v) for v in value], type_=sql_type(type_), expanding=True, unique=True
        )
        return column.in_(found)
    return _BINARY[operator](column, bindparam(None, convert(value), type_=sql_type(type_), unique=True))


def _bounded(key: str, values: Any) -> None:
    if len(values) > MOST_VALUES:
        raise GraphQLError(f"{key}: at most {MOST_VALUES} values", extensions={"code": "TOO_COMPLEX"})


def _contains(column: ColumnElement[Any], value: BindParameter[Any]) -> ColumnElement[bool]:
    return column.like(_literal_pattern(value, "%{}%"), escape="\\")


def _starts(column: ColumnElement[Any], value: BindParameter[Any]) -> ColumnElement[bool]:
    return column.like(_literal_pattern(value, "{}%"), escape="\\")


def _literal_pattern(value: BindParameter[Any], form: str) -> BindParameter[Any]:
    text = str(value.value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return bindparam(None, form.format(text), unique=True)


_BINARY: Mapping[str, Callable[[ColumnElement[Any], BindParameter[Any]], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: (column != value) | column.is_(None),
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "contains": _contains,
    "startsWith": _starts,
}
