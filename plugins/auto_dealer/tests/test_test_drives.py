"""Test drives through the API: booking by slots, driving, recording, who sees them."""

import asyncio
from collections import Counter

import pytest

from crm_auto_dealer.test_drives.models import TestDrive, TestDriveSlot
from crm_auto_dealer.testing import Dealer

SHOWN = "testDrive { state licenceChecked route odometerKm feedback rating }"


async def test_a_drive_is_requested_driven_and_recorded(dealer: Dealer) -> None:
    drive = await dealer.drive()
    done = await dealer.crm.done(
        "testDriveComplete",
        dealer.consultant,
        input={"id": drive, "licenceChecked": True, "route": "滨江路", "odometerKm": 1280},
        select=SHOWN,
    )
    expected = {"state": "DRIVEN", "licenceChecked": True, "route": "滨江路", "odometerKm": 1280}
    assert done["testDrive"] == {**expected, "feedback": "", "rating": None}
    recorded = await dealer.crm.done(
        "testDriveRecord",
        dealer.consultant,
        input={"id": drive, "feedback": "起步平顺", "rating": 4},
        select=SHOWN,
    )
    assert recorded["testDrive"] == {**expected, "state": "RECORDED", "feedback": "起步平顺", "rating": 4}


async def test_each_step_waits_for_the_one_before(dealer: Dealer) -> None:
    drive = await dealer.drive()
    early = await dealer.crm.change(
        "testDriveRecord", dealer.consultant, input={"id": drive, "feedback": "好"}, select="testDrive { id }"
    )
    assert [e["code"] for e in early["userErrors"]] == ["ILLEGAL_MOVE"]
    assert early["userErrors"][0]["message"].endswith("Allowed now: complete, cancel.")
    await dealer.crm.done("testDriveComplete", dealer.consultant, input={"id": drive, "licenceChecked": True})
    late = await dealer.crm.change("testDriveCancel", dealer.consultant, input={"id": drive})
    assert [e["code"] for e in late["userErrors"]] == ["ILLEGAL_MOVE"]


@pytest.mark.parametrize("state", ["IN_TRANSIT", "NOT_READY"])
async def test_a_car_that_is_not_ready_is_refused(dealer: Dealer, state: str) -> None:
    refused = await dealer.asked_drive(vehicleId=await dealer.car(state))
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [
        ("AUTO_DEALER_VEHICLE_NOT_READY", "vehicleId")
    ]
    assert await dealer.crm.rows(TestDrive) == []


@pytest.mark.rule("AD-041")
async def test_a_car_in_personal_use_is_refused(dealer: Dealer) -> None:
    refused = await dealer.asked_drive(vehicleId=await dealer.car("PERSONAL_USE"))
    assert [(e["code"], e["rule"]) for e in refused["userErrors"]] == [
        ("AUTO_DEALER_VEHICLE_IN_PERSONAL_USE", "AD-041")
    ]


async def test_the_car_must_still_be_ready_when_it_is_driven(dealer: Dealer) -> None:
    car = await dealer.car()
    drive = await dealer.drive(vehicleId=car)
    await dealer.move(car, "NOT_READY")
    refused = await dealer.crm.change(
        "testDriveComplete", dealer.consultant, input={"id": drive, "licenceChecked": True}
    )
    assert [e["code"] for e in refused["userErrors"]] == ["AUTO_DEALER_VEHICLE_NOT_READY"]


async def test_every_reason_comes_at_once(dealer: Dealer) -> None:
    refused = await dealer.asked_drive(
        vehicleId=await dealer.car("NOT_READY", use="STOCK"), endsAt="2025-11-04T01:59:00Z"
    )
    assert [e["code"].removeprefix("AUTO_DEALER_") for e in refused["userErrors"]] == [
        "NOT_ON_THE_GRID",
        "ENDS_TOO_EARLY",
        "NO_TEST_CAR",
        "VEHICLE_NOT_READY",
    ]


async def test_a_taken_slot_is_refused_and_its_neighbour_is_not(dealer: Dealer) -> None:
    car = await dealer.car()
    await dealer.drive(vehicleId=car)
    over = await dealer.asked_drive(
        vehicleId=car, startsAt="2025-11-04T02:15:00Z", endsAt="2025-11-04T02:45:00Z"
    )
    assert [(e["code"], e["field"]) for e in over["userErrors"]] == [
        ("AUTO_DEALER_VEHICLE_BOOKED", "startsAt")
    ]
    await dealer.drive(vehicleId=car, startsAt="2025-11-04T02:30:00Z", endsAt="2025-11-04T02:45:00Z")
    await dealer.drive()


async def test_cancelling_frees_the_slots(dealer: Dealer) -> None:
    car = await dealer.car()
    drive = await dealer.drive(vehicleId=car)
    await dealer.crm.done("testDriveCancel", dealer.consultant, input={"id": drive})
    assert await dealer.crm.rows(TestDriveSlot) == []
    await dealer.drive(vehicleId=car)


