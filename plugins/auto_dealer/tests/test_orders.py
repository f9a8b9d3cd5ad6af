"""Order cards through the API: signature, registration and changes through approvals, who reads them."""

from collections.abc import Mapping
from typing import Any

import pytest

from crm_auto_dealer.orders.models import OrderCard, OrderChange
from crm_auto_dealer.testing import PLUGIN, Dealer, outcome
from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals.models import Approval

SHOWN = (
    "state price deposit orderedOn governingOn signedBy { name } signedAt registeredBy { name } registeredAt"
)
NOT_HIS_TURN: list[tuple[str, str | None]] = [("APPROVAL_NOT_YOURS", None)]
REFUSED = [("APPROVAL_NOT_YOURS", None), ("NOT_FOUND", None), ("FORBIDDEN", None)]


async def order_of(dealer: Dealer, order: str, who: Actor | None = None) -> Any:
    asked = f"query($id: ID!) {{ order(id: $id) {{ {SHOWN} }} }}"
    return (await dealer.crm.data(asked, who or dealer.consultant, id=order))["order"]


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(e["code"], e["rule"]) for e in payload["userErrors"]]


@pytest.mark.rule("AD-050", "CS-194")
async def test_an_order_is_effective_after_signature_and_then_registration(dealer: Dealer) -> None:
    order = await dealer.order(None, "submit")
    dealer.crm.clock.advance(hours=1)
    assert (await dealer.sign(order, dealer.manager))["state"] == "PENDING"
    assert (await order_of(dealer, order))["state"] == "DRAFT"
    dealer.crm.clock.advance(hours=1)
    assert (await dealer.sign(order, dealer.assistant))["state"] == "APPROVED"
    assert await order_of(dealer, order) == {
        "state": "EFFECTIVE", "price": "139800.00", "deposit": "5000.00",
        "orderedOn": "2025-11-03", "governingOn": "2025-11-03",
        "signedBy": {"name": "east 陈经理"}, "signedAt": "2025-11-03T03:00:00.000000Z",
        "registeredBy": {"name": "east 周助理"}, "registeredAt": "2025-11-03T04:00:00.000000Z",
    }  # fmt: skip


