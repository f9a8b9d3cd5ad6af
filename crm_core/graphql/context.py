"""What one GraphQL request carries: the actor, how to read, how to perform, and its batched loaders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import UUID

from graphql import GraphQLResolveInfo
from sqlalchemy import Executable, Row
from strawberry.dataloader import DataLoader

from crm_core.actors import Actor
from crm_core.commands import Options, Outcome
from crm_core.db.writer import Reading
from crm_core.errors import Language, Message
from crm_core.graphql.access import Access
from crm_core.settings import Limits

if TYPE_CHECKING:
    from crm_core.work import Services

Info: TypeAlias = "GraphQLResolveInfo[Any]"
"""What graphql-core hands to a resolver."""
Fetch = Callable[[Executable], Awaitable[Sequence[Row[Any]]]]
Answer = Callable[[str, Sequence[Any]], Awaitable[bytes]]
"""Sends a compiled statement with its values; gives its only value, JSON as bytes."""


Then = Callable[[Sequence[UUID]], Reading | None]
"""What is read of records once they are written; None: it cannot be said yet."""


class Performer(Protocol):
    """Performs a command for the request's actor; `fetch` reads what the outcome shows."""

    async def __call__(
        self, kind: str, body: Mapping[str, Any], options: Options, then: Then | None = None
    ) -> tuple[Outcome, Fetch | None]:
        """The outcome, and for a dry run the way to read inside its transaction before it is undone.

        `then` tells what will be read of the records made.
        """
        ...


@dataclass
class Context:
    """One request. `plugin_lines` tells in which lines each plugin is enabled.

    `fetch` reads rows, `answer` the JSON of a compiled statement; `services` are for root fields in Python.
    """

    actor: Actor
    access: Access
    fetch: Fetch
    answer: Answer
    perform: Performer
    limits: Limits
    language: Language
    messages: Mapping[str, Message]
    plugin_lines: Mapping[str, frozenset[str]]
    request_id: str
    line: str | None = None
    services: Services = field(kw_only=True)
    state: dict[str, Any] = field(default_factory=dict)
    loaders: dict[Hashable, DataLoader[Any, Any]] = field(default_factory=dict)

    def loader(
        self, key: Hashable, load: Callable[[list[Any]], Awaitable[Sequence[Any]]]
    ) -> DataLoader[Any, Any]:
        """The loader for this key, made on first use; it asks once for all keys of a level."""
        if key not in self.loaders:
            self.loaders[key] = DataLoader(load_fn=load, cache=False, max_batch_size=2_000)
        return self.loaders[key]

    def in_plugin(self, owner: str) -> bool:
        """Whether the actor acts in a line that enables the plugin; the core belongs to every line."""
        if owner == "core" or self.actor.is_system:
            return True
        return not self.plugin_lines.get(owner, frozenset()).isdisjoint(self.actor.lines)
