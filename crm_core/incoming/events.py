"""Facts about sources of incoming webhooks and what they sent."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _SourceEvent(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "IncomingSource"
    public: ClassVar[tuple[str, ...]] = ("name", "verifier", "handler", "enabled")


class IncomingSourceCreated(_SourceEvent):
    """A source of incoming webhooks was set up (新增接收来源)."""

    kind: ClassVar[str] = "incoming_source.created"


class IncomingSourceUpdated(_SourceEvent):
    """A source was changed, enabled or disabled (修改接收来源)."""

    kind: ClassVar[str] = "incoming_source.updated"


class IncomingSecretRotated(_SourceEvent):
    """A source got a new secret (更换密钥)."""

    kind: ClassVar[str] = "incoming_source.secret_rotated"


class IncomingReplayed(_SourceEvent):
    """Failed requests of a source are to be processed again (重新处理全部失败请求)."""

    kind: ClassVar[str] = "incoming_source.replayed"
    requests: int


class _RequestEvent(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "IncomingRequest"
    public: ClassVar[tuple[str, ...]] = ("state",)
    source: str


class IncomingRequestReplayed(_RequestEvent):
    """A request is to be processed again (重新处理)."""

    kind: ClassVar[str] = "incoming_request.replayed"


class IncomingRequestDiscarded(_RequestEvent):
    """A request was given up (放弃处理)."""

    kind: ClassVar[str] = "incoming_request.discarded"


EVENTS: tuple[type[Event], ...] = (
    IncomingSourceCreated,
    IncomingSourceUpdated,
    IncomingSecretRotated,
    IncomingReplayed,
    IncomingRequestReplayed,
    IncomingRequestDiscarded,
)
