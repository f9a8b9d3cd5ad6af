"""A statement as a workbook and as a page: the same bytes whenever they are made from the same figures (薪酬单文件)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from crm_core.money import yuan
from crm_telecom_elite.runs.dividing import half_up, money
from crm_telecom_elite.runs.models import KIND_WORDS

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PDF: Final = "application/pdf"
INPUT_WORDS: Final[Mapping[str, str]] = {
    "standard_salary": "岗位工资标准",
    "standard_bonus": "绩效奖金标准",
    "original_pay": "原工资与奖金",
    "package_1_factor": "套餐一系数",
    "package_2_factor": "套餐二系数",
    "transfer_factor": "联通在编系数",
    "department_factor": "部门绩效系数",
    "personal_factor": "个人绩效系数",
    "manager_allowance": "职务补贴",
    "car_allowance_team": "团队车贴",
    "car_allowance_person": "个人车贴",
    "days": "天数",
    "days_in_month": "当月天数",
    "from": "自",
    "to": "至",
    "what": "岗位薪级",
    "members": "人数",
    "team_total": "团队合计",
    "exact": "精确值",
    "pool": "提成总额",
    "weight": "贡献权重",
    "factor": "考核系数",
    "factor_from": "系数来源",
    "sum": "Σ（权重 × 系数）",
    "distribution": "二次分配月份",
    "difference": "尾差",
    "rest": "余额",
    "due": "现应付",
    "paid": "已付",
}
"""Names of the inputs of steps, for people."""
_HEADS: Final = ("项目", "金额（元）", "规则", "说明", "计算公式", "数据", "结果", "取整")
_AMOUNT: Final = "#,##0.00"
_FRACTION: Final = re.compile(r"-?\d+/\d+")
_ROUNDED: Final = "※"
"""Marks what was rounded; how, is said once below."""
_FONT: Final = "STSong-Light"
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line of a statement: kind, fen, rule, the month it is about, how it came about."""

    kind: str
    amount: int
    rule: str
    about: str | None
    derivation: Sequence[Mapping[str, Any]]

    @property
    def title(self) -> str:
        """What it is for, in both languages."""
        en, zh = KIND_WORDS[self.kind]
        return f"{zh} {en}" + (f" {self.about}" if self.about else "")


@dataclass(frozen=True, slots=True)
class Page:
    """All that stands on a statement; moments in the time zone of its line.

    `closed_at` is the moment the file says it was made. `by_time` says that nobody confirmed it until the time was over.
    """

    month: str
    name: str
    staff_number: str
    teams: Sequence[str]
    lines: Sequence[PageLine]
    total: int
    payable: int
    carried_over: int
    run_digest: str
    confirmed_at: datetime
    by_time: bool
    approved_at: datetime
    approved_by: str
    closed_at: datetime

    @property
    def title(self) -> str:
        """Title of the file."""
        return f"薪酬单 {self.month} {self.name}"

    def heading(self) -> Iterator[tuple[str, str]]:
        """What stands above the lines."""
        yield "月份 Month", self.month
        yield "姓名 Name", self.name
        yield "工号 Staff number", self.staff_number or "-"
        yield "团队 Team", "、".join(self.teams) or "-"

    def sums(self) -> Iterator[tuple[str, int]]:
        """What stands below them, in fen."""
        yield "合计 Total", self.total
        yield "应付 Payable", self.payable
        if self.carried_over:
            yield "结转下月 Carried over", self.carried_over

    def closing(self) -> Iterator[tuple[str, str]]:
        """What stands at the end: who stood for it when, and what shows that it was not changed."""
        by_time = "（期满视为确认 time was over）" if self.by_time else ""
        yield "成员确认 Confirmed", _moment(self.confirmed_at) + by_time
        yield "审批 Approved", f"{_moment(self.approved_at)} {self.approved_by}".rstrip()
        yield "关闭时间 Closed", _moment(self.closed_at)
        yield "校验 Digest", self.run_digest


def _moment(moment: datetime) -> str:
    """To the minute, with the offset of its time zone."""
    offset = f"{moment:%z}"
    return f"{moment:%Y-%m-%d %H:%M} UTC{offset[:3]}:{offset[3:5]}"


def _given(step: Mapping[str, Any]) -> str:
    return "；".join(
        f"{INPUT_WORDS.get(name, name)} {_about(value)}" for name, value in step["inputs"].items()
    )


def _about(value: str) -> str:
    """A value; of a fraction also what it is about, since nobody reads one."""
    if not _FRACTION.fullmatch(value):
        return value
    return f"{value}（≈ {Decimal(round(Fraction(value) * 1_000_000)).scaleb(-6)}）"


def _value(step: Mapping[str, Any]) -> str:
    """The value; of a fraction also what it is about."""
    text: str = step["value"]
    return f"{text} ≈ {money(half_up(Fraction(text)))}" if "/" in text else text


# -- workbook


