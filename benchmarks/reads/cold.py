"""Time from the start of the process to the first answer, and of the first execution of each document."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Final

from benchmarks.reads.loading import Deployment
from benchmarks.reads.operations import DOCUMENTS, Variant, asker, bodies, post, variants
from benchmarks.reads.report import aligned
from benchmarks.reads.servers import Contestant, running

MILLI: Final = 1000.0
AGAIN: Final = 5


def cold(given: argparse.Namespace, deployment: Deployment) -> str:
    """Per start: seconds to the first answer; per document: first, second and later executions, milliseconds."""
    actors = [given.actor] if given.actor else list(deployment.asked)
    starts: list[float] = []
    found: dict[tuple[str, str], list[list[float]]] = {}
    plan: dict[tuple[str, str], list[Variant]] = {}
    for _ in range(given.rounds):
        began = time.perf_counter()
        with running("product", deployment) as one:
            asker(one.port, deployment.asked["admin"].token)("{ __typename }", {})
            starts.append(time.perf_counter() - began)
            for actor in actors:
                for operation in [name for name in DOCUMENTS if name != "M1"]:
                    key = (operation, actor)
                    if key not in plan:  # its cursors are read by documents of their own
                        asked = deployment.asked[actor]
                        plan[key] = variants(operation, asked, asker(one.port, asked.token))[: AGAIN + 2]
                    found.setdefault(key, []).append(_times(one, actor, operation, plan[key]))
    rows = [("op", "actor", "", "first ms", "second ms", "later ms", "first - later")]
    for (operation, actor), runs in found.items():
        first, second, later = (statistics.median(column) for column in zip(*runs, strict=True))
        shown = [f"{value:.2f}" for value in (first, second, later, first - later)]
        rows.append((operation, actor, "", *shown))  # type: ignore[arg-type]
    started = f"start of `crm serve` to the first answer: {statistics.median(starts):.2f} s"
    return f"{aligned(rows)}\n\n{started} (of {given.rounds}: {', '.join(f'{one:.2f}' for one in starts)})"


def _times(one: Contestant, actor: str, operation: str, given: list[Variant]) -> list[float]:
    path, requests = bodies("product", operation, given)
    token = one.deployment.asked[actor].token
    times = []
    for request in requests:
        began = time.perf_counter()
        post(one.port, token, path, request)
        times.append((time.perf_counter() - began) * MILLI)
    return [times[0], times[min(1, len(times) - 1)], statistics.median(times[2:] or times)]
