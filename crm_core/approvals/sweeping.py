"""The chore that removes papers nobody refers to: uploaded in vain, or given with a command that was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import TableClause, column, inspect, select, table

from crm_core import papers
from crm_core.approvals.held import given
from crm_core.approvals.models import Approval
from crm_core.approvals.words import ENDED
from crm_core.papers import PaperRecord
from crm_core.registry import Chore
from crm_core.work import Services

_AT_ONCE: Final = 500


async def sweep(services: Services) -> int:
    """Remove papers that nobody put in or referred to for `store_days`, and that nothing refers to; how many.

    Rows of tables of papers refer to them, those of plugins that are switched off at present included, and commands
    that wait for signatures.
    """
    since, removed = services.clock() - timedelta(days=services.settings.store_days), 0
    await asyncio.to_thread(papers.remove_unfinished, services.store, since)
    tables, waiting = await _tables(services), None
    for shard in await asyncio.to_thread(papers.shards, services.store):
        old = await asyncio.to_thread(papers.untouched, services.store, shard, since)
        left = await _in_no_table(services, tables, old)
        if left and waiting is None:
            waiting = await _held(services)
        for path in left:
            if path not in (waiting or ()):
                removed += await asyncio.to_thread(papers.remove, services.store, path, since)
    return removed


async def _tables(services: Services) -> list[TableClause]:
    """Every table of the database that has the columns of a paper."""
    wanted = {name for name in PaperRecord.__annotations__ if name != "title"}
    async with services.database.transaction() as session:
        found = await session.run_sync(lambda unit: inspect(unit.connection()).get_multi_columns())
    names = [name for (_, name), columns in found.items() if wanted <= {c["name"] for c in columns}]
    return [table(name, column("path")) for name in sorted(names)]


async def _in_no_table(services: Services, tables: Sequence[TableClause], paths: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for one in tables:
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            rows = await services.database.fetch(select(one.c.path).where(one.c.path.in_(some)))
            found.update(row.path for row in rows)
    return [path for path in paths if path not in found]


async def _held(services: Services) -> frozenset[str]:
    """Papers that commands refer to which are not decided yet."""
    ended = [state.value for state in ENDED]
    held_ = select(Approval.id, Approval.body, Approval.sealed).where(Approval.state.not_in(ended))
    bodies = (
        given(row.id, row.body, row.sealed, services.keyring) for row in await services.database.fetch(held_)
    )
    return frozenset(path for body in bodies for path in papers.places_in(body))


async def _run(services: Services) -> None:
    await sweep(services)


CHORES: Sequence[Chore] = (Chore("papers.sweep", timedelta(days=1), _run, lease=timedelta(hours=1)),)
