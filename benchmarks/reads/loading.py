"""Makes a deployment: settings, the product's own migrations, rows by COPY, statistics; skipped where it stands."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite as sqlite_dialect

from benchmarks.reads.data import LINES, PLUGINS, Asked, Company, Row
from benchmarks.reads.postgres import Server
from crm_core import ids
from crm_core.db.types import JsonValue
from crm_core.keyring import Keyring

DONE = "asked.json"
BATCH = 5_000


@dataclass(frozen=True)
class Deployment:
    """A loaded deployment: its folder with `crm.toml`, its database, and what its actors ask for."""

    folder: Path
    dialect: str
    address: str
    """A URL for PostgreSQL, a file for SQLite."""
    scale: float
    asked: dict[str, Asked]

    def environment(self, **more: str) -> dict[str, str]:
        """Variables of a process that serves it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
        return {**clean, "CRM_CONFIG": str(self.folder / "crm.toml"), "CRM_LOG_LEVEL": "warning", **more}


def on_postgresql(server: Server, folder: Path, scale: float) -> Deployment:
    """The deployment of this scale on the server, loaded at the first time."""
    name = "crm_" + f"{scale:g}".replace(".", "_").replace("-", "m")
    here, url = folder / name, server.url(name)
    if not (here / DONE).exists():
        asyncio.run(_fresh(server, name))
        _migrated(here, server.url(name))
        asyncio.run(_load_postgresql(url, here, scale))
    else:
        _upgraded(here)
    return Deployment(here, "postgresql", url, scale, _asked(here))


def on_sqlite(folder: Path, scale: float) -> Deployment:
    """The deployment of this scale in a file, loaded at the first time."""
    here = folder / f"sqlite_{scale:g}"
    file = here / "crm.db"
    if not (here / DONE).exists():
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        _migrated(here, f"sqlite:///{file}")
        _load_sqlite(file, here, scale)
    else:
        _upgraded(here)
    return Deployment(here, "sqlite", str(file), scale, _asked(here))


def _asked(folder: Path) -> dict[str, Asked]:
    return {name: Asked(**one) for name, one in json.loads((folder / DONE).read_text()).items()}


def _keep(folder: Path, company: Company) -> None:
    """What is asked for, with ids as clients see them; its presence says that loading came to its end."""
    shown = {name: asdict(one) for name, one in company.asked.items()}
    for one in shown.values():
        one["customers"] = [ids.show("cus", UUID(key)) for key in one["customers"]]
        one["logs"] = [(ids.show("cus", UUID(key)), line) for key, line in one["logs"]]
    aside = folder / f"{DONE}.new"
    aside.write_text(json.dumps(shown, ensure_ascii=False))
    aside.rename(folder / DONE)


# -- schema


def _migrated(folder: Path, url: str) -> None:
    """Settings and an up-to-date, empty database, by the product's own command."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"\n[lines.{code}]\nplugins = {json.dumps(PLUGINS[code])}\n" for code in LINES)
    (folder / "crm.toml").write_text(
        f'database_url = "{url}"\nstore = "{folder / "store"}"\nkeys = "{Keyring.generate_text()}"\n'
        f'index_key = "{Keyring.generate_index_text()}"\n{lines}'
    )
    _upgraded(folder)


def _upgraded(folder: Path) -> None:
    """Bring a new or kept database to the product's newest revisions."""
    config = str(folder / "crm.toml")
    subprocess.run(crm("--config", config, "db", "upgrade"), check=True, stdout=subprocess.DEVNULL)


def crm(*arguments: str) -> list[str]:
    """A command line of the product, in this very environment."""
    return [sys.executable, "-c", "from crm_core.cli import main; main()", *arguments]


