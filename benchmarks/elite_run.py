"""Computes, reviews, closes and files a month's pay run of elite teams with more and more users; prints seconds and memory.

`python -m benchmarks.elite_run --users 100000 200000 400000` (24 months of receipts each) on PostgreSQL; `--sqlite` on
SQLite. A team has 8 members, a member 1,562 users.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.elite_receipts import FIRST, LINE, MONTHS, NOW, Holder, address, deployment, fill, holders
from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor, system
from crm_core.commands import Options
from crm_core.jobs.models import QueuedJob
from crm_core.jobs.running import work_off
from crm_core.work import Services, perform
from crm_telecom_elite.ladder.models import ElitePost, EliteStandard, EliteStep
from crm_telecom_elite.members.models import EliteMember, ElitePosting, EliteTerm
from crm_telecom_elite.months import later
from crm_telecom_elite.runs.models import (
    EliteDistribution,
    EliteRun,
    EliteShare,
    EliteStatement,
    EliteStatementFile,
)

SIZE, USERS_OF_TEAM = 8, 12_500
MONTH = later(FIRST, MONTHS // 2)


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = datetime(2025, 12, 1, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The moment shown."""
        return self.now


async def staff(connection: AsyncConnection, teams: Sequence[Holder]) -> list[Holder]:
    """Members of each team on package 2, with a signed distribution of the month."""
    step = (await connection.execute(select(EliteStep.__table__.c.id).limit(1))).scalar_one()
    post = (await connection.execute(select(ElitePost.__table__.c.id).limit(1))).scalar_one()
    standard = {"step_id": step, "valid_from": date(2024, 1, 1), "salary": 400_000, "bonus": 150_000}
    await connection.execute(insert(EliteStandard), [{"id": ids.uuid7(), "created_at": NOW, **standard}])
    members = [replace(team, member_id=ids.uuid7()) for team in teams for _ in range(SIZE)]
    aggregate = {"created_at": NOW, "updated_at": NOW, "version": 1, "line": LINE}
    since = {"created_at": NOW, "valid_from": date(2024, 1, 1)}
    await connection.execute(insert(EliteMember), [
        {**aggregate, "id": one.member_id, "team_id": one.team_id, "elite_team_id": one.elite_team_id, "post_id": post,
         "name": f"member {n}", "staff_number": "", "origin": "DIRECT_SALES", "channel": "DIRECT_SALES",
         "state": "REGULAR", "entered_on": date(2024, 1, 1)}
        for n, one in enumerate(members)
    ])  # fmt: skip
    await connection.execute(insert(ElitePosting), [
        {**since, "id": ids.uuid7(), "member_id": one.member_id, "elite_team_id": one.elite_team_id, "post_id": post,
         "step_id": step, "reason": "ENTRY"}
        for one in members
    ])  # fmt: skip
    await connection.execute(insert(EliteTerm), [
        {**since, "id": ids.uuid7(), "member_id": one.member_id, "package": "PACKAGE_2", "rule": "MO-038"}
        for one in members
    ])  # fmt: skip
    await _divide(connection, teams, members, aggregate)
    return members


async def _divide(
    connection: AsyncConnection,
    teams: Sequence[Holder],
    members: Sequence[Holder],
    aggregate: Mapping[str, Any],
) -> None:
    made = {team.elite_team_id: ids.uuid7() for team in teams}
    await connection.execute(insert(EliteDistribution), [
        {**aggregate, "id": made[team.elite_team_id], "elite_team_id": team.elite_team_id, "team_id": team.team_id,
         "month": MONTH, "state": "APPROVED", "remark": ""}
        for team in teams
    ])  # fmt: skip
    weight = Decimal(100) / SIZE
    await connection.execute(insert(EliteShare), [
        {"id": ids.uuid7(), "created_at": NOW, "line": LINE, "distribution_id": made[one.elite_team_id],
         "member_id": one.member_id, "weight": weight}
        for one in members
    ])  # fmt: skip


