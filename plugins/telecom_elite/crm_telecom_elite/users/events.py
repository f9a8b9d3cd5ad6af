"""Facts about developed users."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from crm_core.outbox.events import Event


class _OfUser(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteUser"
    public: ClassVar[tuple[str, ...]] = (
        "activated_on",
        "first_month",
        "last_month",
        "group_user",
        "legacy",
        "legacy_approved_on",
        "ended_on",
    )


class EliteUserCreated(_OfUser):
    """A developed user was entered (发展用户建档)."""

    kind: ClassVar[str] = "elite_user.created"


class EliteUserUpdated(_OfUser):
    """A developed user's data were corrected (发展用户更正)."""

    kind: ClassVar[str] = "elite_user.updated"


class EliteUserAssigned(_OfUser):
    """Another team or member has the user from a day on (用户归属变更); `team` and `member` by their ids as shown."""

    kind: ClassVar[str] = "elite_user.assigned"
    team: str
    member: str | None
    valid_from: date


class EliteUserLegacyApproved(_OfUser):
    """A user developed before the elite was put on the approved list (原发展用户列入提成基数, MO-038)."""

    kind: ClassVar[str] = "elite_user.legacy_approved"


class EliteUserEnded(_OfUser):
    """A user left the operator (用户离网)."""

    kind: ClassVar[str] = "elite_user.ended"


EVENTS: tuple[type[Event], ...] = (
    EliteUserCreated,
    EliteUserUpdated,
    EliteUserAssigned,
    EliteUserLegacyApproved,
    EliteUserEnded,
)
