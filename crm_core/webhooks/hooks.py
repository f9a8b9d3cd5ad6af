"""What the webhooks room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.outbox.events import Event
from crm_core.registry import Chore, NoticeKind, Receiver, RoleTemplate, Scope, Worker
from crm_core.webhooks import commands, events, graphql, models
from crm_core.webhooks.dying import GAVE_UP
from crm_core.webhooks.forgetting import CHORE
from crm_core.webhooks.queries import MANAGE, PRIVATE, READ
from crm_core.webhooks.receiving import RECEIVER
from crm_core.webhooks.sending import run
from crm_core.webhooks.settings import WebhooksSettings


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Endpoints, deliveries, attempts, replays."""
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
    """Setting up, pausing, replaying."""
    return commands.COMMANDS


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about endpoints."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return commands.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """Waits, limits and retention."""
    return WebhooksSettings


@hookimpl
def crm_receivers() -> Sequence[Receiver]:
    """Events become deliveries."""
    return (RECEIVER,)


@hookimpl
def crm_workers() -> Sequence[Worker]:
    """Deliveries are sent."""
    return (Worker("webhooks", run),)


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Remove what is old."""
    return (CHORE,)


@hookimpl
def crm_notice_kinds() -> Sequence[NoticeKind]:
    """An endpoint was paused by the system, deliveries to it were given up."""
    return (
        GAVE_UP,
        NoticeKind(
            commands.PAUSED_NOTICE,
            "Webhook 已暂停：{name}",
            "Webhook paused: {name}",
            "端点：{name}\n地址：{url}\n业务线：{line}\n原因：{why}\n积压的投递会保留，恢复后继续发送。",
            "Endpoint: {name}\nAddress: {url}\nLine: {line}\nWhy: {why}\nIts deliveries wait until it is resumed.",
        ),
    )


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope(READ, "See webhook endpoints and their deliveries (查看 Webhook)"),
        Scope(MANAGE, "Set up webhook endpoints, replay and cancel deliveries (管理 Webhook)"),
        Scope(PRIVATE, "Let webhook endpoints stand in allowed private networks (允许内网 Webhook)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Line managers see what is sent and set it up; private networks are for administrators."""
    own = {READ: Reach.LINE, MANAGE: Reach.LINE}
    return (RoleTemplate("line_manager", "业务线经理 Line manager", own),)
