"""What a row of a file says, however it is spelled; a usual spelling reads like any other."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_core.money import yuan
from crm_telecom_elite.receipts.inputs import Problem, Reported
from crm_telecom_elite.receipts.reading import ReceiptFile

HEADER = ("流水号", "用户号码", "账期", "收款日期", "金额", "冲正流水号")
USUAL = ("R1", "13300000001", "2025-10", "2025-10-09", "88.80", "")


def read(folder: Path, *rows: Sequence[str]) -> list[Reported | Problem]:
    """What the rows of a file say."""
    path = folder / "receipts.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([HEADER, *rows])
    file = ReceiptFile(path)
    found = list(file.rows())
    assert file.count() == len(found)
    return found


def changed(place: int, said: str) -> tuple[str, ...]:
    """The usual row with another cell."""
    return (*USUAL[:place], said, *USUAL[place + 1 :])


def test_a_usual_row_says_what_stands_there(tmp_path: Path) -> None:
    expected = Reported(2, "R1", "13300000001", "2025-10", date(2025, 10, 9), 8880, None)
    assert read(tmp_path, USUAL) == [expected]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (0, " R1 "), (0, "Ｒ１"), (1, "１３３００００００01"), (2, "2025年10月"), (2, "202510"), (3, "2025/10/9"),
        (3, "20251009"), (4, "088.80"), (4, "88.8"), (4, "¥88.80"), (4, "88.80元"), (4, "８８．８０"), (4, " 88.80 "),
    ],
)  # fmt: skip
def test_another_spelling_says_the_same(tmp_path: Path, place: int, said: str) -> None:
    assert read(tmp_path, changed(place, said)) == read(tmp_path, USUAL)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fen=st.integers(min_value=-(10**12), max_value=10**12))
def test_an_amount_is_read_to_the_fen(tmp_path: Path, fen: int) -> None:
    plain, grouped = f"{yuan(fen):f}", f"{yuan(fen):,f}"
    found: list[Any] = read(tmp_path, changed(4, plain), changed(4, grouped), changed(4, f" {plain}"))
    assert [one.amount for one in found] == [fen] * 3


@pytest.mark.parametrize("said", ["", "88.805", "8８.8.0", "abc", "1e400"])
def test_what_is_no_amount_is_refused_alone(tmp_path: Path, said: str) -> None:
    wrong, right = read(tmp_path, changed(4, said), USUAL)
    assert isinstance(wrong, Problem)
    assert (wrong.row, wrong.number, wrong.error.field) == (2, "R1", "amount")
    assert isinstance(right, Reported)


def test_blank_rows_and_totals_are_no_receipts(tmp_path: Path) -> None:
    blank, total = ("", " ", "　", "", "", ""), ("合 计", "", "", "", "177.60", "")
    found = read(tmp_path, USUAL, blank, total, changed(0, "R2"))
    assert [one.number for one in found] == ["R1", "R2"]
