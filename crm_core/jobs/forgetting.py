"""The chore that removes jobs that ended long ago (任务保留期限)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select

from crm_core.jobs.models import QueuedJob
from crm_core.jobs.running import settings_of
from crm_core.registry import Chore
from crm_core.work import Services

_AT_ONCE: Final = 1_000
_J = QueuedJob.__table__


async def forget(services: Services) -> int:
    """Remove jobs that ended more than `retention_days` ago, however they ended; how many."""
    since, removed = services.clock() - timedelta(days=settings_of(services).retention_days), 0
    old = select(_J.c.id).where(_J.c.ended_at.is_not(None), _J.c.ended_at < since).order_by(_J.c.ended_at)
    while True:
        async with services.database.transaction() as session:
            gone = (await session.execute(old.limit(_AT_ONCE))).scalars().all()
            await session.execute(delete(_J).where(_J.c.id.in_(gone)))
        removed += len(gone)
        if len(gone) < _AT_ONCE:
            return removed


async def _run(services: Services) -> None:
    await forget(services)


CHORE: Final = Chore("jobs.forget", timedelta(days=1), _run, lease=timedelta(hours=1))
