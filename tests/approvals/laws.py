"""What must hold of every request for signatures: told once more, as plainly as can be, to hold the engine against."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from crm_core.approvals.words import (
    Add,
    ApprovalAdded,
    ApprovalAnswer,
    ApprovalRule,
    ApprovalSelf,
    ApprovalState,
    ApprovalTaskKind,
    ApprovalTaskState,
    Approve,
    Attach,
    Copy,
    Delegate,
    Expire,
    Recall,
    Reject,
    Remove,
    Resubmit,
    Return,
    Seat,
    Settle,
    State,
    Task,
    Transfer,
    Urge,
    Verb,
    Withdraw,
)

OPEN = ApprovalTaskState.OPEN


# -- counting


def satisfied(rule: ApprovalRule, need: int | None, answers: Sequence[bool]) -> bool:
    """Whether a vote is won when everybody has answered."""
    if rule is ApprovalRule.QUORUM:
        return sum(answers) >= min(need or 1, len(answers))
    if rule is ApprovalRule.RATIO:
        return sum(answers) * 100 >= (need or 100) * len(answers)
    return all(answers)


def counted(rule: ApprovalRule, need: int | None, answers: Iterable[bool | None]) -> bool | None:
    """How a vote stands: won or lost whatever those will say who are silent (None) yet, or open."""
    known = tuple(answers)
    if rule is ApprovalRule.ANY and known:
        return True if True in known else False if False in known else None
    worst = satisfied(rule, need, [one is True for one in known])
    best = satisfied(rule, need, [one is not False for one in known])
    return worst if worst == best else None


def standing(state: State, stage: int, round_: int, removed: Collection[UUID]) -> bool | None:
    """How a stage stands in a round, counted from the single answers; places without anybody do not count."""
    declared = state.stages[stage]
    slots = [
        counted(slot.rule, slot.need, [answer_of(state, one, removed) for one in seats])
        for slot, seats in zip(declared.slots, _seats(state, stage, round_, removed), strict=True)
        if seats
    ]
    return counted(declared.rule, declared.need, slots)


def _seats(state: State, stage: int, round_: int, removed: Collection[UUID]) -> list[list[Task]]:
    """Slot by slot, those whom the policy asks, or who stand in their place."""
    found: list[list[Task]] = [[] for _ in state.stages[stage].slots]
    for task in state.tasks:
        asked = (task.stage, task.round, task.kind) == (stage, round_, ApprovalTaskKind.SIGN)
        if asked and task.parent is None and _counts(task, removed):
            found[task.slot].append(task)
    return found


def _counts(task: Task, removed: Collection[UUID]) -> bool:
    return task.answer is not ApprovalAnswer.TRANSFER and task.id not in removed


def answer_of(state: State, seat: Task, removed: Collection[UUID]) -> bool | None:
    """Of a seat with the signers added to it: one refusal refuses, all must approve; advice does not count."""
    answers = [seat.answer] + [
        task.answer
        for task in state.tasks
        if task.parent == seat.id and task.added is not ApprovalAdded.DELEGATED and _counts(task, removed)
    ]
    if ApprovalAnswer.REJECT in answers:
        return False
    return True if set(answers) == {ApprovalAnswer.APPROVE} else None


# -- one step


def check_permission(before: State, verb: Verb, actor: UUID, roles: frozenset[str]) -> None:
    """The verb, which was accepted, was this person's to do."""
    if isinstance(verb, Urge | Withdraw | Resubmit | Recall):
        assert actor == before.requester, f"{verb.name} by somebody else"
    if isinstance(verb, Approve | Reject | Return):
        assert any(_is_asked(before, one, actor, roles) for one in before.tasks), "signed without being asked"
    if isinstance(verb, Add | Delegate) or (isinstance(verb, Transfer) and not verb.forced):
        task = before.task(verb.task)
        assert _is_asked(before, task, actor, roles), "handed on what was not asked of him"
        assert task.added is None or not isinstance(verb, Add), "an added signer added another"
        assert task.added is not ApprovalAdded.DELEGATED or isinstance(verb, Transfer), "advice on advice"
    if isinstance(verb, Remove) and not verb.forced:
        assert before.task(verb.task).added_by == actor, "removed whom somebody else had added"
    if isinstance(verb, Attach) and actor != before.requester:
        own = (one.may(actor, roles) and one.state is OPEN for one in before.tasks)
        assert any(own), "papers of somebody who is not asked"
    if before.status is ApprovalState.PERFORMING:
        assert isinstance(verb, Settle | Copy), f"{verb.name} while a job performs it"
    if isinstance(verb, Recall):
        assert before.performed, "recalled what was never performed"


def _is_asked(state: State, task: Task, actor: UUID, roles: frozenset[str]) -> bool:
    if task.kind is ApprovalTaskKind.SIGN and _forbids(state, actor):
        return False
    named = actor in (task.user, task.instead_of) if task.user is not None else task.role in roles
    return named and task.state is OPEN


