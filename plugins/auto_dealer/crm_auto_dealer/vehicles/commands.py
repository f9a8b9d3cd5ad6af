"""Commands on vehicles: enter, change, move to another state, consent to personal use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from annotated_types import Timezone
from pydantic import AfterValidator, Field, StringConstraints

from crm_auto_dealer.people import require_customer
from crm_auto_dealer.scopes import PERSONAL_USE, VEHICLE_WRITE
from crm_auto_dealer.vehicles import vin as vins
from crm_auto_dealer.vehicles.events import (
    PersonalUseConsented,
    VehicleCreated,
    VehicleStateChanged,
    VehicleUpdated,
)
from crm_auto_dealer.vehicles.models import VEHICLE_LIFE, Vehicle, VehicleState, VehicleUse
from crm_auto_dealer.vehicles.queries import with_vin
from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.commands import Command, Money, Perform, Ref, invalid, omitted
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Message, Refused
from crm_core.money import fen
from crm_core.moves import moved
from crm_core.work import Work

VIN_WRONG = Message(
    "AUTO_DEALER_VIN_WRONG",
    "{vin} is no VIN: 17 letters and digits without I, O, Q, the ninth being the right check digit.",
    "{vin} 不是有效的车辆识别代号：应为 17 位字母数字（不含 I、O、Q），且第 9 位校验码正确。",
)
VIN_TAKEN = Message(
    "AUTO_DEALER_VIN_TAKEN",
    "There is already a vehicle {vin} in line {line}.",
    "业务线 {line} 已有车辆 {vin}。",
)
OWNER_MISMATCH = Message(
    "AUTO_DEALER_OWNER_MISMATCH",
    "A customer's vehicle, and only that, has a customerId.",
    "客户车辆必须填写 customerId，其他车辆不得填写。",
)
CONSENT_NEEDED = Message(
    "AUTO_DEALER_CONSENT_NEEDED",
    "A dealer's car is not personal transport: first the department manager consents, until a moment to come.",
    "试驾车和商品车不作代步车用：须先经部门经理同意，且同意期限未过。",
    rule="AD-041",
)
CONSENT_PAST = Message(
    "AUTO_DEALER_CONSENT_PAST",
    "The consent would end in the past.",
    "同意期限不得早于当前时间。",
    rule="AD-041",
)
MESSAGES = (VIN_WRONG, VIN_TAKEN, OWNER_MISMATCH, CONSENT_NEEDED, CONSENT_PAST)


def _vin(text: str) -> str:
    vin = vins.compact(text)
    if not vins.is_valid(vin):
        raise invalid(VIN_WRONG, vin=text[:40])
    return vin


VehicleId = Annotated[UUID, Ref("Vehicle", "veh")]
Vin = Annotated[str, AfterValidator(_vin)]
Model = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Plate = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1, max_length=20)]
Moment = Annotated[datetime, Timezone(...)]


class CreateVehicle(Command):
    """Enter a vehicle (车辆建档). The dealer's own begin in transit, a customer's as sold."""

    kind = "vehicle.create"
    scope = VEHICLE_WRITE
    returns = "Vehicle"
    vin: Vin = Field(description="VIN with its check digit (车辆识别代号).")
    model: Model = Field(description="Model as it is sold (车型).")
    colour: str = Field("", max_length=60, description="Colour (颜色).")
    plate: Plate | None = Field(None, description="Number plate (车牌号).")
    use: VehicleUse = Field(VehicleUse.STOCK, description="What it is for (用途).")
    list_price: Money | None = Field(None, ge=0, description="List price, yuan (指导价).")
    customer_id: CustomerId | None = Field(
        None, description="Whose it is; for a customer's vehicle only (车主)."
    )


async def create_vehicle(work: Work, command: CreateVehicle) -> Vehicle:
    """The new vehicle; refuses a VIN the line already has, and an owner where there can be none."""
    await _refuse_taken(work, work.acting_line, command.vin)
    owned = command.use is VehicleUse.CUSTOMER
    if owned is (command.customer_id is None):
        raise Refused(OWNER_MISMATCH("customerId"))
    if command.customer_id is not None:
        await require_customer(work, command.customer_id, "customerId")
    vehicle = work.add(
        Vehicle(
            line=work.acting_line,
            vin=command.vin,
            model=command.model,
            colour=command.colour,
            plate=command.plate,
            use=command.use,
            state=VehicleState.SOLD if owned else VEHICLE_LIFE.initial,
            list_price=None if command.list_price is None else fen(command.list_price),
            customer_id=command.customer_id,
        )
    )
    work.record(VehicleCreated.of(vehicle))
    return vehicle


class UpdateVehicle(Command):
    """Change a vehicle's data; what is left out stays (修改车辆)."""

    kind = "vehicle.update"
    scope = VEHICLE_WRITE
    returns = "Vehicle"
    subject = "id"
    id: VehicleId = Field(description="The vehicle.")
    vin: Vin = omitted(description="Corrected VIN (车辆识别代号).")
    model: Model = omitted(description="Model (车型).")
    colour: str = omitted(max_length=60, description="Colour (颜色).")
    plate: Plate | None = omitted(description="Number plate (车牌号).")
    use: VehicleUse = omitted(description="What it is for; a customer's vehicle stays one (用途).")
    list_price: Money | None = omitted(ge=0, description="List price, yuan (指导价).")


