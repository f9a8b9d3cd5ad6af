"""Visits: planned in advance, reported in time, reviewed by the superior, counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.interactions.conftest import MANAGES, PLAN, Company

AT_ONE_IN_SHANGHAI = datetime(2025, 11, 3, 17, 5, tzinfo=UTC)

REPORT: dict[str, Any] = {
    "feedback": "价格偏高，交期满意",
    "hostName": "王敏",
    "hostTitle": "采购经理",
    "decisionPower": "可独立决定十万元以下采购",
    "needs": "缺少备件",
    "attitude": "友好",
    "demands": "希望季度回访",
    "prospects": "同园区的宏远机械",
    "competitors": "对手每月上门，两名技师",
    "guidance": "讲解保养要点",
    "guidanceMinutes": 90,
    "creditChange": "账期由 30 天改为 60 天",
    "creditChangeCause": "回款变慢",
    "companyTopics": "新厂投产",
    "activityTopics": "双十一活动",
    "productTopics": "新款机型",
    "competitorTopics": "对手降价",
    "objections": "认为价高，已比较使用成本",
    "gifts": "台历一份",
}


@pytest.mark.rule("CS-106")
async def test_a_visit_without_plan_is_refused(company: Company) -> None:
    customer = await company.customer("华信机械")
    refused = await company.codes("interactionLog", customerId=customer, kind="visit", content="顺路拜访")
    assert refused == [("VISIT_NEEDS_PLAN", "kind")]


@pytest.mark.rule("CS-106")
async def test_a_visit_plan_names_purpose_and_target(company: Company) -> None:
    customer = await company.customer("华信机械")
    given: dict[str, Any] = {
        "customerId": customer,
        "kind": "visit",
        "plannedAt": "2025-11-04T10:00:00+08:00",
    }
    assert await company.codes("interactionPlan", **given) == [
        ("VISIT_PLAN_INCOMPLETE", "visit.purposes"),
        ("VISIT_PLAN_INCOMPLETE", "visit.target"),
    ]
    assert await company.codes("interactionPlan", **given, visit=PLAN | {"target": " "}) == [
        ("VISIT_PLAN_INCOMPLETE", "visit.target")
    ]


@pytest.mark.rule("CS-106")
async def test_a_visit_is_planned_in_advance(company: Company) -> None:
    customer = await company.customer("华信机械")
    yesterday: dict[str, Any] = {
        "customerId": customer,
        "kind": "visit",
        "plannedAt": "2025-11-02T10:00:00+08:00",
        "visit": PLAN,
    }
    assert await company.codes("interactionPlan", **yesterday) == [("PLAN_TOO_LATE", "plannedAt")]
    this_moment = yesterday | {"plannedAt": "2025-11-03T10:00:00+08:00"}
    assert await company.codes("interactionPlan", **this_moment) == [("PLAN_TOO_LATE", "plannedAt")]
    visit = await company.plan(customer)
    moved: dict[str, Any] = {"id": visit, "plannedAt": "2025-11-03T10:00:00+08:00"}
    assert await company.codes("interactionUpdate", **moved) == [("PLAN_TOO_LATE", "plannedAt")]
    for moment in ("2025-11-03T09:00:00+08:00", "2025-11-03T10:00:00+08:00"):
        not_after_plan: dict[str, Any] = {"id": visit, "occurredAt": moment, "content": "已谈"}
        refused = await company.codes("interactionComplete", **not_after_plan)
        assert refused == [("PLAN_AFTER_VISIT", "occurredAt")]


@pytest.mark.rule("CS-106", "CS-191")
async def test_a_planned_visit_is_done_reported_and_reviewed_by_the_superior(company: Company) -> None:
    visit = await company.visited(await company.customer("华信机械"))
    assert await company.codes("interactionReviewReport", company.manager, id=visit, result="ACCEPTED") == [
        ("REPORT_MISSING", "id")
    ]
    await company.do("interactionSubmitReport", id=visit, feedback="满意")
    await company.do(
        "interactionReviewReport", company.manager, id=visit, result="RETURNED", comment="补充需求"
    )
    await company.do("interactionSubmitReport", id=visit, needs="备件")
    await company.do("interactionReviewReport", company.manager, id=visit, result="ACCEPTED")
    read = await company.read(
        visit, "status visit { reviewResult reviewedBy { name } reviewComment feedback needs submittedAt }"
    )
    assert read["status"] == "DONE"
    assert read["visit"] | {"submittedAt": ""} == {
        "reviewResult": "ACCEPTED",
        "reviewedBy": {"name": "manager"},
        "reviewComment": "",
        "feedback": "满意",
        "needs": "备件",
        "submittedAt": "",
    }
    assert await company.codes("interactionSubmitReport", id=visit, feedback="改") == [
        ("REPORT_ACCEPTED", "id")
    ]


@pytest.mark.rule("CS-106")
async def test_nobody_reviews_the_report_of_his_own_visit(company: Company) -> None:
    customer = await company.customer("华信机械")
    visit = await company.visited(customer, company.manager)
    await company.do("interactionSubmitReport", company.manager, id=visit, feedback="满意")
    assert await company.codes("interactionReviewReport", company.manager, id=visit, result="ACCEPTED") == [
        ("OWN_REPORT", "id")
    ]
    assert await company.codes("interactionReviewReport", id=visit, result="ACCEPTED") == [
        ("FORBIDDEN", None)
    ]


@pytest.mark.rule("CS-106")
async def test_nobody_reviews_a_report_he_handed_in_for_another(company: Company) -> None:
    visit = await company.visited(await company.customer("华信机械"))
    await company.do("interactionSubmitReport", company.manager, id=visit, feedback="满意")
    read = await company.read(visit, "performer { name } visit { submittedBy { name } }")
    assert read == {"performer": {"name": "seller"}, "visit": {"submittedBy": {"name": "manager"}}}
    review: dict[str, Any] = {"id": visit, "result": "ACCEPTED"}
    assert await company.codes("interactionReviewReport", company.manager, **review) == [("OWN_REPORT", "id")]
    superior = await company.crm.actor("superior", MANAGES)
    await company.do("interactionReviewReport", superior, **review)


@pytest.mark.rule("CS-107")
async def test_visits_are_regular_or_irregular(company: Company) -> None:
    customer = await company.customer("华信机械")
    await company.plan(customer, visit=PLAN | {"occasion": "REGULAR"})
    daily = await company.plan(customer)
    assert (await company.read(daily, "visit { occasion }"))["visit"] == {"occasion": "IRREGULAR"}
    query = "{ interactions(where: { visit: { occasion: { eq: REGULAR } } }) { totalCount nodes { visit { occasion } } } }"
    found = await company.crm.data(query, company.seller)
    assert found["interactions"] == {"totalCount": 1, "nodes": [{"visit": {"occasion": "REGULAR"}}]}


@pytest.mark.rule("CS-110")
async def test_a_visit_has_any_of_five_purposes(company: Company) -> None:
    purposes = [
        "LEARN_NEEDS",
        "RESOLVE_CONFLICTS",
        "MAINTAIN_RELATIONSHIP",
        "COLLECT_INFORMATION",
        "GIVE_GUIDANCE",
    ]
    visit = await company.plan(await company.customer("华信机械"), visit=PLAN | {"purposes": purposes})
    assert (await company.read(visit, "visit { purposes }"))["visit"]["purposes"] == purposes


@pytest.mark.rule("CS-111")
async def test_the_preparation_checklist_comes_with_the_plan_and_is_ticked_off(company: Company) -> None:
    customer = await company.customer("华信机械")
    cards = "个人名片 Business cards"
    visit = await company.plan(customer, visit=PLAN | {"preparations": [cards]})
    read = (await company.read(visit, "visit { checklist preparations }"))["visit"]
    assert read["checklist"] == [
        "拜访计划与目标 Plan and target",
        "拜访技巧 Visit skills",
        "当月销售政策与促销活动 This month's sales policy and promotions",
        "仪容仪表 Appearance",
        "企业宣传资料 Company brochures",
        "个人名片 Business cards",
        "笔记本和笔 Notebook and pen",
        "客户信息一览表 Customer information list",
        "宣传品和馈赠礼品 Publicity items and gifts",
    ]
    assert read["preparations"] == [cards]
    await company.do("interactionUpdate", id=visit, visit={"preparations": read["checklist"]})
    ticked = (await company.read(visit, "visit { preparations target }"))["visit"]
    assert ticked == {"preparations": read["checklist"], "target": PLAN["target"]}
    given: dict[str, Any] = {
        "customerId": customer,
        "kind": "visit",
        "plannedAt": "2025-11-04T10:00:00+08:00",
    }
    unknown = PLAN | {"preparations": ["雨伞"]}
    assert await company.codes("interactionPlan", **given, visit=unknown) == [
        ("UNKNOWN_PREPARATION", "visit.preparations.0")
    ]


@pytest.mark.rule("CS-113")
@pytest.mark.parametrize("way", ["LOCAL_ASSOCIATION", "TRADE_FAIR", "MEETING_LEADERS"])
async def test_a_hard_to_visit_customer_may_be_met_another_way(company: Company, way: str) -> None:
    visit = await company.plan(await company.customer("华信机械"), visit=PLAN | {"alternativeWay": way})
    assert (await company.read(visit, "visit { alternativeWay }"))["visit"]["alternativeWay"] == way


@pytest.mark.rule("CS-112", "CS-114", "CS-115")
async def test_the_visit_report_keeps_host_needs_gathered_information_and_topics(company: Company) -> None:
    visit = await company.visited(await company.customer("华信机械"))
    await company.do("interactionSubmitReport", id=visit, **REPORT)
    read = await company.read(visit, f"visit {{ {' '.join(REPORT)} }}")
    assert read["visit"] == REPORT


@pytest.mark.rule("CS-116")
async def test_guidance_time_is_set_aside_and_noted_but_never_enforced(company: Company) -> None:
    visit = await company.visited(await company.customer("华信机械"))
    await company.do("interactionSubmitReport", id=visit, feedback="满意", guidanceMinutes=5)
    read = await company.read(visit, "visit { guidancePlanned guidanceMinutes }")
    assert read["visit"] == {"guidancePlanned": 60, "guidanceMinutes": 5}


@pytest.mark.rule("CS-116")
@pytest.mark.parametrize(
    ("planned", "spent", "outside"),
    [
        (None, None, None),
        (None, 59, True),
        (None, 60, False),
        (None, 120, False),
        (None, 121, True),
        (30, 30, False),
        (180, 180, False),
        (180, 181, True),
    ],
)
async def test_guidance_outside_what_is_aimed_at_is_marked(
    company: Company, *, planned: int | None, spent: int | None, outside: bool | None
) -> None:
    customer = await company.customer("华信机械")
    visit = await company.plan(customer, visit=PLAN | {"guidanceMinutes": planned})
    company.crm.clock.advance(days=1)
    await company.do("interactionComplete", id=visit, content="谈妥")
    await company.do("interactionSubmitReport", id=visit, feedback="满意", guidanceMinutes=spent)
    read = await company.read(visit, "visit { guidanceOutsideTarget }")
    assert read["visit"]["guidanceOutsideTarget"] is outside


@pytest.mark.rule("CS-117")
async def test_a_visit_record_holds_date_content_and_feedback(company: Company) -> None:
    visit = await company.visited(await company.customer("华信机械"))
    assert await company.codes("interactionSubmitReport", id=visit) == [
        ("VISIT_RECORD_INCOMPLETE", "feedback")
    ]
    assert await company.codes("interactionSubmitReport", id=visit, content="", feedback="好") == [
        ("VISIT_RECORD_INCOMPLETE", "content")
    ]
    await company.do("interactionSubmitReport", id=visit, feedback="好")
    read = await company.read(visit, "occurredOn content visit { feedback isLate }")
    assert read == {
        "occurredOn": "2025-11-03",
        "content": "谈妥",
        "visit": {"feedback": "好", "isLate": False},
    }


@pytest.mark.rule("CS-117")
async def test_a_visit_record_filled_in_after_a_day_is_late(company: Company) -> None:
    customer = await company.customer("华信机械")
    late, in_time = await company.visited(customer), await company.visited(customer)
    company.crm.clock.advance(days=1)
    await company.do("interactionSubmitReport", id=in_time, feedback="好")
    await company.do("interactionSubmitReport", id=late, feedback="好")
    query = "{ interactions(where: { visit: { isLate: { eq: true } } }) { nodes { id } } }"
    assert (await company.crm.data(query, company.seller))["interactions"]["nodes"] == [{"id": late}]


@pytest.mark.rule("CS-108")
async def test_customers_not_visited_in_a_period_are_listed_and_counted(company: Company) -> None:
    visited, neglected = await company.customer("甲公司"), await company.customer("乙公司")
    await company.visited(visited)
    query = '{ customers(where: { notVisitedSince: "2025-11-01" }) { nodes { id } } }'
    assert (await company.crm.data(query, company.seller))["customers"]["nodes"] == [{"id": neglected}]
    later = '{ customers(where: { notVisitedSince: "2025-11-04" }) { totalCount } }'
    assert (await company.crm.data(later, company.seller))["customers"]["totalCount"] == 2
    coverage = '{ visitCoverage(where: { month: { in: ["2025-10", "2025-11"] } }) { nodes { line month customers visited notVisited } } }'
    assert (await company.crm.data(coverage, company.seller))["visitCoverage"]["nodes"] == [
        {"line": "east", "month": "2025-11", "customers": 2, "visited": 1, "notVisited": 1},
        {"line": "east", "month": "2025-10", "customers": 2, "visited": 0, "notVisited": 2},
    ]


@pytest.mark.rule("CS-108")
async def test_coverage_counts_only_customers_the_reader_reaches(company: Company) -> None:
    await company.visited(await company.customer("甲公司"))
    query = '{ visitCoverage(where: { month: { eq: "2025-11" } }) { nodes { customers visited } } }'
    assert (await company.crm.data(query, company.other))["visitCoverage"]["nodes"] == []
    assert (await company.crm.data(query, company.manager))["visitCoverage"]["nodes"] == [
        {"customers": 1, "visited": 1}
    ]


@pytest.mark.rule("CS-109")
async def test_customers_are_due_by_the_cadence_of_their_grade(company: Company) -> None:
    first = await company.customer("甲公司", grade="A")
    await company.customer("乙公司", grade="C")
    rhythm: dict[str, Any] = {"grade": "A", "form": "上门拜访", "everyDays": 30}
    await company.do("cadenceSet", company.manager, **rhythm, validFrom="2025-01-01")
    assert await _due(company) == {"甲公司": "2025-12-03", "乙公司": None}
    company.crm.clock.advance(days=10)
    await company.visited(first)
    assert await _due(company) == {"甲公司": "2025-12-13", "乙公司": None}
    company.crm.clock.advance(days=30)
    assert await _overdue(company) == []
    company.crm.clock.advance(days=1)
    assert await _overdue(company) == ["甲公司"]


@pytest.mark.rule("CS-109")
async def test_a_new_cadence_holds_from_its_day_and_the_old_one_until_then(company: Company) -> None:
    await company.customer("甲公司", grade="A")
    await company.do("cadenceSet", company.manager, grade="A", everyDays=30, validFrom="2025-01-01")
    await company.do("cadenceSet", company.manager, grade="A", everyDays=7, validFrom="2025-11-05")
    assert await _due(company) == {"甲公司": "2025-12-03"}
    company.crm.clock.advance(days=2)
    assert await _due(company) == {"甲公司": "2025-11-10"}


@pytest.mark.rule("CS-109")
async def test_the_days_of_a_cadence_begin_with_the_local_day_the_customer_came(company: Company) -> None:
    company.crm.clock.now = AT_ONE_IN_SHANGHAI
    await company.customer("甲公司", grade="A")
    await company.do("cadenceSet", company.manager, grade="A", everyDays=30, validFrom="2025-01-01")
    assert await _due(company) == {"甲公司": "2025-12-04"}


@pytest.mark.rule("CS-109")
async def test_a_cadence_counts_a_known_kind_of_interaction(company: Company) -> None:
    rhythm: dict[str, Any] = {"grade": "A", "everyDays": 30, "validFrom": "2025-01-01"}
    assert await company.codes("cadenceSet", company.manager, **rhythm, kind="telepathy") == [
        ("UNKNOWN_INTERACTION_KIND", "kind")
    ]
    await company.do("cadenceSet", company.manager, **rhythm, kind="call")


@pytest.mark.rule("CS-108")
async def test_the_months_of_the_coverage_begin_at_local_midnight(company: Company) -> None:
    company.crm.clock.now = datetime(2025, 11, 30, 17, 5, tzinfo=UTC)
    await company.visited(await company.customer("甲公司"))
    found = await company.crm.data("{ visitCoverage { nodes { month visited } } }", company.seller)
    months = found["visitCoverage"]["nodes"]
    assert months[:2] == [{"month": "2025-12", "visited": 1}, {"month": "2025-11", "visited": 0}]
    assert (len(months), months[-1]["month"]) == (24, "2024-01")


async def _due(company: Company) -> dict[str, str | None]:
    found = await company.crm.data("{ customers { nodes { name nextVisitDueOn } } }", company.seller)
    return {node["name"]: node["nextVisitDueOn"] for node in found["customers"]["nodes"]}


async def _overdue(company: Company) -> list[str]:
    found = await company.crm.data(
        "{ customers(where: { visitOverdue: true }) { nodes { name } } }", company.seller
    )
    return [node["name"] for node in found["customers"]["nodes"]]


@pytest.mark.rule("CS-118")
async def test_a_sales_meeting_counts_the_visits_of_its_period_and_sets_the_next_plan(
    company: Company,
) -> None:
    first, second = await company.customer("甲公司"), await company.customer("乙公司")
    await company.visited(first)
    await company.visited(first)
    await company.visited(second)
    await company.plan(second)
    given: dict[str, Any] = {
        "heldOn": "2025-11-30",
        "periodFrom": "2025-11-01",
        "periodTo": "2025-11-30",
        "summary": "走访两家，一家意向明确",
        "nextPlan": "十二月走访十家",
    }
    await company.do("salesMeetingRecord", company.manager, **given)
    fields = "visits customersVisited summary nextPlan heldOn chair { name }"
    found = await company.crm.data(f"{{ salesMeetings {{ nodes {{ {fields} }} }} }}", company.manager)
    assert found["salesMeetings"]["nodes"] == [
        {
            "visits": 3,
            "customersVisited": 2,
            "summary": given["summary"],
            "nextPlan": given["nextPlan"],
            "heldOn": "2025-11-30",
            "chair": {"name": "manager"},
        }
    ]
    refused = await company.codes("salesMeetingRecord", company.manager, **given | {"periodTo": "2025-10-01"})
    assert refused == [("PERIOD_REVERSED", "periodTo")]
