"""Enters developed users, many at once: whose they are, which months earn, and everything that speaks against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Uuid, or_, select

from crm_core import errors, ids
from crm_core.customers.models import Customer
from crm_core.db.arrays import among
from crm_core.db.base import Base
from crm_core.db.unit import flush
from crm_core.errors import UserError, raise_if
from crm_core.work import Work
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.months import later, month_of
from crm_telecom_elite.rates.queries import Rates, rates_of
from crm_telecom_elite.scopes import USER_WRITE
from crm_telecom_elite.teams.models import EliteCustomerAssignment, EliteTeam
from crm_telecom_elite.users.events import EliteUserCreated
from crm_telecom_elite.users.inputs import (
    NOT_LEGACY,
    NOT_POSTED,
    NUMBER_KNOWN,
    NUMBER_TWICE,
    OF_ANOTHER_TEAM,
    NewEliteUser,
)
from crm_telecom_elite.users.models import EliteAssignment, EliteUser
from crm_telecom_elite.users.queries import numbered, postings_of

RecordT = TypeVar("RecordT", bound=Base)


@dataclass(frozen=True, slots=True)
class Posting:
    """Where a member sits from a day up to, not including, another: team of the elite, team of the line, kind."""

    valid_from: date
    valid_to: date | None
    elite_team_id: UUID
    team_id: UUID
    kind: str

    def holds(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of everything that new users refer to."""

    numbers: frozenset[str]
    members: Mapping[UUID, EliteMember]
    postings: Mapping[UUID, Sequence[Posting]]
    customers: frozenset[UUID]
    assigned: Mapping[UUID, Sequence[Any]]
    rates: Rates


async def entered(work: Work, given: Sequence[tuple[str, NewEliteUser]]) -> list[EliteUser]:
    """The new users; `given` are they with the path of each in the input (`users.3`), or nothing for one alone.

    Raises:
        Refused: everything that is wrong with any of them; then none is entered.
    """
    known = await _known(work, [one for _, one in given])
    twice = {n for n, many in Counter(one.number for _, one in given).items() if many > 1}
    raise_if(
        problem for path, one in given for problem in _problems(work.acting_line, path, one, known, twice)
    )
    users = [_enter(work, one, known) for _, one in given]
    await flush(work.session)
    for user, (_, one) in zip(users, given, strict=True):
        _assign(work, user, one, known)
    return users


def commission_months(rates: Rates, kind: str, activated_on: date) -> tuple[str, str]:
    """The first and the last billing month that earn commission, by the cycle of the day of activation (MO-042)."""
    first = month_of(activated_on)
    return first, later(first, rates.whole("commission_months", kind, activated_on) - 1)


async def reached(
    work: Work, model: type[RecordT], keys: Iterable[UUID], scope: str, *, lock: bool = False
) -> dict[UUID, RecordT]:
    """Records by id as far as the scope reaches them, in one statement."""
    table, kind = model.__table__, work.registry.type_of(model)
    these = among(table.c.id, sorted(set(keys)), Uuid(), work.services.database.dialect)
    rule = kind.visible(table, work.access, scope)
    statement = select(model).where(these, *([rule] if rule is not None else [])).order_by(table.c.id)
    if lock:
        statement = statement.with_for_update(of=table)
    found = (await work.session.scalars(statement)).all()
    return {row.id: row for row in found}  # type: ignore[attr-defined]  # every record has an id


async def postings(work: Work, members: Iterable[UUID]) -> dict[UUID, list[Posting]]:
    """The postings of these members, the earliest first."""
    found: dict[UUID, list[Posting]] = {}
    for row in await work.session.execute(postings_of(members, work.services.database.dialect)):
        one = Posting(row.valid_from, row.valid_to, row.elite_team_id, row.team_id, row.kind)
        found.setdefault(row.member_id, []).append(one)
    return found


async def _known(work: Work, given: Sequence[NewEliteUser]) -> Known:
    line, dialect = work.acting_line, work.services.database.dialect
    numbers = (await work.session.execute(numbered(line, (one.number for one in given), dialect))).all()
    members = await reached(work, EliteMember, (one.member_id for one in given), USER_WRITE)
    wanted = {one.customer_id for one in given if one.customer_id is not None}
    customers = await reached(work, Customer, wanted, "customer.read") if wanted else {}
    return Known(
        frozenset(row.number for row in numbers),
        {key: member for key, member in members.items() if member.line == line},
        await postings(work, members),
        frozenset(customers),
        await _assigned(work, customers) if customers else {},
        await rates_of(work.session, line),
    )


