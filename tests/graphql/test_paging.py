"""Keyset paging: the pages put together are the list, in both directions, under every order."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crm_core import ids
from crm_core.actors import Reach
from crm_core.errors import Json
from crm_core.testing.kit import Kit
from tests.graphql.filling import made_up, shelve
from tests.graphql.shelf import Item

COLUMNS = (
    "name",
    "note",
    "shade",
    "amount",
    "weight",
    "price",
    "day",
    "seenAt",
    "fragile",
    "createdAt",
    "parentId",
)
SNAKE = {"seenAt": "seen_at", "createdAt": "created_at", "parentId": "parent_id"}
PAGE = """
query Page($first: Int, $after: String, $last: Int, $before: String, $orderBy: [ShelfItemOrder!]) {
  shelfItems(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
    totalCount
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
Order = Sequence[tuple[str, str]]
orders = st.lists(st.tuples(st.sampled_from(COLUMNS), st.sampled_from(["ASC", "DESC"])), max_size=3)
relaxed = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def items(crm: Kit) -> list[Item]:
    made = made_up(random.Random(7), 25)
    await shelve(crm, made)
    return made


def in_order(items: Sequence[Item], order: Order) -> list[str]:
    """Ids as the order puts them, nulls last; worked out in Python."""
    asked = list(order) or [("name", "ASC")]

    def compared(one: Item, other: Item) -> int:
        for name, way in asked:
            left, right = getattr(one, SNAKE.get(name, name)), getattr(other, SNAKE.get(name, name))
            if left != right:
                if left is None or right is None:
                    return 1 if left is None else -1
                return (1 if left > right else -1) * (1 if way == "ASC" else -1)
        return (1 if one.id > other.id else -1) * (1 if asked[-1][1] == "ASC" else -1)

    return [ids.show("she", item.id) for item in sorted(items, key=cmp_to_key(compared))]


def named(order: Order) -> list[Mapping[str, str]]:
    return [{name: way} for name, way in _first_of_each(order)]


def _first_of_each(order: Order) -> list[tuple[str, str]]:
    known: dict[str, str] = {}
    for name, way in order:
        known.setdefault(name, way)
    return list(known.items())


async def page(crm: Kit, order: Order, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await crm.data(PAGE, orderBy=named(order), **arguments))["shelfItems"]
    return found


async def forward(crm: Kit, order: Order, size: int) -> list[str]:
    seen, after, more = [], None, True
    while more:
        found = await page(crm, order, first=size, after=after)
        assert found["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += [edge["node"]["id"] for edge in found["edges"]]
        after, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
    return seen


async def backward(crm: Kit, order: Order, size: int) -> list[str]:
    seen: list[str] = []
    before, more = None, True
    while more:
        found = await page(crm, order, last=size, before=before)
        assert found["pageInfo"]["hasNextPage"] is (before is not None)
        seen = [edge["node"]["id"] for edge in found["edges"]] + seen
        before, more = found["pageInfo"]["startCursor"], found["pageInfo"]["hasPreviousPage"]
    return seen


@relaxed
@given(order=orders, size=st.integers(4, 30))
@example(order=[("amount", "DESC"), ("note", "ASC")], size=4)
@example(order=[("shade", "ASC"), ("weight", "ASC"), ("seenAt", "DESC")], size=5)
async def test_pages_put_together_are_the_whole_list_in_both_directions(
    crm: Kit, items: list[Item], order: Order, size: int
) -> None:
    whole = in_order(items, _first_of_each(order))
    assert await forward(crm, order, size) == whole
    assert await backward(crm, order, size) == whole


async def test_pages_of_one_row_follow_one_another_through_every_tie_and_null(
    crm: Kit, items: list[Item]
) -> None:
    order = [("note", "DESC"), ("amount", "ASC")]
    assert await forward(crm, order, 1) == in_order(items, order)
    assert await backward(crm, order, 1) == in_order(items, order)


async def test_a_row_put_in_between_repeats_and_hides_nothing(crm: Kit, items: list[Item]) -> None:
    chance, order = random.Random(3), [("amount", "ASC"), ("name", "DESC")]
    seen, after, more = [], None, True
    while more:
        found = await page(crm, order, first=3, after=after)
        seen += [edge["node"]["id"] for edge in found["edges"]]
        after, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        await shelve(crm, made_up(chance, 1))
        assert len(seen) < 100
    assert len(seen) == len(set(seen))
    known = set(in_order(items, order))
    assert [one for one in seen if one in known] == in_order(items, order)


async def test_every_edge_has_a_cursor_that_continues_behind_it(crm: Kit, items: list[Item]) -> None:
    order = [("day", "DESC")]
    whole = await page(crm, order, first=100)
    for position in (0, 10, 24):
        cursor = whole["edges"][position]["cursor"]
        behind = await page(crm, order, first=100, after=cursor)
        before = await page(crm, order, last=100, before=cursor)
        assert [e["node"]["id"] for e in behind["edges"]] == in_order(items, order)[position + 1 :]
        assert [e["node"]["id"] for e in before["edges"]] == in_order(items, order)[:position]


async def test_an_empty_page_has_no_cursors_and_counts_all(crm: Kit, items: list[Item]) -> None:
    found = await page(crm, [], first=0)
    assert (found["edges"], found["totalCount"]) == ([], 25)
    assert found["pageInfo"]["startCursor"] is found["pageInfo"]["endCursor"] is None
    assert found["pageInfo"]["hasNextPage"] is True


async def test_without_arguments_the_default_page_is_given(crm: Kit, items: list[Item]) -> None:
    await shelve(crm, made_up(random.Random(1), 5))
    found = await page(crm, [])
    assert len(found["edges"]) == crm.services.settings.limits.page_default == 25
    before = await page(crm, [], before=found["pageInfo"]["endCursor"])
    assert len(before["edges"]) == 24


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"first": 1, "last": 1}, "first or last"),
        ({"first": 101}, "between 0 and 100"),
        ({"last": 101}, "between 0 and 100"),
        ({"first": -1}, "between 0 and 100"),
        ({"first": 1, "before": "x"}, "after with first"),
        ({"last": 1, "after": "x"}, "before with last"),
        ({"after": "x"}, "damaged"),
        ({"after": "华"}, "damaged"),
        ({"after": ""}, ""),
    ],
)
@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_a_contradictory_page_is_refused(crm: Kit, arguments: Mapping[str, Any], words: str) -> None:
    answer = await crm.ask(PAGE, **arguments)
    if words:
        assert answer.codes == ["INVALID_PAGE"]
        assert words in answer.errors[0]["message"]
    else:
        assert answer.errors == []


