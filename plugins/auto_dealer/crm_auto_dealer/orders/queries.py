"""Which order cards and changes a caller may see (AD-053), and the change an order waits for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from crm_auto_dealer.orders.models import OrderCard, OrderChange, OrderChangeState
from crm_core.graphql.access import Access


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """A consultant's own orders; those of others only as far as his reach was widened (AD-053)."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id, team=t.c.team_id)


def visible_changes(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """The changes of visible orders."""
    order = OrderCard.__table__.alias("order_of_change")
    return select(1).where(order.c.id == t.c.order_id, visible(order, access, scope)).correlate(t).exists()


def pending_change(order_id: UUID) -> Select[OrderChange]:
    """The change of this order that waits for a signature."""
    return select(OrderChange).where(
        OrderChange.order_id == order_id, OrderChange.state == OrderChangeState.PENDING
    )
