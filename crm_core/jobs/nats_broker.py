"""The broker for taskiq on NATS JetStream, which only says which job to look at; the job is a row as ever.

Only a deployment with a `broker` loads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from sqlalchemy import Row
from taskiq_nats import PullBasedJetStreamBroker

from crm_core.errors import Fault
from crm_core.jobs import queries
from crm_core.jobs.addresses import addressed
from crm_core.jobs.broker import message_of
from crm_core.jobs.running import Runner, settings_of
from crm_core.stirring import first_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from crm_core.db.unit import Unit
    from crm_core.work import Services

_ALIKE_SECONDS: Final = 20.0
_ACK_SECONDS: Final = 10.0
_FETCH_SECONDS: Final = 5.0
_FETCHED: Final = 10
"""Messages fetched at once; one that must wait for its turn may go to another worker, which does no harm."""
WAKE_AGAIN: Final = timedelta(seconds=30)
"""After this time a job that nobody claimed is told of again: the news may have been lost."""
MOST_WOKEN: Final = 500


class NatsBroker(PullBasedJetStreamBroker):
    """A work queue of NATS JetStream: what is published is the id of a job, so that a worker need not look for it."""

    @property
    def connected(self) -> bool:
        """Whether the server is within reach."""
        return bool(self.client.is_connected)


def nats_broker(address: str) -> NatsBroker:
    """The broker of `nats://host:port[,nats://…][/name]`; deployments that share a server need different names."""
    servers, name = addressed(address)
    subject = f"{name}.jobs"
    return NatsBroker(
        servers,
        subject,
        stream_name=f"{name.upper()}_JOBS",
        durable=f"{name}_workers",
        stream_config=StreamConfig(
            retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE, duplicate_window=_ALIKE_SECONDS
        ),
        consumer_config=ConsumerConfig(durable_name=f"{name}_workers", ack_wait=_ACK_SECONDS),
        pull_consume_batch=_FETCHED,
        pull_consume_timeout=_FETCH_SECONDS,
        connect_timeout=5,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.5,
        error_cb=_quietly,
    )


async def wake_due(services: Services, broker: NatsBroker) -> int:
    """Publish the ids of the jobs that are due; how many. What the server does not take is due as before.

    Raises `Fault` when the database is out of reach.
    """
    now, names, dialect = services.clock(), services.registry.jobs, services.database.dialect
    if not await services.database.fetch(queries.first_due(frozenset(names), dialect), {"now": now}):
        return 0
    waking = queries.waking(names, now, now + WAKE_AGAIN, MOST_WOKEN, dialect)

    async def mark(session: Unit) -> Sequence[Row[Any]]:
        return (await session.execute(waking)).all()

    rows = await services.database.attempt(mark)
    told = await asyncio.gather(*(_publish(broker, row, now) for row in rows))
    missed = [row.id for row, taken in zip(rows, told, strict=True) if not taken]
    if missed:
        async with services.database.transaction() as session:
            await session.execute(queries.not_woken(missed, services.clock(), dialect))
    return len(rows) - len(missed)


async def keep_waking(
    services: Services, broker: NatsBroker, runner: Runner, log: FilteringBoundLogger
) -> None:
    """Until cancelled, tell the broker of jobs that are due, and write down what ended."""
    poll = settings_of(services).poll_seconds
    with services.stirred.listening() as stirred:
        while True:
            stirred.clear()
            runner.changed.clear()
            try:
                if runner.ended:
                    await runner.flush()
                if broker.connected and await wake_due(services, broker):
                    continue
            except Fault as fault:
                log.warning("jobs are put off", reason=str(fault))
            await first_of(poll, stirred, runner.changed)


async def _publish(broker: NatsBroker, row: Row[Any], now: datetime) -> bool:
    message = message_of(broker, row.id, row.name)
    message.labels = {"Nats-Msg-Id": f"{row.id.hex}/{row.attempts}/{now:%H%M%S}"}
    try:
        await broker.kick(message)
    except (NatsError, OSError, TimeoutError):
        return False
    return True


async def _quietly(_error: Exception) -> None:
    """A connection that is lost is tried again; whoever waits hears of it."""
