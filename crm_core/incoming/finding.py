"""Finds the records a step asks for, among those the source's user may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from crm_core import errors, ids
from crm_core.db.unit import Unit
from crm_core.errors import Fault, Refused
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, Filter, Id, ObjectType
from crm_core.incoming.refusals import AMBIGUOUS, NOT_COMPARABLE

_COMPARABLE: Final = (str, int, bool)


def findable(kind: ObjectType) -> dict[str, Field | Filter]:
    """What records of a type can be found by: its filters of one plain value, and its plain filterable fields."""
    fields: dict[str, Field | Filter] = {
        f.name: f for f in kind.fields if f.filter and f.kind == "column" and _is_plain(f.type)
    }
    return fields | {f.name: f for f in kind.filters if f.type in _COMPARABLE}


def _is_plain(type_: Any) -> bool:
    return (
        isinstance(type_, Id) or type_ in _COMPARABLE or (isinstance(type_, type) and issubclass(type_, Enum))
    )


async def found(
    session: Unit, access: Access, kind: ObjectType, where: Mapping[str, Any], *, first: bool
) -> UUID | None:
    """The id of the record that has all these values, None where there is none.

    Raises `Refused` where there are several, unless the `first` made is wanted, and where the user may not read the
    type or compare with a value that is hidden from him.
    """
    if kind.scope is not None and not access.actor.may(kind.scope):
        raise Refused(errors.FORBIDDEN(scope=kind.scope, line=", ".join(access.actor.lines) or "-"))
    statement = _statement(access, kind, where)
    if statement is None:
        return None
    keys: list[UUID] = list((await session.execute(statement)).scalars())
    if len(keys) > 1 and not first:
        raise Refused(AMBIGUOUS("find", type=kind.name))
    return keys[0] if keys else None


def _statement(access: Access, kind: ObjectType, where: Mapping[str, Any]) -> Select[Any] | None:
    table = kind.model.__table__
    rule = kind.visible(table, access)
    if rule is None:
        raise Fault("NOT_FINDABLE", f"{kind.name} is reached through its parents alone")
    conditions = [_condition(access, kind, table, name, value) for name, value in where.items()]
    if not conditions or any(one is None for one in conditions):
        return None
    wanted = [one for one in conditions if one is not None]
    return select(table.c.id).where(rule, *wanted).order_by(table.c.id).limit(2)


def _condition(
    access: Access, kind: ObjectType, table: Any, name: str, value: Any
) -> ColumnElement[bool] | None:
    """The comparison with one value; None where nothing can have it."""
    by = findable(kind)[name]
    if by.mask is not None and by.mask.hides(access):
        raise Refused(
            errors.FORBIDDEN(f"where.{name}", scope=by.mask.unless, line=", ".join(access.actor.lines))
        )
    if isinstance(by, Field) and by.scope is not None and not access.actor.may(by.scope):
        raise Refused(errors.FORBIDDEN(f"where.{name}", scope=by.scope, line=", ".join(access.actor.lines)))
    wanted = _value(by.type, name, value)
    if isinstance(by, Field):
        equal: ColumnElement[bool] = by.plain(table, access) == wanted
        return equal
    if by.parts is None:
        return by.sql(table, access, wanted)
    parts: Sequence[Any] | None = by.parts(access, wanted)  # None: no row has it
    if not parts or any(part is None or part == [] for part in parts):
        return None
    return by.sql(table, access, *parts)


def _value(type_: Any, name: str, value: Any) -> Any:
    """The value in the column's form; a number is taken where a text is wanted."""
    try:
        if isinstance(type_, Id):
            return ids.read_as(type_.prefix, str(value))
        if type_ is str and isinstance(value, int | str) and not isinstance(value, bool):
            return str(value)
        if isinstance(type_, type) and issubclass(type_, Enum):
            return type_[str(value)].value
        if type(value) is type_:
            return value
    except (ValueError, KeyError):
        pass
    raise Refused(NOT_COMPARABLE(f"where.{name}", value=str(value)[:80]))
