"""Runs the background work of a process: every worker side by side until told to stop, started anew when it fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from crm_core.registry import Worker
from crm_core.stirring import first_of
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

AGAIN_SECONDS: Final = 5.0
"""How long after its failure a worker is started again."""
STOP_SECONDS: Final = 15.0
"""How long workers may take to end what they are at."""


async def run_workers(services: Services, stop: asyncio.Event, log: FilteringBoundLogger) -> None:
    """Run every worker of the deployment until `stop` is set; those not done soon after are cut off."""
    workers = [
        asyncio.create_task(_kept(services, worker, stop, log)) for worker in services.registry.workers
    ]
    try:
        await stop.wait()
        if workers:
            await asyncio.wait(workers, timeout=STOP_SECONDS)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _kept(services: Services, worker: Worker, stop: asyncio.Event, log: FilteringBoundLogger) -> None:
    """Run a worker again and again until it ends by itself."""
    while not stop.is_set():
        try:
            await worker.run(services, stop)
        except Exception:  # whatever a worker raises, the others go on
            log.exception("worker failed", worker=worker.name)
            await first_of(AGAIN_SECONDS, stop)
        else:
            return
