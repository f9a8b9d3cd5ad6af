"""What the interactions room answers when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, Filter, ObjectType, Source
from crm_core.interactions import additions, commands, events, graphql, handing_over, models, refusals
from crm_core.interactions.models import Channel
from crm_core.interactions.settings import InteractionSettings
from crm_core.outbox.events import Event
from crm_core.registry import Handover, InteractionKind, RoleTemplate, Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Interactions, visits, callbacks, reports, tasks, plans, meetings."""
    return models.TABLES


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return graphql.TYPES


@hookimpl
def crm_fields() -> Mapping[str, Sequence[Field | Filter]]:
    """Interactions, tasks and the timeline of customers, contacts and users."""
    return additions.FIELDS


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Their root fields."""
    return additions.QUERIES


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Planning, logging, reporting, reviewing."""
    return commands.COMMANDS


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts about interactions, reports, cards, tasks, plans and meetings."""
    return events.EVENTS


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals of this room."""
    return refusals.MESSAGES


@hookimpl
def crm_settings() -> type[BaseModel]:
    """The figures of the rules."""
    return InteractionSettings


@hookimpl
def crm_timeline() -> Sequence[Source]:
    """Interactions and tasks."""
    return graphql.SOURCES


@hookimpl
def crm_interaction_kinds() -> Sequence[InteractionKind]:
    """The kinds every line has; a visit needs a plan and a report (CS-106), each has its channel (CS-127)."""
    met = Channel.FACE_TO_FACE.value
    return (
        InteractionKind("visit", "Visit", "外出拜访", plan_required=True, report_required=True, channel=met),
        InteractionKind("showroom_visit", "Showroom visit", "到店", channel=met),
        InteractionKind("meeting", "Meeting", "会谈", channel=met),
        InteractionKind("call", "Telephone call", "电话", channel=Channel.PHONE.value),
        InteractionKind("sms", "SMS", "短信", channel=Channel.SMS.value),
        InteractionKind("wechat", "WeChat", "微信", channel=Channel.WECHAT.value),
        InteractionKind("email", "E-mail", "邮件", channel=Channel.EMAIL.value),
        InteractionKind("letter", "Letter", "信函", channel=Channel.LETTER.value),
        InteractionKind("online_chat", "Online chat", "在线闲谈", channel=Channel.ONLINE_CHAT.value),
        InteractionKind("social_media", "Social media", "社交媒体", channel=Channel.SOCIAL_MEDIA.value),
        InteractionKind("care", "Care", "关怀"),
        InteractionKind("other", "Other", "其他"),
    )


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (
        Scope("interaction.read", "See interactions, tasks and the timeline (查看互动)"),
        Scope("interaction.write", "Plan, record and report interactions and tasks (记录互动)"),
        Scope("interaction.review", "Review visit reports, restore customer cards (审核探望报告)"),
        Scope(
            "interaction.manage",
            "Set cadences and callback plans, record sales meetings (管理拜访与回访计划)",
        ),
    )


@hookimpl
def crm_handovers() -> Sequence[Handover]:
    """Planned interactions and open tasks."""
    return handing_over.HANDOVERS


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Who contacts customers, who supervises, and who gets the short reports (CS-119)."""
    own = {"interaction.read": Reach.OWN, "interaction.write": Reach.OWN}
    team = dict.fromkeys(("interaction.read", "interaction.write", "interaction.review"), Reach.SUBTREE)
    line = dict.fromkeys(
        ("interaction.read", "interaction.write", "interaction.review", "interaction.manage"), Reach.LINE
    )
    reads = {"interaction.read": Reach.LINE, "interaction.review": Reach.LINE}
    return (
        RoleTemplate("sales", "销售顾问 Sales consultant", own),
        RoleTemplate("team_leader", "组长 Team leader", team),
        RoleTemplate("sales_manager", "销售经理 Sales manager", team),
        RoleTemplate("line_manager", "业务线经理 Line manager", line),
        RoleTemplate("regional_director", "区域总监 Regional director", reads),
        RoleTemplate("marketing_gm", "营销中心总经理 Marketing general manager", reads),
    )
