"""Reads CSV and XLSX files as streams of records, and says clearly why a file cannot be read."""

import codecs
import csv
import io
import mmap
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetMetadata,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from crm_core.imports.cells import Cell, is_blank, text

Record: TypeAlias = tuple[Cell, ...]

MAX_CELL_CHARACTERS = 16 * 1024 * 1024
"""A longer CSV cell is taken for a quote that was never closed."""
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
"""A workbook that unpacks to more is not opened."""
MAX_SHEET_CELLS = 10_000_000
"""A sheet whose filled area is larger is not opened: one stray cell far away would cost gigabytes."""

_DELIMITERS = (",", "\t", ";", "|")
_CHUNK = 1024 * 1024
_ENOUGH_MULTIBYTE = 8


class FileFormat(StrEnum):
    """The two kinds of file that are read."""

    CSV = "csv"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True)
class FileShape:
    """How a file is to be read: its format, its header, and encoding and delimiter (CSV) or sheet (XLSX)."""

    format: FileFormat
    header: tuple[str, ...]
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    sheets: tuple[str, ...] = ()

    @property
    def column_count(self) -> int:
        """The number of columns."""
        return len(self.header)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its number (the header is 1, line breaks inside cells do not count) and its cells by header."""

    number: int
    cells: Record


class UnreadableFile(Exception):
    """The file as a whole cannot be read: a stable code and its parameters, worded for the caller."""

    def __init__(self, code: str, params: Mapping[str, str | int] | None = None) -> None:
        self.code = code
        self.params: Mapping[str, str | int] = params or {}
        super().__init__(self.message())

    def message(self, language: str = "en") -> str:
        """The reason in words; Chinese for a language that starts with `zh`, else English."""
        english, chinese = WORDING[self.code]
        return (chinese if language.lower().startswith("zh") else english).format_map(self.params)


def digest(path: Path) -> str:
    """The SHA-256 of the file's bytes in hex: the same file is the same import."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def inspect(path: Path, sheet: str | None = None) -> FileShape:
    """Find out how a file is to be read; the content decides, not the name.

    `sheet` names the sheet of a workbook; else its first visible sheet with content is taken.

    Raises:
        UnreadableFile: not CSV or XLSX, encrypted, empty, bytes of no known encoding, header without rows,
            a header name given twice, a sheet that is not there.
    """
    shape = _inspect_workbook(path, sheet) if _is_workbook(path) else _inspect_text(path)
    if next((row for row in rows(path, shape) if not is_blank(row.cells)), None) is None:
        raise UnreadableFile("ONLY_HEADER")
    return shape


def rows(path: Path, shape: FileShape) -> Generator[Row]:
    """All records after the header, blank ones included, each as wide as the header; CSV is streamed.

    Raises:
        UnreadableFile: a record with more filled cells than the header, a damaged quote, a file that changed.
    """
    records = (
        _sheet_records(path, shape.sheet) if shape.format is FileFormat.XLSX else _csv_records(path, shape)
    )
    with closing(records):
        if _header(_first_filled(records)) != shape.header:
            raise UnreadableFile("FILE_CHANGED")
        for number, record in enumerate(records, start=2):
            yield Row(number, _fit(record, shape.column_count, number))


def _fit(record: Record, width: int, number: int) -> Record:
    if len(record) > width and not is_blank(record[width:]):
        raise UnreadableFile("ROW_TOO_LONG", {"row": number, "cells": len(record), "columns": width})
    return record[:width] + (None,) * (width - len(record))


def _first_filled(records: Iterable[Record]) -> Record:
    first = next((record for record in records if not is_blank(record)), None)
    if first is None:
        raise UnreadableFile("EMPTY")
    return first


def _header(record: Record) -> tuple[str, ...]:
    names = [text(cell) for cell in record]
    while names and not names[-1]:
        names.pop()
    return tuple(name or f"#{column}" for column, name in enumerate(names, start=1))