async def update_vehicle(work: Work, command: UpdateVehicle) -> Vehicle:
    """The changed vehicle; refuses a VIN another vehicle of the line has."""
    vehicle: Vehicle = work.subject
    given = command.given()
    if "vin" in given and command.vin != vehicle.vin:
        await _refuse_taken(work, vehicle.line, command.vin)
    if "use" in given and (command.use is VehicleUse.CUSTOMER) is (vehicle.customer_id is None):
        raise Refused(OWNER_MISMATCH("use"))
    for column in given.keys() & {"vin", "model", "colour", "plate", "use"}:
        setattr(vehicle, column, given[column])
    if "list_price" in given:
        vehicle.list_price = None if command.list_price is None else fen(command.list_price)
    work.record(VehicleUpdated.of(vehicle))
    return vehicle


class ConsentPersonalUse(Command):
    """Consent, as department manager, that a dealer's car serves someone as transport until a moment (同意代步使用)."""

    kind = "vehicle.consent_personal_use"
    scope = PERSONAL_USE
    returns = "Vehicle"
    subject = "id"
    id: VehicleId = Field(description="The vehicle.")
    user_id: UserId = Field(description="Who may use it (使用人).")
    until: Moment = Field(description="Until when the consent holds (同意期限).")


async def consent_personal_use(work: Work, command: ConsentPersonalUse) -> Vehicle:
    """The vehicle with the consent on record (AD-041); it takes effect with the move to PERSONAL_USE."""
    vehicle: Vehicle = work.subject
    moved(VEHICLE_LIFE, vehicle.state, "lend", rule="AD-041")
    if command.until <= work.now:
        raise Refused(CONSENT_PAST("until"))
    await work.get(User, command.user_id, "userId")
    _consent(vehicle, command.user_id, work.actor.user_id, command.until)
    work.record(PersonalUseConsented.of(vehicle))
    return vehicle


class SetVehicleState(Command):
    """Move a vehicle to another state (变更车辆状态). Personal use needs consent on record (AD-041)."""

    kind = "vehicle.set_state"
    scope = VEHICLE_WRITE
    returns = "Vehicle"
    subject = "id"
    id: VehicleId = Field(description="The vehicle.")
    state: VehicleState = Field(description="The state it is to have (状态).")
    customer_id: CustomerId | None = Field(None, description="The buyer, when it is sold (车主).")


async def set_vehicle_state(work: Work, command: SetVehicleState) -> Vehicle:
    """The vehicle in its new state; a consent is used up when the car comes back."""
    vehicle: Vehicle = work.subject
    state = moved(VEHICLE_LIFE, vehicle.state, _move_to(command.state))
    if (state == VehicleState.SOLD) is (command.customer_id is None):
        raise Refused(OWNER_MISMATCH("customerId"))
    if state == VehicleState.PERSONAL_USE:
        _refuse_without_consent(work, vehicle)
    else:
        _consent(vehicle, None, None, None)
    if command.customer_id is not None:
        await require_customer(work, command.customer_id, "customerId")
        vehicle.customer_id, vehicle.use = command.customer_id, VehicleUse.CUSTOMER
    vehicle.state = state
    work.record(VehicleStateChanged.of(vehicle))
    return vehicle


def _move_to(state: VehicleState) -> str:
    return next((move.name for move in VEHICLE_LIFE.moves if move.target == state), state.value)


def _refuse_without_consent(work: Work, vehicle: Vehicle) -> None:
    if vehicle.consent_until is None or vehicle.consent_until <= work.now:
        raise Refused(CONSENT_NEEDED("state"))


def _consent(vehicle: Vehicle, user: UUID | None, by: UUID | None, until: datetime | None) -> None:
    vehicle.consent_for_id, vehicle.consent_by_id, vehicle.consent_until = user, by, until


async def _refuse_taken(work: Work, line: str, vin: str) -> None:
    if await work.session.scalar(with_vin(line, vin)) is not None:
        raise Refused(VIN_TAKEN("vin", vin=vin, line=line))


COMMANDS: dict[type[Command], Perform] = {
    CreateVehicle: create_vehicle,
    UpdateVehicle: update_vehicle,
    ConsentPersonalUse: consent_personal_use,
    SetVehicleState: set_vehicle_state,
}
