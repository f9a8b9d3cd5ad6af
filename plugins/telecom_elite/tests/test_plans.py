"""Plans through the API: contacts and their short reports, actions, revenue, key persons, who sees what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_core.interactions.models import InteractionReport
from crm_core.jobs.running import work_off
from crm_core.jobs.scheduling import fire_due
from crm_core.notices.models import Notice
from crm_telecom_elite.plans.models import ElitePlannedContact, EliteRevenueProject
from crm_telecom_elite.plans.queries import deciders_of_open_tenders
from crm_telecom_elite.testing import Branch

CONTACT = "elitePlannedContact { id state dueOn reportDueOn }"
REVENUE = (
    "eliteRevenuePlan { id income profit actual attainment "
    "projects { name contractAmount acquisitionRate profitRate income profit measures } }"
)
PROJECTS = [
    {
        "name": "总部专线", "contractAmount": "1000000.00", "acquisitionRate": "0.6", "profitRate": "0.15",
        "measures": "争取首批试点",
    },
    {"name": "分支组网", "contractAmount": "500000.00", "acquisitionRate": "0.2", "profitRate": "0.1"},
]  # fmt: skip


def shown(who: Actor) -> str:
    assert who.user_id is not None
    return ids.show("usr", who.user_id)


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    return [(e["code"], e["field"], e["rule"]) for e in payload["userErrors"]]


@dataclass
class Desk:
    """A branch with two members of one team, a colleague of another, a general manager and somebody of compliance."""

    branch: Branch
    mine: Actor
    other: Actor
    far: Actor
    general: Actor
    compliance: Actor

    @classmethod
    async def open(cls, branch: Branch) -> Desk:
        crm, lines = branch.crm, ("elite",)
        hq, region = (next(iter(who.teams["elite"])) for who in (branch.manager, branch.regional_leader))
        return cls(
            branch,
            mine=await crm.actor("小王", role="elite_member", lines=lines, team=hq),
            other=await crm.actor("小李", role="elite_member", lines=lines, team=hq),
            far=await crm.actor("小赵", role="elite_member", lines=lines, team=region),
            general=await crm.actor("总经理", role="marketing_gm", lines=lines),
            compliance=await crm.actor("合规", role="elite_compliance", lines=lines),
        )

    async def done(self, mutation: str, by: Actor, select: str, **given: Any) -> dict[str, Any]:
        payload = await self.branch.crm.done(mutation, by, input=given, select=select)
        found: dict[str, Any] = payload[select.split(" ", maxsplit=1)[0]]
        return found

    async def refused(
        self, mutation: str, by: Actor, **given: Any
    ) -> list[tuple[str, str | None, str | None]]:
        return codes(await self.branch.crm.change(mutation, by, input=given))

    async def customer(self, owner: Actor | None = None, name: str = "华信集团") -> str:
        made = await self.done(
            "customerCreate", owner or self.mine, "customer { id }", name=name, kind="ORGANISATION"
        )
        found: str = made["id"]
        return found

    async def person(self, customer: str, name: str = "陈总", **more: Any) -> str:
        given = {"customerId": customer, "name": name, "isKeyPerson": True, **more}
        found: str = (await self.done("contactCreate", self.mine, "contact { id }", **given))["id"]
        return found

    async def knows(self, contact: str, who: Actor, state: str = "POSITIVE") -> None:
        await self.done(
            "contactLink", self.mine, "contact { id }", id=contact, userId=shown(who), state=state
        )

    async def plan(self, customer: str, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        given = {"customerId": customer, "year": 2025, "goal": "建立对应关系", **more}
        return await self.done(
            "eliteContactPlanCreate", by or self.mine,
            "eliteContactPlan { id owner { name } contacts { nodes { id state dueOn reportDueOn owner { name } } } }",
            **given,
        )  # fmt: skip

    async def contact(self, customer: str, **more: Any) -> str:
        """A planned contact, by telephone on Wednesday, 5 November."""
        plan = await self.plan(customer, contacts=[{"way": "PHONE", "dueOn": "2025-11-05"} | more])
        found: str = plan["contacts"]["nodes"][0]["id"]
        return found

    async def told(self, kind: str) -> set[UUID]:
        return {row.user_id for row in await self.branch.crm.rows(Notice) if row.kind == kind}

    async def opening(self, customer: str, who: Actor) -> None:
        await self.done(
            "eliteKeyPersonMapOpen", who, "eliteMapOpening { id }", customerId=customer, purpose="准备投标"
        )

    async def tender(self, customer: str) -> str:
        given = {"customerId": customer, "name": "专网招标", "openedOn": "2025-11-01"}
        found: str = (await self.done("eliteTenderOpen", self.mine, "eliteTender { id }", **given))["id"]
        return found

    async def decider(self, customer: str, contact: str) -> str:
        """A tender in which this person decides."""
        tender = await self.tender(customer)
        await self.opening(customer, self.mine)
        await self.done("eliteTenderRoleSet", self.mine, "eliteTenderRole { id }", **role(tender, contact))
        return tender


def role(tender: str, contact: str, **more: Any) -> dict[str, Any]:
    return {
        "id": tender, "contactId": contact, "role": "评标组长", "decisionMaker": True, "influence": "一票否决",
        "concerns": "服务响应", "purpose": "了解评标流程", **more,
    }  # fmt: skip


@pytest.fixture
async def desk(branch: Branch) -> Desk:
    return await Desk.open(branch)


# -- contacts and their reports


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


@pytest.mark.rule("MO-521")
async def test_a_plan_shows_key_persons_nobody_is_to_meet(desk: Desk) -> None:
    customer = await desk.customer()
    met, unmet = await desk.person(customer), await desk.person(customer, "吴处长")
    await desk.person(customer, "小刘", isKeyPerson=False)
    plan = await desk.plan(customer, contacts=[{"way": "MEETING", "dueOn": "2025-11-05", "contactId": met}])
    asked = "query ($id: ID!) { eliteContactPlan(id: $id) { uncoveredKeyPersons { nodes { id } } } }"
    data = await desk.branch.crm.data(asked, desk.mine, id=plan["id"])
    assert data["eliteContactPlan"]["uncoveredKeyPersons"]["nodes"] == [{"id": unmet}]


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


# -- actions


@pytest.mark.rule("MO-522")
async def test_the_centre_plans_the_next_year_once_with_goals_and_actions(desk: Desk) -> None:
    given = {
        "year": 2026, "goals": "集团收入增长两成",
        "actions": [{"what": "每季走访重点集团", "dueOn": "2026-03-31", "ownerId": shown(desk.mine)}],
    }  # fmt: skip
    made = await desk.done(
        "eliteActionPlanCreate", desk.branch.centre,
        "eliteActionPlan { year goals region actions { nodes { what dueOn state owner { name } } } }", **given,
    )  # fmt: skip
    assert made == {
        "year": 2026, "goals": "集团收入增长两成", "region": "",
        "actions": {"nodes": [
            {"what": "每季走访重点集团", "dueOn": "2026-03-31", "state": "OPEN", "owner": {"name": "小王"}}
        ]},
    }  # fmt: skip
    again = await desk.refused("eliteActionPlanCreate", desk.branch.centre, **given)
    assert again == [("TELECOM_ELITE_PLAN_EXISTS", "year", "MO-522")]
    assert await desk.refused("eliteActionPlanCreate", desk.branch.centre, region="宝安", **given) == []


@pytest.mark.rule("MO-522")
async def test_only_the_centre_makes_it(desk: Desk) -> None:
    given = {"year": 2026, "goals": "增长"}
    for who in (desk.mine, desk.branch.manager):
        refused = await desk.refused("eliteActionPlanCreate", who, **given)
        assert refused == [("TELECOM_ELITE_PLAN_OF_THE_CENTRE", None, "MO-522")]
    for who in (desk.branch.hr, desk.branch.finance, desk.compliance):
        assert [code for code, *_ in await desk.refused("eliteActionPlanCreate", who, **given)] == [
            "FORBIDDEN"
        ]


@pytest.mark.rule("MO-522")
async def test_who_is_responsible_says_how_an_action_stands_and_no_more(desk: Desk) -> None:
    plan = await desk.done(
        "eliteActionPlanCreate", desk.branch.centre, "eliteActionPlan { id }", year=2026, goals="增长"
    )
    action = await desk.done(
        "eliteActionAdd", desk.branch.centre, "eliteAction { id state }",
        planId=plan["id"], what="走访", dueOn="2026-03-31", ownerId=shown(desk.mine),
    )  # fmt: skip
    update = "eliteActionUpdate"
    moved = await desk.done(
        update, desk.mine, "eliteAction { state note }", id=action["id"], state="DONE", note="已走访"
    )
    assert moved == {"state": "DONE", "note": "已走访"}
    dropped = await desk.refused(update, desk.mine, id=action["id"], state="DROPPED")
    assert dropped == [("ILLEGAL_MOVE", "state", "MO-522")]
    put_off = await desk.refused(update, desk.mine, id=action["id"], dueOn="2026-12-31")
    assert put_off == [("TELECOM_ELITE_PLAN_OF_THE_CENTRE", None, "MO-522")]
    foreign = await desk.refused(update, desk.other, id=action["id"], state="OPEN")
    assert [code for code, *_ in foreign] == ["NOT_FOUND"]


# -- revenue


@pytest.mark.rule("MO-523", "MO-524", "MO-525")
async def test_a_revenue_plan_adds_up_what_its_projects_are_expected_to_bring(desk: Desk) -> None:
    plan = await desk.done(
        "eliteRevenuePlanCreate", desk.mine, REVENUE,
        customerId=await desk.customer(), year=2026, projects=PROJECTS,
    )  # fmt: skip
    assert (plan["income"], plan["profit"], plan["actual"], plan["attainment"]) == (
        "700000.00", "100000.00", None, None,
    )  # fmt: skip
    assert plan["projects"] == [
        {**PROJECTS[0], "income": "600000.00", "profit": "90000.00"},
        {**PROJECTS[1], "income": "100000.00", "profit": "10000.00", "measures": ""},
    ]


@pytest.mark.rule("MO-526")
async def test_a_plan_is_measured_by_what_it_brought(desk: Desk) -> None:
    customer = await desk.customer()
    plan = await desk.done(
        "eliteRevenuePlanCreate", desk.mine, "eliteRevenuePlan { id owner { name } }",
        customerId=customer, year=2026, projects=PROJECTS,
    )  # fmt: skip
    assert plan["owner"] == {"name": "小王"}
    seen = await desk.done(
        "eliteRevenuePlanMeasure", desk.branch.centre, REVENUE, id=plan["id"], actual="630000.00"
    )
    assert (seen["actual"], seen["attainment"]) == ("630000.00", "90.0")
    less = await desk.done("eliteRevenuePlanUpdate", desk.mine, REVENUE, id=plan["id"], projects=PROJECTS[:1])
    assert (less["income"], less["attainment"]) == ("600000.00", "105.0")


@pytest.mark.rule("MO-523")
async def test_a_project_keeps_its_place_when_the_plan_is_changed(desk: Desk) -> None:
    plan = await desk.done(
        "eliteRevenuePlanCreate", desk.mine, REVENUE,
        customerId=await desk.customer(), year=2026, projects=PROJECTS,
    )  # fmt: skip
    before = {row.name: row.id for row in await desk.branch.crm.rows(EliteRevenueProject)}
    changed = {**PROJECTS[1], "acquisitionRate": "0.5"}
    after = await desk.done("eliteRevenuePlanUpdate", desk.mine, REVENUE, id=plan["id"], projects=[changed])
    assert (after["income"], after["profit"]) == ("250000.00", "25000.00")
    left = {row.name: row.id for row in await desk.branch.crm.rows(EliteRevenueProject)}
    assert left == {"分支组网": before["分支组网"]}
    twice = await desk.refused(
        "eliteRevenuePlanUpdate", desk.mine, id=plan["id"], projects=[changed, changed]
    )
    assert twice == [("TELECOM_ELITE_PROJECT_TWICE", "projects.1.name", "MO-523")]


@pytest.mark.rule("MO-523")
@pytest.mark.parametrize(("field", "value"), [("acquisitionRate", "1.01"), ("profitRate", "1.5")])
async def test_a_rate_is_a_part_of_one(desk: Desk, field: str, value: str) -> None:
    given = {"customerId": await desk.customer(), "year": 2026, "projects": [{**PROJECTS[0], field: value}]}
    refused = await desk.refused("eliteRevenuePlanCreate", desk.mine, **given)
    assert [(code, where) for code, where, _ in refused] == [
        ("INVALID_LESS_THAN_EQUAL", f"projects.0.{field}")
    ]


@pytest.mark.rule("MO-523", "MO-526")
async def test_the_line_s_own_plan_is_the_centre_s_and_there_is_one_a_year(desk: Desk) -> None:
    given = {"year": 2026, "projects": PROJECTS}
    refused = await desk.refused("eliteRevenuePlanCreate", desk.mine, **given)
    assert refused == [("TELECOM_ELITE_PLAN_OF_THE_CENTRE", "customerId", "MO-522")]
    await desk.done("eliteRevenuePlanCreate", desk.branch.centre, REVENUE, **given)
    again = await desk.refused("eliteRevenuePlanCreate", desk.branch.centre, **given)
    assert again == [("TELECOM_ELITE_PLAN_EXISTS", "year", "MO-523")]


# -- key persons and tenders

WARNINGS = "query ($id: ID!) { customer(id: $id) { eliteKeyPersonWarnings } }"


@pytest.mark.rule("MO-528", "MO-527")
async def test_one_of_us_who_holds_all_key_persons_is_warned_of(desk: Desk) -> None:
    customer = await desk.customer()

    async def found() -> list[str]:
        data = await desk.branch.crm.data(WARNINGS, desk.compliance, id=customer)
        warned: list[str] = data["customer"]["eliteKeyPersonWarnings"]
        return warned

    assert await found() == []
    first, second = await desk.person(customer), await desk.person(customer, "吴处长")
    assert await found() == ["NO_RELATION"]
    await desk.knows(first, desk.mine)
    assert await found() == ["TOO_FEW_OWNERS", "NO_RELATION"]
    await desk.knows(second, desk.mine, "NEGATIVE")
    assert await found() == ["TOO_FEW_OWNERS"]
    await desk.knows(second, desk.other, "NOT_ESTABLISHED")
    assert await found() == ["TOO_FEW_OWNERS"]
    await desk.knows(second, desk.other, "NEUTRAL")
    assert await found() == []


@pytest.mark.rule("MO-528")
async def test_how_many_of_us_are_enough_is_a_dated_figure(desk: Desk) -> None:
    customer = await desk.customer()
    person = await desk.person(customer)
    for who in (desk.mine, desk.other):
        await desk.knows(person, who)
    assert (await desk.branch.crm.data(WARNINGS, desk.mine, id=customer))["customer"] == {
        "eliteKeyPersonWarnings": []
    }
    given = {"name": "key_person_owners", "teamKind": "HQ", "validFrom": "2025-11-01", "value": "3"}
    await desk.branch.crm.done("eliteRateSet", desk.branch.hr, input=given)
    assert (await desk.branch.crm.data(WARNINGS, desk.mine, id=customer))["customer"] == {
        "eliteKeyPersonWarnings": ["TOO_FEW_OWNERS"]
    }


@pytest.mark.rule("MO-527")
async def test_the_map_of_a_customer_shows_its_key_persons_with_who_of_us_and_how(desk: Desk) -> None:
    customer = await desk.customer()
    person = await desk.person(customer, title="总工程师", decisionRole="技术把关")
    await desk.knows(person, desk.mine, "POSITIVE")
    await desk.knows(person, desk.other, "NEUTRAL")
    asked = """query ($id: ID!) { customer(id: $id) { contacts(where: { isKeyPerson: { eq: true } }) { nodes {
      name title decisionRole relationshipState links { state user { name } } } } } }"""
    data = await desk.branch.crm.data(asked, desk.compliance, id=customer)
    assert data["customer"]["contacts"]["nodes"] == [{
        "name": "陈总", "title": "总工程师", "decisionRole": "技术把关", "relationshipState": "POSITIVE",
        "links": [
            {"state": "POSITIVE", "user": {"name": "小王"}}, {"state": "NEUTRAL", "user": {"name": "小李"}},
        ],
    }]  # fmt: skip


ROLES = "query ($id: ID!) { eliteTender(id: $id) { roles { nodes { role decisionMaker concerns contact { name } } } } }"


@pytest.mark.rule("MO-528", "MO-527", "MO-C08", "MO-C11")
async def test_roles_in_a_tender_are_read_for_some_hours_by_who_said_what_for(desk: Desk) -> None:
    customer = await desk.customer()
    tender = await desk.decider(customer, await desk.person(customer))
    kept = [{"role": "评标组长", "decisionMaker": True, "concerns": "服务响应", "contact": {"name": "陈总"}}]

    async def seen(who: Actor) -> list[dict[str, Any]]:
        data = await desk.branch.crm.data(ROLES, who, id=tender)
        roles: list[dict[str, Any]] = data["eliteTender"]["roles"]["nodes"]
        return roles

    assert await seen(desk.mine) == kept
    for who in (desk.compliance, desk.branch.centre):
        assert await seen(who) == []
        await desk.opening(customer, who)
        assert await seen(who) == kept
    desk.branch.crm.clock.advance(hours=8, seconds=1)
    for who in (desk.mine, desk.compliance, desk.branch.centre):
        assert await seen(who) == []


@pytest.mark.rule("MO-527", "MO-C08", "MO-C11")
async def test_compliance_sees_who_opened_which_map_and_why(desk: Desk) -> None:
    customer = await desk.customer()
    for who in (desk.mine, desk.branch.centre):
        await desk.opening(customer, who)
    asked = "{ eliteMapOpenings { nodes { user { name } customer { name } purpose } } }"
    line = (await desk.branch.crm.data(asked, desk.compliance))["eliteMapOpenings"]["nodes"]
    why = {"customer": {"name": "华信集团"}, "purpose": "准备投标"}
    assert line == [{"user": {"name": who.name}, **why} for who in (desk.branch.centre, desk.mine)]
    own = (await desk.branch.crm.data(asked, desk.mine))["eliteMapOpenings"]["nodes"]
    assert own == [{"user": {"name": "小王"}, **why}]


@pytest.mark.rule("MO-527")
async def test_nobody_opens_the_map_of_a_customer_out_of_reach(desk: Desk) -> None:
    customer = await desk.customer()
    for who in (desk.other, desk.far, desk.branch.regional_leader):
        refused = await desk.refused("eliteKeyPersonMapOpen", who, customerId=customer, purpose="看看")
        assert [(code, field) for code, field, _ in refused] == [("NOT_FOUND", "customerId")]


@pytest.mark.rule("MO-527", "MO-C08")
async def test_a_role_is_written_by_who_opened_the_map(desk: Desk) -> None:
    customer = await desk.customer()
    person, tender = await desk.person(customer), await desk.tender(customer)
    refused = await desk.refused("eliteTenderRoleSet", desk.mine, **role(tender, person))
    assert refused == [("TELECOM_ELITE_MAP_CLOSED", "id", "MO-527")]
    await desk.opening(customer, desk.mine)
    chosen = "eliteTenderRole { role decisionMaker purpose }"
    await desk.done("eliteTenderRoleSet", desk.mine, chosen, **role(tender, person))
    changed = await desk.done(
        "eliteTenderRoleSet", desk.mine, chosen, **role(tender, person, role="评委", decisionMaker=False)
    )
    assert changed == {"role": "评委", "decisionMaker": False, "purpose": "了解评标流程"}
    gone = {"id": tender, "contactId": person}
    await desk.done("eliteTenderRoleRemove", desk.mine, "eliteTender { id }", **gone)
    assert await desk.refused("eliteTenderRoleRemove", desk.mine, **gone) == [
        ("TELECOM_ELITE_NO_ROLE", "contactId", "MO-528")
    ]


@pytest.mark.rule("MO-528", "MO-C11")
async def test_who_decides_in_an_open_tender_is_known_to_whatever_spends_money(desk: Desk) -> None:
    customer = await desk.customer()
    person, harmless = await desk.person(customer), await desk.person(customer, "吴处长")
    tender = await desk.decider(customer, person)
    await desk.done(
        "eliteTenderRoleSet", desk.mine, "eliteTenderRole { id }",
        **role(tender, harmless, role="联络人", decisionMaker=False),
    )  # fmt: skip
    asked = "query ($id: ID!) { customer(id: $id) { contacts { nodes { name eliteDecidesOpenTender } } } }"

    async def deciding() -> tuple[Sequence[str], frozenset[UUID]]:
        data = await desk.branch.crm.data(asked, desk.compliance, id=customer)
        named = [n["name"] for n in data["customer"]["contacts"]["nodes"] if n["eliteDecidesOpenTender"]]
        people = [ids.read(one)[1] for one in (person, harmless)]
        async with desk.branch.crm.database.transaction() as session:
            today = desk.branch.crm.clock.now.date()
            return named, await deciders_of_open_tenders(session, people, today)

    assert await deciding() == (["陈总"], frozenset({ids.read(person)[1]}))
    await desk.done("eliteTenderClose", desk.mine, "eliteTender { closedOn }", id=tender, outcome="中标")
    assert await deciding() == ([], frozenset())
    again = await desk.refused("eliteTenderClose", desk.mine, id=tender)
    assert again == [("TELECOM_ELITE_TENDER_CLOSED", "id", "MO-528")]


# -- who sees what

SEEN = "{ eliteContactPlans { totalCount } elitePlannedContacts { totalCount } eliteRevenuePlans { totalCount } eliteTenders { totalCount } }"


@pytest.mark.rule("MO-520", "MO-523", "MO-527")
async def test_plans_are_seen_as_far_as_their_customers_are(desk: Desk) -> None:
    customer = await desk.customer()
    contact = await desk.contact(customer)
    plan = await desk.done(
        "eliteRevenuePlanCreate", desk.mine, "eliteRevenuePlan { id }", customerId=customer, year=2026
    )
    await desk.tender(customer)
    sees = {
        "mine": desk.mine, "manager": desk.branch.manager, "centre": desk.branch.centre, "hr": desk.branch.hr,
        "finance": desk.branch.finance, "leader": desk.branch.leader, "compliance": desk.compliance,
        "other": desk.other, "far": desk.far, "regional": desk.branch.regional_leader,
    }  # fmt: skip
    found = {}
    for name, who in sees.items():
        counts = (await desk.branch.crm.data(SEEN, who)).values()
        found[name] = {one["totalCount"] for one in counts}
    blind = {"other", "far", "regional"}
    assert found == {name: {0} if name in blind else {1} for name in sees}
    writes = {
        "elitePlannedContactHold": {"id": contact},
        "eliteRevenuePlanMeasure": {"id": plan["id"], "actual": "1.00"},
        "eliteContactPlanCreate": {"customerId": customer, "year": 2027, "goal": "x"},
        "eliteTenderOpen": {"customerId": customer, "name": "x", "openedOn": "2025-11-01"},
    }
    for mutation, given in writes.items():
        for name in blind | {"manager"}:
            refused = await desk.refused(mutation, sees[name], **given)
            assert [code for code, *_ in refused] == ["NOT_FOUND"], (mutation, name)
        for name in ("hr", "finance", "leader", "compliance"):
            refused = await desk.refused(mutation, sees[name], **given)
            assert [code for code, *_ in refused] == ["FORBIDDEN"], (mutation, name)


async def test_who_is_to_make_a_contact_sees_it_without_the_customer(desk: Desk) -> None:
    await desk.contact(await desk.customer(), ownerId=shown(desk.other))
    seen = await desk.branch.crm.data(
        "{ elitePlannedContacts { nodes { dueOn customer { name } } } eliteContactPlans { totalCount } }",
        desk.other,
    )
    assert seen == {
        "elitePlannedContacts": {"nodes": [{"dueOn": "2025-11-05", "customer": None}]},
        "eliteContactPlans": {"totalCount": 0},
    }
