"""Times the contestants: slices of load, interleaved in rounds, one contestant at a time."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.reads.client import children_of
from benchmarks.reads.operations import Variant, bodies
from benchmarks.reads.servers import DATABASE_CPU, ROOT, Contestant, bind

MILLI: Final = 1000.0


@dataclass(frozen=True)
class How:
    """How long, how often, over how many connections."""

    seconds: float = 3.0
    warm_up: float = 1.0
    rounds: int = 3
    connections: int = 16


@dataclass
class Slices:
    """What the slices of one contestant, operation and actor found."""

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)
    database_cpu: list[float] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""
    place: int = 0


@dataclass(frozen=True)
class Figure:
    """One line of the table: medians over the rounds; milliseconds, MiB."""

    operation: str
    actor: str
    contestant: str
    rate: float
    lowest: float
    highest: float
    p50: float
    p99: float
    server_cpu: float
    database_cpu: float
    bytes: float
    memory: float
    errors: int
    first_error: str
    others: float
    """Processors that something else kept busy meanwhile; distrust rates where it is high."""
    of_floor: float | None = None
    of_plain: float | None = None
    cpu_of_floor: float | None = None
    """The floor's processor time per request, server and database, over this one's; no neighbour distorts it much."""


Key = tuple[str, str, str]
Plan = Mapping[tuple[str, str], Sequence[Variant]]
"""Variants per actor and operation, in the order in which they are measured."""


class Measurement:
    """Slices as they are taken, and the figures they make."""

    def __init__(self, how: How, database: int | None) -> None:
        """`database`: the process of the PostgreSQL server, if there is one."""
        self.how = how
        self.database = database
        self.slices: dict[Key, Slices] = defaultdict(Slices)
        self.memory: dict[Key, float] = {}

    def round(self, plan: Plan, contestants: Sequence[Contestant]) -> None:
        """One slice of every operation, actor and contestant."""
        for (actor, operation), given in plan.items():
            for one in contestants:
                self._slice(one, actor, operation, given)

    def _slice(self, one: Contestant, actor: str, operation: str, given: Sequence[Variant]) -> None:
        key = (operation, actor, one.name)
        into = self.slices[key]
        path, requests = bodies(one.name, operation, given)
        found = load(
            {
                "port": one.port, "token": one.deployment.asked[actor].token, "path": path,
                "bodies": [request.decode() for request in requests], "start": into.place,
                "connections": self.how.connections, "warm_up": self.how.warm_up, "seconds": self.how.seconds,
                "server": one.process, "database": self.database,
            }
        )  # fmt: skip
        _note(into, found)
        self.memory[key] = one.memory()

    def figures(self) -> list[Figure]:
        """Medians, with ratios to the floor and to plain Strawberry where those ran."""
        found = []
        for (operation, actor, name), one in self.slices.items():
            rates = {other: self._rate(operation, actor, other) for other in ("floor", "plain")}
            rate = statistics.median(one.rates)
            cost = self._cost(operation, actor, name)
            floor_cost = self._cost(operation, actor, "floor")
            ratio = {other: rate / its if its else None for other, its in rates.items()}
            found.append(
                Figure(
                    operation, actor, name, rate, min(one.rates), max(one.rates), statistics.median(one.p50),
                    statistics.median(one.p99), statistics.median(one.server_cpu),
                    statistics.median(one.database_cpu), statistics.median(one.bytes),
                    self.memory[operation, actor, name], one.errors, one.first_error,
                    statistics.median(one.others), ratio["floor"], ratio["plain"],
                    floor_cost / cost if floor_cost and cost else None,
                )
            )  # fmt: skip
        return found

    def _cost(self, operation: str, actor: str, name: str) -> float:
        """Processor time per request of server and database, milliseconds; 0 if it did not run."""
        known = self.slices.get((operation, actor, name))
        return statistics.median(known.server_cpu) + statistics.median(known.database_cpu) if known else 0.0

    def _rate(self, operation: str, actor: str, name: str) -> float:
        known = self.slices.get((operation, actor, name))
        return statistics.median(known.rates) if known else 0.0


def _note(into: Slices, found: Mapping[str, Any]) -> None:
    latencies = sorted(found["latencies"])
    count = len(latencies)
    into.errors += found["errors"]
    into.first_error = into.first_error or found["first_error"]
    into.place = found["next"]
    into.rates.append(count / found["seconds"])
    into.p50.append(quantile(latencies, 0.50) * MILLI)
    into.p99.append(quantile(latencies, 0.99) * MILLI)
    into.server_cpu.append(found["server_cpu"] / max(count, 1) * MILLI)
    into.database_cpu.append(found["database_cpu"] / max(count, 1) * MILLI)
    into.others.append(found["others"])
    into.bytes.append(found["bytes"] / max(count, 1))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies; 0 where there is none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def load(given: Mapping[str, Any]) -> dict[str, Any]:
    """One slice by a client of its own process, beside the database."""
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.reads.client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    bind(client.pid, DATABASE_CPU)
    answer, _ = client.communicate(json.dumps(given).encode())
    if client.returncode:
        raise RuntimeError(f"the client ended with {client.returncode}")
    found: dict[str, Any] = json.loads(answer)
    return found


def bind_database(process: int) -> None:
    """Bind a PostgreSQL server and everything it started to its processor; later backends inherit it."""
    for one in (process, *children_of(process)):
        bind(one, DATABASE_CPU)


def troubles(figures: Iterable[Figure]) -> list[str]:
    """Errors met while measuring, in words."""
    return [
        f"{one.operation} {one.actor} {one.contestant}: {one.errors} errors, first: {one.first_error[:300]}"
        for one in figures
        if one.errors
    ]