async def test_of_bookings_at_once_exactly_one_succeeds(dealer: Dealer) -> None:
    car = await dealer.car()
    customers = [await dealer.customer() for _ in range(6)]
    asked = await asyncio.gather(*(dealer.asked_drive(vehicleId=car, customerId=one) for one in customers))
    outcomes = Counter(tuple(e["code"] for e in one["userErrors"]) for one in asked)
    assert outcomes == {(): 1, ("AUTO_DEALER_VEHICLE_BOOKED",): 5}
    assert len(await dealer.crm.rows(TestDrive)) == 1
    assert len(await dealer.crm.rows(TestDriveSlot)) == 2


async def test_a_dry_run_takes_no_slot(dealer: Dealer) -> None:
    given = {
        "customerId": await dealer.customer(),
        "vehicleId": await dealer.car(),
        "startsAt": "2025-11-04T02:00:00Z",
        "endsAt": "2025-11-04T02:15:00Z",
    }
    tried = await dealer.crm.done(
        "testDriveRequest", dealer.consultant, input=given, dryRun=True, select="testDrive { state }"
    )
    assert tried["testDrive"] == {"state": "REQUESTED"}
    assert await dealer.crm.rows(TestDriveSlot) == []


async def test_a_customer_out_of_reach_is_not_found(dealer: Dealer) -> None:
    west = await Dealer.open(dealer.crm, "west")
    car = await dealer.car()
    for stranger in (await dealer.customer(dealer.rival), await west.customer()):
        refused = await dealer.asked_drive(vehicleId=car, customerId=stranger)
        assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [("NOT_FOUND", "customerId")]


async def test_a_car_of_another_line_is_not_found(dealer: Dealer) -> None:
    west = await Dealer.open(dealer.crm, "west")
    refused = await dealer.asked_drive(vehicleId=await west.car())
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [("NOT_FOUND", "vehicleId")]


async def test_a_consultant_books_for_himself_and_a_leader_for_his_team(dealer: Dealer) -> None:
    def named(who: object) -> str:
        return f"usr_{dealer.__dict__[str(who)].user_id.hex}"

    car, customer = await dealer.car(), await dealer.customer(dealer.consultant)
    for by, whom, codes in (
        (dealer.consultant, "rival", ["AUTO_DEALER_CONSULTANT_OUT_OF_REACH"]),
        (dealer.leader, "rival", ["AUTO_DEALER_CONSULTANT_OUT_OF_REACH"]),
        (dealer.leader, "consultant", []),
    ):
        asked = await dealer.asked_drive(by, vehicleId=car, customerId=customer, consultantId=named(whom))
        assert [e["code"] for e in asked["userErrors"]] == codes


async def test_own_team_and_line_see_a_drive_and_nobody_else(dealer: Dealer) -> None:
    west = await Dealer.open(dealer.crm, "west")
    drive = await dealer.drive()
    asked = "query($id: ID!) { testDrive(id: $id) { id } node(id: $id) { id } testDrives { totalCount } }"
    for who in (dealer.consultant, dealer.leader, dealer.manager, dealer.assistant, dealer.head):
        seen = await dealer.crm.data(asked, who, id=drive)
        assert seen == {"testDrive": {"id": drive}, "node": {"id": drive}, "testDrives": {"totalCount": 1}}
    for who in (dealer.rival, west.manager):
        seen = await dealer.crm.data(asked, who, id=drive)
        assert seen == {"testDrive": None, "node": None, "testDrives": {"totalCount": 0}}


async def test_drives_stand_in_the_customers_timeline_and_with_the_car(dealer: Dealer) -> None:
    customer, car = await dealer.customer(), await dealer.car()
    drive = await dealer.drive(customerId=customer, vehicleId=car)
    asked = """query($customer: ID!, $car: ID!) {
      customer(id: $customer) { testDrives { nodes { id } } timeline { nodes { id kind title status at line } } }
      vehicle(id: $car) { testDrives(where: {state: {eq: REQUESTED}}) { nodes { id } } }
    }"""
    seen = await dealer.crm.data(asked, dealer.consultant, customer=customer, car=car)
    assert seen["customer"]["testDrives"] == seen["vehicle"]["testDrives"] == {"nodes": [{"id": drive}]}
    assert {
        "id": drive, "kind": "test_drive", "title": "名图 1.8", "status": "REQUESTED",
        "at": "2025-11-04T02:00:00.000000Z", "line": "east",
    } in seen["customer"]["timeline"]["nodes"]  # fmt: skip


async def test_a_test_drive_is_a_kind_of_interaction(dealer: Dealer) -> None:
    kind = dealer.crm.services.registry.interaction_kinds["test_drive"]
    assert (kind.title, kind.title_zh) == ("Test drive", "试驾")
