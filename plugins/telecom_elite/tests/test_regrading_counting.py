"""The counters of promotion and demotion: the examples of the rules, and an oracle that counts in another way."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_telecom_elite.appraisals.models import EliteResult
from crm_telecom_elite.months import later
from crm_telecom_elite.regrading.counting import Counts, Result, turns

HQ = Counts(in_a_row=2)
REGIONAL = Counts(in_a_row=3, in_window=3, window_quarters=2)


def of(letters: str, first: str = "2025-01", used: str = "") -> list[Result]:
    """Results of months from `first` on, one letter each; `-`: no appraisal; `used` marks by `x` those used up."""
    marks = used.ljust(len(letters))
    return [
        Result(later(first, n), later(first, n), EliteResult(letter), marks[n] == "x")
        for n, letter in enumerate(letters)
        if letter != "-"
    ]


def quarters(letters: str, used: str = "") -> list[Result]:
    marks = used.ljust(len(letters))
    names = [f"{2025 + n // 4}-Q{n % 4 + 1}" for n in range(len(letters))]
    return [
        Result(name, name, EliteResult(letter), marks[n] == "x")
        for n, (name, letter) in enumerate(zip(names, letters, strict=True))
        if letter != "-"
    ]


def moves(results: list[Result], counts: Counts) -> list[tuple[str, str]]:
    return [
        (turn.result.value, " ".join(one.key for one in turn.cause))
        for turn in turns(results, lambda _: counts)
    ]


@pytest.mark.rule("MO-055", "MO-056", "MO-065", "OT-117", "OT-120")
def test_two_quarters_a_in_a_row_move_up_and_two_c_down() -> None:
    assert moves(quarters("AA"), HQ) == [("A", "2025-Q1 2025-Q2")]
    assert moves(quarters("BCC"), HQ) == [("C", "2025-Q2 2025-Q3")]
    assert moves(quarters("ABA"), HQ) == []
    assert moves(quarters("ACAC"), HQ) == []


@pytest.mark.rule("MO-055")
def test_the_counter_begins_again_after_a_move() -> None:
    assert moves(quarters("AAA"), HQ) == [("A", "2025-Q1 2025-Q2")]
    assert len(moves(quarters("AAAA"), HQ)) == 2
    assert moves(quarters("AAA", used="xx"), HQ) == []


@pytest.mark.rule("MO-076", "OT-123")
def test_three_a_within_two_quarters_move_up_though_others_lie_between() -> None:
    assert moves(of("ABACA"), REGIONAL) == [("A", "2025-01 2025-03 2025-05")]
    assert moves(of("ABACAA"), REGIONAL) == [("A", "2025-01 2025-03 2025-05")]  # begins again


@pytest.mark.rule("MO-077", "OT-123")
def test_three_months_c_in_a_row_move_down() -> None:
    assert moves(of("CCC"), REGIONAL) == [("C", "2025-01 2025-02 2025-03")]
    assert moves(of("CCBC"), REGIONAL) == [("C", "2025-01 2025-02 2025-04")]


@pytest.mark.rule("MO-076")
def test_the_window_is_the_present_and_the_last_calendar_quarter() -> None:
    assert moves(of("BBABABA"), REGIONAL) == []  # March lies three quarters back in July
    assert moves(of("ABBABA"), REGIONAL) == [("A", "2025-01 2025-04 2025-06")]


@pytest.mark.rule("MO-076")
def test_a_month_without_appraisal_is_no_row_but_may_lie_in_the_window() -> None:
    only_row = Counts(in_a_row=3)
    assert moves(of("AA-A"), only_row) == []
    assert moves(of("AA-A"), REGIONAL) == [("A", "2025-01 2025-02 2025-04")]


@pytest.mark.rule("MO-055")
def test_a_quarter_without_appraisal_lies_between_two_results_in_a_row() -> None:
    assert moves(quarters("A-A"), HQ) == [("A", "2025-Q1 2025-Q3")]


def test_figures_are_those_of_the_period_that_completes_the_count() -> None:
    found = turns(of("AAA"), lambda period: Counts(2) if period < "2025-03" else Counts(3))
    assert [(turn.in_a_row, len(turn.cause)) for turn in found] == [(True, 2)]


# -- an oracle: months as one string, rows by a pattern, windows by month numbers


def expected(letters: str, used: list[bool], counts: Counts) -> list[tuple[str, tuple[int, ...]]]:
    """Moves of months numbered from 0 (a January): letter and numbers of the months that caused it."""
    gone, found = {n for n, mark in enumerate(used) if mark}, []
    for end, letter in enumerate(letters):
        if letter not in "AC" or end in gone:
            continue
        left = "".join("." if n in gone else one for n, one in enumerate(letters[: end + 1]))
        row = re.search(rf"{letter}{{{counts.in_a_row}}}$", left)
        opens = (end // 3 - counts.window_quarters + 1) * 3
        within = [n for n in range(max(opens, 0), end + 1) if left[n] == letter]
        if row:
            cause = tuple(range(row.start(), end + 1))
        elif 0 < counts.in_window <= len(within):
            cause = tuple(within[len(within) - counts.in_window :])
        else:
            continue
        gone.update(cause)
        found.append((letter, cause))
    return found


@pytest.mark.rule("MO-055", "MO-056", "MO-076", "MO-077")
@given(
    months=st.lists(st.tuples(st.sampled_from("AABCC-"), st.booleans() | st.just(False)), max_size=24),
    in_a_row=st.integers(1, 4),
    in_window=st.integers(0, 5),
    window_quarters=st.integers(1, 3),
)
def test_the_counter_agrees_with_the_oracle(
    months: list[tuple[str, bool]], in_a_row: int, in_window: int, window_quarters: int
) -> None:
    counts = Counts(in_a_row, in_window, window_quarters)
    letters, used = "".join(one for one, _ in months), [mark for _, mark in months]
    marks = "".join("x" if mark else " " for mark in used)
    wanted = [
        (letter, " ".join(later("2025-01", n) for n in cause))
        for letter, cause in expected(letters, used, counts)
    ]
    assert moves(of(letters, used=marks), counts) == wanted


@pytest.mark.rule("MO-055", "MO-076")
@given(letters=st.text("ABC", max_size=24), scheme=st.sampled_from([HQ, REGIONAL]))
def test_no_result_counts_for_two_moves_and_every_cause_is_of_one_letter(
    letters: str, scheme: Counts
) -> None:
    found = turns(quarters(letters) if scheme is HQ else of(letters), lambda _: scheme)
    causes = [one.key for turn in found for one in turn.cause]
    assert len(causes) == len(set(causes))
    assert all(one.result is turn.result for turn in found for one in turn.cause)
    assert all(a.cause[-1].period < b.cause[-1].period for a, b in pairwise(found))
