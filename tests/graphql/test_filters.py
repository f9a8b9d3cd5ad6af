"""Filters: every `where` gives the rows a plain loop over all rows would give, on both databases."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crm_core import ids
from crm_core.actors import Reach
from crm_core.graphql.values import show_moment
from crm_core.testing.kit import Kit
from tests.graphql.filling import MOMENT, NAMES, made_up, shelve
from tests.graphql.shelf import Item, Shade

FIND = (
    "query Find($where: ShelfItemWhere) { shelfItems(first: 100, where: $where) { totalCount nodes { id } } }"
)
Where = Mapping[str, Any]


@pytest.fixture
async def items(crm: Kit) -> list[Item]:
    made = made_up(random.Random(11), 40)
    await shelve(crm, made)
    return made


async def found(crm: Kit, where: Where) -> set[str]:
    answer = (await crm.data(FIND, where=where))["shelfItems"]
    assert answer["totalCount"] == len(answer["nodes"])
    return {node["id"] for node in answer["nodes"]}


def ids_of(items: Sequence[Item]) -> set[str]:
    return {ids.show("she", item.id) for item in items}


# -- an oracle

Test = Callable[[Any, Any], bool]
TESTS: Mapping[str, Test] = {
    "eq": lambda value, wanted: value == wanted,
    "in": lambda value, wanted: value in wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "contains": lambda value, wanted: wanted in value,
    "startsWith": lambda value, wanted: value.startswith(wanted),
}
COLUMN: Mapping[str, Callable[[Item], Any]] = {
    "name": lambda i: i.name,
    "note": lambda i: i.note,
    "shade": lambda i: i.shade,
    "amount": lambda i: i.amount,
    "price": lambda i: None if i.price is None else Decimal(i.price) / 100,
    "day": lambda i: None if i.day is None else i.day.isoformat(),
    "seenAt": lambda i: None if i.seen_at is None else show_moment(i.seen_at),
    "fragile": lambda i: i.fragile,
    "parentId": lambda i: None if i.parent_id is None else ids.show("she", i.parent_id),
}


def plain(value: Any) -> Any:
    """A value of a `where` as the oracle compares it."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return Decimal(value.removeprefix("¥")) if isinstance(value, str) and value.startswith("¥") else value


def sent(where: Any) -> Any:
    """The `where` as it is sent: amounts of money as strings."""
    if isinstance(where, Mapping):
        return {key: sent(value) for key, value in where.items()}
    if isinstance(where, list):
        return [sent(one) for one in where]
    return where.removeprefix("¥") if isinstance(where, str) else where


def holds(item: Item, where: Where, items: Mapping[Any, Item]) -> bool:
    return all(part_holds(item, key, value, items) for key, value in where.items() if value is not None)


def part_holds(item: Item, key: str, value: Any, items: Mapping[Any, Item]) -> bool:
    if key == "and":
        return all(holds(item, one, items) for one in value)
    if key == "or":
        return any(holds(item, one, items) for one in value)
    if key == "not":
        return not holds(item, value, items)
    if key in ("parent", "parts"):
        related = (
            {one.id for one in items.values() if one.parent_id == item.id}
            if key == "parts"
            else {item.parent_id}
        )
        return any(holds(one, value, items) for one in items.values() if one.id in related)
    return len(item.name) >= int(value) if key == "longName" else _all_hold(COLUMN[key](item), value)


def _all_hold(value: Any, tests: Mapping[str, Any]) -> bool:
    return all(compared(value, operator, wanted) for operator, wanted in tests.items())


def compared(value: Any, operator: str, wanted: Any) -> bool:
    if operator == "isNull":
        return True if wanted is None else (value is None) is wanted
    if operator == "ne":
        return value is None or value != plain(wanted)
    return value is not None and TESTS[operator](value, plain(wanted))


# -- random conditions


def asked_of(values: st.SearchStrategy[Any], *operators: str) -> st.SearchStrategy[dict[str, Any]]:
    single = st.one_of(
        st.tuples(st.sampled_from(["eq", "ne", *operators]), values),
        st.tuples(st.just("in"), st.lists(values, max_size=3)),
        st.tuples(st.just("isNull"), st.booleans()),
    )
    return st.lists(single, max_size=2).map(dict)


