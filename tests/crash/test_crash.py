"""Nothing is lost, doubled or out of order though server and workers are killed; `make crash KILLS=n DB=…` runs more."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crm_core.testing.postgres import Server
from tests.crash.crashing import Run

FEW, MANY = 6, 1_000


async def _played(
    dialect: str, folder: Path, request: pytest.FixtureRequest, kills: int, tell: Callable[[str], None]
) -> None:
    url = f"sqlite:///{folder}/crm.db"
    if dialect == "postgresql":
        server: Server = request.getfixturevalue("postgres_server")
        url = server.create_database(f"crash_{os.getpid()}")
    seed = int(os.environ.get("CRASH_SEED") or 1)
    tell(f"\ncrash: {kills} kills on {dialect}, seed {seed}")
    outcome = await Run(folder, url, seed, kills, workers=1 if dialect == "sqlite" else 2, tell=tell).play()
    tell(outcome.line())
    assert outcome.faultless, outcome.line()


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def say(text: str) -> None:
        with capfd.disabled():
            print(text, file=sys.stderr, flush=True)  # noqa: T201  # the figures are the result

    return say


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_nothing_is_lost_when_processes_are_killed(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    """`make crash` runs this one with KILLS on DB."""
    if dialect not in (os.environ.get("CRASH_DB") or dialect):
        pytest.skip("another database was asked for")
    await _played(dialect, tmp_path, request, int(os.environ.get("CRASH_KILLS") or FEW), tell)


@pytest.mark.long
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_nothing_is_lost_in_a_thousand_kills(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    await _played(dialect, tmp_path, request, MANY, tell)
