"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio


async def first_of(seconds: float, *events: asyncio.Event) -> None:
    """Wait until the first of these is set, at most so long."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
