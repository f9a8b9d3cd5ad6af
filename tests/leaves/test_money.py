"""Money is whole fen; rounding happens once; shares add up."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core import money

AMOUNTS = st.integers(-money.LARGEST_FEN, money.LARGEST_FEN)
WEIGHTS = st.lists(st.decimals(0, 10**9, places=4), min_size=1, max_size=12).filter(any)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("0", 0), ("1", 100), ("1.5", 150), ("0.05", 5), ("-3.20", -320), ("1.2300", 123)],
)
def test_yuan_become_fen(amount: str, expected: int) -> None:
    assert money.fen(Decimal(amount)) == expected


@pytest.mark.parametrize(
    "amount", ["0.001", "1.005", "-0.009", "1e-400", "NaN", "sNaN", "Infinity", "-Infinity"]
)
def test_what_is_no_exact_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"two decimals|not an amount"):
        money.fen(Decimal(amount))


@pytest.mark.parametrize("amount", ["1e999999", "-1e20", "92233720368547758.08"])
def test_more_than_the_database_holds_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="larger than"):
        money.fen(Decimal(amount))


def test_zero_has_no_size() -> None:
    assert money.fen(Decimal("0e5000")) == 0


def test_yuan_always_have_two_decimals() -> None:
    assert [str(money.yuan(amount)) for amount in (0, 5, 120, -1)] == ["0.00", "0.05", "1.20", "-0.01"]


def test_more_fen_than_the_database_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="larger than"):
        money.yuan(money.LARGEST_FEN + 1)


@given(AMOUNTS)
def test_fen_to_yuan_and_back_is_the_same(amount: int) -> None:
    assert money.fen(money.yuan(amount)) == amount


def test_the_context_of_the_caller_changes_nothing() -> None:
    with localcontext(Context(prec=3)):
        assert money.fen(Decimal("1234567.89")) == 123_456_789
        assert str(money.yuan(123_456_789)) == "1234567.89"
        assert money.payable(Decimal("1234567.885")) == 123_456_789


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.005", 1),
        ("0.0049999", 0),
        ("0.015", 2),
        ("2.675", 268),
        ("-0.005", -1),
        ("-2.675", -268),
        ("7", 700),
    ],
)
def test_the_payable_amount_is_rounded_half_up(amount: str, expected: int) -> None:
    assert money.payable(Decimal(amount)) == expected


@given(st.decimals(-(10**12), 10**12, places=6))
def test_the_payable_amount_is_within_half_a_fen(amount: Decimal) -> None:
    assert abs(Fraction(amount) * 100 - money.payable(amount)) <= Fraction(1, 2)
    assert money.payable(-amount) == -money.payable(amount)


def test_equal_shares_give_the_fen_left_over_to_the_first() -> None:
    assert money.share_out(100, [Decimal(1)] * 3) == [34, 33, 33]
    assert money.share_out(200, [Decimal(1)] * 3) == [67, 67, 66]


def test_the_largest_remainder_gets_the_fen_left_over() -> None:
    assert money.share_out(10, [Decimal("1.4"), Decimal("6.6"), Decimal(2)]) == [1, 7, 2]


def test_a_weight_of_zero_gets_nothing() -> None:
    assert money.share_out(101, [Decimal(0), Decimal(1), Decimal(1)]) == [0, 51, 50]


def test_a_refund_is_shared_like_the_charge() -> None:
    assert money.share_out(-100, [Decimal(1)] * 3) == [-34, -33, -33]


@pytest.mark.parametrize("weights", [[], ["0"], ["0", "0"], ["1", "-1"], ["NaN"], ["Infinity", "1"]])
def test_weights_that_divide_nothing_are_refused(weights: list[str]) -> None:
    with pytest.raises(ValueError, match="weight"):
        money.share_out(100, [Decimal(weight) for weight in weights])


@given(st.integers(-(10**15), 10**15), WEIGHTS)
def test_shares_add_up_and_are_within_one_fen_of_exact(total: int, weights: list[Decimal]) -> None:
    shares = money.share_out(total, weights)
    whole = sum(map(Fraction, weights))
    assert sum(shares) == total
    assert all(
        abs(share - total * Fraction(weight) / whole) < 1
        for share, weight in zip(shares, weights, strict=True)
    )


@given(st.integers(0, 10**9), WEIGHTS)
def test_a_larger_weight_never_gets_less(total: int, weights: list[Decimal]) -> None:
    pairs = sorted(zip(weights, money.share_out(total, weights), strict=True))
    strict = [(light, heavy) for light in pairs for heavy in pairs if light[0] < heavy[0]]
    assert all(light[1] <= heavy[1] for light, heavy in strict)
