"""What fails is tried again for days, given up, rests, is paused, and comes back with everything that waited."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from crm_core.actors import Reach
from crm_core.notices.models import Notice
from crm_core.testing.kit import START
from crm_core.webhooks.claiming import claim
from crm_core.webhooks.judging import Answer, judged, retry_after
from crm_core.webhooks.models import WebhookDelivery, WebhookDeliveryState
from crm_core.webhooks.sending import Sender
from crm_core.webhooks.settings import WebhooksSettings
from tests.notices.sinks import certificate
from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply, sink

STANDARD = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]


async def test_ten_attempts_are_made_over_days_with_one_id_and_the_same_bytes(post: Post) -> None:
    post.configure(breaker_failures=100)
    await post.endpoint()
    await post.customer()
    post.sink.usual = Reply(500)
    for wait in (0, *STANDARD):
        post.crm.clock.advance(seconds=wait)
        assert await post.send() == 1
    row = await post.delivery()
    assert (row.state, row.attempts, row.last_status) == ("DEAD", 10, 500)
    assert (row.last_at - row.first_at).total_seconds() == 75 * 3_600 + 35 * 60 + 5
    assert len({(one.id, one.body) for one in post.sink.received}) == 1
    assert [one.number for one in await post.attempts()] == list(range(1, 11))


async def test_a_refusal_is_given_up_after_three_tries(post: Post) -> None:
    await post.endpoint()
    await post.customer()
    post.sink.usual = Reply(400)
    for _ in range(4):
        await post.send()
        post.crm.clock.advance(hours=1)
    row = await post.delivery()
    assert (row.state, row.attempts, len(post.sink.received)) == ("DEAD", 3, 3)


@given(st.integers(1, 12), st.integers(100, 599), st.integers(0, 10**9), st.floats(0, 1))
def test_waits_stay_within_a_fifth_of_the_plan_and_within_a_day_of_what_is_asked(
    attempts: int, status: int, asked: int, chance: float
) -> None:
    settings = WebhooksSettings()
    verdict = judged(settings, attempts, Answer(status, 1, retry_after=asked or None), chance)
    again = {408, 425, 429} | set(range(500, 600))
    if 200 <= status < 300:
        assert verdict.state is WebhookDeliveryState.DELIVERED
    elif status == 410:
        assert verdict.state is WebhookDeliveryState.WAITING
    elif attempts >= (10 if status in again else 3):
        assert verdict.state is WebhookDeliveryState.DEAD
    else:
        planned = STANDARD[attempts - 1]
        least = max(0.8 * planned, min(asked, 86_400))
        assert least <= verdict.wait + 0.001
        assert verdict.wait <= max(1.2 * planned, min(asked, 86_400)) + 0.001


@given(st.integers(1, 40), st.integers(100, 599), st.floats(0, 1))
def test_a_probe_of_a_failing_endpoint_gives_nothing_up_save_what_is_hopeless(
    attempts: int, status: int, chance: float
) -> None:
    settings = WebhooksSettings()
    verdict = judged(settings, attempts, Answer(status, 1), chance, failing=True)
    if 200 <= status < 300:
        assert verdict.state is WebhookDeliveryState.DELIVERED
    else:
        assert verdict.state is WebhookDeliveryState.WAITING
        assert verdict.wait <= 1.2 * STANDARD[-1]
    hopeless = judged(settings, attempts, Answer(None, 1, "refused", hopeless=True), chance, failing=True)
    assert (hopeless.state is WebhookDeliveryState.DEAD) is (attempts >= 3)
    once = judged(WebhooksSettings(retry_seconds=[]), attempts, Answer(500, 1), 0.5, failing=True)
    assert (once.state, once.wait) == (WebhookDeliveryState.WAITING, 60)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120), ("99999999999999999999", 86_400), ("-5", None), ("soon", None), ("", None),
        ("Mon, 03 Nov 2025 02:01:00 GMT", 60), ("Mon, 03 Nov 2025 01:00:00 GMT", 0),
        ("Mon, 03 Nov 2225 01:00:00 GMT", 86_400),
    ],
)  # fmt: skip
def test_a_wish_to_wait_is_a_number_or_a_date(header: str, seconds: int | None) -> None:
    assert retry_after({"retry-after": header}, START, 86_400) == seconds


async def test_an_untrusted_certificate_is_refused_and_one_of_its_own_is_trusted(
    post: Post, tmp_path: Path
) -> None:
    shown = certificate(tmp_path)
    async with sink(shown.server) as receiver:
        made = await post.endpoint(url=receiver.url())
        await post.customer()
        await post.send()
        (attempt,) = await post.attempts()
        assert attempt.status is None
        assert "certificate" in attempt.error
        assert receiver.received == []
        wish = {"id": made, "ca": shown.file.read_text()}
        await post.crm.done("webhookUpdate", input=wish, line="east")
        post.crm.clock.advance(seconds=5)
        await post.send()
        assert (await post.delivery()).state == "DELIVERED"


async def test_an_endpoint_that_is_gone_is_paused_and_its_managers_are_told(post: Post) -> None:
    manager = await post.crm.actor("meng", {"webhook.manage": Reach.LINE, "notice.self": Reach.OWN})
    await post.crm.actor("li", {"webhook.read": Reach.LINE})
    made = await post.endpoint()
    for name in ("a", "b"):
        await post.customer(name)
    post.sink.usual = Reply(410)
    await post.send()
    state = await post.state()
    assert (state.state, state.state_reason) == ("PAUSED", "HTTP 410: gone (接收方已停用)")
    assert {one.state for one in await post.deliveries()} == {"WAITING"}
    told = await post.crm.rows(Notice)
    assert {one.user_id for one in told} == {manager.user_id, post.crm.administrator.user_id}
    await post.customer("c")
    post.crm.clock.advance(days=1)
    assert await post.send() == 0
    post.sink.usual = Reply()
    await post.crm.done("webhookResume", input={"id": made}, line="east")
    await post.send()
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}
    assert len(await post.deliveries()) == 3


async def test_a_failing_endpoint_gets_one_probe_at_a_time_until_it_recovers(post: Post) -> None:
    post.configure(breaker_failures=3, probe_seconds=60)
    await post.endpoint(concurrency=1)
    for number in range(8):
        await post.customer(str(number))
    post.sink.usual = Reply(500)
    await post.send()
    assert (await post.state()).state == "FAILING"
    tried = len(post.sink.received)
    assert tried < 8
    for _ in range(2):
        post.crm.clock.advance(seconds=60)
        assert await post.send() == 1
    post.sink.usual = Reply()
    post.crm.clock.advance(seconds=60)
    await post.send()
    state = await post.state()
    assert (state.state, state.failures, state.failing_since, state.state_reason) == ("ACTIVE", 0, None, None)
    post.crm.clock.advance(minutes=10)
    await post.send()
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}


async def test_after_days_of_failure_an_endpoint_is_paused_and_resumes_with_its_backlog(post: Post) -> None:
    post.configure(breaker_failures=1, probe_seconds=3_600)
    made = await post.endpoint()
    post.sink.usual = Reply(500)
    for day in range(6):
        await post.customer(str(day))
        post.crm.clock.advance(days=1)
        await post.send()
    state = await post.state()
    assert state.state == "PAUSED"
    assert "failing since" in state.state_reason
    tried = len(post.sink.received)
    post.crm.clock.advance(days=1)
    assert await post.send() == 0
    post.sink.usual = Reply()
    await post.crm.done("webhookResume", input={"id": made}, line="east")
    await post.send()
    assert len(post.sink.received) == tried + 6
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}


@pytest.mark.parametrize("failures", [3, 10])
async def test_what_waits_for_a_failing_endpoint_outlives_its_plan_until_the_endpoint_is_paused(
    post: Post, failures: int
) -> None:
    post.configure(breaker_failures=failures)
    made = await post.endpoint()
    await post.customer()
    post.sink.usual = Reply(500)
    for wait in (0, *STANDARD, STANDARD[-1], STANDARD[-1]):
        assert (await post.state()).state != "PAUSED"
        post.crm.clock.advance(seconds=wait)
        assert await post.send() == 1
    endpoint, row = await post.state(), await post.delivery()
    assert (endpoint.state, row.state, row.attempts) == ("PAUSED", "WAITING", 12)
    assert len(await post.attempts()) == 12
    post.sink.usual = Reply()
    await post.crm.done("webhookResume", input={"id": made}, line="east")
    assert await post.send() == 1
    assert (await post.delivery()).state == "DELIVERED"


async def test_a_refusal_of_a_failing_endpoint_gives_nothing_up_until_it_takes_something(post: Post) -> None:
    post.configure(breaker_failures=2, refused_tries=2, retry_seconds=[1, 1, 1])
    await post.endpoint()
    await post.customer("a")
    await post.customer("b")
    post.sink.usual = Reply(404)
    for _ in range(6):
        await post.send()
        post.crm.clock.advance(seconds=60)
    assert [one.state for one in await post.deliveries()] == ["WAITING", "WAITING"]
    post.sink.replies = [Reply()]
    for _ in range(2):
        await post.send()
        post.crm.clock.advance(seconds=60)
    assert sorted(one.state for one in await post.deliveries()) == ["DEAD", "DELIVERED"]


async def test_failures_before_a_delivery_was_taken_count_no_more(post: Post) -> None:
    post.configure(breaker_failures=3, refused_tries=1)
    await post.endpoint(concurrency=1)
    for number in range(6):
        await post.customer(str(number))
    post.sink.replies = [Reply(404), Reply(404), Reply(), Reply(404), Reply(), Reply(404)]
    assert await post.send() == 6
    states = [one.state for one in await post.deliveries()]
    assert (states.count("DEAD"), states.count("DELIVERED")) == (4, 2)
    assert (await post.state()).state == "ACTIVE"


THROTTLED = {"Retry-After": "30"}


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_throttles_is_left_alone_altogether(post: Post, status: int) -> None:
    made = await post.endpoint(concurrency=1)
    for name in "abc":
        await post.customer(name)
    post.sink.usual = Reply(status, headers=THROTTLED)
    await post.send()
    assert len(post.sink.received) == 1
    assert sorted(one.attempts for one in await post.deliveries()) == [0, 0, 1]
    post.crm.clock.advance(seconds=29)
    await post.crm.done("webhookTest", input={"id": made}, line="east")
    assert await post.send() == 0
    post.sink.usual = Reply()
    post.crm.clock.advance(seconds=1)
    await post.send()
    assert len(post.sink.received) == 1 + 4


@pytest.mark.parametrize(("taken", "throttled"), [(0.0, 0.2), (0.2, 0.0), (0.1, 0.1)])
async def test_another_request_that_is_taken_at_the_same_time_does_not_end_the_rest(
    post: Post, taken: float, throttled: float
) -> None:
    await post.endpoint(concurrency=2)
    await post.customer("a")
    post.sink.replies = [Reply(500)]
    await post.send()
    post.crm.clock.advance(seconds=5)
    await post.customer("b")
    post.sink.replies = [Reply(seconds=taken), Reply(429, headers=THROTTLED, seconds=throttled)]
    assert await post.send() == 2
    state = await post.state()
    assert (state.state, state.resting_until) == ("ACTIVE", post.crm.clock() + timedelta(seconds=30))
    await post.customer("c")
    post.crm.clock.advance(seconds=29)
    assert await post.send() == 0
    post.crm.clock.advance(seconds=1)
    assert await post.send() == 2
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}


async def test_a_test_goes_to_a_failing_endpoint_at_once(post: Post) -> None:
    post.configure(breaker_failures=1)
    made = await post.endpoint()
    await post.customer()
    post.sink.replies = [Reply(500)]
    await post.send()
    assert (await post.state()).state == "FAILING"
    await post.crm.done("webhookTest", input={"id": made}, line="east")
    assert await post.send() == 1
    assert (await post.state()).state == "ACTIVE"


async def test_what_a_killed_sender_had_in_hand_is_sent_again_with_the_same_id_and_bytes(post: Post) -> None:
    made = await post.endpoint()
    await post.customer()
    await post.feed()
    post.sink.replies = [Reply(how="hang")]
    async with Sender(post.crm.services) as killed:
        await killed._look()
        await post.sink.until(1)
    row = await post.delivery()
    assert (row.state, row.attempts) == ("WAITING", 1)
    assert await post.send() == 0
    wish = {"id": made, "scopes": ["customer.read"]}
    await post.crm.done("webhookUpdate", input=wish, line="east")
    post.crm.clock.advance(seconds=20)
    assert await post.send() == 1
    first, again = post.sink.received
    assert (first.id, first.body) == (again.id, again.body)
    assert ((await post.delivery()).state, (await post.delivery()).attempts) == ("DELIVERED", 2)


async def test_two_senders_never_take_the_same_delivery(post: Post) -> None:
    made = await post.state(await post.endpoint())
    for number in range(12):
        await post.customer(str(number))
    await post.feed()
    taken = await asyncio.gather(*(claim(post.crm.services, made.id, 5, alone=False) for _ in range(4)))
    found = [one.id for some in taken for one in some]
    assert len(found) == len(set(found))


async def test_a_lease_is_renewed_while_deliveries_wait_for_their_turn(post: Post) -> None:
    post.configure(lease_seconds=2.0, timeout_seconds=0.6)
    await post.endpoint(concurrency=1)
    for number in range(6):
        await post.customer(str(number))
    post.sink.usual = Reply(seconds=0.36)
    await post.send()
    assert len(post.sink.ids) == len(set(post.sink.ids)) == 6
    assert {one.attempts for one in await post.deliveries()} == {1}


async def test_a_sender_that_lost_its_lease_writes_no_failure_over_the_work_of_another(post: Post) -> None:
    await post.endpoint()
    await post.customer()
    post.sink.replies = [Reply(500, seconds=0.3)]
    await post.feed()
    slow = asyncio.create_task(post.send())
    await post.sink.until(1)
    async with post.crm.database.transaction() as session:
        table = WebhookDelivery.__table__
        await session.execute(
            update(table).values(next_at=post.crm.clock() - timedelta(seconds=1), lease_until=None)
        )
    await post.send()
    await slow
    row = await post.delivery()
    assert (row.state, len(await post.attempts())) == ("DELIVERED", 2)
