"""Every door between the core and its rooms and plugins. All hooks are asked once, at start, core rooms first.

They answer with data and functions; at run time there is only the frozen registry built from the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pluggy
from pydantic import BaseModel

from crm_core.commands import Check, Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, Filter, ObjectType, Source
from crm_core.incoming.handler import IncomingHandler
from crm_core.incoming.verifier import Verifier
from crm_core.notices.notifier import Notifier
from crm_core.outbox.events import Event
from crm_core.registry import (
    Chore,
    Demo,
    Document,
    Gate,
    Handover,
    InteractionKind,
    Job,
    NoticeKind,
    Owner,
    PolicyTemplate,
    Receiver,
    Resolver,
    RoleTemplate,
    Schedule,
    Scope,
    Seed,
    Worker,
)

hookspec = pluggy.HookspecMarker("crm")


@hookspec
def crm_tables() -> Sequence[type[Base]]:
    """Asked first: the tables (ORM classes) this room or plugin owns. Plugin tables begin with the plugin's name."""
    raise NotImplementedError


@hookspec
def crm_types() -> Sequence[ObjectType]:
    """Asked for the schema: the object types of this room, each with its table, row rule and fields."""
    raise NotImplementedError


@hookspec
def crm_fields() -> Mapping[str, Sequence[Field | Filter]]:
    """Asked for the schema: type name → fields and filters to add to a type of another room, e.g. `Customer`."""
    raise NotImplementedError


@hookspec
def crm_queries() -> Sequence[Field | type]:
    """Asked for the schema: root fields, declared (`query_connection`, `query_one`) or a `@strawberry.type` class."""
    raise NotImplementedError


@hookspec
def crm_commands() -> Mapping[type[Command], Perform]:
    """Asked for writing: command class → async function(work, command) that performs it. Each becomes a mutation."""
    raise NotImplementedError


@hookspec
def crm_checks() -> Mapping[str, Sequence[Check]]:
    """Asked for writing: command kind → async functions(work, command) whose user errors refuse it before the write."""
    raise NotImplementedError


@hookspec
def crm_gates() -> Sequence[Gate]:
    """Asked for writing: async functions(work, command, spec) that may hold a command instead of performing it."""
    raise NotImplementedError


@hookspec
def crm_policies() -> Sequence[PolicyTemplate]:
    """Asked by `crm db upgrade`: sign-off policies to offer to each line that enables the plugin."""
    raise NotImplementedError


@hookspec
def crm_events() -> Sequence[type[Event]]:
    """Asked for announcing: the event classes this room may record."""
    raise NotImplementedError


@hookspec
def crm_scopes() -> Sequence[Scope]:
    """Asked for access: the permissions this room knows. A plugin's begin with the plugin's name."""
    raise NotImplementedError


@hookspec
def crm_roles() -> Sequence[RoleTemplate]:
    """Asked by `crm db upgrade`: roles to seed; a role of a known name gains the scopes it lacks."""
    raise NotImplementedError


@hookspec
def crm_messages() -> Sequence[Message]:
    """Asked for wording: the codes this room refuses with, in both languages."""
    raise NotImplementedError


@hookspec
def crm_interaction_kinds() -> Sequence[InteractionKind]:
    """Asked for interactions: further kinds of interaction (拜访, 试驾, 家长会 …)."""
    raise NotImplementedError


@hookspec
def crm_timeline() -> Sequence[Source]:
    """Asked for `Customer.timeline`: further sources of entries."""
    raise NotImplementedError


@hookspec
def crm_documents() -> Sequence[Document]:
    """Asked for sign-off: types of record that pass through signatures as a part of their life (审批单据)."""
    raise NotImplementedError


@hookspec
def crm_owners() -> Mapping[str, Owner]:
    """Asked for sign-off: by type, who owns a record in a line; a column `owner_id` needs no word (归属人)."""
    raise NotImplementedError


@hookspec
def crm_resolvers() -> Mapping[str, Resolver]:
    """Asked for sign-off: ways to find who signs, by the name that policies use (审批人解析)."""
    raise NotImplementedError


@hookspec
def crm_chores() -> Sequence[Chore]:
    """Asked for the clock: what is to be done every so often, e.g. reminders; in one process at a time."""
    raise NotImplementedError


@hookspec
def crm_receivers() -> Sequence[Receiver]:
    """Asked for events: what takes in every recorded event, in order and exactly once (事件接收方)."""
    raise NotImplementedError


@hookspec
def crm_workers() -> Sequence[Worker]:
    """Asked for processes: what goes on in the background of each, e.g. sending (后台工作)."""
    raise NotImplementedError


@hookspec
def crm_verifiers() -> Sequence[Verifier]:
    """Asked for incoming webhooks: further ways to tell whether a request comes from whom it says (验签方式)."""
    raise NotImplementedError


@hookspec
def crm_incoming_handlers() -> Sequence[IncomingHandler]:
    """Asked for incoming webhooks: functions that turn a request into commands (处理程序)."""
    raise NotImplementedError


@hookspec
def crm_jobs() -> Sequence[Job]:
    """Asked for work done later: jobs that commands and schedules enqueue, each by its name (后台任务)."""
    raise NotImplementedError


@hookspec
def crm_schedules() -> Sequence[Schedule]:
    """Asked for the calendar: which jobs are enqueued when, e.g. every working morning (定时计划)."""
    raise NotImplementedError


@hookspec
def crm_handovers() -> Sequence[Handover]:
    """Asked when somebody leaves: async functions that give what is his to his successor, and count it (离职交接)."""
    raise NotImplementedError


@hookspec
def crm_notifiers() -> Sequence[Notifier]:
    """Asked for notices: further channels that carry them to users (通知渠道), besides mail and chat bots."""
    raise NotImplementedError


@hookspec
def crm_notice_kinds() -> Sequence[NoticeKind]:
    """Asked for notices: the kinds this room or plugin sends, with their words in both languages (通知类型)."""
    raise NotImplementedError


@hookspec
def crm_migrations() -> Path:
    """Asked by `crm db`: the folder of this distribution's revisions."""
    raise NotImplementedError


@hookspec
def crm_settings() -> type[BaseModel]:
    """Asked for settings: the model of the room's own table in `crm.toml`."""
    raise NotImplementedError


@hookspec
def crm_seeds() -> Sequence[Seed]:
    """Asked by `crm db upgrade`: async functions (session, line, now) that add what a line begins with (初始数据).

    Called at each upgrade for each line that enables the plugin: what is there already must be left alone.
    """
    raise NotImplementedError


@hookspec
def crm_demo() -> Demo:
    """Asked by `crm demo`: async function(demo) that adds this plugin's part of the demo company."""
    raise NotImplementedError


@hookspec
def crm_hookspecs() -> Sequence[object]:
    """Asked before anything else: modules with further hook specifications (a capability plugin's own doors)."""
    raise NotImplementedError
