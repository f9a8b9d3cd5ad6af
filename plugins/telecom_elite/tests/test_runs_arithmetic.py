"""The arithmetic of pay: packages, pools, shares and allowances by the figures of the rules, and laws of dividing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.money import payable
from crm_telecom_elite import months
from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.members.models import ElitePackage
from crm_telecom_elite.rates.catalogue import CATALOGUE
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.receipts.earning import Standing
from crm_telecom_elite.runs.arithmetic import compute, set_off
from crm_telecom_elite.runs.dividing import divide, half_up, shown
from crm_telecom_elite.runs.inputs import (
    CarsSpan,
    DeveloperTerm,
    DistributionInputs,
    EarnedSum,
    MemberInputs,
    PostingSpan,
    RateSpan,
    StandardFrom,
    TeamInputs,
    TeamResult,
    TermSpan,
    Weight,
    inputs_digest,
    inputs_json,
)
from crm_telecom_elite.users.entering import commission_months

MONTH = "2025-11"
P1, P2, TRANSFER = ElitePackage.PACKAGE_1, ElitePackage.PACKAGE_2, ElitePackage.TRANSFER
HQ, REGIONAL = EliteTeamKind.HQ, EliteTeamKind.REGIONAL
FEN = st.integers(-(10**9), 10**9)
Days = tuple[int, int]
"""First and last day of the month."""


def span(days: Days) -> dict[str, date]:
    first, after = date(2025, 11, 1), date(2025, 12, 1)
    return {
        "start": first.replace(day=days[0]),
        "end": after if days[1] == 30 else first.replace(day=days[1] + 1),
    }


def person(
    key: str,
    package: ElitePackage = P2,
    days: Days = (1, 30),
    role: ElitePostRole = ElitePostRole.MARKETING_MANAGER,
    **more: Any,
) -> MemberInputs:
    """Somebody on the rung 营销经理 A for these days."""
    posting = PostingSpan(post="营销经理", role=role, step_id="s1", step="营销经理A", **span(days))
    terms = more.pop("terms", (TermSpan(package=package, **span((1, 30))),))
    return MemberInputs(id=key, name=key, postings=more.pop("postings", (posting,)), terms=terms, **more)


def rates_of(kind: EliteTeamKind, changed: Sequence[tuple[str, date, str]] = ()) -> tuple[RateSpan, ...]:
    rates = Rates([(name, kind.value, start, Decimal(value)) for name, start, value in changed])
    first, after = months.first_day(MONTH), months.day_after(MONTH)
    return tuple(
        RateSpan(name=name, start=one.start, end=one.end, value=one.value)
        for name, figure in CATALOGUE.items()
        if kind in figure.seeds
        for one in rates.segments(name, kind, first, after)
    )


def team(*members: MemberInputs, kind: EliteTeamKind = HQ, **more: Any) -> TeamInputs:
    """A team whose rung pays 4,000 and 1,500."""
    changed = more.pop("changed", ())
    standard = StandardFrom(step_id="s1", valid_from=date(2025, 1, 1), salary=400_000, bonus=150_000)
    return TeamInputs(
        **{
            "line": "elite",
            "month": MONTH,
            "team_id": "t1",
            "team_name": "一组",
            "team_kind": kind,
            "rates": rates_of(kind, changed),
            "standards": (standard,),
            "members": members,
            **more,
        }
    )


def fees(amount: int, month: str = MONTH, kind: EliteTeamKind = HQ, **more: Any) -> EarnedSum:
    """Fees in fen of a package-2 developer's users within their cycle, at the seeded rate and coefficient."""
    return EarnedSum(
        **{
            "month": month,
            "start": months.first_day(month),
            "rate": CATALOGUE["commission_rate"].seeds[kind],
            "coefficient": CATALOGUE["commission_coefficient"].seeds[kind],
            "member_id": "a",
            "developer": DeveloperTerm.PACKAGE_2,
            "standing": Standing.COUNTS,
            "amount": amount,
            "users": 1,
            **more,
        }
    )


