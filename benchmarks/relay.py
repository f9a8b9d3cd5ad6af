"""How fast events are numbered and taken in, and that 1,000,000 numbered ones do not slow it.

`python -m benchmarks.relay` makes `--rows` numbered events (1,000,000) on SQLite and on a PostgreSQL of its own, then
records `--events` more (20,000) and measures: numbering them, one receiver taking them in, a look that finds nothing,
and a page of the feed of one kind in the middle; each with none and with all the rows before. It prints; it never fails
on time, and ends with 1 where the unnumbered events are not found through their index.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.reads import postgres
from crm_core import ids, migrate
from crm_core.db.session import open_database
from crm_core.db.unit import Unit
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.loop import work_off
from crm_core.outbox.models import FeedCursor, FeedState, OutboxEvent
from crm_core.outbox.relay import is_behind, last_position, number
from crm_core.registry import Receiver
from crm_core.settings import LineSettings, Settings
from crm_core.work import Services

E: Final = OutboxEvent.__table__
CHUNK: Final = 1_000
LOOKS: Final = 200
_COLUMNS: Final = (
    "id, created_at, position, kind, schema_version, subject_type, subject_id, subject_ref, sequence, ordinal, line,"
    " actor_name, occurred_at, changed_fields, data"
)
_ROWS: Final = {
    "postgresql": """
        INSERT INTO outbox_events (COLUMNS)
        SELECT key, now(), n, CASE WHEN n % 100 = 0 THEN 'customer.tagged' ELSE 'customer.updated' END, 1, 'Customer', key,
            'cus_' || replace(key::text, '-', ''), 1, 0, 'east', 'bench', now(), '[]', '{}'
        FROM (SELECT n, (lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS key
              FROM generate_series(CAST(:first AS bigint), :last) AS n) AS made
    """,
    "sqlite": """
        INSERT INTO outbox_events (COLUMNS)
        WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
        SELECT key, '2025-11-03 02:00:00', n, CASE WHEN n % 100 = 0 THEN 'customer.tagged' ELSE 'customer.updated' END, 1,
            'Customer', key, 'cus_' || key, 1, 0, 'east', 'bench', '2025-11-03 02:00:00', '[]', '{}'
        FROM (SELECT n, printf('%012x', 1700000000000 + n) || '70008000' || printf('%012x', n) AS key FROM numbers)
    """,
}


def main() -> None:
    """Measure on both databases, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="numbered events that stand there already"
    )
    parser.add_argument("--events", type=int, default=20_000, help="events to number and take in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crm-relay-") as folder:
        Path(folder).chmod(0o755)  # the server may run under another account
        found = asyncio.run(_measured(f"sqlite:///{folder}/crm.db", given.rows, given.events))
        with postgres.running(Path(folder) / "postgres") as server:
            asyncio.run(_created(server.url("postgres", "postgresql+asyncpg")))
            found &= asyncio.run(_measured(server.url("relay"), given.rows, given.events))
    sys.exit(0 if found else 1)


async def _created(url: str) -> None:

    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("CREATE DATABASE relay"))
    await engine.dispose()


async def _measured(url: str, rows: int, events: int) -> bool:
    key = Keyring.generate_text(), Keyring.generate_index_text()
    settings = Settings(database_url=url, lines={"east": LineSettings()}, keys=key[0], index_key=key[1])  # type: ignore[arg-type]  # pydantic makes the secrets
    registry = load(settings, ())
    taken: list[int] = []

    async def receive(_services: Services, _session: Unit, some: Sequence[RecordedEvent]) -> None:
        taken.append(len(some))

    await migrate.upgrade(settings, registry, datetime.now(UTC))
    database = open_database(settings)
    one = replace(registry, receivers=(Receiver("bench", receive),))
    services = Services(settings, one, database, Keyring.parse(*key))
    await work_off(services)
    try:
        for before in (0, rows):
            await _filled(services, before)
            await _run(services, before, events, taken)
        return await _is_indexed(services)
    finally:
        await database.dispose()


async def _filled(services: Services, rows: int) -> None:
    first = await last_position(services) + 1
    if rows == 0:
        return
    async with services.database.transaction() as session:
        await session.execute(
            text(_ROWS[services.database.dialect].replace("COLUMNS", _COLUMNS)),
            {"first": first, "last": first + rows - 1},
        )
        await session.execute(update(FeedState).values(position=first + rows - 1))
        await session.execute(update(FeedCursor).values(position=first + rows - 1))
    async with services.database.transaction() as session:
        await session.execute(text("ANALYZE"))
    settling = "PRAGMA wal_checkpoint(TRUNCATE)" if services.database.dialect == "sqlite" else "CHECKPOINT"
    async with services.database.connection() as connection:  # what the filling left to do is no part of it
        await connection.exec_driver_sql(settling)


async def _run(services: Services, before: int, events: int, taken: list[int]) -> None:
    await _recorded(services, events)
    begun, steps = time.perf_counter(), []
    while await is_behind(services):
        step = time.perf_counter()
        await number(services)
        steps.append(time.perf_counter() - step)
    numbering = time.perf_counter() - begun
    taken.clear()
    begun = time.perf_counter()
    await work_off(services)
    feeding = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(LOOKS):
        await is_behind(services)
    looking = (time.perf_counter() - begun) / LOOKS
    page = await _page(services, before // 2)
    print(
        f"{services.database.dialect:10} {before:>9,} before: {events / numbering:>8,.0f} numbered/s"
        f" (batch of 1,000: median {median(steps) * 1000:.0f} ms, longest {max(steps) * 1000:.0f} ms), {sum(taken) / feeding:>8,.0f} taken in/s,"
        f" idle look {looking * 1000:.2f} ms, page of 100 of one kind {page * 1000:.2f} ms"
    )


async def _recorded(services: Services, events: int) -> None:
    now = services.clock()
    for _ in range(events // CHUNK):
        rows = []
        for _ in range(CHUNK):
            key = ids.uuid7()
            rows.append(
                {
                    "id": key, "created_at": now, "kind": "customer.updated", "schema_version": 1,
                    "subject_type": "Customer", "subject_id": key, "subject_ref": ids.show("cus", key),
                    "sequence": 1, "ordinal": 0, "line": "east", "actor_name": "bench", "occurred_at": now,
                    "changed_fields": [], "data": {},
                }
            )  # fmt: skip
        async with services.database.transaction() as session:
            await session.execute(insert(E), rows)


async def _page(services: Services, after: int) -> float:
    """Seconds for a page of a rare kind behind a position."""
    wanted = select(E).where(E.c.position > after, E.c.kind.in_(["customer.tagged"])).order_by(E.c.position)
    await services.database.fetch(wanted.limit(100))
    begun = time.perf_counter()
    await services.database.fetch(wanted.limit(100))
    return time.perf_counter() - begun


async def _is_indexed(services: Services) -> bool:
    dialect = services.database.dialect
    explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "
    by = "INDEXED BY ix_outbox_events_unnumbered " if dialect == "sqlite" else ""  # as the relay says
    head = f"SELECT id FROM outbox_events {by}WHERE position IS NULL ORDER BY id LIMIT 1000"  # noqa: S608  # our own words
    rows = await services.database.fetch(text(explain + head))
    found = any("ix_outbox_events_unnumbered" in str(row) for row in rows)
    print(f"{dialect:10} unnumbered events are {'' if found else 'NOT '}found through their index")
    return found


if __name__ == "__main__":
    main()
