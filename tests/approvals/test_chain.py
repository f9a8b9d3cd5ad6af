"""The pure engine of signatures: rules by example, and laws by random play."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_core.approvals.chain import (
    ApprovalRule,
    ApprovalState,
    ApprovalTaskState,
    Approve,
    Effects,
    Finished,
    Illegal,
    Perform,
    Reject,
    Settle,
    Slot,
    Stage,
    State,
    Task,
    Verb,
    Withdraw,
    apply,
    replay,
    signable,
    start,
)

ANY, ALL = ApprovalRule.ANY, ApprovalRule.ALL
NOW = datetime(2025, 11, 3, tzinfo=UTC)
LI, WANG, ZHAO, CHEN = PEOPLE = [UUID(int=n) for n in range(1, 5)]
ROLES = ("manager", "finance")


def asked(number: int, role: str | None = None, user: UUID | None = None) -> Task:
    return Task(UUID(int=100 + number), role, user)


def one_stage(*slots: Slot, rule: ApprovalRule = ALL) -> Stage:
    return Stage("", rule, slots)


def manager_slot(number: int = 0) -> Slot:
    return Slot(ANY, (asked(number, role="manager"),))


def person_slot(number: int, *people: UUID, rule: ApprovalRule = ALL) -> Slot:
    return Slot(rule, tuple(asked(number + i, user=user) for i, user in enumerate(people)))


def holding(*roles: str) -> frozenset[str]:
    return frozenset(roles)


def test_one_holder_of_the_role_is_enough() -> None:
    state, _ = start(LI, [one_stage(manager_slot())])
    state, effects = apply(state, Approve(holding("manager"), "fine"), WANG, NOW)
    assert state.status is ApprovalState.APPROVED
    assert Perform() in effects
    assert (state.tasks[0].signer, state.tasks[0].comment, state.tasks[0].at) == (WANG, "fine", NOW)


def test_all_named_people_sign_before_the_change_is_made() -> None:
    state, _ = start(LI, [one_stage(person_slot(0, WANG, ZHAO))])
    state, effects = apply(state, Approve(), WANG, NOW)
    assert (state.status, Perform() in effects) == (ApprovalState.PENDING, False)
    state, effects = apply(state, Approve(), ZHAO, NOW)
    assert (state.status, Perform() in effects) == (ApprovalState.APPROVED, True)


def test_the_second_stage_is_asked_when_the_first_is_satisfied() -> None:
    state, _ = start(LI, [one_stage(person_slot(0, WANG)), one_stage(person_slot(1, ZHAO))])
    assert signable(state, ZHAO, ()) == ()
    state, _ = apply(state, Approve(), WANG, NOW)
    assert [t.user for t in signable(state, ZHAO, ())] == [ZHAO]


def test_a_slot_that_is_satisfied_asks_the_others_no_longer() -> None:
    state, _ = start(LI, [one_stage(person_slot(0, WANG, ZHAO, rule=ANY), person_slot(2, CHEN))])
    state, _ = apply(state, Approve(), WANG, NOW)
    assert [t.state for t in state.tasks] == [
        ApprovalTaskState.DONE,
        ApprovalTaskState.CANCELLED,
        ApprovalTaskState.OPEN,
    ]


def test_one_refusal_ends_the_request() -> None:
    state, _ = start(LI, [one_stage(person_slot(0, WANG, ZHAO)), one_stage(manager_slot(2))])
    state, effects = apply(state, Reject(comment="no"), ZHAO, NOW)
    assert state.status is ApprovalState.REJECTED
    assert effects[-1] == Finished(ApprovalState.REJECTED)
    assert {t.state for t in state.tasks} == {ApprovalTaskState.DONE, ApprovalTaskState.CANCELLED}


@pytest.mark.parametrize(
    ("verb", "actor", "code"),
    [
        (Approve(holding("manager")), LI, "APPROVAL_SELF"),
        (Approve(holding("finance")), WANG, "APPROVAL_NOT_YOURS"),
        (Reject(), WANG, "APPROVAL_NOT_YOURS"),
        (Withdraw(), WANG, "APPROVAL_NOT_REQUESTER"),
        (Settle(ApprovalState.APPROVED), WANG, "APPROVAL_FINISHED"),
    ],
)
def test_who_may_not_is_refused_with_the_reason(verb: Verb, actor: UUID, code: str) -> None:
    state, _ = start(LI, [one_stage(manager_slot())])
    with pytest.raises(Illegal, match=code):
        apply(state, verb, actor, NOW)


def test_nothing_is_signed_after_the_end() -> None:
    state, _ = start(LI, [one_stage(manager_slot())])
    state, _ = apply(state, Withdraw(), LI, NOW)
    for verb, actor in (
        (Approve(holding("manager")), WANG),
        (Reject(holding("manager")), WANG),
        (Withdraw(), LI),
    ):
        with pytest.raises(Illegal, match="APPROVAL_FINISHED"):
            apply(state, verb, actor, NOW)


def test_a_requester_signs_his_own_where_the_policy_allows_it() -> None:
    state, _ = start(LI, [one_stage(manager_slot())], self_approval=True)
    assert apply(state, Approve(holding("manager")), LI, NOW)[0].status is ApprovalState.APPROVED


@pytest.mark.parametrize(
    "stages", [[], [one_stage()], [one_stage(Slot(ANY, ()))], [one_stage(person_slot(0, LI))]]
)
def test_a_request_that_nobody_could_sign_does_not_begin(stages: list[Stage]) -> None:
    with pytest.raises(Illegal, match="APPROVAL_NO_SIGNER"):
        start(LI, stages)


# -- laws, by random play

assignees = st.one_of(
    st.sampled_from(ROLES).map(lambda role: (role, None)),
    st.sampled_from(PEOPLE).map(lambda user: (None, user)),
)
rules = st.sampled_from([ANY, ALL])
slots = st.tuples(rules, st.lists(assignees, min_size=1, max_size=3))
definitions = st.lists(st.tuples(rules, st.lists(slots, min_size=1, max_size=3)), min_size=1, max_size=3)
held_roles = st.frozensets(st.sampled_from(ROLES))
verbs = st.one_of(
    st.builds(Approve, held_roles),
    st.builds(Approve, held_roles),
    st.builds(Approve, held_roles),
    st.builds(Reject, held_roles),
    st.just(Withdraw()),
    st.builds(Settle, st.sampled_from(list(ApprovalState))),
)
plays = st.lists(st.tuples(verbs, st.sampled_from(PEOPLE)), max_size=14)


def made(
    definition: list[tuple[ApprovalRule, list[tuple[ApprovalRule, list[tuple[str | None, UUID | None]]]]]],
) -> list[Stage]:
    numbers = iter(range(1_000))
    return [
        Stage(
            "",
            rule,
            tuple(Slot(r, tuple(asked(next(numbers), *who) for who in people)) for r, people in places),
        )
        for rule, places in definition
    ]


def lawful(state: State) -> None:
    living = [t for t in state.tasks if t.state is ApprovalTaskState.OPEN]
    if state.status is ApprovalState.PENDING:
        assert living
        assert all(t in state.stages[state.stage].tasks for t in living)
        assert all(state.self_approval or t.user != state.requester for t in living)
    else:
        assert not living
        assert not [t for t in state.tasks if t.state is ApprovalTaskState.WAITING]
    assert not state.performed or state.status is ApprovalState.APPROVED
    for task in state.tasks:
        assert (
            (task.signer is not None) == (task.state is ApprovalTaskState.DONE) == (task.answer is not None)
        )


def play(state: State, moves: list[tuple[Verb, UUID]]) -> tuple[State, list[Effects]]:
    effects = []
    for step, (verb, actor) in enumerate(moves):
        before = state
        try:
            state, more = apply(state, verb, actor, NOW + timedelta(minutes=step))
        except Illegal:
            assert state == before
        else:
            effects.append(more)
            assert len(state.log) == len(before.log) + 1
            signed = {t.id for t in before.tasks if t.state is ApprovalTaskState.DONE}
            assert signed <= {t.id for t in state.tasks if t.state is ApprovalTaskState.DONE}
        lawful(state)
    return state, effects


@settings(max_examples=400, deadline=None)
@given(definition=definitions, own=st.booleans(), moves=plays)
def test_whatever_happens_the_laws_hold(
    definition: list[tuple[ApprovalRule, list[tuple[ApprovalRule, list[tuple[str | None, UUID | None]]]]]],
    own: bool,  # noqa: FBT001
    moves: list[tuple[Verb, UUID]],
) -> None:
    try:
        state, _ = start(LI, made(definition), self_approval=own)
    except Illegal:
        return
    lawful(state)
    state, effects = play(state, moves)
    assert sum(Perform() in e for e in effects) <= 1
    assert replay(state) == state


@settings(max_examples=200, deadline=None)
@given(definition=definitions, moves=plays)
def test_everybody_approving_always_leads_to_the_change(
    definition: list[tuple[ApprovalRule, list[tuple[ApprovalRule, list[tuple[str | None, UUID | None]]]]]],
    moves: list[tuple[Verb, UUID]],
) -> None:
    try:
        state, _ = start(LI, made(definition), self_approval=True)
    except Illegal:
        return
    state, _ = play(state, [(v, a) for v, a in moves if isinstance(v, Approve)])
    rest: list[tuple[Verb, UUID]] = [(Approve(frozenset(ROLES)), who) for _ in definition for who in PEOPLE]
    state, _ = play(state, rest)
    assert state.status is ApprovalState.APPROVED
    assert replace(state, log=()) == replace(replay(state), log=())
