"""Divides a team's commission among its members so that nothing is lost and nothing made up (二次分配, MO-044)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from crm_core.money import yuan

_HALF = Fraction(1, 2)


def half_up(amount: Fraction) -> int:
    """An exact amount of yuan in whole fen, rounded half-up (四舍五入); a negative one like the positive."""
    whole = int(abs(amount) * 100 + _HALF)
    return -whole if amount < 0 else whole


def shown(amount: Fraction) -> str:
    """An exact amount as text: a decimal number where it has an end, else a fraction; two decimals at least."""
    rest = amount.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{amount.numerator}/{amount.denominator}"
    digits = 2
    while (amount * 10**digits).denominator != 1:
        digits += 1
    return format(Decimal(int(amount * 10**digits)).scaleb(-digits), "f")


def money(fen: int) -> str:
    """Fen as yuan in text, e.g. `4800.00`."""
    return format(yuan(fen), "f")


def divide(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Shares of a total in fen, each its exact part rounded half-up; the rest goes to the largest share (MO-044).

    Of equal shares the first counts as the largest. Where a rest of minus fen is more than the largest share has –
    totals of a few fen – what is left of it goes to the next. A negative total gives the negated shares of its
    positive.

    Raises:
        ValueError: a weight is negative, or none is above zero.
    """
    if any(weight < 0 for weight in weights) or not any(weights):
        raise ValueError("weights are not negative, and one at least is above zero")
    if total < 0:
        return [-share for share in divide(-total, weights)]
    whole = sum(weights, Fraction(0))
    shares = [half_up(total * weight / whole / 100) for weight in weights]
    rest = total - sum(shares)
    for place in sorted(range(len(shares)), key=lambda at: -weights[at]):
        moved = max(rest, -shares[place])
        shares[place] += moved
        rest -= moved
        if not rest:
            break
    return shares
