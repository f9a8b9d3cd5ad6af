"""What an endpoint sees: its scopes, masks, its document, frozen bytes, and little of what is too large."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from crm_core import ids
from crm_core.db.base import Base
from crm_core.event_schemas import schema_of
from crm_core.graphql.fields import Mask
from crm_core.notices.models import Notice
from crm_core.outbox.events import RecordedEvent
from crm_core.testing.kit import START, Kit
from crm_core.webhooks.models import WebhookDelivery, WebhookEndpoint
from crm_core.webhooks.payloads import Form, masked, public_view
from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply

DOCUMENT = """
query($subject: ID!) {
  customer(id: $subject) { id name contacts(first: 5) { nodes { name } } }
}
"""


def created(**more: Any) -> RecordedEvent:
    key = UUID(int=7)
    after = {"name": "华信", "province": "江苏", "address": "人民路 1 号", "identity_masked": "3***"}
    event = RecordedEvent(
        key, 9, "customer.created", 1, "Customer", key, ids.show("cus", key), 1, 0, "east", UUID(int=8), "王芳", "secret reason",
        "request", START, None, after, [], {"line": "east"},
    )  # fmt: skip
    return replace(event, **more)


def form(*scopes: str) -> Form:
    return Form("Partner", "east", frozenset(scopes))


async def test_public_columns_go_out_and_nothing_else(crm: Kit) -> None:
    seen = public_view(crm.services, form("customer.read"), created())
    assert seen["after"] == {"name": "华信", "province": "江苏"}
    assert {"actorName", "actorId", "reason", "requestId"}.isdisjoint(seen)
    assert (seen["id"], seen["position"], seen["subjectType"]) == (
        ids.show("evt", UUID(int=7)),
        9,
        "Customer",
    )


async def test_what_goes_out_has_the_published_form(crm: Kit) -> None:
    event = crm.services.registry.events["customer.created"]
    form_ = schema_of(event, crm.services.registry)
    whole = public_view(crm.services, form("customer.read", "event.read"), created())
    assert set(whole) == set(form_["properties"])
    assert set(form_["required"]) <= set(public_view(crm.services, form("customer.read"), created()))


async def test_who_did_it_goes_out_to_who_may_read_events(crm: Kit) -> None:
    seen = public_view(crm.services, form("customer.read", "event.read"), created())
    assert (seen["actorName"], seen["actorId"]) == ("王芳", ids.show("usr", UUID(int=8)))


async def test_only_the_changes_of_what_is_seen_are_named(crm: Kit) -> None:
    changed = created(
        kind="customer.updated", before={"name": "a", "address": "b"}, after={"name": "c", "address": "d"},
        changed_fields=["address", "name"],
    )  # fmt: skip
    seen = public_view(crm.services, form("customer.read"), changed)
    assert (seen["changedFields"], seen["before"], seen["after"]) == (["name"], {"name": "a"}, {"name": "c"})


async def test_a_field_with_a_scope_is_left_out_and_a_masked_one_masked(crm: Kit) -> None:
    services = crm.services
    customer = services.registry.types["Customer"]
    fields = {
        **customer.by_name,
        "province": replace(customer.by_name["province"], scope="customer.secret"),
        "name": replace(customer.by_name["name"], mask=Mask(lambda column: column, "customer.whole")),
    }
    narrowed = replace(customer, fields=tuple(fields.values()))
    registry = replace(services.registry, types={**services.registry.types, "Customer": narrowed})
    guarded = replace(services, registry=registry)
    assert public_view(guarded, form("customer.read"), created())["after"] == {"name": "华**"}
    whole = form("customer.read", "customer.secret", "customer.whole")
    assert public_view(guarded, whole, created())["after"] == {"name": "华信", "province": "江苏"}


def test_masks_are_those_the_table_declares(crm_models: dict[str, type[Base]]) -> None:
    assert masked(crm_models["Customer"], "name", "华信科技") == "华**"
    assert masked(crm_models["CustomerPhone"], "e164", "+8613812341234") == "138****1234"
    assert masked(crm_models["Customer"], "address", "人民路 1 号") == "***"
    assert masked(None, "anything", 5) == "***"


@pytest.fixture
def crm_models() -> dict[str, type[Base]]:
    """Tables by name of class."""
    return {mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers}


async def test_an_endpoint_gets_nothing_it_may_not_read_nor_of_other_lines(post: Post) -> None:
    await post.endpoint(kinds=["*"], scopes=["contact.read"])
    await post.customer()
    wish = {"kind": "ORGANISATION", "name": "west"}
    await post.endpoint(name="all", kinds=["*"])
    await post.crm.done("customerCreate", input=wish, line="west")
    await post.feed()
    assert len(await post.deliveries()) == 1


async def test_a_document_shapes_the_payload_once_and_the_bytes_stay(post: Post) -> None:
    await post.endpoint(document=DOCUMENT)
    customer = await post.customer("before")
    post.sink.replies = [Reply(500)]
    await post.send()
    await post.rename(customer, "after")
    post.crm.clock.advance(seconds=5)
    await post.send()
    first, again = [one for one in post.sink.received if one.json["type"] == "customer.created"]
    assert first.json["data"] == {"customer": {"id": customer, "name": "before", "contacts": {"nodes": []}}}
    assert (first.id, first.body) == (again.id, again.body)


async def test_a_document_reads_no_more_than_its_endpoint(post: Post) -> None:
    document = "query($subject: ID!) { customer(id: $subject) { name phones { number } } users(first: 1) { nodes { email } } }"
    await post.endpoint(document=document, scopes=["customer.read"], kinds=["customer.created"])
    await post.customer(phones=[{"number": "13812341234", "use": "MOBILE"}])
    await post.send()
    (request,) = post.sink.received
    assert request.json["data"]["customer"]["phones"] == [{"number": "138****1234"}]
    assert request.json["errors"][0]["code"] == "FORBIDDEN"
    assert not [one for one in request.json["data"]["users"]["nodes"] if one["email"]]


async def no_longer_fits(post: Post, endpoint: str) -> None:
    """The document asks for a field that the schema of a later version does not have."""
    async with post.crm.database.transaction() as session:
        row = await session.get_one(WebhookEndpoint, ids.read_as("whe", endpoint))
        row.document = "query($subject: ID!) { customer(id: $subject) { name goneWithTheUpgrade } }"


async def test_an_endpoint_whose_document_fits_no_more_is_paused_and_its_managers_are_told(
    post: Post,
) -> None:
    await post.crm.actor("boss", role="line_manager")
    made = await post.endpoint(document=DOCUMENT)
    await post.customer()
    await no_longer_fits(post, made)
    assert await post.send() == 0
    endpoint = await post.state()
    assert endpoint.state == "PAUSED"
    assert "goneWithTheUpgrade" in endpoint.state_reason
    asked = await post.crm.data("{ webhookEndpoints { nodes { documentProblems } } }")
    assert "goneWithTheUpgrade" in asked["webhookEndpoints"]["nodes"][0]["documentProblems"][0]
    told = [row for row in await post.crm.rows(Notice) if row.kind == "webhook.paused"]
    assert told
    assert "goneWithTheUpgrade" in str(told[0].facts)
    post.crm.clock.advance(hours=1)
    assert await post.send() == 0
    assert len([row for row in await post.crm.rows(Notice) if row.kind == "webhook.paused"]) == len(told)


async def test_what_waited_for_a_mended_document_is_sent_when_its_endpoint_is_resumed(post: Post) -> None:
    made = await post.endpoint(document=DOCUMENT, kinds=["customer.created"])
    await post.customer("first")
    await no_longer_fits(post, made)
    await post.send()
    await post.customer("second")
    assert await post.send() == 0
    refused = await post.crm.change("webhookResume", input={"id": made}, line="east")
    assert [(one["code"], one["field"]) for one in refused["userErrors"]] == [
        ("WEBHOOK_DOCUMENT", "document")
    ]
    await post.crm.done("webhookUpdate", input={"id": made, "document": DOCUMENT}, line="east")
    assert await post.send() == 0, "who paused resumes"
    await post.crm.done("webhookResume", input={"id": made}, line="east")
    assert await post.send() == 2
    assert [one.json["data"]["customer"]["name"] for one in post.sink.received] == ["first", "second"]
    assert {(one.state, one.attempts) for one in await post.deliveries()} == {("DELIVERED", 1)}


async def test_what_is_too_large_is_sent_thin_with_what_it_takes_to_fetch_it(post: Post) -> None:
    post.configure(most_bytes=1_024)
    await post.endpoint(kinds=["customer.created"])
    customer = await post.customer("很长" * 50, province="很长的省" * 10, city="城" * 40, district="区" * 40)
    await post.send()
    (request,) = post.sink.received
    data = request.json["data"]
    assert data["thin"] is True
    assert data["fetch"] == {"after": str(data["position"] - 1), "node": customer}
    assert len(request.body) < 1_024


async def test_an_event_that_is_gone_is_given_up(post: Post) -> None:
    post.configure(refused_tries=1)
    await post.endpoint()
    await post.customer()
    await post.feed()
    async with post.crm.database.transaction() as session:
        await session.execute(update(WebhookDelivery.__table__).values(event_id=ids.uuid7()))
    await post.send()
    row = await post.delivery()
    assert (row.state, row.last_error) == ("DEAD", "the event is not kept any more (事件已不再保留)")
    assert post.sink.received == []
