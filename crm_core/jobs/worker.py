"""The worker of jobs in a process: takes them from the broker, keeps their leases, and tidies up after others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from taskiq import AsyncBroker
from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver

from crm_core.errors import Fault
from crm_core.jobs.broker import SqlBroker, registered
from crm_core.jobs.claims import reap
from crm_core.jobs.running import Runner, settings_of
from crm_core.jobs.scheduling import fire_due
from crm_core.logs import logger
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

TIDY_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 2.0
"""How long after it failed the broker is tried again."""


async def run(services: Services, stop: asyncio.Event) -> None:
    """Run jobs until `stop` is set; what runs then is told at its next progress, and goes on elsewhere."""
    settings = settings_of(services)
    if not settings.at_once or not services.registry.jobs:
        return
    log = logger(services.settings.log_level)
    runner = Runner(services, stop, log)
    helpers = [asyncio.create_task(one) for one in _helpers(services, runner, log)]
    try:
        while not stop.is_set():
            await _receive(services, runner, log)
            await _stopped(stop, AGAIN_SECONDS)
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await runner.leave()


def _helpers(
    services: Services, runner: Runner, log: FilteringBoundLogger
) -> list[Coroutine[Any, Any, None]]:
    return [
        _again_and_again(runner.renew, runner.claims.lease.total_seconds() / 3, log),
        _again_and_again(lambda: _tidy(services, log), TIDY_SECONDS, log),
    ]


async def _again_and_again(
    do: Callable[[], Coroutine[Any, Any, object]], seconds: float, log: FilteringBoundLogger
) -> None:
    """Until cancelled; nothing that happens ends it."""
    while True:
        try:
            await do()
        except Fault as fault:
            log.warning("looking after jobs is put off", reason=str(fault))
        except Exception:  # the next look may go well
            log.exception("looking after jobs failed")
        await asyncio.sleep(seconds)


async def _tidy(services: Services, log: FilteringBoundLogger) -> None:
    """Fire schedules whose time has come; take jobs from workers that are gone."""
    if await fire_due(services):
        services.stirred()
    for name, state in await reap(services):
        log.warning("job lost its worker", job=name, state=state)
        services.count("jobs_lost", name, 1)


async def _receive(services: Services, runner: Runner, log: FilteringBoundLogger) -> None:
    """Take jobs from the broker until the process ends, or the broker fails."""
    settings = settings_of(services)
    broker, waking = _broker(services, runner, log)
    receiver = Receiver(
        registered(broker, runner),
        max_async_tasks=settings.at_once,
        ack_type=AcknowledgeType.WHEN_RECEIVED,
        run_startup=False,
        wait_tasks_timeout=settings.grace_seconds,
    )
    try:
        await broker.startup()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for one in waking]
            await receiver.listen(runner.stop)
            for task in tasks:
                task.cancel()
    except Exception:
        log.exception("the broker of jobs failed")
    finally:
        with suppress(Exception):
            await broker.shutdown()


def _broker(
    services: Services, runner: Runner, log: FilteringBoundLogger
) -> tuple[AsyncBroker, list[Callable[[], Coroutine[Any, Any, None]]]]:
    """What tells of jobs, and what has to run beside it once it is connected."""
    address, settings = services.settings.broker, settings_of(services)
    if not address:
        return SqlBroker(runner, settings.at_once, settings.poll_seconds), []
    from crm_core.jobs.nats_broker import keep_waking, nats_broker  # noqa: PLC0415  # of no use without NATS

    broker = nats_broker(address)
    return broker, [partial(keep_waking, services, broker, runner, log)]


async def _stopped(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
