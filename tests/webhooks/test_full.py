"""When the database has no room left, commands say so and change nothing; what is on its way goes on once there is room."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from crm_core import migrate
from crm_core.customers.models import Customer
from crm_core.db.session import Database, fault, is_trouble
from crm_core.errors import Fault
from crm_core.loader import load
from crm_core.outbox import loop
from crm_core.outbox.models import OutboxEvent
from crm_core.webhooks import sending
from tests.serving.conftest import administrator_token, codes
from tests.serving.test_failures import CANDIDATES, ask, serving, settings_for
from tests.webhooks.conftest import Post

WRITE = """mutation { customerCreate(line: "east", input: { kind: PERSON, name: "%s" }) {
    customer { id } userErrors { code } } }"""
ROOM = 4_000_000_000
"""Pages; as good as no limit."""


async def limited(database: Database, more: int) -> None:
    """Let the file grow by so many pages and no further; SQLite keeps this with the connection that writes."""
    async with database.transaction() as session:
        pages = (await session.execute(text("PRAGMA page_count"))).scalar_one()
        await session.execute(text(f"PRAGMA max_page_count = {min(pages + more, ROOM)}"))


async def counted(database: Database) -> tuple[int, int]:
    """How many customers there are, and how many events of new ones."""
    customers = await database.fetch(select(func.count()).select_from(Customer))
    made = select(func.count()).select_from(OutboxEvent).where(OutboxEvent.kind == "customer.created")
    return int(customers[0][0]), int((await database.fetch(made))[0][0])


async def test_a_full_database_refuses_commands_and_keeps_nothing_by_halves(tmp_path: Path) -> None:
    settings = settings_for(f"sqlite:///{tmp_path}/crm.db", tmp_path).model_copy(update={"relay_seconds": 0})
    await migrate.upgrade(settings, load(settings, CANDIDATES))
    async with serving(settings, io.StringIO()) as (client, app):
        token, database = await administrator_token(app.state.house.services), app.state.house.database
        await limited(database, 2)
        answers = [await ask(client, token, WRITE % f"客户 {number}") for number in range(60)]
        made = [answer for answer in answers if answer.status_code == 200]
        full = [answer for answer in answers if answer.status_code != 200]
        assert made
        assert full
        assert {(answer.status_code, *codes(answer)) for answer in full} == {(503, "DATABASE_FULL")}
        assert await counted(database) == (len(made), len(made))
        reading = await ask(client, token, "{ businessLines { nodes { code } } }")
        assert reading.json()["data"] == {"businessLines": {"nodes": [{"code": "east"}]}}
        await limited(database, ROOM)
        again = await ask(client, token, WRITE % "客户")
        assert again.json()["data"]["customerCreate"]["userErrors"] == []
        assert await counted(database) == (len(made) + 1, len(made) + 1)


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_what_is_on_its_way_goes_on_once_a_full_database_has_room_again(post: Post) -> None:
    await post.endpoint()
    for number in range(40):
        await post.customer(f"华信 {number}")
    post.now()
    await limited(post.crm.services.database, 0)
    with pytest.raises(Fault, match="no room"):
        await post.feed()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(loop.run(post.crm.services, stop))
        group.create_task(sending.run(post.crm.services, stop))
        await asyncio.sleep(0.3)
        assert post.sink.received == []
        await limited(post.crm.services.database, ROOM)
        await post.sink.until(40)
        stop.set()
    assert len(set(post.sink.ids)) == 40
    assert {row.state for row in await post.deliveries()} == {"DELIVERED"}


class _NoRoom(Exception):
    """As PostgreSQL's driver raises it."""

    sqlstate = "53100"


def test_a_full_disk_under_postgresql_has_the_same_code() -> None:
    found = fault(_NoRoom())
    assert isinstance(found, Fault)
    assert found.code == "DATABASE_FULL"
    assert is_trouble(_NoRoom())
