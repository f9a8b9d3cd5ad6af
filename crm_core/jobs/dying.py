"""The death of a job, announced in the transaction that writes it down."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from sqlalchemy import select

from crm_core.actors import system
from crm_core.commands import Command, Options
from crm_core.jobs.events import JobDied
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.jobs.queries import MANAGE
from crm_core.work import Services, Work

if TYPE_CHECKING:
    from crm_core.db.unit import Unit


class GiveUpJob(Command):
    """The death of a job, for its audit entry; performed by whoever ran it, not a mutation."""

    kind: ClassVar[str] = "job.give_up"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "Job"
    on_line: ClassVar[bool] = False


async def announce(services: Services, session: Unit, job_ids: Collection[UUID], now: datetime) -> None:
    """Record the event of each of these jobs that has died now; one that is another's by now has not."""
    died = select(QueuedJob).where(
        QueuedJob.id.in_(sorted(job_ids)), QueuedJob.state == JobState.DEAD.value, QueuedJob.ended_at == now
    )
    for job in (await session.scalars(died.order_by(QueuedJob.id))).all():
        actor = system(tuple(services.registry.lines), name=f"job {job.name}")
        options = Options(line=job.line, channel="job", request_id=job.labels.get("request"))
        work = Work(services, session, actor, options)
        work.line, work.subject = job.line, job
        work.record(JobDied.of(job, name=job.name, attempts=job.attempts))
        await work.finish(GiveUpJob())
        work.changes.close()
