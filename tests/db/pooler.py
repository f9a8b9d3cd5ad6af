"""A transaction pooler as PgBouncer is one, at its least forgiving: the next transaction always gets another server."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import URL

TRACKED = frozenset({"user", "database", "client_encoding", "application_name", "timezone", "datestyle"})
"""Start-up settings that a pooler hands on; others it refuses."""
PROTOCOL = 3 << 16
IDLE = b"I"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_SSL, _CANCEL = 80877103, 80877102


@dataclass
class Server:
    """A connection to the real server, given to whoever begins a transaction."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def message(self) -> bytes:
        """The next message, whole."""
        return await message(self.reader)


@dataclass
class Pooler:
    """Speaks for `size` connections to a server that trusts its callers."""

    url: URL
    size: int = 3
    free: deque[Server] = field(default_factory=deque)
    refused: list[str] = field(default_factory=list)
    transactions: int = 0
    _greeting: bytes = b""
    _turn: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def _open(self, start: bytes) -> None:
        """Connect to the server as the first client wants it; the others want the same."""
        async with self._turn:
            for _ in range(0 if self._greeting else self.size):
                self.free.append(await self._connected(start))

    async def _connected(self, start: bytes) -> Server:
        reader, writer = await reached(self.url)
        writer.write(struct.pack("!ii", 8 + len(start), PROTOCOL) + start)
        server, greeting = Server(reader, writer), b""
        while True:
            answer = await server.message()
            greeting += answer
            if answer[:1] == b"Z":
                self._greeting = greeting
                return server

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it leaves."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if await self._greeted(reader, writer):
                await self._session(reader, writer)
        writer.close()

    async def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            rest = await reader.readexactly(length - 8)
            if code == _CANCEL:
                return False
            if code != _SSL:
                break
            writer.write(b"N")
        names = {name.decode().lower() for name in rest.split(b"\0")[:-2:2]}
        unknown = sorted(names - TRACKED)
        if unknown:
            self.refused += unknown
            words = f"SFATAL\0C08P01\0Munsupported startup parameter: {unknown[0]}\0\0".encode()
            writer.write(b"E" + struct.pack("!i", 4 + len(words)) + words)
            await writer.drain()
            return False
        await self._open(rest)
        writer.write(self._greeting)
        return True

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first = await message(reader)
            if first[:1] == b"X":
                return
            server = await self._taken()
            await self._transaction(first, server, reader, writer)
            async with self._turn:
                self.transactions += 1
                self.free.append(server)
                self._turn.notify()

    async def _taken(self) -> Server:
        async with self._turn:
            await self._turn.wait_for(lambda: self.free)
            return self.free.popleft()

    async def _transaction(
        self, first: bytes, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """From the first message until the server is idle again."""
        states: asyncio.Queue[bytes] = asyncio.Queue()
        answers = asyncio.create_task(_answers(server, writer, states))
        said = first
        while True:
            server.writer.write(said)
            if said[:1] in (b"S", b"Q") and await states.get() == IDLE:
                return await answers
            said = await message(reader)


async def _answers(server: Server, writer: asyncio.StreamWriter, states: asyncio.Queue[bytes]) -> None:
    """Hand on what the server says; its state each time that it is ready."""
    state = b""
    while state != IDLE:
        answer = await server.message()
        writer.write(answer)
        if answer[:1] == b"Z":
            state = answer[5:6]
            await states.put(state)
    await writer.drain()


async def reached(url: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the server at this address; nothing is said yet."""
    folder = url.query.get("host")
    if folder:
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{url.port or 5432}")
    return await asyncio.open_connection(url.host, url.port)


async def message(reader: asyncio.StreamReader) -> bytes:
    """The next message, whole."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


@asynccontextmanager
async def standing_before(url: URL, serve: Serve) -> AsyncIterator[URL]:
    """Something that speaks with clients in this server's place, under the address that is given."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield url.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1], query={})
    finally:
        server.close()


@asynccontextmanager
async def pooling(url: URL) -> AsyncIterator[tuple[Pooler, URL]]:
    """A pooler before this server, and the address under which it answers."""
    pooler = Pooler(url)
    try:
        async with standing_before(url, pooler.serve) as address:
            yield pooler, address
    finally:
        for one in pooler.free:
            one.writer.close()
