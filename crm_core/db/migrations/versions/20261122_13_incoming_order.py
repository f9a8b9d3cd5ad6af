"""Incoming webhooks in order: how a source is ordered, and what each of its requests waits for.

Safety: works with the code of the version before; adds columns that may be empty or have a default, and an index.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "core_0013"
down_revision = "core_0012"
branch_labels = None
depends_on = None

_OPEN = "order_key IS NOT NULL AND state IN ('RECEIVED', 'FAILED')"


def upgrade() -> None:
    op.add_column(
        "incoming_sources",
        sa.Column("ordered", sa.String(length=10), server_default=sa.text("'NONE'"), nullable=False),
    )
    op.add_column("incoming_sources", sa.Column("about", sa.String(length=1000), nullable=True))
    op.add_column("incoming_requests", sa.Column("order_key", sa.String(length=200), nullable=True))
    with op.batch_alter_table("incoming_requests", schema=None) as batch_op:
        batch_op.create_index(
            "ix_incoming_requests_in_order",
            ["source_id", "order_key", "created_at", "id"],
            unique=False,
            postgresql_where=sa.text(_OPEN),
            sqlite_where=sa.text(_OPEN),
        )


def downgrade() -> None:
    with op.batch_alter_table("incoming_requests", schema=None) as batch_op:
        batch_op.drop_index("ix_incoming_requests_in_order")
        batch_op.drop_column("order_key")

    with op.batch_alter_table("incoming_sources", schema=None) as batch_op:
        batch_op.drop_column("about")
        batch_op.drop_column("ordered")
