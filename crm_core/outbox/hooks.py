"""What the outbox room answers when asked."""

from __future__ import annotations

from collections.abc import Sequence

from crm_core import hookimpl
from crm_core.db.base import Base
from crm_core.graphql.fields import Field, ObjectType
from crm_core.outbox import graphql, loop
from crm_core.outbox.models import FeedCursor, FeedFailure, FeedState, OutboxEvent
from crm_core.registry import Scope, Worker


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Recorded events, and how far they are numbered and taken in."""
    return (OutboxEvent, FeedState, FeedCursor, FeedFailure)


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Events."""
    return graphql.TYPES


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """What was recorded."""
    return graphql.QUERIES


@hookimpl
def crm_workers() -> Sequence[Worker]:
    """What passes recorded events on."""
    return (Worker("feed", loop.run),)


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (Scope("event.read", "Read the events of a line (查看事件)"),)
