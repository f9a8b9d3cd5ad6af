"""Counts results in a row and within a window, and says when they move a step (MO-055, MO-056, MO-076, MO-077)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from crm_telecom_elite.appraisals.models import EliteResult
from crm_telecom_elite.appraisals.periods import before, is_quarter
from crm_telecom_elite.months import quarter_before, quarter_of

MOVING: Final = (EliteResult.A, EliteResult.C)
"""Results that move a step: A up, C down."""


@dataclass(frozen=True, slots=True)
class Result:
    """A confirmed result: of which period, which appraisal, and whether an earlier move used it up."""

    period: str
    key: str
    result: EliteResult
    used: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many results move a step: so many in a row, or (unless 0) so many within so many quarters."""

    in_a_row: int
    in_window: int = 0
    window_quarters: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """Results that move a step: all of them A, or all C; `in_a_row` says by which count."""

    result: EliteResult
    cause: tuple[Result, ...]
    in_a_row: bool


def turns(results: Sequence[Result], counts: Callable[[str], Counts]) -> Sequence[Turn]:
    """Every move that results of one person call for, in order; `counts` gives the figures for a period.

    Results come in the order of their periods. Each counts for one move at most, then the counter begins again. Months
    in a row follow one another in the calendar; quarters are those that were appraised.
    """
    spent = {one.key for one in results if one.used}
    found = []
    for end in range(len(results)):
        turn = _turn(results[: end + 1], spent, counts(results[end].period))
        if turn is not None:
            spent |= {one.key for one in turn.cause}
            found.append(turn)
    return found


def _turn(results: Sequence[Result], spent: set[str], counts: Counts) -> Turn | None:
    """The move the last of these results completes, if any."""
    latest = results[-1]
    if latest.result not in MOVING or latest.key in spent:
        return None
    row = _row(results, spent)[-counts.in_a_row :]
    if len(row) == counts.in_a_row:
        return Turn(latest.result, tuple(row), in_a_row=True)
    window = _window(results, spent, counts.window_quarters)[-counts.in_window :]
    if counts.in_window and len(window) == counts.in_window:
        return Turn(latest.result, tuple(window), in_a_row=False)
    return None


def _row(results: Sequence[Result], spent: set[str]) -> list[Result]:
    """The unspent results like the last one that lead up to it without a gap, in order."""
    row: list[Result] = []
    for one in reversed(results):
        if one.result is not results[-1].result or one.key in spent or (row and not _follows(one, row[-1])):
            break
        row.append(one)
    return row[::-1]


def _follows(earlier: Result, later: Result) -> bool:
    return is_quarter(later.period) or earlier.period == before(later.period)


def _window(results: Sequence[Result], spent: set[str], quarters: int) -> list[Result]:
    """The unspent results like the last one within so many calendar quarters, its own the last of them."""
    within = {quarter := _quarter(results[-1].period)}
    for _ in range(quarters - 1):
        within.add(quarter := quarter_before(quarter))
    wanted = results[-1].result
    return [
        one
        for one in results
        if one.result is wanted and one.key not in spent and _quarter(one.period) in within
    ]


def _quarter(period: str) -> str:
    return period if is_quarter(period) else quarter_of(period)
