"""GraphQL types of appraisals, tasks and result quotas, and what teams and members show of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_core.errors import worded
from crm_core.graphql import (
    ObjectType,
    batch,
    connection,
    field,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.context import Context
from crm_telecom_elite.appraisals.models import (
    EliteAppraisal,
    EliteAppraisalState,
    EliteResult,
    EliteResultQuota,
    EliteTask,
    EliteTaskSide,
)
from crm_telecom_elite.appraisals.periods import first, quarter_after
from crm_telecom_elite.appraisals.queries import sitting_in, tasks_of
from crm_telecom_elite.appraisals.reach import reaches
from crm_telecom_elite.appraisals.tasks import warnings
from crm_telecom_elite.members.queries import visible
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import visible as in_lines
from crm_telecom_elite.scopes import APPRAISAL_READ, APPRAISAL_WRITE, TEAM_READ

ELITE_APPRAISAL = ObjectType(
    name="EliteAppraisal",
    table=EliteAppraisal.__table__,
    model=EliteAppraisal,
    prefix="ela",
    description="The appraisal of a team or a member for a quarter or a month (考核, MO-060, MO-070).",
    rule=visible,
    scope=APPRAISAL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("ela"),
        field("period", str, "2025-Q4 or 2025-11 (考核周期).", nullable=False, filter=True, sort=True),
        field("state", EliteAppraisalState, "State (状态).", nullable=False, filter=True),
        field("score", Decimal, "Score; null where a result was set without one (考核成绩)."),
        field("result", EliteResult, "Result: A is the best (考核结果).", nullable=False, filter=True),
        field("inputs", dict, "The figures it was made of (考核数据).", nullable=False),
        field("derivation", dict, "How score and result follow: label, labelZh, formula, value, rule (计算过程).", nullable=False),
        field("remark", str, "Remark, or why it was corrected (备注).", nullable=False),
        field("confirmedAt", datetime, "When it was confirmed (确认时间)."),
        relation("eliteTeam", "EliteTeam", "The team (精英团队).", on=lambda a, t, _a: t.c.id == a.c.elite_team_id, filter=True),
        relation("member", "EliteMember", "The member; null: the team as a whole (成员).", on=lambda a, m, _a: m.c.id == a.c.member_id, filter=True),
    ),
)  # fmt: skip

ELITE_TASK = ObjectType(
    name="EliteTask",
    table=EliteTask.__table__,
    model=EliteTask,
    prefix="elk",
    description="A point of a quarter's tasks with who is responsible (任务分解, MO-062).",
    rule=visible,
    scope=APPRAISAL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("elk"),
        field("quarter", str, "Quarter (季度).", nullable=False, filter=True),
        field("project", str, "Project (项目).", nullable=False),
        field("side", EliteTaskSide, "Marketing or selling (营/销).", nullable=False, filter=True),
        field("point", str, "What is assessed (考核点).", nullable=False),
        field("position", int, "Place within the quarter, from 0 (顺序).", nullable=False),
        field("target", Decimal, "Target (目标值).", nullable=False),
        field("actual", Decimal, "What was reached (实际值)."),
        field("score", Decimal, "Score, 0 to 100 (得分)."),
        relation("eliteTeam", "EliteTeam", "The team (精英团队).", on=lambda k, t, _a: t.c.id == k.c.elite_team_id, filter=True),
        relation("member", "EliteMember", "Who is responsible (责任人).", on=lambda k, m, _a: m.c.id == k.c.member_id, filter=True),
    ),
)  # fmt: skip

ELITE_RESULT_QUOTA = ObjectType(
    name="EliteResultQuota",
    table=EliteResultQuota.__table__,
    model=EliteResultQuota,
    prefix="erq",
    description="How members' results may be distributed after a result of their team (考核结果分布, MO-061).",
    rule=in_lines,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("erq"),
        field("teamResult", EliteResult, "After which result of the team (团队考核结果).", nullable=False, filter=True),
        field("validFrom", date, "The first day it holds (生效日期).", nullable=False, filter=True, sort=True),
        field("mostA", Decimal, "Percent of members with A, at most; null: any (A 上限%)."),
        field("leastC", Decimal, "Percent of members with C, at least; null: none (C 下限%)."),
    ),
)  # fmt: skip


async def _task_warnings(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """What is missing in the next quarter's tasks of each HQ team the caller appraises, in his language."""
    hq = [row for row in rows if row["kind"] == EliteTeamKind.HQ]
    own = {
        row["id"]: _next(row, context) for row in hq if reaches(context.actor, row["line"], row["team_id"])
    }
    tasks: dict[UUID, list[tuple[str, str, UUID | None]]] = {key: [] for key in own}
    members: dict[UUID, list[tuple[UUID, str]]] = {key: [] for key in own}
    for quarter in sorted(set(own.values())):
        teams = [key for key, theirs in own.items() if theirs == quarter]
        set_: Sequence[Any] = await context.fetch(tasks_of(teams, quarter))
        there: Sequence[Any] = await context.fetch(sitting_in(teams, first(quarter)))
        for key, side, point, member in set_:
            tasks[key].append((side, point, member))
        for key, member, name in there:
            members[key].append((member, name))
    found = {key: warnings(quarter, tasks[key], members[key]) for key, quarter in own.items()}
    return [
        [worded(one, context.messages, context.language) for one in found.get(row["id"], ())] for row in rows
    ]


def _next(row: dict[str, Any], context: Context) -> str:
    return quarter_after(context.services.day(row["line"], context.access.now))


TYPES = (ELITE_APPRAISAL, ELITE_TASK, ELITE_RESULT_QUOTA)
QUERIES = (
    query_connection("eliteAppraisals", "EliteAppraisal", "Appraisals you may see (考核)."),
    query_one("eliteAppraisal", "EliteAppraisal", "An appraisal by id."),
    query_connection("eliteTasks", "EliteTask", "Tasks of quarters you may see (任务)."),
    query_connection(
        "eliteResultQuotas", "EliteResultQuota", "How results may be distributed (考核结果分布)."
    ),
)
FIELDS = {
    "EliteTeam": (
        connection(
            "appraisals",
            "EliteAppraisal",
            "Appraisals of the team and its members (考核).",
            on=lambda t, a, _a: a.c.elite_team_id == t.c.id,
            scope=APPRAISAL_READ,
        ),
        connection(
            "tasks",
            "EliteTask",
            "Its tasks by quarters (任务分解).",
            on=lambda t, k, _a: k.c.elite_team_id == t.c.id,
            scope=APPRAISAL_READ,
        ),
        batch(
            "taskWarnings",
            list[str],
            "What the breakdown of the next quarter's tasks lacks: points and members without one another (MO-062).",
            _task_warnings,
            needs=("id", "line", "kind", "team_id"),
            scope=APPRAISAL_WRITE,
        ),
    ),
    "EliteMember": (
        connection(
            "appraisals",
            "EliteAppraisal",
            "His appraisals (考核).",
            on=lambda m, a, _a: a.c.member_id == m.c.id,
            scope=APPRAISAL_READ,
        ),
        connection(
            "tasks",
            "EliteTask",
            "His tasks (任务).",
            on=lambda m, k, _a: k.c.member_id == m.c.id,
            scope=APPRAISAL_READ,
        ),
    ),
}
