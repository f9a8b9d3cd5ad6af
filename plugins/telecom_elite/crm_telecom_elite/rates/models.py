"""The table of dated figures: what a rule says, from which day on, for which kind of team."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import Date, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import ExactDecimal


class EliteTeamKind(StrEnum):
    """The two kinds of team (MO-002): of the headquarters' marketing centre 本部, of a regional centre 区域."""

    HQ = "HQ"
    REGIONAL = "REGIONAL"


class EliteRate(Aggregate):
    """One figure of one kind of team from a day on, until the next day a row of that figure begins."""

    __tablename__ = "telecom_elite_rates"
    __table_args__ = (
        UniqueConstraint("line", "name", "team_kind", "valid_from"),
        Index("ix_telecom_elite_rates_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(60))
    team_kind: Mapped[str] = mapped_column(String(20))
    valid_from: Mapped[date] = mapped_column(Date)
    value: Mapped[Decimal] = mapped_column(ExactDecimal)
    note: Mapped[str] = mapped_column(String(500), default="")


TABLES = (EliteRate,)
