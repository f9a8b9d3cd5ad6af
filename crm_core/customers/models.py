"""Tables of customers: the shared identity, its parts, and one row per business line."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, Base, LineCode, Personal, Record
from crm_core.db.types import Fen, UtcDateTime
from crm_core.papers import PaperRecord

Word = String(40)
"""A value of an enumeration."""


class CustomerKind(StrEnum):
    """A person (个人) or an organisation (单位)."""

    PERSON = "PERSON"
    ORGANISATION = "ORGANISATION"


class CustomerRelation(StrEnum):
    """Whether the customer buys from us himself (直接客户) or through others (间接客户)."""

    DIRECT = "DIRECT"
    INDIRECT = "INDIRECT"


class Origin(StrEnum):
    """Where data of an archive came from (资料来源): market information (市场信息), a sales contract (销售合同) and so on."""

    MARKET_INFORMATION = "MARKET_INFORMATION"
    SALES_CONTRACT = "SALES_CONTRACT"
    ENQUIRY = "ENQUIRY"
    REFERRAL = "REFERRAL"
    IMPORT = "IMPORT"
    OTHER = "OTHER"


class ArchiveState(StrEnum):
    """Whether the archive (客户档案) waits for its approval (待确认), is confirmed (已确认) or was returned (退回).

    A returned archive waits again as soon as it was mended: a field changed, a paper filed, a transaction recorded, a
    contact entered or changed. A confirmed one stays confirmed whatever changes later (CS-012): approval is given to the
    archive once, later changes are watched by the periodic check (CS-011).
    """

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    RETURNED = "RETURNED"


class CustomerStage(StrEnum):
    """How far the relation with the customer has come in a line (客户阶段)."""

    PROSPECT = "PROSPECT"
    CUSTOMER = "CUSTOMER"
    DORMANT = "DORMANT"
    LOST = "LOST"
    BLACKLISTED = "BLACKLISTED"


class CustomerGrade(StrEnum):
    """Grade of the customer in a line (客户等级)."""

    A = "A"
    B = "B"
    C = "C"
    VIP = "VIP"


class CardState(StrEnum):
    """Whether the customer's card counts (有效卡, 无效卡)."""

    VALID = "VALID"
    VOID = "VOID"


class PhoneUse(StrEnum):
    """What a telephone number is (电话类型): mobile (手机), office (办公), home (住宅), fax (传真), other fixed line."""

    MOBILE = "MOBILE"
    OFFICE = "OFFICE"
    HOME = "HOME"
    FAX = "FAX"
    LANDLINE = "LANDLINE"


class DocumentCategory(StrEnum):
    """Kind of a paper in the archive (档案资料类别)."""

    BUSINESS_LICENCE = "BUSINESS_LICENCE"
    TAX_REGISTRATION = "TAX_REGISTRATION"
    CREDIT_REPORT = "CREDIT_REPORT"
    CONTRACT = "CONTRACT"
    CORRESPONDENCE = "CORRESPONDENCE"
    IDENTITY = "IDENTITY"
    OTHER = "OTHER"


class DuplicateKeyKind(StrEnum):
    """By what two customers may be the same (查重依据)."""

    PHONE = "PHONE"
    CREDIT_CODE = "CREDIT_CODE"
    IDENTITY = "IDENTITY"
    COMPANY = "COMPANY"


class LineChangeKind(StrEnum):
    """What changed in a line's view of a customer."""

    JOINED = "JOINED"
    STAGE = "STAGE"
    GRADE = "GRADE"
    OWNER = "OWNER"
    TEAM = "TEAM"
    CARD = "CARD"
    REVIEW = "REVIEW"


_IDENTIFY = "Telling customers apart"
_REACH = "Reaching the customer"
_SERVE = "Serving the customer by his needs"


