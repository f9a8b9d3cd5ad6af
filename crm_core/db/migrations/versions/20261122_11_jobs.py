"""Jobs, and when each schedule fires next.

Safety: works with the code of the version before; adds tables only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import JsonValue, UtcDateTime

revision = "core_0011"
down_revision = "core_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("arguments", JsonValue, nullable=False),
        sa.Column("labels", JsonValue, nullable=False),
        sa.Column("line", sa.String(length=40), nullable=True),
        sa.Column("requester_id", sa.Uuid(), nullable=True),
        sa.Column("unique_key", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("most_attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("woken", sa.Boolean(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("lease_owner", sa.String(length=32), nullable=True),
        sa.Column("cancel_asked_at", UtcDateTime(), nullable=True),
        sa.Column("progress_done", sa.Integer(), nullable=True),
        sa.Column("progress_total", sa.Integer(), nullable=True),
        sa.Column("progress_words", sa.String(length=500), nullable=True),
        sa.Column("resume", JsonValue, nullable=True),
        sa.Column("result", JsonValue, nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    _partial("ix_jobs_due", "state IN ('WAITING', 'FAILED')", "next_at", "id")
    _partial("ix_jobs_held", "state = 'RUNNING'", "lease_until")
    _partial(
        "uq_jobs_unique_key",
        "unique_key IS NOT NULL AND state IN ('WAITING', 'RUNNING', 'FAILED')",
        "unique_key",
        unique=True,
    )
    _partial("ix_jobs_ended_at", "ended_at IS NOT NULL", "ended_at")
    for column in ("state", "name", "line", "requester_id"):
        op.create_index(f"ix_jobs_{column}_id", "jobs", [column, "id"])
    op.create_table(
        "job_schedules",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("cron", sa.String(length=100), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("fired_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", "line", name=op.f("pk_job_schedules")),
    )


def _partial(name: str, where: str, *columns: str, unique: bool = False) -> None:
    op.create_index(
        name,
        "jobs",
        list(columns),
        unique=unique,
        postgresql_where=sa.text(where),
        sqlite_where=sa.text(where),
    )


def downgrade() -> None:
    op.drop_table("job_schedules")
    op.drop_table("jobs")
