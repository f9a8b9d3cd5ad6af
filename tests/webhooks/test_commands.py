"""Setting endpoints up, secrets, tests, replays, and who may do what."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from crm_core.actors import Reach
from crm_core.audit.models import AuditEntry
from crm_core.outbox.models import OutboxEvent
from crm_core.webhooks.forgetting import forget
from crm_core.webhooks.models import WebhookEndpoint
from crm_core.webhooks.secrets import asker
from tests.webhooks.conftest import SCOPES, Post
from tests.webhooks.sinks import Reply

OWN_SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
REPLAYED = "webhookReplay { id again added asked }"


async def refused(
    post: Post, mutation: str = "webhookCreate", actor: Any = None, **wish: Any
) -> list[tuple[str, str | None]]:
    """Codes and fields of the refusals."""
    given = (
        {"name": "P", "url": "https://example.com/", "scopes": SCOPES} if mutation == "webhookCreate" else {}
    )
    payload = await post.crm.change(mutation, actor, input={**given, **wish}, line="east")
    return [(one["code"], one["field"]) for one in payload["userErrors"]]


UNFIT: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"url": "http://example.com/"}, ("WEBHOOK_URL", "url")),
    ({"url": "https://2130706433/"}, ("WEBHOOK_URL", "url")),
    ({"kinds": ["customers.*"]}, ("WEBHOOK_KIND", "kinds.0")),
    ({"kinds": ["task.created"]}, ("WEBHOOK_NEEDS_SCOPE", "kinds.0")),
    ({"scopes": ["nothing.read"], "kinds": ["*"]}, ("WEBHOOK_UNKNOWN_SCOPE", "scopes.0")),
    ({"changedFields": ["address"]}, ("WEBHOOK_FIELD", "changedFields")),
    ({"condition": {"all": [{"field": "after.name", "op": "GT", "value": "a"}]}}, ("WEBHOOK_CONDITION", "condition.all.0.op")),
    ({"document": "{ nothing }"}, ("WEBHOOK_DOCUMENT", "document")),
    ({"document": 'mutation { customerCreate(input: {name: "a", kind: PERSON}) { replayed } }'}, ("WEBHOOK_DOCUMENT", "document")),
    ({"document": "query($x: ID!) { customer(id: $x) { id } }"}, ("WEBHOOK_DOCUMENT", "document")),
    ({"document": "{ customers(first: 100) { nodes { contacts(first: 100) { nodes { customer { contacts(first: 100) { nodes { id } } } } } } } }"}, ("WEBHOOK_DOCUMENT", "document")),
    ({"headers": [{"name": "webhook-id", "value": "x"}]}, ("WEBHOOK_HEADER", "headers.0")),
    ({"headers": [{"name": "Host", "value": "x"}]}, ("WEBHOOK_HEADER", "headers.0")),
    ({"headers": [{"name": "X-A", "value": "a\r\nb: c"}]}, ("WEBHOOK_HEADER", "headers.0")),
    ({"headers": [{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}]}, ("WEBHOOK_HEADER", "headers.1")),
    ({"ca": "no certificate"}, ("WEBHOOK_CA", "ca")),
    ({"secret": "whsec_c2hvcnQ="}, ("WEBHOOK_SECRET", "secret")),
]  # fmt: skip


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_an_endpoint_that_cannot_work_is_refused_with_its_reason(post: Post) -> None:
    for wish, found in UNFIT:
        assert found in await refused(post, "webhookCreate", None, **wish), wish


async def test_nobody_gives_an_endpoint_more_than_he_holds_for_the_line(post: Post) -> None:
    li = await post.crm.actor(
        "li", {"webhook.manage": Reach.LINE, "webhook.read": Reach.LINE, "customer.read": Reach.OWN}
    )
    assert await refused(post, actor=li, scopes=["customer.read"]) == [("WEBHOOK_BEYOND_YOURS", "scopes.0")]
    wish: dict[str, Any] = {"scopes": [], "allowPrivate": True, "url": "http://10.0.0.1/"}
    assert ("WEBHOOK_PRIVATE", "allowPrivate") in await refused(post, actor=li, **wish)


async def test_a_secret_made_here_is_shown_in_that_answer_alone(post: Post) -> None:
    made = (await post.create(headers=[{"name": "Authorization", "value": "Bearer hush"}]))["webhookEndpoint"]
    assert made["secret"].startswith("whsec_")
    text = "{ webhookEndpoints { nodes { secret headerNames } } }"
    other = await post.crm.actor("li", {"webhook.manage": Reach.LINE, "webhook.read": Reach.LINE})
    (seen,) = (await post.crm.data(text, other))["webhookEndpoints"]["nodes"]
    assert seen == {"secret": None, "headerNames": ["Authorization"]}
    post.crm.clock.advance(seconds=61)
    (seen,) = (await post.crm.data(text))["webhookEndpoints"]["nodes"]
    assert seen["secret"] is None


async def test_a_secret_of_ones_own_is_never_shown(post: Post) -> None:
    made = (await post.create(secret=OWN_SECRET))["webhookEndpoint"]
    assert made["secret"] is None


async def test_no_name_a_client_gives_makes_a_secret_of_another_time_shown(post: Post) -> None:
    """He calls an endpoint by the digest that stands for who was shown the secret, and asks for it by that column's name."""
    made = (await post.create(secret=OWN_SECRET))["webhookEndpoint"]
    scopes = {"webhook.manage": Reach.LINE, "webhook.read": Reach.LINE, "customer.read": Reach.LINE}
    li = await post.crm.actor("li", scopes)
    change = """mutation ($i: WebhookUpdateInput!) { webhookUpdate(input: $i, line: "east") { userErrors { code } } }"""
    named = {"id": made["id"], "name": asker(li.user_id, "test")}
    assert (await post.crm.data(change, li, i=named))["webhookUpdate"]["userErrors"] == []
    document = "{ webhookEndpoints { nodes { secret __secret_asker: name __secret_at: updatedAt secret_asker: name } } }"
    for compiled in (None, False):
        found = await post.crm.data(document, li, compiled=compiled)
        (shown,) = found["webhookEndpoints"]["nodes"]
        assert shown["secret"] is None
        assert OWN_SECRET not in str(found)


