"""The benchmark of reads still runs: all contestants answer alike, and there is a figure for each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reads.operations import DOCUMENTS
from benchmarks.reads.servers import CONTESTANTS

Run = Callable[..., str]
ACTORS = ("admin", "team")
SMALL = ("--scale", "0.001", "--seconds", "0.2", "--warm-up", "0", "--rounds", "1")
FEW = ("--connections", "2")


def holds_all(
    figures: Iterable[dict[str, Any]],
    contestants: Iterable[str],
    actors: Iterable[str] = ACTORS,
    operations: Iterable[str] = tuple(DOCUMENTS),
) -> None:
    """A figure for every operation, actor and contestant, and no error in any."""
    found = {(one["operation"], one["actor"], one["contestant"]): one for one in figures}
    assert set(found) == set(product(operations, actors, contestants))
    for key, one in found.items():
        assert one["errors"] == 0, (key, one["first_error"])
        assert one["rate"] > 0, key
        assert one["p50"] > 0, key
        assert one["memory"] > 0, key


def compared(printed: str, file: Path, dialect: str) -> list[dict[str, Any]]:
    """The figures of a run in which all contestants answered alike."""
    assert "DIFFERENT" not in printed, printed
    assert "ERRORS" not in printed, printed
    assert "compared with what the product answers: all equal" in printed
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told["dialect"], told["different"]) == (dialect, [])
    figures: list[dict[str, Any]] = told["figures"]
    return figures


@pytest.mark.long
def test_all_contestants_are_compared_and_timed_on_sqlite(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    printed = run("read_path", "--sqlite", *SMALL, "--json", file)
    holds_all(compared(printed, file, "sqlite"), CONTESTANTS)


@pytest.mark.long
def test_all_contestants_are_compared_and_timed_on_postgresql(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    printed = run("read_path", *SMALL, *FEW, "--json", file)
    holds_all(compared(printed, file, "postgresql"), CONTESTANTS)


@pytest.mark.long
def test_growth_is_measured_at_both_sizes(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    printed = run("read_path", "--growth", *SMALL, "--json", file)
    assert "ERRORS" not in printed, printed
    told = json.loads(file.read_text(encoding="utf-8"))
    for figures in (told["base"], told["figures"]):
        holds_all(figures, ("product", "floor"))


@pytest.mark.long
def test_first_answers_are_timed_after_a_cold_start(run: Run) -> None:
    printed = run("read_path", "--cold", *SMALL)
    rows = [line.split() for line in printed.splitlines()]
    timed = {(row[0], row[1]): row[2:] for row in rows if row and row[0] in DOCUMENTS}
    assert set(timed) == set(product(set(DOCUMENTS) - {"M1"}, ACTORS))
    assert all(float(value) > 0 for values in timed.values() for value in values[:3])
    assert "start of `crm serve` to the first answer" in printed
