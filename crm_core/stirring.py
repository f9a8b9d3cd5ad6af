"""Tells whoever waits in this process that something was committed, so that nobody need look all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = 10
"""So many commits in a row are told of at once."""
PER_SECOND: Final = 20
"""When more come, who waits is told so often: each look then finds the work of many commits."""


@dataclass
class _Told:
    """How many commits of a kind may still be told of at once, as counted at a moment of the loop's clock."""

    left: float = AT_ONCE
    counted_at: float = 0.0
    soon: asyncio.TimerHandle | None = None


class Stirred:
    """Commits of this process, heard by loops that look for work; best effort: other processes are not heard.

    Some are of one kind of work (`what`) and heard by those alone who listen for it.
    """

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._listening: set[tuple[str, asyncio.Event]] = set()
        self._told: dict[str, _Told] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, what: str = "") -> None:
        """Something was committed; who listens hears of it at once or, among many commits, a little later."""
        if not any(wanted == what for wanted, _ in self._listening):
            return
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._told = loop, {}
        told = self._told.setdefault(what, _Told())
        if told.soon is not None:
            return
        now = loop.time()
        told.left = min(AT_ONCE, told.left + (now - told.counted_at) * PER_SECOND)
        told.counted_at = now
        if told.left >= 1:
            self._tell(what, told)
        else:
            told.soon = loop.call_later((1 - told.left) / PER_SECOND, self._tell, what, told)

    def _tell(self, what: str, told: _Told) -> None:
        told.soon = None
        told.left -= 1
        for wanted, event in self._listening:
            if wanted == what:
                event.set()

    @contextmanager
    def listening(self, what: str = "") -> Iterator[asyncio.Event]:
        """An event that is set after commits, as long as the block lasts; whoever waits clears it."""
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
