"""Order cards through the API: signature, registration, changes, who reads them."""

from collections.abc import Mapping
from typing import Any

import pytest

from crm_auto_dealer.orders.models import OrderCard, OrderChange
from crm_auto_dealer.testing import PLUGIN, Dealer
from crm_core import ids
from crm_core.actors import Actor

SHOWN = "state price deposit orderedOn governingOn signedBy { name } registeredBy { name }"


async def order_of(dealer: Dealer, order: str, who: Actor | None = None) -> Any:
    asked = f"query($id: ID!) {{ order(id: $id) {{ {SHOWN} }} }}"
    return (await dealer.crm.data(asked, who or dealer.consultant, id=order))["order"]


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(e["code"], e["rule"]) for e in payload["userErrors"]]


@pytest.mark.rule("AD-050")
async def test_an_order_is_effective_after_signature_and_then_registration(dealer: Dealer) -> None:
    order = await dealer.order()
    states = [(await order_of(dealer, order))["state"]]
    await dealer.crm.done("orderSign", dealer.manager, input={"id": order})
    states.append((await order_of(dealer, order))["state"])
    await dealer.crm.done("orderRegister", dealer.assistant, input={"id": order})
    assert states == ["DRAFT", "SIGNED"]
    assert await order_of(dealer, order) == {
        "state": "EFFECTIVE", "price": "139800.00", "deposit": "5000.00",
        "orderedOn": "2025-11-03", "governingOn": "2025-11-03",
        "signedBy": {"name": "east 陈经理"}, "registeredBy": {"name": "east 周助理"},
    }  # fmt: skip


@pytest.mark.rule("AD-050")
async def test_registration_without_signature_is_refused(dealer: Dealer) -> None:
    order = await dealer.order()
    early = await dealer.crm.change("orderRegister", dealer.assistant, input={"id": order})
    assert codes(early) == [("ILLEGAL_MOVE", "AD-050")]
    assert (await order_of(dealer, order))["state"] == "DRAFT"


@pytest.mark.rule("AD-050")
async def test_a_team_leader_signs_for_his_team_only(dealer: Dealer) -> None:
    own, others = await dealer.order(), await dealer.order(dealer.rival)
    await dealer.crm.done("orderSign", dealer.leader, input={"id": own})
    assert codes(await dealer.crm.change("orderSign", dealer.leader, input={"id": others})) == [
        ("NOT_FOUND", None)
    ]


@pytest.mark.rule("AD-050")
async def test_who_may_sign_may_not_register_and_the_other_way_round(dealer: Dealer) -> None:
    order = await dealer.order()
    for who in (dealer.consultant, dealer.assistant, dealer.head):
        assert codes(await dealer.crm.change("orderSign", who, input={"id": order})) == [("FORBIDDEN", None)]
    await dealer.crm.done("orderSign", dealer.manager, input={"id": order})
    for who in (dealer.consultant, dealer.leader, dealer.manager):
        assert codes(await dealer.crm.change("orderRegister", who, input={"id": order})) == [
            ("FORBIDDEN", None)
        ]


@pytest.mark.rule("AD-050")
async def test_one_person_with_both_permissions_does_not_do_both(dealer: Dealer) -> None:
    order = await dealer.order()
    await dealer.crm.done("orderSign", input={"id": order})
    refused = await dealer.crm.change("orderRegister", input={"id": order})
    assert codes(refused) == [("AUTO_DEALER_ONE_PERSON", "AD-050")]


@pytest.mark.rule("AD-051")
@pytest.mark.parametrize("steps", [(), ("sign",), ("sign", "register")])
async def test_a_change_without_signature_is_void(dealer: Dealer, steps: tuple[str, ...]) -> None:
    order = await dealer.order(None, *steps)
    before = await order_of(dealer, order)
    change = await dealer.change(order, price="120000.00")
    assert await order_of(dealer, order) == before
    await dealer.crm.done("orderRejectChange", dealer.manager, input={"id": change})
    assert await order_of(dealer, order) == before


