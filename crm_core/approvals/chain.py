"""The pure engine of a request for signatures: state and verb in, new state and effects out; no database, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias
from uuid import UUID


class ApprovalState(StrEnum):
    """State of an approval (审批状态); it waits for somebody only while PENDING."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    CONFLICT = "CONFLICT"
    NEEDS_ADOPTION = "NEEDS_ADOPTION"
    STALE = "STALE"


class ApprovalRule(StrEnum):
    """How many must sign: ALL of them (会签) or ANY one of them (或签)."""

    ALL = "ALL"
    ANY = "ANY"


class ApprovalTaskState(StrEnum):
    """State of one asked-for signature (审批任务): its stage has not begun, it can be given, was given, or lapsed."""

    WAITING = "WAITING"
    OPEN = "OPEN"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class ApprovalAnswer(StrEnum):
    """What a signer said (审批意见)."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"


class Illegal(Exception):  # a refusal of the business, not a fault of the program
    """The state does not allow this verb to this person; `code` says why."""

    def __init__(self, code: str) -> None:
        """Codes: APPROVAL_FINISHED, APPROVAL_NOT_YOURS, APPROVAL_SELF, APPROVAL_NOT_REQUESTER, APPROVAL_NO_SIGNER."""
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Task:
    """One asked-for signature: of a named user, or of anybody who holds a role."""

    id: UUID
    role: str | None = None
    user: UUID | None = None
    state: ApprovalTaskState = ApprovalTaskState.WAITING
    signer: UUID | None = None
    answer: ApprovalAnswer | None = None
    comment: str = ""
    at: datetime | None = None

    def may(self, actor: UUID, roles: Iterable[str]) -> bool:
        """Whether this person, holding these roles, is the one asked."""
        return self.user == actor if self.user is not None else self.role in set(roles)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for signatures in a stage; one task, or one per person where each of several must sign."""

    rule: ApprovalRule
    tasks: tuple[Task, ...]

    @property
    def satisfied(self) -> bool:
        """Whether enough of its tasks are approved."""
        return _enough(self.rule, (task.answer is ApprovalAnswer.APPROVE for task in self.tasks))


@dataclass(frozen=True, slots=True)
class Stage:
    """Slots that sign at the same time."""

    name: str
    rule: ApprovalRule
    slots: tuple[Slot, ...]

    @property
    def satisfied(self) -> bool:
        """Whether enough of its slots are satisfied."""
        return _enough(self.rule, (slot.satisfied for slot in self.slots))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks of its slots."""
        return tuple(task for slot in self.slots for task in slot.tasks)


def _enough(rule: ApprovalRule, found: Iterable[bool]) -> bool:
    return all(found) if rule is ApprovalRule.ALL else any(found)


# -- verbs


@dataclass(frozen=True, slots=True)
class Approve:
    """The actor, holding these roles of the line, signs every task of the current stage that asks for him."""

    roles: frozenset[str] = frozenset()
    comment: str = ""
    name: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True)
class Reject:
    """The actor refuses; one refusal ends the request."""

    roles: frozenset[str] = frozenset()
    comment: str = ""
    name: Literal["reject"] = "reject"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The requester takes his request back."""

    comment: str = ""
    name: Literal["withdraw"] = "withdraw"


@dataclass(frozen=True, slots=True)
class Settle:
    """What became of performing the approved change: APPROVED (performed), CONFLICT, NEEDS_ADOPTION or STALE."""

    outcome: ApprovalState
    name: Literal["settle"] = "settle"


Verb: TypeAlias = Approve | Reject | Withdraw | Settle


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: who did what, when."""

    verb: Verb
    actor: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """A whole request for signatures. `stage` counts from 0; `performed` says that the change was made."""

    requester: UUID
    stages: tuple[Stage, ...]
    self_approval: bool = False
    status: ApprovalState = ApprovalState.PENDING
    stage: int = 0
    performed: bool = False
    log: tuple[Entry, ...] = ()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks of all stages."""
        return tuple(task for stage in self.stages for task in stage.tasks)