def _checked_header(record: Record) -> tuple[str, ...]:
    header = _header(record)
    seen: dict[str, int] = {}
    for column, name in enumerate(header, start=1):
        key = re.sub(r"\s", "", unicodedata.normalize("NFKC", name)).casefold()
        if key in seen:
            raise UnreadableFile("HEADER_TWICE", {"name": name, "first": seen[key], "second": column})
        seen[key] = column
    return header


# --- which kind of file ---------------------------------------------------------------------------------------


def _is_workbook(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        raise UnreadableFile("EMPTY")
    if start.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise UnreadableFile("ENCRYPTED" if _holds(path, "EncryptedPackage") else "OLD_EXCEL")
    if start.startswith(b"PK\x03\x04"):
        return True
    if path.suffix.lower() in {".xlsx", ".xlsm"} or re.match(
        rb"\s*<(?:!doctype|html|table|\?xml)", start.lower()
    ):
        raise UnreadableFile("NOT_A_WORKBOOK")
    return False


def _holds(path: Path, name: str) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(name.encode("utf-16-le")) >= 0


# --- CSV ------------------------------------------------------------------------------------------------------


def _inspect_text(path: Path) -> FileShape:
    encoding = _encoding(path)
    delimiter = _delimiter(path, encoding)
    shape = FileShape(FileFormat.CSV, (), encoding, delimiter)
    with closing(_csv_records(path, shape)) as records:
        header = _checked_header(_first_filled(records))
    return FileShape(FileFormat.CSV, header, encoding, delimiter)


@dataclass(frozen=True, slots=True)
class _Decoding:
    """How far an encoding carries: the offset of the first invalid byte, and the multi-byte characters before."""

    bad_byte: int | None
    multibyte: int


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableFile("ENCODING_UNSUPPORTED", {"encoding": "UTF-16"})
    if b"\x00" in start:
        raise UnreadableFile("BINARY")
    utf8 = _try_encoding(path, "utf-8")
    if utf8.bad_byte is None:
        return "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"
    if utf8.multibyte >= _ENOUGH_MULTIBYTE or start.startswith(codecs.BOM_UTF8):
        raise _invalid_byte(path, "utf-8", utf8.bad_byte)
    gb18030 = _try_encoding(path, "gb18030")
    if gb18030.bad_byte is not None:
        raise _invalid_byte(path, "gb18030", gb18030.bad_byte)
    return "gb18030"


def _try_encoding(path: Path, encoding: str) -> _Decoding:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    fed = multibyte = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            fed += len(chunk)
            try:
                decoded = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding)
                return _Decoding(fed - len(error.object) + error.start, multibyte + _multibyte(before))
            multibyte += _multibyte(decoded)
            if not chunk:
                return _Decoding(None, multibyte)


def _multibyte(decoded: str) -> int:
    return 0 if decoded.isascii() else sum(not character.isascii() for character in decoded)


def _invalid_byte(path: Path, encoding: str, offset: int) -> UnreadableFile:
    with path.open("rb") as file:
        before = file.read(offset).decode(encoding, "replace")
    finished = csv.reader(io.StringIO(before, newline=""))
    try:
        record = max(1, sum(1 for _ in finished) + before.endswith(("\n", "\r")))
    except csv.Error:
        record = before.count("\n") + 1
    return UnreadableFile("INVALID_BYTE", {"encoding": encoding.upper(), "offset": offset, "row": record})


def _delimiter(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, newline="") as file:
        lines = list(islice(file, 100))
    widths = {delimiter: _header_width(lines, delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: widths[delimiter])


def _header_width(lines: list[str], delimiter: str) -> int:
    try:
        records = csv.reader(lines, delimiter=delimiter)
        return next((len([cell for cell in record if cell.strip()]) for record in records if any(record)), 0)
    except csv.Error:
        return 0


def _csv_records(path: Path, shape: FileShape) -> Generator[Record]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)  # process-wide in the standard library; raising it harms nobody
    with path.open(encoding=shape.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=shape.delimiter or ",", strict=True)
        number = 0
        try:
            for record in reader:
                number += 1
                yield tuple(cell or None for cell in record)
        except csv.Error as error:
            code = "CELL_TOO_LONG" if "field limit" in str(error) else "QUOTE_DAMAGED"
            raise UnreadableFile(code, {"row": number + 1, "line": reader.line_num}) from error
        except UnicodeDecodeError as error:
            raise UnreadableFile("FILE_CHANGED") from error


