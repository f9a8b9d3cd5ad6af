"""Records receipts, many at once: each one once, by its number; what cannot be is refused alone.

Everything that receipts refer to is looked up in one statement, everything new is written in one statement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, DateTime, String, Uuid, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from crm_core import ids
from crm_core.db.arrays import ListOf
from crm_core.errors import UserError
from crm_core.money import yuan
from crm_core.work import Work
from crm_telecom_elite.months import month_of
from crm_telecom_elite.receipts.closing import first_open
from crm_telecom_elite.receipts.events import EliteReceiptsRecorded
from crm_telecom_elite.receipts.inputs import (
    CORRECTED_UNKNOWN,
    CORRECTS_OTHER,
    DIFFERS,
    USER_UNKNOWN,
    Problem,
    Reported,
)
from crm_telecom_elite.receipts.models import EliteReceipt, EliteReceiptBatch
from crm_telecom_elite.receipts.queries import recorded
from crm_telecom_elite.users.queries import numbered

_R = EliteReceipt.__table__


@dataclass(slots=True)
class Tally:
    """What came of some receipts: how many are new, how many were known; the sum of the new ones in fen."""

    recorded: int = 0
    known: int = 0
    amount: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Receipt:
    """A receipt that is recorded, or is to be."""

    id: UUID
    user_id: UUID
    bill_month: str
    received_on: date
    amount: int
    corrects_id: UUID | None
    earned_on: date

    def says(self, other: _Receipt) -> bool:
        """Whether both say the same."""
        return (
            self.user_id == other.user_id
            and self.amount == other.amount
            and self.bill_month == other.bill_month
            and self.received_on == other.received_on
            and self.corrects_id == other.corrects_id
        )


async def record(work: Work, batch: EliteReceiptBatch, given: Sequence[Reported]) -> Tally:
    """Record these receipts as part of the batch; those recorded before, by their numbers, change nothing."""
    tally = Tally()
    await work.flush()
    opened = await first_open(work)
    sorting = await _sorting(work, given, tally)
    fresh = sorting.sorted(given)
    there = await _written(work, batch, fresh, opened)
    before = await _recorded(work, there)
    for number, one in fresh.items():
        if number not in there:
            tally.recorded += 1
            tally.amount += one.amount
        elif before[number].says(one):
            tally.known += 1
        else:
            tally.problems.append(Problem(sorting.rows[number], number, DIFFERS("number", number=number)))
    return tally


def note(work: Work, batch: EliteReceiptBatch, tally: Tally, most: int) -> None:
    """Add what came of some receipts to their batch, which keeps the first `most` problems, and announce it."""
    tally.problems.sort(key=lambda problem: problem.row)
    batch.recorded += tally.recorded
    batch.known += tally.known
    batch.refused += len(tally.problems)
    batch.amount += tally.amount
    room = most - len(batch.problems)
    if tally.problems and room > 0:
        batch.problems = [*batch.problems, *(one.as_json() for one in tally.problems[:room])]
    work.record(
        EliteReceiptsRecorded.of(
            batch,
            recorded_now=tally.recorded,
            known_now=tally.known,
            refused_now=len(tally.problems),
            amount_now=yuan(tally.amount),
        )
    )


# -- what is new


async def _sorting(work: Work, given: Sequence[Reported], tally: Tally) -> _Sorting:
    """Look up the users, and the receipts that are corrected."""
    line, dialect = work.acting_line, work.services.database.dialect
    found = await work.session.execute(numbered(line, (r.user_number for r in given), dialect))
    users = {number: key for key, number in found}
    corrected = await _recorded(work, {r.corrects for r in given if r.corrects is not None})
    return _Sorting(users, corrected, tally)


async def _recorded(work: Work, numbers: Collection[str]) -> dict[str, _Receipt]:
    """Receipts that are recorded, by number."""
    if not numbers:
        return {}
    statement = recorded(work.acting_line, numbers, work.services.database.dialect)
    return {row.number: _Receipt(*row[1:]) for row in await work.session.execute(statement)}


class _Sorting:
    """Tells what may be written from what is wrong; `before` are receipts that are corrected."""

    def __init__(self, users: Mapping[str, UUID], before: Mapping[str, _Receipt], tally: Tally) -> None:
        self.users, self.before, self.tally = users, before, tally
        self.fresh: dict[str, _Receipt] = {}
        self.rows: dict[str, int] = {}

    def sorted(self, given: Iterable[Reported]) -> dict[str, _Receipt]:
        """What is to be written; a correction may stand before what it corrects."""
        waiting = list(given)
        while waiting:
            here = {one.number for one in waiting}
            later = [one for one in waiting if self._waits(one, here)]
            if len(later) == len(waiting):  # they correct one another
                self._refuse_all(waiting)
                break
            for one in waiting:
                if not self._waits(one, here):
                    self._take(one)
            waiting = later
        return self.fresh

    def _waits(self, one: Reported, here: set[str]) -> bool:
        return one.corrects is not None and one.corrects in here and one.corrects not in self.before

    def _refuse_all(self, given: Iterable[Reported]) -> None:
        for one in given:
            self._refuse(one, CORRECTED_UNKNOWN("corrects", corrects=one.corrects))

    def _take(self, one: Reported) -> None:
        user = self.users.get(one.user_number)
        if user is None:
            return self._refuse(one, USER_UNKNOWN("userNumber", user=one.user_number))
        corrected = self._known(one.corrects) if one.corrects is not None else None
        if one.corrects is not None and corrected is None:
            return self._refuse(one, CORRECTED_UNKNOWN("corrects", corrects=one.corrects))
        if corrected is not None and (corrected.user_id, corrected.bill_month) != (user, one.bill_month):
            return self._refuse(one, CORRECTS_OTHER("corrects", corrects=one.corrects))
        return self._sort(one, _receipt(one, user, corrected))

    def _sort(self, one: Reported, receipt: _Receipt) -> None:
        there = self._known(one.number)
        if there is None:
            self.fresh[one.number], self.rows[one.number] = receipt, one.row
        elif there.says(receipt):
            self.tally.known += 1
        else:
            self._refuse(one, DIFFERS("number", number=one.number))

    def _known(self, number: str) -> _Receipt | None:
        return self.before.get(number) or self.fresh.get(number)

    def _refuse(self, one: Reported, error: UserError) -> None:
        self.tally.problems.append(Problem(one.row, one.number, error))


def _receipt(one: Reported, user: UUID, corrected: _Receipt | None) -> _Receipt:
    return _Receipt(
        ids.uuid7(), user, one.bill_month, one.received_on, one.amount, corrected.id if corrected else None,
        corrected.earned_on if corrected else one.received_on,
    )  # fmt: skip


# -- writing


_WRITTEN: Mapping[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "number": String(),
    "user_id": Uuid(),
    "bill_month": String(),
    "received_on": Date(),
    "amount": BigInteger(),
    "corrects_id": Uuid(),
    "earned_on": Date(),
    "pay_month": String(),
}


async def _written(
    work: Work, batch: EliteReceiptBatch, fresh: Mapping[str, _Receipt], opened: str | None
) -> set[str]:
    """Write them in one statement; the numbers of those that were there before."""
    if not fresh:
        return set()
    month = cache(lambda day: max(month_of(day), opened or ""))
    rows = [
        (one.id, number, one.user_id, one.bill_month, one.received_on, one.amount, one.corrects_id, one.earned_on,
         month(one.received_on))
        for number, one in fresh.items()
    ]  # fmt: skip
    if work.services.database.dialect == "postgresql":
        return fresh.keys() - await _inserted(work, batch, rows)
    return fresh.keys() - await _added(work, batch, rows)


async def _added(work: Work, batch: EliteReceiptBatch, rows: Sequence[tuple[Any, ...]]) -> set[str]:
    """Insert row by row with one prepared statement, which SQLite takes fastest; the numbers of what went in."""
    names = (*_WRITTEN, "line", "batch_id", "created_at")
    rest = (work.acting_line, batch.id, work.now)
    values = [dict(zip(names, (*row, *rest), strict=True)) for row in rows]
    adding = sqlite.insert(_R).on_conflict_do_nothing(index_elements=["line", "number"])
    connection = await work.session.connection()
    done = await connection.execute(adding, values)
    numbers = {row[1] for row in rows}
    if done.rowcount == len(rows):
        return numbers
    mine = {row[0] for row in rows}
    return {number for number, one in (await _recorded(work, numbers)).items() if one.id in mine}


async def _inserted(work: Work, batch: EliteReceiptBatch, rows: Sequence[tuple[Any, ...]]) -> set[str]:
    """Insert columns as arrays, which PostgreSQL takes fastest; the numbers of what went in."""
    columns = zip(_WRITTEN.items(), zip(*rows, strict=True), strict=True)
    arrays = [bindparam(name, list(values), type_=ListOf(kind)) for (name, kind), values in columns]
    given = func.unnest(*arrays).table_valued(*_WRITTEN).render_derived(name="given")
    every = {
        "line": literal(work.acting_line, String()),
        "batch_id": literal(batch.id, Uuid()),
        "created_at": literal(work.now, DateTime(timezone=True)),
    }
    source = select(*(given.c[name] for name in _WRITTEN), *every.values())
    adding = postgresql.insert(_R).from_select([*_WRITTEN, *every], source, include_defaults=False)
    done = adding.on_conflict_do_nothing(index_elements=["line", "number"]).returning(_R.c.number)
    return set((await work.session.execute(done)).scalars())
