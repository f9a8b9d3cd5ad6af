"""The background work of this room: looks for requests to process as long as a process lives."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from crm_core.errors import Fault
from crm_core.incoming.processing import work_off
from crm_core.incoming.receiving import settings_of
from crm_core.logs import logger
from crm_core.registry import Worker
from crm_core.work import Services

_AT_ONCE: Final = 100
PAUSE_WHEN_AWAY: Final = 2.0


async def run(services: Services, stop: asyncio.Event) -> None:
    """Process what comes until `stop` is set; whatever goes wrong, the next look may go well."""
    pause = settings_of(services).poll_seconds
    if not pause:
        return
    log = logger(services.settings.log_level)
    while not stop.is_set():
        wait = pause
        try:
            if await work_off(services, _AT_ONCE):
                continue
        except Fault as fault:
            log.warning("incoming requests are put off", reason=str(fault))
            wait = PAUSE_WHEN_AWAY
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await stop.wait()


WORKERS: Final = (Worker("incoming", run),)
