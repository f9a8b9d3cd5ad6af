"""The same operations at ten times the rows, in one run: how much slower they become."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.reads import loading, report
from benchmarks.reads.logged import forget_logged
from benchmarks.reads.measuring import Figure, How, Measurement, bind_database, troubles
from benchmarks.reads.operations import DOCUMENTS, Variant, asker, variants
from benchmarks.reads.postgres import Server
from benchmarks.reads.servers import Contestant, all_running

TIMES: Final = 10
ACTORS: Final = ("admin", "team")


def growth(given: argparse.Namespace, server: Server, folder: Path) -> str:
    """A table of latencies at the base and at ten times as many rows; the base is a tenth of `--scale`."""
    names = given.contestants.split(",") if given.contestants else ["product", "floor"]
    operations = given.only.split(",") if given.only else list(DOCUMENTS)
    actors = [given.actor] if given.actor else list(ACTORS)
    small = loading.on_postgresql(server, folder, given.scale / TIMES)
    large = loading.on_postgresql(server, folder, given.scale)
    bind_database(server.process)
    how = How(given.seconds, given.warm_up, given.rounds, given.connections or 1)
    both = [Measurement(how, server.process) for _ in (small, large)]
    with all_running(names, small) as at_small, all_running(names, large) as at_large:
        sides = [
            (measurement, contestants, _plan(contestants[0], operations, actors))
            for measurement, contestants in zip(both, (at_small, at_large), strict=True)
        ]
        for _ in range(given.rounds):
            for key in sides[0][2]:
                for measurement, contestants, plan in sides:
                    measurement.round({key: plan[key]}, contestants)
    for deployment in (small, large):
        forget_logged(deployment)
    before, after = both[0].figures(), both[1].figures()
    for trouble in troubles([*before, *after]):
        print(f"ERRORS {trouble}")
    if given.json:
        report.write(given.json, report.as_json(after, base=[vars(one) for one in before]))
    return _table(before, after, given.scale)


def _plan(
    one: Contestant, operations: Sequence[str], actors: Sequence[str]
) -> dict[tuple[str, str], list[Variant]]:
    """What is asked of one deployment; reads first."""
    asked = one.deployment.asked
    return {
        (actor, operation): variants(operation, asked[actor], asker(one.port, asked[actor].token))
        for operation in sorted(operations, key=lambda name: (name == "M1", name))
        for actor in actors
    }


def _table(before: list[Figure], after: list[Figure], scale: float) -> str:
    known = {(one.operation, one.actor, one.contestant): one for one in before}
    rows: list[tuple[str, ...]] = [
        ("op", "actor", "contestant", "p50 ms before", "p50 ms after", "ratio p50", "p99 ms before",
         "p99 ms after", "ratio p99", "db ms before", "db ms after")
    ]  # fmt: skip
    for one in after:
        small = known[one.operation, one.actor, one.contestant]
        rows.append(
            (one.operation, one.actor, one.contestant, f"{small.p50:.2f}", f"{one.p50:.2f}",
             _ratio(one.p50, small.p50), f"{small.p99:.2f}", f"{one.p99:.2f}", _ratio(one.p99, small.p99),
             f"{small.database_cpu:.3f}", f"{one.database_cpu:.3f}")
        )  # fmt: skip
    return (
        f"{report.aligned(rows)}\n\nbefore: scale {scale / TIMES:g}, after: scale {scale:g}, one connection"
    )


def _ratio(after: float, before: float) -> str:
    """Nothing where no answer came in time."""
    return f"{after / before:.2f}" if before else ""
