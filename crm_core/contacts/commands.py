"""Commands on contacts: entering, changing, putting away, who of us knows them, and judging their cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import ids
from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.commands import Command, Part, Perform, Ref, omitted
from crm_core.contacts.events import (
    ContactArchived,
    ContactCardChecked,
    ContactCreated,
    ContactLinked,
    ContactRestored,
    ContactUpdated,
)
from crm_core.contacts.models import (
    Contact,
    ContactChannel,
    ContactLink,
    ContactPhone,
    ContactPhoneUse,
    RelationshipState,
)
from crm_core.customers.inputs import CustomerId, Medium, PhoneText, Short, searchable
from crm_core.customers.line_records import in_acting_line
from crm_core.customers.models import Customer
from crm_core.db import search
from crm_core.errors import Message, Refused
from crm_core.numbers import PhoneKind, PhoneNumber, parse_phones
from crm_core.tokens import tokens_of
from crm_core.work import Work

ContactId = Annotated[UUID, Ref("Contact", "con")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Remark = Annotated[str, StringConstraints(max_length=1000)]

KEY_PERSON_NEEDS_MANAGER = Message(
    "KEY_PERSON_NEEDS_MANAGER",
    "The card of a key person is managed individually: name who manages it.",
    "关键人物的关系卡须单独管理，请指定卡片管理人。",
    "CS-051",
)
NOT_LINKED = Message(
    "NOT_LINKED", "{name} has no relation with this contact.", "{name} 与该联系人没有关系记录。"
)
MESSAGES = (KEY_PERSON_NEEDS_MANAGER, NOT_LINKED)

_CARD = frozenset({"name", "employer", "title", "address", "phones", "wechat", "email"})
_PLAIN = (
    "title", "employer", "department", "role", "decision_role", "decision_effect", "concerns", "is_key_person", "wechat",
    "email", "address", "birthday", "preferences", "preferred_channel", "remark", "card_manager_id",
)  # fmt: skip


class ContactPhoneInput(Part):
    """One telephone number of a contact (电话)."""

    number: PhoneText = Field(description="The number as written, with extension if any (号码).")
    use: ContactPhoneUse | None = Field(
        None,
        description="Mobile, office or home (手机/办公室/家庭); default: mobile or office, told from the number.",
    )


class _ContactFields(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "contact.write"
    returns: ClassVar[str | list[str]] = "Contact"

    title: Words | None = omitted(description="Post (职务, CS-050).")
    employer: Words | None = omitted(description="Employer, when it is not the customer (工作单位, CS-051).")
    department: Words | None = omitted(description="Department (部门).")
    role: Words | None = omitted(description="Role for us, an open list (角色).")
    decision_role: Words | None = omitted(description="Role in the purchase decision (购买决策角色, CS-055).")
    decision_effect: Remark | None = omitted(description="Effect on the purchase decision (作用, CS-055).")
    concerns: Text | None = omitted(description="Points of concern (关心的要点, CS-055).")
    is_key_person: bool = omitted(
        description="Plays a key part in the purchasing decision (关键人物, CS-053)."
    )
    phones: list[ContactPhoneInput] = omitted(
        max_length=20, description="All telephone numbers (电话, CS-050)."
    )
    wechat: Short | None = omitted(description="WeChat id (微信).")
    email: Short | None = omitted(description="E-mail (邮箱).")
    address: Medium | None = omitted(description="Address (住址, CS-051).")
    birthday: date | None = omitted(description="Birthday (生日).")
    preferences: Text | None = omitted(description="Preferences (偏好).")
    preferred_channel: ContactChannel | None = omitted(
        description="How the contact wants to be reached (首选联系方式)."
    )
    remark: Text | None = omitted(description="Remark (备注).")
    card_manager_id: UserId | None = omitted(
        description="Who manages the contact's card; of a key person never nobody (卡片管理人, CS-051)."
    )


class CreateContact(_ContactFields):
    """Enter a contact of a customer (新建联系人)."""

    kind = "contact.create"
    customer_id: CustomerId = Field(description="The customer (客户).")
    name: Words = Field(description="The contact's name (姓名).")
    private: bool = Field(
        False, description="Known to the line acted in only; else shared by all lines (仅本业务线)."
    )


async def create_contact(work: Work, command: CreateContact) -> Contact:
    """The new contact; the card of a key person is managed by the actor unless somebody else is named."""
    customer = await work.get(Customer, command.customer_id, "customerId")
    await in_acting_line(work, customer, command.scope, "customerId")
    contact = Contact(
        customer_id=customer.id,
        line=work.acting_line if command.private else None,
        name=command.name,
        name_search=searchable(command.name),
        card_check_due_at=_next_check(work),
    )
    await _apply(work, contact, command.given())
    work.add(contact)
    await work.flush()
    await _replace_phones(work, contact, command.phones or ())
    await work.flush()
    await _make_findable(work, contact)
    work.record(ContactCreated.of(contact, customer=ids.show("cus", customer.id)))
    return contact


class UpdateContact(_ContactFields):
    """Change a contact; what is left out stays, `phones` replaces all (修改联系人).

    A changed card loses its verdict and is to be judged again (CS-052).
    """

    kind = "contact.update"
    subject = "id"
    id: ContactId = Field(description="The contact.")
    name: Words = omitted(description="The contact's name (姓名).")


async def update_contact(work: Work, command: UpdateContact) -> Contact:
    """The changed contact."""
    contact = await _subject(work, command.scope)
    given = command.given()
    await _apply(work, contact, given)
    if "phones" in given:
        await _replace_phones(work, contact, command.phones)
    if _changed(work):
        if given.keys() & _CARD:
            contact.card_accurate = contact.card_valid = contact.card_timely = None
            contact.card_check_due_at = work.now
        work.touch(contact)
        customer = ids.show("cus", contact.customer_id)
        work.record(ContactUpdated.of(contact, customer=customer, phones_changed="phones" in given))
    await work.flush()
    if given.keys() & {"name", "phones", "wechat"}:
        await _make_findable(work, contact)
    return contact


def _changed(work: Work) -> bool:
    return bool(work.session.new or work.session.deleted) or any(
        map(work.session.is_modified, work.session.dirty)
    )


async def _subject(work: Work, scope: str) -> Contact:
    """The contact, whose customer must be among the actor's in the line acted in."""
    contact: Contact = work.subject
    customer = await work.session.get_one(Customer, contact.customer_id)
    await in_acting_line(work, customer, scope)
    return contact