async def test_secrets_stand_in_no_table_audit_event_or_log(post: Post) -> None:
    made = await post.create(secret=OWN_SECRET, headers=[{"name": "X-Key", "value": "hush-hush"}])
    await post.crm.done("webhookRotateSecret", input={"id": made["webhookEndpoint"]["id"]}, line="east")
    post.sink.usual = Reply(500, body=b"you said hush-hush")
    await post.customer()
    await post.send()
    assert post.sink.received[0].headers["x-key"] == "hush-hush"
    rows = [
        *await post.crm.rows(AuditEntry),
        *await post.crm.rows(OutboxEvent),
        *await post.crm.rows(WebhookEndpoint),
    ]
    text = repr([*rows, *await post.attempts(), *await post.deliveries()])
    assert OWN_SECRET not in text
    assert "hush-hush" not in text
    (attempt,) = await post.attempts()
    assert attempt.response == "you said ***"


async def test_while_a_secret_is_replaced_both_sign(post: Post) -> None:
    post.now()
    made = (await post.create())["webhookEndpoint"]
    wish = {"id": made["id"], "secret": OWN_SECRET, "keepHours": 1}
    await post.crm.done("webhookRotateSecret", input=wish, line="east")
    await post.customer()
    await post.send()
    (request,) = post.sink.received
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (made["secret"], OWN_SECRET):
        Webhook(secret).verify(request.body, request.headers)
    post.crm.clock.advance(hours=1)
    await post.customer("later")
    await post.send()
    later = post.sink.received[-1]
    assert len(later.headers["webhook-signature"].split(" ")) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(later.body, later.headers)


