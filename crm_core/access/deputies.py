"""Who stands in for somebody who is away (外出委托); pure, no database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Away:
    """A user is away from a day to a day, both included, and another stands in for him.

    `kinds`: for these kinds of command only; None: all. `line`: in this business line only; None: in all.
    """

    user_id: UUID
    deputy_id: UUID
    from_day: date
    to_day: date
    kinds: frozenset[str] | None = None
    line: str | None = None

    def holds(self, kind: str, line: str, day: date) -> bool:
        """Whether it holds for this kind of command in this line on this day (the line's own calendar day)."""
        dated = self.from_day <= day <= self.to_day
        return dated and (self.kinds is None or kind in self.kinds) and self.line in (None, line)


def deputy(
    user: UUID,
    kind: str,
    line: str,
    day: date,
    absences: Iterable[Away],
    *,
    forbidden: Collection[UUID] = (),
) -> UUID | None:
    """Who stands in for the user; None: nobody, because he is there or because no chain of deputies ends well.

    A deputy who is away himself is followed to his deputy. A chain that comes round in a circle, or ends in one of the
    `forbidden` (the requester, who must not sign for himself), gives nobody. Of several absences that hold, the one for
    fewer kinds, then for one line, then the latest begun is taken.
    """
    stands_in: dict[UUID, Away] = {}
    for away in absences:
        known = stands_in.get(away.user_id)
        if away.holds(kind, line, day) and (known is None or _precedence(away) > _precedence(known)):
            stands_in[away.user_id] = away
    passed, here = {user}, user
    while here in stands_in:
        here = stands_in[here].deputy_id
        if here in passed:
            return None
        passed.add(here)
    return here if here != user and here not in forbidden else None


def _precedence(away: Away) -> tuple[bool, int, bool, date, UUID]:
    kinds = 0 if away.kinds is None else -len(away.kinds)
    return (away.kinds is not None, kinds, away.line is not None, away.from_day, away.deputy_id)


__all__ = ["Away", "deputy"]
