"""Facts about vehicles."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfVehicle(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "Vehicle"
    public: ClassVar[tuple[str, ...]] = ("vin", "model", "colour", "use", "state", "list_price")


class VehicleCreated(_OfVehicle):
    """A vehicle was entered (车辆建档)."""

    kind: ClassVar[str] = "vehicle.created"


class VehicleUpdated(_OfVehicle):
    """A vehicle's data changed (车辆信息变更)."""

    kind: ClassVar[str] = "vehicle.updated"


class PersonalUseConsented(_OfVehicle):
    """The department manager consented to personal use (同意代步使用, AD-041)."""

    kind: ClassVar[str] = "vehicle.personal_use_consented"


class VehicleStateChanged(_OfVehicle):
    """A vehicle moved to another state (车辆状态变更)."""

    kind: ClassVar[str] = "vehicle.state_changed"


EVENTS: tuple[type[Event], ...] = (VehicleCreated, VehicleUpdated, PersonalUseConsented, VehicleStateChanged)
