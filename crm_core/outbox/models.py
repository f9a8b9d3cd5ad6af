"""The table of recorded events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime


class OutboxEvent(Record):
    """One recorded event (事件). `position` in the feed is given after commit, by the relay."""

    __tablename__ = "outbox_events"
    __table_args__ = (
        UniqueConstraint("subject_type", "subject_id", "sequence", "ordinal"),
        Index("ix_outbox_events_subject_ref_id", "subject_ref", "id"),
        Index("ix_outbox_events_line_id", "line", "id"),
        Index("ix_outbox_events_kind_id", "kind", "id"),
        Index("ix_outbox_events_occurred_at", "occurred_at"),
        Index("ix_outbox_events_request_id", "request_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "before": Personal("content", "Values before the change, for consumers of events"),
        "after": Personal("content", "Values after the change, for consumers of events"),
        "data": Personal("content", "Further data of the event"),
        "actor_name": Personal("identity", "Who made the change"),
    }

    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
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
