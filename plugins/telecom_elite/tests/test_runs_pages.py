"""Statements as files: what stands on them, and that the same figures give the same bytes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook

from crm_telecom_elite.runs.models import KIND_WORDS, EliteLineKind
from crm_telecom_elite.runs.pages import Page, PageLine, sheet, workbook

SHANGHAI = ZoneInfo("Asia/Shanghai")
STEP: dict[str, Any] = {
    "label": "Post salary, package 2",
    "labelZh": "岗位工资（套餐二）",
    "formula": "standard_salary × package_2_factor",
    "formulaZh": "岗位工资标准 × 套餐二系数",
    "inputs": {"standard_salary": "4000.00", "package_2_factor": "1.20"},
    "value": "4800.00",
    "rule": "MO-034",
    "rounding": "half-up to fen, once (四舍五入到分，仅一次)",
}


def page(lines: int = 1) -> Page:
    return Page(
        month="2025-10",
        name="陈一",
        staff_number="E001",
        teams=("本部一队",),
        lines=[PageLine("SALARY", 480_000, "MO-034", None, [STEP])] * lines,
        total=480_000,
        payable=480_000,
        carried_over=0,
        run_digest="ab" * 32,
        confirmed_at=datetime(2025, 11, 7, 18, 30, tzinfo=UTC).astimezone(SHANGHAI),
        by_time=False,
        approved_at=datetime(2025, 11, 11, 1, 0, tzinfo=UTC).astimezone(SHANGHAI),
        approved_by="郑财务",
        closed_at=datetime(2025, 11, 12, 2, 3, 4, tzinfo=UTC).astimezone(SHANGHAI),
    )


def test_the_same_figures_give_the_same_bytes() -> None:
    assert workbook(page()) == workbook(page())
    assert sheet(page()) == sheet(page())
    other = replace(page(), closed_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert workbook(other) != workbook(page())
    assert sheet(other) != sheet(page())


def test_a_workbook_names_the_moment_of_closing_and_no_other() -> None:
    with zipfile.ZipFile(io.BytesIO(workbook(page()))) as book:
        assert {entry.date_time for entry in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert book.read("docProps/core.xml").count(b"2025-11-12T02:03:04Z") == 2


def test_a_workbook_has_every_line_with_its_steps() -> None:
    book = load_workbook(io.BytesIO(workbook(page())))
    assert book.active is not None
    rows = [
        [cell for cell in row if cell not in (None, "")] for row in book.active.iter_rows(values_only=True)
    ]
    assert ["姓名 Name", "陈一"] in rows
    assert ["岗位工资 Post salary", 4800, "MO-034"] in rows, "a number, which can be added up"
    step = next(row for row in rows if "岗位工资标准 × 套餐二系数" in row)
    assert "岗位工资标准 4000.00；套餐二系数 1.20" in step
    assert ["应付 Payable", 4800] in rows


@pytest.mark.parametrize(
    ("by_time", "confirmed"),
    [
        (False, "2025-11-08 02:30 UTC+08:00"),
        (True, "2025-11-08 02:30 UTC+08:00（期满视为确认 time was over）"),
    ],
)
def test_it_ends_with_who_stood_for_it_when_in_the_time_zone_of_the_line(
    by_time: object, confirmed: str
) -> None:
    made = replace(page(), by_time=bool(by_time))
    told = [
        ("成员确认 Confirmed", confirmed),
        ("审批 Approved", "2025-11-11 09:00 UTC+08:00 郑财务"),
        ("关闭时间 Closed", "2025-11-12 10:03 UTC+08:00"),
        ("校验 Digest", "ab" * 32),
    ]
    assert list(made.closing()) == told
    book = load_workbook(io.BytesIO(workbook(made)))
    assert book.active is not None
    rows = [tuple(cell for cell in row if cell) for row in book.active.iter_rows(values_only=True)]
    assert [row for row in rows if row][-4:] == told
    other = replace(made, approved_by="王总")
    assert sheet(other) != sheet(made), "the page tells it too"


def test_a_long_statement_goes_on_on_a_further_page() -> None:
    assert sheet(page()).count(b"/Type /Page\n") == 1
    assert sheet(page(30)).count(b"/Type /Page\n") > 1


def test_every_kind_of_line_has_words_in_both_languages() -> None:
    assert set(KIND_WORDS) == set(EliteLineKind)
    assert all(en.isascii() and not zh.isascii() for en, zh in KIND_WORDS.values())
