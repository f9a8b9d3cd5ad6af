"""What must hold whatever policy a line has for its orders: nothing takes effect without people's signatures."""

from pathlib import Path
from typing import Any

import pytest

from crm_auto_dealer.orders.models import OrderCard, OrderChange
from crm_auto_dealer.orders.signing import POLICIES
from crm_auto_dealer.testing import Dealer, outcome
from crm_core import ids
from crm_core.approvals import overdue
from crm_core.approvals.policy_file import read

EXAMPLE = Path(__file__).parents[3] / "examples" / "approvals" / "order-card.yaml"
ORDER = {"model": "名图", "price": "2", "deposit": "1"}


async def codes(dealer: Dealer, mutation: str, **given: Any) -> list[str]:
    payload = await dealer.crm.change(mutation, dealer.consultant, acting=dealer.line, input=given)
    return [e["code"] for e in payload["userErrors"]]


async def policy(dealer: Dealer, name: str, **given: Any) -> None:
    await dealer.crm.done("approvalPolicySet", acting=dealer.line, input={"name": name, **given})


async def state_of(dealer: Dealer, order: str) -> str:
    (row,) = [r for r in await dealer.crm.rows(OrderCard) if r.id == ids.read_as("ord", order)]
    return str(row.state)


@pytest.mark.rule("AD-050")
async def test_where_nobody_signs_orders_none_is_drafted_or_handed_in(dealer: Dealer) -> None:
    order, customer = await dealer.order(), await dealer.customer()
    await policy(dealer, "order card", enabled=False)
    created = await dealer.crm.change(
        "orderCreate", dealer.consultant, input={"customerId": customer, **ORDER}
    )
    (refusal,) = created["userErrors"]
    assert (refusal["code"], refusal["rule"]) == ("AUTO_DEALER_NOBODY_SIGNS", "AD-050")
    assert "'order card' (approvalPolicySet with enabled: true)" in refusal["message"]
    assert await codes(dealer, "approvalSubmit", record=order) == ["APPROVAL_NO_POLICY"]
    await policy(dealer, "order card", enabled=True)
    await dealer.submit(order)


@pytest.mark.rule("AD-051")
async def test_where_nobody_signs_changes_none_is_asked_for(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign", "register")
    await policy(dealer, "order change", enabled=False)
    assert await codes(dealer, "orderChange", id=order, content={"price": "1.00", "deposit": "0"}) == [
        "AUTO_DEALER_NOBODY_SIGNS"
    ]
    assert await dealer.crm.rows(OrderChange) == []


@pytest.mark.rule("AD-050")
async def test_a_policy_that_forgets_the_registration_brings_no_order_into_effect(dealer: Dealer) -> None:
    await policy(dealer, "order card", stages=[{"slots": [{"role": "sales_manager"}]}])
    order = await dealer.order(None, "submit")
    after = await dealer.sign(order, dealer.manager)
    assert outcome(after) == ("CONFLICT", ["AUTO_DEALER_UNSIGNED"])
    assert await state_of(dealer, order) == "DRAFT"


@pytest.mark.rule("AD-050", "AD-051")
@pytest.mark.parametrize("what", ["order card", "order change"])
async def test_a_deadline_neither_signs_nor_registers(dealer: Dealer, what: str) -> None:
    order = await dealer.order(None, *(("sign", "register") if what == "order change" else ()))
    late = {"workingHours": "1", "then": "APPROVE"}
    stages = [{"slots": [{"role": "sales_manager"}], "deadline": late}]
    await policy(dealer, what, stages=stages * (2 if what == "order card" else 1))
    record = order if what == "order card" else await dealer.change(order, price="120000.00")
    if what == "order card":
        await dealer.submit(order)
    before = await state_of(dealer, order)
    for _ in range(2):
        dealer.crm.clock.advance(days=1)
        await overdue.run(dealer.crm.services)
    after = await dealer.answered(record, dealer.consultant, "Withdraw")  # it had come to nothing
    assert after["userErrors"] == []
    assert await state_of(dealer, order) == before
    assert {row.price for row in await dealer.crm.rows(OrderCard)} == {13_980_000}


@pytest.mark.rule("AD-050")
async def test_an_order_is_handed_in_as_a_draft_and_with_no_change_waiting(dealer: Dealer) -> None:
    effective, draft = await dealer.order(None, "sign", "register"), await dealer.order()
    assert await codes(dealer, "approvalSubmit", record=effective) == ["ILLEGAL_MOVE"]
    change = await dealer.change(draft, price="120000.00")
    assert await codes(dealer, "approvalSubmit", record=draft) == ["AUTO_DEALER_CHANGE_PENDING"]
    await dealer.sign(change, dealer.leader)
    await dealer.submit(draft)


async def test_an_order_and_its_change_show_how_far_their_signatures_are(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign")
    asked = "query($id: ID!) { order(id: $id) { approvals { state tasks { state stageName } } } }"
    (shown,) = (await dealer.crm.data(asked, dealer.consultant, id=order))["order"]["approvals"]
    assert shown["state"] == "PENDING"
    assert {"state": "OPEN", "stageName": "销售助理登记"} in shown["tasks"]
    await dealer.sign(order, dealer.assistant)
    made = await dealer.crm.done(
        "orderChange",
        dealer.consultant,
        input={"id": order, "content": {"price": "120000.00"}},
        select="orderChange { approvals { state requester { name } } }",
    )
    assert made["orderChange"]["approvals"] == [{"state": "PENDING", "requester": {"name": "east 李顾问"}}]


@pytest.mark.rule("CS-194")
def test_the_offered_policies_are_the_documented_ones_and_in_force() -> None:
    documented = {p.definition.name: p.definition for p in read(EXAMPLE.read_text(encoding="utf-8")).policies}
    for template in POLICIES:
        definition = documented[template.name]
        assert (definition.document, definition.title) == (template.kind, template.title)
        assert (template.enabled, template.self_approval) == (True, definition.self_approval.value)
        given = [(s["name"], [dict(slot) for slot in s["slots"]]) for s in template.stages]
        assert given == [(s.name, [_named(slot) for slot in s.slots]) for s in definition.stages]


def _named(slot: Any) -> dict[str, str]:
    return {"resolver": slot.resolver} if slot.resolver else {"role": slot.role}