async def _apply(work: Work, contact: Contact, given: Mapping[str, Any]) -> None:
    for name in given.keys() & set(_PLAIN):
        value = given[name]
        setattr(contact, name, getattr(value, "value", value))
    if "name" in given:
        contact.name, contact.name_search = given["name"], searchable(given["name"])
    if given.get("card_manager_id") is not None:
        await work.get(User, given["card_manager_id"], "cardManagerId")
    if contact.is_key_person and contact.card_manager_id is None:
        if "card_manager_id" in given or work.actor.user_id is None:
            raise Refused(KEY_PERSON_NEEDS_MANAGER("cardManagerId"))
        contact.card_manager_id = work.actor.user_id


def _next_check(work: Work) -> Any:
    return work.now + timedelta(days=work.settings_of("contacts").card_check_days)


async def _replace_phones(work: Work, contact: Contact, given: Sequence[ContactPhoneInput]) -> None:
    statement = select(ContactPhone).where(ContactPhone.contact_id == contact.id)
    known = {(p.e164, p.extension): p for p in (await work.session.scalars(statement)).all()}
    numbers: dict[tuple[str, str | None], tuple[PhoneNumber, ContactPhoneUse]] = {}
    for one in given:
        number = parse_phones(one.number).numbers[0]
        numbers.setdefault((number.e164, number.extension), (number, one.use or _use(number)))
    for position, (key, (number, use)) in enumerate(numbers.items()):
        row = known.pop(key, None)
        if row is None:
            row = ContactPhone(
                contact_id=contact.id, e164=number.e164, extension=number.extension, raw=number.raw
            )
            work.add(row)
        row.position, row.raw, row.kind = position, number.raw, use.value
    for gone in known.values():
        await work.session.delete(gone)


def _use(number: PhoneNumber) -> ContactPhoneUse:
    return ContactPhoneUse.MOBILE if number.kind is PhoneKind.MOBILE else ContactPhoneUse.OFFICE


async def _make_findable(work: Work, contact: Contact) -> None:
    phones = await work.session.scalars(
        select(ContactPhone.e164).where(ContactPhone.contact_id == contact.id)
    )
    tokens = tokens_of([contact.name], phones.all(), [contact.wechat] if contact.wechat else ())
    await search.index(work.session, work.services.database.dialect, "Contact", contact.id, tokens)


