"""Trying a job again, and cancelling one."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import select, text

from crm_core.commands import Command, Perform, Ref
from crm_core.errors import Message, Refused
from crm_core.jobs.models import IS_OPEN, JobState, QueuedJob
from crm_core.jobs.queries import MANAGE
from crm_core.work import Work

JobId = Annotated[UUID, Ref("Job", "job")]

NOT_ENDED = Message(
    "JOB_NOT_RETRYABLE",
    "The job is {state}; only one that failed, is dead or was cancelled is tried again.",
    "该任务状态为 {state}，只有失败、已放弃或已取消的任务才能重试。",
)
IS_OVER = Message("JOB_IS_OVER", "The job is {state} already.", "该任务状态已是 {state}。")
TWIN = Message(
    "JOB_TWIN_OPEN",
    "Another job for the same is open already; wait for it to end.",
    "已有相同的任务正在等待或执行，请等待其结束。",
)
MESSAGES = (NOT_ENDED, IS_OVER, TWIN)
_J = QueuedJob.__table__


class RetryJob(Command):
    """Try a job again at once that failed, is dead or was cancelled; it goes on with what it saved (重试任务)."""

    kind: ClassVar[str] = "job.retry"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "Job"
    subject: ClassVar[str | None] = "id"
    on_line: ClassVar[bool] = False
    id: JobId = Field(description="The job (任务).")


async def retry(work: Work, _command: RetryJob) -> QueuedJob:
    """The job, waiting again with all its attempts before it."""
    job: QueuedJob = work.subject
    if job.state not in {JobState.FAILED, JobState.DEAD, JobState.CANCELLED}:
        raise Refused(NOT_ENDED("id", state=job.state))
    if job.state != JobState.FAILED and job.unique_key is not None and await _twin(work, job.unique_key):
        raise Refused(TWIN("id"))
    job.state, job.attempts, job.next_at = JobState.WAITING.value, 0, work.now
    job.woken, job.cancel_asked_at, job.ended_at = False, None, None
    work.touch(job)
    return job


async def _twin(work: Work, key: str) -> bool:
    there = select(_J.c.id).where(_J.c.unique_key == key, text(IS_OPEN))
    return (await work.session.execute(there)).first() is not None


class CancelJob(Command):
    """Cancel a job: one that waits at once, one that runs at its next progress; what it did stays done (取消任务)."""

    kind: ClassVar[str] = "job.cancel"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "Job"
    subject: ClassVar[str | None] = "id"
    on_line: ClassVar[bool] = False
    id: JobId = Field(description="The job (任务).")


async def cancel(work: Work, _command: CancelJob) -> QueuedJob:
    """The job, cancelled or about to be."""
    job: QueuedJob = work.subject
    if job.state not in {JobState.WAITING, JobState.FAILED, JobState.RUNNING}:
        raise Refused(IS_OVER("id", state=job.state))
    job.cancel_asked_at = job.cancel_asked_at or work.now
    if job.state != JobState.RUNNING:
        job.state, job.ended_at = JobState.CANCELLED.value, work.now
    work.touch(job)
    return job


COMMANDS: dict[type[Command], Perform] = {RetryJob: retry, CancelJob: cancel}
