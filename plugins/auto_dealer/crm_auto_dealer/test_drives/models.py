"""Tables of test drives and of the slots they take, with the states a drive passes through."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_auto_dealer.scopes import TEST_DRIVE_WRITE
from crm_core.db.base import Aggregate, Base, LineCode, Personal
from crm_core.db.types import UtcDateTime
from crm_core.lifecycle import Lifecycle, Move


class TestDriveState(StrEnum):
    """State of a test drive: requested 已预约, driven 已试驾, recorded 已记录, cancelled 已取消."""

    __test__ = False  # no test, whatever its name

    REQUESTED = "REQUESTED"
    DRIVEN = "DRIVEN"
    RECORDED = "RECORDED"
    CANCELLED = "CANCELLED"


TEST_DRIVE_LIFE = Lifecycle(
    name="test drive",
    initial=TestDriveState.REQUESTED,
    states={
        TestDriveState.REQUESTED: "Booked; the car is taken for its slots (已预约).",
        TestDriveState.DRIVEN: "The customer has driven (已试驾).",
        TestDriveState.RECORDED: "What the customer said is on record (已记录).",
        TestDriveState.CANCELLED: "Called off; the slots are free again (已取消).",
    },
    moves=(
        Move(
            "complete",
            (TestDriveState.REQUESTED,),
            TestDriveState.DRIVEN,
            TEST_DRIVE_WRITE,
            "The drive took place (完成试驾).",
        ),
        Move(
            "record",
            (TestDriveState.DRIVEN,),
            TestDriveState.RECORDED,
            TEST_DRIVE_WRITE,
            "Put the feedback on record (记录反馈).",
        ),
        Move(
            "cancel",
            (TestDriveState.REQUESTED,),
            TestDriveState.CANCELLED,
            TEST_DRIVE_WRITE,
            "Call it off (取消试驾).",
        ),
    ),
)


class TestDrive(Aggregate):
    """A customer's drive in one of the dealer's cars, with the consultant who accompanies it."""

    __test__ = False
    __tablename__ = "auto_dealer_test_drives"
    __table_args__ = (
        Index("ix_auto_dealer_test_drives_starts_at_id", "starts_at", "id"),  # for who sees every line
        Index("ix_auto_dealer_test_drives_owner_id_starts_at_id", "owner_id", "starts_at", "id"),
        Index("ix_auto_dealer_test_drives_line_starts_at_id", "line", "starts_at", "id"),
        Index("ix_auto_dealer_test_drives_line_state_starts_at", "line", "state", "starts_at"),
        Index("ix_auto_dealer_test_drives_line_owner_id_starts_at", "line", "owner_id", "starts_at"),
        Index("ix_auto_dealer_test_drives_line_team_id_starts_at", "line", "team_id", "starts_at"),
        Index("ix_auto_dealer_test_drives_customer_id_starts_at", "customer_id", "starts_at"),
        Index("ix_auto_dealer_test_drives_vehicle_id_starts_at", "vehicle_id", "starts_at"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "route": Personal("content", "Showing where a car was driven"),
        "feedback": Personal("content", "Advising the customer on the car"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    vehicle_id: Mapped[UUID] = mapped_column(ForeignKey("auto_dealer_vehicles.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    model: Mapped[str] = mapped_column(String(120))
    state: Mapped[str] = mapped_column(String(40))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    licence_checked: Mapped[bool] = mapped_column(Boolean, default=False)
    route: Mapped[str] = mapped_column(String(200), default="")
    odometer_km: Mapped[int | None] = mapped_column(Integer)
    feedback: Mapped[str] = mapped_column(String(2000), default="")
    rating: Mapped[int | None] = mapped_column(Integer)


class TestDriveSlot(Base):
    """A quarter of an hour for which a car is taken; the primary key is what makes double booking impossible."""

    __test__ = False
    __tablename__ = "auto_dealer_test_drive_slots"
    personal: ClassVar[dict[str, Personal]] = {}

    vehicle_id: Mapped[UUID] = mapped_column(ForeignKey("auto_dealer_vehicles.id"), primary_key=True)
    slot_start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    test_drive_id: Mapped[UUID] = mapped_column(
        # Named by hand: the name of the convention would be longer than PostgreSQL allows.
        ForeignKey("auto_dealer_test_drives.id", name="fk_auto_dealer_test_drive_slots_test_drive_id"),
        index=True,
    )


TABLES: tuple[type[Any], ...] = (TestDrive, TestDriveSlot)
