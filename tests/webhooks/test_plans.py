"""A million deliveries that wait or are done slow nobody down: every statement of the sender goes by an index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, insert, text

from crm_core import ids
from crm_core.db.session import Database
from crm_core.webhooks import queries
from crm_core.webhooks.claiming import claim
from crm_core.webhooks.models import WebhookDelivery
from tests.webhooks.conftest import Post


async def fill(post: Post, endpoint: Any, many: int, **values: Any) -> None:
    """So many deliveries of an endpoint."""
    now, rows = post.crm.clock(), []
    common = {
        "created_at": now, "updated_at": now, "version": 1, "endpoint_id": endpoint.id, "line": "east",
        "kind": "customer.updated", "occurred_at": now, "attempts": 0, "state": "WAITING", "next_at": now, **values,
    }  # fmt: skip
    for number in range(many):
        key = ids.uuid7()
        record = ids.show("cus", key)
        rows.append({**common, "id": key, "event_id": ids.uuid7(), "position": number, "subject_ref": record})
    async with post.crm.database.transaction() as session:
        for start in range(0, many, 5_000):
            await session.execute(insert(WebhookDelivery.__table__), rows[start : start + 5_000])
    async with post.crm.database.connection() as connection:
        await connection.execute(text("ANALYZE"))


async def plan(database: Database, statement: Select[Any]) -> str:
    """How the database reads it."""
    dialect = database.reads.dialect
    compiled = statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
    async with database.connection() as connection:
        rows: Sequence[Any] = (
            await connection.execute(text(explain + str(compiled).replace(":", "\\:")))
        ).all()
    return "\n".join(str(row[-1]) for row in rows)


async def statements(post: Post, endpoint: Any) -> dict[str, str]:
    """Plans of everything the sender asks in its loop."""
    now, database = post.crm.clock(), post.crm.database
    rows = (await database.fetch(queries.due(endpoint.id, now, 3)))[:3]
    return {
        "which endpoints": await plan(database, queries.endpoints_due().params(now=now)),
        "what is due": await plan(database, queries.due(endpoint.id, now, 100)),
        "which are first": await plan(database, queries.heads([row.id for row in rows])),
    }


@pytest.mark.parametrize("many", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
async def test_waiting_and_finished_deliveries_do_not_slow_what_is_claimed(post: Post, many: int) -> None:
    busy, waiting, done = [
        await post.state(await post.endpoint(name=name)) for name in ("busy", "waiting", "done")
    ]
    later = post.crm.clock() + timedelta(days=1)
    await fill(post, waiting, many // 2, next_at=later)
    await fill(post, busy, many // 2)
    await fill(post, done, many // 2, state="DELIVERED")
    plans = await statements(post, busy)
    for name, shown in plans.items():
        assert "ix_webhook_deliveries" in shown, (name, shown)
        assert "Seq Scan on webhook_deliveries" not in shown
        assert "SCAN webhook_deliveries" not in shown
    assert "ix_webhook_deliveries_due" in plans["what is due"]
    began = time.perf_counter()
    assert len(await claim(post.crm.services, busy.id, 100, alone=False)) == 100
    assert await post.crm.database.fetch(queries.endpoints_due(), {"now": post.crm.clock()})
    assert time.perf_counter() - began < 1


async def test_taking_many_events_in_is_a_matter_of_few_statements(post: Post) -> None:
    for number in range(3):
        await post.endpoint(name=str(number))
    for number in range(10):
        await post.customer(str(number))
    with post.crm.statements() as sent:
        await post.feed()
    assert len([one for one in sent if "webhook_" in one]) == 2


async def test_a_batch_is_taken_and_written_down_in_few_statements(post: Post) -> None:
    await post.endpoint(concurrency=50)
    for number in range(30):
        await post.customer(str(number))
    await post.feed()
    with post.crm.statements() as sent:
        await post.send()
    assert len(sent) < 40
