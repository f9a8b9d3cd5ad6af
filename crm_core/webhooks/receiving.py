"""Takes in recorded events: one waiting delivery for each endpoint of the event's line that wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import ids
from crm_core.outbox.events import RecordedEvent
from crm_core.registry import Receiver
from crm_core.webhooks.filtering import Wanted, WebhookCondition, wants
from crm_core.webhooks.models import WebhookDelivery, WebhookDeliveryState, WebhookEndpoint, WebhookState
from crm_core.work import Services

DELIVERIES: Final = "webhook deliveries"
"""What the sender is told of when deliveries are about to be committed."""
_AT_ONCE: Final = 500
_E, _D = WebhookEndpoint.__table__, WebhookDelivery.__table__
_FILTERS: Final = tuple(
    _E.c[name] for name in ("id", "line", "kinds", "changed_fields", "condition", "scopes")
)
_WANTED: Final = select(*_FILTERS).where(
    _E.c.line.in_(bindparam("lines", expanding=True)), _E.c.state != WebhookState.ARCHIVED.value
)


async def receive(services: Services, session: AsyncSession, events: Sequence[RecordedEvent]) -> None:
    """Write the deliveries of these events: one look at the endpoints, then inserts of many rows each.

    An endpoint that is paused gets its deliveries too; they wait for it.
    """
    lines = {event.line for event in events if event.line is not None}
    if not lines:
        return
    found = await session.execute(_WANTED, {"lines": sorted(lines)})
    endpoints = {row.id: (row.line, wanted_by(row)) for row in found}
    rows = [
        delivery_row(endpoint_id, line, event, services.clock())
        for event in events
        for endpoint_id, (line, wish) in endpoints.items()
        if event.line == line and wants(services.registry, wish, event)
    ]
    await add_deliveries(services, session, rows)


def wanted_by(endpoint: Any) -> Wanted:
    """What an endpoint wants, of its row."""
    changed = frozenset(endpoint.changed_fields) if endpoint.changed_fields is not None else None
    condition = WebhookCondition.model_validate(endpoint.condition) if endpoint.condition else None
    return Wanted(tuple(endpoint.kinds), changed, condition, frozenset(endpoint.scopes))


def delivery_row(endpoint_id: UUID, line: str, event: RecordedEvent, now: datetime) -> dict[str, Any]:
    """A waiting delivery of an event, due now."""
    return {
        "id": ids.uuid7(),
        "created_at": now,
        "updated_at": now,
        "version": 1,
        "endpoint_id": endpoint_id,
        "line": line,
        "event_id": event.id,
        "position": event.position,
        "kind": event.kind,
        "subject_ref": event.subject_ref,
        "occurred_at": event.occurred_at,
        "state": WebhookDeliveryState.WAITING.value,
        "attempts": 0,
        "next_at": now,
    }


async def add_deliveries(services: Services, session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert deliveries, save those that their endpoint has already; how many."""
    dialect = postgresql if services.database.dialect == "postgresql" else sqlite
    added = 0
    statement = dialect.insert(_D).on_conflict_do_nothing().returning(_D.c.id)
    for some in _pieces(rows):
        added += len((await session.execute(statement, some)).all())
    if added:
        services.stirred(DELIVERIES)
    return added


def _pieces(rows: Sequence[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    for start in range(0, len(rows), _AT_ONCE):
        yield [dict(row) for row in rows[start : start + _AT_ONCE]]


RECEIVER: Final = Receiver("webhooks", receive)
