"""Sending: each event once, again after a failure, and what each misbehaviour of a receiver comes to."""

from __future__ import annotations

from standardwebhooks import Webhook

from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply


async def test_an_event_is_posted_once_and_signed(post: Post) -> None:
    post.now()
    made = await post.create()
    secret = made["webhookEndpoint"]["secret"]
    customer = await post.customer()
    assert (await post.send(), await post.send()) == (1, 0)
    (request,) = post.sink.received
    assert Webhook(secret).verify(request.body, request.headers)
    body = request.json
    assert (body["type"], body["data"]["subjectId"]) == ("customer.created", customer)
    assert body["data"]["after"]["name"] == "华信"
    row = await post.delivery()
    assert (row.state, row.attempts, row.last_status, row.lease_until) == ("DELIVERED", 1, 200, None)
    assert row.body == request.body
    (attempt,) = await post.attempts()
    assert (attempt.status, attempt.error, attempt.response, attempt.number) == (200, None, "thanks", 1)


MISBEHAVIOURS: list[tuple[Reply, int | None, str | None, str, int]] = [
    (Reply(500), 500, "HTTP 500", "WAITING", 5),
    (Reply(429, headers={"Retry-After": "120"}), 429, "HTTP 429", "WAITING", 120),
    (Reply(503, headers={"Retry-After": "999999999"}), 503, "HTTP 503", "WAITING", 86_400),
    (Reply(408), 408, "HTTP 408", "WAITING", 5),
    (Reply(425), 425, "HTTP 425", "WAITING", 5),
    (Reply(302, headers={"Location": "/elsewhere"}), 302, "HTTP 302", "WAITING", 5),
    (Reply(404), 404, "HTTP 404", "WAITING", 5),
    (Reply(how="hang"), None, "no answer within 0.5 s (超时)", "WAITING", 5),
    (Reply(how="close"), None, "the connection was closed before an answer (连接被提前关闭)", "WAITING", 5),
    (Reply(how="cut"), 200, None, "DELIVERED", 0),
    (Reply(how="stall"), 200, None, "DELIVERED", 0),
    (Reply(how="flood"), 200, None, "DELIVERED", 0),
]


async def test_each_misbehaviour_is_logged_and_tried_again_as_documented(post: Post) -> None:
    await post.endpoint()
    for number, (reply, status, why, state, waits) in enumerate(MISBEHAVIOURS):
        await post.customer(f"Customer {number}")
        post.sink.received.clear()
        post.sink.replies = [reply]
        assert await post.send() == 1, reply
        row, attempt = (await post.deliveries())[-1], (await post.attempts())[-1]
        assert (attempt.status, attempt.error, row.state, row.last_error) == (status, why, state, why)
        assert (row.next_at - post.crm.clock()).total_seconds() == waits
        assert [one.path for one in post.sink.received] == ["/hook"]
        if state == "WAITING":
            post.crm.clock.advance(seconds=waits)
            assert await post.send() == 1, reply
            first, again = post.sink.received
            assert (first.id, first.body) == (again.id, again.body)
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}
    assert post.sink.flooded < 10_000_000
