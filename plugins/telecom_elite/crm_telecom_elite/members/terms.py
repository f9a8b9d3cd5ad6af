"""Which pay package holds when (薪酬套餐): by where a member comes from and how many months he serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from crm_telecom_elite.members.models import EliteOrigin, ElitePackage
from crm_telecom_elite.months import first_day, later, month_of

MONTHS: Final = {EliteOrigin.RECRUIT: "package_1_months", EliteOrigin.TRANSFEREE: "transfer_months"}
"""The figure that says how long the first package lasts; who comes from direct sales has none."""

_FIRST: Final[Mapping[EliteOrigin, tuple[ElitePackage, str]]] = {
    EliteOrigin.RECRUIT: (ElitePackage.PACKAGE_1, "MO-037"),
    EliteOrigin.TRANSFEREE: (ElitePackage.TRANSFER, "MO-036"),
}


@dataclass(frozen=True, slots=True)
class Term:
    """A package, its first day, the first day it no longer holds, and the rule."""

    package: ElitePackage
    start: date
    end: date | None
    rule: str


def switch_day(entered_on: date, months: int) -> date:
    """The day package 2 begins after so many months of service, always the first of a month (MO-037).

    Months of service are calendar months: that of the anniversary is still the last of them, unless the entry was on
    the first of its month.
    """
    whole = months if entered_on.day == 1 else months + 1
    return first_day(later(month_of(entered_on), whole))


def terms(origin: EliteOrigin, entered_on: date, months: int) -> Sequence[Term]:
    """The packages of a member from his entry on (MO-030, MO-036 to MO-038).

    Args:
        origin: where he comes from.
        entered_on: the day of his entry.
        months: how long the first package lasts, by the figure `MONTHS[origin]`; no matter for direct sales.
    """
    first, rule = _FIRST.get(origin, (None, "MO-038"))
    if first is None or months == 0:
        return [Term(ElitePackage.PACKAGE_2, entered_on, None, rule)]
    switch = switch_day(entered_on, months)
    return [Term(first, entered_on, switch, rule), Term(ElitePackage.PACKAGE_2, switch, None, rule)]
