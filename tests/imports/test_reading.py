"""Files as records: encodings, delimiters, quotes, workbooks, and clear words for what cannot be read."""

# ruff: noqa: DTZ001 - the times of a file are local and carry no zone

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.imports.cells import Cell
from crm_core.imports.files import WORDING, FileFormat, UnreadableFile
from crm_core.imports.reading import digest, inspect, rows

Rows = list[tuple[Cell, ...]]


def _write(folder: Path, content: bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _read(path: Path) -> Rows:
    return [row.cells for row in rows(path, inspect(path))]


def _refusal(path: Path, sheet: str | None = None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        list(rows(path, inspect(path, sheet)))
    return caught.value


def _workbook(folder: Path, *records: tuple[Cell, ...], title: str = "客户资料") -> Path:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    for record in records:
        sheet.append(record)
    book.save(folder / "file.xlsx")
    return folder / "file.xlsx"


@pytest.mark.parametrize(
    ("codec", "found"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("gb18030", "gb18030")]
)
def test_the_encoding_is_found_and_rare_characters_kept(tmp_path: Path, codec: str, found: str) -> None:
    path = _write(tmp_path, "编号,名称\r\n1,郭建㛃👍\r\n".encode(codec))
    assert inspect(path).encoding == found
    assert inspect(path).header == ("编号", "名称")
    assert _read(path) == [("1", "郭建㛃👍")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    content = (
        delimiter.join(["编号", "名称", "备注"]) + "\n" + delimiter.join(["1", "甲", '"a,b;c|d"']) + "\n"
    )
    shape = inspect(_write(tmp_path, content.encode()))
    assert (shape.format, shape.delimiter, shape.column_count) == (FileFormat.CSV, delimiter, 3)


def test_a_quoted_cell_may_hold_line_breaks_delimiters_and_quotes(tmp_path: Path) -> None:
    path = _write(tmp_path, '编号,备注\r\n1,"一,\r\n二 ""三"""\r\n2,\r\n'.encode())
    assert _read(path) == [("1", '一,\r\n二 "三"'), ("2", None)]


def test_rows_are_numbered_as_records_with_the_header_as_one(tmp_path: Path) -> None:
    path = _write(tmp_path, b'a,b\n1,"x\ny\nz"\n\n3,w\n')
    assert [row.number for row in rows(path, inspect(path))] == [2, 3, 4]


def test_short_rows_are_filled_and_blank_cells_beyond_the_header_dropped(tmp_path: Path) -> None:
    path = _write(tmp_path, b"a,b,\n1\n2,3,,\n")
    assert inspect(path).header == ("a", "b")
    assert _read(path) == [("1", None), ("2", "3")]


def test_a_cell_longer_than_the_usual_limit_of_the_csv_module_is_kept(tmp_path: Path) -> None:
    path = _write(tmp_path, ("a,b\n1," + "长" * 200_000 + "\n").encode())
    assert _read(path) == [("1", "长" * 200_000)]


def test_a_nameless_column_is_called_by_its_place(tmp_path: Path) -> None:
    assert inspect(_write(tmp_path, b"a,,c\n1,2,3\n")).header == ("a", "#2", "c")


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=2, max_size=2),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_a_csv_writer_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[list[str]]
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["编号客户名称", "备注联系人员"], *records, ["x", "y"]])
    path = _write(tmp_path_factory.mktemp("csv"), out.getvalue().encode("utf-8-sig"))
    expected = [tuple(cell or None for cell in record) for record in [*records, ["x", "y"]]]
    assert _read(path) == expected


def test_a_workbook_gives_typed_cells(tmp_path: Path) -> None:
    path = _workbook(
        tmp_path,
        ("编号", "手机", "日期", "时间", "是", "序号"),
        ("1", 13900001234, date(2025, 3, 1), datetime(2025, 3, 1, 8, 5), True, 45717.5),
    )
    shape = inspect(path)
    assert (shape.format, shape.sheet, shape.sheets) == (FileFormat.XLSX, "客户资料", ("客户资料",))
    ((number, phone, day, moment, flag, serial),) = _read(path)
    assert (number, phone, flag, serial) == ("1", 13900001234, True, 45717.5)
    assert isinstance(phone, int)
    assert str(day).startswith("2025-03-01")
    assert moment == datetime(2025, 3, 1, 8, 5)


def test_blank_rows_of_a_workbook_are_counted(tmp_path: Path) -> None:
    path = _workbook(tmp_path, ("a", "b"), ("1", "x"), (None, None), ("3", "y"))
    assert [(row.number, row.cells) for row in rows(path, inspect(path))] == [
        (2, ("1", "x")),
        (3, (None, None)),
        (4, ("3", "y")),
    ]


def test_the_first_visible_sheet_with_content_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "空"
    hidden = book.create_sheet("隐藏")
    hidden.append(["x"])
    hidden.sheet_state = "hidden"
    for name in ("客户", "其他"):
        sheet = book.create_sheet(name)
        sheet.append([f"{name}编号"])
        sheet.append(["1"])
    book.save(tmp_path / "file.xlsx")
    assert inspect(tmp_path / "file.xlsx").sheet == "客户"
    assert inspect(tmp_path / "file.xlsx", "其他").header == ("其他编号",)
    assert _refusal(tmp_path / "file.xlsx", "没有").code == "SHEET_MISSING"


