"""Where signed forms are kept, and the register of controlled documents.

Safety: works with the code of the version before; adds tables and drops only what no running version reads.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import UtcDateTime

revision = "core_0006"
down_revision = "core_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approval_filings",
        sa.Column("approval_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("form", sa.String(length=40), nullable=False),
        sa.Column("department", sa.String(length=120), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("keeper_id", sa.Uuid(), nullable=False),
        sa.Column("filed_by_id", sa.Uuid(), nullable=True),
        sa.Column("filed_on", sa.Date(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_approval_filings_approval_id_approvals")
        ),
        sa.ForeignKeyConstraint(
            ["filed_by_id"], ["users.id"], name=op.f("fk_approval_filings_filed_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["keeper_id"], ["users.id"], name=op.f("fk_approval_filings_keeper_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval_filings")),
    )
    with op.batch_alter_table("approval_filings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approval_filings_approval_id"), ["approval_id"], unique=False)
        batch_op.create_index(
            "ix_approval_filings_keeper_id_ended_at", ["keeper_id", "ended_at"], unique=False
        )

    op.create_table(
        "controlled_documents",
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=60), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("department", sa.String(length=120), nullable=False),
        sa.Column("issue", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("review_months", sa.Integer(), nullable=True),
        sa.Column("review_due_on", sa.Date(), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("prepared_by_id", sa.Uuid(), nullable=True),
        sa.Column("prepared_on", sa.Date(), nullable=False),
        sa.Column("reviewed_by_id", sa.Uuid(), nullable=True),
        sa.Column("reviewed_on", sa.Date(), nullable=True),
        sa.Column("approved_by_id", sa.Uuid(), nullable=True),
        sa.Column("approved_on", sa.Date(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["approved_by_id"], ["users.id"], name=op.f("fk_controlled_documents_approved_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["prepared_by_id"], ["users.id"], name=op.f("fk_controlled_documents_prepared_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["reviewed_by_id"], ["users.id"], name=op.f("fk_controlled_documents_reviewed_by_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controlled_documents")),
        sa.UniqueConstraint(
            "line",
            "number",
            "issue",
            "revision",
            name=op.f("uq_controlled_documents_line_number_issue_revision"),
        ),
    )
    with op.batch_alter_table("controlled_documents", schema=None) as batch_op:
        batch_op.create_index(
            "ix_controlled_documents_line_review_due_on", ["line", "review_due_on"], unique=False
        )
        batch_op.create_index(
            "ix_controlled_documents_line_state_number", ["line", "state", "number"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("controlled_documents", schema=None) as batch_op:
        batch_op.drop_index("ix_controlled_documents_line_state_number")
        batch_op.drop_index("ix_controlled_documents_line_review_due_on")

    op.drop_table("controlled_documents")
    with op.batch_alter_table("approval_filings", schema=None) as batch_op:
        batch_op.drop_index("ix_approval_filings_keeper_id_ended_at")
        batch_op.drop_index(batch_op.f("ix_approval_filings_approval_id"))

    op.drop_table("approval_filings")
