"""Values of variables as values of their types; for each type it is worked out once how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from graphql import (
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    Undefined,
    assert_leaf_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.pyutils import is_iterable
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce: TypeAlias = Callable[[Any], Any]
"""A value in, the value of the type out; Undefined where it is none."""


class Coercers:
    """Does what graphql-core's `coerce_input_value` does, looking at what was given instead of at all there may be."""

    def __init__(self) -> None:
        """For the types of one schema."""
        self._named: dict[str, Coerce] = {}

    def of(self, type_: GraphQLInputType) -> Coerce:
        """How values of this type are coerced; it raises RecursionError for what is nested too deeply."""
        if is_non_null_type(type_):
            return _required(self.of(type_.of_type))
        if is_list_type(type_):
            return _listed(self.of(type_.of_type))
        name: str = type_.name  # type: ignore[union-attr]  # neither a list nor non-null: it has one
        known = self._named.get(name)
        if known is None:
            made = _object(type_, self) if is_input_object_type(type_) else _leaf(type_)
            known = self._named[name] = made
        return known


def _required(inner: Coerce) -> Coerce:
    return lambda value: Undefined if value is None else inner(value)


def _listed(inner: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            return None
        if not is_iterable(value):
            one = inner(value)
            return Undefined if one is Undefined else [one]
        found = [inner(one) for one in value]
        return Undefined if any(one is Undefined for one in found) else found

    return coerce


def _leaf(type_: Any) -> Coerce:
    read = assert_leaf_type(type_).coerce_input_value

    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            return None
        try:
            return read(value)
        except Exception:  # noqa: BLE001  # whatever a scalar objects with: it is no value of it
            return Undefined

    return coerce


class _Fields:
    """The fields of an input type, in the order of the schema."""

    def __init__(self, fields: dict[str, GraphQLInputField], coercers: Coercers) -> None:
        self.all = tuple((name, one.out_name or name, coercers.of(one.type)) for name, one in fields.items())
        self.names = frozenset(fields)
        self.required = frozenset(name for name, one in fields.items() if is_required_input_field(one))
        self.defaults = {
            name: default
            for name, one in fields.items()
            if name not in self.required and (default := coerce_default_value(one)) is not Undefined
        }

    def read(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """Their values by the names used in Python; None where one is none."""
        found: dict[str, Any] = {}
        for name, out, coerce in self.all:
            if name in given:
                value = coerce(given[name])
                if value is Undefined:
                    return None
                found[out] = value
            elif name in self.defaults:
                found[out] = self.defaults[name]
        return found


def _object(type_: GraphQLInputObjectType, coercers: Coercers) -> Coerce:
    known: list[_Fields] = []

    def coerce(value: Any) -> Any:
        if value is None or value is Undefined:
            return None
        if not isinstance(value, dict):
            return Undefined
        if not known:  # not before: a type may have fields of its own kind
            known.append(_Fields(type_.fields, coercers))
        fields = known[0]
        if not fields.required <= value.keys() or not value.keys() <= fields.names:
            return Undefined
        found = fields.read(value)
        if found is None or (type_.is_one_of and not _is_one(value, found)):
            return Undefined
        return type_.out_type(found)

    return coerce


def _is_one(given: dict[str, Any], found: dict[str, Any]) -> bool:
    return len(given) == len(found) == 1 and None not in found.values()
