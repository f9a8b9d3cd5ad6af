"""Schedules: at local times, once, whoever looks; what was missed is made up for once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import ConfigurationError
from crm_core.jobs.running import work_off
from crm_core.jobs.scheduling import fire_due, last_slot, next_slot, states
from crm_core.registry import Schedule
from crm_core.settings import LineSettings
from crm_core.testing.kit import Kit
from crm_core.work import Services
from tests.jobs.job_kit import Notes, rows, with_jobs

MORNINGS = Schedule("mornings", "0 9 * * *", "note", {"what": "morning"})
SHANGHAI, BERLIN, NEW_YORK = "Asia/Shanghai", "Europe/Berlin", "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%m-%d %H:%M}"


def slots(cron: str, zone: str, after: str, many: int) -> list[str]:
    """The next slots, local."""
    moment, found = at(after), []
    for _ in range(many):
        moment = next_slot(cron, zone, moment)
        found.append(local(moment, zone))
    return found


def test_a_slot_is_a_local_time() -> None:
    assert next_slot("0 9 * * *", SHANGHAI, at("2025-11-03T00:59:59")) == at("2025-11-03T01:00:00")
    assert next_slot("0 9 * * *", SHANGHAI, at("2025-11-03T01:00:00")) == at("2025-11-04T01:00:00")
    assert slots("30 8 * * 1-5", SHANGHAI, "2025-11-06T12:00:00", 3) == [
        "11-07 08:30",
        "11-10 08:30",
        "11-11 08:30",
    ]


def test_an_hour_that_summer_time_skips_is_not_missed() -> None:
    found = slots("30 2 * * *", BERLIN, "2025-03-29T00:00:00", 3)
    assert found == ["03-29 02:30", "03-30 03:00", "03-31 02:30"]


def test_an_hour_that_comes_twice_counts_once() -> None:
    assert slots("30 2 * * *", BERLIN, "2025-10-25T12:00:00", 2) == ["10-26 02:30", "10-27 02:30"]
    assert slots("30 1 * * *", NEW_YORK, "2025-11-01T12:00:00", 2) == ["11-02 01:30", "11-03 01:30"]
    between = next_slot("30 2 * * *", BERLIN, at("2025-10-26T01:10:00"))  # the second 02:10
    assert local(between, BERLIN) == "10-27 02:30"


def test_minutes_and_hours_that_are_counted_go_on_through_both() -> None:
    moment, found = at("2025-10-25T22:00:00"), []
    for _ in range(6):
        moment = next_slot("0 * * * *", BERLIN, moment)
        found.append(moment)
    assert [later - earlier for earlier, later in pairwise(found)] == [timedelta(hours=1)] * 5


@given(
    st.sampled_from(
        ["*/7 * * * *", "0 9 * * 1-5", "30 2 * * *", "15 1,2,3 * * *", "0 0 31 * *", "5 4 L * *"]
    ),
    st.sampled_from([SHANGHAI, BERLIN, NEW_YORK, "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 3 * 366 * 86_400),
)
def test_the_next_slot_is_later_and_the_last_one_is_not(cron: str, zone: str, seconds: int) -> None:
    now = at("2024-01-01T00:00:00") + timedelta(seconds=seconds)
    following = next_slot(cron, zone, now)
    assert following > now
    last = last_slot(cron, zone, now)
    assert last is not None
    assert last <= now


def test_what_is_no_cron_expression_is_said(crm_dialect: str) -> None:
    for wrong in ("0 9 * *", "* * * * * *", "0 25 * * *", "every morning", ""):
        with pytest.raises(ConfigurationError):
            next_slot(wrong, SHANGHAI, at("2025-11-03T00:00:00"))


async def test_a_schedule_enqueues_its_job_at_its_time(crm: Kit) -> None:
    notes = Notes()
    services = with_jobs(crm, notes.job(), schedules=[MORNINGS])  # now it is ten o'clock
    assert await fire_due(services) == 0
    crm.clock.advance(hours=22, minutes=59)
    assert await fire_due(services) == 0
    crm.clock.advance(minutes=1)
    assert await fire_due(services) == 1
    assert await fire_due(services) == 0
    await work_off(services)
    assert notes.done == ["morning"]
    assert notes.contexts[0].slot == crm.clock()
    assert (await notes.contexts[0].actor()).is_system
    [state] = await states(services)
    assert (state.fired_at, state.next_at) == (crm.clock(), crm.clock() + timedelta(days=1))


async def test_of_many_that_look_at_once_one_fires(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job(), schedules=[MORNINGS])
    assert sum(await asyncio.gather(*(fire_due(services) for _ in range(6)))) == 0
    for day in range(1, 4):
        crm.clock.advance(days=1)
        assert sum(await asyncio.gather(*(fire_due(services) for _ in range(6)))) == 1
        assert len(await rows(crm)) == day


async def test_what_was_missed_is_made_up_for_once_with_the_last_moment(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job(), schedules=[MORNINGS])
    await fire_due(services)
    crm.clock.advance(days=400, minutes=30)
    assert await fire_due(services) == 1
    [state] = await states(services)
    assert state.fired_at == crm.clock() - timedelta(hours=1, minutes=30)
    assert state.next_at == crm.clock() + timedelta(hours=22, minutes=30)


async def test_a_schedule_that_does_not_catch_up_lets_missed_times_pass(crm: Kit) -> None:
    punctual = Schedule("punctual", "0 9 * * *", "note", {"what": "now"}, catch_up=False)
    services = with_jobs(crm, Notes().job(), schedules=[punctual])
    await fire_due(services)
    crm.clock.advance(days=3)
    assert await fire_due(services) == 0
    crm.clock.advance(hours=23, minutes=4)
    assert await fire_due(services) == 1


async def test_a_schedule_that_changed_waits_for_its_next_time(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job(), schedules=[MORNINGS])
    await fire_due(services)
    evenings = Schedule("mornings", "0 18 * * *", "note", {"what": "evening"})
    services = with_jobs(crm, Notes().job(), schedules=[evenings])
    assert await fire_due(services) == 0
    crm.clock.advance(hours=8)
    assert await fire_due(services) == 1


async def test_each_line_has_its_own_morning(crm: Kit) -> None:
    each = Schedule("each", "0 9 * * *", "note", {"what": "morning"}, each_line=True)
    services: Services = with_jobs(crm, Notes().job(), schedules=[each])
    west = LineSettings(name="west", time_zone=BERLIN)
    services.settings.lines["west"] = west
    try:
        await fire_due(services)
        crm.clock.now = at("2025-11-03T08:00:00")
        assert await fire_due(services) == 1
        crm.clock.now = at("2025-11-04T01:00:00")
        assert await fire_due(services) == 1
    finally:
        services.settings.lines["west"] = LineSettings(name="west")
    assert [(found.line, found.requester_id) for found in await rows(crm)] == [("west", None), ("east", None)]


async def test_a_schedule_does_not_pile_up_a_job_that_is_open(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job(unique=lambda about: about.what), schedules=[MORNINGS])
    await fire_due(services)
    crm.clock.advance(days=1)
    assert await fire_due(services) == 1
    crm.clock.advance(days=1)
    assert await fire_due(services) == 0
    assert len(await rows(crm)) == 1
