"""The chore that removes old notices with their deliveries (通知保留期限)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select

from crm_core.notices.models import Notice, NoticeDelivery
from crm_core.notices.settings import settings_of
from crm_core.registry import Chore
from crm_core.work import Services

_AT_ONCE: Final = 1_000


async def forget(services: Services) -> int:
    """Remove notices older than `retention_days`, read or not, the oldest first; how many."""
    since, removed = services.clock() - timedelta(days=settings_of(services).retention_days), 0
    while gone := await _forget_some(services, since):
        removed += gone
    return removed


async def _forget_some(services: Services, since: datetime) -> int:
    """Ids rise with time, so that the oldest are looked at by the primary key alone."""
    async with services.database.transaction() as session:
        oldest = select(Notice.id, Notice.created_at).order_by(Notice.id).limit(_AT_ONCE)
        old = [row.id for row in await session.execute(oldest) if row.created_at < since]
        if old:
            await session.execute(delete(NoticeDelivery).where(NoticeDelivery.notice_id.in_(old)))
            await session.execute(delete(Notice).where(Notice.id.in_(old)))
    return len(old)


async def _run(services: Services) -> None:
    await forget(services)


CHORE: Final = Chore("notices.forget", timedelta(days=1), _run, lease=timedelta(hours=1))
