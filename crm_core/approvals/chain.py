"""The pure engine of a request for signatures: state and verb in, new state and effects out; no database, no clock.

Whom a stage asks is found outside: the effect `Ask` wants it, the verb `Seat` brings it, before anything else happens.
Every verb is kept in the log with all that it brought, so the log alone gives the state again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from crm_core.approvals.words import (
    Add,
    Adopt,
    ApprovalAdded,
    ApprovalAnswer,
    ApprovalEmpty,
    ApprovalRule,
    ApprovalSame,
    ApprovalSelf,
    ApprovalState,
    ApprovalTaskKind,
    ApprovalTaskState,
    Approve,
    Ask,
    Asked,
    Attach,
    Compensate,
    Copied,
    Copy,
    Delegate,
    Effects,
    Entry,
    Expire,
    Finished,
    Illegal,
    Perform,
    Recall,
    Reject,
    Remove,
    Resubmit,
    Return,
    Seat,
    Settle,
    Stage,
    State,
    Step,
    Task,
    TaskMoved,
    Terminate,
    Transfer,
    Urge,
    Verb,
    Withdraw,
)


def start(
    requester: UUID,
    stages: Iterable[Stage],
    *,
    self_approval: ApprovalSelf = ApprovalSelf.FORBID,
    same_signer: ApprovalSame = ApprovalSame.SIGN,
) -> Step:
    """A new request, which wants to know whom its first stage asks."""
    state = State(requester, tuple(stages), requester, self_approval, same_signer)
    if not state.stages or not all(stage.slots for stage in state.stages):
        raise Illegal("APPROVAL_NO_SIGNER")
    return state, (Ask(0),)


def apply(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    """The state after the verb, and what has to be done because of it; raises `Illegal` and changes nothing."""
    if (state.asking is not None) != isinstance(verb, Seat):
        raise Illegal("APPROVAL_ASKING")
    _refuse_known(state, _new_ids(verb))
    changed, effects = _VERBS[type(verb)](state, verb, actor, now)
    return replace(changed, log=(*state.log, Entry(verb, actor, now))), effects


def _new_ids(verb: Verb) -> tuple[UUID, ...]:
    """The ids of the tasks that a verb makes."""
    match verb:
        case Seat():
            return tuple(one.id for people in verb.slots for one in people)
        case Add():
            return tuple(one.id for one in verb.to)
        case Transfer() | Delegate():
            return (verb.to.id,)
        case Return():
            return (verb.key,)
    return ()


def _refuse_known(state: State, fresh: Sequence[UUID]) -> None:
    known = {task.id for task in state.tasks}
    if len(set(fresh)) < len(fresh) or not known.isdisjoint(fresh):
        raise Illegal("APPROVAL_TASK_EXISTS")


def replay(state: State) -> State:
    """The state that the log gives when it is applied to the beginning; equal to `state`, always."""
    again, _ = start(
        state.origin, state.stages, self_approval=state.self_approval, same_signer=state.same_signer
    )
    for entry in state.log:
        again, _ = apply(again, entry.verb, entry.actor, entry.at)
    return again


def signable(state: State, actor: UUID, roles: Iterable[str]) -> tuple[Task, ...]:
    """The open tasks that this person may do now."""
    held = frozenset(roles)
    if state.status is not ApprovalState.PENDING or _is_own(state, actor):
        return ()
    return tuple(t for t in state.tasks if t.state is ApprovalTaskState.OPEN and t.may(actor, held))


def verdict(rule: ApprovalRule, need: int | None, outcomes: Iterable[bool | None]) -> bool | None:
    """What single answers make together: True, False, or None while it is open. Of none at all it is True.

    With ANY the first answer counts, whichever it is. QUORUM needs `need` of them, or all if there are fewer; RATIO
    needs `need` percent, rounded up.
    """
    found = tuple(outcomes)
    yes, no = found.count(True), found.count(False)
    if rule is ApprovalRule.ANY:
        return True if yes else False if no else None if found else True
    wanted = {
        ApprovalRule.QUORUM: min(need or 1, len(found)),
        ApprovalRule.RATIO: -(-len(found) * (need or 100) // 100),
    }.get(rule, len(found))
    if yes >= wanted:
        return True
    return None if len(found) - no >= wanted else False


# -- asking


def _seat(state: State, verb: Seat, _actor: UUID, now: datetime) -> Step:
    assert state.asking is not None
    stage = state.stages[state.asking]
    begun = replace(state, asking=None, stage=state.asking)
    told, copied = _copied(begun, verb.copies)
    if verb.skipped:
        return _with(_advanced(told), copied)
    if len(verb.slots) != len(stage.slots):
        raise Illegal("APPROVAL_SEATS")
    seated, effects = told, copied
    for number, people in enumerate(verb.slots):
        able = [one for one in people if not _is_forbidden(state, one)]
        if not able and stage.empty is not ApprovalEmpty.SKIP:
            raise Illegal("APPROVAL_NO_SIGNER")
        for one in able:
            seated, more = _kept(seated, _task(seated, number, one, now))
            effects = (*effects, *more)
    return _with(_evaluated(seated), effects)


def _is_forbidden(state: State, one: Asked) -> bool:
    own = state.requester in (one.user, one.instead_of)
    return own and state.self_approval is ApprovalSelf.FORBID


def _task(state: State, slot: int, one: Asked, now: datetime) -> Task:
    """The task of somebody asked by the policy; already done where the policy lets him pass."""
    stage = state.stages[state.stage]
    in_turn = ApprovalRule.SEQUENTIAL in (stage.rule, stage.slots[slot].rule)
    task = Task(
        one.id, state.stage, slot, state.round, role=one.role, user=one.user, instead_of=one.instead_of,
        state=ApprovalTaskState.WAITING if in_turn else ApprovalTaskState.OPEN,
    )  # fmt: skip
    if one.user is None or not _passes(state, one.user):
        return task
    done = _answered(task, ApprovalAnswer.APPROVE, one.user, now)
    return replace(done, automatic=True)


def _passes(state: State, user: UUID) -> bool:
    if state.self_approval is ApprovalSelf.AUTO and user == state.requester:
        return True
    return state.same_signer is ApprovalSame.AUTO and any(
        t.signer == user
        and t.answer is ApprovalAnswer.APPROVE
        and (t.round, t.added) == (state.round, None)
        and t.stage < state.stage
        for t in state.tasks
    )


# -- signing


def _approve(state: State, verb: Approve, actor: UUID, now: datetime) -> Step:
    return _sign(state, verb, ApprovalAnswer.APPROVE, actor, now)


def _reject(state: State, verb: Reject, actor: UUID, now: datetime) -> Step:
    return _sign(state, verb, ApprovalAnswer.REJECT, actor, now)


def _sign(state: State, verb: Approve | Reject, answer: ApprovalAnswer, actor: UUID, now: datetime) -> Step:
    signed: State = state
    effects: Effects = ()
    for task in _mine(state, actor, verb.roles, verb.task):
        signed, more = _kept(signed, _answered(task, answer, actor, now, verb.comment))
        effects = (*effects, *more)
    return _with(_evaluated(signed), effects)


def _expire(state: State, verb: Expire, actor: UUID, now: datetime) -> Step:
    _refuse_unless(state, ApprovalState.PENDING)
    task = state.task(verb.task)
    if task.state is not ApprovalTaskState.OPEN:
        raise Illegal("APPROVAL_NO_TASK")
    done = replace(_answered(task, verb.answer, actor, now), automatic=True)
    signed, effects = _kept(state, done)
    return _with(_evaluated(signed), effects)


def _mine(state: State, actor: UUID, roles: Iterable[str], only: UUID | None = None) -> tuple[Task, ...]:
    """The open tasks this person does with one act; refuses when there is none."""
    _refuse_unless(state, ApprovalState.PENDING)
    if _is_own(state, actor):
        raise Illegal("APPROVAL_SELF")
    mine = tuple(t for t in signable(state, actor, roles) if only is None or t.id == only)
    if not mine:
        raise Illegal("APPROVAL_NOT_YOURS")
    return mine


def _is_own(state: State, actor: UUID) -> bool:
    return actor == state.requester and state.self_approval is ApprovalSelf.FORBID


def _return(state: State, verb: Return, actor: UUID, now: datetime) -> Step:
    mine = _mine(state, actor, verb.roles)
    if all(task.added is ApprovalAdded.DELEGATED for task in mine):
        raise Illegal("APPROVAL_ADDED")
    if verb.stage is not None and not 0 <= verb.stage < state.stage:
        raise Illegal("APPROVAL_STAGE")
    signed: State = state
    effects: Effects = ()
    for task in mine:
        signed, more = _kept(signed, _answered(task, ApprovalAnswer.RETURN, actor, now, verb.comment))
        effects = (*effects, *more)
    closed, lapsed = _closed(signed)
    again = replace(closed, round=state.round + 1, resume=None)
    if verb.stage is None:
        back, more = _sent_back(replace(again, returned_from=state.stage), verb.key)
        return back, (*effects, *lapsed, *more)
    onward = replace(again, resume=state.stage if verb.back_here else None)
    return _with(_asking(onward, verb.stage), (*effects, *lapsed))


def _sent_back(state: State, key: UUID) -> Step:
    task = Task(key, state.stage, 0, state.round, kind=ApprovalTaskKind.RESUBMIT, user=state.requester)
    return _kept(replace(state, status=ApprovalState.RETURNED), task)


def _resubmit(state: State, verb: Resubmit, actor: UUID, now: datetime) -> Step:
    _refuse_unless(state, ApprovalState.RETURNED, ApprovalState.CONFLICT)
    _refuse_others(state, actor)
    done: State = state
    effects: Effects = ()
    for task in state.tasks:
        if task.living:
            done, more = _kept(done, _answered(task, ApprovalAnswer.RESUBMIT, actor, now, verb.comment))
            effects = (*effects, *more)
    first = state.returned_from if verb.to_returner and state.returned_from is not None else 0
    again = replace(
        done, status=ApprovalState.PENDING, round=state.round + 1, returned_from=None, resume=None
    )
    return _with(_asking(again, first), effects)


# -- other people


def _transfer(state: State, verb: Transfer, actor: UUID, now: datetime) -> Step:
    task = _living(state, verb.task, actor, verb.roles, forced=verb.forced)
    _refuse_asked(state, task, verb.to)
    if not verb.forced and task.parent is None and _votes_already(state, task, verb.to):
        raise Illegal("APPROVAL_ASKED_ALREADY")
    moved = replace(
        _answered(task, ApprovalAnswer.TRANSFER, actor, now, verb.comment), state=ApprovalTaskState.CANCELLED
    )
    resubmits = task.kind is ApprovalTaskKind.RESUBMIT
    instead_of = None if resubmits else verb.to.instead_of  # who asks is one person
    heir = replace(task, id=verb.to.id, user=verb.to.user, role=verb.to.role, instead_of=instead_of)
    begun = replace(state, requester=heir.user) if resubmits and heir.user else state
    changed, effects = _kept(begun, moved, heir, after=task.id)
    for child in state.tasks:
        if child.parent == task.id:
            changed, more = _kept(changed, replace(child, parent=heir.id))
            effects = (*effects, *more)
    return changed, effects


def _votes_already(state: State, task: Task, one: Asked) -> bool:
    """Whether he has a vote of his own where votes are counted."""
    rule = state.stages[task.stage].slots[task.slot].rule
    counted = rule in (ApprovalRule.QUORUM, ApprovalRule.RATIO)
    return counted and one.user is not None and any(t.user == one.user for t in _seats(state, task.slot))


def _delegate(state: State, verb: Delegate, actor: UUID, _now: datetime) -> Step:
    task = _open(state, verb.task, actor, verb.roles)
    if task.added is ApprovalAdded.DELEGATED:
        raise Illegal("APPROVAL_ADDED")
    _refuse_asked(state, task, verb.to, actor)
    waiting = replace(task, state=ApprovalTaskState.WAITING)
    return _kept(state, waiting, _child(task, verb.to, ApprovalAdded.DELEGATED, actor))


def _add(state: State, verb: Add, actor: UUID, now: datetime) -> Step:
    task = _open(state, verb.task, actor, verb.roles)
    if task.added is not None:
        raise Illegal("APPROVAL_ADDED")
    if not verb.to:
        raise Illegal("APPROVAL_NO_SIGNER")
    for one in verb.to:
        _refuse_asked(state, task, one, actor)
    adder = {
        ApprovalAdded.BEFORE: replace(task, state=ApprovalTaskState.WAITING),
        ApprovalAdded.AFTER: _answered(task, ApprovalAnswer.APPROVE, actor, now, verb.comment),
    }.get(verb.how, task)
    return _kept(state, adder, *(_child(task, one, verb.how, actor) for one in verb.to))


def _child(task: Task, one: Asked, how: ApprovalAdded, actor: UUID) -> Task:
    return Task(
        one.id, task.stage, task.slot, task.round, role=one.role, user=one.user, instead_of=one.instead_of,
        parent=task.id, added=how, added_by=actor,
    )  # fmt: skip


def _remove(state: State, verb: Remove, actor: UUID, now: datetime) -> Step:
    _refuse_unless(state, ApprovalState.PENDING)
    task = state.task(verb.task)
    if not task.living or task.kind is not ApprovalTaskKind.SIGN:
        raise Illegal("APPROVAL_NO_TASK")
    if not verb.forced and task.added_by != actor:
        raise Illegal("APPROVAL_NOT_YOURS")
    others = [t for t in _seats(state, task.slot) if t.id != task.id]
    if task.parent is None and not others:
        raise Illegal("APPROVAL_LAST_SIGNER")
    gone = {task.id}
    for one in state.tasks:  # added signers come after those who added them
        if one.parent in gone:
            gone.add(one.id)
    left, effects = _changed(state, lambda t: t.id in gone and t.living, _cancelled)
    return _with(_evaluated(left), effects)


def _living(state: State, key: UUID, actor: UUID, roles: Iterable[str], *, forced: bool = False) -> Task:
    """A task that can be handed on by this person."""
    _refuse_unless(state, ApprovalState.PENDING, *((ApprovalState.RETURNED,) if forced else ()))
    task = state.task(key)
    if not task.living:
        raise Illegal("APPROVAL_NO_TASK")
    if not forced and (
        _is_own(state, actor) or task.state is not ApprovalTaskState.OPEN or not task.may(actor, roles)
    ):
        raise Illegal("APPROVAL_NOT_YOURS")
    return task


def _open(state: State, key: UUID, actor: UUID, roles: Iterable[str]) -> Task:
    return _living(state, key, actor, roles)


def _refuse_asked(state: State, task: Task, one: Asked, *askers: UUID) -> None:
    """Who asked does not sign; nobody is asked twice for one task, or asks himself."""
    if one.user is None and (one.role is None or task.kind is ApprovalTaskKind.RESUBMIT):
        raise Illegal("APPROVAL_NO_SIGNER")
    if task.kind is ApprovalTaskKind.SIGN and _is_forbidden(state, one):
        raise Illegal("APPROVAL_SELF")
    if one.user is not None and one.user in (task.user, *askers):
        raise Illegal("APPROVAL_ASKED_ALREADY")


# -- ending


def _withdraw(state: State, _verb: Withdraw, actor: UUID, _now: datetime) -> Step:
    _refuse_unless(state, *_WAITING)
    _refuse_others(state, actor)
    return _ended(state, ApprovalState.WITHDRAWN)


def _terminate(state: State, _verb: Terminate, _actor: UUID, _now: datetime) -> Step:
    _refuse_unless(state, *_WAITING)
    return _ended(state, ApprovalState.TERMINATED)


def _recall(state: State, _verb: Recall, actor: UUID, _now: datetime) -> Step:
    _refuse_others(state, actor)
    if state.status is not ApprovalState.APPROVED or not state.performed:
        raise Illegal("APPROVAL_FINISHED")
    return replace(state, status=ApprovalState.WITHDRAWN), (Finished(ApprovalState.WITHDRAWN), Compensate())


def _settle(state: State, verb: Settle, _actor: UUID, _now: datetime) -> Step:
    signed = state.status is ApprovalState.APPROVED and not state.performed
    begins = verb.outcome is ApprovalState.PERFORMING
    if begins and signed:
        return replace(state, status=verb.outcome), ()
    being = state.status is ApprovalState.PERFORMING
    if begins or verb.outcome not in _SETTLED or not (signed or being):
        raise Illegal("APPROVAL_FINISHED")
    done = verb.outcome is ApprovalState.APPROVED
    return replace(state, status=verb.outcome, performed=done), (Finished(verb.outcome),)


_SETTLED: Final = (
    ApprovalState.APPROVED,
    ApprovalState.CONFLICT,
    ApprovalState.NEEDS_ADOPTION,
    ApprovalState.STALE,
)


def _adopt(state: State, _verb: Adopt, actor: UUID, _now: datetime) -> Step:
    _refuse_unless(state, ApprovalState.NEEDS_ADOPTION)
    signed = any(t.signer == actor and t.kind is ApprovalTaskKind.SIGN for t in state.tasks)
    if signed and state.self_approval is ApprovalSelf.FORBID:
        raise Illegal("APPROVAL_SELF")
    return replace(state, status=ApprovalState.APPROVED, requester=actor), (Perform(),)


_WAITING: Final = (
    ApprovalState.PENDING,
    ApprovalState.RETURNED,
    ApprovalState.CONFLICT,
    ApprovalState.NEEDS_ADOPTION,
)


def _copy(state: State, verb: Copy, _actor: UUID, _now: datetime) -> Step:
    return _copied(state, verb.users)


def _urge(state: State, _verb: Urge, actor: UUID, _now: datetime) -> Step:
    _refuse_unless(state, ApprovalState.PENDING)
    _refuse_others(state, actor)
    return state, ()


def _attach(state: State, verb: Attach, actor: UUID, _now: datetime) -> Step:
    _refuse_unless(state, ApprovalState.PENDING, ApprovalState.RETURNED)
    open_ = (task for task in state.tasks if task.state is ApprovalTaskState.OPEN)
    if actor != state.requester and not any(task.may(actor, verb.roles) for task in open_):
        raise Illegal("APPROVAL_NOT_YOURS")
    return state, ()


_VERBS: dict[type[Any], Callable[[State, Any, UUID, datetime], Step]] = {
    Seat: _seat,
    Approve: _approve,
    Reject: _reject,
    Return: _return,
    Resubmit: _resubmit,
    Withdraw: _withdraw,
    Recall: _recall,
    Terminate: _terminate,
    Transfer: _transfer,
    Delegate: _delegate,
    Add: _add,
    Remove: _remove,
    Expire: _expire,
    Copy: _copy,
    Urge: _urge,
    Settle: _settle,
    Adopt: _adopt,
    Attach: _attach,
}


def _refuse_unless(state: State, *allowed: ApprovalState) -> None:
    if state.status is ApprovalState.PERFORMING:
        raise Illegal("APPROVAL_PERFORMING")
    if state.status not in allowed:
        raise Illegal("APPROVAL_FINISHED")


def _refuse_others(state: State, actor: UUID) -> None:
    if actor != state.requester:
        raise Illegal("APPROVAL_NOT_REQUESTER")


# -- what follows from answers


def _evaluated(state: State) -> Step:
    """Open whose turn it is, close what is decided; go on, end, or wait."""
    opened, effects = _opened(state)
    numbers = range(len(opened.stages[opened.stage].slots))
    found = [_of_slot(opened, number) for number in numbers]
    closed, more = _changed(opened, lambda t: t.living and _is_spare(opened, t, found), _cancelled)
    effects = (*effects, *more)
    stage = closed.stages[closed.stage]
    asked = [outcome for number, outcome in enumerate(found) if _seats(opened, number)]
    outcome = verdict(stage.rule, stage.need, asked)
    if outcome is None:
        return closed, effects
    if not outcome:
        return _with(_ended(closed, ApprovalState.REJECTED), effects)
    done, lapsed = _closed(closed)
    return _with(_advanced(done), (*effects, *lapsed))


def _is_spare(state: State, task: Task, found: Sequence[bool | None]) -> bool:
    """Whether its slot is decided without it, or what it belongs to is."""
    if not _is_present(state, task):
        return False
    root = task
    while root.parent is not None:
        root = state.task(root.parent)
    return found[task.slot] is not None or _outcome(state, root) is not None


def _of_slot(state: State, number: int) -> bool | None:
    slot = state.stages[state.stage].slots[number]
    outcomes = [_outcome(state, t) for t in _seats(state, number)]
    if slot.rule is ApprovalRule.ANY and False in outcomes:
        return False  # an approval would have closed the place, so the refusal came first
    return verdict(slot.rule, slot.need, outcomes)


def _seats(state: State, number: int) -> tuple[Task, ...]:
    """Those whom the policy asks in a slot of the present stage, and who have not been removed.

    A seat refused by an added signer lapsed unanswered, and counts all the same.
    """
    return tuple(
        t
        for t in state.tasks
        if t.slot == number
        and t.parent is None
        and _is_present(state, t)
        and (t.state is not ApprovalTaskState.CANCELLED or _outcome(state, t) is False)
    )


def _is_present(state: State, task: Task) -> bool:
    return (task.stage, task.round) == (state.stage, state.round) and task.kind is ApprovalTaskKind.SIGN


def _outcome(state: State, task: Task) -> bool | None:
    """What came of a task together with the signers added to it."""
    added = [
        _outcome(state, t)
        for t in state.tasks
        if t.parent == task.id
        and t.added is not ApprovalAdded.DELEGATED
        and t.state is not ApprovalTaskState.CANCELLED
    ]
    own = (
        {ApprovalAnswer.APPROVE: True, ApprovalAnswer.REJECT: False}.get(task.answer) if task.answer else None
    )
    return verdict(ApprovalRule.ALL, None, [own, *added])


def _opened(state: State) -> Step:
    """Tasks whose turn has come: those that waited for added signers, and the next one of a sequence."""
    due = {t.id for t in state.tasks if t.state is ApprovalTaskState.WAITING and _is_due(state, t)}
    return _changed(state, lambda t: t.id in due, lambda t: replace(t, state=ApprovalTaskState.OPEN))


def _is_due(state: State, task: Task) -> bool:
    if not _is_present(state, task) or _waits_for_added(state, task):
        return False
    return task.parent is not None or _is_its_turn(state, task)


def _waits_for_added(state: State, task: Task) -> bool:
    """Whether somebody is to answer before it, or has refused."""
    before = (ApprovalAdded.BEFORE, ApprovalAdded.DELEGATED)
    added = [t for t in state.tasks if t.parent == task.id and t.added in before]
    return any(t.living or (t.added is before[0] and _outcome(state, t) is False) for t in added)


def _is_its_turn(state: State, task: Task) -> bool:
    """Whether all are satisfied that come before it where slots, or those in its slot, are asked in turn."""
    stage = state.stages[state.stage]
    if stage.rule is ApprovalRule.SEQUENTIAL and not all(_of_slot(state, n) for n in range(task.slot)):
        return False
    if stage.slots[task.slot].rule is not ApprovalRule.SEQUENTIAL:
        return True
    first = next((t for t in _seats(state, task.slot) if _outcome(state, t) is not True), None)
    return first is not None and first.id == task.id


def _advanced(state: State) -> Step:
    """The stage is satisfied, or left out."""
    following = state.resume if state.resume is not None else state.stage + 1
    onward = replace(state, resume=None)
    if following < len(state.stages):
        return _asking(onward, following)
    return replace(onward, status=ApprovalState.APPROVED), (Perform(),)


def _asking(state: State, stage: int) -> Step:
    return replace(state, asking=stage, stage=stage), (Ask(stage),)


def _ended(state: State, status: ApprovalState) -> Step:
    closed, effects = _closed(state)
    return replace(closed, status=status), (*effects, Finished(status))


def _closed(state: State) -> Step:
    """No task is left that could be done."""
    return _changed(state, lambda t: t.living, _cancelled)


def _copied(state: State, users: Iterable[UUID]) -> Step:
    fresh = tuple(dict.fromkeys(user for user in users if user not in state.copied))
    if not fresh:
        return state, ()
    return replace(state, copied=(*state.copied, *fresh)), (Copied(fresh),)


def _answered(task: Task, answer: ApprovalAnswer, actor: UUID, now: datetime, comment: str = "") -> Task:
    return replace(task, state=ApprovalTaskState.DONE, answer=answer, signer=actor, at=now, comment=comment)


def _cancelled(task: Task) -> Task:
    return replace(task, state=ApprovalTaskState.CANCELLED)


def _kept(state: State, *tasks: Task, after: UUID | None = None) -> Step:
    """The state with these tasks in place of those of the same ids; new ones follow the task `after`, or all."""
    changed = {task.id: task for task in tasks}
    known = [task.id for task in state.tasks]
    fresh = [task for task in tasks if task.id not in known]
    kept = [changed.get(task.id, task) for task in state.tasks]
    place = known.index(after) + 1 if after is not None else len(kept)
    return replace(state, tasks=(*kept[:place], *fresh, *kept[place:])), tuple(map(TaskMoved, tasks))


def _changed(state: State, which: Callable[[Task], bool], change: Callable[[Task], Task]) -> Step:
    """The state with some tasks changed, and one effect for each."""
    return _kept(state, *(change(task) for task in state.tasks if which(task)))


def _with(step: Step, before: Effects) -> Step:
    """A step that comes after others."""
    state, effects = step
    return state, (*before, *effects)
