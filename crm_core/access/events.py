"""Events of users, teams, roles and tokens."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class UserChanged(Event):
    """A user was created, changed, disabled or enabled (员工变更)."""

    kind: ClassVar[str] = "user.changed"
    subject_type: ClassVar[str] = "User"
    public: ClassVar[tuple[str, ...]] = ("name", "title", "department", "disabled_at")


class RolesChanged(Event):
    """A role was granted to or taken from a user (角色变更)."""

    kind: ClassVar[str] = "user.roles_changed"
    subject_type: ClassVar[str] = "User"
    public: ClassVar[tuple[str, ...]] = ("name", "title", "department", "disabled_at")
    role: str
    line: str | None = None
    granted: bool


class TokenRevoked(Event):
    """An API token was revoked (令牌撤销)."""

    kind: ClassVar[str] = "token.revoked"
    subject_type: ClassVar[str] = "ApiToken"
    public: ClassVar[tuple[str, ...]] = ("user_id", "name", "expires_at", "revoked_at")


class _OfAbsence(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "Absence"
    public: ClassVar[tuple[str, ...]] = (
        "user_id",
        "deputy_id",
        "line",
        "from_day",
        "to_day",
        "kinds",
        "ended_at",
    )


class AbsenceSet(_OfAbsence):
    """Somebody will be away, and another stands in for him (外出委托)."""

    kind: ClassVar[str] = "absence.set"


class AbsenceEnded(_OfAbsence):
    """An absence was taken back, or ended early (结束外出委托)."""

    kind: ClassVar[str] = "absence.ended"


class UserOffboarded(Event):
    """Somebody left, and what was his was handed over (离职交接); `handed_over`: how many by name of what."""

    kind: ClassVar[str] = "user.offboarded"
    subject_type: ClassVar[str] = "User"
    public: ClassVar[tuple[str, ...]] = ("name", "disabled_at")
    successors: dict[str, str]
    handed_over: dict[str, int]


EVENTS: tuple[type[Event], ...] = (
    UserChanged, RolesChanged, TokenRevoked, AbsenceSet, AbsenceEnded, UserOffboarded,
)  # fmt: skip