async def test_a_cursor_of_another_order_is_refused(crm: Kit, items: list[Item]) -> None:
    cursor = (await page(crm, [("name", "ASC")], first=1))["pageInfo"]["endCursor"]
    for order in ([{"name": "DESC"}], [{"amount": "ASC"}], [{"name": "ASC"}, {"amount": "ASC"}]):
        answer = await crm.ask(PAGE, first=1, after=cursor, orderBy=order)
        assert answer.codes == ["INVALID_PAGE"]
        assert "another orderBy" in answer.errors[0]["message"]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=orders.filter(bool), values=st.lists(anything, min_size=1, max_size=4))
async def test_a_forged_cursor_is_refused_or_read_and_never_breaks(
    crm: Kit, order: Order, values: list[Json]
) -> None:
    order = _first_of_each(order)
    ways = [("-" if way == "DESC" else "+") + name for name, way in order]
    signature = ",".join([*ways, ways[-1][0] + "id"])
    try:
        body = orjson.dumps([signature, *values])
    except TypeError:
        return
    cursor = body.hex()
    answer = await crm.ask(PAGE, first=1, after=cursor, orderBy=named(order))
    assert answer.codes in ([], ["INVALID_PAGE"]), answer.errors


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_an_order_names_one_field_at_a_time_and_not_too_many(crm: Kit) -> None:
    orders: tuple[Json, ...] = ([{}], [{"name": "ASC", "amount": "ASC"}], [{"name": None}])
    for order in orders:
        assert (await crm.ask(PAGE, orderBy=order)).codes == ["INVALID_PAGE"]
    many = [{name: "ASC"} for name in COLUMNS]
    assert (await crm.ask(PAGE, orderBy=many)).codes == ["INVALID_PAGE"]


async def test_what_one_may_not_read_one_may_not_order_by(crm: Kit, items: list[Item]) -> None:
    reader = await crm.actor("reader", {"shelf.read": Reach.LINE})
    for column in ("secret", "code"):
        assert (await crm.ask(PAGE, reader, orderBy=[{column: "ASC"}])).codes == ["FORBIDDEN"]
    full = await crm.actor("full", {"shelf.read": Reach.LINE, "shelf.secret": Reach.LINE})
    for column in ("secret", "code"):
        assert (await crm.ask(PAGE, full, orderBy=[{column: "ASC"}])).errors == []


async def test_what_is_counted_is_what_may_be_seen(crm: Kit, items: list[Item]) -> None:
    await shelve(crm, made_up(random.Random(5), 4, "north"))
    west = await crm.actor("west", {"shelf.read": Reach.LINE}, lines=["west"])
    north = await crm.actor("north", {"shelf.read": Reach.LINE}, lines=["north"])
    everywhere = await crm.actor("all", {"shelf.read": Reach.ALL}, lines=["east"])
    assert (await crm.ask(PAGE, west)).codes == ["FORBIDDEN"]
    assert (await crm.data(PAGE, north))["shelfItems"]["totalCount"] == 4
    assert (await crm.data(PAGE, everywhere))["shelfItems"]["totalCount"] == 29
