"""Reads straight by the driver: what is sent, what happens when it is slow, lost or forbidden."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from crm_core.errors import Fault
from crm_core.testing.kit import Kit


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_connections_lost_while_idle_are_replaced(crm: Kit) -> None:
    one = "SELECT to_json(pg_backend_pid()::text || pg_sleep(0.01)::text)"
    lost = await asyncio.gather(*(crm.database.answer(one, []) for _ in range(3)))
    end = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = ANY(:pids)")
    await crm.database.fetch(end.bindparams(pids=[int(pid.strip(b'"')) for pid in lost]))
    again = await asyncio.gather(*(crm.database.answer(one, []) for _ in range(3)))
    assert set(again).isdisjoint(lost)


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
@pytest.mark.parametrize("crm_settings", [{"database_connections": 1}])
async def test_statements_wait_for_a_connection(crm: Kit) -> None:
    found = await asyncio.gather(
        *(crm.database.answer("SELECT to_json(pg_sleep(0.02)::text)", []) for _ in range(5))
    )
    assert found == [b'""'] * 5


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_nothing_is_written_by_a_reading_statement(crm: Kit) -> None:
    with pytest.raises(Exception, match="readonly"):
        await crm.database.answer("DELETE FROM users RETURNING '{}'", [])


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_readers_see_what_was_committed_and_compute_at_once(crm: Kit) -> None:
    count = "SELECT '' || count(*) FROM users"
    before = int(await crm.database.answer(count, []))
    await crm.actor("one", {})
    assert (
        await asyncio.gather(*(crm.database.answer(count, []) for _ in range(12)))
        == [b"%d" % (before + 1)] * 12
    )


async def test_what_the_database_objects_to_is_no_fault_of_the_database(crm: Kit) -> None:
    with pytest.raises(Exception, match="nowhere") as caught:
        await crm.database.answer("SELECT 1 FROM nowhere", [])
    assert not isinstance(caught.value, Fault)
