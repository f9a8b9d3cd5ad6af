"""Order cards and their changes as documents: who signs and registers them, and what the last signature does (订单审批)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from crm_auto_dealer.orders.commands import CHANGE_PENDING, changed, registered, rejected
from crm_auto_dealer.orders.handing_in import OFFERED
from crm_auto_dealer.orders.models import ORDER_CHANGE_LIFE, ORDER_LIFE, OrderCard, OrderChange
from crm_auto_dealer.orders.queries import pending_change
from crm_auto_dealer.orders.signers import SIGNERS, may_sign
from crm_auto_dealer.scopes import ORDER_SIGN, ORDER_WRITE
from crm_core.approvals.signatures import Signature, signatures
from crm_core.errors import Message, Refused
from crm_core.moves import moved
from crm_core.registry import Document, PolicyTemplate
from crm_core.work import Work

OWN_ORDER = Message(
    "AUTO_DEALER_OWN_ORDER",
    "This order is its signer's own; another sales manager or team leader signs it.",
    "该订单为签字人本人的订单，须由其他销售经理或组长签字。",
    rule="AD-050",
)
ONE_PERSON = Message(
    "AUTO_DEALER_ONE_PERSON",
    "Who signed this order does not register it; the sales assistant does.",
    "签字人不得登记同一订单，须由销售助理登记。",
    rule="AD-050",
)
UNSIGNED = Message(
    "AUTO_DEALER_UNSIGNED",
    "An order takes effect signed by one person and then registered by another; a signature is missing.",
    "订单须先由一人签字、再由另一人登记后方可生效，目前缺少签字。",
    rule="AD-050",
)
CHANGE_UNSIGNED = Message(
    "AUTO_DEALER_CHANGE_UNSIGNED",
    "Nobody has signed this change; without a person's signature it is void.",
    "该修改尚无人签字，未经签字的修改无效。",
    rule="AD-051",
)
TAKING_BACK_SIGNED = Message(
    "AUTO_DEALER_TAKING_BACK_SIGNED",
    "The order is signed already; only who may sign it takes it back. Whoever registers it may return or refuse it.",
    "该订单已签字，仅有签字权限的人可撤回；登记人可退回或拒绝。",
    rule="AD-051",
)
MESSAGES = (OWN_ORDER, ONE_PERSON, UNSIGNED, CHANGE_UNSIGNED, TAKING_BACK_SIGNED)

_SIGNS: Final[Mapping[str, Any]] = {"name": "销售经理或组长签字", "slots": [{"resolver": SIGNERS}]}
_REGISTERS: Final[Mapping[str, Any]] = {"name": "销售助理登记", "slots": [{"role": "sales_assistant"}]}


def _offered(document: str, title: str, *stages: Mapping[str, Any]) -> PolicyTemplate:
    """In force from the start. Who hands an order in may sign it, if he is asked: it need not be his own (AD-050)."""
    return PolicyTemplate(
        OFFERED[document],
        document,
        "sales_manager",
        title,
        enabled=True,
        stages=stages,
        self_approval="ALLOW",
    )


POLICIES: Final[Sequence[PolicyTemplate]] = (
    _offered("OrderCard", "订单审批", _SIGNS, _REGISTERS),
    _offered("OrderChange", "订单修改审批", _SIGNS),
)


async def order_told(work: Work, order: OrderCard, state: str) -> None:
    """Handed in as a draft no change of which waits; with the last signature, the registration, it takes effect (AD-050)."""
    if state == "PENDING":
        moved(ORDER_LIFE, order.state, "register", rule="AD-050")
        if await work.session.scalar(pending_change(order.id)) is not None:
            raise Refused(CHANGE_PENDING())
    elif state == "APPROVED":
        await _effective(work, order)
    elif state == "WITHDRAWN":
        await _refuse_taking_back(work, order)


async def _effective(work: Work, order: OrderCard) -> None:
    """First a signature, by neither the consultant nor who registers; then the registration (AD-050)."""
    given = await signatures(work, "OrderCard", order.id)
    signed = [one for one in _by_people(given) if one.stage < given[-1].stage]
    if not signed or work.actor.user_id is None:
        raise Refused(UNSIGNED("id"))
    if work.actor.user_id in {one.user for one in signed}:
        raise Refused(ONE_PERSON("id"))
    _refuse_own(work, order, signed)
    order.state = moved(ORDER_LIFE, order.state, "register", rule="AD-050")
    order.signed_by_id, order.signed_at = signed[-1].user, signed[-1].at
    await registered(work, order)


async def _refuse_taking_back(work: Work, order: OrderCard) -> None:
    """A signed order is taken back only by who may sign it (AD-051)."""
    signed = _by_people(await signatures(work, "OrderCard", order.id))
    if signed and await work.find(OrderCard, order.id, scope=ORDER_SIGN) is None:
        raise Refused(TAKING_BACK_SIGNED("id"))


async def change_told(work: Work, change: OrderChange, state: str) -> None:
    """Signed, the order has the new content and is governed by today; refused or taken back, it keeps its own (AD-051)."""
    if state == "APPROVED":
        await _changed(work, change)
    elif state == "PENDING":
        moved(ORDER_CHANGE_LIFE, change.state, "sign", rule="AD-051")
    elif state in ("REJECTED", "WITHDRAWN", "TERMINATED"):
        rejected(work, change)


async def _changed(work: Work, change: OrderChange) -> None:
    order = await work.get(OrderCard, change.order_id, "id", lock=True)
    signed = _by_people(await signatures(work, "OrderChange", change.id))
    if not signed:
        raise Refused(CHANGE_UNSIGNED("id"))
    _refuse_own(work, order, signed)
    await changed(work, change, order)


def _by_people(given: Sequence[Signature]) -> list[Signature]:
    """The signatures without those that a deadline gave."""
    return [one for one in given if one.user is not None]


def _refuse_own(work: Work, order: OrderCard, signed: Sequence[Signature]) -> None:
    """Refuse the consultant of an order as its signer, unless the dealer allows it (AD-050)."""
    if not all(may_sign(work, order, one.user) for one in signed):
        raise Refused(OWN_ORDER("id"))


DOCUMENTS: Final[Sequence[Document]] = (
    Document("OrderCard", ORDER_WRITE, order_told, lambda order: f"订单 {order.model}"),
    Document("OrderChange", ORDER_WRITE, change_told, lambda _change: "订单修改"),
)
