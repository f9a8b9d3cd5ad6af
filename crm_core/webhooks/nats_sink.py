"""Streams the feed of events into NATS JetStream (事件流出): in order, none lost, none double.

The stream itself says how far it is: its last message bears its position in the feed, and a message is taken only
right behind the one its sender saw last. So whatever was under way when a process, the server or the line was lost,
the next try finds out and goes on behind it; two sinks of one stream take turns without harm.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import nats
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from crm_core import ids
from crm_core.errors import ConfigurationError, Fault
from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.models import FeedCursor, OutboxEvent
from crm_core.outbox.relay import last_position
from crm_core.webhooks.claiming import settings_of
from crm_core.webhooks.payloads import Form, payload
from crm_core.work import Services

if TYPE_CHECKING:
    from nats.aio.client import Client
    from structlog.typing import FilteringBoundLogger

POSITION: Final = "Crm-Position"
_LAST_SEQUENCE: Final = "Nats-Expected-Last-Sequence"
_MESSAGE_ID: Final = "Nats-Msg-Id"
BATCH: Final = 500
AGAIN_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 0.2
_NOT_IN_SUBJECTS: Final = re.compile(r"[^A-Za-z0-9_-]")
_E, _C = OutboxEvent.__table__, FeedCursor.__table__
_COLUMNS: Final = tuple(_E.c[name] for name in RecordedEvent.__dataclass_fields__)


@dataclass(frozen=True)
class Sink:
    """Where events go: NATS servers, stream, the beginning of subjects; and how much of an event is shown there.

    `from_start`: a stream that is new gets all events there are, else those from now on. `patience`: seconds the server
    may take to answer.
    """

    servers: Sequence[str]
    stream: str = "CRM_EVENTS"
    subject: str = "crm.events"
    scopes: frozenset[str] = frozenset({"event.read"})
    from_start: bool = False
    patience: float = 5.0

    @property
    def name(self) -> str:
        """What its cursor is called."""
        return f"nats:{self.stream}"[:80]

    def subject_of(self, event: RecordedEvent) -> str:
        """`crm.events.<line>.<kind>`; the line of an event that belongs to none is `_`."""
        return f"{self.subject}.{_NOT_IN_SUBJECTS.sub('_', event.line or '_')}.{event.kind}"


async def run(services: Services, sink: Sink, stop: asyncio.Event, log: FilteringBoundLogger) -> None:
    """Stream events until `stop` is set; a server or database that is away is waited for."""
    while not stop.is_set():
        try:
            await _streamed(services, sink, stop)
        except (NatsError, Fault, OSError, TimeoutError) as trouble:
            log.warning("events wait for their stream", stream=sink.name, reason=_words(trouble))
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await stop.wait()


async def _streamed(services: Services, sink: Sink, stop: asyncio.Event) -> None:
    client = await nats.connect(
        list(sink.servers), allow_reconnect=False, connect_timeout=3, ping_interval=5, error_cb=_quietly
    )
    try:
        stream = client.jetstream(timeout=sink.patience)
        sequence, position = await _reached(services, sink, stream)
        while not stop.is_set():
            events = await _behind(services, position)
            if not events:
                await _idle(client, stop)
                continue
            await _publish(services, sink, stream, events, sequence)
            sequence, position = sequence + len(events), events[-1].position
            await _note(services, sink, position)
    finally:
        with suppress(NatsError, OSError, TimeoutError):
            await client.close()


async def _reached(services: Services, sink: Sink, stream: JetStreamContext) -> tuple[int, int]:
    """The last sequence of the stream, and the position of the last event in it; the stream is made if need be."""
    try:
        state = (await stream.stream_info(sink.stream)).state
    except NotFoundError:
        wanted = StreamConfig(name=sink.stream, subjects=[f"{sink.subject}.>"])
        state = (await stream.add_stream(wanted)).state
    with suppress(NotFoundError):  # it may have been removed from the stream since
        if state.last_seq:
            last = await stream.get_msg(sink.stream, seq=state.last_seq)
            return state.last_seq, _position(sink, last.headers or {})
    return state.last_seq, await _noted(services, sink)


def _position(sink: Sink, headers: Mapping[str, str]) -> int:
    if POSITION not in headers:
        raise ConfigurationError(
            f"The stream {sink.stream} has messages of others; give events one of their own (该流不是事件专用)"
        )
    return int(headers[POSITION])


async def _noted(services: Services, sink: Sink) -> int:
    """The position noted in the database; of a sink that is new the beginning or the end of the feed."""
    rows = await services.database.fetch(select(_C.c.position).where(_C.c.receiver == sink.name))
    if rows:
        return int(rows[0].position)
    position = 0 if sink.from_start else await last_position(services)
    dialect = postgresql if services.database.dialect == "postgresql" else sqlite
    new = {"receiver": sink.name, "position": position, "attempts": 0, "single_until": 0}
    async with services.database.transaction() as session:
        await session.execute(dialect.insert(_C).values(new).on_conflict_do_nothing())
    return position


async def _note(services: Services, sink: Sink, position: int) -> None:
    """Note how far the stream is, for people, and for the day its messages are gone."""
    moved = update(_C).where(_C.c.receiver == sink.name, _C.c.position < position).values(position=position)
    async with services.database.transaction() as session:
        await session.execute(moved)


async def _behind(services: Services, position: int) -> list[RecordedEvent]:
    wanted = select(*_COLUMNS).where(_E.c.position > position).order_by(_E.c.position).limit(BATCH)
    return [RecordedEvent(**row._mapping) for row in await services.database.fetch(wanted)]  # noqa: SLF001  # public, whatever it is called


async def _publish(
    services: Services, sink: Sink, stream: JetStreamContext, events: Sequence[RecordedEvent], sequence: int
) -> None:
    """Publish a batch in order, each right behind the one before; raises when one was not taken."""
    confirmed: list[asyncio.Future[Any]] = []
    most = settings_of(services).most_bytes
    try:
        for place, event in enumerate(events):
            form = Form(sink.name, event.line or "", sink.scopes)
            headers = {
                _MESSAGE_ID: ids.show("evt", event.id),
                _LAST_SEQUENCE: str(sequence + place),
                POSITION: str(event.position),
            }
            body = await payload(services, form, event, most)
            confirmed.append(await stream.publish_async(sink.subject_of(event), body, headers=headers))
        async with asyncio.timeout(sink.patience):
            await asyncio.gather(*confirmed)
    finally:
        for one in confirmed:
            one.cancel()


async def _idle(client: Client, stop: asyncio.Event) -> None:
    if not client.is_connected:
        raise ConnectionError("the connection was lost")
    with suppress(TimeoutError):
        async with asyncio.timeout(IDLE_SECONDS):
            await stop.wait()


async def _quietly(_error: Exception) -> None:
    """Whoever waits for an answer hears of it."""


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
