"""On PostgreSQL each kind of record is searched by an index of its own, which knows how common a text is in the kind."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, text

from crm_core.db.search import SearchDocument, matching
from crm_core.ids import uuid7
from crm_core.testing.kit import Kit

pytestmark = pytest.mark.parametrize("crm_dialect", ["postgresql"])


async def plan(crm: Kit, kind: str, token: str) -> str:
    """How PostgreSQL looks a token up among records of a kind."""
    statement = matching(kind, [[token]], "postgresql").compile(
        dialect=crm.database.reads.dialect, compile_kwargs={"literal_binds": True}
    )
    async with crm.database.connection() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        rows = await connection.execute(text(f"EXPLAIN {statement}"))
        return "\n".join(row[0] for row in rows)


async def fill(crm: Kit, *kinds: str) -> None:
    """Documents of these kinds with a token of their own each, and those of the first with one in common."""
    rows: list[dict[str, Any]] = [
        {"kind": kind, "subject_id": uuid7(), "tokens": (f"own{n}", *("common",) * (kind == kinds[0]))}
        for kind in kinds
        for n in range(2_000)
    ]
    async with crm.database.transaction() as unit:
        await unit.execute(insert(SearchDocument.__table__), rows)
        await unit.execute(text("ANALYZE search_documents"))


@pytest.mark.parametrize(
    ("kind", "index"),
    [("Customer", "customer"), ("Contact", "contact"), ("Approval", "approval"), ("Vehicle", "others")],
)
async def test_each_kind_has_an_index(crm: Kit, kind: str, index: str) -> None:
    await fill(crm, "Note", kind)
    assert f"ix_search_documents_of_{index}" in await plan(crm, kind, "own7")


async def test_how_common_a_text_is_in_one_kind_says_nothing_of_another(crm: Kit) -> None:
    await fill(crm, "Customer", "Contact")

    async def expected(kind: str) -> int:
        return int((await plan(crm, kind, "common")).partition("rows=")[2].split()[0])

    assert await expected("Customer") > 1_000
    assert await expected("Contact") < 50
