"""Order cards through the sign-off engine, where a line has its policy in force; on both databases."""

from pathlib import Path
from typing import Any

import pytest

from crm_auto_dealer.orders.models import OrderCard
from crm_auto_dealer.orders.signing import POLICIES
from crm_auto_dealer.testing import Dealer
from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals.policy_file import read

EXAMPLE = Path(__file__).parents[3] / "examples" / "approvals" / "order-card.yaml"
SHOWN = "approval { id state reasons tasks { stageName state answer signer { name } } }"
ORDER = "state price governingOn signedBy { name } signedAt registeredBy { name } registeredAt"


@pytest.fixture
async def signing(dealer: Dealer) -> Dealer:
    """A dealer who has the offered policies in force."""
    for template in POLICIES:
        given = {"name": template.name, "enabled": True}
        await dealer.crm.done("approvalPolicySet", acting=dealer.line, input=given)
    return dealer


async def submit(dealer: Dealer, record: str, by: Actor | None = None) -> Any:
    payload = await dealer.crm.done(
        "approvalSubmit",
        by or dealer.consultant,
        acting=dealer.line,
        input={"record": record},
        select=SHOWN,
    )
    return payload["approval"]


async def sign(dealer: Dealer, approval: Any, who: Actor, verb: str = "Approve") -> Any:
    payload = await dealer.crm.done(f"approval{verb}", who, input={"id": approval["id"]}, select=SHOWN)
    return payload["approval"]


async def codes(dealer: Dealer, mutation: str, who: Actor, **given: Any) -> list[str]:
    payload = await dealer.crm.change(mutation, who, input=given)
    return [e["code"] for e in payload["userErrors"]]


async def order_of(dealer: Dealer, order: str) -> Any:
    asked = f"query($id: ID!) {{ order(id: $id) {{ {ORDER} }} }}"
    return (await dealer.crm.data(asked, id=order))["order"]


@pytest.mark.rule("AD-050", "CS-194")
async def test_an_order_takes_effect_signed_by_manager_or_leader_and_then_registered(
    signing: Dealer,
) -> None:
    order = await signing.order()
    asked = await submit(signing, order)
    for who in (signing.assistant, signing.head, signing.rival):
        assert set(await codes(signing, "approvalApprove", who, id=asked["id"])) <= {
            "APPROVAL_NOT_YOURS", "NOT_FOUND", "FORBIDDEN",
        }  # fmt: skip
    signing.crm.clock.advance(hours=1)
    assert (await sign(signing, asked, signing.leader))["state"] == "PENDING"
    assert (await order_of(signing, order))["state"] == "DRAFT"
    assert await codes(signing, "approvalApprove", signing.manager, id=asked["id"]) == ["APPROVAL_NOT_YOURS"]
    signing.crm.clock.advance(hours=1)
    assert (await sign(signing, asked, signing.assistant))["state"] == "APPROVED"
    assert await order_of(signing, order) == {
        "state": "EFFECTIVE", "price": "139800.00", "governingOn": "2025-11-03",
        "signedBy": {"name": "east 王组长"}, "signedAt": "2025-11-03T03:00:00.000000Z",
        "registeredBy": {"name": "east 周助理"}, "registeredAt": "2025-11-03T04:00:00.000000Z",
    }  # fmt: skip