class Customer(Aggregate):
    """A person or organisation that trades with the company, or may (客户, CS-001); shared by all lines."""

    __tablename__ = "customers"
    __table_args__ = (
        Index("ix_customers_name_id", "name", "id"),
        Index("ix_customers_created_at_id", "created_at", "id"),
        Index("ix_customers_updated_at_id", "updated_at", "id"),
        Index("ix_customers_province_city_district", "province", "city", "district"),
        Index("ix_customers_city", "city"),
        Index("ix_customers_archive_state_id", "archive_state", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "name": Personal("identity", _IDENTIFY, mask="name"),
        "name_search": Personal("identity", "Finding the customer by name", mask="name"),
        "identity_sealed": Personal("sensitive", "Contracts and registrations that ask for it", mask="all"),
        "identity_blind": Personal("sensitive", "Finding the same person twice", mask="all"),
        "identity_masked": Personal("identity", _IDENTIFY),
        "address": Personal("contact", _REACH, mask="all"),
        "wechat": Personal("contact", _REACH, mask="all"),
        "email": Personal("contact", _REACH, mask="all"),
        "website": Personal("contact", _REACH),
        "needs": Personal("profile", _SERVE),
        "preferences": Personal("profile", _SERVE),
        "remark": Personal("content", _SERVE),
        "archive_remark": Personal(
            "content", "What the approver said when confirming or returning the archive"
        ),
        "credit_status": Personal("profile", "Judging credit"),
    }

    number: Mapped[str] = mapped_column(String(20), unique=True)
    kind: Mapped[str] = mapped_column(Word)
    name: Mapped[str] = mapped_column(String(200))
    name_search: Mapped[str] = mapped_column(String(200))
    credit_code: Mapped[str | None] = mapped_column(String(18), index=True)
    identity_sealed: Mapped[str | None] = mapped_column(String(300))
    identity_blind: Mapped[str | None] = mapped_column(String(64), index=True)
    identity_masked: Mapped[str | None] = mapped_column(String(40))
    province: Mapped[str | None] = mapped_column(String(60))
    city: Mapped[str | None] = mapped_column(String(60))
    district: Mapped[str | None] = mapped_column(String(60))
    address: Mapped[str | None] = mapped_column(String(400))
    office_location: Mapped[str | None] = mapped_column(String(400))
    wechat: Mapped[str | None] = mapped_column(String(100))
    email: Mapped[str | None] = mapped_column(String(200))
    website: Mapped[str | None] = mapped_column(String(300))
    source_channel: Mapped[str | None] = mapped_column(String(100), index=True)
    origin: Mapped[str] = mapped_column(Word, default=Origin.OTHER.value)
    relation: Mapped[str] = mapped_column(Word, default=CustomerRelation.DIRECT.value)
    needs: Mapped[str | None] = mapped_column(String(4000))
    preferences: Mapped[str | None] = mapped_column(String(4000))
    remark: Mapped[str | None] = mapped_column(Text)
    credit_status: Mapped[str | None] = mapped_column(String(4000))
    production_process: Mapped[str | None] = mapped_column(String(4000))
    production_scale: Mapped[str | None] = mapped_column(String(4000))
    raw_materials: Mapped[str | None] = mapped_column(String(4000))
    production_investment: Mapped[str | None] = mapped_column(String(4000))
    secrecy: Mapped[str] = mapped_column(String(40))
    archive_state: Mapped[str] = mapped_column(Word, default=ArchiveState.PENDING.value)
    archive_decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    archive_decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    archive_remark: Mapped[str | None] = mapped_column(String(1000))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"), index=True)
    merged_into_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"), index=True)
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)


