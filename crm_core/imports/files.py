"""What a file is once it is read: its shape, its rows, and why it cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from crm_core.imports.cells import Cell

Record: TypeAlias = tuple[Cell, ...]


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
