"""Breaks a quarter's tasks down to people, takes in what came of them, and says where nobody is responsible (MO-062)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import errors, ids
from crm_core.commands import Command, Part, Perform, Ref
from crm_core.errors import Message, Refused, UserError
from crm_core.work import Work
from crm_telecom_elite.appraisals import reach
from crm_telecom_elite.appraisals.commands import (
    NOT_SEATED,
    WRONG_PERIOD,
    EliteMemberId,
    Points,
)
from crm_telecom_elite.appraisals.events import EliteTaskReported, EliteTaskSet
from crm_telecom_elite.appraisals.models import EliteTask, EliteTaskSide
from crm_telecom_elite.appraisals.periods import first, last
from crm_telecom_elite.appraisals.queries import sitting
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.months import Quarter
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.scopes import APPRAISAL_WRITE
from crm_telecom_elite.teams.commands import EliteTeamId
from crm_telecom_elite.teams.models import EliteTeam

QUARTER_OVER = Message(
    "TELECOM_ELITE_QUARTER_OVER",
    "{quarter} is over; tasks are broken down for the present and coming quarters.",
    "{quarter} 已结束，只能分解本季度及以后的任务。",
    rule="MO-062",
)
TASKS_REPORTED = Message(
    "TELECOM_ELITE_TASKS_REPORTED",
    "What came of {point} is reported already; the tasks of {quarter} are not broken down again.",
    "任务“{point}”已填报完成情况，{quarter} 的任务不能重新分解。",
    rule="MO-062",
)
NOBODY = Message(
    "TELECOM_ELITE_TASK_NOBODY",
    "Nobody is responsible for {point} in {quarter}.",
    "{quarter} 考核点“{point}”尚未落实到人。",
    rule="MO-062",
)
NO_TASK = Message(
    "TELECOM_ELITE_MEMBER_NO_TASK",
    "{name} has no task in {quarter}.",
    "{name} 在 {quarter} 没有任务。",
    rule="MO-062",
)
NO_SIDE = Message(
    "TELECOM_ELITE_SIDE_NO_TASK",
    "The side {side} has no task in {quarter}.",
    "{quarter} 没有{side_zh}方面的任务。",
    rule="MO-062",
)
MESSAGES = (QUARTER_OVER, TASKS_REPORTED, NOBODY, NO_TASK, NO_SIDE)

TaskId = Annotated[UUID, Ref("EliteTask", "elk")]
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Number = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=4)]
_SIDES: Mapping[EliteTaskSide, str] = {EliteTaskSide.MARKETING: "营", EliteTaskSide.SELLING: "销"}


class EliteTaskPoint(Part):
    """A point of assessment with its target (考核点)."""

    point: Short = Field(description="What is assessed (考核点).")
    side: EliteTaskSide = Field(description="Marketing or selling (营/销).")
    target: Number = Field(description="Target, in the unit of the point (目标值).")
    project: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = Field(
        "", description="Project it belongs to (项目)."
    )
    member_id: EliteMemberId | None = Field(
        None, description="Who is responsible; nobody yet is a warning (责任人)."
    )


class SetEliteTasks(Command):
    """Break a quarter's tasks of an HQ team down to its members (任务分解). What was set before is replaced."""

    kind = "elite_task.set"
    scope = APPRAISAL_WRITE
    returns: ClassVar[str | list[str]] = ["EliteTask"]
    subject = "team_id"
    subject_type = "EliteTeam"
    team_id: EliteTeamId = Field(description="The team (精英团队).")
    quarter: Quarter = Field(description="The quarter, at a quarter's end the next one (季度).")
    points: list[EliteTaskPoint] = Field(min_length=1, max_length=200, description="The points (考核点).")


async def set_tasks(work: Work, command: SetEliteTasks) -> list[EliteTask]:
    """The tasks in the order given; `EliteTeam.taskWarnings` says what is still missing (MO-062)."""
    team: EliteTeam = work.subject
    reach.refuse_other_team(work, team, "teamId")
    if team.kind != EliteTeamKind.HQ:
        raise Refused(WRONG_PERIOD("teamId"))
    if last(command.quarter) < work.day():
        raise Refused(QUARTER_OVER("quarter", quarter=command.quarter))
    day = max(first(command.quarter), work.day())
    people = {one.id: one for one in await work.session.scalars(sitting(team.id, day))}
    errors.raise_if(_strangers(command, people))
    await _clear(work, team, command.quarter)
    rows = [
        work.add(
            EliteTask(
                line=team.line,
                elite_team_id=team.id,
                owner_id=people[one.member_id].owner_id if one.member_id else None,
                team_id=team.team_id,
                quarter=command.quarter,
                position=position,
                **one.model_dump(),
            )
        )
        for position, one in enumerate(command.points)
    ]
    for row in rows:
        work.record(EliteTaskSet.of(row))
    return rows


def _strangers(command: SetEliteTasks, people: Mapping[UUID, EliteMember]) -> list[UserError]:
    return [
        NOT_SEATED(f"points.{position}.memberId", name=ids.show("elm", one.member_id), period=command.quarter)
        for position, one in enumerate(command.points)
        if one.member_id is not None and one.member_id not in people
    ]


async def _clear(work: Work, team: EliteTeam, quarter: str) -> None:
    """Take back the tasks there are; refuses once something was reported of one."""
    t = EliteTask.__table__
    own = select(EliteTask).where(t.c.elite_team_id == team.id, t.c.quarter == quarter)
    rows = (await work.session.scalars(own)).all()
    for row in rows:
        if row.actual is not None:
            raise Refused(TASKS_REPORTED("quarter", point=row.point, quarter=quarter))
    for row in rows:
        await work.session.delete(row)


class ReportEliteTask(Command):
    """Report what came of a task, and its score (填报任务完成情况). Nobody scores his own."""

    kind = "elite_task.report"
    scope = APPRAISAL_WRITE
    returns = "EliteTask"
    subject = "id"
    id: TaskId = Field(description="The task (任务).")
    actual: Number = Field(description="What was reached, in the unit of the point (实际值).")
    score: Points = Field(description="Score, 0 to 100 (得分).")


async def report_task(work: Work, command: ReportEliteTask) -> EliteTask:
    """The task with what came of it; the appraisal of the member may build on it (MO-062)."""
    task: EliteTask = work.subject
    reach.refuse_own(work, task.owner_id, "id")
    task.actual, task.score = command.actual, command.score
    work.record(EliteTaskReported.of(task))
    return task


def warnings(
    quarter: str, tasks: Sequence[tuple[str, str, UUID | None]], members: Iterable[tuple[UUID, str]]
) -> list[UserError]:
    """What is missing in a quarter's tasks (side, point, member) of these members (id, name), as warnings."""
    sides, held = Counter(side for side, _, _ in tasks), {member for _, _, member in tasks}
    return [
        *(NOBODY(point=point, quarter=quarter) for _, point, member in tasks if member is None),
        *(NO_TASK(name=name, quarter=quarter) for key, name in members if key not in held),
        *(
            NO_SIDE(side=side.value, side_zh=word, quarter=quarter)
            for side, word in _SIDES.items()
            if not sides[side]
        ),
    ]


COMMANDS: dict[type[Command], Perform] = {SetEliteTasks: set_tasks, ReportEliteTask: report_task}
