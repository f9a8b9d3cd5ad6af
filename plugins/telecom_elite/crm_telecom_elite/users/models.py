"""The tables of developed users: when a user was activated, which months earn commission, whose user he is."""

from __future__ import annotations

from datetime import date
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Date, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_telecom_elite.months import MONTH


class EliteUser(Aggregate):
    """A user developed by a team (发展用户, MO-040): a number of the operator that a customer of the line uses.

    `first_month` is the billing month of activation, month 1; `last_month` the last that earns commission, fixed when
    the user is entered by the cycle in force on the day of activation (MO-042). `team_id` and `owner_id` say who sees
    him: team and account of who has him now.
    """

    __tablename__ = "telecom_elite_users"
    __table_args__ = (
        UniqueConstraint("line", "number"),
        Index("ix_telecom_elite_users_line_id", "line", "id"),
        Index("ix_telecom_elite_users_line_activated_on_id", "line", "activated_on", "id"),
        Index("ix_telecom_elite_users_owner_id_id", "owner_id", "id"),
        Index("ix_telecom_elite_users_team_id_id", "team_id", "id"),
        Index("ix_telecom_elite_users_member_id_activated_on", "member_id", "activated_on"),
        Index(
            "ix_telecom_elite_users_legacy",
            "line",
            "id",
            postgresql_where=text("legacy"),
            sqlite_where=text("legacy"),
        ),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "number": Personal("contact", "Telling users apart in billing", mask="phone")
    }

    line: Mapped[str] = mapped_column(LineCode)
    number: Mapped[str] = mapped_column(String(40))
    """Number or account by which billing knows the user (用户号码)."""
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"), index=True)
    member_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_members.id"))
    """Who developed him; counts for that member's target of the month (发展人)."""
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    activated_on: Mapped[date] = mapped_column(Date)
    first_month: Mapped[str] = mapped_column(MONTH)
    last_month: Mapped[str] = mapped_column(MONTH)
    group_user: Mapped[bool] = mapped_column(Boolean, default=True)
    """Whether he counts as a group user for the regional target (CDMA集团用户, MO-072)."""
    legacy: Mapped[bool] = mapped_column(Boolean, default=False)
    """Developed before his developer joined the elite (原发展用户, MO-038)."""
    legacy_approved_on: Mapped[date | None] = mapped_column(Date)
    """On the approved list from this day; without it a legacy user earns nothing (MO-038)."""
    ended_on: Mapped[date | None] = mapped_column(Date)


class EliteAssignment(Record):
    """Whose user he is from a day on: team and member (用户归属). What was received goes to who had him that day."""

    __tablename__ = "telecom_elite_assignments"
    __table_args__ = (
        Index("ix_telecom_elite_assignments_user_id_valid_from", "user_id", "valid_from", unique=True),
        Index("ix_telecom_elite_assignments_elite_team_id_valid_from", "elite_team_id", "valid_from"),
        Index("ix_telecom_elite_assignments_member_id_valid_to", "member_id", "valid_to"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    user_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_users.id"))
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    member_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_members.id"))
    valid_from: Mapped[date] = mapped_column(Date)
    valid_to: Mapped[date | None] = mapped_column(Date)
    """The first day it no longer holds."""


TABLES = (EliteUser, EliteAssignment)
