"""The pure engine of signatures: each of its rules by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest

from crm_core.approvals.chain import apply, replay, signable, start
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
    Slot,
    Stage,
    State,
    Task,
    TaskMoved,
    Terminate,
    Transfer,
    Urge,
    Verb,
    Withdraw,
)

ALL, ANY, QUORUM, RATIO, SEQUENTIAL = (
    ApprovalRule.ALL, ApprovalRule.ANY, ApprovalRule.QUORUM, ApprovalRule.RATIO, ApprovalRule.SEQUENTIAL,
)  # fmt: skip
BEFORE, AFTER, PARALLEL = ApprovalAdded.BEFORE, ApprovalAdded.AFTER, ApprovalAdded.PARALLEL
PENDING, RETURNED, APPROVED, REJECTED = (
    ApprovalState.PENDING, ApprovalState.RETURNED, ApprovalState.APPROVED, ApprovalState.REJECTED,
)  # fmt: skip
WAITING, OPEN, DONE, CANCELLED = ApprovalTaskState
NOW = datetime(2025, 11, 3, 1, tzinfo=UTC)
LI, WANG, ZHAO, CHEN, QIAN, SUN, DIRECTOR, SYSTEM = (UUID(int=n) for n in range(1, 9))
MANAGER = frozenset({"manager"})
Who: TypeAlias = UUID | str | Asked
"""A person, a role, or somebody with a deputy."""


# -- how the examples are told


def ask(who: Who) -> Asked:
    if isinstance(who, Asked):
        return who
    return Asked(uuid4(), role=who) if isinstance(who, str) else Asked(uuid4(), user=who)


def for_absent(absent: UUID, *, deputy: UUID) -> Asked:
    return Asked(uuid4(), user=deputy, instead_of=absent)


def stage(*rules: ApprovalRule, rule: ApprovalRule = ALL, need: int | None = None) -> Stage:
    """A stage with one slot for each of these rules."""
    return Stage(tuple(Slot(one) for one in rules), rule, need)


def request(
    *stages: Stage,
    requester: UUID = LI,
    self_approval: ApprovalSelf = ApprovalSelf.FORBID,
    same_signer: ApprovalSame = ApprovalSame.SIGN,
) -> State:
    return start(requester, stages, self_approval=self_approval, same_signer=same_signer)[0]


def seated(state: State, *slots: Sequence[Who], copies: tuple[UUID, ...] = ()) -> State:
    """The wanted stage asks these, slot by slot."""
    return does(state, SYSTEM, Seat(tuple(tuple(ask(who) for who in people) for people in slots), copies))


def asking(*people: Who, rule: ApprovalRule = ALL, need: int | None = None) -> State:
    """A request of Li's with one stage of one slot, that asks these."""
    return seated(request(Stage((Slot(rule, need),))), people)


def two_stages() -> State:
    """Wang and Zhao sign in parallel; then Chen and Qian are to, who are not yet asked."""
    return seated(request(stage(ALL), stage(ALL, ALL)), [WANG, ZHAO])


def in_second_stage() -> State:
    """Chen and Qian, each in a slot of his own, are asked at the same time."""
    return seated(signed(two_stages(), WANG, ZHAO), [CHEN], [QIAN])


def does(state: State, actor: UUID, verb: Verb) -> State:
    return apply(state, verb, actor, NOW)[0]


def effects_of(state: State, actor: UUID, verb: Verb) -> Effects:
    return apply(state, verb, actor, NOW)[1]


def signed(state: State, *actors: UUID) -> State:
    """These approve, one after the other."""
    for actor in actors:
        state = does(state, actor, Approve(MANAGER))
    return state


def refusal(state: State, actor: UUID, verb: Verb) -> str:
    """The code with which the verb is refused."""
    with pytest.raises(Illegal) as caught:
        apply(state, verb, actor, NOW)
    return caught.value.code


def turn(state: State) -> list[UUID | str | None]:
    """Who can act now, in order of the tasks."""
    return [task.user or task.role for task in state.tasks if task.state is OPEN]


def task(state: State, who: UUID | str) -> Task:
    """The latest task of this person or role."""
    return [one for one in state.tasks if who in (one.user, one.role)][-1]


def added(state: State, actor: UUID, how: ApprovalAdded, *people: Who) -> State:
    assert how is not ApprovalAdded.DELEGATED
    return does(state, actor, Add(task(state, actor).id, tuple(ask(who) for who in people), how))


def delegated(state: State, actor: UUID, to: Who) -> State:
    return does(state, actor, Delegate(task(state, actor).id, ask(to)))


def transferred(state: State, actor: UUID, to: Who) -> State:
    return does(state, actor, Transfer(task(state, actor).id, ask(to)))


def returned(state: State, actor: UUID, to: int | None = None, *, back_here: bool = False) -> State:
    return does(state, actor, Return(uuid4(), stage=to, back_here=back_here))


def performed(state: State) -> State:
    return does(state, SYSTEM, Settle(APPROVED))


# -- the rules of a slot


def test_one_signature_is_enough_where_any_may_sign() -> None:
    state = signed(asking(WANG, ZHAO, rule=ANY), ZHAO)
    assert state.status is APPROVED
    assert (task(state, WANG).state, task(state, ZHAO).state) == (CANCELLED, DONE)


def test_the_first_answer_counts_where_any_may_sign_even_a_refusal() -> None:
    assert does(asking(WANG, ZHAO, rule=ANY), WANG, Reject()).status is REJECTED


def test_all_must_sign() -> None:
    state = signed(asking(WANG, ZHAO), WANG)
    assert (state.status, turn(state)) == (PENDING, [ZHAO])
    assert signed(state, ZHAO).status is APPROVED


def test_one_refusal_is_enough_where_all_must_sign() -> None:
    state = does(asking(WANG, ZHAO), WANG, Reject(comment="too dear"))
    assert (state.status, turn(state)) == (REJECTED, [])
    assert (task(state, WANG).answer, task(state, WANG).comment) == (ApprovalAnswer.REJECT, "too dear")


