"""GraphQL type of recorded events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast

from crm_core.graphql import Id, ObjectType, field, query_connection
from crm_core.graphql.access import Access, whole_lines
from crm_core.outbox.models import OutboxEvent
from crm_core.outbox.relay import last_position


def _numbered(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Events of the lines the scope reaches, as soon as they have their place in the feed."""
    return and_(whole_lines(t, access, scope), t.c.position.is_not(None))


EVENT = ObjectType(
    name="Event",
    table=OutboxEvent.__table__,
    model=OutboxEvent,
    prefix="evt",
    description="A recorded fact about one record (事件).",
    rule=_numbered,
    scope="event.read",
    numbered_by="position",
    fields=(
        field("id", Id("evt"), "Id; the same in every delivery.", nullable=False, filter=True),
        field(
            "position",
            str,
            "Place in the feed: a whole number that grows without gaps, and never changes. Give it to `after`.",
            sql=lambda t, _a: cast(t.c.position, Text()),
            nullable=False,
        ),
        field("kind", str, "Kind, e.g. customer.created.", nullable=False, filter=True, uneven=True),
        field("schemaVersion", int, "Version of the event's form.", nullable=False),
        field("subjectType", str, "Type of the record.", nullable=False, filter=True, uneven=True),
        field("subjectId", str, "Id of the record.", sql=lambda t, _a: t.c.subject_ref, filter=True),
        field("sequence", int, "Version of the record after the change; orders its events.", nullable=False),
        field("line", str, "Business line (业务线).", filter=True),
        field("actorName", str, "Who.", nullable=False),
        field("reason", str, "Why."),
        field("requestId", str, "Request it belongs to.", filter=True),
        field("occurredAt", datetime, "When.", nullable=False, filter=True),
        field("before", dict, "Values before; null for a new record."),
        field("after", dict, "Values after; null for a removed record."),
        field("changedFields", list[str], "Columns that changed.", nullable=False),
        field("data", dict, "Further data.", nullable=False),
    ),
)

TYPES = (EVENT,)
QUERIES = (
    query_connection(
        "events",
        "Event",
        "The feed of events recorded in your lines (事件), in the order of their positions. Whoever goes on behind"
        " the last position he has seen misses none and gets none twice.",
        shorthands={"kinds": ("kind", "in"), "subject": ("subjectId", "eq")},
        live=last_position,
    ),
)
