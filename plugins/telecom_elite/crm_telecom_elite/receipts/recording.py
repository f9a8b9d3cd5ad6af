"""Records receipts, many at once: each one once, by its number; what cannot be is refused alone.

Everything that receipts refer to is looked up in one statement, everything new is written in one statement.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from io import BytesIO
from os import urandom
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    String,
    Uuid,
    bindparam,
    func,
    literal,
    select,
)
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
_BYTES_AT_ONCE = 8_192


@dataclass(slots=True)
class Tally:
    """What came of some receipts: how many are new, how many were known; the sum of the new ones in fen."""

    recorded: int = 0
    known: int = 0
    amount: int = 0
    problems: list[Problem] = field(default_factory=list)


class _Receipt(NamedTuple):
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
    for number, one in fresh.items():
        if number not in there:
            tally.recorded += 1
            tally.amount += one.amount
        elif there[number].says(one):
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
        self.key = partial(ids.uuid7, random=_noise())
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
        return self._sort(one, _receipt(self.key(), one, user, corrected))

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


def _noise() -> Callable[[int], bytes]:
    """Random bytes, fetched from the machine for many ids at once."""
    held = BytesIO()

    def give(many: int) -> bytes:
        nonlocal held
        if len(some := held.read(many)) == many:
            return some
        held = BytesIO(urandom(_BYTES_AT_ONCE))
        return held.read(many)

    return give


def _receipt(key: UUID, one: Reported, user: UUID, corrected: _Receipt | None) -> _Receipt:
    return _Receipt(
        key, user, one.bill_month, one.received_on, one.amount, corrected.id if corrected else None,
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
) -> dict[str, _Receipt]:
    """Write them in one statement; those that had been there before, by number."""
    if not fresh:
        return {}
    month = cache(lambda day: max(month_of(day), opened or ""))
    rows = [
        (one.id, number, one.user_id, one.bill_month, one.received_on, one.amount, one.corrects_id, one.earned_on,
         month(one.received_on))
        for number, one in fresh.items()
    ]  # fmt: skip
    writing = _inserted if work.services.database.dialect == "postgresql" else _added
    if await writing(work, batch, rows) == len(rows):
        return {}
    mine = {one.id for one in fresh.values()}
    there = await _recorded(work, fresh.keys())
    return {number: one for number, one in there.items() if one.id not in mine}


async def _added(work: Work, batch: EliteReceiptBatch, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert row by row with one prepared statement, which SQLite takes fastest; how many went in."""
    names = (*_WRITTEN, "line", "batch_id", "created_at")
    rest = (work.acting_line, batch.id, work.now)
    values = [dict(zip(names, (*row, *rest), strict=True)) for row in rows]
    adding = sqlite.insert(_R).on_conflict_do_nothing(index_elements=["line", "number"])
    connection = await work.session.connection()
    return (await connection.execute(adding, values)).rowcount


async def _inserted(work: Work, batch: EliteReceiptBatch, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert columns as arrays, which PostgreSQL takes fastest; how many went in."""
    columns = dict(zip(_WRITTEN, zip(*rows, strict=True), strict=True))
    if not any(columns["corrects_id"]):
        del columns["corrects_id"], columns["earned_on"]
    arrays = [bindparam(name, list(values), type_=ListOf(_WRITTEN[name])) for name, values in columns.items()]
    given = func.unnest(*arrays).table_valued(*columns).render_derived(name="given")
    every: dict[str, ColumnElement[Any]] = {
        "line": literal(work.acting_line, String()),
        "batch_id": literal(batch.id, Uuid()),
        "created_at": literal(work.now, DateTime(timezone=True)),
        "earned_on": given.c.get("earned_on", given.c.received_on),
    }
    source = {name: given.c[name] for name in columns} | every
    adding = postgresql.insert(_R).from_select(list(source), select(*source.values()), include_defaults=False)
    connection = await work.session.connection()
    done = await connection.execute(adding.on_conflict_do_nothing(index_elements=["line", "number"]))
    return done.rowcount
