"""Tables of contacts and of who in the company knows them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import UtcDateTime


class RelationshipState(StrEnum):
    """How one of us stands with a key person (关系状态, CS-056).

    POSITIVE 积极的: well known, on good terms. NEUTRAL 中立的: known, ordinary terms. NEGATIVE 消极的: known, on bad
    terms. NOT_ESTABLISHED 尚未建立关系: known by name, not yet met.
    """

    POSITIVE = "POSITIVE"
    NEUTRAL = "NEUTRAL"
    NEGATIVE = "NEGATIVE"
    NOT_ESTABLISHED = "NOT_ESTABLISHED"


class ContactChannel(StrEnum):
    """By what a contact wants to be reached (联系方式偏好)."""

    PHONE = "PHONE"
    SMS = "SMS"
    WECHAT = "WECHAT"
    EMAIL = "EMAIL"
    VISIT = "VISIT"
    POST = "POST"


class ContactPhoneUse(StrEnum):
    """Mobile (手机), office (办公室电话) or home (家庭电话) number of a contact (CS-050)."""

    MOBILE = "MOBILE"
    OFFICE = "OFFICE"
    HOME = "HOME"


_REACH = "Reaching the contact"
_KNOW = "Knowing the people of a customer"


class Contact(Aggregate):
    """A person of a customer (联系人), shared by all lines (`line` null) or known to one line only."""

    __tablename__ = "contacts"
    __table_args__ = (
        Index("ix_contacts_customer_id_id", "customer_id", "id"),
        Index("ix_contacts_name_id", "name", "id"),
        Index("ix_contacts_line_customer_id", "line", "customer_id"),
        Index("ix_contacts_created_at_id", "created_at", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "name": Personal("identity", _KNOW, mask="name"),
        "name_search": Personal("identity", "Finding the contact by name", mask="name"),
        "title": Personal("profile", _KNOW),
        "employer": Personal("profile", _KNOW),
        "department": Personal("profile", _KNOW),
        "role": Personal("profile", _KNOW),
        "decision_role": Personal("profile", _KNOW),
        "decision_effect": Personal("profile", _KNOW),
        "concerns": Personal("profile", _KNOW),
        "wechat": Personal("contact", _REACH, mask="all"),
        "email": Personal("contact", _REACH, mask="all"),
        "address": Personal("contact", _REACH, mask="all"),
        "birthday": Personal("profile", "Congratulating the contact"),
        "preferences": Personal("profile", _KNOW),
        "remark": Personal("content", _KNOW),
        "card_remark": Personal("content", "Keeping the card true"),
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    line: Mapped[str | None] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(120))
    name_search: Mapped[str] = mapped_column(String(120))
    title: Mapped[str | None] = mapped_column(String(120))
    employer: Mapped[str | None] = mapped_column(String(200))
    department: Mapped[str | None] = mapped_column(String(120))
    role: Mapped[str | None] = mapped_column(String(120))
    decision_role: Mapped[str | None] = mapped_column(String(200))
    decision_effect: Mapped[str | None] = mapped_column(String(1000))
    concerns: Mapped[str | None] = mapped_column(String(2000))
    is_key_person: Mapped[bool] = mapped_column(Boolean, default=False)
    wechat: Mapped[str | None] = mapped_column(String(100))
    email: Mapped[str | None] = mapped_column(String(200))
    address: Mapped[str | None] = mapped_column(String(400))
    birthday: Mapped[date | None] = mapped_column(Date)
    preferences: Mapped[str | None] = mapped_column(String(2000))
    preferred_channel: Mapped[str | None] = mapped_column(String(40))
    remark: Mapped[str | None] = mapped_column(String(2000))
    card_manager_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    card_check_due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    card_checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    card_checked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    card_accurate: Mapped[bool | None] = mapped_column(Boolean)
    card_valid: Mapped[bool | None] = mapped_column(Boolean)
    card_timely: Mapped[bool | None] = mapped_column(Boolean)
    card_remark: Mapped[str | None] = mapped_column(String(1000))
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ContactPhone(Record):
    """A telephone number of a contact: as written, and in E.164 for comparing."""

    __tablename__ = "contact_phones"
    __table_args__ = (UniqueConstraint("contact_id", "e164", "extension"),)
    personal: ClassVar[dict[str, Personal]] = {
        "raw": Personal("contact", _REACH, mask="phone"),
        "e164": Personal("contact", _REACH, mask="phone"),
        "extension": Personal("contact", _REACH),
    }

    contact_id: Mapped[UUID] = mapped_column(ForeignKey("contacts.id"))
    position: Mapped[int] = mapped_column(Integer, default=0)
    raw: Mapped[str] = mapped_column(String(100))
    e164: Mapped[str] = mapped_column(String(20), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    extension: Mapped[str | None] = mapped_column(String(10))


class ContactLink(Aggregate):
    """One of us who has to do with a contact, and how he stands with him (CS-054, CS-056)."""

    __tablename__ = "contact_links"
    __table_args__ = (
        UniqueConstraint("contact_id", "user_id"),
        Index("ix_contact_links_state_contact_id", "state", "contact_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "state": Personal("profile", _KNOW),
        "remark": Personal("content", _KNOW),
    }

    contact_id: Mapped[UUID] = mapped_column(ForeignKey("contacts.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    state: Mapped[str] = mapped_column(String(40))
    since: Mapped[date | None] = mapped_column(Date)
    remark: Mapped[str | None] = mapped_column(String(1000))


TABLES: tuple[type[Any], ...] = (Contact, ContactPhone, ContactLink)
