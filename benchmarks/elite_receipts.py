"""Adds up the receipts of one month for the pay of elite teams, with more and more users; prints seconds and rows.

`python -m benchmarks.elite_receipts --users 100000 200000 400000` (24 months of receipts each) on PostgreSQL;
`--sqlite` on SQLite. `--import-rows 200000` measures instead how fast a file of receipts is recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_core import ids, migrate, papers
from crm_core.access.models import Team
from crm_core.actors import system
from crm_core.app import spare_the_collector
from crm_core.commands import Options
from crm_core.db.session import open_database
from crm_core.jobs.running import work_off
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.settings import LineSettings, Settings
from crm_core.testing import postgres
from crm_core.work import Services, perform
from crm_telecom_elite.months import first_day, later, months_between
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.receipts.earning import Earned, earned
from crm_telecom_elite.receipts.models import EliteReceiptBatch
from crm_telecom_elite.teams.models import EliteTeam

LINE, FIRST, MONTHS, TEAMS = "elite", "2024-01", 24, 8
NOW = datetime(2025, 11, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has users: a team of the elite, its team of the line, a member and his account."""

    elite_team_id: UUID
    team_id: UUID
    member_id: UUID | None = None
    owner_id: UUID | None = None


async def fill(
    connection: AsyncConnection,
    line: str,
    users: int,
    first_month: str,
    months: int,
    holders: Sequence[Holder],
) -> None:
    """Make up users and their receipts, one each month, from `first_month` on; the holders have them in turn.

    Users were activated in the twelve months up to the first one, so that with time more and more of them are past
    their eighteenth. Numbers are `U00000001` …, amounts 50.00 to 249.99 yuan. Receipts are in the pay of their month.
    """
    sql = _Sql(connection.dialect.name)
    batch = ids.uuid7()
    made = {"id": batch, "created_at": NOW, "updated_at": NOW, "version": 1, "line": line, "reference": batch.hex,
            "source": "API", "state": "DONE", "rows": 0, "recorded": 0, "known": 0, "refused": 0, "amount": 0,
            "problems": []}  # fmt: skip
    await connection.execute(insert(EliteReceiptBatch), [made])
    await connection.execute(text(sql.users(line, users, first_month, holders)))
    await connection.execute(text(sql.assignments(users, holders)))
    for number in range(months):
        month = later(first_month, number)
        await connection.execute(text(sql.receipts(line, users, month, batch)))


