"""Builds one GraphQL schema from the declarations of all rooms and plugins; refuses two fields of one name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from pydantic.alias_generators import to_camel, to_pascal
from strawberry.schema.config import StrawberryConfig
from strawberry.types.field import StrawberryField

from crm_core.commands import Command, CommandSpec
from crm_core.graphql import interpreter
from crm_core.graphql.context import Info
from crm_core.graphql.fields import Field, Filter, ObjectType
from crm_core.graphql.filters import DEEPEST, OPERATORS, operators
from crm_core.graphql.inputs import ARGUMENTS, InputTypes, argument_of, class_of, field_of
from crm_core.graphql.mutations import mutation_resolver, payload_resolvers
from crm_core.graphql.values import SCALARS, annotation

_TAKEN = frozenset({"Query", "Mutation", "Subscription", "String", "Int", "Float", "Boolean", "ID"}) | {
    scalar.name for scalar in SCALARS.values()
}
"""Names no declared type may have, besides those of the fixed types."""


class SchemaClash(Exception):
    """Two declarations claim one name; the text names both owners."""


@dataclass(frozen=True)
class Parts:
    """What a schema is made of."""

    types: Mapping[str, ObjectType]
    queries: tuple[Field | type, ...]
    commands: Mapping[str, CommandSpec]
    type_owners: Mapping[str, str]
    query_owners: tuple[str, ...] = ()


@strawberry.enum(description="Direction of an order.")
class SortDirection(StrEnum):
    """Direction of an order."""

    ASC = "ASC"
    DESC = "DESC"


def build(parts: Parts) -> strawberry.Schema:
    """The schema; raises `SchemaClash` or Strawberry's own errors when the parts do not fit together."""
    return _Builder(parts).schema()


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """The graphql-core schema inside."""
    return schema._schema  # noqa: SLF001  # Strawberry offers no public name for it


def query_names(query: Field | type) -> tuple[str, ...]:
    """Names of the root fields a query declaration makes."""
    if isinstance(query, Field):
        return (query.name,)
    fields = query.__strawberry_definition__.fields  # type: ignore[attr-defined]  # set by @strawberry.type
    return tuple(f.graphql_name or to_camel(f.python_name) for f in fields)


def mutation_name(kind: str) -> str:
    """`customer.bulk_assign` → `customerBulkAssign`."""
    return to_camel(kind.replace(".", "_"))


