"""Order cards and their changes as documents of the sign-off engine, with the policies it is offered (订单审批)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from crm_auto_dealer.moves import moved
from crm_auto_dealer.orders.commands import ONE_PERSON, UNSIGNED, changed, refuse_own, registered, rejected
from crm_auto_dealer.orders.events import OrderSigned
from crm_auto_dealer.orders.models import ORDER_CHANGE_LIFE, ORDER_LIFE, OrderCard, OrderChange
from crm_auto_dealer.scopes import ORDER_WRITE
from crm_core.approvals.signatures import signatures
from crm_core.errors import Refused
from crm_core.registry import Document, PolicyTemplate
from crm_core.work import Work

_SIGNS: Final[Mapping[str, Any]] = {
    "name": "销售经理或组长签字",
    "rule": "ANY",
    "slots": [{"role": "sales_manager"}, {"role": "team_leader", "within": "TEAM"}],
    "empty": "SKIP",
}
_REGISTERS: Final[Mapping[str, Any]] = {"name": "销售助理登记", "slots": [{"role": "sales_assistant"}]}
POLICIES: Final[Sequence[PolicyTemplate]] = (
    PolicyTemplate("order card", "OrderCard", "sales_manager", "订单审批", stages=(_SIGNS, _REGISTERS)),
    PolicyTemplate("order change", "OrderChange", "sales_manager", "订单修改审批", stages=(_SIGNS,)),
)


async def order_told(work: Work, order: OrderCard, state: str) -> None:
    """Handed in as a draft; with the last signature, the registration, it takes effect (AD-050)."""
    if state == "PENDING":
        moved(ORDER_LIFE, order.state, "sign", rule="AD-050")
    elif state == "APPROVED":
        await _effective(work, order)


async def _effective(work: Work, order: OrderCard) -> None:
    """First a signature, by neither the consultant nor who registers; then the registration (AD-050)."""
    given = await signatures(work, "OrderCard", order.id)
    signed = [one for one in given if one.stage < given[-1].stage]
    if not signed:
        raise Refused(UNSIGNED("id"))
    if signed[-1].user == work.actor.user_id:
        raise Refused(ONE_PERSON("id"))
    for one in signed:
        refuse_own(work, order, one.user)
    order.state = moved(ORDER_LIFE, order.state, "sign", rule="AD-050")
    order.signed_by_id, order.signed_at = signed[-1].user, signed[-1].at
    work.record(OrderSigned.of(order))
    order.state = moved(ORDER_LIFE, order.state, "register", rule="AD-050")
    await registered(work, order)


async def change_told(work: Work, change: OrderChange, state: str) -> None:
    """Signed, the order has the new content and is governed by today; refused or taken back, it keeps its own (AD-051)."""
    if state == "APPROVED":
        await changed(work, change, await work.get(OrderCard, change.order_id, "id", lock=True))
    elif state == "PENDING":
        moved(ORDER_CHANGE_LIFE, change.state, "sign", rule="AD-051")
    elif state in ("REJECTED", "WITHDRAWN", "TERMINATED"):
        rejected(work, change)


DOCUMENTS: Final[Sequence[Document]] = (
    Document("OrderCard", ORDER_WRITE, order_told, lambda order: f"订单 {order.model}"),
    Document("OrderChange", ORDER_WRITE, change_told, lambda _change: "订单修改"),
)