def _forbids(state: State, user: UUID | None) -> bool:
    return user == state.requester and state.self_approval is ApprovalSelf.FORBID


def check_result(before: State, verb: Verb, after: State, removed: Collection[UUID]) -> None:
    """A stage is left exactly when its votes say so, and in the right direction."""
    if after.status is ApprovalState.PENDING and after.asking is None:
        stood = standing(after, after.stage, after.round, removed)
        assert stood is None, f"waits although the stage is decided: {stood}"
        return
    if not isinstance(verb, Approve | Reject | Expire | Remove) and not (
        isinstance(verb, Seat) and not verb.skipped
    ):
        return
    stage = before.stage if before.asking is None else before.asking
    stood = standing(after, stage, before.round, removed)
    wanted = after.status is not ApprovalState.REJECTED
    assert stood is wanted, f"{after.status} although the votes say {stood}"


def check_way(before: State, verb: Verb, after: State) -> None:
    """The stage that is asked next is the one that should be."""
    if after.asking is None:
        kept = after.resume == before.resume
        assert kept or after.status is not ApprovalState.PENDING, "the way back is forgotten"
        return
    if isinstance(verb, Return):
        expected: int | None = verb.stage
        assert after.resume == (before.stage if verb.back_here else None), "the way back is not known"
    elif isinstance(verb, Resubmit):
        expected = before.returned_from if verb.to_returner and before.returned_from is not None else 0
    else:
        expected = before.stage + 1 if before.resume is None else before.resume
    assert after.asking == expected, f"stage {after.asking} is asked, not {expected}"
    assert after.round == before.round + isinstance(verb, Return | Resubmit), "the round is wrong"


def check_heir(before: State, verb: Transfer, after: State) -> None:
    """A transferred task keeps its place, its time, and those added to it."""
    old, new = before.task(verb.task), after.task(verb.to.id)
    place = [one.id for one in after.tasks].index(old.id)
    assert after.tasks[place + 1].id == new.id, "a transferred task lost its place"
    assert (new.stage, new.slot, new.round, new.parent, new.added, new.state) == (
        old.stage, old.slot, old.round, old.parent, old.added, old.state,
    ), "a transferred task is another"  # fmt: skip
    assert not [one for one in after.tasks if one.parent == old.id], "added signers were left behind"


# -- a state


def check_state(state: State, removed: Collection[UUID]) -> None:
    """What holds between any two verbs; nothing is said of the moment in which people are being found."""
    assert len({one.id for one in state.tasks}) == len(state.tasks), "two tasks of one id"
    for task in state.tasks:
        assert (task.state is ApprovalTaskState.DONE) == (task.signer is not None) or (
            task.answer is ApprovalAnswer.TRANSFER
        ), "an answer without its signer"
    if state.asking is not None:
        return
    if state.status is ApprovalState.PENDING:
        _check_turns(state, removed)
    elif state.status is ApprovalState.RETURNED:
        living = [one for one in state.tasks if one.living]
        assert [one.kind for one in living] == [ApprovalTaskKind.RESUBMIT], "no way back"
        assert living[0].user == state.requester, "it came back to somebody else"
    else:
        assert not [one for one in state.tasks if one.living], f"a task is left at {state.status}"


def _check_turns(state: State, removed: Collection[UUID]) -> None:
    by_id = {one.id: one for one in state.tasks}
    waited_for = _waited_for(state)
    seats = _seats(state, state.stage, state.round, removed)
    early = {one.id for one in _too_early(state, seats, removed)}
    for task in state.tasks:
        if not task.living:
            continue
        assert (task.stage, task.round) == (state.stage, state.round), "a task of another stage is left"
        assert not any(_forbids(state, one) for one in (task.user, task.instead_of)), "who asks is to sign"
        root = task
        while root.parent is not None:
            root = by_id[root.parent]
        assert _counts(root, removed), "a task is left of somebody removed"
        blocked = task.id in waited_for or root.id in early
        assert (task.state is OPEN) != blocked, "out of turn" if blocked else "its turn is overlooked"


def _waited_for(state: State) -> set[UUID]:
    """Tasks that wait for signers added before them, or for advice."""
    first = (ApprovalAdded.BEFORE, ApprovalAdded.DELEGATED)
    return {one.parent for one in state.tasks if one.living and one.added in first and one.parent is not None}


def _too_early(state: State, seats: Sequence[Sequence[Task]], removed: Collection[UUID]) -> list[Task]:
    """Seats whose turn has not come in a sequence, of their slot or of slots."""
    declared = state.stages[state.stage]
    early: list[Task] = []
    reached = True
    for slot, people in zip(declared.slots, seats, strict=True):
        answers = [answer_of(state, one, removed) for one in people]
        for number, one in enumerate(people):
            behind = slot.rule is ApprovalRule.SEQUENTIAL and not all(answers[:number])
            if behind or not reached:
                early.append(one)
        if declared.rule is ApprovalRule.SEQUENTIAL and people:
            reached = reached and counted(slot.rule, slot.need, answers) is True
    return early
