"""Moves the database: core first, then each plugin along its own line; only `crm db upgrade` calls it, under a lock."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, delete, event, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from crm_core.access.models import PluginFailure
from crm_core.access.seeding import synchronise
from crm_core.approvals.seeding import seed_policies
from crm_core.db.base import Base
from crm_core.db.heads import head_of
from crm_core.db.session import Database, address, fault, is_trouble
from crm_core.errors import ConfigurationError
from crm_core.registry import MigrationLine, Registry
from crm_core.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

ENVIRONMENT = Path(__file__).parent / "db" / "migrations"
LOCK = 0x63726D
LOCK_SECONDS = 0.05
"""How long to wait before asking for the lock again."""
T = TypeVar("T")


@dataclass
class Report:
    """What an upgrade did: owner → revision now; plugin → why its migration failed."""

    at: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Behind(ConfigurationError):
    """The database lacks revisions; run `crm db upgrade`."""


async def upgrade(settings: Settings, registry: Registry, now: datetime | None = None) -> Report:
    """Bring every line to its head, core first; a failing plugin is noted and left out, a failing core raises.

    What is offered to lines, roles and policies, is theirs from `now` on; default: the present.
    """
    report = Report()
    async with _locked(settings) as engine:
        for line in registry.migrations:
            await _upgrade_one(engine, line, registry, report)
        await _settle(settings, registry, engine, report, now or datetime.now(UTC))
    return report


async def _upgrade_one(engine: AsyncEngine, line: MigrationLine, registry: Registry, report: Report) -> None:
    if line.owner in report.failed:
        return
    try:
        report.at[line.owner] = await _in_migration(
            engine, lambda c: _to_head(c, line, _tables(registry, line.owner))
        )
    except (Exception, SystemExit) as error:  # whatever a plugin's revision raises, the others go on
        if line.owner == "core":
            raise
        report.failed[line.owner] = f"{type(error).__name__}: {error}".split("\n")[0][:500]


async def _settle(
    settings: Settings, registry: Registry, engine: AsyncEngine, report: Report, now: datetime
) -> None:
    async with engine.connect() as connection, AsyncSession(connection) as session:
        await session.execute(delete(PluginFailure))
        for plugin, reason in report.failed.items():
            session.add(PluginFailure(plugin=plugin, reason=reason, failed_at=now))
        await synchronise(session, settings, registry, now)
        await session.flush()
        await seed_policies(session, registry, now)
        for owner, seed in registry.seeds:
            for line in sorted(registry.lines_of(owner)):
                await seed(session, line, now)
        await session.commit()


async def behind(database: Database, registry: Registry) -> dict[str, str]:
    """Owner → what it lacks, for every line of revisions that is not at its head; raises when out of reach."""
    async with database.connection() as connection:
        return await connection.run_sync(lambda c: _behind(c, registry))


async def failures(database: Database) -> dict[str, str]:
    """Plugins whose migration failed, with the reason; empty for a database not yet made."""
    async with database.connection() as connection:
        exists = await connection.run_sync(lambda c: inspect(c).has_table(PluginFailure.__tablename__))
        if not exists:
            return {}
        rows = await connection.execute(select(PluginFailure.__table__))
        return {row.plugin: row.reason for row in rows}


async def drift(settings: Settings, registry: Registry) -> dict[str, list[str]]:
    """Owner → differences between its models and the migrated database; empty when they agree."""
    engine = _engine(settings)
    try:
        found = {}
        for line in registry.migrations:
            tables = _tables(registry, line.owner)
            differences = await _in_migration(engine, partial(_drift, line=line, tables=tables))
            if differences:
                found[line.owner] = differences
        return found
    finally:
        await engine.dispose()


async def revise(
    settings: Settings, registry: Registry, owner: str, message: str, folder: Path | None = None
) -> Path:
    """Write a new revision of one line from the difference between its models and the database."""
    line = next(line for line in registry.migrations if line.owner == owner)
    line = MigrationLine(owner, folder or line.folder, line.version_table)
    engine = _engine(settings)
    try:
        return await _in_migration(engine, lambda c: _revise(c, line, _tables(registry, owner), message))
    finally:
        await engine.dispose()


# -- inside a connection


def _to_head(connection: Connection, line: MigrationLine, tables: frozenset[str]) -> str:
    from alembic import command  # noqa: PLC0415  # large, and a server never migrates

    head = head_of(line.folder)
    command.upgrade(_config(connection, line, tables), "head")
    return head


def _behind(connection: Connection, registry: Registry) -> dict[str, str]:
    found = {}
    for line in registry.migrations:
        now = _revision(connection, line)
        try:
            head = head_of(line.folder)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the files
            found[line.owner] = (
                f"at {now or 'nothing'}; its revisions cannot be read: {type(error).__name__}: {error}"
            )
            continue
        if now != head:
            found[line.owner] = f"at {now or 'nothing'}, needs {head}"
    return found


def _revision(connection: Connection, line: MigrationLine) -> str | None:
    if not inspect(connection).has_table(line.version_table):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {line.version_table}")).first()  # noqa: S608  # our own name
    return str(row[0]) if row else None


def _drift(connection: Connection, line: MigrationLine, tables: frozenset[str]) -> list[str]:
    def ours(_item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:  # noqa: FBT001
        return name in tables if kind == "table" else not str(name).startswith("ix_search_documents_")

    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    options = {"include_object": ours, "compare_type": True, "version_table": line.version_table}
    migration = MigrationContext.configure(connection, opts=options)
    return [str(difference) for difference in compare_metadata(migration, Base.metadata)]


def _revise(connection: Connection, line: MigrationLine, tables: frozenset[str], message: str) -> Path:
    from alembic import command  # noqa: PLC0415

    config = _config(connection, line, tables)
    number = len(list(line.folder.glob("*.py"))) + 1
    config.set_main_option("file_template", f"%%(year)d%%(month).2d%%(day).2d_{number:02}_%%(slug)s")
    script = command.revision(config, message, autogenerate=True, rev_id=f"{line.owner}_{number:04}")
    return Path(script.path)  # type: ignore[union-attr]


def _config(connection: Connection | None, line: MigrationLine, tables: frozenset[str]) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT))
    config.set_main_option("version_locations", str(line.folder))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, version_table=line.version_table, tables=tables)
    return config


def _tables(registry: Registry, owner: str) -> frozenset[str]:
    return frozenset(table.__tablename__ for table in registry.tables.get(owner, ()))


# -- connections


def _engine(settings: Settings) -> AsyncEngine:
    url = address(settings)
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite" if sqlite else "postgresql+asyncpg"), poolclass=NullPool
    )
    if sqlite:
        event.listen(engine.sync_engine, "connect", _foreign_keys_off)
        event.listen(
            engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
    return engine


def _foreign_keys_off(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=OFF", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def _in_migration(engine: AsyncEngine, function: Callable[[Connection], T]) -> T:
    async with reached(engine.connect()) as connection:
        result = await connection.run_sync(function)
        await connection.commit()
        return result


@asynccontextmanager
async def reached(connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
    """The connection, opened; trouble of the database is a `Fault` that says what it is."""
    try:
        await connection.start()
    except (DBAPIError, OSError) as error:
        raise fault(error) from error
    try:
        yield connection
    except DBAPIError as error:
        if is_trouble(error):
            raise fault(error) from error
        raise
    finally:
        await connection.close()


@asynccontextmanager
async def _locked(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine for migrating, while no other process migrates the same database."""
    engine = _engine(settings)
    try:
        if engine.dialect.name == "sqlite":
            async with _file_lock(Path(str(address(settings).database) + ".migrating")):
                yield engine
        else:
            async with reached(engine.connect()) as connection:
                await connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
                await connection.commit()
                try:
                    yield engine
                finally:
                    await connection.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))
    finally:
        await engine.dispose()


@asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[None]:
    """Hold the file's lock; whoever got a file that was removed meanwhile tries again with the new one."""
    while True:
        with path.open("w") as file:
            if _taken(file.fileno()) and _same(path, file.fileno()):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)  # noqa: ASYNC240  # one name, at once
                return
        await asyncio.sleep(LOCK_SECONDS)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


__all__ = ["Behind", "Report", "behind", "drift", "failures", "revise", "upgrade"]
