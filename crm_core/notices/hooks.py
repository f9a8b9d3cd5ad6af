"""What the notices room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType
from crm_core.notices import commands, dead_jobs, graphql, models
from crm_core.notices.bots import BOT
from crm_core.notices.delivering import deliver_due
from crm_core.notices.forgetting import CHORE
from crm_core.notices.mail import MAIL
from crm_core.notices.notifier import Notifier
from crm_core.notices.queries import ADMIN, SELF
from crm_core.notices.settings import NoticesSettings
from crm_core.registry import Chore, NoticeKind, Receiver, RoleTemplate, Scope

TOLD = (
    "sales", "steward", "team_leader", "sales_manager", "line_manager", "regional_director", "marketing_gm",
)  # fmt: skip
"""Roles of other rooms; their titles are given there."""
TEST = "notice.test"


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Notices, deliveries, preferences."""
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
    """Reading, setting preferences, trying again."""
    return commands.COMMANDS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return commands.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """Accounts and defaults."""
    return NoticesSettings


@hookimpl
def crm_notifiers() -> Sequence[Notifier]:
    """Mail and chat bots."""
    return (MAIL, BOT)


@hookimpl
def crm_notice_kinds() -> Sequence[NoticeKind]:
    """What `crm notices test` sends; jobs that have died."""
    return (
        NoticeKind(
            TEST,
            "测试通知",
            "Test notice",
            "这是一条测试通知，发送给 {name}。\n收到即表示该渠道可用。",
            "This is a test notice to {name}.\nIf you read it, the channel works.",
        ),
        dead_jobs.NOTICE_KIND,
    )


@hookimpl
def crm_receivers() -> Sequence[Receiver]:
    """Jobs that have died."""
    return (dead_jobs.RECEIVER,)


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Send what is due; remove what is old."""
    return (Chore("notices.deliver", timedelta(seconds=15), deliver_due), CHORE)


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope(SELF, "Read one's notices and set what one wants to be told (本人通知)"),
        Scope(ADMIN, "See deliveries of notices and try dead ones again (管理通知投递)"),
    )


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Everybody is told; line managers see what could not be sent."""
    own = {SELF: Reach.OWN}
    return (
        *(RoleTemplate(name, "", own) for name in TOLD),
        RoleTemplate("line_manager", "业务线经理 Line manager", {ADMIN: Reach.LINE}),
    )
