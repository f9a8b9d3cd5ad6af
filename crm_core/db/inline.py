"""SQLite without a thread in between: for processes that do one thing, such as an import of many rows.

Each statement runs where it is asked for. That blocks the event loop for its duration, and saves several changes of
thread per statement, which cost more than the statements themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from typing import Any

import aiosqlite


class _AtOnce:
    """In place of the queue of a worker thread: what is put in is done at once."""

    def put_nowait(self, item: tuple[Any, Callable[[], Any]]) -> None:
        future, function = item
        try:
            result = function()
        except BaseException as error:  # handed to who waits, as the thread does
            if future is None:
                raise
            future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class InlineConnection(aiosqlite.Connection):
    """A connection whose statements run in the caller's thread."""

    def __init__(self, file: str) -> None:
        """For the database in this file."""
        super().__init__(lambda: sqlite3.connect(file, check_same_thread=False), 64)
        self._tx = _AtOnce()  # type: ignore[assignment]  # the one method that is used

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        """Connect; no thread is started."""
        return self._connect().__await__()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        return fn(*args, **kwargs)
