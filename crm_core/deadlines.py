"""Deadlines in working days (工作日) and working hours of one business line."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import chinese_calendar

_SATURDAY = 5
_DAY = timedelta(days=1)
_MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Verdict:
    """Whether a day is a working day; provisional while the year's official calendar is not published."""

    working: bool
    provisional: bool


@dataclass(frozen=True)
class Due:
    """The day something is due; provisional when an official calendar still to come may move it."""

    date: date
    provisional: bool


@dataclass(frozen=True)
class DueTime:
    """The moment something is due, in UTC; provisional when an official calendar still to come may move it."""

    time: datetime
    provisional: bool


@dataclass(frozen=True)
class WorkingDays:
    """A number of working days; provisional when an official calendar still to come may change it."""

    days: int
    provisional: bool


class OfficialDays(Protocol):
    """A published calendar of public holidays (法定节假日) with their make-up working days (调休)."""

    def is_working_day(self, day: date) -> bool | None:
        """Whether people work on the day; None for a year without published data."""


@dataclass(frozen=True)
class ChineseDays:
    """The calendar of the State Council (国务院), as published year by year."""

    def is_working_day(self, day: date) -> bool | None:
        """Whether people work on the day; None for a year without published data."""
        try:
            return bool(chinese_calendar.is_workday(day))
        except NotImplementedError:  # how the library says that it has no data for the year
            return None


@dataclass(frozen=True)
class WorkCalendar:
    """The working days and hours of one business line.

    The line's own dates win over the official calendar; a year without official data goes by weekends, and what was
    computed from it is provisional.

    Attributes:
        extra_days_off: the line's own days off, whatever the official calendar says.
        extra_work_days: the line's own working days, whatever the official calendar says.
        work_start: opening, wall-clock time in the zone.
        work_end: closing, wall-clock time in the zone, later than the opening.
        zone: where the line works.
        official: the published calendar.

    Raises:
        ValueError: a date stands in both lists, or closing is not after opening.
    """

    extra_days_off: frozenset[date] = frozenset()
    extra_work_days: frozenset[date] = frozenset()
    work_start: time = time(9)
    work_end: time = time(18)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    official: OfficialDays = field(default_factory=ChineseDays)

    def __post_init__(self) -> None:
        """Refuse a calendar that contradicts itself."""
        if both := sorted(self.extra_days_off & self.extra_work_days):
            raise ValueError(f"{both[0]} is both a day off and a working day")
        if self.work_start >= self.work_end:
            raise ValueError("the working day must end after it starts")

    def is_working_day(self, day: date) -> Verdict:
        """Whether the line works on the day. A date the line has decided itself is never provisional.

        Raises:
            TypeError: a moment instead of a day; which day it is depends on the zone.
        """
        if isinstance(day, datetime):
            raise TypeError("a day is expected, not a moment")
        if day in self.extra_work_days:
            return Verdict(working=True, provisional=False)
        if day in self.extra_days_off:
            return Verdict(working=False, provisional=False)
        official = self.official.is_working_day(day)
        if official is None:
            return Verdict(working=day.weekday() < _SATURDAY, provisional=True)
        return Verdict(working=official, provisional=False)

    def add_working_days(self, start: date, n: int) -> Due:
        """The n-th working day after a day (计算时当日为第0天).

        The start is day 0, whether it is a working day or not: five working days from a Friday end on the next Friday.
        The third working day of a month is three from the last day of the month before. With 0 it is the start
        itself or else the next working day; a negative n counts backwards.
        """
        step = -_DAY if n < 0 else _DAY
        left = abs(n) or 1
        day = start if n == 0 else start + step
        provisional = False
        while True:
            verdict = self.is_working_day(day)
            provisional |= verdict.provisional
            left -= verdict.working
            if left == 0:
                return Due(day, provisional)
            day += step

    def working_days_between(self, start: date, end: date) -> WorkingDays:
        """The working days after the start up to and including the end; the inverse of `add_working_days`.

        Negative when the end lies before the start: then the days from the end up to but excluding the start.
        """
        sign, first, last = (1, start + _DAY, end) if start <= end else (-1, end, start - _DAY)
        verdicts = [self.is_working_day(first + _DAY * n) for n in range((last - first).days + 1)]
        days = sum(verdict.working for verdict in verdicts)
        return WorkingDays(sign * days, any(verdict.provisional for verdict in verdicts))

    def add_working_hours(self, start: datetime, hours: Decimal | int) -> DueTime:
        """The moment that many working hours have passed.

        Only the time between opening and closing of working days counts. A start outside of it counts from the next
        opening; hours that end with the closing are due at that closing, not at the next opening.

        Args:
            start: with its zone; what comes back is UTC.
            hours: zero or more, to the microsecond.

        Raises:
            ValueError: `start` has no zone, or the hours are negative or not a number.
        """
        if start.tzinfo is None:
            raise ValueError("the start of working hours needs a time zone")
        left = _duration(hours)
        provisional = False
        for day, opens, closes in self._opening_hours(start):
            begins = max(opens, start.astimezone(UTC))
            if begins > closes:
                continue
            verdict = self.is_working_day(day)
            provisional |= verdict.provisional
            if not verdict.working:
                continue
            if left <= closes - begins:
                return DueTime(begins + left, provisional)
            left -= closes - begins
        raise OverflowError("the working hours end after the last day of the calendar")

    def _opening_hours(self, start: datetime) -> Iterator[tuple[date, datetime, datetime]]:
        """Every day from the start on with its opening and closing in UTC, where differences are true durations."""
        day = start.astimezone(self.zone).date()
        while day < date.max:
            opens = datetime.combine(day, self.work_start, self.zone).astimezone(UTC)
            closes = datetime.combine(day, self.work_end, self.zone).astimezone(UTC)
            yield day, opens, closes
            day += _DAY


def _duration(hours: Decimal | int) -> timedelta:
    exact = Decimal(hours)
    if not exact.is_finite() or exact < 0:
        raise ValueError(f"{hours} is not a number of working hours")
    whole = (exact * _MICROSECONDS_PER_HOUR).to_integral_value(ROUND_HALF_UP)
    return timedelta(microseconds=int(whole))
