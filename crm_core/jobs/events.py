"""Facts about jobs."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class JobDied(Event):
    """A job was tried as often as it may, or gave up; nobody tries it again by himself (任务已失败)."""

    kind: ClassVar[str] = "job.died"
    subject_type: ClassVar[str] = "Job"
    public: ClassVar[tuple[str, ...]] = ("name", "line", "state", "attempts", "most_attempts", "ended_at")
    name: str
    attempts: int


EVENTS: tuple[type[Event], ...] = (JobDied,)
