"""Deliveries that were given up, announced in the transaction that writes it down: at most once a day per endpoint."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Row, select

from crm_core import ids
from crm_core.actors import system
from crm_core.commands import Command, Options
from crm_core.notices.notifying import notify, zone_of
from crm_core.registry import NoticeKind
from crm_core.webhooks.events import WebhookGaveUp
from crm_core.webhooks.models import WebhookDelivery, WebhookDeliveryState, WebhookEndpoint
from crm_core.webhooks.queries import MANAGE, managers
from crm_core.work import Services, Work

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

GAVE_UP: Final = NoticeKind(
    "webhook.gave_up",
    "Webhook 投递已放弃：{name}",
    "Webhook delivery given up: {name}",
    "端点：{name}\n地址：{url}\n业务线：{line}\n事件：{event}\n尝试次数：{attempts}\n原因：{why}\n"
    "每个端点每天最多提醒一次；已放弃的投递可用 webhookReplay（states: DEAD）重新投递。",
    "Endpoint: {name}\nAddress: {url}\nLine: {line}\nEvent: {event}\nAttempts: {attempts}\nWhy: {why}\n"
    "You are told at most once a day of each endpoint; webhookReplay (states: DEAD) sends again what was given up.",
)
_D: Final = WebhookDelivery.__table__


class GiveUpDelivery(Command):
    """The end of a delivery, for its audit entry; performed by whoever sent it, not a mutation."""

    kind: ClassVar[str] = "webhook.give_up"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "WebhookEndpoint"


async def announce(services: Services, session: Unit, delivery_ids: Collection[UUID], now: datetime) -> None:
    """Tell the managers of the line of one of these deliveries for each endpoint, and record it as an event.

    Who was told today of the endpoint is not told again; where nobody is told anew, no event is recorded.
    """
    died = select(_D.c.id, _D.c.endpoint_id, _D.c.kind, _D.c.attempts, _D.c.last_error).where(
        _D.c.id.in_(sorted(delivery_ids)), _D.c.state == WebhookDeliveryState.DEAD.value
    )
    rows = (await session.execute(died.order_by(_D.c.endpoint_id, _D.c.position, _D.c.id))).all()
    for row in {row.endpoint_id: row for row in reversed(rows)}.values():
        await _tell(services, session, row, now)


async def _tell(services: Services, session: Unit, died: Row[Any], now: datetime) -> None:
    found = select(WebhookEndpoint).where(WebhookEndpoint.id == died.endpoint_id).with_for_update()
    endpoint = (await session.scalars(found)).one()
    actor = system((endpoint.line,), name="webhooks")
    work = Work(services, session, actor, Options(line=endpoint.line, channel="webhooks"))
    work.line, work.subject = endpoint.line, endpoint
    try:
        if await _notified(work, endpoint, died, now):
            shown = ids.show("whd", died.id)
            work.record(WebhookGaveUp.of(endpoint, delivery=shown, attempts=died.attempts))
            await work.finish(GiveUpDelivery())
    finally:
        work.changes.close()


async def _notified(work: Work, endpoint: WebhookEndpoint, died: Row[Any], now: datetime) -> bool:
    """Whether anybody is told who was not told today, by the clocks of the line."""
    told = (await work.session.execute(managers(endpoint.line))).scalars().all()
    facts = {
        "name": endpoint.name, "url": endpoint.url, "line": endpoint.line, "event": died.kind,
        "attempts": died.attempts, "why": died.last_error or "",
    }  # fmt: skip
    day = now.astimezone(zone_of(work.services, endpoint.line)).date()
    once = f"{GAVE_UP.kind}:{endpoint.id.hex}:{day}"
    subject = ("WebhookEndpoint", endpoint.id)
    return bool(await notify(work, told, GAVE_UP.kind, facts, subject=subject, dedupe=once))
