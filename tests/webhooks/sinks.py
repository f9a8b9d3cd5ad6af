"""A receiver of webhooks on this machine: keeps what it is sent, and misbehaves as asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]


@dataclass
class Reply:
    """What is answered; `how`: well, not at all, closing before an answer or in it, stopping in it, or with endless bytes."""

    status: int = 200
    body: bytes = b"thanks"
    headers: dict[str, str] = field(default_factory=dict)
    how: Literal["well", "hang", "close", "cut", "stall", "flood"] = "well"
    seconds: float = 0.0


@dataclass
class Sink:
    """What was received; `replies` are given to the next requests, then `usual` to all."""

    port: int = 0
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    usual: Reply = field(default_factory=Reply)
    flooded: int = 0
    at_once: int = 0
    most_at_once: int = 0
    talks: set[asyncio.Task[None]] = field(default_factory=set)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, many: int) -> None:
        """Wait until so many requests came."""
        async with asyncio.timeout(20), self.came:
            await self.came.wait_for(lambda: len(self.received) >= many)

    def url(self, path: str = "/hook") -> str:
        """Its address."""
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    @property
    def ids(self) -> list[str]:
        """Ids in the order they came."""
        return [one.id for one in self.received]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the other side leaves."""
        task = asyncio.current_task()
        assert task is not None
        self.talks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.close()
            self.talks.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        async with self.came:
            self.received.append(Received(head[0].split(" ")[1], headers, body))
            self.came.notify_all()
        reply = self.replies.pop(0) if self.replies else self.usual
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(60 if reply.how == "hang" else reply.seconds)
        finally:
            self.at_once -= 1
        if reply.how == "close":
            return False
        length = {"cut": len(reply.body) + 10, "stall": len(reply.body) + 10, "flood": 100_000_000}.get(
            reply.how, len(reply.body)
        )
        lines = [f"HTTP/1.1 {reply.status} Said", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        await writer.drain()
        if reply.how == "stall":
            await asyncio.sleep(60)
        while reply.how == "flood":
            writer.write(b"x" * 65_536)
            self.flooded += 65_536
            await writer.drain()
        return reply.how == "well"


@asynccontextmanager
async def sink(shown: ssl.SSLContext | None = None) -> AsyncIterator[Sink]:
    """A receiver; with a certificate it speaks TLS."""
    made = Sink(scheme="https" if shown else "http")
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0, ssl=shown)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for talk in list(made.talks):
            talk.cancel()
        await asyncio.sleep(0.01)
