"""The slots (试驾时段) a drive takes: quarters of an hour, so that two drives of one car meet in a common slot or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crm_auto_dealer.settings import SLOT, AutoDealerSettings
from crm_core.errors import Message, UserError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NOT_ON_THE_GRID = Message(
    "AUTO_DEALER_NOT_ON_THE_GRID",
    "Test drives begin and end on multiples of {minutes} minutes.",
    "试驾的开始和结束时间须为 {minutes} 分钟的整数倍。",
)
ENDS_TOO_EARLY = Message(
    "AUTO_DEALER_ENDS_TOO_EARLY", "A test drive ends after it begins.", "试驾结束时间须晚于开始时间。"
)
TOO_LONG = Message(
    "AUTO_DEALER_DRIVE_TOO_LONG",
    "A test drive lasts at most {minutes} minutes.",
    "一次试驾最长 {minutes} 分钟。",
)
MESSAGES = (NOT_ON_THE_GRID, ENDS_TOO_EARLY, TOO_LONG)


def wrong_times(starts_at: datetime, ends_at: datetime, settings: AutoDealerSettings) -> list[UserError]:
    """Everything wrong with the times asked for, as refusals on `startsAt` and `endsAt`."""
    step = timedelta(minutes=settings.slot_minutes)
    found = [
        NOT_ON_THE_GRID(field, minutes=settings.slot_minutes)
        for field, moment in (("startsAt", starts_at), ("endsAt", ends_at))
        if (moment - _EPOCH) % step
    ]
    if ends_at <= starts_at:
        found.append(ENDS_TOO_EARLY("endsAt"))
    if ends_at - starts_at > timedelta(minutes=settings.longest_drive_minutes):
        found.append(TOO_LONG("endsAt", minutes=settings.longest_drive_minutes))
    return found


def slots_between(starts_at: datetime, ends_at: datetime) -> list[datetime]:
    """Beginnings (UTC) of the quarters of an hour from start to end, in order; both lie on the grid."""
    count = (ends_at - starts_at) // SLOT
    return [starts_at.astimezone(UTC) + place * SLOT for place in range(count)]
