"""Collects what a transaction changes, record by record, with most sensitive values masked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.orm.attributes import instance_dict

from crm_core.commands import Change
from crm_core.db.base import Base
from crm_core.db.unit import Unit
from crm_core.db.waiting import Waiting
from crm_core.errors import Json

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_AS_IT_IS = frozenset({str, int, bool, float})
_UNINTERESTING = frozenset({"version", "updated_at", "search_tokens"})


class Changes:
    """Before and after of every record written in one transaction; several flushes add up to one change each."""

    def __init__(self, session: Unit, *, watch: bool = True) -> None:
        """Watch this session; `watch` False: hear of what was added from `added` alone."""
        self._found: dict[tuple[type[Base], Any], Change] = {}
        self._watching = True
        self._waiting = session.waiting
        if watch:
            self._waiting.watches.append(self._collect)

    def all(self) -> list[Change]:
        """Every change so far, in the order of first appearance."""
        return list(self._found.values())

    def of(self, record: Base) -> Change | None:
        """The change of one record, if it changed."""
        return self._found.get(_key(record))

    def pause(self) -> None:
        """Overlook what follows: it belongs to another work in the same transaction."""
        self._watching = False

    def resume(self) -> None:
        """Watch again."""
        self._watching = True

    def close(self) -> None:
        """Stop watching for good: the session goes on with other works."""
        if self._collect in self._waiting.watches:
            self._waiting.watches.remove(self._collect)

    def collect(self) -> None:
        """Note what waits to be written."""
        self._collect(self._waiting)

    def added(self, records: Iterable[Base]) -> None:
        """Note records that are new and not yet written."""
        for record in records:
            self._found[_key(record)] = Change(_name(record), _id(record), None, _values(record))

    def clear(self) -> None:
        """Forget everything, after a savepoint was undone."""
        self._found.clear()

    def _collect(self, waiting: Waiting) -> None:
        if not self._watching:
            return
        for record in waiting.new:
            filled = waiting.filled.get(record, _NOTHING)
            self._found[_key(record)] = Change(_name(record), _id(record), None, _values(record, filled))
        for record in waiting.dirty:
            self._add(record)
        for record in waiting.deleted:
            self._found[_key(record)] = Change(_name(record), _id(record), _values(record), None)

    def _add(self, record: Base) -> None:
        before, after, state = {}, {}, inspect(record)
        for key in state.committed_state.keys() - _UNINTERESTING:
            history = state.attrs[key].history
            if history.has_changes() and history.deleted:
                before[key] = _value(record, key, history.deleted[0])
                after[key] = _value(record, key, state.dict[key])
        known = self._found.get(_key(record))
        if known is None:
            self._found[_key(record)] = Change(_name(record), _id(record), before, after)
        elif known.after is not None:
            known.after |= after
            if known.before is not None:
                known.before = before | known.before


def _key(record: Base) -> tuple[type[Base], Any]:
    """The same before and after the record is written."""
    return type(record), _id(record)


def _id(record: Base) -> Any:
    keys = [getattr(record, name) for name in _primary(type(record))]
    return keys[0] if len(keys) == 1 else tuple(keys)


@cache
def _primary(model: type[Base]) -> tuple[str, ...]:
    """Attributes of a model's primary key."""
    return tuple(str(column.key) for column in inspect(model).primary_key)


@cache
def _told(model: type[Base]) -> tuple[tuple[str, bool], ...]:
    """A model's attributes that changes tell of, and whether they are most sensitive."""
    sensitive = {name for name, declared in model.personal.items() if declared.category == "sensitive"}
    names = (str(attribute.key) for attribute in inspect(model).column_attrs)
    return tuple((name, name in sensitive) for name in names if name not in _UNINTERESTING)


def _name(record: Base) -> str:
    return type(record).__table__.name


def _values(record: Base, filled: Mapping[str, Any] = _NOTHING) -> dict[str, Json]:
    """The values of a new record; those that are mere defaults are left out."""
    loaded = instance_dict(record)
    found: dict[str, Json] = {}
    for key, is_sensitive in _told(type(record)):
        value = loaded.get(key)
        if value is None or (key in filled and filled[key] is value):
            continue
        found[key] = masked(str(value)) if is_sensitive else plain(value)
    return found


def _value(record: Base, column: str, value: Any) -> Json:
    declared = type(record).personal.get(column)
    if declared is not None and declared.category == "sensitive" and value is not None:
        return masked(str(value))
    return plain(value)


def masked(value: str) -> str:
    """A most sensitive value as it may stand in audit, events and held commands: a digest that shows a change."""
    return f"*** sha256:{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def plain(value: Any) -> Json:
    """A column value as JSON."""
    if value is None or type(value) in _AS_IT_IS:
        return value  # type: ignore[no-any-return]  # one of these
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return _nested(value)


def _nested(value: Any) -> Json:
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, Iterable) else str(value)
