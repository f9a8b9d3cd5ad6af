"""Variables are coerced as graphql-core does it."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLString,
    coerce_input_value,
)
from hypothesis import given
from hypothesis import strategies as st

from crm_core.graphql.coercing import Coercers

SHADE = GraphQLEnumType("Shade", {"BRIGHT": 1, "DARK": 2})
CHOICE = GraphQLInputObjectType(
    "Choice",
    {"number": GraphQLInputField(GraphQLInt), "word": GraphQLInputField(GraphQLString)},
    is_one_of=True,
)
ITEM: GraphQLInputObjectType = GraphQLInputObjectType(
    "Item",
    lambda: {
        "name": GraphQLInputField(GraphQLNonNull(GraphQLString)),
        "amount": GraphQLInputField(GraphQLInt, default_value=7, out_name="how_many"),
        "must": GraphQLInputField(GraphQLNonNull(GraphQLInt), default_value=3),
        "shade": GraphQLInputField(SHADE),
        "labels": GraphQLInputField(GraphQLList(GraphQLNonNull(GraphQLString))),
        "inner": GraphQLInputField(ITEM),
        "all": GraphQLInputField(GraphQLList(ITEM)),
        "choice": GraphQLInputField(CHOICE),
    },
)
TYPES: tuple[GraphQLInputType, ...] = (
    ITEM, GraphQLNonNull(ITEM), GraphQLList(ITEM), GraphQLNonNull(GraphQLList(GraphQLNonNull(GraphQLInt))),
    GraphQLInt, SHADE, CHOICE,
)  # fmt: skip

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.sampled_from(["DARK", 1.5])
)
names = st.sampled_from([*ITEM.fields, "number", "word", "unknown"])
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(names, v, max_size=5))
items = st.fixed_dictionaries(
    {"name": st.text(max_size=3)},
    optional={
        "amount": st.integers(0, 9) | st.none(), "must": st.integers(0, 9), "shade": st.just("DARK"),
        "labels": st.lists(st.text(max_size=2)) | st.text(max_size=2), "inner": values, "all": values,
        "choice": st.dictionaries(st.sampled_from(["number", "word"]), st.just(None) | st.just(1)),
    },
)  # fmt: skip


@given(type_=st.sampled_from(TYPES), value=values | items | st.lists(items, max_size=3))
def test_values_are_coerced_as_graphql_core_does_it(type_: GraphQLInputType, value: Any) -> None:
    assert Coercers().of(type_)(value) == coerce_input_value(value, type_)


def test_fields_come_in_the_order_of_the_schema() -> None:
    found = Coercers().of(ITEM)({"must": 1, "name": "a"})
    assert list(found) == ["name", "how_many", "must"]


def test_what_is_nested_too_deeply_is_a_recursion_error() -> None:
    deep: dict[str, Any] = {"name": "a"}
    for _ in range(100_000):
        deep = {"name": "a", "inner": deep}
    with pytest.raises(RecursionError):
        Coercers().of(ITEM)(deep)
