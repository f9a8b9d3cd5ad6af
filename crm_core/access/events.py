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
    role: str
    line: str | None = None
    granted: bool


class TokenRevoked(Event):
    """An API token was revoked (令牌撤销)."""

    kind: ClassVar[str] = "token.revoked"
    subject_type: ClassVar[str] = "ApiToken"


EVENTS: tuple[type[Event], ...] = (UserChanged, RolesChanged, TokenRevoked)
