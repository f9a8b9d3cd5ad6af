"""Facts about plans, planned contacts, actions, tenders and who looked at their people."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfContactPlan(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteContactPlan"
    public: ClassVar[tuple[str, ...]] = ("line", "customer_id", "owner_id", "year")


class EliteContactPlanCreated(_OfContactPlan):
    """A contact plan was made (接触计划已制订)."""

    kind: ClassVar[str] = "elite_contact_plan.created"


class EliteContactPlanUpdated(_OfContactPlan):
    """A contact plan was changed (接触计划已修改)."""

    kind: ClassVar[str] = "elite_contact_plan.updated"


class _OfPlannedContact(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "ElitePlannedContact"
    public: ClassVar[tuple[str, ...]] = (
        "line", "plan_id", "customer_id", "contact_id", "owner_id", "way", "due_on", "state", "held_at", "report_due_on",
        "interaction_id", "reported_at",
    )  # fmt: skip


class ElitePlannedContactAdded(_OfPlannedContact):
    """A contact was planned (接触已计划)."""

    kind: ClassVar[str] = "elite_planned_contact.added"


class ElitePlannedContactUpdated(_OfPlannedContact):
    """A planned contact was changed (计划接触已修改)."""

    kind: ClassVar[str] = "elite_planned_contact.updated"


class ElitePlannedContactHeld(_OfPlannedContact):
    """A planned contact took place (已接触)."""

    kind: ClassVar[str] = "elite_planned_contact.held"


class ElitePlannedContactReported(_OfPlannedContact):
    """The short report on a planned contact was handed in (接触简报已提交)."""

    kind: ClassVar[str] = "elite_planned_contact.reported"


class ElitePlannedContactReminded(_OfPlannedContact):
    """Its owner was reminded that the short report is missing (已催报)."""

    kind: ClassVar[str] = "elite_planned_contact.reminded"


class ElitePlannedContactCancelled(_OfPlannedContact):
    """A planned contact was called off (计划接触已取消)."""

    kind: ClassVar[str] = "elite_planned_contact.cancelled"


class _OfActionPlan(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteActionPlan"
    public: ClassVar[tuple[str, ...]] = ("line", "region", "year", "goals", "owner_id")


class EliteActionPlanCreated(_OfActionPlan):
    """An action plan was made (行动计划已制订)."""

    kind: ClassVar[str] = "elite_action_plan.created"


class EliteActionPlanUpdated(_OfActionPlan):
    """An action plan was changed (行动计划已修改)."""

    kind: ClassVar[str] = "elite_action_plan.updated"


class _OfAction(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteAction"
    public: ClassVar[tuple[str, ...]] = ("line", "plan_id", "owner_id", "what", "due_on", "state")


class EliteActionAdded(_OfAction):
    """An action was added to a plan (行动已添加)."""

    kind: ClassVar[str] = "elite_action.added"


class EliteActionUpdated(_OfAction):
    """An action was changed, or its state (行动已修改)."""

    kind: ClassVar[str] = "elite_action.updated"


class _OfRevenuePlan(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteRevenuePlan"
    public: ClassVar[tuple[str, ...]] = (
        "line", "customer_id", "owner_id", "year", "income", "profit", "actual", "attainment",
    )  # fmt: skip


class EliteRevenuePlanCreated(_OfRevenuePlan):
    """A revenue plan was made (收益计划已制订)."""

    kind: ClassVar[str] = "elite_revenue_plan.created"


class EliteRevenuePlanUpdated(_OfRevenuePlan):
    """A revenue plan or its projects were changed (收益计划已修改)."""

    kind: ClassVar[str] = "elite_revenue_plan.updated"


class EliteRevenuePlanMeasured(_OfRevenuePlan):
    """What a revenue plan actually brought was recorded (收益计划完成情况已记录)."""

    kind: ClassVar[str] = "elite_revenue_plan.measured"


class _OfTender(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteTender"
    public: ClassVar[tuple[str, ...]] = ("line", "customer_id", "name", "opened_on", "closed_on")


class EliteTenderOpened(_OfTender):
    """A tender of a customer was opened (招标开始)."""

    kind: ClassVar[str] = "elite_tender.opened"


class EliteTenderClosed(_OfTender):
    """A tender of a customer was closed (招标结束)."""

    kind: ClassVar[str] = "elite_tender.closed"


class _OfTenderRole(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteTenderRole"
    public: ClassVar[tuple[str, ...]] = ("line", "tender_id", "customer_id", "contact_id", "decision_maker")


class EliteTenderRoleSet(_OfTenderRole):
    """The role of a person in a tender was set (角色作用已登记)."""

    kind: ClassVar[str] = "elite_tender_role.set"


class EliteTenderRoleRemoved(_OfTender):
    """The role of a person in a tender was taken out (角色作用已删除)."""

    kind: ClassVar[str] = "elite_tender_role.removed"
    contact: str


class EliteKeyPersonMapOpened(Event):
    """Somebody opened the roles of a customer's people for a purpose (关系图已查阅)."""

    kind: ClassVar[str] = "elite_key_person_map.opened"
    subject_type: ClassVar[str] = "EliteMapOpening"
    public: ClassVar[tuple[str, ...]] = ("line", "customer_id", "user_id", "until")


EVENTS: tuple[type[Event], ...] = (
    EliteContactPlanCreated, EliteContactPlanUpdated, ElitePlannedContactAdded, ElitePlannedContactUpdated,
    ElitePlannedContactHeld, ElitePlannedContactReported, ElitePlannedContactReminded, ElitePlannedContactCancelled,
    EliteActionPlanCreated, EliteActionPlanUpdated, EliteActionAdded, EliteActionUpdated, EliteRevenuePlanCreated,
    EliteRevenuePlanUpdated, EliteRevenuePlanMeasured, EliteTenderOpened, EliteTenderClosed, EliteTenderRoleSet,
    EliteTenderRoleRemoved, EliteKeyPersonMapOpened,
)  # fmt: skip
