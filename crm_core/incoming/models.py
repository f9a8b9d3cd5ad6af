"""Tables of sources of incoming webhooks, and of the requests they sent."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import JsonValue, UtcDateTime

_RECEIVED: Final = text("state = 'RECEIVED'")
_FAILED: Final = text("state = 'FAILED'")
_KEPT: Final = text("body IS NOT NULL")
_OPEN_IN_ORDER: Final = text("order_key IS NOT NULL AND state IN ('RECEIVED', 'FAILED')")


class IncomingState(StrEnum):
    """What became of a request (处理状态): RECEIVED waits to be processed, FAILED for somebody to mend what is wrong."""

    RECEIVED = "RECEIVED"
    DONE = "DONE"
    FAILED = "FAILED"
    DISCARDED = "DISCARDED"


class IncomingOrder(StrEnum):
    """Which requests of a source wait for one another (处理顺序): none, those about the same subject, or all."""

    NONE = "NONE"
    SUBJECT = "SUBJECT"
    SOURCE = "SOURCE"


class IncomingSource(Aggregate):
    """A system that may send requests to a line, how it is verified, and what becomes of them (接收来源).

    `path_key` is the unguessable end of its address. `about` says what a request is about, where that gives the order. Secrets are sealed by the keyring; the previous one holds until
    `previous_until`. What its requests ask for is done as the user `actor_id`.
    """

    __tablename__ = "incoming_sources"
    __table_args__ = (UniqueConstraint("line", "name"),)
    personal: ClassVar[dict[str, Personal]] = {
        "path_key": Personal("sensitive", "The address requests are sent to", mask="all"),
        "sealed": Personal("sensitive", "Verifying requests", mask="all"),
        "previous_sealed": Personal("sensitive", "Verifying while the secret is replaced", mask="all"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(80))
    path_key: Mapped[str] = mapped_column(String(64), unique=True)
    verifier: Mapped[str] = mapped_column(String(80))
    options: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    sealed: Mapped[str] = mapped_column(Text)
    previous_sealed: Mapped[str | None] = mapped_column(Text)
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    addresses: Mapped[list[str]] = mapped_column(JsonValue)
    window_seconds: Mapped[int] = mapped_column(Integer)
    body_bytes: Mapped[int] = mapped_column(Integer)
    dedupe: Mapped[str | None] = mapped_column(String(1000))
    ordered: Mapped[str] = mapped_column(String(10), server_default=text("'NONE'"))
    about: Mapped[str | None] = mapped_column(String(1000))
    handler: Mapped[str | None] = mapped_column(String(80))
    mapping: Mapped[list[dict[str, Any]] | None] = mapped_column(JsonValue)
    actor_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    enabled: Mapped[bool] = mapped_column(Boolean)


class IncomingRequest(Aggregate):
    """A request as it was received, and what became of it (收到的请求).

    `headers` and `query` are without secrets; `body` is as its sender meant it, decrypted where it came encrypted, and
    is removed after a time. `dedupe_key` is the same whenever it is sent again. Of those with the same `order_key` one waits
    until all before it are done or discarded. `next_at` is when it is due; while
    somebody processes it, `lease_until` is when others may take it over. `results` tell what was done step by step,
    `errors` (code and parameters) why it failed.
    """

    __tablename__ = "incoming_requests"
    __table_args__ = (
        UniqueConstraint("source_id", "dedupe_key"),
        Index("ix_incoming_requests_due", "next_at", postgresql_where=_RECEIVED, sqlite_where=_RECEIVED),
        Index(
            "ix_incoming_requests_failed", "source_id", "finished_at",
            postgresql_where=_FAILED, sqlite_where=_FAILED,
        ),
        Index(
            "ix_incoming_requests_in_order", "source_id", "order_key", "created_at", "id",
            postgresql_where=_OPEN_IN_ORDER, sqlite_where=_OPEN_IN_ORDER,
        ),
        Index("ix_incoming_requests_kept", "id", postgresql_where=_KEPT, sqlite_where=_KEPT),
        Index("ix_incoming_requests_source_id_id", "source_id", "id"),
        Index("ix_incoming_requests_line_id", "line", "id"),
        Index("ix_incoming_requests_line_state_id", "line", "state", "id"),
    )  # fmt: skip
    personal: ClassVar[dict[str, Personal]] = {
        "headers": Personal("content", "What came with a request", retention_days=30),
        "query": Personal("content", "What came with a request", retention_days=30),
        "body": Personal(
            "content", "What another system sent, to be processed and tried again", retention_days=30
        ),
        "address": Personal("contact", "Where a request came from", retention_days=30),
        "errors": Personal("content", "Why a request could not be processed"),
    }

    source_id: Mapped[UUID] = mapped_column(ForeignKey("incoming_sources.id"))
    line: Mapped[str] = mapped_column(LineCode)
    dedupe_key: Mapped[str] = mapped_column(String(200))
    order_key: Mapped[str | None] = mapped_column(String(200))
    content_type: Mapped[str] = mapped_column(String(200))
    headers: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    query: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(Integer)
    address: Mapped[str | None] = mapped_column(String(45))
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    results: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    errors: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


TABLES: tuple[type[Any], ...] = (IncomingSource, IncomingRequest)
