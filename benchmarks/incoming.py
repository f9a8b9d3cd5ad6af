"""How many requests of other systems one process receives and turns into commands in a second.

`python -m benchmarks.incoming` keeps `--requests` (2,000) of one source on SQLite and on a PostgreSQL of its own, each of
which becomes a customer, and measures the process working them off. `--settings '{"at_once": 8}'` sets the room up. It
prints; it never fails on time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.reads import postgres
from crm_core import ids, migrate
from crm_core.actors import system
from crm_core.commands import Options
from crm_core.db.session import open_database
from crm_core.incoming.models import IncomingRequest, IncomingState
from crm_core.incoming.processing import work_off
from crm_core.incoming.settings import IncomingSettings
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.settings import LineSettings, Settings
from crm_core.work import Services, perform

R: Final = IncomingRequest.__table__
LINE: Final = "east"
SCOPES: Final = (
    "customer.read", "customer.write", "customer.phone", "interaction.read", "interaction.write",
)  # fmt: skip
MAPPING: Final = (
    {
        "command": "customer.create",
        "input": {
            "name": "=body.name", "kind": "PERSON", "phones": "=body.phone && [{number: body.phone}]",
        },
    },
)  # fmt: skip


def main() -> None:
    """Measure on both databases, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--settings", type=json.loads, default={}, help="settings of the room, JSON")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crm-incoming-") as folder:
        if given.only != "postgresql":
            asyncio.run(measured(f"sqlite:///{folder}/crm.db", given.requests, given.settings))
        if given.only != "sqlite":
            Path(folder).chmod(0o755)  # the server may run under another account
            with postgres.running(Path(folder) / "postgres") as server:
                asyncio.run(created(server.url("postgres", "postgresql+asyncpg")))
                asyncio.run(measured(server.url("incoming"), given.requests, given.settings))


async def created(url: str) -> None:
    """Make the database."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("CREATE DATABASE incoming"))
    await engine.dispose()


async def measured(url: str, many: int, room: Mapping[str, Any]) -> None:
    """Process so many requests on one database, and print how fast."""
    services = await deployed(url, room)
    try:
        source = await source_of(services)
        await keep(services, source, many)
        began, used = time.perf_counter(), time.process_time()
        done = await work_off(services)
        took, used = time.perf_counter() - began, time.process_time() - used
        count = select(func.count()).select_from(R).where(R.c.state == IncomingState.DONE.value)
        well = (await services.database.fetch(count))[0][0]
        print(
            f"{services.database.dialect}: {done / took:,.0f} requests/s by one process ({well} of {done} done,"
            f" {1000 * used / done:.2f} ms CPU each)"
        )
    finally:
        await services.database.dispose()


async def deployed(url: str, room: Mapping[str, Any]) -> Services:
    """An empty deployment, its database migrated."""
    settings = Settings(database_url=url, lines={LINE: LineSettings()}, log_level="error")
    registry = load(settings, ())
    await migrate.upgrade(settings, registry, datetime.now(UTC))
    given = {**registry.settings, "incoming": IncomingSettings.model_validate(room)}
    keyring = Keyring.parse(Keyring.generate_text(), Keyring.generate_index_text())
    return Services(settings, replace(registry, settings=given), open_database(settings), keyring)


async def source_of(services: Services) -> UUID:
    """A source whose requests become customers, acting as a user who may do just that."""
    user = await made(services, "user.create", {"login": "web", "name": "web"})
    scopes = [{"scope": scope, "reach": 4} for scope in SCOPES]
    await made(services, "role.define", {"name": "web", "scopes": scopes})
    await made(services, "role.grant", {"user_id": user, "role": "web", "line": LINE})
    source = {
        "name": "web", "verifier": "STATIC_TOKEN", "secret": {"secret": "a-token-of-sixteen"},
        "mapping": list(MAPPING), "actor_id": user,
    }  # fmt: skip
    return await made(services, "incoming.create", source)


async def made(services: Services, kind: str, body: Mapping[str, Any]) -> UUID:
    """The record a command made."""
    outcome, _ = await perform(services, system((LINE,)), kind, body, Options(line=LINE))
    assert not outcome.errors, outcome.errors
    return outcome.ids[0]


async def keep(services: Services, source: UUID, many: int) -> None:
    """Keep requests as the door does."""
    now = services.clock()
    common = {
        "created_at": now, "updated_at": now, "version": 1, "source_id": source, "line": LINE, "attempts": 0,
        "content_type": "application/json", "headers": {}, "query": {}, "state": IncomingState.RECEIVED.value,
        "next_at": now, "results": [], "errors": [],
    }  # fmt: skip
    rows = []
    for number in range(many):
        body = orjson.dumps({"name": f"客户 {number}", "phone": f"138{number:08d}"})
        rows.append({**common, "id": ids.uuid7(), "dedupe_key": str(number), "body": body, "size": len(body)})
    async with services.database.transaction() as session:
        for start in range(0, many, 1_000):
            await session.execute(insert(R), rows[start : start + 1_000])


if __name__ == "__main__":
    main()
