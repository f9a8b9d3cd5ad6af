"""The load: keep-alive connections that each send the next request as soon as the answer is there.

Run as a process of its own, so that it can be bound to a processor: reads one JSON object from standard input, writes
one to standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import uvloop

PATIENCE: Final = 4
LONGEST: Final = 30.0
"""Seconds after which a slice ends even without a single answer."""
TICK: Final = os.sysconf("SC_CLK_TCK")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Tally:
    """What one timed slice found."""

    requests: Sequence[bytes]
    place: int = 0
    measuring: bool = False
    running: bool = True
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    errors: int = 0
    first_error: str = ""

    def wrong(self, what: str) -> None:
        """Count an error; the first is kept in words."""
        self.errors += 1
        self.first_error = self.first_error or what[:600]


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._buffer = bytearray()
        self._whole = 0
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._send()

    def _send(self) -> None:
        tally, transport = self._tally, self._transport
        assert transport is not None
        if not tally.running:
            transport.close()
            return
        request = tally.requests[tally.place % len(tally.requests)]
        tally.place += 1
        self._began = time.perf_counter()
        transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is whole."""
        buffer = self._buffer
        buffer += data
        if not self._whole:
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            found = _LENGTH.search(buffer, 0, head)
            if found is None:
                raise ValueError("an answer without Content-Length")
            self._whole = head + 4 + int(found[1])
        if len(buffer) >= self._whole:
            self._answered()

    def _answered(self) -> None:
        tally, buffer = self._tally, self._buffer
        if tally.measuring:
            tally.seconds.append(time.perf_counter() - self._began)
            tally.bytes += self._whole
        wrong = (
            not buffer.startswith(b"HTTP/1.1 200") or b'"errors":' in buffer or b'"userErrors":[{' in buffer
        )
        if wrong:
            tally.wrong(buffer[:600].decode(errors="replace"))
        buffer.clear()
        self._whole = 0
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """A server that hangs up in the middle is an error."""
        if self._tally.running:
            self._tally.wrong(f"connection lost: {error}")


def cpu_of(process: int) -> float:
    """Seconds of processor time of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICK


def children_of(process: int) -> list[int]:
    """Direct children of a process: of a postmaster, its backends."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(one) for one in listed]


def cpu_of_all(process: int | None) -> float:
    """The same for a process with all its direct children."""
    return sum(map(cpu_of, [process, *children_of(process)])) if process else 0.0


def cpu_of_machine() -> float:
    """Seconds of processor time used by everything."""
    user, nice, kernel, _idle, _wait, *interrupts = (
        Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return sum(map(int, (user, nice, kernel, *interrupts[:3]))) / TICK


def requests_of(port: int, token: str, path: str, bodies: Sequence[str]) -> list[bytes]:
    """Whole HTTP requests."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: "
    )
    encoded = (body.encode() for body in bodies)
    return [head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body for body in encoded]


def _used(given: dict[str, Any]) -> tuple[float, float, float, float]:
    """Processor time so far: of the machine, of this client, of the server, of the database."""
    return cpu_of_machine(), cpu_of(os.getpid()), cpu_of(given["server"]), cpu_of_all(given["database"])


async def load(given: dict[str, Any]) -> dict[str, Any]:
    """Warm up, then measure."""
    requests = requests_of(given["port"], given["token"], given["path"], given["bodies"])
    tally = Tally(requests, place=given["start"])
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: tally.wrong(str(context.get("exception"))))
    for _ in range(given["connections"]):
        await loop.create_connection(lambda: Connection(tally), "127.0.0.1", given["port"])
    await asyncio.sleep(given["warm_up"])
    before = _used(given)
    began, tally.measuring = time.perf_counter(), True
    for turn in count(1):  # a slow server is given time for a few answers
        await asyncio.sleep(given["seconds"])
        if len(tally.seconds) >= 2 * given["connections"]:
            break
        some = tally.seconds or tally.errors or time.perf_counter() - began > LONGEST
        if turn >= PATIENCE and some:
            break
    tally.measuring = False
    passed = time.perf_counter() - began
    machine, own, server, database = (after - then for after, then in zip(_used(given), before, strict=True))
    tally.running = False
    await asyncio.sleep(0.05)
    return {
        "seconds": passed, "latencies": tally.seconds, "bytes": tally.bytes, "errors": tally.errors,
        "first_error": tally.first_error, "server_cpu": server, "database_cpu": database, "next": tally.place,
        "others": max(0.0, machine - own - server - database) / passed,
    }  # fmt: skip


def main() -> None:
    """One slice."""
    given = json.load(sys.stdin)
    answer = json.dumps(uvloop.run(load(given))).encode()
    with open(
        sys.stdout.fileno(), "wb", closefd=False
    ) as out:  # whole, also where Python was told not to buffer
        out.write(answer)


if __name__ == "__main__":
    main()
