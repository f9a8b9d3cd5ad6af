"""Work done by the clock, and people who are away.

Safety: works with the code of the version before; adds nullable or defaulted columns, fills them in batches outside
the revision, and drops only what no running version reads. On SQLite foreign keys are off while it runs.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import JsonValue, UtcDateTime

revision = "core_0004"
down_revision = "core_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chores",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("held_until", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chores")),
    )
    op.create_table(
        "absences",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("deputy_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=True),
        sa.Column("from_day", sa.Date(), nullable=False),
        sa.Column("to_day", sa.Date(), nullable=False),
        sa.Column("kinds", JsonValue, nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deputy_id"], ["users.id"], name=op.f("fk_absences_deputy_id_users")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_absences_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absences")),
    )
    with op.batch_alter_table("absences", schema=None) as batch_op:
        batch_op.create_index("ix_absences_user_id_to_day", ["user_id", "to_day"], unique=False)
        batch_op.create_index("ix_absences_deputy_id_to_day", ["deputy_id", "to_day"], unique=False)
        batch_op.create_index("ix_absences_to_day_id", ["to_day", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("absences")
    op.drop_table("chores")