def weights(month: str = MONTH, **parts: str) -> DistributionInputs:
    """`weights(a="50", b="30*0.5")`: contribution, and after the star the factor."""
    found = [(key, *[*text.split("*"), "1"][:2]) for key, text in parts.items()]
    return DistributionInputs(
        month=month,
        weights=tuple(
            Weight(member_id=key, weight=Decimal(w), factor=Decimal(f), source="A") for key, w, f in found
        ),
    )


def paid(result: TeamResult) -> dict[str, list[tuple[str, int]]]:
    """Kind and fen of each member's lines."""
    found: dict[str, list[tuple[str, int]]] = {}
    for line in result.lines:
        found.setdefault(line.member_id, []).append((line.kind, line.amount))
    return found


def codes(result: TeamResult) -> list[str]:
    return [problem.code for problem in result.problems]


# -- packages


@pytest.mark.rule("MO-031", "MO-032", "MO-033", "OT-111")
def test_package_1_pays_120_percent_of_salary_and_bonus_and_no_commission() -> None:
    result = compute(team(person("a", P1), earned=(fees(1_000_000, developer=DeveloperTerm.PACKAGE_1),)))
    assert paid(result) == {"a": [("SALARY", 480_000), ("BONUS", 180_000)]}
    assert result.pool.pool == 0
    assert not result.problems


@pytest.mark.rule("MO-033")
def test_the_bonus_of_package_1_follows_department_and_person() -> None:
    result = compute(team(person("a", P1, personal_factor=Decimal("1.1")), department_factor=Decimal("0.9")))
    assert paid(result)["a"][1] == ("BONUS", 178_200)  # 1,500 × 1.20 × 0.9 × 1.1
    assert result.lines[1].derivation[0]["inputs"]["personal_factor"] == "1.1"


@pytest.mark.rule("MO-034", "OT-112")
def test_package_2_pays_salary_120_percent_and_the_share_of_commission() -> None:
    earned = (fees(5_875_000),)  # 58,750 × 4 % = 2,350
    result = compute(team(person("a"), earned=earned, distributions=(weights(a="100"),)))
    assert paid(result) == {"a": [("SALARY", 480_000), ("COMMISSION", 235_000)]}


@pytest.mark.rule("MO-036", "OT-115")
def test_who_comes_from_the_establishment_gets_120_percent_of_his_original_pay() -> None:
    member = person("a", TRANSFER, original_salary=500_000, original_bonus=200_000)
    result = compute(team(member, earned=(fees(100, developer=DeveloperTerm.TRANSFER),)))
    assert paid(result) == {"a": [("SALARY", 840_000)]}
    assert result.pool.pool == 0, "no commission accrues in these months"


@pytest.mark.rule("MO-035", "MO-010")
def test_a_new_rung_within_the_month_counts_by_calendar_days_and_is_shown() -> None:
    low = PostingSpan(post="p", role=ElitePostRole.PRODUCT_MANAGER, step_id="s1", step="A", **span((1, 10)))
    high = PostingSpan(post="p", role=ElitePostRole.PRODUCT_MANAGER, step_id="s2", step="B", **span((11, 30)))
    standards = tuple(
        StandardFrom(step_id=key, valid_from=date(2025, 1, 1), salary=fen, bonus=0)
        for key, fen in (("s1", 400_000), ("s2", 450_000))
    )
    (line,) = compute(team(person("a", postings=(low, high)), standards=standards)).lines
    assert line.amount == 520_000  # 4,800 × 10/30 + 5,400 × 20/30
    assert [step["inputs"].get("days") for step in line.derivation] == ["10", "20", None]
    assert [step["value"] for step in line.derivation] == ["1600.00", "3600.00", "5200.00"]


def test_a_standard_that_changes_within_the_month_counts_by_its_days() -> None:
    standards = (
        StandardFrom(step_id="s1", valid_from=date(2024, 1, 1), salary=300_000, bonus=0),
        StandardFrom(step_id="s1", valid_from=date(2025, 11, 16), salary=600_000, bonus=0),
        StandardFrom(step_id="s1", valid_from=date(2025, 12, 1), salary=900_000, bonus=0),
    )
    (line,) = compute(team(person("a"), standards=standards)).lines
    assert line.amount == 540_000


