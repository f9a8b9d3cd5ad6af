"""Incoming webhooks: sources, and the requests they sent.

Safety: works with the code of the version before; adds two tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import JsonValue, UtcDateTime

revision = "core_0010"
down_revision = "core_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incoming_sources",
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("path_key", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.String(length=80), nullable=False),
        sa.Column("options", JsonValue, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("previous_sealed", sa.Text(), nullable=True),
        sa.Column("previous_until", UtcDateTime(), nullable=True),
        sa.Column("addresses", JsonValue, nullable=False),
        sa.Column("window_seconds", sa.Integer(), nullable=False),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
        sa.Column("dedupe", sa.String(length=1000), nullable=True),
        sa.Column("handler", sa.String(length=80), nullable=True),
        sa.Column("mapping", JsonValue, nullable=True),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_incoming_sources_actor_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incoming_sources")),
        sa.UniqueConstraint("line", "name", name=op.f("uq_incoming_sources_line_name")),
        sa.UniqueConstraint("path_key", name=op.f("uq_incoming_sources_path_key")),
    )
    op.create_table(
        "incoming_requests",
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("dedupe_key", sa.String(length=200), nullable=False),
        sa.Column("content_type", sa.String(length=200), nullable=False),
        sa.Column("headers", JsonValue, nullable=False),
        sa.Column("query", JsonValue, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("results", JsonValue, nullable=False),
        sa.Column("errors", JsonValue, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["incoming_sources.id"],
            name=op.f("fk_incoming_requests_source_id_incoming_sources"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incoming_requests")),
        sa.UniqueConstraint(
            "source_id", "dedupe_key", name=op.f("uq_incoming_requests_source_id_dedupe_key")
        ),
    )
    with op.batch_alter_table("incoming_requests", schema=None) as batch_op:
        batch_op.create_index(
            "ix_incoming_requests_due", ["next_at"], unique=False, **_only("state = 'RECEIVED'")
        )
        batch_op.create_index(
            "ix_incoming_requests_failed",
            ["source_id", "finished_at"],
            unique=False,
            **_only("state = 'FAILED'"),
        )
        batch_op.create_index("ix_incoming_requests_kept", ["id"], unique=False, **_only("body IS NOT NULL"))
        batch_op.create_index("ix_incoming_requests_source_id_id", ["source_id", "id"], unique=False)
        batch_op.create_index("ix_incoming_requests_line_id", ["line", "id"], unique=False)
        batch_op.create_index("ix_incoming_requests_line_state_id", ["line", "state", "id"], unique=False)


def _only(condition: str) -> dict[str, sa.TextClause]:
    """An index over these rows alone."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def downgrade() -> None:
    with op.batch_alter_table("incoming_requests", schema=None) as batch_op:
        batch_op.drop_index("ix_incoming_requests_line_state_id")
        batch_op.drop_index("ix_incoming_requests_line_id")
        batch_op.drop_index("ix_incoming_requests_source_id_id")
        batch_op.drop_index("ix_incoming_requests_kept")
        batch_op.drop_index("ix_incoming_requests_failed")
        batch_op.drop_index("ix_incoming_requests_due")

    op.drop_table("incoming_requests")
    op.drop_table("incoming_sources")
