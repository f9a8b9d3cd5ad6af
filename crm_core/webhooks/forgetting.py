"""The chore that removes old payloads and the log of finished deliveries (投递日志保留期限)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update

from crm_core import ids
from crm_core.registry import Chore
from crm_core.webhooks.claiming import settings_of
from crm_core.webhooks.models import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookDeliveryState,
    WebhookEndpoint,
    WebhookReplay,
    WebhookState,
)
from crm_core.work import Services

_AT_ONCE: Final = 1_000
_D, _A, _E = WebhookDelivery.__table__, WebhookAttempt.__table__, WebhookEndpoint.__table__


async def forget(services: Services) -> int:
    """Remove finished deliveries that are too old, with their attempts, and payloads before them; how many deliveries.

    Those that wait for an endpoint in use are kept, however old they are; what waits for one that was archived, or
    has waited for a paused one beyond the time of the log, is given up first.
    """
    settings, now = settings_of(services), services.clock()
    since = now - timedelta(days=settings.retention_days)
    while await _give_up(services, since, now):
        pass
    while await _empty(services, now - timedelta(days=settings.payload_days)):
        pass
    removed = 0
    while gone := await _remove(services, since):
        removed += gone
    await _forget_replays(services, since)
    return removed


async def _give_up(services: Services, since: datetime, now: datetime) -> int:
    """Cancel what waits in vain."""
    archived = select(_E.c.id).where(_E.c.state == WebhookState.ARCHIVED.value)
    paused = select(_E.c.id).where(_E.c.state == WebhookState.PAUSED.value)
    in_vain = or_(_D.c.endpoint_id.in_(archived), _D.c.endpoint_id.in_(paused) & (_D.c.created_at < since))
    waiting = _D.c.state == WebhookDeliveryState.WAITING.value
    some = select(_D.c.id).where(waiting, in_vain).limit(_AT_ONCE)
    values = {"state": WebhookDeliveryState.CANCELLED.value, "lease_until": None, "updated_at": now}
    async with services.database.transaction() as session:
        ended = await session.execute(
            update(_D).where(_D.c.id.in_(some), waiting).values(values).returning(_D.c.id)
        )
        return len(ended.all())


async def _empty(services: Services, before: datetime) -> int:
    """Remove payloads of finished deliveries, the oldest first."""
    oldest = (
        select(_D.c.id, _D.c.updated_at)
        .where(_D.c.body.is_not(None), _finished(), _D.c.id < _first_id(before))
        .order_by(_D.c.id)
        .limit(_AT_ONCE)
    )
    async with services.database.transaction() as session:
        rows = (await session.execute(oldest)).all()
        old = [row.id for row in rows if row.updated_at < before]
        if old:
            await session.execute(update(_D).where(_D.c.id.in_(old)).values(body=None, content_type=None))
    return len(old)


async def _remove(services: Services, before: datetime) -> int:
    """Remove finished deliveries with their attempts."""
    some = (
        select(_D.c.id)
        .where(_finished(), _D.c.id < _first_id(before), _D.c.updated_at < before)
        .order_by(_D.c.id)
        .limit(_AT_ONCE)
    )
    async with services.database.transaction() as session:
        old = (await session.execute(some)).scalars().all()
        if old:
            await session.execute(delete(_A).where(_A.c.delivery_id.in_(old)))
            await session.execute(delete(_D).where(_D.c.id.in_(old)))
    return len(old)


async def _forget_replays(services: Services, before: datetime) -> None:
    table = WebhookReplay.__table__
    async with services.database.transaction() as session:
        await session.execute(delete(table).where(table.c.created_at < before))


def _first_id(moment: datetime) -> UUID:
    """Ids made before a moment are smaller: what is old is found by the primary key."""
    return ids.uuid7(moment, bytes)


def _finished() -> ColumnElement[bool]:
    condition: ColumnElement[bool] = _D.c.state != WebhookDeliveryState.WAITING.value
    return condition


async def _run(services: Services) -> None:
    await forget(services)


CHORE: Final = Chore("webhooks.forget", timedelta(hours=6), _run, lease=timedelta(hours=1))
