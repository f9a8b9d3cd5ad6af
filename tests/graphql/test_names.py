"""A client may name what it asks for as it likes: no name gets in the way of what the server itself reads along."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.testing.kit import Kit
from tests.graphql.filling import shelve
from tests.graphql.shelf import Item

ADDED = """mutation ($names: [String!]!) { shelfAddMany(input: {names: $names}, line: "east") {
  shelfItems { %s } userErrors { code } } }"""
WAYS = (None, False)


@pytest.fixture
async def item(crm: Kit) -> Item:
    made = Item(line="east", name="abc", note="n", amount=7)
    await shelve(crm, [made])
    return made


@pytest.mark.parametrize("field", ["shouted __name: note", "__name: note shouted", "shouted __name: amount"])
async def test_a_name_does_not_become_what_a_function_is_given(crm: Kit, item: Item, field: str) -> None:
    for compiled in WAYS:
        found = await crm.data(f"{{ shelfItems {{ nodes {{ {field} }} }} }}", compiled=compiled)
        (row,) = found["shelfItems"]["nodes"]
        assert row == {"shouted": "ABC", "__name": 7 if "amount" in field else "n"}
        assert list(row) == (["shouted", "__name"] if field.startswith("shouted") else ["__name", "shouted"])


async def test_a_name_does_not_become_the_id_that_payloads_are_put_in_order_by(crm: Kit) -> None:
    for compiled in WAYS:
        made = await crm.data(ADDED % "__id: name shouted", compiled=compiled, names=["p", "q"])
        assert made["shelfAddMany"]["shelfItems"] == [
            {"__id": "p", "shouted": "P"},
            {"__id": "q", "shouted": "Q"},
        ]


async def test_names_of_the_statements_own_columns_are_free_as_well(crm: Kit, item: Item) -> None:
    names = (
        "cursor_",
        "one_",
        "list_",
        "number_",
        "of_",
        "k_0",
        "o",
        "_id",
        "__type",
        "__fetch",
        "__parent",
        "__cursor",
    )
    asked = " ".join(f"{name}: name" for name in names)
    document = f"""{{ shelfItems(last: 1) {{ totalCount pageInfo {{ endCursor hasNextPage }}
      edges {{ cursor node {{ {asked} children(first: 1) {{ nodes {{ {asked} }} }} }} }} nodes {{ {asked} id }} }} }}"""
    answers: list[Any] = [await crm.data(document, compiled=compiled) for compiled in WAYS]
    assert answers[0] == answers[1]
    (node,) = answers[0]["shelfItems"]["nodes"]
    assert {node[name] for name in names} == {"abc"}
