"""The broker for taskiq that is the table of jobs itself; `nats_broker` has the other one.

Either way a job is a row, written with the change that asked for it, and whoever runs it has claimed that row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import insert
from taskiq import AsyncBroker, BrokerMessage, TaskiqMessage

from crm_core.errors import Fault
from crm_core.jobs.enqueuing import declared, insert_unless_open, row_of
from crm_core.jobs.models import QueuedJob
from crm_core.stirring import first_of

if TYPE_CHECKING:
    from crm_core.db.unit import Unit
    from crm_core.jobs.context import Claim
    from crm_core.jobs.running import Runner

PAUSE_WHEN_AWAY: Final = 2.0
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
