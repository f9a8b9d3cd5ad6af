"""The tables of audit entries and of remembered idempotency keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Base, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime


class AuditEntry(Record):
    """Who did what, when, why, and what it changed (审计记录); never updated, never deleted by a command."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_subject_ref_id", "subject_ref", "id"),
        Index("ix_audit_entries_line_id", "line", "id"),
        Index("ix_audit_entries_actor_id_id", "actor_id", "id"),
        Index("ix_audit_entries_kind_id", "kind", "id"),
        Index("ix_audit_entries_channel_id", "channel", "id"),
        Index("ix_audit_entries_subject_type_id", "subject_type", "id"),
        Index("ix_audit_entries_created_at_id", "created_at", "id"),
        Index("ix_audit_entries_request_id", "request_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "actor_name": Personal("identity", "Who acted"),
        "changes": Personal("content", "Values before and after, for evidence of every change"),
        "command": Personal("content", "The command as given"),
    }

    kind: Mapped[str] = mapped_column(String(80))
    actor_id: Mapped[UUID | None] = mapped_column(Uuid)
    actor_name: Mapped[str] = mapped_column(String(200))
    token_id: Mapped[UUID | None] = mapped_column(Uuid)
    line: Mapped[str | None] = mapped_column(LineCode)
    channel: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(2000))
    request_id: Mapped[str | None] = mapped_column(String(64))
    approval_id: Mapped[UUID | None] = mapped_column(Uuid, index=True)
    signer_id: Mapped[UUID | None] = mapped_column(Uuid)
    subject_type: Mapped[str | None] = mapped_column(String(80))
    subject_ref: Mapped[str | None] = mapped_column(String(50))
    command: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


class IdempotencyKey(Base):
    """The outcome of a command that came with an idempotency key (幂等键), remembered for 24 hours."""

    __tablename__ = "idempotency_keys"
    personal: ClassVar[dict[str, Personal]] = {}

    actor: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(80), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
