"""What recording an interaction left in the database: compared between contestants, and taken away afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg

from benchmarks.reads.data import END
from benchmarks.reads.loading import Deployment

TABLES: Final = ("interactions", "audit_entries", "outbox_events")
_NEW: Final = "created_at > '2025-12-01'"
"""Made-up rows end before; everything later was recorded while measuring."""
_OWN: Final = frozenset(
    {
        "id",
        "created_at",
        "updated_at",
        "occurred_at",
        "occurred_on",
        "position",
        "subject_id",
        "subject_ref",
        "request_id",
    }
)
assert END.year == 2025  # noqa: PLR2004  # what `_NEW` rests on


def differences_of_rows(deployment: Deployment, contestants: Sequence[str], actors: int) -> list[str]:
    """Where contestants that were asked to record the same, one after the other, wrote other rows than the first."""
    found = []
    for table in TABLES:
        statement = f"SELECT * FROM {table} WHERE {_NEW} ORDER BY created_at, id"  # noqa: S608
        rows = [_content(row) for row in _fetch(deployment, statement)]
        each, odd = divmod(len(rows), len(contestants) * actors)
        if odd:
            found.append(f"rows of {table}: {len(rows)} from {len(contestants)} contestants")
            continue
        for place, name in list(enumerate(contestants))[1:]:
            differing = _differing(rows[:each], rows[place * each : (place + 1) * each])
            if differing:
                found.append(f"rows of {table}: {contestants[0]} and {name} wrote {differing}")
    return found


def _differing(mine: Sequence[Mapping[str, Any]], its: Sequence[Mapping[str, Any]]) -> str:
    """The columns that differ in some pair of rows, with the first two values."""
    told: dict[str, str] = {}
    for left, right in zip(mine, its, strict=True):
        for name in left:
            if left[name] != right[name]:
                told.setdefault(name, f"{name}: {str(left[name])[:200]} / {str(right[name])[:200]}")
    return "; ".join(told.values())


def forget_logged(deployment: Deployment) -> None:
    """Take away what was recorded, so that the next run starts from the same rows."""
    if deployment.dialect == "sqlite":
        connection = sqlite3.connect(deployment.address, isolation_level=None)
        for table in reversed(TABLES):
            connection.execute(f"DELETE FROM {table} WHERE {_NEW}")  # noqa: S608
        connection.close()
        return
    asyncio.run(_forget(deployment.address))


async def _forget(address: str) -> None:
    connection = await asyncpg.connect(address)
    try:
        for table in reversed(TABLES):
            await connection.execute(f"DELETE FROM {table} WHERE {_NEW}")  # noqa: S608
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await connection.close()


def _fetch(deployment: Deployment, statement: str) -> Iterable[Mapping[str, Any]]:
    if deployment.dialect == "postgresql":
        return asyncio.run(_fetched(deployment.address, statement))
    connection = sqlite3.connect(deployment.address)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(statement).fetchall()]
    finally:
        connection.close()


async def _fetched(address: str, statement: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(address)
    try:
        return [dict(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def _content(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is its own: ids and moments, inside its JSON too."""
    found = {}
    for name, value in row.items():
        if name in _OWN:
            continue
        read = isinstance(value, str) and value.startswith(("[", "{"))
        found[name] = _without_own(json.loads(value)) if read else value
    return found


def _without_own(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_own(inner) for name, inner in value.items() if name not in _OWN}
    return [_without_own(inner) for inner in value] if isinstance(value, list) else value
