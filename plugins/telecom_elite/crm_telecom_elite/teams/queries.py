"""Teams of a line: their cars, customers and establishment as they are on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select, true

from crm_core.customers.models import CustomerLine
from crm_core.graphql.access import Access
from crm_telecom_elite.rates.queries import visible
from crm_telecom_elite.teams.models import (
    EliteCustomerAssignment,
    EliteEstablishment,
    EliteTeam,
    EliteTeamCars,
)


def of_visible_team(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Rows of a team that the caller sees, for tables without line of their own."""
    if access.everything(scope):
        return true()
    team = EliteTeam.__table__
    seen: ColumnElement[bool] = t.c.elite_team_id.in_(select(team.c.id).where(visible(team, access, scope)))
    return seen


def cars_of(team_ids: Sequence[UUID]) -> Select[Any]:
    """From which days on these teams have cars or not: team, from, guaranteed; the earliest first.

    A team without such rows has them (MO-051: the company in principle guarantees cars).
    """
    t = EliteTeamCars.__table__
    columns = (t.c.elite_team_id, t.c.valid_from, t.c.guaranteed)
    return select(*columns).where(t.c.elite_team_id.in_(team_ids)).order_by(t.c.elite_team_id, t.c.valid_from)


def in_force(line: str, customer_id: UUID, day: date) -> Select[Any]:
    """The assignment of a customer that holds on a day."""
    t = EliteCustomerAssignment.__table__
    return select(EliteCustomerAssignment).where(
        t.c.line == line, t.c.customer_id == customer_id, _holds(t, day)
    )


def after(line: str, customer_id: UUID, day: date) -> Select[Any]:
    """The assignments of a customer that begin on a day or later."""
    t = EliteCustomerAssignment.__table__
    return select(EliteCustomerAssignment).where(
        t.c.line == line, t.c.customer_id == customer_id, t.c.valid_from >= day
    )


def _holds(t: Any, day: date) -> ColumnElement[bool]:
    held: ColumnElement[bool] = (t.c.valid_from <= day) & or_(t.c.valid_to.is_(None), t.c.valid_to > day)
    return held


def unsettled(line: str, day: date, most: int) -> Select[Any]:
    """Ids of assignments that hold on this day, of customers the line still has with another team, at most so many."""
    t, team, own = EliteCustomerAssignment.__table__, EliteTeam.__table__, CustomerLine.__table__
    joined = t.join(team, team.c.id == t.c.elite_team_id).join(
        own, (own.c.customer_id == t.c.customer_id) & (own.c.line == t.c.line)
    )
    return (
        select(t.c.id)
        .select_from(joined)
        .where(
            t.c.line == line,
            t.c.valid_from == day,
            _holds(t, day),
            own.c.team_id.is_distinct_from(team.c.team_id),
        )
        .order_by(t.c.id)
        .limit(most)
    )


def establishment_in(line: str, kind: str, region: str, year: int) -> Select[Any]:
    """The establishment of a kind of team in a region for a year."""
    t = EliteEstablishment.__table__
    return select(EliteEstablishment).where(
        t.c.line == line, t.c.team_kind == kind, t.c.region == region, t.c.year == year
    )
