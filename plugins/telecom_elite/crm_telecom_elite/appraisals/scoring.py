"""Pure arithmetic of appraisals: scores of both schemes, the band they fall in, and how each follows from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from crm_telecom_elite.appraisals.models import ElitePeriod, EliteResult

MOST_DECIMALS: Final = 10
"""Decimals of a score; as many as a figure of the rules may have, so that a score never seems to reach a band it misses."""
KPI_RULES: Final[Mapping[ElitePeriod, str]] = {
    ElitePeriod.CULTIVATION: "MO-063",
    ElitePeriod.HARVEST: "MO-064",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a derivation (计算过程): what was computed, by which formula and rule, and what came of it."""

    label: str
    label_zh: str
    formula: str
    value: str
    rule: str


@dataclass(frozen=True, slots=True)
class Weights:
    """What the three components of a KPI count (权重), each a part of 1."""

    m: Decimal
    s: Decimal
    d: Decimal


@dataclass(frozen=True, slots=True)
class Sales:
    """The monthly scheme (区域考核指标): users a month, points of the sales target and of the attitude, and the cap."""

    target: Decimal
    sales_points: Decimal
    attitude_points: Decimal
    capped: bool = False
    rule: str = "MO-072"


@dataclass(frozen=True, slots=True)
class Bands:
    """From which score on a result is A, and from which B; B is [b, a), C all below (MO-073)."""

    a: Decimal
    b: Decimal


@dataclass(frozen=True, slots=True)
class Score:
    """A score of 0 and more, its result, and how both came about."""

    value: Decimal
    result: EliteResult
    steps: Sequence[Step]

    @property
    def derivation(self) -> list[dict[str, Any]]:
        """The steps as they are stored."""
        return [asdict(step) for step in self.steps]


def kpi(period: ElitePeriod, weights: Weights, bands: Bands, m: Decimal, s: Decimal, d: Decimal) -> Score:
    """The quarterly KPI of M (营), S (销) and D, each 0 to 100 (MO-063, MO-064)."""
    parts = ((weights.m, m), (weights.s, s), (weights.d, d))
    exact = sum((Fraction(weight) * Fraction(given) for weight, given in parts), Fraction(0))
    formula = " + ".join(f"{shown(weight * 100)}% × {shown(given)}" for weight, given in parts)
    step = Step("KPI = M, S, D by weight", "KPI＝M、S、D 加权", formula, shown(exact), KPI_RULES[period])
    return _banded(exact, bands, [step])


def sales(scheme: Sales, bands: Bands, users: int, attitude: Decimal) -> Score:
    """The monthly score: users of the target by its points, and the attitude (0 to 100) by its own (MO-071 to MO-075)."""
    plain = Fraction(users) / Fraction(scheme.target) * Fraction(scheme.sales_points)
    sold = min(plain, Fraction(scheme.sales_points)) if scheme.capped else plain
    attitude_score = Fraction(attitude) * Fraction(scheme.attitude_points) / 100
    weight = "MO-071" if scheme.rule == "MO-072" else scheme.rule
    points = shown(scheme.sales_points)
    cap = f", {points} at most" if scheme.capped else ""
    steps = [
        Step("Sales", "销售目标得分", f"{users} / {shown(scheme.target)} × {points}{cap}", shown(sold), scheme.rule),
        Step("Attitude", "工作态度得分", f"{shown(attitude)} / 100 × {shown(scheme.attitude_points)}", shown(attitude_score), weight),
        Step("Score", "考核成绩", f"{shown(sold)} + {shown(attitude_score)}", shown(sold + attitude_score), scheme.rule),
    ]  # fmt: skip
    return _banded(sold + attitude_score, bands, steps)


def band(score: Fraction | Decimal, bands: Bands) -> EliteResult:
    """The result of a score (MO-073): A from `a` on, B from `b` up to but not including `a`, C below."""
    if score >= Fraction(bands.a):
        return EliteResult.A
    return EliteResult.B if score >= Fraction(bands.b) else EliteResult.C


def given(result: EliteResult, by: Score | None = None) -> Sequence[Step]:
    """The derivation of a result that was set within the team's distribution (MO-061), over that of a score if any."""
    before = list(by.steps) if by is not None else []
    formula = f"{result.value}" if by is None else f"{by.result.value} → {result.value}"
    step = Step("Result within the team", "团队内考核结果分配", formula, result.value, "MO-061")
    return [*before, step]


def average(side: str, side_zh: str, scores: Sequence[Decimal]) -> tuple[Decimal, Step]:
    """A component out of a member's task scores (MO-062): their mean, cut to ten decimals."""
    mean = cut(Fraction(sum(scores, Decimal(0))) / len(scores))
    formula = f"({' + '.join(map(shown, scores))}) / {len(scores)}"
    return mean, Step(f"{side} out of tasks", f"任务得分（{side_zh}）", formula, shown(mean), "MO-062")


def _banded(exact: Fraction, bands: Bands, steps: Sequence[Step]) -> Score:
    result = band(exact, bands)
    formula = f"A ≥ {shown(bands.a)}, B ≥ {shown(bands.b)}"
    return Score(cut(exact), result, [*steps, Step("Result", "考核结果", formula, result.value, "MO-073")])


def cut(exact: Fraction) -> Decimal:
    """The number with at most ten decimals, the rest cut off (never rounded up into a band)."""
    scaled = exact * 10**MOST_DECIMALS
    whole = abs(scaled.numerator) // scaled.denominator * (1 if exact >= 0 else -1)
    return Decimal(format(Decimal(whole).scaleb(-MOST_DECIMALS).normalize(), "f"))


def shown(number: Fraction | Decimal) -> str:
    """A number for people, at most ten decimals, none for show."""
    return format(cut(Fraction(number)), "f")