@pytest.mark.rule("AD-050", "CS-194")
async def test_where_the_policy_is_in_force_no_signature_beside_it_counts(signing: Dealer) -> None:
    order = await signing.order()
    assert await codes(signing, "orderSign", signing.manager, id=order) == ["AUTO_DEALER_SIGNED_BY_POLICY"]
    assert await codes(signing, "orderRegister", signing.assistant, id=order) == ["ILLEGAL_MOVE"]
    await submit(signing, order)
    assert await codes(signing, "orderSign", signing.manager, id=order) == ["APPROVAL_LOCKED"]
    assert (await order_of(signing, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_the_policy_lets_nobody_sign_his_own_order_or_register_what_he_signed(signing: Dealer) -> None:
    own = await submit(signing, await signing.order(signing.leader), signing.leader)
    assert set(await codes(signing, "approvalApprove", signing.leader, id=own["id"])) <= {
        "APPROVAL_SELF", "APPROVAL_NOT_YOURS",
    }  # fmt: skip
    order = await signing.order()
    asked = await submit(signing, order)
    user = f"usr_{signing.manager.user_id.hex}"  # type: ignore[union-attr]  # actors of the kit are users
    given = {"userId": user, "role": "sales_assistant", "line": "east"}
    await signing.crm.done("roleGrant", input=given)
    both = await signing.crm.again(signing.manager.user_id)
    await sign(signing, asked, both)
    after = await sign(signing, asked, both)
    assert (after["state"], [r["code"] for r in after["reasons"]]) == ("CONFLICT", ["AUTO_DEALER_ONE_PERSON"])
    assert (await order_of(signing, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_an_order_that_somebody_else_hands_in_is_not_signed_by_its_consultant(signing: Dealer) -> None:
    order = await signing.order(signing.manager)
    asked = await submit(signing, order, signing.crm.administrator)
    await sign(signing, asked, signing.manager)
    after = await sign(signing, asked, signing.assistant)
    assert (after["state"], [r["code"] for r in after["reasons"]]) == ("CONFLICT", ["AUTO_DEALER_OWN_ORDER"])


@pytest.mark.rule("AD-051", "CS-194")
async def test_a_change_that_is_refused_or_not_signed_is_void(signing: Dealer) -> None:
    order = await signing.order()
    first = await submit(signing, order)
    for who in (signing.manager, signing.assistant):
        await sign(signing, first, who)
    change = await signing.change(order, price="120000.00")
    refused = await codes(signing, "orderSignChange", signing.manager, id=change)
    assert refused == ["AUTO_DEALER_SIGNED_BY_POLICY"]
    asked = await submit(signing, change)
    assert (await sign(signing, asked, signing.leader, "Reject"))["state"] == "REJECTED"
    assert (await order_of(signing, order))["price"] == "139800.00"
    again = await signing.change(order, price="130000.00")  # the other no longer waits
    assert (await submit(signing, again))["state"] == "PENDING"


@pytest.mark.rule("AD-051", "AD-052", "CS-194")
async def test_a_signed_change_has_effect_and_its_day_governs(signing: Dealer) -> None:
    order = await signing.order()
    asked = await submit(signing, order)
    for who in (signing.manager, signing.assistant):
        await sign(signing, asked, who)
    change = await submit(signing, await signing.change(order, price="120000.00"))
    signing.crm.clock.advance(days=2)
    assert (await order_of(signing, order))["price"] == "139800.00"
    assert (await sign(signing, change, signing.leader))["state"] == "APPROVED"
    after = await order_of(signing, order)
    assert (after["state"], after["price"], after["governingOn"]) == ("EFFECTIVE", "120000.00", "2025-11-05")


async def test_an_order_is_handed_in_as_a_draft(signing: Dealer) -> None:
    order = await signing.order()
    asked = await submit(signing, order)
    for who in (signing.manager, signing.assistant):
        await sign(signing, asked, who)
    assert await codes(signing, "approvalSubmit", signing.consultant, record=order) == ["ILLEGAL_MOVE"]


async def test_without_a_policy_in_force_orders_are_signed_as_before(dealer: Dealer) -> None:
    order = await dealer.order()
    assert await codes(dealer, "approvalSubmit", dealer.consultant, record=order) == ["APPROVAL_NO_POLICY"]
    await dealer.crm.done("orderSign", dealer.manager, input={"id": order})
    await dealer.crm.done("orderRegister", dealer.assistant, input={"id": order})
    (row,) = [r for r in await dealer.crm.rows(OrderCard) if r.id == ids.read_as("ord", order)]
    assert row.state == "EFFECTIVE"


def test_the_offered_policies_are_the_documented_ones() -> None:
    documented = {p.definition.name: p.definition for p in read(EXAMPLE.read_text(encoding="utf-8")).policies}
    for template in POLICIES:
        definition = documented[template.name]
        assert (definition.document, definition.title) == (template.kind, template.title)
        assert [s.name for s in definition.stages] == [s["name"] for s in template.stages]
        roles = [[slot.role for slot in stage.slots] for stage in definition.stages]
        assert roles == [[slot["role"] for slot in stage["slots"]] for stage in template.stages]
