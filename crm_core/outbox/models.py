"""The tables of recorded events, and of who has taken them in."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Base, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime

MOST_ERROR: Final = 500


class OutboxEvent(Record):
    """One recorded event (事件). `position` in the feed is given after commit, by the relay."""

    __tablename__ = "outbox_events"
    __table_args__ = (
        UniqueConstraint("subject_type", "subject_id", "sequence", "ordinal"),
        Index(
            "ix_outbox_events_unnumbered",
            "id",
            postgresql_where=text("position IS NULL"),
            sqlite_where=text("position IS NULL"),
        ),
        Index(
            "uq_outbox_events_position",
            "position",
            unique=True,
            postgresql_where=text("position IS NOT NULL"),
            sqlite_where=text("position IS NOT NULL"),
        ),
        Index("ix_outbox_events_subject_ref_position", "subject_ref", "position"),
        Index("ix_outbox_events_line_position", "line", "position"),
        Index("ix_outbox_events_kind_position", "kind", "position"),
        Index("ix_outbox_events_occurred_at", "occurred_at"),
        Index("ix_outbox_events_request_id", "request_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "before": Personal("content", "Values before the change, for consumers of events"),
        "after": Personal("content", "Values after the change, for consumers of events"),
        "data": Personal("content", "Further data of the event"),
        "actor_name": Personal("identity", "Who made the change"),
    }

    position: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(80))
    schema_version: Mapped[int] = mapped_column(Integer)
    subject_type: Mapped[str] = mapped_column(String(80))
    subject_id: Mapped[UUID] = mapped_column(Uuid)
    subject_ref: Mapped[str] = mapped_column(String(50))
    sequence: Mapped[int] = mapped_column(BigInteger)
    ordinal: Mapped[int] = mapped_column(Integer)
    line: Mapped[str | None] = mapped_column(LineCode)
    actor_id: Mapped[UUID | None] = mapped_column(Uuid)
    actor_name: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(String(2000))
    request_id: Mapped[str | None] = mapped_column(String(64))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    before: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    after: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    changed_fields: Mapped[list[str]] = mapped_column(JsonValue)
    data: Mapped[dict[str, Any]] = mapped_column(JsonValue)


class FeedState(Base):
    """How far the feed is numbered: one row, locked by whoever numbers (事件编号进度)."""

    __tablename__ = "feed_state"
    personal: ClassVar[dict[str, Personal]] = {}

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class FeedCursor(Base):
    """How far a receiver has taken the feed in, and what keeps it from going on (接收进度).

    `attempts` counts failures at this position; up to `single_until` it gets one event at a time.
    """

    __tablename__ = "feed_cursors"
    personal: ClassVar[dict[str, Personal]] = {}

    receiver: Mapped[str] = mapped_column(String(80), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    single_until: Mapped[int] = mapped_column(BigInteger)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(MOST_ERROR))


class FeedFailure(Base):
    """An event that a receiver could not take in and was passed over (接收失败)."""

    __tablename__ = "feed_failures"
    personal: ClassVar[dict[str, Personal]] = {}

    receiver: Mapped[str] = mapped_column(String(80), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("outbox_events.id"), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(String(MOST_ERROR))
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
