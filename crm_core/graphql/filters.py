"""Typed filters: which operators each value type has, and a `where` input as one SQL predicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from graphql import GraphQLError
from sqlalchemy import ColumnElement, String, and_, bindparam, false, func, not_, or_, select, true
from sqlalchemy.sql.elements import BindParameter, False_, True_

from crm_core.db.arrays import among
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, Filter, ObjectType, Yuan
from crm_core.graphql.late import Late, converted
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
MOST_CONDITIONS = 1_000
LONGEST_PATTERN = 1_000
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
    if depth == 0:
        _measured(where)
    if depth > DEEPEST:
        raise GraphQLError(f"where: nested deeper than {DEEPEST}", extensions={"code": "TOO_COMPLEX"})
    parts: list[ColumnElement[bool]] = [true()]
    for key, value in where.items():
        parts.append(_part(kind, t, key, value, access, types, depth))
    return and_(*parts)


def _measured(where: Mapping[str, Any]) -> None:
    """Refuse more conditions than a database takes in one statement."""
    waiting: list[Any] = [where]
    count = 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            count += len(one)
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        if count > MOST_CONDITIONS:
            text = f"where: more than {MOST_CONDITIONS} conditions"
            raise GraphQLError(text, extensions={"code": "TOO_COMPLEX"})


_RANGES = frozenset(("gt", "gte", "lt", "lte"))


def is_uneven(kind: ObjectType, where: Any) -> bool:
    """Whether how many rows meet a condition depends on its very values: ranges of time, and what is declared so."""
    if not isinstance(where, Mapping):
        return False
    for key, value in where.items():
        declared = kind.by_name.get(key)
        if any(own.uneven and own.name == key for own in kind.filters):
            return True
        if key in ("and", "or", "not"):
            parts = value if isinstance(value, list) else [value]
            if any(is_uneven(kind, part) for part in parts):
                return True
        elif declared is not None and declared.kind == "column" and isinstance(value, Mapping):
            moments = declared.type in (date, datetime) and not _RANGES.isdisjoint(value)
            if moments or (declared.uneven and not {"eq", "in"}.isdisjoint(value)):
                return True
    return False


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
        if own.owner in access.hidden:
            raise _forbidden(kind, own.name, f"belongs to plugin {own.owner}, enabled in none of your lines")
        if own.mask is not None and own.mask.hides(access):
            raise _forbidden(kind, own.name, f"needs the permission {own.mask.unless}, as far as you read")
        return _beside_others(_own(kind, own, t, value, access))
    declared = kind.by_name[key]
    target = types.get(declared.target)
    _allowed(kind, declared, access, target.scope if target else None)
    if declared.kind == "column":
        return _compared(declared, t, value, access)
    return _related(declared, t, value, access, types, depth)


def _own(kind: ObjectType, own: Filter, t: Any, value: Any, access: Access) -> ColumnElement[bool]:
    """A filter of the type's own."""

    def plain(given: Any) -> Any:
        return _converted(own.name, own.type, given)

    def build(table: Any, caller: Access, given: Any) -> ColumnElement[bool]:
        parts = (plain(given),) if own.parts is None else own.parts(caller, plain(given))
        return own.sql(table, caller, *parts)

    if not isinstance(value, Late):
        return build(t, access, value)
    split = own.parts
    if split is None:  # it may look at its value
        return value.trail.trace(value, build, kind.aliased(access, "canonical"), t)
    late = value.trail.split(value, lambda caller, given: split(caller, plain(given)))
    return own.sql(t, access, *late)


