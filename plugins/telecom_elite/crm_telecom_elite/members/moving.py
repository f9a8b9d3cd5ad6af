"""Commands on members at work: to another team, a new grade after the first months, the end of a membership."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.ladder.commands import PostId, StepId
from crm_telecom_elite.members.commands import MemberId, refuse_future
from crm_telecom_elite.members.entering import refuse_before_entry
from crm_telecom_elite.members.events import EliteMemberTerminated
from crm_telecom_elite.members.models import (
    MEMBER_LIFE,
    EliteEnding,
    EliteMember,
    EliteOrigin,
    ElitePackage,
    ElitePosting,
    EliteTerm,
)
from crm_telecom_elite.members.posting import post, take_out
from crm_telecom_elite.members.queries import terms_of
from crm_telecom_elite.scopes import MEMBER_WRITE
from crm_telecom_elite.teams.commands import EliteTeamId

NOT_GRADED_ANEW = Message(
    "TELECOM_ELITE_NOT_GRADED_ANEW",
    "Only who came from the establishment is graded anew, when package 2 begins on {day}.",
    "仅联通在编转入人员在转入套餐二之日（{day}）重新定级。",
    rule="MO-036",
)
MESSAGES = (NOT_GRADED_ANEW,)

Decision = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class TransferEliteMember(Command):
    """Put a member into another team from a day on (转入其他团队). Another kind of team needs a step of its ladder."""

    kind = "elite_member.transfer"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    team_id: EliteTeamId = Field(description="The new team (精英团队).")
    valid_from: date = Field(description="The first day there (生效日期).")
    step_id: StepId | None = Field(None, description="His step there, where another (薪级).")
    post_id: PostId | None = Field(None, description="His post there, where another (岗位).")


async def transfer(work: Work, command: TransferEliteMember) -> EliteMember:
    """The member; from that day on his pay, users and appraisals count in the new team."""
    member: EliteMember = work.subject
    await post(
        work,
        member,
        from_=command.valid_from,
        reason="TRANSFER",
        team=command.team_id,
        step=command.step_id,
        post=command.post_id,
    )
    return member


class GradeEliteMember(Command):
    """Decide the grade and step of who came from the establishment, when package 2 begins (转入套餐二定级)."""

    kind = "elite_member.grade"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    step_id: StepId = Field(description="Grade and step by qualification, ability and results (薪等薪级).")
    post_id: PostId | None = Field(None, description="His post, where another (岗位).")


async def grade(work: Work, command: GradeEliteMember) -> EliteMember:
    """The member with his step from the first day of package 2 on (MO-036)."""
    member: EliteMember = work.subject
    found = (await work.session.scalars(terms_of(member.id))).all()
    switch = next((term.valid_from for term in found if term.package == ElitePackage.PACKAGE_2), None)
    if member.origin != EliteOrigin.TRANSFEREE or switch is None:
        raise Refused(NOT_GRADED_ANEW("id", day=switch.isoformat() if switch else "-"))
    await post(
        work,
        member,
        from_=switch,
        reason="GRADING",
        rule="MO-036",
        step=command.step_id,
        post=command.post_id,
        path="id",
    )
    return member


class TerminateEliteMember(Command):
    """End a membership by a decision that is on record (解聘/离开). Nothing ends one by itself."""

    kind = "elite_member.terminate"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    ended_on: date = Field(description="The last day of the membership (离开日期).")
    cause: EliteEnding = Field(description="Why (离开原因).")
    decision: Decision = Field(description="Who decided, when, on what ground (决定).")


async def terminate(work: Work, command: TerminateEliteMember) -> EliteMember:
    """The former member; his pay ends with that day (MO-022)."""
    member: EliteMember = work.subject
    await end(work, member, command.ended_on, command.cause, command.decision)
    return member


async def end(
    work: Work, member: EliteMember, day: date, cause: EliteEnding, decision: str, path: str = "endedOn"
) -> None:
    """End a membership with this last day: postings, packages, and the account's place in the team.

    Refuses, naming `path`, a day to come or before the entry.
    """
    state = moved(MEMBER_LIFE, member.state, "terminate", rule="MO-022")
    refuse_future(work, day, path)
    refuse_before_entry(member, day, path)
    after = day + timedelta(days=1)
    for model in (ElitePosting, EliteTerm):
        for row in (await work.session.scalars(select(model).where(model.member_id == member.id))).all():
            await _cut(work, row, after)
    member.state, member.ended_on = state, day
    member.ended_cause, member.ended_reason = cause, decision
    if member.owner_id is not None and member.team_id is not None:
        await take_out(work, member.team_id, member.owner_id)
    work.record(EliteMemberTerminated.of(member))


async def _cut(work: Work, row: Any, after: date) -> None:
    if row.valid_from >= after:
        await work.session.delete(row)
    elif row.valid_to is None or row.valid_to > after:
        row.valid_to = after


COMMANDS: dict[type[Command], Perform] = {
    TransferEliteMember: transfer,
    GradeEliteMember: grade,
    TerminateEliteMember: terminate,
}
