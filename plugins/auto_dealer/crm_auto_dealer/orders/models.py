"""Tables of order cards and of the changes asked for, with the states they pass through."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_auto_dealer.scopes import APPROVAL_SIGN, ORDER_WRITE
from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import Fen, JsonValue, UtcDateTime
from crm_core.lifecycle import Lifecycle, Move


class OrderState(StrEnum):
    """State of an order card: draft 草稿, effective 已生效, cancelled 已取消."""

    DRAFT = "DRAFT"
    EFFECTIVE = "EFFECTIVE"
    CANCELLED = "CANCELLED"


class OrderChangeState(StrEnum):
    """State of a change asked for: pending 待签字, signed 已签字, rejected 已拒绝."""

    PENDING = "PENDING"
    SIGNED = "SIGNED"
    REJECTED = "REJECTED"


_ALIVE = (OrderState.DRAFT, OrderState.EFFECTIVE)

ORDER_LIFE = Lifecycle(
    name="order",
    initial=OrderState.DRAFT,
    states={
        OrderState.DRAFT: "Agreed with the customer; without effect, whether signatures are waited for or not (草稿).",
        OrderState.EFFECTIVE: "Signed and registered by the sales assistant (已生效, AD-050).",
        OrderState.CANCELLED: "Called off (已取消).",
    },
    moves=(
        Move(
            "register",
            (OrderState.DRAFT,),
            OrderState.EFFECTIVE,
            APPROVAL_SIGN,
            "Signed, then registered as the last signature of its approval (登记, AD-050).",
        ),
        Move(
            "cancel",
            _ALIVE,
            OrderState.CANCELLED,
            ORDER_WRITE,
            "Call the order off; in effect, only who may sign (取消, AD-051).",
        ),
    ),
)

ORDER_CHANGE_LIFE = Lifecycle(
    name="order change",
    initial=OrderChangeState.PENDING,
    states={
        OrderChangeState.PENDING: "Asked for; the order keeps its former content (待签字, AD-051).",
        OrderChangeState.SIGNED: "Signed; the order has the new content (已签字).",
        OrderChangeState.REJECTED: "Refused; the order keeps its former content (已拒绝).",
    },
    moves=(
        Move("sign", (OrderChangeState.PENDING,), OrderChangeState.SIGNED, APPROVAL_SIGN, "Agree (签字)."),
        Move(
            "reject", (OrderChangeState.PENDING,), OrderChangeState.REJECTED, APPROVAL_SIGN, "Refuse (拒绝)."
        ),
    ),
)


class OrderCard(Aggregate):
    """An order card (订单) of one line; `governing_on` is its place in every sequence by order date (AD-052)."""

    __tablename__ = "auto_dealer_orders"
    __table_args__ = (
        Index("ix_auto_dealer_orders_governing_on_id", "governing_on", "id"),  # for who sees every line
        Index("ix_auto_dealer_orders_owner_id_governing_on_id", "owner_id", "governing_on", "id"),
        Index("ix_auto_dealer_orders_line_governing_on_id", "line", "governing_on", "id"),
        Index("ix_auto_dealer_orders_line_state_governing_on", "line", "state", "governing_on"),
        Index("ix_auto_dealer_orders_line_owner_id_governing_on", "line", "owner_id", "governing_on"),
        Index("ix_auto_dealer_orders_line_team_id_governing_on", "line", "team_id", "governing_on"),
        Index("ix_auto_dealer_orders_customer_id_governing_on", "customer_id", "governing_on"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "price": Personal("profile", "Performing the sale"),
        "deposit": Personal("profile", "Performing the sale"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    vehicle_id: Mapped[UUID | None] = mapped_column(ForeignKey("auto_dealer_vehicles.id"), index=True)
    model: Mapped[str] = mapped_column(String(120))
    price: Mapped[int] = mapped_column(Fen)
    deposit: Mapped[int] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(String(40))
    ordered_on: Mapped[date] = mapped_column(Date)
    governing_on: Mapped[date] = mapped_column(Date)
    signed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    signed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    registered_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    registered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OrderChange(Aggregate):
    """A change asked for (订单修改): the proposed content as the command gave it, without effect until signed."""

    __tablename__ = "auto_dealer_order_changes"
    __table_args__ = (
        Index("ix_auto_dealer_order_changes_line_state_id", "line", "state", "id"),
        Index("ix_auto_dealer_order_changes_state_id", "state", "id"),
        Index("ix_auto_dealer_order_changes_order_id_id", "order_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {"proposed": Personal("profile", "Performing the sale")}

    line: Mapped[str] = mapped_column(LineCode)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("auto_dealer_orders.id"))
    proposed: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    state: Mapped[str] = mapped_column(String(40))
    requested_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


TABLES: tuple[type[Any], ...] = (OrderCard, OrderChange)
