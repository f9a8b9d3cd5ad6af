"""Tables of interactions, visits, callbacks, reports, tasks and sales meetings."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime


class Channel(StrEnum):
    """Channel of a contact (联系渠道, CS-127): telephone, SMS, e-mail, WeChat, letter, online chat, face to face, social media."""

    PHONE = "PHONE"
    SMS = "SMS"
    EMAIL = "EMAIL"
    WECHAT = "WECHAT"
    LETTER = "LETTER"
    ONLINE_CHAT = "ONLINE_CHAT"
    FACE_TO_FACE = "FACE_TO_FACE"
    SOCIAL_MEDIA = "SOCIAL_MEDIA"


class InteractionStatus(StrEnum):
    """State of an interaction (状态): planned, done or cancelled."""

    PLANNED = "PLANNED"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class Direction(StrEnum):
    """Who began the contact (方向): the customer (INBOUND) or we (OUTBOUND)."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class VisitPurpose(StrEnum):
    """Purpose of a visit (拜访目的, CS-110).

    LEARN_NEEDS 了解需求; RESOLVE_CONFLICTS 协调关系、化解矛盾; MAINTAIN_RELATIONSHIP 维护和改善关系;
    COLLECT_INFORMATION 收集信息、监控关系动态; GIVE_GUIDANCE 指导帮助、解决困难.
    """

    LEARN_NEEDS = "LEARN_NEEDS"
    RESOLVE_CONFLICTS = "RESOLVE_CONFLICTS"
    MAINTAIN_RELATIONSHIP = "MAINTAIN_RELATIONSHIP"
    COLLECT_INFORMATION = "COLLECT_INFORMATION"
    GIVE_GUIDANCE = "GIVE_GUIDANCE"


class VisitOccasion(StrEnum):
    """Regular (定期: festivals, important events) or irregular (不定期: daily) visit (CS-107)."""

    REGULAR = "REGULAR"
    IRREGULAR = "IRREGULAR"


class AlternativeWay(StrEnum):
    """Another way to a large or hard-to-visit customer (CS-113): 地方协会, 展销会, 与客户重要领导人见面."""

    LOCAL_ASSOCIATION = "LOCAL_ASSOCIATION"
    TRADE_FAIR = "TRADE_FAIR"
    MEETING_LEADERS = "MEETING_LEADERS"


class ReviewResult(StrEnum):
    """What the superior decided on a visit report (审核结果, CS-106)."""

    ACCEPTED = "ACCEPTED"
    RETURNED = "RETURNED"


class TaskStatus(StrEnum):
    """State of a task (任务状态)."""

    OPEN = "OPEN"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


def _of_some(name: str, mark: str, *columns: str) -> Index:
    """An index of those rows alone that bear a mark."""
    return Index(name, *columns, postgresql_where=text(mark), sqlite_where=text(f"{mark} = 1"))


