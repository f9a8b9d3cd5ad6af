"""Commands on contacts: entering, changing, putting away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from crm_core import ids
from crm_core.access.models import User
from crm_core.commands import Command, Perform, omitted
from crm_core.contacts import cards
from crm_core.contacts.events import (
    ContactArchived,
    ContactCreated,
    ContactRestored,
    ContactUpdated,
)
from crm_core.contacts.inputs import (
    ContactFields,
    ContactId,
    ContactPhoneInput,
    OnContact,
    Words,
    next_check,
    subject_of,
)
from crm_core.contacts.models import (
    Contact,
    ContactPhone,
    ContactPhoneUse,
)
from crm_core.customers.dossier import resubmit
from crm_core.customers.events import CustomerUpdated
from crm_core.customers.inputs import CustomerId, searchable
from crm_core.customers.line_records import anything_changed, in_acting_line
from crm_core.customers.models import Customer
from crm_core.db import search
from crm_core.errors import Message, Refused
from crm_core.numbers import PhoneKind, PhoneNumber, parse_phones
from crm_core.tokens import tokens_of
from crm_core.work import Work

KEY_PERSON_NEEDS_MANAGER = Message(
    "KEY_PERSON_NEEDS_MANAGER",
    "The card of a key person is managed individually: name who manages it.",
    "关键人物的关系卡须单独管理，请指定卡片管理人。",
    "CS-051",
)
UNKNOWN_DECISION_ROLE = Message(
    "UNKNOWN_DECISION_ROLE",
    "{value} is no role in the purchase decision here; roles: {roles}.",
    "没有购买决策角色 {value}，可选：{roles}。",
    "CS-055",
)
MESSAGES = (KEY_PERSON_NEEDS_MANAGER, UNKNOWN_DECISION_ROLE, *cards.MESSAGES)

_CARD = frozenset({"name", "employer", "title", "address", "phones", "wechat", "email"})
_PLAIN = (
    "title", "employer", "department", "role", "decision_role", "decision_effect", "concerns", "is_key_person", "wechat",
    "email", "address", "birthday", "preferences", "preferred_channel", "remark", "card_manager_id",
)  # fmt: skip


class CreateContact(ContactFields):
    """Enter a contact of a customer (新建联系人)."""

    kind = "contact.create"
    adds_only = True
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
        card_check_due_at=next_check(work),
    )
    await _apply(work, contact, command.given())
    work.add(contact)
    work.record(ContactCreated.of(contact, customer=ids.show("cus", customer.id)))
    _mended(work, customer)
    await work.flush()
    phones = _put_phones(work, contact, command.phones or (), {})
    await work.flush()
    await _make_findable(work, contact, phones)
    return contact


class UpdateContact(ContactFields):
    """Change a contact; what is left out stays, `phones` replaces all (修改联系人).

    A changed card loses its verdict and is to be judged again (CS-052).
    """

    kind = "contact.update"
    subject = "id"
    id: ContactId = Field(description="The contact.")
    name: Words = omitted(description="The contact's name (姓名).")


async def update_contact(work: Work, command: UpdateContact) -> Contact:
    """The changed contact."""
    contact = await subject_of(work, command.scope)
    given = command.given()
    await _apply(work, contact, given)
    if "phones" in given:
        await _replace_phones(work, contact, command.phones)
    if anything_changed(work):
        if given.keys() & _CARD:
            contact.card_accurate = contact.card_valid = contact.card_timely = None
            contact.card_check_due_at = work.now
        shown = ids.show("cus", contact.customer_id)
        work.record(ContactUpdated.of(contact, customer=shown, phones_changed="phones" in given))
        _mended(work, await work.session.get_one(Customer, contact.customer_id))
    await work.flush()
    if given.keys() & {"name", "phones", "wechat"}:
        await _make_findable(work, contact, await _phones_of(work, contact))
    return contact


def _mended(work: Work, customer: Customer) -> None:
    """Contacts are part of the archive: a returned one waits for its approval again (CS-012).

    Not where an import only adds rows: what is written together changes no record that is there already.
    """
    if work.together is None and resubmit(customer):
        work.record(CustomerUpdated.of(customer))


async def _apply(work: Work, contact: Contact, given: Mapping[str, Any]) -> None:
    if given.get("decision_role") is not None:
        _refuse_unknown_role(work, given["decision_role"])
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


def _refuse_unknown_role(work: Work, role: str) -> None:
    roles: list[str] = work.settings_of("contacts").decision_roles
    if roles and role not in roles:
        raise Refused(UNKNOWN_DECISION_ROLE("decisionRole", value=role, roles=", ".join(roles)))


async def _replace_phones(work: Work, contact: Contact, given: Sequence[ContactPhoneInput]) -> None:
    statement = select(ContactPhone).where(ContactPhone.contact_id == contact.id)
    known = {(p.e164, p.extension): p for p in (await work.session.scalars(statement)).all()}
    _put_phones(work, contact, given, known)
    for gone in known.values():
        await work.session.delete(gone)


def _put_phones(
    work: Work,
    contact: Contact,
    given: Sequence[ContactPhoneInput],
    known: dict[tuple[str, str | None], ContactPhone],
) -> list[str]:
    """Add or keep the given phones, taking those kept out of `known`; all of them in E.164."""
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
    return [e164 for e164, _ in numbers]


def _use(number: PhoneNumber) -> ContactPhoneUse:
    return ContactPhoneUse.MOBILE if number.kind is PhoneKind.MOBILE else ContactPhoneUse.OFFICE


async def _phones_of(work: Work, contact: Contact) -> Sequence[str]:
    found = select(ContactPhone.e164).where(ContactPhone.contact_id == contact.id)
    return (await work.session.scalars(found)).all()


async def _make_findable(work: Work, contact: Contact, phones: Sequence[str]) -> None:
    tokens = tokens_of([contact.name], phones, [contact.wechat] if contact.wechat else ())
    await search.index(work.session, work.services.database.dialect, "Contact", contact.id, tokens)


class ArchiveContact(OnContact):
    """Put a contact away; it can be restored (联系人归档)."""

    kind = "contact.archive"

    def compensation(self, _made: Sequence[UUID], before: Mapping[str, Any]) -> Command | None:
        """Restoring the contact, if it was this that put it away."""
        return RestoreContact(id=self.id) if "archived_at" in before else None


async def archive_contact(work: Work, command: ArchiveContact) -> Contact:
    """The archived contact; archiving twice changes nothing."""
    contact = await subject_of(work, command.scope)
    if contact.archived_at is None:
        contact.archived_at = work.now
        work.record(ContactArchived.of(contact))
    return contact


class RestoreContact(OnContact):
    """Take a contact back that was put away (联系人恢复)."""

    kind = "contact.restore"

    def compensation(self, _made: Sequence[UUID], before: Mapping[str, Any]) -> Command | None:
        """Putting the contact away again, if it was this that took it back."""
        return ArchiveContact(id=self.id) if "archived_at" in before else None


async def restore_contact(work: Work, command: RestoreContact) -> Contact:
    """The restored contact; one that is not archived stays as it is."""
    contact = await subject_of(work, command.scope)
    if contact.archived_at is not None:
        contact.archived_at = None
        work.record(ContactRestored.of(contact))
    return contact


COMMANDS: Mapping[type[Command], Perform] = {
    CreateContact: create_contact,
    UpdateContact: update_contact,
    ArchiveContact: archive_contact,
    RestoreContact: restore_contact,
    **cards.COMMANDS,
}

__all__ = ["COMMANDS", "MESSAGES", "ContactId", "CreateContact", "UpdateContact"]
