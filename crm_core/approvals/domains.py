"""What a set of comparisons leaves of one field's values: proves that conditions contradict, or says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, TypeAlias

from crm_core.approvals.conditions import ApprovalOperator, compared

Op = ApprovalOperator
Claim: TypeAlias = "tuple[Op, Any, bool]"
"""A comparison, the value it compares with, and whether it must hold (or must not)."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Values a field may still have. `null`: null; `some`: anything else, within `values` and the claims made."""

    null: bool = True
    some: bool = True
    values: tuple[Any, ...] | None = None
    claims: tuple[Claim, ...] = ()
    given: frozenset[bool] = frozenset({True, False})


def whole(kind: Any, *, null: bool) -> Domain:
    """Everything a field of this plain type may be."""
    if kind is bool:
        return Domain(null, values=(True, False))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Domain(null, values=tuple(kind))
    return Domain(null)


def narrowed(domain: Domain, claim: Claim) -> Domain:
    """What is left when the claim is made too."""
    op, wish, positive = claim
    if op is Op.GIVEN:
        return replace(domain, given=domain.given & {wish is positive})
    if op is Op.IS_NULL:
        only_null = wish is positive
        return replace(domain, null=domain.null and only_null, some=domain.some and not only_null)
    null = domain.null and compared(op, None, wish) is positive
    values = domain.values
    if values is None and (finite := _finite(claim)) is not None:
        values = tuple(v for v in finite if all(_fulfils(v, one) for one in domain.claims))
    elif values is not None:
        values = tuple(v for v in values if _fulfils(v, claim))
    return replace(domain, null=null, values=values, claims=(*domain.claims, claim))


def is_empty(domain: Domain) -> bool:
    """Whether it is proven that no value is left."""
    if not domain.given:
        return True
    return not domain.null and (not domain.some or _no_value(domain))


def _finite(claim: Claim) -> tuple[Any, ...] | None:
    """The values a claim names, where it leaves only these."""
    op, wish, positive = claim
    if op is (Op.EQ if positive else Op.NE):
        return (wish,)
    return tuple(wish) if op is (Op.IN if positive else Op.NOT_IN) else None


def _fulfils(value: Any, claim: Claim) -> bool:
    op, wish, positive = claim
    try:
        return compared(op, value, wish) is positive
    except TypeError:
        return True


def _no_value(domain: Domain) -> bool:
    if domain.values is not None:
        return not domain.values
    return _bounds_cross(domain.claims) or _texts_clash(domain.claims)


def _bounds_cross(claims: Iterable[Claim]) -> bool:
    """Whether no number or date lies above every lower and below every upper bound."""
    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    for op, wish, positive in claims:
        side = _SIDES.get(op if positive else _OPPOSITE.get(op, op))
        if side is None:
            continue
        upper, bound = side[0], _closed(wish, inclusive=side[1], upper=side[0])
        if upper and (high is None or (bound[0], bound[1]) < (high[0], high[1])):
            high = bound
        if not upper and (low is None or (bound[0], not bound[1]) > (low[0], not low[1])):
            low = bound
    if low is None or high is None:
        return False
    return bool(low[0] > high[0] or (low[0] == high[0] and not (low[1] and high[1])))


def _closed(wish: Any, *, inclusive: bool, upper: bool) -> tuple[Any, bool]:
    """The bound with its end included, where values lie a step apart: whole numbers and days."""
    step: Any = None
    if isinstance(wish, int) and not isinstance(wish, bool):
        step = 1
    elif isinstance(wish, date) and not isinstance(wish, datetime):
        step = timedelta(days=1)
    if step is None or inclusive:
        return wish, inclusive
    try:
        return (wish - step if upper else wish + step), True
    except OverflowError:
        return wish, inclusive


def _texts_clash(claims: Iterable[Claim]) -> bool:
    """Whether two beginnings exclude each other, or something must be contained and must not."""
    known = list(claims)
    starts = [wish for op, wish, positive in known if op is Op.STARTS_WITH and positive]
    if any(not (a.startswith(b) or b.startswith(a)) for a in starts for b in starts):
        return True
    return any(
        op in (Op.CONTAINS, Op.STARTS_WITH) and positive and (op, wish, False) in known
        for op, wish, positive in known
    )


_SIDES = {Op.LT: (True, False), Op.LTE: (True, True), Op.GT: (False, False), Op.GTE: (False, True)}
_OPPOSITE = {Op.GT: Op.LTE, Op.GTE: Op.LT, Op.LT: Op.GTE, Op.LTE: Op.GT}
