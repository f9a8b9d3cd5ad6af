"""One row of a customers file: what is normalised, what is an error, what is skipped."""

from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.customers.models import DuplicateKeyKind
from crm_core.imports.cells import Cell
from crm_core.imports.customer_rows import (
    CustomerDraft,
    CustomerKind,
    CustomerOutcome,
    duplicate_keys,
    parse_customer,
)
from crm_core.imports.files import Row
from crm_core.imports.mapping import SPELLINGS, Subject, suggest
from crm_core.imports.outcomes import (
    WORDING,
    ExternalIds,
    Rejected,
    RowDigests,
    Severity,
    Skipped,
    SkipReason,
)

AS_OF = date(2025, 10, 31)
FIELDS = {
    "external_id": "KH1",
    "name": "王芳",
    "kind": "个人",
    "phone": "13900001234",
    "landline": None,
    "wechat": None,
    "identity_or_credit_code": None,
    "grade": "A",
    "first_visit_on": "2024-01-05",
    "last_contact_on": "2025-10-31",
    "last_contact_text": "来电",
    "address": "书台路1号",
    "contact_name": None,
    "remark": None,
}
HEADER = tuple(SPELLINGS[Subject.CUSTOMERS][field][0] for field in FIELDS)
BINDING = suggest(HEADER, Subject.CUSTOMERS).bind(HEADER)


def _row(**cells: Cell) -> Row:
    return Row(2, tuple({**FIELDS, **cells}.values()))


def _parse_cells(cells: Mapping[str, Cell], *, lenient: bool = False) -> CustomerOutcome:
    return parse_customer(_row(**cells), BINDING, AS_OF, lenient=lenient)


def _parse(*, lenient: bool = False, **cells: Cell) -> CustomerOutcome:
    return _parse_cells(cells, lenient=lenient)


def _draft(*, lenient: bool = False, **cells: Cell) -> CustomerDraft:
    outcome = _parse(lenient=lenient, **cells)
    assert isinstance(outcome, CustomerDraft), outcome
    return outcome


def _codes(outcome: CustomerOutcome) -> list[str]:
    assert not isinstance(outcome, Skipped)
    return [problem.code for problem in outcome.problems if problem.severity is Severity.ERROR]


def test_a_good_row_becomes_a_draft_without_problems() -> None:
    draft = _draft()
    assert (draft.external_id, draft.name, draft.kind, draft.grade) == (
        "KH1",
        "王芳",
        CustomerKind.PERSON,
        "A",
    )
    assert (draft.first_visit_on, draft.last_contact_on) == (date(2024, 1, 5), AS_OF)
    assert [phone.e164 for phone in draft.mobiles] == ["+8613900001234"]
    assert draft.problems == ()


def test_spaces_widths_and_spellings_are_normalised() -> None:
    draft = _draft(
        external_id="　KH００1 ",
        name=" 王芳　",
        kind="　个人",
        grade=" ａ ",
        first_visit_on=45717,
        phone=13900001234,
    )
    assert (draft.external_id, draft.name, draft.grade) == ("KH001", "王芳", "A")
    assert draft.first_visit_on == date(2025, 3, 1)
    assert draft.raw_phones == ("13900001234",)


UNREACHABLE: list[tuple[Cell, str]] = [
    (None, "NO_PHONE"),
    ("　", "NO_PHONE"),
    ("无", "PLACEHOLDER"),
    ("11111111111", "PLACEHOLDER"),
    ("139****1234", "INVALID_PHONE"),
    (1390000, "INVALID_PHONE"),
]


@pytest.mark.parametrize(("phone", "because"), UNREACHABLE)
@pytest.mark.parametrize("lenient", [False, True])
def test_a_customer_who_cannot_be_reached_is_refused_in_both_modes(
    phone: Cell, because: str, *, lenient: bool
) -> None:
    outcome = _parse(lenient=lenient, phone=phone)
    assert isinstance(outcome, Rejected)
    (problem,) = [problem for problem in outcome.problems if problem.severity is Severity.ERROR]
    assert (problem.code, problem.params["because"]) == ("CUSTOMER_UNREACHABLE", because)


@pytest.mark.parametrize(
    "way",
    [{"landline": "028-81234567"}, {"wechat": "wxid_made_up"}, {"phone": "无/028-81234567转8"}],
)
def test_a_landline_or_wechat_reaches_a_customer(way: dict[str, Cell]) -> None:
    assert _codes(_parse_cells({"phone": "无", **way})) == []


