"""Tells administrators that a job has died (任务失败通知); each of them once of each job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, false, or_, select

from crm_core import ids
from crm_core.access.models import RoleGrant, RoleScope, User
from crm_core.access.queries import EVERYTHING
from crm_core.actors import Reach, system
from crm_core.commands import Options
from crm_core.jobs.events import JobDied
from crm_core.jobs.models import QueuedJob
from crm_core.jobs.queries import MANAGE
from crm_core.notices.notifying import notify
from crm_core.outbox.events import RecordedEvent
from crm_core.registry import NoticeKind, Receiver
from crm_core.work import Services, Work

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

KIND: Final = "job.died"
NOTICE_KIND: Final = NoticeKind(
    KIND,
    "后台任务失败：{name}",
    "A job has failed for good: {name}",
    "业务线：{line}\n失败次数：{attempts}\n原因：{error}\n请排除原因后重试（jobRetry 或 crm jobs retry {job}）。",
    "Line: {line}\nAttempts: {attempts}\nWhy: {error}\nMend the cause, then try it again (jobRetry, or crm jobs retry {job}).",
)


async def tell(services: Services, session: Unit, events: Sequence[RecordedEvent]) -> None:
    """A notice to those who manage jobs in the line of each job that has died, or in all lines where it has none."""
    for event in events:
        if event.kind == JobDied.kind:
            await _tell(services, session, event)


async def _tell(services: Services, session: Unit, event: RecordedEvent) -> None:
    lines = services.settings.lines
    shown = ids.show("job", event.subject_id)
    facts: dict[str, Any] = {
        "job": shown,
        "name": event.data["name"],
        "attempts": event.data["attempts"],
        "line": (lines[event.line].name or event.line) if event.line in lines else event.line,
        "error": await session.scalar(select(QueuedJob.last_error).where(QueuedJob.id == event.subject_id)),
    }
    people: Sequence[UUID] = (await session.scalars(administrators(event.line))).all()
    work = Work(services, session, system(tuple(services.registry.lines)), Options(line=event.line))
    await notify(
        work, people, KIND, facts, subject=("Job", event.subject_id), path=f"/jobs/{shown}",
        dedupe=f"job {shown}", line=event.line,
    )  # fmt: skip
    work.changes.close()


def administrators(line: str | None) -> Select[Any]:
    """Ids of enabled users who manage all jobs of a line; of jobs without a line, who manage those of all lines."""
    grant, scope, user = RoleGrant.__table__, RoleScope.__table__, User.__table__
    here = or_(grant.c.line == line, grant.c.line.is_(None)) if line is not None else false()
    whole = or_(scope.c.reach >= int(Reach.ALL), and_(here, scope.c.reach >= int(Reach.LINE)))
    return (
        select(grant.c.user_id)
        .distinct()
        .join(scope, scope.c.role_id == grant.c.role_id)
        .join(user, user.c.id == grant.c.user_id)
        .where(whole, scope.c.scope.in_((MANAGE, EVERYTHING)), user.c.disabled_at.is_(None))
        .order_by(grant.c.user_id)
    )


RECEIVER: Final = Receiver("notices.jobs", tell)
