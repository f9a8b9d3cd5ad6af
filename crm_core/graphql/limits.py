"""Measures a parsed and validated document before it runs, and refuses what asks for too much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_list_type,
    is_nullable_type,
    visit,
)

from crm_core.graphql.fields import Field
from crm_core.settings import Limits

LISTING_ROWS = 10
"""Rows a plain list is taken to have."""
FREE_CONDITIONS = 10
"""So many conditions and values of a `where` cost nothing."""
ROWS_PER_COST = 10
"""So many rows of a list cost one."""
MUTATION_COST = 10
INTROSPECTION_COST = 50
PLAIN_COST = 1
MOST_MEASURED = 64
LEFT_OUT = "default"
BEYOND_COUNTING = 10**12
"""Numbers above this are shown as "more than"; nested lists multiply quickly."""

Variables = Mapping[str, Any]
Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True)
class Measure:
    """What an operation asks for. `cost` is in units of the limit, rounded up."""

    depth: int
    aliases: int
    mutations: int
    cost: int


def measure(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Variables,
    limits: Limits,
) -> Measure:
    """How deep, how wide and how costly a validated operation is.

    A fragment counts at every place that spreads it, yet is looked at once, so nesting fragments in one another
    costs the server nothing. Raises `GraphQLError` (TOO_DEEP) for fragments nested beyond all measure.
    """
    try:
        return _measured(schema, document, operation, variables, limits)
    except RecursionError:
        raise too_deep() from None


class Meter:
    """Measures one operation again and again; what was measured for the same numbers is remembered."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        limits: Limits,
    ) -> None:
        """`operation` is one of the document's, which is valid."""
        self._schema, self._document, self._operation, self._limits = schema, document, operation, limits
        self._sizes, self._conditions = _deciding(document)
        self._known: dict[tuple[Any, ...], Measure] = {}

    def measure(self, variables: Variables) -> Measure:
        """As `measure`, for these variables."""
        try:
            key = (
                tuple(self._of(variables, name, self._rows) for name in self._sizes),
                tuple(self._of(variables, name, _parts) for name in self._conditions),
            )
        except RecursionError:
            raise too_deep() from None
        found = self._known.get(key)
        if found is None:
            found = measure(self._schema, self._document, self._operation, variables, self._limits)
            if len(self._known) >= MOST_MEASURED:
                self._known.clear()
            self._known[key] = found
        return found

    def _rows(self, value: Any) -> int | None:
        return _rows(value, self._limits)

    def _of(self, variables: Variables, name: str, number: Callable[[Any], int | None]) -> int | str | None:
        """What a variable says about the cost; one left out has its default, which no value stands for."""
        return number(variables[name]) if name in variables else LEFT_OUT


