"""The table of the made-up plugin."""

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import UtcDateTime

revision = "scans_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scans_scans",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("line", sa.String(40), nullable=False),
        sa.Column("note", sa.String(20), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("path", sa.String(300), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
    )
    op.create_index("ix_scans_scans_path", "scans_scans", ["path"])