def test_a_placeholder_for_wechat_reaches_nobody() -> None:
    assert _codes(_parse(phone=None, wechat="无")) == ["CUSTOMER_UNREACHABLE"]


def test_an_invalid_mobile_beside_a_landline_is_a_warning_and_its_spelling_is_kept() -> None:
    draft = _draft(phone="139l000123O", landline="028-81234567")
    assert [(problem.code, problem.severity) for problem in draft.problems] == [
        ("PHONE_INVALID", Severity.WARNING)
    ]
    assert draft.raw_phones == ("139l000123O", "028-81234567")


ERRORS: list[tuple[str, Cell, str, str]] = [
    ("first_visit_on", "2024年9月31日", "DATE_NOT_REAL", "first_visit_on"),
    ("last_contact_on", "上周", "DATE_UNREADABLE", "last_contact_on"),
    ("last_contact_on", "2025-11-01", "LAST_CONTACT_IN_FUTURE", "last_contact_on"),
    ("identity_or_credit_code", "110105194912310021", "IDENTITY_NUMBER_INVALID", "identity_number"),
    ("identity_or_credit_code", 1.1010519491231002e17, "IDENTITY_NUMBER_INVALID", "identity_number"),
    ("grade", "钻石", "GRADE_UNKNOWN", "grade"),
    ("grade", "A+", "GRADE_UNKNOWN", "grade"),
]


@pytest.mark.parametrize(("field", "cell", "code", "blanked"), ERRORS)
def test_an_error_refuses_the_row_strictly_and_blanks_the_field_leniently(
    field: str, cell: Cell, code: str, blanked: str
) -> None:
    strict = _parse_cells({field: cell})
    assert isinstance(strict, Rejected)
    assert _codes(strict) == [code]
    lenient = _parse_cells({field: cell}, lenient=True)
    assert isinstance(lenient, CustomerDraft)
    assert _codes(lenient) == [code]
    assert getattr(lenient, blanked) is None
    assert lenient.last_contact_text == "来电"


def test_an_invalid_credit_code_of_an_organisation_is_an_error() -> None:
    outcome = _parse(name="云山有限公司", kind="单位", identity_or_credit_code="911100006000373411")
    assert _codes(outcome) == ["CREDIT_CODE_INVALID"]


def test_all_errors_of_a_row_are_named() -> None:
    cells: dict[str, Cell] = {
        "phone": None,
        "grade": "D",
        "first_visit_on": "2023-02-29",
        "last_contact_on": "20551231",
    }
    expected = ["CUSTOMER_UNREACHABLE", "GRADE_UNKNOWN", "DATE_NOT_REAL", "LAST_CONTACT_IN_FUTURE"]
    assert _codes(_parse_cells(cells)) == expected
    assert _codes(_parse_cells(cells, lenient=True)) == expected


def test_a_last_contact_on_the_day_of_export_is_no_error() -> None:
    assert _codes(_parse(last_contact_on="2025/10/31 23:59")) == []


def test_a_first_visit_after_the_export_is_only_reported() -> None:
    draft = _draft(first_visit_on="2026-01-01")
    assert [problem.code for problem in draft.problems] == ["FIRST_VISIT_IN_FUTURE"]


def test_a_customer_without_name_takes_the_contact_or_is_refused() -> None:
    assert _draft(name=None, contact_name="李雷").name == "李雷"
    assert _codes(_parse(lenient=True, name=None)) == ["NAME_MISSING"]


@pytest.mark.parametrize(
    ("name", "number", "kind"),
    [
        ("王芳", None, CustomerKind.PERSON),
        ("王芳", "11010519491231002X", CustomerKind.PERSON),
        ("云山", "91110000600037341L", CustomerKind.ORGANISATION),
        ("云山有限公司", None, CustomerKind.ORGANISATION),
    ],
)
def test_without_a_type_the_content_decides(name: str, number: str | None, kind: CustomerKind) -> None:
    draft = _draft(kind="其他", name=name, identity_or_credit_code=number)
    assert draft.kind is kind
    assert [problem.code for problem in draft.problems] == ["KIND_UNKNOWN"]


def test_text_is_kept_as_text() -> None:
    remark = '=HYPERLINK("http://example.invalid")\r\n<script>alert(1)</script> 👍㛃'
    assert _draft(remark=remark).remark == remark.replace("\r\n", "\n")


