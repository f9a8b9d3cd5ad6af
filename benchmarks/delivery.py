"""How fast committed events reach a receiver of webhooks, beside a plain loop that posts the same bytes.

`python -m benchmarks.delivery` starts a PostgreSQL of its own (and uses a file of SQLite), a receiver and one or two
`crm worker`, each a process of its own, and commits `--events` (10,000) events, 100 in each transaction. It measures:

* throughput, from the first commit to the last arrival, and CPU of workers and database per delivery;
* lag, from the commit to the arrival, at a steady rate;
* a plain asyncio and aiohttp loop that posts the same bytes with the same signatures, before and after;
* the others' lag while one endpoint answers after 10 s;
* the latency of a command with 1,000,000 deliveries waiting (PostgreSQL), and how the claim is carried out.

It prints, and writes `--json FILE`; it never fails on time. `--scale 0.1` takes a tenth of everything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID

import aiohttp
import asyncpg
import uvloop
from aiohttp import web
from sqlalchemy import func, insert, select, text
from sqlalchemy.event import listen, remove
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.reads import postgres
from crm_core import ids, migrate
from crm_core.actors import system
from crm_core.commands import Options
from crm_core.db.session import open_database
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.outbox.loop import work_off
from crm_core.outbox.models import OutboxEvent
from crm_core.settings import LineSettings, Settings
from crm_core.webhooks import queries
from crm_core.webhooks.models import WebhookDelivery, WebhookEndpoint
from crm_core.webhooks.signing import headers_for
from crm_core.work import Services, perform

LINE: Final = "east"
TOGETHER: Final = 100
AT_ONCE: Final = 16
PATIENCE: Final = 300.0
WAITING: Final = 1_000_000
COMMANDS: Final = 200
SLOW_SECONDS: Final = 10.0
STEADY: Final = (200, 6.0)
"""Events per second, and for how many seconds, while lag is measured."""
_CRM: Final = [sys.executable, "-c", "from crm_core.cli import main; main()"]
_TICK: Final = os.sysconf("SC_CLK_TCK")


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--scale", type=float, default=1.0, help="share of events and of waiting deliveries")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one database alone")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--skip", nargs="*", default=[], choices=("slow", "waiting"))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--sink", nargs=2, metavar=("PORT", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure on both databases, print."""
    given = arguments()
    if given.sink is not None:
        port, file = given.sink
        uvloop.run(_receive(int(port), Path(file)))
        return
    found: dict[str, Any] = {"load": os.getloadavg(), "cores": os.cpu_count()}
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="crm-delivery-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's own account goes through it
        if given.only != "postgresql":
            for workers in given.workers:
                url = f"sqlite:///{folder}/crm{workers}.db"
                found |= uvloop.run(_measured(given, folder, url, None, workers))
        if given.only != "sqlite":
            with postgres.running(folder / "postgres") as server:
                for workers in given.workers:
                    uvloop.run(_created(server, f"crm{workers}"))
                    url = server.url(f"crm{workers}")
                    found |= uvloop.run(_measured(given, folder, url, server.process, workers))
    print(f"load after {os.getloadavg()[0]:.1f}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


async def _created(server: postgres.Server, name: str) -> None:
    engine = create_async_engine(server.url("postgres", "postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()


# -- the receiver


async def _receive(port: int, file: Path) -> None:
    """Answer at once, or under `/slow` after 10 s; note each arrival: path, id, moment (s, of the machine)."""
    book = file.open("a", encoding="utf-8")

    async def take(request: web.Request) -> web.Response:
        await request.read()
        book.write(f"{request.path} {request.headers['webhook-id']} {time.monotonic()}\n")
        if request.path == "/slow":
            await asyncio.sleep(SLOW_SECONDS)
        return web.Response()

    async def seen(_request: web.Request) -> web.Response:
        book.flush()
        return web.Response()

    made = web.Application()
    made.router.add_get("/seen", seen)
    made.router.add_post("/{endpoint}", take)
    runner = web.AppRunner(made, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Sink:
    """The receiver in its process."""

    port: int
    file: Path

    async def arrivals(self, path: str) -> Mapping[str, float]:
        """When each event came for the first time."""
        async with aiohttp.ClientSession() as http:
            (await http.get(f"http://127.0.0.1:{self.port}/seen")).release()
        came: dict[str, float] = {}
        for line in await asyncio.to_thread(lambda: self.file.read_text(encoding="utf-8").splitlines()):
            where, event, moment = line.split(" ")
            if where == path:
                came.setdefault(event, float(moment))
        return came


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _sink(folder: Path) -> AsyncIterator[Sink]:
    sink = Sink(_free_port(), folder / f"arrivals{time.monotonic_ns()}")
    command = [sys.executable, "-m", "benchmarks.delivery", "--sink", str(sink.port), str(sink.file)]
    with subprocess.Popen(command) as process:  # noqa: ASYNC220  # a moment, before anything is measured
        try:
            for _ in range(300):
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", sink.port)
                    writer.close()
                    break
                await asyncio.sleep(0.1)
            yield sink
        finally:
            process.kill()


# -- the deployment


@dataclass
class House:
    """A deployment whose workers are processes of their own."""

    services: Services
    config: Path
    sink: Sink
    postmaster: int | None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @contextmanager
    def working(self, many: int) -> Iterator[None]:
        """So many workers, as long as the block lasts."""
        command = [*_CRM, "--config", str(self.config), "worker"]
        self.workers = [subprocess.Popen(command) for _ in range(many)]
        try:
            yield
        finally:
            for worker in self.workers:
                worker.kill()
                worker.wait()

    def used(self) -> tuple[float, float]:
        """CPU seconds of the workers, and of the database's processes, by now."""
        return sum(_used(worker.pid) for worker in self.workers), _used_by_all(self.postmaster)

    async def endpoint(self, path: str, *, state: str = "ACTIVE") -> UUID:
        """A new endpoint at the receiver."""
        body = {
            "name": path, "url": f"http://127.0.0.1:{self.sink.port}{path}", "scopes": ["customer.read"],
            "allow_private": True, "concurrency": AT_ONCE,
        }  # fmt: skip
        outcome, _ = await perform(self.services, system((LINE,)), "webhook.create", body, Options(line=LINE))
        if outcome.errors:
            raise SystemExit(f"{outcome.errors}")
        async with self.services.database.transaction() as session:
            await session.execute(
                WebhookEndpoint.__table__.update()
                .where(WebhookEndpoint.__table__.c.id == outcome.ids[0])
                .values(state=state)
            )
        return outcome.ids[0]

    async def commit(self, many: int, per_second: float | None = None) -> dict[str, float]:
        """Record events, 100 (or fewer, at a rate) in each transaction; when each was committed."""
        size = TOGETHER if per_second is None else max(1, round(per_second / 50))
        committed: dict[str, float] = {}
        began = time.monotonic()
        for start in range(0, many, size):
            if per_second is not None:
                await asyncio.sleep(began + start / per_second - time.monotonic())
            rows = [_event() for _ in range(min(size, many - start))]
            async with self.services.database.transaction() as session:
                await session.execute(insert(OutboxEvent.__table__), rows)
            now = time.monotonic()
            committed |= {ids.show("evt", row["id"]): now for row in rows}
        return committed

    async def came(self, path: str, wanted: Iterable[str]) -> Mapping[str, float]:
        """When all of these had arrived."""
        missing, deadline = set(wanted), time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            arrivals = await self.sink.arrivals(path)
            missing -= arrivals.keys()
            if not missing:
                return arrivals
            await asyncio.sleep(0.3)
        raise SystemExit(f"{len(missing)} events did not arrive at {path} within {PATIENCE:.0f} s")


def _event() -> dict[str, Any]:
    subject, now = ids.uuid7(), datetime.now(UTC)
    return {
        "id": ids.uuid7(), "created_at": now, "kind": "customer.updated", "schema_version": 1,
        "subject_type": "Customer", "subject_id": subject, "subject_ref": ids.show("cus", subject), "sequence": 2,
        "ordinal": 0, "line": LINE, "actor_name": "bench", "occurred_at": now,
        "before": {"name": "华信贸易有限公司", "city": "广州"}, "after": {"name": "华信汽车贸易有限公司", "city": "深圳"},
        "changed_fields": ["name", "city"], "data": {},
    }  # fmt: skip


def _used(process: int) -> float:
    """CPU seconds of a process and of those of its children that ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(word) for word in words[11:15]) / _TICK


def _used_by_all(parent: int | None) -> float:
    """CPU seconds of a server and its processes."""
    if parent is None:
        return 0.0
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return _used(parent) + sum(_used(int(child)) for child in children)


@asynccontextmanager
async def _deployed(folder: Path, url: str, postmaster: int | None) -> AsyncIterator[House]:
    keys, index_key = Keyring.generate_text(), Keyring.generate_index_text()
    config = folder / "crm.toml"
    config.write_text(
        f'database_url = "{url}"\nkeys = "{keys}"\nindex_key = "{index_key}"\nlog_level = "error"\n'
        f'[lines.{LINE}]\n[webhooks]\nallowed_networks = ["127.0.0.0/8"]\ntimeout_seconds = 20\n',
        encoding="utf-8",
    )
    settings = Settings(
        database_url=url, lines={LINE: LineSettings()}, log_level="error",
        keys=keys, index_key=index_key,  # type: ignore[arg-type]  # pydantic makes the secrets
        rooms={"webhooks": {"allowed_networks": ["127.0.0.0/8"]}},
    )  # fmt: skip
    registry = load(settings, ())
    await migrate.upgrade(settings, registry, datetime.now(UTC))
    services = Services(settings, registry, open_database(settings), Keyring.parse(keys, index_key))
    async with _sink(folder) as sink:
        try:
            await work_off(services)
            yield House(services, config, sink, postmaster)
        finally:
            await services.database.dispose()


# -- measuring


async def _measured(
    given: argparse.Namespace, folder: Path, url: str, postmaster: int | None, workers: int
) -> dict[str, Any]:
    async with _deployed(folder, url, postmaster) as house:
        endpoint = await house.endpoint("/hook")
        dialect, many = house.services.database.dialect, max(500, round(given.events * given.scale))
        name = f"{dialect}, {workers} worker{'s' if workers > 1 else ''}"
        figures: dict[str, Any] = {}
        with house.working(workers):
            await house.came("/hook", await house.commit(200))  # all are awake, caches are filled
            figures["throughput"] = await _throughput(house, many)
            figures["lag"] = await _lag(house)
            if "slow" not in given.skip and workers == 1:
                figures["beside a slow one"] = await _beside_a_slow_one(house)
        posts = await _sent(house, endpoint, many)
        plain = [await _plain_loop(house.sink, posts) for _ in range(2)]
        figures["plain loop"] = max(plain, key=lambda one: one["per second"])
        figures["ratio"] = figures["throughput"]["per second"] / figures["plain loop"]["per second"]
        if "waiting" not in given.skip and workers == 1 and dialect == "postgresql":
            figures["waiting"] = await _many_waiting(house, round(WAITING * given.scale))
    _tell(name, figures)
    return {name: figures}


async def _throughput(house: House, many: int) -> dict[str, float]:
    workers, database = house.used()
    committed = await house.commit(many)
    arrivals = await house.came("/hook", committed)
    await _settled(house)
    seconds = max(arrivals[one] for one in committed) - min(committed.values())
    workers, database = house.used()[0] - workers, house.used()[1] - database
    return {
        "deliveries": many, "per second": many / seconds, "worker ms": 1000 * workers / many,
        "database ms": 1000 * database / many,
    }  # fmt: skip


async def _settled(house: House) -> None:
    """Wait until every outcome is written down."""
    delivery = WebhookDelivery.__table__
    left = select(func.count()).where(delivery.c.state == "WAITING", delivery.c.endpoint_id.is_not(None))
    while (await house.services.database.fetch(left))[0][0]:  # noqa: ASYNC110  # it happens elsewhere
        await asyncio.sleep(0.1)


async def _lag(house: House) -> dict[str, float]:
    """Milliseconds from commit to arrival at a steady rate."""
    per_second, seconds = STEADY
    committed = await house.commit(round(per_second * seconds), per_second)
    arrivals = await house.came("/hook", committed)
    lags = sorted(1000 * (arrivals[one] - committed[one]) for one in committed)
    return {"per second": per_second, "p50 ms": median(lags), "p99 ms": lags[len(lags) * 99 // 100]}


async def _beside_a_slow_one(house: House) -> dict[str, float]:
    await house.endpoint("/slow")
    return await _lag(house)


async def _sent(house: House, endpoint: UUID, many: int) -> Sequence[tuple[str, bytes]]:
    delivery = WebhookDelivery.__table__
    wanted = (
        select(delivery.c.event_id, delivery.c.body)
        .where(delivery.c.endpoint_id == endpoint, delivery.c.body.is_not(None))
        .order_by(delivery.c.id)
        .limit(many)
    )
    return [(ids.show("evt", row.event_id), row.body) for row in await house.services.database.fetch(wanted)]


async def _plain_loop(sink: Sink, posts: Sequence[tuple[str, bytes]]) -> dict[str, float]:
    """What posting alone costs: the same bytes, signed alike, as many requests at the same time."""
    secret, left = "whsec_" + "A" * 44, iter(posts)

    async def one(http: aiohttp.ClientSession) -> None:
        for event, body in left:
            headers = {"content-type": "application/json"}
            headers |= headers_for(event, datetime.now(UTC), body, [secret])
            async with http.post(f"http://127.0.0.1:{sink.port}/plain", data=body, headers=headers) as answer:
                await answer.read()

    async with aiohttp.ClientSession() as http:
        began, used = time.monotonic(), time.process_time()
        await asyncio.gather(*(one(http) for _ in range(AT_ONCE)))
        seconds, used = time.monotonic() - began, time.process_time() - used
    return {"per second": len(posts) / seconds, "ms": 1000 * used / len(posts)}


# -- many waiting


async def _many_waiting(house: House, many: int) -> dict[str, Any]:
    """Latency of a command before and with many deliveries waiting, due, for an endpoint; the plan of the claim."""
    before = await _command_ms(house)
    endpoint = await house.endpoint("/never")
    await _wait_for(house, endpoint, many)
    after = await _command_ms(house)
    plans = await _plans(house, endpoint)
    return {"deliveries": many, "command ms before": before, "command ms with them": after, "plans": plans}


async def _command_ms(house: House) -> float:
    took = []
    for number in range(COMMANDS + 20):
        began = time.perf_counter()
        body = {"name": f"客户 {number}", "kind": "PERSON"}
        await perform(house.services, system((LINE,)), "customer.create", body, Options(line=LINE))
        took.append(1000 * (time.perf_counter() - began))
    return median(took[20:])


async def _wait_for(house: House, endpoint: UUID, many: int) -> None:
    """Rows as the receiver writes them, each an hour late."""
    made = f"""
        INSERT INTO webhook_deliveries (id, created_at, updated_at, version, endpoint_id, line, event_id, position, kind,
            subject_ref, occurred_at, state, attempts, next_at)
        SELECT gen_random_uuid(), now(), now(), 1, '{endpoint}', '{LINE}', gen_random_uuid(), g, 'customer.updated',
            'cus_' || g, now(), 'WAITING', 0, now() - interval '1 hour' FROM generate_series(1, {many}) AS g"""  # noqa: S608
    connection = await asyncpg.connect(str(house.services.settings.database_url), command_timeout=600)
    try:
        await connection.execute(made)
        await connection.execute("VACUUM ANALYZE webhook_deliveries")
    finally:
        await connection.close()


async def _plans(house: House, endpoint: UUID) -> list[str]:
    now = datetime.now(UTC)
    return [
        await _plan(house, queries.endpoints_due().params(now=now)),
        await _plan(house, queries.due(endpoint, now, 500)),
    ]


async def _plan(house: House, statement: Any) -> str:
    """How PostgreSQL carries out a statement, with the values it is sent with."""
    engine = house.services.database.writes.sync_engine
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _k: Any, words: str, values: Any, *_more: Any) -> None:
        sent.append((words, values))

    async with house.services.database.transaction() as session:
        listen(engine, "before_cursor_execute", note)
        await session.execute(statement)
        remove(engine, "before_cursor_execute", note)
        words, values = sent[-1]
        connection = await session.connection()
        rows = (await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {words}", values)).all()
    return "\n".join(row[0] for row in rows)


# -- telling


def _tell(name: str, figures: Mapping[str, Any]) -> None:
    done, lag, plain = figures["throughput"], figures["lag"], figures["plain loop"]
    print(
        f"{name}: {done['per second']:,.0f} deliveries/s, CPU per delivery: workers {done['worker ms']:.2f} ms,"
        f" database {done['database ms']:.2f} ms"
    )
    print(
        f"  plain loop: {plain['per second']:,.0f}/s, CPU {plain['ms']:.2f} ms; ratio {figures['ratio']:.2f}"
    )
    print(f"  lag at {lag['per second']}/s: p50 {lag['p50 ms']:.0f} ms, p99 {lag['p99 ms']:.0f} ms")
    if slow := figures.get("beside a slow one"):
        print(
            f"  beside an endpoint that answers after {SLOW_SECONDS:.0f} s: p50 {slow['p50 ms']:.0f} ms,"
            f" p99 {slow['p99 ms']:.0f} ms"
        )
    if many := figures.get("waiting"):
        print(
            f"  a command: {many['command ms before']:.2f} ms, with {many['deliveries']:,} deliveries waiting"
            f" {many['command ms with them']:.2f} ms"
        )
        for plan in many["plans"]:
            print("\n".join(f"    {line}" for line in plan.splitlines()))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
