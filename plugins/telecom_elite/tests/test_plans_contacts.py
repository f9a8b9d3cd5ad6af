"""Contact plans through the API: contacts, their short reports, who is reminded, key persons nobody is to meet."""

from __future__ import annotations

import pytest

from crm_core.interactions.models import InteractionReport
from crm_core.jobs.running import work_off
from crm_core.jobs.scheduling import fire_due
from crm_core.notices.models import Notice
from crm_telecom_elite.plans.models import ElitePlannedContact
from crm_telecom_elite.plans.testing import CONTACT, Desk, shown


@pytest.mark.rule("MO-520")
async def test_the_report_on_a_contact_goes_to_the_general_manager_and_to_who_needs_to_know(
    desk: Desk,
) -> None:
    customer = await desk.customer()
    person = await desk.person(customer)
    plan = await desk.plan(customer, reportTo=[shown(desk.branch.centre)])
    made = await desk.done(
        "elitePlannedContactAdd", desk.mine, CONTACT,
        planId=plan["id"], way="MEETING", dueOn="2025-11-05", contactId=person, purpose="介绍专线方案",
    )  # fmt: skip
    chosen = (
        "elitePlannedContact { state interaction { kind status content subject performer { name } "
        "participants { contact { name } } reportedTo { name } } }"
    )
    given = {"id": made["id"], "content": "陈总同意试点", "reportTo": [shown(desk.branch.finance)]}
    done = await desk.done("elitePlannedContactReport", desk.mine, chosen, **given)
    assert done["state"] == "REPORTED"
    held = done["interaction"]
    assert {one["name"] for one in held.pop("reportedTo")} == {
        desk.general.name, desk.branch.centre.name, desk.branch.finance.name,
    }  # fmt: skip
    assert held == {
        "kind": "meeting", "status": "DONE", "content": "陈总同意试点", "subject": "介绍专线方案",
        "performer": {"name": "小王"}, "participants": [{"contact": {"name": "陈总"}}],
    }  # fmt: skip
    told = await desk.told("telecom_elite.contact_reported")
    assert told == {who.user_id for who in (desk.general, desk.branch.centre, desk.branch.finance)}


@pytest.mark.rule("MO-520")
@pytest.mark.parametrize(("way", "kind"), [("LETTER", "letter"), ("PHONE", "call"), ("MEETING", "meeting")])
async def test_letter_telephone_and_meeting_alike_need_a_report(desk: Desk, way: str, kind: str) -> None:
    contact = await desk.contact(await desk.customer(), way=way)
    refused = await desk.refused("elitePlannedContactReport", desk.mine, id=contact)
    assert refused == [("CONTENT_REQUIRED", "content", "CS-119")]
    assert {row.state for row in await desk.branch.crm.rows(ElitePlannedContact)} == {"PLANNED"}
    done = await desk.done(
        "elitePlannedContactReport", desk.mine, "elitePlannedContact { interaction { kind } }",
        id=contact, content="已沟通",
    )  # fmt: skip
    assert done["interaction"]["kind"] == kind


@pytest.mark.rule("MO-520")
async def test_a_planned_visit_is_completed_by_the_report_on_its_contact(desk: Desk) -> None:
    customer = await desk.customer()
    contact = await desk.contact(customer, way="MEETING")
    visit = await desk.done(
        "interactionPlan", desk.mine, "interaction { id }",
        customerId=customer, kind="visit", plannedAt="2025-11-04T02:00:00Z",
        visit={"purposes": ["LEARN_NEEDS"], "target": "摸清需求"},
    )  # fmt: skip
    desk.branch.crm.clock.advance(days=1, hours=1)
    done = await desk.done(
        "elitePlannedContactReport", desk.mine, "elitePlannedContact { state interaction { id status } }",
        id=contact, interactionId=visit["id"], content="需求已明确",
    )  # fmt: skip
    assert done == {"state": "REPORTED", "interaction": {"id": visit["id"], "status": "DONE"}}