def test_blank_and_totals_rows_are_skipped_not_refused() -> None:
    blank = parse_customer(Row(9, (" ", "　", *[None] * (len(FIELDS) - 2))), BINDING, AS_OF, lenient=False)
    assert blank == Skipped(9, SkipReason.BLANK)
    totals = parse_customer(
        Row(10, ("合计", "共3条", *[None] * (len(FIELDS) - 2))), BINDING, AS_OF, lenient=False
    )
    assert totals == Skipped(10, SkipReason.TOTALS)


def test_a_row_is_an_exact_duplicate_when_every_cell_is_equal() -> None:
    seen = RowDigests()
    assert seen.first_row_like(2, _row().cells) is None
    assert seen.first_row_like(3, _row(remark="x").cells) is None
    assert seen.first_row_like(4, _row(phone=13900001234).cells) == 2
    assert seen.first_row_like(2, _row().cells) is None


def test_cells_are_not_mixed_up_when_rows_are_compared() -> None:
    seen = RowDigests()
    assert seen.first_row_like(2, ("ab", "c")) is None
    assert seen.first_row_like(3, ("a", "bc")) is None
    assert seen.first_row_like(4, (None, "")) is None
    assert seen.first_row_like(5, ("", None)) == 4


def test_a_number_of_the_old_system_with_other_content_is_named_with_its_first_row() -> None:
    ids = ExternalIds()
    assert ids.problem(2, "KH1", "客户编号") is None
    assert ids.problem(3, None, "客户编号") is None
    problem = ids.problem(4, "KH1", "客户编号")
    assert problem is not None
    assert (problem.code, problem.params) == ("EXTERNAL_ID_REPEATED", {"first_row": 2})


def test_customers_are_compared_by_each_number_and_never_by_a_persons_name() -> None:
    keys = duplicate_keys(
        _draft(
            phone="13900001234/13800005678",
            landline="028-81234567-8",
            identity_or_credit_code="11010519491231002x",
        )
    )
    assert keys == {
        (DuplicateKeyKind.PHONE, "+8613900001234"),
        (DuplicateKeyKind.PHONE, "+8613800005678"),
        (DuplicateKeyKind.PHONE, "+862881234567"),
        (DuplicateKeyKind.IDENTITY, "11010519491231002X"),
    }


def test_organisations_are_compared_by_name_and_credit_code() -> None:
    first = _draft(
        kind="单位",
        name="云山（成都）有限公司",
        identity_or_credit_code="91110000600037341l",
        phone="13900000001",
    )
    second = _draft(kind="单位", name="云山(成都) 有限责任公司", identity_or_credit_code="91110000600037341L")
    shared = duplicate_keys(first) & duplicate_keys(second)
    assert {kind for kind, _ in shared} == {DuplicateKeyKind.COMPANY, DuplicateKeyKind.CREDIT_CODE}


def test_a_blanked_number_is_no_key() -> None:
    draft = _draft(lenient=True, identity_or_credit_code="110105194912310021")
    assert {kind for kind, _ in duplicate_keys(draft)} == {DuplicateKeyKind.PHONE}


CELLS = (
    st.none()
    | st.text(max_size=20)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.dates()
    | st.datetimes()
)


@given(cells=st.tuples(*[CELLS] * len(FIELDS)), lenient=st.booleans())
def test_no_row_breaks_the_reading_and_every_problem_has_words(
    *, cells: tuple[Cell, ...], lenient: bool
) -> None:
    outcome = parse_customer(Row(2, cells), BINDING, AS_OF, lenient=lenient)
    if not isinstance(outcome, Skipped):
        assert all(problem.message("zh-CN") and problem.message() for problem in outcome.problems)


@given(st.tuples(*[CELLS] * len(FIELDS)))
def test_what_is_accepted_strictly_is_accepted_leniently_with_the_same_values(
    cells: tuple[Cell, ...],
) -> None:
    strict = parse_customer(Row(2, cells), BINDING, AS_OF, lenient=False)
    if isinstance(strict, CustomerDraft):
        assert parse_customer(Row(2, cells), BINDING, AS_OF, lenient=True) == strict


def test_every_problem_is_worded_in_both_languages() -> None:
    assert all(english and chinese and english != chinese for english, chinese in WORDING.values())
