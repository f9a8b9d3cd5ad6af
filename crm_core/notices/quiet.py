"""Quiet hours (免打扰时段): when a message that comes in them is to be sent."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def is_quiet(moment: datetime, begin: time, end: time, zone: ZoneInfo) -> bool:
    """Whether a moment lies in the quiet hours, which may last over midnight; equal times are no hours at all."""
    local = moment.astimezone(zone).time()
    return begin <= local < end if begin <= end else local >= begin or local < end


def after_quiet(moment: datetime, begin: time, end: time, zone: ZoneInfo) -> datetime:
    """The moment itself (UTC), or the end of the quiet hours it lies in.

    Args:
        moment: when the message would be sent, with its zone.
        begin: first quiet local time.
        end: first local time that is not quiet; before `begin` it is that of the next day.
        zone: whose local time is meant.
    """
    if not is_quiet(moment, begin, end, zone):
        return moment.astimezone(UTC)
    local = moment.astimezone(zone)
    day = local.date() + timedelta(days=1 if local.time() >= end else 0)
    over = datetime.combine(day, end, zone).astimezone(UTC)
    return max(over, moment.astimezone(UTC))  # a clock set back shows the end of the hours twice
