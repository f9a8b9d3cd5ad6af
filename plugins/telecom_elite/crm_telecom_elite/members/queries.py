"""Members of a line: who sees them and their pay, and what they are on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select, true

from crm_core.graphql.access import Access
from crm_telecom_elite.ladder.models import ElitePost, EliteStep
from crm_telecom_elite.members.models import EliteMember, EliteMemberState, ElitePosting, EliteTerm
from crm_telecom_elite.scopes import PAY_READ
from crm_telecom_elite.teams.models import EliteTeam

GONE = (EliteMemberState.TERMINATED, EliteMemberState.REJECTED)
EMPLOYED = (
    EliteMemberState.IN_TRAINING,
    EliteMemberState.EXAM_PASSED,
    EliteMemberState.COACHING,
    EliteMemberState.PROBATION,
    EliteMemberState.REGULAR,
)
"""States of who is paid."""


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of members, and of all tables that say whose they are by line, owner and team."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id, team=t.c.team_id)


def of_visible_member(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of what belongs to a member and has no owner of its own: the scope reaches the member."""
    if access.everything(scope):
        return true()
    member = EliteMember.__table__
    seen: ColumnElement[bool] = t.c.member_id.in_(select(member.c.id).where(visible(member, access, scope)))
    return seen


def pay_seen(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the caller sees the pay of this row of the table of members."""
    return visible(t, access, PAY_READ)


def holding(t: Any, day: date) -> ColumnElement[bool]:
    """A dated row (`valid_from`, `valid_to` the first day it no longer holds) holds on this day."""
    held: ColumnElement[bool] = (t.c.valid_from <= day) & or_(t.c.valid_to.is_(None), t.c.valid_to > day)
    return held


def posting_on(member_id: UUID, day: date) -> Select[Any]:
    """The posting of a member that holds on a day."""
    t = ElitePosting.__table__
    return select(ElitePosting).where(t.c.member_id == member_id, holding(t, day))


def postings_from(member_id: UUID, day: date) -> Select[Any]:
    """The postings of a member that begin on a day or later."""
    t = ElitePosting.__table__
    return select(ElitePosting).where(t.c.member_id == member_id, t.c.valid_from >= day)


def terms_of(member_id: UUID) -> Select[Any]:
    """The packages of a member, the earliest first."""
    t = EliteTerm.__table__
    return select(EliteTerm).where(t.c.member_id == member_id).order_by(t.c.valid_from)


def unsettled(line: str, day: date, most: int) -> Select[Any]:
    """Ids of members whom the posting of this day does not find where it puts them, at most so many."""
    member, posting = EliteMember.__table__, ElitePosting.__table__
    elsewhere = or_(posting.c.elite_team_id != member.c.elite_team_id, posting.c.post_id != member.c.post_id)
    return (
        select(member.c.id)
        .select_from(member.join(posting, posting.c.member_id == member.c.id))
        .where(
            member.c.line == line,
            member.c.state.in_([str(state) for state in EMPLOYED]),
            holding(posting, day),
            elsewhere,
        )
        .order_by(member.c.id)
        .limit(most)
    )


def memberships_of(line: str, user_id: UUID) -> Select[Any]:
    """The present membership of an account in a line."""
    t = EliteMember.__table__
    return select(EliteMember).where(
        t.c.line == line, t.c.owner_id == user_id, t.c.state.not_in([str(state) for state in GONE])
    )


def people_in(line: str, kind: str, region: str) -> Select[Any]:
    """How many members, candidates among them, the teams of a kind have in a region."""
    member, team = EliteMember.__table__, EliteTeam.__table__
    return (
        select(func.count())
        .select_from(member.join(team, team.c.id == member.c.elite_team_id))
        .where(
            member.c.line == line,
            member.c.state.not_in([str(state) for state in GONE]),
            team.c.kind == kind,
            team.c.region == region,
        )
    )


def roles_in(team_ids: Sequence[UUID]) -> Select[Any]:
    """How many people of each role work in these teams: team, role, people."""
    member, post = EliteMember.__table__, ElitePost.__table__
    return (
        select(member.c.elite_team_id, post.c.role, func.count().label("people"))
        .select_from(member.join(post, post.c.id == member.c.post_id))
        .where(member.c.elite_team_id.in_(team_ids), member.c.state.in_([str(state) for state in EMPLOYED]))
        .group_by(member.c.elite_team_id, post.c.role)
    )


def postings_within(line: str, start: date, end: date) -> Select[Any]:
    """Postings of a line that hold on a day from `start` up to, not including, `end`, each with what it says.

    Columns: member_id, elite_team_id, step_id, post_id, role (of the post), grade, letter, valid_from, valid_to. By
    member, the earliest first.
    """
    posting, member = ElitePosting.__table__, EliteMember.__table__
    post, step = ElitePost.__table__, EliteStep.__table__
    joined = (
        posting.join(member, member.c.id == posting.c.member_id)
        .join(post, post.c.id == posting.c.post_id)
        .join(step, step.c.id == posting.c.step_id)
    )
    return (
        select(
            posting.c.member_id,
            posting.c.elite_team_id,
            posting.c.step_id,
            posting.c.post_id,
            post.c.role,
            step.c.grade,
            step.c.letter,
            posting.c.valid_from,
            posting.c.valid_to,
        )
        .select_from(joined)
        .where(
            member.c.line == line,
            posting.c.valid_from < end,
            or_(posting.c.valid_to.is_(None), posting.c.valid_to > start),
        )
        .order_by(posting.c.member_id, posting.c.valid_from)
    )