def test_who_enters_or_leaves_within_the_month_is_paid_by_calendar_days() -> None:
    result = compute(team(person("a", days=(21, 30)), person("b", days=(1, 7))))
    assert paid(result) == {"a": [("SALARY", 160_000)], "b": [("SALARY", 112_000)]}


def test_a_rate_that_changes_within_the_month_is_applied_by_date_and_shown() -> None:
    changed = [("package_2_factor", date(2025, 11, 11), "1.30")]
    (line,) = compute(team(person("a"), changed=changed)).lines
    assert line.amount == 506_667  # 4,000 × (1.20 × 10 + 1.30 × 20) / 30 = 5,066.666…
    assert [step["inputs"].get("package_2_factor") for step in line.derivation] == ["1.20", "1.30", None]
    assert line.derivation[-1]["inputs"]["exact"] == "15200/3"
    assert line.derivation[-1]["rounding"].startswith("half-up")


def test_a_line_is_rounded_once_not_for_each_of_its_days() -> None:
    days = [(day, day) for day in range(1, 31)]
    posts = tuple(
        PostingSpan(post="p", role=ElitePostRole.PRODUCT_MANAGER, step_id="s1", step=str(d), **span(d))
        for d in days
    )
    standard = StandardFrom(step_id="s1", valid_from=date(2025, 1, 1), salary=100_001, bonus=0)
    (line,) = compute(team(person("a", postings=posts), standards=(standard,))).lines
    assert line.amount == 120_001  # 1,200.012, where thirty rounded days would be 1,200.00


def test_days_that_cannot_be_paid_are_problems() -> None:
    result = compute(
        team(
            person("a", terms=()),
            person("b", TRANSFER),
            person(
                "c",
                postings=(
                    PostingSpan(
                        post="p",
                        role=ElitePostRole.PRODUCT_MANAGER,
                        step_id="s9",
                        step="顾问C",
                        **span((1, 30)),
                    ),
                ),
            ),
        )
    )
    assert codes(result) == ["NO_TERM", "NO_ORIGINAL_PAY", "NO_STANDARD"]
    assert all(problem.message_zh and problem.rule for problem in result.problems)


# -- pool


@pytest.mark.rule("MO-040", "MO-041", "MO-043", "OT-112", "OT-113")
@pytest.mark.parametrize(("kind", "pool"), [(HQ, 40_000), (REGIONAL, 36_000)])
def test_the_pool_is_what_was_received_times_rate_and_coefficient(kind: EliteTeamKind, pool: int) -> None:
    result = compute(
        team(
            person("a"),
            kind=kind,
            earned=(fees(1_000_000, kind=kind),),
            distributions=(weights(a="100"),),
        )
    )
    assert (result.pool.received, result.pool.base, result.pool.pool) == (1_000_000, 1_000_000, pool)


@pytest.mark.rule("MO-042", "OT-114")
@pytest.mark.parametrize(("kind", "lifetime"), [(HQ, 14_400), (REGIONAL, 12_960)])
def test_a_user_who_pays_200_a_month_brings_144_over_his_18_months_and_nothing_after(
    kind: EliteTeamKind, lifetime: int
) -> None:
    first, last = commission_months(Rates(), kind, date(2024, 3, 31))
    standings = [
        Standing.COUNTS if months.later(first, number) <= last else Standing.AFTER for number in range(24)
    ]
    pools = [
        compute(team(kind=kind, earned=(fees(20_000, kind=kind, standing=standing),))).pool.pool
        for standing in standings
    ]
    assert sum(pools) == lifetime
    assert pools[18:] == [0] * 6


