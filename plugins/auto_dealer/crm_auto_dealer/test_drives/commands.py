"""Commands on test drives: request, complete, record, cancel."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from annotated_types import Timezone
from pydantic import Field, StringConstraints
from sqlalchemy.exc import IntegrityError

from crm_auto_dealer.people import consultant_for, require_customer
from crm_auto_dealer.scopes import TEST_DRIVE_WRITE
from crm_auto_dealer.settings import AutoDealerSettings
from crm_auto_dealer.test_drives import slots
from crm_auto_dealer.test_drives.events import (
    TestDriveCancelled,
    TestDriveCompleted,
    TestDriveRecorded,
    TestDriveRequested,
)
from crm_auto_dealer.test_drives.models import TEST_DRIVE_LIFE, TestDrive
from crm_auto_dealer.test_drives.queries import freeing, taking
from crm_auto_dealer.vehicles.commands import VehicleId
from crm_auto_dealer.vehicles.models import Vehicle, VehicleState, VehicleUse
from crm_core import errors
from crm_core.access.commands import UserId
from crm_core.commands import Command, Perform, Ref
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Message, Refused, UserError
from crm_core.moves import moved
from crm_core.work import Work

NO_TEST_CAR = Message("AUTO_DEALER_NO_TEST_CAR", "{vin} is not a test-drive car.", "{vin} 不是试驾车。")
NOT_READY = Message(
    "AUTO_DEALER_VEHICLE_NOT_READY",
    "{vin} is not ready for a test drive: its state is {state}.",
    "{vin} 当前状态为 {state}，不能试驾。",
)
IN_PERSONAL_USE = Message(
    "AUTO_DEALER_VEHICLE_IN_PERSONAL_USE",
    "{vin} is in personal use and cannot be driven by a customer.",
    "{vin} 正在代步使用，不能试驾。",
    rule="AD-041",
)
BOOKED = Message(
    "AUTO_DEALER_VEHICLE_BOOKED",
    "{vin} is taken for another test drive during these times.",
    "{vin} 在该时段已被预约试驾。",
)
MESSAGES = (*slots.MESSAGES, NO_TEST_CAR, NOT_READY, IN_PERSONAL_USE, BOOKED)

TestDriveId = Annotated[UUID, Ref("TestDrive", "tdr")]
Moment = Annotated[datetime, Timezone(...)]
Feedback = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class RequestTestDrive(Command):
    """Book a test drive (预约试驾). Refused when the car is not ready, in personal use, or taken."""

    kind = "test_drive.request"
    scope = TEST_DRIVE_WRITE
    returns = "TestDrive"
    customer_id: CustomerId = Field(description="Who drives (客户).")
    vehicle_id: VehicleId = Field(description="A test-drive car of the line (试驾车).")
    starts_at: Moment = Field(description="Begin, on the grid of slots (开始时间).")
    ends_at: Moment = Field(description="End, on the grid of slots (结束时间).")
    consultant_id: UserId | None = Field(None, description="Who accompanies; default: you (销售顾问).")


async def request_test_drive(work: Work, command: RequestTestDrive) -> TestDrive:
    """The booked drive with its slots taken; of two bookings at once exactly one succeeds."""
    settings: AutoDealerSettings = work.settings_of("auto_dealer")
    await require_customer(work, command.customer_id, "customerId")
    consultant = await consultant_for(work, command.scope, command.consultant_id)
    vehicle = await _car(work, command.vehicle_id)
    errors.raise_if([*slots.wrong_times(command.starts_at, command.ends_at, settings), *_unfit(vehicle)])
    drive = work.add(
        TestDrive(
            line=work.acting_line,
            customer_id=command.customer_id,
            vehicle_id=vehicle.id,
            owner_id=consultant.user_id,
            team_id=consultant.team_id,
            model=vehicle.model,
            state=TEST_DRIVE_LIFE.initial,
            starts_at=command.starts_at,
            ends_at=command.ends_at,
        )
    )
    work.record(TestDriveRequested.of(drive))
    await work.flush()
    await _take(work, drive, vehicle)
    return drive


class CompleteTestDrive(Command):
    """Note that a test drive took place (完成试驾). The car must still be ready."""

    kind = "test_drive.complete"
    scope = TEST_DRIVE_WRITE
    returns = "TestDrive"
    subject = "id"
    id: TestDriveId = Field(description="The test drive.")
    licence_checked: bool = Field(
        description="Whether the driving licence was seen; its number is not kept (已核验驾驶证)."
    )
    route: str = Field("", max_length=200, description="Where it went (试驾路线).")
    odometer_km: int | None = Field(None, ge=0, le=9_999_999, description="Odometer afterwards, km (里程).")


async def complete_test_drive(work: Work, command: CompleteTestDrive) -> TestDrive:
    """The driven drive; refuses a car that is no longer ready or in personal use."""
    drive: TestDrive = work.subject
    state = moved(TEST_DRIVE_LIFE, drive.state, "complete")
    errors.raise_if(_unfit(await _car(work, drive.vehicle_id)))
    drive.state = state
    drive.licence_checked = command.licence_checked
    drive.route = command.route
    drive.odometer_km = command.odometer_km
    work.record(TestDriveCompleted.of(drive))
    return drive


class RecordTestDrive(Command):
    """Put the customer's feedback on a drive on record (记录试驾反馈)."""

    kind = "test_drive.record"
    scope = TEST_DRIVE_WRITE
    returns = "TestDrive"
    subject = "id"
    id: TestDriveId = Field(description="The test drive.")
    feedback: Feedback = Field(description="What the customer said (客户反馈).")
    rating: int | None = Field(None, ge=1, le=5, description="1 (poor) to 5 (delighted) (评分).")


