"""The queue as a process sees it: claim, hold, give back; each step one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row

from crm_core.jobs import queries
from crm_core.jobs.context import Claim
from crm_core.jobs.dying import announce
from crm_core.jobs.models import JobState
from crm_core.work import Services

if TYPE_CHECKING:
    from crm_core.db.unit import Unit
    from crm_core.errors import Json


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. One that does not count (`counts` False) is as if it had not been."""

    claim: Claim
    state: JobState
    again: datetime
    result: Json = None
    error: str | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of one process: `owner` is its name for as long as it runs, `lease` how long a claim lasts."""

    services: Services
    owner: str
    lease: timedelta

    async def is_due(self) -> bool:
        """Whether any job may begin; a reading statement that looks at one row of an index."""
        services = self.services
        wanted = queries.first_due(frozenset(services.registry.jobs), services.database.dialect)
        return bool(await services.database.fetch(wanted, {"now": services.clock()}))

    async def take(self, most: int, ended: Sequence[Outcome] = ()) -> list[Claim]:
        """Write down what ended, and claim up to so many jobs that are due; all in one transaction."""
        services, now = self.services, self.services.clock()
        claiming = queries.claiming(
            services.registry.jobs, self.owner, now, now + self.lease, most, services.database.dialect
        )

        async def do(session: Unit) -> Sequence[Row[Any]]:
            await self._write(session, ended, now)
            return (await session.execute(claiming)).all() if most else ()

        rows = await services.database.attempt(do)
        return [self._claim(row) for row in sorted(rows, key=lambda row: (row.next_at, row.id.bytes))]

    async def take_one(self, job_id: UUID) -> Claim | None:
        """Claim this job; None when it is another's, has ended or is not due."""
        now = self.services.clock()
        claiming = queries.claiming_one(job_id, self.owner, now, now + self.lease)

        async def do(session: Unit) -> Row[Any] | None:
            return (await session.execute(claiming)).first()

        row = await self.services.database.attempt(do)
        return None if row is None else self._claim(row)

    async def write(self, ended: Sequence[Outcome]) -> None:
        """Write down what became of attempts; those that were overtaken are left as they are."""
        now = self.services.clock()

        async def do(session: Unit) -> None:
            await self._write(session, ended, now)

        if ended:
            await self.services.database.attempt(do)

    async def renew(self, job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Hold these jobs for another lease; which are still held, with their attempt."""
        until = self.services.clock() + self.lease
        renewing = queries.renewing(job_ids, self.owner, until, self.services.database.dialect)

        async def do(session: Unit) -> Mapping[UUID, int]:
            return {row.id: row.attempts for row in await session.execute(renewing)}

        return await self.services.database.attempt(do)

    async def _write(self, session: Unit, ended: Sequence[Outcome], now: datetime) -> None:
        if not ended:
            return
        await session.execute(queries.OUTCOME, [_values(one, now) for one in ended])
        dead = [one.claim.id for one in ended if one.state is JobState.DEAD]
        if dead:
            await announce(self.services, session, dead, now)

    def _claim(self, row: Row[Any]) -> Claim:
        return Claim(
            row.id, row.name, row.arguments, row.labels, row.line, row.requester_id, row.attempts,
            row.most_attempts, row.resume, self.owner,
        )  # fmt: skip


async def reap(services: Services) -> Sequence[tuple[str, str]]:
    """Take jobs from holders that are gone; name and new state of each. Those that die of it are announced."""
    now = services.clock()
    if not await services.database.fetch(queries.lost(now)):
        return []

    async def do(session: Unit) -> Sequence[tuple[str, str]]:
        rows = (await session.execute(queries.reaping(now))).all()
        dead = [row.id for row in rows if row.state == JobState.DEAD]
        if dead:
            await announce(services, session, dead, now)
        return [(row.name, row.state) for row in rows]

    return await services.database.attempt(do)


def _values(outcome: Outcome, now: datetime) -> dict[str, Any]:
    claim = outcome.claim
    return {
        "job_id": claim.id,
        "owner": claim.owner,
        "attempt": claim.attempt,
        "counted": claim.attempt if outcome.counts else claim.attempt - 1,
        "new_state": outcome.state.value,
        "new_result": outcome.result,
        "error": outcome.error,
        "again": outcome.again,
        "now": now,
    }
