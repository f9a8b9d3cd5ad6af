"""One rung up or down the pay ladder (晋级、降级), as the rules have it; which rungs there are is data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from crm_telecom_elite.ladder.models import EliteStepLetter


@dataclass(frozen=True, slots=True)
class Rung:
    """A rung of the ladder: its grade (薪等), its letter within it (薪级), and how high it stands."""

    id: UUID
    grade: str
    letter: EliteStepLetter
    rank: int


@dataclass(frozen=True, slots=True)
class Climb:
    """Where a step up leads, and whether a qualification review (任职资格评审) must be passed first."""

    to: Rung
    reviewed: bool


class Ladder:
    """The rungs of one kind of team, from the lowest to the highest."""

    def __init__(self, rungs: Iterable[Rung]) -> None:
        """Take the rungs in any order.

        Raises:
            ValueError: a grade is not in one piece, or its letters do not run upwards.
        """
        self.rungs: Sequence[Rung] = sorted(rungs, key=lambda rung: rung.rank)
        if (odd := out_of_order(self.rungs)) is not None:
            raise ValueError(f"{odd.grade} {odd.letter} is out of order")

    def up(self, rung: Rung) -> Climb | None:
        """A step up (MO-055, MO-076); from the top of a grade to the lowest of the next. None: nothing is higher."""
        above = [one for one in self.rungs if one.rank > rung.rank]
        return Climb(above[0], reviewed=above[0].grade != rung.grade) if above else None

    def down(self, rung: Rung) -> Rung | None:
        """A step down (MO-056, MO-077); from the lowest of a grade to the highest of the one below. None: nothing is."""
        below = [one for one in self.rungs if one.rank < rung.rank]
        return below[-1] if below else None


def out_of_order(rungs: Sequence[Rung]) -> Rung | None:
    """The first rung, of these from the lowest up, that splits its grade or stands below a lower letter of it."""
    done: set[str] = set()
    for lower, rung in pairwise(rungs):
        if rung.grade == lower.grade:
            if rung.letter <= lower.letter:
                return rung
        else:
            done.add(lower.grade)
            if rung.grade in done:
                return rung
    return None