@pytest.mark.rule("MO-520")
async def test_an_interaction_done_already_sends_its_report_to_those_who_lack_it(desk: Desk) -> None:
    customer = await desk.customer()
    plan = await desk.plan(
        customer, reportTo=[shown(desk.branch.centre)], contacts=[{"way": "PHONE", "dueOn": "2025-11-05"}]
    )
    call = await desk.done(
        "interactionLog",
        desk.mine,
        "interaction { id }",
        customerId=customer,
        kind="call",
        content="约定见面",
    )
    assert [row.user_id for row in await desk.branch.crm.rows(InteractionReport)] == [desk.general.user_id]
    await desk.done(
        "elitePlannedContactReport", desk.mine, CONTACT,
        id=plan["contacts"]["nodes"][0]["id"], interactionId=call["id"],
    )  # fmt: skip
    sent = await desk.branch.crm.rows(InteractionReport)
    assert sorted(row.user_id for row in sent) == sorted(
        who.user_id for who in (desk.general, desk.branch.centre) if who.user_id
    )
    assert {row.text for row in sent} == {"约定见面"}


@pytest.mark.rule("MO-520")
async def test_an_interaction_fulfils_one_contact_of_its_own_customer(desk: Desk) -> None:
    customer, stranger = await desk.customer(), await desk.customer(name="远东集团")
    two = [{"way": "PHONE", "dueOn": "2025-11-05"}, {"way": "PHONE", "dueOn": "2025-11-06"}]
    plan = await desk.plan(customer, contacts=two)
    first, second = (node["id"] for node in plan["contacts"]["nodes"])
    calls = [
        await desk.done("interactionLog", desk.mine, "interaction { id }", customerId=one, kind="call", content="好")
        for one in (customer, stranger)
    ]  # fmt: skip
    wrong = [("TELECOM_ELITE_INTERACTION_DOES_NOT_FIT", "interactionId", "MO-520")]
    report = "elitePlannedContactReport"
    assert await desk.refused(report, desk.mine, id=first, interactionId=calls[1]["id"]) == wrong
    await desk.done(report, desk.mine, CONTACT, id=first, interactionId=calls[0]["id"])
    assert await desk.refused(report, desk.mine, id=second, interactionId=calls[0]["id"]) == wrong


MISSING = """query ($id: ID!) { eliteContactPlan(id: $id) { missingReports { nodes { id } } }
  elitePlannedContacts(where: { reportMissing: true }) { totalCount } }"""


@pytest.mark.rule("MO-520")
async def test_a_contact_without_report_is_listed_after_three_working_days_and_its_owner_reminded_once(
    desk: Desk,
) -> None:
    plan = await desk.plan(await desk.customer(), contacts=[{"way": "PHONE", "dueOn": "2025-11-05"}])
    (contact,) = plan["contacts"]["nodes"]
    assert contact["reportDueOn"] == "2025-11-10"
    seen = {}
    for days in (7, 1):
        desk.branch.crm.clock.advance(days=days)
        data = await desk.branch.crm.data(MISSING, desk.mine, id=plan["id"])
        seen[desk.branch.crm.clock.now.day] = data["eliteContactPlan"]["missingReports"]["nodes"]
        assert data["elitePlannedContacts"]["totalCount"] == len(
            data["eliteContactPlan"]["missingReports"]["nodes"]
        )
    assert seen == {10: [], 11: [{"id": contact["id"]}]}
    for expected in ([contact["id"]], []):
        payload = await desk.branch.crm.done(
            "elitePlannedContactRemind", desk.mine, input={}, select="elitePlannedContacts { id }"
        )
        assert [one["id"] for one in payload["elitePlannedContacts"]] == expected
    (notice,) = [
        row for row in await desk.branch.crm.rows(Notice) if row.kind == "telecom_elite.report_missing"
    ]
    assert (notice.user_id, notice.facts["count"], notice.facts["customers"]) == (
        desk.mine.user_id, "1", "华信集团",
    )  # fmt: skip


@pytest.mark.rule("MO-520")
async def test_the_schedule_reminds_of_missing_reports_in_the_morning(desk: Desk) -> None:
    crm = desk.branch.crm
    await desk.contact(await desk.customer())
    await fire_due(crm.services)
    for days, told in ((7, set()), (1, {desk.mine.user_id})):
        crm.clock.advance(days=days)
        await fire_due(crm.services)
        await work_off(crm.services)
        assert await desk.told("telecom_elite.report_missing") == told


