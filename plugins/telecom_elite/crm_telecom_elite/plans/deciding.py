"""Commands on tenders, on what a customer's people are in them, and on who looked at that (购买决策角色作用表, MO-528)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import ids
from crm_core.access.commands import UserId
from crm_core.commands import Command, Perform
from crm_core.contacts.commands import ContactId
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Message, Refused
from crm_core.interactions.queries import customer_line
from crm_core.work import Work
from crm_telecom_elite.plans.events import (
    EliteKeyPersonMapOpened,
    EliteTenderClosed,
    EliteTenderOpened,
    EliteTenderRoleRemoved,
    EliteTenderRoleSet,
)
from crm_telecom_elite.plans.inputs import Noted, Purpose, TenderId, refuse_stranger, user_of
from crm_telecom_elite.plans.models import EliteMapOpening, EliteTender, EliteTenderRole
from crm_telecom_elite.plans.queries import figure_for, may_read_roles
from crm_telecom_elite.scopes import PLAN_READ, PLAN_WRITE

RULE = "MO-528"
MAP_CLOSED = Message(
    "TELECOM_ELITE_MAP_CLOSED",
    "Say what you need the roles of this customer's people for: open their map first.",
    "请先说明用途并打开该客户的关键人物关系图。",
    rule="MO-527",
)
NO_ROLE = Message(
    "TELECOM_ELITE_NO_ROLE",
    "This person has no role in the tender.",
    "该人员在此招标中没有角色记录。",
    rule=RULE,
)
CLOSED = Message(
    "TELECOM_ELITE_TENDER_CLOSED",
    "The tender was closed on {day}.",
    "该招标已于 {day} 结束。",
    rule=RULE,
)
NOBODY = Message(
    "TELECOM_ELITE_NOBODY_OPENS",
    "A map is opened by a person, who stands in the access log.",
    "关系图只能由具名人员打开，并记入查阅记录。",
    rule="MO-527",
)
MESSAGES = (MAP_CLOSED, NO_ROLE, CLOSED, NOBODY)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Concerns = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class OpenKeyPersonMap(Command):
    """Open the roles of a customer's people for some hours, saying what for; it is logged (打开关键人物关系图, MO-527)."""

    kind = "elite_key_person_map.open"
    scope = PLAN_READ
    returns = "EliteMapOpening"
    customer_id: CustomerId = Field(description="The customer (客户).")
    purpose: Purpose = Field(description="What for (用途).")


async def open_key_person_map(work: Work, command: OpenKeyPersonMap) -> EliteMapOpening:
    """The line of the access log; until its end the actor reads the roles of this customer's people."""
    await customer_line(work, command.customer_id, "customerId", PLAN_READ)
    if work.actor.user_id is None:
        raise Refused(NOBODY())
    hours = await figure_for(work, "map_open_hours", command.customer_id, work.day())
    row = work.add(
        EliteMapOpening(
            line=work.acting_line,
            customer_id=command.customer_id,
            user_id=work.actor.user_id,
            purpose=command.purpose,
            until=work.now + timedelta(hours=hours),
        )
    )
    work.record(EliteKeyPersonMapOpened.of(row))
    return row


class OpenTender(Command):
    """Enter a tender of a customer; it is open until it is closed (登记招标, MO-528)."""

    kind = "elite_tender.open"
    scope = PLAN_WRITE
    returns = "EliteTender"
    customer_id: CustomerId = Field(description="The customer (客户).")
    name: Name = Field(description="What is tendered for (招标项目).")
    opened_on: date = Field(description="From when on (开始日期).")
    owner_id: UserId | None = Field(None, description="Who of us follows it; default: you (责任人).")


async def open_tender(work: Work, command: OpenTender) -> EliteTender:
    """The open tender."""
    await customer_line(work, command.customer_id, "customerId", PLAN_WRITE)
    row = work.add(
        EliteTender(
            line=work.acting_line,
            customer_id=command.customer_id,
            owner_id=await user_of(work, command.owner_id),
            name=command.name,
            opened_on=command.opened_on,
        )
    )
    work.record(EliteTenderOpened.of(row))
    return row


