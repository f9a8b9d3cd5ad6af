"""Reads one row of a customers file: normalised values, and every problem of the row by name."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from crm_core.customers.models import DuplicateKeyKind
from crm_core.imports.cells import Cell, Fault, is_blank, is_totals, plain, read_day, text
from crm_core.imports.files import Row
from crm_core.imports.mapping import Binding
from crm_core.imports.outcomes import Problem, Rejected, Severity, Skipped, SkipReason
from crm_core.numbers import (
    PhoneCell,
    PhoneKind,
    PhoneNumber,
    company_key,
    credit_code_problem,
    identity_number_problem,
    is_placeholder,
    normalise_credit_code,
    normalise_identity,
    parse_phones,
)


class CustomerKind(StrEnum):
    """A person (个人) or an organisation (单位)."""

    PERSON = "PERSON"
    ORGANISATION = "ORGANISATION"


@dataclass(frozen=True, slots=True)
class CustomerDraft:
    """A customer as one row tells it, normalised; blank is None. `problems` are warnings, or leniently blanked."""

    row: int
    external_id: str | None
    name: str
    kind: CustomerKind
    contact_name: str | None
    phones: tuple[PhoneNumber, ...]
    raw_phones: tuple[str, ...]
    wechat: str | None
    identity_number: str | None
    credit_code: str | None
    province: str | None
    city: str | None
    district: str | None
    address: str | None
    grade: str | None
    intended_model: str | None
    source_channel: str | None
    consultant: str | None
    first_visit_on: date | None
    last_contact_on: date | None
    last_contact_text: str | None
    remark: str | None
    problems: tuple[Problem, ...] = ()

    @property
    def mobiles(self) -> tuple[PhoneNumber, ...]:
        """The mobiles (手机), the first is the main one."""
        return tuple(phone for phone in self.phones if phone.kind is PhoneKind.MOBILE)

    @property
    def landlines(self) -> tuple[PhoneNumber, ...]:
        """The fixed lines (座机)."""
        return tuple(phone for phone in self.phones if phone.kind is PhoneKind.LANDLINE)


CustomerOutcome: TypeAlias = CustomerDraft | Rejected | Skipped


def parse_customer(row: Row, binding: Binding, as_of: date, *, lenient: bool) -> CustomerOutcome:
    """Read one row of a customers file (客户数据行).

    Strict: a row with any error is refused whole. Lenient: only a customer who cannot be reached or has no name
    is refused; any other wrong field is left blank and reported. `as_of` is the local day of export, after which
    a last contact cannot lie. Blank rows and the totals row are skipped. Exact duplicates are the caller's, see
    `RowDigests`.
    """
    if is_blank(row.cells):
        return Skipped(row.number, SkipReason.BLANK)
    reader = _RowReader(row, binding)
    if is_totals(row.cells) and not reader.filled("phone", "landline", "wechat"):
        return Skipped(row.number, SkipReason.TOTALS)
    draft = _read_draft(reader, as_of)
    errors = [problem for problem in reader.problems if problem.severity is Severity.ERROR]
    fatal = errors if not lenient else [problem for problem in errors if problem.code in _FATAL]
    return Rejected(row.number, draft.external_id, draft.problems) if fatal else draft


def duplicate_keys(draft: CustomerDraft) -> frozenset[tuple[DuplicateKeyKind, str]]:
    """Everything by which this customer may be the same as another (疑似重复).

    Each telephone number without its extension, the credit code, the identity number, and the comparable name of
    an organisation; a person's name alone is none.
    """
    keys = {(DuplicateKeyKind.PHONE, phone.e164) for phone in draft.phones}
    if draft.credit_code:
        keys.add((DuplicateKeyKind.CREDIT_CODE, draft.credit_code))
    if draft.identity_number:
        keys.add((DuplicateKeyKind.IDENTITY, draft.identity_number))
    name = company_key(draft.name) if draft.kind is CustomerKind.ORGANISATION else None
    if name:
        keys.add((DuplicateKeyKind.COMPANY, name))
    return frozenset(keys)


_FIRST_INEXACT = 10**15
_FATAL = frozenset({"CUSTOMER_UNREACHABLE", "NAME_MISSING"})
_COMPANY_WORDS = (
    "公司",
    "集团",
    "合作社",
    "事务所",
    "医院",
    "学校",
    "大学",
    "银行",
    "委员会",
    "管理局",
    "中心",
)


class _RowReader:
    """Reads fields of one row and remembers what was wrong with them."""

    def __init__(self, row: Row, binding: Binding) -> None:
        self.row = row
        self.binding = binding
        self.problems: list[Problem] = []

    def report(self, code: str, field: str, **params: str | int) -> None:
        self._add(code, field, Severity.ERROR, params)

    def warn(self, code: str, field: str, **params: str | int) -> None:
        self._add(code, field, Severity.WARNING, params)

    def cell(self, field: str) -> Cell:
        return self.binding.cell(self.row, field)

    def text(self, field: str) -> str | None:
        return self.binding.text(self.row, field)

    def code(self, field: str) -> str | None:
        return plain(self.cell(field)) or None

    def filled(self, *fields: str) -> bool:
        return any(text(cell) for field in fields for _, cell in self.binding.cells(self.row, field))

    def day(self, field: str) -> date | None:
        day = read_day(self.cell(field))
        if isinstance(day, Fault):
            self.report(f"DATE_{day}", field)
            return None
        return day

    def _add(self, code: str, field: str, severity: Severity, params: dict[str, str | int]) -> None:
        value = self.text(field) or ""
        self.problems.append(Problem(code, self.binding.column(field), value, params, severity))


def _read_draft(reader: _RowReader, as_of: date) -> CustomerDraft:
    external_id = reader.code("external_id")
    if external_id is None:
        reader.warn("EXTERNAL_ID_MISSING", "external_id")
    phone_cells = _read_phone_cells(reader)
    wechat = _read_wechat(reader)
    _check_reachable(reader, phone_cells, wechat)
    kind = _read_kind(reader)
    identity_number, credit_code = _read_identity(reader, kind)
    return CustomerDraft(
        row=reader.row.number,
        external_id=external_id,
        name=_read_name(reader),
        kind=kind,
        contact_name=reader.text("contact_name"),
        phones=_distinct(phone_cells),
        raw_phones=tuple(text(cell.raw) for cell in phone_cells if text(cell.raw)),
        wechat=wechat,
        identity_number=identity_number,
        credit_code=credit_code,
        province=reader.text("province"),
        city=reader.text("city"),
        district=reader.text("district"),
        address=reader.text("address"),
        grade=_read_grade(reader),
        intended_model=reader.text("intended_model"),
        source_channel=reader.text("source_channel"),
        consultant=reader.text("consultant"),
        first_visit_on=_read_first_visit(reader, as_of),
        last_contact_on=_read_last_contact(reader, as_of),
        last_contact_text=reader.text("last_contact_text"),
        remark=reader.text("remark"),
        problems=tuple(reader.problems),
    )


def _read_name(reader: _RowReader) -> str:
    name = reader.text("name") or reader.text("contact_name")
    if name is None:
        reader.report("NAME_MISSING", "name")
    return name or ""


def _read_phone_cells(reader: _RowReader) -> list[PhoneCell]:
    """The telephone columns; a part that is no number is a warning while something else reaches the customer."""
    cells: list[PhoneCell] = []
    for field in ("phone", "landline"):
        for column, cell in reader.binding.cells(reader.row, field):
            phones = parse_phones(text(cell))
            cells.append(phones)
            reader.problems += [
                Problem("PHONE_INVALID", column, part, {}, Severity.WARNING) for part in phones.invalid
            ]
    return cells


def _read_wechat(reader: _RowReader) -> str | None:
    wechat = reader.text("wechat")
    return None if wechat is None or is_placeholder(wechat) else wechat


def _check_reachable(reader: _RowReader, phones: list[PhoneCell], wechat: str | None) -> None:
    """Telephone, fixed line and WeChat reach a customer; an address or the name of a contact does not."""
    if wechat is not None or any(cell.numbers for cell in phones):
        return
    if any(cell.invalid for cell in phones):
        because = "INVALID_PHONE"
    elif any(cell.placeholder for cell in phones):
        because = "PLACEHOLDER"
    else:
        because = "NO_PHONE"
    reader.report("CUSTOMER_UNREACHABLE", "phone", because=because)


def _distinct(cells: list[PhoneCell]) -> tuple[PhoneNumber, ...]:
    numbers: dict[str, PhoneNumber] = {}
    for cell in cells:
        for number in cell.numbers:
            numbers.setdefault(number.e164, number)
    return tuple(numbers.values())


def _read_kind(reader: _RowReader) -> CustomerKind:
    written = reader.cell("kind")
    meaning = reader.binding.meaning("kind", written)
    if meaning is not None and meaning in CustomerKind.__members__:
        return CustomerKind(meaning)
    if text(written):
        reader.warn("KIND_UNKNOWN", "kind")
    return _kind_by_content(reader)


def _kind_by_content(reader: _RowReader) -> CustomerKind:
    """Without a type: an organisation if it has a credit code of its own or is named like one."""
    either = reader.code("identity_or_credit_code") or ""
    code = reader.code("credit_code") or (either if identity_number_problem(either) == "FORMAT" else "")
    name = reader.text("name") or reader.text("contact_name") or ""
    named_like_one = any(word in name for word in _COMPANY_WORDS)
    organisation = named_like_one or (bool(code) and credit_code_problem(code) is None)
    return CustomerKind.ORGANISATION if organisation else CustomerKind.PERSON


def _read_identity(reader: _RowReader, kind: CustomerKind) -> tuple[str | None, str | None]:
    """Identity number and credit code; a shared column holds the one that fits the customer's kind."""
    person = kind is CustomerKind.PERSON
    identity = _read_identity_number(reader, "identity_number")
    code = _read_credit_code(reader, "credit_code")
    if person:
        return identity or _read_identity_number(reader, "identity_or_credit_code"), code
    return identity, code or _read_credit_code(reader, "identity_or_credit_code")


