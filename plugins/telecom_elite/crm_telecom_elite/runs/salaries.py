"""Salary, bonus and allowances by the days of the month they hold, exact until the one rounding of each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final, Generic, TypeVar

from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.members.models import ElitePackage
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.runs.dividing import divide, half_up, money, shown
from crm_telecom_elite.runs.inputs import MemberInputs, PostingSpan, Problem, StandardFrom, Step, TeamInputs
from crm_telecom_elite.runs.models import EliteLineKind

HALF_UP: Final = "half-up to fen, once (四舍五入到分，仅一次)"
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Stretch(Generic[V]):
    """Days in a row on which the same holds."""

    start: date
    end: date
    value: V

    @property
    def days(self) -> int:
        """How many."""
        return (self.end - self.start).days


@dataclass(frozen=True, slots=True)
class Amount:
    """A line before it has its place: whose, for what, how much (fen), why."""

    member: MemberInputs
    kind: EliteLineKind
    amount: int
    rule: str
    steps: tuple[Step, ...]
    about: str | None = None


def stretches(inputs: TeamInputs, value: Callable[[date], V | None]) -> list[Stretch[V]]:
    """The days of the month as stretches of equal values; days without a value are left out."""
    found: list[Stretch[V]] = []
    for start, end in pairwise(inputs.bounds()):
        what = value(start)
        if what is None:
            continue
        last = found[-1] if found else None
        if last is not None and last.end == start and last.value == what:
            found[-1] = Stretch(last.start, end, what)
        else:
            found.append(Stretch(start, end, what))
    return found


def posting_on(member: MemberInputs, day: date) -> PostingSpan | None:
    """His post in this team on a day."""
    return next((one for one in member.postings if one.holds(day)), None)


def package_on(member: MemberInputs, day: date) -> ElitePackage | None:
    """His pay package on a day he has a post in this team."""
    if posting_on(member, day) is None:
        return None
    return next((one.package for one in member.terms if one.holds(day)), None)


def standard_on(inputs: TeamInputs, step_id: str, day: date) -> StandardFrom | None:
    """The standard of a rung on a day: that which began last."""
    begun = [one for one in inputs.standards if one.step_id == step_id and one.valid_from <= day]
    return max(begun, key=lambda one: one.valid_from, default=None)


# -- what one is paid by the day


@dataclass(frozen=True, slots=True)
class _Paid:
    """A monthly amount (fen) under a factor, and what it is."""

    base: int
    factors: tuple[tuple[str, Decimal], ...]
    what: str

    @property
    def monthly(self) -> Fraction:
        """Yuan for a whole month."""
        amount = Fraction(self.base, 100)
        for _name, factor in self.factors:
            amount *= Fraction(factor)
        return amount


@dataclass(frozen=True, slots=True)
class _Item:
    """A line paid by the day: its kind, rule, words, and what it is on a day."""

    kind: EliteLineKind
    rule: str
    label: str
    label_zh: str
    base: str
    base_zh: str
    paid: Callable[[TeamInputs, MemberInputs, date], _Paid | None]


def _package_1_salary(inputs: TeamInputs, member: MemberInputs, day: date) -> _Paid | None:
    if package_on(member, day) is not ElitePackage.PACKAGE_1:
        return None
    found = _of_step(inputs, member, day)
    return found and _Paid(
        found[1].salary, (("package_1_factor", inputs.rate("package_1_factor", day)),), found[0].step
    )


def _package_1_bonus(inputs: TeamInputs, member: MemberInputs, day: date) -> _Paid | None:
    if package_on(member, day) is not ElitePackage.PACKAGE_1:
        return None
    found = _of_step(inputs, member, day)
    factors = (
        ("package_1_factor", inputs.rate("package_1_factor", day)),
        ("department_factor", _given(inputs.department_factor, inputs, "department_factor", day)),
        ("personal_factor", _given(member.personal_factor, inputs, "personal_factor", day)),
    )
    return found and _Paid(found[1].bonus, factors, found[0].step)


def _given(given: Decimal | None, inputs: TeamInputs, name: str, day: date) -> Decimal:
    return given if given is not None else inputs.rate(name, day)


def _package_2_salary(inputs: TeamInputs, member: MemberInputs, day: date) -> _Paid | None:
    if package_on(member, day) is not ElitePackage.PACKAGE_2:
        return None
    found = _of_step(inputs, member, day)
    return found and _Paid(
        found[1].salary, (("package_2_factor", inputs.rate("package_2_factor", day)),), found[0].step
    )


def _original(inputs: TeamInputs, member: MemberInputs, day: date) -> _Paid | None:
    if package_on(member, day) is not ElitePackage.TRANSFER:
        return None
    if member.original_salary is None or member.original_bonus is None:
        return None
    factors = (("transfer_factor", inputs.rate("transfer_factor", day)),)
    return _Paid(member.original_salary + member.original_bonus, factors, "")


def _manager(inputs: TeamInputs, member: MemberInputs, day: date) -> _Paid | None:
    posting = posting_on(member, day)
    if posting is None:
        return None
    leader = posting.role is ElitePostRole.TEAM_LEADER and inputs.rate("manager_allowance_leader", day) == 1
    if posting.role is not ElitePostRole.TEAM_MANAGER and not leader:
        return None
    return _Paid(half_up(Fraction(inputs.rate("manager_allowance", day))), (), posting.post)


def _own_car(inputs: TeamInputs, member: MemberInputs, day: date) -> _Paid | None:
    if inputs.team_kind is not EliteTeamKind.REGIONAL or posting_on(member, day) is None:
        return None
    if _has_cars(inputs, day):
        return None
    return _Paid(half_up(Fraction(inputs.rate("car_allowance_person", day))), (), "")


_ITEMS: Final = (
    _Item(
        EliteLineKind.SALARY, "MO-032", "Post salary, package 1", "岗位工资（套餐一）", "standard_salary",
        "岗位工资标准", _package_1_salary,
    ),
    _Item(
        EliteLineKind.SALARY, "MO-034", "Post salary, package 2", "岗位工资（套餐二）", "standard_salary",
        "岗位工资标准", _package_2_salary,
    ),
    _Item(
        EliteLineKind.SALARY, "MO-036", "Original salary and bonus", "原工资、奖金", "original_pay",
        "原工资与奖金", _original,
    ),
    _Item(
        EliteLineKind.BONUS, "MO-033", "Monthly performance bonus", "月度效益奖金", "standard_bonus",
        "绩效奖金标准", _package_1_bonus,
    ),
    _Item(
        EliteLineKind.MANAGER_ALLOWANCE, "MO-050", "Post allowance of a team manager", "团队经理职务补贴",
        "manager_allowance", "职务补贴", _manager,
    ),
    _Item(
        EliteLineKind.CAR_ALLOWANCE, "MO-051", "Car allowance of a person", "个人车贴", "car_allowance_person",
        "车贴", _own_car,
    ),
)  # fmt: skip
_FACTORS_ZH: Final = {
    "package_1_factor": "套餐一系数",
    "package_2_factor": "套餐二系数",
    "transfer_factor": "联通在编系数",
    "department_factor": "部门绩效系数",
    "personal_factor": "个人绩效系数",
}


def by_the_day(inputs: TeamInputs, member: MemberInputs) -> Iterator[Amount]:
    """A member's lines for the days he was in the team (MO-032 to MO-037, MO-050, MO-051)."""
    for item in _ITEMS:
        found = stretches(inputs, lambda day, item=item: item.paid(inputs, member, day))  # type: ignore[misc]
        if not found:
            continue
        exact = sum((one.value.monthly * one.days / inputs.days for one in found), Fraction(0))
        steps = [_step(inputs, item, one) for one in found]
        yield Amount(member, item.kind, half_up(exact), item.rule, (*steps, _rounded(exact, item.rule)))


