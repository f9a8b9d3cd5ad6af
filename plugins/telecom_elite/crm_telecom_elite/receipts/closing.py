"""Which month's pay counts a receipt: that of its day, or the first one still open.

A pay run closes its month before it reads the receipts; what comes later belongs to the month after the last closed
one, so nothing is lost and nothing computed changes. Recording and closing exclude each other: a receipt is either
committed before its month is closed, or sees that it is.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select

from crm_core.work import Work
from crm_telecom_elite.months import Month, later
from crm_telecom_elite.receipts.models import EliteClosedMonth

_C = EliteClosedMonth.__table__


async def close_month(work: Work, month: Month) -> None:
    """From now on no receipt is counted in this month; waits until those being recorded are in."""
    await _lock(work, shared=False)
    if await _is_closed(work, month):
        return
    work.add(EliteClosedMonth(line=work.acting_line, month=month))
    await work.flush()


async def open_month(work: Work, month: Month) -> None:
    """Receipts are counted in this month again; those that came meanwhile stay where they are."""
    await _lock(work, shared=False)
    await work.session.execute(delete(_C).where(_C.c.line == work.acting_line, _C.c.month == month))


async def first_open(work: Work) -> Month | None:
    """The month after the last closed one, None where none was ever closed; it stays so until this work commits."""
    await _lock(work, shared=True)
    last = await work.session.scalar(select(func.max(_C.c.month)).where(_C.c.line == work.acting_line))
    return None if last is None else later(last, 1)


async def _is_closed(work: Work, month: Month) -> bool:
    found = select(_C.c.id).where(_C.c.line == work.acting_line, _C.c.month == month)
    return (await work.session.execute(found)).first() is not None


async def _lock(work: Work, *, shared: bool) -> None:
    """Until the transaction ends; SQLite has one writer anyway."""
    if work.services.database.dialect != "postgresql":
        return
    key = func.hashtextextended(f"telecom_elite.receipts:{work.acting_line}", 0)
    lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
    await work.session.execute(select(lock(key)))
