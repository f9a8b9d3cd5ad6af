"""One bound value for a list of values: an array on PostgreSQL, a JSON list on SQLite; the statement stays the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Dialect, Text, TypeDecorator, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine


class ListOf(TypeDecorator[Iterable[Any]]):
    """A list of values of one column type as one bound value."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        """`item` is the type of each value."""
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An array where the database has arrays."""
        return dialect.type_descriptor(ARRAY(self.item) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> Any:
        """To the database's form."""
        values = [] if value is None else list(value)
        if dialect.name == "postgresql":
            return values
        process = self.item.dialect_impl(dialect).bind_processor(dialect)
        return orjson.dumps([process(one) for one in values] if process else values).decode()


def among(
    column: ColumnElement[Any], values: Any, type_: TypeEngine[Any], dialect: str, name: str | None = None
) -> ColumnElement[bool]:
    """The column is one of these values, bound as one parameter (named, or with a name of its own)."""
    given = bindparam(name, values, type_=ListOf(type_), unique=name is None)
    if dialect == "postgresql":
        return column == any_(given)
    each = func.json_each(given).table_valued("value")
    return column.in_(select(each.c.value))
