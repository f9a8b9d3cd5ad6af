"""Commands under load while server and workers are killed at random; what arrives at a sink is compared with what was committed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx

from crm_core.testing.kit import INDEX_KEY, KEYS

CRM = [sys.executable, "-c", "from crm_core.cli import main; main()"]
ROOT = Path(__file__).parents[2]
CLIENTS = 6
PATIENCE = 120.0
"""Seconds in which a started server must answer."""
DRAINED = 300.0
"""Seconds in which everything must have arrived once the killing is over."""
_CONFIG = """database_url = "{url}"
keys = "{keys}"
index_key = "{index_key}"
log_level = "error"
chore_seconds = 5
[lines.east]
[webhooks]
allowed_networks = ["127.0.0.0/8"]
retry_seconds = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
timeout_seconds = 3
connect_seconds = 1
lease_seconds = 6
breaker_failures = 1000
"""
_CREATE = """mutation($key: String!, $name: String!) { customerCreate(line: "east", idempotencyKey: $key,
    input: { name: $name, kind: ORGANISATION }) { customer { id } userErrors { code message } } }"""
_UPDATE = """mutation($key: String!, $id: ID!, $city: String!) { customerUpdate(line: "east", idempotencyKey: $key,
    input: { id: $id, city: $city }) { customer { id } userErrors { code message } } }"""
_ENDPOINT = """mutation($name: String!, $url: String!, $ordered: WebhookOrder!) { webhookCreate(line: "east",
    input: { name: $name, url: $url, kinds: ["customer.*"], scopes: ["customer.read"], ordered: $ordered,
    allowPrivate: true }) { webhookEndpoint { id } userErrors { code message field } } }"""


@dataclass
class Outcome:
    """What came of a run; `arrivals` counts requests at the sink, `received` (endpoint, event) pairs."""

    kills: int
    commands: int
    unanswered: int
    sent: int
    received: int
    lost: int
    reordered: int
    duplicates: int
    differing: int
    strangers: int
    arrivals: int
    unkept: int
    seconds: float
    drained_in: float

    def line(self) -> str:
        """One line for people."""
        return (
            f"sent {self.sent} received {self.received} lost {self.lost} reordered {self.reordered} "
            f"duplicates {self.duplicates} (with other id or bytes {self.differing}) strangers {self.strangers} | "
            f"kills {self.kills} commands {self.commands} acknowledged but not kept {self.unkept} "
            f"arrivals {self.arrivals} in {self.seconds:.0f} s, drained in {self.drained_in:.0f} s"
        )

    @property
    def faultless(self) -> bool:
        """Whether nothing was lost, out of order, changed on the way, or acknowledged in vain."""
        wrong = (self.lost, self.reordered, self.differing, self.strangers, self.unkept, self.unanswered)
        return not any(wrong) and self.sent > 0


@dataclass
class Crew:
    """The processes of a deployment: a server and workers; each is killed and started again."""

    config: Path
    port: int
    workers: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start the server, or a worker."""
        words = ["serve", "--port", str(self.port)] if name == "server" else ["worker"]
        with (self.config.parent / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*CRM, "--config", str(self.config), *words],
                stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
                env={**os.environ, "PYTHONUTF8": "1"},
            )  # fmt: skip

    def start_all(self) -> None:
        """Start everything."""
        for name in ("server", *(f"worker {n}" for n in range(self.workers))):
            self.start(name)

    def kill(self, name: str) -> None:
        """SIGKILL it with all it has started, and start it again."""
        process = self.processes[name]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.start(name)

    def stop(self) -> None:
        """End everything."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Load:
    """Clients that create and change customers; each command is repeated with its key until it was answered."""

    url: str
    token: str
    chance: Random
    stopped: bool = False
    commands: int = 0
    unanswered: int = 0
    acknowledged: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Until stopped."""
        async with httpx.AsyncClient(
            timeout=10,
            headers={"authorization": f"Bearer {self.token}"},
            limits=httpx.Limits(max_connections=CLIENTS),
        ) as http:
            await asyncio.gather(*(self._client(http, number) for number in range(CLIENTS)))

    async def _client(self, http: httpx.AsyncClient, number: int) -> None:
        mine: list[str] = []
        turn = 0
        while not self.stopped:
            turn += 1
            key = f"{number}-{turn}"
            if not mine or self.chance.random() < 0.1:
                made = await self._done(http, "customerCreate", _CREATE, key=key, name=f"客户 {key}")
                mine += [made] if made else []
            else:
                one = self.chance.choice(mine[-5:])
                await self._done(http, "customerUpdate", _UPDATE, key=key, id=one, city=f"城市 {key}")

    async def _done(self, http: httpx.AsyncClient, mutation: str, text: str, **variables: Any) -> str | None:
        self.commands += 1
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                answer = await http.post(self.url, json={"query": text, "variables": variables})
                payload = answer.json()["data"][mutation] if answer.status_code == 200 else None
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                payload = None
            if payload is not None and payload["customer"] is not None:
                found: str = payload["customer"]["id"]
                self.acknowledged.add(found)
                return found
            await asyncio.sleep(0.1)
        self.unanswered += 1
        return None


