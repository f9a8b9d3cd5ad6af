"""What a document asks for is measured before it runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    parse,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_core.graphql.fields import Field
from crm_core.graphql.limits import MOST_MEASURED, Measure, Meter, measure, refuse_excess
from crm_core.settings import Limits

LIMITS = Limits()
KINDS: dict[tuple[str, str], tuple[Any, int]] = {
    ("Query", "customers"): ("query_connection", 2),
    ("Customer", "contacts"): ("connection", 2),
    ("Customer", "owner"): ("relation", 1),
    ("Customer", "phones"): ("listing", 2),
    ("Customer", "risk"): ("batch", 5),
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    built = build_schema(
        """
        type Query { customers(first: Int, last: Int, where: Where): CustomerConnection again: Query }
        input Where { or: [Where!] names: [String!] rate: Float }
        type CustomerConnection { nodes: [Customer!]! edges: [CustomerEdge!]! totalCount: Int! }
        type CustomerEdge { cursor: String! node: Customer! }
        type Customer {
          name: String contacts(first: Int, last: Int): CustomerConnection owner: Customer phones: [Phone!] risk: Int
        }
        type Phone { number: String }
        type Mutation { create: Payload! }
        type Payload { customer: Customer }
        """
    )
    for (parent, name), (kind, cost) in KINDS.items():
        declared = Field(kind=kind, name=name, description="", cost=cost)
        built.type_map[parent].fields[name].extensions = {  # type: ignore[attr-defined]
            "strawberry-definition": _Definition({"crm": declared})
        }
    return built


class _Definition:
    def __init__(self, metadata: dict[str, Any]) -> None:
        self.metadata = metadata


def only(document: DocumentNode) -> OperationDefinitionNode:
    return next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))


def measured(schema: GraphQLSchema, text: str, **variables: Any) -> Measure:
    document = parse(text)
    return measure(schema, document, only(document), variables, LIMITS)


def meter(schema: GraphQLSchema, text: str) -> Meter:
    document = parse(text)
    assert not validate(schema, document)
    return Meter(schema, document, only(document), LIMITS)


def test_depth_counts_nested_fields_through_fragments(schema: GraphQLSchema) -> None:
    text = "{ again { ...F } } fragment F on Query { again { ... on Query { customers { totalCount } } } }"
    assert measured(schema, text).depth == 4


def test_a_fragment_counts_at_every_place_that_spreads_it(schema: GraphQLSchema) -> None:
    text = "{ x: again { ...F } y: again { ...F } } fragment F on Query { z: again { customers { totalCount } } }"
    assert measured(schema, text).aliases == 4


def test_cost_is_each_fields_cost_times_the_rows_it_stands_on(schema: GraphQLSchema) -> None:
    plain = "{ customers(first: 20) { nodes { name } } }"
    assert measured(schema, plain).cost == 2 + 2  # the connection, and one for every ten rows
    assert measured(schema, plain.replace("name", "risk")).cost == 2 + 2 + 20 * 5
    nested = "{ customers(first: 20) { nodes { contacts(first: 10) { nodes { owner { name } } } } } }"
    assert measured(schema, nested).cost == 2 + 2 + 20 * (2 + 1 + 10 * 1)
    assert measured(schema, "{ customers(first: 20) { nodes { phones { number } } } }").cost == 2 + 2 + 20 * 3


def test_size_comes_from_variables_and_their_defaults_else_the_default_page(schema: GraphQLSchema) -> None:
    text = "query($n: Int = 50) { customers(last: $n) { nodes { risk } } }"
    assert measured(schema, text).cost == 2 + 5 + 250
    assert measured(schema, text, n=10).cost == 2 + 1 + 50
    assert measured(schema, text, n=None).cost == 2 + 3 + 125  # 25 rows, rounded up
    assert measured(schema, text, n=10**9).cost == 2 + 10 + 500  # refused by the page itself


def test_edges_cost_what_nodes_cost(schema: GraphQLSchema) -> None:
    nodes = measured(schema, "{ customers(first: 9) { nodes { risk } } }").cost
    assert measured(schema, "{ customers(first: 9) { edges { cursor node { risk } } } }").cost == nodes


def test_a_fragment_on_a_connection_knows_its_rows(schema: GraphQLSchema) -> None:
    text = "{ customers(first: 30) { ...F } } fragment F on CustomerConnection { nodes { risk } }"
    assert measured(schema, text).cost == 2 + 3 + 150


def test_mutation_fields_are_counted_fragments_included(schema: GraphQLSchema) -> None:
    text = "mutation { a: create { customer { name } } ...F } fragment F on Mutation { b: create { customer { name } } }"
    assert measured(schema, text).mutations == 2


def test_introspection_is_cheap_and_not_deep(schema: GraphQLSchema) -> None:
    found = measured(schema, "{ __schema { types { fields { type { ofType { ofType { name } } } } } } }")
    assert (found.depth, found.cost) == (1, 50)


def test_fragments_that_double_one_another_are_measured_at_once(schema: GraphQLSchema) -> None:
    parts = [
        f"fragment F{i} on Query {{ a{i}: again {{ ...F{i + 1} }} b{i}: again {{ ...F{i + 1} }} }}"
        for i in range(100)
    ]
    text = (
        "{ ...F0 } "
        + " ".join(parts)
        + " fragment F100 on Query { customers(first: 100) { nodes { risk } } }"
    )
    begun = time.process_time()
    found = measured(schema, text)
    assert time.process_time() - begun < 1
    assert found.aliases == 2 * (2**100 - 1)
    with pytest.raises(GraphQLError, match="levels deep"):
        refuse_excess(found, LIMITS)


def test_a_chain_of_fragments_beyond_measure_is_too_deep(schema: GraphQLSchema) -> None:
    parts = [f"fragment F{i} on Query {{ again {{ ...F{i + 1} }} }}" for i in range(600)]
    text = "{ ...F0 } " + " ".join(parts) + " fragment F600 on Query { again { customers { totalCount } } }"
    with pytest.raises(GraphQLError, match="nested too deeply"):
        measured(schema, text)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Measure(13, 0, 0, 0), "TOO_DEEP"),
        (Measure(1, 31, 0, 0), "TOO_MANY_ALIASES"),
        (Measure(1, 0, 6, 0), "TOO_MANY_MUTATIONS"),
        (Measure(1, 0, 0, 10_001), "TOO_COSTLY"),
    ],
)
def test_each_limit_has_its_code(found: Measure, code: str) -> None:
    with pytest.raises(GraphQLError) as refused:
        refuse_excess(found, LIMITS)
    assert refused.value.extensions is not None
    assert refused.value.extensions["code"] == code


def test_what_is_within_all_limits_passes() -> None:
    refuse_excess(Measure(12, 30, 5, 10_000), LIMITS)


# -- variables, and what they are when they are left out

MANY = "{or: [" + "{rate: 1}, " * 400 + "]}"
MANY_NAMES = "[" + '"a", ' * 400 + "]"
ROWS = "{ totalCount }"


@pytest.mark.parametrize(
    ("literal", "variable", "given"),
    [
        (
            f"{{ customers(where: {MANY}) {ROWS} }}",
            f"query($w: Where = {MANY}) {{ customers(where: $w) {ROWS} }}",
            {"or": [{"rate": 1}] * 400},
        ),
        (
            f"{{ customers(where: {MANY}) {ROWS} }}",
            f"query($w: [Where!] = {MANY[5:-1]}) {{ customers(where: {{or: $w}}) {ROWS} }}",
            [{"rate": 1}] * 400,
        ),
        (
            f"{{ customers(where: {{names: {MANY_NAMES}}}) {ROWS} }}",
            f"query($w: [String!] = {MANY_NAMES}) {{ customers(where: {{names: $w}}) {ROWS} }}",
            ["a"] * 400,
        ),
    ],
)
def test_a_default_costs_what_it_costs_as_a_literal(
    schema: GraphQLSchema, literal: str, variable: str, given: Any
) -> None:
    cost = measured(schema, literal).cost
    assert cost > 400
    one = meter(schema, variable)
    for _ in range(2):  # what is remembered of one is not told of the other
        assert one.measure({}).cost == cost
        assert one.measure({"w": given}).cost == cost
        assert one.measure({"w": None}).cost == 5
        assert one.measure({"w": [] if isinstance(given, list) else {}}).cost == 5


def test_a_page_size_left_out_is_its_default_and_none_that_is_given(schema: GraphQLSchema) -> None:
    one = meter(schema, "query($n: Int = 100) { customers(first: $n) { nodes { risk } } }")
    given = (1, None, 1.0, "default", "x", 10**40, 100.0, 2.5, float("nan"), [1], True, -7)
    costs = [8, 130, 8, 130, 130, 512, 512, 130, 130, 130, 8, 2]
    for _ in range(2):
        assert one.measure({}).cost == 2 + 10 + 500
        assert [one.measure({"n": n}).cost for n in given] == costs


def test_what_is_remembered_is_small_whatever_clients_send(schema: GraphQLSchema) -> None:
    one = meter(schema, "query($n: Int) { customers(first: $n) { nodes { risk } } }")
    one.measure({"n": 1})
    held = len(one._known)
    for number in range(200):
        for sent in (
            f"{number}" * 1_000,
            10**500 + number,
            number + 0.5,
            -number - 1,
            [number],
            {"a": number},
        ):
            one.measure({"n": sent})
    assert len(one._known) - held == 3, "no number, too many rows, none"
    assert len(one._known) < MOST_MEASURED
    assert len(repr(list(one._known))) < 200


def test_a_variable_nested_beyond_measure_is_too_deep(schema: GraphQLSchema) -> None:
    deep: dict[str, Any] = {}
    for _ in range(1_000):
        deep = {"or": [deep]}
    one = meter(schema, f"query($w: Where) {{ customers(where: $w) {ROWS} }}")
    with pytest.raises(GraphQLError, match="nested too deeply"):
        one.measure({"w": deep})


@settings(max_examples=60, deadline=None)
@given(outer=st.integers(0, 100), inner=st.integers(0, 100))
def test_asking_for_more_rows_never_costs_less(schema: GraphQLSchema, outer: int, inner: int) -> None:
    text = "query($a: Int, $b: Int) { customers(first: $a) { nodes { contacts(first: $b) { nodes { risk } } } } }"
    here = measured(schema, text, a=outer, b=inner).cost
    assert measured(schema, text, a=min(outer + 1, 100), b=inner).cost >= here
    assert measured(schema, text, a=outer, b=min(inner + 1, 100)).cost >= here
