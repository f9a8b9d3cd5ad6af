"""Finds who is asked to sign an order: by permission and reach, in the line and team of the order, not its consultant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import or_, select

from crm_auto_dealer.orders.models import OrderCard, OrderChange
from crm_auto_dealer.scopes import APPROVAL_SIGN, ORDER_SIGN
from crm_auto_dealer.settings import AutoDealerSettings
from crm_core.access.models import RoleGrant, RoleScope, Team, TeamMember, User
from crm_core.actors import Reach
from crm_core.work import Work

SIGNERS = "order_signers"
"""The name by which policies ask for them."""


class Matter(Protocol):
    """What is to be signed, as far as it matters here."""

    @property
    def record(self) -> Any:
        """The order or its change; of a command the record it is about, or None."""
        ...


async def order_signers(work: Work, matter: Matter) -> Sequence[UUID]:
    """Who may sign the order, or its change: sales manager, leader of its team (AD-050, AD-051); in a fixed order.

    These are the enabled users whose permission to sign orders reaches this one and who may sign at all; those who
    may do everything are not asked. Its consultant is none of them unless the dealer allows it.
    """
    order = await _order(work, matter.record)
    if order is None:
        return ()
    reaches = await _reaches(work, order.line)
    able = reaches.get(APPROVAL_SIGN, {})
    members = await _members(work, order)
    asked = reaches.get(ORDER_SIGN, {}).items()
    return sorted(
        user
        for user, reach in asked
        if user in able and _reached(order, user, reach, members) and may_sign(work, order, user)
    )


def may_sign(work: Work, order: OrderCard, user: UUID | None) -> bool:
    """Whether this person is not the order's own consultant, or the dealer lets him sign all the same (AD-050)."""
    settings: AutoDealerSettings = work.settings_of("auto_dealer")
    return settings.allow_self_signing or user is None or order.owner_id != user


async def _order(work: Work, record: Any) -> OrderCard | None:
    if isinstance(record, OrderChange):
        return await work.session.get(OrderCard, record.order_id)
    return record if isinstance(record, OrderCard) else None


async def _reaches(work: Work, line: str) -> Mapping[str, Mapping[UUID, Reach]]:
    """Permission → enabled users who hold it in the line → how far it reaches, at most."""
    grant, scope, user = RoleGrant.__table__, RoleScope.__table__, User.__table__
    held = (
        select(scope.c.scope, grant.c.user_id, scope.c.reach)
        .join(grant, grant.c.role_id == scope.c.role_id)
        .join(user, user.c.id == grant.c.user_id)
        .where(
            scope.c.scope.in_([ORDER_SIGN, APPROVAL_SIGN]),
            or_(grant.c.line == line, grant.c.line.is_(None)),
            user.c.disabled_at.is_(None),
        )
    )
    found: dict[str, dict[UUID, Reach]] = {}
    for name, who, reach in (await work.session.execute(held)).all():
        known = found.setdefault(name, {})
        known[who] = max(known.get(who, Reach.OWN), Reach(reach))
    return found


async def _members(work: Work, order: OrderCard) -> Sequence[frozenset[UUID]]:
    """Members of the order's team, then of the one above it, and so on; none for an order without a team."""
    team, member = Team.__table__, TeamMember.__table__
    known = select(team.c.id, team.c.parent_id, member.c.user_id)
    rows = await work.session.execute(
        known.join(member, member.c.team_id == team.c.id, isouter=True).where(team.c.line == order.line)
    )
    above: dict[UUID, UUID | None] = {}
    people: dict[UUID, set[UUID]] = {}
    for key, parent, user in rows.all():
        above[key] = parent
        people.setdefault(key, set()).add(user)
    way: list[UUID] = []
    step = order.team_id
    while step is not None and step in above and step not in way:
        way.append(step)
        step = above[step]
    return [frozenset(people[key]) for key in way]


def _reached(order: OrderCard, user: UUID, reach: Reach, members: Sequence[frozenset[UUID]]) -> bool:
    if reach >= Reach.LINE or order.owner_id == user:
        return True
    if reach is Reach.SUBTREE:
        return any(user in level for level in members)
    return reach is Reach.TEAM and bool(members) and user in members[0]