@pytest.mark.rule("MO-520")
async def test_the_days_count_from_when_the_contact_took_place(desk: Desk) -> None:
    contact = await desk.contact(await desk.customer(), dueOn="2025-12-31")
    held = await desk.done("elitePlannedContactHold", desk.mine, CONTACT, id=contact)
    assert (held["state"], held["reportDueOn"]) == ("HELD", "2025-11-06")
    cancelled = await desk.refused("elitePlannedContactCancel", desk.mine, id=contact, why="客户改期")
    assert cancelled == [("ILLEGAL_MOVE", "id", "MO-520")]


@pytest.mark.rule("MO-520")
async def test_how_long_a_report_may_take_is_a_dated_figure(desk: Desk) -> None:
    given = {"name": "contact_report_days", "teamKind": "HQ", "validFrom": "2025-11-01", "value": "1"}
    await desk.branch.crm.done("eliteRateSet", desk.branch.hr, input=given)
    plan = await desk.plan(await desk.customer(), contacts=[{"way": "PHONE", "dueOn": "2025-11-07"}])
    assert plan["contacts"]["nodes"][0]["reportDueOn"] == "2025-11-10"


@pytest.mark.rule("MO-520")
async def test_a_figure_is_that_of_the_team_the_customer_is_assigned_to(desk: Desk) -> None:
    given = {"name": "contact_report_days", "teamKind": "REGIONAL", "validFrom": "2025-11-01", "value": "0"}
    await desk.branch.crm.done("eliteRateSet", desk.branch.hr, input=given)
    customer = await desk.customer()
    await desk.branch.crm.done(
        "eliteCustomerAssign",
        desk.branch.centre,
        input={"customerId": customer, "teamId": desk.branch.regional},
    )
    plan = await desk.plan(customer, desk.branch.centre, contacts=[{"way": "PHONE", "dueOn": "2025-11-07"}])
    assert plan["contacts"]["nodes"][0]["reportDueOn"] == "2025-11-07"


@pytest.mark.rule("MO-520")
async def test_a_contact_called_off_owes_no_report(desk: Desk) -> None:
    plan = await desk.plan(await desk.customer(), contacts=[{"way": "PHONE", "dueOn": "2025-11-05"}])
    await desk.done(
        "elitePlannedContactCancel", desk.mine, CONTACT, id=plan["contacts"]["nodes"][0]["id"], why="客户改期"
    )
    desk.branch.crm.clock.advance(days=30)
    data = await desk.branch.crm.data(MISSING, desk.mine, id=plan["id"])
    assert data["eliteContactPlan"]["missingReports"]["nodes"] == []


@pytest.mark.rule("MO-520")
async def test_contacts_nobody_planned_are_looked_at_too(desk: Desk) -> None:
    customer = await desk.customer()
    plan = await desk.plan(customer)
    for content, moment in (("", "2025-10-08T02:00:00Z"), ("", "2024-12-31T02:00:00Z")):
        body = {"customerId": customer, "kind": "call", "occurredAt": moment, "content": content}
        outcome = await desk.branch.crm.perform(
            "interaction.log", body, desk.mine, line="elite", channel="import"
        )
        assert outcome.errors == ()
    await desk.done(
        "interactionLog", desk.mine, "interaction { id }", customerId=customer, kind="call", content="已报"
    )
    asked = """query ($id: ID!) { eliteContactPlan(id: $id) {
      unreportedInteractions { nodes { occurredOn } } } }"""
    data = await desk.branch.crm.data(asked, desk.mine, id=plan["id"])
    assert data["eliteContactPlan"]["unreportedInteractions"]["nodes"] == [{"occurredOn": "2025-10-08"}]


UNCOVERED = """query ($id: ID!) { eliteContactPlan(id: $id) {
  contacts { nodes { owner { name } contact { name } } } uncoveredKeyPersons { nodes { name } } } }"""


async def pairs_and_uncovered(desk: Desk, plan: str) -> tuple[list[tuple[str, str]], set[str]]:
    """Who of us is to meet whom, and the key persons nobody is to meet."""
    found = (await desk.branch.crm.data(UNCOVERED, desk.mine, id=plan))["eliteContactPlan"]
    pairs = [(one["owner"]["name"], one["contact"]["name"]) for one in found["contacts"]["nodes"]]
    return sorted(pairs), {one["name"] for one in found["uncoveredKeyPersons"]["nodes"]}


