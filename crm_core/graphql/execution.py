"""Answers a valid operation: by one compiled statement, else by the interpreter of the same declarations."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    execute,
    get_named_type,
    get_operation_ast,
    is_non_null_type,
    located_error,
    type_from_ast,
    value_from_ast,
)
from graphql.execution import VariableValues, get_argument_values
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValueSource
from sqlalchemy import BindParameter, Dialect, Select
from sqlalchemy.sql import visitors

from crm_core.commands import CommandSpec, Outcome
from crm_core.db.writer import Reading
from crm_core.errors import Fault, worded
from crm_core.graphql.access import Access
from crm_core.graphql.build import result_name
from crm_core.graphql.coercing import Coerce, Coercers
from crm_core.graphql.context import Context, Fetch
from crm_core.graphql.fields import ObjectType
from crm_core.graphql.late import Given, Late, Trail, Unplanned
from crm_core.graphql.limits import Meter
from crm_core.graphql.mutations import options_of
from crm_core.graphql.operations import ITS_ID, Selected, Selections, hidden
from crm_core.graphql.planner import Planner
from crm_core.graphql.plans import Plan, Plans, finished
from crm_core.graphql.sharing import Text
from crm_core.settings import Limits

REMEMBERED: Final = 1_000
IDS = "ids"
NO_ID = UUID(int=0)
Types: TypeAlias = Mapping[str, ObjectType]


@dataclass(frozen=True)
class Executed:
    """An answer: `data` as bytes where the database wrote all of it. `reason` says why no statement was compiled."""

    data: bytes | dict[str, Any] | None
    errors: Sequence[GraphQLError] = ()
    reason: str | None = None
    detail: str = ""

    @property
    def compiled(self) -> bool:
        """Whether compiled statements answered."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Declared:
    """A variable as an operation declares it; `default` is Undefined where it has none."""

    name: str
    signature: Any
    coerce: Coerce
    default: Any
    required: bool


@dataclass(eq=False)
class Operation:
    """One operation of a document with the fragments it may spread; `signature` are its variables with their types.

    `live` holds the queries that a subscription is read by, under the keys of its fields.
    """

    document: DocumentNode
    node: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    meter: Meter
    places: Mapping[int, int]
    signature: Sequence[Declared] | None = None
    live: dict[str, Operation] = field(default_factory=dict)

    @property
    def variables(self) -> Any:
        """Its variable definitions."""
        return self.node.variable_definitions or ()