def test_a_workbook_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    path = _workbook(tmp_path, ("a",), ("1",)).rename(tmp_path / "file.csv")
    assert inspect(path).format is FileFormat.XLSX


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("f.csv", b"", "EMPTY"),
        ("f.csv", b"\n \n,,\n", "EMPTY"),
        ("f.csv", b"a,b\n", "ONLY_HEADER"),
        ("f.csv", b"a,b\n\n , \n", "ONLY_HEADER"),
        ("f.csv", "编号,名称, 编号\n1,2,3\n".encode(), "HEADER_TWICE"),
        ("f.csv", b"a,b\n1,2\n1,2,3\n", "ROW_TOO_LONG"),
        ("f.csv", b'a,b\n1,"open\n2,x\n', "QUOTE_DAMAGED"),
        ("f.csv", b'a,b\n1,"shut"x\n', "QUOTE_DAMAGED"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16"), "ENCODING_UNSUPPORTED"),
        ("f.csv", b"a,b\n1,\x00\n", "BINARY"),
        ("f.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "BINARY"),
        ("f.csv", b"a,b\n1,\xff\xff\n", "INVALID_BYTE"),
        ("f.xlsx", b"a,b\n1,2\n", "NOT_A_WORKBOOK"),
        ("f.xls", b"<html><table><tr><td>a</td></tr></table></html>", "NOT_A_WORKBOOK"),
        ("f.xlsx", _zip("readme.txt"), "NOT_A_WORKBOOK"),
        ("f.xlsx", _zip("xl/workbook.xml"), "NOT_A_WORKBOOK"),
        ("f.xlsx", b"PK\x03\x04 cut off", "NOT_A_WORKBOOK"),
        ("f.xls", OLE, "OLD_EXCEL"),
        ("f.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), "ENCRYPTED"),
    ],
)
def test_an_unreadable_file_says_why_in_both_languages(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    refusal = _refusal(_write(tmp_path, content, name))
    assert refusal.code == code
    assert refusal.message("en") != refusal.message("zh-CN")


def test_a_damaged_byte_is_named_by_offset_and_row(tmp_path: Path) -> None:
    content = '编号,名称\r\n1,"一\r\n二三四五六"\r\n2,'.encode()
    refusal = _refusal(_write(tmp_path, content + b"\xff\r\n3,x\r\n"))
    assert refusal.params == {"encoding": "UTF-8", "offset": len(content), "row": 3}


def test_a_damaged_utf8_file_is_not_taken_for_gb18030(tmp_path: Path) -> None:
    content = "编号,名称\r\n1,客户资料一二三四五".encode() + b"\xd6\xd0\r\n"
    assert _refusal(_write(tmp_path, content)).params["encoding"] == "UTF-8"


def test_a_damaged_gb18030_file_is_named_so(tmp_path: Path) -> None:
    refusal = _refusal(_write(tmp_path, "编号,名称\r\n1,张三".encode("gb18030") + b"\xff\r\n"))
    assert (refusal.params["encoding"], refusal.params["row"]) == ("GB18030", 2)


def test_a_character_across_two_read_blocks_is_whole(tmp_path: Path) -> None:
    for padding in range(4):
        body = "a" * padding + "字" * 600_000
        path = _write(tmp_path, f"编号,名称\n1,{body}\n".encode("gb18030"))
        assert _read(path) == [("1", body)]


def test_the_row_that_is_too_long_is_named(tmp_path: Path) -> None:
    assert _refusal(_write(tmp_path, b"a,b\n1,2\n1,2,3\n")).params == {"row": 3, "cells": 3, "columns": 2}


def test_one_stray_cell_far_away_does_not_cost_gigabytes(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "a"
    book.worksheets[0]["XFD1048576"] = "b"
    book.save(tmp_path / "far.xlsx")
    assert _refusal(tmp_path / "far.xlsx").code == "SHEET_TOO_LARGE"


def test_a_workbook_damaged_anywhere_is_read_or_refused_but_breaks_nothing(tmp_path: Path) -> None:
    content = _workbook(tmp_path, ("a", "b"), ("1", "x")).read_bytes()
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path = _write(tmp_path, bytes(damaged), "damaged.xlsx")
        with suppress(UnreadableFile):
            _read(path)


def test_a_file_that_changed_since_it_was_inspected_is_refused(tmp_path: Path) -> None:
    shape = inspect(_write(tmp_path, b"a,b\n1,2\n"))
    path = _write(tmp_path, b"a,c\n1,2\n")
    with pytest.raises(UnreadableFile, match="changed"):
        list(rows(path, shape))


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    assert digest(_write(tmp_path, b"abc")) == hashlib.sha256(b"abc").hexdigest()


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = _write(tmp_path, b"a,b\n1,2\n1,2,3\n")
    shape = inspect(path)
    stream = rows(path, shape)
    assert next(stream).cells == ("1", "2")
    stream.close()


def test_every_reason_is_worded_with_the_same_parameters_in_both_languages() -> None:
    def names(template: str) -> set[str]:
        used: set[str] = set()
        template.format_map(_Recorder(used.add))
        return used

    assert all(names(english) == names(chinese) for english, chinese in WORDING.values())


class _Recorder(dict[str, str]):
    def __init__(self, record: Callable[[str], None]) -> None:
        self._record = record

    def __missing__(self, key: str) -> str:
        self._record(key)
        return key
