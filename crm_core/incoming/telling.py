"""Tells the managers of a line that a source fails repeatedly, at most once a day (来源失败通知)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from crm_core.actors import system
from crm_core.commands import Options
from crm_core.db.unit import Unit
from crm_core.incoming.queries import failed_since, managers_of
from crm_core.incoming.receiving import settings_of
from crm_core.notices.notifying import notify, zone_of
from crm_core.registry import NoticeKind
from crm_core.work import Services, Work

FAILING: Final = NoticeKind(
    "incoming.failing",
    "接收来源「{source}」连续失败",
    "Incoming webhooks of {source} fail",
    "业务线：{line}\n24 小时内失败待处理：{count}\n最近原因：{reason}",
    "Line: {line}\nFailed within 24 hours, waiting for somebody: {count}\nLast reason: {reason}",
)
KINDS: Final = (FAILING,)
_A_DAY: Final = timedelta(days=1)


async def tell_if_failing(services: Services, session: Unit, row: Any, reason: str, now: datetime) -> None:
    """Tell them in this transaction, if as many requests of the source failed as the settings say.

    One that others wait for is enough.
    """
    count = (await session.execute(failed_since(row.source_id, now - _A_DAY))).scalar_one()
    if row.order_key is None and count < settings_of(services).tell_after:
        return
    work = Work(
        services, session, system((row.line,), "incoming"), Options(line=row.line, channel="incoming")
    )
    work.line = row.line
    try:
        managers = (await session.execute(managers_of(row.line))).scalars().all()
        day = now.astimezone(zone_of(services, row.line)).date()
        facts = {"source": row.name, "line": row.line, "count": count, "reason": reason}
        once = f"{FAILING.kind}:{row.source_id.hex}:{day}"
        subject = ("IncomingSource", row.source_id)
        await notify(work, managers, FAILING.kind, facts, subject=subject, dedupe=once)
        await session.flush()
    finally:
        work.changes.close()
