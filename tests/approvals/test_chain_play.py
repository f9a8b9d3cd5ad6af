"""The pure engine of signatures: laws that hold whatever anybody does, by random play; and that the player would notice."""

from __future__ import annotations

import itertools
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.approvals.chain import apply, verdict
from crm_core.approvals.words import (
    Add,
    ApprovalAnswer,
    ApprovalRule,
    ApprovalState,
    ApprovalTaskState,
    Approve,
    Effects,
    Expire,
    Finished,
    Illegal,
    Perform,
    Reject,
    Return,
    Seat,
    Settle,
    State,
    Step,
    TaskMoved,
    Verb,
)
from tests.approvals.laws import satisfied
from tests.approvals.playing import HELD, Engine, play

FIXED_SEED = 20251122
RUNS = 10_400
"""Requests played in one run of the tests: half of them the same as ever, half of them new."""
PARTS = 4
VERBS = {
    "seat", "approve", "reject", "return", "resubmit", "withdraw", "recall", "terminate", "transfer", "delegate",
    "add", "remove", "expire", "copy", "urge", "settle", "adopt", "attach",
}  # fmt: skip
Tell = Callable[[str], None]


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Tell:
    """Says something to whoever runs the tests, passed or not."""

    def say(text: str) -> None:
        with capfd.disabled():
            print(text, file=sys.stderr, flush=True)  # noqa: T201  # the figures are the result

    return say


# -- play


@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_requests_as_ever_keep_the_laws(part: int) -> None:
    size = RUNS // 2 // PARTS
    assert set(play(size, FIXED_SEED, first=part * size)) == VERBS


