"""Commands on order cards: draft, ask for a change, cancel; they take effect by the signatures of `signing`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_auto_dealer.orders.events import (
    OrderCancelled,
    OrderChanged,
    OrderChangeRejected,
    OrderChangeRequested,
    OrderChangeSigned,
    OrderCreated,
    OrderRegistered,
)
from crm_auto_dealer.orders.handing_in import handed_in, refuse_without_policy, signing_ended
from crm_auto_dealer.orders.models import (
    ORDER_CHANGE_LIFE,
    ORDER_LIFE,
    OrderCard,
    OrderChange,
    OrderChangeState,
    OrderState,
)
from crm_auto_dealer.orders.queries import pending_change
from crm_auto_dealer.people import consultant_for, require_customer
from crm_auto_dealer.scopes import ORDER_SIGN, ORDER_WRITE
from crm_auto_dealer.settings import AutoDealerSettings
from crm_auto_dealer.vehicles.commands import VehicleId
from crm_auto_dealer.vehicles.models import Vehicle, VehicleState
from crm_core import errors, ids
from crm_core.access.commands import UserId
from crm_core.commands import Command, Money, Part, Perform, Ref, omitted
from crm_core.customers.dossier import RecordTransaction
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Message, Refused, UserError
from crm_core.money import fen, yuan
from crm_core.moves import moved
from crm_core.work import Work

DATED_AHEAD = Message(
    "AUTO_DEALER_ORDER_DATED_AHEAD", "An order is not dated in the future.", "订单日期不得晚于今天。"
)
DATED_BACK = Message(
    "AUTO_DEALER_ORDER_DATED_BACK",
    "An order is not dated before {earliest}.",
    "订单日期不得早于 {earliest}。",
    rule="AD-050",
)
MODEL_MISSING = Message("AUTO_DEALER_MODEL_MISSING", "Name the vehicle or its model.", "请填写车辆或车型。")
VEHICLE_SOLD = Message(
    "AUTO_DEALER_VEHICLE_SOLD", "{vin} is sold and cannot be ordered.", "{vin} 已售出，不能订购。"
)
DEPOSIT_TOO_HIGH = Message(
    "AUTO_DEALER_DEPOSIT_TOO_HIGH", "The deposit exceeds the price.", "定金不得超过成交价。"
)
NOTHING_CHANGES = Message(
    "AUTO_DEALER_NOTHING_CHANGES",
    "This leaves the order as it is; name at least one thing to change.",
    "内容与现有订单相同，请至少填写一项修改内容。",
    rule="AD-052",
)
NOT_CHANGEABLE = Message(
    "AUTO_DEALER_ORDER_CANCELLED", "The order is cancelled and cannot be changed.", "订单已取消，不能修改。"
)
CHANGE_PENDING = Message(
    "AUTO_DEALER_CHANGE_PENDING",
    "A change of this order already waits for a signature; it is decided first.",
    "该订单已有修改待签字，请先处理。",
    rule="AD-051",
)
CANCELLING_NEEDS_SIGNATURE = Message(
    "AUTO_DEALER_CANCELLING_NEEDS_SIGNATURE",
    "An order in effect is cancelled only by the sales manager or a team leader.",
    "已生效的订单须由销售经理或组长取消。",
    rule="AD-051",
)
MESSAGES = (
    DATED_AHEAD, DATED_BACK, MODEL_MISSING, VEHICLE_SOLD, DEPOSIT_TOO_HIGH, NOTHING_CHANGES, NOT_CHANGEABLE,
    CHANGE_PENDING, CANCELLING_NEEDS_SIGNATURE,
)  # fmt: skip

OrderId = Annotated[UUID, Ref("OrderCard", "ord")]
OrderChangeId = Annotated[UUID, Ref("OrderChange", "orc")]
Model = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class CreateOrder(Command):
    """Draft an order card (填写订单); `approvalSubmit` hands it in. It has no effect before signature and registration (AD-050)."""

    kind = "order.create"
    scope = ORDER_WRITE
    returns = "OrderCard"
    customer_id: CustomerId = Field(description="Who buys (客户).")
    vehicle_id: VehicleId | None = Field(None, description="The very car, if it is chosen (车辆).")
    model: Model | None = Field(None, description="Model ordered; default: the vehicle's (车型).")
    price: Money = Field(ge=0, description="Price agreed, yuan (成交价).")
    deposit: Money = Field(ge=0, description="Deposit, yuan (定金).")
    ordered_on: date | None = Field(
        None,
        description="Day of the order, at most `order_backdating_days` ago; default: today (订单日期).",
    )
    consultant_id: UserId | None = Field(None, description="Whose order it is; default: yours (销售顾问).")


async def create_order(work: Work, command: CreateOrder) -> OrderCard:
    """The draft; its order date governs until a change is signed.

    Refused where no policy of the line would have it signed, so that no order is left without a way to take effect.
    """
    await require_customer(work, command.customer_id, "customerId")
    consultant = await consultant_for(work, command.scope, command.consultant_id)
    vehicle = await _vehicle(work, command.vehicle_id)
    ordered_on = command.ordered_on or work.day()
    model = command.model or (vehicle.model if vehicle else "")
    order = OrderCard(
        line=work.acting_line,
        customer_id=command.customer_id,
        owner_id=consultant.user_id,
        team_id=consultant.team_id,
        vehicle_id=vehicle.id if vehicle else None,
        model=model,
        price=fen(command.price),
        deposit=fen(command.deposit),
        state=ORDER_LIFE.initial,
        ordered_on=ordered_on,
        governing_on=ordered_on,
    )
    errors.raise_if([*_wrong_content(order), *_wrong_day(work, ordered_on)])
    await refuse_without_policy(work, "OrderCard", order)
    work.add(order)
    work.record(OrderCreated.of(order))
    return order


async def registered(work: Work, order: OrderCard) -> None:
    """Note who registers, and the purchase with the customer (AD-050, CS-001)."""
    order.registered_by_id, order.registered_at = work.actor.user_id, work.now
    await work.run(
        RecordTransaction(
            id=order.customer_id,
            done_on=order.governing_on,
            description=order.model,
            amount=yuan(order.price),
        )
    )
    work.record(OrderRegistered.of(order))


class OrderContent(Part):
    """What of an order may be changed by signature; what is left out stays."""

    vehicle_id: VehicleId | None = omitted(description="The very car (车辆).")
    model: Model = omitted(description="Model ordered (车型).")
    price: Money = omitted(ge=0, description="Price agreed, yuan (成交价).")
    deposit: Money = omitted(ge=0, description="Deposit, yuan (定金).")


class ChangeOrder(Command):
    """Ask for a change of an order card (申请修改订单); it is handed in for its signature at once.

    The order keeps its content until the change is signed (AD-051). One order has one change waiting at a time.
    """

    kind = "order.change"
    scope = ORDER_WRITE
    returns = "OrderChange"
    subject = "id"
    subject_type = "OrderCard"
    id: OrderId = Field(description="The order.")
    content: OrderContent = Field(description="What it is to be; what is left out stays (修改内容).")


async def change_order(work: Work, command: ChangeOrder) -> OrderChange:
    """The change, handed in; refuses one that changes nothing, that nobody would sign, and a second while one waits."""
    order: OrderCard = work.subject
    if order.state == OrderState.CANCELLED:
        raise Refused(NOT_CHANGEABLE("id"))
    if await work.session.scalar(pending_change(order.id)) is not None:
        raise Refused(CHANGE_PENDING("id"))
    vehicle = await _vehicle(work, command.content.vehicle_id, "content.vehicleId")
    if not _differences(order, command.content, vehicle):
        raise Refused(NOTHING_CHANGES("content"))
    change = work.add(
        OrderChange(
            line=order.line,
            order_id=order.id,
            proposed=command.content.model_dump(mode="json", exclude_unset=True, by_alias=True),
            state=ORDER_CHANGE_LIFE.initial,
            requested_by_id=work.actor.user_id,
        )
    )
    await refuse_without_policy(work, "OrderChange", change)
    work.record(OrderChangeRequested.of(change))
    await handed_in(work, ids.show("orc", change.id))
    return change


async def changed(work: Work, change: OrderChange, order: OrderCard) -> None:
    """Give the order the content of a signed change, and today as the day it governs by (AD-051, AD-052).

    Refuses a change that no longer changes anything.
    """
    _decide(work, change, "sign")
    content = OrderContent.model_validate(change.proposed)
    differences = _differences(order, content, await _vehicle(work, content.vehicle_id, "id"))
    if not differences:
        raise Refused(NOTHING_CHANGES("id"))
    for column, value in differences.items():
        setattr(order, column, value)
    errors.raise_if(_wrong_content(order))
    order.governing_on = work.day()
    work.record(OrderChangeSigned.of(change))
    work.record(OrderChanged.of(order))


def rejected(work: Work, change: OrderChange) -> None:
    """The order keeps its content."""
    _decide(work, change, "reject")
    work.record(OrderChangeRejected.of(change))


class CancelOrder(Command):
    """Call an order card off (取消订单). One in effect: only who may sign (AD-051); none while it waits for signatures."""

    kind = "order.cancel"
    scope = ORDER_WRITE
    returns = "OrderCard"
    subject = "id"
    id: OrderId = Field(description="The order.")


async def cancel_order(work: Work, command: CancelOrder) -> OrderCard:
    """The cancelled order; what still waits for signatures of it ends, and a change that waited is refused."""
    order: OrderCard = work.subject
    state = moved(ORDER_LIFE, order.state, "cancel")
    if order.state != OrderState.DRAFT and await work.find(OrderCard, order.id, scope=ORDER_SIGN) is None:
        raise Refused(CANCELLING_NEEDS_SIGNATURE("id"))
    await signing_ended(work, "OrderCard", order.id)
    change = await work.session.scalar(pending_change(order.id))
    if change is not None:
        await signing_ended(work, "OrderChange", change.id)
        if change.state == OrderChangeState.PENDING:  # of old, handed in by nobody
            rejected(work, change)
    order.state = state
    work.record(OrderCancelled.of(order))
    return order


async def _vehicle(work: Work, vehicle_id: UUID | None, path: str = "vehicleId") -> Vehicle | None:
    if vehicle_id is None:
        return None
    vehicle = await work.get(Vehicle, vehicle_id, path)
    if vehicle.line != work.acting_line:
        raise Refused(errors.WRONG_LINE(path, line=vehicle.line, given=work.acting_line))
    if vehicle.state == VehicleState.SOLD:
        raise Refused(VEHICLE_SOLD(path, vin=vehicle.vin))
    return vehicle


def _wrong_content(order: OrderCard) -> list[UserError]:
    found = [] if order.model else [MODEL_MISSING("model")]
    return found + ([DEPOSIT_TOO_HIGH("deposit")] if order.deposit > order.price else [])


def _wrong_day(work: Work, ordered_on: date) -> list[UserError]:
    """An order is dated neither ahead nor further back than the dealer allows (AD-050)."""
    today = work.day()
    earliest = today - timedelta(days=_settings(work).order_backdating_days)
    if ordered_on > today:
        return [DATED_AHEAD("orderedOn")]
    return [DATED_BACK("orderedOn", earliest=earliest.isoformat())] if ordered_on < earliest else []


def _settings(work: Work) -> AutoDealerSettings:
    settings: AutoDealerSettings = work.settings_of("auto_dealer")
    return settings


def _differences(
    order: OrderCard, content: OrderContent, vehicle: Vehicle | None
) -> dict[str, UUID | str | int | None]:
    """Columns the content would alter, with their new values (AD-052); money in fen.

    With another vehicle comes its model, unless the content has one.
    """
    wanted: dict[str, UUID | str | int | None] = {}
    if vehicle is not None and vehicle.id != order.vehicle_id:
        wanted["model"] = vehicle.model
    for column in content.model_fields_set:
        value = getattr(content, column)
        wanted[column] = fen(value) if column in {"price", "deposit"} else value
    return {column: value for column, value in wanted.items() if value != getattr(order, column)}


def _decide(work: Work, change: OrderChange, move: str) -> None:
    change.state = moved(ORDER_CHANGE_LIFE, change.state, move, rule="AD-051")
    change.decided_by_id, change.decided_at = work.actor.user_id, work.now


COMMANDS: dict[type[Command], Perform] = {
    CreateOrder: create_order,
    ChangeOrder: change_order,
    CancelOrder: cancel_order,
}
