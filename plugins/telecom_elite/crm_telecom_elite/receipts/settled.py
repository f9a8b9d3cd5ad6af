"""What fees were counted by is not changed behind their back: no holder, list or rate from a day of a closed month on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from crm_core.commands import Check
from crm_core.errors import Message, UserError
from crm_core.work import Work
from crm_telecom_elite.months import first_day
from crm_telecom_elite.rates.commands import SetEliteRate
from crm_telecom_elite.receipts.closing import first_open
from crm_telecom_elite.users.assigning import AssignEliteUser, AssignEliteUsers, HandOverEliteUsers
from crm_telecom_elite.users.commands import ApproveLegacyUsers

MONTH_SETTLED = Message(
    "TELECOM_ELITE_MONTH_SETTLED",
    "Fees received before {day} are counted in closed pay runs; give {day} or a later day.",
    "{day} 之前的实收话费已计入已锁定的薪酬核算，请填写 {day} 或之后的日期。",
    rule="MO-043",
)
MESSAGES = (MONTH_SETTLED,)
COUNTED_BY = ("commission_rate", "commission_coefficient", "commission_by_receipt")
"""Figures that decide what fees come to."""


async def refuse_holder(
    work: Work, command: AssignEliteUser | AssignEliteUsers | HandOverEliteUsers
) -> list[UserError]:
    """A user changes hands from the first open month on: a correction goes to who had what it corrects (MO-044)."""
    return await _settled(work, command.valid_from, "validFrom")


async def refuse_listing(work: Work, command: ApproveLegacyUsers) -> list[UserError]:
    """Legacy users are listed from the first open month on (MO-038)."""
    return await _settled(work, command.approved_on, "approvedOn")


async def refuse_rate(work: Work, command: SetEliteRate) -> list[UserError]:
    """Commission figures are set from the first open month on; figures of pay by the day may be set back (补发)."""
    return await _settled(work, command.valid_from, "validFrom") if command.name in COUNTED_BY else []


async def _settled(work: Work, day: date, path: str) -> list[UserError]:
    month = await first_open(work)
    if month is None or day >= first_day(month):
        return []
    return [MONTH_SETTLED(path, day=first_day(month).isoformat())]


CHECKS: Mapping[str, Sequence[Check]] = {
    AssignEliteUser.kind: (refuse_holder,),
    AssignEliteUsers.kind: (refuse_holder,),
    HandOverEliteUsers.kind: (refuse_holder,),
    ApproveLegacyUsers.kind: (refuse_listing,),
    SetEliteRate.kind: (refuse_rate,),
}
