"""Vehicles through the API: entering, changing, states, personal use, who sees them."""

import pytest

from crm_auto_dealer.testing import Dealer
from crm_core.testing.kit import Kit

CONSENT = "vehicle { id state consentFor { name } consentBy { name } consentUntil }"


async def test_a_new_car_is_in_transit(dealer: Dealer) -> None:
    vin = dealer.vin()
    made = await dealer.crm.done(
        "vehicleCreate",
        dealer.assistant,
        input={"vin": f" {vin[:8].lower()}-{vin[8:]} ", "model": "途胜", "listPrice": "189800"},
        select="vehicle { line vin model colour plate use state listPrice customer { id } version }",
    )
    assert made["vehicle"] == {
        "line": "east", "vin": vin, "model": "途胜", "colour": "", "plate": None, "use": "STOCK",
        "state": "IN_TRANSIT", "listPrice": "189800.00", "customer": None, "version": 1,
    }  # fmt: skip


async def test_a_wrong_check_digit_is_refused(dealer: Dealer) -> None:
    vin = dealer.vin()
    wrong = vin[:8] + ("1" if vin[8] != "1" else "2") + vin[9:]
    refused = await dealer.crm.change(
        "vehicleCreate", dealer.assistant, input={"vin": wrong, "model": "途胜"}, language="zh-CN"
    )
    error = refused["userErrors"][0]
    assert (error["code"], error["field"]) == ("AUTO_DEALER_VIN_WRONG", "vin")
    assert error["message"].startswith(f"{wrong} 不是有效的车辆识别代号")


async def test_a_vin_stands_once_in_a_line_and_may_stand_in_another(dealer: Dealer) -> None:
    given = {"vin": dealer.vin(), "model": "途胜"}
    west = await Dealer.open(dealer.crm, "west")
    await dealer.crm.done("vehicleCreate", dealer.assistant, input=given)
    again = await dealer.crm.change("vehicleCreate", dealer.assistant, input=given)
    assert [e["code"] for e in again["userErrors"]] == ["AUTO_DEALER_VIN_TAKEN"]
    await dealer.crm.done("vehicleCreate", west.assistant, input=given)


async def test_an_update_changes_what_is_given_and_clears_what_is_null(dealer: Dealer) -> None:
    car = await dealer.car(plate="川E12345", listPrice="100")
    changed = await dealer.crm.done(
        "vehicleUpdate",
        dealer.assistant,
        input={"id": car, "plate": None, "colour": "红"},
        select="vehicle { plate colour listPrice model }",
    )
    assert changed["vehicle"] == {"plate": None, "colour": "红", "listPrice": "100.00", "model": "名图 1.8"}


async def test_a_sold_car_is_its_buyers(dealer: Dealer) -> None:
    car, buyer = await dealer.car(use="STOCK"), await dealer.customer()
    nobody = await dealer.crm.change("vehicleSetState", dealer.assistant, input={"id": car, "state": "SOLD"})
    assert [e["code"] for e in nobody["userErrors"]] == ["AUTO_DEALER_OWNER_MISMATCH"]
    await dealer.move(car, "SOLD", customerId=buyer)
    seen = await dealer.crm.data(
        "query($id: ID!) { customer(id: $id) { vehicles { totalCount nodes { id use state } } } }",
        dealer.consultant,
        id=buyer,
    )
    assert seen["customer"]["vehicles"] == {
        "totalCount": 1,
        "nodes": [{"id": car, "use": "CUSTOMER", "state": "SOLD"}],
    }
    again = await dealer.crm.change("vehicleSetState", dealer.assistant, input={"id": car, "state": "READY"})
    assert [e["code"] for e in again["userErrors"]] == ["ILLEGAL_MOVE"]


@pytest.mark.rule("AD-041")
@pytest.mark.parametrize("use", ["TEST_DRIVE", "STOCK"])
async def test_a_dealers_car_is_no_transport_without_consent(dealer: Dealer, use: str) -> None:
    car = await dealer.car(use=use)
    refused = await dealer.crm.change(
        "vehicleSetState", dealer.manager, input={"id": car, "state": "PERSONAL_USE"}, select="vehicle { id }"
    )
    assert [(e["code"], e["rule"]) for e in refused["userErrors"]] == [
        ("AUTO_DEALER_CONSENT_NEEDED", "AD-041")
    ]
    seen = await dealer.crm.data("query($id: ID!) { vehicle(id: $id) { state } }", dealer.manager, id=car)
    assert seen == {"vehicle": {"state": "READY"}}


