"""Input forms of contact commands, and loading the contact they change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_core.access.commands import UserId
from crm_core.commands import Command, Part, Ref, omitted
from crm_core.contacts.models import Contact, ContactChannel, ContactPhoneUse
from crm_core.customers.inputs import Email, Medium, PhoneText, Short
from crm_core.customers.line_records import in_acting_line
from crm_core.customers.models import Customer
from crm_core.work import Work

ContactId = Annotated[UUID, Ref("Contact", "con")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Remark = Annotated[str, StringConstraints(max_length=1000)]


class ContactPhoneInput(Part):
    """One telephone number of a contact (电话)."""

    number: PhoneText = Field(description="The number as written, with extension if any (号码).")
    use: ContactPhoneUse | None = Field(
        None,
        description="Mobile, office or home (手机/办公室/家庭); default: mobile or office, told from the number.",
    )


class ContactFields(Command):
    """What may be said of a contact; base of the commands that say it."""

    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "contact.write"
    returns: ClassVar[str | list[str]] = "Contact"

    title: Words | None = omitted(description="Post (职务, CS-050).")
    employer: Words | None = omitted(description="Employer, when it is not the customer (工作单位, CS-051).")
    department: Words | None = omitted(description="Department (部门).")
    role: Words | None = omitted(description="Role for us, an open list (角色).")
    decision_role: Words | None = omitted(
        description="Role in the purchase decision; one of the deployment's, if it lists them (购买决策角色, CS-055)."
    )
    decision_effect: Remark | None = omitted(description="Effect on the purchase decision (作用, CS-055).")
    concerns: Text | None = omitted(description="Points of concern (关心的要点, CS-055).")
    is_key_person: bool = omitted(
        description="Plays a key part in the purchasing decision (关键人物, CS-053)."
    )
    phones: list[ContactPhoneInput] = omitted(
        max_length=20, description="All telephone numbers (电话, CS-050)."
    )
    wechat: Short | None = omitted(description="WeChat id (微信).")
    email: Email | None = omitted(description="E-mail (邮箱).")
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


class OnContact(Command):
    """A command on one contact."""

    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "contact.write"
    returns: ClassVar[str | list[str]] = "Contact"
    subject: ClassVar[str | None] = "id"
    id: ContactId = Field(description="The contact.")


async def subject_of(work: Work, scope: str) -> Contact:
    """The contact, whose customer must be among the actor's in the line acted in."""
    contact: Contact = work.subject
    customer = await work.session.get_one(Customer, contact.customer_id)
    await in_acting_line(work, customer, scope)
    return contact


def next_check(work: Work) -> datetime:
    """When a card judged good now is due again."""
    days: int = work.settings_of("contacts").card_check_days
    return work.now + timedelta(days=days)
