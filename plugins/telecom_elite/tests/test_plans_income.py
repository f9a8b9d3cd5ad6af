"""What planned projects are expected to bring, and how far a plan was reached; no database."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_telecom_elite.plans.income import Expected, attainment, expected, total

AMOUNTS = st.integers(0, 10**14)
RATES = st.decimals(0, 1, places=6)
MARGINS = st.decimals(-1, 1, places=6)


def _half_up(exact: Fraction) -> int:
    """An oracle written another way: half a fen goes away from nil."""
    whole = int(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


@pytest.mark.rule("MO-524", "MO-525")
def test_income_is_the_contract_times_its_likelihood_and_profit_that_times_the_margin() -> None:
    first = expected(100_000_000, Decimal("0.60"), Decimal("0.15"))
    second = expected(50_000_000, Decimal("0.20"), Decimal("0.10"))
    assert first == Expected(income=60_000_000, profit=9_000_000)
    assert second == Expected(income=10_000_000, profit=1_000_000)
    assert total([first, second]) == Expected(income=70_000_000, profit=10_000_000)


@pytest.mark.rule("MO-526")
def test_a_plan_of_700000_that_brought_630000_is_reached_by_90_percent() -> None:
    assert attainment(70_000_000, 63_000_000) == Decimal("90.0")


@pytest.mark.rule("MO-526")
@pytest.mark.parametrize(("planned", "actual"), [(70_000_000, None), (0, 1), (0, None)])
def test_where_nothing_is_planned_or_recorded_nothing_is_compared(planned: int, actual: int | None) -> None:
    assert attainment(planned, actual) is None


@pytest.mark.rule("MO-524", "MO-525")
def test_half_a_fen_is_rounded_up_and_profit_does_not_follow_the_rounded_income() -> None:
    assert expected(1, Decimal("0.5"), Decimal("0.5")) == Expected(income=1, profit=0)
    assert expected(5, Decimal("0.1"), Decimal("0.99")) == Expected(income=1, profit=0)


@pytest.mark.rule("MO-524", "MO-525")
@given(amount=AMOUNTS, rate=RATES, margin=MARGINS)
def test_amounts_are_exact_to_the_fen(amount: int, rate: Decimal, margin: Decimal) -> None:
    exact = amount * Fraction(rate)
    assert expected(amount, rate, margin) == Expected(_half_up(exact), _half_up(exact * Fraction(margin)))


@pytest.mark.rule("MO-525")
@given(st.lists(st.tuples(AMOUNTS, RATES, MARGINS), max_size=8), st.randoms())
def test_totals_are_the_sums_in_whatever_order(
    projects: list[tuple[int, Decimal, Decimal]], dice: object
) -> None:
    brings = [expected(*one) for one in projects]
    shuffled = list(brings)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert total(brings) == total(shuffled)
    assert total(brings).income == sum(one.income for one in brings)


@pytest.mark.rule("MO-526")
@given(planned=st.integers(1, 10**14), actual=st.integers(-(10**14), 10**14))
def test_attainment_is_the_nearest_tenth_of_a_percent(planned: int, actual: int) -> None:
    found = attainment(planned, actual)
    assert found is not None
    assert Fraction(found) == Fraction(_half_up(Fraction(actual * 1000, planned)), 10)
