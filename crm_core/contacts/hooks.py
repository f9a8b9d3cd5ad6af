"""What the contacts room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.contacts import commands, events, graphql, handing_over, models
from crm_core.contacts.settings import ContactsSettings
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, Filter, ObjectType
from crm_core.outbox.events import Event
from crm_core.registry import Handover, RoleTemplate, Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Contacts and their parts."""
    return models.TABLES


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return graphql.TYPES


@hookimpl
def crm_fields() -> Mapping[str, Sequence[Field | Filter]]:
    """Contacts of a customer, and what its archive lacks."""
    return graphql.FIELDS


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Their root fields."""
    return graphql.QUERIES


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Everything that changes a contact."""
    return commands.COMMANDS


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about contacts."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return commands.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """Figures of relationship cards."""
    return ContactsSettings


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope("contact.read", "See contacts (查看联系人)"),
        Scope("contact.write", "Enter and change contacts (录入和修改联系人)"),
    )


@hookimpl
def crm_handovers() -> Sequence[Handover]:
    """Relationship cards, to their new manager."""
    return handing_over.HANDOVERS


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Whoever sees a customer sees its people."""
    both = ("contact.read", "contact.write")
    return (
        RoleTemplate("sales", "销售顾问 Sales consultant", dict.fromkeys(both, Reach.OWN)),
        RoleTemplate("team_leader", "组长 Team leader", dict.fromkeys(both, Reach.SUBTREE)),
        RoleTemplate("line_manager", "业务线经理 Line manager", dict.fromkeys(both, Reach.LINE)),
        RoleTemplate("steward", "档案管理员 Archive steward", dict.fromkeys(both, Reach.LINE)),
        RoleTemplate(
            "marketing_gm",
            "营销总公司总经理 General manager of the marketing head office",
            {"contact.read": Reach.LINE},
        ),
    )
