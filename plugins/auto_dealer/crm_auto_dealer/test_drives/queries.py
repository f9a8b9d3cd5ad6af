"""Which test drives a caller may see, and the statements that take and free slots."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Delete, Insert, delete, insert

from crm_auto_dealer.test_drives.models import TestDrive, TestDriveSlot
from crm_auto_dealer.test_drives.slots import slots_between
from crm_core.graphql.access import Access


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Drives whose consultant, team or line the scope reaches."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id, team=t.c.team_id)


def taking(drive: TestDrive) -> Insert:
    """Takes every slot of the drive, in order of time, so that two bookings never wait for each other in a circle."""
    return insert(TestDriveSlot).values(
        [
            {"vehicle_id": drive.vehicle_id, "slot_start": slot, "test_drive_id": drive.id}
            for slot in slots_between(drive.starts_at, drive.ends_at)
        ]
    )


def freeing(test_drive_id: UUID) -> Delete:
    """Frees every slot of the drive."""
    return delete(TestDriveSlot).where(TestDriveSlot.test_drive_id == test_drive_id)