def test_a_quorum_is_reached_when_so_many_have_signed() -> None:
    state = does(asking(WANG, ZHAO, CHEN, rule=QUORUM, need=2), ZHAO, Reject())
    assert signed(state, WANG).status is PENDING
    assert signed(state, WANG, CHEN).status is APPROVED


def test_a_quorum_that_can_no_longer_be_reached_is_a_refusal() -> None:
    state = does(asking(WANG, ZHAO, CHEN, rule=QUORUM, need=2), WANG, Reject())
    assert does(state, ZHAO, Reject()).status is REJECTED


def test_a_quorum_greater_than_those_asked_means_all_of_them() -> None:
    state = asking(WANG, ZHAO, rule=QUORUM, need=5)
    assert signed(state, WANG).status is PENDING
    assert signed(state, WANG, ZHAO).status is APPROVED


def test_half_of_three_is_two() -> None:
    state = asking(WANG, ZHAO, CHEN, rule=RATIO, need=50)
    assert signed(state, CHEN).status is PENDING
    assert signed(state, CHEN, WANG).status is APPROVED


def test_two_thirds_and_a_bit_of_three_is_all_three() -> None:
    assert does(asking(WANG, ZHAO, CHEN, rule=RATIO, need=67), WANG, Reject()).status is REJECTED


def test_a_sequence_is_signed_in_turn() -> None:
    state = asking(WANG, ZHAO, CHEN, rule=SEQUENTIAL)
    assert [one.state for one in state.tasks] == [OPEN, WAITING, WAITING]
    assert turn(signed(state, WANG)) == [ZHAO]
    assert turn(signed(state, WANG, ZHAO)) == [CHEN]
    assert signed(state, WANG, ZHAO, CHEN).status is APPROVED


def test_nobody_signs_in_a_sequence_before_his_turn() -> None:
    state = asking(WANG, ZHAO, rule=SEQUENTIAL)
    for verb in (
        Approve(), Reject(), Approve(task=task(state, ZHAO).id), Return(uuid4()), Transfer(task(state, ZHAO).id, ask(SUN)),
        Delegate(task(state, ZHAO).id, ask(SUN)), Add(task(state, ZHAO).id, (ask(SUN),), BEFORE),
    ):  # fmt: skip
        assert refusal(state, ZHAO, verb) == "APPROVAL_NOT_YOURS"
    assert refusal(state, SYSTEM, Expire(task(state, ZHAO).id, ApprovalAnswer.APPROVE)) == "APPROVAL_NO_TASK"


def test_a_refusal_ends_a_sequence_for_those_behind() -> None:
    state = does(asking(WANG, ZHAO, rule=SEQUENTIAL), WANG, Reject())
    assert (state.status, task(state, ZHAO).state) == (REJECTED, CANCELLED)


def test_any_holder_of_the_role_does_the_task_of_a_role() -> None:
    state = asking("manager")
    assert refusal(state, WANG, Approve(frozenset({"finance"}))) == "APPROVAL_NOT_YOURS"
    state = does(state, WANG, Approve(MANAGER, "fine"))
    done = task(state, "manager")
    assert (state.status, done.signer, done.comment, done.at) == (APPROVED, WANG, "fine", NOW)


# -- the rules of a stage


def test_slots_are_asked_at_the_same_time_and_all_of_them_must_be_satisfied() -> None:
    state = seated(request(stage(ANY, ALL)), [WANG, ZHAO], [CHEN])
    assert turn(state) == [WANG, ZHAO, CHEN]
    assert turn(signed(state, WANG)) == [CHEN]
    assert signed(state, WANG, CHEN).status is APPROVED


def test_one_satisfied_slot_is_enough_where_any_may() -> None:
    state = seated(request(stage(ALL, ALL, rule=ANY)), [WANG, ZHAO], [CHEN])
    assert signed(state, WANG).status is PENDING
    assert signed(state, CHEN).status is APPROVED


def test_a_quorum_of_slots_outlives_a_refused_slot() -> None:
    state = seated(request(stage(ALL, ALL, ALL, rule=QUORUM, need=2)), [WANG, ZHAO], [CHEN], [QIAN])
    state = does(state, WANG, Reject())
    assert (state.status, turn(state)) == (PENDING, [CHEN, QIAN])
    assert signed(state, CHEN, QIAN).status is APPROVED
    assert does(state, QIAN, Reject()).status is REJECTED


def test_a_share_of_the_slots_is_rounded_up() -> None:
    state = seated(request(stage(ALL, ALL, ALL, rule=RATIO, need=50)), [WANG], [ZHAO], [CHEN])
    assert signed(state, ZHAO).status is PENDING
    assert signed(state, ZHAO, CHEN).status is APPROVED


def test_slots_in_sequence_are_asked_one_after_the_other() -> None:
    state = seated(request(stage(ANY, ALL, ANY, rule=SEQUENTIAL)), [WANG, ZHAO], [CHEN, QIAN], [SUN])
    assert turn(state) == [WANG, ZHAO]
    assert refusal(state, CHEN, Approve()) == "APPROVAL_NOT_YOURS"
    state = signed(state, ZHAO)
    assert turn(state) == [CHEN, QIAN]
    assert turn(signed(state, CHEN, QIAN)) == [SUN]
    assert signed(state, QIAN, CHEN, SUN).status is APPROVED


def test_a_sequence_inside_a_sequence_of_slots_begins_when_its_slot_does() -> None:
    state = seated(request(stage(ALL, SEQUENTIAL, rule=SEQUENTIAL)), [WANG], [CHEN, QIAN])
    assert turn(state) == [WANG]
    assert turn(signed(state, WANG)) == [CHEN]
    assert turn(signed(state, WANG, CHEN)) == [QIAN]


def test_the_second_stage_is_asked_when_the_first_is_satisfied() -> None:
    state = two_stages()
    assert effects_of(signed(state, WANG), ZHAO, Approve())[-1] == Ask(1)
    state = signed(state, WANG, ZHAO)
    assert (state.asking, turn(state)) == (1, [])
    assert turn(seated(state, [CHEN], [QIAN])) == [CHEN, QIAN]


