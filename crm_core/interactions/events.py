"""Events of interactions, their reports, tasks, plans and meetings."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event

_CONTACT = (
    "customer_id", "line", "kind", "channel", "status", "direction", "is_callback", "subject", "occurred_at",
    "performer_id", "team_id", "next_on",
)  # fmt: skip


class _OfInteraction(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "Interaction"
    public: ClassVar[tuple[str, ...]] = _CONTACT


class InteractionPlanned(_OfInteraction):
    """An interaction was planned (互动已计划)."""

    kind = "interaction.planned"


class InteractionLogged(_OfInteraction):
    """An interaction that took place was recorded (互动已记录)."""

    kind = "interaction.logged"


class InteractionCompleted(_OfInteraction):
    """A planned interaction took place (互动已完成)."""

    kind = "interaction.completed"


class InteractionCancelled(_OfInteraction):
    """A planned interaction was called off (互动已取消)."""

    kind = "interaction.cancelled"


class InteractionUpdated(_OfInteraction):
    """An interaction was changed (互动已修改)."""

    kind = "interaction.updated"


class VisitReportSubmitted(_OfInteraction):
    """The report of a visit was handed in to the superior (拜访报告已提交, CS-106)."""

    kind = "interaction.report_submitted"
    late: bool


class VisitReportReviewed(_OfInteraction):
    """The superior reviewed the report of a visit (拜访报告已审核, CS-106)."""

    kind = "interaction.report_reviewed"
    result: str


class ReportSent(Event):
    """The short report on a contact was sent to someone (联系简报已发送, CS-119)."""

    kind: ClassVar[str] = "interaction_report.sent"
    subject_type: ClassVar[str] = "InteractionReport"
    public: ClassVar[tuple[str, ...]] = ("interaction_id", "line", "user_id")


class ReportRead(Event):
    """The recipient read a short report (联系简报已阅, CS-119)."""

    kind: ClassVar[str] = "interaction_report.read"
    subject_type: ClassVar[str] = "InteractionReport"
    public: ClassVar[tuple[str, ...]] = ("interaction_id", "line", "user_id", "read_at")


class CardVoided(Event):
    """Callbacks by SMS alone voided the salesperson's customer card (客户卡作废, CS-131)."""

    kind: ClassVar[str] = "customer.card_voided"
    subject_type: ClassVar[str] = "Customer"
    public: ClassVar[tuple[str, ...]] = ("number", "kind", "name")
    line: str


class CardRestored(Event):
    """A void customer card became valid again (客户卡恢复, CS-131)."""

    kind: ClassVar[str] = "customer.card_restored"
    subject_type: ClassVar[str] = "Customer"
    public: ClassVar[tuple[str, ...]] = ("number", "kind", "name")
    line: str


class _OfTask(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "Task"
    public: ClassVar[tuple[str, ...]] = (
        "line",
        "customer_id",
        "interaction_id",
        "title",
        "due_on",
        "assignee_id",
        "status",
    )


class TaskCreated(_OfTask):
    """A task was given (任务已创建)."""

    kind = "task.created"


class TaskUpdated(_OfTask):
    """A task was changed (任务已修改)."""

    kind = "task.updated"


class TaskCompleted(_OfTask):
    """A task was done (任务已完成)."""

    kind = "task.completed"


class TaskCancelled(_OfTask):
    """A task was called off (任务已取消)."""

    kind = "task.cancelled"


class CadenceSet(Event):
    """How often customers of a grade are contacted was set (拜访频率已设定, CS-109)."""

    kind: ClassVar[str] = "cadence.set"
    subject_type: ClassVar[str] = "Cadence"
    public: ClassVar[tuple[str, ...]] = ("line", "grade", "kind", "form", "every_days", "valid_from")


class CallbackPlanSet(Event):
    """A team's callback plan was set (回访计划已设定, CS-128)."""

    kind: ClassVar[str] = "callback_plan.set"
    subject_type: ClassVar[str] = "CallbackPlan"
    public: ClassVar[tuple[str, ...]] = (
        "line",
        "team_id",
        "name",
        "every_days",
        "channel",
        "valid_from",
        "valid_to",
    )


class SalesMeetingRecorded(Event):
    """A sales meeting was recorded (销售会议已记录, CS-118)."""

    kind: ClassVar[str] = "sales_meeting.recorded"
    subject_type: ClassVar[str] = "SalesMeeting"
    public: ClassVar[tuple[str, ...]] = ("line", "team_id", "held_on", "visits", "customers_visited")


EVENTS: tuple[type[Event], ...] = (
    InteractionPlanned, InteractionLogged, InteractionCompleted, InteractionCancelled, InteractionUpdated,
    VisitReportSubmitted, VisitReportReviewed, ReportSent, ReportRead, CardVoided, CardRestored, TaskCreated,
    TaskUpdated, TaskCompleted, TaskCancelled, CadenceSet, CallbackPlanSet, SalesMeetingRecorded,
)  # fmt: skip
