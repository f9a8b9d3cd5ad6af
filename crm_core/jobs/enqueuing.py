"""Puts a job into the queue in the caller's transaction: what is undone leaves no job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import insert, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import ids
from crm_core.errors import Fault
from crm_core.jobs.models import IS_OPEN, MOST_KEY, JobState, QueuedJob
from crm_core.registry import Job, Registry
from crm_core.work import Work

_J = QueuedJob.__table__
_INSERT: Final = insert(_J)
_TRIES: Final = 3


async def enqueue(
    work: Work,
    job: Job | str,
    arguments: BaseModel | Mapping[str, Any] | None = None,
    *,
    line: str | None = None,
    at: datetime | None = None,
    requester_id: UUID | None = None,
) -> UUID:
    """Have a job done after this transaction commits (入队), by whoever acts here.

    Args:
        work: the unit of work of the change that asks for it.
        job: a job declared by `crm_jobs`, or its name.
        arguments: what it is about, in the form the job declares.
        line: the business line it belongs to; default: the one acted in.
        at: not before this moment (UTC); default: at once.
        requester_id: the user it is done for; default: who acts here.

    Returns:
        Its id; of a unique job that is open already, that one's id.

    Raises:
        Fault: no such job (`UNKNOWN_JOB`).
        pydantic.ValidationError: the arguments do not have the form the job declares.
    """
    labels = {"request": work.options.request_id} if work.options.request_id else {}
    row = row_of(
        declared(work.registry, job), arguments, now=work.now, at=at, line=line or work.line,
        requester_id=requester_id or work.actor.user_id, labels=labels,
    )  # fmt: skip
    if row["unique_key"] is not None:
        await work.flush()
        return await insert_unless_open(work.session, work.services.database.dialect, row)
    await work.insert(_INSERT, [row])
    key: UUID = row["id"]
    return key


def declared(registry: Registry, job: Job | str) -> Job:
    """The job of this name as it was declared; `Fault` where there is none."""
    name = job if isinstance(job, str) else job.name
    found = registry.jobs.get(name)
    if found is None:
        raise Fault("UNKNOWN_JOB", f"No job {name} (没有该任务)")
    return found


def row_of(
    job: Job,
    arguments: BaseModel | Mapping[str, Any] | None,
    *,
    now: datetime,
    at: datetime | None = None,
    line: str | None = None,
    requester_id: UUID | None = None,
    labels: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The row of a new job."""
    given = job.arguments.model_validate(arguments if arguments is not None else {})
    key = f"{job.name}:{job.unique(given)}"[:MOST_KEY] if job.unique is not None else None
    return {
        "id": ids.uuid7(),
        "created_at": now,
        "updated_at": now,
        "version": 1,
        "name": job.name,
        "arguments": given.model_dump(mode="json"),
        "labels": dict(labels or {}),
        "line": line,
        "requester_id": requester_id,
        "unique_key": key,
        "state": JobState.WAITING.value,
        "attempts": 0,
        "most_attempts": job.most_attempts,
        "next_at": at or now,
        "woken": False,
    }


async def insert_unless_open(session: AsyncSession, dialect: str, row: Mapping[str, Any]) -> UUID:
    """Insert the job, unless one of its key is open; the id of the one there is then."""
    made = postgresql.insert(_J) if dialect == "postgresql" else sqlite.insert(_J)
    adding = made.values(dict(row)).on_conflict_do_nothing().returning(_J.c.id)
    there = select(_J.c.id).where(_J.c.unique_key == row["unique_key"], text(IS_OPEN))
    for _ in range(_TRIES):  # the one in the way may end between two statements
        found = (await session.execute(adding)).first() or (await session.execute(there)).first()
        if found is not None:
            key: UUID = found[0]
            return key
    raise Fault("JOB_IN_THE_WAY", f"Jobs of the key {row['unique_key']} end and begin too often; try again")