def test_the_change_is_performed_when_the_last_stage_is_satisfied() -> None:
    state = signed(in_second_stage(), CHEN)
    assert Perform() not in effects_of(in_second_stage(), CHEN, Approve())
    assert effects_of(state, QIAN, Approve())[-1] == Perform()


# -- whom a stage asks


def test_nothing_happens_while_people_are_being_found() -> None:
    state = request(stage(ALL))
    key = uuid4()
    for verb in (
        Approve(), Reject(), Return(key), Resubmit(), Withdraw(), Recall(), Terminate(), Transfer(key, ask(SUN)),
        Delegate(key, ask(SUN)), Add(key, (ask(SUN),), BEFORE), Remove(key), Expire(key, ApprovalAnswer.APPROVE),
        Copy((SUN,)), Urge(), Settle(APPROVED), Adopt(), Attach(),
    ):  # fmt: skip
        assert refusal(state, LI, verb) == "APPROVAL_ASKING"


def test_nobody_is_seated_unasked() -> None:
    assert refusal(asking(WANG), SYSTEM, Seat(((ask(SUN),),))) == "APPROVAL_ASKING"


def test_every_slot_must_be_answered() -> None:
    assert refusal(request(stage(ALL, ALL)), SYSTEM, Seat(((ask(WANG),),))) == "APPROVAL_SEATS"


