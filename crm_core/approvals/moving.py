"""Carries out verbs on a request for signatures: asks who is wanted, performs what was signed, keeps the rows in step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select

from crm_core.approvals import held
from crm_core.approvals.asking import NO_SIGNER, Matter, applies, seat
from crm_core.approvals.chain import apply
from crm_core.approvals.models import Approval, ApprovalCopy, ApprovalPolicy, ApprovalTask
from crm_core.approvals.performing import compensated, compensation_of, performed
from crm_core.approvals.stages import STAGES, ApprovalDeadline, ApprovalStage
from crm_core.approvals.standing import valid_until
from crm_core.approvals.telling import tell
from crm_core.approvals.words import (
    ApprovalSelf,
    ApprovalState,
    ApprovalTaskKind,
    ApprovalTaskState,
    Ask,
    Compensate,
    Copied,
    Effect,
    Effects,
    Finished,
    Illegal,
    Perform,
    Seat,
    Settle,
    State,
    Task,
    TaskMoved,
    Verb,
)
from crm_core.deadlines import WorkCalendar
from crm_core.errors import Message, Refused
from crm_core.work import Work

STATE: TypeAdapter[State] = TypeAdapter(State)
_POLICIES: Final = "approvals.policies"
SYSTEM = UUID(int=0)
"""Who acts where nobody does: a deadline, a departure."""

BROKEN_POLICY = Message(
    "APPROVAL_POLICY_BROKEN",
    "The policy {policy} of line {line} is no longer understood; an administrator has to set it anew.",
    "业务线 {line} 的审批规则“{policy}”已无法识别，请联系管理员重新设置。",
)

REFUSALS = {
    m.code: m
    for m in (
        Message(
            "APPROVAL_FINISHED",
            "The approval is {state}; this cannot be done any more.",
            "该审批状态为 {state}，不能再进行此操作。",
        ),
        Message(
            "APPROVAL_PERFORMING",
            "Everybody has signed, and a job is performing the change ({done} of {total}); wait until it has ended, or cancel the job.",
            "该审批已全部通过，后台任务正在执行变更（{done}/{total}），请等待执行结束，或先取消该任务。",
        ),
        Message(
            "APPROVAL_NOT_YOURS", "Your signature is not asked for here now.", "当前环节不需要您的签署。"
        ),
        Message(
            "APPROVAL_SELF",
            "Who asked for this change must not sign it; somebody else has to.",
            "申请人不能签署自己的申请，须由他人签署。",
        ),
        Message(
            "APPROVAL_NOT_REQUESTER",
            "Only who asked for the change may do this.",
            "只有申请人可以进行此操作。",
        ),
        Message("APPROVAL_NO_TASK", "This task is not open any more.", "该审批任务已结束或不存在。"),
        Message("APPROVAL_STAGE", "Choose an earlier stage.", "请选择之前的审批环节。"),
        Message(
            "APPROVAL_ADDED",
            "A signer who was added himself adds nobody further; sign, or hand the task on.",
            "被加签人不能再加签，请签署或转交。",
        ),
        Message(
            "APPROVAL_LAST_SIGNER",
            "The only signer of a place cannot be removed; hand the task to somebody else.",
            "不能减去唯一的审批人，请改为转交。",
        ),
        Message("APPROVAL_ASKED_ALREADY", "This person is asked already.", "该人员已是审批人。"),
        NO_SIGNER,
        BROKEN_POLICY,
    )
}


@dataclass(frozen=True, slots=True)
class Moved:
    """What a verb did: the effects in order, for events and notices; `papers` are ids of those given with it."""

    effects: Effects
    before: State
    after: State
    papers: tuple[str, ...] = ()

    @property
    def displaced(self) -> set[UUID]:
        """Tasks that stand at another place than before, because an heir came in before them."""
        was = {task.id: place for place, task in enumerate(self.before.tasks)}
        return {t.id for place, t in enumerate(self.after.tasks) if was.get(t.id, place) != place}

    @property
    def finished(self) -> bool:
        """Whether it waits for nobody any more."""
        return any(isinstance(effect, Finished) for effect in self.effects)

    @property
    def copied(self) -> list[UUID]:
        """Who is newly shown the request."""
        return [user for effect in self.effects if isinstance(effect, Copied) for user in effect.users]


async def move(work: Work, approval: Approval, verb: Verb, actor: UUID) -> Moved:
    """Apply a verb with all that follows from it, and write the rows; `Refused` when it is not allowed."""
    before = STATE.validate_python(approval.chain)
    state, effects = _applied(approval, before, verb, actor, work.now)
    waiting, told = list(effects), list(effects)
    while waiting:
        answer = await _answer(work, approval, waiting.pop(0), state)
        if answer is not None:
            state, more = _applied(approval, state, answer, SYSTEM, work.now)
            waiting = [*more, *waiting]
            told += more
    moved = Moved(tuple(told), before, state)
    await _write(work, approval, moved)
    await _tell_document(work, approval, moved)
    await tell(work, approval, state, before)
    await work.flush()
    return moved


async def _tell_document(work: Work, approval: Approval, moved: Moved) -> None:
    """The record hears of every state its approval takes; of APPROVED it has heard when it was performed."""
    status = moved.after.status
    if approval.document is None or status in (moved.before.status, ApprovalState.APPROVED):
        return
    record = await held.subject_of(work, approval, lock=True)
    if record is not None and approval.document in work.registry.documents:
        approval.locked = status is ApprovalState.PENDING and (await policy_of(work, approval)).lock
        await work.registry.documents[approval.document].told(work, record, status.value)


def _applied(
    approval: Approval, state: State, verb: Verb, actor: UUID, now: datetime
) -> tuple[State, Effects]:
    try:
        return apply(state, verb, actor, now)
    except Illegal as illegal:
        if illegal.code not in REFUSALS:
            raise
        params = {"state": approval.state, "policy": approval.title, "line": approval.line}
        params |= {"done": str(approval.rows_done or 0), "total": str(approval.rows_total or 0)}
        raise Refused(REFUSALS[illegal.code]("id", **params)) from None


async def _answer(work: Work, approval: Approval, effect: Effect, state: State) -> Verb | None:
    """What the engine wants to know next, or None."""
    if isinstance(effect, Ask):
        return await _seat(work, approval, state, effect.stage)
    if isinstance(effect, Perform):
        await work.flush()
        approval.requester_id = state.requester
        return Settle(await performed(work, approval))
    if isinstance(effect, Compensate):
        await compensated(work, approval)
    return None


async def _seat(work: Work, approval: Approval, state: State, stage: int) -> Seat:
    policy = await policy_of(work, approval)
    stages = stages_of(policy)
    return await seat(work, await matter_of(work, approval, policy, state.requester), stages[stage])


async def passes_over(work: Work, approval: Approval) -> bool:
    """Whether a stage before the one that returned it was left out, and would be asked for what is wanted now."""
    state, policy = STATE.validate_python(approval.chain), await policy_of(work, approval)
    matter = await matter_of(work, approval, policy, state.requester)
    asked = {task.stage for task in state.tasks if task.kind is ApprovalTaskKind.SIGN}
    stages = stages_of(policy)
    return any(
        [
            stage.when is not None and number not in asked and await applies(work, matter, stage)
            for number, stage in enumerate(stages[: state.returned_from or 0])
        ]
    )


async def policy_of(work: Work, approval: Approval) -> ApprovalPolicy:
    """The edition of the policy that the request began with."""
    kept: dict[UUID, ApprovalPolicy] = work.session.info.setdefault(_POLICIES, {})
    if approval.policy_id not in kept:
        policy = await work.session.get(ApprovalPolicy, approval.policy_id)
        assert policy is not None
        kept[policy.id] = policy
    return kept[approval.policy_id]


def stages_of(policy: ApprovalPolicy) -> list[ApprovalStage]:
    """The stages of an edition; `Refused` (APPROVAL_POLICY_BROKEN) where today's product no longer understands them."""
    try:
        return STAGES.validate_python(policy.stages)
    except ValidationError:
        raise Refused(BROKEN_POLICY(policy=policy.title or policy.name, line=policy.line)) from None