def _read_identity_number(reader: _RowReader, field: str) -> str | None:
    written = reader.code(field)
    if written is None or is_placeholder(written):
        return None
    problem = _precision_problem(reader.cell(field)) or identity_number_problem(written)
    if problem is not None:
        reader.report("IDENTITY_NUMBER_INVALID", field, reason=problem)
        return None
    return normalise_identity(written)


def _read_credit_code(reader: _RowReader, field: str) -> str | None:
    written = reader.code(field)
    if written is None or is_placeholder(written):
        return None
    problem = _precision_problem(reader.cell(field)) or credit_code_problem(written)
    if problem is not None:
        reader.report("CREDIT_CODE_INVALID", field, reason=problem)
        return None
    return normalise_credit_code(written)


def _precision_problem(cell: Cell) -> str | None:
    """A spreadsheet keeps fifteen digits of a number cell; the rest of an eighteen-digit number is lost."""
    lost = isinstance(cell, int | float) and abs(cell) >= _FIRST_INEXACT
    return "PRECISION" if lost else None


def _read_grade(reader: _RowReader) -> str | None:
    written = reader.cell("grade")
    grade = reader.binding.meaning("grade", written)
    if grade is None and text(written):
        reader.report("GRADE_UNKNOWN", "grade")
    return grade


def _read_first_visit(reader: _RowReader, as_of: date) -> date | None:
    day = reader.day("first_visit_on")
    if day is not None and day > as_of:
        reader.warn("FIRST_VISIT_IN_FUTURE", "first_visit_on", as_of=as_of.isoformat())
    return day


def _read_last_contact(reader: _RowReader, as_of: date) -> date | None:
    day = reader.day("last_contact_on")
    if day is not None and day > as_of:
        reader.report("LAST_CONTACT_IN_FUTURE", "last_contact_on", as_of=as_of.isoformat())
        return None
    return day
