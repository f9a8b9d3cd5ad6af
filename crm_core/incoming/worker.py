"""The background work of this room: looks for requests to process as long as a process lives."""

from __future__ import annotations

import asyncio
from typing import Final

from crm_core.errors import Fault
from crm_core.incoming.processing import work_off
from crm_core.incoming.receiving import RECEIVED, settings_of
from crm_core.logs import logger
from crm_core.registry import Worker
from crm_core.stirring import first_of
from crm_core.work import Services

_AT_ONCE: Final = 100
PAUSE_WHEN_AWAY: Final = 2.0


async def run(services: Services, stop: asyncio.Event) -> None:
    """Process what comes until `stop` is set: at once what this process received, else each `poll_seconds`."""
    pause = settings_of(services).poll_seconds
    if not pause:
        return
    log = logger(services.settings.log_level)
    with services.stirred.listening(RECEIVED) as received:
        while not stop.is_set():
            received.clear()
            try:
                while await work_off(services, _AT_ONCE) and not stop.is_set():
                    pass
            except Fault as fault:
                log.warning("incoming requests are put off", reason=str(fault))
                await first_of(PAUSE_WHEN_AWAY, stop)
            await first_of(pause, received, stop)


WORKERS: Final = (Worker("incoming", run),)
