"""What was received in a month, by team, member and rates in force: what of it earns commission, and what does not.

One statement adds up all receipts that a month's pay counts. Every fen is in one of its rows, so that what is left out
can be shown with the reason (MO-038, MO-042).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Date, Select, and_, case, cast, func, literal, or_, select

from crm_telecom_elite.months import first_day
from crm_telecom_elite.rates.catalogue import BEGINNING
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.receipts.models import EliteReceipt
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users.models import EliteAssignment, EliteUser

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

FIGURES: Final = ("commission_rate", "commission_coefficient", "commission_by_receipt")
"""Figures whose changes divide what was received (MO-040 to MO-042)."""
_END: Final = date(9999, 12, 31)


class Standing(StrEnum):
    """Whether an amount earns commission, or why not (提成资格)."""

    COUNTS = "COUNTS"
    """Of a bill within the user's first months (MO-042)."""
    BEFORE = "BEFORE"
    """Of a bill before the user was activated."""
    AFTER = "AFTER"
    """Of a bill after the user's last month (MO-042)."""
    NOT_LISTED = "NOT_LISTED"
    """Of a legacy user who was not on the approved list on that day (MO-038)."""
    NOBODYS = "NOBODYS"
    """No team had the user on that day."""


@dataclass(frozen=True, slots=True)
class Earned:
    """What was received of some users in a month and counted in this one.

    `since` is the first day of that month, or the day in it on which a figure of the commission changed: all of it
    was earned from then on under the same figures. `amount` is in fen; `users` are those it came from.
    """

    elite_team_id: UUID | None
    member_id: UUID | None
    since: date
    standing: Standing
    amount: int
    users: int

    @property
    def counts(self) -> bool:
        """Whether it earns commission."""
        return self.standing is Standing.COUNTS


async def earned(session: Unit, line: str, pay_month: str, rates: Rates) -> list[Earned]:
    """All that was received and is counted in the pay of a month, in an order that is always the same."""
    connection = await session.connection()
    rows = await session.execute(adding_up(line, pay_month, rates, connection.dialect.name))
    found = [
        Earned(team, member, max(first_day(month), changed), Standing(standing), int(amount), users)
        for team, member, month, changed, standing, amount, users in rows
    ]
    return sorted(found, key=_place)


def adding_up(line: str, pay_month: str, rates: Rates, dialect: str) -> Select[Any]:
    """The statement: team, member, month, last change of a figure, standing, fen, users.

    Receipts are added up user by user first, so that users are counted without sorting them.
    """
    r, u = EliteReceipt.__table__.alias("r"), EliteUser.__table__.alias("u")
    a, t = EliteAssignment.__table__.alias("a"), EliteTeam.__table__.alias("t")
    month, changed = _month(r.c.earned_on, dialect), _changed(r.c.earned_on, rates)
    parts = {
        "team": a.c.elite_team_id,
        "member": a.c.member_id,
        "month": month,
        "changed": changed,
        "standing": _standing(r, u, a, _counted_month(r, t, month, rates)),
    }
    held = and_(
        a.c.user_id == r.c.user_id,
        a.c.valid_from <= r.c.earned_on,
        or_(a.c.valid_to.is_(None), a.c.valid_to > r.c.earned_on),
    )
    of_users = (
        select(*(sql.label(name) for name, sql in parts.items()), cast(func.sum(r.c.amount), BigInteger).label("amount"))
        .select_from(r.join(u, u.c.id == r.c.user_id).outerjoin(a, held).outerjoin(t, t.c.id == a.c.elite_team_id))
        .where(r.c.line == line, r.c.pay_month == pay_month)
        .group_by(r.c.user_id, *parts)
        .subquery("of_users")
    )  # fmt: skip
    groups = [of_users.c[name] for name in parts]
    return select(*groups, func.sum(of_users.c.amount), func.count()).group_by(*groups)


def _standing(r: Any, u: Any, a: Any, month: ColumnElement[str]) -> ColumnElement[str]:
    listed = and_(u.c.legacy_approved_on.is_not(None), u.c.legacy_approved_on <= r.c.earned_on)
    return case(
        (a.c.id.is_(None), literal(Standing.NOBODYS.value)),
        (month < u.c.first_month, literal(Standing.BEFORE.value)),
        (month > u.c.last_month, literal(Standing.AFTER.value)),
        (and_(u.c.legacy, ~listed), literal(Standing.NOT_LISTED.value)),
        else_=literal(Standing.COUNTS.value),
    )


def _month(day: ColumnElement[date], dialect: str) -> ColumnElement[str]:
    if dialect == "sqlite":
        return func.substr(day, 1, 7)
    return func.to_char(day, "YYYY-MM")


def _counted_month(r: Any, t: Any, received: ColumnElement[str], rates: Rates) -> ColumnElement[str]:
    """The month that must be one of the user's first: that of the bill, or where a line says so of the receipt."""
    by_receipt = [
        and_(t.c.kind == kind.value, r.c.earned_on >= piece.start, r.c.earned_on < piece.end)
        for kind in EliteTeamKind
        for piece in rates.segments("commission_by_receipt", kind, BEGINNING, _END)
        if piece.value
    ]
    return case((or_(*by_receipt), received), else_=r.c.bill_month) if by_receipt else r.c.bill_month


def _changed(day: ColumnElement[date], rates: Rates) -> ColumnElement[date]:
    """The last day until this one on which a figure of the commission changed."""
    days = sorted(rates.changes(FIGURES, BEGINNING, _END), reverse=True)
    first = literal(BEGINNING, Date())
    return case(*((day >= one, literal(one, Date())) for one in days), else_=first) if days else first


def _place(one: Earned) -> tuple[str, str, date, str]:
    return (
        one.elite_team_id.hex if one.elite_team_id else "",
        one.member_id.hex if one.member_id else "",
        one.since,
        one.standing.value,
    )