class _Builder:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.names: dict[str, Any] = {"list": list, "str": str}
        self.declared: dict[str, str] = {}
        self.inputs = InputTypes(self._take)
        self.resolvers: dict[tuple[str, str], Callable[..., Any]] = {}
        self.filter_types: dict[str, Any] = {}

    def schema(self) -> strawberry.Schema:
        self._fixed_types()
        for kind in self.parts.types.values():
            self._claim(f"{kind.name}Where", self._where(kind), kind.name)
            order = self._order(kind)
            if order is not None:
                self._claim(f"{kind.name}Order", order, kind.name)
        for kind in self.parts.types.values():
            self._object(kind)
        query = class_of("Query", self._queries(), description="Everything that can be read.")
        mutation = class_of("Mutation", self._mutations(), description="Everything that can be changed.")
        live = self._live()
        built = strawberry.Schema(
            query=query,
            mutation=mutation,
            subscription=class_of("Subscription", live, "Everything that can be followed.") if live else None,
            types=[self.names[name] for name in self.parts.types],
            config=StrawberryConfig(auto_camel_case=False, scalar_map=SCALARS),
        )
        self._attach(core_schema(built))
        return built

    def _claim(self, name: str, made: Any, of: str) -> None:
        """Keep a type that was made for a declared one."""
        owner = self.parts.type_owners.get(of, "core")
        self._take(name, made, f"type {of} of {owner}", owner)

    def _take(self, name: str, made: Any, of: str, owner: str) -> None:
        """Keep a type under its name, made for `of`; two of one name would silently replace one another."""
        if name in self.names or name in _TAKEN:
            earlier = self.declared.get(name, "the core")
            raise SchemaClash(
                f"type {name} of {owner} is already declared by {earlier}; choose another name for {of}"
            )
        self.names[name], self.declared[name] = made, of

    # -- fixed types

    def _fixed_types(self) -> None:
        node = class_of(
            "Node",
            [field_of("id", strawberry.ID, "Globally unique id, `<prefix>_<32 hex>`.")],
            is_interface=True,
            description="A record that `node(id:)` finds.",
        )
        page_info = class_of(
            "PageInfo",
            [
                field_of("hasNextPage", bool, "Whether rows follow."),
                field_of("hasPreviousPage", bool, "Whether rows precede, as far as known from the cursor."),
                field_of("startCursor", str | None, "Cursor of the first row."),
                field_of("endCursor", str | None, "Cursor of the last row."),
            ],
            description="Where a page stands in its connection.",
        )
        error = class_of(
            "UserError",
            [
                field_of("code", str, "Stable code to act on."),
                field_of("message", str, "Words for a person, in the language of Accept-Language."),
                field_of("field", str | None, "Path of the input field, e.g. `phones.0.number`."),
                field_of("rule", str | None, "The business rule that refused, e.g. `AD-050`."),
            ],
            description="One business refusal (拒绝理由). All reasons found come together.",
        )
        self.names |= {
            "Node": node,
            "PageInfo": page_info,
            "UserError": error,
            "SortDirection": SortDirection,
        }
        self._resolve("PageInfo", interpreter.page_info_resolvers())
        self._resolve("UserError", {name: _from(name) for name in ("code", "message", "field", "rule")})

    # -- inputs

    def _filter(self, type_: Any) -> Any:
        label = _label(type_)
        if label not in self.filter_types:
            base = annotation(type_)
            fields = []
            for name in operators(type_):
                value: Any = bool if name == "isNull" else list[base] if name == "in" else base  # type: ignore[valid-type]
                fields.append(_optional_input(name, value | None, OPERATORS[name]))
            name = f"{label}Filter"
            made = class_of(name, fields, is_input=True, description="All given operators must hold.")
            self._take(name, made, f"filters by {label}", "core")
            self.filter_types[label] = made
        return self.filter_types[label]

    def _where(self, kind: ObjectType) -> Any:
        fields = []
        for declared in kind.fields:
            if not declared.filter:
                continue
            value = (
                self._filter(declared.type) | None
                if declared.kind == "column"
                else f"{declared.target}Where | None"
            )
            fields.append(_optional_input(declared.name, value, declared.description, self.names))
        fields += [
            _optional_input(own.name, annotation(own.type) | None, own.description) for own in kind.filters
        ]
        for name, words in (("and", "All of these."), ("or", "Any of these.")):
            fields.append(_optional_input(name, f"list[{kind.name}Where] | None", words, self.names))
        fields.append(_optional_input("not", f"{kind.name}Where | None", "Not this.", self.names))
        _refuse_twice(
            f"{kind.name}Where", _owned(fields, [*(f for f in kind.fields if f.filter), *kind.filters])
        )
        text = f"Conditions on {kind.name}; all given ones must hold, nested at most {DEEPEST} deep."
        return class_of(f"{kind.name}Where", fields, is_input=True, description=text)

    def _order(self, kind: ObjectType) -> Any:
        fields = [
            _optional_input(declared.name, SortDirection | None, declared.description)
            for declared in kind.fields
            if declared.sort
        ]
        if not fields:
            return None
        return class_of(
            f"{kind.name}Order", fields, is_input=True, description="One sort key; name exactly one field."
        )

    # -- objects

    def _object(self, kind: ObjectType) -> None:
        _refuse_twice(kind.name, [(f.name, f.owner) for f in kind.fields])
        fields = [self._field(declared, kind) for declared in kind.fields]
        bases = (self.names["Node"],) if kind.prefix else ()
        self._claim(kind.name, class_of(kind.name, fields, kind.description, bases=bases), kind.name)
        self._connection_types(kind)

    def _connection_types(self, kind: ObjectType) -> None:
        edge = class_of(
            f"{kind.name}Edge",
            [
                field_of("cursor", str, "Where this row stands; give it to after or before."),
                field_of("node", kind.name, f"The {kind.name}.", namespace=self.names),
            ],
            description=f"A {kind.name} in a connection.",
        )
        self._claim(f"{kind.name}Edge", edge, kind.name)
        connection = class_of(
            f"{kind.name}Connection",
            [
                field_of("edges", f"list[{kind.name}Edge]", "Rows with their cursors.", namespace=self.names),
                field_of("nodes", f"list[{kind.name}]", "Rows without cursors.", namespace=self.names),
                field_of("pageInfo", "PageInfo", "Where this page stands.", namespace=self.names),
                field_of("totalCount", int, "How many rows match; counted only when asked for."),
            ],
            description=f"A page of {kind.name} records.",
        )
        self._claim(f"{kind.name}Connection", connection, kind.name)
        self._resolve(f"{kind.name}Connection", interpreter.connection_resolvers())
        self._resolve(
            f"{kind.name}Edge",
            {"cursor": lambda row, _info: row["__cursor"], "node": lambda row, _info: row},
        )

    def _field(self, declared: Field, owner: ObjectType | None) -> StrawberryField:
        parent = owner.name if owner else "Query"
        shape = self._type(declared)
        self.resolvers[parent, declared.name] = interpreter.resolver_of(declared, owner, self.parts.types)
        return field_of(
            declared.name,
            shape,
            declared.description,
            arguments=self._arguments(declared),
            metadata={"crm": declared},
            namespace=self.names,
            deprecated=declared.deprecated,
        )

    def _type(self, declared: Field) -> Any:
        if declared.kind in ("column", "batch"):
            base = annotation(declared.type)
            return base | None if declared.nullable else base
        if declared.target not in self.parts.types:
            raise SchemaClash(
                f"{declared.name} of {declared.owner} points to an unknown type {declared.target}"
            )
        forms = {
            "listing": "list[{}] | None",
            "connection": "{}Connection | None",
            "query_connection": "{}Connection | None",
        }
        return forms.get(declared.kind, "{} | None").format(declared.target)

    def _arguments(self, declared: Field) -> list[Any]:
        if declared.kind == "query_one":
            return [argument_of("id", strawberry.ID, "The record's id.")]
        if declared.kind not in ("connection", "query_connection"):
            return []
        made = [
            argument_of("first", int | None, "Rows from the start."),
            argument_of("after", str | None, "Only rows behind this cursor."),
            argument_of("last", int | None, "Rows from the end."),
            argument_of("before", str | None, "Only rows before this cursor."),
            argument_of("where", f"{declared.target}Where | None", "Only matching rows.", self.names),
        ]
        made += self._shorthands(declared)
        if f"{declared.target}Order" in self.names:
            made.append(
                argument_of("orderBy", f"list[{declared.target}Order] | None", "Sort keys.", self.names)
            )
        return made

    def _shorthands(self, declared: Field) -> list[Any]:
        """Arguments that stand for a condition of `where`."""
        found = []
        for name, field_, operator in declared.shorthands:
            base = annotation(self.parts.types[declared.target].by_name[field_].type)
            value: Any = list[base] if operator == "in" else base  # type: ignore[valid-type]  # built at run time
            words = f"Short for `where: {{ {field_}: {{ {operator}: … }} }}`."
            found.append(argument_of(name, value | None, words))
        return found

    # -- roots

    def _queries(self) -> list[StrawberryField]:
        fields = [
            field_of(
                "node",
                "Node | None",
                "Any record by its id, if you may see it.",
                arguments=[argument_of("id", strawberry.ID, "The record's id.")],
                namespace=self.names,
            )
        ]
        types = self.parts.types

        async def node(_root: Any, info: Info, id: str) -> Any:
            return await interpreter.node(info.context, info, types, id)

        self.resolvers["Query", "node"] = node
        for declared in self.parts.queries:
            if isinstance(declared, Field):
                fields.append(self._field(declared, None))
            else:
                fields += declared.__strawberry_definition__.fields  # type: ignore[attr-defined]
        owners = (*self.parts.query_owners, *("core" for _ in self.parts.queries))
        named = [(n, o) for q, o in zip(self.parts.queries, owners, strict=False) for n in query_names(q)]
        _refuse_twice("Query", [("node", "core"), *named])
        return sorted(fields, key=lambda f: f.graphql_name or f.python_name)

    def _live(self) -> list[StrawberryField]:
        """Connections that can be subscribed to: row after row, behind a position."""
        words = "Begin behind this position; left out: with what happens from now on."
        return [
            field_of(
                declared.name,
                declared.target,
                declared.description,
                arguments=[argument_of("after", str | None, words), *self._shorthands(declared)],
                metadata={"crm": declared},
                namespace=self.names,
            )
            for declared in self.parts.queries
            if isinstance(declared, Field) and declared.live is not None
        ]

    def _mutations(self) -> list[StrawberryField]:
        specs = [spec for _, spec in sorted(self.parts.commands.items())]
        _refuse_twice("Mutation", [(mutation_name(spec.kind), spec.owner) for spec in specs])
        return [self._mutation(spec) for spec in specs]

    def _mutation(self, spec: CommandSpec) -> StrawberryField:
        name = mutation_name(spec.kind)
        payload = to_pascal(spec.kind.replace(".", "_")) + "Payload"
        command = f"command {spec.kind} of {spec.owner}"
        self._take(payload, self._payload(payload, spec.command), command, spec.owner)
        given = self.inputs.of(
            spec.command, to_pascal(spec.kind.replace(".", "_")) + "Input", command, spec.owner
        )
        arguments = [argument_of("input", given, "What to do.")]
        arguments += [argument_of(n, t | None, words) for n, t, words in ARGUMENTS]
        self.resolvers["Mutation", name] = mutation_resolver(spec)
        text = f"{(spec.command.__doc__ or '').strip()} Needs `{spec.command.scope}`."
        return field_of(
            name, payload, text, arguments=arguments, metadata={"command": spec}, namespace=self.names
        )

    def _payload(self, name: str, command: type[Command]) -> Any:
        record = command.result_type()
        if record not in self.parts.types:
            raise SchemaClash(f"{command.kind} returns an unknown type {record}")
        many = isinstance(command.returns, list)
        kind = self.parts.types[record]
        key = result_name(kind, many=many)
        fields = [
            field_of(
                key,
                f"list[{record}] | None" if many else f"{record} | None",
                "The record as it is now; null when refused, held, or not visible to you.",
                namespace=self.names,
            ),
            field_of(
                "userErrors",
                "list[UserError]",
                "Why it was refused; empty when it was not.",
                namespace=self.names,
            ),
            field_of("replayed", bool, "Whether an earlier outcome of this idempotency key is shown."),
        ]
        if "Approval" in self.parts.types and key != "approval":
            fields.append(
                field_of(
                    "approval",
                    "Approval | None",
                    "Set when the change waits for signatures (审批).",
                    namespace=self.names,
                )
            )
        self._resolve(name, payload_resolvers(kind, key, self.parts.types, many=many))
        return class_of(name, fields, description=f"Outcome of {mutation_name(command.kind)}.")

    # -- attaching

    def _resolve(self, parent: str, resolvers: Mapping[str, Callable[..., Any]]) -> None:
        for name, resolver in resolvers.items():
            self.resolvers[parent, name] = resolver

    def _attach(self, schema: GraphQLSchema) -> None:
        for (parent, name), resolver in self.resolvers.items():
            kind = schema.type_map.get(parent)  # a connection nobody uses is not in the schema
            if isinstance(kind, GraphQLObjectType):
                kind.fields[name].resolve = resolver
        for kind in schema.type_map.values():
            if isinstance(kind, GraphQLObjectType) and kind.name in self.parts.types:
                kind.is_type_of = None
        node = schema.type_map["Node"]
        node.resolve_type = lambda row, _info, _kind: row["__type"]  # type: ignore[attr-defined]


