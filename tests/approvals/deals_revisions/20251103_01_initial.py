"""The table of the made-up plugin."""

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import UtcDateTime

revision = "deals_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deals_deals",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("line", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(80)),
        sa.Column("grade", sa.String(10), nullable=False),
        sa.Column("account", sa.String(80)),
        sa.UniqueConstraint("line", "title", name="uq_deals_deals_line_title"),
    )


def downgrade() -> None:
    op.drop_table("deals_deals")