@pytest.mark.rule("MO-031", "MO-036", "MO-037", "MO-038", "MO-042", "OT-111", "OT-115")
def test_the_pool_says_what_was_left_out_and_why() -> None:
    result = compute(
        team(
            person("a"),
            earned=(
                fees(100_000),
                fees(10_000, developer=DeveloperTerm.FORMER),
                fees(1_000, developer=DeveloperTerm.NOBODY, member_id=None),
                fees(20_000, developer=DeveloperTerm.PACKAGE_1),
                fees(30_000, developer=DeveloperTerm.TRANSFER),
                fees(40_000, standing=Standing.AFTER),
                fees(5_000, standing=Standing.BEFORE),
                fees(50_000, standing=Standing.NOT_LISTED),
                fees(60_000, developer=DeveloperTerm.NOT_YET),
            ),
            distributions=(weights(a="100"),),
        )
    )
    assert (result.pool.received, result.pool.base) == (316_000, 111_000)
    assert result.pool.pool == 4_440
    left = {s["inputs"]["reason"]: s for s in result.pool.derivation if "reason" in s["inputs"]}
    assert {why: step["inputs"]["received"] for why, step in left.items()} == {
        "BEFORE": "50.00",
        "AFTER": "400.00",
        "NOT_LISTED": "500.00",
        "NO_COMMISSION": "500.00",
        "NOT_YET": "600.00",
    }
    assert left["AFTER"]["rule"] == "MO-042"


def test_the_pool_names_nobody() -> None:
    result = compute(
        team(person("老王", P1), earned=(fees(1, member_id="老王", developer=DeveloperTerm.PACKAGE_1),))
    )
    assert "老王" not in json.dumps(result.pool.model_dump(mode="json"), ensure_ascii=False)


@pytest.mark.rule("MO-043")
def test_a_rate_that_changes_in_mid_month_is_shown_in_the_pool_and_rounded_once() -> None:
    earned = (
        fees(35),
        fees(28, start=date(2025, 11, 16), rate=Decimal("0.05")),
    )
    result = compute(team(person("a"), earned=earned, distributions=(weights(a="100"),)))
    assert result.pool.pool == 3  # 1.4 + 1.4 = 2.8 fen, where each by itself would be 1
    assert [s["inputs"].get("commission_rate") for s in result.pool.derivation] == ["0.04", "0.05", None]


@pytest.mark.rule("MO-044")
def test_more_going_back_than_coming_in_is_a_negative_pool_and_is_carried_over() -> None:
    result = compute(team(person("a"), earned=(fees(-50_000),), distributions=(weights(a="100"),)))
    assert paid(result)["a"][-1] == ("COMMISSION", -2_000)


# -- dividing


@pytest.mark.rule("MO-044", "OT-113")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"a": "50", "b": "30", "c": "20"}, [500_000, 300_000, 200_000]),
        ({"a": "50", "b": "30", "c": "20*0.5"}, [555_556, 333_333, 111_111]),
    ],
)
def test_a_pool_of_10000_is_divided_by_weights_and_factors(
    parts: Mapping[str, str], expected: Sequence[int]
) -> None:
    result = compute(
        team(
            person("a"),
            person("b"),
            person("c"),
            earned=(fees(25_000_000),),
            distributions=(weights(**parts),),
        )
    )
    assert [line.amount for line in result.lines if line.kind == "COMMISSION"] == expected


@pytest.mark.rule("MO-044")
def test_what_rounding_leaves_goes_to_the_largest_share_and_is_shown() -> None:
    members = [person(key) for key in "abc"]
    result = compute(
        team(*members, earned=(fees(250),), distributions=(weights(a="33.3", b="33.3", c="33.4"),))
    )
    lines = [line for line in result.lines if line.kind == "COMMISSION"]
    assert [line.amount for line in lines] == [3, 3, 4]
    assert divide(100, [Fraction(1)] * 3) == [34, 33, 33], "of equal shares the first is the largest"
    assert divide(200, [Fraction(1)] * 3) == [66, 67, 67]


