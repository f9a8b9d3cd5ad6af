"""Hands over what somebody still has to do by plans (计划交接): by a command, and when he leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, and_, or_, select

from crm_core.access.commands import UserId
from crm_core.access.models import RoleGrant, User
from crm_core.access.offboarding import SUCCESSOR_DISABLED, SUCCESSOR_IS_LEAVER, SUCCESSOR_NOT_IN_LINE
from crm_core.commands import Command, Perform
from crm_core.db.base import Aggregate
from crm_core.errors import Message, Refused
from crm_core.outbox.events import Event
from crm_core.registry import Handover
from crm_core.work import Work
from crm_telecom_elite.plans.events import (
    EliteActionPlanUpdated,
    EliteActionUpdated,
    EliteContactPlanUpdated,
    ElitePlannedContactUpdated,
    EliteRevenuePlanUpdated,
)
from crm_telecom_elite.plans.models import (
    EliteAction,
    EliteActionPlan,
    EliteActionState,
    EliteContactPlan,
    EliteContactState,
    ElitePlannedContact,
    EliteRevenuePlan,
)
from crm_telecom_elite.plans.queries import reaches_line
from crm_telecom_elite.scopes import PLAN_WRITE
from crm_telecom_elite.setwise import write_alike

CENTRE_ONLY = Message(
    "TELECOM_ELITE_HANDOVER_OF_THE_CENTRE",
    "Plans are handed over by the Centre: the permission {scope} must reach the whole line.",
    "计划交接由营销中心办理：权限 {scope} 须覆盖整个业务线。",
)
MESSAGES = (CENTRE_ONLY,)


# -- what is handed over


@dataclass(frozen=True, slots=True)
class Matter:
    """A kind of record with an owner: which of a leaver's go on from a day, how it is told, what else becomes of them."""

    name: str
    model: type[Aggregate]
    told: Callable[[Any], Event]
    goes: Callable[[Any, date, date], ColumnElement[bool]]
    besides: Mapping[str, Any] = field(default_factory=dict)


def _of_year(t: Any, day: date, _now: date) -> ColumnElement[bool]:
    """A plan of the day's year or a later one; those of years that are over stay whose they were."""
    since: ColumnElement[bool] = t.c.year >= day.year
    return since


def _open(state: str, t: Any, day: date, now: date) -> ColumnElement[bool]:
    """What is still to be done by then; until a day to come he who leaves does what is due before it."""
    opened: ColumnElement[bool] = t.c.state == state
    return opened if day <= now else and_(opened, t.c.due_on >= day)


MATTERS: Sequence[Matter] = (
    Matter("elite_contact_plans", EliteContactPlan, EliteContactPlanUpdated.of, _of_year),
    Matter(
        "elite_planned_contacts",
        ElitePlannedContact,
        ElitePlannedContactUpdated.of,
        partial(_open, EliteContactState.PLANNED.value),
        {"reminded_at": None},
    ),
    Matter("elite_action_plans", EliteActionPlan, EliteActionPlanUpdated.of, _of_year),
    Matter("elite_actions", EliteAction, EliteActionUpdated.of, partial(_open, EliteActionState.OPEN.value)),
    Matter("elite_revenue_plans", EliteRevenuePlan, EliteRevenuePlanUpdated.of, _of_year),
)


async def _hand_over(work: Work, matter: Matter, leaver: UUID, successor: UUID, day: date) -> int:
    """Give these records of the line acted in to the successor, in two statements; how many."""
    t = matter.model.__table__
    his = and_(t.c.line == work.acting_line, t.c.owner_id == leaver, matter.goes(t, day, work.day()))
    rows = (
        await work.session.scalars(select(matter.model).where(his).order_by(t.c.id).with_for_update())
    ).all()
    for row in rows:
        work.record(matter.told(row))
    await write_alike(work, rows, owner_id=successor, **matter.besides)
    return len(rows)


# -- by a command


class HandOverPlans(Command):
    """Hand the plans of a user to another from a day on (计划交接); the Centre does it.

    His contact, action and revenue plans of that year and later ones, contacts still planned, and open actions. With a
    day to come, what is due before it stays with him. What took place or was done stays his, a report he owes too.
    """

    kind = "elite_plan.hand_over"
    scope = PLAN_WRITE
    returns = "User"
    owner_id: UserId = Field(description="Whose plans they are (原责任人).")
    successor_id: UserId = Field(description="Who takes over (交接人).")
    valid_from: date = Field(description="The first day it holds (生效日期).")


async def hand_over_plans(work: Work, command: HandOverPlans) -> User:
    """The successor, who sees the plans at once."""
    if not reaches_line(work):
        raise Refused(CENTRE_ONLY(None, scope=PLAN_WRITE))
    leaver = await work.get(User, command.owner_id, "ownerId")
    successor = await work.get(User, command.successor_id, "successorId")
    await _refuse_unfit(work, leaver, successor)
    for matter in MATTERS:
        await _hand_over(work, matter, leaver.id, successor.id, command.valid_from)
    return successor


async def _refuse_unfit(work: Work, leaver: User, successor: User) -> None:
    line = work.acting_line
    if successor.id == leaver.id:
        raise Refused(SUCCESSOR_IS_LEAVER("successorId"))
    if successor.disabled_at is not None:
        raise Refused(SUCCESSOR_DISABLED("successorId", name=successor.name))
    here = or_(RoleGrant.line == line, RoleGrant.line.is_(None))
    role = select(RoleGrant.id).where(RoleGrant.user_id == successor.id, here).limit(1)
    if await work.session.scalar(role) is None:
        raise Refused(SUCCESSOR_NOT_IN_LINE("successorId", name=successor.name, line=line))


# -- when he leaves


async def _when_leaving(matter: Matter, work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """What of it is the leaver's in the line from today on; how many."""
    return 0 if line is None else await _hand_over(work, matter, leaver, successor, work.day())


COMMANDS: dict[type[Command], Perform] = {HandOverPlans: hand_over_plans}
HANDOVERS = tuple(Handover(matter.name, partial(_when_leaving, matter)) for matter in MATTERS)
