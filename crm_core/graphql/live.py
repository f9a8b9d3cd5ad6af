"""Live feeds: a subscription is answered by the query of the same name, read on behind a position batch by batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
)
from graphql.execution import get_variable_values

from crm_core.actors import system
from crm_core.graphql.access import Access
from crm_core.graphql.execution import Executed, Executor, Operation
from crm_core.graphql.fields import Field
from crm_core.graphql.late import Given, Trail
from crm_core.graphql.operations import Selections, hidden
from crm_core.graphql.planner import declaration

BATCH: Final = 100
"""Rows read at once, where a page may have so many."""
_PLACE, _AFTER = hidden("its place"), hidden("after")
Payload: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class Batch:
    """Results one after the other, each one row; `position` up to which there are no others; `full`: more may follow.

    `position` None: not known yet.
    """

    results: Sequence[tuple[Payload, Sequence[GraphQLError]]]
    position: int | None
    full: bool


@dataclass(frozen=True)
class Subscription:
    """One live field of a document: the query that reads it, and under which key each row is shown."""

    key: str
    declared: Field
    query: Operation
    after: int | None
    size: int

    async def read(
        self,
        execute: Callable[[Operation, Mapping[str, Any]], Awaitable[Executed]],
        variables: Mapping[str, Any],
        position: int,
    ) -> Batch | Executed:
        """The rows behind a position; the answer itself where it cannot be read."""
        done = await execute(self.query, {**variables, _AFTER: str(position)})
        data = orjson.loads(done.data) if isinstance(done.data, bytes) else done.data
        rows = ((data or {}).get(self.key) or {}).get("nodes")
        if rows is None:
            return done
        results = [({self.key: row}, _errors_of(done.errors, self.key, at)) for at, row in enumerate(rows)]
        places = [int(row.pop(_PLACE)) for row in rows]
        return Batch(results, places[-1] if places else position, len(rows) == self.size)


def subscription_of(
    schema: GraphQLSchema, executor: Executor, operation: Operation, variables: Mapping[str, Any], most: int
) -> Subscription:
    """What a valid subscription operation asks for. `GraphQLError` (BAD_USER_INPUT) for a position that is none."""
    root = schema.subscription_type
    assert root is not None
    coerced = get_variable_values(schema, operation.variables, dict(variables))
    if isinstance(coerced, list):
        raise coerced[0]
    nothing = Given(coerced.coerced, Access(system(()), "sqlite"))
    selections = Selections(operation.fragments, Trail(nothing))
    chosen = selections.of(root, [operation.node.selection_set])
    if len(chosen) != 1:
        raise _bad("A subscription asks for exactly one field.")
    ((key, nodes),) = chosen.items()
    declared = declaration(root.fields[nodes[0].name.value])
    if declared is None:
        raise _bad(f"{nodes[0].name.value} is no live field.")
    size = min(BATCH, most)
    query = operation.live.get(key) or executor.operation(*_query(operation, key, nodes, size))
    operation.live[key] = query
    return Subscription(key, declared, query, _after(selections, root, nodes[0], nothing), size)


def _after(selections: Selections, root: GraphQLObjectType, node: FieldNode, given: Given) -> int | None:
    late = selections.arguments(root.fields[node.name.value], node).get("after")
    text = None if late is None else late.read(given)
    if text is None:
        return None
    if not (isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < len(str(2**63))):
        raise GraphQLError(
            f"{str(text)[:40]!r} is no position; give that of a row, or 0 to begin with the first.",
            extensions={"code": "INVALID_PAGE"},
        )
    return int(text)


def _query(
    operation: Operation, key: str, nodes: Sequence[FieldNode], size: int
) -> tuple[DocumentNode, OperationDefinitionNode]:
    """The query that reads a batch: the rows' own selections, and where each of them stands."""
    chosen = [one for node in nodes if node.selection_set for one in node.selection_set.selections]
    place = FieldNode(alias=_name(_PLACE), name=_name("position"), arguments=(), directives=())
    rows = FieldNode(
        name=_name("nodes"),
        arguments=(),
        directives=(),
        selection_set=SelectionSetNode(selections=(*chosen, place)),
    )
    given = [one for one in nodes[0].arguments or () if one.name.value != "after"]
    paging = (
        ArgumentNode(name=_name("first"), value=IntValueNode(value=str(size))),
        ArgumentNode(name=_name("after"), value=VariableNode(name=_name(_AFTER))),
    )
    field = FieldNode(
        alias=_name(key),
        name=nodes[0].name,
        arguments=(*given, *paging),
        directives=(),
        selection_set=SelectionSetNode(selections=(rows,)),
    )
    after = VariableDefinitionNode(
        variable=VariableNode(name=_name(_AFTER)), type=NamedTypeNode(name=_name("String")), directives=()
    )
    node = OperationDefinitionNode(
        operation=OperationType.QUERY,
        name=operation.node.name,
        variable_definitions=(*(operation.node.variable_definitions or ()), after),
        directives=(),
        selection_set=SelectionSetNode(selections=(field,)),
    )
    return DocumentNode(definitions=(node, *operation.fragments.values())), node


def _name(text: str) -> NameNode:
    return NameNode(value=text)


def _errors_of(errors: Sequence[GraphQLError], key: str, row: int) -> list[GraphQLError]:
    """The errors of one row, with their path from the row's own result."""
    start = [key, "nodes", row]
    return [
        GraphQLError(
            error.message,
            error.nodes,
            path=[key, *error.path[3:]],
            original_error=error.original_error,
            extensions=error.extensions,
        )
        for error in errors
        if error.path and error.path[:3] == start
    ]


def _bad(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})