@pytest.mark.rule("AD-051")
async def test_a_change_is_signed_by_the_manager_or_a_leader_and_by_nobody_else(dealer: Dealer) -> None:
    order = await dealer.order(None, "sign", "register")
    change = await dealer.change(order, price="120000.00")
    for who in (dealer.consultant, dealer.assistant, dealer.head):
        refused = await dealer.crm.change("orderSignChange", who, input={"id": change})
        assert codes(refused) == [("FORBIDDEN", None)]
    signed = await dealer.crm.done(
        "orderSignChange", dealer.leader, input={"id": change}, select=f"orderCard {{ {SHOWN} }}"
    )
    assert (signed["orderCard"]["price"], signed["orderCard"]["deposit"]) == ("120000.00", "5000.00")
    assert signed["orderCard"]["state"] == "EFFECTIVE"


@pytest.mark.rule("AD-051")
async def test_no_other_command_alters_the_content_of_a_signed_order(dealer: Dealer) -> None:
    car, customer = await dealer.car(use="STOCK"), await dealer.customer()
    order = await dealer.order(None, "sign", vehicleId=car, customerId=customer)
    refused = await dealer.change(order, price="1.00", deposit="0", vehicleId=None, model="其他")
    before, ran = await content_of(dealer, order), []
    for kind, given in (
        ("orderRejectChange", {"id": refused}),
        ("orderCreate", {"customerId": customer, "vehicleId": car, "price": "2.00", "deposit": "1.00"}),
        ("orderSign", {"id": order}),
        ("orderRegister", {"id": order}),
        ("orderChange", {"id": order, "content": {"price": "3.00", "deposit": "0", "model": "其他"}}),
        ("orderCancel", {"id": order}),
    ):
        await dealer.crm.change(kind, input=given)
        assert await content_of(dealer, order) == before, kind
        ran.append(kind)
    of_orders = {k for k in dealer.crm.services.registry.commands if k.startswith("order.")}
    assert {_mutation(kind) for kind in of_orders} == {*ran, "orderSignChange"}


async def content_of(dealer: Dealer, order: str) -> tuple[Any, ...]:
    (row,) = [r for r in await dealer.crm.rows(OrderCard) if r.id == ids.read_as("ord", order)]
    return (row.price, row.deposit, row.model, row.vehicle_id)


def _mutation(kind: str) -> str:
    head, *rest = kind.replace(".", "_").split("_")
    return head + "".join(word.capitalize() for word in rest)


@pytest.mark.rule("AD-051")
async def test_a_signed_order_is_not_cancelled_by_its_consultant(dealer: Dealer) -> None:
    draft, signed = await dealer.order(), await dealer.order(None, "sign")
    await dealer.crm.done("orderCancel", dealer.consultant, input={"id": draft})
    refused = await dealer.crm.change("orderCancel", dealer.consultant, input={"id": signed})
    assert codes(refused) == [("AUTO_DEALER_CANCELLING_NEEDS_SIGNATURE", "AD-051")]
    await dealer.crm.done("orderCancel", dealer.manager, input={"id": signed})


@pytest.mark.rule("AD-052")
async def test_the_date_of_a_signed_change_governs(dealer: Dealer) -> None:
    first = await dealer.order(None, "sign", "register")
    dealer.crm.clock.advance(days=1)
    second = await dealer.order(None, "sign", "register")
    sequence = "{ orders(orderBy: [{governingOn: ASC}]) { nodes { id governingOn orderedOn } } }"
    change = await dealer.change(first, deposit="8000.00")
    dealer.crm.clock.advance(days=2)
    await dealer.crm.done("orderSignChange", dealer.manager, input={"id": change})
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
    await dealer.crm.done("orderRejectChange", dealer.manager, input={"id": change})
    assert (await order_of(dealer, order))["governingOn"] == "2025-11-03"
    again = await dealer.crm.change("orderSignChange", dealer.manager, input={"id": change})
    assert codes(again) == [("ILLEGAL_MOVE", "AD-051")]