async def matter_of(work: Work, approval: Approval, policy: ApprovalPolicy, requester: UUID) -> Matter:
    """What is to be signed, as resolvers and conditions look at it."""
    command = held.restored(approval, work.registry, work.services.keyring) if not approval.document else None
    record = await held.subject_of(work, approval)
    return Matter(
        approval.line,
        requester,
        approval.document or approval.kind,
        policy.title or policy.name,
        command,
        record,
        ApprovalSelf(policy.self_approval),
    )


# -- the rows


async def _write(work: Work, approval: Approval, moved: Moved) -> None:
    state = moved.after
    approval.chain = STATE.dump_python(state, mode="json")
    approval.state, approval.round = state.status.value, state.round
    approval.requester_id = state.requester
    if moved.finished:
        approval.decided_at = work.now
        await _note_how_long(work, approval, state)
        approval.locked = approval.locked and not state.ended
    await _write_tasks(work, approval, moved)
    for user in moved.copied:
        work.session.add(ApprovalCopy(approval_id=approval.id, user_id=user, line=approval.line, at=work.now))


async def _note_how_long(work: Work, approval: Approval, state: State) -> None:
    """How long what was approved is valid, and may be taken back where something undoes it."""
    approval.valid_until = approval.withdrawable_until = None
    if state.status is not ApprovalState.APPROVED:
        return
    policy = await policy_of(work, approval)
    approval.valid_until = valid_until(work, policy)
    if policy.withdraw_days is not None and compensation_of(work, approval) is not None:
        approval.withdrawable_until = work.now + timedelta(days=policy.withdraw_days)


