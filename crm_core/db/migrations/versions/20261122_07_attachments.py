"""Papers given with what people do to a request; papers are found by their place in the store.

Safety: works with the code of the version before; adds a table and an index, and drops only what no running version
reads.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import UtcDateTime

revision = "core_0007"
down_revision = "core_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approval_attachments",
        sa.Column("approval_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("verb", sa.String(length=40), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("path", sa.String(length=300), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_approval_attachments_approval_id_approvals")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_approval_attachments_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval_attachments")),
    )
    with op.batch_alter_table("approval_attachments", schema=None) as batch_op:
        batch_op.create_index("ix_approval_attachments_approval_id_id", ["approval_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_approval_attachments_path"), ["path"], unique=False)

    with op.batch_alter_table("customer_documents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_customer_documents_path"), ["path"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("customer_documents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_customer_documents_path"))

    with op.batch_alter_table("approval_attachments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_approval_attachments_path"))
        batch_op.drop_index("ix_approval_attachments_approval_id_id")

    op.drop_table("approval_attachments")
