"""The figures of a line as they hold on each day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Select, select, true

from crm_core.db.unit import Unit
from crm_core.graphql.access import Access
from crm_telecom_elite.rates.catalogue import BEGINNING, CATALOGUE
from crm_telecom_elite.rates.models import EliteRate, EliteTeamKind

Key = tuple[str, EliteTeamKind]


@dataclass(frozen=True, slots=True)
class Segment:
    """A value and the days it holds: from `start` up to, not including, `end`."""

    start: date
    end: date
    value: Decimal

    @property
    def days(self) -> int:
        """How many days."""
        return (self.end - self.start).days


class Rates:
    """The figures of one line by name, kind of team and day."""

    def __init__(self, rows: Iterable[tuple[str, str, date, Decimal]] = ()) -> None:
        """Take rows (name, kind, from, value) over the seeds of the catalogue."""
        found: dict[Key, dict[date, Decimal]] = {
            (figure.name, kind): {BEGINNING: value}
            for figure in CATALOGUE.values()
            for kind, value in figure.seeds.items()
        }
        for name, kind, start, value in rows:
            found.setdefault((name, EliteTeamKind(kind)), {})[start] = value
        self._steps = {key: sorted(steps.items()) for key, steps in found.items()}

    def at(self, name: str, kind: EliteTeamKind | str, day: date) -> Decimal:
        """The figure on a day.

        Raises:
            KeyError: there is no such figure for this kind of team.
        """
        steps = self._steps[name, EliteTeamKind(kind)]
        return steps[max(bisect_right(steps, day, key=lambda step: step[0]) - 1, 0)][1]

    def whole(self, name: str, kind: EliteTeamKind | str, day: date) -> int:
        """The figure on a day, of those without decimals."""
        return int(self.at(name, kind, day))

    def segments(self, name: str, kind: EliteTeamKind | str, start: date, end: date) -> Sequence[Segment]:
        """The values of a figure from `start` up to, not including, `end`, each with its days."""
        changes = [day for day, _ in self._steps[name, EliteTeamKind(kind)] if start < day < end]
        bounds = [start, *changes, end]
        return [
            Segment(first, last, self.at(name, kind, first))
            for first, last in pairwise(bounds)
            if first < last
        ]

    def changes(self, names: Sequence[str], start: date, end: date) -> Sequence[date]:
        """The days within (start, end) on which one of these figures changes, for any kind of team."""
        return sorted(
            {
                day
                for (name, _), steps in self._steps.items()
                if name in names
                for day, _value in steps
                if start < day < end
            }
        )


def rates_in(line: str) -> Select[Any]:
    """The rows of a line: name, kind, from, value."""
    t = EliteRate.__table__
    return select(t.c.name, t.c.team_kind, t.c.valid_from, t.c.value).where(t.c.line == line)


async def rates_of(session: Unit, line: str) -> Rates:
    """The figures of a line."""
    return Rates([tuple(row) for row in (await session.execute(rates_in(line))).all()])


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Rows of a line for whoever holds the scope in it, however far."""
    return true() if access.everything(scope) else t.c.line.in_(access.lines(scope))


def shown(rates: Rates, kind: EliteTeamKind, day: date) -> Mapping[str, Decimal]:
    """All figures of a kind of team on a day."""
    return {name: rates.at(name, kind, day) for name, figure in CATALOGUE.items() if kind in figure.seeds}