class _OnTender(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = PLAN_WRITE
    returns: ClassVar[str | list[str]] = "EliteTender"
    subject: ClassVar[str | None] = "id"
    id: TenderId = Field(description="The tender.")


class CloseTender(_OnTender):
    """Close a tender; those who decided in it are then no longer held back (招标结束, MO-528)."""

    kind = "elite_tender.close"
    closed_on: date | None = Field(
        None, description="The first day it is no longer open; default: today (结束日期)."
    )
    outcome: Noted = Field("", description="What came of it (结果).")


async def close_tender(work: Work, command: CloseTender) -> EliteTender:
    """The closed tender; refused when it is closed already."""
    row: EliteTender = work.subject
    if row.closed_on is not None:
        raise Refused(CLOSED("id", day=row.closed_on.isoformat()))
    row.closed_on = command.closed_on or work.day()
    row.outcome = command.outcome
    work.record(EliteTenderClosed.of(row))
    return row


class SetTenderRole(_OnTender):
    """Say what a person of the customer is in a tender; a later word replaces the earlier (登记角色作用, MO-528)."""

    kind = "elite_tender_role.set"
    returns = "EliteTenderRole"
    subject_type = "EliteTender"
    contact_id: ContactId = Field(description="The person (客户方人员).")
    role: Name = Field(description="Role in the tender (角色).")
    decision_maker: bool = Field(
        description="Whether he decides; nothing may then be spent on him while the tender is open (决策人)."
    )
    influence: Noted = Field("", description="What he effects (作用).")
    concerns: Concerns = Field("", description="What matters to him (关心的要点).")
    purpose: Purpose = Field(description="Why this is kept of him (登记目的).")


async def set_tender_role(work: Work, command: SetTenderRole) -> EliteTenderRole:
    """The role; refused while the actor has not opened the customer's map."""
    tender: EliteTender = work.subject
    if not await may_read_roles(work, tender.customer_id):
        raise Refused(MAP_CLOSED("id"))
    await refuse_stranger(work, tender.customer_id, command.contact_id, "contactId")
    row = await _role(work, tender, command)
    if row is None:
        row = work.add(
            EliteTenderRole(
                line=tender.line,
                tender_id=tender.id,
                customer_id=tender.customer_id,
                **command.model_dump(by_alias=False, exclude={"id"}),
            )
        )
    else:
        for name, value in command.model_dump(by_alias=False, exclude={"id", "contact_id"}).items():
            setattr(row, name, value)
    work.record(EliteTenderRoleSet.of(row))
    return row


async def _role(
    work: Work, tender: EliteTender, command: SetTenderRole | RemoveTenderRole
) -> EliteTenderRole | None:
    found = select(EliteTenderRole).where(
        EliteTenderRole.tender_id == tender.id, EliteTenderRole.contact_id == command.contact_id
    )
    return (await work.session.scalars(found)).first()


class RemoveTenderRole(_OnTender):
    """Take out what a person is in a tender, e.g. once nobody needs it (删除角色作用)."""

    kind = "elite_tender_role.remove"
    contact_id: ContactId = Field(description="The person (客户方人员).")


async def remove_tender_role(work: Work, command: RemoveTenderRole) -> EliteTender:
    """The tender without it; refused while the actor has not opened the customer's map."""
    tender: EliteTender = work.subject
    if not await may_read_roles(work, tender.customer_id):
        raise Refused(MAP_CLOSED("id"))
    row = await _role(work, tender, command)
    if row is None:
        raise Refused(NO_ROLE("contactId"))
    await work.session.delete(row)
    work.record(EliteTenderRoleRemoved.of(tender, contact=ids.show("con", command.contact_id)))
    return tender


COMMANDS: dict[type[Command], Perform] = {
    OpenKeyPersonMap: open_key_person_map,
    OpenTender: open_tender,
    CloseTender: close_tender,
    SetTenderRole: set_tender_role,
    RemoveTenderRole: remove_tender_role,
}
