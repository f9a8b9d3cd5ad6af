"""Random documents are answered alike: compiled and interpreted, on SQLite and PostgreSQL, for whoever asks."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence

import pytest

from crm_core.testing.kit import Kit
from tests.fuzz.running import Fuzz

Tell = Callable[[str], None]
FIXED_SEED = 20251122
DOCUMENTS = 252
"""Documents of each of the two short runs, each asked on both databases."""
MANY = 40_000
"""Documents of the long run: on both databases, and with those asked again, that makes more than a hundred thousand."""
PARTS = 8


async def _asked(kits: Mapping[str, Kit], seed: int, numbers: Sequence[int], tell: Tell) -> None:
    tell(f"\nfuzz: {len(numbers)} documents from number {numbers[0]}, seed {seed}")
    fuzz = Fuzz(kits, seed)
    await fuzz.prepare()
    await fuzz.run(numbers)
    tell("\n" + fuzz.report())
    assert fuzz.problems() == []


async def test_the_same_documents_as_ever_are_answered_alike(kits: Mapping[str, Kit], tell: Tell) -> None:
    await _asked(kits, FIXED_SEED, range(DOCUMENTS), tell)


async def test_documents_nobody_has_asked_before_are_answered_alike(
    kits: Mapping[str, Kit], tell: Tell
) -> None:
    """`make fuzz DOCS=n SEED=s` runs this one with that many documents of that seed."""
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(10**9))
    await _asked(kits, seed, range(int(os.environ.get("FUZZ_DOCS") or DOCUMENTS)), tell)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_hundred_thousand_documents_are_answered_alike(
    kits: Mapping[str, Kit], part: int, tell: Tell
) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or FIXED_SEED + 1)
    size = int(os.environ.get("FUZZ_DOCS") or MANY) // PARTS
    await _asked(kits, seed, range(part * size, (part + 1) * size), tell)
