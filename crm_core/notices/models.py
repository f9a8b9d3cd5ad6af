"""Tables of notices, their deliveries, and what each user wants to be told where."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import JsonValue, UtcDateTime

MOST_ERROR: Final = 500


class NoticeDeliveryState(StrEnum):
    """What became of a delivery (投递状态): FAILED is tried again, DEAD is not."""

    WAITING = "WAITING"
    SENT = "SENT"
    FAILED = "FAILED"
    DEAD = "DEAD"


class Notice(Aggregate):
    """One message to one user (通知): its kind and facts; the words are made when it is read or sent.

    A notice with a `dedupe_key` is written once per user.
    """

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("user_id", "dedupe_key"),
        Index("ix_notices_user_id_id", "user_id", "id"),
        Index("ix_notices_user_id_read_at_id", "user_id", "read_at", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "facts": Personal("content", "What the employee is told"),
    }

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    line: Mapped[str | None] = mapped_column(LineCode)
    kind: Mapped[str] = mapped_column(String(80))
    facts: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    subject_type: Mapped[str | None] = mapped_column(String(80))
    subject_ref: Mapped[str | None] = mapped_column(String(50))
    path: Mapped[str | None] = mapped_column(String(500))
    urgent: Mapped[bool] = mapped_column(Boolean)
    dedupe_key: Mapped[str | None] = mapped_column(String(200))
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NoticeDelivery(Aggregate):
    """One notice on its way through one channel (投递).

    `next_at` is when it is due; while somebody sends it, `lease_until` is when others may take it over.
    """

    __tablename__ = "notice_deliveries"
    __table_args__ = (
        Index("ix_notice_deliveries_state_next_at", "state", "next_at"),
        Index("ix_notice_deliveries_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "address": Personal("contact", "Where the notice is sent"),
        "last_error": Personal("content", "Why it could not be sent; a server may name the address"),
    }

    notice_id: Mapped[UUID] = mapped_column(ForeignKey("notices.id"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    line: Mapped[str | None] = mapped_column(LineCode)
    channel: Mapped[str] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(MOST_ERROR))
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NoticePreference(Aggregate):
    """What a user wants to be told through a channel, and when not (通知偏好); without one the settings decide.

    `kinds`: `*`, kinds, or beginnings such as `approval.*`. Quiet hours are local times `HH:MM`, both or none.
    """

    __tablename__ = "notice_preferences"
    __table_args__ = (UniqueConstraint("user_id", "channel"),)
    personal: ClassVar[dict[str, Personal]] = {
        "address": Personal("contact", "Where the employee wants to be told"),
    }

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    channel: Mapped[str] = mapped_column(String(40))
    enabled: Mapped[bool] = mapped_column(Boolean)
    kinds: Mapped[list[str]] = mapped_column(JsonValue)
    quiet_from: Mapped[str | None] = mapped_column(String(5))
    quiet_to: Mapped[str | None] = mapped_column(String(5))
    language: Mapped[str | None] = mapped_column(String(8))
    address: Mapped[str | None] = mapped_column(String(200))


TABLES: tuple[type[Any], ...] = (Notice, NoticeDelivery, NoticePreference)
