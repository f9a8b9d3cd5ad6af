"""Whether the results of a team's members fit the distribution that follows from the team's own result (MO-061)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from crm_telecom_elite.appraisals.models import EliteResult


@dataclass(frozen=True, slots=True)
class Quota:
    """How many percent of the members may have an A, at most, and must have a C, at least; None: it is left open."""

    most_a: Decimal | None = None
    least_c: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """A quota in people of one team."""

    most_a: int
    least_c: int


def places(quota: Quota, members: int) -> Places:
    """The quota of so many members: places of A rounded down, of C rounded up, so that neither share is broken."""
    most = members if quota.most_a is None else floor(Fraction(quota.most_a) * members / 100)
    least = 0 if quota.least_c is None else ceil(Fraction(quota.least_c) * members / 100)
    return Places(most, least)


def fits(quota: Quota, results: Sequence[EliteResult], members: int) -> bool:
    """Whether these results of some of the members leave it possible that all together keep the quota."""
    room = places(quota, members)
    to_come = max(members - len(results), 0)
    return (
        results.count(EliteResult.A) <= room.most_a and results.count(EliteResult.C) + to_come >= room.least_c
    )
