"""What a running job holds in its hand: who asked for it, how far it came, and ways to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import update

from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor, system
from crm_core.commands import Command, Options, Outcome
from crm_core.errors import Json, Unauthenticated
from crm_core.jobs.models import MOST_WORDS, QueuedJob
from crm_core.jobs.queries import held
from crm_core.work import Services, perform

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

SELDOM: Final = 1.0
"""Seconds between two writings of a progress that saves nothing."""
_J = QueuedJob.__table__


class GaveUp(Exception):
    """Raised by a job that trying again would not help (放弃): it is dead at once, with these words."""


class Ended(Exception):
    """The job must stop where it is; what it saved stays. Not to be caught by the job."""


class Cancelled(Ended):
    """Somebody cancelled the job (已取消)."""


class Interrupted(Ended):
    """The process is about to end; the job goes on elsewhere, or after the restart."""


class Superseded(Ended):
    """Its lease ran out and another process took the job over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed job: what is needed to run it. `owner` holds it, `attempt` counts from 1."""

    id: UUID
    name: str
    arguments: Mapping[str, Any]
    labels: Mapping[str, Any]
    line: str | None
    requester_id: UUID | None
    attempt: int
    most_attempts: int
    resume: Mapping[str, Any] | None
    owner: str


@dataclass
class JobContext:
    """Given to every job (任务上下文). `state` is what it saved before it was interrupted or failed; None: nothing."""

    services: Services
    claim: Claim
    lease: timedelta
    stop: asyncio.Event
    state: Mapping[str, Any] | None = None
    _told: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        """Go on from what was saved."""
        self.state = self.claim.resume

    @property
    def id(self) -> str:
        """The job's id as clients see it: the same in every attempt."""
        return ids.show("job", self.claim.id)

    @property
    def line(self) -> str | None:
        """The business line it belongs to."""
        return self.claim.line

    @property
    def slot(self) -> datetime | None:
        """The moment (UTC) a schedule meant it for; None where none enqueued it."""
        text = self.claim.labels.get("slot")
        return datetime.fromisoformat(text) if text else None

    async def actor(self) -> Actor:
        """Who asked for it, with today's rights; the system where nobody did. `GaveUp` if he was disabled."""
        if self.claim.requester_id is None:
            return system(tuple(self.services.registry.lines), name=f"job {self.claim.name}")
        try:
            return await actor_of(
                self.services.database.fetch, self.services.registry, self.claim.requester_id
            )
        except Unauthenticated:
            raise GaveUp("who asked for the job can no longer act (申请人已停用)") from None

    async def perform(
        self, kind: str, body: Mapping[str, Any] | Command, *, step: str, line: str | None = None
    ) -> Outcome:
        """Perform a command as who asked for the job: once for each `step`, however often the job is begun again.

        Refusals come back in the outcome.
        """
        options = Options(
            line=line or self.line, idempotency_key=f"{self.id}/{step}", channel="job",
            request_id=self.claim.labels.get("request"),
        )  # fmt: skip
        outcome, _ = await perform(self.services, await self.actor(), kind, body, options)
        return outcome

    async def progress(
        self,
        done: int | None = None,
        total: int | None = None,
        words: str | None = None,
        *,
        state: Mapping[str, Json] | None = None,
        within: Unit | None = None,
    ) -> None:
        """Show how far the job is, and save `state` to go on with; to be called often.

        A call that saves nothing is written once a second at most. With `within` all is written in that transaction:
        what the job does in it and that it is done are one.

        Raises:
            Cancelled: somebody cancelled the job.
            Interrupted: the process ends; what is saved by this call is saved.
            Superseded: the job is another's by now; what was done `within` must not be committed.
        """
        clock = asyncio.get_running_loop().time
        if state is not None or within is not None or clock() - self._told >= SELDOM:
            self._told = clock()
            await self._write(done, total, words, state, within)
        if self.stop.is_set() and within is None:
            raise Interrupted("the process ends (进程即将退出)")

    async def _write(
        self,
        done: int | None,
        total: int | None,
        words: str | None,
        state: Mapping[str, Json] | None,
        within: Unit | None,
    ) -> None:
        claim = self.claim
        values: dict[str, Any] = {"lease_until": self.services.clock() + self.lease}
        given = {"progress_done": done, "progress_total": total, "progress_words": words, "resume": state}
        values |= {name: value for name, value in given.items() if value is not None}
        if words is not None:
            values["progress_words"] = words[:MOST_WORDS]
        mine = held(claim.id, claim.owner, claim.attempt)
        saving = update(_J).where(mine).values(values).returning(_J.c.cancel_asked_at)

        async def write(session: Unit) -> Any:
            return (await session.execute(saving)).first()

        row = await (write(within) if within is not None else self.services.database.attempt(write))
        if row is None:
            raise Superseded("another process took the job over (任务已被接管)")
        if state is not None:
            self.state = state
        if row.cancel_asked_at is not None:
            raise Cancelled("cancelled (任务已取消)")
