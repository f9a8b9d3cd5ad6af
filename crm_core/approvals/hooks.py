"""What the approvals room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.approvals import commands, events, gate, graphql, models, performing
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.outbox.events import Event
from crm_core.registry import Gate, RoleTemplate, Scope

ASKING = ("sales", "steward")
SIGNING = ("team_leader", "sales_manager", "regional_director", "marketing_gm")
"""Roles of other rooms; their titles are given there."""


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Policies, approvals, tasks."""
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
    """Signing and setting policies."""
    return commands.COMMANDS


@hookimpl
def crm_gates() -> Sequence[Gate]:
    """Hold what a policy wants signed."""
    return (gate.hold,)


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about approvals."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return (*commands.MESSAGES, *performing.MESSAGES)


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope(
            "approval.read",
            "See approvals: own ones and those to sign; with reach line, all of a line (查看审批)",
        ),
        Scope("approval.request", "Withdraw one's own requests (撤回申请)"),
        Scope("approval.sign", "Sign what a policy asks one to sign (签署审批)"),
        Scope("approval.policy", "Set the sign-off policies of a line (设置审批规则)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Managers sign; line managers also set policies; everybody follows and withdraws what he asked for."""
    asks = {"approval.read": Reach.OWN, "approval.request": Reach.OWN}
    signs = {**asks, "approval.sign": Reach.LINE}
    sets = {**signs, "approval.read": Reach.LINE, "approval.policy": Reach.LINE}
    by_role = dict.fromkeys(ASKING, asks) | dict.fromkeys(SIGNING, signs)
    return (
        RoleTemplate("line_manager", "业务线经理 Line manager", sets),
        *(RoleTemplate(name, "", scopes) for name, scopes in by_role.items()),
    )
