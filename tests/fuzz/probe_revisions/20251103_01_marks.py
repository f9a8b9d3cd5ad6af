"""The marks."""

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import ExactDecimal, JsonValue, UtcDateTime

revision = "probe_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "probe_marks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("line", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("note", sa.String(100)),
        sa.Column("shade", sa.String(40)),
        sa.Column("amount", sa.Integer()),
        sa.Column("price", sa.BigInteger()),
        sa.Column("day", sa.Date()),
        sa.Column("seen_at", UtcDateTime()),
        sa.Column("fragile", sa.Boolean()),
        sa.Column("data", JsonValue),
        sa.Column("words", JsonValue, nullable=False),
        sa.Column("seal", sa.LargeBinary()),
        sa.Column("rate", ExactDecimal()),
        sa.Column("owner_id", sa.Uuid(), sa.ForeignKey("users.id")),
        sa.Column("customer_id", sa.Uuid(), sa.ForeignKey("customers.id")),
        sa.Column("parent_id", sa.Uuid(), sa.ForeignKey("probe_marks.id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_marks")),
    )


def downgrade() -> None:
    op.drop_table("probe_marks")
