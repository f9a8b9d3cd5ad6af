"""Trouble of our own database costs no delivery an attempt, and is no failure of a receiver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from crm_core.db.session import Database
from crm_core.db.unit import Unit
from crm_core.errors import Fault, Unavailable
from crm_core.webhooks.sending import Sender
from tests.webhooks.conftest import Post
from tests.webhooks.sinks import Reply
from tests.webhooks.test_payloads import DOCUMENT


@dataclass
class Flaky:
    """A database that is away while it is told so, or refuses single calls: name, how many go well before, and why."""

    database: Database
    away: bool = False
    refused: list[tuple[str, int, Fault]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    def _called(self, name: str) -> None:
        if self.away:
            raise Unavailable("the database is away")
        for place, (one, before, why) in enumerate(self.refused):
            if one == name:
                self.refused[place] = (one, before - 1, why)
                if not before:
                    del self.refused[place]
                    raise why
                return

    async def fetch(self, statement: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        self._called("fetch")
        return await self.database.fetch(statement, values)

    async def answer(self, sql: str, values: Sequence[Any]) -> bytes:
        self._called("answer")
        return await self.database.answer(sql, values)

    async def attempt(self, do: Callable[[Unit], Awaitable[Any]]) -> Any:
        self._called("attempt")
        return await self.database.attempt(do)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        self._called("transaction")
        async with self.database.transaction() as unit:
            yield unit


def unsteady(post: Post) -> Flaky:
    """Have the deployment use such a database."""
    flaky = Flaky(post.crm.services.database)
    post.crm.services = replace(post.crm.services, database=cast("Database", flaky))  # as far as it is used
    return flaky


async def each_was_tried_once(post: Post, many: int) -> None:
    """All delivered, one attempt each, written down."""
    rows = await post.deliveries()
    assert [(one.state, one.attempts) for one in rows] == [("DELIVERED", 1)] * many
    assert sorted(one.delivery_id for one in await post.attempts()) == sorted(one.id for one in rows)


@pytest.mark.parametrize("senders", [1, 2])
async def test_what_was_taken_and_not_tried_is_given_back_once_the_database_answers(
    post: Post, senders: int
) -> None:
    post.configure(timeout_seconds=0.6, lease_seconds=1.2, poll_seconds=0.05)
    await post.endpoint(concurrency=2)
    many = 8 * senders
    for number in range(many):
        await post.customer(str(number))
    await post.feed()
    post.sink.usual = Reply(seconds=0.3)
    flaky, stop = unsteady(post), asyncio.Event()
    services = replace(post.crm.services, clock=lambda: datetime.now(UTC))
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(Sender(services)) for _ in range(senders)]
        running = [asyncio.create_task(one.run(stop)) for one in started]
        await post.sink.until(1)
        await asyncio.sleep(0.1)  # more is taken than is tried
        flaky.away = True
        await asyncio.sleep(1.6)
        assert len(post.sink.received) < many
        flaky.away = False
        await post.sink.until(many)
        stop.set()
        await asyncio.gather(*running)
    assert len(set(post.sink.ids)) == len(post.sink.ids) == many
    await each_was_tried_once(post, many)


async def test_a_database_that_goes_away_while_more_is_taken_cuts_nothing_off_that_is_on_its_way(
    post: Post,
) -> None:
    await post.endpoint(concurrency=1)
    for number in range(4):
        await post.customer(str(number))
    await post.feed()
    flaky = unsteady(post)
    flaky.refused = [("attempt", 1, Unavailable("away"))]
    post.sink.usual = Reply(seconds=0.2)
    async with Sender(post.crm.services) as sender:
        assert await sender.drain() == 2
    assert flaky.refused == []
    assert sorted((one.state, one.attempts) for one in await post.deliveries()) == [
        ("DELIVERED", 1), ("DELIVERED", 1), ("WAITING", 0), ("WAITING", 0),
    ]  # fmt: skip
    assert await post.send() == 2
    await each_was_tried_once(post, 4)


async def test_who_stops_while_the_database_is_away_does_not_wait_for_it_to_give_back(post: Post) -> None:
    await post.endpoint(concurrency=1)
    for number in range(2):
        await post.customer(str(number))
    await post.feed()
    flaky, stop = unsteady(post), asyncio.Event()
    flaky.refused = [("transaction", 0, Unavailable("away"))]
    post.sink.usual = Reply(seconds=0.2)
    async with Sender(post.crm.services) as sender:
        running = asyncio.create_task(sender.run(stop))
        await post.sink.until(1)
        stop.set()
        async with asyncio.timeout(5):
            await running
    assert sorted((one.state, one.attempts) for one in await post.deliveries()) == [
        ("DELIVERED", 1), ("WAITING", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "before", "why"),
    [
        ("answer", 0, Unavailable("The database does not answer")),
        ("answer", 1, Fault("DATABASE_BUSY", "Another process holds the database")),
        ("transaction", 0, Fault("DATABASE_FULL", "The database has no room left")),
    ],
)
async def test_a_document_that_the_database_does_not_answer_is_no_failure_of_the_receiver(
    post: Post, call: str, before: int, why: Fault
) -> None:
    await post.endpoint(document=DOCUMENT, kinds=["customer.created"])
    for number in range(3):
        await post.customer(str(number))
    await post.feed()
    flaky = unsteady(post)
    flaky.refused = [(call, before, why)]
    sent = await post.send()
    assert sent == before
    waiting = [one for one in await post.deliveries() if one.state == "WAITING"]
    assert [(one.attempts, one.lease_until) for one in waiting] == [(0, None)] * (3 - before)
    assert all(str(why) in one.last_error for one in waiting)
    endpoint = await post.state()
    assert (endpoint.state, endpoint.failures, endpoint.failing_since) == ("ACTIVE", 0, None)
    assert len(await post.attempts()) == before
    post.crm.clock.advance(seconds=29)
    assert await post.send() == 0
    post.crm.clock.advance(seconds=1)
    assert await post.send() == 3 - before
    await each_was_tried_once(post, 3)


async def test_a_document_that_takes_too_long_uses_up_an_attempt_and_holds_up_no_other(post: Post) -> None:
    """It may take too long for ever: its delivery comes to an end, and somebody hears of it."""
    await post.endpoint(document=DOCUMENT, kinds=["customer.created"])
    for number in range(2):
        await post.customer(str(number))
    await post.feed()
    unsteady(post).refused = [("answer", 0, Fault("STATEMENT_TIMEOUT", "Took longer than 10 s"))]
    await post.send()
    found = sorted((one.state, one.attempts) for one in await post.deliveries())
    assert found == [("DELIVERED", 1), ("WAITING", 1)]
    assert "STATEMENT_TIMEOUT" in {
        attempt.error.split(":")[0] for attempt in await post.attempts() if attempt.error
    }


async def test_an_answer_that_comes_while_the_database_is_away_is_kept(post: Post) -> None:
    await post.endpoint()
    await post.customer()
    await post.feed()
    flaky = unsteady(post)
    post.sink.usual = Reply(seconds=0.3)
    async with Sender(post.crm.services) as sender:
        sending = asyncio.create_task(sender.drain())
        await post.sink.until(1)
        flaky.away = True
        await asyncio.sleep(0.6)
        flaky.away = False
        with suppress(Unavailable):
            await sending
    await each_was_tried_once(post, 1)