@pytest.mark.parametrize("stages", [(), (Stage(()),), (Stage((Slot(),)), Stage(()))])
def test_a_request_without_places_for_signatures_does_not_begin(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(Illegal, match="APPROVAL_NO_SIGNER"):
        start(LI, stages)


@pytest.mark.parametrize("empty", [e for e in ApprovalEmpty if e is not ApprovalEmpty.SKIP])
@pytest.mark.parametrize("people", [(), (LI,)])
def test_a_place_must_not_stay_empty(empty: ApprovalEmpty, people: tuple[UUID, ...]) -> None:
    state = request(Stage((Slot(), Slot()), empty=empty))
    assert refusal(state, SYSTEM, Seat(((ask(WANG),), tuple(map(ask, people))))) == "APPROVAL_NO_SIGNER"


def test_an_empty_place_is_left_out_where_the_policy_says_so() -> None:
    state = seated(request(Stage((Slot(), Slot()), empty=ApprovalEmpty.SKIP)), [], [WANG])
    assert turn(state) == [WANG]
    assert signed(state, WANG).status is APPROVED


def test_a_stage_with_empty_places_alone_is_left_out() -> None:
    state = request(Stage((Slot(), Slot()), empty=ApprovalEmpty.SKIP), stage(ALL))
    assert seated(state, [], []).asking == 1


def test_a_stage_whose_condition_does_not_hold_is_left_out() -> None:
    state = request(stage(ALL), stage(ALL))
    state, effects = apply(state, Seat(skipped=True), SYSTEM, NOW)
    assert (state.asking, effects) == (1, (Ask(1),))


def test_without_any_stage_left_the_change_is_performed_at_once() -> None:
    state, effects = apply(request(stage(ALL)), Seat(skipped=True), SYSTEM, NOW)
    assert (state.status, effects) == (APPROVED, (Perform(),))


# -- who asks and who has signed


def test_who_asks_does_not_sign() -> None:
    state = asking(LI, WANG, "manager")
    assert turn(state) == [WANG, "manager"]
    assert signable(state, LI, MANAGER) == ()
    assert refusal(state, LI, Approve(MANAGER)) == "APPROVAL_SELF"
    assert refusal(state, LI, Reject(MANAGER)) == "APPROVAL_SELF"
    assert refusal(state, LI, Return(uuid4(), MANAGER)) == "APPROVAL_SELF"


def test_nobody_signs_in_place_of_who_asks() -> None:
    state = asking(for_absent(LI, deputy=ZHAO), WANG)
    assert turn(state) == [WANG]


def test_who_asks_hands_no_task_on() -> None:
    state = asking("manager")
    key = task(state, "manager").id
    for verb in (
        Transfer(key, ask(SUN), MANAGER), Delegate(key, ask(SUN), MANAGER), Add(key, (ask(SUN),), BEFORE, MANAGER),
    ):  # fmt: skip
        assert refusal(state, LI, verb) == "APPROVAL_NOT_YOURS"


def test_nobody_hands_a_task_to_who_asks() -> None:
    state = asking(WANG)
    key = task(state, WANG).id
    for one in (ask(LI), for_absent(LI, deputy=ZHAO), for_absent(ZHAO, deputy=LI)):
        for verb in (
            Transfer(key, one), Transfer(key, one, forced=True), Delegate(key, one), Add(key, (ask(SUN), one), AFTER),
        ):  # fmt: skip
            assert refusal(state, WANG, verb) == "APPROVAL_SELF"


def test_who_asks_signs_like_others_where_the_policy_allows_it() -> None:
    state = seated(request(stage(ALL), self_approval=ApprovalSelf.ALLOW), [LI])
    assert turn(state) == [LI]
    assert signed(state, LI).status is APPROVED


def test_who_asks_passes_without_being_asked_where_the_policy_says_so() -> None:
    state = seated(request(stage(ALL), self_approval=ApprovalSelf.AUTO), [LI, WANG])
    done = task(state, LI)
    assert (done.state, done.signer, done.automatic) == (DONE, LI, True)
    assert turn(state) == [WANG]


def _twice(same_signer: ApprovalSame) -> State:
    state = seated(request(stage(ALL), stage(ALL), same_signer=same_signer), [WANG])
    return seated(signed(state, WANG), [WANG, ZHAO])


def test_who_signed_an_earlier_stage_is_asked_again() -> None:
    assert turn(_twice(ApprovalSame.SIGN)) == [WANG, ZHAO]


def test_who_signed_an_earlier_stage_passes_where_the_policy_says_so() -> None:
    state = _twice(ApprovalSame.AUTO)
    assert turn(state) == [ZHAO]
    assert (task(state, WANG).signer, task(state, WANG).automatic) == (WANG, True)


def test_signatures_from_before_a_return_let_nobody_pass() -> None:
    state = does(returned(_twice(ApprovalSame.AUTO), ZHAO), LI, Resubmit(to_returner=True))
    assert turn(seated(state, [WANG, ZHAO])) == [WANG, ZHAO]


def test_who_signed_only_as_an_added_signer_does_not_pass() -> None:
    state = seated(request(stage(ALL), stage(ALL), same_signer=ApprovalSame.AUTO), [WANG])
    state = signed(added(state, WANG, AFTER, ZHAO), ZHAO)
    assert turn(seated(state, [WANG, ZHAO])) == [ZHAO]


def test_a_sequence_goes_on_behind_those_who_pass() -> None:
    state = request(stage(SEQUENTIAL), self_approval=ApprovalSelf.AUTO)
    assert turn(seated(state, [LI, WANG, ZHAO])) == [WANG]


# -- deputies


def test_a_deputy_signs_for_who_is_absent() -> None:
    state = asking(for_absent(WANG, deputy=ZHAO))
    assert (refusal(state, CHEN, Approve()), signed(state, ZHAO).status) == ("APPROVAL_NOT_YOURS", APPROVED)
    done = signed(state, ZHAO).tasks[0]
    assert (done.signer, done.instead_of) == (ZHAO, WANG)


def test_who_is_absent_may_sign_himself_all_the_same() -> None:
    state = signed(asking(for_absent(WANG, deputy=ZHAO)), WANG)
    assert (state.status, state.tasks[0].signer) == (APPROVED, WANG)


def test_one_act_does_every_task_that_asks_for_the_actor() -> None:
    state = seated(request(stage(ALL, ALL, ALL)), [WANG], [for_absent(ZHAO, deputy=WANG)], ["manager"])
    assert len(signable(state, WANG, MANAGER)) == 3
    assert signed(state, WANG).status is APPROVED


def test_one_task_alone_can_be_named() -> None:
    state = seated(request(stage(ALL, ALL)), [WANG], ["manager"])
    state = does(state, WANG, Approve(MANAGER, task=task(state, "manager").id))
    assert turn(state) == [WANG]


# -- sending back


def test_returned_to_who_asks_it_waits_for_him_alone() -> None:
    state, effects = apply(two_stages(), Return(key := uuid4(), comment="amount?"), WANG, NOW)
    assert (state.status, turn(state)) == (RETURNED, [LI])
    assert (state.task(key).kind, state.returned_from) == (ApprovalTaskKind.RESUBMIT, 0)
    assert TaskMoved(state.task(key)) in effects
    assert task(state, ZHAO).state is CANCELLED


def test_one_return_out_of_a_parallel_stage_is_enough_whatever_its_rules() -> None:
    state = returned(in_second_stage(), CHEN, 0)
    assert (state.status, state.asking) == (PENDING, 0)
    assert (task(state, CHEN).answer, task(state, QIAN).state) == (ApprovalAnswer.RETURN, CANCELLED)


def test_what_was_signed_before_a_return_stays_in_the_tasks_but_counts_no_more() -> None:
    state = seated(returned(in_second_stage(), CHEN, 0), [WANG, ZHAO])
    assert [one.signer for one in state.tasks if one.answer is ApprovalAnswer.APPROVE] == [WANG, ZHAO]
    assert turn(state) == [WANG, ZHAO]
    assert signed(state, WANG).asking is None


@pytest.mark.parametrize("target", [-1, 1, 2])
def test_it_returns_only_to_an_earlier_stage(target: int) -> None:
    assert refusal(in_second_stage(), CHEN, Return(uuid4(), stage=target)) == "APPROVAL_STAGE"


def test_returned_to_an_earlier_stage_it_goes_through_all_that_follow() -> None:
    state = seated(request(stage(ALL), stage(ALL), stage(ALL)), [WANG])
    state = seated(signed(seated(signed(state, WANG), [ZHAO]), ZHAO), [CHEN])
    assert signed(seated(returned(state, CHEN, 0), [WANG]), WANG).asking == 1
    state = signed(seated(returned(state, CHEN, 0, back_here=True), [WANG]), WANG)
    assert (state.asking, state.resume) == (2, None)


def test_a_short_way_back_is_forgotten_when_it_returns_to_who_asks() -> None:
    state = seated(request(stage(ALL), stage(ALL), stage(ALL)), [WANG])
    state = seated(signed(seated(signed(state, WANG), [ZHAO]), ZHAO), [CHEN])
    state = returned(seated(returned(state, CHEN, 0, back_here=True), [WANG]), WANG)
    state = seated(does(state, LI, Resubmit(to_returner=True)), [WANG])
    assert signed(state, WANG).asking == 1


def test_who_asks_hands_it_in_again_from_the_start_or_to_who_returned_it() -> None:
    state = returned(in_second_stage(), QIAN)
    assert does(state, LI, Resubmit()).asking == 0
    again = does(state, LI, Resubmit(to_returner=True, comment="mended"))
    assert (again.asking, again.status, again.round) == (1, PENDING, 2)
    assert (task(again, LI).answer, task(again, LI).comment) == (ApprovalAnswer.RESUBMIT, "mended")


def test_only_who_asks_hands_it_in_again_and_only_what_came_back() -> None:
    assert refusal(returned(two_stages(), WANG), WANG, Resubmit()) == "APPROVAL_NOT_REQUESTER"
    assert refusal(two_stages(), LI, Resubmit()) == "APPROVAL_FINISHED"


def test_nobody_signs_while_it_is_with_who_asks() -> None:
    state = returned(two_stages(), WANG)
    assert refusal(state, ZHAO, Approve()) == "APPROVAL_FINISHED"
    assert refusal(state, LI, Approve()) == "APPROVAL_FINISHED"
    assert signable(state, LI, ()) == ()


def test_only_a_signer_returns_it() -> None:
    assert refusal(two_stages(), CHEN, Return(uuid4())) == "APPROVAL_NOT_YOURS"


def test_who_gives_advice_cannot_send_the_whole_request_back() -> None:
    state = delegated(asking(WANG), WANG, ZHAO)
    assert refusal(state, ZHAO, Return(uuid4())) == "APPROVAL_ADDED"


# -- handing on


def test_a_transferred_task_is_the_others_for_good() -> None:
    state = transferred(asking(WANG), WANG, ZHAO)
    assert turn(state) == [ZHAO]
    assert (task(state, WANG).state, task(state, WANG).answer) == (CANCELLED, ApprovalAnswer.TRANSFER)
    assert refusal(state, WANG, Approve()) == "APPROVAL_NOT_YOURS"
    assert signed(state, ZHAO).status is APPROVED


def test_a_transferred_task_keeps_its_place_in_the_sequence() -> None:
    state = transferred(asking(WANG, ZHAO, rule=SEQUENTIAL), WANG, CHEN)
    assert turn(state) == [CHEN]
    assert turn(signed(state, CHEN)) == [ZHAO]


def test_nobody_transfers_what_is_not_asked_of_him_nor_to_who_is_asked_already() -> None:
    state = asking(WANG, ZHAO)
    assert refusal(state, CHEN, Transfer(task(state, WANG).id, ask(SUN))) == "APPROVAL_NOT_YOURS"
    assert refusal(state, WANG, Transfer(task(state, WANG).id, ask(WANG))) == "APPROVAL_ASKED_ALREADY"
    assert refusal(state, WANG, Transfer(uuid4(), ask(SUN))) == "APPROVAL_NO_TASK"


def test_an_administrator_transfers_even_what_waits_its_turn() -> None:
    state = asking(WANG, ZHAO, rule=SEQUENTIAL)
    state = does(state, DIRECTOR, Transfer(task(state, ZHAO).id, ask(CHEN), forced=True))
    assert (turn(state), turn(signed(state, WANG))) == ([WANG], [CHEN])


def test_added_signers_stay_with_a_transferred_task() -> None:
    state = added(asking(WANG), WANG, BEFORE, ZHAO)
    state = does(state, DIRECTOR, Transfer(task(state, WANG).id, ask(CHEN), forced=True))
    assert turn(state) == [ZHAO]
    assert turn(signed(state, ZHAO)) == [CHEN]


def test_what_came_back_is_handed_to_somebody_who_then_asks_in_place_of_the_first() -> None:
    state = returned(asking(WANG), WANG)
    assert refusal(state, LI, Transfer(task(state, LI).id, ask(SUN))) == "APPROVAL_FINISHED"
    state = does(state, DIRECTOR, Transfer(task(state, LI).id, ask(SUN), forced=True))
    assert (state.requester, state.origin, turn(state)) == (SUN, LI, [SUN])
    assert refusal(state, LI, Resubmit()) == "APPROVAL_NOT_REQUESTER"
    assert does(state, SUN, Resubmit()).asking == 0


def test_what_came_back_is_not_handed_to_a_role() -> None:
    state = returned(asking(WANG), WANG)
    verb = Transfer(task(state, LI).id, ask("manager"), forced=True)
    assert refusal(state, DIRECTOR, verb) == "APPROVAL_NO_SIGNER"


def test_a_transfer_gives_nobody_two_votes_of_a_quorum() -> None:
    state = asking(WANG, ZHAO, CHEN, rule=QUORUM, need=2)
    assert refusal(state, WANG, Transfer(task(state, WANG).id, ask(ZHAO))) == "APPROVAL_ASKED_ALREADY"


def test_a_delegated_task_comes_back() -> None:
    state = delegated(asking(WANG), WANG, ZHAO)
    assert turn(state) == [ZHAO]
    assert refusal(state, WANG, Approve()) == "APPROVAL_NOT_YOURS"
    state = signed(state, ZHAO)
    assert (state.status, turn(state)) == (PENDING, [WANG])
    assert signed(state, WANG).status is APPROVED


def test_a_refusal_by_who_was_asked_for_advice_is_advice() -> None:
    state = does(delegated(asking(WANG), WANG, ZHAO), ZHAO, Reject(comment="no"))
    assert (state.status, turn(state), task(state, ZHAO).comment) == (PENDING, [WANG], "no")
    assert signed(state, WANG).status is APPROVED


def test_who_was_asked_for_advice_asks_nobody_further() -> None:
    state = delegated(asking(WANG), WANG, ZHAO)
    assert refusal(state, ZHAO, Delegate(task(state, ZHAO).id, ask(CHEN))) == "APPROVAL_ADDED"
    assert refusal(state, ZHAO, Add(task(state, ZHAO).id, (ask(CHEN),), BEFORE)) == "APPROVAL_ADDED"


def test_advice_may_be_asked_for_again() -> None:
    state = signed(delegated(asking(WANG), WANG, ZHAO), ZHAO)
    assert turn(delegated(state, WANG, CHEN)) == [CHEN]


@pytest.mark.parametrize("people", [(WANG,), ("manager",)])
def test_nobody_asks_himself(people: tuple[Who, ...]) -> None:
    state = asking(*people)
    key = state.tasks[0].id
    for verb in (
        Delegate(key, ask(WANG), MANAGER), Transfer(key, ask(WANG), MANAGER), Add(key, (ask(WANG),), PARALLEL, MANAGER),
    ):  # fmt: skip
        if people == ("manager",) and isinstance(verb, Transfer):
            continue  # one of many takes it for himself
        assert refusal(state, WANG, verb) == "APPROVAL_ASKED_ALREADY"


def test_a_task_is_handed_to_somebody_or_some_role() -> None:
    state = asking(WANG)
    key = task(state, WANG).id
    for verb in (
        Transfer(key, Asked(uuid4())), Delegate(key, Asked(uuid4())), Add(key, (Asked(uuid4()),), BEFORE),
    ):  # fmt: skip
        assert refusal(state, WANG, verb) == "APPROVAL_NO_SIGNER"


# -- added signers


def test_signers_added_before_all_sign_and_then_it_returns_to_the_adder() -> None:
    state = added(asking(WANG), WANG, BEFORE, ZHAO, CHEN)
    assert turn(state) == [ZHAO, CHEN]
    assert turn(signed(state, ZHAO)) == [CHEN]
    assert turn(signed(state, ZHAO, CHEN)) == [WANG]
    assert signed(state, ZHAO, CHEN, WANG).status is APPROVED


def test_who_adds_after_signs_at_once_and_it_goes_on_when_all_added_have() -> None:
    state = added(asking(WANG), WANG, AFTER, ZHAO, CHEN)
    assert (task(state, WANG).answer, turn(state)) == (ApprovalAnswer.APPROVE, [ZHAO, CHEN])
    assert signed(state, ZHAO).status is PENDING
    assert signed(state, ZHAO, CHEN).status is APPROVED


@pytest.mark.parametrize("order", [(WANG, ZHAO, CHEN), (CHEN, ZHAO, WANG), (ZHAO, WANG, CHEN)])
def test_signers_added_beside_sign_in_any_order_and_all_of_them(order: tuple[UUID, ...]) -> None:
    state = added(asking(WANG), WANG, PARALLEL, ZHAO, CHEN)
    assert turn(state) == [WANG, ZHAO, CHEN]
    assert signed(state, *order[:2]).status is PENDING
    assert signed(state, *order).status is APPROVED


@pytest.mark.parametrize("how", [BEFORE, AFTER, PARALLEL])
def test_a_refusal_by_an_added_signer_is_a_refusal_of_the_place_he_was_added_to(how: ApprovalAdded) -> None:
    assert does(added(asking(WANG, ZHAO), WANG, how, CHEN), CHEN, Reject()).status is REJECTED


@pytest.mark.parametrize("how", [BEFORE, AFTER, PARALLEL])
def test_a_refusal_by_an_added_signer_counts_in_a_share(how: ApprovalAdded) -> None:
    state = added(asking(WANG, ZHAO, CHEN, rule=RATIO, need=50), WANG, how, QIAN)
    state = does(state, QIAN, Reject())
    assert signed(state, ZHAO).status is PENDING
    assert signed(state, ZHAO, CHEN).status is APPROVED


@pytest.mark.parametrize("how", [BEFORE, AFTER, PARALLEL])
def test_a_slot_refused_by_an_added_signer_counts_in_a_share_of_slots(how: ApprovalAdded) -> None:
    state = seated(request(stage(ALL, ALL, ALL, rule=RATIO, need=50)), [WANG], [ZHAO], [CHEN])
    state = does(added(state, WANG, how, QIAN), QIAN, Reject())
    assert (state.status, turn(state)) == (PENDING, [ZHAO, CHEN])
    assert signed(state, ZHAO).status is PENDING
    assert does(state, ZHAO, Reject()).status is REJECTED


def test_a_refused_place_stays_refused_when_those_added_to_it_are_not_asked_any_more() -> None:
    places = Stage((Slot(ANY), Slot(ALL)), QUORUM, 1)
    state = added(seated(request(places), [WANG, ZHAO], [CHEN, QIAN]), WANG, AFTER, SUN)
    state = does(state, ZHAO, Reject())
    assert turn(state) == [CHEN, QIAN]
    assert (signed(state, CHEN).status, turn(signed(state, CHEN))) == (PENDING, [QIAN])


@pytest.mark.parametrize("how", [BEFORE, AFTER, PARALLEL])
def test_an_added_signer_adds_nobody_further_even_after_a_transfer(how: ApprovalAdded) -> None:
    state = added(asking(WANG), WANG, how, ZHAO)
    assert refusal(state, ZHAO, Add(task(state, ZHAO).id, (ask(CHEN),), PARALLEL)) == "APPROVAL_ADDED"
    state = transferred(state, ZHAO, QIAN)
    assert refusal(state, QIAN, Add(task(state, QIAN).id, (ask(CHEN),), PARALLEL)) == "APPROVAL_ADDED"


def test_an_added_signer_may_ask_for_advice() -> None:
    state = delegated(added(asking(WANG), WANG, BEFORE, ZHAO), ZHAO, CHEN)
    assert turn(state) == [CHEN]
    assert turn(signed(state, CHEN)) == [ZHAO]
    assert turn(signed(state, CHEN, ZHAO)) == [WANG]


def test_a_sequence_waits_for_signers_added_to_one_of_it() -> None:
    state = added(asking(WANG, ZHAO, rule=SEQUENTIAL), WANG, AFTER, CHEN)
    assert turn(state) == [CHEN]
    assert turn(signed(state, CHEN)) == [ZHAO]


def test_whoever_adds_names_somebody_and_holds_the_task() -> None:
    state = asking(WANG, ZHAO)
    assert refusal(state, WANG, Add(task(state, WANG).id, (), BEFORE)) == "APPROVAL_NO_SIGNER"
    assert refusal(state, WANG, Add(task(state, ZHAO).id, (ask(SUN),), BEFORE)) == "APPROVAL_NOT_YOURS"


@pytest.mark.parametrize("how", [BEFORE, AFTER, PARALLEL])
def test_an_added_signer_is_removed_by_who_added_him_alone(how: ApprovalAdded) -> None:
    state = added(asking(WANG, CHEN), WANG, how, ZHAO)
    verb = Remove(task(state, ZHAO).id)
    for actor in (LI, ZHAO, CHEN):
        assert refusal(state, actor, verb) == "APPROVAL_NOT_YOURS"
    state = does(state, WANG, verb)
    assert turn(state) == ([CHEN] if how is AFTER else [WANG, CHEN])


def test_when_the_last_who_was_added_after_is_removed_it_goes_on() -> None:
    state = added(asking(WANG), WANG, AFTER, ZHAO)
    assert does(state, WANG, Remove(task(state, ZHAO).id)).status is APPROVED


def test_when_who_was_asked_for_advice_is_removed_the_task_comes_back() -> None:
    state = delegated(asking(WANG), WANG, ZHAO)
    assert turn(does(state, WANG, Remove(task(state, ZHAO).id))) == [WANG]


def test_who_has_signed_cannot_be_removed() -> None:
    state = signed(added(asking(WANG), WANG, BEFORE, ZHAO, CHEN), ZHAO)
    assert refusal(state, WANG, Remove(task(state, ZHAO).id)) == "APPROVAL_NO_TASK"


def test_whom_the_policy_asks_is_removed_by_an_administrator_alone() -> None:
    state = asking(WANG, ZHAO)
    assert refusal(state, WANG, Remove(task(state, WANG).id)) == "APPROVAL_NOT_YOURS"
    state = does(state, DIRECTOR, Remove(task(state, WANG).id, forced=True))
    assert turn(state) == [ZHAO]


def test_the_last_signer_of_a_place_is_not_removed() -> None:
    state = seated(request(stage(ALL, ALL)), [WANG], [ZHAO])
    verb = Remove(task(state, WANG).id, forced=True)
    assert refusal(state, DIRECTOR, verb) == "APPROVAL_LAST_SIGNER"


def test_those_added_by_a_removed_signer_are_not_asked_any_more() -> None:
    state = delegated(added(asking(WANG, SUN), WANG, BEFORE, ZHAO), ZHAO, CHEN)
    state = does(state, DIRECTOR, Remove(task(state, WANG).id, forced=True))
    assert turn(state) == [SUN]
    assert task(state, ZHAO).state is task(state, CHEN).state is CANCELLED


def test_when_one_of_a_sequence_is_removed_the_next_is_asked() -> None:
    state = asking(WANG, ZHAO, rule=SEQUENTIAL)
    assert turn(does(state, DIRECTOR, Remove(task(state, WANG).id, forced=True))) == [ZHAO]


# -- ids


def _new_tasks(state: State, key: UUID) -> list[Verb]:
    """Every verb that makes a task, each with this id."""
    wang, one = task(state, WANG).id, Asked(key, user=SUN)
    return [Transfer(wang, one), Delegate(wang, one), Add(wang, (one,), BEFORE), Return(key)]


@pytest.mark.parametrize("taken_from", [ZHAO, WANG])
def test_a_new_task_never_takes_the_place_of_another(taken_from: UUID) -> None:
    state = signed(asking(WANG, ZHAO, CHEN), ZHAO)
    for verb in _new_tasks(state, task(state, taken_from).id):
        assert refusal(state, WANG, verb) == "APPROVAL_TASK_EXISTS"


def test_new_tasks_have_ids_of_their_own() -> None:
    key = uuid4()
    twins = (Asked(key, user=SUN), Asked(key, user=QIAN))
    state = asking(WANG)
    assert refusal(state, WANG, Add(task(state, WANG).id, twins, BEFORE)) == "APPROVAL_TASK_EXISTS"
    assert refusal(request(stage(ALL)), SYSTEM, Seat((twins,))) == "APPROVAL_TASK_EXISTS"
    state = signed(two_stages(), WANG, ZHAO)
    assert (
        refusal(state, SYSTEM, Seat(((Asked(task(state, WANG).id, user=SUN),), (ask(QIAN),))))
        == "APPROVAL_TASK_EXISTS"
    )


# -- the end


def test_who_asks_takes_it_back_before_it_is_decided() -> None:
    for state in (two_stages(), returned(two_stages(), WANG)):
        ended, effects = apply(state, Withdraw(), LI, NOW)
        assert (ended.status, turn(ended)) == (ApprovalState.WITHDRAWN, [])
        assert effects[-1] == Finished(ApprovalState.WITHDRAWN)
        assert refusal(state, WANG, Withdraw()) == "APPROVAL_NOT_REQUESTER"


def test_an_administrator_ends_it_with_a_reason() -> None:
    state = does(two_stages(), DIRECTOR, Terminate(comment="customer gone"))
    assert (state.status, turn(state)) == (ApprovalState.TERMINATED, [])
    assert state.log[-1].verb == Terminate(comment="customer gone")


def test_only_what_was_performed_is_recalled_and_only_by_who_asked() -> None:
    state = signed(asking(WANG), WANG)
    for early in (asking(WANG), state):
        assert refusal(early, LI, Recall()) == "APPROVAL_FINISHED"
    state = performed(state)
    assert refusal(state, WANG, Recall()) == "APPROVAL_NOT_REQUESTER"
    recalled, effects = apply(state, Recall(), LI, NOW)
    assert recalled.status is ApprovalState.WITHDRAWN
    assert effects == (Finished(ApprovalState.WITHDRAWN), Compensate())
    assert refusal(recalled, LI, Recall()) == "APPROVAL_FINISHED"


def test_a_deadline_answers_in_the_name_of_the_policy() -> None:
    state = asking(WANG, ZHAO)
    state = does(state, SYSTEM, Expire(task(state, WANG).id, ApprovalAnswer.APPROVE))
    done = task(state, WANG)
    assert (done.signer, done.answer, done.automatic) == (SYSTEM, ApprovalAnswer.APPROVE, True)
    assert (
        does(state, SYSTEM, Expire(task(state, ZHAO).id, ApprovalAnswer.REJECT)).status
        is ApprovalState.REJECTED
    )


def test_a_deadline_comes_too_late_for_what_is_signed() -> None:
    state = signed(asking(WANG, ZHAO), WANG)
    assert refusal(state, SYSTEM, Expire(task(state, WANG).id, ApprovalAnswer.REJECT)) == "APPROVAL_NO_TASK"
    state = signed(state, ZHAO)
    assert refusal(state, SYSTEM, Expire(task(state, WANG).id, ApprovalAnswer.REJECT)) == "APPROVAL_FINISHED"


def _ends() -> list[State]:
    state = asking(WANG)
    return [
        does(state, WANG, Reject()), does(state, LI, Withdraw()), does(state, DIRECTOR, Terminate()),
        performed(signed(state, WANG)), does(signed(state, WANG), SYSTEM, Settle(ApprovalState.STALE)),
    ]  # fmt: skip


def test_nothing_is_done_with_what_has_ended() -> None:
    for state in _ends():
        assert state.ended
        key = state.tasks[0].id
        verbs: tuple[Verb, ...] = (
            Approve(), Reject(), Return(uuid4()), Resubmit(), Withdraw(), Terminate(), Transfer(key, ask(SUN)),
            Transfer(key, ask(SUN), forced=True), Delegate(key, ask(SUN)), Add(key, (ask(SUN),), AFTER),
            Remove(key, forced=True), Expire(key, ApprovalAnswer.REJECT), Urge(), Settle(APPROVED), Adopt(),
            Attach(),
        )  # fmt: skip
        for verb in verbs:
            for actor in (LI, WANG):
                assert refusal(state, actor, verb) == "APPROVAL_FINISHED"


# -- performing


def test_the_change_is_performed_once() -> None:
    state, effects = apply(signed(asking(WANG), WANG), Settle(APPROVED), SYSTEM, NOW)
    assert (state.performed, state.status, effects) == (True, APPROVED, (Finished(APPROVED),))
    assert refusal(state, SYSTEM, Settle(APPROVED)) == "APPROVAL_FINISHED"


@pytest.mark.parametrize("outcome", [PENDING, RETURNED, REJECTED, ApprovalState.WITHDRAWN])
def test_performing_has_no_other_outcomes(outcome: ApprovalState) -> None:
    assert refusal(signed(asking(WANG), WANG), SYSTEM, Settle(outcome)) == "APPROVAL_FINISHED"


def test_nothing_is_performed_before_all_have_signed() -> None:
    assert refusal(asking(WANG), SYSTEM, Settle(APPROVED)) == "APPROVAL_FINISHED"


def test_what_conflicts_is_handed_in_again_taken_back_or_ended() -> None:
    state = does(signed(asking(WANG), WANG), SYSTEM, Settle(ApprovalState.CONFLICT))
    assert (state.performed, state.ended, task(state, WANG).signer) == (False, False, WANG)
    assert turn(seated(does(state, LI, Resubmit()), [WANG])) == [WANG]
    assert does(state, LI, Withdraw()).status is ApprovalState.WITHDRAWN
    assert does(state, DIRECTOR, Terminate()).status is ApprovalState.TERMINATED


def test_somebody_else_takes_over_what_the_first_can_no_longer_ask_for() -> None:
    state = does(signed(asking(WANG), WANG), SYSTEM, Settle(ApprovalState.NEEDS_ADOPTION))
    assert refusal(state, WANG, Adopt()) == "APPROVAL_SELF"
    adopted, effects = apply(state, Adopt(), SUN, NOW)
    assert (adopted.requester, adopted.origin, effects) == (SUN, LI, (Perform(),))
    assert performed(adopted).performed
    assert refusal(performed(adopted), LI, Recall()) == "APPROVAL_NOT_REQUESTER"


def test_a_signer_takes_over_where_who_asks_may_sign() -> None:
    state = seated(request(stage(ALL), self_approval=ApprovalSelf.ALLOW), [WANG])
    state = does(signed(state, WANG), SYSTEM, Settle(ApprovalState.NEEDS_ADOPTION))
    assert does(state, WANG, Adopt()).requester == WANG


def test_only_what_needs_it_is_taken_over() -> None:
    for state in (asking(WANG), returned(asking(WANG), WANG), signed(asking(WANG), WANG)):
        assert refusal(state, SUN, Adopt()) == "APPROVAL_FINISHED"


# -- telling


def test_everybody_is_shown_it_once() -> None:
    state = seated(request(stage(ALL)), [WANG], copies=(SUN, SUN))
    assert state.copied == (SUN,)
    copied, effects = apply(state, Copy((SUN, QIAN, QIAN)), WANG, NOW)
    assert (copied.copied, effects) == ((SUN, QIAN), (Copied((QIAN,)),))
    assert effects_of(copied, WANG, Copy((SUN,))) == ()


def test_a_copy_may_be_sent_after_the_end_and_gives_no_right_to_sign() -> None:
    state = does(asking(WANG), WANG, Copy((SUN,)))
    assert refusal(state, SUN, Approve()) == "APPROVAL_NOT_YOURS"
    assert does(signed(state, WANG), WANG, Copy((QIAN,))).copied == (SUN, QIAN)


def test_only_who_asks_urges_and_only_those_who_are_asked() -> None:
    state, effects = apply(two_stages(), Urge("please"), LI, NOW)
    assert (effects, state.log[-1].verb) == ((), Urge("please"))
    assert refusal(state, WANG, Urge()) == "APPROVAL_NOT_REQUESTER"
    assert refusal(returned(state, WANG), LI, Urge()) == "APPROVAL_FINISHED"


def test_papers_are_added_by_who_asked_and_by_who_is_asked_now() -> None:
    state, effects = apply(two_stages(), Attach(comment="see there"), LI, NOW)
    assert (effects, state.log[-1].verb) == ((), Attach(comment="see there"))
    for actor in (WANG, CHEN, QIAN, SUN):
        asked = any(task.user == actor for task in state.tasks if task.state is ApprovalTaskState.OPEN)
        assert (attaches(state, actor) is None) == asked
    back = returned(state, WANG)
    assert attaches(back, LI) is None
    assert attaches(back, WANG) == "APPROVAL_NOT_YOURS"


def attaches(state: State, actor: UUID) -> str | None:
    """Why the actor may not add papers; None: he may."""
    try:
        apply(state, Attach(), actor, NOW)
    except Illegal as illegal:
        return illegal.code
    return None


def test_every_change_of_a_task_is_told() -> None:
    state, effects = apply(added(asking(WANG), WANG, BEFORE, ZHAO), Approve(), ZHAO, NOW)
    assert {e.task.id: e.task.state for e in effects if isinstance(e, TaskMoved)} == {
        task(state, ZHAO).id: DONE, task(state, WANG).id: OPEN,
    }  # fmt: skip


def test_the_log_alone_gives_the_state_again() -> None:
    state = returned(added(in_second_stage(), CHEN, PARALLEL, SUN), SUN, 0, back_here=True)
    state = signed(seated(state, [WANG, ZHAO]), WANG, ZHAO)
    state = performed(signed(seated(state, [CHEN], [QIAN], copies=(SUN,)), QIAN, CHEN))
    assert replay(state) == state
    assert [entry.verb.name for entry in state.log][:3] == ["seat", "approve", "approve"]


def test_a_refused_verb_changes_nothing_and_is_not_in_the_log() -> None:
    state = asking(WANG)
    before = replace(state)
    refusal(state, ZHAO, Approve())
    assert state == before


def test_the_log_says_when() -> None:
    state, _ = apply(asking(WANG), Approve(), WANG, NOW + timedelta(hours=2))
    assert (state.log[-1].at, state.log[-1].actor) == (NOW + timedelta(hours=2), WANG)
