"""A pool of the driver's connections that gives one out and takes it back without a change of task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

Connect: TypeAlias = Callable[[], Awaitable[Any]]
CLOSING_SECONDS = 5.0
LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # it was told to go, and has not seen the end of the connection yet
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
)
"""What a connection lost while idle says when it is used again."""


class AllInUse(Exception):
    """No connection got free in time."""


class Connections:
    """At most so many connections, made when they are needed; the one given back last is given out first.

    What was sent over a connection must have left no state behind.
    """

    def __init__(self, connect: Connect, most: int) -> None:
        """`connect` makes one."""
        self._connect, self._most = connect, most
        self._idle: list[Any] = []
        self._sound: set[Any] = set()
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> int:
        """How many are given out."""
        return self._open - len(self._idle)

    async def take(self, seconds: float) -> Any:
        """A connection that was not closed while idle; `AllInUse` when none gets free in so many seconds."""
        found = self._free()
        if found is not None:
            return found
        if self._open < self._most and not self._waiting:
            return await self._made()
        try:
            async with asyncio.timeout(seconds):
                return await self._awaited()
        except TimeoutError:
            raise AllInUse from None

    def give_back(self, connection: Any, *, whole: bool = True) -> None:
        """Take it back; `whole` False: something is still under way on it, it is closed as soon as that has ended."""
        if whole and connection in self._sound and not connection.is_closed():
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._wake()

    def replace(self) -> None:
        """Use none of today's connections again: where one was lost, others may be."""
        idle, self._idle = self._idle, []
        for one in idle:
            self._drop(one)
        self._sound.clear()

    async def close(self) -> None:
        """Close those that are not in use; the others are closed when they are given back."""
        self.replace()
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    def _free(self) -> Any:
        while self._idle:
            found = self._idle.pop()
            if not found.is_closed():
                return found
            self._drop(found)
        return None

    async def _made(self) -> Any:
        self._open += 1
        try:
            made = await self._connect()
        except BaseException:
            self._open -= 1
            self._wake()
            raise
        self._sound.add(made)
        return made

    async def _awaited(self) -> Any:
        """Wait one's turn until a connection is free or may be made."""
        while True:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except BaseException:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                elif turn.done() and not turn.cancelled():
                    self._wake()  # it was this one's turn, and it went away
                raise
            found = self._free()
            if found is not None:
                return found
            if self._open < self._most:
                return await self._made()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _drop(self, connection: Any) -> None:
        self._open -= 1
        self._sound.discard(connection)
        if not connection.is_closed():
            task = asyncio.get_running_loop().create_task(_ended(connection))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _ended(connection: Any) -> None:
    """Close it; what is being cancelled on it is waited for."""
    try:
        await connection.close(timeout=CLOSING_SECONDS)
    except Exception:  # noqa: BLE001  # it is gone, one way or the other
        connection.terminate()
