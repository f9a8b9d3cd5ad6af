"""Fires schedules: enqueues their jobs at their local times, once, however many processes look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from crm_core.errors import ConfigurationError
from crm_core.jobs.enqueuing import declared, insert_unless_open, row_of
from crm_core.jobs.models import JobSchedule, QueuedJob
from crm_core.registry import CRON_FIELDS, Registry, Schedule
from crm_core.work import Services

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

PUNCTUAL: Final = timedelta(minutes=5)
"""How late a schedule that does not catch up may fire."""
_S = JobSchedule.__table__


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule in one line, or in none (empty), with the time zone its times are meant in."""

    schedule: Schedule
    line: str
    time_zone: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return self.schedule.name, self.line

    def after(self, moment: datetime) -> datetime:
        """The first time of the schedule after this moment, both UTC."""
        return next_slot(self.schedule.cron, self.time_zone, moment)


def entries(registry: Registry, zones: dict[str, str]) -> list[Entry]:
    """Every schedule in every line it fires for; `zones` are the time zones of the lines."""
    found: list[Entry] = []
    for owner, schedule in registry.schedules:
        lines = sorted(registry.lines_of(owner)) if schedule.each_line else [""]
        found += [Entry(schedule, line, zones.get(line, schedule.time_zone)) for line in lines]
    return found


def next_slot(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first moment (UTC) after another that a cron expression names in local time.

    An hour that summer time skips counts as the moment after it; one that comes twice counts once. Raises
    `ConfigurationError` for an expression that is none, or never comes.
    """
    zone = ZoneInfo(time_zone)
    try:
        for local in CronSim(_five(cron), after.astimezone(zone)):
            moment = local.astimezone(UTC)
            if moment > after:
                return moment
    except CronSimError as error:
        raise ConfigurationError(f"{cron} is no cron expression: {error} (定时表达式错误)") from None
    raise ConfigurationError(f"{cron} never comes (定时表达式永不触发)")


def last_slot(cron: str, time_zone: str, now: datetime) -> datetime | None:
    """The last moment (UTC) up to now that a cron expression names; None: there is none."""
    local = (now + timedelta(seconds=1)).replace(microsecond=0).astimezone(ZoneInfo(time_zone))
    for slot in CronSim(_five(cron), local, reverse=True):
        moment = slot.astimezone(UTC)
        if moment <= now:
            return moment
    return None


def _five(cron: str) -> str:
    if len(cron.split()) != CRON_FIELDS:
        raise CronSimError("five fields are expected")
    return cron


async def fire_due(services: Services) -> int:
    """Enqueue the jobs of every schedule whose time has come; how many were enqueued.

    Each is claimed by a conditional UPDATE in the transaction that enqueues the job. A schedule seen for the first
    time, or changed, waits for its next time. Raises `Fault` when the database is out of reach.
    """
    zones = {code: line.time_zone for code, line in services.settings.lines.items()}
    declared_ = entries(services.registry, zones)
    if not declared_:
        return 0
    now = services.clock()
    known = {(row.name, row.line): row for row in await states(services)}
    fresh = [entry for entry in declared_ if _changed(entry, known.get(entry.key))]
    due = [(e, known[e.key]) for e in declared_ if e not in fresh and known[e.key].next_at <= now]
    if not fresh and not due:
        return 0

    async def do(session: Unit) -> int:
        await _note(services, session, fresh, now)
        return sum([await _fire(services, session, entry, row, now) for entry, row in due])

    return await services.database.attempt(do)


async def states(services: Services) -> Sequence[Row[Any]]:
    """What is known of every schedule that was ever declared, by name and line."""
    return await services.database.fetch(select(_S).order_by(_S.c.name, _S.c.line))


def _changed(entry: Entry, row: Row[Any] | None) -> bool:
    return row is None or (row.cron, row.time_zone) != (entry.schedule.cron, entry.time_zone)


async def _note(services: Services, session: Unit, fresh: Iterable[Entry], now: datetime) -> None:
    dialect = postgresql if services.database.dialect == "postgresql" else sqlite
    for entry in fresh:
        changed = {"cron": entry.schedule.cron, "time_zone": entry.time_zone, "next_at": entry.after(now)}
        adding = dialect.insert(_S).values(name=entry.schedule.name, line=entry.line, **changed)
        there = (_S.c.cron != entry.schedule.cron) | (_S.c.time_zone != entry.time_zone)
        await session.execute(
            adding.on_conflict_do_update(index_elements=[_S.c.name, _S.c.line], set_=changed, where=there)
        )


async def _fire(services: Services, session: Unit, entry: Entry, row: Row[Any], now: datetime) -> int:
    schedule = entry.schedule
    slot = max(row.next_at, last_slot(schedule.cron, entry.time_zone, now) or row.next_at)
    mine = (_S.c.name == row.name) & (_S.c.line == row.line) & (_S.c.next_at == row.next_at)
    moved = update(_S).where(mine).values(next_at=entry.after(now), fired_at=slot).returning(_S.c.name)
    if (await session.execute(moved)).first() is None or not (schedule.catch_up or now - slot <= PUNCTUAL):
        return 0
    job = declared(services.registry, schedule.job)
    labels = {"schedule": schedule.name, "slot": slot.isoformat()}
    new = row_of(job, schedule.arguments, now=now, line=entry.line or None, labels=labels)
    if new["unique_key"] is None:
        await session.execute(insert(QueuedJob.__table__), [new])
        return 1
    return int(await insert_unless_open(session, services.database.dialect, new) == new["id"])
