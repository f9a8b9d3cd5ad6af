"""Commands that rate teams and members for a quarter or a month; a rating counts once it is confirmed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_core import errors, ids
from crm_core.commands import Command, Part, Perform, Ref
from crm_core.errors import Message, Refused
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.appraisals import rating, reach
from crm_telecom_elite.appraisals.events import EliteAppraisalRated
from crm_telecom_elite.appraisals.models import APPRAISAL_LIFE, EliteAppraisal, ElitePeriod, EliteResult
from crm_telecom_elite.appraisals.periods import Period, first, is_quarter, last
from crm_telecom_elite.appraisals.queries import (
    TEAM_KEY,
    Seat,
    confirmed_team,
    rated,
    seats,
    sitting,
    task_scores,
    users_developed,
)
from crm_telecom_elite.appraisals.rating import Figures, Rated
from crm_telecom_elite.members.models import EliteMember, EliteMemberState
from crm_telecom_elite.months import Month, Quarter
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates, rates_of
from crm_telecom_elite.scopes import APPRAISAL_WRITE
from crm_telecom_elite.teams.commands import EliteTeamId
from crm_telecom_elite.teams.models import EliteTeam

WRONG_PERIOD = Message(
    "TELECOM_ELITE_WRONG_PERIOD",
    "HQ teams are appraised by quarters (2025-Q4), regional teams by months (2025-11).",
    "本部团队按季考核（如 2025-Q4），区域团队按月考核（如 2025-11）。",
    rule="MO-060",
)
PERIOD_OPEN = Message(
    "TELECOM_ELITE_PERIOD_OPEN",
    "{period} is appraised from its last day on, {day}.",
    "{period} 须到最后一天（{day}）起才能考核。",
)
TEAM_FIRST = Message(
    "TELECOM_ELITE_TEAM_FIRST",
    "The team's own appraisal for {period} is confirmed first; the results of its members follow from it.",
    "须先确认团队 {period} 的考核结果，再据此分配成员考核结果。",
    rule="MO-061",
)
NOT_SEATED = Message(
    "TELECOM_ELITE_NOT_SEATED",
    "{name} sat in no such team in {period}.",
    "{name} 在 {period} 不在该团队任职。",
)
NOT_RATED = Message(
    "TELECOM_ELITE_NOT_RATED",
    "Members without a rating: {names}. All of the team are rated for the month.",
    "以下成员没有考核数据：{names}；当月须考核团队全体成员。",
    rule="MO-070",
)
TWICE = Message("TELECOM_ELITE_RATED_TWICE", "{name} is named twice.", "{name} 重复。")
MESSAGES = (WRONG_PERIOD, PERIOD_OPEN, TEAM_FIRST, NOT_SEATED, NOT_RATED, TWICE)

EliteMemberId = Annotated[UUID, Ref("EliteMember", "elm")]
Points = Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4)]
"""A component of a score, 0 to 100."""
Remark = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
AT_WORK = (EliteMemberState.PROBATION, EliteMemberState.REGULAR)


class RateEliteTeam(Command):
    """Rate a team of the headquarters for a quarter by M, S and D, as the Centre (团队季度考核). Again while it is a draft."""

    kind = "elite_appraisal.rate_team"
    scope = APPRAISAL_WRITE
    returns = "EliteAppraisal"
    subject = "team_id"
    subject_type = "EliteTeam"
    team_id: EliteTeamId = Field(description="The team (精英团队).")
    quarter: Quarter = Field(description="The quarter, e.g. 2025-Q4 (季度).")
    market_period: ElitePeriod = Field(
        description="What the team is in that quarter: cultivation 60/30/10, harvest 30/60/10 (市场培育期/收获期)."
    )
    m: Points = Field(description="Marketing, 0 to 100 (营).")
    s: Points = Field(description="Selling, 0 to 100 (销).")
    d: Points = Field(description="Third component, 0 to 100 (D 项).")
    remark: Remark = Field("", description="Remark (备注).")


async def rate_team(work: Work, command: RateEliteTeam) -> EliteAppraisal:
    """The draft with score, result and derivation (MO-061, MO-063, MO-064)."""
    team: EliteTeam = work.subject
    reach.refuse_unless_centre(work)
    if team.kind != EliteTeamKind.HQ:
        raise Refused(WRONG_PERIOD("quarter"))
    refuse_open(work, command.quarter, "quarter")
    rates = await rates_of(work.session, work.acting_line)
    found = rating.of_team(rates, last(command.quarter), Figures.of(command))
    seat = Seat(team.id, EliteTeamKind.HQ, team.team_id)
    old = await work.session.scalar(rated(team.id, command.quarter, [TEAM_KEY]))
    return keep(work, Subject(seat, None, command.quarter), old, found, command.remark)


class RateEliteMember(Command):
    """Rate one member for his team's quarter or month (成员考核). Again while it is a draft.

    Of an HQ team, after the team's own appraisal: a `result`, or M, S and D – M and S come out of his task scores where
    they are left out. Of a regional team: `attitude`; users developed are counted unless another number is given with
    `usersReason`.
    """

    kind = "elite_appraisal.rate_member"
    scope = APPRAISAL_WRITE
    returns = "EliteAppraisal"
    subject = "member_id"
    subject_type = "EliteMember"
    member_id: EliteMemberId = Field(description="The member (成员).")
    period: Period = Field(description="2025-Q4 for HQ teams, 2025-11 for regional ones (考核周期).")
    m: Points | None = Field(None, description="Marketing, 0 to 100 (营).")
    s: Points | None = Field(None, description="Selling, 0 to 100 (销).")
    d: Points | None = Field(None, description="Third component, 0 to 100 (D 项).")
    result: EliteResult | None = Field(
        None,
        description="Result within the team's distribution; over that of a score only with a remark (考核结果).",
    )
    users: int | None = Field(
        None, ge=0, le=1_000_000, description="Users developed, where not as counted (发展用户数)."
    )
    users_reason: Remark | None = Field(None, description="Why not as counted (理由).")
    attitude: Points | None = Field(
        None,
        description="Work attitude, 0 to 100; scaled by its weight, 10 or in probation 30 points (工作态度).",
    )
    remark: Remark = Field("", description="Remark (备注).")


async def rate_member(work: Work, command: RateEliteMember) -> EliteAppraisal:
    """The draft with score, result and derivation (MO-061 to MO-065, MO-071 to MO-075)."""
    member: EliteMember = work.subject
    reach.refuse_own(work, member.owner_id, "memberId")
    refuse_open(work, command.period, "period")
    seat = (await seats(work.session, [member.id], first(command.period), last(command.period))).get(
        member.id
    )
    if seat is None:
        raise Refused(NOT_SEATED("memberId", name=member.name, period=command.period))
    about = Subject(seat, member, command.period)
    found = await rate(work, about, Figures.of(command), command.remark)
    old = await work.session.scalar(rated(seat.elite_team_id, command.period, [member.id.hex]))
    return keep(work, about, old, found, command.remark)


class EliteMonthlyRating(Part):
    """One member's part of a month's rating (成员月度评分)."""

    member_id: EliteMemberId = Field(description="The member (成员).")
    attitude: Points = Field(description="Work attitude, 0 to 100 (工作态度).")
    users: int | None = Field(
        None, ge=0, le=1_000_000, description="Users developed, where not as counted (发展用户数)."
    )
    users_reason: Remark | None = Field(None, description="Why not as counted (理由).")


class RateEliteMonth(Command):
    """Rate all members of a regional team for a month (区域团队月度考核).

    Everybody at work in the team on the month's last day is named, but for who rates: the Centre rates him.
    """

    kind = "elite_appraisal.rate_month"
    scope = APPRAISAL_WRITE
    returns: ClassVar[str | list[str]] = ["EliteAppraisal"]
    subject = "team_id"
    subject_type = "EliteTeam"
    team_id: EliteTeamId = Field(description="The team (精英团队).")
    month: Month = Field(description="The month, e.g. 2025-11 (月份).")
    ratings: list[EliteMonthlyRating] = Field(
        min_length=1, max_length=200, description="Member by member (评分)."
    )


async def rate_month(work: Work, command: RateEliteMonth) -> list[EliteAppraisal]:
    """The drafts, in the order given (MO-070 to MO-075)."""
    team: EliteTeam = work.subject
    reach.refuse_other_team(work, team, "teamId")
    if team.kind != EliteTeamKind.REGIONAL:
        raise Refused(WRONG_PERIOD("month"))
    refuse_open(work, command.month, "month")
    members = await _team_members(work, command, team)
    keys = list(members)
    counted = await users_of(work, keys, command.month)
    known = {one.member_key: one for one in await work.session.scalars(rated(team.id, command.month))}
    rates, seat = await rates_of(work.session, team.line), Seat(team.id, EliteTeamKind.REGIONAL, team.team_id)
    made = []
    for position, one in enumerate(command.ratings):
        about = Subject(seat, members[one.member_id], command.month)
        with _below(f"ratings.{position}"):
            found = monthly(rates, about, Figures.of(one), counted.get(one.member_id, 0))
        made.append(keep(work, about, known.get(one.member_id.hex), found, ""))
    return made


async def _team_members(work: Work, command: RateEliteMonth, team: EliteTeam) -> dict[UUID, EliteMember]:
    """The members who sit in the team on the month's last day; refuses strangers, oneself, doubles and gaps."""
    there = {one.id: one for one in await work.session.scalars(sitting(team.id, last(command.month)))}
    found, named = [], set()
    for position, one in enumerate(command.ratings):
        path, member = f"ratings.{position}.memberId", there.get(one.member_id)
        if member is None:
            shown = ids.show("elm", one.member_id)
            found.append(NOT_SEATED(path, name=shown, period=command.month))
        elif member.owner_id is not None and member.owner_id == work.actor.user_id:
            found.append(reach.OWN_APPRAISAL(path))
        elif one.member_id in named:
            found.append(TWICE(path, name=member.name))
        named.add(one.member_id)
    missing = [one.name for key, one in there.items() if key not in named and _is_due(work, one)]
    if missing:
        found.append(NOT_RATED("ratings", names="、".join(missing)))
    errors.raise_if(found)
    return there


