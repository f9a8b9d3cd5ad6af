"""What a planned project is expected to bring, and how far a plan was reached; pure arithmetic in fen (MO-524 to MO-526)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from crm_core import money

_EXACT: Final = Context(prec=60)
_TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a project, or of all of a plan: income (实际收入) and profit (利润额), in fen."""

    income: int
    profit: int


def expected(contract_amount: int, acquisition_rate: Decimal, profit_rate: Decimal) -> Expected:
    """Contract amount × acquisition rate, and that × profit rate (MO-524, MO-525).

    Each is rounded half-up to fen once, from the exact product: profit does not follow from the rounded income.

    Args:
        contract_amount: fen.
        acquisition_rate: likelihood of winning the project, 0 to 1 (获取率).
        profit_rate: expected margin, -1 to 1 (利润率).
    """
    exact = _EXACT.multiply(money.yuan(contract_amount), acquisition_rate)
    return Expected(money.payable(exact), money.payable(_EXACT.multiply(exact, profit_rate)))


def total(projects: Iterable[Expected]) -> Expected:
    """The sums over the projects of a plan (MO-525)."""
    known = list(projects)
    return Expected(sum(one.income for one in known), sum(one.profit for one in known))


def attainment(planned: int, actual: int | None) -> Decimal | None:
    """Actual by planned income in percent, half-up to one decimal (MO-526); None where one of them is missing or nil."""
    if actual is None or planned <= 0:
        return None
    percent = _EXACT.divide(Decimal(actual) * 100, Decimal(planned))
    return percent.quantize(_TENTH, ROUND_HALF_UP, _EXACT)
