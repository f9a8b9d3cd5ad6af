"""Facts about test drives."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfTestDrive(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "TestDrive"
    public: ClassVar[tuple[str, ...]] = (
        "customer_id",
        "vehicle_id",
        "state",
        "starts_at",
        "ends_at",
        "rating",
    )


class TestDriveRequested(_OfTestDrive):
    """A test drive was booked (预约试驾)."""

    kind: ClassVar[str] = "test_drive.requested"


class TestDriveCompleted(_OfTestDrive):
    """A test drive took place (完成试驾)."""

    kind: ClassVar[str] = "test_drive.completed"


class TestDriveRecorded(_OfTestDrive):
    """The feedback of a test drive was put on record (记录试驾反馈)."""

    kind: ClassVar[str] = "test_drive.recorded"


class TestDriveCancelled(_OfTestDrive):
    """A test drive was called off (取消试驾)."""

    kind: ClassVar[str] = "test_drive.cancelled"


EVENTS: tuple[type[Event], ...] = (
    TestDriveRequested,
    TestDriveCompleted,
    TestDriveRecorded,
    TestDriveCancelled,
)
