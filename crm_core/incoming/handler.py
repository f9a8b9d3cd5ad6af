"""What a handler (处理程序) is: a plugin's function that turns a request into commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from crm_core.commands import Command, Outcome
    from crm_core.db.unit import Unit
    from crm_core.graphql.access import Access


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A request to be processed: its id as shown, source and line, when it came (UTC), and what it holds.

    `raw` is the body, `body` its value (JSON, form, XML, text). Names of headers are in lower case; secrets are left
    out of headers and query.
    """

    id: str
    source: str
    line: str
    received_at: datetime
    content_type: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes
    body: Any

    def document(self) -> dict[str, Any]:
        """What expressions look at."""
        return {
            "id": self.id,
            "source": self.source,
            "line": self.line,
            "receivedAt": self.received_at.isoformat(),
            "headers": dict(self.headers),
            "query": dict(self.query),
            "body": self.body,
        }


class Doing(Protocol):
    """What a handler does things with: one transaction, in the source's line, as the source's user."""

    @property
    def session(self) -> Unit:
        """For reading what commands need."""

    @property
    def access(self) -> Access:
        """What the user may see."""

    async def perform(self, command: Command, step: str | None = None) -> Outcome:
        """Perform a command, with every check and gate; raises `Refused`, then nothing of the request remains.

        `step` is how the results call it.
        """


Handle = Callable[[IncomingMessage, Doing], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class IncomingHandler:
    """A handler: `handle(message, doing)` performs commands, all of them or none; it does nothing outside the database.

    It may be called again for the same request when nothing of the first call remained. It raises
    `crm_core.errors.Refused` for a request it does not understand.
    """

    name: str
    title: str
    handle: Handle
