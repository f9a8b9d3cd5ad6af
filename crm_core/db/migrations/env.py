"""One environment for every distribution: its folder, its version table, its own tables."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import JSON, Connection

from crm_core.db.base import Base
from crm_core.db.types import ExactDecimal, TokenList, UtcDateTime


def run() -> None:
    """Migrate over the connection handed in by `crm_core.migrate`."""
    attributes = context.config.attributes
    connection: Connection = attributes["connection"]
    tables: frozenset[str] = attributes["tables"]

    def ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:  # noqa: FBT001
        if kind == "table":
            return name in tables
        return not (kind == "index" and str(name).startswith("ix_search_documents_"))

    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=attributes["version_table"],
        include_object=ours,
        render_item=_rendered,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=True,
        on_version_apply=_refuse_broken_keys,  # type: ignore[arg-type]  # called by keyword
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _refuse_broken_keys(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """SQLite changes tables with foreign keys off: a revision that leaves a dangling key is undone."""
    connection = ctx.connection
    if connection is None or connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        rows = ", ".join(f"{table} row {row} → {parent}" for table, row, parent, _ in broken[:3])
        raise RuntimeError(f"revision {step.up_revision_id} breaks {len(broken)} foreign key(s): {rows}")


def _rendered(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    if kind == "type" and isinstance(item, UtcDateTime | TokenList | ExactDecimal):
        autogen.imports.add(f"from crm_core.db.types import {type(item).__name__}")
        return f"{type(item).__name__}()"
    if kind == "type" and isinstance(item, JSON):
        autogen.imports.add("from crm_core.db.types import JsonValue")
        return "JsonValue"
    return False


run()
