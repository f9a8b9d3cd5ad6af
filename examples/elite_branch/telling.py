"""Prints what happened, month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from elite_branch.asking import Instance
from elite_branch.paying import KINDS, Outcome

_HEADS: Final = (
    "month",
    "teams",
    "received",
    "base",
    "pool",
    *(kind.lower() for kind in KINDS),
    "total",
    "people",
    "problems",
    "s",
)
_SHORT: Final = {"manager_allowance": "manager", "car_allowance": "cars", "carried_over": "carried"}
_SLOW: Final = 0.25


def head() -> str:
    """The first line of the table."""
    return _row([_SHORT.get(name, name) for name in _HEADS])


def row(one: Outcome, seconds: float) -> str:
    """A month; amounts in yuan. `problems` are those of its first computation."""
    sums = [sum(pool[name] for pool in one.pools.values()) for name in ("received", "base", "pool")]
    return _row(
        [one.month, str(len(one.pools)), *map(_yuan, sums), *(_yuan(one.kinds.get(kind, 0)) for kind in KINDS),
         _yuan(one.total), str(one.people), str(one.problems), f"{seconds:.1f}"]
    )  # fmt: skip


def _row(cells: Sequence[str]) -> str:
    widths = (7, 5, 13, 13, 11, *(11 for _ in KINDS), 12, 6, 8, 5)
    return " ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _yuan(amount: int) -> str:
    return f"{amount / 100:,.2f}"


def slow(at: Instance) -> Sequence[str]:
    """Requests and the time they took, the longest first."""
    spent: Mapping[str, tuple[int, float]] = at.spent
    rows = sorted(spent.items(), key=lambda item: -item[1][1])
    return [f"{name:28} {many:6} × {seconds / many * 1000:7.1f} ms = {seconds:6.1f} s" for name, (many, seconds) in rows
            if seconds > _SLOW]  # fmt: skip
