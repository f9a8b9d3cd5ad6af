"""Input forms that the commands on plans share, and loading what they name."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_core import errors, ids
from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.commands import Ref
from crm_core.contacts.models import Contact
from crm_core.errors import Message, Refused
from crm_core.interactions.refusals import OTHER_CUSTOMER
from crm_core.work import Work
from crm_telecom_elite.plans.queries import reaches_line

CENTRE_ONLY = Message(
    "TELECOM_ELITE_PLAN_OF_THE_CENTRE",
    "Plans of the whole line are made by the marketing centre.",
    "全线计划由营销中心总经理制订。",
    rule="MO-522",
)
PLAN_EXISTS = Message(
    "TELECOM_ELITE_PLAN_EXISTS",
    "There is such a plan for {year} already: {plan}. Change that one.",
    "{year} 年度已有该计划：{plan}，请在其上修改。",
)
MESSAGES = (CENTRE_ONLY, PLAN_EXISTS)

ContactPlanId = Annotated[UUID, Ref("EliteContactPlan", "ecp")]
PlannedContactId = Annotated[UUID, Ref("ElitePlannedContact", "epc")]
ActionPlanId = Annotated[UUID, Ref("EliteActionPlan", "eap")]
ActionId = Annotated[UUID, Ref("EliteAction", "eac")]
RevenuePlanId = Annotated[UUID, Ref("EliteRevenuePlan", "erp")]
TenderId = Annotated[UUID, Ref("EliteTender", "etd")]
Year = Annotated[int, Field(ge=2000, le=2100)]
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Noted = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
Goal = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Purpose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


async def user_of(work: Work, given: UserId | None, path: str = "ownerId") -> UUID | None:
    """Somebody named, or the actor himself."""
    return work.actor.user_id if given is None else (await work.get(User, given, path)).id


async def refuse_stranger(work: Work, customer_id: UUID, contact_id: UUID | None, path: str) -> None:
    """Refuse a contact person of another customer, or one that another line keeps for itself."""
    if contact_id is None:
        return
    contact = await work.get(Contact, contact_id, path)
    if contact.line not in (None, work.acting_line):
        raise Refused(errors.NOT_FOUND(path, type="Contact", id=ids.show("con", contact_id)))
    if contact.customer_id != customer_id:
        raise Refused(OTHER_CUSTOMER(path))


def refuse_below_line(work: Work, path: str | None = None) -> None:
    """Refuse whose reach is not the line (MO-522)."""
    if not reaches_line(work):
        raise Refused(CENTRE_ONLY(path))
