"""Live subscriptions through a real server: over SSE and a websocket, resumed, revoked, bounded, ended at the stop."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from crm_core import ids
from crm_core.access.authentication import Authenticator
from crm_core.actors import Actor, Reach
from crm_core.graphql.event_stream import EventStream, wants_events
from crm_core.graphql.following import Following
from crm_core.graphql.serving import GraphQLServer
from crm_core.graphql.socket import Socket
from crm_core.logs import logger
from crm_core.outbox import loop
from crm_core.settings import Limits
from crm_core.testing.kit import Kit
from crm_core.work import Services, perform
from tests.outbox.feed_kit import made_up, recorded

LIVE = "subscription($after: String, $kinds: [String!], $subject: String) {"
LIVE += " events(after: $after, kinds: $kinds, subject: $subject) { id position kind sequence } }"
FAST = 0.02


@dataclass
class Place:
    """A served deployment: where it listens, and somebody who may read the events of a line."""

    crm: Kit
    services: Services
    following: Following
    port: int
    reader: Actor
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@pytest.fixture
def crm_settings() -> Mapping[str, Any]:
    return {
        "relay_seconds": FAST,
        "heartbeat_seconds": 0.3,
        "chore_seconds": 0,
        "limits": Limits(statement_seconds=60, streams=4),
    }


@pytest.fixture
async def place(crm: Kit) -> AsyncIterator[Place]:
    reader = await crm.actor("reader", {"event.read": Reach.LINE})
    await crm.passed_on()
    services, log = crm.services, logger("error")
    server = GraphQLServer(
        services, crm.schema, authenticator=Authenticator(services), perform=perform, log=log
    )
    following = Following(server, services)
    stop = asyncio.Event()
    relaying = asyncio.create_task(loop.run(services, stop))
    async with listening(endpoint(server, following, log)) as port:
        yield Place(crm, services, following, port, reader, await crm.token(reader))
        following.closing.set()
    stop.set()
    await relaying


def endpoint(server: GraphQLServer, following: Following, log: Any) -> ASGIApp:
    """The endpoint alone, as the product's app has it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await Socket(following, WebSocket(scope, receive, send), log).run()
        elif wants_events(scope):
            await EventStream(following, 100_000, log)(scope, receive, send)
        else:
            await (await server.handle(Request(scope, receive)))(scope, receive, send)

    return app


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    """Serve an app on a free port."""
    config = uvicorn.Config(
        app, port=0, ws="websockets-sansio", log_config=None, timeout_graceful_shutdown=5, lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


class Events:
    """What comes over one event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.alive = 0

    async def next(self) -> tuple[str, Any]:
        """The next event: its name and its data."""
        name = ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith(":"):
                    self.alive += 1
                elif line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data:"):
                    text = line.removeprefix("data:").strip()
                    return name, json.loads(text) if text else None
        return "end", None

    async def begun(self) -> None:
        """Wait for the comment a stream begins with."""
        assert await anext(self._lines) == ":"

    async def row(self) -> dict[str, Any]:
        name, data = await self.next()
        assert name == "next", (name, data)
        found: dict[str, Any] = data["data"]["events"]
        return found


@asynccontextmanager
async def stream(place: Place, query: str = LIVE, **variables: Any) -> AsyncIterator[Events]:
    headers = {**place.headers, "accept": "text/event-stream"}
    async with httpx.AsyncClient(timeout=15) as client:
        body = {"query": query, "variables": variables}
        url = f"http://127.0.0.1:{place.port}/graphql"
        async with client.stream("POST", url, json=body, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield Events(response)


async def some(place: Place, many: int, **more: Any) -> list[str]:
    made = await recorded(place.crm, *(made_up(ids.uuid7(), 1, **more) for _ in range(many)))
    return [ids.show("evt", key) for key in made]


async def test_what_is_recorded_comes_over_the_stream_and_is_resumed_behind_a_position(place: Place) -> None:
    async with stream(place) as events:
        await events.begun()
        made = await some(place, 3)
        rows = [await events.row() for _ in range(3)]
    assert [row["id"] for row in rows] == made
    more = await some(place, 2)
    async with stream(place, after=rows[1]["position"]) as events:
        assert [(await events.row())["id"] for _ in range(3)] == [made[2], *more]
        later = await some(place, 1)
        assert (await events.row())["id"] == later[0]


async def test_each_event_comes_once_however_many_there_are_and_from_the_start(place: Place) -> None:
    made = [one for _ in range(5) for one in await some(place, 50)]
    async with stream(place, after="0") as events:
        more = asyncio.create_task(some(place, 30))
        rows = [await events.row() for _ in range(280)]
    assert [row["id"] for row in rows] == made + await more
    numbers = [int(row["position"]) for row in rows]
    assert numbers == sorted(set(numbers))


async def test_a_batch_is_one_statement(place: Place) -> None:
    await some(place, 90)
    async with stream(place, after="0") as events:
        for _ in range(90):
            await events.row()
    sent: list[str] = []
    place.services.database.heard.append(sent.append)
    async with stream(place, after="0") as events:
        for _ in range(90):
            await events.row()
    assert len([sql for sql in sent if "outbox_events" in sql]) == 1


async def test_kinds_and_subject_narrow_the_stream_and_other_lines_stay_out(place: Place) -> None:
    subject: UUID = ids.uuid7()
    async with stream(
        place, after="0", kinds=["customer.tagged"], subject=ids.show("cus", subject)
    ) as events:
        await recorded(
            place.crm,
            made_up(subject, 1),
            made_up(subject, 2, kind="customer.tagged"),
            made_up(ids.uuid7(), 1, kind="customer.tagged"),
            made_up(subject, 3, kind="customer.tagged", line="west"),
            made_up(subject, 4, kind="customer.tagged"),
        )
        assert [(await events.row())["sequence"] for _ in range(2)] == [2, 4]


async def test_fragments_aliases_and_literals_are_answered(place: Place) -> None:
    (made,) = await some(place, 1, kind="customer.archived")
    query = 'subscription S { seen: events(after: "0", kinds: ["customer.archived"]) { ...F key: id } }'
    query += " fragment F on Event { __typename kind position }"
    async with stream(place, query) as events:
        _, data = await events.next()
    seen = data["data"]["seen"]
    assert (seen["__typename"], seen["kind"], seen["key"]) == ("Event", "customer.archived", made)


async def test_a_query_over_the_stream_is_one_result(place: Place) -> None:
    async with stream(place, "{ viewer { name } }") as events:
        assert await events.next() == (
            "next",
            {
                "data": {"viewer": {"name": "reader"}},
                "extensions": {"cost": {"requested": 1, "limit": 10_000}},
            },
        )
        assert (await events.next())[0] == "complete"
        assert (await events.next())[0] == "end"


async def test_a_revoked_token_ends_the_stream_with_an_error(place: Place) -> None:
    async with stream(place) as events:
        tokens = await place.crm.data("{ apiTokens { nodes { id user { id } } } }")
        mine = [n["id"] for n in tokens["apiTokens"]["nodes"]]
        for one in mine:
            await place.crm.done("tokenRevoke", input={"id": one})
        name, data = await events.next()
        assert name == "next"
        assert [e["extensions"]["code"] for e in data["errors"]] == ["UNAUTHENTICATED"]
        assert (await events.next())[0] == "complete"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("subscription { events { nope } }", 400, "GRAPHQL_VALIDATION_FAILED"),
        ('subscription { events(after: "x") { id } }', 400, "INVALID_PAGE"),
        ("subscription {", 400, "GRAPHQL_PARSE_FAILED"),
    ],
)
async def test_what_is_wrong_is_told_before_the_stream(
    place: Place, query: str, status: int, code: str
) -> None:
    async with httpx.AsyncClient() as client:
        headers = {**place.headers, "accept": "text/event-stream"}
        url = f"http://127.0.0.1:{place.port}/graphql"
        answer = await client.post(url, json={"query": query}, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code)
        answer = await client.post(
            url, json={"query": query}, headers={**headers, "authorization": "Bearer x"}
        )
        assert answer.status_code == 401
        plain = await client.post(url, json={"query": LIVE}, headers=place.headers)
        assert (plain.status_code, plain.json()["errors"][0]["extensions"]["code"]) == (406, "NOT_ACCEPTABLE")


async def test_streams_are_bounded_and_their_places_are_given_back(place: Place) -> None:
    async with stream(place), stream(place), stream(place), stream(place):
        async with httpx.AsyncClient() as client:
            headers = {**place.headers, "accept": "text/event-stream"}
            url = f"http://127.0.0.1:{place.port}/graphql"
            answer = await client.post(url, json={"query": LIVE}, headers=headers)
        assert answer.status_code == 503
        assert answer.json()["errors"][0]["extensions"]["code"] == "TOO_MANY_STREAMS"
    async with asyncio.timeout(5):
        while place.following._open:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)


async def test_streams_and_sockets_end_when_the_server_stops(place: Place) -> None:
    async with stream(place) as events, socket(place) as live:
        await live.subscribe("1", LIVE)
        place.following.closing.set()
        assert (await events.next())[0] == "end"
        assert await closed_with(live) == 1012


class Deaf:
    """A client that sends these messages, takes so many of what he is sent, and then neither takes nor leaves."""

    def __init__(self, *says: dict[str, Any], takes: int) -> None:
        self._says, self._takes = list(says), takes
        self.taken: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if not self._says:
            await asyncio.Event().wait()
        return self._says.pop(0)

    async def send(self, message: Any) -> None:
        if len(self.taken) >= self._takes:
            await asyncio.Event().wait()
        self.taken.append(message)


def impatient(place: Place) -> Following:
    """The live subscriptions of a deployment that waits for nobody."""
    settings = place.services.settings.model_copy(update={"take_seconds": 0.1})
    return Following(place.following.server, replace(place.services, settings=settings))


def scope_of(place: Place, kind: str, **more: Any) -> dict[str, Any]:
    headers = {**place.headers, "accept": "text/event-stream", "content-type": "application/json"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "path": "/graphql", "query_string": b"", "headers": raw, **more}


@pytest.mark.parametrize("takes", [1, 3])
async def test_a_stream_whose_client_takes_nothing_is_cut_off_and_its_place_given_back(
    place: Place, takes: int
) -> None:
    await some(place, 5)
    following, told = impatient(place), io.StringIO()
    body = json.dumps({"query": LIVE, "variables": {"after": "0"}}).encode()
    client = Deaf({"type": "http.request", "body": body, "more_body": False}, takes=takes)
    answer = EventStream(following, 100_000, logger("info", told))
    async with asyncio.timeout(5):
        await answer(scope_of(place, "http", method="POST"), client.receive, client.send)
    assert len(client.taken) == takes
    assert following._open == 0
    assert "stream dropped" in told.getvalue()


async def test_a_websocket_whose_client_takes_nothing_is_cut_off_and_its_places_given_back(
    place: Place,
) -> None:
    await some(place, 5)
    following, told = impatient(place), io.StringIO()
    subscribe = {"type": "subscribe", "id": "1", "payload": {"query": LIVE, "variables": {"after": "0"}}}
    client = Deaf(
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": '{"type": "connection_init"}'},
        {"type": "websocket.receive", "text": json.dumps(subscribe)},
        takes=3,
    )
    scope = scope_of(place, "websocket", subprotocols=["graphql-transport-ws"])
    served = Socket(following, WebSocket(scope, client.receive, client.send), logger("info", told))
    async with asyncio.timeout(5):
        await served.run()
    assert [message.get("type") for message in client.taken] == ["websocket.accept", *["websocket.send"] * 2]
    assert following._open == 0
    assert "websocket dropped" in told.getvalue()


# -- websockets


@dataclass
class Live:
    connection: ClientConnection

    async def tell(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        while True:
            async with asyncio.timeout(10):
                message: dict[str, Any] = json.loads(await self.connection.recv())
            if message["type"] != "ping":
                return message
            await self.tell(type="pong")

    async def subscribe(self, key: str, query: str, **variables: Any) -> None:
        await self.tell(type="subscribe", id=key, payload={"query": query, "variables": variables})


@asynccontextmanager
async def socket(
    place: Place, *, begin: bool = True, protocol: str = "graphql-transport-ws"
) -> AsyncIterator[Live]:
    url = f"ws://127.0.0.1:{place.port}/graphql"
    async with connect(url, subprotocols=[Subprotocol(protocol)]) as connection:
        live = Live(connection)
        if begin:
            await live.tell(type="connection_init", payload={"Authorization": f"Bearer {place.token}"})
            assert await live.next() == {"type": "connection_ack"}
        yield live


async def closed_with(live: Live) -> int:
    try:
        while True:
            await live.next()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


async def test_a_websocket_carries_several_operations(place: Place) -> None:
    made = await some(place, 2)
    async with socket(place) as live:
        await live.subscribe("a", LIVE, after="0", kinds=["customer.updated"])
        got = [await live.next() for _ in range(2)]
        assert [m["payload"]["data"]["events"]["id"] for m in got] == made
        assert {m["id"] for m in got} == {"a"}
        await live.subscribe("b", "{ viewer { name } }")
        answer = await live.next()
        assert (answer["id"], answer["payload"]["data"]) == ("b", {"viewer": {"name": "reader"}})
        assert await live.next() == {"type": "complete", "id": "b"}
        await live.tell(type="complete", id="a")
        await live.tell(type="ping")
        assert await live.next() == {"type": "pong"}
        await some(place, 1)
        await live.subscribe("c", LIVE, after=got[0]["payload"]["data"]["events"]["position"])
        assert [(await live.next())["id"] for _ in range(2)] == ["c", "c"]
        await live.subscribe("d", "subscription { events { nope } }")
        wrong = await live.next()
        assert (wrong["type"], wrong["id"]) == ("error", "d")
        assert wrong["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_websocket_is_closed_for_what_the_protocol_forbids(place: Place) -> None:
    async with socket(place, begin=False) as live:
        await live.subscribe("1", LIVE)
        assert await closed_with(live) == 4401
    async with socket(place, begin=False) as live:
        await live.tell(type="connection_init", payload={"authorization": "Bearer wrong"})
        assert await closed_with(live) == 4403
    async with socket(place) as live:
        await live.tell(type="connection_init")
        assert await closed_with(live) == 4429
    async with socket(place) as live:
        await live.subscribe("1", LIVE)
        await live.subscribe("1", LIVE)
        assert await closed_with(live) == 4409
    async with socket(place) as live:
        await live.connection.send("no json")
        assert await closed_with(live) == 4400
    async with connect(f"ws://127.0.0.1:{place.port}/graphql") as connection:
        assert await closed_with(Live(connection)) == 4406


async def test_a_websocket_that_presents_no_credential_is_closed_after_a_while(place: Place) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await Socket(place.following, websocket, logger("error"), init_seconds=0.2).run()

    known = [Subprotocol("graphql-transport-ws")]
    async with listening(app) as port, connect(f"ws://127.0.0.1:{port}/", subprotocols=known) as connection:
        live = Live(connection)
        await live.tell(type="ping")
        assert await live.next() == {"type": "pong"}
        assert await closed_with(live) == 4408


# -- where only persisted documents are answered

NAME = "query Name { viewer { name } }"
OTHER = "subscription { events { id } }"


@pytest.fixture
async def strict(place: Place, tmp_path: Path) -> AsyncIterator[Place]:
    """The same deployment, served to those who ask one of two documents."""
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({"live": LIVE, "name": NAME}), encoding="utf-8")
    settings = place.services.settings.model_copy(
        update={"persisted_documents": manifest, "only_persisted": True}
    )
    services, log = replace(place.services, settings=settings), logger("error")
    server = GraphQLServer(
        services, place.crm.schema, authenticator=Authenticator(services), perform=perform, log=log
    )
    following = Following(server, services)
    async with listening(endpoint(server, following, log)) as port:
        yield replace(place, services=services, following=following, port=port)
        following.closing.set()


REFUSED = [
    ({"query": OTHER}, "PERSISTED_DOCUMENT_REQUIRED"),
    ({"query": "{ viewer { name } }"}, "PERSISTED_DOCUMENT_REQUIRED"),
    ({"query": LIVE + " "}, "PERSISTED_DOCUMENT_REQUIRED"),
    (
        {"query": OTHER, "documentId": f"sha256:{sha256(OTHER.encode()).hexdigest()}"},
        "PERSISTED_DOCUMENT_REQUIRED",
    ),
    ({"documentId": "none"}, "PERSISTED_QUERY_NOT_FOUND"),
]
"""What is refused, in this order: the fourth teaches nothing."""


async def test_a_stream_is_of_a_persisted_document_where_no_other_is_answered(strict: Place) -> None:
    url, headers = (
        f"http://127.0.0.1:{strict.port}/graphql",
        {**strict.headers, "accept": "text/event-stream"},
    )
    async with httpx.AsyncClient() as client:
        for body, code in REFUSED:
            answer = await client.post(url, json=body, headers=headers)
            assert [e["extensions"]["code"] for e in answer.json()["errors"]] == [code]
        for body in ({"query": NAME}, {"documentId": "name"}):
            answer = await client.post(url, json=body, headers=headers)
            assert '"viewer":{"name":"reader"}' in answer.text
    assert strict.following._open == 0
    made = await some(strict, 1)
    async with stream(strict, after="0") as events:
        assert (await events.row())["id"] == made[0]


async def test_a_websocket_carries_persisted_documents_where_no_other_is_answered(strict: Place) -> None:
    async with socket(strict) as live:
        for number, (body, code) in enumerate(REFUSED):
            await live.tell(type="subscribe", id=str(number), payload=body)
            answer = await live.next()
            assert (answer["type"], answer["id"]) == ("error", str(number))
            assert [e["extensions"]["code"] for e in answer["payload"]] == [code]
        assert strict.following._open == 1, "the websocket itself"
        await live.tell(type="subscribe", id="name", payload={"documentId": "name"})
        assert (await live.next())["payload"]["data"] == {"viewer": {"name": "reader"}}
        assert await live.next() == {"type": "complete", "id": "name"}
        made = await some(strict, 1)
        await live.tell(
            type="subscribe", id="live", payload={"documentId": "live", "variables": {"after": "0"}}
        )
        assert (await live.next())["payload"]["data"]["events"]["id"] == made[0]