async def test_a_test_is_sent_before_whatever_waits(post: Post) -> None:
    made = await post.endpoint(concurrency=1)
    await post.customer()
    await post.feed()
    shown = await post.crm.done(
        "webhookTest", input={"id": made}, line="east", select="webhookDelivery { id state }"
    )
    await post.send()
    first = post.sink.received[0]
    assert (first.json["type"], first.id) == ("webhook.test", shown["webhookDelivery"]["id"])
    text = "query($id: ID!) { webhookDelivery(id: $id) { state eventId log { number status milliseconds response } } }"
    seen = (await post.crm.data(text, id=first.id))["webhookDelivery"]
    assert (seen["state"], seen["eventId"], seen["log"][0]["status"]) == ("DELIVERED", None, 200)
    await post.crm.done("webhookPause", input={"id": made}, line="east")
    assert await refused(post, "webhookTest", id=made) == [("WEBHOOK_NOT_SENDING", "id")]


async def test_a_replay_tells_how_many_before_and_sends_the_same_again(post: Post) -> None:
    made = await post.endpoint()
    for number in range(3):
        await post.customer(str(number))
        post.crm.clock.advance(hours=1)
    await post.send()
    began = post.crm.clock() - timedelta(hours=2, minutes=30)
    wish = {"id": made, "since": began.isoformat(), "kinds": ["customer.*"]}
    dry = await post.crm.done("webhookReplay", input=wish, line="east", dryRun=True, select=REPLAYED)
    assert (dry["webhookReplay"]["again"], dry["webhookReplay"]["added"]) == (2, 0)
    assert await post.send() == 0
    await post.crm.done("webhookReplay", input=wish, line="east")
    assert await post.send() == 2
    again = {(one.id, one.body) for one in post.sink.received[3:]}
    assert again == {(one.id, one.body) for one in post.sink.received[1:3]}


async def test_a_replay_of_what_died_of_one_record_or_of_single_ones(post: Post) -> None:
    post.configure(refused_tries=1, breaker_failures=100)
    made = await post.endpoint()
    customers = [await post.customer(str(number)) for number in range(3)]
    post.sink.replies = [Reply(400)]
    await post.send()
    first = {"id": made, "states": ["DEAD"]}
    second = {"id": made, "record": customers[1]}
    shown = await post.crm.data("{ webhookDeliveries(first: 1) { nodes { id } } }")
    third = {"id": made, "deliveries": [shown["webhookDeliveries"]["nodes"][0]["id"]]}
    for wish in (first, second, third):
        done = await post.crm.done("webhookReplay", input=wish, line="east", select=REPLAYED)
        assert done["webhookReplay"]["again"] == 1
        assert await post.send() == 1
    assert await refused(post, "webhookReplay", id=made) == [("WEBHOOK_REPLAY_WHAT", None)]
    post.configure(replay_most=1)
    assert await refused(post, "webhookReplay", id=made, kinds=["*"]) == [("WEBHOOK_TOO_MANY", None)]


async def test_a_replay_adds_what_came_before_the_endpoint(post: Post) -> None:
    await post.customer("early")
    await post.feed()
    made = await post.endpoint(kinds=["customer.created"])
    wish = {"id": made, "kinds": ["*"], "missing": True}
    done = await post.crm.done("webhookReplay", input=wish, line="east", select=REPLAYED)
    assert done["webhookReplay"]["added"] == 1
    await post.send()
    assert post.sink.received[0].json["data"]["after"]["name"] == "early"


async def test_a_delivery_is_retried_or_cancelled_by_hand(post: Post) -> None:
    await post.endpoint()
    await post.customer()
    post.sink.replies = [Reply(500)]
    await post.send()
    row = await post.delivery()
    one = {"id": f"whd_{row.id.hex}"}
    await post.crm.done("webhookRetryDelivery", input=one, line="east", select="webhookDelivery { state }")
    assert await post.send() == 1
    assert (await post.delivery()).state == "DELIVERED"
    assert await refused(post, "webhookCancelDelivery", **one) == [("WEBHOOK_STILL_WAITING", "id")]
    await post.crm.done("webhookRetryDelivery", input=one, line="east")
    await post.crm.done("webhookCancelDelivery", input=one, line="east")
    assert await post.send() == 0


