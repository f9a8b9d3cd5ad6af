"""When the database has no room left, commands say so and change nothing; what is on its way goes on once there is room."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import event, func, select, text

from crm_core import migrate
from crm_core.customers.models import Customer
from crm_core.db.session import Database, fault, is_trouble
from crm_core.errors import Fault
from crm_core.loader import load
from crm_core.outbox import loop
from crm_core.outbox.models import OutboxEvent
from crm_core.testing import postgres
from crm_core.webhooks import sending
from tests.serving.conftest import administrator_token, codes
from tests.serving.test_failures import CANDIDATES, ask, serving, settings_for
from tests.webhooks.conftest import Post

WRITE = """mutation { customerCreate(line: "east", input: { kind: PERSON, name: "%s" }) {
    customer { id } userErrors { code } } }"""
ROOM = 4_000_000_000
"""Pages; as good as no limit."""


async def limited(database: Database, more: int) -> None:
    """Let the file grow by so many pages and no further; SQLite keeps this with each connection that writes."""
    async with database.transaction() as session:
        free = (await session.execute(text("PRAGMA freelist_count"))).scalar_one()
        if free:  # left behind by a revision; what is within the file needs no growth
            await session.execute(text("CREATE TABLE filler (room BLOB)"))
            await session.execute(text("INSERT INTO filler VALUES (zeroblob(:room))"), {"room": free * 4_096})
        pages = (await session.execute(text("PRAGMA page_count"))).scalar_one()
        limit = f"PRAGMA max_page_count = {min(pages + more, ROOM)}"
        await session.execute(text(limit))
    event.listen(database.writes.sync_engine, "connect", lambda made, _record: made.execute(limit))


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
@pytest.mark.parametrize("seconds", [0.3, pytest.param(60, marks=pytest.mark.long)])
async def test_what_is_on_its_way_goes_on_once_a_full_database_has_room_again(
    post: Post, seconds: float
) -> None:
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
        await asyncio.sleep(seconds)
        assert post.sink.received == []
        await limited(post.crm.services.database, ROOM)
        back = time.monotonic()
        await post.sink.until(40)
        took = time.monotonic() - back
        print(f"full for {seconds} s: all 40 came {took:.1f} s after there was room")  # noqa: T201  # the figures
        stop.set()
    assert len(set(post.sink.ids)) == 40
    assert {row.state for row in await post.deliveries()} == {"DELIVERED"}


# -- PostgreSQL


@dataclass(frozen=True)
class Disk:
    """A database on a small disk of its own, which something else takes room of."""

    url: str
    other: Path

    async def fill(self) -> None:
        """Leave no room."""
        connection = await asyncpg.connect(self.url.replace("+asyncpg", ""))
        try:
            await connection.execute("CREATE TABLE filler (words text)")
            for many in (1_000, 100, 10, 1):
                with suppress(asyncpg.DiskFullError):
                    while True:
                        await connection.execute(
                            "INSERT INTO filler SELECT repeat(md5(n::text), 60) FROM generate_series(1, $1) n",
                            many,
                        )

        finally:
            await connection.close()

    def clear(self) -> None:
        """Make room again."""
        self.other.unlink()


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A tablespace on a mount of 64 MiB; mounting takes root."""
    variables = {name: value for name, value in os.environ.items() if name != "CRM_TEST_POSTGRES"}
    with postgres.start(variables) as server:
        assert server.folder is not None
        place = Path(server.folder) / "disk"
        place.mkdir()
        subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=True)
        try:
            account = postgres._account()
            assert account is not None
            shutil.chown(place, account.pw_uid, account.pw_gid)
            server._execute(f"CREATE TABLESPACE small LOCATION '{place}'")
            server._execute("CREATE DATABASE full_disk TABLESPACE small")
            other = place / "other"
            other.write_bytes(bytes(8 * 1024 * 1024))
            yield Disk(server.url("full_disk"), other)
        finally:
            server.stop()
            subprocess.run(["/bin/umount", place], check=False)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which takes root")
async def test_a_full_disk_under_postgresql_refuses_commands_until_there_is_room(
    tmp_path: Path, disk: Disk
) -> None:
    url = disk.url.replace("+asyncpg", "")
    settings = settings_for(url, tmp_path).model_copy(update={"relay_seconds": 0})
    await migrate.upgrade(settings, load(settings, CANDIDATES))
    async with serving(settings, io.StringIO()) as (client, app):
        token, database = await administrator_token(app.state.house.services), app.state.house.database
        await disk.fill()
        answers = [await ask(client, token, WRITE % f"客户 {number}") for number in range(150)]
        made = [answer for answer in answers if answer.status_code == 200]
        full = [answer for answer in answers if answer.status_code != 200]
        assert full
        assert {(answer.status_code, *codes(answer)) for answer in full} == {(503, "DATABASE_FULL")}
        assert await counted(database) == (len(made), len(made))
        reading = await ask(client, token, "{ businessLines { nodes { code } } }")
        assert reading.json()["data"] == {"businessLines": {"nodes": [{"code": "east"}]}}
        disk.clear()
        again = await ask(client, token, WRITE % "客户")
        assert again.json()["data"]["customerCreate"]["userErrors"] == []
        assert await counted(database) == (len(made) + 1, len(made) + 1)
        print(f"PostgreSQL full: {len(made)} done, {len(full)} refused, then done again")  # noqa: T201  # the figures


class _NoRoom(Exception):
    """As PostgreSQL's driver raises it."""

    sqlstate = "53100"


def test_a_full_disk_under_postgresql_has_the_same_code() -> None:
    found = fault(_NoRoom())
    assert isinstance(found, Fault)
    assert found.code == "DATABASE_FULL"
    assert is_trouble(_NoRoom())
