"""Facts about webhook endpoints."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfEndpoint(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "WebhookEndpoint"
    public: ClassVar[tuple[str, ...]] = ("line", "name", "kinds", "state", "state_reason")


class WebhookCreated(_OfEndpoint):
    """An endpoint was set up (新建 Webhook)."""

    kind: ClassVar[str] = "webhook.created"


class WebhookUpdated(_OfEndpoint):
    """An endpoint was changed (修改 Webhook)."""

    kind: ClassVar[str] = "webhook.updated"


class WebhookSecretRotated(_OfEndpoint):
    """The secret of an endpoint was replaced (更换密钥)."""

    kind: ClassVar[str] = "webhook.secret_rotated"


class WebhookPaused(_OfEndpoint):
    """Nothing is sent to an endpoint any more, by somebody's wish or after long failure (暂停 Webhook)."""

    kind: ClassVar[str] = "webhook.paused"
    automatic: bool = False


class WebhookGaveUp(_OfEndpoint):
    """A delivery to an endpoint was given up; announced once a day at most, whatever else is given up (放弃投递)."""

    kind: ClassVar[str] = "webhook.gave_up"
    delivery: str
    attempts: int


class WebhookResumed(_OfEndpoint):
    """An endpoint gets its deliveries again (恢复 Webhook)."""

    kind: ClassVar[str] = "webhook.resumed"


class WebhookArchived(_OfEndpoint):
    """An endpoint gets no events any more (归档 Webhook)."""

    kind: ClassVar[str] = "webhook.archived"


class WebhookReplayed(_OfEndpoint):
    """Deliveries of an endpoint are sent again (重新投递)."""

    kind: ClassVar[str] = "webhook.replayed"
    again: int
    added: int


EVENTS: tuple[type[Event], ...] = (
    WebhookCreated, WebhookUpdated, WebhookSecretRotated, WebhookPaused, WebhookGaveUp, WebhookResumed,
    WebhookArchived, WebhookReplayed,
)  # fmt: skip