def result_name(kind: ObjectType, *, many: bool) -> str:
    """Name of the record in a payload: `customer`, or `customers` for many."""
    one = kind.name[0].lower() + kind.name[1:]
    return (kind.plural or f"{one}s") if many else one


def _from(name: str) -> Callable[..., Any]:
    return lambda found, _info: found[name]


def _optional_input(
    name: str, type_: Any, description: str, namespace: dict[str, Any] | None = None
) -> StrawberryField:
    made = field_of(name, type_, description, namespace=namespace)
    made.default = made.default_value = strawberry.UNSET
    return made


def _label(type_: Any) -> str:
    if isinstance(type_, type) and issubclass(type_, Enum):
        return type_.__name__
    base = annotation(type_)
    names = {str: "String", int: "Int", bool: "Boolean", strawberry.ID: "ID"}
    return names.get(base) or SCALARS[base].name or "Value"


def _owned(fields: Iterable[StrawberryField], declared: Iterable[Field | Filter]) -> list[tuple[str, str]]:
    """Names of input fields with the owner of each; the connectives and, or, not are the core's."""
    waiting = [(one.name, one.owner) for one in declared]
    return waiting + [(f.graphql_name or "", "core") for f in list(fields)[len(waiting) :]]


def _refuse_twice(where: str, names: Iterable[tuple[str, str]]) -> None:
    """Refuse two fields of one name, naming both owners."""
    seen: dict[str, str] = {}
    for name, owner in names:
        if name in seen:
            raise SchemaClash(f"{where}.{name} of {owner} is already declared by {seen[name]}")
        seen[name] = owner
