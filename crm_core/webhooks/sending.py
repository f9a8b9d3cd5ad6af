"""Sends what is due: each endpoint in a lane of its own, so that a slow one delays no other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from crm_core import ids
from crm_core.actors import system
from crm_core.commands import Options
from crm_core.db.session import is_trouble
from crm_core.errors import Fault
from crm_core.keyring import KeyringError
from crm_core.logs import logger
from crm_core.stirring import first_of
from crm_core.webhooks import queries
from crm_core.webhooks.claiming import (
    Health,
    Taken,
    Tried,
    UnfitDocument,
    claim,
    give_back,
    record,
    renew,
    settings_of,
)
from crm_core.webhooks.documents import unfit_documents
from crm_core.webhooks.guard import Resolve, resolve_by_system
from crm_core.webhooks.judging import Answer, judged
from crm_core.webhooks.models import WebhookOrder, WebhookState
from crm_core.webhooks.posting import Post, Poster
from crm_core.webhooks.receiving import DELIVERIES
from crm_core.webhooks.secrets import headers_of, signing_secrets
from crm_core.webhooks.signing import headers_for
from crm_core.work import Services, perform

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

CLAIMS_AT_ONCE: Final = 2
MOST_WRITTEN: Final = 200
PAUSE_WHEN_AWAY: Final = 1.0
QUIET_AFTER_TROUBLE: Final = 2.0
"""How long after trouble of the database nothing is taken, s: by then every process has given back what it did not try."""
_IDLE_LOOKS: Final = 20
_HASTE: Final = (0.02, 0.03, 0.05, 0.1)
"""Seconds between looks after this process wrote deliveries: they are about to be committed."""


@dataclass
class _Lane:
    """What this process does for one endpoint. `appetite` is how many deliveries it takes at a time.

    A lane that is halted tries nothing any more; what it has not begun is `unsent`. `failures` since something was taken
    are counted from those known at the first claim on.
    """

    endpoint_id: UUID
    concurrency: int
    limited: bool
    slots: asyncio.Semaphore
    appetite: int
    in_order: bool = False
    called: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    over: list[asyncio.Task[None]] = field(default_factory=list)
    unsent: list[Taken] = field(default_factory=list)
    halted: bool = False
    failures: int | None = None

    def call(self) -> None:
        """Something is due."""
        self.called = True
        self.woken.set()

    def begin(self, task: asyncio.Task[None]) -> None:
        """An attempt is on its way; the lane wakes when it is over."""
        self.tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self.over.append(task)
        self.woken.set()


@dataclass
class _Hold:
    """A delivery in hand; its lease ends at `deadline`, by the clock of the event loop."""

    taken: Taken
    deadline: float
    lost: bool = False


class Sender:
    """Sends as long as a process lives; any number of processes may, at the same time.

    A delivery whose sender is gone is sent again after its lease, with the same id and bytes: each arrives at least
    once. Of an endpoint in order, the next one about a record is taken only when the one before is settled. To be used
    as an async context.
    """

    def __init__(
        self,
        services: Services,
        *,
        resolve: Resolve = resolve_by_system,
        chance: Callable[[], float] = random.random,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        """`resolve` finds addresses of hosts, `chance` (0 to 1) moves waits a little."""
        self._services, self._settings = services, settings_of(services)
        self._chance, self._log = chance, log or logger(services.settings.log_level)
        self._poster = Poster(self._settings, resolve)
        self._lanes: dict[UUID, asyncio.Task[None]] = {}
        self._open: dict[UUID, _Lane] = {}
        self._holds: dict[UUID, _Hold] = {}
        self._written: asyncio.Queue[tuple[Tried, asyncio.Future[None]]] = asyncio.Queue()
        self._at_once = asyncio.Semaphore(self._settings.at_once)
        self._claims = asyncio.Semaphore(CLAIMS_AT_ONCE)
        self._background: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self._stopping = False
        self._quiet_until = 0.0
        self.done = 0

    async def __aenter__(self) -> Self:
        """Open what it needs; nothing is sent yet."""
        await self._stack.enter_async_context(self._poster)
        self._background = [asyncio.create_task(self._write()), asyncio.create_task(self._renew())]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop at once: what is in hand and not written down is sent again by others."""
        for task in (*self._lanes.values(), *self._background):
            task.cancel()
        await asyncio.gather(*self._lanes.values(), *self._background, return_exceptions=True)
        await self._stack.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then finish what is on its way, and give back the rest."""
        await self._tell_unfit_documents()
        haste: list[float] = []
        with self._services.stirred.listening(DELIVERIES) as stirred:
            while not stop.is_set():
                pause = haste.pop(0) if haste else self._settings.poll_seconds
                pause = pause if await self._look() else PAUSE_WHEN_AWAY
                await first_of(pause, stop, stirred)
                if stirred.is_set():
                    stirred.clear()
                    haste = [*_HASTE]
        self._stopping = True
        while self._lanes:
            await asyncio.wait(list(self._lanes.values()))

    async def drain(self) -> int:
        """Send everything that is due now; how many attempts were made, well or not."""
        idle, done = 0, -1
        while idle < _IDLE_LOOKS:
            idle, done = (0 if self.done != done else idle + 1), self.done
            await self._look(raises=True)
            if not self._lanes:
                break
            await asyncio.wait(list(self._lanes.values()))
            await asyncio.sleep(0)
        return self.done

    async def _tell_unfit_documents(self) -> None:
        """An upgrade may have changed what a document asks for: whoever runs the process hears of it at the start."""
        services = self._services
        found = await unfit_documents(services.registry, services.settings.limits, services.database)
        for endpoint_id, problems in found.items():
            self._log.error(
                "webhook document does not fit; its endpoint is paused when something is due",
                endpoint=ids.show("whe", endpoint_id),
                problems=list(problems)[:3],
            )

    async def _look(self, *, raises: bool = False) -> bool:
        """Open a lane for each endpoint with something due, or call those that are open."""
        try:
            due = await self._services.database.fetch(
                queries.endpoints_due(), {"now": self._services.clock()}
            )
        except Exception as error:
            if raises:
                raise
            self._put_off(error)
            return False
        for row in due:
            if row.id in self._lanes:
                self._open[row.id].call()
            else:
                self._open_lane(row.id, row.concurrency, limited=row.is_limited)
        return True

    def _put_off(self, error: Exception, told: str = "webhooks are put off", **more: int) -> None:
        """Tell of trouble of the database, and take nothing for a while; any other error is raised."""
        if not (isinstance(error, Fault) or is_trouble(error)):
            raise error
        self._log.warning(told, reason=str(error)[:200], **more)
        self._quiet_until = asyncio.get_running_loop().time() + QUIET_AFTER_TROUBLE

    def _open_lane(self, endpoint_id: UUID, concurrency: int, *, limited: bool) -> None:
        lane = _Lane(endpoint_id, concurrency, limited, asyncio.Semaphore(concurrency), 2 * concurrency)
        self._open[endpoint_id] = lane
        task = self._lanes[endpoint_id] = asyncio.create_task(self._serve(lane))
        task.add_done_callback(lambda _task: self._close_lane(endpoint_id))

    def _close_lane(self, endpoint_id: UUID) -> None:
        self._lanes.pop(endpoint_id, None)
        self._open.pop(endpoint_id, None)

    # -- one endpoint

    async def _serve(self, lane: _Lane) -> None:
        """Take and send until nothing is due for the endpoint; what is on its way outlives a database that is away."""
        more = True
        try:
            while True:
                await self._give_back(lane)
                if more and not (self._stopping or lane.halted):
                    more = await self._take(lane)
                if lane.unsent:
                    continue
                if not (lane.tasks or lane.over):
                    return
                more = await self._some_done(lane) or more
        except Exception:  # noqa: BLE001  # the other lanes go on, and this one is opened again
            self._log.exception("webhook lane failed", endpoint=str(lane.endpoint_id))
        finally:
            tasks = list(lane.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _some_done(self, lane: _Lane) -> bool:
        """Wait until an attempt is over or the lane is called; whether there may be more to take then."""
        await lane.woken.wait()
        lane.woken.clear()
        over, lane.over = lane.over, []
        for task in over:
            task.result()
        called, lane.called = lane.called, False
        return called or (lane.in_order and bool(over))

    async def _take(self, lane: _Lane) -> bool:
        """Take what the lane has room for; whether there may be more."""
        if len(lane.tasks) > lane.appetite // 2:
            return True
        room = lane.appetite - len(lane.tasks)
        began = asyncio.get_running_loop().time()
        taken = await self._claimed(lane, room) if began >= self._quiet_until else ()
        if not taken:
            return False
        lane.in_order = taken[0].endpoint.ordered == WebhookOrder.SUBJECT
        if lane.failures is None:
            lane.failures = taken[0].endpoint.failures
        lane.appetite = min(max(2 * lane.concurrency, 2 * len(taken)), self._settings.batch)
        ready = [one for one in taken if one.trouble is None]
        self._begin(lane, ready, began + self._settings.lease_seconds)
        if len(ready) < len(taken):
            self._leave(lane, [one for one in taken if one.trouble is not None])
            return False
        return len(taken) == room or lane.in_order

    async def _claimed(self, lane: _Lane, room: int) -> Sequence[Taken]:
        """So many at most; none while the database is away, or of an endpoint that is paused now."""
        try:
            async with self._claims:
                return await claim(self._services, lane.endpoint_id, room, alone=lane.limited)
        except UnfitDocument as unfit:
            await self._pause(unfit.endpoint_id, unfit.line, unfit.why)
        except Exception as error:  # noqa: BLE001  # what it cannot judge it raises
            self._put_off(error)
        return ()

    def _begin(self, lane: _Lane, taken: Sequence[Taken], deadline: float) -> None:
        for place, one in enumerate(taken):
            hold = self._holds[one.id] = _Hold(one, deadline)
            lane.begin(asyncio.create_task(self._deliver(lane, hold, place)))

    def _leave(self, lane: _Lane, taken: Sequence[Taken]) -> None:
        """Deliveries whose bytes could not be made now."""
        reason = taken[0].trouble
        self._log.warning("webhook documents are put off", endpoint=str(lane.endpoint_id), reason=reason)
        lane.unsent.extend(taken)

    # -- one delivery

    async def _deliver(self, lane: _Lane, hold: _Hold, place: int) -> None:
        try:
            per_second = hold.taken.endpoint.per_second
            if per_second:
                await asyncio.sleep(place / per_second)
            async with lane.slots, self._at_once:
                if self._stopping or lane.halted or not self._is_mine(hold):
                    lane.unsent.append(hold.taken)
                    return
                answer = await self._answer(hold.taken)
                self._count_failures(lane, hold.taken, answer)
            await self._note(lane, hold.taken, answer)
        finally:
            self._holds.pop(hold.taken.id, None)

    def _count_failures(self, lane: _Lane, taken: Taken, answer: Answer) -> None:
        """Halt the lane as soon as its endpoint fails or wants to be left alone; it is written down a moment later."""
        lane.failures = 0 if answer.taken else (lane.failures or 0) + 1
        if answer.gone or answer.throttles or self._is_failing(lane, taken):
            lane.halted = True

    def _is_failing(self, lane: _Lane, taken: Taken) -> bool:
        """Whether the endpoint failed when it was taken for, or does so with the failure that was just counted."""
        failures = lane.failures or 0
        breaks = failures >= self._settings.breaker_failures
        return breaks or (taken.endpoint.state == WebhookState.FAILING and failures > 0)

    def _is_mine(self, hold: _Hold) -> bool:
        """Whether the lease surely lasts longer than an attempt: else somebody else may be at it already."""
        left = hold.deadline - asyncio.get_running_loop().time()
        return not hold.lost and left > self._settings.timeout_seconds

    async def _give_back(self, lane: _Lane) -> None:
        """Give back what was taken and not tried, as soon as the database answers; who stops asks it once."""
        unsent, lane.unsent = lane.unsent, []
        while unsent:
            try:
                await give_back(self._services, unsent)
            except Exception as error:  # noqa: BLE001  # what it cannot judge it raises
                self._put_off(error)
                if self._stopping:
                    return
                await asyncio.sleep(PAUSE_WHEN_AWAY)
            else:
                return

    async def _answer(self, taken: Taken) -> Answer:
        if taken.problem is not None or taken.body is None:
            return Answer(None, 0, taken.problem, hopeless=taken.hopeless)
        try:
            post = self._post(taken, taken.body)
        except KeyringError as error:
            return Answer(None, 0, f"secret: {error} (密钥不可用)")
        return await self._poster.post(post, self._services.clock())

    def _post(self, taken: Taken, body: bytes) -> Post:
        endpoint, keyring, now = taken.endpoint, self._services.keyring, self._services.clock()
        secrets = signing_secrets(keyring, endpoint, now)
        headers = {
            "content-type": taken.content_type,
            **headers_for(taken.message_id, now, body, secrets),
        }
        own = headers_of(keyring, endpoint)
        return Post(endpoint.url, body, headers, own, endpoint.ca, endpoint.allow_private)

    async def _note(self, lane: _Lane, taken: Taken, answer: Answer) -> None:
        """Have the attempt written down, and wait until it is."""
        failing = self._is_failing(lane, taken)
        verdict = judged(self._settings, taken.attempts, answer, self._chance(), failing=failing)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._written.put_nowait((Tried(taken, answer, verdict, self._services.clock()), written))
        await written
        self.done += 1
        self._services.count("webhook_attempts", "delivered" if answer.taken else "failed", 1)
        if answer.gone:
            await self._pause(
                taken.endpoint.id, taken.endpoint.line, f"HTTP {answer.status}: gone (接收方已停用)"
            )

    # -- in the background

    async def _write(self) -> None:
        """Write down attempts, those that wait together; as long as the database is away they are kept."""
        while True:
            waiting = [await self._written.get()]
            while len(waiting) < MOST_WRITTEN and not self._written.empty():
                waiting.append(self._written.get_nowait())
            for health in await self._record([tried for tried, _ in waiting]):
                await self._look_after(health)
            for _, written in waiting:
                if not written.done():
                    written.set_result(None)

    async def _record(self, tried: Sequence[Tried]) -> Sequence[Health]:
        while True:
            try:
                return await record(self._services, tried)
            except Exception as error:  # noqa: BLE001  # what cannot be written is sent again after its lease
                if not (isinstance(error, Fault) or is_trouble(error)):
                    self._log.exception("webhook attempts not written", many=len(tried))
                    return ()
                self._put_off(error, "webhook attempts wait to be written", many=len(tried))
                await asyncio.sleep(PAUSE_WHEN_AWAY)

    async def _look_after(self, health: Health) -> None:
        """Halt the lane of an endpoint that fails, and pause the endpoint when it has failed for too long."""
        lane = self._open.get(health.endpoint_id)
        if lane is not None and health.is_failing:
            lane.halted = True
        failing = self._services.clock() - health.failing_since
        if failing >= timedelta(hours=self._settings.pause_after_hours):
            since = health.failing_since.isoformat(timespec="minutes")
            await self._pause(health.endpoint_id, health.line, f"failing since {since} (持续失败)")

    async def _pause(self, endpoint_id: UUID, line: str, why: str) -> None:
        """Pause an endpoint as the system; its managers are told."""
        body = {"id": endpoint_id, "why": why}
        try:
            actor = system((line,), name="webhooks")
            outcome, _ = await perform(
                self._services, actor, "webhook.pause", body, Options(line=line, channel="webhooks")
            )
        except Fault as fault:
            self._log.warning("webhook not paused", endpoint=str(endpoint_id), reason=str(fault))
            return
        if outcome.errors:
            codes = [error.code for error in outcome.errors]
            self._log.warning("webhook not paused", endpoint=str(endpoint_id), codes=codes)

    async def _renew(self) -> None:
        """Hold what takes long for longer, before its lease ends."""
        lease, loop = self._settings.lease_seconds, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(lease / 6)
            now = loop.time()
            old = [hold for hold in self._holds.values() if hold.deadline - now < lease * 2 / 3]
            if old:
                with suppress(Fault):
                    await self._renewed(old, now + lease)

    async def _renewed(self, holds: Sequence[_Hold], deadline: float) -> None:
        until = self._services.clock() + timedelta(seconds=self._settings.lease_seconds)
        held = await renew(self._services, [hold.taken for hold in holds], until)
        for hold in holds:
            if hold.taken.id in held:
                hold.taken, hold.deadline = replace(hold.taken, until=until), deadline
            else:
                hold.lost = True


async def send_due(services: Services, **how: Any) -> int:
    """Send everything that is due now, as a process of its own would; how many attempts were made."""
    async with Sender(services, **how) as sender:
        return await sender.drain()


async def run(services: Services, stop: asyncio.Event) -> None:
    """Send as long as a process lives: the worker of this room."""
    async with Sender(services) as sender:
        await sender.run(stop)
