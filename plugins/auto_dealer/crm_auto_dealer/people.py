"""Finds the customer and the consultant a command names, in the line acted in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from crm_core import errors, ids
from crm_core.access.models import Team, TeamMember, User
from crm_core.actors import Actor, Reach
from crm_core.customers.models import CustomerLine
from crm_core.customers.queries import line_rows
from crm_core.errors import Message, Refused
from crm_core.work import Work

CONSULTANT_OUT_OF_REACH = Message(
    "AUTO_DEALER_CONSULTANT_OUT_OF_REACH",
    "You may not act for this consultant; leave consultantId out to act for yourself.",
    "您无权代该销售顾问办理；不填 consultantId 即以本人名义办理。",
)
MESSAGES = (CONSULTANT_OUT_OF_REACH,)


@dataclass(frozen=True, slots=True)
class Consultant:
    """The person a record belongs to (销售顾问), with his only team in the line; the system itself has neither."""

    user_id: UUID | None
    team_id: UUID | None


async def require_customer(work: Work, customer_id: UUID, path: str) -> None:
    """Refuse, as not found and naming `path`, a customer whom the actor does not reach in the line acted in."""
    row = CustomerLine.__table__
    reached = line_rows(row, work.services.access(work.actor), "customer.read")
    here = select(row.c.id).where(row.c.customer_id == customer_id, row.c.line == work.acting_line, reached)
    if await work.session.scalar(here) is None:
        raise Refused(errors.NOT_FOUND(path, type="Customer", id=ids.show("cus", customer_id)))


async def consultant_for(work: Work, scope: str, user_id: UUID | None) -> Consultant:
    """The consultant named, or the actor himself; refuses one whom the actor's reach for `scope` does not cover."""
    if user_id is not None and user_id != work.actor.user_id:
        await work.get(User, user_id, "consultantId")
    named = user_id or work.actor.user_id
    consultant = Consultant(named, await _team(work, named))
    if not _covered(work.actor, scope, work.acting_line, consultant):
        raise Refused(CONSULTANT_OUT_OF_REACH("consultantId"))
    return consultant


async def _team(work: Work, user_id: UUID | None) -> UUID | None:
    """The user's only team in the line."""
    own = (
        select(Team.id)
        .join(TeamMember, TeamMember.team_id == Team.id)
        .where(Team.line == work.acting_line, TeamMember.user_id == user_id)
        .limit(2)
    )
    teams = (await work.session.scalars(own)).all()
    return teams[0] if len(teams) == 1 else None


def _covered(actor: Actor, scope: str, line: str, consultant: Consultant) -> bool:
    if actor.is_system or consultant.user_id == actor.user_id:
        return True
    reach = actor.reach(scope).get(line, Reach.OWN)
    teams = {Reach.TEAM: actor.teams, Reach.SUBTREE: actor.subtree}.get(reach, {})
    return reach >= Reach.LINE or consultant.team_id in teams.get(line, frozenset())