ORDER = ("gt", "gte", "lt", "lte")
text = st.sampled_from([*NAMES, "a", "%", "_", "*", "?", "[", "]", "\\", "华", "A", "", "'", "note", "NOTE"])
moments = st.sampled_from([show_moment(MOMENT), "2025-11-03T10:00:00.000001+08:00", "2030-01-01T00:00:00Z"])
LEAVES: Mapping[str, st.SearchStrategy[Any]] = {
    "name": asked_of(text, "contains", "startsWith"),
    "note": asked_of(text, "contains", "startsWith"),
    "shade": asked_of(st.sampled_from([s.value for s in Shade])),
    "amount": asked_of(st.sampled_from([-1, 0, 1, 7, 2**31 - 1, -(2**31)]), *ORDER),
    "price": asked_of(st.sampled_from(["¥0", "¥0.05", "¥1200.50", "¥-3"]), *ORDER),
    "day": asked_of(st.sampled_from(["2025-10-31", "2025-11-01", "1999-01-01"]), *ORDER),
    "seenAt": asked_of(moments.map(lambda m: show_moment(datetime.fromisoformat(m))), *ORDER),
    "fragile": st.one_of(st.booleans().map(lambda b: {"eq": b}), st.booleans().map(lambda b: {"isNull": b})),
    "longName": st.integers(0, 4),
}
leaf = st.sampled_from(sorted(LEAVES)).flatmap(lambda key: LEAVES[key].map(lambda value: {key: value}))
wheres = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: {"and": parts}),
        st.lists(inner, max_size=3).map(lambda parts: {"or": parts}),
        inner.map(lambda part: {"not": part}),
        inner.map(lambda part: {"parent": part}),
        inner.map(lambda part: {"parts": part}),
        st.tuples(inner, inner).map(lambda two: {**two[0], **two[1]}),
    ),
    max_leaves=5,
).filter(lambda where: depth(where) <= 5)


def depth(where: Any) -> int:
    if not isinstance(where, Mapping):
        return 0
    below = [depth(one) for key in ("not", "parent", "parts") if key in where for one in (where[key],)]
    below += [depth(one) for key in ("and", "or") for one in where.get(key, ())]
    return 1 + max(below, default=-1) if below else 0


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=wheres)
@example(where={"not": {"note": {"eq": "a"}}})
@example(where={"not": {"or": [{"amount": {"gt": 0}}, {"note": {"contains": "a"}}]}})
@example(where={"not": {"parent": {"note": {"ne": "a"}}}})
@example(where={"or": []})
@example(where={"and": []})
@example(where={"name": {"in": []}})
@example(where={"name": {}})
async def test_a_filter_gives_what_a_loop_over_all_rows_gives(
    crm: Kit, items: list[Item], where: Where
) -> None:
    by_id = {item.id: item for item in items}
    expected = [item for item in items if holds(item, where, by_id)]
    assert await found(crm, sent(where)) == ids_of(expected)


@pytest.mark.parametrize("sought", NAMES)
async def test_wildcards_are_plain_characters_and_case_counts(
    crm: Kit, items: list[Item], sought: str
) -> None:
    assert await found(crm, {"name": {"eq": sought}}) == ids_of([i for i in items if i.name == sought])
    assert await found(crm, {"name": {"contains": sought}}) == ids_of([i for i in items if sought in i.name])
    starting = [i for i in items if i.name.startswith(sought)]
    assert await found(crm, {"name": {"startsWith": sought}}) == ids_of(starting)


async def test_null_is_asked_for_by_is_null(crm: Kit, items: list[Item]) -> None:
    assert await found(crm, {"note": {"isNull": True}}) == ids_of([i for i in items if i.note is None])
    assert await found(crm, {"note": {"isNull": False}}) == ids_of([i for i in items if i.note is not None])
    assert await found(crm, {"note": {"isNull": None}}) == ids_of(items)
    assert await found(crm, {"note": None}) == ids_of(items)
    assert await found(crm, {"note": {"ne": "a"}}) == ids_of([i for i in items if i.note != "a"])
    for operator in ("eq", "ne", "in", "contains"):
        assert (await crm.ask(FIND, where={"note": {operator: None}})).codes == ["INVALID_FILTER"]


