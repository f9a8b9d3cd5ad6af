"""All answers of the rooms and plugins, frozen: what the product is made of at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from crm_core.actors import Reach
from crm_core.commands import Check, Command, CommandSpec, Held
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType, Source

if TYPE_CHECKING:
    from crm_core.outbox.events import Event
    from crm_core.work import Work

Gate = Callable[["Work", Command, CommandSpec], Awaitable["Held | None"]]
Demo = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scope:
    """A permission as a plain string, e.g. `customer.read`, with its meaning for an administrator."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class RoleTemplate:
    """A role (角色) seeded by a room or plugin: name, title and how far each scope reaches. Editable afterwards."""

    name: str
    title: str
    scopes: Mapping[str, Reach]


@dataclass(frozen=True, slots=True)
class InteractionKind:
    """A kind of interaction (互动方式), e.g. `visit` 拜访; an open list that plugins extend."""

    name: str
    title: str
    title_zh: str
    plan_required: bool = False
    report_required: bool = False
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class MigrationLine:
    """One distribution's own line of revisions with its own version table."""

    owner: str
    folder: Path
    version_table: str


@dataclass(frozen=True, slots=True)
class PolicyTemplate:
    """A sign-off policy a room or plugin suggests: which command kind, who signs. Off until a line enables it."""

    name: str
    kind: str
    role: str
    title: str
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class PluginState:
    """A plugin as the deployment sees it: loaded, or quarantined with the reason."""

    name: str
    version: str
    state: Literal["loaded", "quarantined"]
    reason: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registry:
    """Everything the rooms and plugins answered; no behaviour beyond look-ups.

    `doors`: hook of a capability plugin → (plugin, its answer), in the order of loading.
    """

    commands: Mapping[str, CommandSpec]
    types: Mapping[str, ObjectType]
    type_owners: Mapping[str, str]
    queries: tuple[Field | type, ...]
    query_owners: tuple[str, ...]
    events: Mapping[str, type[Event]]
    checks: Mapping[str, tuple[tuple[str, Check], ...]]
    gates: tuple[Gate, ...]
    policies: tuple[PolicyTemplate, ...]
    scopes: Mapping[str, Scope]
    roles: Mapping[str, RoleTemplate]
    messages: Mapping[str, Message]
    interaction_kinds: Mapping[str, InteractionKind]
    timeline: tuple[Source, ...]
    migrations: tuple[MigrationLine, ...]
    tables: Mapping[str, tuple[type[Base], ...]]
    settings: Mapping[str, BaseModel]
    setting_models: Mapping[str, type[BaseModel]]
    demos: tuple[Demo, ...]
    doors: Mapping[str, tuple[tuple[str, Any], ...]] = field(default_factory=dict)
    plugins: tuple[PluginState, ...] = ()
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def quarantined_in(self, line: str) -> PluginState | None:
        """A quarantined plugin that this line relies on, if any."""
        return next((p for p in self.plugins if p.state == "quarantined" and line in p.lines), None)

    def type_of(self, model: type[Base]) -> ObjectType:
        """The object type over a model's table."""
        return self._by_model[model]

    @cached_property
    def _by_model(self) -> dict[type[Base], ObjectType]:
        return {kind.model: kind for kind in self.types.values() if kind.model is not None}

    def lines_of(self, plugin: str) -> frozenset[str]:
        """The lines that enable a plugin; core belongs to every line."""
        return frozenset(
            line for line, plugins in self.lines.items() if plugin == "core" or plugin in plugins
        )
