"""GraphQL types of members, their postings, packages and training; what of them depends on the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import ColumnElement, case, null, select

from crm_core.errors import Forbidden
from crm_core.graphql import (
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
from crm_core.graphql.context import Context
from crm_core.graphql.fields import YUAN, Row, Sql
from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.members.benefits import EliteBenefit, benefits
from crm_telecom_elite.members.models import (
    EliteChannel,
    EliteEnding,
    EliteMember,
    EliteMemberState,
    EliteOrigin,
    ElitePackage,
    ElitePosting,
    EliteTerm,
    EliteTraining,
)
from crm_telecom_elite.members.queries import GONE, of_visible_member, pay_seen, roles_in, visible
from crm_telecom_elite.members.trainings import (
    EliteTrainingKind,
    EliteTrainingLevel,
    EliteTrainingSubject,
    promotion_year,
    promotions_held,
)
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates, rates_in
from crm_telecom_elite.scopes import APPRAISAL_READ, MEMBER_READ, PAY_READ, TEAM_READ
from crm_telecom_elite.teams.headcount import warnings
from crm_telecom_elite.teams.models import EliteTeam


def _of_his_pay(column: str) -> Sql:
    """The column of who sees this member's pay; null for others."""

    def sql(t: Any, access: Access) -> ColumnElement[Any]:
        return case((pay_seen(t, access), t.c[column]), else_=null())

    return sql


async def _figures(context: Context, lines: set[str]) -> Mapping[str, Rates]:
    return {
        line: Rates([tuple(row) for row in await context.fetch(rates_in(line))]) for line in sorted(lines)
    }


async def _benefits(rows: Sequence[Row], context: Context) -> Sequence[list[EliteBenefit]]:
    """Benefits of members today; of who has not entered, or has left, none."""
    team = EliteTeam.__table__
    wanted = select(team.c.id, team.c.kind).where(team.c.id.in_({row["elite_team_id"] for row in rows}))
    kinds = {row.id: EliteTeamKind(row.kind) for row in await context.fetch(wanted)}
    figures = await _figures(context, {row["line"] for row in rows})
    return [_benefits_of(row, kinds[row["elite_team_id"]], figures[row["line"]], context) for row in rows]


def _benefits_of(row: Row, kind: EliteTeamKind, rates: Rates, context: Context) -> list[EliteBenefit]:
    if row["entered_on"] is None or row["state"] in GONE:
        return []
    day = context.services.day(row["line"], context.access.now)
    return benefits(EliteOrigin(row["origin"]), row["entered_on"], kind, rates, day)


async def _warnings(rows: Sequence[Row], context: Context) -> Sequence[list[dict[str, Any]]]:
    """What is unusual in the composition of teams, in the caller's language; of closed teams nothing."""
    figures = await _figures(context, {row["line"] for row in rows})
    people: dict[Any, dict[ElitePostRole, int]] = {row["id"]: {} for row in rows}
    for row in await context.fetch(roles_in(list(people))):
        people[row.elite_team_id][ElitePostRole(row.role)] = row.people
    return [
        [] if row["closed_on"] else _warnings_of(row, people[row["id"]], figures[row["line"]], context)
        for row in rows
    ]


def _warnings_of(
    row: Row, people: Mapping[ElitePostRole, int], rates: Rates, context: Context
) -> list[dict[str, Any]]:
    day = context.services.day(row["line"], context.access.now)
    return [
        {
            "code": error.code,
            "rule": error.rule,
            "message": context.messages[error.code].words(error.params, context.language),
        }
        for error in warnings(EliteTeamKind(row["kind"]), people, rates, day)
    ]


