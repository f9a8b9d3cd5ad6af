"""How many jobs a process runs at once, how long it holds them, and how long ended ones are kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class JobsSettings(BaseModel):
    """Settings of jobs (后台任务)."""

    model_config = ConfigDict(extra="forbid")

    at_once: int = Field(
        10, ge=0, le=1_000, description="Jobs one process runs at the same time; 0: it runs none (并发数)."
    )
    poll_seconds: float = Field(
        0.5, gt=0, le=60, description="How often a process looks for jobs that others enqueued, seconds."
    )
    lease_seconds: float = Field(
        60.0, ge=1, le=3_600, description="After this time without a sign of life a job is another's (租约)."
    )
    grace_seconds: float = Field(
        8.0,
        ge=0,
        le=12,
        description="How long running jobs may take to stop when their process ends; then they are cut off, and go on elsewhere (退出宽限).",
    )
    retention_days: int = Field(
        30, ge=1, le=3_650, description="Days after which jobs that ended are removed (保留天数)."
    )
