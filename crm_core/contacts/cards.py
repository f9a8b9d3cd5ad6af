"""Who of us knows a contact and how well, and whether his relationship card is true (客户关系卡)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from crm_core import ids
from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.commands import Command, Perform, omitted
from crm_core.contacts.events import ContactCardChecked, ContactLinked
from crm_core.contacts.inputs import OnContact, Remark, next_check, subject_of
from crm_core.contacts.models import Contact, ContactLink, RelationshipState
from crm_core.customers.line_records import anything_changed
from crm_core.errors import Message, Refused
from crm_core.work import Work

NOT_LINKED = Message(
    "NOT_LINKED", "{name} has no relation with this contact.", "{name} 与该联系人没有关系记录。"
)
MESSAGES = (NOT_LINKED,)


class LinkContact(OnContact):
    """Say how one of us stands with a contact; a later word replaces the earlier (关系状态, CS-054, CS-056)."""

    kind = "contact.link"
    user_id: UserId = Field(description="Who of us (我方人员).")
    state: RelationshipState = Field(description="How he stands with the contact (关系状态).")
    since: date | None = omitted(description="Since when (起始日期).")
    remark: Remark | None = omitted(description="Remark (备注).")


async def link_contact(work: Work, command: LinkContact) -> Contact:
    """The contact with the relation; saying the same again changes nothing."""
    contact = await subject_of(work, command.scope)
    user = await work.get(User, command.user_id, "userId")
    link = await _link(work, contact, user.id)
    before = link.state if link else None
    if link is None:
        link = work.add(ContactLink(contact_id=contact.id, user_id=user.id, state=command.state.value))
    link.state = command.state.value
    for name in command.given().keys() & {"since", "remark"}:
        setattr(link, name, getattr(command, name))
    if anything_changed(work):
        link.updated_at = work.now
        work.record(
            ContactLinked.of(
                contact, user=ids.show("usr", user.id), before_state=before, after_state=link.state
            )
        )
    return contact


async def _link(work: Work, contact: Contact, user_id: UUID) -> ContactLink | None:
    statement = select(ContactLink).where(
        ContactLink.contact_id == contact.id, ContactLink.user_id == user_id
    )
    return (await work.session.scalars(statement)).first()


class UnlinkContact(OnContact):
    """Take back that one of us has to do with a contact (取消关系)."""

    kind = "contact.unlink"
    user_id: UserId = Field(description="Who of us (我方人员).")


async def unlink_contact(work: Work, command: UnlinkContact) -> Contact:
    """The contact without that relation; refuses when there is none."""
    contact = await subject_of(work, command.scope)
    user = await work.get(User, command.user_id, "userId")
    link = await _link(work, contact, user.id)
    if link is None:
        raise Refused(NOT_LINKED("userId", name=user.name))
    await work.session.delete(link)
    shown = ids.show("usr", user.id)
    work.record(ContactLinked.of(contact, user=shown, before_state=link.state, after_state=None))
    return contact


class CheckCard(OnContact):
    """Judge the relationship card of a contact (客户关系卡核对, CS-052)."""

    kind = "contact.check_card"
    accurate: bool = Field(description="Whether it is accurate (准确性).")
    valid: bool = Field(description="Whether it is valid (有效性).")
    timely: bool = Field(description="Whether it is up to date (时效性).")
    remark: Remark | None = Field(None, description="What was found (核对意见).")


async def check_card(work: Work, command: CheckCard) -> Contact:
    """The contact with its verdict; a card found good is due again after the days of the settings, else at once."""
    contact = await subject_of(work, command.scope)
    good = command.accurate and command.valid and command.timely
    contact.card_accurate, contact.card_valid, contact.card_timely = (
        command.accurate,
        command.valid,
        command.timely,
    )
    contact.card_checked_at, contact.card_checked_by_id = work.now, work.actor.user_id
    contact.card_check_due_at = next_check(work) if good else work.now
    contact.card_remark = command.remark
    verdict = {"accurate": command.accurate, "valid": command.valid, "timely": command.timely}
    work.record(ContactCardChecked.of(contact, **verdict))
    return contact


COMMANDS: Mapping[type[Command], Perform] = {
    LinkContact: link_contact,
    UnlinkContact: unlink_contact,
    CheckCard: check_card,
}
