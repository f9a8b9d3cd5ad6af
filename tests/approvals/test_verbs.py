"""What signers and requesters can do with a request, through the API, on both databases."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from crm_core.actors import Actor, Reach
from crm_core.approvals.overdue import run
from crm_core.testing.kit import Kit
from tests.approvals.test_gate import codes, deals, hold, made, shown, sign

Policy = Callable[..., Awaitable[dict[str, Any]]]
SIGNS = {"approval.sign": Reach.LINE, "approval.read": Reach.OWN, "approval.request": Reach.OWN}
WHOLE = """approval { id state round decidedAt reasons
  tasks { id kind round stage slot state answer comment automatic added role overdue dueAt dueProvisional
    user { name } insteadOf { name } addedBy { name } signer { name } } }"""


async def do(crm: Kit, actor: Actor, verb: str, approval: dict[str, Any], **given: Any) -> dict[str, Any]:
    payload = await crm.done(f"approval{verb}", actor, input={"id": approval["id"], **given}, select=WHOLE)
    found: dict[str, Any] = payload["approval"]
    return found


async def refused(crm: Kit, actor: Actor, verb: str, approval: dict[str, Any], **given: Any) -> list[str]:
    return await codes(crm, f"approval{verb}", actor, input={"id": approval["id"], **given})


def open_(approval: dict[str, Any]) -> list[str]:
    """Who is asked now."""
    tasks = [t for t in approval["tasks"] if t["state"] == "OPEN"]
    return [t["user"]["name"] if t["user"] else t["role"] for t in tasks]


def task(approval: dict[str, Any], name: str) -> str:
    """The open task of this person or role."""
    return str(
        next(
            t["id"]
            for t in approval["tasks"]
            if t["state"] == "OPEN" and name in ((t["user"] or {}).get("name"), t["role"])
        )
    )


async def look(crm: Kit, approval: dict[str, Any]) -> dict[str, Any]:
    found = await crm.data(
        f"query ($id: ID!) {{ {WHOLE.replace('approval {', 'approval(id: $id) {', 1)} }}", id=approval["id"]
    )
    whole: dict[str, Any] = found["approval"]
    return whole


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", SIGNS)


@pytest.fixture
async def chief(crm: Kit) -> Actor:
    return await crm.actor("chief", SIGNS)


@pytest.fixture
def chain(crm: Kit, clerk: Actor, chief: Actor) -> Callable[..., Awaitable[None]]:
    """A policy on new deals: the clerk, then the chief."""

    async def set_chain(**more: Any) -> None:
        stages = [
            {"name": "clerk", "slots": [{"userId": shown(clerk)}]},
            {"name": "chief", "slots": [{"userId": shown(chief)}]},
        ]
        given = {"name": "chain", "commands": ["deal.create"], "stages": stages, **more}
        await crm.done("approvalPolicySet", acting="east", input=given)

    return set_chain


async def test_what_was_returned_is_changed_and_goes_back_to_who_returned_it(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor, chain: Callable[..., Awaitable[None]]
) -> None:
    await chain()
    held = await hold(crm, seller)
    await do(crm, clerk, "Approve", held)
    back = await do(crm, chief, "Return", held, comment="too dear")
    assert (back["state"], open_(back)) == ("RETURNED", ["seller"])
    assert await refused(crm, chief, "Approve", held) == ["APPROVAL_FINISHED"]
    cheaper = {"title": "Audi", "amount": "150000.00"}
    again = await do(crm, seller, "Resubmit", held, input=cheaper, toReturner=True)
    assert (again["state"], again["round"], open_(again)) == ("PENDING", 2, ["chief"])
    assert (await do(crm, chief, "Approve", held))["state"] == "APPROVED"
    assert [d["amount"] for d in await deals(crm)] == ["150000.00"]


async def test_what_was_returned_begins_anew_unless_it_goes_to_the_returner(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor, chain: Callable[..., Awaitable[None]]
) -> None:
    await chain()
    held = await hold(crm, seller)
    await do(crm, clerk, "Approve", held)
    await do(crm, chief, "Return", held)
    assert open_(await do(crm, seller, "Resubmit", held)) == ["clerk"]


async def test_a_changed_input_that_is_wrong_is_refused_with_its_place(
    crm: Kit, seller: Actor, clerk: Actor, chain: Callable[..., Awaitable[None]]
) -> None:
    await chain()
    held = await hold(crm, seller)
    await do(crm, clerk, "Return", held)
    payload = await crm.change(
        "approvalResubmit", seller, input={"id": held["id"], "input": {"title": "Audi", "amount": "much"}}
    )
    assert [e["field"] for e in payload["userErrors"]] == ["input.amount"]
    assert (await look(crm, held))["state"] == "RETURNED"


async def test_an_earlier_stage_signs_again_and_it_comes_back(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor, chain: Callable[..., Awaitable[None]]
) -> None:
    await chain()
    held = await hold(crm, seller)
    await do(crm, clerk, "Approve", held)
    assert await refused(crm, chief, "Return", held, stage=1) == ["APPROVAL_STAGE"]
    assert open_(await do(crm, chief, "Return", held, stage=0, backHere=True)) == ["clerk"]
    assert open_(await do(crm, clerk, "Approve", held)) == ["chief"]


async def test_a_task_is_transferred_delegated_and_shared(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor, manager: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller)
    now = await look(crm, held)
    assert await refused(crm, clerk, "Transfer", held, task=task(now, "clerk"), to=shown(seller)) == [
        "APPROVAL_SELF"
    ]
    now = await do(crm, clerk, "Transfer", held, task=task(now, "clerk"), to=shown(chief))
    assert open_(now) == ["chief"]
    now = await do(crm, chief, "Delegate", held, task=task(now, "chief"), to=shown(clerk))
    assert open_(now) == ["clerk"]
    now = await do(crm, clerk, "Reject", held, comment="I would not")
    assert (now["state"], open_(now)) == ("PENDING", ["chief"])
    now = await do(
        crm,
        chief,
        "AddSigner",
        held,
        task=task(now, "chief"),
        users=[shown(clerk), shown(manager)],
        how="BEFORE",
    )
    assert sorted(open_(now)) == ["clerk", "manager"]
    assert await refused(
        crm, clerk, "AddSigner", held, task=task(now, "clerk"), users=[shown(chief)], how="AFTER"
    ) == ["APPROVAL_ADDED"]
    await do(crm, clerk, "Approve", held)
    now = await do(crm, chief, "RemoveSigner", held, task=task(await look(crm, held), "manager"))
    assert open_(now) == ["chief"]
    assert (await do(crm, chief, "Approve", held))["state"] == "APPROVED"


async def test_an_administrator_moves_tasks_and_ends_requests(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor, manager: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller)
    mine = task(await look(crm, held), "clerk")
    assert await refused(crm, chief, "Transfer", held, task=mine, to=shown(chief)) == ["NOT_FOUND"]
    assert open_(await do(crm, manager, "Transfer", held, task=mine, to=shown(chief))) == ["chief"]
    assert await refused(crm, seller, "Terminate", held, comment="no") == ["FORBIDDEN"]
    assert await refused(crm, manager, "Terminate", held, comment=" ") == ["INVALID_STRING_TOO_SHORT"]
    ended = await do(crm, manager, "Terminate", held, comment="the model is gone")
    assert (ended["state"], open_(ended)) == ("TERMINATED", [])


async def test_who_is_shown_a_request_may_read_it(
    crm: Kit, policy: Policy, seller: Actor, chief: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    ask = "{ approvals(where: {copied: true}) { nodes { id } } }"
    assert (await crm.data(ask, chief))["approvals"]["nodes"] == []
    await do(crm, seller, "Copy", held, users=[shown(chief)])
    assert (await crm.data(ask, chief))["approvals"]["nodes"] == [{"id": held["id"]}]


async def test_signers_are_reminded_once_an_hour(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    assert await refused(crm, manager, "Urge", held) == ["APPROVAL_NOT_REQUESTER"]
    await do(crm, seller, "Urge", held)
    assert await told(crm, manager) == ["approval.urged", "approval.asked"]
    assert await refused(crm, seller, "Urge", held) == ["APPROVAL_URGED_LATELY"]
    crm.services.clock.advance(hours=1)  # type: ignore[attr-defined]  # the kit's clock
    await do(crm, seller, "Urge", held)


async def test_a_conflict_is_resubmitted_on_what_stands_now(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    deal = await made(crm, seller)
    await policy("deal.update", condition={"none": [{"field": "note", "op": "EQ", "value": "theirs"}]})
    held = await hold(crm, seller, "dealUpdate", input={"id": deal, "note": "mine"})
    await crm.done("dealUpdate", seller, input={"id": deal, "note": "theirs"})
    assert (await sign(crm, manager, held["id"]))["state"] == "CONFLICT"
    assert (await told(crm, seller))[0] == "approval.decided"
    again = await do(crm, seller, "Resubmit", held)
    assert (again["state"], again["reasons"]) == ("PENDING", [])
    assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"
    assert [d["note"] for d in await deals(crm)] == ["mine"]


async def test_somebody_takes_over_for_who_has_left(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    await crm.done("userUpdate", input={"id": shown(seller), "disabled": True})
    assert (await sign(crm, manager, held["id"]))["state"] == "NEEDS_ADOPTION"
    heir = await crm.actor(
        "heir",
        {
            "deals.read": Reach.LINE,
            "deals.write": Reach.LINE,
            "approval.read": Reach.LINE,
            "approval.request": Reach.LINE,
        },
    )
    assert await refused(crm, manager, "Adopt", held) == ["APPROVAL_SELF"]
    assert (await do(crm, heir, "Adopt", held))["state"] == "APPROVED"
    assert len(await deals(crm)) == 1


async def test_several_are_signed_at_once_each_for_itself(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    first = await hold(crm, seller, input={"title": "a"})
    second = await hold(crm, seller, input={"title": "b"})
    await do(crm, seller, "Withdraw", second)
    payload = await crm.done(
        "approvalApproveMany",
        manager,
        input={"approvals": [first["id"], second["id"]], "comment": "fine"},
        select="approvalBatch { results }",
    )
    found = payload["approvalBatch"]["results"]
    assert [(r["approval"], r["state"], [e["code"] for e in r["errors"]]) for r in found] == [
        (first["id"], "APPROVED", []),
        (second["id"], None, ["APPROVAL_FINISHED"]),
    ]
    assert [d["title"] for d in await deals(crm)] == ["a"]


async def test_what_was_performed_is_taken_back_within_the_days_of_the_policy(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    deal = await made(crm, seller)
    await policy("deal.update", withdrawDays=3)
    held = await hold(crm, seller, "dealUpdate", input={"id": deal, "note": "new"})
    assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"
    assert await refused(crm, manager, "Withdraw", held) == ["APPROVAL_NOT_REQUESTER"]
    assert [d["note"] for d in await deals(crm)] == ["new"]
    assert (await do(crm, seller, "Withdraw", held))["state"] == "WITHDRAWN"
    assert [d["note"] for d in await deals(crm)] == ["old"]
    late = await hold(crm, seller, "dealUpdate", input={"id": deal, "note": "newer"})
    await sign(crm, manager, late["id"])
    crm.services.clock.advance(days=4)  # type: ignore[attr-defined]  # the kit's clock
    assert await refused(crm, seller, "Withdraw", late) == ["APPROVAL_NOT_RECALLABLE"]


async def test_what_nothing_undoes_stays_done(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create", withdrawDays=3)
    held = await hold(crm, seller)
    await sign(crm, manager, held["id"])
    assert await refused(crm, seller, "Withdraw", held) == ["APPROVAL_NOT_RECALLABLE"]
    assert len(await deals(crm)) == 1


async def overdue(crm: Kit) -> None:
    await run(crm.services)


async def test_who_does_not_sign_in_time_is_reminded_then_his_superior_is_asked(
    crm: Kit, policy: Policy, seller: Actor
) -> None:
    """Monday 10:00; two working days end on Wednesday at closing time."""
    head = await crm.team("head")
    front = await crm.team("front", parent=head)
    boss = await crm.actor("boss", SIGNS, team=head, leads=True)
    leader = await crm.actor("leader", SIGNS, team=front, leads=True)
    deadline = {"workingDays": 2, "remindBeforeHours": "4", "then": "MANAGER"}
    stages = [{"slots": [{"userId": shown(leader)}], "deadline": deadline}]
    await crm.done(
        "approvalPolicySet",
        acting="east",
        input={"name": "slow", "commands": ["deal.create"], "stages": stages},
    )
    held = await hold(crm, seller)
    now = await look(crm, held)
    assert [t["dueAt"] for t in now["tasks"]] == ["2025-11-05T10:00:00.000000Z"]
    crm.services.clock.advance(days=1)  # type: ignore[attr-defined]  # the kit's clock
    await overdue(crm)
    assert await told(crm, leader) == ["approval.asked"]
    crm.services.clock.advance(days=1, hours=4, minutes=1)  # type: ignore[attr-defined]
    await overdue(crm)
    await overdue(crm)
    assert await told(crm, leader) == ["approval.reminder", "approval.asked"]
    crm.services.clock.advance(hours=5)  # type: ignore[attr-defined]
    await overdue(crm)
    now = await look(crm, held)
    assert (now["state"], open_(now)) == ("PENDING", ["boss"])
    assert await told(crm, boss) == ["approval.asked"]
    assert (await do(crm, boss, "Approve", held))["state"] == "APPROVED"


async def told(crm: Kit, actor: Actor) -> list[str]:
    """Kinds of the notices he got, the newest first."""
    everything = (await crm.again(crm.administrator.user_id)).grants
    found = await crm.data("{ myNotices { nodes { kind } } }", replace(actor, grants=everything))
    return [n["kind"] for n in found["myNotices"]["nodes"]]


@pytest.mark.parametrize(
    ("then", "state"), [("APPROVE", "APPROVED"), ("REJECT", "REJECTED"), ("NOTHING", "PENDING")]
)
async def test_a_policy_may_decide_when_nobody_did_in_time(
    crm: Kit, seller: Actor, clerk: Actor, then: str, state: str
) -> None:
    stages = [{"slots": [{"userId": shown(clerk)}], "deadline": {"workingHours": "8", "then": then}}]
    await crm.done(
        "approvalPolicySet",
        acting="east",
        input={"name": "quick", "commands": ["deal.create"], "stages": stages},
    )
    held = await hold(crm, seller)
    crm.services.clock.advance(days=2)  # type: ignore[attr-defined]  # the kit's clock
    await overdue(crm)
    now = await look(crm, held)
    assert (now["state"], now["tasks"][0]["overdue"]) == (state, True)
    assert now["tasks"][0]["automatic"] is (then != "NOTHING")


async def test_a_deputy_signs_for_who_is_away(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(chief)})
    away = {"userId": shown(chief), "deputyId": shown(clerk), "fromDay": "2025-11-01", "toDay": "2025-11-10"}
    await crm.done("absenceSet", input=away)
    held = await hold(crm, seller)
    now = await look(crm, held)
    assert [(t["user"], t["insteadOf"]) for t in now["tasks"]] == [({"name": "clerk"}, {"name": "chief"})]
    assert (await do(crm, clerk, "Approve", held))["state"] == "APPROVED"


@pytest.mark.parametrize("led", [True, False])
async def test_what_a_disabled_user_was_asked_goes_to_his_superior_or_the_administrators(
    crm: Kit, policy: Policy, seller: Actor, *, led: bool
) -> None:
    team = await crm.team("front")
    boss = await crm.actor("boss", SIGNS, team=team, leads=led)
    clerk = await crm.actor("asked", SIGNS, team=team)
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller)
    await crm.done("userUpdate", input={"id": shown(clerk), "disabled": True})
    await overdue(crm)
    now = await look(crm, held)
    assert (
        open_(now) == ["boss"]
        if led
        else [t["role"] for t in now["tasks"] if t["state"] == "OPEN"] == ["administrator"]
    )
    heir = boss if led else crm.administrator
    assert (await do(crm, heir, "Approve", held))["state"] == "APPROVED"


async def test_open_tasks_go_to_the_successor_of_who_leaves(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller)
    await crm.done("userOffboard", input={"id": shown(clerk), "successorId": shown(chief)})
    assert open_(await look(crm, held)) == ["chief"]
