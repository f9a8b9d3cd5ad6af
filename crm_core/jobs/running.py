"""Runs claimed jobs: holds their leases, cuts them off in time, and says what became of each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import orjson
from pydantic import ValidationError

from crm_core.errors import ConfigurationError, Fault, Json, Refused
from crm_core.jobs.claims import Claims, Outcome
from crm_core.jobs.context import Claim, Ended, GaveUp, Interrupted, JobContext, Superseded
from crm_core.jobs.models import MOST_ERROR, JobState
from crm_core.jobs.settings import JobsSettings
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from crm_core.registry import Job

_RENEWED: Final = 3
"""How often a lease is renewed before it would run out."""
_HOPELESS: Final = (GaveUp, Refused, ValidationError)
"""What trying again would not mend."""


def settings_of(services: Services) -> JobsSettings:
    """The settings of this room."""
    settings = services.registry.settings["jobs"]
    if not isinstance(settings, JobsSettings):
        raise ConfigurationError("The settings of jobs are not known")
    return settings


@dataclass
class _Held:
    """A job in this process's hands: claimed, perhaps running; `until` is when its lease ends, by the loop's clock."""

    claim: Claim
    until: float
    running: asyncio.Task[Outcome | None] | None = None


@dataclass
class Runner:
    """Runs the jobs this process claimed. `ended` waits to be written down; `changed` is set when it grows.

    When `stop` is set jobs are told at their next progress.
    """

    services: Services
    stop: asyncio.Event
    log: FilteringBoundLogger | None = None
    ended: list[Outcome] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _held: dict[UUID, _Held] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Take a name that no other process has."""
        lease = timedelta(seconds=settings_of(self.services).lease_seconds)
        self.claims = Claims(self.services, uuid4().hex, lease)

    async def take(self, most: int) -> list[Claim]:
        """Write down what ended, and claim up to so many due jobs; they are held from now on.

        Whoever waits may be cancelled; this goes on, and what it claimed is held too.
        """
        taking = asyncio.create_task(self._take(most))
        taking.add_done_callback(_looked_at)
        return await asyncio.shield(taking)

    async def _take(self, most: int) -> list[Claim]:
        async with self._turn:
            ended, self.ended = self.ended, []
            try:
                found = await self.claims.take(0 if self.stop.is_set() else most, ended)
            except BaseException:
                self.ended = ended + self.ended
                raise
            for claim in found:
                self._hold(claim)
            return found

    @property
    def busy(self) -> int:
        """How many jobs are held, running or about to."""
        return len(self._held)

    async def flush(self) -> None:
        """Write down what ended."""
        await self.take(0)

    def tell(self, event: str, **more: Any) -> None:
        """Say what happened, where there is a log."""
        if self.log is not None:
            self.log.warning(event, **more)

    async def run(self, job_id: UUID) -> None:
        """Run this job, claimed before or now; nothing happens when it is another's. What it raises stays inside."""
        held = self._held.get(job_id)
        if held is None:
            claim = await self.claims.take_one(job_id)
            if claim is None:
                return
            held = self._hold(claim)
        if held.running is not None:
            return
        held.running = asyncio.create_task(self._outcome(held.claim))
        try:
            await asyncio.wait([held.running])
        finally:
            self._settle(held)

    async def keep_leases(self) -> None:
        """Renew the leases of everything held, until cancelled; what is lost is cut off."""
        while True:
            await asyncio.sleep(self.claims.lease.total_seconds() / _RENEWED)
            await self.renew()

    async def renew(self) -> None:
        """Renew the leases of everything held, once."""
        if not self._held:
            return
        before, clock = dict(self._held), asyncio.get_running_loop().time
        try:
            still = await self.claims.renew(before)
        except Fault as fault:
            self.tell("leases of jobs could not be renewed", reason=str(fault))
            lost = [held for held in before.values() if held.until <= clock()]
        else:
            lost = [held for held in before.values() if still.get(held.claim.id) != held.claim.attempt]
            for key in still:
                before[key].until = clock() + self.claims.lease.total_seconds()
        for held in lost:
            self._cut_off(held)

    async def leave(self) -> None:
        """Cut off what still runs, and give it back: it goes on elsewhere, or after the restart."""
        async with self._turn:
            running = [held.running for held in self._held.values() if held.running is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for held in list(self._held.values()):
            self._settle(held)
        try:
            await self.flush()
        except Fault as fault:
            self.tell("jobs are held until their leases end", reason=str(fault))

    def _hold(self, claim: Claim) -> _Held:
        until = asyncio.get_running_loop().time() + self.claims.lease.total_seconds()
        self._held[claim.id] = held = _Held(claim, until)
        return held

    def _settle(self, held: _Held) -> None:
        """Note what became of a job that ran, or that will not run here."""
        if self._held.get(held.claim.id) is not held:
            return
        task = held.running
        if task is not None and not task.done():
            task.cancel()  # whoever waited for it was cancelled himself
        del self._held[held.claim.id]
        finished = task is not None and task.done() and not task.cancelled()
        outcome = task.result() if task is not None and finished else self._given_back(held.claim)
        if outcome is not None:
            self.ended.append(outcome)
            self.services.count(f"jobs_{outcome.state.value.lower()}", held.claim.name, 1)
        self.changed.set()

    def _cut_off(self, held: _Held) -> None:
        """The job is another's: what it does from here on must not count."""
        if self._held.get(held.claim.id) is held:
            del self._held[held.claim.id]
            self.tell("job was taken over", job=held.claim.name, id=str(held.claim.id))
        if held.running is not None:
            held.running.cancel()

    async def _outcome(self, claim: Claim) -> Outcome | None:
        """Run the job; what became of it, None when that is another's to say."""
        job = self.services.registry.jobs[claim.name]
        context = JobContext(self.services, claim, self.claims.lease, self.stop)
        if self.stop.is_set():
            return self._given_back(claim)
        try:
            result = await self._result(job, context)
        except Ended as ended:
            return self._stopped(claim, ended)
        except Exception as error:  # noqa: BLE001  # whatever a job raises, the others go on
            return self._failed(job, claim, error)
        return Outcome(claim, JobState.DONE, self.services.clock(), result)

    async def _result(self, job: Job, context: JobContext) -> Json:
        arguments = job.arguments.model_validate(context.claim.arguments)
        seconds = None if job.timeout is None else job.timeout.total_seconds()
        async with asyncio.timeout(seconds):
            result = await job.run(self.services, context, arguments)
        try:
            orjson.dumps(result)
        except TypeError as error:
            raise GaveUp(f"its result has no form in JSON: {error}") from None
        return result

    def _stopped(self, claim: Claim, ended: Ended) -> Outcome | None:
        if isinstance(ended, Superseded):
            return None
        if isinstance(ended, Interrupted):
            return self._given_back(claim)
        return Outcome(claim, JobState.CANCELLED, self.services.clock())

    def _failed(self, job: Job, claim: Claim, error: Exception) -> Outcome:
        """It is tried again, unless that would not help or was done often enough."""
        wait = None if isinstance(error, _HOPELESS) else _wait(job, claim)
        words = str(error) if isinstance(error, GaveUp) else f"{type(error).__name__}: {error}"
        if isinstance(error, TimeoutError) and not str(error):
            words = f"took longer than {job.timeout} (超时)"
        if self.log is not None:
            self.log.warning(
                "job failed", job=claim.name, id=str(claim.id), dead=wait is None, exc_info=error
            )
        state = JobState.DEAD if wait is None else JobState.FAILED
        again = self.services.clock() + (wait or timedelta())
        return Outcome(claim, state, again, error=words[:MOST_ERROR])

    def _given_back(self, claim: Claim) -> Outcome:
        return Outcome(claim, JobState.WAITING, self.services.clock(), counts=False)


def _looked_at(task: asyncio.Task[list[Claim]]) -> None:
    """Its error is known, even if nobody waits any more."""
    if not task.cancelled():
        task.exception()


def _wait(job: Job, claim: Claim) -> timedelta | None:
    """How long until the next attempt; None: there is none."""
    if claim.attempt >= claim.most_attempts or not job.waits:
        return None
    return job.waits[min(claim.attempt, len(job.waits)) - 1]


async def work_off(services: Services, at_once: int = 10) -> int:
    """Run every job that is due, and those they enqueue, until there is none; how many attempts were made."""
    runner, done = Runner(services, asyncio.Event()), 0
    keeping = asyncio.create_task(runner.keep_leases())
    try:
        while found := await runner.take(at_once):
            await asyncio.gather(*(runner.run(claim.id) for claim in found))
            done += len(found)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await runner.leave()
    return done
