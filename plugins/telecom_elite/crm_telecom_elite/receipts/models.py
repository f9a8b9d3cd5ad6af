"""The tables of fees received: one row for each amount billing reports, never changed, corrected by further rows."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import Fen, JsonValue, UtcDateTime
from crm_telecom_elite.months import MONTH


class EliteReceiptSource(StrEnum):
    """How receipts came (来源)."""

    FILE = "FILE"
    WEBHOOK = "WEBHOOK"
    API = "API"


class EliteBatchState(StrEnum):
    """How far a batch of receipts has come (批次状态)."""

    RECEIVED = "RECEIVED"
    """A job will read the file."""
    READING = "READING"
    DONE = "DONE"
    FAILED = "FAILED"
    """The file as a whole cannot be read."""


class EliteReceiptBatch(Aggregate):
    """Receipts that came together: a file, a request of billing, a handful by hand (实收导入批次)."""

    __tablename__ = "telecom_elite_receipt_batches"
    __table_args__ = (
        UniqueConstraint("line", "reference"),
        Index("ix_telecom_elite_receipt_batches_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "problems": Personal("contact", "Mending refused receipts; they name numbers of users")
    }

    line: Mapped[str] = mapped_column(LineCode)
    reference: Mapped[str] = mapped_column(String(120))
    """What the sender calls it: name of the file, number of the request."""
    source: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    path: Mapped[str | None] = mapped_column(String(300))
    sha256: Mapped[str | None] = mapped_column(String(64))
    rows: Mapped[int] = mapped_column(Integer, default=0)
    recorded: Mapped[int] = mapped_column(Integer, default=0)
    known: Mapped[int] = mapped_column(Integer, default=0)
    """Receipts that had been recorded before, by their number."""
    refused: Mapped[int] = mapped_column(Integer, default=0)
    amount: Mapped[int] = mapped_column(Fen, default=0)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue, default=list)
    """The first refused rows with what is wrong with each."""
    job_id: Mapped[UUID | None]
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EliteReceipt(Record):
    """An amount actually received from a user (实收话费, MO-040); negative where money went back.

    `earned_on` decides whose it is and which rates hold: the day it was received, of a correction that of what it
    corrects. `pay_month` is the month whose pay run counts it: that of `received_on`, or the first month still open
    when it came in.
    """

    __tablename__ = "telecom_elite_receipts"
    __table_args__ = (
        UniqueConstraint("line", "number"),
        Index("ix_telecom_elite_receipts_line_pay_month", "line", "pay_month"),
        Index("ix_telecom_elite_receipts_user_id_id", "user_id", "id"),
        Index(
            "ix_telecom_elite_receipts_corrects_id",
            "corrects_id",
            postgresql_where=text("corrects_id IS NOT NULL"),
            sqlite_where=text("corrects_id IS NOT NULL"),
        ),
        Index("ix_telecom_elite_receipts_batch_id_id", "batch_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    number: Mapped[str] = mapped_column(String(80))
    """Billing's own number of it; the same number again changes nothing (收款流水号)."""
    user_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_users.id"))
    bill_month: Mapped[str] = mapped_column(MONTH)
    """The month the bill is about (账期)."""
    received_on: Mapped[date] = mapped_column(Date)
    amount: Mapped[int] = mapped_column(Fen)
    corrects_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_receipts.id"))
    earned_on: Mapped[date] = mapped_column(Date)
    pay_month: Mapped[str] = mapped_column(MONTH)
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_receipt_batches.id"))


class EliteClosedMonth(Record):
    """A month that no receipt is counted in any more: its pay run was computed (已截止的核算月份)."""

    __tablename__ = "telecom_elite_closed_months"
    __table_args__ = (UniqueConstraint("line", "month"),)
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    month: Mapped[str] = mapped_column(MONTH)


TABLES = (EliteReceiptBatch, EliteReceipt, EliteClosedMonth)