@contextmanager
def _below(path: str) -> Iterator[None]:
    """Refusals name the field below this path."""
    try:
        yield
    except Refused as refused:
        raise Refused(*(replace(e, field=f"{path}.{e.field}") for e in refused.errors)) from None


def _is_due(work: Work, member: EliteMember) -> bool:
    own = member.owner_id is not None and member.owner_id == work.actor.user_id
    return member.state in AT_WORK and not own


# -- what rating and correcting share


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is rated, where he sat, and for which period; `member` None: the team as a whole."""

    seat: Seat
    member: EliteMember | None
    period: str


async def rate(work: Work, about: Subject, figures: Figures, remark: str) -> Rated:
    """What a member's figures come to, by the scheme of his team (MO-060, MO-070)."""
    if is_quarter(about.period) is not (about.seat.kind is EliteTeamKind.HQ):
        raise Refused(WRONG_PERIOD("period"))
    assert about.member is not None
    rates = await rates_of(work.session, work.acting_line)
    if about.seat.kind is EliteTeamKind.REGIONAL:
        counted = await users_of(work, [about.member.id], about.period)
        return monthly(rates, about, figures, counted.get(about.member.id, 0))
    team = await confirmed_team(work.session, about.seat.elite_team_id, about.period)
    if team is None:
        raise Refused(TEAM_FIRST("period", period=about.period))
    tasks = await task_scores(work.session, about.member.id, about.period)
    period = ElitePeriod(team.inputs["market_period"])
    return rating.of_hq_member(rates, last(about.period), figures, period, tasks, remark)


