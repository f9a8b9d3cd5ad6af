"""Action and revenue plans through the API, and who sees plans."""

from __future__ import annotations

import pytest

from crm_telecom_elite.plans.models import EliteRevenueProject
from crm_telecom_elite.plans.testing import Desk, shown

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