@pytest.mark.rule("AD-050")
async def test_registration_without_signature_is_refused(dealer: Dealer) -> None:
    order = await dealer.order(None, "submit")
    assert codes(await dealer.answered(order, dealer.assistant))[0] in REFUSED
    assert (await order_of(dealer, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_an_order_that_is_not_handed_in_waits_for_nobody(dealer: Dealer) -> None:
    order = await dealer.order()
    assert await dealer.crm.rows(Approval) == []
    assert (await order_of(dealer, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_the_manager_and_the_leader_of_the_orders_team_are_asked_and_nobody_else(
    dealer: Dealer,
) -> None:
    asked = [await dealer.submit(await dealer.order(who), who) for who in (dealer.consultant, dealer.rival)]
    assert [signers(one) for one in asked] == [
        {"east 王组长", "east 陈经理"},
        {"east 陈经理"},  # his team has no leader
    ]


@pytest.mark.rule("AD-050")
async def test_a_team_leader_signs_for_his_team_only(dealer: Dealer) -> None:
    own, others = await dealer.order(None, "submit"), await dealer.order(dealer.rival, "submit")
    await dealer.sign(own, dealer.leader)
    assert codes(await dealer.answered(others, dealer.leader)) == [("NOT_FOUND", None)]


@pytest.mark.rule("AD-050")
async def test_who_may_sign_may_not_register_and_the_other_way_round(dealer: Dealer) -> None:
    order = await dealer.order(None, "submit")
    for who in (dealer.consultant, dealer.rival, dealer.assistant, dealer.head):
        assert codes(await dealer.answered(order, who))[0] in REFUSED
    await dealer.sign(order, dealer.manager)
    for who in (dealer.consultant, dealer.leader, dealer.manager):
        assert codes(await dealer.answered(order, who))[0] in REFUSED
    assert (await order_of(dealer, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_one_person_who_may_do_both_does_not_do_both(dealer: Dealer) -> None:
    order = await dealer.order(None, "submit")
    given = {"userId": shown(dealer.manager), "role": "sales_assistant", "line": "east"}
    await dealer.crm.done("roleGrant", input=given)
    both = await dealer.crm.again(dealer.manager.user_id)
    await dealer.sign(order, both)
    after = await dealer.sign(order, both)
    assert outcome(after) == ("CONFLICT", ["AUTO_DEALER_ONE_PERSON"])
    assert (await order_of(dealer, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_who_hands_an_order_in_for_its_consultant_may_sign_it(dealer: Dealer) -> None:
    order = await dealer.order(dealer.manager, consultantId=shown(dealer.consultant))
    asked = await dealer.submit(order, dealer.manager)
    assert signers(asked) == {"east 王组长", "east 陈经理"}
    await dealer.sign(order, dealer.manager)


def signers(approval: dict[str, Any]) -> set[str]:
    return {task["user"]["name"] for task in approval["tasks"]}


def shown(who: Actor) -> str:
    return f"usr_{who.user_id.hex}" if who.user_id else ""


@pytest.mark.rule("AD-051", "CS-194")
@pytest.mark.parametrize("steps", [(), ("sign", "register")])
async def test_a_change_without_signature_is_void(dealer: Dealer, steps: tuple[str, ...]) -> None:
    order = await dealer.order(None, *steps)
    before = await order_of(dealer, order)
    change = await dealer.change(order, price="120000.00")
    assert await order_of(dealer, order) == before
    assert (await dealer.sign(change, dealer.manager, "Reject"))["state"] == "REJECTED"
    assert await order_of(dealer, order) == before
    await dealer.change(order, price="130000.00")  # the other no longer waits


@pytest.mark.rule("AD-051", "CS-194")
async def test_a_change_that_is_taken_back_is_void(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign", "register")
    change = await dealer.change(order, price="120000.00")
    await dealer.sign(change, dealer.consultant, "Withdraw")
    assert [row.state for row in await dealer.crm.rows(OrderChange)] == ["REJECTED"]
    assert (await order_of(dealer, order))["price"] == "139800.00"


@pytest.mark.rule("AD-051", "CS-194")
async def test_a_change_is_signed_by_the_manager_or_a_leader_and_by_nobody_else(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign", "register")
    change = await dealer.change(order, price="120000.00")
    for who in (dealer.consultant, dealer.rival, dealer.assistant, dealer.head):
        assert codes(await dealer.answered(change, who))[0] in REFUSED
    assert (await dealer.sign(change, dealer.leader))["state"] == "APPROVED"
    after = await order_of(dealer, order)
    assert (after["price"], after["deposit"], after["state"]) == ("120000.00", "5000.00", "EFFECTIVE")


@pytest.mark.rule("AD-051")
async def test_no_command_alters_the_content_of_an_order(dealer: Dealer) -> None:
    car, customer = await dealer.car(use="STOCK"), await dealer.customer()
    order = await dealer.order(None, "sign", "register", vehicleId=car, customerId=customer)
    refused = await dealer.change(order, price="1.00", deposit="0", vehicleId=None, model="其他")
    before, ran = await content_of(dealer, order), []
    await dealer.sign(refused, dealer.manager, "Reject")
    for kind, given in (
        ("orderCreate", {"customerId": customer, "vehicleId": car, "price": "2.00", "deposit": "1.00"}),
        ("orderChange", {"id": order, "content": {"price": "3.00", "deposit": "0", "model": "其他"}}),
        ("orderCancel", {"id": order}),
    ):
        await dealer.crm.done(kind, dealer.manager, input=given)
        assert await content_of(dealer, order) == before, kind
        ran.append(kind)
    of_orders = {k for k in dealer.crm.services.registry.commands if k.startswith("order.")}
    assert {_mutation(kind) for kind in of_orders} == set(ran)


async def content_of(dealer: Dealer, order: str) -> tuple[Any, ...]:
    (row,) = [r for r in await dealer.crm.rows(OrderCard) if r.id == ids.read_as("ord", order)]
    return (row.price, row.deposit, row.model, row.vehicle_id)


def _mutation(kind: str) -> str:
    head, *rest = kind.replace(".", "_").split("_")
    return head + "".join(word.capitalize() for word in rest)


@pytest.mark.rule("AD-051")
async def test_an_order_in_effect_is_not_cancelled_by_its_consultant(dealer: Dealer) -> None:
    draft, effective = await dealer.order(), await dealer.order(None, "sign", "register")
    await dealer.crm.done("orderCancel", dealer.consultant, input={"id": draft})
    refused = await dealer.crm.change("orderCancel", dealer.consultant, input={"id": effective})
    assert codes(refused) == [("AUTO_DEALER_CANCELLING_NEEDS_SIGNATURE", "AD-051")]
    await dealer.crm.done("orderCancel", dealer.manager, input={"id": effective})


@pytest.mark.rule("AD-051")
async def test_an_order_that_waits_is_neither_cancelled_nor_changed_before_it_is_taken_back(
    dealer: Dealer,
) -> None:
    order = await dealer.order(None, "submit")
    given: dict[str, Any] = {"id": order, "content": {"price": "1.00", "deposit": "0"}}
    for kind, of in (("orderCancel", {"id": order}), ("orderChange", given)):
        refused = await dealer.crm.change(kind, dealer.consultant, input=of)
        assert codes(refused) == [("APPROVAL_LOCKED", None)]
    await dealer.sign(order, dealer.consultant, "Withdraw")
    await dealer.crm.done("orderCancel", dealer.consultant, input={"id": order})


@pytest.mark.rule("AD-051")
async def test_a_signed_order_is_not_taken_back_by_its_consultant(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign")
    refused = await dealer.answered(order, dealer.consultant, "Withdraw")
    assert codes(refused) == [("AUTO_DEALER_TAKING_BACK_SIGNED", "AD-051")]
    await dealer.sign(order, dealer.assistant, "Return")  # who registers sends it back
    await dealer.crm.done("orderCancel", dealer.consultant, input={"id": order})
    assert [row.state for row in await dealer.crm.rows(Approval)] == ["TERMINATED"]


@pytest.mark.rule("AD-052")
async def test_the_date_of_a_signed_change_governs(dealer: Dealer) -> None:
    first = await dealer.order(None, "sign", "register")
    dealer.crm.clock.advance(days=1)
    second = await dealer.order(None, "sign", "register")
    sequence = "{ orders(orderBy: [{governingOn: ASC}]) { nodes { id governingOn orderedOn } } }"
    change = await dealer.change(first, deposit="8000.00")
    dealer.crm.clock.advance(days=2)
    await dealer.sign(change, dealer.manager)
    seen = (await dealer.crm.data(sequence, dealer.consultant))["orders"]["nodes"]
    assert seen == [
        {"id": second, "governingOn": "2025-11-04", "orderedOn": "2025-11-04"},
        {"id": first, "governingOn": "2025-11-06", "orderedOn": "2025-11-03"},
    ]


@pytest.mark.rule("AD-052")
async def test_a_rejected_change_moves_no_date(dealer: Dealer) -> None:
    order = await dealer.order()
    change = await dealer.change(order, price="120000.00")
    dealer.crm.clock.advance(days=1)
    await dealer.sign(change, dealer.manager, "Reject")
    assert (await order_of(dealer, order))["governingOn"] == "2025-11-03"
    assert codes(await dealer.answered(change, dealer.manager)) == [("APPROVAL_FINISHED", None)]
    again = await dealer.crm.change("approvalSubmit", dealer.consultant, input={"record": change})
    assert codes(again) == [("ILLEGAL_MOVE", "AD-051")]


@pytest.mark.rule("AD-052")
async def test_the_date_is_that_of_the_lines_own_time_zone(dealer: Dealer) -> None:
    dealer.crm.clock.advance(hours=14)  # 2025-11-03 16:00 UTC, in Shanghai already the next day
    order = await dealer.order()
    assert (await order_of(dealer, order))["governingOn"] == "2025-11-04"


@pytest.mark.rule("AD-053")
async def test_a_consultant_reads_his_own_orders_and_no_others(dealer: Dealer) -> None:
    customer = await dealer.customer(dealer.leader)
    order = await dealer.order(dealer.leader, customerId=customer)
    own = await dealer.order(dealer.consultant)
    change = await dealer.change(order, dealer.leader, price="120000.00")
    asked = """query($order: ID!, $change: ID!) {
      order(id: $order) { id } node(id: $order) { id } change: node(id: $change) { id }
      orders { totalCount nodes { id } } orderChanges { totalCount }
    }"""
    seen = await dealer.crm.data(asked, dealer.consultant, order=order, change=change)
    assert seen == {
        "order": None,
        "node": None,
        "change": None,
        "orders": {"totalCount": 1, "nodes": [{"id": own}]},
        "orderChanges": {"totalCount": 0},
    }
    seen = await dealer.crm.data(asked, dealer.manager, order=order, change=change)
    assert seen["orders"]["totalCount"] == 2
    assert seen["change"] == {"id": change}


@pytest.mark.rule("AD-053")
async def test_a_grant_opens_the_orders_of_others_and_is_on_record(dealer: Dealer) -> None:
    order = await dealer.order(dealer.rival)
    assert await order_of(dealer, order) is None
    user = f"usr_{dealer.consultant.user_id.hex}"  # type: ignore[union-attr]  # actors of the kit are users
    given = {"userId": user, "role": "sales_assistant", "line": "east"}
    await dealer.crm.done("roleGrant", input=given, reason="代班")
    allowed = await dealer.crm.again(dealer.consultant.user_id)
    assert (await order_of(dealer, order, allowed))["state"] == "DRAFT"
    logged = await dealer.crm.data(
        '{ auditEntries(where: {kind: {eq: "role.grant"}}) { nodes { reason command } } }'
    )
    assert {"reason": "代班", "command": given} in [
        {"reason": n["reason"], "command": _as_given(n["command"])} for n in logged["auditEntries"]["nodes"]
    ]


def _as_given(command: dict[str, Any]) -> dict[str, Any]:
    return {"userId": command["user_id"], "role": command["role"], "line": command.get("line")}


@pytest.mark.rule("CS-001")
async def test_registering_an_order_records_the_purchase_and_makes_a_customer(dealer: Dealer) -> None:
    buyer = await dealer.customer()
    order = await dealer.order(None, "sign", customerId=buyer)
    asked = """query($id: ID!) {
      customer(id: $id) { lines { stage } transactions { nodes { line doneOn description amount } } }
    }"""
    before = (await dealer.crm.data(asked, dealer.consultant, id=buyer))["customer"]
    assert before == {"lines": [{"stage": "PROSPECT"}], "transactions": {"nodes": []}}
    dealer.crm.clock.advance(days=2)
    await dealer.sign(order, dealer.assistant)
    assert (await dealer.crm.data(asked, dealer.consultant, id=buyer))["customer"] == {
        "lines": [{"stage": "CUSTOMER"}],
        "transactions": {
            "nodes": [
                {"line": "east", "doneOn": "2025-11-03", "description": "名图 1.8", "amount": "139800.00"}
            ]
        },
    }


@pytest.mark.rule("AD-050", "AD-051")
async def test_nobody_signs_an_order_of_his_own_or_its_change(dealer: Dealer) -> None:
    order = await dealer.order(dealer.leader)
    for record in (await dealer.change(order, dealer.leader, price="120000.00"), order):
        if record == order:
            await dealer.submit(order, dealer.leader)
        assert codes(await dealer.answered(record, dealer.leader)) == NOT_HIS_TURN
        await dealer.sign(record, dealer.manager)


@pytest.mark.rule("AD-050")
async def test_an_order_that_somebody_else_hands_in_is_not_signed_by_its_consultant(dealer: Dealer) -> None:
    order = await dealer.order(dealer.leader)
    assert signers(await dealer.submit(order, dealer.manager)) == {"east 陈经理"}


@pytest.mark.rule("AD-050")
async def test_an_order_that_only_its_consultant_could_sign_is_not_taken(dealer: Dealer) -> None:
    order = await dealer.order(dealer.manager)  # he has no team, so no leader has one either
    refused = await dealer.crm.change("approvalSubmit", dealer.manager, input={"record": order})
    assert codes(refused) == [("APPROVAL_NO_SIGNER", None)]


@pytest.mark.rule("AD-050")
async def test_a_consultant_who_stands_in_for_his_signer_does_not_sign_his_own(dealer: Dealer) -> None:
    given = {"userId": shown(dealer.manager), "deputyId": shown(dealer.leader)}
    days = {"fromDay": "2025-11-03", "toDay": "2025-11-04"}
    await dealer.crm.done("absenceSet", dealer.manager, input={**given, **days})
    order = await dealer.order(dealer.leader, "submit")
    await dealer.sign(order, dealer.leader)
    after = await dealer.sign(order, dealer.assistant)
    assert outcome(after) == ("CONFLICT", ["AUTO_DEALER_OWN_ORDER"])
    assert (await order_of(dealer, order, dealer.leader))["state"] == "DRAFT"


class TestWithTheDealersOwnFigures:
    """Settings of the dealer other than the rule's."""

    @pytest.fixture
    def crm_settings(self) -> Mapping[str, Any]:
        return {"rooms": {PLUGIN: {"order_backdating_days": 2, "allow_self_signing": True}}}

    @pytest.mark.rule("AD-050")
    async def test_a_leader_signs_his_own_order_where_the_dealer_allows_it(self, dealer: Dealer) -> None:
        order = await dealer.order(dealer.leader, "submit")
        await dealer.sign(order, dealer.leader)
        await dealer.sign(order, dealer.assistant)
        after = await order_of(dealer, order, dealer.leader)
        assert (after["state"], after["signedBy"]) == ("EFFECTIVE", {"name": "east 王组长"})

    @pytest.mark.rule("AD-050")
    async def test_an_order_is_dated_back_as_far_as_the_dealer_allows(self, dealer: Dealer) -> None:
        order = await dealer.order(orderedOn="2025-11-01")
        assert (await order_of(dealer, order))["governingOn"] == "2025-11-01"
        assert await asked_on(dealer, "2025-10-31") == [("AUTO_DEALER_ORDER_DATED_BACK", "AD-050")]


@pytest.mark.rule("AD-050")
async def test_an_order_is_dated_today(dealer: Dealer) -> None:
    assert await asked_on(dealer, "2025-11-02") == [("AUTO_DEALER_ORDER_DATED_BACK", "AD-050")]
    assert await asked_on(dealer, "2025-11-03") == []


async def asked_on(dealer: Dealer, day: str) -> list[tuple[str, str | None]]:
    given = {"customerId": await dealer.customer(), "model": "名图", "price": "2", "deposit": "1"}
    return codes(await dealer.crm.change("orderCreate", dealer.consultant, input={**given, "orderedOn": day}))


@pytest.mark.rule("AD-052")
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"price": "139800.0"},
        {"model": " 名图 1.8 ", "vehicleId": None},
        {"price": "139800", "deposit": "5000"},
    ],
)
async def test_a_change_to_what_the_order_is_already_is_refused(
    dealer: Dealer, content: dict[str, Any]
) -> None:
    order = await dealer.order()
    given = {"id": order, "content": content}
    refused = await dealer.crm.change("orderChange", dealer.consultant, input=given)
    assert codes(refused) == [("AUTO_DEALER_NOTHING_CHANGES", "AD-052")]
    assert await dealer.crm.rows(OrderChange) == []


@pytest.mark.rule("AD-052")
async def test_a_change_that_became_empty_is_not_signed_and_moves_no_date(dealer: Dealer) -> None:
    order = await dealer.order()
    change = await dealer.change(order, price="120000.00")
    held = OrderCard.__table__.update().values(price=12_000_000)  # as another hand would have left it
    async with dealer.crm.database.transaction() as session:
        await session.execute(held)
    dealer.crm.clock.advance(days=1)
    after = await dealer.sign(change, dealer.manager)
    assert outcome(after) == ("CONFLICT", ["AUTO_DEALER_NOTHING_CHANGES"])
    assert (await order_of(dealer, order))["governingOn"] == "2025-11-03"


async def test_one_change_waits_at_a_time(dealer: Dealer) -> None:
    order = await dealer.order()
    await dealer.change(order, price="120000.00")
    second = await dealer.crm.change(
        "orderChange",
        dealer.consultant,
        input={"id": order, "content": {"price": "1.00"}},
        select="orderChange { id }",
    )
    assert codes(second) == [("AUTO_DEALER_CHANGE_PENDING", "AD-051")]
    assert len(await dealer.crm.rows(OrderChange)) == 1


async def test_a_change_shows_what_it_proposes(dealer: Dealer) -> None:
    order = await dealer.order()
    await dealer.change(order, price="120000.00", vehicleId=None)
    asked = "query($id: ID!) { order(id: $id) { changes { state proposed requestedBy { name } } } }"
    seen = await dealer.crm.data(asked, dealer.consultant, id=order)
    assert seen["order"]["changes"] == [
        {
            "state": "PENDING",
            "proposed": {"price": "120000.00", "vehicleId": None},
            "requestedBy": {"name": "east 李顾问"},
        }
    ]


async def test_another_vehicle_brings_its_model(dealer: Dealer) -> None:
    order, car = await dealer.order(), await dealer.car(use="STOCK", model="途胜")
    await dealer.sign(await dealer.change(order, vehicleId=car), dealer.manager)
    asked = "query($id: ID!) { order(id: $id) { model price vehicle { id } version } }"
    assert (await dealer.crm.data(asked, dealer.consultant, id=order))["order"] == {
        "model": "途胜",
        "price": "139800.00",
        "vehicle": {"id": car},
        "version": 2,
    }


async def test_the_content_after_a_change_must_still_be_right(dealer: Dealer) -> None:
    order = await dealer.order()
    after = await dealer.sign(await dealer.change(order, price="4000.00"), dealer.manager)
    assert outcome(after) == ("CONFLICT", ["AUTO_DEALER_DEPOSIT_TOO_HIGH"])
    assert (await order_of(dealer, order))["price"] == "139800.00"


async def test_what_is_wrong_with_a_draft_comes_at_once(dealer: Dealer) -> None:
    given = {"customerId": await dealer.customer(), "price": "1", "deposit": "2", "orderedOn": "2025-11-04"}
    refused = await dealer.crm.change(
        "orderCreate", dealer.consultant, input=given, select="orderCard { id }"
    )
    assert [e["code"].removeprefix("AUTO_DEALER_") for e in refused["userErrors"]] == [
        "MODEL_MISSING",
        "DEPOSIT_TOO_HIGH",
        "ORDER_DATED_AHEAD",
    ]


async def test_a_vehicle_gives_its_model_and_a_sold_one_is_refused(dealer: Dealer) -> None:
    car, customer = await dealer.car(use="STOCK", model="途胜"), await dealer.customer()
    given = {"customerId": customer, "vehicleId": car, "price": "189800", "deposit": "0"}
    made = await dealer.crm.done(
        "orderCreate", dealer.consultant, input=given, select="orderCard { model vehicle { id } }"
    )
    assert made["orderCard"] == {"model": "途胜", "vehicle": {"id": car}}
    await dealer.move(car, "SOLD", customerId=customer)
    refused = await dealer.crm.change("orderCreate", dealer.consultant, input=given)
    assert codes(refused) == [("AUTO_DEALER_VEHICLE_SOLD", None)]


async def test_cancelling_refuses_the_change_that_waits(dealer: Dealer) -> None:
    order = await dealer.order()
    await dealer.change(order, price="120000.00")
    await dealer.crm.done("orderCancel", dealer.consultant, input={"id": order})
    assert [row.state for row in await dealer.crm.rows(OrderChange)] == ["REJECTED"]
    assert [row.state for row in await dealer.crm.rows(Approval)] == ["TERMINATED"]
    late = await dealer.crm.change(
        "orderChange", dealer.consultant, input={"id": order, "content": {"price": "1.00"}}
    )
    assert codes(late) == [("AUTO_DEALER_ORDER_CANCELLED", None)]


async def test_orders_stand_in_the_customers_timeline_for_those_who_may_read_them(dealer: Dealer) -> None:
    customer = await dealer.customer(dealer.consultant)
    order = await dealer.order(dealer.manager, customerId=customer)
    asked = "query($id: ID!) { customer(id: $id) { orders { totalCount } timeline { nodes { id kind status } } } }"
    seen = (await dealer.crm.data(asked, dealer.manager, id=customer))["customer"]
    assert seen["orders"] == {"totalCount": 1}
    assert {"id": order, "kind": "order", "status": "DRAFT"} in seen["timeline"]["nodes"]
    seen = (await dealer.crm.data(asked, dealer.consultant, id=customer))["customer"]
    assert seen["orders"] == {"totalCount": 0}
    assert [entry for entry in seen["timeline"]["nodes"] if entry["kind"] == "order"] == []


async def test_each_change_of_a_record_is_one_event(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign", "register")
    await dealer.sign(await dealer.change(order, price="120000.00"), dealer.manager)
    await dealer.crm.passed_on()
    asked = 'query($id: String!) { events(subject: $id) { nodes { kind } } changes: events(where: { subjectType: { eq: "OrderChange" } }) { nodes { kind } } }'
    found = await dealer.crm.data(asked, id=order)
    kinds = [n["kind"] for part in ("events", "changes") for n in found[part]["nodes"]]
    assert sorted(kinds) == [
        "order.change_requested",
        "order.change_signed",
        "order.changed",
        "order.created",
        "order.registered",
    ]
