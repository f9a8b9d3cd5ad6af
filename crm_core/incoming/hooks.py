"""What the room of incoming webhooks answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.incoming import (
    callbacks,
    commands,
    events,
    forgetting,
    graphql,
    models,
    refusals,
    signatures,
    telling,
    worker,
)
from crm_core.incoming.queries import MANAGE, READ
from crm_core.incoming.settings import IncomingSettings
from crm_core.incoming.verifier import Verifier
from crm_core.outbox.events import Event
from crm_core.registry import Chore, NoticeKind, RoleTemplate, Scope, Worker


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Sources and requests."""
    return models.TABLES


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return graphql.TYPES


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Their root fields."""
    return graphql.QUERIES


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Setting up, replaying, discarding."""
    return commands.COMMANDS


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about them."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals, and why requests fail."""
    return refusals.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """Limits and patience."""
    return IncomingSettings


@hookimpl
def crm_verifiers() -> Sequence[Verifier]:
    """Signatures, tokens, callbacks of chat services."""
    return (*signatures.VERIFIERS, *callbacks.VERIFIERS)


@hookimpl
def crm_workers() -> Sequence[Worker]:
    """Process what was received."""
    return worker.WORKERS


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Forget what is old."""
    return forgetting.CHORES


@hookimpl
def crm_notice_kinds() -> Sequence[NoticeKind]:
    """A source that fails repeatedly."""
    return telling.KINDS


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope(READ, "See sources of incoming webhooks and what they sent (查看接收的 Webhook)"),
        Scope(MANAGE, "Set up sources, replace secrets, process requests again (管理接收的 Webhook)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Line managers mend what fails."""
    own = {READ: Reach.LINE, MANAGE: Reach.LINE}
    return (RoleTemplate("line_manager", "业务线经理 Line manager", own),)