# --- XLSX -----------------------------------------------------------------------------------------------------


def _inspect_workbook(path: Path, sheet: str | None) -> FileShape:
    _refuse_unsafe_archive(path)
    with _workbook(path) as workbook:
        names = tuple(workbook.sheet_names)
        if sheet is not None and sheet not in names:
            raise UnreadableFile("SHEET_MISSING", {"sheet": sheet, "sheets": ", ".join(names)})
        for name in [sheet] if sheet is not None else _visible(workbook.sheets_metadata):
            first = next((r for r in _records_of(_sheet(workbook, name)) if not is_blank(r)), None)
            if first is not None:
                return FileShape(FileFormat.XLSX, _checked_header(first), sheet=name, sheets=names)
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


def _sheet_records(path: Path, sheet: str | None) -> Generator[Record]:
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


WORDING: Mapping[str, tuple[str, str]] = {
    "EMPTY": ("the file is empty", "文件为空"),
    "ONLY_HEADER": ("the file has a header and no rows", "文件只有表头,没有数据行"),
    "HEADER_TWICE": (
        "the header {name} stands in columns {first} and {second}",
        "表头 {name} 重复出现在第 {first} 列和第 {second} 列",
    ),
    "ROW_TOO_LONG": (
        "row {row} has {cells} cells, the header {columns}; is a comma unquoted?",
        "第 {row} 行有 {cells} 个单元格,而表头只有 {columns} 列;是否有未加引号的分隔符?",
    ),
    "QUOTE_DAMAGED": (
        "row {row} (text line {line}): a quote is not closed, or text follows a closing quote",
        "第 {row} 行(文本第 {line} 行):引号未闭合,或闭合引号后还有文字",
    ),
    "CELL_TOO_LONG": (
        "row {row} (text line {line}): a cell is longer than can be; is a quote not closed?",
        "第 {row} 行(文本第 {line} 行):单元格过长;是否有引号未闭合?",
    ),
    "INVALID_BYTE": (
        "row {row}: the byte at offset {offset} is no {encoding} text",
        "第 {row} 行:偏移 {offset} 处的字节不是有效的 {encoding} 文本",
    ),
    "ENCODING_UNSUPPORTED": (
        "the file is {encoding}; save it as UTF-8 or GB18030",
        "文件编码为 {encoding};请另存为 UTF-8 或 GB18030",
    ),
    "BINARY": ("the file is neither text nor an XLSX workbook", "文件既不是文本也不是 XLSX 工作簿"),
    "NOT_A_WORKBOOK": (
        "the file is not a real XLSX workbook; open it in Excel and save it as .xlsx or .csv",
        "文件不是真正的 XLSX 工作簿;请在 Excel 中打开并另存为 .xlsx 或 .csv",
    ),
    "OLD_EXCEL": (
        "the file is an old Excel workbook (.xls); save it as .xlsx",
        "文件是旧版 Excel 工作簿(.xls);请另存为 .xlsx",
    ),
    "ENCRYPTED": ("the workbook is protected by a password", "工作簿已加密,请先取消密码"),
    "SHEET_MISSING": ("there is no sheet {sheet}; there are {sheets}", "没有工作表 {sheet};现有:{sheets}"),
    "SHEET_TOO_LARGE": (
        "a sheet's filled area has more than {limit} cells; is there a stray cell far away?",
        "工作表的已用区域超过 {limit} 个单元格;是否在很远处有多余的单元格?",
    ),
    "WORKBOOK_TOO_LARGE": (
        "the workbook unpacks to more than {limit} bytes",
        "工作簿解压后超过 {limit} 字节",
    ),
    "FILE_CHANGED": ("the file changed while it was being read", "文件在读取过程中被修改"),
}
"""English and Chinese wording of every reason a file is unreadable."""