def _beside_others(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The same; as a mere true or false it would make those beside it vanish, and their values must be sound."""
    return or_(condition) if isinstance(condition, True_ | False_) else condition


def _allowed(kind: ObjectType, declared: Field, access: Access, target_scope: str | None) -> None:
    """What one may not read, one may not ask about either."""
    denial = access.denial(declared.owner, declared.scope, target_scope)
    if denial is not None:
        raise _forbidden(kind, declared.name, denial)


def _forbidden(kind: ObjectType, name: str, why: str) -> GraphQLError:
    return GraphQLError(f"where.{name} of {kind.name} {why} (无权访问)", extensions={"code": "FORBIDDEN"})


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
    rule = target.visible(other, access)
    condition = and_(
        true() if rule is None else rule, predicate(target, other, where, access, types, depth + 1)
    )
    if declared.match is not None:
        chosen = select(other.c.id).where(condition).correlate(None)
        return declared.match(t, access, lambda column: column.in_(chosen))
    assert declared.on is not None
    met = and_(declared.on(t, other, access), condition)
    return select(1).select_from(other).where(met).correlate(t).exists()


def _compared(declared: Field, t: Any, tests: Mapping[str, Any], access: Access) -> ColumnElement[bool]:
    guessing = declared.mask is not None and declared.mask.hides(access)
    if guessing and not tests.keys() <= {*_EQUALITY, "ne"}:
        raise GraphQLError(
            f"{declared.name} is shown to you in part only: compare it as a whole (仅支持精确匹配)",
            extensions={"code": "FORBIDDEN"},
        )

    def holds(column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(true(), *(_test(column, declared.type, op, v, access.dialect) for op, v in tests.items()))

    if declared.match is not None:
        return declared.match(t, access, holds)
    return holds(declared.plain(t, access))


def _test(
    column: ColumnElement[Any], type_: Any, operator: str, value: Any, dialect: str
) -> ColumnElement[bool]:
    if operator == "isNull":
        return true() if value is None else (column.is_(None) if value else column.is_not(None))
    if value is None:
        raise _null(operator)
    if operator == "in":
        return among(column, converted(value, lambda values: _each(type_, values)), sql_type(type_), dialect)
    given = converted(value, lambda one: _converted(operator, type_, one))
    if operator in _PATTERNS:
        return _like(column, given, operator, dialect)
    return _BINARY[operator](column, bindparam(None, given, type_=sql_type(type_), unique=True))


def _each(type_: Any, values: Any) -> list[Any]:
    """The values of an `in`."""
    if None in values:
        raise _null("in")
    _bounded("in", values)
    return [_converted("in", type_, one) for one in values]


def _converted(operator: str, type_: Any, value: Any) -> Any:
    """The database value; refuses what no column of this type can hold."""
    try:
        found = stored(type_)(value)
        if isinstance(found, str):
            found.encode()
    except (ValueError, ArithmeticError) as error:
        raise _wrong(operator, str(error)) from None
    if isinstance(found, str) and "\0" in found:
        raise _wrong(operator, "the character NUL is no text")
    return found


def _null(operator: str) -> GraphQLError:
    return _wrong(operator, "null is not a value; use isNull")


def _wrong(operator: str, problem: str) -> GraphQLError:
    return GraphQLError(f"{operator}: {problem}", extensions={"code": "INVALID_FILTER"})


def _bounded(key: str, values: Any) -> None:
    if len(values) > MOST_VALUES:
        raise GraphQLError(f"{key}: at most {MOST_VALUES} values", extensions={"code": "TOO_COMPLEX"})


_PATTERNS: Mapping[str, tuple[str, str]] = {"contains": ("%{}%", "*{}*"), "startsWith": ("{}%", "{}*")}


def _like(column: ColumnElement[Any], text: Any, operator: str, dialect: str) -> ColumnElement[bool]:
    """Text as it stands: no wildcards, and case counts on both databases (SQLite's LIKE would overlook it)."""
    like, glob = _PATTERNS[operator]
    if dialect == "sqlite":
        pattern = converted(text, lambda one: glob.format(_literally(one, operator, "[{}]", "*?[")))
        return column.op("GLOB", is_comparison=True)(bindparam(None, pattern, String(), unique=True))
    pattern = converted(text, lambda one: like.format(_literally(one, operator, "\\{}", "\\%_")))
    return column.like(bindparam(None, pattern, String(), unique=True), escape="\\")


def _literally(text: str, operator: str, escaped: str, wild: str) -> str:
    """The text with its wildcards taken literally."""
    if len(text) > LONGEST_PATTERN:
        raise _wrong(operator, f"at most {LONGEST_PATTERN} characters")
    return "".join(escaped.format(c) if c in wild else c for c in text)


_BINARY: Mapping[str, Callable[[ColumnElement[Any], BindParameter[Any]], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: (column != value) | column.is_(None),
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
}
