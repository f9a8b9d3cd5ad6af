"""Tables of what is kept after signing: where forms and copies are, and the register of controlled documents."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import UtcDateTime


class FiledForm(StrEnum):
    """What of a signed form is kept (存档形式): the ORIGINAL (原件) or a COPY (复印件)."""

    ORIGINAL = "ORIGINAL"
    COPY = "COPY"


class ControlledKind(StrEnum):
    """Kind of a controlled document (受控文件): POLICY 制度, RULES 实施细则, FORM 表格, TABLE 年度表."""

    POLICY = "POLICY"
    RULES = "RULES"
    FORM = "FORM"
    TABLE = "TABLE"


class ControlledState(StrEnum):
    """State of a controlled document (文件状态): DRAFT 草稿, PENDING 审批中, IN_FORCE 现行, REPLACED 已废止."""

    DRAFT = "DRAFT"
    PENDING = "PENDING"
    IN_FORCE = "IN_FORCE"
    REPLACED = "REPLACED"


class ApprovalFiling(Record):
    """Who keeps the original or a copy of a signed form, in which department, since when (归档); ended, not deleted."""

    __tablename__ = "approval_filings"
    __table_args__ = (Index("ix_approval_filings_keeper_id_ended_at", "keeper_id", "ended_at"),)
    personal: ClassVar[dict[str, Personal]] = {"note": Personal("content", "Remark on where a form is kept")}

    approval_id: Mapped[UUID] = mapped_column(ForeignKey("approvals.id"), index=True)
    line: Mapped[str] = mapped_column(LineCode)
    form: Mapped[str] = mapped_column(String(40))
    department: Mapped[str] = mapped_column(String(120))
    place: Mapped[str] = mapped_column(String(200), default="")
    note: Mapped[str] = mapped_column(String(1000), default="")
    keeper_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    filed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    filed_on: Mapped[date] = mapped_column(Date)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ControlledDocument(Aggregate):
    """One issue and revision of a controlled document (受控文件): who prepared, reviewed and approved it, and when.

    `place` is where its text is kept. Preparer and reviewer and approver are those who signed, never written by hand.
    """

    __tablename__ = "controlled_documents"
    __table_args__ = (
        UniqueConstraint("line", "number", "issue", "revision"),
        Index("ix_controlled_documents_line_state_number", "line", "state", "number"),
        Index("ix_controlled_documents_line_review_due_on", "line", "review_due_on"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    kind: Mapped[str] = mapped_column(String(40))
    number: Mapped[str] = mapped_column(String(60))
    title: Mapped[str] = mapped_column(String(200))
    department: Mapped[str] = mapped_column(String(120))
    issue: Mapped[int] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(Integer)
    pages: Mapped[int] = mapped_column(Integer)
    year: Mapped[int | None] = mapped_column(Integer)
    place: Mapped[str] = mapped_column(String(300), default="")
    review_months: Mapped[int | None] = mapped_column(Integer)
    review_due_on: Mapped[date | None] = mapped_column(Date)
    state: Mapped[str] = mapped_column(String(40))
    prepared_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    prepared_on: Mapped[date] = mapped_column(Date)
    reviewed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reviewed_on: Mapped[date | None] = mapped_column(Date)
    approved_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    approved_on: Mapped[date | None] = mapped_column(Date)


TABLES: tuple[type[Any], ...] = (ApprovalFiling, ControlledDocument)