ELITE_MEMBER = ObjectType(
    name="EliteMember",
    table=EliteMember.__table__,
    model=EliteMember,
    prefix="elm",
    description="A member of the elite, or who is to become one (精英, MO-001).",
    rule=visible,
    scope=MEMBER_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("elm"),
        field("name", str, "Name (姓名).", nullable=False),
        field("staffNumber", str, "Staff number (工号).", nullable=False),
        field("state", EliteMemberState, "State (状态).", nullable=False, filter=True),
        field("origin", EliteOrigin, "Where he comes from (来源).", nullable=False),
        field("channel", EliteChannel, "How he was found (招聘渠道).", nullable=False),
        relation("owner", "User", "His account (账号).", on=lambda m, u, _a: u.c.id == m.c.owner_id, filter=True),
        relation(
            "eliteTeam", "EliteTeam", "The team he sits in now (精英团队).",
            on=lambda m, t, _a: t.c.id == m.c.elite_team_id, filter=True,
        ),
        relation("post", "ElitePost", "His post now (岗位).", on=lambda m, p, _a: p.c.id == m.c.post_id),
        field("hrApprovedOn", date, "Approval of the provincial HR department (省人力资源部批复, MO-001)."),
        field("hrReference", str, "Number of its letter (批复文号).", nullable=False),
        field("groupApprovedOn", date, "Approval of the provincial Group Customer department (省集团客户部批复, MO-001)."),
        field("groupReference", str, "Number of its letter (批复文号).", nullable=False),
        field("medicalOn", date, "Day of the medical check (体检日期, MO-020)."),
        field("hospital", str, "The designated hospital (指定医院).", nullable=False),
        field("enteredOn", date, "First day (入职日期)."),
        field("examPassedOn", date, "Day of the exam (考试日期, MO-023)."),
        relation("coach", "EliteMember", "Who coached him (辅导员工, MO-023).", on=lambda m, c, _a: c.c.id == m.c.coach_id),
        field("coachName", str, "Who did, where he is no member (辅导员工姓名).", nullable=False),
        field("coachingFrom", date, "From which day on (辅导开始)."),
        field("probationUntil", date, "Last day of the probation (试用期满, MO-021)."),
        field("contractUntil", date, "Last day of the contract (合同期满, MO-021)."),
        field("beyondEstablishment", bool, "Proposed although the establishment was full (超编, MO-019).", nullable=False),
        field("originalSalary", YUAN, "Salary before, yuan; for who sees his pay (原工资, MO-036).", sql=_of_his_pay("original_salary")),
        field("originalBonus", YUAN, "Bonus before, yuan; for who sees his pay (原奖金, MO-036).", sql=_of_his_pay("original_bonus")),
        field("endedOn", date, "Last day of the membership (离开日期)."),
        field("endedCause", EliteEnding, "Why it ended; for who sees his pay (离开原因, MO-022).", sql=_of_his_pay("ended_cause")),
        field("endedReason", str, "The decision; for who sees his pay (决定).", sql=_of_his_pay("ended_reason")),
        batch(
            "benefits", list[EliteBenefit], "Benefits he has today (福利, MO-052).", _benefits,
            needs=("id", "line", "state", "origin", "entered_on", "elite_team_id"), scope=PAY_READ,
        ),
        listing(
            "postings", "ElitePosting", "Team, post and step, the latest first; for who sees his pay (任职).",
            on=lambda m, p, _a: p.c.member_id == m.c.id, order=lambda p: [p.c.valid_from.desc()], scope=PAY_READ,
        ),
        listing(
            "terms", "EliteTerm", "Pay packages, the latest first; for who sees his pay (薪酬套餐, MO-030).",
            on=lambda m, t, _a: t.c.member_id == m.c.id, order=lambda t: [t.c.valid_from.desc()], scope=PAY_READ,
        ),
        listing(
            "trainings", "EliteTraining", "Courses, the latest first (培训).",
            on=lambda m, t, _a: t.c.member_id == m.c.id, order=lambda t: [t.c.held_on.desc()], scope=APPRAISAL_READ,
        ),
    ),
)  # fmt: skip

_MEMBER = relation(
    "member", "EliteMember", "Whose it is (成员).", on=lambda p, m, _a: m.c.id == p.c.member_id
)

ELITE_POSTING = ObjectType(
    name="ElitePosting",
    table=ElitePosting.__table__,
    model=ElitePosting,
    prefix="epo",
    description="Where a member sits and what he is, from a day on (任职).",
    rule=of_visible_member,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("epo"), "Id.", nullable=False),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        _MEMBER,
        relation(
            "eliteTeam", "EliteTeam", "Team (精英团队).", on=lambda p, t, _a: t.c.id == p.c.elite_team_id
        ),
        relation("post", "ElitePost", "Post (岗位).", on=lambda p, o, _a: o.c.id == p.c.post_id),
        relation(
            "step",
            "EliteStep",
            "Grade and step of pay (薪等薪级).",
            on=lambda p, s, _a: s.c.id == p.c.step_id,
        ),
        field("validFrom", date, "The first day (生效日期).", nullable=False),
        field("validTo", date, "The first day it no longer holds (失效日期)."),
        field(
            "reason", str, "ENTRY, TRANSFER, GRADING, or the regrading it comes from (原因).", nullable=False
        ),
        field("rule", str, "The rule (依据).", nullable=False),
    ),
)