class Executor:
    """Executes the operations of one schema. It remembers what it has built; one for each process."""

    def __init__(
        self,
        schema: GraphQLSchema,
        types: Types,
        dialect: Dialect,
        limits: Limits,
        *,
        compiled: bool = True,
    ) -> None:
        """`compiled` False: everything by the interpreter."""
        self._schema, self._types, self._limits, self._compiles = schema, types, limits, compiled
        self.plans = Plans(dialect)
        self._coercers = Coercers()
        self._operations: OrderedDict[tuple[int, str | None], Operation] = OrderedDict()

    def operation(
        self, document: DocumentNode, node: OperationDefinitionNode, places: Mapping[int, int] | None = None
    ) -> Operation:
        """An operation of a valid document, as it will be executed; remembered while the document is.

        `places` tells where literals stand in it that each request brings anew.
        """
        key = (id(document), node.name.value if node.name else None)
        known = self._operations.get(key)
        if known is not None and known.document is document:
            self._operations.move_to_end(key)
            return known
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        meter = Meter(self._schema, document, node, self._limits)
        self._operations[key] = made = Operation(document, node, fragments, meter, places or {})
        if len(self._operations) > REMEMBERED:
            self._operations.popitem(last=False)
        return made

    async def execute(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        context: Context,
        text: Text | None = None,
    ) -> Executed:
        """The answer to an operation within its limits; `text` is what was sent, if the operation stands for more."""
        try:
            if not self._compiles:
                raise Unplanned("off")
            if operation.node.operation is OperationType.MUTATION:
                return await _Mutation(self, operation, self._coerced(operation, variables), context).answer()
            values = self._values(operation, variables)
            given = Given(values, context.access, text.values if text else ())
            return await self._query(operation, variables, given, context, text)
        except Unplanned as why:
            return await self._interpreted(self._exact(operation, text), variables, context, why)

    def _exact(self, operation: Operation, text: Text | None) -> Operation:
        """The operation with the literals that were sent."""
        document = text.exact() if text else operation.document
        if document is operation.document:
            return operation
        name = operation.node.name
        node = get_operation_ast(document, name.value if name else None)
        assert node is not None
        return self.operation(document, node)

    def _coerced(self, operation: Operation, variables: Mapping[str, Any]) -> VariableValues:
        values = self._values(operation, variables)
        sources = {
            one.name: VariableValueSource(one.signature, variables.get(one.name, Undefined))
            for one in self._declared(operation)
        }
        return VariableValues(sources, dict(values))

    def _declared(self, operation: Operation) -> Sequence[Declared]:
        if operation.signature is None:
            operation.signature = _signature(self._schema, operation, self._coercers)
        return operation.signature

    def _values(self, operation: Operation, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The variables as values of their types; what is wrong with one is told by the interpreter."""
        values: dict[str, Any] = {}
        for one in self._declared(operation):
            if one.name not in variables:
                if one.default is not Undefined:
                    values[one.name] = one.default
                elif one.required:
                    raise Unplanned("variables")
                continue
            try:
                values[one.name] = one.coerce(variables[one.name])
            except RecursionError:
                raise Unplanned("variables") from None
            if values[one.name] is Undefined:
                raise Unplanned("variables")
        return values

    async def _interpreted(
        self, operation: Operation, variables: Mapping[str, Any], context: Context, why: Unplanned
    ) -> Executed:
        name = operation.node.name
        try:
            result = execute(
                self._schema,
                operation.document,
                context_value=context,
                variable_values=dict(variables),
                operation_name=name.value if name else None,
            )
            done = await result if inspect.isawaitable(result) else result
        except RecursionError:
            words = "A variable is nested too deeply (变量嵌套过深)."
            return Executed(None, [GraphQLError(words, extensions={"code": "BAD_USER_INPUT"})], why.reason)
        return Executed(done.data, done.errors or (), why.reason, str(why))

    def plan_of(
        self, operation: Operation, variables: Mapping[str, Any], context: Context
    ) -> tuple[Plan, Given]:
        """The plan of a query and what this request gives to it; nothing is sent. `Unplanned` where there is none."""
        given = Given(self._values(operation, variables), context.access)
        return self._plan(operation, given, context, None, self._of_query(operation, context)), given

    # -- queries

    async def _query(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        given: Given,
        context: Context,
        text: Text | None,
    ) -> Executed:
        plan = self._plan(operation, given, context, None, self._of_query(operation, context))
        values = plan.bound(given)
        try:
            answer = await context.answer(plan.sql, values)
        except Fault as fault:
            return self._failed(self._exact(operation, text), fault, given)
        except Exception as error:
            raise plan.objected(error) from error
        if not plan.steps and not plan.left:
            return Executed(answer)
        data, errors = await finished(orjson.loads(answer), plan, context)
        if not errors and not plan.left:
            return Executed(data)
        exact = self._exact(operation, text)  # what remains tells of the very document that was sent
        sent = _sent(operation, exact)
        errors = [_located(error, sent) for error in errors]
        if not plan.left:
            return Executed(data, errors)
        left = [sent(node) for merged in plan.left.values() for node in merged]
        rest = await self._interpreted(_left_over(exact, left), variables, context, Unplanned("resolver"))
        if not isinstance(rest.data, dict):
            # roots are told of, and nothing within an answer that is not there
            return Executed(None, [*(one for one in errors if len(one.path or ()) == 1), *rest.errors])
        return Executed(data | rest.data, [*errors, *rest.errors])

    def _plan(
        self, operation: Operation, given: Given, context: Context, part: str | None, build: Any
    ) -> Plan:
        access = context.access
        key = (operation, part, access.actor.shape, access.actor.user_id is None)
        return self.plans.find(key, given, build, keep=part is not None)

    def _of_query(self, operation: Operation, context: Context) -> Any:
        def build(trail: Trail, access: Access) -> tuple[Select[Any], Planner]:
            selections = Selections(operation.fragments, trail, operation.places)
            planner = Planner(self._schema, self._types, context, access, selections)
            root = self._schema.query_type
            assert root is not None
            return planner.query(selections.of(root, [operation.node.selection_set])), planner

        return build

    def _failed(self, operation: Operation, fault: Fault, given: Given) -> Executed:
        """No field could be read; each tells why. Where one must not be null, the whole answer is."""
        root = self._schema.query_type
        assert root is not None
        selections = Selections(operation.fragments, Trail(given))
        found = selections.of(root, [operation.node.selection_set])
        data: dict[str, Any] = {}
        errors: list[GraphQLError] = []
        whole = True
        for key, nodes in found.items():
            name = nodes[0].name.value
            data[key] = root.name if name == "__typename" else None
            if name != "__typename":
                errors.append(located_error(fault, nodes, [key]))
                whole &= name in root.fields and not is_non_null_type(root.fields[name].type)
        return Executed(data if whole else None, errors)


def _signature(schema: GraphQLSchema, operation: Operation, coercers: Coercers) -> list[Declared]:
    """What each variable is."""
    found = []
    for one in operation.variables:
        type_: Any = type_from_ast(schema, one.type)
        default = value_from_ast(one.default_value, type_) if one.default_value else Undefined
        name, required = one.variable.name.value, is_non_null_type(type_)
        signature = get_variable_signature(schema, one)
        found.append(Declared(name, signature, coercers.of(type_), default, required))
    return found


def _left_over(operation: Operation, left: Sequence[FieldNode]) -> Operation:
    """The operation with those root fields alone that no statement answers; which are wanted is decided by now."""
    nodes = [replace(node, directives=()) for node in left]
    node = replace(operation.node, selection_set=SelectionSetNode(selections=tuple(nodes)))
    document = DocumentNode(definitions=(node, *operation.fragments.values()))
    return replace(operation, document=document, node=node)


def _sent(operation: Operation, exact: Operation) -> Callable[[Any], Any]:
    """Finds the field of the document that was sent for one of the document that stands for it.

    Documents that share one differ in literals alone, and have no fragments.
    """
    if exact is operation:
        return lambda node: node
    pairs = dict(_side_by_side(operation.node.selection_set, exact.node.selection_set))
    return lambda node: pairs.get(id(node), node)


def _side_by_side(here: SelectionSetNode | None, there: SelectionSetNode | None) -> Iterator[tuple[int, Any]]:
    if here is None or there is None:
        return
    for one, other in zip(here.selections, there.selections, strict=True):
        assert isinstance(one, FieldNode), "a document with fragments stands for itself alone"
        assert isinstance(other, FieldNode)
        yield id(one), other
        yield from _side_by_side(one.selection_set, other.selection_set)


def _located(error: GraphQLError, sent: Callable[[Any], Any]) -> GraphQLError:
    """The error where its fields stand in the document that was sent."""
    if not error.nodes:
        return error
    return GraphQLError(
        error.message,
        [sent(node) for node in error.nodes],
        path=error.path,
        original_error=error.original_error,
        extensions=error.extensions,
    )


class _Mutation:
    """One mutation operation: its fields one after the other, each in a transaction of its own, then read."""

    def __init__(self, executor: Executor, operation: Operation, coerced: Any, context: Context) -> None:
        self.executor, self.operation, self.coerced, self.context = executor, operation, coerced, context
        self.schema, self.types = executor._schema, executor._types  # noqa: SLF001  # of this module
        self.given = Given(coerced.coerced, context.access)

    async def answer(self) -> Executed:
        root = self.schema.mutation_type
        assert root is not None
        selections = Selections(self.operation.fragments, Trail(self.given))
        fields = selections.of(root, [self.operation.node.selection_set])
        changes = [_Change(self, root, selections, key, nodes) for key, nodes in fields.items()]
        for change in changes:
            await change.tried()
        data: dict[str, Any] = {}
        errors: list[GraphQLError] = []
        for change in changes:
            try:
                data[change.key] = await change.answer(errors)
            except Exception as error:  # noqa: BLE001  # a payload is never null: the whole answer is
                return Executed(None, [*errors, located_error(error, change.nodes, [change.key])])
        return Executed(data, errors)


class _Change:
    """One field of a mutation. What reads its payload is planned before anything is performed."""

    def __init__(
        self,
        mutation: _Mutation,
        root: GraphQLObjectType,
        selections: Selections,
        key: str,
        nodes: list[FieldNode],
    ) -> None:
        self.mutation, self.key, self.nodes = mutation, key, nodes
        self.context, self.types, self.schema = mutation.context, mutation.types, mutation.schema
        name = nodes[0].name.value
        if name == "__typename":
            raise Unplanned("typename")
        field_ = root.fields[name]
        spec = getattr(field_.extensions.get("strawberry-definition"), "metadata", {}).get("command")
        if not isinstance(spec, CommandSpec):
            raise Unplanned("resolver", name)
        self.spec = spec
        try:
            self.arguments = get_argument_values(field_, nodes[0], mutation.coerced)
        except GraphQLError as error:
            raise Unplanned("value", str(error)) from error
        payload = get_named_type(field_.type)
        assert isinstance(payload, GraphQLObjectType)
        self.payload = payload
        self.selected = selections.under(payload, nodes)
        self.selections = selections
        self.kind = self.types[spec.command.result_type()]
        self.many = isinstance(spec.command.returns, list)
        self.result = result_name(self.kind, many=self.many)
        self.plans = {name: plan for name in (self.result, "approval") if (plan := self._planned(name))}

    def _planned(self, name: str) -> Plan | None:
        """The plan of what is selected under a record of the payload."""
        chosen = {key: nodes for key, nodes in self.selected.items() if nodes[0].name.value == name}
        if not chosen:
            return None
        part = f"{self.key} {name}"
        kind, many = (self.kind, self.many) if name == self.result else (self.types["Approval"], False)

        def build(trail: Trail, access: Access) -> tuple[Select[Any], Planner]:
            selections = Selections(self.mutation.operation.fragments, trail)
            planner = Planner(self.schema, self.types, self.context, access, selections)
            root = self.schema.mutation_type
            assert root is not None
            fields = selections.of(root, [self.mutation.operation.node.selection_set])
            there = selections.under(self.payload, fields[self.key])
            return planner.records_of(kind, _ids(trail), _only(there, name), many=many), planner

        executor = self.mutation.executor
        return executor._plan(self.mutation.operation, self.mutation.given, self.context, part, build)  # noqa: SLF001

    async def tried(self) -> None:
        """Let the database look at statements it has not seen: once a change is performed it is too late."""
        for plan in self.plans.values():
            if not plan.tried:
                given = Given(self.mutation.given.variables, self.context.access, more={IDS: [NO_ID]})
                try:
                    plan.again(given)
                    await self.context.answer(plan.sql, plan.bound(given))
                except Fault:
                    raise Unplanned("database") from None
                except Exception as error:
                    raise plan.objected(error) from error
                plan.tried = True

    async def answer(self, errors: list[GraphQLError]) -> dict[str, Any]:
        """The payload; errors of its fields are added to `errors`."""
        options = options_of(self.arguments, self.context)
        outcome, fetch = await self.context.perform(
            self.spec.kind, self.arguments["input"], options, self._then
        )
        records = await self._read(self.result, outcome.ids, fetch, errors, outcome.read)
        held = (outcome.approval,) if outcome.approval is not None else ()
        records |= await self._read("approval", held, fetch, errors)
        return {key: self._value(key, nodes, outcome, records) for key, nodes in self.selected.items()}

    def _value(self, key: str, nodes: list[FieldNode], outcome: Outcome, records: Mapping[str, Any]) -> Any:
        name = nodes[0].name.value
        if name == "userErrors":
            return self._user_errors(nodes, outcome)
        if name == "replayed":
            return outcome.replayed
        if name == "__typename":
            return self.payload.name
        if name == self.result and self.many:
            refused = bool(outcome.errors or outcome.approval)
            return None if refused else records.get(key, [] if not outcome.ids else None)
        return records.get(key)

    def _user_errors(self, nodes: list[FieldNode], outcome: Outcome) -> list[dict[str, Any]]:
        kind = self.schema.get_type("UserError")
        assert isinstance(kind, GraphQLObjectType)
        names = {key: own[0].name.value for key, own in self.selections.under(kind, nodes).items()}
        return [{key: self._of_error(error, name) for key, name in names.items()} for error in outcome.errors]

    def _of_error(self, error: Any, name: str) -> Any:
        if name == "message":
            return worded(error, self.context.messages, self.context.language)
        return "UserError" if name == "__typename" else getattr(error, name)

    def _then(self, ids: Sequence[UUID]) -> Reading | None:
        """What will be read of the records, for a database that can tell it while it writes them."""
        plan = self.plans.get(self.result)
        if plan is None or not ids:
            return None
        given = Given(self.mutation.given.variables, self.context.access, more={IDS: ids})
        try:
            plan.again(given)
            return Reading(plan.sql, plan.bound(given))
        except Exception:  # noqa: BLE001  # it is told when it is read
            return None

    async def _read(
        self,
        name: str,
        ids: Sequence[Any],
        fetch: Fetch | None,
        errors: list[GraphQLError],
        known: bytes | None = None,
    ) -> dict[str, Any]:
        """The records of these ids under each key that asks for them; `known`, where the database told already."""
        plan = self.plans.get(name)
        if plan is None or not ids:
            return {}
        many = self.many and name == self.result
        given = Given(self.mutation.given.variables, self.context.access, more={IDS: ids})
        try:
            if known is None:
                plan.again(given)
            data = orjson.loads(known) if known else await self._answer(plan, given, fetch)
        except Exception as error:  # noqa: BLE001  # performed it is; what cannot be read is told as an error
            nodes = {k: n for k, n in self.selected.items() if n[0].name.value == name}
            errors += [located_error(error, n, [self.key, k]) for k, n in nodes.items()]
            return {}
        if many:
            data = {key: _in_order(rows, ids) for key, rows in data.items()}
        data, found = await finished(data, plan, self.context, self.key)
        errors += found
        return data

    async def _answer(self, plan: Plan, given: Given, fetch: Fetch | None) -> dict[str, Any]:
        if fetch is None:
            found: Any = await self.context.answer(plan.sql, plan.bound(given))
        else:
            assert plan.statement is not None
            found = (await fetch(_realised(plan.statement, given)))[0][0]
        return found if isinstance(found, dict) else orjson.loads(found)  # some drivers read JSON themselves


def _ids(trail: Trail) -> Late:
    return Late(lambda given: given.more[IDS], trail)


def _only(selected: Selected, name: str) -> Selected:
    return {key: nodes for key, nodes in selected.items() if nodes[0].name.value == name}


def _in_order(rows: list[dict[str, Any]], ids: Sequence[Any]) -> list[dict[str, Any]]:
    """The records in the order of the ids they were asked by."""
    by_id = {row.pop(hidden(ITS_ID)): row for row in rows}
    return [by_id[key] for one in ids if (key := f"x_{one.hex}") in by_id]


def _realised(statement: Select[Any], given: Given) -> Select[Any]:
    """The statement with the values of this request, for a connection that is in the middle of its work."""

    def value(element: Any, **_options: Any) -> Any:
        if not isinstance(element, BindParameter):
            return None
        if not element.unique and element.key in given.access.values:  # the caller's own, bound by name
            found = given.access.values[element.key]
        elif isinstance(element.value, Late):
            found = element.value.read(given)
        elif isinstance(element.value, list) and any(isinstance(one, Late) for one in element.value):
            found = [one.read(given) for one in element.value]  # spelled out in SQL
        else:
            return None
        bound = element._clone()  # noqa: SLF001  # the same parameter
        bound.value = found
        return bound

    return visitors.replacement_traverse(statement, {}, value)  # type: ignore[return-value]  # as it was given