def workbook(page: Page) -> bytes:
    """The statement as XLSX: one row for each step of each line."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = page.month
    for row in page.heading():
        sheet.append(row)
    sheet.append(())
    sheet.append(_HEADS)
    for cell in sheet[sheet.max_row]:
        cell.font = Font(bold=True)
    for line in page.lines:
        sheet.append((line.title, yuan(line.amount), line.rule))
        _as_amount(sheet)
        for step in line.derivation:
            sheet.append(
                ("", "", step["rule"], f"{step['labelZh']} {step['label']}", step["formulaZh"] or step["formula"],
                 _given(step), _value(step), step["rounding"])
            )  # fmt: skip
    sheet.append(())
    for label, amount in page.sums():
        sheet.append((label, yuan(amount)))
        _as_amount(sheet)
    sheet.append(())
    for row in page.closing():
        sheet.append(row)
    for letter, width in zip("ABCDEFGH", (26, 16, 10, 40, 40, 60, 16, 30), strict=True):
        sheet.column_dimensions[letter].width = width
    book.properties.creator, book.properties.title = "crm", page.title
    return _same_bytes(book, page.closed_at)


def _as_amount(sheet: Worksheet) -> None:
    """Show the amount of the last row with two decimals; it is a number, so that it can be added up."""
    title, amount = sheet[sheet.max_row][:2]
    title.font, amount.font, amount.number_format = Font(bold=True), Font(bold=True), _AMOUNT


def _same_bytes(book: Workbook, moment: datetime) -> bytes:
    """The workbook with this moment in place of that of its making, and files in the order of their names."""
    made = io.BytesIO()
    book.save(made)
    stamp = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}".encode()
    again = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(again, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "docProps/core.xml":
                content = _stamped(content, stamp)
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, content)
    return again.getvalue()


def _stamped(properties: bytes, stamp: bytes) -> bytes:
    """The core properties with another moment of creation and change."""
    for tag in (b"created", b"modified"):
        start = properties.index(b">", properties.index(b"<dcterms:" + tag)) + 1
        end = properties.index(b"</dcterms:" + tag)
        properties = properties[:start] + stamp + properties[end:]
    return properties


# -- page

_LEFT, _TOP, _BOTTOM, _RIGHT = 48.0, 790.0, 48.0, 547.0


class _Sheets:
    """Writes lines of text from top to bottom, on as many sheets as it takes."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas, self.at = canvas, _TOP

    def write(
        self, text: str, *, size: float = 9, indent: float = 0, right: str = "", gap: float = 4
    ) -> None:
        """A text, broken where it is too wide, with another at the right edge of its first line."""
        room = _RIGHT - _LEFT - indent - (90 if right else 0)
        for place, part in enumerate(_broken(text, size, room)):
            if self.at < _BOTTOM:
                self.canvas.showPage()
                self.at = _TOP
            self.canvas.setFont(_FONT, size)
            self.canvas.drawString(_LEFT + indent, self.at, part)
            if right and place == 0:
                self.canvas.drawRightString(_RIGHT, self.at, right)
            self.at -= size + gap

    def rule(self) -> None:
        """A line across."""
        self.canvas.line(_LEFT, self.at + 6, _RIGHT, self.at + 6)
        self.at -= 8


def _broken(text: str, size: float, room: float) -> list[str]:
    parts, rest = [], ""
    for character in text:
        if pdfmetrics.stringWidth(rest + character, _FONT, size) > room:
            parts.append(rest)
            rest = ""
        rest += character
    return [*parts, rest]


def sheet(page: Page) -> bytes:
    """The statement as PDF: each line with its steps below it."""
    pdfmetrics.registerFont(UnicodeCIDFont(_FONT))
    made = io.BytesIO()
    canvas = Canvas(made, pagesize=A4, invariant=1)
    canvas.setTitle(page.title)
    canvas.setAuthor("crm")
    sheets = _Sheets(canvas)
    sheets.write(f"薪酬单 Statement of pay {page.month}", size=15, gap=10)
    for label, value in page.heading():
        sheets.write(f"{label}：{value}", size=10)
    sheets.at -= 8
    for line in page.lines:
        sheets.rule()
        sheets.write(f"{line.title}（{line.rule}）", size=11, right=_grouped(yuan(line.amount)), gap=5)
        for step in line.derivation:
            _write_step(sheets, step)
    sheets.rule()
    for label, amount in page.sums():
        sheets.write(label, size=11, right=_grouped(yuan(amount)), gap=5)
    sheets.at -= 8
    for words in dict.fromkeys(step["rounding"] for line in page.lines for step in line.derivation):
        if words:
            sheets.write(f"{_ROUNDED} {words}", size=7)
    for label, words in page.closing():
        sheets.write(f"{label} {words}", size=7)
    canvas.showPage()
    canvas.save()
    return made.getvalue()


def _write_step(sheets: _Sheets, step: Mapping[str, Any]) -> None:
    rounded = f" {_ROUNDED}" if step["rounding"] else ""
    exact = "/" in step["value"]
    value = Fraction(step["value"])
    right = f"≈ {_grouped(yuan(half_up(value)))}" if exact else _grouped(Decimal(step["value"]))
    sheets.write(f"{step['labelZh']} {step['label']}{rounded}", indent=14, right=right)
    if step["formulaZh"]:
        sheets.write(f"= {step['formulaZh']}", size=8, indent=24)
    given = [*([_given(step)] if step["inputs"] else []), *([f"= {step['value']}"] if exact else [])]
    if given:
        sheets.write("；".join(given), size=7, indent=24, gap=7)


def _grouped(amount: Decimal) -> str:
    """An amount with its thousands apart."""
    return format(amount, ",f")