def _step(inputs: TeamInputs, item: _Item, one: Stretch[_Paid]) -> Step:
    names = [name for name, _ in one.value.factors]
    last = one.end - timedelta(days=1)
    given = {item.base: money(one.value.base)} | {
        name: format(factor, "f") for name, factor in one.value.factors
    }
    given |= {"days": str(one.days), "days_in_month": str(inputs.days)}
    given |= {"from": one.start.isoformat(), "to": last.isoformat()}
    if one.value.what:
        given["what"] = one.value.what
    return Step(
        label=item.label,
        label_zh=item.label_zh,
        formula=" × ".join((item.base, *names, "days ÷ days_in_month")),
        formula_zh=" × ".join((item.base_zh, *(_FACTORS_ZH[name] for name in names), "天数 ÷ 当月天数")),
        inputs=given,
        value=shown(one.value.monthly * one.days / inputs.days),
        rule=item.rule,
    )


def _rounded(exact: Fraction, rule: str) -> Step:
    return Step(
        label="Payable amount",
        label_zh="应付金额",
        formula="sum of the above",
        formula_zh="以上合计",
        inputs={"exact": shown(exact)},
        value=money(half_up(exact)),
        rule=rule,
        rounding=HALF_UP,
    )


def _of_step(inputs: TeamInputs, member: MemberInputs, day: date) -> tuple[PostingSpan, StandardFrom] | None:
    posting = posting_on(member, day)
    standard = standard_on(inputs, posting.step_id, day) if posting is not None else None
    return (posting, standard) if posting is not None and standard is not None else None


# -- the team's car money


