"""Facts about order cards and their changes."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfOrder(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "OrderCard"
    public: ClassVar[tuple[str, ...]] = (
        "customer_id", "vehicle_id", "model", "price", "deposit", "state", "ordered_on", "governing_on",
    )  # fmt: skip


class OrderCreated(_OfOrder):
    """An order card was drafted (填写订单)."""

    kind: ClassVar[str] = "order.created"


class OrderRegistered(_OfOrder):
    """An order card was registered after its signature, and took effect (订单生效, AD-050)."""

    kind: ClassVar[str] = "order.registered"


class OrderChanged(_OfOrder):
    """A signed change took effect; the change date governs (订单修改生效, AD-051, AD-052)."""

    kind: ClassVar[str] = "order.changed"


class OrderCancelled(_OfOrder):
    """An order card was called off (订单取消)."""

    kind: ClassVar[str] = "order.cancelled"


class _OfOrderChange(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "OrderChange"
    public: ClassVar[tuple[str, ...]] = ("order_id", "state")


class OrderChangeRequested(_OfOrderChange):
    """A change of an order card was asked for (申请修改订单)."""

    kind: ClassVar[str] = "order.change_requested"


class OrderChangeSigned(_OfOrderChange):
    """A change of an order card was signed (修改签字)."""

    kind: ClassVar[str] = "order.change_signed"


class OrderChangeRejected(_OfOrderChange):
    """A change of an order card was refused (拒绝修改)."""

    kind: ClassVar[str] = "order.change_rejected"


EVENTS: tuple[type[Event], ...] = (
    OrderCreated,
    OrderRegistered,
    OrderChanged,
    OrderCancelled,
    OrderChangeRequested,
    OrderChangeSigned,
    OrderChangeRejected,
)
