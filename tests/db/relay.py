"""Stands between a program and PostgreSQL, hands everything on, and keeps what the program said."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import URL

from tests.db.pooler import message, reached, standing_before

_SSL = 80877103


@dataclass
class Relay:
    """`said` are the messages of all clients since they were greeted, the kind of each is its first letter."""

    url: URL
    said: list[bytes] = field(default_factory=list)

    def heard(self) -> str:
        """The kinds of the messages since this was asked last."""
        kinds = b"".join(one[:1] for one in self.said).decode()
        self.said.clear()
        return kinds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it leaves."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            first = await _start(reader)
            if struct.unpack("!i", first[4:8])[0] == _SSL:
                writer.write(b"N")
                first = await _start(reader)
            answers, server = await reached(self.url)
            server.write(first)
            answering = asyncio.create_task(_copied(answers, writer))
            try:
                while True:
                    said = await message(reader)
                    self.said.append(said)
                    server.write(said)
            finally:
                server.close()
                await answering


async def _start(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack("!i", length)[0] - 4)


async def _copied(answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await answers.read(65_536):
            writer.write(some)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def relaying(url: URL) -> AsyncIterator[tuple[Relay, URL]]:
    """A relay before this server, and the address under which it answers."""
    relay = Relay(url)
    async with standing_before(url, relay.serve) as address:
        yield relay, address
