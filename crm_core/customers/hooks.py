"""What the customers room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.customers import assigning, commands, events, graphql, handing_over, models
from crm_core.customers.settings import CustomersSettings
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.outbox.events import Event
from crm_core.registry import Handover, Owner, RoleTemplate, Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Customers, their lines and parts."""
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
    """Everything that changes a customer."""
    return commands.COMMANDS


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about customers."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return commands.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """Figures of the archive rules."""
    return CustomersSettings


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope("customer.read", "See customers (查看客户)"),
        Scope("customer.write", "Enter and change customers (录入和修改客户)"),
        Scope("customer.assign", "Give customers to other owners and teams (分配客户)"),
        Scope("customer.phone", "See telephone numbers whole (查看完整电话)"),
        Scope("customer.blacklist", "Put customers on the blacklist and take them off (管理黑名单)"),
        Scope("customer.documents", "File papers without being the line's steward (档案资料存档)"),
        Scope("customer.archive", "Approve and confirm customer archives (审批确认客户档案)"),
        Scope("customer.steward", "See possible duplicates across lines (查看跨线疑似重复)"),
    )


def _all(reach: Reach, *names: str) -> dict[str, Reach]:
    return {f"customer.{name}": reach for name in names}


@hookimpl
def crm_owners() -> Mapping[str, Owner]:
    """A customer's owner is that of the line."""
    return {"Customer": assigning.owner_of}


@hookimpl
def crm_handovers() -> Sequence[Handover]:
    """Customers, to their new owner."""
    return handing_over.HANDOVERS


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Salesman, team leader, line manager, steward, and the head of the marketing head office."""
    return (
        RoleTemplate("sales", "销售顾问 Sales consultant", _all(Reach.OWN, "read", "write", "phone")),
        RoleTemplate(
            "team_leader", "组长 Team leader", _all(Reach.SUBTREE, "read", "write", "phone", "assign")
        ),
        RoleTemplate(
            "line_manager",
            "业务线经理 Line manager",
            _all(Reach.LINE, "read", "write", "phone", "assign", "blacklist", "documents"),
        ),
        RoleTemplate(
            "steward", "档案管理员 Archive steward", _all(Reach.LINE, "read", "write", "phone", "steward")
        ),
        RoleTemplate(
            "marketing_gm",
            "营销总公司总经理 General manager of the marketing head office",
            _all(Reach.LINE, "read", "phone", "archive"),
        ),
    )
