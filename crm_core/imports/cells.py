"""Reads one cell of an imported file: text, day and time in the spellings that spreadsheets and old systems use."""

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import TypeAlias

Cell: TypeAlias = str | int | float | bool | date | datetime | None
"""A value as a file stores it; CSV has text and None only."""

_EDGES = "".join(
    chr(c)
    for c in (
        *range(9, 14),
        32,
        0x85,
        0xA0,
        *range(0x2000, 0x200C),
        0x2028,
        0x2029,
        0x202F,
        0x205F,
        0x3000,
        0xFEFF,
    )
)
_EXCEL_EPOCH = datetime.combine(date(1899, 12, 30), time())
_NOON = 12
_SERIALS = range(10_000, 100_000)
_DAY = re.compile(
    r"(\d{4})\s*(?:([-/.])\s*(\d{1,2})\s*\2\s*(\d{1,2})|年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?)"
)
_COMPACT_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)")
_COMPACT_TIME = re.compile(r"(\d{8})(\d\d)(\d\d)(\d\d)?")
_TIME = re.compile(
    r"(上午|下午|am|pm)?\s*(\d{1,2})\s*[:时点]\s*(\d{1,2})?\s*(?:[:分]\s*(?:(\d{1,2})(?:\.\d+)?\s*秒?)?)?\s*(am|pm)?"
)
_BETWEEN_DAY_AND_TIME = " t,上下"
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?")


class Fault(StrEnum):
    """Why a cell names no day or time: it reads like one that does not exist, or it does not read like one."""

    NOT_REAL = "NOT_REAL"
    UNREADABLE = "UNREADABLE"


def text(cell: Cell) -> str:
    """The text of a cell without the spaces around it (full-width ones too); line breaks as line feeds; blank is "".

    Nothing in the text is interpreted: formulas, HTML and script stay as written.
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip(_EDGES)
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return str(cell)


def plain(cell: Cell) -> str:
    """The text of a cell with full-width letters, digits and signs made half-width; for codes, never for names."""
    return unicodedata.normalize("NFKC", text(cell)).strip(_EDGES)


def is_blank(cells: tuple[Cell, ...]) -> bool:
    """Whether a row holds nothing but ASCII and full-width spaces (空行)."""
    return all(text(cell) == "" for cell in cells)


def is_totals(cells: tuple[Cell, ...]) -> bool:
    """Whether a row is a report's totals row (合计): its first filled cell says so."""
    first = next((plain(cell) for cell in cells if text(cell)), "")
    return re.sub(r"[\s::]", "", first) in {"合计", "总计", "共计"}


def read_day(cell: Cell) -> date | Fault | None:
    """The day a cell names, whatever its spelling or type; a time after it is left aside; None if blank."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    moment = read_moment(cell)
    return moment.date() if isinstance(moment, datetime) else moment


def read_moment(cell: Cell) -> datetime | Fault | None:
    """The local day and time a cell names, without zone; a day alone is its midnight; None if blank.

    Excel serial numbers (1900 system) count from 10000 (1927) to 99999 (2173) and are rounded to the second.
    """
    if isinstance(cell, datetime):
        return (cell.replace(tzinfo=None) + timedelta(microseconds=500_000)).replace(microsecond=0)
    if isinstance(cell, date):
        return datetime.combine(cell, time())
    if isinstance(cell, bool):
        return Fault.UNREADABLE
    written = plain(cell).casefold()
    return _read_written(written) if written else None


def to_utc(local: datetime, zone: tzinfo) -> datetime | Fault:
    """A local time as UTC; a fault if the clocks of the zone never showed it (the hour skipped in spring)."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == local else Fault.NOT_REAL


def _read_written(written: str) -> datetime | Fault:
    if _SERIAL.fullmatch(written):
        return _read_serial(float(written))
    if compact := _COMPACT_TIME.fullmatch(written):
        return _join(_read_compact_day(compact[1]), _clock(compact[2], compact[3], compact[4]))
    if _COMPACT_DAY.fullmatch(written):
        return _join(_read_compact_day(written), time())
    return _read_separated(written)


def _read_separated(written: str) -> datetime | Fault:
    found = _DAY.match(written) or _COMPACT_DAY.match(written)
    if found is None:
        return Fault.UNREADABLE
    rest = written[found.end() :]
    if rest and rest[0] not in _BETWEEN_DAY_AND_TIME and found[0][-1] not in "日号":
        return Fault.UNREADABLE
    year, month, day = (part for part in found.groups() if part is not None and part.isdecimal())
    return _join(_real_day(year, month, day), _read_clock(rest.lstrip(" t,")))


def _read_serial(serial: float) -> datetime | Fault:
    if int(serial) not in _SERIALS:
        return Fault.UNREADABLE
    return _EXCEL_EPOCH + timedelta(seconds=round(serial * 86_400))


def _read_compact_day(written: str) -> date | Fault:
    return _real_day(written[:4], written[4:6], written[6:8])


def _real_day(year: str, month: str, day: str) -> date | Fault:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return Fault.NOT_REAL


def _read_clock(written: str) -> time | Fault:
    if not written:
        return time()
    found = _TIME.fullmatch(written)
    if found is None:
        return Fault.UNREADABLE
    half = found[1] or found[5]
    hour = int(found[2])
    if half in {"下午", "pm"} and hour < _NOON:
        hour += _NOON
    elif half == "am" and hour == _NOON:
        hour = 0
    return _clock(str(hour), found[3], found[4])


def _clock(hour: str, minute: str | None, second: str | None) -> time | Fault:
    try:
        return time(int(hour), int(minute or 0), int(second or 0))
    except ValueError:
        return Fault.NOT_REAL


def _join(day: date | Fault, clock: time | Fault) -> datetime | Fault:
    if isinstance(day, Fault):
        return day
    if isinstance(clock, Fault):
        return clock
    return datetime.combine(day, clock)
