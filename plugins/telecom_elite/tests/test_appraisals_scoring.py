"""The arithmetic of appraisals with the figures of the rules, and what holds for any figures."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_telecom_elite.appraisals.distribution import Quota, fits, places
from crm_telecom_elite.appraisals.figures import bands, scheme, weights
from crm_telecom_elite.appraisals.models import ElitePeriod, EliteResult
from crm_telecom_elite.appraisals.scoring import Bands, Sales, Weights, average, band, cut, kpi, sales
from crm_telecom_elite.months import first_day
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates

DAY = first_day("2025-10")
RULES = Rates()
BANDS = bands(RULES, EliteTeamKind.REGIONAL, DAY)
REGULAR, PROBATION = scheme(RULES, DAY, probation=False), scheme(RULES, DAY, probation=True)
A, B, C = EliteResult
D = Decimal
points = st.decimals(0, 100, places=4)
users = st.integers(0, 10_000)


@pytest.mark.rule("MO-063", "MO-064", "OT-120")
@pytest.mark.parametrize(
    ("period", "score", "result", "formula"),
    [
        (ElitePeriod.CULTIVATION, "83", A, "60% × 90 + 30% × 70 + 10% × 80"),
        (ElitePeriod.HARVEST, "77", B, "30% × 90 + 60% × 70 + 10% × 80"),
    ],
)
def test_the_kpi_weighs_marketing_more_in_cultivation_and_selling_more_in_harvest(
    period: ElitePeriod, score: str, result: EliteResult, formula: str
) -> None:
    found = kpi(period, weights(RULES, period, DAY), BANDS, D(90), D(70), D(80))
    assert (found.value, found.result) == (D(score), result)
    assert (found.steps[0].formula, found.steps[0].value) == (formula, score)


@pytest.mark.rule("MO-071", "MO-072", "MO-073", "OT-121")
@pytest.mark.parametrize(
    ("developed", "attitude", "score", "result"),
    [
        (36, 80, "89", A),  # 8 of 10 points
        (28, 70, "70", B),
        (20, 80, "53", C),
        (40, 100, "100", A),
        (31, 100, "79.75", B),
        (50, 100, "122.5", A),  # no cap as written
    ],
)
def test_a_regional_month_is_users_of_forty_by_ninety_and_attitude_by_ten(
    developed: int, attitude: int, score: str, result: EliteResult
) -> None:
    found = sales(REGULAR, BANDS, developed, D(attitude))
    assert (found.value, found.result) == (D(score), result)


@pytest.mark.rule("MO-075", "OT-122")
@pytest.mark.parametrize(
    ("developed", "attitude", "score", "result"), [(15, 80, "76.5", B), (18, 90, "90", A)]
)
def test_in_probation_twenty_users_weigh_seventy_and_attitude_thirty(
    developed: int, attitude: int, score: str, result: EliteResult
) -> None:
    found = sales(PROBATION, BANDS, developed, D(attitude))
    assert (found.value, found.result) == (D(score), result)
    assert [step.formula for step in found.steps[:2]] == [f"{developed} / 20 × 70", f"{attitude} / 100 × 30"]
    assert {step.rule for step in found.steps[:3]} == {"MO-075"}


@pytest.mark.rule("MO-072")
def test_the_sales_part_may_be_capped_at_its_weight() -> None:
    capped = scheme(Rates([("sales_capped", "REGIONAL", DAY, D(1))]), first_day("2025-11"), probation=False)
    assert sales(capped, BANDS, 50, D(100)).value == 100
    assert sales(REGULAR, BANDS, 50, D(100)).value == D("122.5")


@pytest.mark.rule("MO-073", "OT-121")
@pytest.mark.parametrize(
    ("score", "result"),
    [("80", A), ("79.9999999999", B), ("79.5", B), ("60", B), ("59.9999999999", C), ("0", C)],
)
def test_the_bands_include_eighty_and_sixty_and_leave_no_gap(score: str, result: EliteResult) -> None:
    assert band(D(score), BANDS) is result


@pytest.mark.rule("MO-065")
def test_the_quarterly_scheme_uses_the_regional_bands_unless_set() -> None:
    assert bands(RULES, EliteTeamKind.HQ, DAY) == BANDS == Bands(a=D(80), b=D(60))


# -- for any figures


@pytest.mark.rule("MO-063", "MO-064")
@given(m=points, s=points, d=points)
def test_a_kpi_lies_among_its_components_and_the_two_periods_mirror_each_other(
    m: Decimal, s: Decimal, d: Decimal
) -> None:
    growing, reaping = ElitePeriod.CULTIVATION, ElitePeriod.HARVEST
    found = kpi(growing, weights(RULES, growing, DAY), BANDS, m, s, d)
    assert min(m, s, d) <= found.value <= max(m, s, d)
    mirrored = kpi(reaping, weights(RULES, reaping, DAY), BANDS, s, m, d)
    assert (mirrored.value, mirrored.result) == (found.value, found.result)


@pytest.mark.rule("MO-072", "MO-075")
@given(developed=users, attitude=points, more=st.integers(1, 50), kind=st.sampled_from([REGULAR, PROBATION]))
def test_more_users_never_score_less_and_attitude_never_more_than_its_weight(
    developed: int, attitude: Decimal, more: int, kind: Sales
) -> None:
    found = sales(kind, BANDS, developed, attitude)
    assert sales(kind, BANDS, developed + more, attitude).value > found.value
    assert 0 <= found.value - sales(kind, BANDS, developed, D(0)).value <= kind.attitude_points
    assert sales(kind, BANDS, int(kind.target), D(100)).value == 100
    assert found.derivation[-1]["value"] == found.result


@pytest.mark.rule("MO-073")
@given(
    developed=users,
    attitude=points,
    target=st.decimals(1, 500, places=3),
    a=st.decimals(50, 100, places=10),
    b=st.decimals(0, 50, places=10),
)
def test_the_score_shown_falls_in_the_band_of_its_result(
    developed: int, attitude: Decimal, target: Decimal, a: Decimal, b: Decimal
) -> None:
    limits = Bands(a=a, b=b)
    found = sales(Sales(target, D(90), D(10)), limits, developed, attitude)
    exact = Fraction(developed) / Fraction(target) * 90 + Fraction(attitude) / 10
    assert found.result is band(found.value, limits) is band(exact, limits)
    assert 0 <= exact - Fraction(found.value) < Fraction(1, 10**10)


@given(number=st.fractions(0, 1_000_000))
def test_a_number_is_cut_never_rounded_up(number: Fraction) -> None:
    assert Fraction(cut(number)) <= number
    assert cut(Fraction(cut(number))) == cut(number)


@pytest.mark.rule("MO-062")
def test_a_component_out_of_tasks_is_their_mean() -> None:
    mean, step = average("M", "营", [D(90), D("75.5")])
    assert (mean, step.formula, step.rule) == (D("82.75"), "(90 + 75.5) / 2", "MO-062")


# -- distribution


@pytest.mark.rule("MO-061")
def test_places_of_a_are_rounded_down_and_of_c_up() -> None:
    room = places(Quota(most_a=D(30), least_c=D(10)), 5)
    assert (room.most_a, room.least_c) == (1, 1)
    assert (places(Quota(), 5).most_a, places(Quota(), 5).least_c) == (5, 0)


@pytest.mark.rule("MO-061")
@given(
    results=st.lists(st.sampled_from(list(EliteResult)), max_size=12),
    to_come=st.integers(0, 4),
    most_a=st.none() | st.integers(0, 100).map(D),
    least_c=st.none() | st.integers(0, 100).map(D),
)
def test_results_fit_exactly_when_the_rest_can_still_make_them_fit(
    results: list[EliteResult], to_come: int, most_a: Decimal | None, least_c: Decimal | None
) -> None:
    quota, members = Quota(most_a, least_c), len(results) + to_come
    at_best = results + [C] * to_come
    share_a, share_c = at_best.count(A) * 100, at_best.count(C) * 100
    kept = (most_a is None or share_a <= most_a * members) and (
        least_c is None or share_c >= least_c * members
    )
    assert fits(quota, results, members) is kept


@pytest.mark.rule("MO-063")
def test_weights_are_dated_figures() -> None:
    set_ = Rates([("cultivation_m", "HQ", first_day("2026-01"), D("0.5"))])
    growing = ElitePeriod.CULTIVATION
    assert weights(set_, growing, first_day("2025-12")) == Weights(D("0.6"), D("0.3"), D("0.1"))
    assert weights(set_, growing, first_day("2026-02")).m == D("0.5")
