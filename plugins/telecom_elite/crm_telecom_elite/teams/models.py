"""The tables of teams: what a team is, when it has cars, which customers are assigned to it, its establishment."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import ExactDecimal


class EliteTeam(Aggregate):
    """A team of the elite (精英团队, MO-002): one of the line's teams, with its kind and region."""

    __tablename__ = "telecom_elite_teams"
    __table_args__ = (
        UniqueConstraint("team_id"),
        Index("ix_telecom_elite_teams_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(20))
    region: Mapped[str] = mapped_column(String(120), default="")
    closed_on: Mapped[date | None] = mapped_column(Date)


class EliteTeamCars(Record):
    """Whether a team's cars are guaranteed, from a day on (用车保证, MO-051)."""

    __tablename__ = "telecom_elite_team_cars"
    __table_args__ = (UniqueConstraint("elite_team_id", "valid_from"),)
    personal: ClassVar[dict[str, Personal]] = {}

    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    valid_from: Mapped[date] = mapped_column(Date)
    guaranteed: Mapped[bool] = mapped_column(Boolean)


class EliteCustomerAssignment(Record):
    """A group customer that the Centre assigned to a team (客户指定, MO-004 to MO-006)."""

    __tablename__ = "telecom_elite_customer_assignments"
    __table_args__ = (
        UniqueConstraint("line", "customer_id", "valid_from"),
        Index("ix_telecom_elite_customer_assignments_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"), index=True)
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"), index=True)
    valid_from: Mapped[date] = mapped_column(Date)
    valid_to: Mapped[date | None] = mapped_column(Date)
    """The first day it no longer holds."""
    assigned_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


class EliteEstablishment(Aggregate):
    """A year's task of one kind of team, and how many people it is worth (编制, MO-014, MO-015, MO-019).

    `target` is the year's revenue in yuan for teams of the headquarters, users developed a month for those of a
    region. `headcount` is what follows from it, fixed when it was set.
    """

    __tablename__ = "telecom_elite_establishments"
    __table_args__ = (
        UniqueConstraint("line", "team_kind", "region", "year"),
        Index("ix_telecom_elite_establishments_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    team_kind: Mapped[str] = mapped_column(String(20))
    region: Mapped[str] = mapped_column(String(120))
    """As of its teams; empty for the headquarters."""
    year: Mapped[int] = mapped_column(Integer)
    target: Mapped[Decimal] = mapped_column(ExactDecimal)
    headcount: Mapped[int] = mapped_column(Integer)


TABLES = (EliteTeam, EliteTeamCars, EliteCustomerAssignment, EliteEstablishment)
