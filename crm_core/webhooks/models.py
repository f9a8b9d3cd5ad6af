"""Tables of webhook endpoints, of what is on its way to them, and of every attempt."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime

MOST_ERROR: Final = 300
MOST_EXCERPT: Final = 1_024
_WAITING: Final = text("state = 'WAITING'")


class WebhookState(StrEnum):
    """How an endpoint does (端点状态): FAILING gets a single attempt now and then, PAUSED none, ARCHIVED no events."""

    ACTIVE = "ACTIVE"
    FAILING = "FAILING"
    PAUSED = "PAUSED"
    ARCHIVED = "ARCHIVED"


class WebhookOrder(StrEnum):
    """Which deliveries of an endpoint wait for one another (投递顺序): none, or those about the same record."""

    NONE = "NONE"
    SUBJECT = "SUBJECT"


class WebhookDeliveryState(StrEnum):
    """What became of a delivery (投递状态): DEAD was given up, CANCELLED was taken back."""

    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"


class WebhookEndpoint(Aggregate):
    """Where events of a line are posted, which of them, and in which form (Webhook 端点).

    `failures` counts attempts that failed one after the other, since `failing_since`; nothing is taken for it before
    `resting_until`. Secrets and headers are sealed by the keyring. `secret_asker` is a digest of who may see a secret
    made by us, in the answer to the very request.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index("ix_webhook_endpoints_line_id", "line", "id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "secret_sealed": Personal("sensitive", "Signing what is sent", mask="all"),
        "previous_sealed": Personal("sensitive", "Signing while the secret is replaced", mask="all"),
        "headers_sealed": Personal("sensitive", "Signing in at the receiver", mask="all"),
        "secret_asker": Personal("sensitive", "Showing a new secret once", mask="all"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(120))
    url: Mapped[str] = mapped_column(String(2000))
    kinds: Mapped[list[str]] = mapped_column(JsonValue)
    changed_fields: Mapped[list[str] | None] = mapped_column(JsonValue)
    condition: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    scopes: Mapped[list[str]] = mapped_column(JsonValue)
    document: Mapped[str | None] = mapped_column(Text)
    ordered: Mapped[str] = mapped_column(String(10))
    concurrency: Mapped[int] = mapped_column(Integer)
    per_second: Mapped[int | None] = mapped_column(Integer)
    allow_private: Mapped[bool] = mapped_column(Boolean)
    ca: Mapped[str | None] = mapped_column(Text)
    header_names: Mapped[list[str]] = mapped_column(JsonValue)
    headers_sealed: Mapped[str | None] = mapped_column(Text)
    secret_sealed: Mapped[str] = mapped_column(String(300))
    secret_at: Mapped[datetime] = mapped_column(UtcDateTime)
    secret_asker: Mapped[str | None] = mapped_column(String(64))
    previous_sealed: Mapped[str | None] = mapped_column(String(300))
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(20))
    state_reason: Mapped[str | None] = mapped_column(String(MOST_ERROR))
    failures: Mapped[int] = mapped_column(Integer)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resting_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookDelivery(Aggregate):
    """One event on its way to one endpoint (投递).

    `next_at` is when it is due; while somebody sends it, that is `lease_until`, when others may take it over. `body`
    holds the very bytes of the first attempt, for every later one. A test has no event and no position.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        Index(
            "ix_webhook_deliveries_due", "endpoint_id", "next_at", "position",
            postgresql_where=_WAITING, sqlite_where=_WAITING,
        ),
        Index(
            "ix_webhook_deliveries_in_order", "endpoint_id", "subject_ref", "position",
            postgresql_where=_WAITING, sqlite_where=_WAITING,
        ),
        Index("ix_webhook_deliveries_endpoint_id_id", "endpoint_id", "id"),
        Index("ix_webhook_deliveries_line_id", "line", "id"),
        Index("ix_webhook_deliveries_line_state_id", "line", "state", "id"),
    )  # fmt: skip
    personal: ClassVar[dict[str, Personal]] = {
        "body": Personal("content", "What was sent, to be sent again unchanged", retention_days=14),
        "last_error": Personal("content", "Why it was not taken"),
    }

    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id"))
    line: Mapped[str] = mapped_column(LineCode)
    event_id: Mapped[UUID | None] = mapped_column(Uuid)
    position: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(80))
    subject_ref: Mapped[str | None] = mapped_column(String(50))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    content_type: Mapped[str | None] = mapped_column(String(80))
    first_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(String(MOST_ERROR))


class WebhookAttempt(Record):
    """One try to deliver (投递尝试): what was answered, how long it took (ms), and for how long to wait (s)."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index("ix_webhook_attempts_delivery_id_id", "delivery_id", "id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "error": Personal("content", "Why it was not taken"),
        "response": Personal("content", "Beginning of the receiver's answer", retention_days=30),
    }

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_deliveries.id"))
    line: Mapped[str] = mapped_column(LineCode)
    number: Mapped[int] = mapped_column(Integer)
    milliseconds: Mapped[int] = mapped_column(Integer)
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(String(MOST_ERROR))
    response: Mapped[str | None] = mapped_column(String(MOST_EXCERPT))
    retry_after: Mapped[int | None] = mapped_column(Integer)


class WebhookReplay(Aggregate):
    """A request to send again (重新投递): what was asked for, and how many deliveries it made wait."""

    __tablename__ = "webhook_replays"
    __table_args__ = (Index("ix_webhook_replays_line_id", "line", "id"),)
    personal: ClassVar[dict[str, Personal]] = {}

    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id"), index=True)
    line: Mapped[str] = mapped_column(LineCode)
    asked: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    again: Mapped[int] = mapped_column(Integer)
    added: Mapped[int] = mapped_column(Integer)


TABLES: tuple[type[Any], ...] = (WebhookEndpoint, WebhookDelivery, WebhookAttempt, WebhookReplay)
