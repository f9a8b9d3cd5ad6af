"""What one room of the plugin answers when the core asks; `hooks` joins the answers of all rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_core.commands import Check, Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, Filter, ObjectType, Source
from crm_core.incoming.handler import IncomingHandler
from crm_core.outbox.events import Event
from crm_core.registry import (
    Chore,
    Document,
    Handover,
    Job,
    NoticeKind,
    PolicyTemplate,
    Resolver,
    Schedule,
    Seed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The answers of a room, each empty unless it has some."""

    tables: Sequence[type[Base]] = ()
    types: Sequence[ObjectType] = ()
    fields: Mapping[str, Sequence[Field | Filter]] = field(default_factory=dict)
    queries: Sequence[Field | type] = ()
    commands: Mapping[type[Command], Perform] = field(default_factory=dict)
    checks: Mapping[str, Sequence[Check]] = field(default_factory=dict)
    events: Sequence[type[Event]] = ()
    messages: Sequence[Message] = ()
    timeline: Sequence[Source] = ()
    documents: Sequence[Document] = ()
    policies: Sequence[PolicyTemplate] = ()
    resolvers: Mapping[str, Resolver] = field(default_factory=dict)
    jobs: Sequence[Job] = ()
    schedules: Sequence[Schedule] = ()
    chores: Sequence[Chore] = ()
    handlers: Sequence[IncomingHandler] = ()
    handovers: Sequence[Handover] = ()
    notices: Sequence[NoticeKind] = ()
    seeds: Sequence[Seed] = ()
