"""What the access room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crm_core import chores, hookimpl
from crm_core.access import absences, commands, events, graphql, models, offboarding
from crm_core.access.queries import EVERYTHING
from crm_core.access.viewer import ViewerQuery
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.outbox.events import Event
from crm_core.registry import Handover, RoleTemplate, Scope

STAFF = ("sales", "team_leader", "sales_manager", "regional_director", "marketing_gm", "steward")
"""Roles of other rooms; their titles are given there."""


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Users, teams, lines, roles, tokens, absences; and when chores are due."""
    return (*models.TABLES, *chores.TABLES)


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return graphql.TYPES


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Their root fields."""
    return (*graphql.QUERIES, ViewerQuery)


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Administration, being away, leaving."""
    return {**commands.COMMANDS, **absences.COMMANDS, **offboarding.COMMANDS}


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about users and tokens."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return (*commands.MESSAGES, *absences.MESSAGES, *offboarding.MESSAGES)


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope("access.admin", "Administer users, teams, roles and tokens (系统管理)"),
        Scope("user.read", "See users' logins, e-mails and roles (查看员工资料)"),
        Scope(absences.SCOPE, "Say when one is away and who stands in (设置外出委托)"),
        Scope("audit.review", "Record reviews of the usage log (审核使用记录)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """The administrator, what managers may see of their people, and that everybody may name a deputy."""
    own = {absences.SCOPE: Reach.OWN}
    return (
        RoleTemplate("administrator", "系统管理员 Administrator", {EVERYTHING: Reach.ALL}),
        RoleTemplate(
            "line_manager",
            "业务线经理 Line manager",
            {"user.read": Reach.LINE, "audit.review": Reach.LINE, **own},
        ),
        *(RoleTemplate(name, "", own) for name in STAFF),
    )


@hookimpl
def crm_handovers() -> Sequence[Handover]:
    """Stewardships of lines."""
    return offboarding.HANDOVERS


@hookimpl
def crm_migrations() -> Path:
    """The one line of revisions of all core rooms."""
    return Path(__file__).parent.parent / "db" / "migrations" / "versions"
