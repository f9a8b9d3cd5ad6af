"""The schema: every name and description in order, and one schema never touches another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    is_specified_scalar_type,
    validate_schema,
)

from crm_core.access.models import User
from crm_core.commands import Command, Part
from crm_core.graphql.build import SchemaClash, build, core_schema
from crm_core.graphql.fields import Field, ObjectType, field
from crm_core.loader import Candidate, load, parts_of
from crm_core.registry import Registry
from crm_core.schema import core_registry, schema_of, sdl
from crm_core.settings import LineSettings, Settings
from crm_core.work import Work
from tests.graphql.shelf import SHELF
from tests.loader.made import candidate, module

Fielded = GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType


def with_plugins(*plugins: Candidate) -> Registry:
    line = LineSettings(plugins=[plugin.name for plugin in plugins])
    return load(Settings(lines={"east": line}), plugins)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return with_plugins(SHELF)


@pytest.fixture(scope="module")
def schema(registry: Registry) -> GraphQLSchema:
    return core_schema(build(parts_of(registry)))


def fielded(schema: GraphQLSchema) -> Iterator[Fielded]:
    for kind in schema.type_map.values():
        if isinstance(kind, Fielded) and not kind.name.startswith("__"):
            yield kind


def test_the_schema_is_valid(schema: GraphQLSchema) -> None:
    assert validate_schema(schema) == []


def test_types_are_named_in_pascal_case_and_fields_and_arguments_in_camel_case(schema: GraphQLSchema) -> None:
    pascal, camel = re.compile(r"[A-Z][A-Za-z0-9]*"), re.compile(r"[a-z][A-Za-z0-9]*")
    wrong = [kind.name for kind in fielded(schema) if not pascal.fullmatch(kind.name)]
    for kind in fielded(schema):
        for name, one in kind.fields.items():
            arguments = getattr(one, "args", {})
            wrong += [f"{kind.name}.{n}" for n in (name, *arguments) if not camel.fullmatch(n)]
    assert wrong == []


def test_enum_values_are_upper_snake(schema: GraphQLSchema) -> None:
    enums = [
        k for k in schema.type_map.values() if isinstance(k, GraphQLEnumType) and not k.name.startswith("__")
    ]
    upper = re.compile(r"[A-Z][A-Z0-9_]*")
    assert [f"{e.name}.{v}" for e in enums for v in e.values if not upper.fullmatch(v)] == []


def test_everything_is_described(schema: GraphQLSchema) -> None:
    bare: list[str] = []
    for kind in schema.type_map.values():
        if kind.name.startswith("__") or (
            isinstance(kind, GraphQLScalarType) and is_specified_scalar_type(kind)
        ):
            continue
        if not (kind.description or "").strip():
            bare.append(kind.name)
        for name, one in kind.fields.items() if isinstance(kind, Fielded) else ():
            arguments = getattr(one, "args", {}).items()
            described = [(name, one), *((f"{name}({n}:)", a) for n, a in arguments)]
            bare += [f"{kind.name}.{n}" for n, d in described if not (d.description or "").strip()]
    assert bare == []


def declared(registry: Registry) -> Iterator[tuple[str, Field]]:
    for kind in registry.types.values():
        for one in kind.fields:
            yield kind.name, one
    for query in registry.queries:
        if isinstance(query, Field):
            yield "Query", query


def test_what_may_be_denied_may_be_null(registry: Registry, schema: GraphQLSchema) -> None:
    for parent, one in declared(registry):
        kind = schema.type_map[parent]
        assert isinstance(kind, GraphQLObjectType)
        target = registry.types.get(one.target)
        foreign = one.owner not in ("core", registry.type_owners.get(parent))
        if one.scope or foreign or (target and target.scope) or one.kind == "batch":
            assert not isinstance(kind.fields[one.name].type, GraphQLNonNull), f"{parent}.{one.name}"


def test_every_scope_that_is_asked_for_is_declared(registry: Registry) -> None:
    asked = {spec.command.scope: kind for kind, spec in registry.commands.items()}
    asked |= {kind.scope: name for name, kind in registry.types.items() if kind.scope}
    for parent, one in declared(registry):
        asked |= {s: f"{parent}.{one.name}" for s in (one.scope, one.mask.unless if one.mask else None) if s}
    assert {scope: where for scope, where in asked.items() if scope not in registry.scopes} == {}


def test_every_role_holds_scopes_that_exist(registry: Registry) -> None:
    named = {s for role in registry.roles.values() for s in role.scopes}
    assert named - set(registry.scopes) - {"*"} == set()


def test_every_check_and_policy_is_of_a_command_that_exists(registry: Registry) -> None:
    kinds = {*registry.checks, *(policy.kind for policy in registry.policies)}
    assert kinds - set(registry.commands) == set()


def test_every_mutation_takes_what_accompanies_a_command_and_answers_alike(schema: GraphQLSchema) -> None:
    assert schema.mutation_type is not None
    for name, one in schema.mutation_type.fields.items():
        assert {*one.args} == {"input", "idempotencyKey", "expectedVersion", "dryRun", "reason", "line"}, name
        payload = one.type.of_type if isinstance(one.type, GraphQLNonNull) else one.type
        assert isinstance(payload, GraphQLObjectType)
        assert {"userErrors", "replayed"} < {*payload.fields}, name


def test_every_connection_takes_the_same_arguments(registry: Registry, schema: GraphQLSchema) -> None:
    for parent, one in declared(registry):
        if one.kind in ("connection", "query_connection"):
            kind = schema.type_map[parent]
            assert isinstance(kind, GraphQLObjectType)
            arguments = {*kind.fields[one.name].args}
            assert (
                {"first", "after", "last", "before", "where"}
                <= arguments
                <= {"first", "after", "last", "before", "where", "orderBy", *(s[0] for s in one.shorthands)}
            )


def test_a_deprecated_field_names_its_replacement(schema: GraphQLSchema) -> None:
    kind = schema.type_map["ShelfItem"]
    assert isinstance(kind, GraphQLObjectType)
    assert kind.fields["oldName"].deprecation_reason == "Use name."


def test_two_schemas_in_one_process_do_not_know_one_another() -> None:
    alone = sdl(core_registry())
    with_shelf = sdl(with_plugins(SHELF))
    assert "ShelfItem" in with_shelf
    assert "ShelfItem" not in alone
    assert sdl(core_registry()) == alone
    assert sdl(with_plugins(SHELF)) == with_shelf


def test_the_schema_does_not_depend_on_the_order_of_installation() -> None:
    other = candidate(
        "drawer",
        module(crm_fields=lambda: {"User": (field("drawer", str, "A drawer.", sql=lambda t, _a: t.c.name),)}),
    )
    assert sdl(with_plugins(SHELF, other)) == sdl(with_plugins(other, SHELF))


def test_a_clash_names_both_owners(registry: Registry) -> None:
    again = candidate(
        "drawer", module(crm_fields=lambda: {"ShelfItem": (field("note", str, "Again."),)}), "crm-shelf"
    )
    state = next(s for s in with_plugins(SHELF, again).plugins if s.name == "drawer")
    assert "field ShelfItem.note of drawer is already declared by shelf" in state.reason


class UserCreateInput(Part):
    """A part named as the input of a command of the core."""

    words: str


class TeamCreatePayload(Part):
    """A part whose input has a name of its own."""

    words: str


class Jot(Command):
    """Jot something down."""

    kind = "jot.down"
    scope = "user.read"
    returns = "User"
    parts: tuple[UserCreateInput, ...] = ()
    more: TeamCreatePayload | None = None


class JotAgain(Command):
    """Jot something down, in another way."""

    kind = "jot_down.again"
    scope = "user.read"
    returns = "User"
    parts: tuple[TeamCreatePayload, ...] = ()


async def jot(_work: Work, _command: Command) -> None:
    """Nothing happens."""


def quarantined_for(**hooks: Any) -> str:
    state = next(s for s in with_plugins(candidate("jotter", module(**hooks))).plugins if s.name == "jotter")
    return state.reason


def test_a_part_named_like_the_input_of_a_command_is_refused_naming_both() -> None:
    reason = quarantined_for(crm_commands=lambda: {Jot: jot})
    assert "type UserCreateInput of" in reason
    assert "command user.create of core" in reason
    assert f"part {__name__}.UserCreateInput" in reason


def test_two_parts_of_one_name_are_refused() -> None:
    other = type("TeamCreatePayload", (Part,), {"__doc__": "Another.", "__module__": "elsewhere"})
    second = type("JotMore", (JotAgain,), {"__annotations__": {"parts": list[other]}, "parts": []})  # type: ignore[valid-type]
    second.kind = "jot.more"  # type: ignore[attr-defined]  # a command
    reason = quarantined_for(crm_commands=lambda: {JotAgain: jot, second: jot})
    assert "type TeamCreatePayloadInput of jotter is already declared by part" in reason
    assert "elsewhere.TeamCreatePayload" in reason


@pytest.mark.parametrize("name", ["UserCreateInput", "UserCreatePayload", "StringFilter"])
def test_a_type_named_like_a_generated_one_is_refused_naming_both(name: str) -> None:
    fields = (field("name", str, "A text."),)
    own = ObjectType(name=name, table=User.__table__, description="A type.", fields=fields)
    reason = quarantined_for(crm_types=lambda: (own,))
    assert f"type {name} of" in reason
    assert f"type {name} of jotter" in reason
    assert "user.create" in reason or "filters by String" in reason


def test_a_part_that_two_commands_share_is_one_type() -> None:
    found = with_plugins(candidate("jotter", module(crm_commands=lambda: {JotAgain: jot})))
    assert "TeamCreatePayloadInput" in core_schema(schema_of(found)).type_map


def test_a_schema_of_ill_fitting_parts_is_refused(registry: Registry) -> None:
    parts = parts_of(registry)
    lost = {name: kind for name, kind in parts.types.items() if name != "ShelfItem"}
    with pytest.raises((SchemaClash, KeyError)):
        build(type(parts)(lost, parts.queries, parts.commands, parts.type_owners, parts.query_owners))


def test_the_executable_schema_is_the_printed_one(registry: Registry) -> None:
    assert set(core_schema(schema_of(registry)).type_map) >= {"Query", "Mutation", "Node", "ShelfItem"}
