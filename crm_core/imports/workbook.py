"""Reads XLSX workbooks: opens none that would unpack to gigabytes, and takes the first visible sheet that holds something."""

import re
import zipfile
import zlib
from collections.abc import Generator, Iterator
from datetime import date, datetime
from pathlib import Path

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetMetadata,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from crm_core.imports.cells import Cell, is_blank
from crm_core.imports.files import Record, UnreadableFile

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
"""A workbook that unpacks to more is not opened."""
MAX_SHEET_CELLS = 10_000_000
"""A sheet whose filled area is larger is not opened: one stray cell far away would cost gigabytes."""

_CHUNK = 1024 * 1024


def filled_sheet(path: Path, sheet: str | None) -> tuple[str, tuple[str, ...], Record]:
    """The sheet of this name, or the first visible one with content; with it all names, and its first filled record.

    Raises `UnreadableFile`.
    """
    _refuse_unsafe_archive(path)
    with _workbook(path) as workbook:
        names = tuple(workbook.sheet_names)
        if sheet is not None and sheet not in names:
            raise UnreadableFile("SHEET_MISSING", {"sheet": sheet, "sheets": ", ".join(names)})
        for name in [sheet] if sheet is not None else _visible(workbook.sheets_metadata):
            first = next((r for r in _records_of(_sheet(workbook, name)) if not is_blank(r)), None)
            if first is not None:
                return name, names, first
    raise UnreadableFile("EMPTY")


def _visible(sheets: list[SheetMetadata]) -> list[str]:
    return [
        s.name for s in sheets if s.visible == SheetVisibleEnum.Visible and s.typ == SheetTypeEnum.WorkSheet
    ]


def _workbook(path: Path) -> CalamineWorkbook:
    try:
        return CalamineWorkbook.from_path(path)
    except PasswordError as error:
        raise UnreadableFile("ENCRYPTED") from error
    except CalamineError as error:
        raise UnreadableFile("NOT_A_WORKBOOK") from error


def _sheet(workbook: CalamineWorkbook, name: str) -> CalamineSheet:
    try:
        return workbook.get_sheet_by_name(name)
    except CalamineError as error:
        raise UnreadableFile("NOT_A_WORKBOOK") from error


def records(path: Path, sheet: str | None) -> Generator[Record]:
    """All records of a sheet, or of the first one; `UnreadableFile` where there is no such workbook."""
    with _workbook(path) as workbook:
        yield from _records_of(_sheet(workbook, sheet or workbook.sheet_names[0]))


def _records_of(sheet: CalamineSheet) -> Iterator[Record]:
    for record in sheet.iter_rows():
        yield tuple(map(_cell, record))


def _cell(value: object) -> Cell:
    if isinstance(value, str):
        return value or None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, bool | int | date | datetime):
        return value
    return str(value)


def _refuse_unsafe_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if "xl/workbook.xml" not in archive.namelist():
                raise UnreadableFile("NOT_A_WORKBOOK")
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise UnreadableFile("WORKBOOK_TOO_LARGE", {"limit": MAX_UNPACKED_BYTES})
            for name in archive.namelist():
                if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name) and _area(archive, name) > MAX_SHEET_CELLS:
                    raise UnreadableFile("SHEET_TOO_LARGE", {"limit": MAX_SHEET_CELLS})
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        raise UnreadableFile("NOT_A_WORKBOOK") from error


_FILLED_CELL = re.compile(rb"""<(?:\w+:)?c\s[^>]*?\br=["']([A-Z]{1,3})(\d{1,7})["'][^>]*(?<!/)>""")
_LONGEST_TAG = 512


def _area(archive: zipfile.ZipFile, name: str) -> int:
    """The rectangle that holds every filled cell of a sheet, found without building the sheet."""
    columns: set[bytes] = set()
    last_row = 0
    with archive.open(name) as sheet:
        tail = b""
        while chunk := sheet.read(_CHUNK):
            found = _FILLED_CELL.findall(tail + chunk)
            columns.update(column for column, _ in found)
            last_row = max(last_row, max((int(row) for _, row in found), default=0))
            tail = chunk[-_LONGEST_TAG:]
    return last_row * max(map(_column_number, columns), default=0)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
