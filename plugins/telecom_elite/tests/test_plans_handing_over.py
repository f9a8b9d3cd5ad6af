"""What somebody who leaves, or changes his post, still had to do by plans goes to his successor (计划交接)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from crm_core.actors import Actor
from crm_core.outbox.models import OutboxEvent
from crm_telecom_elite.plans.models import (
    EliteAction,
    EliteActionPlan,
    EliteContactPlan,
    ElitePlannedContact,
    EliteRevenuePlan,
)
from crm_telecom_elite.plans.testing import CONTACT, Desk, codes, shown

TABLES = (EliteContactPlan, ElitePlannedContact, EliteActionPlan, EliteAction, EliteRevenuePlan)


@dataclass
class Left:
    """Plans of a customer, all of `desk.mine`: of this year and the last one; contacts and actions in every state."""

    desk: Desk
    customer: str
    plan: str
    contacts: dict[str, str]

    @classmethod
    async def make(cls, desk: Desk) -> Left:
        customer, mine = await desk.customer(), shown(desk.mine)
        await desk.plan(customer, year=2024)
        days = {"early": "2025-11-05", "late": "2025-12-10", "held": "2025-11-03", "off": "2025-12-11"}
        planned = [{"way": "PHONE", "dueOn": day, "purpose": name} for name, day in days.items()]
        plan = await desk.plan(customer, contacts=planned)
        nodes = {node["dueOn"]: node["id"] for node in plan["contacts"]["nodes"]}
        contacts = {name: nodes[day] for name, day in days.items()}
        await desk.done("elitePlannedContactHold", desk.mine, CONTACT, id=contacts["held"])
        await desk.done("elitePlannedContactCancel", desk.mine, CONTACT, id=contacts["off"], why="客户改期")
        for year in (2024, 2025):
            await desk.done(
                "eliteRevenuePlanCreate", desk.mine, "eliteRevenuePlan { id }", customerId=customer, year=year
            )
        left = cls(desk, customer, plan["id"], contacts)
        await left.actions(mine)
        return left

    async def actions(self, owner: str) -> None:
        """An action that is done, and two that are open."""
        days = {"done": "2025-11-01", "early": "2025-11-20", "late": "2025-12-20"}
        given = [{"what": name, "dueOn": day, "ownerId": owner} for name, day in days.items()]
        made = await self.desk.done(
            "eliteActionPlanCreate", self.desk.branch.centre,
            "eliteActionPlan { actions { nodes { id what } } }", year=2025, goals="增长", actions=given,
        )  # fmt: skip
        done = next(one["id"] for one in made["actions"]["nodes"] if one["what"] == "done")
        await self.desk.done("eliteActionUpdate", self.desk.mine, "eliteAction { id }", id=done, state="DONE")

    async def owners(self) -> dict[str, str]:
        """What there is, and whose it is."""
        people = (self.desk.mine, self.desk.other, self.desk.branch.centre)
        names = {who.user_id: who.name for who in people}
        crm = self.desk.branch.crm
        contacts = {f"contact {row.purpose}": row for row in await crm.rows(ElitePlannedContact)}
        actions = {f"action {row.what}": row for row in await crm.rows(EliteAction)}
        plans = {f"contacts {row.year}": row for row in await crm.rows(EliteContactPlan)}
        revenue = {f"revenue {row.year}": row for row in await crm.rows(EliteRevenuePlan)}
        every: dict[str, Any] = contacts | actions | plans | revenue
        return {name: names[row.owner_id] for name, row in every.items()}


@pytest.fixture
async def left(desk: Desk) -> Left:
    return await Left.make(desk)


def given(desk: Desk, day: str, to: Actor | None = None) -> dict[str, Any]:
    return {"ownerId": shown(desk.mine), "successorId": shown(to or desk.other), "validFrom": day}


HIS = {
    "contact held": "小王", "contact off": "小王", "action done": "小王", "contacts 2024": "小王", "revenue 2024": "小王",
}  # fmt: skip


@pytest.mark.rule("MO-520", "MO-522", "MO-526")
async def test_what_is_still_to_be_done_goes_to_the_successor_and_what_was_done_stays(left: Left) -> None:
    desk = left.desk
    done = await desk.done(
        "elitePlanHandOver", desk.branch.centre, "user { name }", **given(desk, "2025-11-03")
    )
    assert done == {"name": "小李"}
    taken = dict.fromkeys(
        ("contact early", "contact late", "action early", "action late", "contacts 2025", "revenue 2025"),
        "小李",
    )
    assert await left.owners() == HIS | taken
    seen = "{ eliteContactPlans { nodes { year } } elitePlannedContacts { nodes { purpose } } }"
    assert await desk.branch.crm.data(seen, desk.other) == {
        "eliteContactPlans": {"nodes": [{"year": 2025}]},
        "elitePlannedContacts": {"nodes": [{"purpose": "late"}, {"purpose": "early"}]},
    }


async def test_until_a_day_to_come_he_does_what_is_due_before_it(left: Left) -> None:
    desk = left.desk
    await desk.done("elitePlanHandOver", desk.branch.centre, "user { name }", **given(desk, "2025-12-01"))
    early = {"contact early": "小王", "action early": "小王"}
    taken = dict.fromkeys(("contact late", "action late", "contacts 2025", "revenue 2025"), "小李")
    assert await left.owners() == HIS | early | taken


async def test_each_plan_tells_whose_it_was(left: Left) -> None:
    desk = left.desk
    before = {event.id for event in await desk.branch.crm.rows(OutboxEvent)}
    await desk.done("elitePlanHandOver", desk.branch.centre, "user { name }", **given(desk, "2025-11-03"))
    told = [event for event in await desk.branch.crm.rows(OutboxEvent) if event.id not in before]
    assert sorted(event.kind for event in told) == [
        "elite_action.updated", "elite_action.updated", "elite_contact_plan.updated", "elite_planned_contact.updated",
        "elite_planned_contact.updated", "elite_revenue_plan.updated",
    ]  # fmt: skip
    assert {(event.before["owner_id"], event.after["owner_id"]) for event in told} == {
        (str(desk.mine.user_id), str(desk.other.user_id))
    }
    versions = {row.id: row.version for table in TABLES for row in await desk.branch.crm.rows(table)}
    assert {event.subject_id: event.sequence for event in told}.items() <= versions.items()


async def test_many_are_handed_over_in_few_statements(desk: Desk) -> None:
    days = [f"2025-12-{n % 28 + 1:02}" for n in range(60)]
    for name in ("甲", "乙"):
        await desk.plan(
            await desk.customer(name=name), contacts=[{"way": "PHONE", "dueOn": day} for day in days]
        )
    with desk.branch.crm.statements() as sent:
        await desk.done("elitePlanHandOver", desk.branch.centre, "user { name }", **given(desk, "2025-11-03"))
    owners = {row.owner_id for row in await desk.branch.crm.rows(ElitePlannedContact)}
    assert owners == {desk.other.user_id}
    assert len(sent) < 30, [one[:80] for one in sent]


async def test_the_centre_hands_over_to_somebody_else_who_works_in_the_line(desk: Desk) -> None:
    crm, hand_over = desk.branch.crm, "elitePlanHandOver"
    stranger = await crm.actor("office", role="sales", lines=("office",))
    both = await crm.actor("both", role="elite_centre", lines=("elite", "office"))
    gone = {"id": shown(desk.far), "successorId": shown(desk.other)}
    await crm.done("userOffboard", input=gone, select="user { name }")
    for who in (desk.mine, desk.branch.manager):
        refused = await desk.refused(hand_over, who, **given(desk, "2025-11-03"))
        assert refused == [("TELECOM_ELITE_HANDOVER_OF_THE_CENTRE", None, None)]
    for to, code in (
        (desk.mine, "SUCCESSOR_IS_LEAVER"),
        (desk.far, "SUCCESSOR_DISABLED"),
        (stranger, "SUCCESSOR_NOT_IN_LINE"),
    ):
        payload = await crm.change(hand_over, both, input=given(desk, "2025-11-03", to), acting="elite")
        assert codes(payload) == [(code, "successorId", None)]


async def test_who_leaves_hands_his_plans_over_with_everything_else(left: Left) -> None:
    desk, crm = left.desk, left.desk.branch.crm
    await crm.done(
        "userOffboard",
        input={"id": shown(desk.mine), "successorId": shown(desk.other)},
        select="user { name }",
    )
    assert {name for name, who in (await left.owners()).items() if who == "小王"} == set(HIS)
    (event,) = [event for event in await crm.rows(OutboxEvent) if event.kind == "user.offboarded"]
    handed = {name: many for name, many in event.data["handed_over"].items() if name.startswith("elite_")}
    assert handed == {
        "elite_contact_plans": 1, "elite_planned_contacts": 2, "elite_action_plans": 0, "elite_actions": 2,
        "elite_revenue_plans": 1, "elite_users": 0,
    }  # fmt: skip


@pytest.mark.rule("MO-520")
async def test_a_report_that_a_leaver_owes_is_asked_of_who_has_the_plan_now(left: Left) -> None:
    desk, crm = left.desk, left.desk.branch.crm
    await crm.done(
        "userOffboard",
        input={"id": shown(desk.mine), "successorId": shown(desk.other)},
        select="user { name }",
    )
    crm.clock.advance(days=8)
    await crm.done("elitePlannedContactRemind", desk.other, input={})
    assert await desk.told("telecom_elite.report_missing") == {desk.other.user_id}
    report = "elitePlannedContact { state interaction { performer { name } } }"
    handed_in = await desk.done(
        "elitePlannedContactReport", desk.other, report, id=left.contacts["held"], content="已沟通"
    )
    assert handed_in == {"state": "REPORTED", "interaction": {"performer": {"name": "小王"}}}
