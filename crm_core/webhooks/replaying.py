"""Makes deliveries wait again, and adds those an endpoint never got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.models import OutboxEvent
from crm_core.webhooks.filtering import wants
from crm_core.webhooks.models import WebhookDelivery, WebhookDeliveryState, WebhookEndpoint
from crm_core.webhooks.queries import EVENT_COLUMNS
from crm_core.webhooks.receiving import add_deliveries, delivery_row, wanted_by
from crm_core.work import Work

_D, _O = WebhookDelivery.__table__, OutboxEvent.__table__
_AT_ONCE: Final = 1_000
_WAITING: Final = WebhookDeliveryState.WAITING.value


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be sent again; what is None is not asked for. Times are those of the events."""

    endpoint_id: UUID
    deliveries: Sequence[UUID] | None
    since: datetime | None
    until: datetime | None
    kinds: Sequence[str] | None
    states: Sequence[WebhookDeliveryState] | None
    subject: str | None
    missing: bool

    @property
    def is_everything(self) -> bool:
        """Whether nothing narrows it."""
        narrowing = (self.deliveries, self.since, self.until, self.kinds, self.states, self.subject)
        return all(one is None for one in narrowing)


async def replay(work: Work, endpoint: WebhookEndpoint, asked: Asked, most: int) -> tuple[int, int] | None:
    """How many deliveries wait again, and how many were added; None: more than `most`, and nothing was done."""
    meant = _meant(asked)
    again = await work.session.scalar(select(func.count()).select_from(_D).where(meant)) or 0
    if again > most:
        return None
    values: dict[str, Any] = {
        "state": _WAITING, "attempts": 0, "next_at": work.now, "lease_until": None, "updated_at": work.now,
        "version": _D.c.version + 1,
    }  # fmt: skip
    if again:
        await work.session.execute(update(_D).where(meant).values(values))
    added = await _add_missing(work, endpoint, asked, most) if asked.missing else 0
    return None if added is None else (again, added)


def _meant(asked: Asked) -> ColumnElement[bool]:
    """Deliveries of the endpoint that are asked for; one on its way at this moment is left alone."""
    found: list[ColumnElement[bool]] = [_D.c.endpoint_id == asked.endpoint_id, _D.c.event_id.is_not(None)]
    if asked.deliveries is not None:
        found.append(_D.c.id.in_(asked.deliveries))
    found += _narrowed(asked, _D)
    if asked.states is not None:
        found.append(_D.c.state.in_([state.value for state in asked.states]))
    elif asked.deliveries is None:
        found.append(_D.c.state != _WAITING)
    found.append(or_(_D.c.state != _WAITING, _D.c.lease_until.is_(None)))
    return and_(*found)


def _narrowed(asked: Asked, table: Any) -> list[ColumnElement[bool]]:
    found = []
    if asked.since is not None:
        found.append(table.c.occurred_at >= asked.since)
    if asked.until is not None:
        found.append(table.c.occurred_at < asked.until)
    if asked.subject is not None:
        found.append(table.c.subject_ref == asked.subject)
    if asked.kinds is not None:
        found.append(or_(*(_of_kind(table, pattern) for pattern in asked.kinds)))
    return found


def _of_kind(table: Any, pattern: str) -> ColumnElement[bool]:
    if not pattern.endswith("*"):
        same: ColumnElement[bool] = table.c.kind == pattern
        return same
    begins: ColumnElement[bool] = table.c.kind.startswith(pattern[:-1], autoescape=True)
    return begins


async def _add_missing(work: Work, endpoint: WebhookEndpoint, asked: Asked, most: int) -> int | None:
    """Add deliveries of events the endpoint would get today and has none of, in the order of the feed."""
    wish, added, seen, after = wanted_by(endpoint), 0, 0, 0
    while events := await _events(work, endpoint.line, asked, after):
        after, seen = events[-1].position, seen + len(events)
        if seen > most:
            return None
        rows = [
            delivery_row(endpoint.id, endpoint.line, event, work.now)
            for event in events
            if wants(work.registry, wish, event)
        ]
        added += await add_deliveries(work.services, work.session, rows)
    return added


async def _events(work: Work, line: str, asked: Asked, after: int) -> Sequence[RecordedEvent]:
    had = select(_D.c.id).where(_D.c.endpoint_id == asked.endpoint_id, _D.c.event_id == _O.c.id).correlate(_O)
    wanted = (
        select(*EVENT_COLUMNS)
        .where(_O.c.line == line, _O.c.position > after, ~had.exists(), *_narrowed(asked, _O))
        .order_by(_O.c.position)
        .limit(_AT_ONCE)
    )
    return [RecordedEvent(*row) for row in await work.session.execute(wanted)]
