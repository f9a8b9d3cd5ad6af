"""Months of service: when packages begin and end, what probation and contract are, which benefits there are."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_telecom_elite.members.benefits import EliteBenefit, benefits
from crm_telecom_elite.members.models import EliteOrigin, ElitePackage
from crm_telecom_elite.members.terms import switch_day, terms
from crm_telecom_elite.months import later, month_of, months_after, months_between, term_end
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates

DAYS = st.dates(date(2020, 1, 1), date(2032, 12, 31))
RECRUIT, TRANSFEREE, DIRECT = EliteOrigin.RECRUIT, EliteOrigin.TRANSFEREE, EliteOrigin.DIRECT_SALES
ONE, TWO, TRANSFER = ElitePackage.PACKAGE_1, ElitePackage.PACKAGE_2, ElitePackage.TRANSFER


@pytest.mark.rule("MO-037", "OT-115")
@pytest.mark.parametrize(
    ("entered", "switch"),
    [
        (date(2025, 3, 1), date(2025, 9, 1)),
        (date(2025, 3, 2), date(2025, 10, 1)),
        (date(2025, 3, 31), date(2025, 10, 1)),
        (date(2025, 8, 31), date(2026, 3, 1)),
        (date(2024, 12, 1), date(2025, 6, 1)),
    ],
)
def test_the_month_of_the_anniversary_is_still_month_six_unless_the_entry_was_on_day_one(
    entered: date, switch: date
) -> None:
    assert switch_day(entered, 6) == switch


@pytest.mark.rule("MO-030", "MO-037", "OT-111")
def test_a_recruit_has_package_one_for_six_months_and_package_two_from_the_seventh() -> None:
    first, second = terms(RECRUIT, date(2025, 3, 1), 6)
    assert (first.package, first.start, first.end) == (ONE, date(2025, 3, 1), date(2025, 9, 1))
    assert (second.package, second.start, second.end) == (TWO, date(2025, 9, 1), None)


@pytest.mark.rule("MO-036", "OT-115")
def test_who_comes_from_the_establishment_keeps_his_pay_for_six_months() -> None:
    first, second = terms(TRANSFEREE, date(2025, 3, 15), 6)
    assert (first.package, first.start, first.end) == (TRANSFER, date(2025, 3, 15), date(2025, 10, 1))
    assert (second.package, second.start, second.end) == (TWO, date(2025, 10, 1), None)


@pytest.mark.rule("MO-030", "MO-038", "OT-115")
def test_who_comes_from_direct_sales_has_package_two_at_once() -> None:
    (only,) = terms(DIRECT, date(2025, 3, 15), 6)
    assert (only.package, only.start, only.end, only.rule) == (TWO, date(2025, 3, 15), None, "MO-038")


@pytest.mark.rule("MO-030")
@given(st.sampled_from(EliteOrigin), DAYS, st.integers(0, 24))
def test_packages_follow_one_another_without_a_gap_and_the_last_is_package_two(
    origin: EliteOrigin, entered: date, months: int
) -> None:
    found = terms(origin, entered, months)
    assert found[0].start == entered
    assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]
    assert (found[-1].package, found[-1].end) == (TWO, None)


@pytest.mark.rule("MO-037")
@given(DAYS, st.integers(1, 24))
def test_the_first_package_lasts_so_many_whole_months_and_the_begun_one(entered: date, months: int) -> None:
    switch = switch_day(entered, months)
    begun = switch - timedelta(days=1)
    assert switch.day == 1
    assert months_between(month_of(entered), month_of(switch)) == months + (entered.day > 1)
    assert begun >= months_after(entered, months) - timedelta(days=1)


@given(DAYS, st.integers(0, 36))
def test_the_same_day_months_later_lies_in_the_right_month(day: date, months: int) -> None:
    found = months_after(day, months)
    assert month_of(found) == later(month_of(day), months)
    assert found.day == day.day or (found.day < day.day and (found + timedelta(days=1)).day == 1)


@pytest.mark.rule("MO-021", "OT-109")
@pytest.mark.parametrize(
    ("entered", "probation", "contract"),
    [
        (date(2025, 3, 1), date(2025, 5, 31), date(2026, 2, 28)),
        (date(2025, 3, 15), date(2025, 6, 14), date(2026, 3, 14)),
        (date(2025, 11, 30), date(2026, 2, 28), date(2026, 11, 29)),
    ],
)
def test_probation_is_three_months_and_the_contract_one_year(
    entered: date, probation: date, contract: date
) -> None:
    assert (term_end(entered, 3), term_end(entered, 12)) == (probation, contract)


@pytest.mark.rule("MO-052", "OT-118")
@pytest.mark.parametrize(
    ("day", "found"),
    [
        (date(2025, 2, 28), []),
        (date(2025, 3, 1), ["SOCIAL_INSURANCE", "COMMUNICATION"]),
        (date(2025, 8, 31), ["SOCIAL_INSURANCE", "COMMUNICATION"]),
        (date(2025, 9, 1), ["SOCIAL_INSURANCE", "COMMUNICATION", "SHORT_TERM"]),
        (date(2026, 2, 28), ["SOCIAL_INSURANCE", "COMMUNICATION", "SHORT_TERM"]),
        (date(2026, 3, 1), ["SOCIAL_INSURANCE", "COMMUNICATION", "SHORT_TERM", "LONG_TERM"]),
    ],
)
def test_benefits_grow_with_the_months_of_service(day: date, found: list[str]) -> None:
    for origin in (RECRUIT, DIRECT):
        assert benefits(origin, date(2025, 3, 1), EliteTeamKind.HQ, Rates(), day) == found


@pytest.mark.rule("MO-052", "OT-118")
def test_who_comes_from_the_establishment_keeps_his_benefits() -> None:
    for day in (date(2025, 3, 1), date(2028, 3, 1)):
        assert benefits(TRANSFEREE, date(2025, 3, 1), EliteTeamKind.HQ, Rates(), day) == [
            EliteBenefit.ORIGINAL
        ]
