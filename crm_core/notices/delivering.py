"""Sends what is due: claimed under a lease, sent outside of any transaction, then written down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from crm_core import ids
from crm_core.notices.models import MOST_ERROR, NoticeDeliveryState
from crm_core.notices.notifier import NoticeMessage, Notifier, Unsent
from crm_core.notices.queries import claimed, claiming, recording
from crm_core.notices.settings import settings_of
from crm_core.notices.wording import worded
from crm_core.work import Services

_LONGEST_WAIT = 86_400.0
_INTERRUPTED = "gave up: sending it was interrupted again and again (多次发送中断，已放弃)"


async def deliver(services: Services, senders: Mapping[str, Notifier], now: datetime, most: int = 100) -> int:
    """Send the deliveries due at `now` (UTC), at most so many; how many were tried, well or not.

    Any number of processes may do so at the same time. A delivery whose sender is gone is sent again after its lease,
    under the same message id: each arrives at least once. What fails is tried again after the waits of the settings,
    and dead after the last of them, or at once where its sender says that nothing will help.

    Raises:
        Fault: the database is out of reach; what was sent by then and not written down is sent again.
    """
    settings = settings_of(services)
    clock = asyncio.get_running_loop().time
    began, done = clock(), 0
    while done < most:
        moment = now + timedelta(seconds=clock() - began)
        rows = await _claim(services, moment, min(settings.at_once, most - done))
        if not rows:
            break
        outcomes = await asyncio.gather(*(_attempt(services, senders, row, moment) for row in rows))
        await _record(services, rows, outcomes, moment)
        done += len(rows)
    return done


async def deliver_due(services: Services) -> None:
    """Send everything due now through the channels of the deployment."""
    while await deliver(services, services.registry.notifiers, services.clock()):
        pass


async def _claim(services: Services, now: datetime, most: int) -> Sequence[Row[Any]]:
    lease = timedelta(seconds=settings_of(services).lease_seconds)
    async with services.database.transaction() as session:
        mine = (await session.execute(claiming(now, lease, most))).scalars().all()
        return (await session.execute(claimed(mine))).all() if mine else ()


async def _record(
    services: Services, rows: Sequence[Row[Any]], outcomes: Sequence[dict[str, Any]], now: datetime
) -> None:
    async with services.database.transaction() as session:
        for row, values in zip(rows, outcomes, strict=True):
            await session.execute(recording(row.id, row.attempts, now, values))


async def _attempt(
    services: Services, senders: Mapping[str, Notifier], row: Row[Any], now: datetime
) -> dict[str, Any]:
    """Send one delivery; the columns that tell what became of it."""
    waits = settings_of(services).retry_seconds
    if row.attempts > len(waits) + 1:
        return _failed(row, now, (), Unsent(_INTERRUPTED, retry=False))
    try:
        await _send(services, senders, row)
    except Unsent as unsent:
        return _failed(row, now, waits, unsent)
    return {"state": NoticeDeliveryState.SENT, "sent_at": now, "last_error": None}


async def _send(services: Services, senders: Mapping[str, Notifier], row: Row[Any]) -> None:
    """Send one delivery, or raise `Unsent`, whatever the channel raises; words of unknown errors are not kept."""
    sender = senders.get(row.channel)
    if row.disabled_at is not None:
        raise Unsent("the user is disabled (账号已停用)", retry=False)
    if sender is None:
        raise Unsent(f"no channel {row.channel} is loaded (渠道不可用)", retry=True)
    seconds = settings_of(services).timeout_seconds
    path = None
    try:
        async with asyncio.timeout(seconds):
            path = await _own_path(services, row)
            await sender.send(services, message_of(services, row, path))
    except Unsent as unsent:
        raise _without(unsent, path) from None
    except TimeoutError:
        raise Unsent(f"no answer within {seconds:g} s (超时)", retry=True) from None
    except Exception as error:
        raise Unsent(type(error).__name__, retry=True) from error


async def _own_path(services: Services, row: Row[Any]) -> str | None:
    """A path made for this receiver alone, where the kind has such; it is written down nowhere."""
    kind = services.registry.notice_kinds.get(row.kind)
    if kind is None or kind.link is None or not settings_of(services).public_url:
        return None
    return await kind.link(services, row.facts, row.user_id, row.channel)


def _without(unsent: Unsent, path: str | None) -> Unsent:
    """The reason without the receiver's own path, should a server repeat it."""
    if path is None or path not in str(unsent):
        return unsent
    return Unsent(str(unsent).replace(path, "***"), retry=unsent.retry, after=unsent.after)


def message_of(services: Services, row: Row[Any], path: str | None = None) -> NoticeMessage:
    """A claimed delivery in words; `path`: where it leads, in place of the notice's own path."""
    title, body = worded(services.registry.messages, row.kind, row.facts, row.language)
    return NoticeMessage(
        id=ids.show("ntd", row.id),
        created_at=row.created_at,
        user_id=row.user_id,
        address=row.address,
        kind=row.kind,
        title=title,
        body=body,
        language=row.language,
        facts=row.facts,
        url=settings_of(services).link(path or row.path),
        line=row.line,
        subject_type=row.subject_type,
        subject=row.subject_ref,
        urgent=row.urgent,
    )


def _failed(row: Row[Any], now: datetime, waits: Sequence[int], unsent: Unsent) -> dict[str, Any]:
    said = str(unsent)[:MOST_ERROR]
    if not unsent.retry or row.attempts > len(waits):
        return {"state": NoticeDeliveryState.DEAD, "last_error": said}
    wait = max(float(waits[row.attempts - 1]), min(unsent.after, _LONGEST_WAIT))
    return {
        "state": NoticeDeliveryState.FAILED,
        "last_error": said,
        "next_at": now + timedelta(seconds=wait),
    }
