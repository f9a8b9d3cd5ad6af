"""Facts about contacts."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _ContactEvent(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "Contact"
    public: ClassVar[tuple[str, ...]] = (
        "customer_id",
        "line",
        "name",
        "title",
        "is_key_person",
        "archived_at",
    )


class ContactCreated(_ContactEvent):
    """A contact was entered (新建联系人)."""

    kind: ClassVar[str] = "contact.created"
    customer: str


class ContactUpdated(_ContactEvent):
    """A contact was changed (联系人变更)."""

    kind: ClassVar[str] = "contact.updated"
    customer: str
    phones_changed: bool = False


class ContactArchived(_ContactEvent):
    """A contact was put away (联系人归档)."""

    kind: ClassVar[str] = "contact.archived"


class ContactRestored(_ContactEvent):
    """A contact was taken back (联系人恢复)."""

    kind: ClassVar[str] = "contact.restored"


class ContactLinked(_ContactEvent):
    """Somebody of ours came to stand in a relation with the contact, or in another one (关系状态变更, CS-056)."""

    kind: ClassVar[str] = "contact.linked"
    user: str
    before_state: str | None
    after_state: str | None


class ContactCardChecked(_ContactEvent):
    """The relationship card of the contact was judged (关系卡核对, CS-052)."""

    kind: ClassVar[str] = "contact.card_checked"
    accurate: bool
    valid: bool
    timely: bool


EVENTS: tuple[type[Event], ...] = (
    ContactCreated, ContactUpdated, ContactArchived, ContactRestored, ContactLinked, ContactCardChecked,
)  # fmt: skip
