"""Commands on candidates: proposing, changing, the province's approvals, the medical check, not hiring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.commands import Command, Money, Perform, Ref, omitted
from crm_core.errors import Message, Refused
from crm_core.money import fen
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.ladder.commands import PostId
from crm_telecom_elite.ladder.models import ElitePost
from crm_telecom_elite.members.events import (
    EliteMemberApproved,
    EliteMemberMoved,
    EliteMemberProposed,
    EliteMemberUpdated,
)
from crm_telecom_elite.members.models import (
    MEMBER_LIFE,
    EliteChannel,
    EliteMember,
    EliteOrigin,
)
from crm_telecom_elite.members.posting import settle_account
from crm_telecom_elite.members.queries import memberships_of, people_in
from crm_telecom_elite.scopes import MEMBER_WRITE
from crm_telecom_elite.teams.commands import EliteTeamId, refuse_closed
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.teams.queries import establishment_in

USER_TAKEN = Message(
    "TELECOM_ELITE_ACCOUNT_TAKEN",
    "The account belongs to the member {name} already.",
    "该账号已属于成员 {name}。",
)
BEYOND_ESTABLISHMENT = Message(
    "TELECOM_ELITE_BEYOND_ESTABLISHMENT",
    "The establishment of {year} is {headcount}, and there are {people} members and candidates.",
    "{year} 年编制为 {headcount} 人，现有成员及候选人 {people} 人。",
    rule="MO-019",
)
IN_FUTURE = Message("TELECOM_ELITE_MEMBER_IN_FUTURE", "{day} has not come yet.", "{day} 尚未到来。")
APPROVED_ALREADY = Message(
    "TELECOM_ELITE_APPROVED_ALREADY",
    "This department approved on {day} already.",
    "该部门已于 {day} 审批同意。",
    rule="MO-001",
)
MESSAGES = (USER_TAKEN, BEYOND_ESTABLISHMENT, IN_FUTURE, APPROVED_ALREADY)

MemberId = Annotated[UUID, Ref("EliteMember", "elm")]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class EliteDepartment(StrEnum):
    """The two departments of the provincial company that must approve (MO-001)."""

    HR = "HR"
    """人力资源部"""
    GROUP_CUSTOMER = "GROUP_CUSTOMER"
    """集团客户部"""


class ProposeEliteMember(Command):
    """Propose a candidate for a post of a team to the provincial company (上报候选人)."""

    kind = "elite_member.propose"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    team_id: EliteTeamId = Field(description="For which team (精英团队).")
    post_id: PostId = Field(description="For which post (岗位).")
    name: PersonName = Field(description="Name (姓名).")
    origin: EliteOrigin = Field(description="Where he comes from; decides his pay package (来源).")
    channel: EliteChannel = Field(EliteChannel.EXTERNAL, description="How he was found (招聘渠道).")
    staff_number: str = Field("", max_length=40, description="Staff number (工号).")
    user_id: UserId | None = Field(None, description="His account, where he has one (账号).")
    original_salary: Money | None = Field(
        None, ge=0, description="Salary a month before, yuan; of who comes from the establishment (原工资)."
    )
    original_bonus: Money | None = Field(None, ge=0, description="Bonus a month before, yuan (原奖金).")


async def propose(work: Work, command: ProposeEliteMember) -> EliteMember:
    """The candidate (MO-016); beyond the establishment he is refused or marked, as the deployment has it (MO-019)."""
    team = await work.get(EliteTeam, command.team_id, "teamId")
    await work.get(ElitePost, command.post_id, "postId")
    refuse_closed(team, work.day(), "teamId")
    await _refuse_taken(work, command.user_id)
    member = work.add(
        EliteMember(
            line=work.acting_line,
            owner_id=command.user_id,
            team_id=team.team_id,
            elite_team_id=team.id,
            post_id=command.post_id,
            name=command.name,
            staff_number=command.staff_number,
            origin=command.origin,
            channel=command.channel,
            state=MEMBER_LIFE.initial,
            original_salary=_fen(command.original_salary),
            original_bonus=_fen(command.original_bonus),
            beyond_establishment=await _beyond(work, team),
        )
    )
    work.record(EliteMemberProposed.of(member))
    return member


def _fen(amount: Money | None) -> int | None:
    return None if amount is None else fen(amount)


async def _refuse_taken(work: Work, user_id: UUID | None, of: UUID | None = None) -> None:
    """Refuse an account that does not exist or belongs to another present member."""
    if user_id is None:
        return
    await work.get(User, user_id, "userId")
    known = await work.session.scalar(memberships_of(work.acting_line, user_id))
    if known is not None and known.id != of:
        raise Refused(USER_TAKEN("userId", name=known.name))


async def _beyond(work: Work, team: EliteTeam) -> bool:
    """Whether one more is too many for the year's establishment; none set: never."""
    year = work.day().year
    wanted = establishment_in(work.acting_line, team.kind, team.region, year)
    found = await work.session.scalar(
        wanted.with_for_update()
    )  # proposals of the same hour count one another
    if found is None:
        return False
    people = await work.session.scalar(people_in(work.acting_line, team.kind, team.region)) or 0
    beyond: bool = people >= found.headcount
    if beyond and work.settings_of("telecom_elite").recruit_within_establishment:
        raise Refused(BEYOND_ESTABLISHMENT("teamId", year=year, headcount=found.headcount, people=people))
    return beyond