def _deciding(document: DocumentNode) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Variables that decide the cost: by their value (page sizes), by the number of their parts (conditions)."""
    finder = _Finder()
    visit(document, finder)
    return tuple(sorted(finder.sizes)), tuple(sorted(finder.conditions))


class _Finder(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[str] = set()
        self.conditions: set[str] = set()
        self._within: list[str] = []

    def enter_argument(self, node: ArgumentNode, *_more: Any) -> None:
        self._within.append(node.name.value)

    def leave_argument(self, *_node: Any) -> None:
        self._within.pop()

    def enter_variable(self, node: VariableNode, *_more: Any) -> None:
        if self._within and self._within[-1] in ("first", "last"):
            self.sizes.add(node.name.value)
        elif self._within and self._within[-1] == "where":
            self.conditions.add(node.name.value)


def _rows(asked: Any, limits: Limits) -> int | None:
    """Rows that a page of this size may bring; None for what is no number, which is refused when it runs."""
    if isinstance(asked, float) and asked.is_integer():
        asked = int(asked)  # GraphQL takes 100.0 for an Int
    return max(0, min(asked, limits.page_max)) if isinstance(asked, int) else None


def _parts(value: Any) -> int:
    """How many conditions and values a variable brings; lists of about the same length cost the same."""
    if isinstance(value, Mapping):
        return sum(1 + _parts(inner) for inner in value.values())
    if isinstance(value, list):
        inner = sum(_parts(one) for one in value)
        return len(value) + inner if inner else bucket(len(value))
    return 0


def bucket(size: int) -> int:
    """Lists of about the same length are alike: the next power of two."""
    return 1 << (size - 1).bit_length() if size else 0


def too_deep() -> GraphQLError:
    """For documents whose nesting cannot even be measured."""
    return GraphQLError("The document is nested too deeply (查询嵌套过深).", extensions={"code": "TOO_DEEP"})


def _measured(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Variables,
    limits: Limits,
) -> Measure:
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    shape = _Shapes(fragments).of(operation.selection_set)
    mutation = operation.operation is OperationType.MUTATION
    root = schema.mutation_type if mutation else schema.query_type
    defaults = {
        one.variable.name.value: one.default_value
        for one in operation.variable_definitions or ()
        if one.default_value is not None and one.variable.name.value not in variables
    }
    costs = _Costs(schema, fragments, {**defaults, **variables}, limits)
    cost = costs.of(operation.selection_set, root)
    total = math.ceil(min(cost.once, BEYOND_COUNTING))
    return Measure(shape.depth, shape.aliases, shape.fields if mutation else 0, total)


def refuse_excess(found: Measure, limits: Limits) -> None:
    """Raise the first limit that is passed, with what was asked and what is allowed."""
    _refuse(found.depth, limits.depth, "TOO_DEEP", "levels deep")
    _refuse(found.aliases, limits.aliases, "TOO_MANY_ALIASES", "aliases")
    _refuse(found.mutations, limits.mutations, "TOO_MANY_MUTATIONS", "mutation fields")
    _refuse(found.cost, limits.cost, "TOO_COSTLY", "of cost; ask for fewer rows or fewer levels")


def _refuse(asked: int, allowed: int, code: str, unit: str) -> None:
    if asked > allowed:
        shown = str(asked) if asked < BEYOND_COUNTING else f"more than {BEYOND_COUNTING}"
        raise GraphQLError(
            f"The document asks for {shown} {unit}; at most {allowed} allowed (查询超出限制).",
            extensions={"code": code, "requested": min(asked, BEYOND_COUNTING), "limit": allowed},
        )


class _Fragments:
    """Fragments by name, each worked out once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments

    def once(self, known: dict[str, Measured], name: str, work_out: Callable[[], Measured]) -> Measured:
        if name not in known:
            known[name] = work_out()
        return known[name]


# -- depth, aliases, number of fields