@pytest.mark.rule("AD-052")
async def test_the_date_is_that_of_the_lines_own_time_zone(dealer: Dealer) -> None:
    dealer.crm.clock.advance(hours=14)  # 2025-11-03 16:00 UTC, in Shanghai already the next day
    order = await dealer.order()
    assert (await order_of(dealer, order))["governingOn"] == "2025-11-04"


@pytest.mark.rule("AD-053")
async def test_a_consultant_reads_his_own_orders_and_no_others(dealer: Dealer) -> None:
    customer = await dealer.customer(dealer.manager)
    order = await dealer.order(dealer.manager, customerId=customer)
    own = await dealer.order(dealer.consultant)
    change = await dealer.change(order, dealer.manager, price="120000.00")
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
    await dealer.crm.done("orderRegister", dealer.assistant, input={"id": order})
    assert (await dealer.crm.data(asked, dealer.consultant, id=buyer))["customer"] == {
        "lines": [{"stage": "CUSTOMER"}],
        "transactions": {
            "nodes": [
                {"line": "east", "doneOn": "2025-11-03", "description": "名图 1.8", "amount": "139800.00"}
            ]
        },
    }


@pytest.mark.rule("AD-050")
async def test_nobody_signs_an_order_of_his_own_or_its_change(dealer: Dealer) -> None:
    order = await dealer.order(dealer.leader)
    change = await dealer.change(order, dealer.leader, price="120000.00")
    for mutation, subject in (("orderSign", order), ("orderSignChange", change)):
        refused = await dealer.crm.change(mutation, dealer.leader, input={"id": subject})
        assert codes(refused) == [("AUTO_DEALER_OWN_ORDER", "AD-050")]
        await dealer.crm.done(mutation, dealer.manager, input={"id": subject})


class TestWithTheDealersOwnFigures:
    """Settings of the dealer other than the rule's."""

    @pytest.fixture
    def crm_settings(self) -> Mapping[str, Any]:
        return {"rooms": {PLUGIN: {"order_backdating_days": 2, "allow_self_signing": True}}}

    @pytest.mark.rule("AD-050")
    async def test_a_leader_signs_his_own_order_where_the_dealer_allows_it(self, dealer: Dealer) -> None:
        order = await dealer.order(dealer.leader)
        await dealer.crm.done("orderSign", dealer.leader, input={"id": order})

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
    refused = await dealer.crm.change("orderSignChange", dealer.manager, input={"id": change})
    assert codes(refused) == [("AUTO_DEALER_NOTHING_CHANGES", "AD-052")]
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
    change = await dealer.change(order, vehicleId=car)
    shown = "orderCard { model price vehicle { id } version }"
    signed = await dealer.crm.done("orderSignChange", dealer.manager, input={"id": change}, select=shown)
    assert signed["orderCard"] == {
        "model": "途胜",
        "price": "139800.00",
        "vehicle": {"id": car},
        "version": 2,
    }


async def test_the_content_after_a_change_must_still_be_right(dealer: Dealer) -> None:
    order = await dealer.order()
    change = await dealer.change(order, price="4000.00")
    refused = await dealer.crm.change("orderSignChange", dealer.manager, input={"id": change})
    assert codes(refused) == [("AUTO_DEALER_DEPOSIT_TOO_HIGH", None)]
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
    change = await dealer.change(order, price="120000.00")
    await dealer.crm.done("orderSignChange", dealer.manager, input={"id": change})
    asked = "{ recordedEvents(first: 100) { nodes { kind } } }"
    kinds = [
        n["kind"]
        for n in (await dealer.crm.data(asked))["recordedEvents"]["nodes"]
        if n["kind"].startswith("order.")
    ]
    assert sorted(kinds) == [
        "order.change_requested",
        "order.change_signed",
        "order.changed",
        "order.created",
        "order.registered",
        "order.signed",
    ]
