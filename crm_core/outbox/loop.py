"""The loop of the feed: numbers what was committed, then feeds all receivers, side by side, as long as a process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

from crm_core.errors import Fault
from crm_core.logs import logger
from crm_core.outbox.feeding import Ahead, Fed, feed, look, read_ahead
from crm_core.outbox.relay import MOST_NUMBERED, is_behind, number
from crm_core.stirring import first_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from crm_core.registry import Receiver
    from crm_core.work import Services

LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks when nothing happens; each look that finds nothing makes the pause half as long again."""
LEAST_PAUSE: Final = 0.02
"""Seconds between two looks however much happens, so that many commits are numbered together."""
PAUSE_WHEN_AWAY: Final = 2.0


async def work_off(services: Services, log: FilteringBoundLogger | None = None) -> int:
    """Number everything committed by now, and feed every receiver until it has it all or fails.

    How many events were numbered or taken in. Raises `Fault` when the database is out of reach.
    """
    found = await look(services)
    done = await _numbered(services) if found.is_behind else 0
    last = found.last + done  # it is more where others number too: that is seen next time
    due = found.due(last, services.clock())
    receivers = [receiver for receiver in services.registry.receivers if receiver.name in due]
    ahead = await read_ahead(services, receivers, due, last)
    taken = sum(await _side_by_side(_fed(services, receiver, ahead, log) for receiver in receivers))
    if taken:
        services.stirred()
    return done + taken


async def _side_by_side(works: Iterable[Coroutine[Any, Any, int]]) -> list[int]:
    """What each of them gives; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def run(services: Services, stop: asyncio.Event) -> None:
    """Work off what is recorded until `stop` is set, whatever goes wrong.

    After a commit of this process it looks at once, else every `relay_seconds`, more seldom while nothing happens.
    """
    shortest = services.settings.relay_seconds
    if not shortest:
        return
    log, pause = logger(services.settings.log_level), shortest
    with services.stirred.listening() as stirred:
        while not stop.is_set():
            stirred.clear()
            try:
                found = await work_off(services, log)
                pause = shortest if found else min(pause * 1.5, max(LONGEST_PAUSE, shortest))
            except Fault as fault:
                log.warning("the feed is put off", reason=str(fault))
                pause = PAUSE_WHEN_AWAY
            except Exception:  # the next look may go well
                log.exception("working off the feed failed")
                pause = PAUSE_WHEN_AWAY
            await first_of(LEAST_PAUSE, stop)
            await first_of(pause, stirred, stop)


async def _numbered(services: Services) -> int:
    done = some = await number(services)
    while some >= MOST_NUMBERED and await is_behind(services):
        some = await number(services)
        done += some
    services.count("events_numbered", "", done)
    if done:
        services.stirred()
    return done


async def _fed(services: Services, receiver: Receiver, ahead: Ahead, log: FilteringBoundLogger | None) -> int:
    """Feed one receiver until there is nothing more for it, or it fails."""
    done, more = 0, True
    while more:
        fed = await feed(services, receiver, ahead)
        done, more = done + fed.taken + fed.passed_over, fed.more
        _tell(services, receiver, fed, log)
    return done


def _tell(services: Services, receiver: Receiver, fed: Fed, log: FilteringBoundLogger | None) -> None:
    services.count("events_received", receiver.name, fed.taken)
    if fed.error is None:
        return
    services.count("events_passed_over" if fed.passed_over else "events_failed", receiver.name, 1)
    if log is not None and fed.passed_over:
        log.error("event passed over", receiver=receiver.name, exc_info=fed.error)
    elif log is not None:
        log.warning("receiver failed", receiver=receiver.name, exc_info=fed.error)
