"""The table of vehicles, with the states a vehicle passes through."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_auto_dealer.scopes import VEHICLE_WRITE
from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import Fen, UtcDateTime
from crm_core.lifecycle import Lifecycle, Move


class VehicleUse(StrEnum):
    """What a vehicle is for (用途): test drives 试驾车, sale 商品车, the showroom 展车, or a customer's own 客户车."""

    TEST_DRIVE = "TEST_DRIVE"
    STOCK = "STOCK"
    DISPLAY = "DISPLAY"
    CUSTOMER = "CUSTOMER"


class VehicleState(StrEnum):
    """State of a vehicle: on its way 在途, ready 可用, not ready 不可用, in personal use 代步使用, sold 已售."""

    IN_TRANSIT = "IN_TRANSIT"
    READY = "READY"
    NOT_READY = "NOT_READY"
    PERSONAL_USE = "PERSONAL_USE"
    SOLD = "SOLD"


_HERE = (VehicleState.READY, VehicleState.NOT_READY)

VEHICLE_LIFE = Lifecycle(
    name="vehicle",
    initial=VehicleState.IN_TRANSIT,
    states={
        VehicleState.IN_TRANSIT: "Ordered by the dealer, not yet here (在途).",
        VehicleState.READY: "Clean and fit to be shown and driven (可用).",
        VehicleState.NOT_READY: "Here, but dirty, damaged or in the workshop (不可用).",
        VehicleState.PERSONAL_USE: "Lent as personal transport, with consent (代步使用, AD-041).",
        VehicleState.SOLD: "A customer's (已售).",
    },
    moves=(
        Move(
            "make_ready",
            (VehicleState.IN_TRANSIT, VehicleState.NOT_READY, VehicleState.PERSONAL_USE),
            VehicleState.READY,
            VEHICLE_WRITE,
            "Received, cleaned or mended (整备完毕).",
        ),
        Move(
            "set_aside",
            (VehicleState.IN_TRANSIT, VehicleState.READY, VehicleState.PERSONAL_USE),
            VehicleState.NOT_READY,
            VEHICLE_WRITE,
            "Not fit at present (暂停使用).",
        ),
        Move(
            "lend",
            _HERE,
            VehicleState.PERSONAL_USE,
            VEHICLE_WRITE,
            "Lend with recorded consent (代步, AD-041).",
        ),
        Move("sell", _HERE, VehicleState.SOLD, VEHICLE_WRITE, "Hand over to its buyer (售出)."),
    ),
)


class Vehicle(Aggregate):
    """A vehicle of one line: the dealer's own, or a customer's once it is sold."""

    __tablename__ = "auto_dealer_vehicles"
    __table_args__ = (
        UniqueConstraint("line", "vin"),
        Index("ix_auto_dealer_vehicles_line_id", "line", "id"),
        Index("ix_auto_dealer_vehicles_line_state_id", "line", "state", "id"),
        Index("ix_auto_dealer_vehicles_line_use_id", "line", "use", "id"),
        Index("ix_auto_dealer_vehicles_line_plate", "line", "plate"),
        Index("ix_auto_dealer_vehicles_vin", "vin"),  # for who sees every line
    )
    personal: ClassVar[dict[str, Personal]] = {
        "vin": Personal("profile", "Identifying a customer's vehicle"),
        "plate": Personal("profile", "Recognising a customer's vehicle"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    vin: Mapped[str] = mapped_column(String(17))
    model: Mapped[str] = mapped_column(String(120))
    colour: Mapped[str] = mapped_column(String(60), default="")
    plate: Mapped[str | None] = mapped_column(String(20))
    use: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(40))
    list_price: Mapped[int | None] = mapped_column(Fen)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"), index=True)
    consent_for_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    consent_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    consent_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


TABLES = (Vehicle,)