@pytest.mark.parametrize("part", range(PARTS))
def test_requests_nobody_has_played_before_keep_the_laws(part: int, tell: Tell) -> None:
    """`make fuzz-approvals RUNS=n SEED=s` plays so many of that seed."""
    seed = int(os.environ.get("APPROVAL_SEED") or secrets.randbelow(10**9))
    size = -(-int(os.environ.get("APPROVAL_RUNS") or RUNS // 2) // PARTS)
    first = part * size
    tell(f"\napprovals: {size} requests from number {first}, seed {seed}")
    verbs = play(size, seed, first=first)
    tell(f"\napprovals: {size} requests, seed {seed}, {sum(verbs.values())} verbs: {_told(verbs)}")


def _told(verbs: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in verbs.most_common())


# -- the player would notice


def _forgets_a_signature(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    if isinstance(verb, Approve):
        return replace(after, tasks=state.tasks), effects
    return after, effects


def _loses_an_earlier_decision(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    if isinstance(verb, Return):
        kept = tuple(task for task in after.tasks if task.answer is None)
        return replace(after, tasks=kept), effects
    return after, effects


def _leaves_a_task_open(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    if after.status is not ApprovalState.REJECTED or not isinstance(verb, Reject):
        return after, effects
    before = {task.id: task for task in state.tasks}
    woken = {
        task.id: before[task.id] for task in after.tasks if task.answer is None and before[task.id].living
    }
    tasks = tuple(woken.get(task.id, task) for task in after.tasks)
    return replace(after, tasks=tasks), (*effects, *map(TaskMoved, woken.values()))


def _performs_twice(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    done = isinstance(verb, Settle) and after.performed
    return (after, (*effects, Perform())) if done else (after, effects)


def _loses_a_line_of_the_log(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    return (replace(after, log=state.log), effects) if isinstance(verb, Return) else (after, effects)


def _keeps_a_change_to_itself(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    return after, tuple(e for e in effects if not isinstance(e, TaskMoved) or e.task.answer is not None)


def _forgets_whose_turn_it_is(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    return _all(after, effects, ApprovalTaskState.OPEN, ApprovalTaskState.WAITING)


def _asks_all_at_once(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    return _all(after, effects, ApprovalTaskState.WAITING, ApprovalTaskState.OPEN)


def _all(state: State, effects: Effects, old: ApprovalTaskState, new: ApprovalTaskState) -> Step:
    """The state in which all tasks that are `old` are `new`, and everything told of it."""
    tasks = tuple(replace(task, state=new) if task.state is old else task for task in state.tasks)
    others = tuple(e for e in effects if not isinstance(e, TaskMoved))
    return replace(state, tasks=tasks), (*map(TaskMoved, tasks), *others)


def _takes_one_signature_for_all(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    stages = tuple(
        replace(
            stage, rule=ApprovalRule.ANY, slots=tuple(replace(s, rule=ApprovalRule.ANY) for s in stage.slots)
        )
        for stage in state.stages
    )
    after, effects = apply(replace(state, stages=stages), verb, actor, now)
    return replace(after, stages=state.stages), effects


def _lets_anybody_sign(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    open_ = [task.id for task in state.tasks if task.state is ApprovalTaskState.OPEN]
    if state.status is ApprovalState.PENDING and isinstance(verb, Approve) and open_:
        after, effects = apply(state, Expire(open_[0], ApprovalAnswer.APPROVE), actor, now)
        return replace(after, log=(*state.log, replace(after.log[-1], verb=verb))), effects
    return apply(state, verb, actor, now)


def _lets_the_added_add(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    if not isinstance(verb, Add):
        return apply(state, verb, actor, now)
    task = state.task(verb.task)
    tasks = tuple(replace(one, added=None) if one.id == task.id else one for one in state.tasks)
    return apply(replace(state, tasks=tasks), verb, actor, now)


def _asks_the_wrong_stage(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    return apply(replace(state, resume=None), verb, actor, now)


def _says_it_has_ended(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    ended = isinstance(verb, Approve)
    return (after, (*effects, Finished(ApprovalState.REJECTED))) if ended else (after, effects)


def _leaves_out_the_second_stage(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
    after, effects = apply(state, verb, actor, now)
    if isinstance(verb, Seat) or after.asking is None or after.asking + 1 >= len(after.stages):
        return after, effects
    return replace(after, asking=after.asking + 1, stage=after.asking + 1), effects


@pytest.mark.parametrize(
    ("broken", "noticed"),
    [
        (_forgets_a_signature, "a signature left no trace"),
        (_loses_an_earlier_decision, "a signature left no trace|a decision is lost"),
        (_leaves_a_task_open, "a task is left at REJECTED"),
        (_performs_twice, "performed twice"),
        (_loses_a_line_of_the_log, "the log does not tell it"),
        (_keeps_a_change_to_itself, "the effects do not tell all"),
        (_forgets_whose_turn_it_is, "its turn is overlooked"),
        (_asks_all_at_once, "out of turn"),
        (_takes_one_signature_for_all, "although the votes say|although the stage is decided"),
        (_lets_anybody_sign, "signed without being asked"),
        (_lets_the_added_add, "an added signer added another"),
        (_asks_the_wrong_stage, "is asked, not|the way back is forgotten"),
        (_says_it_has_ended, "it is said to have ended otherwise"),
        (_leaves_out_the_second_stage, "is asked, not|another stage is wanted"),
    ],
)
def test_the_player_notices_an_engine_that(broken: Engine, noticed: str) -> None:
    with pytest.raises(AssertionError, match=f"seed [0-9]+: .*({noticed})"):
        play(400, FIXED_SEED, broken)


def test_the_player_notices_an_engine_that_refuses_what_must_be_possible() -> None:
    def refuses(state: State, verb: Verb, actor: UUID, now: datetime) -> Step:
        if isinstance(verb, Approve) and actor == max(HELD):
            raise Illegal("APPROVAL_NOT_YOURS")
        return apply(state, verb, actor, now)

    with pytest.raises(AssertionError, match="approve is refused: APPROVAL_NOT_YOURS"):
        play(400, FIXED_SEED, refuses)


# -- counting

ANSWERS = st.lists(st.sampled_from([True, False, None]), max_size=7)
VOTES = st.sampled_from([rule for rule in ApprovalRule if rule is not ApprovalRule.ANY])
NEEDS = st.integers(1, 100)


@given(VOTES, NEEDS, ANSWERS)
def test_a_vote_is_decided_as_soon_as_it_can_end_in_one_way_only(
    rule: ApprovalRule, need: int, answers: list[bool | None]
) -> None:
    """Against its definition: every way in which those who are silent might answer is tried."""
    silent = answers.count(None)
    ends = set()
    for rest in itertools.product((True, False), repeat=silent):
        said = iter(rest)
        ends.add(satisfied(rule, need, [next(said) if one is None else one for one in answers]))
    assert verdict(rule, need, answers) is (ends.pop() if len(ends) == 1 else None)


@given(st.sampled_from(list(ApprovalRule)), NEEDS, ANSWERS, st.data())
def test_what_is_decided_stays_so_when_another_answers(
    rule: ApprovalRule, need: int, answers: list[bool | None], data: st.DataObject
) -> None:
    decided = verdict(rule, need, answers)
    silent = [number for number, one in enumerate(answers) if one is None]
    if decided is None or not silent or (rule is ApprovalRule.ANY and decided is False):
        return  # where the first answer counts, nobody is asked after it
    after = list(answers)
    after[data.draw(st.sampled_from(silent))] = data.draw(st.booleans())
    assert verdict(rule, need, after) is decided


@given(st.sampled_from(list(ApprovalRule)), NEEDS, ANSWERS)
def test_a_signature_more_never_harms(rule: ApprovalRule, need: int, answers: list[bool | None]) -> None:
    order = {False: 0, None: 1, True: 2}
    for number, one in enumerate(answers):
        if one is None:
            better = [*answers[:number], True, *answers[number + 1 :]]
            assert order[verdict(rule, need, better)] >= order[verdict(rule, need, answers)]


@given(NEEDS, ANSWERS)
def test_where_any_may_answer_one_answer_decides(need: int, answers: list[bool | None]) -> None:
    decided = verdict(ApprovalRule.ANY, need, answers)
    assert (decided is None) == (bool(answers) and set(answers) == {None})
    assert decided is not False or True not in answers


@pytest.mark.parametrize("rule", list(ApprovalRule))
def test_nobody_to_ask_is_no_hindrance(rule: ApprovalRule) -> None:
    assert verdict(rule, None, ()) is True