class _OnContact(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "contact.write"
    returns: ClassVar[str | list[str]] = "Contact"
    subject: ClassVar[str | None] = "id"
    id: ContactId = Field(description="The contact.")


class ArchiveContact(_OnContact):
    """Put a contact away; it can be restored (联系人归档)."""

    kind = "contact.archive"


async def archive_contact(work: Work, command: ArchiveContact) -> Contact:
    """The archived contact; archiving twice changes nothing."""
    contact = await _subject(work, command.scope)
    if contact.archived_at is None:
        contact.archived_at = work.now
        work.touch(contact)
        work.record(ContactArchived.of(contact))
    return contact


class RestoreContact(_OnContact):
    """Take a contact back that was put away (联系人恢复)."""

    kind = "contact.restore"


async def restore_contact(work: Work, command: RestoreContact) -> Contact:
    """The restored contact; one that is not archived stays as it is."""
    contact = await _subject(work, command.scope)
    if contact.archived_at is not None:
        contact.archived_at = None
        work.touch(contact)
        work.record(ContactRestored.of(contact))
    return contact


class LinkContact(_OnContact):
    """Say how one of us stands with a contact; a later word replaces the earlier (关系状态, CS-054, CS-056)."""

    kind = "contact.link"
    user_id: UserId = Field(description="Who of us (我方人员).")
    state: RelationshipState = Field(description="How he stands with the contact (关系状态).")
    since: date | None = omitted(description="Since when (起始日期).")
    remark: Remark | None = omitted(description="Remark (备注).")


async def link_contact(work: Work, command: LinkContact) -> Contact:
    """The contact with the relation; saying the same again changes nothing."""
    contact = await _subject(work, command.scope)
    user = await work.get(User, command.user_id, "userId")
    link = await _link(work, contact, user.id)
    before = link.state if link else None
    if link is None:
        link = work.add(ContactLink(contact_id=contact.id, user_id=user.id, state=command.state.value))
    link.state = command.state.value
    for name in command.given().keys() & {"since", "remark"}:
        setattr(link, name, getattr(command, name))
    if _changed(work):
        _touch(work, contact, link if before else None)
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


def _touch(work: Work, contact: Contact, link: ContactLink | None) -> None:
    if link is not None:
        work.touch(link)
    work.touch(contact)


class UnlinkContact(_OnContact):
    """Take back that one of us has to do with a contact (取消关系)."""

    kind = "contact.unlink"
    user_id: UserId = Field(description="Who of us (我方人员).")


async def unlink_contact(work: Work, command: UnlinkContact) -> Contact:
    """The contact without that relation; refuses when there is none."""
    contact = await _subject(work, command.scope)
    user = await work.get(User, command.user_id, "userId")
    link = await _link(work, contact, user.id)
    if link is None:
        raise Refused(NOT_LINKED("userId", name=user.name))
    await work.session.delete(link)
    work.touch(contact)
    shown = ids.show("usr", user.id)
    work.record(ContactLinked.of(contact, user=shown, before_state=link.state, after_state=None))
    return contact


class CheckCard(_OnContact):
    """Judge the relationship card of a contact (客户关系卡核对, CS-052)."""

    kind = "contact.check_card"
    accurate: bool = Field(description="Whether it is accurate (准确性).")
    valid: bool = Field(description="Whether it is valid (有效性).")
    timely: bool = Field(description="Whether it is up to date (时效性).")
    remark: Remark | None = Field(None, description="What was found (核对意见).")


async def check_card(work: Work, command: CheckCard) -> Contact:
    """The contact with its verdict; a card found good is due again after the days of the settings, else at once."""
    contact = await _subject(work, command.scope)
    good = command.accurate and command.valid and command.timely
    contact.card_accurate, contact.card_valid, contact.card_timely = (
        command.accurate,
        command.valid,
        command.timely,
    )
    contact.card_checked_at, contact.card_checked_by_id = work.now, work.actor.user_id
    contact.card_check_due_at = _next_check(work) if good else work.now
    contact.card_remark = command.remark
    work.touch(contact)
    verdict = {"accurate": command.accurate, "valid": command.valid, "timely": command.timely}
    work.record(ContactCardChecked.of(contact, **verdict))
    return contact


COMMANDS: Mapping[type[Command], Perform] = {
    CreateContact: create_contact,
    UpdateContact: update_contact,
    ArchiveContact: archive_contact,
    RestoreContact: restore_contact,
    LinkContact: link_contact,
    UnlinkContact: unlink_contact,
    CheckCard: check_card,
}

__all__ = ["COMMANDS", "MESSAGES", "ContactId", "CreateContact", "UpdateContact"]
