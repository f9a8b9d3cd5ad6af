"""Commands on posts, the pay ladder and its standards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core.commands import Command, Money, Perform, Ref, omitted
from crm_core.errors import Message, Refused
from crm_core.money import fen
from crm_core.work import Work
from crm_telecom_elite.ladder.climbing import Rung, out_of_order
from crm_telecom_elite.ladder.events import (
    ElitePostCreated,
    ElitePostUpdated,
    EliteStandardSet,
    EliteStepCreated,
)
from crm_telecom_elite.ladder.models import (
    ElitePost,
    ElitePostRole,
    ElitePostSeries,
    EliteStandard,
    EliteStep,
    EliteStepLetter,
)
from crm_telecom_elite.ladder.queries import rungs_of
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.scopes import RATE_WRITE, TEAM_WRITE

POST_TAKEN = Message(
    "TELECOM_ELITE_POST_TAKEN", "Line {line} already has a post {code}.", "业务线 {line} 已有岗位 {code}。"
)
STEP_TAKEN = Message(
    "TELECOM_ELITE_STEP_TAKEN",
    "The ladder already has {grade} {letter}, or another rung at rank {rank}.",
    "薪级表中已有 {grade}{letter}，或序位 {rank} 已被占用。",
)
STEP_OUT_OF_ORDER = Message(
    "TELECOM_ELITE_STEP_OUT_OF_ORDER",
    "At rank {rank} the ladder would be out of order: a grade stands in one piece, its letters run from A upwards.",
    "序位 {rank} 会打乱薪级表：同一薪等须相连，薪级自 A 起由低到高。",
    rule="MO-055",
)
MESSAGES = (POST_TAKEN, STEP_TAKEN, STEP_OUT_OF_ORDER)

PostId = Annotated[UUID, Ref("ElitePost", "elp")]
StepId = Annotated[UUID, Ref("EliteStep", "els")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Grade = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class CreateElitePost(Command):
    """Set up a post of one of the three series (新设岗位)."""

    kind = "elite_post.create"
    scope = TEAM_WRITE
    returns = "ElitePost"
    code: Code = Field(description="Code within the line, e.g. marketing_manager (岗位代码).")
    title: Title = Field(description="Title (岗位名称).")
    series: ElitePostSeries = Field(description="Series (系列).")
    role: ElitePostRole = Field(description="What it counts as in a team's composition (团队角色).")
    company_post: str = Field(
        "", max_length=120, description="The company's own post it corresponds to (对应公司岗位)."
    )
    qualification: str = Field("", max_length=2000, description="Entry qualification (任职资格).")


async def create_post(work: Work, command: CreateElitePost) -> ElitePost:
    """The new post; refuses a code the line has."""
    known = select(ElitePost.id).where(ElitePost.line == work.acting_line, ElitePost.code == command.code)
    if await work.session.scalar(known) is not None:
        raise Refused(POST_TAKEN("code", code=command.code, line=work.acting_line))
    post = work.add(
        ElitePost(
            line=work.acting_line,
            code=command.code,
            title=command.title,
            series=command.series,
            role=command.role,
            company_post=command.company_post,
            qualification=command.qualification,
        )
    )
    work.record(ElitePostCreated.of(post))
    return post


class UpdateElitePost(Command):
    """Change a post's words; what it counts as stays, since people were paid by it (修改岗位)."""

    kind = "elite_post.update"
    scope = TEAM_WRITE
    returns = "ElitePost"
    subject = "id"
    id: PostId = Field(description="The post.")
    title: Title = omitted(description="Title (岗位名称).")
    company_post: str = omitted(
        max_length=120, description="The company's own post it corresponds to (对应公司岗位)."
    )
    qualification: str = omitted(max_length=2000, description="Entry qualification (任职资格).")


async def update_post(work: Work, command: UpdateElitePost) -> ElitePost:
    """The changed post."""
    post: ElitePost = work.subject
    for column, value in command.given().items():
        if column != "id":
            setattr(post, column, value)
    work.record(ElitePostUpdated.of(post))
    return post


class CreateEliteStep(Command):
    """Add a rung to the pay ladder of a kind of team (新设薪级)."""

    kind = "elite_step.create"
    scope = TEAM_WRITE
    returns = "EliteStep"
    team_kind: EliteTeamKind = Field(description="For which kind of team (团队类型).")
    grade: Grade = Field(description="Grade, e.g. 营销经理 (薪等).")
    letter: EliteStepLetter = Field(description="Step within the grade; A is the lowest (薪级).")
    rank: int = Field(
        ge=1, le=100_000, description="How high it stands among all rungs of the ladder (序位)."
    )


async def create_step(work: Work, command: CreateEliteStep) -> EliteStep:
    """The new rung; refuses one that is there, and one that would tear a grade apart."""
    step = EliteStep(
        line=work.acting_line,
        team_kind=command.team_kind,
        grade=command.grade,
        letter=command.letter,
        rank=command.rank,
    )
    _refuse_misplaced(await rungs_of(work.session, step.line, step.team_kind), step)
    work.add(step)
    work.record(EliteStepCreated.of(step))
    return step


def _refuse_misplaced(rungs: Sequence[Rung], step: EliteStep) -> None:
    if any(one.rank == step.rank or (one.grade, one.letter) == (step.grade, step.letter) for one in rungs):
        raise Refused(STEP_TAKEN("rank", grade=step.grade, letter=step.letter, rank=step.rank))
    added = Rung(step.id, step.grade, EliteStepLetter(step.letter), step.rank)
    if out_of_order(sorted([*rungs, added], key=lambda rung: rung.rank)) is not None:
        raise Refused(STEP_OUT_OF_ORDER("rank", rank=step.rank))


class SetEliteStandard(Command):
    """Set the company's standard pay of a rung from a day on (设定薪酬标准). One of the same day is replaced."""

    kind = "elite_standard.set"
    scope = RATE_WRITE
    returns = "EliteStep"
    subject = "id"
    id: StepId = Field(description="The rung (薪级).")
    valid_from: date = Field(description="The first day it holds (生效日期).")
    salary: Money = Field(ge=0, description="Post salary a month, yuan (岗位工资).")
    bonus: Money = Field(ge=0, description="Performance bonus a month, yuan (绩效奖金).")


async def set_standard(work: Work, command: SetEliteStandard) -> EliteStep:
    """The rung with its standard; closed pay runs keep what they were computed with."""
    step: EliteStep = work.subject
    salary, bonus = fen(command.salary), fen(command.bonus)
    same_day = (EliteStandard.step_id == step.id, EliteStandard.valid_from == command.valid_from)
    known = await work.session.scalar(select(EliteStandard).where(*same_day))
    if known is None:
        work.add(EliteStandard(step_id=step.id, valid_from=command.valid_from, salary=salary, bonus=bonus))
    else:
        known.salary, known.bonus = salary, bonus
    work.record(EliteStandardSet.of(step, valid_from=command.valid_from))
    return step


COMMANDS: dict[type[Command], Perform] = {
    CreateElitePost: create_post,
    UpdateElitePost: update_post,
    CreateEliteStep: create_step,
    SetEliteStandard: set_standard,
}
