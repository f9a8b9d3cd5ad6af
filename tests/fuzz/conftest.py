"""A deployment of three lines with the car dealer and the probe, and the same on both databases at once."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from crm_core.loader import Candidate
from crm_core.testing import kit
from crm_core.testing.kit import Kit
from tests.fuzz.probe import LINES, PROBE


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (PROBE,)


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return LINES


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says something to whoever runs the tests, passed or not, in how many processes ever."""

    def say(text: str) -> None:
        with capfd.disabled():
            print(text, file=sys.stderr, flush=True)  # noqa: T201  # the figures are the result

    return say


@pytest.fixture
async def kits(
    crm_lines: Mapping[str, Sequence[str]],
    crm_candidates: Sequence[Candidate],
    crm_settings: Mapping[str, Any],
    crm_templates: Any,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[dict[str, Kit]]:
    """A fresh deployment on each database, by its name."""
    make = kit.crm._get_wrapped_function()  # a fixture is made once per test, this is twice
    opened = []
    found: dict[str, Kit] = {}
    try:
        for dialect in ("sqlite", "postgresql"):
            folder = tmp_path_factory.mktemp(dialect)
            given = (
                dialect,
                crm_lines,
                crm_candidates,
                crm_settings,
                None,
                crm_templates,
                folder,
                tmp_path_factory,
                request,
            )
            opened.append(make(*given))
            found[dialect] = await anext(opened[-1])
        yield found
    finally:
        for one in reversed(opened):
            await one.aclose()
