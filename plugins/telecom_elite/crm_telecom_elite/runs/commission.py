"""A team's commission of a month and what its members get of it (提成, MO-040 to MO-044)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Final

from crm_telecom_elite.members.models import ElitePackage
from crm_telecom_elite.receipts.earning import Standing
from crm_telecom_elite.runs.dividing import divide, half_up, money, shown
from crm_telecom_elite.runs.inputs import (
    DeveloperTerm,
    DistributionInputs,
    EarnedSum,
    MemberInputs,
    Pool,
    Problem,
    Step,
    TeamInputs,
    Weight,
)
from crm_telecom_elite.runs.models import EliteLineKind
from crm_telecom_elite.runs.salaries import HALF_UP, Amount, package_on, problem


class LeftOut(StrEnum):
    """Why fees earn nothing."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"
    NOT_LISTED = "NOT_LISTED"
    NO_COMMISSION = "NO_COMMISSION"
    NOT_YET = "NOT_YET"


_WHY: Final = {
    LeftOut.BEFORE: ("bills before the user was activated", "账期早于用户入网", "MO-042"),
    LeftOut.AFTER: ("bills after the user's last month that earns", "账期超出提成周期", "MO-042"),
    LeftOut.NOT_LISTED: (
        "users developed earlier, not on the approved list",
        "原发展用户未列入批准名单",
        "MO-038",
    ),
    LeftOut.NO_COMMISSION: ("developers whose package has no commission", "发展人所在套餐无提成", "MO-031"),
    LeftOut.NOT_YET: ("developers who were no members yet", "发展人当时尚未加入精英团队", "MO-038"),
}
_EARNING: Final = (DeveloperTerm.PACKAGE_2, DeveloperTerm.FORMER, DeveloperTerm.NOBODY)


def left_out(one: EarnedSum) -> LeftOut | None:
    """Why these fees earn nothing; None: they earn (MO-031, MO-036, MO-038, MO-042)."""
    if one.standing is not Standing.COUNTS:
        return LeftOut(one.standing.value)
    if one.developer is DeveloperTerm.NOT_YET:
        return LeftOut.NOT_YET
    return None if one.developer in _EARNING else LeftOut.NO_COMMISSION


@dataclass(frozen=True, slots=True)
class MonthsPool:
    """What the fees of one month come to: exact yuan, and fen after the one rounding (MO-043)."""

    month: str
    exact: Fraction
    pool: int
    steps: tuple[Step, ...]
    earned: bool = True
    """False: an earlier run left it over."""


def months_pool(month: str, sums: Sequence[EarnedSum]) -> MonthsPool:
    """The pool of the fees of one month: Σ received × rate × coefficient, rounded once (MO-043)."""
    steps: list[Step] = []
    exact = Fraction(0)
    for (start, rate, coefficient), rows in _grouped(sums):
        earning = [one for one in rows if left_out(one) is None]
        amount = sum(one.amount for one in earning)
        value = Fraction(amount, 100) * Fraction(rate) * Fraction(coefficient)
        exact += value
        if earning:
            steps.append(_earning_step(month, start, rate, coefficient, amount, earning, value))
        steps += _left_out_steps(month, start, rows)
    pool = half_up(exact)
    steps.append(
        Step(
            label=f"Pool of {month}",
            label_zh=f"{month} 提成总额",
            formula="sum of the above",
            formula_zh="以上合计",
            inputs={"exact": shown(exact)},
            value=money(pool),
            rule="MO-043",
            rounding=HALF_UP,
        )
    )
    return MonthsPool(month, exact, pool, tuple(steps))


_Segment = tuple[date, Decimal, Decimal]


def _grouped(sums: Sequence[EarnedSum]) -> list[tuple[_Segment, list[EarnedSum]]]:
    found: dict[_Segment, list[EarnedSum]] = {}
    for one in sums:
        found.setdefault((one.start, one.rate, one.coefficient), []).append(one)
    return sorted(found.items(), key=lambda item: item[0])


def _earning_step(
    month: str,
    start: date,
    rate: Decimal,
    coefficient: Decimal,
    amount: int,
    rows: Sequence[EarnedSum],
    value: Fraction,
) -> Step:
    return Step(
        label=f"Fees received of {month}",
        label_zh=f"{month} 实收话费",
        formula="received × commission_rate × commission_coefficient",
        formula_zh="实收话费 × 提成比例 × 提成系数",
        inputs={
            "received": money(amount),
            "commission_rate": format(rate, "f"),
            "commission_coefficient": format(coefficient, "f"),
            "from": start.isoformat(),
            "users": str(sum(one.users for one in rows)),
        },
        value=shown(value),
        rule="MO-043",
    )


