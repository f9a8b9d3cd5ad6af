"""The GraphQL types of order cards and their changes, their root fields, and the orders of a customer."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_

from crm_auto_dealer.orders.models import OrderCard, OrderChange, OrderChangeState, OrderState
from crm_auto_dealer.orders.queries import visible, visible_changes
from crm_auto_dealer.scopes import ORDER_READ
from crm_core.approvals.queries import READ as APPROVAL_READ
from crm_core.graphql import (
    ObjectType,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.fields import YUAN, Field
from crm_core.interactions.timeline import source


def _approvals(document: str, description: str) -> Field:
    """Requests for signatures of a record, latest first, as far as the caller may see approvals."""

    def about(t: Any, approval: Any, _access: Any) -> ColumnElement[bool]:
        found: ColumnElement[bool] = and_(approval.c.subject_id == t.c.id, approval.c.document == document)
        return found

    return listing(
        "approvals", "Approval", description, on=about, order=lambda a: [a.c.id.desc()], scope=APPROVAL_READ
    )


ORDER_CARD = ObjectType(
    name="OrderCard",
    table=OrderCard.__table__,
    model=OrderCard,
    prefix="ord",
    description="An order card (订单): effective after signature and registration (AD-050); `approvals` tells how far it is.",
    rule=visible,
    scope=ORDER_READ,
    order=lambda t: [t.c.governing_on.desc()],
    fields=(
        *record_fields("ord"),
        field("state", OrderState, "State (状态).", nullable=False, filter=True),
        field("model", str, "Model ordered (车型).", nullable=False),
        field("price", YUAN, "Price agreed, yuan (成交价).", nullable=False),
        field("deposit", YUAN, "Deposit, yuan (定金).", nullable=False),
        field("orderedOn", date, "Day of the order (订单日期).", nullable=False),
        field(
            "governingOn",
            date,
            "The date that governs: the order's, or that of its last signed change (以修改日期为准, AD-052).",
            nullable=False,
            filter=True,
            sort=True,
        ),
        field("signedAt", datetime, "When it was signed (签字时间)."),
        field("registeredAt", datetime, "When it was registered (登记时间)."),
        relation(
            "customer",
            "Customer",
            "Who buys (客户).",
            on=lambda o, c, _a: c.c.id == o.c.customer_id,
            filter=True,
        ),
        relation(
            "vehicle",
            "Vehicle",
            "The very car (车辆).",
            on=lambda o, v, _a: v.c.id == o.c.vehicle_id,
            filter=True,
        ),
        relation(
            "consultant",
            "User",
            "Whose order it is (销售顾问).",
            on=lambda o, u, _a: u.c.id == o.c.owner_id,
            filter=True,
        ),
        relation(
            "team", "Team", "The consultant's team then (团队).", on=lambda o, t, _a: t.c.id == o.c.team_id
        ),
        relation("signedBy", "User", "Who signed (签字人).", on=lambda o, u, _a: u.c.id == o.c.signed_by_id),
        relation(
            "registeredBy",
            "User",
            "Who registered (登记人).",
            on=lambda o, u, _a: u.c.id == o.c.registered_by_id,
        ),
        listing(
            "changes",
            "OrderChange",
            "Changes asked for, latest first (订单修改).",
            on=lambda o, c, _a: c.c.order_id == o.c.id,
            order=lambda c: [c.c.id.desc()],
        ),
        _approvals("OrderCard", "Its requests for signatures, latest first (订单审批)."),
    ),
)

ORDER_CHANGE = ObjectType(
    name="OrderChange",
    table=OrderChange.__table__,
    model=OrderChange,
    prefix="orc",
    description="A change of an order card, without effect until signed (订单修改, AD-051).",
    rule=visible_changes,
    scope=ORDER_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("orc"),
        field("state", OrderChangeState, "State (状态).", nullable=False, filter=True),
        field("proposed", dict, "The content asked for; money in yuan (修改内容).", nullable=False),
        field("decidedAt", datetime, "When it was signed or refused (处理时间)."),
        relation(
            "order", "OrderCard", "The order (订单).", on=lambda c, o, _a: o.c.id == c.c.order_id, filter=True
        ),
        relation(
            "requestedBy",
            "User",
            "Who asked for it (申请人).",
            on=lambda c, u, _a: u.c.id == c.c.requested_by_id,
        ),
        relation(
            "decidedBy",
            "User",
            "Who signed or refused it (签字人).",
            on=lambda c, u, _a: u.c.id == c.c.decided_by_id,
        ),
        _approvals("OrderChange", "Its requests for signatures, latest first (修改审批)."),
    ),
)

TYPES = (ORDER_CARD, ORDER_CHANGE)
QUERIES = (
    query_connection("orders", "OrderCard", "Order cards you may see (订单)."),
    query_one("order", "OrderCard", "An order card by id."),
    query_connection("orderChanges", "OrderChange", "Changes of order cards you may see (订单修改)."),
)
FIELDS = {
    "Customer": (
        connection(
            "orders",
            "OrderCard",
            "The customer's order cards (订单).",
            on=lambda c, o, _a: o.c.customer_id == c.c.id,
            scope=ORDER_READ,
        ),
    )
}
TIMELINE = (
    source(
        "order",
        ORDER_CARD,
        at=lambda t: t.c.created_at,
        title=lambda t: t.c.model,
        status=lambda t: t.c.state,
    ),
)
