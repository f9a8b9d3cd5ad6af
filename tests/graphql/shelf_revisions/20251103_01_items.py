"""The items."""

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import ExactDecimal, UtcDateTime

revision = "shelf_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shelf_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("line", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("note", sa.String(100)),
        sa.Column("shade", sa.String(40)),
        sa.Column("amount", sa.Integer()),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger()),
        sa.Column("day", sa.Date()),
        sa.Column("seen_at", UtcDateTime()),
        sa.Column("fragile", sa.Boolean()),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary()),
        sa.Column("rate", ExactDecimal()),
        sa.Column("owner_id", sa.Uuid()),
        sa.Column("parent_id", sa.Uuid(), sa.ForeignKey("shelf_items.id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shelf_items")),
    )


def downgrade() -> None:
    op.drop_table("shelf_items")
