"""Who manages the webhooks of a line hears of what was given up, once a day for each endpoint."""

from __future__ import annotations

from typing import Any

from crm_core.actors import Reach
from crm_core.audit.models import AuditEntry
from crm_core.notices.models import Notice
from crm_core.outbox.models import OutboxEvent
from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply


async def told(post: Post) -> list[Any]:
    """Notices of deliveries that were given up, in order."""
    found = [one for one in await post.crm.rows(Notice) if one.kind == "webhook.gave_up"]
    return sorted(found, key=lambda one: one.id)


async def events(post: Post) -> list[Any]:
    return [one for one in await post.crm.rows(OutboxEvent) if one.kind == "webhook.gave_up"]


async def test_managers_of_the_line_are_told_what_was_given_up_and_why(post: Post) -> None:
    post.configure(refused_tries=1)
    manager = await post.crm.actor("meng", {"webhook.manage": Reach.LINE, "notice.self": Reach.OWN})
    await post.crm.actor("west", {"webhook.manage": Reach.LINE}, lines=["west"])
    await post.crm.actor("li", {"webhook.read": Reach.LINE})
    made = await post.endpoint(kinds=["customer.created"])
    await post.customer()
    post.sink.usual = Reply(404)
    await post.send()
    found = await told(post)
    assert {one.user_id for one in found} == {manager.user_id, post.crm.administrator.user_id}
    query = "{ myNotices { nodes { title body subject line } } }"
    (notice,) = (await post.crm.data(query, manager))["myNotices"]["nodes"]
    assert (notice["title"], notice["subject"], notice["line"]) == (
        "Webhook delivery given up: Partner", made, "east",
    )  # fmt: skip
    for words in ("Event: customer.created", "Attempts: 1", "Why: HTTP 404", post.sink.url()):
        assert words in notice["body"]
    (event,), delivery = await events(post), await post.delivery()
    assert (event.subject_ref, event.line, event.actor_name) == (made, "east", "webhooks")
    assert event.data == {"delivery": f"whd_{delivery.id.hex}", "attempts": 1}
    (entry,) = [one for one in await post.crm.rows(AuditEntry) if one.kind == "webhook.give_up"]
    assert entry.actor_name == "webhooks"


async def test_however_much_is_given_up_they_are_told_once_a_day(post: Post) -> None:
    post.configure(refused_tries=1, breaker_failures=1_000)
    for name in ("one", "two"):
        await post.endpoint(name=name, kinds=["customer.created"])
    post.sink.usual = Reply(404)
    for number in range(5):
        await post.customer(str(number))
        await post.send()
        post.crm.clock.advance(hours=1)
    assert {one.state for one in await post.deliveries()} == {"DEAD"}
    assert len(await post.deliveries()) == 10
    assert sorted(one.facts["name"] for one in await told(post)) == ["one", "two"]
    assert len(await events(post)) == 2
    post.crm.clock.advance(days=1)
    await post.customer("next day")
    await post.send()
    assert sorted(one.facts["name"] for one in await told(post)) == ["one", "one", "two", "two"]
    assert len(await events(post)) == 4


async def test_what_is_taken_or_cancelled_is_told_to_nobody(post: Post) -> None:
    await post.endpoint()
    await post.customer()
    post.sink.replies = [Reply(500)]
    await post.send()
    post.crm.clock.advance(seconds=5)
    await post.send()
    await post.customer("b")
    post.sink.replies = [Reply(500)]
    await post.send()
    row = (await post.deliveries())[-1]
    await post.crm.done("webhookCancelDelivery", input={"id": f"whd_{row.id.hex}"}, line="east")
    assert sorted(one.state for one in await post.deliveries()) == ["CANCELLED", "DELIVERED"]
    assert (await told(post), await events(post)) == ([], [])
