"""Answers over Server-Sent Events, as graphql-sse describes them for distinct connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from crm_core.errors import Fault
from crm_core.graphql.following import Following, Results
from crm_core.graphql.requests import JSON, Headers, HttpError, asked_by
from crm_core.graphql.serving import Exchange, encoded

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

EVENT_STREAM: Final = "text/event-stream"
_ALIVE = b":\n\n"
_COMPLETE = b"event: complete\ndata:\n\n"


def wants_events(scope: Scope) -> bool:
    """Whether a request asks for events."""
    return any(
        name == b"accept" and EVENT_STREAM.encode() in value.lower() for name, value in scope["headers"]
    )


class EventStream:
    """One request answered by events: `next` for each result, then `complete`; a comment while nothing happens.

    What is wrong with the request itself is told by an answer as usual. When the server stops the stream ends without
    `complete`: clients come again, behind the last position they have seen. One who leaves what he is sent untaken is
    cut off.
    """

    def __init__(self, following: Following, body_bytes: int, log: FilteringBoundLogger) -> None:
        """`body_bytes` is the most a request may have."""
        self._following, self._server, self._most, self._log = following, following.server, body_bytes, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        exchange = self._server.exchange(request.method, Headers(request))
        try:
            with self._following.place():
                asked = await asked_by(request, exchange.headers, self._most)
                results = await self._following.begin(exchange, asked)
                await self._until_gone(results, exchange, receive, send)
        except HttpError as refusal:
            shown = encoded(self._server.refusal(refusal, exchange))
            await _plain(exchange, refusal.status, shown, refusal.headers)(scope, receive, send)
        except Fault as fault:
            status, answer = self._server.unexpected(fault, exchange)
            await _plain(exchange, status, encoded(answer), {})(scope, receive, send)

    async def _until_gone(self, results: Results, exchange: Exchange, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(results, exchange, send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            await results.aclose()

    async def _send(self, results: Results, exchange: Exchange, send: Send) -> None:
        headers = {
            "content-type": f"{EVENT_STREAM}; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "x-request-id": exchange.request_id,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        try:
            await self._next(results, exchange, send)
            if not self._following.closing.is_set():
                await self._taken(send, _COMPLETE)
        except TimeoutError:  # the end would not be taken either
            self._log.info("stream dropped", request_id=exchange.request_id, reason="not taken")
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, results: Results, exchange: Exchange, send: Send) -> None:
        try:
            await self._taken(send, _ALIVE)
            async for result in results:
                await self._taken(send, _ALIVE if result is None else _event(result))
        except TimeoutError:
            raise
        except HttpError as refusal:
            await self._taken(send, _event(encoded(self._server.refusal(refusal, exchange))))
        except Exception as error:  # noqa: BLE001  # the edge: masked and logged
            await self._taken(send, _event(encoded(self._server.unexpected(error, exchange)[1])))

    async def _taken(self, send: Send, body: bytes) -> None:
        """Send a part; it is taken when the next may be made."""
        async with asyncio.timeout(self._following.patience):
            await send({"type": "http.response.body", "body": body, "more_body": True})


def _event(result: bytes) -> bytes:
    return b"event: next\ndata: " + result + b"\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _plain(exchange: Exchange, status: int, body: bytes, headers: dict[str, str]) -> Response:
    shown = {"x-request-id": exchange.request_id, "cache-control": "no-store", **headers}
    return Response(body, max(status, 400), shown, f"{JSON}; charset=utf-8")