# -- effects


@dataclass(frozen=True, slots=True)
class TaskMoved:
    """A task changed: it was opened, signed or cancelled."""

    task: Task


@dataclass(frozen=True, slots=True)
class Finished:
    """The request waits for nobody any more."""

    status: ApprovalState


@dataclass(frozen=True, slots=True)
class Perform:
    """Perform the held change now; comes once in the life of a request."""


Effect: TypeAlias = TaskMoved | Finished | Perform
Effects: TypeAlias = tuple[Effect, ...]


# -- the engine


def start(requester: UUID, stages: Iterable[Stage], *, self_approval: bool = False) -> tuple[State, Effects]:
    """A new request with the tasks of its first stage open.

    Raises `Illegal` (APPROVAL_NO_SIGNER) when a stage asks nobody, or only the requester who may not sign his own.
    """
    state = State(requester, tuple(stages), self_approval)
    if not state.stages or not all(_answerable(stage, state) for stage in state.stages):
        raise Illegal("APPROVAL_NO_SIGNER")
    return _opened(state, 0)


def apply(state: State, verb: Verb, actor: UUID, now: datetime) -> tuple[State, Effects]:
    """The state after the verb, and what has to be done because of it; raises `Illegal` and changes nothing."""
    changed, effects = _VERBS[type(verb)](state, verb, actor, now)
    return replace(changed, log=(*state.log, Entry(verb, actor, now))), effects


def replay(state: State) -> State:
    """The state that the log gives when it is applied to the beginning; equal to `state`, always."""
    blank = tuple(
        replace(stage, slots=tuple(replace(s, tasks=tuple(map(_blank, s.tasks))) for s in stage.slots))
        for stage in state.stages
    )
    again, _ = start(state.requester, blank, self_approval=state.self_approval)
    for entry in state.log:
        again, _ = apply(again, entry.verb, entry.actor, entry.at)
    return again


def signable(state: State, actor: UUID, roles: Iterable[str]) -> tuple[Task, ...]:
    """The open tasks that this person may sign now."""
    held = frozenset(roles)
    if state.status is not ApprovalState.PENDING or (actor == state.requester and not state.self_approval):
        return ()
    return tuple(
        t for t in state.stages[state.stage].tasks if t.state is ApprovalTaskState.OPEN and t.may(actor, held)
    )


def _answerable(stage: Stage, state: State) -> bool:
    return bool(stage.slots) and all(
        slot.tasks and all(state.self_approval or task.user != state.requester for task in slot.tasks)
        for slot in stage.slots
    )


def _blank(task: Task) -> Task:
    return Task(task.id, task.role, task.user)


def _approve(state: State, verb: Approve, actor: UUID, now: datetime) -> tuple[State, Effects]:
    mine = _mine(state, actor, verb.roles)
    signed, effects = _changed(
        state, lambda t: t in mine, lambda t: _signed(t, ApprovalAnswer.APPROVE, verb.comment, actor, now)
    )
    lapsed, more = _changed(signed, lambda t: _spare(signed, t), _cancelled)
    if not lapsed.stages[lapsed.stage].satisfied:
        return lapsed, (*effects, *more)
    closed, rest = _changed(lapsed, lambda t: _is_open(lapsed, t), _cancelled)
    onward, last = _onward(closed)
    return onward, (*effects, *more, *rest, *last)


def _onward(state: State) -> tuple[State, Effects]:
    if state.stage + 1 < len(state.stages):
        return _opened(state, state.stage + 1)
    return replace(state, status=ApprovalState.APPROVED), (Finished(ApprovalState.APPROVED), Perform())