@pytest.mark.rule("MO-521")
async def test_a_plan_says_who_of_us_meets_which_key_person_and_whom_nobody_is_to_meet(desk: Desk) -> None:
    customer = await desk.customer()
    first, second = await desk.person(customer), await desk.person(customer, "吴处长")
    await desk.person(customer, "郑主任")
    await desk.person(customer, "小刘", isKeyPerson=False)
    planned = {"way": "MEETING", "dueOn": "2025-11-05"}
    contacts = [
        {**planned, "contactId": first, "ownerId": shown(desk.other)},
        {**planned, "contactId": second},
    ]
    plan = await desk.plan(customer, contacts=contacts)
    pairs = [("小李", "陈总"), ("小王", "吴处长")]
    assert await pairs_and_uncovered(desk, plan["id"]) == (pairs, {"郑主任"})


@pytest.mark.rule("MO-521")
async def test_whom_a_contact_called_off_or_one_of_another_year_is_with_is_not_covered(desk: Desk) -> None:
    customer = await desk.customer()
    person, later = await desk.person(customer), await desk.person(customer, "吴处长")
    plan = await desk.plan(
        customer, contacts=[{"way": "MEETING", "dueOn": "2025-11-05", "contactId": person}]
    )
    next_year = await desk.plan(
        customer, year=2026, contacts=[{"way": "MEETING", "dueOn": "2026-03-05", "contactId": later}]
    )
    assert (await pairs_and_uncovered(desk, plan["id"]))[1] == {"吴处长"}
    assert (await pairs_and_uncovered(desk, next_year["id"]))[1] == {"陈总"}
    (contact,) = plan["contacts"]["nodes"]
    await desk.done("elitePlannedContactCancel", desk.mine, CONTACT, id=contact["id"], why="客户改期")
    assert (await pairs_and_uncovered(desk, plan["id"]))[1] == {"陈总", "吴处长"}


@pytest.mark.rule("MO-520")
async def test_a_customer_has_one_contact_plan_a_year(desk: Desk) -> None:
    customer = await desk.customer()
    await desk.plan(customer)
    given = {"customerId": customer, "goal": "再定"}
    assert await desk.refused("eliteContactPlanCreate", desk.mine, year=2025, **given) == [
        ("TELECOM_ELITE_PLAN_EXISTS", "year", "MO-520")
    ]
    assert await desk.refused("eliteContactPlanCreate", desk.mine, year=2026, **given) == []


@pytest.mark.rule("MO-520")
async def test_a_contact_lies_in_the_plan_s_year_and_is_with_the_customer_s_people(desk: Desk) -> None:
    customer, stranger = await desk.customer(), await desk.customer(name="远东集团")
    plan = (await desk.plan(customer))["id"]
    theirs = await desk.person(stranger)
    add = "elitePlannedContactAdd"
    late = await desk.refused(add, desk.mine, planId=plan, way="PHONE", dueOn="2026-01-01")
    assert late == [("TELECOM_ELITE_CONTACT_OUTSIDE_YEAR", "dueOn", "MO-520")]
    wrong = await desk.refused(add, desk.mine, planId=plan, way="PHONE", dueOn="2025-12-31", contactId=theirs)
    assert wrong == [("CONTACT_OF_OTHER_CUSTOMER", "contactId", None)]


async def test_a_contact_is_changed_while_it_is_planned(desk: Desk) -> None:
    contact = await desk.contact(await desk.customer())
    changed = await desk.done(
        "elitePlannedContactUpdate", desk.mine, CONTACT, id=contact, dueOn="2025-11-12", way="LETTER"
    )
    assert (changed["dueOn"], changed["reportDueOn"]) == ("2025-11-12", "2025-11-17")
    await desk.done("elitePlannedContactHold", desk.mine, CONTACT, id=contact)
    refused = await desk.refused("elitePlannedContactUpdate", desk.mine, id=contact, way="PHONE")
    assert refused == [("TELECOM_ELITE_CONTACT_NOT_OPEN", "id", "MO-520")]
