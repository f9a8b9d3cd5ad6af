"""Periods of appraisal: a calendar quarter like `2025-Q4`, or a month like `2025-11`, as first and last day."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import StringConstraints

from crm_telecom_elite.months import (
    first_day,
    last_day,
    later,
    month_of,
    months_of,
    quarter_before,
    quarter_of,
)

Period = Annotated[str, StringConstraints(pattern=r"^\d{4}-(Q[1-4]|0[1-9]|1[0-2])$")]
"""A quarter or a month (考核周期) in a command's input."""


def is_quarter(period: str) -> bool:
    """Whether it is a quarter, not a month."""
    return "Q" in period


def first(period: str) -> date:
    """Its first day."""
    return first_day(months_of(period)[0] if is_quarter(period) else period)


def last(period: str) -> date:
    """Its last day."""
    return last_day(months_of(period)[2] if is_quarter(period) else period)


def before(period: str) -> str:
    """The period of its kind before it."""
    return quarter_before(period) if is_quarter(period) else later(period, -1)


def quarter_after(day: date) -> str:
    """The quarter after that of a day: the one whose tasks are broken down now (MO-062)."""
    return quarter_of(later(months_of(quarter_of(month_of(day)))[2], 1))