@pytest.mark.rule("MO-044")
def test_a_pool_is_not_divided_without_a_signed_distribution() -> None:
    result = compute(team(person("a"), earned=(fees(1_000_000),)))
    assert codes(result) == ["NO_DISTRIBUTION"]
    assert [line.kind for line in result.lines] == ["SALARY"]
    assert codes(compute(team(person("a")))) == [], "without a pool none is needed"


@pytest.mark.rule("MO-031", "MO-044")
def test_who_has_no_commission_takes_no_share() -> None:
    result = compute(
        team(
            person("a"),
            person("b", P1),
            earned=(fees(1_000_000),),
            distributions=(weights(a="60", b="40"),),
        )
    )
    assert codes(result) == ["TAKES_NO_SHARE"]
    assert "COMMISSION" not in [line.kind for line in result.lines]


@pytest.mark.rule("MO-044")
def test_a_distribution_in_which_nobody_has_a_part_is_a_problem() -> None:
    result = compute(team(person("a"), earned=(fees(1_000_000),), distributions=(weights(a="100*0"),)))
    assert codes(result) == ["NOBODY_TAKES"]


@pytest.mark.rule("MO-044")
@given(st.lists(st.sampled_from([P1, P2, TRANSFER]), max_size=3), FEN, FEN)
def test_shares_and_what_is_left_over_are_the_pool_and_what_was_brought_in(
    packages: list[ElitePackage], received: int, brought: int
) -> None:
    pay: dict[str, Any] = {"original_salary": 1, "original_bonus": 1}
    people = [person(f"m{place}", package, **pay) for place, package in enumerate(packages)]
    takers = {f"m{place}": "1" for place, package in enumerate(packages) if package is P2}
    signed = (weights(**takers),) if takers else ()
    left: dict[str, Any] = {"brought_in": brought, "brought_from": "2025-10"}
    result = compute(team(*people, earned=(fees(received),), distributions=signed, **left))
    shared, pool = sum(line.amount for line in result.lines if line.rule == "MO-044"), result.pool
    assert shared + pool.left_over == pool.pool + pool.brought_in
    assert pool.left_over == (0 if takers else pool.pool + brought)
    assert not any(problem.blocks for problem in result.problems), "nobody to share is in nobody's way"


@pytest.mark.rule("MO-C13")
@pytest.mark.parametrize(
    ("earlier", "elsewhere", "stays"),
    [(0, 0, 30_000), (10_000, 5_000, 15_000), (10_000, 40_000, 0), (-5_000, 0, 30_000)],
)
def test_a_rest_is_written_off_as_far_as_nothing_due_in_any_team_reaches(
    earlier: int, elsewhere: int, stays: int
) -> None:
    rest: dict[str, Any] = {"carried_over": -30_000, "carried_from": "2025-10", "written_off": 30_000}
    one, other = (
        team(
            person("a", postings=(), **more),
            person("b"),
            team_id=key,
            distributions=(weights("2025-10", a="100"), weights(a="100", b="0")),
            earned=(fees(due * 25, "2025-10"),),
        )
        for key, due, more in (("t1", earlier, rest), ("t2", elsewhere, {"seat": 1}))
    )
    lines = [line for part in set_off([one, other]) for line in compute(part).lines if line.member_id == "a"]
    off = [line for line in lines if line.kind == "WRITTEN_OFF"]
    assert sum(line.amount for line in off) == stays
    assert all(Decimal(line.derivation[-1]["value"]) * 100 == line.amount for line in off)
    assert sum(line.amount for line in lines) == earlier + elsewhere - 30_000 + stays
    inputs = {"rest": "-300.00", **({"setOff": "150.00"} if stays == 15_000 else {})}
    assert [line.derivation[0]["inputs"] for line in off] == ([inputs] if stays else [])
    assert set_off(set_off([one, other])) == set_off([one, other])


WEIGHTS = st.lists(st.decimals(0, 1_000, places=4).map(Fraction), min_size=1, max_size=12).filter(any)