ELITE_TERM = ObjectType(
    name="EliteTerm",
    table=EliteTerm.__table__,
    model=EliteTerm,
    prefix="etm",
    description="Which pay package a member is on, from a day on (薪酬套餐, MO-030).",
    rule=of_visible_member,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("etm"), "Id.", nullable=False),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        _MEMBER,
        field("package", ElitePackage, "Package (薪酬套餐).", nullable=False),
        field("validFrom", date, "The first day (生效日期).", nullable=False),
        field("validTo", date, "The first day it no longer holds (失效日期)."),
        field("rule", str, "The rule (依据).", nullable=False),
    ),
)

ELITE_TRAINING = ObjectType(
    name="EliteTraining",
    table=EliteTraining.__table__,
    model=EliteTraining,
    prefix="etr",
    description="A course a member took (培训, MO-023 to MO-026).",
    rule=of_visible_member,
    scope=APPRAISAL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("etr"), "Id.", nullable=False),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        _MEMBER,
        field("kind", EliteTrainingKind, "Kind (培训类别).", nullable=False),
        field("subject", EliteTrainingSubject, "Class of the course (课程类).", nullable=False),
        field("level", EliteTrainingLevel, "Level (级别).", nullable=False),
        field("heldOn", date, "First day (开始日期).", nullable=False),
        field("heldUntil", date, "Last day (结束日期).", nullable=False),
        field("passed", bool, "Whether it was passed (是否合格).", nullable=False),
        field("score", Decimal, "Score (成绩)."),
    ),
)

TYPES = (ELITE_MEMBER, ELITE_POSTING, ELITE_TERM, ELITE_TRAINING)


@strawberry.type(description="How many promotion trainings a year had (激励晋升培训, MO-024).")
class ElitePromotionYear:
    """How many promotion trainings a year had."""

    held: int = strawberry.field(description="On how many days one began (次数).")
    warning: str | None = strawberry.field(description="What is unusual, in your language (提示).")


@strawberry.type
class PromotionQuery:
    """The root field for the promotion trainings of a year."""

    @strawberry.field(  # type: ignore[untyped-decorator]  # it has no types
        name="elitePromotionTrainings",
        description="Promotion trainings of a year, and whether they are as many as they should be (激励晋升培训, MO-024).",
    )
    async def promotions(
        self,
        info: strawberry.Info,
        line: Annotated[str, strawberry.argument(description="Business line (业务线).")],
        team_kind: Annotated[
            EliteTeamKind, strawberry.argument(name="teamKind", description="Of which teams (团队类型).")
        ],
        year: Annotated[int, strawberry.argument(description="Year (年度).")],
    ) -> ElitePromotionYear:
        """By the figures of the line at the end of that year."""
        context: Context = info.context
        if line not in context.access.lines(TEAM_READ):
            raise Forbidden(f"{TEAM_READ} in line {line}")
        held = (await context.fetch(promotions_held(line, team_kind, year)))[0][0]
        odd = promotion_year(held, year, team_kind, (await _figures(context, {line}))[line])
        told = None if odd is None else context.messages[odd.code].words(odd.params, context.language)
        return ElitePromotionYear(held=held, warning=told)


QUERIES = (
    PromotionQuery,
    query_connection("eliteMembers", "EliteMember", "Members of the elite and candidates (精英成员)."),
    query_one("eliteMember", "EliteMember", "A member by id."),
)
FIELDS = {
    "EliteTeam": (
        connection(
            "members",
            "EliteMember",
            "Members and candidates of the team (成员).",
            on=lambda t, m, _a: m.c.elite_team_id == t.c.id,
            scope=MEMBER_READ,
        ),
        batch(
            "compositionWarnings",
            dict,
            "What is unusual in its composition: list of code, rule, message (人员构成提示, MO-008, MO-009).",
            _warnings,
            needs=("id", "line", "kind", "closed_on"),
            scope=MEMBER_READ,
        ),
    )
}
