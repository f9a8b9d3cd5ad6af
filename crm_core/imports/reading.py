"""Reads CSV and XLSX files as streams of records, and says clearly why a file cannot be read."""

import codecs
import csv
import io
import mmap
import re
import unicodedata
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path

from crm_core.imports.cells import is_blank, text
from crm_core.imports.files import FileFormat, FileShape, Record, Row, UnreadableFile

MAX_CELL_CHARACTERS = 16 * 1024 * 1024
"""A longer CSV cell is taken for a quote that was never closed."""

_DELIMITERS = (",", "\t", ";", "|")
_CHUNK = 1024 * 1024
_ENOUGH_MULTIBYTE = 8


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
    from crm_core.imports import workbook  # noqa: PLC0415  # a process that serves reads no file

    name, names, header = workbook.filled_sheet(path, sheet)
    return FileShape(FileFormat.XLSX, _checked_header(header), sheet=name, sheets=names)


def _sheet_records(path: Path, sheet: str | None) -> Generator[Record]:
    from crm_core.imports import workbook  # noqa: PLC0415

    return workbook.records(path, sheet)
