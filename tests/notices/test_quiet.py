"""Quiet hours, over midnight and over changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.notices.quiet import after_quiet, is_quiet

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NIGHT = (time(22), time(7))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 11, day, hour, minute, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (at(3, 21, 59), at(3, 21, 59)),
        (at(3, 22), at(4, 7)),
        (at(4, 3), at(4, 7)),
        (at(4, 7), at(4, 7)),
    ],
)
def test_what_comes_at_night_is_sent_in_the_morning(moment: datetime, due: datetime) -> None:
    assert after_quiet(moment, *NIGHT, SHANGHAI) == due


def test_a_lunch_break_ends_the_same_day() -> None:
    assert after_quiet(at(3, 12, 30), time(12), time(14), SHANGHAI) == at(3, 14)


def test_equal_times_are_no_quiet_hours() -> None:
    assert after_quiet(at(3, 8), time(8), time(8), SHANGHAI) == at(3, 8)


def test_the_hours_are_those_of_the_zone() -> None:
    moment = datetime(2025, 11, 3, 15, tzinfo=UTC)  # 23:00 in Shanghai, 16:00 in Berlin
    assert after_quiet(moment, *NIGHT, SHANGHAI) == at(4, 7)
    assert after_quiet(moment, *NIGHT, BERLIN) == moment


def test_the_night_the_clock_is_set_forward_ends_at_the_local_time() -> None:
    moment = datetime(2025, 3, 29, 23, tzinfo=BERLIN)
    assert after_quiet(moment, *NIGHT, BERLIN) == datetime(2025, 3, 30, 5, tzinfo=UTC)


@given(MOMENTS, TIMES, TIMES)
def test_nothing_is_sent_in_quiet_hours_and_never_later_than_a_day(
    moment: datetime, begin: time, end: time
) -> None:
    due = after_quiet(moment, begin, end, SHANGHAI)
    assert moment <= due < moment + timedelta(days=1)
    assert not is_quiet(due, begin, end, SHANGHAI)
    assert due == moment or is_quiet(moment, begin, end, SHANGHAI)
    assert after_quiet(due, begin, end, SHANGHAI) == due


@given(MOMENTS, TIMES, TIMES)
def test_where_the_clock_is_changed_nothing_is_sent_before_its_time(
    moment: datetime, begin: time, end: time
) -> None:
    assert moment <= after_quiet(moment, begin, end, BERLIN) <= moment + timedelta(hours=26)
