"""Many people, the clock and a policy edit act on the same requests at the same time; each request has one outcome."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from crm_core.access.models import User
from crm_core.actors import Actor, Reach
from crm_core.approvals.chain import replay
from crm_core.approvals.models import Approval, ApprovalPolicy, ApprovalTask
from crm_core.approvals.moving import STATE, SYSTEM
from crm_core.approvals.words import ApprovalState, State, Task
from crm_core.audit.models import AuditEntry
from crm_core.db.unit import Unit
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import INDEX_KEY, KEYS, Kit
from tests.approvals.conftest import Deal
from tests.approvals.hammering import Place, Tally, hammered, process
from tests.approvals.test_gate import shown
from tests.approvals.test_verbs import SIGNS

SEED = 20251103
ENDED = {"APPROVED", "REJECTED", "WITHDRAWN", "TERMINATED", "STALE"}
SELLS: Mapping[str, Reach] = {
    "deals.read": Reach.LINE,
    "deals.write": Reach.LINE,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
}


def user(actor: Actor) -> UUID:
    assert actor.user_id is not None
    return actor.user_id


async def set_chain(crm: Kit, people: Sequence[Actor]) -> None:
    """Three stages: one of a role, two named people in parallel, two of three; every one soon overdue."""
    soon = {"workingHours": "0.5", "remindBeforeHours": "0.25", "then": "MANAGER"}
    named = [{"userId": shown(one)} for one in people]
    stages = [
        {"slots": [{"role": "line_manager"}], "deadline": {**soon, "then": "ROLE", "role": "administrator"}},
        {"slots": named[:2], "deadline": soon},
        {"slots": named[1:4], "rule": "QUORUM", "quorum": 2, "deadline": {**soon, "then": "APPROVE"}},
    ]
    given = {"name": "chain", "commands": ["deal.create", "deal.update"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)


async def place_of(crm: Kit, requests: int) -> Place:
    """Requests of one seller: half of them new deals, half changes of deals of his."""
    seller = await crm.actor("seller", SELLS)
    people = [await crm.actor(f"signer {n}", SIGNS) for n in range(4)]
    people += [await crm.actor(f"manager {n}", role="line_manager") for n in range(2)]
    deals = []
    for number in range(requests // 2):
        body = {"title": f"old {number}", "amount": "1.00"}
        deals.append((await crm.perform("deal.create", body, seller, line="east")).ids[0])
    await set_chain(crm, people)
    approvals = []
    for number in range(requests):
        new = number >= len(deals)
        given: dict[str, Any] = {"title": f"new {number}"} if new else {"id": deals[number]}
        kind = "deal.create" if new else "deal.update"
        outcome = await crm.perform(kind, given | {"amount": "5.00"}, seller, line="east")
        assert outcome.approval is not None, outcome
        approvals.append(outcome.approval)
    settings = crm.services.settings
    return Place(
        settings.database_url, KEYS, INDEX_KEY, settings.store, user(crm.administrator), user(seller),
        [user(one) for one in people], approvals, deals,
    )  # fmt: skip


async def finish(crm: Kit, place: Place) -> None:
    """Whatever still waits is ended by the administrator."""
    for key in place.approvals:
        (row,) = [one for one in await crm.rows(Approval) if one.id == key]
        if row.state not in ENDED:
            outcome = await crm.perform("approval.terminate", {"id": key, "comment": "end"}, line="east")
            assert not outcome.errors, outcome.errors


# -- what must hold afterwards


def same(row: Any, position: int, task: Task, names: Sequence[str]) -> None:
    """The row of a task says what the chain says."""
    signer = task.signer if task.signer != SYSTEM else None
    expected = (
        position, task.stage, task.slot, task.round, task.kind.value, task.state.value, task.user, task.role,
        task.instead_of, task.parent, task.added.value if task.added else None, task.added_by, signer,
        task.answer.value if task.answer else None, task.comment, task.automatic, names[task.stage],
    )  # fmt: skip
    found = (
        row.position, row.stage, row.slot, row.round, row.kind, row.state, row.user_id, row.role,
        row.instead_of_id, row.parent_id, row.added, row.added_by_id, row.signer_id, row.answer, row.comment,
        row.automatic, row.stage_name,
    )  # fmt: skip
    assert found == expected


async def check(crm: Kit, place: Place, tally: Tally) -> Counter[str]:
    """One outcome each, the change made once and exactly then, rows as the chain says, no decision lost."""
    approvals = {row.id: row for row in await crm.rows(Approval)}
    tasks: dict[UUID, list[Any]] = {}
    for row in await crm.rows(ApprovalTask):
        tasks.setdefault(row.approval_id, []).append(row)
    states = {key: STATE.validate_python(approvals[key].chain) for key in place.approvals}
    for key, state in states.items():
        row = approvals[key]
        assert replay(state) == state
        assert (row.state, row.round, row.requester_id) == (state.status.value, state.round, state.requester)
        rows = sorted(tasks[key], key=lambda one: one.position)
        assert len(rows) == len(state.tasks)
        names = [stage.name for stage in state.stages]
        for position, (one, task) in enumerate(zip(rows, state.tasks, strict=True)):
            same(one, position, task, names)
        assert state.ended
        assert row.state in ENDED
    await check_performed(crm, states, approvals)
    check_decisions(states, tally)
    return Counter(state.status.value for state in states.values())


async def check_performed(crm: Kit, states: Mapping[UUID, State], approvals: Mapping[UUID, Any]) -> None:
    """Each change was made exactly when its request is approved, and once; its end was told once."""
    made = Counter(row.approval_id for row in await crm.rows(AuditEntry) if row.channel == "approval")
    ended = Counter(
        row.subject_id
        for row in await crm.rows(OutboxEvent)
        if row.kind == "approval.decided" and row.data["state"] in ENDED
    )
    titles = Counter(row.title for row in await crm.rows(Deal))
    for key, state in states.items():
        performed = int(state.status is ApprovalState.APPROVED)
        assert made[key] == performed == int(state.performed)
        assert ended[key] == 1
        if approvals[key].kind == "deal.create":
            assert titles[approvals[key].body["title"]] == performed


def check_decisions(states: Mapping[UUID, State], tally: Tally) -> None:
    """What anybody was told had been done stands in the log; and nothing else."""
    verbs = {kind for kind, _, _ in tally.decisions}
    logged: Counter[tuple[str, UUID, UUID]] = Counter(
        (str(entry.verb.name), key, entry.actor)
        for key, state in states.items()
        for entry in state.log
        if entry.verb.name in verbs and entry.actor != SYSTEM
    )
    told = Counter(tally.decisions)
    assert told - logged == Counter()
    assert {one for one in logged - told if one[0] != "terminate"} == set()


def figures(tally: Tally, seconds: float, outcomes: Counter[str]) -> str:
    """How much was done, how fast, and what was refused."""
    took = sorted(tally.seconds)
    middle, slow = took[len(took) // 2] * 1000, took[len(took) * 95 // 100] * 1000
    return (
        f"\n{len(took)} commands in {seconds:.1f} s ({len(took) / seconds:.0f}/s), "
        f"median {middle:.0f} ms, 95 % under {slow:.0f} ms\n"
        f"done {dict(tally.done.most_common())}\nrefused {dict(tally.refused.most_common())}\n"
        f"outcomes {dict(outcomes.most_common())}"
    )


# -- the tests


@pytest.mark.parametrize("crm_dialect", ["postgresql"], indirect=False)
async def test_fifty_requests_stand_eight_workers_in_two_processes(
    crm: Kit, capsys: pytest.CaptureFixture[str]
) -> None:
    place = await place_of(crm, 50)
    begun, tally = time.perf_counter(), Tally()
    loop, spawn = asyncio.get_running_loop(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        runs = [loop.run_in_executor(pool, process, place, SEED + n, 4, 100) for n in range(2)]
        for one in await asyncio.gather(*runs):
            tally.add(one)
    seconds = time.perf_counter() - begun
    assert tally.faults == []
    assert set(tally.refused) <= REFUSALS, tally.refused
    await finish(crm, place)
    outcomes = await check(crm, place, tally)
    with capsys.disabled():
        sys.stderr.write(figures(tally, seconds, outcomes) + "\n")


@pytest.mark.parametrize("crm_dialect", ["sqlite"], indirect=False)
async def test_a_few_requests_stand_three_workers_on_sqlite(crm: Kit) -> None:
    place = await place_of(crm, 6)
    tally = await hammered(place, SEED, 3, 25)
    assert tally.faults == []
    assert set(tally.refused) <= REFUSALS, tally.refused
    await finish(crm, place)
    await check(crm, place, tally)


async def test_a_policy_edited_while_requests_come_in_is_kept_by_each_as_it_found_it(crm: Kit) -> None:
    seller = await crm.actor("seller", SELLS)
    people = [await crm.actor(f"signer {n}", SIGNS) for n in range(4)]

    async def edit(number: int) -> None:
        stages = [{"slots": [{"user_id": user(people[number % 4])}], "name": f"{number}"}]
        body = {"name": "chain", "commands": ["deal.create"], "stages": stages}
        outcome = await crm.perform("approval_policy.set", body, line="east")
        assert {e.code for e in outcome.errors} <= {"CONFLICT"}  # two at once: one of them is refused

    async def ask(number: int) -> None:
        body = {"title": f"deal {number}", "amount": "1.00"}
        assert (await crm.perform("deal.create", body, seller, line="east")).approval is not None

    await edit(0)
    await asyncio.gather(*(job(n) for n in range(1, 9) for job in (edit, ask)))
    policies = {row.id: row for row in await crm.rows(ApprovalPolicy) if row.name == "chain"}
    assert sorted(row.edition for row in policies.values()) == [*range(1, len(policies) + 1)]
    tasks = {row.approval_id: row for row in await crm.rows(ApprovalTask)}
    found = await crm.rows(Approval)
    assert len(found) == 8
    for row in found:
        edition = policies[row.policy_id]
        assert row.policy_edition == edition.edition
        assert tasks[row.id].user_id == UUID(edition.stages[0]["slots"][0]["user_id"].removeprefix("usr_"))


async def test_a_deadline_and_a_signature_at_the_same_time_have_one_outcome(crm: Kit) -> None:
    seller, clerk = await crm.actor("seller", SELLS), await crm.actor("clerk", SIGNS)
    stage = {"slots": [{"userId": shown(clerk)}], "deadline": {"workingHours": "1", "then": "REJECT"}}
    given = {"name": "chain", "commands": ["deal.create"], "stages": [stage]}
    await crm.done("approvalPolicySet", acting="east", input=given)
    held = []
    for number in range(6):
        body = {"title": f"deal {number}", "amount": "1.00"}
        held.append((await crm.perform("deal.create", body, seller, line="east")).approval)
    crm.clock.advance(hours=2)
    commands = [("approval.approve", clerk), ("approval.process_overdue", crm.administrator)]
    ways = [(kind, key, actor) for n, key in enumerate(held) for kind, actor in commands[:: 1 - 2 * (n % 2)]]
    outcomes = await asyncio.gather(
        *(crm.perform(kind, {"id": key}, actor, line="east") for kind, key, actor in ways)
    )
    signed = {key for (kind, key, _), o in zip(ways, outcomes, strict=True) if kind == "approval.approve" and not o.errors}  # fmt: skip
    assert {e.code for o in outcomes for e in o.errors} <= {"APPROVAL_FINISHED"}
    for row in await crm.rows(Approval):
        assert row.state == ("APPROVED" if row.id in signed else "REJECTED")
        assert STATE.validate_python(row.chain).performed == (row.id in signed)
    assert len(await crm.rows(Deal)) == len(signed)


async def test_a_double_click_signs_once(crm: Kit) -> None:
    seller = await crm.actor("seller", SELLS)
    both = [await crm.actor(name, SIGNS) for name in ("clerk", "chief")]
    stages = [{"slots": [{"userId": shown(one)} for one in both]}]
    given = {"name": "chain", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    held = (await crm.perform("deal.create", {"title": "a", "amount": "1.00"}, seller, line="east")).approval
    body = {"id": held, "comment": "yes"}
    clicks = [
        crm.perform("approval.approve", body, both[0], line="east", idempotency_key="k") for _ in range(4)
    ]
    outcomes = await asyncio.gather(*clicks)
    assert [o.errors for o in outcomes] == [()] * 4
    assert sorted(o.replayed for o in outcomes) == [False, True, True, True]
    unmarked = [crm.perform("approval.approve", body, both[1], line="east") for _ in range(4)]
    found = [tuple(e.code for e in o.errors) for o in await asyncio.gather(*unmarked)]
    assert sorted(found) == [(), *[("APPROVAL_FINISHED",)] * 3]
    (row,) = await crm.rows(Approval)
    assert (row.state, len(STATE.validate_python(row.chain).log)) == ("APPROVED", 4)
    assert len(await crm.rows(Deal)) == 1


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_deadlock_is_untied_and_what_was_ended_is_done_once_more(crm: Kit) -> None:
    for login in ("a", "b"):
        await crm.actor(login)
    met, turns = asyncio.Barrier(2), Counter[str]()

    async def lock_both(first: str, second: str) -> str:
        async def do(unit: Unit) -> str:
            turns[first] += 1
            await unit.execute(select(User.id).where(User.login == first).with_for_update())
            if sum(turns.values()) <= 2:
                await met.wait()
            await unit.execute(select(User.id).where(User.login == second).with_for_update())
            return first

        return await crm.database.attempt(do)

    assert [*await asyncio.gather(lock_both("a", "b"), lock_both("b", "a"))] == ["a", "b"]
    assert sum(turns.values()) == 3


async def test_who_leaves_while_he_signs_hands_over_the_rest(crm: Kit) -> None:
    seller, leaver, heir = await crm.actor("seller", SELLS), await crm.actor("leaver", SIGNS), await crm.actor("heir", SIGNS)  # fmt: skip
    stages = [{"slots": [{"userId": shown(leaver)}]}]
    given = {"name": "chain", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    held = []
    for number in range(6):
        body = {"title": f"deal {number}", "amount": "1.00"}
        held.append((await crm.perform("deal.create", body, seller, line="east")).approval)
    leave = crm.perform("user.offboard", {"id": user(leaver), "successor_id": user(heir)})
    signs = [crm.perform("approval.approve", {"id": key}, leaver, line="east") for key in held]
    outcomes = await asyncio.gather(*signs[:3], leave, *signs[3:])
    assert {e.code for o in outcomes for e in o.errors} <= {"APPROVAL_NOT_YOURS"}
    states = {row.id: row.state for row in await crm.rows(Approval)}
    open_ = {row.approval_id for row in await crm.rows(ApprovalTask) if (row.state, row.user_id) == ("OPEN", user(heir))}  # fmt: skip
    assert open_ == {key for key, state in states.items() if state == "PENDING"}


REFUSALS = {
    "APPROVAL_ADDED",
    "APPROVAL_ASKED_ALREADY",
    "APPROVAL_FINISHED",
    "APPROVAL_LAST_SIGNER",
    "APPROVAL_NOT_RECALLABLE",
    "APPROVAL_NOT_REQUESTER",
    "APPROVAL_NOT_YOURS",
    "APPROVAL_NO_SIGNER",
    "APPROVAL_NO_TASK",
    "APPROVAL_SELF",
    "APPROVAL_STAGE",
    "APPROVAL_URGED_LATELY",
    "CONFLICT",
    "FORBIDDEN",
    "NOT_FOUND",
}
"""What the business says; anything else would be a fault of ours."""
