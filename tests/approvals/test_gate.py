"""Holding commands and signing them, through the API, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.audit.models import AuditEntry
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit

Policy = Callable[..., Awaitable[dict[str, Any]]]
HELD = "deal { id } approval { id state kind subject diff canSign reason requester { name } tasks { role state } }"
STATE = """approval { id state subject results comment decidedAt conflicts reasons canSign
    tasks { state answer comment signer { name } } }"""


async def hold(crm: Kit, actor: Actor, mutation: str = "dealCreate", **arguments: Any) -> dict[str, Any]:
    given = {"title": "Audi", "amount": "200000.00"} if mutation == "dealCreate" else {}
    payload = await crm.done(
        mutation, actor, input=given | arguments.pop("input", {}), select=HELD, **arguments
    )
    approval: dict[str, Any] = payload["approval"]
    assert approval is not None
    return approval


async def made(crm: Kit, actor: Actor, **more: Any) -> str:
    """A deal that nobody had to sign."""
    given = {"title": "BMW", "amount": "100.00", "note": "old", **more}
    payload = await crm.done("dealCreate", actor, input=given, select="deal { id }")
    return str(payload["deal"]["id"])


async def sign(crm: Kit, actor: Actor, approval: str, **more: Any) -> dict[str, Any]:
    payload = await crm.done("approvalApprove", actor, input={"id": approval, **more}, select=STATE)
    found: dict[str, Any] = payload["approval"]
    return found


async def deals(crm: Kit) -> list[dict[str, Any]]:
    found = await crm.data("{ deals { nodes { id title amount note account grade version } } }")
    nodes: list[dict[str, Any]] = found["deals"]["nodes"]
    return nodes


async def codes(crm: Kit, mutation: str, actor: Actor, **arguments: Any) -> list[str]:
    return [e["code"] for e in (await crm.change(mutation, actor, **arguments))["userErrors"]]


def shown(actor: Actor) -> str:
    """The user's id as clients see it."""
    assert actor.user_id is not None
    return ids.show("usr", actor.user_id)


async def test_a_held_creation_is_made_with_the_last_signature(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller, reason="good customer")
    assert (held["state"], held["kind"], held["subject"]) == ("PENDING", "deal.create", None)
    assert (held["reason"], held["requester"]) == ("good customer", {"name": "seller"})
    assert held["tasks"] == [{"role": "line_manager", "state": "OPEN"}]
    assert held["canSign"] is False
    assert await deals(crm) == []
    after = await sign(crm, manager, held["id"], comment="go ahead")
    assert (after["state"], after["comment"]) == ("APPROVED", "go ahead")
    assert after["tasks"] == [
        {"state": "DONE", "answer": "APPROVE", "comment": "go ahead", "signer": {"name": "manager"}}
    ]
    found = await deals(crm)
    assert [(d["title"], d["amount"], d["version"]) for d in found] == [("Audi", "200000.00", 1)]
    assert after["results"] == [found[0]["id"]] == [after["subject"]]


