"""How many statements a request for signatures costs; one more task, signer or stage does not cost one more each."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from crm_core.actors import Actor
from crm_core.commands import Outcome
from crm_core.testing.kit import Kit, Statements
from tests.approvals.test_gate import shown
from tests.approvals.test_verbs import SIGNS, WHOLE

STAGES, EACH = 5, 4
# On PostgreSQL:
NO_POLICY = 2
"""Whether there is a policy or a lock; the row with its audit entry and events."""
HELD = 9
"""That; policies, absences, who is enabled, the try, name and preferences for notices, approval with tasks, the rest."""
SIGNED = 6
"""Approval, roles, task, the two changed rows, audit entry with events."""
NEXT_STAGE = 12
"""That; edition of the policy, absences, who is enabled, name and preferences for notices, new tasks."""
PERFORMED = 13
"""That; the requester's rights (2), the change, preferences for notices, and what is written once more."""


@pytest.fixture
async def signers(crm: Kit) -> Sequence[Actor]:
    return [await crm.actor(f"signer {n:02}", SIGNS) for n in range(STAGES * EACH)]


async def set_chain(crm: Kit, signers: Sequence[Actor]) -> None:
    stages = [
        {
            "name": f"stage {n}",
            "slots": [{"userId": shown(one)} for one in signers[EACH * n : EACH * (n + 1)]],
        }
        for n in range(STAGES)
    ]
    given = {"name": "chain", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)


def count(crm: Kit, sent: Statements) -> int:
    """The statements; on SQLite, which writes each table on its own, those that read and one for what is written."""
    if crm.database.dialect == "postgresql":
        return len(sent)
    return len([one for one in sent if one.startswith(("SELECT", "WITH"))]) + 1


async def costs(crm: Kit, actor: Actor, kind: str, body: Mapping[str, Any]) -> tuple[Outcome, Statements]:
    """What a command answers, and the statements it took."""
    with crm.statements() as sent:
        outcome = await crm.perform(kind, body, actor, line="east")
    assert not outcome.errors, outcome.errors
    return outcome, sent


def new(title: str) -> dict[str, Any]:
    return {"title": title, "amount": "1.00"}


async def test_a_command_that_nobody_signs_costs_one_look_up(crm: Kit, seller: Actor) -> None:
    await costs(crm, seller, "deal.create", new("first"))
    _, sent = await costs(crm, seller, "deal.create", new("second"))
    assert count(crm, sent) == NO_POLICY, sent
    assert sum("approval_targets" in one for one in sent) == 1


async def test_signing_costs_the_same_however_many_have_signed(
    crm: Kit, seller: Actor, signers: Sequence[Actor]
) -> None:
    await set_chain(crm, signers)
    held, sent = await costs(crm, seller, "deal.create", new("held"))
    assert count(crm, sent) <= HELD, sent
    assert held.approval is not None
    body = {"id": held.approval}
    found = [count(crm, (await costs(crm, one, "approval.approve", body))[1]) for one in signers]
    last_of_stage = range(EACH - 1, len(signers), EACH)
    middle = [count for place, count in enumerate(found) if place not in last_of_stage]
    assert len(set(middle)) == 1, found
    assert middle[0] <= SIGNED, found
    assert max(found[place] for place in last_of_stage[:-1]) <= NEXT_STAGE, found
    assert found[-1] <= PERFORMED, found


async def test_a_stage_of_many_costs_no_more_than_one_of_few(
    crm: Kit, seller: Actor, signers: Sequence[Actor]
) -> None:
    async def opening(name: str, people: Sequence[Actor]) -> int:
        slots = [{"userId": shown(one)} for one in people]
        stages = [{"slots": slots[:1]}, {"slots": slots[1:]}]
        given = {"name": "chain", "commands": ["deal.create"], "stages": stages}
        await crm.done("approvalPolicySet", acting="east", input=given)
        held, _ = await costs(crm, seller, "deal.create", new(name))
        return count(crm, (await costs(crm, people[0], "approval.approve", {"id": held.approval}))[1])

    assert await opening("few", signers[:2]) == await opening("many", signers)


async def test_an_inbox_and_an_approval_are_read_with_one_statement_each(
    crm: Kit, seller: Actor, signers: Sequence[Actor]
) -> None:
    await set_chain(crm, signers)
    for number in range(3):
        await costs(crm, seller, "deal.create", new(f"deal {number}"))
    inbox = (
        "{ approvals(where: {waitingForMe: true}, first: 20) { totalCount nodes { id title state canSign"
        " requester { name } tasks { state dueAt user { name } } } } }"
    )
    with crm.statements() as sent:
        found = await crm.data(inbox, signers[0])
    assert (found["approvals"]["totalCount"], len(sent)) == (3, 1), sent
    one = found["approvals"]["nodes"][0]["id"]
    ask = f"query ($id: ID!) {{ {WHOLE.replace('approval {', 'approval(id: $id) {', 1)} }}"
    with crm.statements() as sent:
        whole = await crm.data(ask, signers[0], id=one)
    assert (len(whole["approval"]["tasks"]), len(sent)) == (EACH, 1), sent