@pytest.mark.rule("AD-041", "CS-206")
async def test_only_the_department_manager_consents(dealer: Dealer) -> None:
    car = await dealer.car()
    given = {"id": car, "userId": f"usr_{dealer.manager.user_id.hex}", "until": "2025-11-10T00:00:00Z"}  # type: ignore[union-attr]  # actors of the kit are users
    for other in (dealer.manager, dealer.leader, dealer.consultant, dealer.assistant):
        refused = await dealer.crm.change("vehicleConsentPersonalUse", other, input=given)
        assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]


@pytest.mark.rule("AD-041")
async def test_consent_is_on_record_and_used_up_when_the_car_comes_back(dealer: Dealer) -> None:
    car = await dealer.car()
    await dealer.consent(car, "2025-11-05T00:00:00Z")
    lent = await dealer.crm.done(
        "vehicleSetState", dealer.assistant, input={"id": car, "state": "PERSONAL_USE"}, select=CONSENT
    )
    assert lent["vehicle"] == {
        "id": car,
        "state": "PERSONAL_USE",
        "consentFor": {"name": "east 陈经理"},
        "consentBy": {"name": "east 孙部长"},
        "consentUntil": "2025-11-05T00:00:00.000000Z",
    }
    await dealer.move(car, "READY")
    again = await dealer.crm.change(
        "vehicleSetState", dealer.assistant, input={"id": car, "state": "PERSONAL_USE"}
    )
    assert [e["code"] for e in again["userErrors"]] == ["AUTO_DEALER_CONSENT_NEEDED"]


@pytest.mark.rule("AD-041")
async def test_a_consent_ends(dealer: Dealer) -> None:
    car = await dealer.car()
    await dealer.consent(car, "2025-11-04T00:00:00Z")
    dealer.crm.clock.advance(days=1)
    late = await dealer.crm.change(
        "vehicleSetState", dealer.assistant, input={"id": car, "state": "PERSONAL_USE"}
    )
    assert [e["code"] for e in late["userErrors"]] == ["AUTO_DEALER_CONSENT_NEEDED"]
    past = {"id": car, "userId": f"usr_{dealer.head.user_id.hex}", "until": "2025-11-04T00:00:00Z"}  # type: ignore[union-attr]
    refused = await dealer.crm.change("vehicleConsentPersonalUse", dealer.head, input=past)
    assert [e["code"] for e in refused["userErrors"]] == ["AUTO_DEALER_CONSENT_PAST"]


async def test_everyone_of_the_line_sees_its_cars_and_only_the_owner_his_customers_cars(
    dealer: Dealer,
) -> None:
    west = await Dealer.open(dealer.crm, "west")
    stock, sold = await dealer.car(), await dealer.car(use="STOCK")
    await dealer.move(sold, "SOLD", customerId=await dealer.customer(dealer.consultant))
    cars = "{ vehicles { totalCount nodes { id } } }"
    seen = {
        name: {node["id"] for node in (await dealer.crm.data(cars, who))["vehicles"]["nodes"]}
        for name, who in (
            ("owner", dealer.consultant),
            ("leader", dealer.leader),
            ("rival", dealer.rival),
            ("manager", dealer.manager),
            ("west", west.manager),
        )
    }
    both = {stock, sold}
    assert seen == {"owner": both, "leader": both, "rival": {stock}, "manager": both, "west": set()}


async def test_a_line_without_the_plugin_has_no_vehicles(crm: Kit, dealer: Dealer) -> None:
    await dealer.car()
    clerk = await crm.actor("clerk", role="sales_manager", lines=("office",))
    asked = await crm.ask("{ vehicles { totalCount } }", clerk)
    assert (asked.data, asked.codes) == ({"vehicles": None}, ["FORBIDDEN"])
    refused = await crm.change(
        "vehicleCreate", clerk, input={"vin": dealer.vin(), "model": "途胜"}, acting="office"
    )
    assert [e["code"] for e in refused["userErrors"]] == ["PLUGIN_NOT_ENABLED"]
