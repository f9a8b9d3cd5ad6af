"""Prints the figures as tables, and writes them as JSON."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.reads.measuring import Figure
from benchmarks.reads.operations import TITLES

_HEAD: Final = (
    "op", "actor", "contestant", "req/s", "(min-max)", "of floor", "CPU of floor", "x plain", "p50 ms", "p99 ms",
    "server ms/req", "db ms/req", "bytes", "RSS MiB", "others", "errors",
)  # fmt: skip

_LEGEND: Final = (
    "of floor, x plain: requests per second against hand-written SQL and plain Strawberry. CPU of floor: the floor's\n"
    "processor time per request (server and database) over this one's. others: processors kept busy by something else."
)


def table(figures: Iterable[Figure]) -> str:
    """All figures, one line each, by operation."""
    ordered = sorted(figures, key=lambda f: (f.operation == "M1", f.operation, f.actor))
    rows = [_HEAD, *map(_row, ordered)]
    titles = "\n".join(f"{name}  {title}" for name, title in TITLES.items())
    return f"{aligned(rows)}\n\n{titles}\n\n{_LEGEND}"


def _row(one: Figure) -> tuple[str, ...]:
    return (
        one.operation, one.actor, one.contestant, f"{one.rate:,.1f}", f"({one.lowest:,.0f}-{one.highest:,.0f})",
        _ratio(one.of_floor), _ratio(one.cpu_of_floor), _ratio(one.of_plain, ".1f"), f"{one.p50:.2f}", f"{one.p99:.2f}",
        f"{one.server_cpu:.3f}", f"{one.database_cpu:.3f}", f"{one.bytes:,.0f}", f"{one.memory:.0f}",
        f"{one.others:.2f}", str(one.errors or ""),
    )  # fmt: skip


def _ratio(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns of equal width; the first three to the left, figures to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)  # noqa: PLR2004
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_json(figures: Iterable[Figure], **more: Any) -> dict[str, Any]:
    """The same for a file, with what was run on."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.platform(),
        **more,
        "figures": [asdict(one) for one in figures],
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people and programs."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