class CustomerLine(Aggregate):
    """What one business line knows of a customer: owner, team, grade, stage, and the salesman's file (CS-018)."""

    __tablename__ = "customer_lines"
    __table_args__ = (
        UniqueConstraint("line", "customer_id"),
        Index("ix_customer_lines_customer_id_line", "customer_id", "line"),
        Index("ix_customer_lines_line_owner_id_customer_id", "line", "owner_id", "customer_id"),
        Index("ix_customer_lines_line_team_id_customer_id", "line", "team_id", "customer_id"),
        Index("ix_customer_lines_line_grade_customer_id", "line", "grade", "customer_id"),
        Index("ix_customer_lines_line_stage_customer_id", "line", "stage", "customer_id"),
        Index("ix_customer_lines_line_review_due_at_customer_id", "line", "review_due_at", "customer_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "interest": Personal("profile", _SERVE),
        "deposit": Personal("profile", "The salesman's file of the customer"),
        "review_findings": Personal("content", "Keeping archives accurate"),
        "last_contact_text": Personal("content", "What an imported file says of the last contact"),
        "consultant_name": Personal("identity", "Attributing work to the employee"),
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    line: Mapped[str] = mapped_column(LineCode)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    grade: Mapped[str | None] = mapped_column(Word)
    stage: Mapped[str] = mapped_column(Word, default=CustomerStage.PROSPECT.value)
    collected_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    department: Mapped[str | None] = mapped_column(String(120))
    consultant_name: Mapped[str | None] = mapped_column(String(120))
    interest: Mapped[str | None] = mapped_column(String(1000))
    product_category: Mapped[str | None] = mapped_column(String(200))
    payment_method: Mapped[str | None] = mapped_column(String(100))
    deposit: Mapped[int | None] = mapped_column(Fen)
    loan_payment_on: Mapped[date | None] = mapped_column(Date)
    first_visit_on: Mapped[date | None] = mapped_column(Date)
    last_contact_on: Mapped[date | None] = mapped_column(Date)
    last_contact_text: Mapped[str | None] = mapped_column(Text)
    card_state: Mapped[str] = mapped_column(Word, default=CardState.VALID.value)
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reviewed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    review_due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    review_accurate: Mapped[bool | None] = mapped_column(Boolean)
    review_complete: Mapped[bool | None] = mapped_column(Boolean)
    review_current: Mapped[bool | None] = mapped_column(Boolean)
    review_findings: Mapped[str | None] = mapped_column(String(2000))


class CustomerLineChange(Record):
    """One change of a line's view of a customer, kept for good: what, from, to, when, by whom, why."""

    __tablename__ = "customer_line_changes"
    __table_args__ = (Index("ix_customer_line_changes_customer_line_id_id", "customer_line_id", "id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "reason": Personal("content", "Why a customer changed hands or stage")
    }

    customer_line_id: Mapped[UUID] = mapped_column(ForeignKey("customer_lines.id"))
    what: Mapped[str] = mapped_column(Word)
    old: Mapped[str | None] = mapped_column(String(200))
    new: Mapped[str | None] = mapped_column(String(200))
    by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None] = mapped_column(String(1000))


class CustomerPhone(Record):
    """A telephone number of a customer: as written, and in E.164 for comparing."""

    __tablename__ = "customer_phones"
    __table_args__ = (UniqueConstraint("customer_id", "e164", "extension"),)
    personal: ClassVar[dict[str, Personal]] = {
        "raw": Personal("contact", _REACH, mask="phone"),
        "e164": Personal("contact", _REACH, mask="phone"),
        "extension": Personal("contact", _REACH),
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    position: Mapped[int] = mapped_column(Integer, default=0)
    raw: Mapped[str] = mapped_column(String(100))
    e164: Mapped[str] = mapped_column(String(20), index=True)
    kind: Mapped[str] = mapped_column(Word)
    extension: Mapped[str | None] = mapped_column(String(10))


class CustomerExternalId(Record):
    """The customer's id in another system; unique per source."""

    __tablename__ = "customer_external_ids"
    __table_args__ = (UniqueConstraint("source", "external_id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "external_id": Personal("identity", "Matching records of other systems")
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"), index=True)
    source: Mapped[str] = mapped_column(String(60))
    external_id: Mapped[str] = mapped_column(String(120), index=True)


class CustomerTag(Record):
    """A tag on a customer (标签)."""

    __tablename__ = "customer_tags"
    __table_args__ = (
        UniqueConstraint("customer_id", "tag"),
        Index("ix_customer_tags_tag_customer_id", "tag", "customer_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {"tag": Personal("profile", _SERVE)}

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    tag: Mapped[str] = mapped_column(String(60))


class CustomerDocument(PaperRecord):
    """A paper of the archive (档案资料, CS-004): a reference to a file of the local store; never overwritten."""

    __tablename__ = "customer_documents"
    __table_args__ = (
        Index("ix_customer_documents_customer_id_line_id", "customer_id", "line", "id"),
        Index("ix_customer_documents_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "title": Personal("content", "Papers of the archive"),
        "path": Personal("content", "Papers of the archive"),
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    line: Mapped[str] = mapped_column(LineCode)
    category: Mapped[str] = mapped_column(Word)
    origin: Mapped[str] = mapped_column(Word)
    received_on: Mapped[date] = mapped_column(Date)
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    filed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    filed_late: Mapped[bool] = mapped_column(Boolean)


class CustomerTransaction(Record):
    """A past transaction of a customer with one line (以往交易记录, CS-004)."""

    __tablename__ = "customer_transactions"
    __table_args__ = (
        Index("ix_customer_transactions_customer_id_line_id", "customer_id", "line", "id"),
        Index("ix_customer_transactions_line_done_on_id", "line", "done_on", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "description": Personal("content", "Past transactions"),
        "amount": Personal("profile", "Past transactions"),
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    line: Mapped[str] = mapped_column(LineCode)
    done_on: Mapped[date] = mapped_column(Date)
    product_category: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(1000))
    amount: Mapped[int] = mapped_column(Fen)
    payment_method: Mapped[str | None] = mapped_column(String(100))
    origin: Mapped[str] = mapped_column(Word)
    recorded_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class CustomerKey(Base):
    """What a customer is compared by (查重): normalised phone, credit code, blind identity number, company name."""

    __tablename__ = "customer_keys"
    personal: ClassVar[dict[str, Personal]] = {
        "value": Personal("identity", "Finding the same customer twice")
    }

    kind: Mapped[str] = mapped_column(Word, primary_key=True)
    value: Mapped[str] = mapped_column(String(200), primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"), primary_key=True, index=True)


class DuplicateFlag(Record):
    """For stewards only: a customer of one line seems to exist in another that its keeper cannot see."""

    __tablename__ = "customer_duplicate_flags"
    __table_args__ = (
        UniqueConstraint("customer_id", "other_id", "line", "foreign_line"),
        Index("ix_customer_duplicate_flags_line_id", "line", "id"),
        Index("ix_customer_duplicate_flags_foreign_line_id", "foreign_line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    other_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    line: Mapped[str] = mapped_column(LineCode)
    foreign_line: Mapped[str] = mapped_column(LineCode)
    by: Mapped[str] = mapped_column(Word)


class CustomerNumber(Base):
    """Hands out customer numbers: a row per number, so that two writers never wait for or meet each other."""

    __tablename__ = "customer_numbers"
    personal: ClassVar[dict[str, Personal]] = {}

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    customer_id: Mapped[UUID] = mapped_column(Uuid)


TABLES: tuple[type[Any], ...] = (
    Customer, CustomerLine, CustomerLineChange, CustomerPhone, CustomerExternalId, CustomerTag, CustomerDocument,
    CustomerTransaction, CustomerKey, DuplicateFlag, CustomerNumber,
)  # fmt: skip
