"""What everybody should be paid, worked out day by day from what the example told the instance, and from nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Final

from elite_branch.world import LEADING, Branch, Member, Receipt, Team, days_of, first_day, last_day, month_of

Line = tuple[str, str, str]
"""Kind, rule and the month it is about (empty: the run's own)."""
Expected = dict[tuple[str, Line], int]
"""Fen by member's id and line."""
COEFFICIENT: Final = {"HQ": Fraction(1), "REGIONAL": Fraction(9, 10)}
PACKAGE: Final = Fraction(6, 5)
ORIGINAL: Final = 4600_00 + 1900_00


def rounded(amount: Fraction) -> int:
    """Fen, half-up; of a negative amount as of the positive."""
    whole = int(abs(amount) + Fraction(1, 2))
    return whole if amount >= 0 else -whole


def expected(branch: Branch, month: str) -> Expected:
    """All lines of a month's run, amounts of nothing left out."""
    found: Expected = {(key, ("CARRIED_OVER", "MO-C13", "")): rest for key, rest in branch.rests.items()}
    for member in branch.members:
        for line, amount in _by_the_day(branch, member, month).items():
            found[member.id, line] = rounded(amount)
    for team in branch.teams:
        for about, pool in pools(branch, team, month).items():
            for key, share in _shared(branch, team, about, pool).items():
                line = ("COMMISSION", "MO-044", "") if about == month else ("ADJUSTMENT", "MO-044", about)
                found[key, line] = found.get((key, line), 0) + share
    return {key: amount for key, amount in found.items() if amount}


# -- salary and allowances


def _by_the_day(branch: Branch, member: Member, month: str) -> Mapping[Line, Fraction]:
    days = days_of(month)
    found: dict[Line, Fraction] = defaultdict(Fraction)
    for day in days:
        for line, monthly in _on(branch, member, day):
            found[line] += monthly / len(days)
    return found


def _on(branch: Branch, member: Member, day: date) -> Iterator[tuple[Line, Fraction]]:
    """What a day would pay if the whole month were like it, in fen."""
    posting = member.posting(day)
    if posting is None:
        return
    salary, bonus = branch.standards[posting.team.kind, *posting.step]
    package = member.package(day)
    if package == "TRANSFER":
        yield ("SALARY", "MO-036", ""), ORIGINAL * PACKAGE
    elif package == "PACKAGE_2":
        yield ("SALARY", "MO-034", ""), salary * PACKAGE
    else:
        yield ("SALARY", "MO-032", ""), salary * PACKAGE
        department = branch.bonus_factors.get((posting.team.id, month_of(day)), 1)
        yield ("BONUS", "MO-033", ""), bonus * PACKAGE * Fraction(department)
    if posting.post in LEADING:
        yield ("MANAGER_ALLOWANCE", "MO-050", ""), Fraction(1000_00)
    if not posting.team.cars:
        people = len(branch.sitting(posting.team, day))
        yield (
            ("CAR_ALLOWANCE", "MO-051", ""),
            (Fraction(5000_00, people) if posting.team.kind == "HQ" else Fraction(300_00)),
        )


# -- commission


def pools(branch: Branch, team: Team, month: str) -> Mapping[str, int]:
    """A team's commission counted in a month, by the month in which it was earned."""
    exact: dict[str, Fraction] = defaultdict(Fraction)
    for one in base(branch, team, month):
        rate = Fraction(branch.rate("commission_rate", one.earned_on))
        exact[month_of(one.earned_on)] += one.amount * rate * COEFFICIENT[team.kind]
    return {about: rounded(amount) for about, amount in exact.items()}


def received(branch: Branch, team: Team, month: str) -> Sequence[Receipt]:
    """All that came in from a team's users and counts in a month."""
    return [one for one in branch.receipts if one.user.team is team and one.pay_month == month]


def base(branch: Branch, team: Team, month: str) -> Sequence[Receipt]:
    """What of it earns commission."""
    return [one for one in received(branch, team, month) if _earns(one)]


def _earns(one: Receipt) -> bool:
    first, last = one.user.months
    within = first <= one.bill_month <= last
    listed = not one.user.legacy or (one.user.listed_on is not None and one.user.listed_on <= one.earned_on)
    return within and listed and _is_paid_by_commission(one.user.member, one.earned_on)


def _is_paid_by_commission(member: Member, day: date) -> bool:
    """Who was on package 2 when that month ended, or he left; what somebody developed who left before goes on."""
    month = month_of(day)
    if member.left_on is not None and member.left_on < first_day(month):
        return True
    return member.package(min(last_day(month), member.left_on or last_day(month))) == "PACKAGE_2"


def _shared(branch: Branch, team: Team, about: str, pool: int) -> Mapping[str, int]:
    """The pool divided by the weights of that month and the results everybody had then."""
    weights = branch.weights[team.id, about]
    parts = {key: Fraction(weight) * _factor(branch, key, about) for key, weight in weights.items()}
    whole = sum(parts.values(), Fraction(0))
    shares = {key: rounded(pool * part / whole) for key, part in parts.items()}
    largest = max(sorted(parts), key=lambda key: parts[key])
    shares[largest] += pool - sum(shares.values())
    return shares


def _factor(branch: Branch, key: str, month: str) -> Fraction:
    """By the last result of a period that is over at the end of the month; without any: 1."""
    ended = {_end_of(period): result for (who, period), result in branch.results.items() if who == key}
    known = [day for day in ended if day <= last_day(month)]
    if not known:
        return Fraction(1)
    return Fraction(branch.rate(f"factor_{ended[max(known)].lower()}", last_day(month)))


def _end_of(period: str) -> date:
    """The last day of a month or quarter."""
    return last_day(f"{period[:4]}-{int(period[-1]) * 3:02d}" if "Q" in period else period)
