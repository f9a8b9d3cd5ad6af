"""The GraphQL types of plans, tenders and the access log, their root fields, and what customers and contacts show of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, not_, select

from crm_core.graphql import (
    Filter,
    Id,
    ObjectType,
    batch,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.access import Access
from crm_core.graphql.fields import YUAN, Field
from crm_core.interactions.timeline import source
from crm_telecom_elite.plans import queries
from crm_telecom_elite.plans.models import (
    EliteAction,
    EliteActionPlan,
    EliteActionState,
    EliteContactPlan,
    EliteContactPlanRecipient,
    EliteContactState,
    EliteMapOpening,
    ElitePlannedContact,
    EliteRevenuePlan,
    EliteRevenueProject,
    EliteTender,
    EliteTenderRole,
    EliteWay,
)
from crm_telecom_elite.plans.queries import EliteKeyPersonWarning
from crm_telecom_elite.scopes import PLAN_READ


def _owner(description: str) -> Field:
    return relation("owner", "User", description, on=lambda t, u, _a: u.c.id == t.c.owner_id, filter=True)


def _words(name: str, description: str) -> Field:
    return field(name, str, description, nullable=False)


CUSTOMER = relation(
    "customer", "Customer", "The customer (客户).", on=lambda t, c, _a: c.c.id == t.c.customer_id, filter=True
)
CONTACT = relation(
    "contact",
    "Contact",
    "The person of the customer (客户方人员).",
    on=lambda t, c, _a: c.c.id == t.c.contact_id,
    filter=True,
)
YEAR = field("year", int, "For which year (年度).", nullable=False, filter=True)


def _newest(t: Any) -> list[Any]:
    return [t.c.id.desc()]


def _missing(t: Any, access: Access, wanted: bool) -> Any:  # noqa: FBT001  # the value of a filter
    late = queries.report_missing(t, access.today())
    return late if wanted else not_(late)


CONTACT_PLAN = ObjectType(
    name="EliteContactPlan",
    table=EliteContactPlan.__table__,
    model=EliteContactPlan,
    prefix="ecp",
    description="The contact plan of a customer for a year (客户接触计划, MO-520).",
    rule=queries.of_customer,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("ecp"),
        CUSTOMER,
        _owner("Who is responsible (责任人)."),
        YEAR,
        _words("goal", "What contacts are to reach (目标描述)."),
        listing(
            "reportTo",
            "User",
            "Who gets every short report, besides the holders of the reporting roles (简报接收人).",
            on=lambda p, u, _a: u.c.id.in_(
                select(EliteContactPlanRecipient.user_id)
                .where(EliteContactPlanRecipient.plan_id == p.c.id)
                .correlate(p)
            ),
            order=lambda u: [u.c.name],
        ),
        connection(
            "contacts",
            "ElitePlannedContact",
            "Contacts planned (计划接触).",
            on=lambda p, c, _a: c.c.plan_id == p.c.id,
        ),
        connection(
            "missingReports",
            "ElitePlannedContact",
            "Contacts whose short report was due before today and is not there (缺简报的接触, MO-520).",
            on=lambda p, c, a: and_(c.c.plan_id == p.c.id, queries.report_missing(c, a.today())),
        ),
        connection(
            "unreportedInteractions",
            "Interaction",
            "Interactions of the customer in the year, planned here or not, of which nobody got a report (未报告的互动).",
            on=queries.unreported,
        ),
        connection(
            "uncoveredKeyPersons",
            "Contact",
            "Key persons of the customer whom no planned contact is with (未覆盖的关键人物, MO-521).",
            on=queries.uncovered,
        ),
    ),
)

PLANNED_CONTACT = ObjectType(
    name="ElitePlannedContact",
    table=ElitePlannedContact.__table__,
    model=ElitePlannedContact,
    prefix="epc",
    description="A contact that a plan asks for, and the interaction that fulfilled it (计划接触, MO-520).",
    rule=queries.of_customer,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("epc"),
        relation(
            "plan",
            "EliteContactPlan",
            "The plan (接触计划).",
            on=lambda c, p, _a: p.c.id == c.c.plan_id,
            filter=True,
        ),
        CUSTOMER,
        CONTACT,
        _owner("Who of us (我方责任人)."),
        field("way", EliteWay, "Letter, telephone, meeting (接触方式).", nullable=False, filter=True),
        _words("purpose", "What it is to reach (接触目的)."),
        field("dueOn", date, "By when (计划日期).", nullable=False, filter=True, sort=True),
        field("state", EliteContactState, "State (状态).", nullable=False, filter=True),
        field("heldAt", datetime, "When it took place (接触时间)."),
        field("reportDueOn", date, "Last day for its short report (简报期限).", nullable=False, filter=True),
        field("reportedAt", datetime, "When the report was handed in (简报提交时间)."),
        field("remindedAt", datetime, "When the owner was reminded of it (催报时间)."),
        _words("cancelReason", "Why it was called off (取消原因)."),
        relation(
            "interaction",
            "Interaction",
            "The interaction that fulfilled it, with the report (对应互动).",
            on=lambda c, i, _a: i.c.id == c.c.interaction_id,
        ),
    ),
    filters=(
        Filter("reportMissing", bool, "Whether its short report is overdue (缺简报, MO-520).", _missing),
    ),
)

ACTION_PLAN = ObjectType(
    name="EliteActionPlan",
    table=EliteActionPlan.__table__,
    model=EliteActionPlan,
    prefix="eap",
    description="The goals of a line, or of a region of it, for a year (行动计划, MO-522).",
    rule=queries.of_line,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("eap"),
        field("region", str, "Of which region; empty: the whole line (区域).", nullable=False, filter=True),
        _owner("Who answers for it: who made it, or his successor (负责人)."),
        YEAR,
        _words("goals", "The goals of that year (目标)."),
        connection(
            "actions",
            "EliteAction",
            "Actions they need (必要行动).",
            on=lambda p, x, _a: x.c.plan_id == p.c.id,
        ),
    ),
)

ACTION = ObjectType(
    name="EliteAction",
    table=EliteAction.__table__,
    model=EliteAction,
    prefix="eac",
    description="An action that the goals of a year need (行动).",
    rule=queries.of_line,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("eac"),
        relation(
            "plan",
            "EliteActionPlan",
            "The plan (行动计划).",
            on=lambda x, p, _a: p.c.id == x.c.plan_id,
            filter=True,
        ),
        _owner("Who is responsible (责任人)."),
        _words("what", "What is to be done (行动内容)."),
        field("dueOn", date, "By when (完成期限).", nullable=False, filter=True, sort=True),
        field("state", EliteActionState, "How it stands (状态).", nullable=False, filter=True),
        _words("note", "What came of it (说明)."),
    ),
)

REVENUE_PLAN = ObjectType(
    name="EliteRevenuePlan",
    table=EliteRevenuePlan.__table__,
    model=EliteRevenuePlan,
    prefix="erp",
    description="What a customer, or the line, is expected to bring in a year, and what it brought (收益计划, MO-523).",
    rule=queries.of_customer,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("erp"),
        CUSTOMER,
        _owner("Whose target it is (责任人, MO-526)."),
        YEAR,
        _words("goal", "What is to be reached (目标描述)."),
        field("income", YUAN, "Planned income: that of all projects (计划收入).", nullable=False),
        field("profit", YUAN, "Planned profit: that of all projects (计划利润额).", nullable=False),
        field("actual", YUAN, "Actual income so far; null: not recorded (实际完成收入)."),
        field("attainment", Decimal, "Actual by planned income, percent to one decimal (完成率, MO-526)."),
        listing(
            "projects",
            "EliteRevenueProject",
            "Projects planned (项目).",
            on=lambda p, x, _a: x.c.plan_id == p.c.id,
            order=lambda x: [x.c.position],
        ),
    ),
)

REVENUE_PROJECT = ObjectType(
    name="EliteRevenueProject",
    table=EliteRevenueProject.__table__,
    model=EliteRevenueProject,
    description="A project planned for a year (收益计划项目, MO-523 to MO-525).",
    order=lambda t: [t.c.position],
    fields=(
        field("id", Id("ejp"), "Id.", nullable=False),
        _words("name", "Name of the project (项目名称)."),
        field("contractAmount", YUAN, "Amount of the contract (合同额).", nullable=False),
        field("acquisitionRate", Decimal, "Likelihood of winning it, 0 to 1 (获取率).", nullable=False),
        field("profitRate", Decimal, "Expected margin (利润率).", nullable=False),
        field("income", YUAN, "Contract amount × acquisition rate (实际收入, MO-524).", nullable=False),
        field("profit", YUAN, "Income × profit rate (利润额, MO-525).", nullable=False),
        _words("measures", "Explanation and measures (说明及措施)."),
    ),
)

TENDER = ObjectType(
    name="EliteTender",
    table=EliteTender.__table__,
    model=EliteTender,
    prefix="etd",
    description="A tender of a customer (招投标项目, MO-528).",
    rule=queries.of_customer,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("etd"),
        CUSTOMER,
        _owner("Who of us follows it (责任人)."),
        _words("name", "What is tendered for (招标项目)."),
        field("openedOn", date, "From when on (开始日期).", nullable=False, filter=True),
        field("closedOn", date, "The first day it is no longer open; null: open (结束日期).", filter=True),
        _words("outcome", "What came of it (结果)."),
        connection(
            "roles",
            "EliteTenderRole",
            "What the customer's people are in it, for who opened their map (角色作用表).",
            on=lambda t, r, _a: r.c.tender_id == t.c.id,
        ),
    ),
)

TENDER_ROLE = ObjectType(
    name="EliteTenderRole",
    table=EliteTenderRole.__table__,
    model=EliteTenderRole,
    prefix="ero",
    description=(
        "What a person is in a tender (购买决策角色作用, MO-528). Seen for some hours by who said what he needs it for: "
        "eliteKeyPersonMapOpen."
    ),
    rule=queries.opened,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("ero"),
        relation(
            "tender",
            "EliteTender",
            "The tender (招标).",
            on=lambda r, t, _a: t.c.id == r.c.tender_id,
            filter=True,
        ),
        CUSTOMER,
        CONTACT,
        _words("role", "Role in the tender (角色)."),
        field("decisionMaker", bool, "Whether he decides (决策人).", nullable=False, filter=True),
        _words("influence", "What he effects (作用)."),
        _words("concerns", "What matters to him (关心的要点)."),
        _words("purpose", "Why this is kept of him (登记目的)."),
    ),
)

MAP_OPENING = ObjectType(
    name="EliteMapOpening",
    table=EliteMapOpening.__table__,
    model=EliteMapOpening,
    prefix="emo",
    description="Somebody opened the roles of a customer's people: the access log (关系图查阅记录, MO-527).",
    rule=queries.own_or_line,
    scope=PLAN_READ,
    order=_newest,
    fields=(
        *record_fields("emo"),
        CUSTOMER,
        relation("user", "User", "Who (查阅人).", on=lambda o, u, _a: u.c.id == o.c.user_id, filter=True),
        _words("purpose", "What for (用途)."),
        field("until", datetime, "Until when he could read them (查阅截止).", nullable=False),
    ),
)

TYPES = (
    CONTACT_PLAN, PLANNED_CONTACT, ACTION_PLAN, ACTION, REVENUE_PLAN, REVENUE_PROJECT, TENDER, TENDER_ROLE, MAP_OPENING,
)  # fmt: skip

QUERIES = (
    query_connection("eliteContactPlans", "EliteContactPlan", "Contact plans you may see (客户接触计划)."),
    query_one("eliteContactPlan", "EliteContactPlan", "A contact plan by id."),
    query_connection(
        "elitePlannedContacts", "ElitePlannedContact", "Planned contacts you may see (计划接触)."
    ),
    query_one("elitePlannedContact", "ElitePlannedContact", "A planned contact by id."),
    query_connection("eliteActionPlans", "EliteActionPlan", "Action plans of your lines (行动计划)."),
    query_one("eliteActionPlan", "EliteActionPlan", "An action plan by id."),
    query_connection("eliteActions", "EliteAction", "Actions of your lines (行动)."),
    query_connection("eliteRevenuePlans", "EliteRevenuePlan", "Revenue plans you may see (收益计划)."),
    query_one("eliteRevenuePlan", "EliteRevenuePlan", "A revenue plan by id."),
    query_connection("eliteTenders", "EliteTender", "Tenders you may see (招标)."),
    query_one("eliteTender", "EliteTender", "A tender by id."),
    query_connection(
        "eliteMapOpenings",
        "EliteMapOpening",
        "The access log: your own lines of it, or your lines' (查阅记录).",
    ),
)

FIELDS: dict[str, tuple[Field | Filter, ...]] = {
    "Customer": (
        connection(
            "eliteContactPlans",
            "EliteContactPlan",
            "Contact plans of the customer (客户接触计划).",
            on=lambda c, p, _a: p.c.customer_id == c.c.id,
            scope=PLAN_READ,
        ),
        connection(
            "eliteRevenuePlans",
            "EliteRevenuePlan",
            "Revenue plans of the customer (收益计划).",
            on=lambda c, p, _a: p.c.customer_id == c.c.id,
            scope=PLAN_READ,
        ),
        connection(
            "eliteTenders",
            "EliteTender",
            "Tenders of the customer (招标).",
            on=lambda c, t, _a: t.c.customer_id == c.c.id,
            scope=PLAN_READ,
        ),
        batch(
            "eliteKeyPersonWarnings",
            list[EliteKeyPersonWarning],
            "What is wrong with our relations to its key persons (关键人物预警, MO-528).",
            queries.warnings,
            scope=PLAN_READ,
        ),
    ),
    "Contact": (
        field(
            "eliteDecidesOpenTender",
            bool,
            "Whether he decides in an open tender: nothing may be spent on him (招标决策人, MO-528).",
            sql=queries.decides_open_tender,
            scope=PLAN_READ,
            cost=1,
        ),
    ),
}

TIMELINE = (
    source("elite_contact_plan", CONTACT_PLAN, at=lambda t: t.c.created_at, title=lambda t: t.c.goal),
    source("elite_tender", TENDER, at=lambda t: t.c.created_at, title=lambda t: t.c.name),
)
