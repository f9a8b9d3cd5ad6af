"""What the approvals room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.approvals import (
    attached,
    attached_graphql,
    carrying,
    commands,
    controlled,
    events,
    explain_graphql,
    filed,
    filed_graphql,
    filing,
    gate,
    graphql,
    inbox,
    inbox_graphql,
    links,
    locks,
    models,
    notices,
    overdue,
    performing,
    policies,
    requests,
    starting,
    sweeping,
)
from crm_core.approvals.settings import ApprovalsSettings
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, Filter, ObjectType
from crm_core.outbox.events import Event
from crm_core.registry import Chore, Document, Gate, Handover, Job, NoticeKind, RoleTemplate, Scope

ASKING = ("sales",)
SIGNING = ("steward", "team_leader", "sales_manager", "regional_director", "marketing_gm")
KEEPER = "steward"
"""Roles of other rooms; their titles are given there."""
_KEEPING = filing.COMMANDS | controlled.COMMANDS


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Policies, approvals, tasks, attachments; what is kept after signing."""
    return (*models.TABLES, *filed.TABLES, *attached.TABLES)


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return (*graphql.TYPES, *filed_graphql.TYPES, *attached_graphql.TYPES)


@hookimpl
def crm_fields() -> Mapping[str, Sequence[Field | Filter]]:
    """Where the forms of an approval are kept, and how long it is valid; its history, and the boxes it stands in."""
    return {
        "Approval": (
            *filed_graphql.FIELDS["Approval"],
            *inbox_graphql.FIELDS["Approval"],
            *attached_graphql.FIELDS["Approval"],
        )
    }


@hookimpl
def crm_documents() -> Sequence[Document]:
    """Controlled documents are signed."""
    return (controlled.DOCUMENT,)


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Their root fields."""
    return (*graphql.QUERIES, *filed_graphql.QUERIES, *inbox_graphql.QUERIES, *explain_graphql.QUERIES)


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Signing and setting policies."""
    return (
        commands.COMMANDS
        | requests.COMMANDS
        | overdue.COMMANDS
        | policies.COMMANDS
        | inbox.COMMANDS
        | _KEEPING
    )


@hookimpl
def crm_gates() -> Sequence[Gate]:
    """Hold what a policy wants signed."""
    return (gate.hold,)


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about approvals."""
    return events.EVENTS


@hookimpl
def crm_notice_kinds() -> Sequence[NoticeKind]:
    """What people are told about approvals."""
    return notices.NOTICE_KINDS


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Reminders, and what happens when nothing was signed in time; forgetting old links and papers."""
    return (*overdue.CHORES, *links.CHORES, *sweeping.CHORES, *carrying.CHORES)


@hookimpl
def crm_jobs() -> Sequence[Job]:
    """Performing large changes."""
    return carrying.JOBS


@hookimpl
def crm_handovers() -> Sequence[Handover]:
    """Open tasks of who leaves."""
    return (Handover("approvals", overdue.hand_over),)


@hookimpl
def crm_settings() -> type[BaseModel]:
    """How long links live, and which channels carry them."""
    return ApprovalsSettings


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return (
        *commands.MESSAGES,
        *performing.MESSAGES,
        *policies.MESSAGES,
        *requests.MESSAGES,
        locks.LOCKED,
        starting.FORBIDDEN,
        *inbox.MESSAGES,
        *filing.MESSAGES,
        *controlled.MESSAGES,
        *carrying.MESSAGES,
    )


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope(
            "approval.read",
            "See approvals: own ones and those to sign; with reach line, all of a line (查看审批)",
        ),
        Scope("approval.request", "Withdraw, resubmit, copy and urge one's own requests (处理自己的申请)"),
        Scope(
            "approval.administer",
            "End any request of a line, give tasks to others, remove signers (审批管理)",
        ),
        Scope("approval.sign", "Sign what a policy asks one to sign (签署审批)"),
        Scope(filing.FILE, "Record where signed forms and their copies are kept (表单归档)"),
        Scope(controlled.READ, "See controlled documents of a line (查看受控文件)"),
        Scope(controlled.WRITE, "Draft and revise controlled documents, and hand them in (编制受控文件)"),
        Scope("approval.policy", "Set the sign-off policies of a line (设置审批规则)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Managers sign; line managers also set policies; everybody follows and withdraws what he asked for."""
    asks = {"approval.read": Reach.OWN, "approval.request": Reach.OWN}
    signs = {**asks, "approval.sign": Reach.LINE}
    sets = {
        **signs,
        "approval.read": Reach.LINE,
        "approval.policy": Reach.LINE,
        "approval.administer": Reach.LINE,
    }
    reads, keeps = {controlled.READ: Reach.LINE}, {filing.FILE: Reach.LINE, controlled.WRITE: Reach.LINE}
    by_role = dict.fromkeys(ASKING, asks) | dict.fromkeys(SIGNING, signs)
    return (
        RoleTemplate("line_manager", "业务线经理 Line manager", sets | reads | keeps),
        *(
            RoleTemplate(name, "", scopes | reads | (keeps if name == KEEPER else {}))
            for name, scopes in by_role.items()
        ),
    )