class UpdateEliteMember(Command):
    """Change a member's data; what is left out stays (修改成员)."""

    kind = "elite_member.update"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    name: PersonName = omitted(description="Name (姓名).")
    staff_number: str = omitted(max_length=40, description="Staff number (工号).")
    user_id: UserId | None = omitted(description="His account (账号).")
    original_salary: Money | None = omitted(ge=0, description="Salary a month before, yuan (原工资).")
    original_bonus: Money | None = omitted(ge=0, description="Bonus a month before, yuan (原奖金).")


Follow = Callable[[Work, EliteMember, UUID | None], Awaitable[None]]
"""What the rooms that come after do when a member has another account than this one before."""


def updating(follow: Follow) -> Perform:
    """How members are changed, with what follows from another account."""

    async def update(work: Work, command: UpdateEliteMember) -> EliteMember:
        """The changed member; closed pay runs keep what they were computed with."""
        member: EliteMember = work.subject
        given = command.given()
        for column in given.keys() & {"name", "staff_number"}:
            setattr(member, column, given[column])
        for column in given.keys() & {"original_salary", "original_bonus"}:
            setattr(member, column, _fen(given[column]))
        if "user_id" in given and command.user_id != (before := member.owner_id):
            await _refuse_taken(work, command.user_id, member.id)
            await settle_account(work, member, command.user_id)
            await follow(work, member, before)
        work.record(EliteMemberUpdated.of(member))
        return member

    return update


class ApproveEliteMemberByProvince(Command):
    """Record that a department of the provincial company approved a candidate (省公司审批同意)."""

    kind = "elite_member.approve_by_province"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The candidate.")
    department: EliteDepartment = Field(description="Which of the two (审批部门).")
    approved_on: date = Field(description="The day of its approval (批复日期).")
    reference: Reference = Field(description="Number of its letter (批复文号).")


async def approve(work: Work, command: ApproveEliteMemberByProvince) -> EliteMember:
    """The candidate; with the second approval he moves on (MO-001, MO-016)."""
    member: EliteMember = work.subject
    state = moved(MEMBER_LIFE, member.state, "approve", rule="MO-001")
    refuse_future(work, command.approved_on, "approvedOn")
    column = "hr" if command.department is EliteDepartment.HR else "group"
    known = getattr(member, f"{column}_approved_on")
    if known is not None:
        raise Refused(APPROVED_ALREADY("department", day=known.isoformat()))
    setattr(member, f"{column}_approved_on", command.approved_on)
    setattr(member, f"{column}_reference", command.reference)
    if member.hr_approved_on is not None and member.group_approved_on is not None:
        member.state = state
    work.record(EliteMemberApproved.of(member, department=command.department.value))
    return member


def refuse_future(work: Work, day: date, path: str) -> None:
    """Refuse, naming `path`, a day that has not come yet in the line's time zone."""
    if day > work.day():
        raise Refused(IN_FUTURE(path, day=day.isoformat()))


class PassEliteMedical(Command):
    """Record that a candidate passed the medical check at a designated hospital (体检合格)."""

    kind = "elite_member.pass_medical"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The candidate.")
    passed_on: date = Field(description="The day of the check (体检日期).")
    hospital: Reference = Field(description="The designated hospital (指定医院).")


async def pass_medical(work: Work, command: PassEliteMedical) -> EliteMember:
    """The candidate, who may enter now (MO-020)."""
    member: EliteMember = work.subject
    state = moved(MEMBER_LIFE, member.state, "pass_medical", rule="MO-020")
    refuse_future(work, command.passed_on, "passedOn")
    member.state, member.medical_on, member.hospital = state, command.passed_on, command.hospital
    work.record(EliteMemberMoved.of(member, move="pass_medical"))
    return member


class RejectEliteMember(Command):
    """Record that a candidate is not hired (未录用)."""

    kind = "elite_member.reject"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The candidate.")
    why: str = Field(min_length=1, max_length=1000, description="Why not (原因).")


async def reject(work: Work, command: RejectEliteMember) -> EliteMember:
    """The candidate, who is none any more (MO-016, MO-017)."""
    member: EliteMember = work.subject
    member.state = moved(MEMBER_LIFE, member.state, "reject", rule="MO-016")
    member.ended_reason = command.why
    work.record(EliteMemberMoved.of(member, move="reject"))
    return member


# `UpdateEliteMember` stands with the pay runs: what is a member's follows his account.
COMMANDS: dict[type[Command], Perform] = {
    ProposeEliteMember: propose,
    ApproveEliteMemberByProvince: approve,
    PassEliteMedical: pass_medical,
    RejectEliteMember: reject,
}
