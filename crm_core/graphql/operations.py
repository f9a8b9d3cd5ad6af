"""What an operation selects and with which arguments: fragments and merged fields resolved, values left open."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLObjectType,
    InlineFragmentNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    value_from_ast,
)

from crm_core.graphql.late import Given, Late, Read, Trail
from crm_core.graphql.limits import bucket

Selected = dict[str, list[FieldNode]]
_ABSENT = object()
_BY_VALUE = "SortDirection"
"""The enum whose values decide how a statement is built."""
NULL, VALUE, ABSENT = "null", "value", "absent"


def hidden(name: str) -> str:
    """A key of ours beside those of a client in one object: no name of GraphQL can be spelled so.

    Columns that a Python field needs stand under their own names, what else we read under names that no column has.
    """
    return "@" + name


ITS_ID: Final = "its id"


class Selections:
    """The selections of one operation, seen by one request."""

    def __init__(
        self,
        fragments: Mapping[str, FragmentDefinitionNode],
        trail: Trail,
        places: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """`trail` learns what directives and variables decide; `places` are literals that each request brings."""
        self.fragments, self.trail, self.places = fragments, trail, places

    def of(self, kind: GraphQLObjectType, sets: Iterable[SelectionSetNode | None]) -> Selected:
        """Field nodes by response key, in the order of their first appearance, for an object of this type."""
        found: Selected = {}
        seen: set[str] = set()
        for one in sets:
            if one is not None:
                self._collect(kind, one, found, seen)
        return found

    def under(self, kind: GraphQLObjectType, nodes: Iterable[FieldNode]) -> Selected:
        """What merged field nodes select together from an object of this type."""
        return self.of(kind, [node.selection_set for node in nodes])

    def _collect(
        self, kind: GraphQLObjectType, selections: SelectionSetNode, found: Selected, seen: set[str]
    ) -> None:
        for one in selections.selections:
            if one.directives and not self._wanted(one.directives):
                continue
            if isinstance(one, FieldNode):
                found.setdefault((one.alias or one.name).value, []).append(one)
            elif isinstance(one, InlineFragmentNode):
                if one.type_condition is None or _applies(one.type_condition.name.value, kind):
                    self._collect(kind, one.selection_set, found, seen)
            elif isinstance(one, FragmentSpreadNode) and one.name.value not in seen:
                seen.add(one.name.value)
                fragment = self.fragments[one.name.value]
                if _applies(fragment.type_condition.name.value, kind):
                    self._collect(kind, fragment.selection_set, found, seen)

    def _wanted(self, directives: Iterable[DirectiveNode]) -> bool:
        for directive in directives:
            if directive.name.value not in ("skip", "include"):
                continue
            given = self.leaf(directive.arguments[0].value) if directive.arguments else True
            if bool(given) is (directive.name.value == "skip"):
                return False
        return True

    def leaf(self, node: ValueNode) -> Any:
        """The value of a boolean argument, which decides what is built."""
        if isinstance(node, VariableNode):
            name = node.name.value
            return self.trail.fix(lambda given: given.variables.get(name))
        return node.value  # type: ignore[attr-defined]  # validated: a literal boolean

    # -- arguments

    def arguments(self, field: GraphQLField, node: FieldNode) -> dict[str, Any]:
        """The arguments of a field: structure, booleans and directions as they are, other values late."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        values: dict[str, Any] = {}
        for name, declared in field.args.items():
            if name in given:
                value = self._resolved(given[name], declared.type)
                if value is not _ABSENT:
                    values[name] = value
        return values

    def _resolved(self, node: ValueNode, type_: GraphQLInputType) -> Any:
        plain = get_nullable_type(type_)
        if isinstance(node, VariableNode):
            return self._variable(node.name.value, plain)
        if isinstance(node, NullValueNode):
            return None
        if is_list_type(plain):
            return self._list(node, plain.of_type)
        if isinstance(plain, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
            given = {one.name.value: one.value for one in node.fields}
            found = {
                name: self._resolved(given[name], declared.type)
                for name, declared in plain.fields.items()  # in the schema's order, as variables are
                if name in given
            }
            return {name: value for name, value in found.items() if value is not _ABSENT}
        place = self.places.get(node.loc.start) if node.loc else None
        if place is not None:
            return Late(lambda given: given.literals[place], self.trail)
        value = value_from_ast(node, plain)  # type: ignore[arg-type]  # no list: an input type
        return value if _decides(plain, value) else Late(lambda _given: value, self.trail)

    def _list(self, node: ValueNode, item: GraphQLInputType) -> Any:
        parts = node.values if isinstance(node, ListValueNode) else (node,)
        found = [self._resolved(part, item) for part in parts]
        found = [None if value is _ABSENT else value for value in found]
        if isinstance(get_named_type(item), GraphQLInputObjectType):
            return found
        reads = [value.read if isinstance(value, Late) else _constantly(value) for value in found]
        return Late(lambda given: [read(given) for read in reads], self.trail)

    def _variable(self, name: str, type_: Any) -> Any:
        def read(given: Given) -> Any:
            return given.variables.get(name, _ABSENT)

        shape = self.trail.fix(lambda given: _shape(read(given), type_))
        if shape == ABSENT:
            return _ABSENT
        return self._late(read(self.trail.given), read, type_)

    def _late(self, value: Any, read: Read, type_: Any) -> Any:
        """A variable's value with late leaves; its shape is fixed by now."""
        plain = get_nullable_type(type_)
        if value is None or _decides(plain, value):
            return value
        if is_list_type(plain) and isinstance(get_named_type(plain), GraphQLInputObjectType):
            items = value if isinstance(value, list) else [value]
            return [self._late(one, _item(read, at), plain.of_type) for at, one in enumerate(items)]
        if isinstance(plain, GraphQLInputObjectType):
            return {
                key: self._late(one, _item(read, key), plain.fields[key].type) for key, one in value.items()
            }
        return Late(read, self.trail)


def _applies(condition: str, kind: GraphQLObjectType) -> bool:
    return condition == kind.name or any(condition == one.name for one in kind.interfaces)


def _constantly(value: Any) -> Read:
    return lambda _given: value


def _item(read: Read, key: Any) -> Callable[[Given], Any]:
    return lambda given: read(given)[key]


def _decides(type_: Any, value: Any) -> bool:
    """Whether a leaf's very value decides how a statement is built."""
    return isinstance(value, bool) or (isinstance(type_, GraphQLEnumType) and type_.name == _BY_VALUE)


def _shape(value: Any, type_: Any) -> Hashable:
    """What of a variable's value decides how a statement is built."""
    if value is _ABSENT or value is None:
        return ABSENT if value is _ABSENT else NULL
    plain = get_nullable_type(type_)
    if _decides(plain, value):
        return value  # type: ignore[no-any-return]  # booleans and members of enums
    if is_list_type(plain):
        items = value if isinstance(value, list) else [value]
        structured = isinstance(get_named_type(plain), GraphQLInputObjectType)
        return tuple(_shape(one, plain.of_type) for one in items) if structured else bucket(len(items))
    if isinstance(plain, GraphQLInputObjectType):
        return tuple((key, _shape(one, plain.fields[key].type)) for key, one in value.items())
    return VALUE
