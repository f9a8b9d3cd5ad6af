"""Work done by the clock: once, whoever comes first; again after a crash; one failing keeps nobody from the others."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from crm_core import migrate
from crm_core.app import create_app
from crm_core.chores import GRACE, Chore, ChoreState, claim, run_due
from crm_core.cli import run
from crm_core.errors import ConfigurationError
from crm_core.loader import Candidate, load
from crm_core.logs import logger
from crm_core.settings import LineSettings, Settings
from crm_core.testing.kit import INDEX_KEY, KEYS, Kit
from crm_core.work import Services
from tests.loader.made import candidate, module

HOURLY = timedelta(hours=1)


def with_chores(crm: Kit, *chores: Chore) -> Services:
    """The deployment with these chores alone."""
    return replace(crm.services, registry=replace(crm.services.registry, chores=chores))


def counting(done: list[str], name: str = "count", every: timedelta = HOURLY) -> Chore:
    async def run(_services: Services) -> None:
        await asyncio.sleep(0.01)
        done.append(name)

    return Chore(name, every, run)


async def test_a_chore_is_run_when_due_and_again_after_its_period(crm: Kit) -> None:
    done: list[str] = []
    services = with_chores(crm, counting(done))
    assert await run_due(services, crm.clock()) == ["count"]
    assert await run_due(services, crm.clock()) == []
    crm.clock.advance(minutes=59)
    assert await run_due(services, crm.clock()) == []
    crm.clock.advance(minutes=1)
    assert await run_due(services, crm.clock()) == ["count"]
    assert done == ["count", "count"]


async def test_without_chores_the_database_is_left_alone(crm: Kit) -> None:
    with crm.statements() as sent:
        assert await run_due(with_chores(crm), crm.clock()) == []
    assert sent == []


async def test_looking_when_nothing_is_due_takes_one_reading_statement(crm: Kit) -> None:
    services = with_chores(crm, counting([]), counting([], "more"))
    await run_due(services, crm.clock())
    with crm.statements() as sent:
        await run_due(services, crm.clock())
    assert len(sent) == 1


async def test_of_many_at_once_one_runs_a_chore(crm: Kit) -> None:
    done: list[str] = []
    services = with_chores(crm, counting(done), counting(done, "other"))
    for _ in range(3):
        found = await asyncio.gather(*(run_due(services, crm.clock()) for _ in range(6)))
        assert sorted(name for names in found for name in names) == ["count", "other"]
        crm.clock.advance(hours=1)
    assert sorted(done) == ["count"] * 3 + ["other"] * 3


async def test_a_holder_that_crashed_is_overtaken_after_its_lease(crm: Kit) -> None:
    done: list[str] = []
    services = with_chores(crm, counting(done))
    assert [chore.name for chore in await claim(services, crm.clock())] == ["count"]
    crm.clock.advance(minutes=10)
    assert await run_due(services, crm.clock()) == []
    crm.clock.now += GRACE
    assert await run_due(services, crm.clock()) == ["count"]


async def test_one_who_comes_back_late_does_not_undo_what_followed(crm: Kit) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow(_services: Services) -> None:
        if not begun.is_set():
            begun.set()
            await gate.wait()

    services = with_chores(crm, Chore("slow", HOURLY, slow))
    late = asyncio.create_task(run_due(services, crm.clock()))
    await begun.wait()
    crm.clock.advance(minutes=11)
    assert await run_due(services, crm.clock()) == ["slow"]
    [after] = await crm.rows(ChoreState)
    gate.set()
    await late
    assert await crm.rows(ChoreState) == [after]
    assert after.next_at == crm.clock() + HOURLY


async def test_an_error_is_kept_and_logged_and_the_others_go_on(crm: Kit) -> None:
    done: list[str] = []
    failing = True

    async def fail(_services: Services) -> None:
        if failing:
            raise ValueError("no paper")

    log = io.StringIO()
    services = with_chores(crm, Chore("print", HOURLY, fail), counting(done))
    assert sorted(await run_due(services, crm.clock(), logger("info", log))) == ["count", "print"]
    assert done == ["count"]
    kept = {row.name: row.last_error for row in await crm.rows(ChoreState)}
    assert kept == {"count": None, "print": "ValueError: no paper"}
    [line] = [orjson.loads(text) for text in log.getvalue().splitlines()]
    assert (line["event"], line["chore"], line["level"]) == ("chore failed", "print", "error")
    failing = False
    crm.clock.advance(hours=1)
    await run_due(services, crm.clock())
    assert {row.last_error for row in await crm.rows(ChoreState)} == {None}


async def test_a_chore_is_cut_off_at_its_lease(crm: Kit) -> None:
    async def hang(_services: Services) -> None:
        await asyncio.sleep(60)

    services = with_chores(crm, Chore("hang", HOURLY, hang, lease=timedelta(milliseconds=20)))
    await run_due(services, crm.clock())
    [row] = await crm.rows(ChoreState)
    assert row.last_error.startswith("TimeoutError")
    assert (row.held_until, row.next_at) == (None, crm.clock() + HOURLY)


async def test_a_chore_stopped_on_the_way_is_due_at_once_for_the_next_process(crm: Kit) -> None:
    begun, done = asyncio.Event(), list[str]()

    async def wait(_services: Services) -> None:
        begun.set()
        await asyncio.sleep(60)

    stopped = asyncio.create_task(run_due(with_chores(crm, Chore("count", HOURLY, wait)), crm.clock()))
    await begun.wait()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert await run_due(with_chores(crm, counting(done)), crm.clock()) == ["count"]


def plugin(run: Callable[[Services], Awaitable[None]], every: timedelta = HOURLY) -> Sequence[Candidate]:
    return [candidate("clocked", module(crm_chores=lambda: [Chore("clocked.tick", every, run)]))]


def settings(folder: Path, seconds: float) -> Settings:
    return Settings(
        database_url=f"sqlite:///{folder}/crm.db",
        lines={"east": LineSettings(plugins=["clocked"])},
        keys=KEYS,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=INDEX_KEY,  # type: ignore[arg-type]
        chore_seconds=seconds,
    )


async def test_a_server_does_its_chores_while_it_lives(tmp_path: Path) -> None:
    ticks, twice = list[object](), asyncio.Event()

    async def tick(services: Services) -> None:
        ticks.append(services)
        if len(ticks) > 1:
            twice.set()

    given, plugins = settings(tmp_path, 0.02), plugin(tick, timedelta(microseconds=1))
    await migrate.upgrade(given, load(given, plugins))
    app = create_app(given, candidates=plugins, log=logger("error", io.StringIO()))
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(twice.wait(), 20)
        assert ticks[0] is app.state.house.services
    count = len(ticks)
    await asyncio.sleep(0.1)
    assert len(ticks) == count


async def test_a_period_of_0_switches_the_chores_of_a_server_off(tmp_path: Path) -> None:
    ticks: list[object] = []

    async def tick(services: Services) -> None:
        ticks.append(services)

    given, plugins = settings(tmp_path, 0), plugin(tick)
    await migrate.upgrade(given, load(given, plugins))
    app = create_app(given, candidates=plugins, log=logger("error", io.StringIO()))
    async with app.router.lifespan_context(app):
        await asyncio.sleep(0.1)
    assert ticks == []


def test_a_chore_of_a_known_name_keeps_its_plugin_out(tmp_path: Path) -> None:
    async def tick(_services: Services) -> None:
        pass

    twice = [Chore("clocked.tick", HOURLY, tick)] * 2
    registry = load(settings(tmp_path, 0), [candidate("clocked", module(crm_chores=lambda: twice))])
    assert "chore clocked.tick" in registry.plugins[0].reason


def test_the_period_is_not_negative() -> None:
    with pytest.raises((ConfigurationError, ValueError), match="chore_seconds"):
        Settings(chore_seconds=-1)


def test_chores_are_run_and_listed_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path}/crm.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n'
    )
    assert run(["--config", str(file), "db", "upgrade"]) == 0
    assert run(["--config", str(file), "chores", "run"]) == 0
    capsys.readouterr()
    assert run(["--config", str(file), "chores", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert all(": every " in line for line in shown)
