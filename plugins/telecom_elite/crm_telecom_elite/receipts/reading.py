"""Reads receipts from a file of billing: which column is what, and what each cell says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, TypeGuard, TypeVar

from crm_core.errors import Refused, UserError
from crm_core.imports import reading
from crm_core.imports.cells import Cell, is_blank, is_totals, plain, read_day, text
from crm_core.imports.files import Row
from crm_core.money import fen
from crm_telecom_elite.receipts.inputs import CELL_WRONG, COLUMN_MISSING, Problem, Reported

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("流水号", "收款流水号", "收据号", "number", "receiptNumber"),
    "user_number": ("用户号码", "手机号码", "号码", "userNumber", "user"),
    "bill_month": ("账期", "账单月份", "计费月", "billMonth", "bill"),
    "received_on": ("收款日期", "实收日期", "到账日期", "receivedOn", "received"),
    "amount": ("金额", "实收金额", "实收话费", "amount"),
    "corrects": ("冲正流水号", "原流水号", "corrects"),
}
"""Headers by which a column is known."""
_NEEDED = ("number", "user_number", "bill_month", "received_on", "amount")
_WHAT = {
    "number": ("a number of at most 80 characters", "流水号（最多 80 个字符）"),
    "user_number": ("a user's number of at most 40 characters", "用户号码（最多 40 个字符）"),
    "bill_month": ("a month such as 2025-11", "月份（如 2025-11）"),
    "received_on": ("a day such as 2025-11-03", "日期（如 2025-11-03）"),
    "amount": ("yuan with at most two decimals", "金额（元，最多两位小数）"),
    "corrects": ("a number of at most 80 characters", "流水号（最多 80 个字符）"),
}
_MONTH = re.compile(r"(\d{4})\s*[-/.年]?\s*(0?[1-9]|1[0-2])\s*月?")
_USUAL_AMOUNT = re.compile(r"([0-9]{1,12})\.([0-9]{2})")
_MOST = {"number": 80, "user_number": 40, "corrects": 80}
_T = TypeVar("_T")


class ReceiptFile:
    """A file of receipts whose columns are known."""

    def __init__(self, path: Path) -> None:
        """Look at its header.

        Raises:
            UnreadableFile: it is neither CSV nor XLSX, or damaged.
            Refused: a column is missing.
        """
        self.path, self.shape = path, reading.inspect(path)
        self.header = self.shape.header
        self.places = _places(self.header)

    def count(self) -> int:
        """How many rows it has; reads all of it, so that a damaged file is found out before anything is recorded.

        Raises:
            UnreadableFile: a row of it is damaged.
        """
        return sum(1 for _ in self._rows())

    def rows(self) -> Iterator[Reported | Problem]:
        """What each row says, in an order that is always the same: corrections after everything else."""
        read = _Cells(self.header, self.places)
        corrections: list[Reported | Problem] = []
        for row in self._rows():
            one = read.row(row)
            if isinstance(one, Reported) and one.corrects is not None:
                corrections.append(one)
            else:
                yield one
        yield from corrections

    def _rows(self) -> Iterator[Row]:
        return (
            row
            for row in reading.rows(self.path, self.shape)
            if _is_simple(row.cells[0]) or not (is_blank(row.cells) or is_totals(row.cells))
        )


class _Cells:
    """Reads rows; days and months are few, so each spelling is read once."""

    def __init__(self, header: tuple[str, ...], places: Mapping[str, int]) -> None:
        self.header, self.places = header, places
        self.days: dict[Cell, date] = {}
        self.months: dict[Cell, str] = {}

    def row(self, row: Row) -> Reported | Problem:
        number = ""
        try:
            number = self._text(row, "number", needed=True) or ""
            return Reported(
                row.number,
                number,
                self._text(row, "user_number", needed=True) or "",
                self._known(row, "bill_month", self.months, _month),
                self._known(row, "received_on", self.days, _day),
                self._amount(row),
                self._text(row, "corrects", needed=False),
            )
        except _Wrong as wrong:
            return Problem(row.number, number, self._problem(row, wrong.column))

    def _cell(self, row: Row, column: str) -> Cell:
        place = self.places.get(column)
        return None if place is None else row.cells[place]

    def _text(self, row: Row, column: str, *, needed: bool) -> str | None:
        cell = self._cell(row, column)
        said = cell if _is_simple(cell) else plain(cell)
        if len(said) > _MOST[column] or (needed and not said):
            raise _Wrong(column)
        return said or None

    def _known(self, row: Row, column: str, known: dict[Cell, _T], read: Callable[[Cell], _T | None]) -> _T:
        cell = self._cell(row, column)
        found = known.get(cell)
        if found is None:
            found = read(cell)
            if found is None:
                raise _Wrong(column)
            known[cell] = found
        return found

    def _amount(self, row: Row) -> int:
        cell = self._cell(row, "amount")
        if isinstance(cell, str) and (usual := _USUAL_AMOUNT.fullmatch(cell)):
            return int(usual[1] + usual[2])
        try:
            said = str(cell) if isinstance(cell, float) else plain(cell).replace(",", "").strip("¥元 ")
            return fen(Decimal(said))
        except (InvalidOperation, ValueError):
            raise _Wrong("amount") from None

    def _problem(self, row: Row, column: str) -> UserError:
        what, what_zh = _WHAT[column]
        place = self.places.get(column)
        named = column if place is None else self.header[place]
        value = text(self._cell(row, column))[:60]
        return CELL_WRONG(column, column=named, value=value or '""', what=what, what_zh=what_zh)


class _Wrong(Exception):
    """A cell cannot be read."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def _is_simple(cell: Cell) -> TypeGuard[str]:
    """Whether it is text of letters and digits alone, which reads as it is written."""
    return isinstance(cell, str) and cell.isascii() and cell.isalnum()


def _month(cell: Cell) -> str | None:
    if isinstance(cell, date | datetime):
        return f"{cell:%Y-%m}"
    found = _MONTH.fullmatch(plain(cell))
    return f"{found[1]}-{int(found[2]):02d}" if found else None


def _day(cell: Cell) -> date | None:
    found = read_day(cell)
    return found if isinstance(found, date) else None


def _places(header: tuple[str, ...]) -> dict[str, int]:
    spelled = {_key(name): column for column, names in COLUMNS.items() for name in (column, *names)}
    places = {spelled[_key(name)]: place for place, name in enumerate(header) if _key(name) in spelled}
    missing = [column for column in _NEEDED if column not in places]
    if missing:
        raise Refused(*(COLUMN_MISSING("path", column=f"{COLUMNS[one][0]} ({one})") for one in missing))
    return places


def _key(name: str) -> str:
    return re.sub(r"[\s_]", "", plain(name)).casefold()
