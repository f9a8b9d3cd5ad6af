"""Text, days and times as spreadsheets and old systems write them."""

# ruff: noqa: DTZ001 - the times of a file are local and carry no zone

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.imports.cells import (
    Cell,
    Fault,
    is_blank,
    is_totals,
    plain,
    read_day,
    read_moment,
    text,
    to_utc,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("  王芳　", "王芳"),
        ("　 　", ""),
        (None, ""),
        (13900001234, "13900001234"),
        (13900001234.0, "13900001234"),
        (1.5, "1.5"),
        (True, "TRUE"),
        ("第一行\r\n第二行", "第一行\n第二行"),
        ("a\x00b", "ab"),
        ('=HYPERLINK("http://example.invalid","x")', '=HYPERLINK("http://example.invalid","x")'),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("@SUM(1+1)*cmd|' /C echo'!A0", "@SUM(1+1)*cmd|' /C echo'!A0"),
        ("👍𬭎", "👍𬭎"),
    ],
)
def test_text_is_trimmed_and_otherwise_kept(cell: Cell, expected: str) -> None:
    assert text(cell) == expected


def test_codes_are_read_half_width() -> None:
    assert plain("　ＫＨ００１　") == "KH001"


DAY_SPELLINGS: list[Cell] = [
    "2025/3/1",
    "2025-03-01",
    "2025.3.1",
    "2025年3月1日",
    "2025年03月01日",
    "2025 年 3 月 1 日",
    "20250301",
    20250301,
    "45717",
    45717,
    45717.0,
    "45717.75",
    "２０２５年３月１日",
    "  2025-03-01　",
    "2025-03-01 00:00:00",
    "2025/3/1 8:05",
    date(2025, 3, 1),
    datetime(2025, 3, 1, 23, 59, 59),
]


@pytest.mark.parametrize("cell", DAY_SPELLINGS)
def test_every_spelling_of_a_day_is_the_same_day(cell: Cell) -> None:
    assert read_day(cell) == date(2025, 3, 1)


@pytest.mark.parametrize(
    "cell", ["2024年9月31日", "2023-02-29", "20230229", "2024/13/1", "0000-00-00", "99999999"]
)
def test_a_day_that_does_not_exist_is_told_from_what_is_no_day(cell: str) -> None:
    assert read_day(cell) is Fault.NOT_REAL


@pytest.mark.parametrize(
    "cell", ["上周三", "2025", "3/1/2025", "25-3-1", "2025/3-1", "2025-03-011", "202503", True, 0.5]
)
def test_what_may_mean_several_days_is_no_day(cell: Cell) -> None:
    assert read_day(cell) is Fault.UNREADABLE


@pytest.mark.parametrize("cell", [None, "", " 　"])
def test_a_blank_cell_names_no_day(cell: Cell) -> None:
    assert read_day(cell) is None


MOMENT_SPELLINGS: list[Cell] = [
    "2018/3/3 11:03",
    "2018-03-03 11:03:00",
    "2018-03-03T11:03",
    "2018年3月3日 11:03",
    "2018年3月3日11时3分",
    "20180303110300",
    "201803031103",
    "20180303 11:03",
    "43162.4604166667",
    43162.4604166667,
    "２０１８/３/３　１１:０３",
    datetime(2018, 3, 3, 11, 3),
    datetime(2018, 3, 3, 11, 2, 59, 999_997),
]


@pytest.mark.parametrize("cell", MOMENT_SPELLINGS)
def test_every_spelling_of_a_moment_is_the_same_moment(cell: Cell) -> None:
    assert read_moment(cell) == datetime(2018, 3, 3, 11, 3)


@pytest.mark.parametrize(
    ("cell", "hour"),
    [("2018-3-3 上午9:05", 9), ("2018-3-3 下午9:05", 21), ("2018/3/3 9:05 PM", 21), ("2018-3-3 12:05 am", 0)],
)
def test_halves_of_the_day_are_understood(cell: str, hour: int) -> None:
    assert read_moment(cell) == datetime(2018, 3, 3, hour, 5)


@pytest.mark.parametrize(
    "cell", ["2018-03-03 24:00", "2018-03-03 25:10", "2018-02-30 10:00", "20180303256100"]
)
def test_a_time_that_does_not_exist_is_no_time(cell: str) -> None:
    assert read_moment(cell) is Fault.NOT_REAL


def test_local_time_becomes_utc() -> None:
    assert to_utc(datetime(2018, 3, 3, 7, 30), SHANGHAI) == datetime(2018, 3, 2, 23, 30, tzinfo=UTC)


def test_an_hour_skipped_by_summer_time_never_was() -> None:
    assert to_utc(datetime(1990, 4, 15, 2, 30), SHANGHAI) is Fault.NOT_REAL


@given(st.datetimes(min_value=datetime(1930, 1, 1), max_value=datetime(2170, 1, 1)))
def test_a_serial_number_is_read_back_to_the_second(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    serial = (moment - datetime(1899, 12, 30)) / timedelta(days=1)
    assert read_moment(serial) == moment
    assert read_moment(f"{serial:.10f}") == moment


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_a_day(written: str) -> None:
    assert isinstance(read_moment(written), datetime | Fault | None)


@given(st.floats() | st.integers())
def test_no_number_breaks_the_reading_of_a_day(number: float) -> None:
    assert isinstance(read_day(number), date | Fault)


def test_a_row_of_ascii_and_full_width_spaces_is_blank() -> None:
    assert is_blank((None, "", " ", "　", " 　 "))
    assert not is_blank((None, 0))


def test_the_totals_row_says_so_in_its_first_filled_cell() -> None:
    assert is_totals((None, "合 计", "共3000条"))
    assert not is_totals(("KH1", "合计", None))
