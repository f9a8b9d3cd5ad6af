"""What the clock does: reminds; asks others or decides, as the policy says, where nothing was signed in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import Field
from sqlalchemy import Select, or_, select

from crm_core import ids
from crm_core.access.models import User
from crm_core.access.superiors import superiors
from crm_core.actors import system
from crm_core.approvals.commands import ADMINISTER, ApprovalId, concluded
from crm_core.approvals.events import ApprovalHandedOn
from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.approvals.moving import STATE, SYSTEM, move, policy_of, stages_of
from crm_core.approvals.notices import ESCALATED, REMINDER
from crm_core.approvals.policy import ADMINISTRATOR
from crm_core.approvals.queries import enabled_of, holders
from crm_core.approvals.stages import ApprovalDeadline, ApprovalOverdue
from crm_core.approvals.telling import people_of, tell_about
from crm_core.approvals.words import ApprovalAnswer, ApprovalTaskState, Asked, Expire, Transfer
from crm_core.commands import Command, Options, Perform
from crm_core.registry import Chore
from crm_core.work import Services, Work, perform

MOST_AT_ONCE: Final = 200


class ProcessOverdue(Command):
    """Send the reminders of a request that are due, and do what its policy says of tasks not done in time (超时处理).

    A task of somebody who was disabled meanwhile goes to his superior, or to the administrators. The clock gives this command; given by hand it does no more than is due.
    """

    kind: ClassVar[str] = "approval.process_overdue"
    scope: ClassVar[str] = ADMINISTER
    returns: ClassVar[str | list[str]] = "Approval"
    subject: ClassVar[str | None] = "id"
    id: ApprovalId = Field(description="The approval (审批单).")


async def process(work: Work, _command: ProcessOverdue) -> Approval:
    """The approval, with everything done that was due by now."""
    approval: Approval = work.subject
    orphans = ApprovalTask.user_id.in_(select(User.id).where(User.disabled_at.is_not(None)))
    due = select(ApprovalTask, orphans).where(
        ApprovalTask.approval_id == approval.id,
        ApprovalTask.state == ApprovalTaskState.OPEN.value,
        or_(_is_due(work.now), orphans),
    )
    for row, orphaned in (await work.session.execute(due.order_by(ApprovalTask.position))).all():
        if orphaned and row.state == ApprovalTaskState.OPEN.value:
            await _adopt(work, approval, row)
        elif row.state == ApprovalTaskState.OPEN.value:  # another's answer may have ended it meanwhile
            await _process(work, approval, row)
    return approval


async def _process(work: Work, approval: Approval, row: ApprovalTask) -> None:
    stages = stages_of(await policy_of(work, approval))
    deadline = stages[row.stage].deadline
    if deadline is None:
        return
    late = row.due_at is not None and row.due_at <= work.now and not row.overdue
    if not late or deadline.then is ApprovalOverdue.NOTHING:
        await _remind(work, approval, row, deadline)
    if late:
        row.overdue = True
        await work.flush()
        await _OVERDUE[deadline.then](work, approval, row, deadline)


async def _remind(work: Work, approval: Approval, row: ApprovalTask, deadline: ApprovalDeadline) -> None:
    """A notice to those asked; the next one, if the policy wants it, so many working hours later."""
    again = deadline.remind_every_hours
    calendar = work.services.calendar(approval.line)
    row.remind_at = calendar.add_working_hours(work.now, again).time if again is not None else None
    people = await people_of(work, approval, [row])
    await tell_about(work, approval, people, REMINDER, task=row, urgent=True)


async def _nothing(_work: Work, _approval: Approval, _row: ApprovalTask, _deadline: ApprovalDeadline) -> None:
    """It stays with those asked."""


async def _to_manager(work: Work, approval: Approval, row: ApprovalTask, _deadline: ApprovalDeadline) -> None:
    """The next superior of who is asked, or of who asked, gets it; where there is none, it stays."""
    above = await superiors(work.session, row.user_id or approval.requester_id, approval.line, 1)
    others = [u for u in above if _may_sign(approval, u)]
    if others:
        await _hand_on(work, approval, row, Asked(ids.uuid7(), user=others[0]))


async def _to_role(work: Work, approval: Approval, row: ApprovalTask, deadline: ApprovalDeadline) -> None:
    """The role gets it, unless it has it already or has nobody who could sign."""
    holding = await holders(work.session, str(deadline.role), approval.line)
    able = [u for u in holding if _may_sign(approval, u)]
    if able and row.role != deadline.role:
        await _hand_on(work, approval, row, Asked(ids.uuid7(), role=deadline.role))


async def _adopt(work: Work, approval: Approval, row: ApprovalTask) -> None:
    """The task of somebody disabled goes to his superior, else to the administrators; where those are who asked, it stays."""
    assert row.user_id is not None
    above = await superiors(work.session, row.user_id, approval.line, 1)
    heirs = [Asked(ids.uuid7(), user=u) for u in above if _may_sign(approval, u)]
    if not heirs and any(
        _may_sign(approval, u) for u in await holders(work.session, ADMINISTRATOR, approval.line)
    ):
        heirs = [Asked(ids.uuid7(), role=ADMINISTRATOR)]
    if heirs:
        await _pass_on(work, approval, row, heirs[0], "handover")


def _may_sign(approval: Approval, user: UUID) -> bool:
    return approval.self_approval or user != approval.requester_id


async def _hand_on(work: Work, approval: Approval, row: ApprovalTask, to: Asked) -> None:
    """Who was asked is told, too."""
    await tell_about(work, approval, await people_of(work, approval, [row]), ESCALATED, task=row)
    await _pass_on(work, approval, row, to, "overdue")


async def _pass_on(work: Work, approval: Approval, row: ApprovalTask, to: Asked, how: str) -> None:
    await move(work, approval, Transfer(row.id, to, forced=True), SYSTEM)
    shown = [f"usr_{to.user.hex}"] if to.user is not None else []
    work.record(ApprovalHandedOn.of(approval, command=approval.kind, how=how, users=shown))


async def _approve(work: Work, approval: Approval, row: ApprovalTask, _deadline: ApprovalDeadline) -> None:
    moved = await move(work, approval, Expire(row.id, ApprovalAnswer.APPROVE), SYSTEM)
    concluded(work, approval, moved, "")


async def _reject(work: Work, approval: Approval, row: ApprovalTask, _deadline: ApprovalDeadline) -> None:
    moved = await move(work, approval, Expire(row.id, ApprovalAnswer.REJECT), SYSTEM)
    concluded(work, approval, moved, "")


_OVERDUE: Final[dict[ApprovalOverdue, Any]] = {
    ApprovalOverdue.NOTHING: _nothing,
    ApprovalOverdue.MANAGER: _to_manager,
    ApprovalOverdue.ROLE: _to_role,
    ApprovalOverdue.APPROVE: _approve,
    ApprovalOverdue.REJECT: _reject,
}


def _is_due(now: Any) -> Any:
    late = (ApprovalTask.due_at <= now) & ApprovalTask.overdue.is_(False)
    return or_(late, ApprovalTask.remind_at <= now)


def _due(now: Any) -> Select[Any]:
    """Requests with something to be done; each way of being due goes through its own index."""
    open_ = ApprovalTask.state == ApprovalTaskState.OPEN.value
    late = select(ApprovalTask.approval_id, ApprovalTask.line).where(
        open_, ApprovalTask.due_at <= now, ApprovalTask.overdue.is_(False)
    )
    reminded = select(ApprovalTask.approval_id, ApprovalTask.line).where(open_, ApprovalTask.remind_at <= now)
    orphaned = select(ApprovalTask.approval_id, ApprovalTask.line).where(
        open_, ApprovalTask.user_id.in_(select(User.id).where(User.disabled_at.is_not(None)))
    )
    all_ = late.union(reminded, orphaned).subquery()
    return select(all_.c.approval_id, all_.c.line).order_by(all_.c.approval_id).limit(MOST_AT_ONCE)


async def run(services: Services) -> None:
    """Process every request that has something due, each in a transaction of its own."""
    actor = system(tuple(services.registry.lines))
    due: Sequence[Any] = await services.database.fetch(_due(services.clock()))
    for approval, line in due:
        options = Options(line=line, channel="clock")
        await perform(services, actor, ProcessOverdue.kind, ProcessOverdue(id=approval), options)


async def hand_over(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """Give the leaver's open tasks to his successor; where that is who asked, to the administrators (离职交接)."""
    if line is None:
        return 0
    living = (ApprovalTaskState.OPEN.value, ApprovalTaskState.WAITING.value)
    statement = select(ApprovalTask).where(
        ApprovalTask.user_id == leaver, ApprovalTask.line == line, ApprovalTask.state.in_(living)
    )
    rows = (await work.session.execute(statement.order_by(ApprovalTask.id))).scalars().all()
    able = successor in await enabled_of(work.session, [successor])
    for row in sorted(rows, key=lambda one: (one.approval_id, one.id)):  # everybody locks in one order
        approval = await work.session.get(Approval, row.approval_id, with_for_update=True)
        assert approval is not None
        if not STATE.validate_python(approval.chain).task(row.id).living:
            continue  # done while we waited for the request
        own = approval.requester_id == successor and not approval.self_approval
        heir = (
            Asked(ids.uuid7(), user=successor) if able and not own else Asked(ids.uuid7(), role=ADMINISTRATOR)
        )
        await _pass_on(work, approval, row, heir, "handover")
    return len(rows)


CHORES: Sequence[Chore] = (Chore("approvals.overdue", timedelta(minutes=1), run),)
COMMANDS: dict[type[Command], Perform] = {ProcessOverdue: process}