async def hired(services: Services, role: str) -> Actor:
    """Somebody with a role of the line."""
    robot = system((LINE,))
    made, _ = await perform(services, robot, "user.create", {"login": role, "name": role}, Options())
    user = made.ids[0]
    await perform(services, robot, "role.grant", {"user_id": user, "role": role, "line": LINE}, Options())
    return await actor_of(services.database.fetch, services.registry, user)


class Stages:
    """Performs commands of a run and tells how long each took."""

    def __init__(self, services: Services, clock: Clock) -> None:
        """Of this deployment."""
        self.services, self.clock = services, clock
        self.taken: dict[str, float] = {}

    async def do(self, name: str, actor: Actor, kind: str, **body: Any) -> UUID:
        """Perform a command and the jobs it asks for."""
        started = time.perf_counter()
        outcome, _ = await perform(self.services, actor, kind, body, Options(line=LINE))
        assert not outcome.errors, outcome.errors
        await work_off(self.services)
        self.taken[name] = time.perf_counter() - started
        failed = select(QueuedJob.__table__.c.last_error).where(QueuedJob.__table__.c.last_error.is_not(None))
        errors = await self.services.database.fetch(failed)
        assert not errors, errors
        return outcome.ids[0]


async def measure(services: Services, users: int, clock: Clock) -> None:
    """A branch of so many users, and one run of it."""
    started = time.perf_counter()
    async with services.database.writes.connect() as connection:
        teams = await holders(connection, LINE, users // USERS_OF_TEAM)
        members = await staff(connection, teams)
        await fill(connection, LINE, users, FIRST, MONTHS, members)
        await connection.commit()
    if services.database.dialect == "postgresql":
        async with services.database.reads.connect() as connection:
            await connection.exec_driver_sql("VACUUM ANALYZE")
    filled, before = time.perf_counter() - started, _peak()
    stages = Stages(services, clock)
    hr, finance = await hired(services, "elite_hr"), await hired(services, "elite_finance")
    run = await stages.do("open", hr, "elite_run.open", month=MONTH)
    await stages.do("compute", hr, "elite_run.compute", id=run)
    await stages.do("review", hr, "elite_run.review", id=run)
    clock.now += timedelta(days=15)
    await stages.do("confirm", hr, "elite_run.confirm", id=run)
    await stages.do("approve", finance, "elite_run.approve", id=run)
    await stages.do("close", hr, "elite_run.close", id=run)
    await _tell(services, users, filled, before, stages.taken)


async def _tell(
    services: Services, users: int, filled: float, before: int, taken: Mapping[str, float]
) -> None:
    fetch = services.database.fetch
    run = (await fetch(select(EliteRun.__table__)))[0]
    statements = await fetch(select(EliteStatement.__table__.c.payable))
    files = await fetch(select(EliteStatementFile.__table__.c.size))
    assert sum(row.payable for row in statements) == run.total
    told = "  ".join(f"{name} {seconds:7.2f} s" for name, seconds in taken.items() if seconds >= 0.005)  # noqa: PLR2004  # shown as zero
    print(
        f"{users:>8} users  {users * MONTHS:>9} receipts  {run.members:>4} members  {len(files)} files  "
        f"{run.total / 100:.2f} yuan  filled in {filled:6.1f} s  {told}  peak {before} → {_peak()} MB"
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def main(given: argparse.Namespace) -> None:
    """Measure each number of users in a database of its own."""
    for users in given.users:
        with tempfile.TemporaryDirectory() as scratch:
            folder, clock = Path(scratch), Clock()
            with address(sqlite=given.sqlite, folder=folder) as url:
                async with deployment(url, folder) as services:
                    await measure(replace(services, clock=clock), users, clock)


if __name__ == "__main__":
    os.nice(10)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=[100_000, 200_000, 400_000])
    parser.add_argument("--sqlite", action="store_true")
    asyncio.run(main(parser.parse_args()))