def monthly(rates: Rates, about: Subject, figures: Figures, counted: int) -> Rated:
    """What a regional member's figures come to; his probation is that of the month's last day (MO-075)."""
    day = last(about.period)
    probation = about.member is not None and on_probation(about.member, day)
    return rating.of_regional_member(rates, day, figures, counted, probation=probation)


def on_probation(member: EliteMember, day: date) -> bool:
    """Whether the day lies within the member's probation (试用期)."""
    return member.probation_until is not None and day <= member.probation_until


async def users_of(work: Work, member_ids: Sequence[UUID], month: str) -> dict[UUID, int]:
    """Group users each member developed in the month (MO-072)."""
    rows = await work.session.execute(users_developed(member_ids, first(month), last(month)))
    return {member: int(number) for member, number in rows.all()}


def keep(work: Work, about: Subject, old: EliteAppraisal | None, found: Rated, remark: str) -> EliteAppraisal:
    """The appraisal with what came of it: a new draft, or the one there was; refuses one that is confirmed."""
    member, seat = about.member, about.seat
    row = old or work.add(
        EliteAppraisal(
            line=work.acting_line,
            elite_team_id=seat.elite_team_id,
            member_id=member.id if member else None,
            member_key=member.id.hex if member else TEAM_KEY,
            period=about.period,
            state=APPRAISAL_LIFE.initial,
        )
    )
    row.state = moved(APPRAISAL_LIFE, row.state, "rate", path="period")
    row.owner_id, row.team_id = member.owner_id if member else None, seat.team_id
    put(row, found, remark)
    work.record(EliteAppraisalRated.of(row))
    return row


def put(row: EliteAppraisal, found: Rated, remark: str) -> None:
    """Give the appraisal these figures."""
    row.score, row.result, row.remark = found.score, found.result.value, remark
    row.inputs, row.derivation = found.inputs, found.derivation


def refuse_open(work: Work, period: str, path: str) -> None:
    """Refuse a period that is not over: its last day is still to come."""
    day = last(period)
    if work.day() < day:
        raise Refused(PERIOD_OPEN(path, period=period, day=day.isoformat()))


COMMANDS: dict[type[Command], Perform] = {
    RateEliteTeam: rate_team,
    RateEliteMember: rate_member,
    RateEliteMonth: rate_month,
}
