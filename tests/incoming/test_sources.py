"""Setting sources up: what is refused, who may, what the API shows; and the log of what they sent."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.audit.models import AuditEntry
from crm_core.errors import Language
from crm_core.incoming.models import IncomingSource
from crm_core.outbox.models import OutboxEvent
from tests.incoming.conftest import NEW_CUSTOMER, ONCE, RIGHTS, TOKEN, Door, codes, whsec

MANAGES = {"incoming.read": Reach.LINE, "incoming.manage": Reach.LINE}
SOURCES = """{ incomingSources { nodes { id line name path verifier options addresses windowSeconds bodyBytes dedupe handler
  mapping enabled actor { name } requests { totalCount } } } }"""
REQUESTS = """query($where: IncomingRequestWhere) { incomingRequests(where: $where) { totalCount nodes {
  id line state attempts dedupeKey contentType headers query body size address results errors source { name } } } }"""
GOOD = whsec(b"k" * 24)


@ONCE
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"verifier": "NONE"}, ("INCOMING_UNKNOWN_VERIFIER", "verifier")),
        ({"secret": {}}, ("REQUIRED", "secret.secret")),
        ({"secret": {"secret": "short"}}, ("INVALID_VALUE", "secret")),
        ({"secret": {"secret": TOKEN, "token": "x"}}, ("INVALID_VALUE", "secret.token")),
        ({"verifier": "STANDARD_WEBHOOKS", "secret": {"secret": "whsec_%%%"}}, ("INVALID_VALUE", "secret")),
        ({"verifier": "STANDARD_WEBHOOKS", "secret": {"secret": whsec(b"short")}}, ("INVALID_VALUE", "secret")),
        ({"verifier": "WECOM", "options": {"receiver": "c"}, "secret": {"token": "t", "aesKey": "x"}},
         ("INVALID_VALUE", "secret")),
        ({"verifier": "WECOM", "secret": {"token": "t", "aesKey": "a" * 43}}, ("REQUIRED", "options.receiver")),
        ({"verifier": "HMAC", "options": {}}, ("REQUIRED", "options.header")),
        ({"verifier": "HMAC", "options": {"header": "X", "signed": "x"}}, ("INVALID_VALUE", "options")),
        ({"verifier": "HMAC", "options": {"header": "X", "signed": "{timestamp}{body}"}}, ("INVALID_VALUE", "options")),
        ({"options": {"heder": "X"}}, ("INVALID_EXTRA_FORBIDDEN", "options.heder")),
        ({"addresses": ["10.0.0.0/8", "10.0.0.0/99"]}, ("INVALID_VALUE", "addresses.1")),
        ({"bodyBytes": 2_000_000}, ("INVALID_VALUE", "bodyBytes")),
        ({"dedupe": "body.id"}, ("INVALID_STRING_PATTERN_MISMATCH", "dedupe")),
        ({"dedupe": "=body..id"}, ("INCOMING_WRONG_EXPRESSION", "dedupe")),
        ({"mapping": ...}, ("INCOMING_ONE_WAY", "mapping")),
        ({"handler": "x"}, ("INCOMING_ONE_WAY", "mapping")),
        ({"mapping": ..., "handler": "x"}, ("INCOMING_UNKNOWN_HANDLER", "handler")),
        ({"mapping": []}, ("INCOMING_NO_STEPS", "mapping")),
        ({"mapping": [{"command": "customer.create", "input": {"name": "=a", "kind": "PERSON", "fon": "x"}}]},
         ("INCOMING_UNKNOWN_FIELD", "mapping.0.input.fon")),
    ],
)  # fmt: skip
async def test_what_a_source_may_not_be(door: Door, given: dict[str, Any], wanted: tuple[str, str]) -> None:
    payload = await door.try_source(**given)
    assert wanted in codes(payload)
    assert not any(e["message"].startswith("INCOMING_") for e in payload["userErrors"]), "all have words"
    assert await door.crm.rows(IncomingSource) == []


@ONCE
async def test_a_name_is_given_once_in_a_line(door: Door) -> None:
    await door.source()
    assert codes(await door.try_source()) == [("INCOMING_NAME_TAKEN", "name")]


async def test_what_is_set_is_shown_and_the_secret_never(door: Door) -> None:
    source = await door.source(
        addresses=["10.0.0.0/8"], dedupe="header:X-Id", windowSeconds=60, bodyBytes=1000
    )
    (node,) = (await door.crm.data(SOURCES))["incomingSources"]["nodes"]
    assert node == {
        "id": ids.show("ins", source.id), "line": "east", "name": "website", "path": f"/hooks/{source.path_key}",
        "verifier": "STATIC_TOKEN", "options": {}, "addresses": ["10.0.0.0/8"], "windowSeconds": 60, "bodyBytes": 1000,
        "dedupe": "header:X-Id", "handler": None, "mapping": NEW_CUSTOMER, "enabled": True, "actor": {"name": "robot"},
        "requests": {"totalCount": 0},
    }  # fmt: skip
    kept = repr(await door.crm.rows(AuditEntry)) + repr(await door.crm.rows(OutboxEvent))
    assert TOKEN not in kept
    assert source.path_key not in kept
    assert source.sealed not in kept


@ONCE
async def test_every_change_is_announced(door: Door) -> None:
    source = await door.source()
    shown = ids.show("ins", source.id)
    await door.crm.done("incomingUpdate", input={"id": shown, "windowSeconds": 0})
    await door.crm.done("incomingRotateSecret", input={"id": shown, "secret": {"secret": TOKEN + "2"}})
    await door.crm.done("incomingDisable", input={"id": shown})
    events = [e for e in await door.crm.rows(OutboxEvent) if e.subject_type == "IncomingSource"]
    assert [e.kind for e in sorted(events, key=lambda e: e.sequence)] == [
        "incoming_source.created", "incoming_source.updated", "incoming_source.secret_rotated", "incoming_source.updated",
    ]  # fmt: skip


@ONCE
async def test_an_update_leaves_what_is_not_given(door: Door) -> None:
    source = await door.source(addresses=["10.0.0.0/8"], dedupe="=body.id")
    shown = ids.show("ins", source.id)
    await door.crm.done("incomingUpdate", input={"id": shown, "dedupe": None, "enabled": False})
    (row,) = await door.crm.rows(IncomingSource)
    assert (row.dedupe, row.addresses, row.enabled, row.mapping) == (
        None,
        ["10.0.0.0/8"],
        False,
        NEW_CUSTOMER,
    )


# -- who may


async def manager(door: Door, **more: Reach) -> Actor:
    return await door.crm.actor("manager", {**MANAGES, **more})


@ONCE
async def test_a_source_acts_as_nobody_who_may_do_more_than_who_sets_it_up(door: Door) -> None:
    weak = await manager(door)
    payload = await door.try_source(weak)
    assert codes(payload) == [("INCOMING_ACTOR_BEYOND", "actorId")]
    strong = await door.crm.actor("strong", {**MANAGES, **RIGHTS})
    assert codes(await door.try_source(strong)) == []
    own = {"actorId": ids.show("usr", weak.user_id)} if weak.user_id else {}
    assert codes(await door.try_source(weak, name="own", **own)) == []


@ONCE
async def test_who_may_do_less_changes_nothing_of_what_is_done_as_somebody_else(door: Door) -> None:
    source = await door.source()
    weak, shown = await manager(door), ids.show("ins", source.id)
    for given in (
        {"mapping": [*NEW_CUSTOMER, *NEW_CUSTOMER]},
        {"dedupe": "=body.x"},
        {"options": {"header": "X"}},
    ):
        payload = await door.crm.change("incomingUpdate", weak, input={"id": shown, **given})
        assert codes(payload) == [("INCOMING_ACTOR_BEYOND", "actorId")]
    payload = await door.crm.change(
        "incomingRotateSecret", weak, input={"id": shown, "secret": {"secret": TOKEN}}
    )
    assert codes(payload) == [("INCOMING_ACTOR_BEYOND", "actorId")]
    await door.crm.done("incomingUpdate", weak, input={"id": shown, "enabled": False, "addresses": []})


@ONCE
async def test_a_source_acts_as_somebody_of_its_line(door: Door) -> None:
    other = await door.crm.actor("other", {"customer.read": Reach.LINE}, lines=("west",))
    assert other.user_id is not None
    payload = await door.try_source(actorId=ids.show("usr", other.user_id))
    assert codes(payload) == [("INCOMING_ACTOR_UNFIT", "actorId")]


async def test_sources_and_requests_belong_to_their_line(door: Door) -> None:
    source = await door.source()
    await door.send(source)
    for rights, lines in (({"customer.read": Reach.LINE}, ("east",)), (MANAGES, ("west",))):
        who = await door.crm.actor(f"who {lines}", rights, lines=lines)
        for document in (SOURCES, REQUESTS):
            answer = await door.crm.ask(document, who)
            assert answer.codes or not next(iter((answer.data or {}).values()))["nodes"]
        shown = ids.show("inr", (await door.request()).id)
        assert codes(await door.crm.change("incomingDiscard", who, input={"id": shown}))
    assert (await door.request()).state == "RECEIVED"


@ONCE
async def test_only_who_manages_sees_the_path(door: Door) -> None:
    await door.source()
    reader = await door.crm.actor("reader", {"incoming.read": Reach.LINE, "user.read": Reach.LINE})
    answer = await door.crm.ask("{ incomingSources { nodes { name path } } }", reader)
    assert answer.data == {"incomingSources": {"nodes": [{"name": "website", "path": None}]}}
    assert answer.codes == ["FORBIDDEN"]


# -- the log


async def test_requests_are_shown_with_the_reasons_of_their_failure_in_both_languages(door: Door) -> None:
    source = await door.source()
    await door.send(source, '{"name": 5, "x": "双"}'.encode(), {"x-form": "f"})
    await door.work_off()
    node, english = await failed_request(door, "en")
    assert english.endswith("Input should be a valid string")
    assert "值无效" in (await failed_request(door, "zh-CN"))[1]
    assert (node["state"], node["body"]) == ("FAILED", '{"name": 5, "x": "双"}')
    assert (node["headers"]["x-form"], node["source"]) == ("f", {"name": "website"})
    assert (node["size"], node["address"]) == (23, "192.0.2.10")


async def failed_request(door: Door, language: Language) -> tuple[dict[str, Any], str]:
    """The only request, and why its first step failed."""
    answer = await door.crm.ask(REQUESTS, language=language)
    assert answer.data is not None
    (node,) = answer.data["incomingRequests"]["nodes"]
    (error,) = node["errors"]
    assert (error["step"], error["command"], error["field"]) == ("0", "customer.create", "name")
    return node, error["message"]


async def test_requests_are_found_by_state_source_and_time(door: Door) -> None:
    one, two = await door.source(), await door.source(name="two")
    await door.send(one, b'{"name": "a"}')
    await door.work_off()
    door.crm.clock.advance(hours=1)
    await door.send(two, b'{"name": "b"}')
    since = {"createdAt": {"gte": door.crm.clock.now.isoformat()}}

    async def found(**where: Any) -> int:
        data = await door.crm.data(REQUESTS, where=where)
        return int(data["incomingRequests"]["totalCount"])

    assert await found() == 2
    assert [await found(state={"eq": s}) for s in ("RECEIVED", "DONE", "FAILED")] == [1, 1, 0]
    assert await found(sourceId={"eq": ids.show("ins", one.id)}) == 1
    assert await found(**since) == 1
    data = await door.crm.data("{ incomingRequests { nodes { id state results } } }", compiled=True)
    assert [n["state"] for n in data["incomingRequests"]["nodes"]] == ["RECEIVED", "DONE"]


@ONCE
async def test_a_new_edition_is_expected_by_its_version(door: Door) -> None:
    source = await door.source()
    shown = ids.show("ins", source.id)
    payload = await door.crm.change(
        "incomingUpdate", input={"id": shown, "enabled": False}, expectedVersion=9
    )
    assert codes(payload) == [("STALE_VERSION", "expectedVersion")]


@ONCE
async def test_a_dry_run_sets_nothing_up(door: Door) -> None:
    outcome = await door.crm.perform(
        "incoming.create",
        {"name": "x", "verifier": "STANDARD_WEBHOOKS", "secret": {"secret": GOOD}, "actor_id": door.robot.user_id,
         "mapping": NEW_CUSTOMER},
        line="east", dry_run=True,
    )  # fmt: skip
    assert (outcome.errors, await door.crm.rows(IncomingSource)) == ((), [])
