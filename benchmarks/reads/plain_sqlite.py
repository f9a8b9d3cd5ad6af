"""Plain Strawberry on SQLite: the server of `plain` over aiosqlite, whose search is the FTS table."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, String, column, event, select, table
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.reads import wire
from benchmarks.reads.floor_sqlite import PRAGMAS
from benchmarks.reads.plain import app, token_of
from crm_core.db.search import SearchDocument


def _opened(file: str) -> AsyncEngine:
    """An engine whose connections are set as those of the other contestants."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _searched(text: str) -> Select[UUID]:
    index = table("search_documents_fts", column("rowid", Integer), column("search_documents_fts", String))
    matched = select(index.c.rowid).where(index.c.search_documents_fts.match(f'"{token_of(text)}"'))
    here = (SearchDocument.kind == "Customer", SearchDocument.id.in_(matched))
    return select(SearchDocument.subject_id).where(*here)


if __name__ == "__main__":
    given = wire.arguments()
    wire.serve(app(_opened(given.address), _searched, wire.callers(given.folder)), given.port)
