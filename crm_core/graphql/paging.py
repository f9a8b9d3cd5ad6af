"""Keyset paging: total orders, cursors that survive nulls, and the predicate that continues behind a cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import GraphQLError
from sqlalchemy import BigInteger, ColumnElement, Text, and_, bindparam, cast, false, func, or_, tuple_
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, Id, ObjectType, Yuan
from crm_core.graphql.json_sql import Joined, Json, words
from crm_core.graphql.values import cursor_value, from_cursor, sql_type

MOST_KEYS = 8
LARGEST = 2**63
_WAYS = (operators.desc_op, operators.asc_op, operators.nulls_first_op, operators.nulls_last_op)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order: its SQL, value type, direction, and whether it may be null (nulls come last).

    `alone`: a number that is the whole cursor, as digits.
    """

    name: str
    sql: ColumnElement[Any]
    type: Any
    descending: bool
    nullable: bool
    alone: bool = False

    def ordered(self, *, reverse: bool) -> UnaryExpression[Any]:
        """The ORDER BY term; nulls last going forward, first going back."""
        term = self.sql.desc() if self.descending != reverse else self.sql.asc()
        if not self.nullable:
            return term
        return term.nulls_first() if reverse else term.nulls_last()


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a connection is asked for: how many rows, from which side, behind which cursor."""

    size: int
    backward: bool
    cursor: str | None


def page_of(arguments: Mapping[str, Any], default: int, most: int) -> Page:
    """The page the arguments ask for; refuses contradictory or oversized ones with a clear error."""
    first, last = arguments.get("first"), arguments.get("last")
    if first is not None and last is not None:
        raise _bad("Give first or last, not both.")
    if (first is not None and arguments.get("before")) or (last is not None and arguments.get("after")):
        raise _bad("Use after with first, before with last.")
    backward = last is not None or (first is None and arguments.get("before") is not None)
    size = last if last is not None else first if first is not None else default
    if not 0 <= size <= most:
        raise _bad(f"first and last must be between 0 and {most}; you asked for {size}.")
    return Page(size, backward, arguments.get("before" if backward else "after") or None)


def keys_of(
    kind: ObjectType, t: Any, order_by: Sequence[Mapping[str, str | None]] | None, access: Access
) -> list[Key]:
    """The order asked for, else the type's default; the id always comes last so that the order is total."""
    if kind.numbered_by is not None and not order_by:
        number = t.c[kind.numbered_by]
        return [Key(kind.numbered_by, number, int, descending=False, nullable=False, alone=True)]
    keys = _asked(kind, t, order_by, access) if order_by else _default(kind, t)
    if not any(key.name == "id" for key in keys):
        descending = keys[-1].descending if keys else True
        keys.append(Key("id", t.c.id, _python_type(kind, t.c.id), descending, nullable=False))
    return keys


def _asked(
    kind: ObjectType, t: Any, order_by: Sequence[Mapping[str, str | None]], access: Access
) -> list[Key]:
    if len(order_by) > MOST_KEYS:
        raise _bad(f"orderBy: at most {MOST_KEYS} keys; you gave {len(order_by)}.")
    keys: dict[str, Key] = {}
    for entry in order_by:
        given = [(name, way) for name, way in entry.items() if way is not None]
        if len(given) != 1:
            raise _bad("Each entry of orderBy names exactly one field, e.g. [{ createdAt: DESC }].")
        name, way = given[0]
        declared = kind.by_name[name]
        mask = declared.mask.unless if declared.mask and declared.mask.hides(access) else None
        denial = access.denial(declared.owner, declared.scope) or (mask and f"needs the permission {mask}")
        if denial is not None:
            raise GraphQLError(f"orderBy {name} {denial} (无权访问)", extensions={"code": "FORBIDDEN"})
        key = Key(name, declared.plain(t, access), declared.type, way == "DESC", declared.nullable)
        keys.setdefault(name, key)  # a key named twice orders nothing the second time
    return list(keys.values())


def _default(kind: ObjectType, t: Any) -> list[Key]:
    keys = []
    for term in kind.order(t) if kind.order else ():
        column, descending = _column(term)
        name = str(getattr(column, "name", "key"))
        keys.append(Key(name, column, _python_type(kind, column), descending, _nullable(column)))
    return keys


def _column(term: Any) -> tuple[Any, bool]:
    """What a term of an order sorts by, and whether downwards."""
    descending, column = False, term
    while isinstance(column, UnaryExpression) and column.modifier in _WAYS:
        descending |= column.modifier is operators.desc_op
        column = column.element
    return column, descending


def _nullable(column: Any) -> bool:
    return bool(getattr(column, "nullable", True))


def listed(declared: Field, t: Any) -> list[ColumnElement[Any]]:
    """The order of a plain list: as declared, nulls last as everywhere, of equals by id; alike on every database."""
    terms = [] if declared.order is None else [_nulls_last(term) for term in declared.order(t)]
    return [*terms, *([t.c.id] if "id" in t.c else [])]