async def test_a_backlog_can_be_dropped_and_an_archived_endpoint_gets_nothing(post: Post) -> None:
    made = await post.endpoint()
    await post.crm.done("webhookPause", input={"id": made, "why": "moving house"}, line="east")
    await post.customer()
    await post.feed()
    await post.crm.done("webhookResume", input={"id": made, "dropBacklog": True}, line="east")
    assert await post.send() == 0
    assert (await post.delivery()).state == "CANCELLED"
    await post.customer("two")
    await post.feed()
    await post.crm.done("webhookArchive", input={"id": made}, line="east")
    await post.customer("three")
    assert await post.send() == 0
    await forget(post.crm.services)
    assert [one.state for one in await post.deliveries()] == ["CANCELLED", "CANCELLED"]
    assert await refused(post, "webhookUpdate", id=made, name="x") == [("WEBHOOK_ARCHIVED", "id")]


async def test_a_line_sees_its_own_endpoints_and_deliveries(post: Post) -> None:
    made = await post.endpoint()
    await post.customer()
    await post.send()
    text = "{ webhookEndpoints { totalCount } webhookDeliveries { totalCount nodes { log { status } endpoint { name } } } }"
    west = await post.crm.actor(
        "w", {"webhook.read": Reach.LINE, "webhook.manage": Reach.LINE}, lines=["west"]
    )
    seen = await post.crm.data(text, west)
    assert (seen["webhookEndpoints"]["totalCount"], seen["webhookDeliveries"]["totalCount"]) == (0, 0)
    payload = await post.crm.change("webhookPause", west, input={"id": made})
    assert payload["userErrors"][0]["code"] == "NOT_FOUND"
    team = await post.crm.actor("t", {"webhook.read": Reach.TEAM})
    assert (await post.crm.data(text, team))["webhookEndpoints"]["totalCount"] == 0
    east = await post.crm.actor("e", {"webhook.read": Reach.LINE})
    seen = await post.crm.data(text, east)
    assert seen["webhookDeliveries"]["nodes"] == [{"log": [{"status": 200}], "endpoint": {"name": "Partner"}}]


async def test_deliveries_are_found_by_state_endpoint_kind_and_time_in_one_statement(post: Post) -> None:
    made = await post.endpoint()
    await post.customer()
    await post.send()
    text = (
        "query($w: WebhookDeliveryWhere) { webhookDeliveries(where: $w) { nodes { kind log { status } } } }"
    )
    wheres: list[dict[str, Any]] = [
        {"state": {"in": ["DELIVERED"]}}, {"endpointId": {"eq": made}}, {"kind": {"eq": "customer.created"}},
        {"occurredAt": {"lte": post.crm.clock().isoformat()}}, {"failed": False},
    ]  # fmt: skip
    for where in wheres:
        with post.crm.statements() as sent:
            seen = await post.crm.ask(text, w=where, compiled=True)
        assert len(sent) == 1
        assert seen.data == {
            "webhookDeliveries": {"nodes": [{"kind": "customer.created", "log": [{"status": 200}]}]}
        }


async def test_old_payloads_go_first_and_then_the_log(post: Post) -> None:
    await post.endpoint()
    await post.customer()
    await post.send()
    post.now()
    post.crm.clock.advance(days=15)
    assert await forget(post.crm.services) == 0
    assert (await post.delivery()).body is None
    post.crm.clock.advance(days=16)
    assert await forget(post.crm.services) == 1
    assert (await post.deliveries(), await post.attempts()) == ([], [])


async def test_what_waits_for_an_endpoint_in_use_is_never_forgotten(post: Post) -> None:
    made = await post.endpoint()
    await post.customer()
    await post.feed()
    post.now()
    post.crm.clock.advance(days=100)
    await forget(post.crm.services)
    assert (await post.delivery()).state == "WAITING"
    await post.crm.done("webhookPause", input={"id": made}, line="east")
    await forget(post.crm.services)
    assert (await post.delivery()).state == "CANCELLED"
    post.crm.clock.advance(days=31)
    await forget(post.crm.services)
    assert (await post.deliveries()) == []
