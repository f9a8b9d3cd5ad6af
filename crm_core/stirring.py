"""Tells whoever waits in this process that something was committed, so that nobody need look all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Stirred:
    """Commits of this process, heard by loops that look for work; best effort: other processes are not heard.

    Some are of one kind of work (`what`) and heard by those alone who listen for it.
    """

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._listening: set[tuple[str, asyncio.Event]] = set()

    def __call__(self, what: str = "") -> None:
        """Something was committed."""
        for wanted, event in self._listening:
            if wanted == what:
                event.set()

    @contextmanager
    def listening(self, what: str = "") -> Iterator[asyncio.Event]:
        """An event that is set at each commit, as long as the block lasts; whoever waits clears it."""
        event = asyncio.Event()
        self._listening.add((what, event))
        try:
            yield event
        finally:
            self._listening.discard((what, event))


async def first_of(seconds: float, *events: asyncio.Event) -> None:
    """Wait for the first of these events, at most so long."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