def _left_out_steps(month: str, start: date, rows: Sequence[EarnedSum]) -> Iterator[Step]:
    for why in LeftOut:
        some = [one for one in rows if left_out(one) is why]
        if not some:
            continue
        en, zh, rule = _WHY[why]
        yield Step(
            label=f"Left out of {month}: {en}",
            label_zh=f"{month} 不计提：{zh}",
            inputs={
                "received": money(sum(one.amount for one in some)),
                "from": start.isoformat(),
                "users": str(sum(one.users for one in some)),
                "reason": why.value,
            },
            value="0.00",
            rule=rule,
        )


def pools_of(inputs: TeamInputs) -> list[MonthsPool]:
    """The pools of all months about which something was received, that of the run's own month first."""
    about = sorted({one.month for one in inputs.earned}, key=lambda month: (month != inputs.month, month))
    return [
        months_pool(month, [one for one in inputs.earned if one.month == month])
        for month in dict.fromkeys((inputs.month, *about))
    ]


def brought_in(inputs: TeamInputs) -> list[MonthsPool]:
    """What the last run left over because nobody of the team was on commission (MO-044)."""
    if not inputs.brought_in:
        return []
    assert inputs.brought_from is not None, "what was left over is of some month"
    step = Step(
        label=f"Left over by {inputs.brought_from}: nobody was on commission",
        label_zh=f"{inputs.brought_from} 未分配提成结转（当时无人享受提成）",
        value=money(inputs.brought_in),
        rule="MO-044",
    )
    exact = Fraction(inputs.brought_in, 100)
    return [MonthsPool(inputs.brought_from, exact, inputs.brought_in, (step,), earned=False)]


def pool_of(inputs: TeamInputs, parts: Sequence[MonthsPool]) -> Pool:
    """The team's pool of the run, corrections of earlier months within it."""
    left = sum(part.pool for part in parts if waits(inputs, part))
    steps = [step.as_json() for part in parts for step in part.steps]
    if left:
        steps.append(_left_over_step(inputs, left).as_json())
    return Pool(
        received=sum(one.amount for one in inputs.earned),
        base=sum(one.amount for one in inputs.earned if left_out(one) is None),
        pool=sum(part.pool for part in parts if part.earned),
        users=sum(one.users for one in inputs.earned if left_out(one) is None),
        derivation=tuple(steps),
        brought_in=inputs.brought_in,
        left_over=left,
    )


def _left_over_step(inputs: TeamInputs, left: int) -> Step:
    return Step(
        label=f"Left over to the next run: nobody was on commission in {inputs.month}",
        label_zh=f"结转下次核算：{inputs.month} 无人享受提成",
        value=money(left),
        rule="MO-044",
    )


# -- second distribution


def shares(inputs: TeamInputs, parts: Sequence[MonthsPool]) -> tuple[list[Amount], list[Problem]]:
    """What the members get of each month's pool, and why a pool cannot be divided (MO-044)."""
    amounts: list[Amount] = []
    problems: list[Problem] = []
    for part in parts:
        if part.pool:
            some, trouble = _shares_of(inputs, part)
            amounts += some
            problems += [one for one in trouble if one not in problems]
    return amounts, problems


def _shares_of(inputs: TeamInputs, part: MonthsPool) -> tuple[list[Amount], list[Problem]]:
    if waits(inputs, part):
        return [], [_nobody(inputs)]
    distribution = _distribution(inputs, part)
    if distribution is None:
        return [], [
            problem(
                inputs,
                "NO_DISTRIBUTION",
                "MO-044",
                f"{inputs.team_name}: no signed distribution for {inputs.month}.",
                f"{inputs.team_name}：{inputs.month} 没有已审批的二次分配。",
            )
        ]
    members = {member.id: member for member in inputs.members}
    wrong = [
        problem(
            inputs,
            "TAKES_NO_SHARE",
            "MO-031",
            f"{members[one.member_id].name} has a part in the distribution, but no commission in {inputs.month}.",
            f"{members[one.member_id].name} 在 {inputs.month} 不享受提成，不应参与分配。",
            members[one.member_id],
        )
        for one in distribution.weights
        if one.weight
        and distribution.month == inputs.month
        and not takes_share(inputs, members[one.member_id])
    ]
    takers = [one for one in distribution.weights if one.weight * one.factor > 0]
    if not takers:
        wrong.append(
            problem(
                inputs,
                "NOBODY_TAKES",
                "MO-044",
                f"{inputs.team_name}: nobody has a part in the distribution.",
                f"{inputs.team_name}：二次分配中无人占有份额。",
            )
        )
    return ([], wrong) if wrong else (_divided(inputs, part, distribution, takers, members), [])


