"""Writing through the schema: omitted and null, dry runs, repeats, lines and versions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.actors import Reach
from crm_core.audit.models import AuditEntry, IdempotencyKey
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit
from tests.graphql.shelf import Item

WRITE = {"shelf.read": Reach.LINE, "shelf.write": Reach.LINE}


async def added(crm: Kit, **given: Any) -> str:
    payload = await crm.done(
        "shelfAdd", input={"name": "box", **given}, acting="east", select="shelfItem { id }"
    )
    return str(payload["shelfItem"]["id"])


async def names(crm: Kit) -> list[str]:
    return sorted(item.name for item in await crm.rows(Item))


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(e["code"], e["field"]) for e in payload["userErrors"]]


# -- omitted and null


async def test_omitted_is_not_null_by_variables(crm: Kit) -> None:
    item = await added(crm, note="old", amount=3)
    select = "shelfItem { name note amount version }"
    kept = await crm.done("shelfChange", input={"itemId": item, "name": "new"}, select=select)
    assert kept["shelfItem"] == {"name": "new", "note": "old", "amount": 3, "version": 2}
    cleared = await crm.done("shelfChange", input={"itemId": item, "note": None}, select=select)
    assert cleared["shelfItem"] == {"name": "new", "note": None, "amount": 3, "version": 3}


async def test_omitted_is_not_null_by_literals(crm: Kit) -> None:
    item = await added(crm, note="old", amount=3)
    document = """mutation($id: ID!) {{
      shelfChange(input: {{itemId: $id {}}}) {{ shelfItem {{ note amount }} userErrors {{ code }} }}
    }}"""
    kept = await crm.data(document.format('name: "new"'), id=item)
    assert kept["shelfChange"]["shelfItem"] == {"note": "old", "amount": 3}
    cleared = await crm.data(document.format("note: null"), id=item)
    assert cleared["shelfChange"]["shelfItem"] == {"note": None, "amount": 3}


async def test_omitted_is_not_null_by_single_variables(crm: Kit) -> None:
    item = await added(crm, note="old", amount=3)
    document = """mutation($id: ID!, $note: String, $amount: Int) {
      shelfChange(input: {itemId: $id, note: $note, amount: $amount}) { shelfItem { note amount } userErrors { code } }
    }"""
    found = await crm.data(document, id=item, note=None)
    assert found["shelfChange"]["shelfItem"] == {"note": None, "amount": 3}


async def test_null_for_what_must_have_a_value_is_refused_by_name(crm: Kit) -> None:
    item = await added(crm)
    refused = await crm.change("shelfChange", input={"itemId": item, "name": None})
    assert codes(refused) == [("REQUIRED", "name")]


async def test_nested_parts_and_lists_are_checked_with_their_paths(crm: Kit) -> None:
    given = {
        "name": "",
        "labels": [{"text": "ok", "shade": "DEEP_RED"}, {"text": "x" * 21}],
        "price": "1.005",
    }
    refused = await crm.change("shelfAdd", input=given, acting="east")
    assert sorted(codes(refused)) == [
        ("INVALID_DECIMAL_MAX_PLACES", "price"),
        ("INVALID_STRING_TOO_LONG", "labels.1.text"),
        ("INVALID_STRING_TOO_SHORT", "name"),
    ]
    assert all(e["message"] for e in refused["userErrors"])


async def test_money_and_days_come_back_as_they_were_given(crm: Kit) -> None:
    given = {"name": "dear", "price": "1200.50", "day": "2025-10-31", "shade": "DARK"}
    made = await crm.done("shelfAdd", input=given, acting="east", select="shelfItem { price day shade line }")
    assert made["shelfItem"] == {"price": "1200.50", "day": "2025-10-31", "shade": "DARK", "line": "east"}


@pytest.mark.parametrize("odd", ["a\0b", "\ud800"])
async def test_a_character_no_database_keeps_is_refused(crm: Kit, odd: str) -> None:
    refused = await crm.change("shelfAdd", input={"name": odd, "labels": [{"text": odd}]}, acting="east")
    assert {field for _, field in codes(refused)} == {"name", "labels.0.text"}
    assert codes(await crm.change("shelfAdd", input={"name": "ok"}, acting="east", reason=odd)) == [
        ("INVALID_VALUE", "reason")
    ]
    assert codes(await crm.change("shelfAdd", input={"name": "ok"}, acting="east", idempotencyKey=odd)) == [
        ("INVALID_VALUE", "idempotencyKey")
    ]
    assert await names(crm) == []


async def test_a_reason_has_an_end(crm: Kit) -> None:
    await crm.done("shelfAdd", input={"name": "ok"}, acting="east", reason="x" * 2000)
    refused = await crm.change("shelfAdd", input={"name": "no"}, acting="east", reason="x" * 2001)
    assert codes(refused) == [("INVALID_VALUE", "reason")]


async def test_all_reasons_of_a_refusal_come_together_with_rule_and_words(crm: Kit) -> None:
    refused = await crm.change("shelfAdd", input={"name": "unlucky"}, acting="east", language="zh-CN")
    assert refused["userErrors"] == [
        {"code": "SHELF_UNLUCKY", "message": "name：不可为 unlucky。", "field": "name", "rule": "SH-001"},
        {"code": "SHELF_UNLUCKY", "message": "note：不可为 unlucky。", "field": "note", "rule": "SH-001"},
    ]


async def test_several_records_come_back_in_order(crm: Kit) -> None:
    given: dict[str, Any] = {"input": {"names": ["c", "a", "b"]}, "acting": "east"}
    for dry in (False, True):
        made = await crm.done("shelfAddMany", **given, dryRun=dry, select="shelfItems { name spelled }")
        found = [(item["name"], item["spelled"]) for item in made["shelfItems"]]
        assert found == [(name, "None None") for name in ("c", "a", "b")]


# -- several in one document


async def test_each_mutation_field_is_its_own_transaction(crm: Kit) -> None:
    document = """mutation {
      a: shelfAdd(input: {name: "a"}, line: "east") { shelfItem { name } userErrors { code } }
      b: shelfAdd(input: {name: "unlucky"}, line: "east") { shelfItem { name } userErrors { code } }
      c: shelfAdd(input: {name: "too late"}, line: "east") { shelfItem { name } userErrors { code } }
      d: shelfAdd(input: {name: "d"}, line: "east") { shelfItem { name } userErrors { code } }
    }"""
    answer = await crm.data(document)
    assert [answer[key]["shelfItem"] for key in "abcd"] == [{"name": "a"}, None, None, {"name": "d"}]
    assert await names(crm) == ["a", "d"]
    assert len(await crm.rows(OutboxEvent)) >= 2


# -- dry runs


async def test_a_dry_run_shows_the_record_with_everything_nested_and_leaves_nothing(crm: Kit) -> None:
    box = await added(crm, name="box")
    select = """shelfItem { name version parent { name parts { name } children { totalCount nodes { name } } }
                            parts { name } children { totalCount } shouted }"""
    given = {"name": "inner", "parentId": box}
    shown = await crm.done("shelfAdd", input=given, acting="east", dryRun=True, select=select)
    assert shown["shelfItem"] == {
        "name": "inner",
        "version": 1,
        "parent": {
            "name": "box",
            "parts": [{"name": "inner"}],
            "children": {"totalCount": 1, "nodes": [{"name": "inner"}]},
        },
        "parts": [],
        "children": {"totalCount": 0},
        "shouted": "INNER",
    }
    assert await names(crm) == ["box"]
    assert [e.kind for e in await crm.rows(AuditEntry) if e.kind == "shelf.add"] == ["shelf.add"]


async def test_a_dry_run_does_not_stand_in_the_way_of_the_next_mutation(crm: Kit) -> None:
    document = """mutation {
      dry: shelfAdd(input: {name: "dry"}, line: "east", dryRun: true) { shelfItem { name children { totalCount } } }
      wet: shelfAdd(input: {name: "wet"}, line: "east") { shelfItem { name } }
      again: shelfAdd(input: {name: "dry again"}, line: "east", dryRun: true) { shelfItem { name } }
    }"""
    answer = await asyncio.wait_for(crm.data(document), 10)
    assert [answer[key]["shelfItem"]["name"] for key in ("dry", "wet", "again")] == [
        "dry",
        "wet",
        "dry again",
    ]
    assert await names(crm) == ["wet"]


async def test_a_refused_dry_run_frees_the_database(crm: Kit) -> None:
    refused = await crm.change("shelfAdd", input={"name": "unlucky"}, acting="east", dryRun=True)
    assert len(refused["userErrors"]) == 2
    await asyncio.wait_for(added(crm), 10)


async def test_a_dry_run_does_not_use_up_its_key(crm: Kit) -> None:
    given: dict[str, Any] = {"input": {"name": "once"}, "acting": "east", "idempotencyKey": "k"}
    dry = await crm.done("shelfAdd", **given, dryRun=True, select="replayed")
    wet = await crm.done("shelfAdd", **given, select="replayed")
    again = await crm.done("shelfAdd", **given, dryRun=True, select="replayed")
    assert [dry["replayed"], wet["replayed"], again["replayed"]] == [False, False, False]
    assert await names(crm) == ["once"]


# -- repeating


async def test_twins_at_the_same_time_are_performed_once(crm: Kit) -> None:
    async def one() -> dict[str, Any]:
        return await crm.done(
            "shelfAdd",
            input={"name": "twin"},
            acting="east",
            idempotencyKey="k",
            select="shelfItem { id } replayed",
        )

    answers = await asyncio.gather(*(one() for _ in range(5)))
    assert await names(crm) == ["twin"]
    assert len({answer["shelfItem"]["id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [False, True, True, True, True]


async def test_a_twin_of_a_refused_one_is_performed(crm: Kit) -> None:
    given: dict[str, Any] = {"acting": "east", "idempotencyKey": "k"}
    for name in ("unlucky", "too late"):
        assert (await crm.change("shelfAdd", input={"name": name}, **given))["userErrors"]
    assert await crm.rows(IdempotencyKey) == []
    done = await crm.done("shelfAdd", input={"name": "lucky"}, **given, select="replayed")
    assert done["replayed"] is False


async def test_a_key_stands_for_one_input_one_line_and_one_version(crm: Kit) -> None:
    given: dict[str, Any] = {"idempotencyKey": "k", "select": "shelfItem { id }"}
    await crm.done("shelfAdd", input={"name": "a"}, acting="east", **given)
    for name, line in (("b", "east"), ("a", "north")):
        refused = await crm.change("shelfAdd", input={"name": name}, acting=line, **given)
        assert codes(refused) == [("IDEMPOTENCY_KEY_REUSED", "idempotencyKey")]
    assert await names(crm) == ["a"]


async def test_keys_belong_to_an_actor_and_a_kind(crm: Kit) -> None:
    other = await crm.actor("other", WRITE)
    given: dict[str, Any] = {"acting": "east", "idempotencyKey": "k", "select": "replayed"}
    first = await crm.done("shelfAdd", input={"name": "a"}, **given)
    second = await crm.done("shelfAdd", other, input={"name": "a"}, **given)
    third = await crm.done("shelfAddMany", input={"names": ["a"]}, **given)
    assert [first["replayed"], second["replayed"], third["replayed"]] == [False, False, False]
    assert await names(crm) == ["a", "a", "a"]


async def test_a_key_is_forgotten_after_a_day(crm: Kit) -> None:
    given: dict[str, Any] = {"acting": "east", "idempotencyKey": "k", "select": "replayed"}
    await crm.done("shelfAdd", input={"name": "a"}, **given)
    crm.clock.advance(hours=23, minutes=59)
    assert (await crm.done("shelfAdd", input={"name": "a"}, **given))["replayed"] is True
    crm.clock.advance(minutes=2)
    assert (await crm.done("shelfAdd", input={"name": "b"}, **given))["replayed"] is False
    assert await names(crm) == ["a", "b"]


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_has_one_to_two_hundred_characters(crm: Kit, key: str) -> None:
    refused = await crm.change("shelfAdd", input={"name": "a"}, acting="east", idempotencyKey=key)
    assert codes(refused) == [("INVALID_VALUE", "idempotencyKey")]
    await crm.done("shelfAdd", input={"name": "a"}, acting="east", idempotencyKey="钥" * 200)


# -- lines


async def test_the_line_is_the_argument_else_the_header_else_the_only_one(crm: Kit) -> None:
    both = await crm.actor("both", WRITE, lines=["east", "north"])
    one = await crm.actor("one", WRITE, lines=["north"])
    select = "shelfItem { line }"
    named = await crm.done("shelfAdd", both, input={"name": "a"}, line="north", acting="east", select=select)
    header = await crm.done("shelfAdd", both, input={"name": "a"}, acting="east", select=select)
    only = await crm.done("shelfAdd", one, input={"name": "a"}, select=select)
    assert [p["shelfItem"]["line"] for p in (named, header, only)] == ["north", "east", "north"]
    refused = await crm.change("shelfAdd", both, input={"name": "a"})
    assert codes(refused) == [("LINE_REQUIRED", "line")]
    assert "east, north" in refused["userErrors"][0]["message"]


async def test_a_line_of_others_or_of_nobody_is_unknown(crm: Kit) -> None:
    one = await crm.actor("one", WRITE, lines=["north"])
    for line in ("east", "nowhere", ""):
        refused = await crm.change("shelfAdd", one, input={"name": "a"}, line=line)
        expected = [] if line == "" else [("UNKNOWN_LINE", "line")]
        assert codes(refused) == expected
    assert {item.line for item in await crm.rows(Item)} == {"north"}


async def test_a_line_without_the_plugin_takes_no_command_of_it(crm: Kit) -> None:
    refused = await crm.change("shelfAdd", input={"name": "a"}, line="west")
    assert codes(refused) == [("PLUGIN_NOT_ENABLED", "line")]


async def test_a_record_is_changed_in_its_own_line(crm: Kit) -> None:
    item = await added(crm)
    refused = await crm.change("shelfChange", input={"itemId": item, "name": "b"}, line="north")
    assert codes(refused) == [("WRONG_LINE", "line")]
    done = await crm.done("shelfChange", input={"itemId": item, "name": "b"}, select="shelfItem { line }")
    assert done["shelfItem"]["line"] == "east"


async def test_without_the_scope_in_that_line_nothing_is_written(crm: Kit) -> None:
    item = await added(crm)
    reader = await crm.actor("reader", {"shelf.read": Reach.LINE})
    mixed = await crm.actor("mixed", WRITE, lines=["north"])
    assert codes(await crm.change("shelfAdd", reader, input={"name": "a"})) == [("FORBIDDEN", None)]
    assert codes(await crm.change("shelfChange", reader, input={"itemId": item, "name": "a"})) == [
        ("FORBIDDEN", None)
    ]
    assert codes(await crm.change("shelfChange", mixed, input={"itemId": item, "name": "a"})) == [
        ("NOT_FOUND", "itemId")
    ]
    assert await names(crm) == ["box"]


# -- versions and subjects


async def test_a_record_nobody_has_is_not_found_by_its_field(crm: Kit) -> None:
    refused = await crm.change("shelfChange", input={"itemId": "she_" + "0" * 32, "name": "a"})
    assert codes(refused) == [("NOT_FOUND", "itemId")]
    wrong = await crm.change("shelfChange", input={"itemId": "usr_" + "0" * 32, "name": "a"})
    assert codes(wrong) == [("INVALID_ID", "itemId")]


async def test_a_version_means_nothing_to_a_new_record(crm: Kit) -> None:
    refused = await crm.change("shelfAdd", input={"name": "a"}, acting="east", expectedVersion=1)
    assert codes(refused) == [("VERSION_NOT_APPLICABLE", "expectedVersion")]


async def test_of_two_who_read_the_same_version_one_wins(crm: Kit) -> None:
    item = await added(crm)

    async def change(name: str) -> dict[str, Any]:
        return await crm.change("shelfChange", input={"itemId": item, "name": name}, expectedVersion=1)

    answers = await asyncio.gather(*(change(name) for name in "abc"))
    assert sorted(codes(answer) for answer in answers) == [
        [],
        [("STALE_VERSION", "expectedVersion")],
        [("STALE_VERSION", "expectedVersion")],
    ]
    done = await crm.data("query($id: ID!) { shelfItem(id: $id) { version } }", id=item)
    assert done["shelfItem"]["version"] == 2


async def test_audit_and_event_stand_in_the_transaction_of_the_change(crm: Kit) -> None:
    item = await added(crm, note="old")
    await crm.done("shelfChange", input={"itemId": item, "note": "new"}, reason="because")
    await crm.change("shelfChange", input={"itemId": item, "note": "x"}, expectedVersion=1)
    events = [e for e in await crm.rows(OutboxEvent) if e.subject_type == "ShelfItem"]
    assert [(e.kind, e.sequence, e.line, e.reason) for e in events] == [
        ("shelf.added", 1, "east", None),
        ("shelf.changed", 2, "east", "because"),
    ]
    assert (events[1].before, events[1].after, events[1].changed_fields) == (
        {"note": "old"},
        {"note": "new"},
        ["note"],
    )
    entries = [a for a in await crm.rows(AuditEntry) if a.kind == "shelf.change"]
    assert [(a.line, a.reason, a.command) for a in entries] == [
        ("east", "because", {"item_id": item, "note": "new"})
    ]
