"""Links by which a signer opens what waits for him out of a mail or chat.

Safety: works with the code of the version before; adds nullable or defaulted columns, fills them in batches outside
the revision, and drops only what no running version reads. On SQLite foreign keys are off while it runs.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import UtcDateTime

revision = "core_0005"
down_revision = "core_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approval_links",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_id"], ["approval_tasks.id"], name=op.f("fk_approval_links_task_id_approval_tasks")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_approval_links_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval_links")),
    )
    with op.batch_alter_table("approval_links", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approval_links_task_id"), ["task_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_approval_links_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    op.drop_table("approval_links")