def waits(inputs: TeamInputs, part: MonthsPool) -> bool:
    """Whether it is left over: nobody of the team is on commission, and no earlier month's division is to be kept to."""
    if somebody_takes(inputs):
        return False
    distribution = _distribution(inputs, part)
    return distribution is None or distribution.month == inputs.month


def _nobody(inputs: TeamInputs) -> Problem:
    """Said, but in nobody's way: somebody who comes to the team takes it by a later run."""
    return problem(
        inputs,
        "NOBODY_ON_COMMISSION",
        "MO-044",
        f"{inputs.team_name}: nobody was on commission in {inputs.month}; its commission is left over to the next run.",
        f"{inputs.team_name}：{inputs.month} 无人享受提成，团队提成结转下次核算。",
        blocks=False,
    )


def _distribution(inputs: TeamInputs, part: MonthsPool) -> DistributionInputs | None:
    """That of the month the fees are about, else that of the run's; what was left over goes by the run's."""
    by_month = {one.month: one for one in inputs.distributions}
    own = by_month.get(part.month) if part.earned else None
    return own or by_month.get(inputs.month)


def somebody_takes(inputs: TeamInputs) -> bool:
    """Whether somebody of the team is on commission in the month."""
    return any(takes_share(inputs, member) for member in inputs.members)


def takes_share(inputs: TeamInputs, member: MemberInputs) -> bool:
    """Whether he is on package 2 in this team on some day of the month (MO-031, MO-034)."""
    return any(
        package_on(member, start) is ElitePackage.PACKAGE_2 for start, _end in pairwise(inputs.bounds())
    )


def _divided(
    inputs: TeamInputs,
    part: MonthsPool,
    distribution: DistributionInputs,
    takers: Sequence[Weight],
    members: dict[str, MemberInputs],
) -> list[Amount]:
    order = {member.id: place for place, member in enumerate(inputs.members)}
    takers = sorted(takers, key=lambda one: order[one.member_id])
    parts = [Fraction(one.weight) * Fraction(one.factor) for one in takers]
    whole = sum(parts, Fraction(0))
    found = divide(part.pool, parts)
    late = part.month != inputs.month
    return [
        Amount(
            members[one.member_id],
            EliteLineKind.ADJUSTMENT if late else EliteLineKind.COMMISSION,
            share,
            "MO-044",
            (_pool_step(part), *_share_steps(part.pool, distribution.month, one, mine, whole, share)),
            part.month if late else None,
        )
        for one, mine, share in zip(takers, parts, found, strict=True)
    ]


def _pool_step(part: MonthsPool) -> Step:
    if not part.earned:
        return part.steps[0]
    return Step(
        label=f"The team's commission for fees of {part.month}",
        label_zh=f"团队 {part.month} 提成总额",
        inputs={"exact": shown(part.exact)},
        value=money(part.pool),
        rule="MO-043",
        rounding=HALF_UP,
    )


def _share_steps(
    pool: int, month: str, one: Weight, mine: Fraction, whole: Fraction, share: int
) -> Iterator[Step]:
    exact = Fraction(pool, 100) * mine / whole
    yield Step(
        label="Share",
        label_zh="个人份额",
        formula="pool × weight × factor ÷ Σ (weight × factor)",
        formula_zh="提成总额 × 贡献权重 × 考核系数 ÷ Σ（权重 × 系数）",
        inputs={
            "pool": money(pool),
            "weight": format(one.weight, "f"),
            "factor": format(one.factor, "f"),
            "factor_from": one.source,
            "sum": shown(whole),
            "distribution": month,
            "exact": shown(exact),
        },
        value=money(half_up(exact)),
        rule="MO-044",
        rounding=HALF_UP,
    )
    if share != half_up(exact):
        yield Step(
            label="What rounding leaves, to the largest share",
            label_zh="尾差计入最大份额",
            inputs={"difference": money(share - half_up(exact))},
            value=money(share),
            rule="MO-044",
        )
