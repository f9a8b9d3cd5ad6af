"""What the room of jobs answers when asked."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.jobs import commands, events, graphql, models
from crm_core.jobs.forgetting import CHORE
from crm_core.jobs.queries import MANAGE, READ
from crm_core.jobs.settings import JobsSettings
from crm_core.outbox.events import Event
from crm_core.registry import Chore, RoleTemplate, Scope, Worker
from crm_core.work import Services

OWN = ("sales", "steward", "team_leader", "sales_manager", "regional_director", "marketing_gm")
"""Roles of other rooms that see and cancel what they asked for; their titles are given there."""


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Jobs and schedules."""
    return models.TABLES


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Jobs."""
    return graphql.TYPES


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Their root fields."""
    return graphql.QUERIES


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Trying again, cancelling."""
    return commands.COMMANDS


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about jobs."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return commands.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """How many at once, how long."""
    return JobsSettings


async def _run(services: Services, stop: asyncio.Event) -> None:
    """Work, with what only a process that works needs: taskiq alone takes half a second to import."""
    await importlib.import_module("crm_core.jobs.worker").run(services, stop)


@hookimpl
def crm_workers() -> Sequence[Worker]:
    """What runs jobs and fires schedules."""
    return (Worker("jobs", _run),)


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Remove what ended long ago."""
    return (CHORE,)


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope(READ, "See jobs and their progress (查看后台任务)"),
        Scope(MANAGE, "Try jobs again, cancel them (管理后台任务)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Everybody sees and cancels his own; line managers those of their line."""
    own = {READ: Reach.OWN, MANAGE: Reach.OWN}
    return (
        *(RoleTemplate(name, "", own) for name in OWN),
        RoleTemplate("line_manager", "业务线经理 Line manager", {READ: Reach.LINE, MANAGE: Reach.LINE}),
    )
