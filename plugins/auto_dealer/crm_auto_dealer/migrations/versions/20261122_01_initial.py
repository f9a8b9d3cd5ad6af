"""initial.

Safety: works with the code of the version before; adds nullable or defaulted columns, fills them in batches outside
the revision, and drops only what no running version reads. On SQLite foreign keys are off while it runs.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_core.db.types import JsonValue, UtcDateTime

revision = "auto_dealer_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auto_dealer_vehicles",
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("vin", sa.String(length=17), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("colour", sa.String(length=60), nullable=False),
        sa.Column("plate", sa.String(length=20), nullable=True),
        sa.Column("use", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("consent_for_id", sa.Uuid(), nullable=True),
        sa.Column("consent_by_id", sa.Uuid(), nullable=True),
        sa.Column("consent_until", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consent_by_id"], ["users.id"], name=op.f("fk_auto_dealer_vehicles_consent_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["consent_for_id"], ["users.id"], name=op.f("fk_auto_dealer_vehicles_consent_for_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_auto_dealer_vehicles_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auto_dealer_vehicles")),
        sa.UniqueConstraint("line", "vin", name=op.f("uq_auto_dealer_vehicles_line_vin")),
    )
    with op.batch_alter_table("auto_dealer_vehicles", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_auto_dealer_vehicles_customer_id"), ["customer_id"], unique=False
        )
        batch_op.create_index("ix_auto_dealer_vehicles_line_id", ["line", "id"], unique=False)
        batch_op.create_index("ix_auto_dealer_vehicles_line_plate", ["line", "plate"], unique=False)
        batch_op.create_index("ix_auto_dealer_vehicles_line_state_id", ["line", "state", "id"], unique=False)
        batch_op.create_index("ix_auto_dealer_vehicles_line_use_id", ["line", "use", "id"], unique=False)

    op.create_table(
        "auto_dealer_orders",
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("vehicle_id", sa.Uuid(), nullable=True),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("deposit", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("ordered_on", sa.Date(), nullable=False),
        sa.Column("governing_on", sa.Date(), nullable=False),
        sa.Column("signed_by_id", sa.Uuid(), nullable=True),
        sa.Column("signed_at", UtcDateTime(), nullable=True),
        sa.Column("registered_by_id", sa.Uuid(), nullable=True),
        sa.Column("registered_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_auto_dealer_orders_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_auto_dealer_orders_owner_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["registered_by_id"], ["users.id"], name=op.f("fk_auto_dealer_orders_registered_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["signed_by_id"], ["users.id"], name=op.f("fk_auto_dealer_orders_signed_by_id_users")
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_auto_dealer_orders_team_id_teams")),
        sa.ForeignKeyConstraint(
            ["vehicle_id"],
            ["auto_dealer_vehicles.id"],
            name=op.f("fk_auto_dealer_orders_vehicle_id_auto_dealer_vehicles"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auto_dealer_orders")),
    )
    with op.batch_alter_table("auto_dealer_orders", schema=None) as batch_op:
        batch_op.create_index(
            "ix_auto_dealer_orders_customer_id_governing_on", ["customer_id", "governing_on"], unique=False
        )
        batch_op.create_index(
            "ix_auto_dealer_orders_line_governing_on_id", ["line", "governing_on", "id"], unique=False
        )
        batch_op.create_index(
            "ix_auto_dealer_orders_line_owner_id_governing_on",
            ["line", "owner_id", "governing_on"],
            unique=False,
        )
        batch_op.create_index(
            "ix_auto_dealer_orders_line_state_governing_on", ["line", "state", "governing_on"], unique=False
        )
        batch_op.create_index(
            "ix_auto_dealer_orders_line_team_id_governing_on",
            ["line", "team_id", "governing_on"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_auto_dealer_orders_vehicle_id"), ["vehicle_id"], unique=False)

    op.create_table(
        "auto_dealer_test_drives",
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("vehicle_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("licence_checked", sa.Boolean(), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("odometer_km", sa.Integer(), nullable=True),
        sa.Column("feedback", sa.String(length=2000), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_auto_dealer_test_drives_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_auto_dealer_test_drives_owner_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_auto_dealer_test_drives_team_id_teams")
        ),
        sa.ForeignKeyConstraint(
            ["vehicle_id"],
            ["auto_dealer_vehicles.id"],
            name=op.f("fk_auto_dealer_test_drives_vehicle_id_auto_dealer_vehicles"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auto_dealer_test_drives")),
    )
    with op.batch_alter_table("auto_dealer_test_drives", schema=None) as batch_op:
        batch_op.create_index(
            "ix_auto_dealer_test_drives_customer_id_starts_at", ["customer_id", "starts_at"], unique=False
        )
        batch_op.create_index(
            "ix_auto_dealer_test_drives_line_owner_id_starts_at",
            ["line", "owner_id", "starts_at"],
            unique=False,
        )
        batch_op.create_index(
            "ix_auto_dealer_test_drives_line_starts_at_id", ["line", "starts_at", "id"], unique=False
        )
        batch_op.create_index(
            "ix_auto_dealer_test_drives_line_state_starts_at", ["line", "state", "starts_at"], unique=False
        )
        batch_op.create_index(
            "ix_auto_dealer_test_drives_line_team_id_starts_at",
            ["line", "team_id", "starts_at"],
            unique=False,
        )
        batch_op.create_index(
            "ix_auto_dealer_test_drives_vehicle_id_starts_at", ["vehicle_id", "starts_at"], unique=False
        )

    op.create_table(
        "auto_dealer_order_changes",
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("proposed", JsonValue, nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("requested_by_id", sa.Uuid(), nullable=True),
        sa.Column("decided_by_id", sa.Uuid(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["users.id"], name=op.f("fk_auto_dealer_order_changes_decided_by_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["auto_dealer_orders.id"],
            name=op.f("fk_auto_dealer_order_changes_order_id_auto_dealer_orders"),
        ),
        sa.ForeignKeyConstraint(
            ["requested_by_id"], ["users.id"], name=op.f("fk_auto_dealer_order_changes_requested_by_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auto_dealer_order_changes")),
    )
    with op.batch_alter_table("auto_dealer_order_changes", schema=None) as batch_op:
        batch_op.create_index(
            "ix_auto_dealer_order_changes_line_state_id", ["line", "state", "id"], unique=False
        )
        batch_op.create_index("ix_auto_dealer_order_changes_order_id_id", ["order_id", "id"], unique=False)

    op.create_table(
        "auto_dealer_test_drive_slots",
        sa.Column("vehicle_id", sa.Uuid(), nullable=False),
        sa.Column("slot_start", UtcDateTime(), nullable=False),
        sa.Column("test_drive_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["test_drive_id"],
            ["auto_dealer_test_drives.id"],
            name="fk_auto_dealer_test_drive_slots_test_drive_id",
        ),
        sa.ForeignKeyConstraint(
            ["vehicle_id"],
            ["auto_dealer_vehicles.id"],
            name=op.f("fk_auto_dealer_test_drive_slots_vehicle_id_auto_dealer_vehicles"),
        ),
        sa.PrimaryKeyConstraint("vehicle_id", "slot_start", name=op.f("pk_auto_dealer_test_drive_slots")),
    )
    with op.batch_alter_table("auto_dealer_test_drive_slots", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_auto_dealer_test_drive_slots_test_drive_id"), ["test_drive_id"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("auto_dealer_test_drive_slots", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auto_dealer_test_drive_slots_test_drive_id"))

    op.drop_table("auto_dealer_test_drive_slots")
    with op.batch_alter_table("auto_dealer_order_changes", schema=None) as batch_op:
        batch_op.drop_index("ix_auto_dealer_order_changes_order_id_id")
        batch_op.drop_index("ix_auto_dealer_order_changes_line_state_id")

    op.drop_table("auto_dealer_order_changes")
    with op.batch_alter_table("auto_dealer_test_drives", schema=None) as batch_op:
        batch_op.drop_index("ix_auto_dealer_test_drives_vehicle_id_starts_at")
        batch_op.drop_index("ix_auto_dealer_test_drives_line_team_id_starts_at")
        batch_op.drop_index("ix_auto_dealer_test_drives_line_state_starts_at")
        batch_op.drop_index("ix_auto_dealer_test_drives_line_starts_at_id")
        batch_op.drop_index("ix_auto_dealer_test_drives_line_owner_id_starts_at")
        batch_op.drop_index("ix_auto_dealer_test_drives_customer_id_starts_at")

    op.drop_table("auto_dealer_test_drives")
    with op.batch_alter_table("auto_dealer_orders", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auto_dealer_orders_vehicle_id"))
        batch_op.drop_index("ix_auto_dealer_orders_line_team_id_governing_on")
        batch_op.drop_index("ix_auto_dealer_orders_line_state_governing_on")
        batch_op.drop_index("ix_auto_dealer_orders_line_owner_id_governing_on")
        batch_op.drop_index("ix_auto_dealer_orders_line_governing_on_id")
        batch_op.drop_index("ix_auto_dealer_orders_customer_id_governing_on")

    op.drop_table("auto_dealer_orders")
    with op.batch_alter_table("auto_dealer_vehicles", schema=None) as batch_op:
        batch_op.drop_index("ix_auto_dealer_vehicles_line_use_id")
        batch_op.drop_index("ix_auto_dealer_vehicles_line_state_id")
        batch_op.drop_index("ix_auto_dealer_vehicles_line_plate")
        batch_op.drop_index("ix_auto_dealer_vehicles_line_id")
        batch_op.drop_index(batch_op.f("ix_auto_dealer_vehicles_customer_id"))

    op.drop_table("auto_dealer_vehicles")