def _reject(state: State, verb: Reject, actor: UUID, now: datetime) -> tuple[State, Effects]:
    mine = _mine(state, actor, verb.roles)
    signed, effects = _changed(
        state, lambda t: t in mine, lambda t: _signed(t, ApprovalAnswer.REJECT, verb.comment, actor, now)
    )
    return _ended(signed, ApprovalState.REJECTED, effects)


def _withdraw(state: State, _verb: Withdraw, actor: UUID, _now: datetime) -> tuple[State, Effects]:
    _refuse_finished(state)
    if actor != state.requester:
        raise Illegal("APPROVAL_NOT_REQUESTER")
    return _ended(state, ApprovalState.WITHDRAWN, ())


def _settle(state: State, verb: Settle, _actor: UUID, _now: datetime) -> tuple[State, Effects]:
    allowed = (
        ApprovalState.APPROVED,
        ApprovalState.CONFLICT,
        ApprovalState.NEEDS_ADOPTION,
        ApprovalState.STALE,
    )
    if state.status is not ApprovalState.APPROVED or state.performed or verb.outcome not in allowed:
        raise Illegal("APPROVAL_FINISHED")
    done = verb.outcome is ApprovalState.APPROVED
    return replace(state, status=verb.outcome, performed=done), () if done else (Finished(verb.outcome),)


_VERBS: dict[type[Any], Callable[[State, Any, UUID, datetime], tuple[State, Effects]]] = {
    Approve: _approve,
    Reject: _reject,
    Withdraw: _withdraw,
    Settle: _settle,
}


def _refuse_finished(state: State) -> None:
    if state.status is not ApprovalState.PENDING:
        raise Illegal("APPROVAL_FINISHED")


def _mine(state: State, actor: UUID, roles: Iterable[str]) -> tuple[Task, ...]:
    """The tasks this person signs with one act; refuses when there is none."""
    _refuse_finished(state)
    if actor == state.requester and not state.self_approval:
        raise Illegal("APPROVAL_SELF")
    mine = signable(state, actor, roles)
    if not mine:
        raise Illegal("APPROVAL_NOT_YOURS")
    return mine


def _signed(task: Task, answer: ApprovalAnswer, comment: str, actor: UUID, now: datetime) -> Task:
    return replace(task, state=ApprovalTaskState.DONE, signer=actor, answer=answer, comment=comment, at=now)


def _cancelled(task: Task) -> Task:
    return replace(task, state=ApprovalTaskState.CANCELLED)


def _is_open(state: State, task: Task) -> bool:
    return task.state is ApprovalTaskState.OPEN and task in state.stages[state.stage].tasks


def _spare(state: State, task: Task) -> bool:
    """An open task of a slot that is satisfied without it."""
    slots = state.stages[state.stage].slots
    return task.state is ApprovalTaskState.OPEN and any(
        slot.satisfied and task in slot.tasks for slot in slots
    )


def _opened(state: State, stage: int) -> tuple[State, Effects]:
    opened = state.stages[stage].tasks
    return _changed(
        replace(state, stage=stage), lambda t: t in opened, lambda t: replace(t, state=ApprovalTaskState.OPEN)
    )


def _ended(state: State, status: ApprovalState, effects: Effects) -> tuple[State, Effects]:
    living = (ApprovalTaskState.OPEN, ApprovalTaskState.WAITING)
    closed, more = _changed(state, lambda t: t.state in living, _cancelled)
    return replace(closed, status=status), (*effects, *more, Finished(status))


def _changed(
    state: State, which: Callable[[Task], bool], change: Callable[[Task], Task]
) -> tuple[State, Effects]:
    """The state with some tasks changed, and one effect for each."""
    moved: list[Effect] = []

    def one(task: Task) -> Task:
        if not which(task):
            return task
        moved.append(TaskMoved(change(task)))
        return change(task)

    stages = tuple(
        replace(stage, slots=tuple(replace(slot, tasks=tuple(map(one, slot.tasks))) for slot in stage.slots))
        for stage in state.stages
    )
    return replace(state, stages=stages), tuple(moved)
