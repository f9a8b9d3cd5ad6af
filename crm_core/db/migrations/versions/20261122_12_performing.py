"""How far a job is that performs a large approved change.

Safety: works with the code of the version before; adds nullable columns and an index on few rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import JsonValue

revision = "core_0012"
down_revision = "core_0011"
branch_labels = None
depends_on = None

_PERFORMING = sa.text("state = 'PERFORMING'")


def upgrade() -> None:
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.add_column(sa.Column("job_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("rows_total", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("rows_done", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("refused", JsonValue, nullable=True))
        batch_op.create_index(
            "ix_approvals_performing",
            ["job_id"],
            unique=False,
            sqlite_where=_PERFORMING,
            postgresql_where=_PERFORMING,
        )


def downgrade() -> None:
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.drop_index("ix_approvals_performing")
        for column in ("refused", "rows_done", "rows_total", "job_id"):
            batch_op.drop_column(column)
