"""What a channel (通知渠道) is: a name and an async function that sends one message to one address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from crm_core.errors import Json, Language

if TYPE_CHECKING:
    from crm_core.work import Services


@dataclass(frozen=True, slots=True)
class NoticeMessage:
    """A notice in words, ready to be sent.

    `id` is the same whenever this delivery is tried again, so that who receives it can tell a repetition. `title` is
    one line, `body` plain text of several. `url` leads to what it is about, None where nothing is known to lead there.
    """

    id: str
    created_at: datetime
    user_id: UUID
    address: str
    kind: str
    title: str
    body: str
    language: Language
    facts: Mapping[str, Json]
    url: str | None = None
    line: str | None = None
    subject_type: str | None = None
    subject: str | None = None
    urgent: bool = False


class Unsent(Exception):
    """The message was not taken. `retry`: whether trying again may help; `after`: not before so many seconds.

    The text is kept with the delivery and shown to administrators: no secret may stand in it.
    """

    def __init__(self, reason: str, *, retry: bool, after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry = retry
        self.after = after


def _nowhere(_services: Services, _email: str | None) -> str | None:
    return None


def _anywhere(_services: Services, _address: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Notifier:
    """A channel: `send(services, message)` delivers or raises `Unsent`; any other error counts as one to try again.

    `usual(services, email)` is where a user is reached who has named no address; by default nowhere.
    `problem(services, address)` says what is wrong with an address a user names, None when nothing is.
    """

    name: str
    title: str
    send: Callable[[Services, NoticeMessage], Awaitable[None]]
    usual: Callable[[Services, str | None], str | None] = _nowhere
    problem: Callable[[Services, str], str | None] = _anywhere
