"""Reading: aliases, fragments, directives, ids, permissions, and a number of statements that does not grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Reach
from crm_core.testing.kit import Kit
from tests.graphql.filling import shelve
from tests.graphql.shelf import Item, Shade

UNKNOWN = "she_" + "0" * 32


@pytest.fixture
async def box(crm: Kit) -> Item:
    """A box with three items in it, two of them dark."""
    box = Item(line="east", name="box", note="oak", amount=1)
    inside = [
        Item(line="east", name=name, shade=shade, amount=amount, parent_id=box.id, position=amount)
        for name, shade, amount in (("c", Shade.DARK, 3), ("a", Shade.DARK, 1), ("b", Shade.DEEP_RED, 2))
    ]
    await shelve(crm, [box, *inside])
    return box


def shown(item: Item) -> str:
    return ids.show("she", item.id)


async def test_one_connection_under_two_names_with_different_arguments(crm: Kit, box: Item) -> None:
    document = """query($id: ID!) { shelfItem(id: $id) {
      dark: children(where: {shade: {eq: DARK}}, orderBy: [{name: DESC}]) { totalCount nodes { name shade } }
      first: children(first: 1) { totalCount nodes { name } pageInfo { hasNextPage } }
      children { nodes { n: name name } }
    } }"""
    found = (await crm.data(document, id=shown(box)))["shelfItem"]
    assert found["dark"] == {
        "totalCount": 2,
        "nodes": [{"name": "c", "shade": "DARK"}, {"name": "a", "shade": "DARK"}],
    }
    assert found["first"] == {"totalCount": 3, "nodes": [{"name": "a"}], "pageInfo": {"hasNextPage": True}}
    assert found["children"]["nodes"][0] == {"n": "a", "name": "a"}


async def test_fields_named_twice_are_merged(crm: Kit, box: Item) -> None:
    document = """query($id: ID!) { shelfItem(id: $id) {
      children { nodes { name } } children { nodes { amount } edges { node { shade } } }
      parent { name } parent { amount }
      parts { name } parts { shade }
    } shelfItem(id: $id) { name } }"""
    found = (await crm.data(document, id=shown(box)))["shelfItem"]
    assert found["name"] == "box"
    assert found["children"]["nodes"][1] == {"name": "b", "amount": 2}
    assert found["children"]["edges"][1] == {"node": {"shade": "DEEP_RED"}}
    assert sorted(part["name"] for part in found["parts"]) == ["a", "b", "c"]
    assert all(set(part) == {"name", "shade"} for part in found["parts"])


async def test_fragments_of_every_kind_name_fields(crm: Kit, box: Item) -> None:
    document = """query($id: ID!) {
      node(id: $id) { __typename id ... on Node { id } ... on User { login } ...Whole }
      shelfItems(where: {parentId: {isNull: true}}) { ...Pages }
    }
    fragment Whole on ShelfItem { name ... { note } ...Again children { ...Pages } }
    fragment Again on ShelfItem { ... on Node { ... on ShelfItem { amount } } }
    fragment Pages on ShelfItemConnection { nodes { ...Named } edges { node { ...Again } } totalCount }
    fragment Named on ShelfItem { name shouted }"""
    found = await crm.data(document, id=shown(box))
    assert found["node"] | {"children": None} == {
        "__typename": "ShelfItem", "id": shown(box), "name": "box", "note": "oak", "amount": 1, "children": None,
    }  # fmt: skip
    assert [n["shouted"] for n in found["node"]["children"]["nodes"]] == ["A", "B", "C"]
    assert [e["node"]["amount"] for e in found["node"]["children"]["edges"]] == [1, 2, 3]
    assert found["shelfItems"] == {
        "nodes": [{"name": "box", "shouted": "BOX"}],
        "edges": [{"node": {"amount": 1}}],
        "totalCount": 1,
    }


@pytest.mark.parametrize("yes", [True, False])
async def test_skip_and_include(crm: Kit, box: Item, *, yes: bool) -> None:
    document = """query($id: ID!, $yes: Boolean!) { shelfItem(id: $id) {
      name @include(if: $yes) note @skip(if: $yes)
      children @include(if: $yes) { nodes { name } }
      ... @skip(if: $yes) { amount }
    } }"""
    found = (await crm.data(document, id=shown(box), yes=yes))["shelfItem"]
    assert set(found) == ({"name", "children"} if yes else {"note", "amount"})


async def test_variables_reach_into_nested_inputs(crm: Kit, box: Item) -> None:
    document = """query($shades: [Shade!], $most: Int, $way: SortDirection = DESC, $size: Int = 1) {
      shelfItems(first: $size, orderBy: [{amount: $way}],
                 where: {and: [{shade: {in: $shades}}, {or: [{amount: {lte: $most}}, {name: {eq: "c"}}]}]}) {
        totalCount nodes { name }
      }
    }"""
    found = await crm.data(document, shades=["DARK"], most=1)
    assert found["shelfItems"] == {"totalCount": 2, "nodes": [{"name": "c"}]}
    found = await crm.data(document, shades=["DARK", "DEEP_RED"], most=2, way="ASC", size=5)
    assert [n["name"] for n in found["shelfItems"]["nodes"]] == ["a", "b", "c"]


async def test_a_variable_left_out_is_a_condition_left_out(crm: Kit, box: Item) -> None:
    document = "query($shade: Shade, $note: ShelfItemWhere) { shelfItems(where: {shade: {eq: $shade}, not: $note}) { totalCount } }"
    assert (await crm.data(document))["shelfItems"]["totalCount"] == 4
    assert (await crm.data(document, shade="DARK"))["shelfItems"]["totalCount"] == 2


# -- ids


async def test_node_finds_any_record_by_its_id(crm: Kit, box: Item) -> None:
    document = (
        "query($id: ID!) { node(id: $id) { __typename id ... on ShelfItem { name } ... on User { name } } }"
    )
    found = await crm.data(document, id=shown(box))
    assert found["node"] == {"__typename": "ShelfItem", "id": shown(box), "name": "box"}
    user = ids.show("usr", crm.administrator.user_id or box.id)
    assert (await crm.data(document, id=user))["node"] == {"__typename": "User", "id": user, "name": "admin"}


@pytest.mark.parametrize("unknown", [UNKNOWN, "zzz_" + "0" * 32, "usr_" + "f" * 32])
async def test_an_id_nobody_has_or_of_no_type_is_null(crm: Kit, unknown: str) -> None:
    assert (await crm.data("query($id: ID!) { node(id: $id) { id } }", id=unknown)) == {"node": None}


@pytest.mark.parametrize(
    "wrong", ["", "she", "she_1", "SHE_" + "0" * 32, "she_" + "0" * 31 + "g", "usr_" + "0" * 32]
)
@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_a_malformed_id_or_one_of_another_type_is_an_error(crm: Kit, wrong: str) -> None:
    answer = await crm.ask("query($id: ID!) { shelfItem(id: $id) { id } users { totalCount } }", id=wrong)
    assert answer.codes == ["INVALID_ID"]
    assert answer.data == {"shelfItem": None, "users": {"totalCount": 1}}


# -- permissions


async def test_a_scoped_field_is_null_with_an_error_and_the_rest_stands(crm: Kit, box: Item) -> None:
    reader = await crm.actor("reader", {"shelf.read": Reach.LINE})
    answer = await crm.ask(
        "{ shelfItems(first: 2) { nodes { name secret code } } users { totalCount nodes { login } } }", reader
    )
    assert answer.data is not None
    assert answer.data["shelfItems"]["nodes"] == [
        {"name": "a", "secret": None, "code": "a***"},
        {"name": "b", "secret": None, "code": "b***"},
    ]
    assert answer.data["users"]["nodes"][0] == {"login": None}
    assert set(answer.codes) == {"FORBIDDEN"}
    assert ["shelfItems", "nodes", 1, "secret"] in [error["path"] for error in answer.errors]


async def test_without_the_scope_of_the_type_nothing_of_it_is_seen(crm: Kit, box: Item) -> None:
    nobody = await crm.actor("nobody", {})
    document = "query($id: ID!) { shelfItems { totalCount } shelfItem(id: $id) { id } node(id: $id) { id } users { totalCount } }"
    answer = await crm.ask(document, nobody, id=shown(box))
    assert answer.data == {"shelfItems": None, "shelfItem": None, "node": None, "users": {"totalCount": 2}}
    assert answer.codes == ["FORBIDDEN", "FORBIDDEN"]


async def test_a_field_of_a_plugin_of_another_line_is_null_with_an_error(crm: Kit) -> None:
    west = await crm.actor("west", {"user.read": Reach.LINE}, lines=["west"])
    answer = await crm.ask("{ users { nodes { name shelfNote } } shelfItems { totalCount } }", west)
    assert answer.data is not None
    assert all(node["shelfNote"] is None and node["name"] for node in answer.data["users"]["nodes"])
    assert answer.data["shelfItems"] is None
    assert set(answer.codes) == {"FORBIDDEN"}
    east = await crm.actor("east", {"user.read": Reach.LINE})
    found = await crm.data("{ users { nodes { name shelfNote } } }", east)
    assert all(node["shelfNote"] == node["name"] for node in found["users"]["nodes"])


async def test_rows_out_of_reach_are_missing_everywhere(crm: Kit) -> None:
    own = await crm.actor("own", {"shelf.read": Reach.OWN})
    mine = Item(line="east", name="mine", owner_id=own.user_id)
    other = Item(line="east", name="other", parent_id=mine.id)
    north = Item(line="north", name="north", owner_id=own.user_id)
    below = Item(line="east", name="below", owner_id=own.user_id, parent_id=other.id)
    await shelve(crm, [mine, other, north, below])
    document = """query($other: ID!, $north: ID!) {
      shelfItems { totalCount nodes { name parent { name } parts { name } children { totalCount nodes { name } } } }
      other: node(id: $other) { id }  north: shelfItem(id: $north) { id }
    }"""
    answer = await crm.ask(document, own, other=shown(other), north=shown(north))
    empty = {"totalCount": 0, "nodes": []}
    assert answer.errors == []
    assert answer.data == {
        "shelfItems": {
            "totalCount": 2,
            "nodes": [
                {"name": "below", "parent": None, "parts": [], "children": empty},
                {"name": "mine", "parent": None, "parts": [], "children": empty},
            ],
        },
        "other": None,
        "north": None,
    }


# -- statements


@pytest.mark.parametrize("count", [1, 30])
async def test_the_number_of_statements_does_not_grow_with_the_rows(crm: Kit, count: int) -> None:
    parents = [Item(line="east", name=f"p{n}") for n in range(count)]
    inside = [Item(line="east", name=f"c{n}", parent_id=parent.id) for n, parent in enumerate(parents * 3)]
    await shelve(crm, [*parents, *inside])
    document = """{ shelfItems(first: 50, where: {parentId: {isNull: true}}) { totalCount nodes {
      name shouted parts { name parent { name } }
      children(first: 2) { totalCount nodes { name shouted parent { name shouted } } }
    } } }"""
    with crm.statements() as sent:
        found = await crm.data(document, compiled=False)
    assert found["shelfItems"]["totalCount"] == count
    assert len(found["shelfItems"]["nodes"][0]["children"]["nodes"]) == 2
    assert len(sent) == 7, sent
    with crm.statements() as sent:
        assert await crm.data(document, compiled=True) == found
    assert len(sent) == 1, sent


async def test_what_is_not_asked_for_is_not_counted(crm: Kit, box: Item) -> None:
    with crm.statements() as sent:
        await crm.data("{ shelfItems { nodes { name } } }")
    assert len(sent) == 1, sent
    with crm.statements() as sent:
        await crm.data("{ shelfItems { totalCount } }")
    assert len(sent) <= 2, sent


async def test_a_short_list_ends_at_a_hundred(crm: Kit) -> None:
    parent = Item(line="east", name="full")
    await shelve(crm, [parent, *(Item(line="east", name=f"{n:03}", parent_id=parent.id) for n in range(105))])
    document = '{ shelfItems(where: {name: {eq: "full"}}) { nodes { parts { name } children(first: 100) { totalCount } } } }'
    found = await crm.data(document)
    node: Mapping[str, Any] = found["shelfItems"]["nodes"][0]
    assert len(node["parts"]) == 100
    assert node["children"]["totalCount"] == 105
