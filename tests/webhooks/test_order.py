"""Order about one record, rate, concurrency, and lanes that do not wait for one another."""

from __future__ import annotations

import asyncio
import time

from crm_core.webhooks.sending import Sender
from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply, sink


def by_record(post: Post) -> dict[str, list[int]]:
    """Sequences received, by record."""
    found: dict[str, list[int]] = {}
    for one in post.sink.received:
        found.setdefault(one.json["data"]["subjectId"], []).append(one.json["data"]["sequence"])
    return found


async def test_what_is_about_one_record_arrives_in_order_whatever_fails_on_the_way(post: Post) -> None:
    post.configure(breaker_failures=1_000, retry_seconds=[1] * 40)
    await post.endpoint(ordered="SUBJECT", concurrency=8)
    customers = [await post.customer(str(number)) for number in range(4)]
    for turn in range(5):
        for customer in customers:
            await post.rename(customer, f"turn {turn}")
    post.sink.replies = [Reply(500) if number % 3 == 0 else Reply() for number in range(30)]
    for _ in range(60):
        await post.send()
        post.crm.clock.advance(seconds=1)
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}
    for sequences in by_record(post).values():
        assert sequences == sorted(sequences)
        assert len(set(sequences)) == 6


async def test_a_record_that_fails_holds_up_no_other(post: Post) -> None:
    await post.endpoint(ordered="SUBJECT", concurrency=1)
    stuck = await post.customer("stuck")
    await post.rename(stuck, "still stuck")
    await post.customer("fine")
    post.sink.replies = [Reply(500)]
    await post.send()
    assert [one.state for one in await post.deliveries()] == ["WAITING", "WAITING", "DELIVERED"]
    post.crm.clock.advance(seconds=5)
    await post.send()
    assert {one.state for one in await post.deliveries()} == {"DELIVERED"}


async def test_when_one_is_given_up_the_next_goes_on(post: Post) -> None:
    post.configure(refused_tries=1)
    await post.endpoint(ordered="SUBJECT")
    customer = await post.customer()
    await post.rename(customer, "new")
    post.sink.replies = [Reply(400)]
    await post.send()
    assert [one.state for one in await post.deliveries()] == ["DEAD", "DELIVERED"]


async def test_two_senders_keep_the_order(post: Post) -> None:
    await post.endpoint(ordered="SUBJECT")
    customer = await post.customer()
    for turn in range(10):
        await post.rename(customer, str(turn))
    await post.feed()
    await asyncio.gather(post.send(), post.send(), post.send())
    await post.send()
    (sequences,) = by_record(post).values()
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 11


async def test_no_more_requests_at_once_than_the_endpoint_allows(post: Post) -> None:
    await post.endpoint(concurrency=3)
    for number in range(12):
        await post.customer(str(number))
    post.sink.usual = Reply(seconds=0.05)
    await post.send()
    assert post.sink.most_at_once == 3
    assert len(post.sink.received) == 12


async def test_no_more_requests_per_second_than_the_endpoint_allows_of_all_processes(post: Post) -> None:
    await post.endpoint(perSecond=5)
    for number in range(12):
        await post.customer(str(number))
    assert await post.send() == 5
    assert await post.send() == 0
    post.crm.clock.advance(seconds=1)
    assert await post.send() == 5


async def test_a_slow_endpoint_delays_no_other(post: Post) -> None:
    post.configure(timeout_seconds=5, lease_seconds=20)
    async with sink() as slow:
        slow.usual = Reply(how="hang")
        await post.endpoint(url=slow.url())
        await post.endpoint()
        for number in range(20):
            await post.customer(str(number))
        await post.feed()
        stop, began = asyncio.Event(), time.perf_counter()
        async with Sender(post.crm.services) as sender:
            running = asyncio.create_task(sender.run(stop))
            await post.sink.until(20)
            took = time.perf_counter() - began
            await post.customer("one more")
            await post.feed()
            await post.sink.until(21)
            running.cancel()
    assert took < 3
    assert len(slow.received) == 8


async def test_a_sender_told_to_stop_ends_what_it_is_at_and_gives_back_the_rest(post: Post) -> None:
    await post.endpoint(concurrency=2)
    for number in range(10):
        await post.customer(str(number))
    await post.feed()
    post.sink.usual = Reply(seconds=0.2)
    stop = asyncio.Event()
    async with Sender(post.crm.services) as sender:
        running = asyncio.create_task(sender.run(stop))
        await post.sink.until(2)
        stop.set()
        await running
    rows = await post.deliveries()
    assert len([one for one in rows if one.state == "DELIVERED"]) == len(post.sink.received) == 2
    assert {(one.attempts, one.lease_until) for one in rows if one.state == "WAITING"} == {(0, None)}
