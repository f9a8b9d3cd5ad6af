"""Tables of users, teams, business lines, roles and API tokens."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, Base, LineCode, Personal
from crm_core.db.types import JsonValue, UtcDateTime


class BusinessLine(Aggregate):
    """A business line (业务线) as declared in `crm.toml`, synchronised by `crm db upgrade`."""

    __tablename__ = "business_lines"
    personal: ClassVar[dict[str, Personal]] = {}

    code: Mapped[str] = mapped_column(LineCode, unique=True)
    name: Mapped[str] = mapped_column(String(200))
    plugins: Mapped[list[str]] = mapped_column(JsonValue)
    steward_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class User(Aggregate):
    """A person of the company who acts in the system (员工)."""

    __tablename__ = "users"
    personal: ClassVar[dict[str, Personal]] = {
        "name": Personal("identity", "Attributing work to the employee"),
        "login": Personal("identity", "Signing in"),
        "email": Personal("contact", "Notices to the employee", mask="all"),
    }

    login: Mapped[str] = mapped_column(String(120), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(120), default="")
    department: Mapped[str] = mapped_column(String(120), default="")
    email: Mapped[str | None] = mapped_column(String(200))
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Team(Aggregate):
    """A team or department of one line (团队); teams form a tree."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("line", "name"),)
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(120))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"), index=True)


class TeamMember(Base):
    """Membership of a user in a team; `leads` marks the team leader (组长)."""

    __tablename__ = "team_members"
    personal: ClassVar[dict[str, Personal]] = {}

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    leads: Mapped[bool] = mapped_column(Boolean, default=False)


class Role(Aggregate):
    """A role (角色): a set of scopes, each with its reach. Seeded by rooms and plugins, then the deployer's own.

    `offered` remembers which scopes were seeded, so that one taken away stays away.
    """

    __tablename__ = "roles"
    personal: ClassVar[dict[str, Personal]] = {}

    name: Mapped[str] = mapped_column(String(60), unique=True)
    title: Mapped[str] = mapped_column(String(120))
    offered: Mapped[list[str]] = mapped_column(JsonValue, default=list)


class RoleScope(Base):
    """One scope of a role and how far it reaches (1 own, 2 team, 3 subtree, 4 line, 5 all)."""

    __tablename__ = "role_scopes"
    personal: ClassVar[dict[str, Personal]] = {}

    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"), primary_key=True)
    scope: Mapped[str] = mapped_column(String(80), primary_key=True)
    reach: Mapped[int] = mapped_column(Integer)


class RoleGrant(Aggregate):
    """A role given to a user in one line, or in all lines (`line` null)."""

    __tablename__ = "role_grants"
    __table_args__ = (Index("ix_role_grants_line_user_id", "line", "user_id"),)
    personal: ClassVar[dict[str, Personal]] = {}

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    role_id: Mapped[UUID] = mapped_column(ForeignKey("roles.id"))
    line: Mapped[str | None] = mapped_column(LineCode)


class ApiToken(Aggregate):
    """An API token (访问令牌) of a user; only its SHA-256 is kept. `scopes`/`lines` null: all the user has."""

    __tablename__ = "api_tokens"
    personal: ClassVar[dict[str, Personal]] = {}

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str] | None] = mapped_column(JsonValue)
    lines: Mapped[list[str] | None] = mapped_column(JsonValue)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PluginFailure(Base):
    """A plugin whose migration failed; it stays quarantined until `crm db upgrade` succeeds for it."""

    __tablename__ = "plugin_failures"
    personal: ClassVar[dict[str, Personal]] = {}

    plugin: Mapped[str] = mapped_column(String(60), primary_key=True)
    reason: Mapped[str] = mapped_column(String(500))
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UsageReview(Aggregate):
    """A periodic review of the system's usage log (使用记录审核): which days, by whom, what was found (CS-023)."""

    __tablename__ = "usage_reviews"
    __table_args__ = (
        Index("ix_usage_reviews_period_to", "period_to"),
        Index("ix_usage_reviews_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {"findings": Personal("content", "Result of the review")}

    line: Mapped[str] = mapped_column(LineCode)
    period_from: Mapped[date] = mapped_column(Date)
    period_to: Mapped[date] = mapped_column(Date)
    entries: Mapped[int] = mapped_column(Integer)
    findings: Mapped[str] = mapped_column(String(4000))
    reviewer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class Absence(Aggregate):
    """A user is away for some days, and a deputy stands in for him (外出委托); `kinds` null: for all commands.

    Days are those of the line's calendar; both count. One taken back keeps its days and has `ended_at` (UTC).
    """

    __tablename__ = "absences"
    __table_args__ = (
        Index("ix_absences_user_id_to_day", "user_id", "to_day"),
        Index("ix_absences_deputy_id_to_day", "deputy_id", "to_day"),
        Index("ix_absences_to_day_id", "to_day", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "note": Personal("content", "Why somebody is away, and what his deputy must know")
    }

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    deputy_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    line: Mapped[str | None] = mapped_column(LineCode)
    from_day: Mapped[date] = mapped_column(Date)
    to_day: Mapped[date] = mapped_column(Date)
    kinds: Mapped[list[str] | None] = mapped_column(JsonValue)
    note: Mapped[str] = mapped_column(String(1000), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


TABLES: tuple[type[Any], ...] = (
    BusinessLine, User, Team, TeamMember, Role, RoleScope, RoleGrant, ApiToken, PluginFailure, UsageReview, Absence,
)  # fmt: skip
