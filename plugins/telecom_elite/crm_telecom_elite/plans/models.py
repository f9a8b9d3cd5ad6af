"""The tables of plans and of who decides at a customer: contact, action and revenue plans, tenders and their people."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Date, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import ExactDecimal, Fen, UtcDateTime
from crm_core.lifecycle import Lifecycle, Move
from crm_telecom_elite.scopes import PLAN_WRITE


class EliteWay(StrEnum):
    """By what a customer is contacted (接触方式, MO-520)."""

    LETTER = "LETTER"
    """信件"""
    PHONE = "PHONE"
    """电话"""
    MEETING = "MEETING"
    """会晤"""


class EliteContactState(StrEnum):
    """State of a planned contact (计划接触状态)."""

    PLANNED = "PLANNED"
    HELD = "HELD"
    REPORTED = "REPORTED"
    CANCELLED = "CANCELLED"


_C = EliteContactState
CONTACT_LIFE = Lifecycle(
    name="planned contact",
    initial=_C.PLANNED,
    states={
        _C.PLANNED: "To take place by its day (已计划).",
        _C.HELD: "Took place; its short report is still missing (已接触未报告, MO-520).",
        _C.REPORTED: "Took place, and its short report was handed in (已报告, MO-520).",
        _C.CANCELLED: "Called off (已取消).",
    },
    moves=(
        Move("hold", (_C.PLANNED,), _C.HELD, PLAN_WRITE, "Note that it took place (已接触)."),
        Move(
            "report", (_C.PLANNED, _C.HELD), _C.REPORTED, PLAN_WRITE, "Hand in its short report (提交简报)."
        ),
        Move("cancel", (_C.PLANNED,), _C.CANCELLED, PLAN_WRITE, "Call it off; give the reason (取消)."),
    ),
)


class EliteActionState(StrEnum):
    """State of an action (行动状态): open 待办, done 完成, dropped 放弃."""

    OPEN = "OPEN"
    DONE = "DONE"
    DROPPED = "DROPPED"


_A = EliteActionState
ACTION_LIFE = Lifecycle(
    name="action",
    initial=_A.OPEN,
    states={
        _A.OPEN: "To be done by its day (待办).",
        _A.DONE: "Done (完成).",
        _A.DROPPED: "Will not be done (放弃).",
    },
    moves=(
        Move("done", (_A.OPEN,), _A.DONE, PLAN_WRITE, "It is done (完成)."),
        Move("drop", (_A.OPEN,), _A.DROPPED, PLAN_WRITE, "It will not be done (放弃)."),
        Move("reopen", (_A.DONE, _A.DROPPED), _A.OPEN, PLAN_WRITE, "It is to be done after all (重新打开)."),
    ),
)


class EliteContactPlan(Aggregate):
    """The contact plan of a customer for a year (客户接触计划, MO-520, MO-521), one for each line."""

    __tablename__ = "telecom_elite_contact_plans"
    __table_args__ = (
        UniqueConstraint("line", "customer_id", "year"),
        Index("ix_telecom_elite_contact_plans_line_id", "line", "id"),
        Index("ix_telecom_elite_contact_plans_customer_id_id", "customer_id", "id"),
        Index("ix_telecom_elite_contact_plans_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "goal": Personal("content", "What contacts with the customer are to reach")
    }

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    year: Mapped[int] = mapped_column(Integer)
    begins_on: Mapped[date] = mapped_column(Date)
    """The first day of the year, to compare days with."""
    ends_on: Mapped[date] = mapped_column(Date)
    goal: Mapped[str] = mapped_column(String(2000))


class EliteContactPlanRecipient(Record):
    """Who gets the short reports on contacts of a plan, besides the holders of the reporting roles (简报接收人)."""

    __tablename__ = "telecom_elite_contact_plan_recipients"
    __table_args__ = (UniqueConstraint("plan_id", "user_id"),)
    personal: ClassVar[dict[str, Personal]] = {}

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_contact_plans.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))


class ElitePlannedContact(Aggregate):
    """A contact that a plan asks for (计划接触): with whom, by which way, by whom, by when.

    `report_due_on` is the last day for the short report: so many working days after it was held, or was to be held.
    `interaction_id` is the interaction that fulfilled it.
    """

    __tablename__ = "telecom_elite_planned_contacts"
    __table_args__ = (
        UniqueConstraint("interaction_id"),
        Index("ix_telecom_elite_planned_contacts_line_id", "line", "id"),
        Index("ix_telecom_elite_planned_contacts_line_state_report_due_on", "line", "state", "report_due_on"),
        Index("ix_telecom_elite_planned_contacts_plan_id_due_on", "plan_id", "due_on"),
        Index("ix_telecom_elite_planned_contacts_customer_id_id", "customer_id", "id"),
        Index("ix_telecom_elite_planned_contacts_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "purpose": Personal("content", "What a contact is to reach"),
        "cancel_reason": Personal("content", "Why a contact was called off"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_contact_plans.id"))
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    contact_id: Mapped[UUID | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    way: Mapped[str] = mapped_column(String(20))
    purpose: Mapped[str] = mapped_column(String(1000), default="")
    due_on: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(String(20))
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    report_due_on: Mapped[date] = mapped_column(Date)
    interaction_id: Mapped[UUID | None] = mapped_column(ForeignKey("interactions.id"))
    reported_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reminded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_reason: Mapped[str] = mapped_column(String(1000), default="")


class EliteActionPlan(Aggregate):
    """The action plan of a line, or of a region of it, for a year (行动计划, MO-522)."""

    __tablename__ = "telecom_elite_action_plans"
    __table_args__ = (
        UniqueConstraint("line", "region", "year"),
        Index("ix_telecom_elite_action_plans_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    region: Mapped[str] = mapped_column(String(120), default="")
    """Empty: the whole line."""
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    year: Mapped[int] = mapped_column(Integer)
    goals: Mapped[str] = mapped_column(String(4000))


class EliteAction(Aggregate):
    """An action that the goals of a year need (行动): what, by whom, by when."""

    __tablename__ = "telecom_elite_actions"
    __table_args__ = (
        Index("ix_telecom_elite_actions_line_id", "line", "id"),
        Index("ix_telecom_elite_actions_plan_id_due_on", "plan_id", "due_on"),
        Index("ix_telecom_elite_actions_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {"note": Personal("content", "How somebody's action stands")}

    line: Mapped[str] = mapped_column(LineCode)
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_action_plans.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    what: Mapped[str] = mapped_column(String(1000))
    due_on: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(String(20))
    note: Mapped[str] = mapped_column(String(1000), default="")


class EliteRevenuePlan(Aggregate):
    """The revenue plan of a customer, or of the line, for a year (收益计划, MO-523 to MO-526): totals of its projects."""

    __tablename__ = "telecom_elite_revenue_plans"
    __table_args__ = (
        UniqueConstraint("line", "customer_id", "year"),
        Index(
            "uq_telecom_elite_revenue_plans_of_lines",
            "line",
            "year",
            unique=True,
            sqlite_where=text("customer_id IS NULL"),
            postgresql_where=text("customer_id IS NULL"),
        ),
        Index("ix_telecom_elite_revenue_plans_line_id", "line", "id"),
        Index("ix_telecom_elite_revenue_plans_customer_id_id", "customer_id", "id"),
        Index("ix_telecom_elite_revenue_plans_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    year: Mapped[int] = mapped_column(Integer)
    goal: Mapped[str] = mapped_column(String(2000), default="")
    income: Mapped[int] = mapped_column(Fen, default=0)
    profit: Mapped[int] = mapped_column(Fen, default=0)
    actual: Mapped[int | None] = mapped_column(Fen)
    attainment: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """Actual by planned income in percent, one decimal; None while there is nothing to compare."""


class EliteRevenueProject(Record):
    """A project planned for a year, with what it is expected to bring (收益计划项目)."""

    __tablename__ = "telecom_elite_revenue_projects"
    __table_args__ = (UniqueConstraint("plan_id", "name"),)
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_revenue_plans.id"))
    position: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(200))
    contract_amount: Mapped[int] = mapped_column(Fen)
    acquisition_rate: Mapped[Decimal] = mapped_column(ExactDecimal)
    profit_rate: Mapped[Decimal] = mapped_column(ExactDecimal)
    income: Mapped[int] = mapped_column(Fen)
    profit: Mapped[int] = mapped_column(Fen)
    measures: Mapped[str] = mapped_column(String(2000), default="")


class EliteTender(Aggregate):
    """A tender of a customer (招投标项目): open until the day it is closed (MO-528)."""

    __tablename__ = "telecom_elite_tenders"
    __table_args__ = (
        Index("ix_telecom_elite_tenders_line_id", "line", "id"),
        Index("ix_telecom_elite_tenders_customer_id_id", "customer_id", "id"),
        Index("ix_telecom_elite_tenders_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(200))
    opened_on: Mapped[date] = mapped_column(Date)
    closed_on: Mapped[date | None] = mapped_column(Date)
    """The first day it is no longer open."""
    outcome: Mapped[str] = mapped_column(String(1000), default="")


class EliteTenderRole(Aggregate):
    """What a person of the customer is in a tender (购买决策角色作用, MO-528): role, influence, concerns."""

    __tablename__ = "telecom_elite_tender_roles"
    __table_args__ = (
        UniqueConstraint("tender_id", "contact_id"),
        Index("ix_telecom_elite_tender_roles_line_id", "line", "id"),
        Index("ix_telecom_elite_tender_roles_customer_id_id", "customer_id", "id"),
        Index("ix_telecom_elite_tender_roles_contact_id", "contact_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "role": Personal("profile", "Knowing who decides in a tender (MO-528)"),
        "influence": Personal("profile", "Knowing who decides in a tender (MO-528)"),
        "concerns": Personal("profile", "Knowing who decides in a tender (MO-528)"),
        "purpose": Personal("content", "Why this is kept of the person"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    tender_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_tenders.id"))
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    contact_id: Mapped[UUID] = mapped_column(ForeignKey("contacts.id"))
    role: Mapped[str] = mapped_column(String(200))
    decision_maker: Mapped[bool] = mapped_column(Boolean)
    influence: Mapped[str] = mapped_column(String(1000), default="")
    concerns: Mapped[str] = mapped_column(String(2000), default="")
    purpose: Mapped[str] = mapped_column(String(500))


class EliteMapOpening(Aggregate):
    """Somebody opened the roles of a customer's people for a purpose (关系图查阅记录, MO-527): the access log."""

    __tablename__ = "telecom_elite_map_openings"
    __table_args__ = (
        Index("ix_telecom_elite_map_openings_line_id", "line", "id"),
        Index("ix_telecom_elite_map_openings_customer_id_user_id_until", "customer_id", "user_id", "until"),
        Index("ix_telecom_elite_map_openings_user_id_id", "user_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "purpose": Personal("content", "Why somebody looked at the roles of persons")
    }

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    purpose: Mapped[str] = mapped_column(String(500))
    until: Mapped[datetime] = mapped_column(UtcDateTime)


TABLES = (
    EliteContactPlan, EliteContactPlanRecipient, ElitePlannedContact, EliteActionPlan, EliteAction, EliteRevenuePlan,
    EliteRevenueProject, EliteTender, EliteTenderRole, EliteMapOpening,
)  # fmt: skip
