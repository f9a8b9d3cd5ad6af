"""GraphQL types of cadences, callback plans, sales meetings and the coverage of visits."""

from __future__ import annotations

from datetime import date

from crm_core.customers.models import CustomerGrade
from crm_core.graphql import ObjectType, connection, field
from crm_core.interactions import due
from crm_core.interactions.declared import READ, TEAM, common, user, words
from crm_core.interactions.models import Cadence, CallbackPlan, Channel, SalesMeeting
from crm_core.interactions.queries import held_lines, led_meetings

CADENCE = ObjectType(
    name="Cadence",
    table=Cadence.__table__,
    model=Cadence,
    prefix="cad",
    description="How often customers of a grade are contacted, in which form, from a day on (分级拜访频率, CS-109).",
    rule=held_lines,
    scope=READ,
    order=lambda t: [t.c.line, t.c.grade, t.c.kind, t.c.valid_from.desc(), t.c.id],
    fields=(
        *common("cad"),
        field("grade", CustomerGrade, "Grade of the customers (客户等级).", nullable=False, filter=True),
        field("kind", str, "Kind of interaction that counts (互动方式).", nullable=False, filter=True),
        words("form", "Form (形式)."),
        field("everyDays", int, "At least once in so many days (间隔天数).", nullable=False),
        field("validFrom", date, "First day it holds (生效日期).", nullable=False, filter=True),
    ),
)

CALLBACK_PLAN = ObjectType(
    name="CallbackPlan",
    table=CallbackPlan.__table__,
    model=CallbackPlan,
    prefix="cbp",
    description="A team's plan of regular callbacks (回访计划, CS-128, CS-129).",
    rule=held_lines,
    scope=READ,
    order=lambda t: [t.c.line, t.c.name],
    fields=(
        *common("cbp"),
        words("name", "Name (计划名称)."),
        TEAM,
        field("everyDays", int, "A callback at least every so many days (间隔天数).", nullable=False),
        field("channel", Channel, "The one channel it names; null: none (渠道)."),
        field("channels", list[Channel], "Channels that meet it (有效渠道, CS-128, CS-129).", nullable=False),
        field(
            "oldCustomers",
            bool,
            "Only old customers, by telephone or on site only (老客户, CS-129).",
            nullable=False,
        ),
        field("validFrom", date, "First day (生效日期).", nullable=False, filter=True),
        field("validTo", date, "Last day; null: open (失效日期).", filter=True),
        connection(
            "dueCustomers",
            "Customer",
            "Customers of the team whose last fitting callback is older than the plan allows (应回访客户).",
            on=due.callback_due,
        ),
    ),
)

MEETING = ObjectType(
    name="SalesMeeting",
    table=SalesMeeting.__table__,
    model=SalesMeeting,
    prefix="smt",
    description="A sales meeting on the visits of a period, with the next sales plan (销售会议, CS-118).",
    rule=led_meetings,
    scope=READ,
    order=lambda t: [t.c.held_on.desc(), t.c.id.desc()],
    fields=(
        *common("smt"),
        TEAM,
        user("chair", "Who recorded it (记录人)."),
        field("heldOn", date, "Day of the meeting (会议日期).", nullable=False, filter=True, sort=True),
        field("periodFrom", date, "First day of the visits discussed (期间起).", nullable=False),
        field("periodTo", date, "Last day of the visits discussed (期间止).", nullable=False),
        field("visits", int, "Visits of the period (拜访次数).", nullable=False),
        field("customersVisited", int, "Customers visited in the period (拜访客户数).", nullable=False),
        words("summary", "Summary and analysis of the visits (拜访总结和分析)."),
        words("nextPlan", "The next sales plan (下一步销售计划)."),
    ),
)

COVERAGE = ObjectType(
    name="VisitCoverage",
    table=due.coverage,
    description="How many customers of a line were visited in a month, and how many not (拜访覆盖率, CS-108).",
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", str, "Line and month, e.g. east:2025-11.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field(
            "month", str, "Month, e.g. 2025-11; the last 24 are shown (月份).", nullable=False, filter=True
        ),
        field("customers", int, "Customers you reach today (客户数).", nullable=False),
        field("visited", int, "Of these, visited in the month (已拜访).", nullable=False),
        field("notVisited", int, "Of these, not visited in the month (未拜访).", nullable=False),
    ),
)

TYPES = (CADENCE, CALLBACK_PLAN, MEETING, COVERAGE)
