"""What can be said of an imported row: problems with their wording, refused and skipped rows, rows seen before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TypeAlias

from crm_core.imports.cells import Cell

Params: TypeAlias = Mapping[str, str | int]


class Severity(StrEnum):
    """An ERROR refuses the row (strict) or blanks the field (lenient); a WARNING is reported and nothing more."""

    ERROR = "ERROR"
    WARNING = "WARNING"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one cell: a stable code, the column's header, the value as read, and parameters."""

    code: str
    column: str
    value: str
    params: Params = field(default_factory=dict)
    severity: Severity = Severity.ERROR

    def message(self, language: str = "en") -> str:
        """The problem in words; Chinese for a language that starts with `zh`, else English."""
        english, chinese = WORDING[self.code]
        template = chinese if language.lower().startswith("zh") else english
        return template.format_map({"column": self.column, "value": self.value, **self.params})


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refused row (拒绝): its number, its number in the old system if it has one, and every problem."""

    row: int
    external_id: str | None
    problems: tuple[Problem, ...]


class SkipReason(StrEnum):
    """Why a row is passed over without being refused."""

    BLANK = "BLANK"
    TOTALS = "TOTALS"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row passed over (跳过); `first_row` is the row a duplicate repeats."""

    row: int
    reason: SkipReason
    first_row: int | None = None


class RowDigests:
    """Remembers rows by a 16-byte digest, to find exact duplicates (完全重复): every cell equal, number included."""

    def __init__(self) -> None:
        """Start with no row seen."""
        self._first: dict[bytes, int] = {}

    def first_row_like(self, number: int, cells: tuple[Cell, ...]) -> int | None:
        """The number of the first equal row, or None if this row is new; it is remembered then."""
        first = self._first.setdefault(row_digest(cells), number)
        return None if first == number else first


def row_digest(cells: tuple[Cell, ...]) -> bytes:
    """Sixteen bytes that are equal for rows whose every cell is equal, whatever type the file stored."""
    digest = blake2b(digest_size=16)
    for cell in cells:
        content = ("" if cell is None else str(cell)).encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(4, "big") + content)
    return digest.digest()


class ExternalIds:
    """Remembers which row of a file brought which number of the old system (客户编号)."""

    def __init__(self) -> None:
        """Start with no number seen."""
        self._first: dict[str, int] = {}

    def problem(self, row: int, external_id: str | None, column: str) -> Problem | None:
        """EXTERNAL_ID_REPEATED if another row brought this number with other cells; else the number is remembered.

        To be asked of rows that would be imported only: after a refused row the corrected one is welcome.
        """
        if external_id is None:
            return None
        first = self._first.setdefault(external_id, row)
        if first == row:
            return None
        return Problem("EXTERNAL_ID_REPEATED", column, external_id, {"first_row": first})


WORDING: Mapping[str, tuple[str, str]] = {
    "CUSTOMER_UNREACHABLE": (
        "no way to reach the customer: no valid phone, landline or WeChat id",
        "无法联系该客户:没有有效的手机、座机或微信号",
    ),
    "NAME_MISSING": ("the customer has no name", "缺少客户名称"),
    "EXTERNAL_ID_MISSING": ("the row has no number of the old system", "缺少客户编号"),
    "EXTERNAL_ID_REPEATED": (
        "number {value} stands in row {first_row} already, with other content",
        "编号 {value} 已在第 {first_row} 行出现且内容不同",
    ),
    "KIND_UNKNOWN": ("customer type {value} is not known", "未知的客户类型:{value}"),
    "PHONE_INVALID": ("{column}: {value} is not a telephone number", "{column}:{value} 不是有效的电话号码"),
    "DATE_NOT_REAL": ("{column}: the day {value} does not exist", "{column}:日期 {value} 不存在"),
    "DATE_UNREADABLE": ("{column}: {value} is not a date", "{column}:{value} 不是可识别的日期"),
    "LAST_CONTACT_IN_FUTURE": (
        "{column}: {value} is after the day of export {as_of}",
        "{column}:{value} 晚于导出日期 {as_of}",
    ),
    "FIRST_VISIT_IN_FUTURE": (
        "{column}: {value} is after the day of export {as_of}",
        "{column}:{value} 晚于导出日期 {as_of}",
    ),
    "IDENTITY_NUMBER_INVALID": (
        "{column}: identity number is wrong ({reason})",
        "{column}:身份证号有误({reason})",
    ),
    "CREDIT_CODE_INVALID": (
        "{column}: credit code is wrong ({reason})",
        "{column}:统一社会信用代码有误({reason})",
    ),
    "GRADE_UNKNOWN": ("{column}: grade {value} is not known", "{column}:未知的客户级别 {value}"),
    "CUSTOMER_NUMBER_MISSING": ("the row names no customer", "缺少客户编号"),
    "CUSTOMER_UNKNOWN": ("no customer has the number {value}", "客户编号 {value} 不存在"),
    "CUSTOMER_REFUSED": (
        "the row of customer {value} was itself refused",
        "客户 {value} 自身的数据行已被拒绝",
    ),
    "BEFORE_FIRST_VISIT": (
        "{value} is before the customer's first visit on {first_visit}",
        "{value} 早于客户首次到店日期 {first_visit}",
    ),
    "TIME_MISSING": ("the row has no time", "缺少日期时间"),
    "TIME_NOT_REAL": ("{column}: the time {value} does not exist", "{column}:时间 {value} 不存在"),
    "TIME_UNREADABLE": ("{column}: {value} is not a time", "{column}:{value} 不是可识别的时间"),
    "MINUTE_REPEATED": (
        "{column}: row {first_row} tells of the same customer and minute, with other content",
        "{column}:第 {first_row} 行已有同一客户同一分钟的记录且内容不同",
    ),
    "METHOD_NOT_OFFERED": (
        "{column}: {value} is no kind of interaction here; it comes in as {kind}, {value} stands in its subject",
        "{column}:此处没有互动方式 {value},按 {kind} 导入,原方式写入主题",
    ),
    "METHOD_UNKNOWN": ("{column}: method {value} is not known", "{column}:未知的方式 {value}"),
}
"""English and Chinese wording of every problem code."""
