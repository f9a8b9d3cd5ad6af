"""The chore that forgets what was sent: bodies first, then requests, and gives up what nobody mended (保留期限)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, delete, select, update

from crm_core.db.unit import Unit
from crm_core.incoming.models import IncomingRequest, IncomingState
from crm_core.incoming.queries import calling_next
from crm_core.incoming.receiving import settings_of
from crm_core.incoming.refusals import TOO_OLD
from crm_core.registry import Chore
from crm_core.work import Services

_AT_ONCE: Final = 500
_R = IncomingRequest.__table__
_OVER: Final = (IncomingState.DONE.value, IncomingState.DISCARDED.value)


async def forget(services: Services) -> int:
    """Discard failed requests that are too old, remove bodies and what came with them, then requests; how many changes."""
    settings, now = settings_of(services), services.clock()
    failed = now - timedelta(days=settings.failed_days)
    bodies = now - timedelta(days=settings.body_days)
    old = now - timedelta(days=settings.retention_days)
    given_up = {
        "state": IncomingState.DISCARDED.value,
        "errors": [{"step": None, "command": None, **TOO_OLD(days=settings.failed_days).as_json()}],
    }
    bare: dict[str, Any] = {"body": None, "headers": {}, "query": {}, "address": None}
    done = await _changed(services, _failed(failed), given_up)
    done += await _changed(services, _with_body(bodies), bare)
    return done + await _removed(services, old)


def _failed(since: datetime) -> Select[Any]:
    mine = _R.c.state == IncomingState.FAILED.value
    return select(_R.c.id).where(mine, _R.c.finished_at < since).limit(_AT_ONCE)


def _with_body(since: datetime) -> Select[Any]:
    """By an index of those that have a body, the oldest first."""
    over = _R.c.state.in_(_OVER)
    wanted = (_R.c.body.is_not(None), over, _R.c.finished_at < since)
    return select(_R.c.id).where(*wanted).order_by(_R.c.id).limit(_AT_ONCE)


async def _changed(services: Services, wanted: Select[Any], values: dict[str, Any]) -> int:
    done = 0
    while True:
        async with services.database.transaction() as session:
            keys = (await session.execute(wanted)).scalars().all()
            if not keys:
                return done
            stamp = {"updated_at": services.clock(), "version": _R.c.version + 1}
            changed = update(_R).where(_R.c.id.in_(keys)).values(**values, **stamp)
            await session.execute(changed)
            if "state" in values:
                await _call_next(session, keys, services.clock())
        done += len(keys)


async def _call_next(session: Unit, settled: Sequence[UUID], now: datetime) -> None:
    """Have go on what waited for requests that were given up."""
    in_order = (_R.c.id.in_(settled), _R.c.order_key.is_not(None))
    for source, key in (await session.execute(select(_R.c.source_id, _R.c.order_key).where(*in_order))).all():
        await session.execute(calling_next(source, key, now))


async def _removed(services: Services, since: datetime) -> int:
    """Ids rise with time, so that the oldest are looked at by the primary key alone."""
    done = 0
    while True:
        async with services.database.transaction() as session:
            oldest = select(_R.c.id, _R.c.created_at, _R.c.state).order_by(_R.c.id).limit(_AT_ONCE)
            rows = [r for r in await session.execute(oldest) if r.created_at < since and r.state in _OVER]
            if not rows:
                return done
            await session.execute(delete(_R).where(_R.c.id.in_([r.id for r in rows])))
        done += len(rows)


async def _run(services: Services) -> None:
    await forget(services)


CHORES: Final = (Chore("incoming.forget", timedelta(days=1), _run, lease=timedelta(hours=1)),)
