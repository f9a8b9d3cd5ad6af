"""Answers over a websocket, by the protocol graphql-transport-ws."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from crm_core.errors import Fault
from crm_core.graphql.following import Following
from crm_core.graphql.requests import HttpError, refuse_nul, well_formed
from crm_core.graphql.serving import Exchange, encoded

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

PROTOCOL: Final = "graphql-transport-ws"
INIT_SECONDS: Final = 10.0
MOST_OPERATIONS: Final = 20
"""Operations of one websocket at the same time."""
RESTART, TRY_LATER = 1012, 1013
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, WRONG_PROTOCOL = 4400, 4401, 4403, 4406
INIT_TIMEOUT, SUBSCRIBER_EXISTS, TOO_MANY = 4408, 4409, 4429
_GIVEN = frozenset({"authorization", "x-crm-line", "accept-language"})
"""Headers that a browser cannot send with a websocket: they may stand in the payload of `connection_init`."""


class _Closed(Exception):
    """The websocket is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Socket:
    """One websocket: its credential, and the operations that are under way on it."""

    def __init__(
        self,
        following: Following,
        socket: WebSocket,
        log: FilteringBoundLogger,
        *,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        """Nothing is accepted yet. `init_seconds`: how long the client may take to present its credential."""
        self._init_seconds = init_seconds
        self._following, self._server = following, following.server
        self._socket, self._log = socket, log
        self._headers: dict[str, str] = {}
        self._acknowledged = False
        self._untaken = asyncio.Event()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Serve it until it is closed, by the client or because the server stops; or he takes nothing any more."""
        known = PROTOCOL in self._socket.scope["subprotocols"]
        await self._socket.accept(subprotocol=PROTOCOL if known else None)
        try:
            if not known:
                raise _Closed(WRONG_PROTOCOL, "Subprotocol not acceptable")
            with self._following.place():
                await self._until_stopped()
        except HttpError:
            await self._close(TRY_LATER, "Too many streams")
        except _Closed as closed:
            await self._close(closed.code, closed.reason)
        except TimeoutError:  # he would not take a message of its end either
            self._log.info("websocket dropped", reason="not taken")
        except WebSocketDisconnect:
            pass
        finally:
            await self._end_operations()

    async def _until_stopped(self) -> None:
        reading = asyncio.create_task(self._read())
        stopping = asyncio.create_task(self._following.closing.wait())
        dropping = asyncio.create_task(self._untaken.wait())
        tasks = (reading, stopping, dropping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
            elif dropping.done():
                raise TimeoutError
            else:
                raise _Closed(RESTART, "Service restart")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- messages of the client

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(self._init_seconds):
                while not self._acknowledged:
                    await self._take(await self._message())
        except TimeoutError:
            raise _Closed(INIT_TIMEOUT, "Connection initialisation timeout") from None
        while True:
            await self._take(await self._message())

    async def _message(self) -> dict[str, Any]:
        text = await self._socket.receive_text()
        try:
            refuse_nul(text.encode())
            message = orjson.loads(text)
        except (HttpError, orjson.JSONDecodeError, UnicodeEncodeError):
            raise _Closed(BAD_REQUEST, "Invalid message received") from None
        if not isinstance(message, dict):
            raise _Closed(BAD_REQUEST, "Invalid message received")
        return message

    async def _take(self, message: Mapping[str, Any]) -> None:
        kind, key = message.get("type"), message.get("id")
        if kind == "connection_init":
            await self._initialise(message.get("payload"))
        elif kind == "ping":
            await self._tell({"type": "pong"})
        elif kind == "subscribe" and isinstance(key, str) and key:
            self._subscribe(key, message.get("payload"))
        elif kind == "complete" and isinstance(key, str):
            operation = self._operations.pop(key, None)
            if operation is not None:
                operation.cancel()
        elif kind != "pong":
            raise _Closed(BAD_REQUEST, "Invalid message received")

    async def _initialise(self, payload: Any) -> None:
        if self._acknowledged:
            raise _Closed(TOO_MANY, "Too many initialisation requests")
        given = payload if isinstance(payload, dict) else {}
        named = {name.lower(): value for name, value in given.items() if isinstance(value, str)}
        self._headers = dict(self._socket.headers) | {n: v for n, v in named.items() if n in _GIVEN}
        try:
            await self._server.actor(self._exchange())
        except HttpError:
            raise _Closed(FORBIDDEN, "Forbidden") from None
        except Fault:
            raise _Closed(TRY_LATER, "Try again later") from None
        self._acknowledged = True
        await self._tell({"type": "connection_ack"})

    def _exchange(self) -> Exchange:
        return self._server.exchange("POST", self._headers)

    # -- operations

    def _subscribe(self, key: str, payload: Any) -> None:
        if not self._acknowledged:
            raise _Closed(UNAUTHORIZED, "Unauthorized")
        if key in self._operations:
            raise _Closed(SUBSCRIBER_EXISTS, f"Subscriber for {key[:60]} already exists")
        if len(self._operations) >= MOST_OPERATIONS:
            raise _Closed(TOO_MANY, f"At most {MOST_OPERATIONS} operations at the same time")
        self._operations[key] = asyncio.create_task(self._operate(key, payload))

    async def _operate(self, key: str, payload: Any) -> None:
        exchange = self._exchange()
        try:
            await self._answer(key, payload, exchange)
        except (TimeoutError, WebSocketDisconnect):
            self._log.info("stream dropped", request_id=exchange.request_id, reason="not taken")
            self._untaken.set()
        except HttpError as refusal:
            await self._error(key, self._server.refusal(refusal, exchange)["errors"])
        except Exception as error:  # noqa: BLE001  # the edge: masked and logged
            await self._error(key, self._server.unexpected(error, exchange)[1]["errors"])
        finally:
            self._operations.pop(key, None)

    async def _answer(self, key: str, payload: Any, exchange: Exchange) -> None:
        asked = well_formed(payload if isinstance(payload, dict) else {})
        shown = orjson.dumps(key)
        with self._following.place():
            results = await self._following.begin(exchange, asked)
            try:
                async for result in results:
                    if result is None:
                        await self._tell({"type": "ping"})
                    else:
                        await self._send(b'{"type":"next","id":' + shown + b',"payload":' + result + b"}")
            finally:
                await results.aclose()
        if not self._following.closing.is_set():
            await self._tell({"type": "complete", "id": key})

    async def _error(self, key: str, errors: Any) -> None:
        try:
            await self._tell({"type": "error", "id": key, "payload": errors})
        except (TimeoutError, WebSocketDisconnect):
            self._untaken.set()

    async def _end_operations(self) -> None:
        operations = list(self._operations.values())
        for operation in operations:
            operation.cancel()
        await asyncio.gather(*operations, return_exceptions=True)

    # -- messages of the server

    async def _tell(self, message: Mapping[str, Any]) -> None:
        await self._send(encoded(message))

    async def _send(self, message: bytes) -> None:
        """Send a message; it is taken when the next may be made."""
        async with asyncio.timeout(self._following.patience), self._turn:
            await self._socket.send_text(message.decode())

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is not WebSocketState.DISCONNECTED:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._following.patience):
                    await self._socket.close(code, reason)
