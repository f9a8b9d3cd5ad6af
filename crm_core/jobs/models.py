"""The tables of jobs, and of when each schedule fires next."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Boolean, Index, Integer, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, Base, LineCode, Personal
from crm_core.db.types import JsonValue, UtcDateTime

MOST_ERROR: Final = 500
MOST_WORDS: Final = 500
MOST_KEY: Final = 200


class JobState(StrEnum):
    """What became of a job (任务状态): FAILED is tried again, DEAD is not."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"


IS_WAITING: Final = "state IN ('WAITING', 'FAILED')"
IS_RUNNING: Final = "state = 'RUNNING'"
IS_OPEN: Final = "unique_key IS NOT NULL AND state IN ('WAITING', 'RUNNING', 'FAILED')"
HAS_ENDED: Final = "ended_at IS NOT NULL"


def _partial(name: str, where: str, *columns: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))


class QueuedJob(Aggregate):
    """One job (后台任务). While it runs, `lease_owner` holds it until `lease_until`; then others take it over.

    `next_at` is when it is due; `woken`: a broker was told of it meanwhile. `resume` is what it saved to go on with,
    `labels` what accompanies it (request, schedule).
    """

    __tablename__ = "jobs"
    __table_args__ = (
        _partial("ix_jobs_due", IS_WAITING, "next_at", "id"),
        _partial("ix_jobs_held", IS_RUNNING, "lease_until"),
        _partial("uq_jobs_unique_key", IS_OPEN, "unique_key", unique=True),
        _partial("ix_jobs_ended_at", HAS_ENDED, "ended_at"),
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_name_id", "name", "id"),
        Index("ix_jobs_line_id", "line", "id"),
        Index("ix_jobs_requester_id_id", "requester_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "arguments": Personal("content", "What the job is about"),
        "resume": Personal("content", "How far the job came"),
        "progress_words": Personal("content", "What the job is at"),
        "result": Personal("content", "What came of the job"),
        "last_error": Personal("content", "Why the job failed"),
    }

    name: Mapped[str] = mapped_column(String(80))
    arguments: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    labels: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    line: Mapped[str | None] = mapped_column(LineCode)
    requester_id: Mapped[UUID | None] = mapped_column(Uuid)
    unique_key: Mapped[str | None] = mapped_column(String(MOST_KEY))
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer)
    most_attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    woken: Mapped[bool] = mapped_column(Boolean)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(32))
    cancel_asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    progress_done: Mapped[int | None] = mapped_column(Integer)
    progress_total: Mapped[int | None] = mapped_column(Integer)
    progress_words: Mapped[str | None] = mapped_column(String(MOST_WORDS))
    resume: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    result: Mapped[Any | None] = mapped_column(JsonValue)
    last_error: Mapped[str | None] = mapped_column(String(MOST_ERROR))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class JobSchedule(Base):
    """When a schedule fires next, in which line (empty: none), and the moment it fired for last (定时计划)."""

    __tablename__ = "job_schedules"
    personal: ClassVar[dict[str, Personal]] = {}

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    line: Mapped[str] = mapped_column(LineCode, primary_key=True)
    cron: Mapped[str] = mapped_column(String(100))
    time_zone: Mapped[str] = mapped_column(String(60))
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    fired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


TABLES: tuple[type[Any], ...] = (QueuedJob, JobSchedule)
