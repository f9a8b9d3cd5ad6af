"""Rows for the shelf, made up from a seed: few values of each column, so that ties and nulls abound."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from crm_core.testing.kit import Kit
from tests.graphql.shelf import Item, Shade

NAMES = (
    "a",
    "b",
    "B",
    "ab",
    "a%b",
    "a_b",
    "a*b",
    "a\\b",
    "[a]",
    "华信",
    "华为",
    "信华",
    "x' OR 1=1 --",
    "A?B",
)
NOTES = (None, None, "", "a", "note", "Note", "100%", "注")
MOMENT = datetime(2025, 11, 3, 2, 0, tzinfo=UTC)


def made_up(chance: random.Random, count: int, line: str = "east") -> list[Item]:
    """So many items; some lie in an earlier one."""
    items: list[Item] = []
    for position in range(count):
        values: dict[str, Any] = {
            "name": chance.choice(NAMES),
            "note": chance.choice(NOTES),
            "shade": chance.choice([None, *(s.value for s in Shade)]),
            "amount": chance.choice([None, None, -1, 0, 1, 2**31 - 1]),
            "weight": chance.choice([0, 1, 2]),
            "price": chance.choice([None, 0, 5, 120050]),
            "day": chance.choice([None, date(2025, 10, 31), date(2025, 11, 1)]),
            "seen_at": chance.choice(
                [None, MOMENT, MOMENT + timedelta(microseconds=1), MOMENT + timedelta(days=1)]
            ),
            "fragile": chance.choice([None, True, False]),
            "parent_id": chance.choice([None, items[chance.randrange(len(items))].id]) if items else None,
        }
        items.append(Item(line=line, position=position, **values))
    return items


async def shelve(crm: Kit, items: Sequence[Item]) -> None:
    """Write the items, past every command."""
    async with crm.database.transaction() as session:
        for item in items:
            session.add(item)
            await session.flush()
