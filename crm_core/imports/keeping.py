"""How long imported files are kept: as long as a run or an approval needs them, then they are removed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import select

from crm_core.approvals.models import Approval
from crm_core.approvals.words import ENDED
from crm_core.imports import store
from crm_core.imports.commands import COMMANDS
from crm_core.imports.models import ImportRun, ImportState
from crm_core.registry import Chore
from crm_core.work import Services


async def needed(services: Services) -> set[str]:
    """SHA-256 of the files of runs that are not over, and of imports whose approval is not."""
    runs = select(ImportRun.file_sha256).where(ImportRun.state != ImportState.DONE.value)
    kinds = [command.kind for command in COMMANDS]
    ended = [state.value for state in ENDED]
    waiting = select(Approval.body).where(Approval.kind.in_(kinds), Approval.state.not_in(ended))
    found = {row.file_sha256 for row in await services.database.fetch(runs)}
    return found | {str(row.body.get("file")) for row in await services.database.fetch(waiting)}


async def let_go(services: Services, sha256: str) -> None:
    """Remove a kept file unless somebody needs it."""
    if sha256 not in await needed(services):
        store.forget(services.store, sha256)


async def sweep(services: Services) -> int:
    """Remove files that nobody has needed for `store_days`: of imports that were rejected, or never begun; how many."""
    since = services.clock() - timedelta(days=services.settings.store_days)
    old = await asyncio.to_thread(_older, services.store, since)
    wanted = await needed(services) if old else set()
    for file in old:
        if file.name not in wanted:
            file.unlink(missing_ok=True)
    return len([file for file in old if file.name not in wanted])


def _older(folder: Path, since: datetime) -> list[Path]:
    kept = store.place(folder, "").resolve()
    files = sorted(kept.iterdir()) if kept.is_dir() else []
    return [file for file in files if file.stat().st_mtime < since.timestamp()]


async def _sweep(services: Services) -> None:
    await sweep(services)


CHORES: Final = (Chore("imports.sweep", timedelta(days=1), _sweep),)
