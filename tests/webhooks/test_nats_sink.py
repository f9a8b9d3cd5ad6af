"""Events in a stream of NATS: in order, none lost, none double, whatever is killed or cut."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.js.api import StreamConfig

from crm_core import ids
from crm_core.errors import ConfigurationError
from crm_core.logs import logger
from crm_core.outbox.feeding import cursors
from crm_core.outbox.relay import number
from crm_core.testing.kit import Kit
from crm_core.webhooks.nats_sink import POSITION, Sink, run
from crm_core.webhooks.settings import WebhooksSettings
from tests.jobs.nats_kit import NatsServer, nats_server
from tests.outbox.feed_kit import feed_of, made_up, recorded


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "nats") as found:
        yield found


def sink_of(server: NatsServer, **more: Any) -> Sink:
    return Sink([server.url], **{"from_start": True, "patience": 1.0, **more})


@asynccontextmanager
async def streaming(
    crm: Kit, sink: Sink, log: io.StringIO | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """A sink as long as the block lasts."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(crm.services, sink, stop, logger("warning", log or io.StringIO())))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait([task], timeout=12)


async def happened(crm: Kit, many: int) -> None:
    """So many events, numbered."""
    subject = ids.uuid7()
    await recorded(crm, *(made_up(subject, n + 1) for n in range(many)))
    while await number(crm.services):
        pass


async def messages(server: NatsServer, stream: str = "CRM_EVENTS") -> list[Any]:
    """Everything in the stream."""
    client = await nats.connect(server.url, connect_timeout=2)
    try:
        js = client.jetstream()
        state = (await js.stream_info(stream)).state
        return [await js.get_msg(stream, seq=seq) for seq in range(state.first_seq, state.last_seq + 1)]
    finally:
        await client.close()


async def count(server: NatsServer, stream: str = "CRM_EVENTS") -> int:
    client = await nats.connect(server.url, connect_timeout=2)
    try:
        return (await client.jetstream().stream_info(stream)).state.messages
    except nats.js.errors.NotFoundError:
        return 0
    finally:
        await client.close()


async def until(done: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await done():  # noqa: ASYNC110  # it happens elsewhere
            await asyncio.sleep(0.05)


async def holds(server: NatsServer, many: int) -> None:
    async def full() -> bool:
        return await count(server) >= many

    await until(full)


async def none_is_lost_and_none_double(crm: Kit, server: NatsServer) -> None:
    found = [ids.read(message.headers["Nats-Msg-Id"])[1] for message in await messages(server)]
    assert found == [event.id for event in await feed_of(crm)]


async def test_events_stand_in_the_stream_in_order_with_their_ids(crm: Kit, server: NatsServer) -> None:
    await happened(crm, 700)
    async with streaming(crm, sink_of(server)):
        await holds(server, 700)
        await happened(crm, 5)
        await holds(server, len(await feed_of(crm)))
    await none_is_lost_and_none_double(crm, server)
    last, event = (await messages(server))[-1], (await feed_of(crm))[-1]
    assert last.subject == "crm.events.east.customer.updated"
    assert last.headers[POSITION] == str(event.position)
    body = orjson.loads(last.data)
    assert (body["type"], body["data"]["id"], body["data"]["position"]) == (
        "customer.updated", ids.show("evt", event.id), event.position,
    )  # fmt: skip
    assert {row.receiver: row.position for row in await cursors(crm.services)}[
        "nats:CRM_EVENTS"
    ] == event.position


async def test_what_is_too_large_for_the_setting_stands_in_the_stream_thin(
    crm: Kit, server: NatsServer
) -> None:
    registry = crm.services.registry
    small = {**registry.settings, "webhooks": WebhooksSettings(most_bytes=1_024)}
    crm.services = replace(crm.services, registry=replace(registry, settings=small))
    long = made_up(ids.uuid7(), 1, after={"name": "很长" * 500}, changed_fields=["name"])
    await recorded(crm, long)
    while await number(crm.services):
        pass
    async with streaming(crm, sink_of(server, scopes=frozenset({"event.read", "customer.read"}))):
        await holds(server, len(await feed_of(crm)))
    body = orjson.loads((await messages(server))[-1].data)
    assert body["data"]["thin"] is True


async def test_a_new_stream_begins_with_the_present_unless_asked_for_the_start(
    crm: Kit, server: NatsServer
) -> None:
    await happened(crm, 3)
    late = sink_of(server, from_start=False)
    async with streaming(crm, late):

        async def known() -> bool:
            return any(row.receiver == late.name for row in await cursors(crm.services))

        await until(known)
        await happened(crm, 2)
        await holds(server, 2)
    positions = [int(message.headers[POSITION]) for message in await messages(server)]
    assert positions == [event.position for event in (await feed_of(crm))[-2:]]


async def test_a_server_that_is_killed_and_started_again(crm: Kit, server: NatsServer) -> None:
    log = io.StringIO()
    async with streaming(crm, sink_of(server), log):
        for _ in range(3):
            await happened(crm, 600)
            await asyncio.sleep(0.1)
            server.stop()
            await happened(crm, 50)
            server.start()
        await holds(server, len(await feed_of(crm)))
    await none_is_lost_and_none_double(crm, server)
    assert "events wait for their stream" in log.getvalue()


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.long)])
async def test_events_wait_while_the_server_is_away_and_none_is_lost(
    crm: Kit, server: NatsServer, seconds: float
) -> None:
    async with streaming(crm, sink_of(server)):
        await happened(crm, 50)
        await holds(server, 50)
        server.stop()
        began, waiting = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            await happened(crm, 20)
            waiting += 20
            await asyncio.sleep(seconds / 10)
        (cursor,) = [row for row in await cursors(crm.services) if row.receiver.startswith("nats:")]
        events = await feed_of(crm)
        assert cursor.position < events[-1].position
        server.start()
        back = time.monotonic()
        await holds(server, len(events))
        print(  # noqa: T201  # the figures are the result
            f"NATS away for {seconds} s: {waiting} events waited, all in the stream"
            f" {time.monotonic() - back:.1f} s after it was back"
        )
    await none_is_lost_and_none_double(crm, server)


