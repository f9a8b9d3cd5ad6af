"""How many jobs that do nothing a process runs in a second.

`python -m benchmarks.jobs` enqueues `--jobs` (5,000) on SQLite and on a PostgreSQL of its own, 100 in each transaction, and
measures: enqueueing them, the worker of a process running them over the table, and with `--nats` over a NATS server of
its own too (`nats-server` beside Python). It prints; it never fails on time.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.reads import postgres
from crm_core import migrate
from crm_core.db.session import open_database
from crm_core.errors import Json
from crm_core.jobs import worker
from crm_core.jobs.context import JobContext
from crm_core.jobs.enqueuing import row_of
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.registry import Job, Nothing
from crm_core.settings import LineSettings, Settings
from crm_core.work import Services

J: Final = QueuedJob.__table__
TOGETHER: Final = 100


async def nothing(_services: Services, _context: JobContext, _arguments: Nothing) -> Json:
    """Do nothing."""
    return None


NOTHING: Final = Job("bench.nothing", nothing)


def main() -> None:
    """Measure on both databases, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--at-once", type=int, default=50, help="jobs one process runs at the same time")
    parser.add_argument("--nats", action="store_true", help="over NATS too")
    given = parser.parse_args()
    logging.getLogger("taskiq").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="crm-jobs-") as folder:
        asyncio.run(measured(f"sqlite:///{folder}/crm.db", given.jobs, given.at_once, ""))
        Path(folder).chmod(0o755)  # the server may run under another account
        with postgres.running(Path(folder) / "postgres") as server:
            asyncio.run(created(server.url("postgres", "postgresql+asyncpg")))
            url = server.url("jobs")
            asyncio.run(measured(url, given.jobs, given.at_once, ""))
            if given.nats:
                with nats_server(Path(folder) / "nats") as address:
                    asyncio.run(measured(url, given.jobs, given.at_once, address))


async def created(url: str) -> None:
    """Make the database."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("CREATE DATABASE jobs"))
    await engine.dispose()


@contextmanager
def nats_server(folder: Path) -> Iterator[str]:
    """A NATS server of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(Path(sys.executable).with_name("nats-server"))
    arguments = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
    with subprocess.Popen(
        [program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        time.sleep(1)
        try:
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.kill()


async def measured(url: str, many: int, at_once: int, broker: str) -> None:
    """Enqueue and run on one database, and print both."""
    services = await deployed(url, at_once, broker)
    try:
        began = time.perf_counter()
        for _ in range(many // TOGETHER):
            rows = [row_of(NOTHING, None, now=services.clock()) for _ in range(TOGETHER)]
            async with services.database.transaction() as session:
                await session.execute(insert(J), rows)
        enqueued, began, used = time.perf_counter() - began, time.perf_counter(), time.process_time()
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(services, stop))
        await all_done(services)
        ran, used = time.perf_counter() - began, time.process_time() - used
        stop.set()
        await working
        over = "NATS" if broker else "the table"
        print(
            f"{services.database.dialect} over {over}: enqueued {many / enqueued:,.0f}/s,"
            f" ran {many / ran:,.0f}/s ({at_once} at once, {1000 * used / many:.2f} ms CPU each)"
        )
    finally:
        await services.database.dispose()


async def deployed(url: str, at_once: int, broker: str) -> Services:
    """A deployment with the one job, its database migrated and its queue empty."""
    settings = Settings(
        database_url=url, lines={"east": LineSettings()}, broker=broker, log_level="error",
        rooms={"jobs": {"at_once": at_once}},
    )  # fmt: skip
    registry = load(settings, ())
    await migrate.upgrade(settings, registry, datetime.now(UTC))
    registry = replace(registry, jobs={NOTHING.name: NOTHING}, schedules=())
    keyring = Keyring.parse(Keyring.generate_text(), Keyring.generate_index_text())
    services = Services(settings, registry, open_database(settings), keyring)
    async with services.database.transaction() as session:
        await session.execute(J.delete())
    return services


async def all_done(services: Services) -> None:
    """Wait until no job is open."""
    left = select(func.count()).select_from(J).where(J.c.state != JobState.DONE.value)
    while (await services.database.fetch(left))[0][0]:  # noqa: ASYNC110  # it may happen elsewhere
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
