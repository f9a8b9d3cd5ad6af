"""Deadlines count working days, make-up days among them, and say when they are provisional."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.deadlines import Due, DueTime, Verdict, WorkCalendar, WorkingDays

CHINA = WorkCalendar()
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAYS = st.dates(date(2010, 1, 1), date(2030, 12, 31))
WORKING = Verdict(working=True, provisional=False)
OFF = Verdict(working=False, provisional=False)


@dataclass(frozen=True)
class EveryDay:
    """People work every day until a date, after which nothing is known."""

    until: date

    def is_working_day(self, day: date) -> bool | None:
        return True if day <= self.until else None


def local(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=SHANGHAI)  # type: ignore[arg-type,misc]  # numbers of a date, never a zone


def due(*moment: int) -> DueTime:
    return DueTime(local(*moment).astimezone(UTC), provisional=False)


# Days


def test_a_public_holiday_is_no_working_day() -> None:
    assert CHINA.is_working_day(date(2026, 10, 1)) == OFF


def test_a_make_up_day_is_a_working_day() -> None:
    saturday = date(2026, 10, 10)
    assert saturday.weekday() == 5
    assert CHINA.is_working_day(saturday) == WORKING


def test_a_plain_week_has_five_working_days() -> None:
    week = [CHINA.is_working_day(date(2026, 7, 6) + timedelta(days=n)) for n in range(7)]
    assert week == [WORKING] * 5 + [OFF] * 2


def test_a_year_without_official_data_goes_by_weekends_and_is_provisional() -> None:
    nobody_knows = WorkCalendar(official=EveryDay(date.min))
    assert nobody_knows.is_working_day(date(2099, 10, 1)) == Verdict(working=True, provisional=True)
    assert nobody_knows.is_working_day(date(2099, 10, 3)) == Verdict(working=False, provisional=True)


def test_the_published_calendar_does_not_know_the_far_future() -> None:
    assert CHINA.is_working_day(date(2099, 10, 1)).provisional


def test_the_dates_of_the_line_win_over_the_official_ones() -> None:
    line = WorkCalendar(
        extra_days_off=frozenset({date(2026, 10, 10), date(2099, 1, 5)}),
        extra_work_days=frozenset({date(2026, 10, 1), date(2099, 1, 3)}),
    )
    assert line.is_working_day(date(2026, 10, 10)) == OFF
    assert line.is_working_day(date(2026, 10, 1)) == WORKING
    assert line.is_working_day(date(2099, 1, 5)) == OFF
    assert line.is_working_day(date(2099, 1, 3)) == WORKING


def test_a_moment_is_not_taken_for_a_day() -> None:
    with pytest.raises(TypeError, match="not a moment"):
        CHINA.is_working_day(local(2026, 7, 6))


def test_a_calendar_that_contradicts_itself_is_refused() -> None:
    day = frozenset({date(2026, 7, 6)})
    with pytest.raises(ValueError, match="both a day off and a working day"):
        WorkCalendar(extra_days_off=day, extra_work_days=day)
    with pytest.raises(ValueError, match="end after it starts"):
        WorkCalendar(work_start=time(18), work_end=time(9))


def test_calendars_with_the_same_facts_are_equal() -> None:
    assert WorkCalendar() == CHINA
    assert len({WorkCalendar(), CHINA}) == 1


# Working days


def test_the_start_is_day_0() -> None:
    assert CHINA.add_working_days(date(2011, 12, 1), 7) == Due(date(2011, 12, 12), provisional=False)


@pytest.mark.parametrize(("n", "day"), [(3, 5), (8, 12), (9, 13)])
def test_the_nth_working_day_of_a_month_counts_from_the_end_of_the_month_before(n: int, day: int) -> None:
    assert CHINA.add_working_days(date(2011, 11, 30), n).date == date(2011, 12, day)


def test_a_holiday_week_is_skipped_and_its_make_up_day_counts() -> None:
    eve = date(2026, 9, 30)
    assert CHINA.add_working_days(eve, 1).date == date(2026, 10, 8)
    assert CHINA.add_working_days(eve, 3).date == date(2026, 10, 10)


def test_no_working_days_are_the_start_or_else_the_next_working_day() -> None:
    assert CHINA.add_working_days(date(2026, 7, 6), 0).date == date(2026, 7, 6)
    assert CHINA.add_working_days(date(2026, 7, 4), 0).date == date(2026, 7, 6)


def test_working_days_count_backwards() -> None:
    assert CHINA.add_working_days(date(2026, 7, 6), -1).date == date(2026, 7, 3)


def test_a_deadline_is_provisional_only_when_it_passes_days_nobody_knows() -> None:
    calendar = WorkCalendar(official=EveryDay(date(2026, 12, 31)))
    assert calendar.add_working_days(date(2026, 12, 30), 1) == Due(date(2026, 12, 31), provisional=False)
    assert calendar.add_working_days(date(2026, 12, 30), 2) == Due(date(2027, 1, 1), provisional=True)
    assert calendar.add_working_days(date(2027, 1, 1), -1) == Due(date(2026, 12, 31), provisional=False)


def test_working_days_between_exclude_the_start_and_include_the_end() -> None:
    friday, monday = date(2026, 7, 3), date(2026, 7, 6)
    assert CHINA.working_days_between(friday, monday) == WorkingDays(1, provisional=False)
    assert CHINA.working_days_between(monday, friday) == WorkingDays(-1, provisional=False)
    assert CHINA.working_days_between(friday, friday) == WorkingDays(0, provisional=False)


@given(DAYS, st.integers(-60, 60).filter(bool))
def test_between_is_the_inverse_of_adding(start: date, n: int) -> None:
    reached = CHINA.add_working_days(start, n)
    assert CHINA.working_days_between(start, reached.date) == WorkingDays(n, reached.provisional)
    assert CHINA.is_working_day(reached.date).working


@given(DAYS, st.integers(1, 30), st.integers(1, 30))
def test_days_can_be_added_in_two_steps(start: date, one: int, other: int) -> None:
    halfway = CHINA.add_working_days(start, one)
    assert CHINA.add_working_days(halfway.date, other).date == CHINA.add_working_days(start, one + other).date


# Working hours


def test_hours_within_the_day_are_due_that_day() -> None:
    assert CHINA.add_working_hours(local(2026, 7, 6, 10), 2) == due(2026, 7, 6, 12)


def test_hours_left_at_closing_continue_at_the_next_opening() -> None:
    friday = local(2026, 7, 3, 17)
    assert CHINA.add_working_hours(friday, 2) == due(2026, 7, 6, 10)


def test_hours_that_end_with_the_closing_are_due_then() -> None:
    assert CHINA.add_working_hours(local(2026, 7, 3, 17), 1) == due(2026, 7, 3, 18)


@pytest.mark.parametrize("start", [(2026, 7, 6, 3), (2026, 7, 5, 12), (2026, 7, 3, 18), (2026, 7, 3, 23, 59)])
def test_a_start_outside_of_the_hours_counts_from_the_next_opening(start: tuple[int, ...]) -> None:
    assert CHINA.add_working_hours(local(*start), Decimal("0.5")) == due(2026, 7, 6, 9, 30)


def test_no_hours_are_due_at_once_or_at_the_next_opening() -> None:
    assert CHINA.add_working_hours(local(2026, 7, 6, 10), 0) == due(2026, 7, 6, 10)
    assert CHINA.add_working_hours(local(2026, 7, 5, 10), 0) == due(2026, 7, 6, 9)


def test_the_day_of_the_start_is_the_day_where_the_line_works() -> None:
    late_in_utc = datetime(2026, 7, 5, 23, tzinfo=UTC)  # Monday, seven in the morning in Shanghai
    assert CHINA.add_working_hours(late_in_utc, 1) == due(2026, 7, 6, 10)


def test_hours_are_true_hours_when_the_clocks_change() -> None:
    night = WorkCalendar(
        work_start=time(0), work_end=time(6), zone=ZoneInfo("Europe/Berlin"), official=EveryDay(date.max)
    )
    start = datetime(2026, 3, 28, 23, tzinfo=UTC)  # midnight; the night has five hours
    assert night.add_working_hours(start, 5).time == start + timedelta(hours=5)
    assert night.add_working_hours(start, 6).time == datetime(2026, 3, 29, 23, tzinfo=UTC)


def test_hours_are_provisional_only_when_they_need_a_day_nobody_knows() -> None:
    calendar = WorkCalendar(official=EveryDay(date(2026, 12, 31)))
    eve = local(2026, 12, 31, 17)
    assert not calendar.add_working_hours(eve, 1).provisional
    assert calendar.add_working_hours(eve, 2) == DueTime(
        local(2027, 1, 1, 10).astimezone(UTC), provisional=True
    )


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CHINA.add_working_hours(datetime(2026, 7, 6, 10), 1)  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("hours", [-1, Decimal("-0.1"), Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_number_of_hours_is_refused(hours: Decimal | int) -> None:
    with pytest.raises(ValueError, match="not a number of working hours"):
        CHINA.add_working_hours(local(2026, 7, 6, 10), hours)


@given(st.datetimes(datetime(2012, 1, 1), datetime(2026, 1, 1)), st.integers(1, 100), st.integers(1, 100))  # noqa: DTZ001
def test_hours_can_be_added_in_two_steps(moment: datetime, one: int, other: int) -> None:
    start = moment.replace(tzinfo=UTC)
    halfway = CHINA.add_working_hours(start, one)
    assert (
        CHINA.add_working_hours(halfway.time, other).time == CHINA.add_working_hours(start, one + other).time
    )
    reached = halfway.time.astimezone(SHANGHAI)
    assert CHINA.is_working_day(reached.date()).working
    assert time(9) < reached.time() <= time(18)