async def test_an_id_is_found_by_its_shown_form(crm: Kit, items: list[Item]) -> None:
    shown = [ids.show("she", item.id) for item in items[:3]]
    assert await found(crm, {"id": {"in": shown}}) == set(shown)
    assert (await crm.ask(FIND, where={"id": {"eq": "usr_" + "0" * 32}})).codes == ["INVALID_ID"]
    assert (await crm.ask(FIND, where={"id": {"eq": "nonsense"}})).codes == ["INVALID_ID"]


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_at_most_a_hundred_values_and_branches(crm: Kit) -> None:
    assert (await crm.ask(FIND, where={"amount": {"in": list(range(100))}})).errors == []
    wheres: tuple[Where, ...] = (
        {"amount": {"in": list(range(101))}},
        {"or": [{}] * 101},
        {"and": [{}] * 101},
    )
    for where in wheres:
        assert (await crm.ask(FIND, where=where)).codes == ["TOO_COMPLEX"]


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_nesting_and_size_have_an_end(crm: Kit) -> None:
    where: dict[str, Any] = {"name": {"eq": "a"}}
    for _ in range(6):
        where = {"not": where}
    assert (await crm.ask(FIND, where=where)).errors == []
    for key in ("not", "parent"):
        assert (await crm.ask(FIND, where={key: where})).codes == ["TOO_COMPLEX"]
    wide = {"and": [{"or": [{"amount": {"in": [1] * 90}}] * 10}] * 60}
    assert (await crm.ask(FIND, where=wide)).codes == ["TOO_COMPLEX"]


@pytest.mark.parametrize(
    "where",
    [
        {"name": {"eq": "a\0b"}},
        {"name": {"contains": "\0"}},
        {"name": {"eq": "\ud800"}},
        {"name": {"contains": "a" * 5_000}},
        {"name": {"in": ["ok", "\0"]}},
        {"price": {"eq": "0.001"}},
        {"price": {"gt": "1e400"}},
        {"price": {"lt": "99999999999999999999"}},
    ],
)
async def test_a_value_no_column_can_hold_is_refused(crm: Kit, where: Where) -> None:
    answer = await crm.ask(FIND, where=where)
    assert answer.codes == ["INVALID_FILTER"]
    assert answer.data == {"shelfItems": None}


async def test_what_one_may_not_read_one_may_not_ask_about(crm: Kit, items: list[Item]) -> None:
    reader = await crm.actor("reader", {"shelf.read": Reach.LINE})
    assert (await crm.ask(FIND, reader, where={"secret": {"eq": "a"}})).codes == ["FORBIDDEN"]
    assert (await crm.ask(FIND, reader, where={"not": {"or": [{"secret": {"eq": "a"}}]}})).codes == [
        "FORBIDDEN"
    ]
    assert (await crm.ask(FIND, reader, where={"parent": {"secret": {"eq": "a"}}})).codes == ["FORBIDDEN"]
    full = await crm.actor("full", {"shelf.read": Reach.LINE, "shelf.secret": Reach.LINE})
    answer = await crm.data(FIND, full, where={"secret": {"eq": "a"}})
    assert {n["id"] for n in answer["shelfItems"]["nodes"]} == ids_of([i for i in items if i.note == "a"])


async def test_a_masked_field_is_compared_as_a_whole_only(crm: Kit, items: list[Item]) -> None:
    reader = await crm.actor("reader", {"shelf.read": Reach.LINE})
    assert (await crm.ask(FIND, reader, where={"code": {"startsWith": "a"}})).codes == ["FORBIDDEN"]
    whole = await crm.data(FIND, reader, where={"code": {"eq": "ab"}})
    assert {n["id"] for n in whole["shelfItems"]["nodes"]} == ids_of([i for i in items if i.name == "ab"])
    full = await crm.actor("full", {"shelf.read": Reach.LINE, "shelf.secret": Reach.LINE})
    assert (await crm.ask(FIND, full, where={"code": {"startsWith": "a"}})).errors == []


async def test_a_filter_of_a_plugin_is_for_those_in_its_lines(crm: Kit) -> None:
    asked = '{ users(where: {shelfNote: {eq: "admin"}}) { totalCount } }'
    ordered = "{ users(orderBy: [{shelfNote: ASC}]) { totalCount } }"
    west = await crm.actor("west", {"user.read": Reach.LINE}, lines=["west"])
    east = await crm.actor("east", {"user.read": Reach.LINE}, lines=["east"])
    for document in (asked, ordered):
        assert (await crm.ask(document, west)).codes == ["FORBIDDEN"]
        assert (await crm.ask(document, east)).errors == []


async def test_a_related_row_one_may_not_see_matches_nothing(crm: Kit) -> None:
    hidden = Item(line="north", name="hidden")
    child = Item(line="east", name="child", parent_id=hidden.id)
    await shelve(crm, [hidden, child])
    reader = await crm.actor("reader", {"shelf.read": Reach.LINE})
    wheres: tuple[Where, ...] = ({"parent": {"name": {"eq": "hidden"}}}, {"parent": {}})
    for where in wheres:
        assert (await crm.data(FIND, reader, where=where))["shelfItems"]["totalCount"] == 0
        assert (await crm.data(FIND, where=where))["shelfItems"]["totalCount"] == 1