@pytest.mark.rule("MO-044")
@given(st.integers(-(10**13), 10**13), WEIGHTS)
def test_shares_add_up_to_the_pool_for_any_weights(total: int, parts: list[Fraction]) -> None:
    found = divide(total, parts)
    assert sum(found) == total
    assert divide(-total, parts) == [-share for share in found], "what goes back goes back exactly"
    assert all(share * total >= 0 for share in found), "nobody pays for another's share"
    assert all(not share for share, part in zip(found, parts, strict=True) if not part)


@pytest.mark.rule("MO-044")
@given(st.integers(0, 10**13), WEIGHTS)
def test_each_share_is_its_exact_part_rounded_but_the_largest(total: int, parts: list[Fraction]) -> None:
    found = divide(total, parts)
    exact = [half_up(total * part / sum(parts) / 100) for part in parts]
    off = [at for at in range(len(parts)) if found[at] != exact[at]]
    if total > 100 * len(parts):
        assert off in ([], [parts.index(max(parts))])


@given(st.decimals(-(10**9), 10**9, places=6))
def test_half_up_of_a_fraction_is_half_up_of_money(amount: Decimal) -> None:
    assert half_up(Fraction(amount)) == payable(amount)
    assert Fraction(Decimal(shown(Fraction(amount)))) == Fraction(amount)


# -- allowances


@pytest.mark.rule("MO-050", "OT-116")
def test_a_team_manager_gets_1000_by_the_days_he_is_one() -> None:
    manager, leader = ElitePostRole.TEAM_MANAGER, ElitePostRole.TEAM_LEADER
    people = (person("a", role=manager), person("b", role=leader, days=(16, 30)), person("c"))
    result = compute(team(*people))
    found = {line.member_id: line.amount for line in result.lines if line.kind == "MANAGER_ALLOWANCE"}
    assert found == {"a": 100_000, "b": 50_000}
    only = compute(team(*people, changed=[("manager_allowance_leader", date(2025, 1, 1), "0")]))
    assert [line.member_id for line in only.lines if line.kind == "MANAGER_ALLOWANCE"] == ["a"]


def no_cars(days: Days = (1, 30)) -> tuple[CarsSpan, ...]:
    return (CarsSpan(guaranteed=False, **span(days)),)


@pytest.mark.rule("MO-051", "OT-119")
def test_three_teams_of_the_headquarters_without_cars_get_15000() -> None:
    teams = [compute(team(*(person(k) for k in "abcd"[:size]), cars=no_cars())) for size in (4, 3, 1)]
    cars = [[line.amount for line in one.lines if line.kind == "CAR_ALLOWANCE"] for one in teams]
    assert cars[0] == [125_000] * 4
    assert sum(map(sum, cars)) == 1_500_000


@pytest.mark.rule("MO-051", "OT-119")
def test_a_regional_team_of_nine_without_cars_gets_2700() -> None:
    result = compute(team(*(person(k) for k in "abcdefghi"), kind=REGIONAL, cars=no_cars()))
    assert [line.amount for line in result.lines if line.kind == "CAR_ALLOWANCE"] == [30_000] * 9


@pytest.mark.rule("MO-051")
@pytest.mark.parametrize("kind", [HQ, REGIONAL])
def test_with_guaranteed_cars_there_is_no_car_allowance(kind: EliteTeamKind) -> None:
    for cars in ((), (CarsSpan(guaranteed=True, **span((1, 30))),)):
        result = compute(team(person("a"), kind=kind, cars=cars))
        assert [line.kind for line in result.lines] == ["SALARY"]


@pytest.mark.rule("MO-051")
def test_car_money_counts_the_days_without_cars_and_who_was_there_on_them() -> None:
    result = compute(team(person("a"), person("b", days=(1, 20)), cars=no_cars((11, 30))))
    found = {line.member_id: line.amount for line in result.lines if line.kind == "CAR_ALLOWANCE"}
    assert found == {"a": 250_000, "b": 83_333}  # 20 days of 5,000: halves of 10 days, all of 10 days
    assert sum(found.values()) == 333_333


# -- corrections