async def test_a_lost_line(crm: Kit, server: NatsServer) -> None:
    async with streaming(crm, sink_of(server)):
        await happened(crm, 600)
        server.freeze()
        await happened(crm, 600)
        await asyncio.sleep(2.5)  # longer than the sink's patience
        server.thaw()
        await holds(server, len(await feed_of(crm)))
    await none_is_lost_and_none_double(crm, server)


async def test_two_sinks_of_one_stream_double_nothing(crm: Kit, server: NatsServer) -> None:
    async with streaming(crm, sink_of(server)), streaming(crm, sink_of(server)):
        for _ in range(4):
            await happened(crm, 300)
        await holds(server, len(await feed_of(crm)))
    await none_is_lost_and_none_double(crm, server)


async def test_a_sink_cut_off_anywhere_goes_on_where_the_stream_is(crm: Kit, server: NatsServer) -> None:
    await happened(crm, 2_000)
    for pause in (0.05, 0.1, 0.2, 0.3):
        async with streaming(crm, sink_of(server)) as task:
            await asyncio.sleep(pause)
            task.cancel()
    async with streaming(crm, sink_of(server)):
        await holds(server, len(await feed_of(crm)))
    await none_is_lost_and_none_double(crm, server)


async def test_what_the_stream_forgot_is_not_sent_again_and_what_it_lost_is(
    crm: Kit, server: NatsServer
) -> None:
    await happened(crm, 10)
    async with streaming(crm, sink_of(server)):
        await holds(server, 10)
    client = await nats.connect(server.url)
    await client.jetstream().purge_stream("CRM_EVENTS")  # as its limits do with what is old
    await client.close()
    await happened(crm, 3)
    async with streaming(crm, sink_of(server)):
        await holds(server, 3)
    positions = [int(message.headers[POSITION]) for message in await messages(server)]
    assert positions == [event.position for event in (await feed_of(crm))[-3:]]


async def test_a_stream_with_messages_of_others_is_refused(crm: Kit, server: NatsServer) -> None:
    client = await nats.connect(server.url)
    js = client.jetstream()
    await js.add_stream(StreamConfig(name="CRM_EVENTS", subjects=["crm.events.>"]))
    await js.publish("crm.events.east.mine", b"{}")
    await client.close()
    with pytest.raises(ConfigurationError, match="messages of others"):
        await run(crm.services, sink_of(server), asyncio.Event(), logger("error", io.StringIO()))


@pytest.mark.long
async def test_the_command_streams_until_it_is_stopped_also_after_it_was_killed(
    crm: Kit, server: NatsServer, tmp_path: Path
) -> None:
    await happened(crm, 1_500)
    for how in (signal.SIGKILL, signal.SIGTERM):
        process = command(crm, server, tmp_path)
        try:
            await holds(server, 1 if how is signal.SIGKILL else len(await feed_of(crm)))
        finally:
            process.send_signal(how)
            _, said = await asyncio.to_thread(process.communicate, timeout=20)
        assert how is signal.SIGKILL or process.returncode == 0, said
    await none_is_lost_and_none_double(crm, server)


def command(crm: Kit, server: NatsServer, folder: Path) -> subprocess.Popen[str]:
    """`crm events sink` in a process of its own."""
    settings = crm.services.settings
    environment = {
        **os.environ,
        "CRM_DATABASE_URL": settings.database_url,
        "CRM_KEYS": settings.keys.get_secret_value(),
        "CRM_INDEX_KEY": settings.index_key.get_secret_value(),
        "CRM_LINES": '{"east": {"name": "east"}, "west": {"name": "west"}}',
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    arguments = ["events", "sink", server.url, "--from-start"]
    program = "import sys; from crm_core.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=environment, cwd=folder, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