async def _write_tasks(work: Work, approval: Approval, moved: Moved) -> None:
    touched = {effect.task.id for effect in moved.effects if isinstance(effect, TaskMoved)} | moved.displaced
    if not touched:
        return
    statement = select(ApprovalTask).where(
        ApprovalTask.approval_id == approval.id, ApprovalTask.id.in_(touched)
    )
    known = {row.id: row for row in (await work.session.execute(statement)).scalars()}
    begun: list[tuple[ApprovalTask, Task]] = []
    for position, task in enumerate(moved.after.tasks):
        if task.id in touched:
            row = known.get(task.id) or _row(work, approval, task)
            _fill(row, task, position, moved.after.stages[task.stage].name)
            begun += [(row, task)] if _begins(row, task) else []
    if begun:
        await _begin(work, approval, begun)


def show_tasks(work: Work, approval: Approval, state: State, stages: Iterable[ApprovalStage]) -> None:
    """Add the rows of a new request's tasks and copies."""
    declared, calendar = list(stages), work.services.calendar(approval.line)
    for position, task in enumerate(state.tasks):
        row = _row(work, approval, task)
        _fill(row, task, position, declared[task.stage].name)
        if _begins(row, task):
            _open(row, task, declared[task.stage], calendar, work.now)
    for user in state.copied:
        work.session.add(ApprovalCopy(approval_id=approval.id, user_id=user, line=approval.line, at=work.now))


def _row(work: Work, approval: Approval, task: Task) -> ApprovalTask:
    row = ApprovalTask(
        id=task.id, created_at=work.now, approval_id=approval.id, line=approval.line, stage=task.stage, slot=task.slot,
        round=task.round, kind=task.kind.value, role=task.role, user_id=task.user, instead_of_id=task.instead_of,
        parent_id=task.parent, added=task.added.value if task.added else None, added_by_id=task.added_by,
        signer_id=None, answer=None, comment="", automatic=False, at=None, opened_at=None, due_at=None,
        due_provisional=False, remind_at=None, overdue=False,
    )  # fmt: skip
    work.session.add(row)
    return row


def _fill(row: ApprovalTask, task: Task, position: int, stage: str) -> None:
    row.position, row.stage_name, row.state = position, stage, task.state.value
    row.parent_id = task.parent
    row.signer_id = task.signer if task.signer != SYSTEM else None
    row.answer = task.answer.value if task.answer else None
    row.comment, row.at, row.automatic = task.comment, task.at, task.automatic
    if task.state is not ApprovalTaskState.OPEN:
        row.remind_at = None


def _begins(row: ApprovalTask, task: Task) -> bool:
    """Whether it can be done from now on, for the first time."""
    return task.state is ApprovalTaskState.OPEN and row.opened_at is None


async def _begin(work: Work, approval: Approval, begun: Iterable[tuple[ApprovalTask, Task]]) -> None:
    stages = stages_of(await policy_of(work, approval))
    for row, task in begun:
        _open(row, task, stages[task.stage], work.services.calendar(approval.line), work.now)


def _open(row: ApprovalTask, task: Task, stage: ApprovalStage, calendar: WorkCalendar, now: datetime) -> None:
    row.opened_at = now
    if stage.deadline is not None and task.kind is ApprovalTaskKind.SIGN:
        _set_due(row, stage.deadline, calendar, now)


def _set_due(row: ApprovalTask, deadline: ApprovalDeadline, calendar: WorkCalendar, now: datetime) -> None:
    """When the task is due and the next reminder is sent, in working time of the line (工作日、工作小时)."""
    if deadline.working_days is not None:
        day = calendar.add_working_days(now.astimezone(calendar.zone).date(), deadline.working_days)
        closing = datetime.combine(day.date, calendar.work_end, calendar.zone)
        row.due_at, row.due_provisional = closing, day.provisional
    elif deadline.days is not None:
        last = now.astimezone(calendar.zone).date() + timedelta(days=deadline.days)
        row.due_at = datetime.combine(last, calendar.work_end, calendar.zone)
    else:
        assert deadline.working_hours is not None
        due = calendar.add_working_hours(now, deadline.working_hours)
        row.due_at, row.due_provisional = due.time, due.provisional
    if deadline.remind_before_hours is not None:
        row.remind_at = max(now, _before(calendar, now, row.due_at, deadline.remind_before_hours))


def _before(calendar: WorkCalendar, start: datetime, due: datetime, hours: Decimal) -> datetime:
    """So many working hours before a moment, not before the start."""
    low, high = start, due
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        if calendar.add_working_hours(middle, hours).time >= due:
            high = middle
        else:
            low = middle
    return high