async def test_the_diff_tells_field_by_field_what_would_change(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    deal = await made(crm, seller)
    await policy("deal.update")
    held = await hold(crm, seller, "dealUpdate", input={"id": deal, "amount": "90.00"})
    assert held["subject"] == deal
    assert held["diff"] == [
        {"table": "deals_deals", "recordId": deal, "field": "amount", "before": 10000, "after": 9000}
    ]


async def test_a_field_left_out_stays_and_null_empties_it_though_held(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    first, second = await made(crm, seller), await made(crm, seller, title="VW")
    await policy("deal.update")
    left_out = await hold(crm, seller, "dealUpdate", input={"id": first, "amount": "90.00"})
    emptied = await hold(crm, seller, "dealUpdate", input={"id": second, "amount": "90.00", "note": None})
    for held in (left_out, emptied):
        assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"
    assert {d["id"]: (d["note"], d["amount"]) for d in await deals(crm)} == {
        first: ("old", "90.00"),
        second: (None, "90.00"),
    }


async def test_most_sensitive_fields_stand_sealed_while_held_and_whole_when_performed(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller, input={"account": "6222000011112222"})
    kept = (
        repr(await crm.rows(Approval)) + repr(await crm.rows(AuditEntry)) + repr(await crm.rows(OutboxEvent))
    )
    assert "6222000011112222" not in kept + repr(held)
    assert "sealed=" in repr(await crm.rows(Approval)) or (await crm.rows(Approval))[0].sealed.startswith(
        "v1."
    )
    await sign(crm, manager, held["id"])
    assert (await deals(crm))[0]["account"] == "6222000011112222"
    assert (await crm.rows(Approval))[0].sealed is None


async def test_a_rejected_change_is_never_made(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    payload = await crm.done(
        "approvalReject", manager, input={"id": held["id"], "comment": "too dear"}, select=STATE
    )
    assert (payload["approval"]["state"], payload["approval"]["comment"]) == ("REJECTED", "too dear")
    assert payload["approval"]["decidedAt"] is not None
    assert await codes(crm, "approvalApprove", manager, input={"id": held["id"]}) == ["APPROVAL_FINISHED"]
    assert await deals(crm) == []


async def test_the_requester_alone_may_withdraw(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    assert await codes(crm, "approvalWithdraw", manager, input={"id": held["id"]}) == [
        "APPROVAL_NOT_REQUESTER"
    ]
    payload = await crm.done("approvalWithdraw", seller, input={"id": held["id"]}, select=STATE)
    assert payload["approval"]["state"] == "WITHDRAWN"
    assert [t["state"] for t in payload["approval"]["tasks"]] == ["CANCELLED"]
    assert await codes(crm, "approvalApprove", manager, input={"id": held["id"]}) == ["APPROVAL_FINISHED"]


async def test_nobody_signs_his_own_unless_the_policy_lets_him(
    crm: Kit, policy: Policy, manager: Actor
) -> None:
    await crm.actor("other manager", role="line_manager")
    chief = await crm.actor(
        "chief",
        {
            "deals.read": Reach.LINE,
            "deals.write": Reach.LINE,
            "approval.sign": Reach.LINE,
            "approval.read": Reach.OWN,
        },
    )
    await crm.done("roleGrant", input={"userId": shown(chief), "role": "line_manager", "line": "east"})
    chief = await crm.again(chief.user_id)
    await policy("deal.create")
    held = await hold(crm, chief)
    assert held["canSign"] is False
    assert await codes(crm, "approvalApprove", chief, input={"id": held["id"]}) == ["APPROVAL_SELF"]
    await policy("deal.create", selfApproval="ALLOW")
    own = await hold(crm, chief, input={"title": "VW"})
    assert own["canSign"] is True
    assert (await sign(crm, chief, own["id"]))["state"] == "APPROVED"


async def test_a_change_nobody_could_sign_is_refused_at_once(crm: Kit, policy: Policy, seller: Actor) -> None:
    await policy("deal.create")
    given = {"title": "Audi", "amount": "1.00"}
    assert await codes(crm, "dealCreate", seller, input=given) == ["APPROVAL_NO_SIGNER"]


async def test_a_conflict_shows_base_theirs_and_mine(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    deal = await made(crm, seller)
    await policy("deal.update", condition={"all": [{"field": "amount", "op": "LT", "value": "50"}]})
    held = await hold(crm, seller, "dealUpdate", input={"id": deal, "amount": "40.00"})
    await crm.done("dealUpdate", seller, input={"id": deal, "amount": "95.00"})
    after = await sign(crm, manager, held["id"])
    assert after["state"] == "CONFLICT"
    assert after["conflicts"] == [
        {
            "table": "deals_deals",
            "recordId": deal,
            "field": "amount",
            "base": 10000,
            "theirs": 9500,
            "mine": 4000,
        }
    ]
    assert [r["code"] for r in after["reasons"]] == ["APPROVAL_CHANGED_SINCE"]
    assert after["tasks"][0]["answer"] == "APPROVE"
    assert (await deals(crm))[0]["amount"] == "95.00"


async def test_a_change_of_another_field_is_no_conflict_but_of_a_guard_it_is(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    first, second = await made(crm, seller), await made(crm, seller, title="VW")
    await policy("deal.update", condition={"all": [{"field": "amount", "op": "GIVEN"}]})
    one = await hold(crm, seller, "dealUpdate", input={"id": first, "amount": "40.00"})
    two = await hold(crm, seller, "dealUpdate", input={"id": second, "amount": "40.00"})
    await crm.done("dealUpdate", seller, input={"id": first, "note": "new"})
    await crm.done("dealGrade", seller, input={"id": second, "grade": "A"})
    assert (await sign(crm, manager, one["id"]))["state"] == "APPROVED"
    after = await sign(crm, manager, two["id"])
    assert (after["state"], after["conflicts"][0]["field"]) == ("CONFLICT", "grade")
    assert {d["id"]: (d["amount"], d["note"]) for d in await deals(crm)} == {
        first: ("40.00", "new"),
        second: ("100.00", "old"),
    }


async def test_what_can_no_longer_be_done_keeps_the_signature_and_says_why(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create", condition={"all": [{"field": "amount", "op": "GTE", "value": "1000"}]})
    held = await hold(crm, seller)
    await made(crm, seller, title="Audi")
    after = await sign(crm, manager, held["id"])
    assert (after["state"], after["results"]) == ("CONFLICT", [])
    assert [r["code"] for r in after["reasons"]] == ["CONFLICT"]
    assert after["tasks"][0]["signer"] == {"name": "manager"}
    assert len(await deals(crm)) == 1


async def test_a_requester_who_left_or_lost_his_rights_needs_somebody_to_adopt_the_change(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    deal = await made(crm, seller)
    await policy("deal.create")
    await policy("deal.update")
    first = await hold(crm, seller)
    second = await hold(crm, seller, "dealUpdate", input={"id": deal, "amount": "1.00"})
    user = shown(seller)
    await crm.done("roleRevoke", input={"userId": user, "role": "role of seller", "line": "east"})
    assert (await sign(crm, manager, first["id"]))["state"] == "NEEDS_ADOPTION"
    await crm.done("userUpdate", input={"id": user, "disabled": True})
    after = await sign(crm, manager, second["id"])
    assert (after["state"], after["reasons"][0]["code"]) == ("NEEDS_ADOPTION", "APPROVAL_REQUESTER_GONE")
    assert [d["amount"] for d in await deals(crm)] == ["100.00"]


async def test_a_command_the_product_no_longer_understands_is_stale(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    table = Approval.__table__
    async with crm.database.transaction() as session:
        await session.execute(table.update().values(body={"title": "Audi", "colour": "red"}))
    after = await sign(crm, manager, held["id"])
    assert (after["state"], await deals(crm)) == ("STALE", [])
    assert {r["code"] for r in after["reasons"]} == {"REQUIRED", "INVALID_EXTRA_FORBIDDEN"}


async def test_checks_refuse_before_anything_is_held(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    given = {"title": "cursed", "amount": "1.00"}
    assert await codes(crm, "dealCreate", seller, input=given) == ["INVALID_VALUE"]
    await made_by_administrator(crm)
    given = {"title": "BMW", "amount": "1.00"}
    assert await codes(crm, "dealCreate", seller, input=given) == ["CONFLICT"]
    assert await crm.rows(ApprovalTask) == []


async def made_by_administrator(crm: Kit) -> None:
    """A deal of the east with the name the next one wants, made before the policy counts for it."""
    async with crm.database.transaction() as session:
        deal = next(m for m in crm.services.registry.tables["deals"])
        session.add(deal(line="east", owner_id=crm.administrator.user_id, title="BMW", amount=1, grade="B"))


async def test_the_same_key_gives_the_same_approval(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    first = await hold(crm, seller, idempotencyKey="k1")
    again = await hold(crm, seller, idempotencyKey="k1")
    assert first["id"] == again["id"]
    assert len(await crm.rows(Approval)) == 1


async def test_a_dry_run_shows_the_approval_that_would_be_made(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller, dryRun=True)
    assert held["state"] == "PENDING"
    assert await crm.rows(Approval) == []


async def test_the_performed_change_is_its_requesters_and_announced_once(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller, reason="good customer")
    await sign(crm, manager, held["id"])
    events = [e for e in await crm.rows(OutboxEvent) if e.kind.startswith(("deal.", "approval."))]
    assert sorted(e.kind for e in events) == ["approval.decided", "approval.requested", "deal.changed"]
    assert {e.kind: e.actor_name for e in events} == {
        "approval.requested": "seller", "deal.changed": "seller", "approval.decided": "manager"
    }  # fmt: skip
    entries = {(e.kind, e.channel): e for e in await crm.rows(AuditEntry)}
    done = entries["deal.create", "approval"]
    assert (done.actor_id, done.signer_id, done.reason) == (seller.user_id, manager.user_id, "good customer")
    assert ids.show("apr", done.approval_id) == held["id"]
    assert [c["table"] for c in done.changes] == ["deals_deals"]
    assert "deals_deals" not in [c["table"] for c in entries["approval.approve", "graphql"].changes]
    waiting = entries["deal.create", "graphql"]
    assert (waiting.subject_ref, waiting.approval_id) == (None, done.approval_id)


async def test_two_signers_at_once_make_the_change_once(crm: Kit, policy: Policy, seller: Actor) -> None:
    await policy("deal.create")
    managers = [await crm.actor(f"manager {n}", role="line_manager") for n in range(4)]
    for round_ in range(3):
        held = await hold(crm, seller, input={"title": f"deal {round_}"})
        given = {"id": held["id"]}
        answers = await asyncio.gather(*(codes(crm, "approvalApprove", m, input=given) for m in managers))
        assert sorted(answers) == [[], *[["APPROVAL_FINISHED"]] * 3]
    assert len(await deals(crm)) == 3
    assert [e.kind for e in await crm.rows(OutboxEvent)].count("approval.decided") == 3


async def test_signing_against_withdrawing_has_one_outcome(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    for round_ in range(3):
        held = await hold(crm, seller, input={"title": f"deal {round_}"})
        given = {"id": held["id"]}
        both = await asyncio.gather(
            codes(crm, "approvalApprove", manager, input=given),
            codes(crm, "approvalWithdraw", seller, input=given),
        )
        assert min(both) == []
        assert max(both) in (["APPROVAL_FINISHED"], ["APPROVAL_NOT_RECALLABLE"])
        performed = f"deal {round_}" in {d["title"] for d in await deals(crm)}
        assert performed == (both[0] == [])


async def test_commands_outside_condition_line_and_time_are_not_held(
    crm: Kit, policy: Policy, manager: Actor
) -> None:
    scopes = {"deals.read": Reach.LINE, "deals.write": Reach.LINE}
    both = await crm.actor("both", scopes, lines=("east", "west"))
    await policy("deal.create", condition={"all": [{"field": "amount", "op": "GT", "value": "1000.00"}]})
    small = await crm.done(
        "dealCreate", both, acting="east", input={"title": "a", "amount": "1000.00"}, select="deal { id }"
    )
    west = await crm.done(
        "dealCreate", both, acting="west", input={"title": "b", "amount": "2000"}, select="deal { id }"
    )
    assert small["deal"]
    assert west["deal"]
    large = await crm.done(
        "dealCreate", both, acting="east", input={"title": "c", "amount": "1000.01"}, select=HELD
    )
    assert large["deal"] is None
    assert large["approval"] is not None
    await policy("deal.create", enabled=False)
    off = await crm.done(
        "dealCreate", both, acting="east", input={"title": "d", "amount": "5000"}, select="deal { id }"
    )
    assert off["deal"]


async def test_all_stages_sign_in_their_order(crm: Kit, seller: Actor, manager: Actor) -> None:
    clerk = await crm.actor("clerk", {"approval.sign": Reach.LINE, "approval.read": Reach.OWN})
    named = {"userId": shown(clerk)}
    stages = [
        {"name": "manager", "slots": [{"role": "line_manager"}]},
        {"name": "register", "slots": [named]},
    ]
    given = {"name": "orders", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", input=given, acting="east")
    held = await hold(crm, seller)
    assert await codes(crm, "approvalApprove", clerk, input={"id": held["id"]}) == ["NOT_FOUND"]
    assert (await sign(crm, manager, held["id"]))["state"] == "PENDING"
    assert (await sign(crm, clerk, held["id"]))["state"] == "APPROVED"
    assert len(await deals(crm)) == 1


async def test_each_holder_signs_where_all_must(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    second = await crm.actor("second", role="line_manager")
    await policy("deal.create", {"role": "line_manager", "rule": "ALL"})
    held = await hold(crm, seller)
    assert (await sign(crm, manager, held["id"]))["state"] == "PENDING"
    assert await codes(crm, "approvalApprove", manager, input={"id": held["id"]}) == ["APPROVAL_NOT_YOURS"]
    assert (await sign(crm, second, held["id"]))["state"] == "APPROVED"


async def test_a_waiting_request_keeps_the_edition_it_began_with(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    clerk = await crm.actor("clerk", {"approval.sign": Reach.LINE})
    first = await policy("deal.create")
    held = await hold(crm, seller)
    second = await policy("deal.create", {"userId": shown(clerk)})
    assert (first["edition"], second["edition"]) == (1, 2)
    assert await codes(crm, "approvalApprove", clerk, input={"id": held["id"]}) == ["NOT_FOUND"]
    assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"
