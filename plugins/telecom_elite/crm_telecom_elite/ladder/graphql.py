"""GraphQL types of posts, rungs of the pay ladder and their standards."""

from __future__ import annotations

from datetime import date, datetime

from crm_core.graphql import Id, ObjectType, field, listing, query_connection, query_one, record_fields
from crm_core.graphql.fields import YUAN
from crm_telecom_elite.ladder.models import (
    ElitePost,
    ElitePostRole,
    ElitePostSeries,
    EliteStandard,
    EliteStep,
    EliteStepLetter,
)
from crm_telecom_elite.ladder.queries import standard_visible
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import visible
from crm_telecom_elite.scopes import PAY_READ, TEAM_READ

ELITE_POST = ObjectType(
    name="ElitePost",
    table=ElitePost.__table__,
    model=ElitePost,
    prefix="elp",
    description="A post of the elite (岗位, MO-007).",
    rule=visible,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("elp"),
        field("code", str, "Code within the line (岗位代码).", nullable=False, filter=True),
        field("title", str, "Title (岗位名称).", nullable=False),
        field("series", ElitePostSeries, "Series (系列).", nullable=False, filter=True),
        field("role", ElitePostRole, "What it counts as in a team (团队角色).", nullable=False, filter=True),
        field("companyPost", str, "The company's own post it corresponds to (对应公司岗位).", nullable=False),
        field("qualification", str, "Entry qualification (任职资格, MO-010).", nullable=False),
    ),
)

ELITE_STEP = ObjectType(
    name="EliteStep",
    table=EliteStep.__table__,
    model=EliteStep,
    prefix="els",
    description="A rung of the pay ladder of a kind of team (薪等薪级, MO-055).",
    rule=visible,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("els"),
        field("teamKind", EliteTeamKind, "For which kind of team (团队类型).", nullable=False, filter=True),
        field("rank", int, "How high it stands among all rungs (序位).", nullable=False, filter=True, sort=True),
        field("grade", str, "Grade (薪等).", nullable=False, filter=True),
        field("letter", EliteStepLetter, "Step within the grade; A is the lowest (薪级).", nullable=False, filter=True),
        listing(
            "standards",
            "EliteStandard",
            "What it pays, the latest first; for who sees all pay of the line (薪酬标准).",
            on=lambda s, d, _a: d.c.step_id == s.c.id,
            order=lambda d: [d.c.valid_from.desc()],
            scope=PAY_READ,
        ),
    ),
)  # fmt: skip

ELITE_STANDARD = ObjectType(
    name="EliteStandard",
    table=EliteStandard.__table__,
    model=EliteStandard,
    prefix="esd",
    description="The company's standard pay of a rung from a day on (薪酬标准, MO-032).",
    rule=standard_visible,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("esd"), "Id.", nullable=False),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        field("validFrom", date, "The first day it holds (生效日期).", nullable=False),
        field("salary", YUAN, "Post salary a month, yuan (岗位工资).", nullable=False),
        field("bonus", YUAN, "Performance bonus a month, yuan (绩效奖金).", nullable=False),
    ),
)

TYPES = (ELITE_POST, ELITE_STEP, ELITE_STANDARD)
QUERIES = (
    query_connection("elitePosts", "ElitePost", "Posts of the elite (岗位)."),
    query_one("elitePost", "ElitePost", "A post by id."),
    query_connection("eliteSteps", "EliteStep", "Rungs of the pay ladders (薪等薪级)."),
    query_one("eliteStep", "EliteStep", "A rung by id."),
)
