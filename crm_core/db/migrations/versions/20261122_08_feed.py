"""The feed of events: positions for what is recorded, how far receivers are, and what they could not take in.

Safety: works with the code of the version before; adds tables and indexes, and numbers the events recorded so far (about 10 s for
each million). Those recorded by the version before while both run are numbered as soon as the new one does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import UtcDateTime

revision = "core_0008"
down_revision = "core_0007"
branch_labels = None
depends_on = None

# The order of ids, save that no event comes before an earlier one of its subject.
_NUMBERED = """
UPDATE outbox_events SET position = numbered.place FROM (
    SELECT id, row_number() OVER (ORDER BY latest, subject_type, subject_id, sequence, ordinal) AS place FROM (
        SELECT id, subject_type, subject_id, sequence, ordinal,
            max({id}) OVER (PARTITION BY subject_type, subject_id ORDER BY sequence, ordinal) AS latest
        FROM outbox_events
    ) AS ordered
) AS numbered WHERE numbered.id = outbox_events.id
"""


def upgrade() -> None:
    op.create_table(
        "feed_state",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_state")),
    )
    op.create_table(
        "feed_cursors",
        sa.Column("receiver", sa.String(length=80), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("single_until", sa.BigInteger(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("receiver", name=op.f("pk_feed_cursors")),
    )
    op.create_table(
        "feed_failures",
        sa.Column("receiver", sa.String(length=80), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("failed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["outbox_events.id"], name=op.f("fk_feed_failures_event_id_outbox_events")
        ),
        sa.PrimaryKeyConstraint("receiver", "event_id", name=op.f("pk_feed_failures")),
    )
    op.create_index(op.f("ix_feed_failures_failed_at"), "feed_failures", ["failed_at"])
    with op.batch_alter_table("outbox_events") as batch_op:
        batch_op.drop_constraint(op.f("uq_outbox_events_position"), type_="unique")
    _number()
    op.create_index(
        "uq_outbox_events_position",
        "outbox_events",
        ["position"],
        unique=True,
        postgresql_where=sa.text("position IS NOT NULL"),
        sqlite_where=sa.text("position IS NOT NULL"),
    )
    for column in ("subject_ref", "line", "kind"):
        op.drop_index(f"ix_outbox_events_{column}_id", "outbox_events")
        op.create_index(f"ix_outbox_events_{column}_position", "outbox_events", [column, "position"])
    op.create_index(
        "ix_outbox_events_unnumbered",
        "outbox_events",
        ["id"],
        postgresql_where=sa.text("position IS NULL"),
        sqlite_where=sa.text("position IS NULL"),
    )


def _number() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:  # what is recorded meanwhile waits, or two events could get one place
        op.execute("LOCK TABLE outbox_events IN SHARE ROW EXCLUSIVE MODE")
    op.execute(_NUMBERED.format(id='CAST(id AS text) COLLATE "C"' if postgresql else "id"))
    op.execute(
        "INSERT INTO feed_state (name, position) SELECT 'events', coalesce(max(position), 0) FROM outbox_events"
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_events_unnumbered", "outbox_events")
    for column in ("kind", "line", "subject_ref"):
        op.drop_index(f"ix_outbox_events_{column}_position", "outbox_events")
        op.create_index(f"ix_outbox_events_{column}_id", "outbox_events", [column, "id"])
    op.drop_index("uq_outbox_events_position", "outbox_events")
    op.execute("UPDATE outbox_events SET position = NULL")
    with op.batch_alter_table("outbox_events") as batch_op:
        batch_op.create_unique_constraint(op.f("uq_outbox_events_position"), ["position"])
    op.drop_index(op.f("ix_feed_failures_failed_at"), "feed_failures")
    op.drop_table("feed_failures")
    op.drop_table("feed_cursors")
    op.drop_table("feed_state")
