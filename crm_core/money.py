"""Money: whole fen (分) in the database, `Decimal` yuan (元) in the API, rounded once at the payable amount."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

LARGEST_FEN = 2**63 - 1
"""The largest amount a database column holds, in fen."""

_FEN_IN_YUAN = Decimal("0.01")
_DIGITS = 40  # more than the digits of LARGEST_FEN, so that nothing below is rounded by the caller's context
_LARGEST_EXPONENT = 16  # of LARGEST_FEN in yuan; looked at first because Decimal("1e999999") is cheap to send


def fen(amount: Decimal) -> int:
    """An exact amount in yuan as whole fen.

    Raises:
        ValueError: more than two decimals, not a number, infinite, or beyond what the database holds.
    """
    rounded = payable(amount)
    if yuan(rounded) != amount:
        raise ValueError(f"{amount} yuan has more than two decimals")
    return rounded


def yuan(fen: int) -> Decimal:
    """Whole fen as yuan, always with two decimals: `yuan(5)` is `Decimal("0.05")`.

    Raises:
        ValueError: beyond what the database holds.
    """
    _require_range(fen)
    return Decimal(fen).scaleb(-2, Context(prec=_DIGITS))


def payable(amount: Decimal) -> int:
    """The payable amount: yuan with any number of decimals, rounded half-up (四舍五入) to whole fen.

    A negative amount is rounded like the positive one, so a refund equals the charge it takes back. Call it once, at
    the end of a calculation.

    Raises:
        ValueError: not a number, infinite, or beyond what the database holds.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is not an amount of money")
    if amount and amount.adjusted() > _LARGEST_EXPONENT:
        raise ValueError("the amount is larger than the database holds")
    rounded = amount.quantize(_FEN_IN_YUAN, ROUND_HALF_UP, Context(prec=_DIGITS))
    return _require_range(int(rounded.scaleb(2, Context(prec=_DIGITS))))


def share_out(total: int, weights: Sequence[Decimal]) -> list[int]:
    """Divide fen by weights so that the shares add up to exactly the total (largest remainder, 最大余额法).

    Each share is its exact part rounded down or up; the fen left over go to the largest remainders, among equal ones
    to the earlier position. A weight of zero gets nothing; a negative total gives the negated shares of its positive.

    Args:
        total: fen to divide.
        weights: one per share, in any unit.

    Raises:
        ValueError: a weight is negative or not a number, or none is above zero.
    """
    _require_weights(weights)
    if total < 0:
        return [-share for share in share_out(-total, weights)]
    parts = [Fraction(weight) for weight in weights]
    unit = Fraction(total) / sum(parts)
    exact = [part * unit for part in parts]
    shares = [part.numerator // part.denominator for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda place: shares[place] - exact[place])
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


def _require_weights(weights: Sequence[Decimal]) -> None:
    for weight in weights:
        if not weight.is_finite() or weight < 0:
            raise ValueError(f"{weight} is not a weight: expected a number that is not negative")
    if not any(weights):
        raise ValueError("at least one weight must be above zero")


def _require_range(fen: int) -> int:
    if abs(fen) > LARGEST_FEN:
        raise ValueError("the amount is larger than the database holds")
    return fen
