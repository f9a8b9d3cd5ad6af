"""Where members sat, what is counted for them, and how they were rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select

from crm_core.db.unit import Unit
from crm_telecom_elite.appraisals.distribution import Quota
from crm_telecom_elite.appraisals.models import (
    EliteAppraisal,
    EliteAppraisalState,
    EliteResultQuota,
    EliteTask,
    EliteTaskSide,
)
from crm_telecom_elite.members.models import EliteMember, ElitePosting
from crm_telecom_elite.members.queries import holding
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users.models import EliteUser

TEAM_KEY = "team"
"""In place of a member's id: the appraisal of the team as a whole."""
TaskScores = Mapping[EliteTaskSide, Sequence[Decimal]]


@dataclass(frozen=True, slots=True)
class Seat:
    """Where somebody sat: the team, its kind, and the line's team it is."""

    elite_team_id: UUID
    kind: EliteTeamKind
    team_id: UUID


def seats_between(member_ids: Sequence[UUID], first: date, last: date) -> Select[Any]:
    """Postings of these members that touch the days, each member's last one last: member, team, kind, line's team."""
    posting, team = ElitePosting.__table__, EliteTeam.__table__
    return (
        select(posting.c.member_id, team.c.id, team.c.kind, team.c.team_id)
        .join(team, team.c.id == posting.c.elite_team_id)
        .where(posting.c.member_id.in_(member_ids), posting.c.valid_from <= last)
        .where(or_(posting.c.valid_to.is_(None), posting.c.valid_to > first))
        .order_by(posting.c.member_id, posting.c.valid_from)
    )


async def seats(session: Unit, member_ids: Sequence[UUID], first: date, last: date) -> Mapping[UUID, Seat]:
    """Where each sat at the end of these days, or when he left within them; nobody who was not there."""
    rows = (await session.execute(seats_between(member_ids, first, last))).all()
    return {member: Seat(team, EliteTeamKind(kind), own) for member, team, kind, own in rows}


def sitting(elite_team_id: UUID, day: date) -> Select[Any]:
    """The members who sit in a team on a day."""
    return select(EliteMember).where(EliteMember.id.in_(_there(elite_team_id, day))).order_by(EliteMember.id)


def sitting_in(elite_team_ids: Sequence[UUID], day: date) -> Select[Any]:
    """Who sits in these teams on a day: team, id, name."""
    member, posting = EliteMember.__table__, ElitePosting.__table__
    return (
        select(posting.c.elite_team_id, member.c.id, member.c.name)
        .join(member, member.c.id == posting.c.member_id)
        .where(posting.c.elite_team_id.in_(elite_team_ids), holding(posting, day))
        .order_by(member.c.id)
    )


def tasks_of(elite_team_ids: Sequence[UUID], quarter: str) -> Select[Any]:
    """The tasks of these teams for a quarter: team, side, point, member."""
    t = EliteTask.__table__
    columns = (t.c.elite_team_id, t.c.side, t.c.point, t.c.member_id)
    return (
        select(*columns)
        .where(t.c.elite_team_id.in_(elite_team_ids), t.c.quarter == quarter)
        .order_by(t.c.position, t.c.id)
    )


def _there(elite_team_id: UUID, day: date) -> Select[Any]:
    t = ElitePosting.__table__
    return select(t.c.member_id).where(t.c.elite_team_id == elite_team_id, holding(t, day))


def users_developed(member_ids: Sequence[UUID], first: date, last: date) -> Select[Any]:
    """How many group users each developed in these days (MO-072): member, number. Those from before do not count."""
    t = EliteUser.__table__
    return (
        select(t.c.member_id, func.count())
        .where(t.c.member_id.in_(member_ids), t.c.activated_on.between(first, last))
        .where(t.c.group_user.is_(True), t.c.legacy.is_(False))
        .group_by(t.c.member_id)
    )


def rated(elite_team_id: UUID, period: str, keys: Sequence[str] | None = None) -> Select[Any]:
    """The appraisals of a team and its members for a period; those of some members only, by their keys."""
    t = EliteAppraisal.__table__
    found = select(EliteAppraisal).where(t.c.elite_team_id == elite_team_id, t.c.period == period)
    return found if keys is None else found.where(t.c.member_key.in_(keys))


async def confirmed_team(session: Unit, elite_team_id: UUID, period: str) -> EliteAppraisal | None:
    """The confirmed appraisal of the team as a whole."""
    own = rated(elite_team_id, period, [TEAM_KEY])
    state = EliteAppraisal.__table__.c.state
    found: EliteAppraisal | None = await session.scalar(own.where(state == EliteAppraisalState.CONFIRMED))
    return found


async def task_scores(session: Unit, member_id: UUID, quarter: str) -> TaskScores:
    """Scores of a member's tasks of a quarter, by side, of those that were reported (MO-062)."""
    t = EliteTask.__table__
    own = select(t.c.side, t.c.score).where(t.c.member_id == member_id, t.c.quarter == quarter)
    rows = (await session.execute(own.where(t.c.score.is_not(None)).order_by(t.c.position, t.c.id))).all()
    return {side: [score for own_side, score in rows if own_side == side] for side in EliteTaskSide}


async def quota(session: Unit, line: str, team_result: str, day: date) -> Quota:
    """How the results of members may be distributed on a day after such a result of the team (MO-061)."""
    t = EliteResultQuota.__table__
    held = select(t.c.most_a, t.c.least_c).where(t.c.line == line, t.c.team_result == team_result)
    row = (
        await session.execute(held.where(t.c.valid_from <= day).order_by(t.c.valid_from.desc()).limit(1))
    ).first()
    return Quota() if row is None else Quota(*row)
