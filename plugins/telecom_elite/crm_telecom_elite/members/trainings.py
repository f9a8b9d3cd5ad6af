"""Courses of members (培训): their kinds, subjects and levels, and recording one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlalchemy import Select, distinct, func, select

from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused, UserError
from crm_core.work import Work
from crm_telecom_elite.members.commands import MemberId, refuse_future
from crm_telecom_elite.members.entering import refuse_before_entry
from crm_telecom_elite.members.events import EliteTrainingRecorded
from crm_telecom_elite.members.models import EliteMember, EliteTraining
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.scopes import TRAINING_WRITE
from crm_telecom_elite.teams.models import EliteTeam


class EliteTrainingKind(StrEnum):
    """The three kinds of training (MO-024): entry 入职, improvement on the job 在职提高, promotion 激励晋升."""

    ENTRY = "ENTRY"
    IMPROVEMENT = "IMPROVEMENT"
    PROMOTION = "PROMOTION"


class EliteTrainingSubject(StrEnum):
    """The three classes of courses (MO-025): motivation 励志, expertise 专业知识技能, team management 团队管理."""

    MOTIVATION = "MOTIVATION"
    EXPERTISE = "EXPERTISE"
    TEAM_MANAGEMENT = "TEAM_MANAGEMENT"


class EliteTrainingLevel(StrEnum):
    """The levels of a class, taken in this order (MO-025): 初级, 中级, 高级."""

    ELEMENTARY = "ELEMENTARY"
    INTERMEDIATE = "INTERMEDIATE"
    ADVANCED = "ADVANCED"


LEVEL_BEFORE = Message(
    "TELECOM_ELITE_LEVEL_BEFORE",
    "{name} has not passed the level {level} of this class, which comes first.",
    "{name} 尚未通过该类课程的 {level} 级，须按初、中、高级依次参加。",
    rule="MO-025",
)
PROMOTION_YEAR = Message(
    "TELECOM_ELITE_PROMOTION_YEAR",
    "{held} promotion training(s) were held in {year}, there should be {least} to {most}.",
    "{year} 年举办激励晋升培训 {held} 次，应为 {least} 至 {most} 次。",
    rule="MO-024",
)
ENDS_BEFORE = Message(
    "TELECOM_ELITE_COURSE_ENDS_BEFORE",
    "A course does not end before it begins.",
    "结束日期不得早于开始日期。",
)
MESSAGES = (LEVEL_BEFORE, PROMOTION_YEAR, ENDS_BEFORE)


class RecordEliteTraining(Command):
    """Record a course that a member took (培训登记)."""

    kind = "elite_training.record"
    scope = TRAINING_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    training: EliteTrainingKind = Field(description="Kind (培训类别).")
    area: EliteTrainingSubject = Field(description="Class of the course (课程类).")
    level: EliteTrainingLevel = Field(description="Level (级别).")
    held_on: date = Field(description="First day (开始日期).")
    held_until: date | None = Field(None, description="Last day; left out: the first (结束日期).")
    passed: bool = Field(True, description="Whether it was passed (是否合格).")
    score: Decimal | None = Field(None, ge=0, le=1000, description="Score (成绩).")


async def record(work: Work, command: RecordEliteTraining) -> EliteMember:
    """The member with the course; refuses a level whose lower one is not passed (MO-025)."""
    member: EliteMember = work.subject
    until = command.held_until or command.held_on
    if until < command.held_on:
        raise Refused(ENDS_BEFORE("heldUntil"))
    refuse_future(work, until, "heldUntil")
    refuse_before_entry(member, command.held_on, "heldOn")
    await _refuse_skipped(work, member, command)
    work.add(
        EliteTraining(
            member_id=member.id,
            kind=command.training,
            subject=command.area,
            level=command.level,
            held_on=command.held_on,
            held_until=until,
            passed=command.passed,
            score=command.score,
        )
    )
    work.record(
        EliteTrainingRecorded.of(
            member,
            course=command.training.value,
            subject_area=command.area.value,
            level=command.level.value,
            held_on=command.held_on,
        )
    )
    return member


async def _refuse_skipped(work: Work, member: EliteMember, command: RecordEliteTraining) -> None:
    levels = list(EliteTrainingLevel)
    place = levels.index(command.level)
    if place == 0:
        return
    lower = levels[place - 1]
    passed = select(EliteTraining.id).where(
        EliteTraining.member_id == member.id,
        EliteTraining.subject == command.area,
        EliteTraining.level == lower,
        EliteTraining.passed.is_(True),
        EliteTraining.held_until <= command.held_on,
    )
    if await work.session.scalar(passed.limit(1)) is None:
        raise Refused(LEVEL_BEFORE("level", name=member.name, level=lower.value))


def promotions_held(line: str, kind: EliteTeamKind, year: int) -> Select[Any]:
    """On how many days of a year promotion trainings of teams of a kind began."""
    training, member = EliteTraining.__table__, EliteMember.__table__
    team = EliteTeam.__table__
    joined = training.join(member, member.c.id == training.c.member_id).join(
        team, team.c.id == member.c.elite_team_id
    )
    return (
        select(func.count(distinct(training.c.held_on)))
        .select_from(joined)
        .where(
            member.c.line == line,
            team.c.kind == str(kind),
            training.c.kind == str(EliteTrainingKind.PROMOTION),
            training.c.held_on.between(date(year, 1, 1), date(year, 12, 31)),
        )
    )


def promotion_year(held: int, year: int, kind: EliteTeamKind, rates: Rates) -> UserError | None:
    """What is unusual in a year with so many promotion trainings (MO-024), by the figures of its last day."""
    least, most = (
        rates.whole(name, kind, date(year, 12, 31))
        for name in ("promotion_trainings_least", "promotion_trainings_most")
    )
    usual = least <= held <= most
    return None if usual else PROMOTION_YEAR(held=held, year=year, least=least, most=most)


COMMANDS: dict[type[Command], Perform] = {RecordEliteTraining: record}