async def record_test_drive(work: Work, command: RecordTestDrive) -> TestDrive:
    """The recorded drive; refuses one that was not driven."""
    drive: TestDrive = work.subject
    drive.state = moved(TEST_DRIVE_LIFE, drive.state, "record")
    drive.feedback = command.feedback
    drive.rating = command.rating
    work.record(TestDriveRecorded.of(drive))
    return drive


class CancelTestDrive(Command):
    """Call a test drive off; its slots are free again (取消试驾)."""

    kind = "test_drive.cancel"
    scope = TEST_DRIVE_WRITE
    returns = "TestDrive"
    subject = "id"
    id: TestDriveId = Field(description="The test drive.")


async def cancel_test_drive(work: Work, command: CancelTestDrive) -> TestDrive:  # the subject says all
    """The cancelled drive; refuses one that was driven."""
    drive: TestDrive = work.subject
    drive.state = moved(TEST_DRIVE_LIFE, drive.state, "cancel")
    await work.session.execute(freeing(drive.id))
    work.record(TestDriveCancelled.of(drive))
    return drive


async def _car(work: Work, vehicle_id: UUID) -> Vehicle:
    """The car of the line, locked, so that its state holds until the drive is written."""
    vehicle = await work.get(Vehicle, vehicle_id, "vehicleId", lock=True)
    if vehicle.line != work.acting_line:
        raise Refused(errors.WRONG_LINE("vehicleId", line=vehicle.line, given=work.acting_line))
    return vehicle


def _unfit(vehicle: Vehicle) -> list[UserError]:
    found = []
    if vehicle.use != VehicleUse.TEST_DRIVE:
        found.append(NO_TEST_CAR("vehicleId", vin=vehicle.vin))
    if vehicle.state == VehicleState.PERSONAL_USE:
        found.append(IN_PERSONAL_USE("vehicleId", vin=vehicle.vin))
    elif vehicle.state != VehicleState.READY:
        found.append(NOT_READY("vehicleId", vin=vehicle.vin, state=vehicle.state))
    return found


async def _take(work: Work, drive: TestDrive, vehicle: Vehicle) -> None:
    """The row per car and slot is the guard: it holds whatever was read before, in every process."""
    try:
        await work.session.execute(taking(drive))
    except IntegrityError:
        raise Refused(BOOKED("startsAt", vin=vehicle.vin)) from None


COMMANDS: dict[type[Command], Perform] = {
    RequestTestDrive: request_test_drive,
    CompleteTestDrive: complete_test_drive,
    RecordTestDrive: record_test_drive,
    CancelTestDrive: cancel_test_drive,
}
