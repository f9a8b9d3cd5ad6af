"""Follows live feeds for clients: reads on as soon as something happens, asks each time whether they still may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphql import OperationType

from crm_core.errors import Fault
from crm_core.graphql.execution import Executed
from crm_core.graphql.live import Batch, Subscription
from crm_core.graphql.requests import Asked, HttpError, coded
from crm_core.graphql.serving import AWAY, Exchange, GraphQLServer, encoded
from crm_core.stirring import first_of

if TYPE_CHECKING:
    from crm_core.work import Services

Results = AsyncGenerator[bytes | None, None]
"""Results as JSON, one after the other; None: nothing happened for a while, show that you are alive."""
LOOK_SECONDS: Final = 0.25
"""How often it is looked whether another process has numbered something."""
AWAY_SECONDS: Final = 2.0


class Following:
    """The live subscriptions of one process: how many there are, and when they are to end."""

    def __init__(
        self,
        server: GraphQLServer,
        services: Services,
        *,
        watch: Callable[[int], None] = lambda _open: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """`watch` hears how many streams are open whenever that changes; `timer` gives seconds."""
        self.server, self.closing = server, asyncio.Event()
        self._services, self._watch, self._timer = services, watch, timer
        self._heads: dict[str, _Head] = {}
        self._open = 0

    @property
    def heartbeat(self) -> float:
        """Seconds of silence after which a stream shows that it is alive."""
        return self._services.settings.heartbeat_seconds

    @property
    def patience(self) -> float:
        """Seconds a client may leave what it is sent untaken."""
        return self._services.settings.take_seconds

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one stream; `HttpError` 503 (TOO_MANY_STREAMS) where there is none."""
        most = self._services.settings.limits.streams
        if self._open >= most or self.closing.is_set():
            words = f"This server follows {most} subscriptions already; try again later (实时订阅已达上限)."
            raise HttpError(503, coded("TOO_MANY_STREAMS", words), headers={"retry-after": "5"})
        self._open += 1
        self._watch(self._open)
        try:
            yield
        finally:
            self._open -= 1
            self._watch(self._open)

    async def begin(self, exchange: Exchange, asked: Asked) -> Results:
        """The results of an operation; a query or mutation has one. What it raises is told before anything is sent.

        The results raise `HttpError` where they end for a reason: above all when the credential holds no longer.
        """
        begun = self._timer()
        actor = await self.server.actor(exchange)
        text, node = self.server.operation(asked, exchange)
        if node.operation is not OperationType.SUBSCRIPTION:
            _, answer = await self.server.answered(exchange, actor, asked, text, node)
            results = _one(answer)
        else:
            subscription = self.server.subscription(exchange, asked, text, node)
            results = self._followed(exchange, subscription, asked.variables)
        self.server.tell(exchange, 200, self._timer() - begun)
        await self.server.note_use(exchange)
        return results

    async def _followed(
        self, exchange: Exchange, subscription: Subscription, variables: Mapping[str, Any]
    ) -> Results:
        position, alive = subscription.after, self._timer()
        with self._services.stirred.listening() as stirred:
            while not self.closing.is_set():
                stirred.clear()
                batch = await self._next(exchange, subscription, variables, position)
                position = batch.position
                for data, errors in batch.results:
                    told = {"errors": self.server.shown(errors, exchange)} if errors else {}
                    yield encoded({"data": data, **told})
                    alive = self._timer()
                if batch.full:
                    continue
                if self._timer() - alive >= self.heartbeat:
                    await self._still(exchange)
                    yield None
                    alive = self._timer()
                await first_of(min(LOOK_SECONDS, self.heartbeat), stirred, self.closing)

    async def _next(
        self, exchange: Exchange, subscription: Subscription, variables: Mapping[str, Any], after: int | None
    ) -> Batch:
        """What stands behind a position, for whom may still read it, and how far it goes; nothing while the database is away."""
        try:
            last = await self._head(subscription).now()
            if after is None or last <= after:
                return Batch((), last if after is None else after, full=False)
            actor = await self.server.actor(exchange)
            found = await subscription.read(partial(self.server.read, exchange, actor), variables, after)
            if not isinstance(found, Batch):
                raise _ended(found)
            return found if found.full else replace(found, position=max(found.position or 0, last))
        except Fault as fault:
            if fault.code not in AWAY:
                raise
            await first_of(AWAY_SECONDS, self.closing)
            return Batch((), after, full=False)

    async def _still(self, exchange: Exchange) -> None:
        """Ask whether the credential still holds, where nothing was read for a while."""
        try:
            await self.server.actor(exchange)
        except Fault as fault:
            if fault.code not in AWAY:
                raise

    def _head(self, subscription: Subscription) -> _Head:
        live, name = subscription.declared.live, subscription.declared.name
        assert live is not None
        if name not in self._heads:
            self._heads[name] = _Head(partial(live, self._services), self._timer)
        return self._heads[name]


class _Head:
    """The last position of a feed; many who ask at the same time are answered by one statement."""

    def __init__(self, ask: Callable[[], Awaitable[int]], timer: Callable[[], float]) -> None:
        self._ask, self._timer = ask, timer
        self._turn = asyncio.Lock()
        self._known, self._asked = 0, float("-inf")

    async def now(self) -> int:
        """A position that was the last one after this was called."""
        called = self._timer()
        async with self._turn:
            if self._asked < called:
                asked = self._timer()
                self._known = await self._ask()
                self._asked = asked
            return self._known


async def _one(answer: bytes) -> Results:
    yield answer


def _ended(answer: Executed) -> Exception:
    """Why a feed cannot be read on: a fault of the database, which may pass, or errors to tell."""
    faults = [error.original_error for error in answer.errors]
    away = next((fault for fault in faults if isinstance(fault, Fault) and fault.code in AWAY), None)
    return away or HttpError(200, *answer.errors)