@dataclass(frozen=True, slots=True)
class _Sql:
    """The statements that make rows, in the words of a database."""

    dialect: str

    @property
    def _lite(self) -> bool:
        return self.dialect == "sqlite"

    def _series(self, many: int) -> str:
        if not self._lite:
            return f"(SELECT generate_series(0, {many - 1}) AS n) s"
        return f"(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {many - 1}) SELECT n FROM c) s"  # noqa: S608  # numbers only

    def _id(self, prefix: str, number: str) -> str:
        """An id that sorts by the number, as ids do that were made one after the other."""
        head = f"0193{prefix}700080000"
        if self._lite:
            return f"'{head}' || printf('%015x', {number})"
        return f"('{head}' || lpad(to_hex(({number})::bigint), 15, '0'))::uuid"

    def _uuid(self, key: UUID | None) -> str:
        if key is None:
            return "NULL" if self._lite else "NULL::uuid"
        return f"'{key.hex}'" if self._lite else f"'{key}'::uuid"

    def _moment(self) -> str:
        return f"'{NOW:%Y-%m-%d %H:%M:%S}.000000'" if self._lite else f"'{NOW.isoformat()}'::timestamptz"

    def _day(self, start: date, months: str, days: str) -> str:
        if self._lite:
            return f"date('{start}', '-' || ({months}) || ' months', '+' || ({days}) || ' days')"
        return f"(date '{start}' - make_interval(months => ({months})::int) + make_interval(days => ({days})::int))::date"

    def _month(self, start: date, months: str) -> str:
        day = self._day(start, months, "0")
        return f"substr({day}, 1, 7)" if self._lite else f"to_char({day}, 'YYYY-MM')"

    def _choose(self, values: Sequence[str]) -> str:
        cases = " ".join(f"WHEN {place} THEN {value}" for place, value in enumerate(values))
        return f"CASE s.n % {len(values)} {cases} END"

    def _number(self) -> str:
        return "'U' || printf('%08d', s.n)" if self._lite else "'U' || lpad(s.n::text, 8, '0')"

    def users(self, line: str, many: int, first_month: str, holders: Sequence[Holder]) -> str:
        """Users."""
        start, true_, false_ = first_day(first_month), *(("1", "0") if self._lite else ("true", "false"))
        values = {
            "id": self._id("0001", "s.n"), "created_at": self._moment(), "updated_at": self._moment(), "version": "1",
            "line": f"'{line}'", "number": self._number(),
            "member_id": self._choose([self._uuid(one.member_id) for one in holders]),
            "owner_id": self._choose([self._uuid(one.owner_id) for one in holders]),
            "team_id": self._choose([self._uuid(one.team_id) for one in holders]),
            "activated_on": self._day(start, "s.n % 12", "s.n % 28"),
            "first_month": self._month(start, "s.n % 12"), "last_month": self._month(start, "s.n % 12 - 17"),
            "group_user": true_, "legacy": false_,
        }  # fmt: skip
        if self._lite:  # its dates take no sign twice
            values["last_month"] = f"substr(date('{start}', (17 - s.n % 12) || ' months'), 1, 7)"
        return self._insert("telecom_elite_users", values, self._series(many))

    def assignments(self, many: int, holders: Sequence[Holder]) -> str:
        """Each user's only one."""
        values = {
            "id": self._id("0002", "s.n"), "created_at": self._moment(), "user_id": self._id("0001", "s.n"),
            "elite_team_id": self._choose([self._uuid(one.elite_team_id) for one in holders]),
            "member_id": self._choose([self._uuid(one.member_id) for one in holders]),
            "valid_from": "'2000-01-01'" if self._lite else "date '2000-01-01'",
        }  # fmt: skip
        return self._insert("telecom_elite_assignments", values, self._series(many))

    def receipts(self, line: str, many: int, month: str, batch: UUID) -> str:
        """One of each user in a month."""
        first = months_between("2000-01", month) * 100_000_000
        day = (
            f"'{month}-' || printf('%02d', s.n % 28 + 1)"
            if self._lite
            else f"date '{month}-01' + (s.n % 28)::int"
        )
        number = f"'{month}-' || s.n" if self._lite else f"'{month}-' || s.n::text"
        values = {
            "id": self._id("0003", f"{first} + s.n"), "created_at": self._moment(), "line": f"'{line}'",
            "number": number, "user_id": self._id("0001", "s.n"), "bill_month": f"'{month}'", "received_on": day,
            "amount": "5000 + s.n * 37 % 20000", "earned_on": day, "pay_month": f"'{month}'",
            "batch_id": self._uuid(batch),
        }  # fmt: skip
        return self._insert("telecom_elite_receipts", values, self._series(many))

    def _insert(self, table: str, values: dict[str, str], source: str) -> str:
        return f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {source}"  # noqa: S608  # our own words


# -- the measurement


async def holders(connection: AsyncConnection, line: str, many: int) -> list[Holder]:
    """New teams of the elite, every fourth of the headquarters."""
    made = [Holder(ids.uuid7(), ids.uuid7()) for _ in range(many)]
    common = {"created_at": NOW, "updated_at": NOW, "version": 1, "line": line}
    teams = [{**common, "id": one.team_id, "name": f"team {n}"} for n, one in enumerate(made)]
    await connection.execute(insert(Team), teams)
    elite = [
        {**common, "id": one.elite_team_id, "team_id": one.team_id, "name": f"team {n}",
         "kind": "REGIONAL" if n % 4 else "HQ", "region": ""}
        for n, one in enumerate(made)
    ]  # fmt: skip
    await connection.execute(insert(EliteTeam), elite)
    return made


