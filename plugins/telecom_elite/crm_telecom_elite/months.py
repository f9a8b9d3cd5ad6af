"""Months as `2025-11`: text that sorts like time, and what a calendar needs of it."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import Annotated

from pydantic import StringConstraints
from sqlalchemy import String

Month = Annotated[str, StringConstraints(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
"""A calendar or billing month (月份/账期) in a command's input, e.g. `2025-11`."""
Quarter = Annotated[str, StringConstraints(pattern=r"^\d{4}-Q[1-4]$")]
"""A calendar quarter (季度) in a command's input, e.g. `2025-Q4`."""
MONTH = String(7)
"""The column of a month."""


def month_of(day: date) -> str:
    """The month a day lies in."""
    return f"{day:%Y-%m}"


def later(month: str, months: int) -> str:
    """The month so many months later; earlier where negative."""
    whole = _number(month) + months
    return f"{whole // 12:04d}-{whole % 12 + 1:02d}"


def months_between(first: str, last: str) -> int:
    """How many months `last` comes after `first`; negative where before."""
    return _number(last) - _number(first)


def first_day(month: str) -> date:
    """The first day of the month."""
    return date(int(month[:4]), int(month[5:]), 1)


def last_day(month: str) -> date:
    """The last day of the month."""
    begun = first_day(month)
    return begun.replace(day=monthrange(begun.year, begun.month)[1])


def day_after(month: str) -> date:
    """The first day of the month after it."""
    return last_day(month) + timedelta(days=1)


def quarter_of(month: str) -> str:
    """The calendar quarter a month lies in, e.g. `2025-Q4`."""
    return f"{month[:4]}-Q{(int(month[5:]) + 2) // 3}"


def months_of(quarter: str) -> tuple[str, str, str]:
    """The three months of a quarter."""
    first = f"{quarter[:4]}-{int(quarter[-1]) * 3 - 2:02d}"
    return first, later(first, 1), later(first, 2)


def quarter_before(quarter: str) -> str:
    """The quarter before."""
    return quarter_of(later(months_of(quarter)[0], -1))


def months_after(day: date, months: int) -> date:
    """The same day so many months later; the last of that month where it has no such day."""
    target = later(month_of(day), months)
    return first_day(target).replace(day=min(day.day, last_day(target).day))


def term_end(begun: date, months: int) -> date:
    """The last day of a term of so many months: the day before the same day, or the month's last where it has none."""
    same = months_after(begun, months)
    return same - timedelta(days=1) if same.day == begun.day else same


def _number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:]) - 1