def _has_cars(inputs: TeamInputs, day: date) -> bool:
    """Cars are guaranteed unless it is said that they are not (MO-051)."""
    return next((one.guaranteed for one in inputs.cars if one.holds(day)), True)


def team_cars(inputs: TeamInputs) -> list[Amount]:
    """The car allowance of a team of the headquarters, in equal parts to who was in it on each day (MO-051)."""
    if inputs.team_kind is not EliteTeamKind.HQ:
        return []
    found = stretches(inputs, lambda day: _shared(inputs, day))
    daily = [(one, Fraction(one.value[0]) * one.days / inputs.days) for one in found]
    total = half_up(sum((amount for _, amount in daily), Fraction(0)))
    if not total:
        return []
    takers = [member for member in inputs.members if member.postings]
    parts = [
        sum((amount / len(one.value[1]) for one, amount in daily if member.id in one.value[1]), Fraction(0))
        for member in takers
    ]
    shares = divide(total, parts)
    return [
        _car_share(inputs, member, part, share, total, daily)
        for member, part, share in zip(takers, parts, shares, strict=True)
        if part
    ]


def _shared(inputs: TeamInputs, day: date) -> tuple[Decimal, frozenset[str]] | None:
    present = frozenset(member.id for member in inputs.members if posting_on(member, day) is not None)
    if not present or _has_cars(inputs, day):
        return None
    return inputs.rate("car_allowance_team", day), present


def _car_share(
    inputs: TeamInputs,
    member: MemberInputs,
    part: Fraction,
    share: int,
    total: int,
    daily: Sequence[tuple[Stretch[tuple[Decimal, frozenset[str]]], Fraction]],
) -> Amount:
    steps = [
        Step(
            label="Car allowance of the team, in equal parts",
            label_zh="团队车贴平均分配",
            formula="car_allowance_team × days ÷ days_in_month ÷ members",
            formula_zh="团队车贴 × 天数 ÷ 当月天数 ÷ 人数",
            inputs={
                "car_allowance_team": shown(Fraction(one.value[0])),
                "days": str(one.days),
                "days_in_month": str(inputs.days),
                "members": str(len(one.value[1])),
                "from": one.start.isoformat(),
                "to": (one.end - timedelta(days=1)).isoformat(),
            },
            value=shown(amount / len(one.value[1])),
            rule="MO-051",
        )
        for one, amount in daily
        if member.id in one.value[1]
    ]
    last = Step(
        label="Payable amount",
        label_zh="应付金额",
        formula="sum of the above; what rounding leaves goes to the largest share",
        formula_zh="以上合计；尾差计入最大份额",
        inputs={"exact": shown(part), "team_total": money(total)},
        value=money(share),
        rule="MO-051",
        rounding=HALF_UP,
    )
    return Amount(member, EliteLineKind.CAR_ALLOWANCE, share, "MO-051", (*steps, last))


# -- what is missing


def missing(inputs: TeamInputs) -> Iterator[Problem]:
    """Members who cannot be paid for every day they were in the team, each once for each reason."""
    for member in inputs.members:
        known = set()
        for start, _end in pairwise(inputs.bounds()):
            problem = _missing_on(inputs, member, start)
            if problem is not None and problem.code not in known:
                known.add(problem.code)
                yield problem


def _missing_on(inputs: TeamInputs, member: MemberInputs, day: date) -> Problem | None:
    posting = posting_on(member, day)
    if posting is None:
        return None
    package = package_on(member, day)
    if package is None:
        return problem(inputs, "NO_TERM", "MO-030", f"{member.name} is on no pay package on {day}.",
                       f"{member.name} 在 {day} 没有薪酬套餐。", member)  # fmt: skip
    if package is ElitePackage.TRANSFER:
        if member.original_salary is None or member.original_bonus is None:
            return problem(inputs, "NO_ORIGINAL_PAY", "MO-036", f"The original pay of {member.name} is missing.",
                           f"缺少 {member.name} 的原工资、奖金。", member)  # fmt: skip
    elif standard_on(inputs, posting.step_id, day) is None:
        return problem(inputs, "NO_STANDARD", "MO-032", f"{posting.step} has no standard pay on {day}.",
                       f"{posting.step} 在 {day} 没有薪酬标准。", member)  # fmt: skip
    return None


def problem(
    inputs: TeamInputs,
    code: str,
    rule: str,
    en: str,
    zh: str,
    member: MemberInputs | None = None,
    *,
    blocks: bool = True,
) -> Problem:
    """What stands in the way of this team's part of the run, or (`blocks` False) is only said of it."""
    return Problem(
        code=code, team=inputs.team_name, member=member.name if member else None, message=en, message_zh=zh,
        rule=rule, blocks=blocks,
    )  # fmt: skip