class Interaction(Aggregate):
    """A contact with a customer in one business line, planned or done (客户互动, CS-014).

    `occurred_at` is the moment it took place, while planned the moment it is planned for; `occurred_on` is that
    moment's day in the line's time zone. `is_visit` marks kinds that need a plan, `is_callback` a callback (回访).
    `source` and `external_id` tell an imported interaction from every other of its line.
    """

    __tablename__ = "interactions"
    __table_args__ = (
        UniqueConstraint("line", "source", "external_id"),
        Index("ix_interactions_occurred_at_id", "occurred_at", "id"),  # for who sees every line
        Index("ix_interactions_occurred_on_occurred_at_id", "occurred_on", "occurred_at", "id"),
        Index("ix_interactions_line_occurred_at_id", "line", "occurred_at", "id"),
        Index("ix_interactions_customer_id_occurred_at_id", "customer_id", "occurred_at", "id"),
        Index("ix_interactions_line_kind_occurred_at_id", "line", "kind", "occurred_at", "id"),
        Index(
            "ix_interactions_line_performer_id_occurred_at_id", "line", "performer_id", "occurred_at", "id"
        ),
        Index("ix_interactions_line_status_occurred_at_id", "line", "status", "occurred_at", "id"),
        Index("ix_interactions_line_channel_occurred_at_id", "line", "channel", "occurred_at", "id"),
        Index("ix_interactions_line_is_callback_occurred_at_id", "line", "is_callback", "occurred_at", "id"),
        Index("ix_interactions_line_is_visit_occurred_on", "line", "is_visit", "occurred_on"),
        Index("ix_interactions_line_next_on", "line", "next_on"),
        _of_some("ix_interactions_visits_occurred_at_id", "is_visit", "occurred_at", "id"),
        _of_some("ix_interactions_callbacks_occurred_at_id", "is_callback", "occurred_at", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "subject": Personal("content", "What the contact was about"),
        "content": Personal("content", "What was said; part of the customer archive (CS-014)"),
        "target": Personal("content", "What a planned contact is to reach"),
        "next_step": Personal("content", "What follows from the contact"),
        "consultant_name": Personal(
            "identity", "Who held the contact, as an imported file names him", mask="name"
        ),
    }

    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    line: Mapped[str] = mapped_column(LineCode)
    kind: Mapped[str] = mapped_column(String(40))
    channel: Mapped[str | None] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(40))
    direction: Mapped[str] = mapped_column(String(40), default=Direction.OUTBOUND.value)
    is_visit: Mapped[bool] = mapped_column(Boolean, default=False)
    is_callback: Mapped[bool] = mapped_column(Boolean, default=False)
    subject: Mapped[str] = mapped_column(String(200), default="")
    target: Mapped[str] = mapped_column(String(2000), default="")
    content: Mapped[str] = mapped_column(Text, default="")
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    occurred_on: Mapped[date] = mapped_column(Date)
    planned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    duration_minutes: Mapped[int | None] = mapped_column(Integer)
    performer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    consultant_name: Mapped[str | None] = mapped_column(String(120))
    next_step: Mapped[str] = mapped_column(String(2000), default="")
    next_on: Mapped[date | None] = mapped_column(Date)
    source: Mapped[str | None] = mapped_column(String(40))
    external_id: Mapped[str | None] = mapped_column(String(120))