@contextmanager
def address(*, sqlite: bool, folder: Path) -> Iterator[str]:
    """A fresh database."""
    if sqlite:
        yield f"sqlite:///{folder / 'crm.db'}"
        return
    with postgres.start() as server:
        yield server.create_database("elite")


@asynccontextmanager
async def deployment(url: str, folder: Path) -> AsyncIterator[Services]:
    """A deployment of one line with the plugin."""
    settings = Settings(
        database_url=url,
        lines={LINE: LineSettings(plugins=["telecom_elite"])},
        keys=Keyring.generate_text(),  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=Keyring.generate_index_text(),  # type: ignore[arg-type]
        store=folder / "store",
    )
    registry = load(settings)
    await migrate.upgrade(settings, registry)
    keyring = Keyring.parse(settings.keys.get_secret_value(), settings.index_key.get_secret_value())
    services = Services(settings, registry, open_database(settings), keyring)
    try:
        yield services
    finally:
        await services.database.dispose()


async def adding_up(services: Services, users: int) -> None:
    """Fill, then add up the last month three times."""
    started = time.perf_counter()
    async with services.database.writes.connect() as connection:
        await fill(connection, LINE, users, FIRST, MONTHS, await holders(connection, LINE, TEAMS))
        await connection.commit()
    if services.database.dialect == "postgresql":
        async with services.database.reads.connect() as connection:
            await connection.exec_driver_sql("VACUUM ANALYZE")
    filled, month, taken = time.perf_counter() - started, later(FIRST, MONTHS // 2), []
    found: list[Earned] = []
    for _ in range(3):
        started = time.perf_counter()
        async with services.database.transaction() as session:
            found = await earned(session, LINE, month, Rates())
        taken.append(time.perf_counter() - started)
    total = sum(one.amount for one in found)
    print(
        f"{users:>8} users  {users * MONTHS:>9} receipts  filled in {filled:6.1f} s  "
        f"added up in {min(taken):6.3f} s ({len(found)} rows, {total / 100:.2f} yuan)"
    )


async def importing(services: Services, rows: int, folder: Path) -> None:
    """Record a file of receipts of 50,000 users by the job that does it."""
    users = min(rows, 50_000)
    async with services.database.writes.connect() as connection:
        await fill(connection, LINE, users, FIRST, 0, await holders(connection, LINE, TEAMS))
        await connection.commit()
    file = folder / "receipts.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["流水号", "用户号码", "账期", "收款日期", "金额"])
        for n in range(rows):
            writer.writerow(
                [f"R{n:010}", f"U{n * 7919 % users:08}", "2025-10", f"2025-10-{n % 28 + 1:02}", "88.80"]
            )
    paper = papers.keep(services.store, file.read_bytes(), NOW)
    given = {"path": paper.path, "title": "receipts.csv", "media_type": "text/csv"}
    robot = system((LINE,))
    outcome, _ = await perform(services, robot, "elite_receipts.import", given, Options(line=LINE))
    assert not outcome.errors, outcome.errors
    spare_the_collector()  # as a worker does
    started, busy = time.perf_counter(), time.process_time()
    await work_off(services)
    taken, busy = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{rows:>8} receipts recorded in {taken:6.1f} s: {rows / taken:8.0f} a second; {busy:.1f} s of it in Python; peak {peak} MB"
    )


async def main(given: argparse.Namespace) -> None:
    """Measure what was asked for, each in a database of its own."""
    for many in [given.import_rows] if given.import_rows else given.users:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with address(sqlite=given.sqlite, folder=folder) as url:
                async with deployment(url, folder) as services:
                    if given.import_rows:
                        await importing(services, many, folder)
                    else:
                        await adding_up(services, many)


if __name__ == "__main__":
    os.nice(10)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=[100_000, 200_000, 400_000])
    parser.add_argument("--import-rows", type=int, default=0)
    parser.add_argument("--sqlite", action="store_true")
    asyncio.run(main(parser.parse_args()))