@dataclass
class Run:
    """One run on one database."""

    folder: Path
    database_url: str
    seed: int = 0
    kills: int = 200
    workers: int = 2
    tell: Callable[[str], None] = print

    async def play(self) -> Outcome:
        """Kill, load, wait until everything has arrived, compare."""
        chance, port, sink_port = Random(self.seed), _free_port(), _free_port()
        config = self.folder / "crm.toml"
        config.write_text(_CONFIG.format(url=self.database_url, keys=KEYS, index_key=INDEX_KEY))
        self._crm(config, "db", "upgrade")
        self._crm(config, "users", "create", "alice", "--role", "administrator")
        found = re.search(r"TOKEN (\S+)", self._crm(config, "token", "create", "--user", "alice"))
        assert found, "no token"
        book = self.folder / "arrivals.jsonl"
        sink = subprocess.Popen(  # noqa: ASYNC220  # a moment, before anything begins
            [sys.executable, "-m", "tests.crash.sink", str(sink_port), str(book)], cwd=ROOT
        )
        crew = Crew(config, port, self.workers)
        try:
            crew.start_all()
            load = Load(f"http://127.0.0.1:{port}/graphql", found[1], chance)
            await _ready(port)
            await self._endpoints(load, sink_port)
            began = time.monotonic()
            loading = asyncio.create_task(load.run())
            await self._kill(crew, chance)
            await asyncio.sleep(1)
            load.stopped = True
            await loading
            seconds, drained = time.monotonic() - began, await self._drained()
        finally:
            crew.stop()
            sink.kill()
            sink.wait()
        return await self._compared(book, load, seconds, drained)

    def _crm(self, config: Path, *words: str) -> str:
        return subprocess.run(
            [*CRM, "--config", str(config), *words], capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout

    async def _endpoints(self, load: Load, sink_port: int) -> None:
        async with httpx.AsyncClient(timeout=30, headers={"authorization": f"Bearer {load.token}"}) as http:
            for name, ordered in (("ordered", "SUBJECT"), ("free", "NONE")):
                variables = {"name": name, "url": f"http://127.0.0.1:{sink_port}/{name}", "ordered": ordered}
                answer = (await http.post(load.url, json={"query": _ENDPOINT, "variables": variables})).json()
                assert answer["data"]["webhookCreate"]["webhookEndpoint"], answer

    async def _kill(self, crew: Crew, chance: Random) -> None:
        """At random moments, some right after the start; now and then everything at once."""
        names = list(crew.processes)
        for number in range(self.kills):
            await asyncio.sleep(chance.choice((0.05, 0.5, 1.5, 3.0, 5.0, 8.0)))
            for name in names if chance.random() < 0.05 else [chance.choice(names)]:
                crew.kill(name)
            if number % 25 == 24:
                self.tell(f"  {number + 1} kills, {await self._count('outbox_events')} events")

    async def _drained(self) -> float:
        """Seconds until every event has a position and no delivery waits."""
        began, quiet = time.monotonic(), 0
        while time.monotonic() - began < DRAINED:
            open_ = await self._count("outbox_events", "position IS NULL")
            open_ += await self._count("webhook_deliveries", "state = 'WAITING'")
            last = await self._rows("SELECT max(position) FROM outbox_events")
            cursor = await self._rows("SELECT position FROM feed_cursors WHERE receiver = 'webhooks'")
            quiet = quiet + 1 if not open_ and cursor and cursor[0][0] >= last[0][0] else 0
            if quiet > 2:
                break
            await asyncio.sleep(0.3)
        return time.monotonic() - began

    async def _compared(self, book: Path, load: Load, seconds: float, drained: float) -> Outcome:
        arrivals = [json.loads(line) for line in book.read_text().splitlines()]
        events = await self._rows(
            "SELECT id, subject_ref, position FROM outbox_events WHERE kind LIKE 'customer.%' ORDER BY position"
        )
        wanted = {(endpoint, _shown(row[0])) for row in events for endpoint in ("/ordered", "/free")}
        taken = {(one["endpoint"], one["event"]) for one in arrivals if one["status"] == 200}
        kept = {row[1] for row in events}
        return Outcome(
            kills=self.kills,
            commands=load.commands,
            unanswered=load.unanswered,
            sent=len(wanted),
            received=len(taken & wanted),
            lost=len(wanted - taken),
            reordered=_reordered(one for one in arrivals if one["endpoint"] == "/ordered"),
            duplicates=_duplicates(arrivals),
            differing=_differing(arrivals),
            strangers=len(taken - wanted),
            arrivals=len(arrivals),
            unkept=len(load.acknowledged - kept),
            seconds=seconds,
            drained_in=drained,
        )

    async def _count(self, table: str, where: str = "1 = 1") -> int:
        found = await self._rows(f"SELECT count(*) FROM {table} WHERE {where}")  # noqa: S608  # our own words
        return int(found[0][0])

    async def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        if self.database_url.startswith("sqlite"):
            with sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=30) as connection:
                return connection.execute(sql).fetchall()
        connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""))
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()


def _shown(key: Any) -> str:
    return f"evt_{key if isinstance(key, str) else key.hex}".replace("-", "")


def _reordered(arrivals: Iterable[dict[str, Any]]) -> int:
    """Arrivals of a record's event after one that came later in the feed and was taken, counted once per event."""
    highest: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    wrong = 0
    for one in arrivals:
        if one["event"] in seen:
            continue  # the same once more
        wrong += one["position"] < highest[one["subject"]]
        highest[one["subject"]] = max(highest[one["subject"]], one["position"])
        if one["status"] == 200:
            seen.add(one["event"])
    return wrong


def _duplicates(arrivals: Iterable[dict[str, Any]]) -> int:
    counts = Counter((one["endpoint"], one["event"]) for one in arrivals)
    return sum(count - 1 for count in counts.values())


def _differing(arrivals: Iterable[dict[str, Any]]) -> int:
    """Deliveries of one event to one endpoint that came with more than one id, or with other bytes."""
    seen: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for one in arrivals:
        seen[one["endpoint"], one["event"]].add((one["id"], one["digest"]))
    return sum(len(found) > 1 for found in seen.values())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _ready(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    async with httpx.AsyncClient() as http:
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise AssertionError("the server did not become ready")