async def _fresh(server: Server, name: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()


# -- rows


def _defaults(table: Table, company: Company) -> dict[str, Any]:
    """What columns hold that no row names: the model's default, else null."""
    found: dict[str, Any] = {}
    for column in table.columns:
        default = column.default
        if default is not None and default.is_scalar:
            found[column.name] = getattr(default, "arg", None)
        elif default is not None and default.is_callable:
            found[column.name] = []
        elif not (column.primary_key and column.name == "id"):
            found[column.name] = None
    moments = {name: company.start for name in ("created_at", "updated_at") if name in table.c}
    versions = {"version": 1} if "version" in table.c else {}
    return found | moments | versions


def _complete(table: Table, rows: Iterator[Row], company: Company) -> tuple[list[str], Iterator[list[Any]]]:
    """Column names and whole rows in their order."""
    defaults = _defaults(table, company)
    named = table.name in ("search_documents", "customer_numbers")  # their ids are the database's to give
    columns = [c.name for c in table.columns if not (named and c.name == "id")]

    def whole() -> Iterator[list[Any]]:
        for row in rows:
            full = defaults | row
            if "updated_at" in defaults:
                full["updated_at"] = full["created_at"]
            yield [full[name] for name in columns]

    return columns, whole()


def _converted(
    rows: Iterator[list[Any]], converters: Sequence[Callable[[Any], Any] | None]
) -> Iterator[list[Any]]:
    places = [(place, convert) for place, convert in enumerate(converters) if convert is not None]
    for row in rows:
        for place, convert in places:
            row[place] = convert(row[place])
        yield row


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


# -- PostgreSQL


async def _load_postgresql(url: str, folder: Path, scale: float) -> None:
    company = Company(scale)
    _say(f"loading {company.customers:,} customers, {company.interactions:,} interactions into PostgreSQL")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")  # no look-up per foreign key
        indexes = await _without_indexes(connection)
        for model, rows in company.tables():
            table: Table = model.__table__
            columns, whole = _complete(table, rows(), company)
            json_ = [
                json.dumps if table.c[name].type is JsonValue or _is_json(table, name) else None
                for name in columns
            ]
            await connection.copy_records_to_table(
                table.name, records=_converted(whole, json_), columns=columns
            )
        await connection.execute(_ADMINISTRATOR, UUID(company.asked["admin"].user), company.start)
        _say("building indexes")
        for statement in indexes:
            await connection.execute(statement)
        await connection.execute("SET session_replication_role = DEFAULT")
        await connection.execute("VACUUM (FREEZE, ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    _keep(folder, company)
    _say("loaded")


_ADMINISTRATOR = """
    INSERT INTO role_grants (id, created_at, updated_at, version, user_id, role_id, line)
    SELECT gen_random_uuid(), $2::timestamptz, $2::timestamptz, 1, $1::uuid, id, NULL
    FROM roles WHERE name = 'administrator'
"""


def _is_json(table: Table, name: str) -> bool:
    return str(table.c[name].type).startswith("JSON")


async def _without_indexes(connection: Any) -> list[str]:
    """Drop the indexes of all tables but those of constraints; the statements that make them again."""
    rows = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    for row in rows:
        await connection.execute(f'DROP INDEX "{row["indexname"]}"')
    return [row["indexdef"] for row in rows]


# -- SQLite


def _load_sqlite(file: Path, folder: Path, scale: float) -> None:
    company = Company(scale)
    _say(f"loading {company.customers:,} customers, {company.interactions:,} interactions into SQLite")
    dialect = sqlite_dialect.dialect()
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-500000")
        connection.execute("BEGIN")
        for model, rows in company.tables():
            table: Table = model.__table__
            columns, whole = _complete(table, rows(), company)
            processors = [
                table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in columns
            ]
            names = ", ".join(f'"{name}"' for name in columns)
            marks = ", ".join("?" * len(columns))
            connection.executemany(
                f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})',  # noqa: S608  # names of our own tables
                _converted(whole, processors),
            )
        admin = company.asked["admin"]
        connection.execute(
            "INSERT INTO role_grants (id, created_at, updated_at, version, user_id, role_id, line)"
            " SELECT ?, ?, ?, 1, ?, id, NULL FROM roles WHERE name = 'administrator'",
            (admin.token_id, *[str(company.start.replace(tzinfo=None)) + ".000000"] * 2, admin.user),
        )
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    _keep(folder, company)
    _say("loaded")