class Participant(Record):
    """Who took part in an interaction (参与人): a colleague, a contact, or a person by name only."""

    __tablename__ = "interaction_participants"
    __table_args__ = (
        Index("ix_interaction_participants_contact_id_interaction_id", "contact_id", "interaction_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "name": Personal("identity", "Who took part in the contact", mask="name"),
    }

    interaction_id: Mapped[UUID] = mapped_column(ForeignKey("interactions.id"), index=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    contact_id: Mapped[UUID | None] = mapped_column(ForeignKey("contacts.id"))
    name: Mapped[str] = mapped_column(String(120), default="")


class Visit(Record):
    """Plan and report of a visit (探望计划、探望报告), one row per visiting interaction (CS-106, CS-110 to CS-117).

    `guidance_planned` and `guidance_most` are the least and most minutes of guidance aimed at; `submitted_by_id` is
    who drew up the report as it stands (制表人).
    """

    __tablename__ = "interaction_visits"
    __table_args__ = (Index("ix_interaction_visits_is_late_interaction_id", "is_late", "interaction_id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "target": Personal("content", "What the visit is to reach (CS-106)"),
        "host_name": Personal("identity", "Whom we met (CS-112)", mask="name"),
        "host_title": Personal("profile", "Post of the host (CS-112)"),
        "decision_power": Personal("profile", "The host's say on future cooperation (CS-112)"),
        "needs": Personal("content", "The customer's own view of needs and problems (CS-112)"),
        "attitude": Personal("content", "The customer's attitude (CS-112)"),
        "demands": Personal("content", "Demands and suggestions (CS-112)"),
        "feedback": Personal("content", "The customer's feedback (CS-117)"),
        "prospects": Personal("content", "Back-up customers in the local market (CS-114)"),
        "competitors": Personal("content", "Competitors' customer relations (CS-114)"),
        "guidance": Personal("content", "Guidance given on site (CS-114)"),
        "credit_change": Personal("content", "Changes in the customer's credit (CS-114)"),
        "credit_change_cause": Personal("content", "Causes of the changes in credit (CS-114)"),
        "company_topics": Personal("content", "Company information given (CS-115)"),
        "activity_topics": Personal("content", "Activity information given (CS-115)"),
        "product_topics": Personal("content", "Product information given (CS-115)"),
        "competitor_topics": Personal("content", "Competitor information given (CS-115)"),
        "objections": Personal("content", "Objections and how they were handled (CS-115)"),
        "gifts": Personal("content", "Gifts given (CS-115)"),
        "review_comment": Personal("content", "The superior's remark on the report"),
    }

    interaction_id: Mapped[UUID] = mapped_column(ForeignKey("interactions.id"), unique=True)
    purposes: Mapped[list[str]] = mapped_column(JsonValue)
    target: Mapped[str] = mapped_column(String(2000), default="")
    occasion: Mapped[str] = mapped_column(String(40), default=VisitOccasion.IRREGULAR.value)
    alternative_way: Mapped[str | None] = mapped_column(String(40))
    checklist: Mapped[list[str]] = mapped_column(JsonValue)
    preparations: Mapped[list[str]] = mapped_column(JsonValue)
    guidance_planned: Mapped[int | None] = mapped_column(Integer)
    guidance_most: Mapped[int | None] = mapped_column(Integer)
    host_name: Mapped[str] = mapped_column(String(120), default="")
    host_title: Mapped[str] = mapped_column(String(120), default="")
    decision_power: Mapped[str] = mapped_column(String(500), default="")
    needs: Mapped[str] = mapped_column(String(4000), default="")
    attitude: Mapped[str] = mapped_column(String(4000), default="")
    demands: Mapped[str] = mapped_column(String(4000), default="")
    feedback: Mapped[str] = mapped_column(String(4000), default="")
    prospects: Mapped[str] = mapped_column(String(4000), default="")
    competitors: Mapped[str] = mapped_column(String(4000), default="")
    guidance: Mapped[str] = mapped_column(String(4000), default="")
    guidance_minutes: Mapped[int | None] = mapped_column(Integer)
    credit_change: Mapped[str] = mapped_column(String(2000), default="")
    credit_change_cause: Mapped[str] = mapped_column(String(2000), default="")
    company_topics: Mapped[str] = mapped_column(String(2000), default="")
    activity_topics: Mapped[str] = mapped_column(String(2000), default="")
    product_topics: Mapped[str] = mapped_column(String(2000), default="")
    competitor_topics: Mapped[str] = mapped_column(String(2000), default="")
    objections: Mapped[str] = mapped_column(String(4000), default="")
    gifts: Mapped[str] = mapped_column(String(1000), default="")
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    submitted_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    is_late: Mapped[bool] = mapped_column(Boolean, default=False)
    reviewed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    review_result: Mapped[str | None] = mapped_column(String(40))
    review_comment: Mapped[str] = mapped_column(String(2000), default="")


class Callback(Record):
    """What a callback found (回访结果): satisfaction, changed needs, opinions, problems (CS-128, CS-130)."""

    __tablename__ = "interaction_callbacks"
    personal: ClassVar[dict[str, Personal]] = {
        "changed_needs": Personal("content", "Changes in the customer's needs (CS-128)"),
        "product_quality": Personal("content", "Opinion on product quality (CS-130)"),
        "sales_strategy": Personal("content", "Suggestions on the sales strategy (CS-130)"),
        "problems": Personal("content", "Problems found, to be solved in time (CS-128)"),
    }

    interaction_id: Mapped[UUID] = mapped_column(ForeignKey("interactions.id"), unique=True)
    satisfaction: Mapped[int | None] = mapped_column(Integer)
    changed_needs: Mapped[str] = mapped_column(String(4000), default="")
    product_quality: Mapped[str] = mapped_column(String(4000), default="")
    sales_strategy: Mapped[str] = mapped_column(String(4000), default="")
    problems: Mapped[str] = mapped_column(String(4000), default="")


class InteractionReport(Aggregate):
    """The short report on a contact, as sent to one recipient (联系简报, CS-119)."""

    __tablename__ = "interaction_reports"
    __table_args__ = (
        UniqueConstraint("interaction_id", "user_id"),
        Index("ix_interaction_reports_user_id_read_at_id", "user_id", "read_at", "id"),
        Index("ix_interaction_reports_user_id_id", "user_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "text": Personal("content", "The report as it was sent (CS-119)"),
    }

    interaction_id: Mapped[UUID] = mapped_column(ForeignKey("interactions.id"))
    line: Mapped[str] = mapped_column(LineCode)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    text: Mapped[str] = mapped_column(Text)
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Task(Aggregate):
    """Something to be done by someone until a day (任务), with or without a customer."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("ix_tasks_due_on_id", "due_on", "id"),  # for who sees every line
        Index("ix_tasks_status_due_on_id", "status", "due_on", "id"),
        Index("ix_tasks_assignee_id_due_on_id", "assignee_id", "due_on", "id"),
        Index("ix_tasks_team_id_due_on_id", "team_id", "due_on", "id"),
        Index("ix_tasks_creator_id", "creator_id"),
        Index("ix_tasks_line_due_on_id", "line", "due_on", "id"),
        Index("ix_tasks_line_status_due_on_id", "line", "status", "due_on", "id"),
        Index("ix_tasks_line_assignee_id_due_on_id", "line", "assignee_id", "due_on", "id"),
        Index("ix_tasks_customer_id_due_on_id", "customer_id", "due_on", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "title": Personal("content", "What is to be done"),
        "note": Personal("content", "Details of what is to be done"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"))
    interaction_id: Mapped[UUID | None] = mapped_column(ForeignKey("interactions.id"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(String(4000), default="")
    due_on: Mapped[date] = mapped_column(Date)
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    creator_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    status: Mapped[str] = mapped_column(String(40), default=TaskStatus.OPEN.value)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Cadence(Aggregate):
    """How often customers of a grade are contacted, and in which form, from a day on (分级拜访频率, CS-109)."""

    __tablename__ = "interaction_cadences"
    __table_args__ = (UniqueConstraint("line", "grade", "kind", "valid_from"),)
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    grade: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    form: Mapped[str] = mapped_column(String(200), default="")
    every_days: Mapped[int] = mapped_column(Integer)
    valid_from: Mapped[date] = mapped_column(Date)


class CallbackPlan(Aggregate):
    """A team's plan of regular callbacks (客户回访计划, CS-128); for old customers by telephone or on site (CS-129).

    `channel` is the one it names, `channels` those that meet it, written down when the plan is set.
    """

    __tablename__ = "interaction_callback_plans"
    __table_args__ = (
        UniqueConstraint("line", "team_id", "name"),
        Index("ix_interaction_callback_plans_line_valid_from", "line", "valid_from"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str] = mapped_column(String(120))
    every_days: Mapped[int] = mapped_column(Integer)
    channel: Mapped[str | None] = mapped_column(String(40))
    channels: Mapped[list[str]] = mapped_column(JsonValue)
    old_customers: Mapped[bool] = mapped_column(Boolean, default=False)
    valid_from: Mapped[date] = mapped_column(Date)
    valid_to: Mapped[date | None] = mapped_column(Date)


class SalesMeeting(Aggregate):
    """A sales meeting that summarises the visits of a period and sets the next plan (销售会议, CS-118)."""

    __tablename__ = "sales_meetings"
    __table_args__ = (Index("ix_sales_meetings_line_held_on_id", "line", "held_on", "id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "summary": Personal("content", "Summary and analysis of the visits"),
        "next_plan": Personal("content", "The next sales plan"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    chair_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    held_on: Mapped[date] = mapped_column(Date)
    period_from: Mapped[date] = mapped_column(Date)
    period_to: Mapped[date] = mapped_column(Date)
    visits: Mapped[int] = mapped_column(Integer)
    customers_visited: Mapped[int] = mapped_column(Integer)
    summary: Mapped[str] = mapped_column(Text)
    next_plan: Mapped[str] = mapped_column(Text)


TABLES: tuple[type[Any], ...] = (
    Interaction, Participant, Visit, Callback, InteractionReport, Task, Cadence, CallbackPlan, SalesMeeting,
)  # fmt: skip
