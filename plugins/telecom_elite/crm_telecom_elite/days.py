"""Which day it is where a line does its business."""

from __future__ import annotations

from datetime import date, datetime

from crm_core.work import Services, Work


def today(work: Work) -> date:
    """The day of the command, in the time zone of the line acted in."""
    return day_in(work.services, work.acting_line, work.now)


def day_in(services: Services, line: str, moment: datetime) -> date:
    """The day a moment (UTC) lies in, in the time zone of a line."""
    return moment.astimezone(services.calendar(line).zone).date()
