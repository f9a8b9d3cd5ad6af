"""Work done by the clock (定时任务): whatever is due is run once, whichever of several processes comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlalchemy import ColumnElement, Row, String, Update, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Base, Personal
from crm_core.db.types import UtcDateTime
from crm_core.errors import Fault
from crm_core.registry import Chore
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

GRACE: Final = timedelta(seconds=30)
"""How much longer a chore is held than it may run, so that clocks of two machines may differ a little."""
_MOST_ERROR: Final = 500


class ChoreState(Base):
    """When a chore is due next (UTC), until when somebody holds it, and what went wrong the last time."""

    __tablename__ = "chores"
    personal: ClassVar[dict[str, Personal]] = {}

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(String(_MOST_ERROR))


TABLES: tuple[type[Any], ...] = (ChoreState,)
_T = ChoreState.__table__


async def run_due(
    services: Services, now: datetime, log: FilteringBoundLogger | None = None
) -> Sequence[str]:
    """Run every chore that is due at `now` (UTC), side by side; the names of those run here, well or not.

    A chore is claimed by one conditional UPDATE, so that nobody else runs it meanwhile; it ends at its lease, and is
    overtaken a little later when its holder is gone. What goes wrong is logged and kept, and tried again when it is due
    the next time; other chores go on. Raises `Fault` when the database is out of reach.
    """
    if not services.registry.chores:
        return []
    claimed = await claim(services, now)
    await asyncio.gather(*(_run(services, chore, now, log) for chore in claimed))
    return [chore.name for chore in claimed]


async def claim(services: Services, now: datetime) -> Sequence[Chore]:
    """The chores due at `now` that nobody else has claimed; they are held from now on."""
    known = {row.name: row for row in await states(services)}
    asked = [c for c in services.registry.chores if c.name not in known or _is_due(known[c.name], now)]
    if not asked:
        return []
    async with services.database.transaction() as session:
        new = [{"name": chore.name, "next_at": now} for chore in asked if chore.name not in known]
        if new:
            dialect = postgresql if services.database.dialect == "postgresql" else sqlite
            await session.execute(dialect.insert(_T).values(new).on_conflict_do_nothing())
        return [c for c in asked if (await session.execute(_claiming(c, now))).first()]


async def states(services: Services) -> Sequence[Row[Any]]:
    """What is known of every chore that was ever due, by name."""
    return await services.database.fetch(select(_T).order_by(_T.c.name))


def _is_due(row: Row[Any], now: datetime) -> bool:
    return row.next_at <= now and (row.held_until is None or row.held_until <= now)


def _claiming(chore: Chore, now: datetime) -> Update:
    free = or_(_T.c.held_until.is_(None), _T.c.held_until <= now)
    due = and_(_T.c.name == chore.name, _T.c.next_at <= now, free)
    return update(_T).where(due).values(held_until=_until(chore, now)).returning(_T.c.name)


def _until(chore: Chore, now: datetime) -> datetime:
    return now + chore.lease + GRACE


async def _run(services: Services, chore: Chore, now: datetime, log: FilteringBoundLogger | None) -> None:
    """Run a claimed chore and set when it is due next; stopped on the way, it is due at once for whoever comes."""
    error: str | None = None
    try:
        async with asyncio.timeout(chore.lease.total_seconds()):
            await chore.run(services)
    except asyncio.CancelledError:
        await _settle(services, chore, now, log, held_until=None)
        raise
    except Exception as problem:  # whatever a chore raises, the others go on
        error = f"{type(problem).__name__}: {problem}"[:_MOST_ERROR]
        if log is not None:
            log.exception("chore failed", chore=chore.name)
    await _settle(services, chore, now, log, held_until=None, next_at=now + chore.every, last_error=error)


async def _settle(
    services: Services, chore: Chore, now: datetime, log: FilteringBoundLogger | None, **values: Any
) -> None:
    """Give the chore back, unless it was overtaken; a database that is away leaves it to its lease."""
    try:
        async with services.database.transaction() as session:
            await session.execute(update(_T).where(_held(chore, now)).values(values))
    except Fault as fault:
        if log is not None:
            log.warning("chore is held until its lease ends", chore=chore.name, reason=str(fault))


def _held(chore: Chore, now: datetime) -> ColumnElement[bool]:
    return and_(_T.c.name == chore.name, _T.c.held_until == _until(chore, now))


__all__ = ["GRACE", "TABLES", "Chore", "ChoreState", "claim", "run_due", "states"]
