"""Slots: two drives of one car meet in a common slot exactly when their times overlap."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crm_auto_dealer.settings import SLOT, AutoDealerSettings
from crm_auto_dealer.test_drives.slots import slots_between, wrong_times

DAY = datetime(2025, 11, 4, tzinfo=UTC)
SETTINGS = AutoDealerSettings()
SHANGHAI = timezone(timedelta(hours=8))

Times = tuple[datetime, datetime]


def _times(first: int, count: int) -> Times:
    return DAY + first * SLOT, DAY + (first + count) * SLOT


TIMES = st.builds(_times, st.integers(0, 40), st.integers(1, 8))


def codes(times: Times, settings: AutoDealerSettings = SETTINGS) -> list[tuple[str, str | None]]:
    return [(error.code.removeprefix("AUTO_DEALER_"), error.field) for error in wrong_times(*times, settings)]


@given(TIMES, TIMES)
def test_a_common_slot_means_overlap_and_overlap_a_common_slot(one: Times, other: Times) -> None:
    common = set(slots_between(*one)) & set(slots_between(*other))
    assert bool(common) is (one[0] < other[1] and other[0] < one[1])


@given(TIMES)
def test_slots_cover_the_drive_without_gap(times: Times) -> None:
    slots = slots_between(*times)
    assert slots[0] == times[0]
    assert slots[-1] + SLOT == times[1]
    assert all(after - before == SLOT for before, after in pairwise(slots))


@given(TIMES)
def test_the_zone_in_which_times_are_given_does_not_matter(times: Times) -> None:
    local = [moment.astimezone(SHANGHAI) for moment in times]
    assert slots_between(*local) == slots_between(*times)
    assert codes((local[0], local[1])) == []


def test_times_off_the_grid_are_refused_both_at_once() -> None:
    start, end = _times(8, 2)
    found = codes((start + timedelta(minutes=1), end - timedelta(seconds=1)))
    assert found == [("NOT_ON_THE_GRID", "startsAt"), ("NOT_ON_THE_GRID", "endsAt")]


def test_a_drive_ends_after_it_begins() -> None:
    start, end = _times(8, 2)
    assert codes((start, start)) == [("ENDS_TOO_EARLY", "endsAt")]
    assert codes((end, start)) == [("ENDS_TOO_EARLY", "endsAt")]


def test_the_longest_drive_is_a_setting() -> None:
    assert codes(_times(8, 8)) == []
    assert codes(_times(8, 9)) == [("DRIVE_TOO_LONG", "endsAt")]
    assert codes(_times(8, 9), AutoDealerSettings(longest_drive_minutes=135)) == []


def test_a_coarser_grid_is_a_setting() -> None:
    half_hours = AutoDealerSettings(slot_minutes=30)
    assert codes(_times(8, 2), half_hours) == []
    assert codes(_times(9, 1), half_hours) == [("NOT_ON_THE_GRID", "startsAt")]
