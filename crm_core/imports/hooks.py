"""What the imports room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.imports import commands, events, graphql, jobs, keeping, models
from crm_core.outbox.events import Event
from crm_core.registry import Chore, Job, RoleTemplate, Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Runs and findings."""
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
    """Registering an import."""
    return commands.COMMANDS


@hookimpl
def crm_jobs() -> Sequence[Job]:
    """Carrying out approved imports."""
    return jobs.JOBS


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Forgetting files nobody needs."""
    return keeping.CHORES


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about imports."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return commands.MESSAGES


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (Scope("import.run", "Import files into a line, and see its imports (导入数据)"),)


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Line managers import."""
    return (RoleTemplate("line_manager", "业务线经理 Line manager", {"import.run": Reach.LINE}),)