@pytest.mark.rule("MO-043", "MO-044")
def test_late_fees_are_an_adjustment_by_the_weights_of_their_own_month() -> None:
    result = compute(
        team(
            person("a"),
            person("b"),
            earned=(fees(1_000_000), fees(500_000, "2025-09"), fees(-250_000, "2025-10")),
            distributions=(weights(a="50", b="50"), weights("2025-09", a="20", b="80")),
        )
    )
    found = {(one.member_id, one.kind, one.about): one.amount for one in result.lines if one.kind != "SALARY"}
    assert found == {
        ("a", "COMMISSION", None): 20_000,
        ("b", "COMMISSION", None): 20_000,
        ("a", "ADJUSTMENT", "2025-09"): 4_000,
        ("b", "ADJUSTMENT", "2025-09"): 16_000,
        ("a", "ADJUSTMENT", "2025-10"): -5_000,
        ("b", "ADJUSTMENT", "2025-10"): -5_000,
    }
    assert result.pool.pool == 50_000


@given(st.lists(FEN, min_size=1, max_size=8), WEIGHTS)
def test_fees_that_all_go_back_take_back_exactly_what_they_brought(
    amounts: list[int], parts: list[Fraction]
) -> None:
    members = [person(f"m{place}") for place in range(len(parts))]
    signed = DistributionInputs(
        month=MONTH,
        weights=tuple(
            Weight(
                member_id=m.id,
                weight=Decimal(part.numerator) / part.denominator,
                factor=Decimal(1),
                source="A",
            )
            for m, part in zip(members, parts, strict=True)
        ),
    )
    there = compute(team(*members, earned=tuple(map(fees, amounts)), distributions=(signed,)))
    back = compute(team(*members, earned=tuple(fees(-a) for a in amounts), distributions=(signed,)))
    got = [(one.member_id, one.amount) for one in there.lines if one.kind == "COMMISSION"]
    gone = [(one.member_id, -one.amount) for one in back.lines if one.kind == "COMMISSION"]
    assert got == gone
    assert sum(amount for _, amount in got) == there.pool.pool


@pytest.mark.rule("MO-C13")
def test_a_negative_rest_is_carried_over_as_a_line() -> None:
    result = compute(team(person("a", carried_over=-12_345, carried_from="2025-10")))
    assert paid(result)["a"] == [("SALARY", 480_000), ("CARRIED_OVER", -12_345)]


# -- reproducing


def test_the_same_inputs_give_the_same_bytes_also_after_being_kept_as_json() -> None:
    inputs = team(
        person("a", seat=1, carried_over=-1, carried_from="2025-10"),
        person("b", P1, personal_factor=Decimal("1.10")),
        earned=(fees(123_457),),
        distributions=(weights(a="100"),),
        cars=no_cars((3, 29)),
    )
    kept = TeamInputs.model_validate(json.loads(json.dumps(inputs_json(inputs), sort_keys=True)))
    assert inputs_digest(kept) == inputs_digest(inputs)
    assert compute(kept).digest() == compute(inputs).digest()
    assert min(line.position for line in compute(kept).lines if line.member_id == "a") == 101


@pytest.mark.rule("MO-030")
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30), st.sampled_from([P1, P2])), max_size=6),
    st.sampled_from([HQ, REGIONAL]),
)
def test_every_line_is_explained_to_the_fen(
    people: list[tuple[int, int, ElitePackage]], kind: EliteTeamKind
) -> None:
    members = [
        person(f"m{place}", package, (min(a, b), max(a, b)), carried_over=-7, carried_from="2025-10")
        for place, (a, b, package) in enumerate(people)
    ]
    result = compute(team(*members, kind=kind, cars=no_cars((5, 17))))
    for line in result.lines:
        last = line.derivation[-1]
        assert Decimal(last["value"]) * 100 == line.amount
        assert all(step["label"] and step["labelZh"] and step["rule"] for step in line.derivation)
        if len(line.derivation) > 1 and line.kind in ("SALARY", "BONUS"):
            parts = sum((Fraction(step["value"]) for step in line.derivation[:-1]), Fraction(0))
            assert half_up(parts) == line.amount
