"""Who stands above a user in a line (上级), and who administers it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.access.models import RoleGrant, RoleScope, Team, TeamMember, User
from crm_core.access.queries import EVERYTHING


@dataclass(frozen=True, slots=True)
class TeamAbove:
    """A team on the way up: the team above it, its leaders (enabled ones, and the user himself), if it is the user's."""

    parent: UUID | None
    leaders: frozenset[UUID]
    own: bool


async def superiors(session: AsyncSession, user_id: UUID, line: str, level: int) -> list[UUID]:
    """Who is `level` steps (1: next) above a user in a line, in a fixed order; empty where the chain ends.

    A step is the enabled leaders of a team: of the user's own team, or, where he leads it or nobody else does, of the
    next team above that has other leaders. Whoever stands on a lower step is on none above it. One statement.
    """
    rows = (await session.execute(_way_up(user_id, line))).all()
    leaders: dict[UUID, set[UUID]] = {}
    for row in rows:
        leaders.setdefault(row.id, set()).update({row.leader} - {None})
    teams = {
        row.id: TeamAbove(row.parent_id, frozenset(leaders[row.id]), row.own is not None) for row in rows
    }
    return at_level(user_id, teams, level)


def at_level(user_id: UUID, teams: Mapping[UUID, TeamAbove], level: int) -> list[UUID]:
    """Who is `level` steps above the user, given the teams from his own upwards; several own teams go up side by side."""
    if level < 1:
        raise ValueError("levels begin with 1")
    ways = [_steps(user_id, teams, own) for own in sorted(teams) if teams[own].own]
    return sorted(next(islice(_levels(ways), level - 1, None), ()))


def _levels(ways: Sequence[Iterator[frozenset[UUID]]]) -> Iterator[set[UUID]]:
    """The steps of several ways taken together, without whoever stood on a lower one."""
    below: set[UUID] = set()
    for steps in zip_longest(*ways, fillvalue=frozenset[UUID]()):
        here = set().union(*steps) - below
        below |= here
        if here:
            yield here


def _steps(user_id: UUID, teams: Mapping[UUID, TeamAbove], start: UUID) -> Iterator[frozenset[UUID]]:
    """The distinct steps from a team upwards; a circle of teams is walked once."""
    seen: set[UUID] = set()
    passed: set[UUID] = set()
    here: UUID | None = start
    while here is not None and here in teams and here not in passed:
        team = teams[here]
        passed.add(here)
        step = team.leaders - seen if user_id not in team.leaders else frozenset()
        if step:
            seen |= step
            yield step
        here = team.parent


def _way_up(user_id: UUID, line: str) -> Select[Any]:
    """The user's teams of the line and all above them, one row per leader; a circle ends, as no row comes twice."""
    team, member, user = Team.__table__, TeamMember.__table__, User.__table__
    way = (
        select(team.c.id, team.c.parent_id)
        .join(member, member.c.team_id == team.c.id)
        .where(member.c.user_id == user_id, team.c.line == line)
        .cte("way", recursive=True)
    )
    above = select(team.c.id, team.c.parent_id).join(way, way.c.parent_id == team.c.id)
    way = way.union(above.where(team.c.line == line))
    mine, leads = member.alias("mine"), member.alias("leads")
    leader = and_(user.c.id == leads.c.user_id, or_(user.c.disabled_at.is_(None), user.c.id == user_id))
    return (
        select(way.c.id, way.c.parent_id, mine.c.user_id.label("own"), user.c.id.label("leader"))
        .select_from(way)
        .join(mine, and_(mine.c.team_id == way.c.id, mine.c.user_id == user_id), isouter=True)
        .join(leads, and_(leads.c.team_id == way.c.id, leads.c.leads == true()), isouter=True)
        .join(user, leader, isouter=True)
    )


async def administrators(session: AsyncSession, line: str) -> list[UUID]:
    """Enabled users who may administer in a line, by a role for it or for all lines, in a fixed order."""
    return await _holders_of(session, ("access.admin", EVERYTHING), line)


async def _holders_of(session: AsyncSession, scopes: Collection[str], line: str) -> list[UUID]:
    grant, scope, user = RoleGrant.__table__, RoleScope.__table__, User.__table__
    statement = (
        select(grant.c.user_id)
        .join(scope, scope.c.role_id == grant.c.role_id)
        .join(user, and_(user.c.id == grant.c.user_id, user.c.disabled_at.is_(None)))
        .where(scope.c.scope.in_(sorted(scopes)), or_(grant.c.line == line, grant.c.line.is_(None)))
        .distinct()
    )
    return sorted((await session.execute(statement)).scalars())


__all__ = ["TeamAbove", "administrators", "at_level", "superiors"]
