"""The look at the plans of all queries comes to its end; a small company does not tell which are good."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.explain import queries

ACTORS = ("admin", "line", "team", "own")
SCALE = "0.02"  # its samples lie some hundred rows inside


@pytest.mark.long
def test_every_query_is_explained_for_every_actor(run: Callable[..., str], tmp_path: Path) -> None:
    plans = tmp_path / "plans.sql"
    printed = run("explain", "--scale", SCALE, "--plans", plans, ended=(0, 1))
    asked = list(queries())
    found = re.search(r"^(\d+) explained, (\d+) not driven by an index$", printed, re.MULTILINE)
    assert found is not None, printed
    assert int(found[1]) == len(asked) * len(ACTORS) > 0
    assert "took longer" not in printed, printed
    written = plans.read_text(encoding="utf-8")
    for actor in ACTORS:
        for query in asked:
            assert f"-- {query.name} as {actor}\n" in written or re.search(
                rf"^{re.escape(query.name)} +{actor} .*\[interpreter", printed, re.MULTILINE
            ), (query.name, actor)