@dataclass(frozen=True, slots=True)
class _Shape:
    """Nesting below this point, aliases in it, and fields directly in it, fragments included."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0

    def beside(self, other: _Shape) -> _Shape:
        """Both in one selection set."""
        return _Shape(max(self.depth, other.depth), self.aliases + other.aliases, self.fields + other.fields)


class _Shapes(_Fragments):
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        super().__init__(fragments)
        self.known: dict[str, _Shape] = {}

    def of(self, selections: SelectionSetNode) -> _Shape:
        total = _Shape()
        for one in selections.selections:
            if isinstance(one, FieldNode):
                total = total.beside(self._field(one))
            elif isinstance(one, InlineFragmentNode):
                total = total.beside(self.of(one.selection_set))
            elif isinstance(one, FragmentSpreadNode):
                total = total.beside(self._spread(one.name.value))
        return total

    def _spread(self, name: str) -> _Shape:
        return self.once(self.known, name, lambda: self.of(self.fragments[name].selection_set))

    def _field(self, one: FieldNode) -> _Shape:
        inner = self.of(one.selection_set) if one.selection_set else _Shape()
        if one.name.value.startswith("__"):  # introspection is bounded by its own validation rule
            inner = replace(inner, depth=0)
        return _Shape(inner.depth + 1, inner.aliases + (one.alias is not None), 1)


# -- cost


@dataclass(frozen=True, slots=True)
class _Cost:
    """Cost of a selection set: what is paid once, and what is paid per row of the connection it stands on."""

    once: float = 0
    each_row: float = 0

    def plus(self, other: _Cost) -> _Cost:
        """Both together."""
        return _Cost(self.once + other.once, self.each_row + other.each_row)


class _Costs(_Fragments):
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Variables,
        limits: Limits,
    ) -> None:
        """`variables` as they were given; the defaults of others are as they were written."""
        super().__init__(fragments)
        self.schema, self.variables, self.limits = schema, variables, limits
        self.known: dict[str, _Cost] = {}

    def of(self, selections: SelectionSetNode, parent: GraphQLNamedType | None) -> _Cost:
        total = _Cost()
        for one in selections.selections:
            if isinstance(one, FieldNode):
                total = total.plus(self._field(one, parent))
            elif isinstance(one, InlineFragmentNode):
                condition = one.type_condition
                inner = self.schema.get_type(condition.name.value) if condition else parent
                total = total.plus(self.of(one.selection_set, inner))
            elif isinstance(one, FragmentSpreadNode):
                total = total.plus(self._spread(one.name.value))
        return total

    def _spread(self, name: str) -> _Cost:
        fragment = self.fragments[name]
        kind = self.schema.get_type(fragment.type_condition.name.value)
        return self.once(self.known, name, lambda: self.of(fragment.selection_set, kind))

    def _field(self, one: FieldNode, parent: GraphQLNamedType | None) -> _Cost:
        name = one.name.value
        if name.startswith("__"):
            return _Cost(0 if name == "__typename" else INTROSPECTION_COST)
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or name not in parent.fields:
            return _Cost()
        field = parent.fields[name]
        inner = self.of(one.selection_set, get_named_type(field.type)) if one.selection_set else _Cost()
        if parent.name.endswith("Connection") and name in ("nodes", "edges"):
            return _Cost(each_row=inner.once)
        return self._paid(one, parent, field, inner)

    def _paid(self, one: FieldNode, parent: GraphQLNamedType, field: GraphQLField, inner: _Cost) -> _Cost:
        declared = _declared(field)
        own: float = declared.cost if declared else _undeclared_cost(one, parent, field)
        if declared is not None and declared.kind in ("connection", "query_connection"):
            rows = self._size(one)
            own += self._conditions(one)
            return _Cost(own + rows / ROWS_PER_COST + inner.once + rows * inner.each_row)
        if _is_list(field) and one.selection_set:
            return _Cost(own + LISTING_ROWS / ROWS_PER_COST + LISTING_ROWS * inner.once)
        return _Cost(own + inner.once)

    def _conditions(self, one: FieldNode) -> int:
        """Each condition and value of a `where` beyond the first ten costs one."""
        where = next((a.value for a in one.arguments or () if a.name.value == "where"), None)
        return max(0, self._parts(where) - FREE_CONDITIONS)

    def _parts(self, value: Any) -> int:
        if isinstance(value, VariableNode):
            return self._parts(self.variables.get(value.name.value))
        if isinstance(value, ObjectValueNode):
            return sum(1 + self._parts(field.value) for field in value.fields)
        if isinstance(value, ListValueNode):
            inner = sum(map(self._parts, value.values))
            return len(value.values) + inner if inner else bucket(len(value.values))
        return _parts(value)

    def _size(self, one: FieldNode) -> int:
        """Rows the connection may bring; what is no allowed number is refused when it runs."""
        given = {a.name.value: a.value for a in one.arguments or ()}
        for name in ("first", "last"):
            asked: Any = given.get(name)
            if isinstance(asked, VariableNode):
                asked = self.variables.get(asked.name.value)
            if isinstance(asked, IntValueNode):
                asked = int(asked.value)
            rows = _rows(asked, self.limits)
            if rows is not None:
                return rows
        return self.limits.page_default


def _declared(field: GraphQLField) -> Field | None:
    metadata = getattr(field.extensions.get("strawberry-definition"), "metadata", {})
    declared = metadata.get("crm")
    return declared if isinstance(declared, Field) else None


def _undeclared_cost(one: FieldNode, parent: GraphQLNamedType, field: GraphQLField) -> int:
    """Cost of what is no declared field: mutations, records in payloads, a plugin's own resolvers."""
    metadata = getattr(field.extensions.get("strawberry-definition"), "metadata", {})
    if "command" in metadata:
        return MUTATION_COST
    if parent.name.endswith(("Connection", "Edge")) or one.selection_set is None:
        return 0
    return PLAIN_COST


def _is_list(field: GraphQLField) -> bool:
    plain = field.type if is_nullable_type(field.type) else field.type.of_type  # type: ignore[union-attr]
    return is_list_type(plain)


__all__ = ["Measure", "Meter", "bucket", "measure", "refuse_excess", "too_deep"]
