"""What the outbox room answers when asked."""

from __future__ import annotations

from collections.abc import Sequence

from crm_core import hookimpl
from crm_core.db.base import Base
from crm_core.graphql.fields import Field, ObjectType
from crm_core.outbox import graphql
from crm_core.outbox.models import OutboxEvent
from crm_core.registry import Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Recorded events."""
    return (OutboxEvent,)


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Events."""
    return graphql.TYPES


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """What was recorded."""
    return graphql.QUERIES


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (Scope("event.read", "Read the events of a line (查看事件)"),)