def _nulls_last(term: Any) -> Any:
    column, descending = _column(term)
    return Key("", column, None, descending, _nullable(column)).ordered(reverse=False)


def _python_type(kind: ObjectType, column: Any) -> Any:
    try:
        found = column.type.python_type
    except NotImplementedError:
        return str
    return Id(kind.prefix or "x") if found.__name__ == "UUID" else found


def encode(keys: Sequence[Key], values: Sequence[Any]) -> str:
    """A cursor: which keys, and their values; JSON in hexadecimal, so that a database can write one too."""
    if keys[0].alone:
        return str(values[0])
    body = [_signature(keys), *(cursor_value(value) for value in values)]
    return orjson.dumps(body).hex()


def cursor_sql(keys: Sequence[Key], json: Json) -> ColumnElement[str]:
    """The same cursor made by the database."""
    if keys[0].alone:
        return cast(keys[0].sql, Text())
    parts: list[ColumnElement[Any]] = [words(f'["{_signature(keys)}"')]
    for key in keys:
        parts += [words(","), func.coalesce(json.text(key.sql, key.type), words("null"))]
    return json.hexadecimal(Joined(*parts, words("]")))


def decode(keys: Sequence[Key], cursor: str) -> list[Any]:
    """The values behind a cursor; refuses one that is damaged or belongs to another order."""
    if keys[0].alone:
        return [_number(cursor)]
    try:
        signature, *values = orjson.loads(bytes.fromhex(cursor))
    except (ValueError, TypeError):
        raise _damaged() from None
    if signature != _signature(keys):
        raise _bad("The cursor belongs to another orderBy; start again without it.")
    if len(values) != len(keys):
        raise _damaged()
    return [_value(key, value) for key, value in zip(keys, values, strict=True)]


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor[:20]) >= LARGEST:
        raise _bad(f"{cursor[:40]!r} is no position; give that of a row, or 0 to begin with the first.")
    return int(cursor)


def _value(key: Key, value: Any) -> Any:
    """One value of a cursor, which anybody may have made: it must be one the key's column can hold."""
    if value is None and key.nullable:
        return None
    try:
        return from_cursor(key.type, _formed(key, value))
    except (ValueError, ArithmeticError, GraphQLError):
        raise _damaged() from None


def _signature(keys: Sequence[Key]) -> str:
    return ",".join(("-" if key.descending else "+") + key.name for key in keys)


def behind(keys: Sequence[Key], values: Sequence[Any], *, backward: bool) -> ColumnElement[bool]:
    """Rows that come after (going backward: before) the row with these key values."""
    ways = {key.descending for key in keys}
    if len(ways) == 1 and not any(key.nullable for key in keys):
        return _row_comparison(keys, values, descending=keys[0].descending != backward)
    branches: list[ColumnElement[bool]] = [false()]
    for position, key in enumerate(keys):
        same = [_equal(k, v) for k, v in zip(keys[:position], values[:position], strict=True)]
        branches.append(and_(*same, _further(key, values[position], backward=backward)))
    return or_(*branches)


def _row_comparison(keys: Sequence[Key], values: Sequence[Any], *, descending: bool) -> ColumnElement[bool]:
    bound = [_bound(key, value) for key, value in zip(keys, values, strict=True)]
    if len(keys) == 1:
        return keys[0].sql < bound[0] if descending else keys[0].sql > bound[0]
    left, right = tuple_(*(key.sql for key in keys)), tuple_(*bound)
    return left < right if descending else left > right


def _equal(key: Key, value: Any) -> ColumnElement[bool]:
    return key.sql.is_(None) if value is None else key.sql == _bound(key, value)


def _further(key: Key, value: Any, *, backward: bool) -> ColumnElement[bool]:
    if value is None:
        return key.sql.is_not(None) if backward else false()
    bound = _bound(key, value)
    beyond = key.sql < bound if key.descending != backward else key.sql > bound
    return or_(beyond, key.sql.is_(None)) if key.nullable and not backward else beyond


def _bound(key: Key, value: Any) -> ColumnElement[Any]:
    type_ = BigInteger() if key.alone else sql_type(key.type)
    return bindparam(None, value, type_=type_, unique=True)


def _bad(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "INVALID_PAGE"})


def _formed(key: Key, value: Any) -> Any:
    if isinstance(value, bool) or key.type is bool:
        fits = isinstance(value, bool) and key.type is bool
    elif isinstance(value, int):
        fits = (key.type is int or isinstance(key.type, Yuan)) and abs(value) < LARGEST
    else:
        fits = isinstance(value, str) and key.type is not int and "\0" not in value
    if not fits:
        raise ValueError
    return value


def _damaged() -> GraphQLError:
    return _bad("The cursor is damaged; start again without it.")