async def _assigned(work: Work, customers: Iterable[UUID]) -> dict[UUID, list[Any]]:
    """Which teams the Centre assigned these customers to."""
    c, t = EliteCustomerAssignment.__table__, EliteTeam.__table__
    these = among(c.c.customer_id, sorted(customers), Uuid(), work.services.database.dialect)
    statement = (
        select(c.c.customer_id, c.c.elite_team_id, c.c.valid_from, c.c.valid_to, t.c.name)
        .join(t, t.c.id == c.c.elite_team_id)
        .where(
            c.c.line == work.acting_line, these, or_(c.c.valid_to.is_(None), c.c.valid_to > c.c.valid_from)
        )
    )
    found: dict[UUID, list[Any]] = {}
    for row in await work.session.execute(statement):
        found.setdefault(row.customer_id, []).append(row)
    return found


# -- what speaks against it


def _problems(
    line: str, path: str, given: NewEliteUser, known: Known, twice: set[str]
) -> Iterable[UserError]:
    at = f"{path}." if path else ""
    if given.number in known.numbers:
        yield NUMBER_KNOWN(f"{at}number", number=given.number, line=line)
    if given.number in twice:
        yield NUMBER_TWICE(f"{at}number", number=given.number)
    if given.member_id not in known.members:
        yield errors.NOT_FOUND(f"{at}memberId", type="EliteMember", id=ids.show("elm", given.member_id))
    else:
        yield from _not_his(at, given, known)
    if given.customer_id is not None and given.customer_id not in known.customers:
        yield errors.NOT_FOUND(f"{at}customerId", type="Customer", id=ids.show("cus", given.customer_id))


def _not_his(at: str, given: NewEliteUser, known: Known) -> Iterable[UserError]:
    """A user is developed in a team, or before his developer came (MO-038); of a customer of that team (MO-006)."""
    his = known.postings.get(given.member_id, ())
    day = given.activated_on
    if given.legacy:
        if not his:
            yield NOT_POSTED(f"{at}memberId", day=day.isoformat())
        elif his[0].valid_from <= day:
            yield NOT_LEGACY(f"{at}legacy", day=day.isoformat())
        return
    posting = next((one for one in his if one.holds(day)), None)
    if posting is None:
        yield NOT_POSTED(f"{at}activatedOn", day=day.isoformat())
        return
    for row in known.assigned.get(given.customer_id, ()) if given.customer_id else ():
        holds = row.valid_from <= day and (row.valid_to is None or day < row.valid_to)
        if holds and row.elite_team_id != posting.elite_team_id:
            yield OF_ANOTHER_TEAM(f"{at}customerId", day=day.isoformat(), team=row.name)


# -- the rows


def _enter(work: Work, given: NewEliteUser, known: Known) -> EliteUser:
    member, posting = known.members[given.member_id], _posting(given, known)
    first, last = commission_months(known.rates, posting.kind, given.activated_on)
    user = work.add(
        EliteUser(
            line=work.acting_line, number=given.number, customer_id=given.customer_id, member_id=member.id,
            owner_id=member.owner_id, team_id=posting.team_id, activated_on=given.activated_on,
            first_month=first, last_month=last, group_user=given.group_user, legacy=given.legacy,
        )
    )  # fmt: skip
    work.record(EliteUserCreated.of(user))
    return user


def _assign(work: Work, user: EliteUser, given: NewEliteUser, known: Known) -> None:
    posting = _posting(given, known)
    work.add(
        EliteAssignment(
            user_id=user.id,
            elite_team_id=posting.elite_team_id,
            member_id=given.member_id,
            valid_from=posting.valid_from if given.legacy else given.activated_on,
        )
    )


def _posting(given: NewEliteUser, known: Known) -> Posting:
    """Where his developer sat that day; of a legacy user, where he sat first."""
    his = known.postings[given.member_id]
    return his[0] if given.legacy else next(one for one in his if one.holds(given.activated_on))
