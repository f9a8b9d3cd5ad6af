"""Brokers for taskiq: the table of jobs itself, or NATS JetStream, which only says which job to look at.

Either way a job is a row, written with the change that asked for it, and whoever runs it has claimed that row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from sqlalchemy import Row, insert
from taskiq import AsyncBroker, BrokerMessage, TaskiqMessage
from taskiq_nats import PullBasedJetStreamBroker

from crm_core.errors import Fault
from crm_core.jobs import queries
from crm_core.jobs.addresses import addressed
from crm_core.jobs.enqueuing import declared, insert_unless_open, row_of
from crm_core.jobs.models import QueuedJob
from crm_core.stirring import first_of

if TYPE_CHECKING:
    from crm_core.db.unit import Unit
    from crm_core.jobs.context import Claim
    from crm_core.jobs.running import Runner
    from crm_core.work import Services

_ALIKE_SECONDS: Final = 20.0
_ACK_SECONDS: Final = 10.0
_FETCH_SECONDS: Final = 5.0
_FETCHED: Final = 10
"""Messages fetched at once; one that must wait for its turn may go to another worker, which does no harm."""
PAUSE_WHEN_AWAY: Final = 2.0
WAKE_AGAIN: Final = timedelta(seconds=30)
"""After this time a job that nobody claimed is told of again: the news may have been lost."""
MOST_WOKEN: Final = 500
_GATHER_SECONDS: Final = 0.02
"""After a commit of this process, how long further ones are waited for."""


def registered(broker: AsyncBroker, runner: Runner) -> AsyncBroker:
    """The broker with every job of the deployment as a task; a task's only argument is the id of its row."""

    async def run(job_id: str) -> None:
        await runner.run(UUID(hex=job_id))

    for name in runner.services.registry.jobs:
        broker.register_task(run, name)
    broker.is_worker_process = True
    return broker


def message_of(broker: AsyncBroker, job_id: UUID, name: str) -> BrokerMessage:
    """What tells a worker to look at a job."""
    task = TaskiqMessage(
        task_id=job_id.hex, task_name=name, labels={}, args=[], kwargs={"job_id": job_id.hex}
    )
    return broker.formatter.dumps(task)


class SqlBroker(AsyncBroker):
    """The table of jobs as a broker: SQLite or PostgreSQL, any number of processes."""

    def __init__(self, runner: Runner, at_once: int, poll_seconds: float) -> None:
        """For what this runner can take: at most `at_once` jobs; others' jobs are looked for every so often."""
        super().__init__()
        self._runner, self._at_once, self._poll = runner, at_once, poll_seconds

    async def kick(self, message: BrokerMessage) -> None:
        """Enqueue a job with the message's keyword arguments, in a transaction of its own.

        Commands use `enqueue`, which writes in theirs.
        """
        services = self._runner.services
        task = self.formatter.loads(message.message)
        row = row_of(declared(services.registry, task.task_name), task.kwargs, now=services.clock())

        async def do(session: Unit) -> None:
            if row["unique_key"] is not None:
                await insert_unless_open(session, services.database.dialect, row)
            else:
                await session.execute(insert(QueuedJob.__table__), [row])

        await services.database.attempt(do)
        services.stirred()

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Claim what is due and yield it; what ended meanwhile is written down in the same transaction.

        Only as many are claimed as can be begun at once.
        """
        runner = self._runner
        with runner.services.stirred.listening() as stirred:
            while not runner.stop.is_set():
                stirred.clear()
                runner.changed.clear()
                found = await self._turn()
                for claim in found:
                    yield message_of(self, claim.id, claim.name).message
                if found:
                    continue  # there may be more
                await first_of(self._poll, stirred, runner.changed, runner.stop)
                if stirred.is_set() and not runner.changed.is_set():
                    await asyncio.sleep(_GATHER_SECONDS)

    async def _turn(self) -> Sequence[Claim]:
        runner = self._runner
        free = self._at_once - runner.busy
        try:
            if runner.ended or (free > 0 and await runner.claims.is_due()):
                return await runner.take(max(free, 0))
        except Fault as fault:
            runner.tell("jobs are put off", reason=str(fault))
            await asyncio.sleep(PAUSE_WHEN_AWAY)
        return ()


# -- NATS


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
    if not await services.database.fetch(queries.due(names, now, dialect).limit(1)):
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
