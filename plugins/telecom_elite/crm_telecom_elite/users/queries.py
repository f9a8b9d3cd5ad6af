"""Which developed users a caller may see, whose they are, and how many a member developed in a month."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, Uuid, and_, false, func, or_, select, true

from crm_core.actors import Reach
from crm_core.db.arrays import among
from crm_core.graphql.access import Access
from crm_telecom_elite.members.models import ElitePosting
from crm_telecom_elite.months import first_day, last_day
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users.models import EliteAssignment, EliteUser

_U, _A, _P = EliteUser.__table__, EliteAssignment.__table__, ElitePosting.__table__


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Users of one's own, of one's team, or of the line, as far as the scope reaches."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id, team=t.c.team_id)


def numbered(line: str, numbers: Iterable[str], dialect: str) -> Select[Any]:
    """Users of a line by these numbers: id, number."""
    return select(_U.c.id, _U.c.number).where(
        _U.c.line == line, among(_U.c.number, sorted(set(numbers)), String(), dialect)
    )


def postings_of(members: Iterable[UUID], dialect: str) -> Select[Any]:
    """All postings of these members with their team: member, from, to, team of the elite, team of the line, its kind."""
    t = EliteTeam.__table__
    return (
        select(
            _P.c.member_id,
            _P.c.valid_from,
            _P.c.valid_to,
            t.c.id.label("elite_team_id"),
            t.c.team_id,
            t.c.kind,
        )
        .join(t, t.c.id == _P.c.elite_team_id)
        .where(among(_P.c.member_id, sorted(set(members)), Uuid(), dialect))
        .order_by(_P.c.member_id, _P.c.valid_from)
    )


def assignments_of(users: Iterable[UUID], dialect: str) -> Select[EliteAssignment]:
    """All assignments of these users, the earliest first."""
    return (
        select(EliteAssignment)
        .where(among(_A.c.user_id, sorted(set(users)), Uuid(), dialect))
        .order_by(_A.c.user_id, _A.c.valid_from)
    )


def held_from(members: Iterable[UUID], day: date, dialect: str) -> Select[EliteAssignment]:
    """Assignments to these members that hold on a day or later, locked."""
    held = select(EliteAssignment).where(_held(members, day, dialect))
    return held.order_by(_A.c.user_id, _A.c.valid_from).with_for_update()


def users_held_from(members: Iterable[UUID], day: date, dialect: str) -> Select[EliteUser]:
    """The users of these assignments, locked."""
    these = select(_A.c.user_id).where(_held(members, day, dialect))
    return select(EliteUser).where(EliteUser.id.in_(these)).order_by(_U.c.id).with_for_update()


def _held(members: Iterable[UUID], day: date, dialect: str) -> ColumnElement[bool]:
    his = among(_A.c.member_id, sorted(set(members)), Uuid(), dialect)
    return and_(his, or_(_A.c.valid_to.is_(None), _A.c.valid_to > day))


def has_now(a: Any, member: Any) -> ColumnElement[bool]:
    """The last assignment of a user is to this member."""
    return and_(a.c.member_id == member.c.id, a.c.valid_to.is_(None))


def developed_in(line: str, month: str, *, members: Sequence[UUID] | None = None) -> Select[Any]:
    """How many group users each member developed in a month (MO-072): member, users. Legacy users are not counted."""
    found = (
        select(_U.c.member_id, func.count().label("users"))
        .where(
            _U.c.line == line,
            _U.c.activated_on.between(first_day(month), last_day(month)),
            _U.c.group_user.is_(True),
            _U.c.legacy.is_(False),
            _U.c.member_id.is_not(None),
        )
        .group_by(_U.c.member_id)
    )
    return found if members is None else found.where(_U.c.member_id.in_(members))


def holding_on(a: Any, day: ColumnElement[Any]) -> ColumnElement[bool]:
    """The assignment that holds on a day."""
    return and_(a.c.valid_from <= day, or_(a.c.valid_to.is_(None), a.c.valid_to > day))


def of_visible_user(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Rows with `line` and `user_id`: those of users the scope reaches; a whole line needs no look at the user."""
    if access.everything(scope):
        return true()
    reach = access.actor.reach(scope)
    wide = sorted(line for line, how_far in reach.items() if how_far >= Reach.LINE)
    narrow = sorted(reach.keys() - set(wide))
    whole: ColumnElement[bool] = t.c.line.in_(wide) if wide else false()
    if not narrow:
        return whole
    u = _U.alias()
    own = access.per_line(scope, u.c.line, owner=u.c.owner_id, team=u.c.team_id, only=narrow)
    of_these = and_(t.c.line.in_(narrow), t.c.user_id.in_(select(u.c.id).where(own)))
    return or_(whole, of_these)
