"""Which statements are planned for their values each time: decided by trials, few of them, and not by accidents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from crm_core.db.planning import GIVEN, REMEMBERED, SHARE, Planning, Trial
from crm_core.testing.kit import Kit

Takes = Callable[[int], tuple[float, float]]
"""How long execution `n` takes planned once, and planned each time."""


def executed(planning: Planning, takes: Takes, times: int, sql: str = "SELECT 1") -> tuple[float, float]:
    """Perform a statement so often, with the trials that are wanted; seconds of executions and of trials."""
    spent = tried = 0.0
    for number in range(times):
        once, each = takes(number)
        took = each if planning.each_time(sql) else once
        spent += took
        if planning.wants_trial(sql, took):
            planning.tried(sql, Trial(once, each), once + each)
            tried += once + each
    return spent, tried


def test_a_statement_that_is_slow_when_planned_once_is_planned_each_time() -> None:
    planning = Planning()
    executed(planning, lambda _: (0.005, 0.001), 100)
    assert planning.each_time("SELECT 1")


def test_a_statement_is_planned_once_where_planning_takes_most_of_the_time() -> None:
    planning = Planning()
    executed(planning, lambda _: (0.0003, 0.0012), 5_000)
    assert not planning.each_time("SELECT 1")


def test_a_slow_start_with_cold_caches_tells_nothing() -> None:
    """What is slow in both ways is no reason to plan each time."""
    planning = Planning()
    executed(planning, lambda n: (0.06 if n < 20 else 0.001, 0.06 if n < 20 else 0.0015), 200)
    assert not planning.each_time("SELECT 1")


@given(st.integers(0, 300), st.floats(0.001, 5))
def test_one_accident_changes_nothing(when: int, seconds: float) -> None:
    for accident in ((seconds, 0.001), (0.001, seconds)):
        planning = Planning()
        executed(planning, lambda n, odd=accident: odd if n == when else (0.001, 0.001), 400)  # type: ignore[misc]
        assert not planning.each_time("SELECT 1")


def test_rare_values_that_are_very_slow_are_noticed() -> None:
    planning = Planning()
    executed(planning, lambda n: (0.4, 0.005) if n % 50 == 49 else (0.001, 0.0015), 2_000)
    assert planning.each_time("SELECT 1")


def test_it_goes_back_when_data_has_changed() -> None:
    planning = Planning()
    executed(planning, lambda _: (0.005, 0.001), 100)
    assert planning.each_time("SELECT 1")
    executed(planning, lambda _: (0.001, 0.003), 5_000)
    assert not planning.each_time("SELECT 1")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.0001, 2), st.floats(0.0001, 2)), min_size=1, max_size=50))
def test_trials_take_their_share_and_no_more(pairs: list[tuple[float, float]]) -> None:
    """A trial gives up in time: none may take more than was saved up."""
    planning = Planning()

    def takes(number: int) -> tuple[float, float]:
        once, each = pairs[number % len(pairs)]
        most = planning.patience(each if planning.each_time("SELECT 1") else once)
        return min(once, most), min(each, most)

    spent, tried = executed(planning, takes, 500)
    assert tried <= GIVEN + SHARE * spent + 1e-6


def test_only_so_many_statements_are_remembered() -> None:
    planning = Planning()
    executed(planning, lambda _: (0.005, 0.001), 100, "SELECT 'first'")
    for number in range(REMEMBERED):
        executed(planning, lambda _: (0.001, 0.001), 1, f"SELECT {number}")
    assert not planning.each_time("SELECT 'first'")


MODE = """
    SELECT to_json(current_setting('plan_cache_mode')
      || pg_sleep(CASE current_setting('plan_cache_mode') WHEN 'auto' THEN $1::float ELSE $2::float END)::text)
"""


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_server_finds_out_that_planning_each_time_is_faster(crm: Kit) -> None:
    assert await crm.database.answer(MODE, [0.02, 0.001]) == b'"auto"'
    for _ in range(1_000):
        if await crm.database.answer(MODE, [0.02, 0.001]) == b'"force_custom_plan"':
            return
    pytest.fail("it never changed")


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_what_is_slow_is_not_tried_over_and_over(crm: Kit) -> None:
    """All that a trial takes counts, also when nothing came of it."""
    sleeps = "SELECT to_json(nextval('tried') || pg_sleep($1::float)::text)"
    async with crm.database.connection() as connection:
        await connection.execute(text("CREATE SEQUENCE tried"))
    for _ in range(6):
        await crm.database.answer(sleeps, [0.3])
    await asyncio.sleep(4)
    assert int((await crm.database.answer(sleeps, [0.0])).strip(b'"')) <= 7 + 10


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_server_stays_with_planning_once_where_that_is_faster(crm: Kit) -> None:
    for _ in range(60):
        assert await crm.database.answer(MODE, [0.001, 0.02]) == b'"auto"'
