"""Telephone, identity and credit numbers, and the comparable name of a company."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.numbers import (
    PhoneKind,
    company_key,
    credit_code_problem,
    identity_number_problem,
    is_placeholder,
    normalise_credit_code,
    normalise_identity,
    parse_phones,
)

MOBILE = "+8613900001234"
SPELLINGS = [
    "13900001234",
    "139 0000 1234",
    "139-0000-1234",
    "1390 000 1234",
    "+86 13900001234",
    "+86-139-0000-1234",
    "+8613900001234",
    "0086 13900001234",
    "8613900001234",
    "１３９００００１２３４",
    "　139　0000　1234　",
    "13900001234（微信同号）",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_mobile_is_the_same_number(spelling: str) -> None:
    cell = parse_phones(spelling)
    assert [(number.e164, number.kind) for number in cell.numbers] == [(MOBILE, PhoneKind.MOBILE)]
    assert cell.invalid == ()


LANDLINES = [
    ("028-81234567", None),
    ("(028)81234567", None),
    ("（028）8123 4567", None),
    ("02881234567", None),
    ("+86-28-81234567", None),
    ("028-81234567转8023", "8023"),
    ("028-81234567 转 8023", "8023"),
    ("028-81234567-8023", "8023"),
    ("(028)81234567-802", "802"),
    ("028-81234567 ext. 8023", "8023"),
    ("028-81234567 分机8023", "8023"),
]


@pytest.mark.parametrize(("spelling", "extension"), LANDLINES)
def test_a_landline_is_compared_without_its_extension(spelling: str, extension: str | None) -> None:
    (number,) = parse_phones(spelling).numbers
    assert (number.e164, number.kind) == ("+862881234567", PhoneKind.LANDLINE)
    assert number.extension == extension


@pytest.mark.parametrize("spelling", ["0831-8123456", "0831-812-3456", "0831 8123456", "08318123456"])
def test_a_four_digit_area_may_have_seven_digits(spelling: str) -> None:
    assert [number.e164 for number in parse_phones(spelling).numbers] == ["+868318123456"]


def test_a_short_local_number_in_a_large_city_is_invalid() -> None:
    assert parse_phones("028-8123456").invalid == ("028-8123456",)


@pytest.mark.parametrize("between", ["/", " / ", "、", ";", "；", ",", "，", "\n", " ", "或"])
def test_a_cell_may_hold_several_numbers(between: str) -> None:
    cell = parse_phones(f"13900001234{between}13800005678")
    assert [number.e164 for number in cell.numbers] == [MOBILE, "+8613800005678"]


def test_the_spelling_of_each_number_is_kept() -> None:
    cell = parse_phones("１３９００００１２３４ / 028-81234567转8")
    assert [number.raw for number in cell.numbers] == ["１３９００００１２３４", "028-81234567转8"]


def test_the_same_number_twice_in_a_cell_counts_once() -> None:
    assert len(parse_phones("13900001234/+86 139 0000 1234").numbers) == 1


@pytest.mark.parametrize(
    "written",
    [
        "1390000123",
        "139000012345",
        "12900001234",
        "139****1234",
        "139l000123O",
        "81234567",
        "13900001234转22",
        "028-81234567-1-2",
        "+1 555",
        "=1+1",
    ],
)
def test_what_is_no_number_is_reported_and_never_repaired(written: str) -> None:
    cell = parse_phones(written)
    assert (cell.numbers, cell.invalid, cell.placeholder) == ((), (written,), False)


def test_an_invalid_part_does_not_spoil_the_valid_one() -> None:
    cell = parse_phones("13900001234/1390")
    assert [number.e164 for number in cell.numbers] == [MOBILE]
    assert cell.invalid == ("1390",)


@pytest.mark.parametrize(
    "written",
    ["无", " 暂无　", "不详", "没有", "未留电话", "-", "/", "0", "000", "11111111111", "N/A", "无/无"],
)
def test_a_placeholder_is_neither_number_nor_error(written: str) -> None:
    cell = parse_phones(written)
    assert (cell.numbers, cell.invalid, cell.placeholder) == ((), (), True)


def test_a_blank_cell_holds_nothing() -> None:
    cell = parse_phones(" 　")
    assert (cell.numbers, cell.invalid, cell.placeholder) == ((), (), False)


def test_a_foreign_number_is_read_by_its_country_prefix() -> None:
    assert [number.e164 for number in parse_phones("+852 9123 4567").numbers] == ["+85291234567"]
    assert [number.e164 for number in parse_phones("00852 9123 4567").numbers] == ["+85291234567"]


def test_a_number_without_prefix_is_of_the_region_asked() -> None:
    assert [number.e164 for number in parse_phones("9123 4567", region="HK").numbers] == ["+85291234567"]


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.integers(0, 11), st.sampled_from([" ", "-", "　"])
)
def test_a_separator_anywhere_leaves_a_mobile_the_same(digits: str, place: int, separator: str) -> None:
    cell = parse_phones(digits[:place] + separator + digits[place:])
    if not is_placeholder(digits) and 0 < place < len(digits):
        assert [number.e164 for number in cell.numbers] == [f"+86{digits}"]


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_a_telephone_cell(written: str) -> None:
    cell = parse_phones(written)
    assert cell.raw == written
    assert all(number.e164.startswith("+") and number.e164[1:].isdecimal() for number in cell.numbers)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("11010519491231002X", None),
        ("11010519491231002x", None),
        ("１１０１０５１９４９１２３１００２Ｘ", None),
        ("110105 19491231 002X", None),
        ("110105194912310021", "CHECK_DIGIT"),
        ("11010519491331002X", "CHECK_DIGIT"),
        ("1101051949123100", "LENGTH"),
        ("1101051949123100AX", "FORMAT"),
        ("٣1010519491231002X", "FORMAT"),
        ("", "LENGTH"),
    ],
)
def test_an_identity_number_is_checked_by_its_last_digit(number: str, problem: str | None) -> None:
    assert identity_number_problem(number) == problem


def test_an_identity_number_of_a_day_that_never_was_is_wrong() -> None:
    assert identity_number_problem("110105194902300020") == "BIRTH_DATE"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("91110000600037341L", None),
        (" 9111 0000 6000 3734 1l ", None),
        ("911100006000373411", "CHECK_DIGIT"),
        ("9111000060003734", "LENGTH"),
        ("9111000060003734IO", "FORMAT"),
        ("A1110000600037341L", "FORMAT"),
        ("统一社会信用代码统一社会信用代码一二", "FORMAT"),
    ],
)
def test_a_credit_code_is_checked_by_its_last_character(code: str, problem: str | None) -> None:
    assert credit_code_problem(code) == problem


@given(st.text(max_size=20))
def test_no_text_breaks_the_checks(written: str) -> None:
    identity_number_problem(written)
    credit_code_problem(written)


def test_numbers_are_normalised_to_capitals_without_spaces() -> None:
    assert normalise_identity(" 11010519491231002x") == "11010519491231002X"
    assert normalise_credit_code("91110000 60003734１l") == "91110000600037341L"


@pytest.mark.parametrize(
    "name",
    [
        "云山(成都)商贸有限公司",
        "云山（成都）商贸有限责任公司",
        " 云山 （成都） 商贸 有限公司",
        "云山(成都)商贸",
    ],
)
def test_bracket_width_spaces_and_the_legal_form_do_not_tell_companies_apart(name: str) -> None:
    assert company_key(name) == "云山(成都)商贸"


def test_a_company_limited_by_shares_is_another_company() -> None:
    assert company_key("云山股份有限公司") != company_key("云山有限公司")


def test_a_name_that_is_only_a_legal_form_compares_with_nothing() -> None:
    assert company_key("有限公司") is None
