"""Root fields of this room, and what it adds to customers, contacts and users."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import select

from crm_core.graphql import Filter, connection, field, query_connection, query_one, whole
from crm_core.graphql.fields import Field
from crm_core.interactions import due
from crm_core.interactions.models import Participant

READ = "interaction.read"


def _took_part(contact: Any, i: Any, _access: Any) -> Any:
    held = select(Participant.interaction_id).where(Participant.contact_id == contact.c.id)
    return i.c.id.in_(held.correlate(contact))


CUSTOMER: tuple[Field | Filter, ...] = (
    connection(
        "interactions",
        "Interaction",
        "Contacts with the customer, latest first (互动记录, CS-014).",
        on=lambda c, i, _a: i.c.customer_id == c.c.id,
    ),
    connection(
        "tasks", "Task", "Tasks about the customer (任务).", on=lambda c, t, _a: t.c.customer_id == c.c.id
    ),
    connection(
        "timeline",
        "TimelineEntry",
        "Everything that happened with the customer, across kinds and plugins, latest first (时间线).",
        on=lambda c, t, _a: t.c.customer_id == c.c.id,
    ),
    field(
        "nextVisitDueOn",
        date,
        "Earliest day the cadence of the customer's grade asks for the next contact (下次拜访应到日, CS-109).",
        sql=due.next_visit_due,
        scope=READ,
        cost=2,
    ),
    Filter(
        "notVisitedSince",
        date,
        "Customers without a visit since this day, in some line you reach (未拜访客户, CS-108).",
        sql=due.not_visited_since,
        parts=whole,
    ),
    Filter(
        "visitOverdue",
        bool,
        "Customers whose next contact by cadence was due before today (拜访逾期, CS-109).",
        sql=due.visit_overdue,
    ),
    Filter(
        "callbackOverdue",
        bool,
        "Customers due under a callback plan (应回访客户, CS-128, CS-129).",
        sql=due.callback_overdue,
    ),
)

CONTACT: tuple[Field | Filter, ...] = (
    connection(
        "interactions", "Interaction", "Contacts this person took part in (参与的互动).", on=_took_part
    ),
)

USER: tuple[Field | Filter, ...] = (
    connection(
        "interactions",
        "Interaction",
        "Interactions the colleague performs (执行的互动).",
        on=lambda u, i, _a: i.c.performer_id == u.c.id,
    ),
    connection(
        "tasks",
        "Task",
        "Tasks given to the colleague (负责的任务).",
        on=lambda u, t, _a: t.c.assignee_id == u.c.id,
    ),
)

FIELDS = {"Customer": CUSTOMER, "Contact": CONTACT, "User": USER}

QUERIES: tuple[Field | type, ...] = (
    query_connection(
        "interactions", "Interaction", "Interactions of customers you reach, and your own (互动)."
    ),
    query_one("interaction", "Interaction", "An interaction by id."),
    query_connection("tasks", "Task", "Tasks of customers you reach, and your own (任务)."),
    query_one("task", "Task", "A task by id."),
    query_connection(
        "interactionReports", "InteractionReport", "Short reports sent to you (联系简报, CS-119)."
    ),
    query_connection(
        "cadences", "Cadence", "How often customers of each grade are contacted (拜访频率, CS-109)."
    ),
    query_connection("callbackPlans", "CallbackPlan", "Callback plans of your lines (回访计划, CS-128)."),
    query_one("callbackPlan", "CallbackPlan", "A callback plan by id."),
    query_connection("salesMeetings", "SalesMeeting", "Sales meetings (销售会议, CS-118)."),
    query_connection(
        "visitCoverage", "VisitCoverage", "Customers visited and not visited per line and month (CS-108)."
    ),
)
