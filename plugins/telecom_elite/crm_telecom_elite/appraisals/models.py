"""The tables of appraisal: results of teams and members, how they may be distributed, the quarter's tasks."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import ExactDecimal, JsonValue, UtcDateTime
from crm_core.lifecycle import Lifecycle, Move
from crm_telecom_elite.scopes import APPRAISAL_WRITE


class EliteResult(StrEnum):
    """A result of an appraisal (考核结果): A is the best, C the worst. Not to be mixed up with steps A to C."""

    A = "A"
    B = "B"
    C = "C"


class ElitePeriod(StrEnum):
    """What a team of the headquarters is in (MO-063, MO-064): market cultivation 市场培育期, harvest 市场收获期."""

    CULTIVATION = "CULTIVATION"
    HARVEST = "HARVEST"


class EliteTaskSide(StrEnum):
    """The two sides of a team's KPI (MO-062)."""

    MARKETING = "MARKETING"
    """营"""
    SELLING = "SELLING"
    """销"""


class EliteAppraisalState(StrEnum):
    """State of an appraisal (考核状态)."""

    DRAFT = "DRAFT"
    CONFIRMED = "CONFIRMED"


APPRAISAL_LIFE = Lifecycle(
    name="appraisal",
    initial=EliteAppraisalState.DRAFT,
    states={
        EliteAppraisalState.DRAFT: "Rated, and may be rated again (草稿).",
        EliteAppraisalState.CONFIRMED: "Stands; it counts for pay and regrading, and is changed by a correction alone (已确认).",
    },
    moves=(
        Move("rate", (EliteAppraisalState.DRAFT,), EliteAppraisalState.DRAFT, APPRAISAL_WRITE, "Rate it again (重新评分)."),
        Move("confirm", (EliteAppraisalState.DRAFT,), EliteAppraisalState.CONFIRMED, APPRAISAL_WRITE, "The department confirms it (确认, MO-006)."),
        Move("correct", (EliteAppraisalState.CONFIRMED,), EliteAppraisalState.CONFIRMED, APPRAISAL_WRITE, "Correct what was wrong, with a reason (更正)."),
    ),
)  # fmt: skip


class EliteAppraisal(Aggregate):
    """The appraisal of a team or a member over a quarter (MO-060) or a month (MO-070).

    `inputs` are the figures given (M, S, D; users developed, attitude), `derivation` how score and result follow from
    them. A result that was set within the team's distribution without figures has no score (MO-061).
    """

    __tablename__ = "telecom_elite_appraisals"
    __table_args__ = (
        UniqueConstraint("elite_team_id", "member_key", "period"),
        Index("ix_telecom_elite_appraisals_line_id", "line", "id"),
        Index("ix_telecom_elite_appraisals_line_period_id", "line", "period", "id"),
        Index("ix_telecom_elite_appraisals_member_id_period", "member_id", "period"),
        Index("ix_telecom_elite_appraisals_owner_id_id", "owner_id", "id"),
        Index("ix_telecom_elite_appraisals_team_id_id", "team_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "score": Personal("profile", "Appraising a member"),
        "result": Personal("profile", "Appraising a member"),
        "inputs": Personal("profile", "Appraising a member"),
        "remark": Personal("content", "Appraising a member"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    member_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_members.id"))
    """None: the appraisal of the team as a whole."""
    member_key: Mapped[str] = mapped_column(String(32))
    """The member's id in hex, or `team`: so that each has one result for a period."""
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    period: Mapped[str] = mapped_column(String(7))
    """`2025-Q4` or `2025-11`."""
    state: Mapped[str] = mapped_column(String(20))
    inputs: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    derivation: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    score: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    result: Mapped[str] = mapped_column(String(1))
    remark: Mapped[str] = mapped_column(String(1000), default="")
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EliteTask(Aggregate):
    """A point of a quarter's tasks, with who is responsible; nobody yet is a warning (任务分解, MO-062)."""

    __tablename__ = "telecom_elite_tasks"
    __table_args__ = (
        Index("ix_telecom_elite_tasks_line_id", "line", "id"),
        Index("ix_telecom_elite_tasks_elite_team_id_quarter", "elite_team_id", "quarter"),
        Index("ix_telecom_elite_tasks_member_id_quarter", "member_id", "quarter"),
        Index("ix_telecom_elite_tasks_owner_id_id", "owner_id", "id"),
        Index("ix_telecom_elite_tasks_team_id_id", "team_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {"score": Personal("profile", "Appraising a member")}

    line: Mapped[str] = mapped_column(LineCode)
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    member_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_members.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    quarter: Mapped[str] = mapped_column(String(7))
    project: Mapped[str] = mapped_column(String(200), default="")
    side: Mapped[str] = mapped_column(String(20))
    point: Mapped[str] = mapped_column(String(200))
    position: Mapped[int] = mapped_column(Integer, default=0)
    target: Mapped[Decimal] = mapped_column(ExactDecimal)
    actual: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    score: Mapped[Decimal | None] = mapped_column(ExactDecimal)


class EliteResultQuota(Aggregate):
    """How the results of members may be distributed after the result of their team, from a day on (考核结果分布, MO-061).

    There is none until a line enters one: then nothing is forced.
    """

    __tablename__ = "telecom_elite_result_quotas"
    __table_args__ = (
        UniqueConstraint("line", "team_result", "valid_from"),
        Index("ix_telecom_elite_result_quotas_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    team_result: Mapped[str] = mapped_column(String(1))
    valid_from: Mapped[date] = mapped_column(Date)
    most_a: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """Percent of the members who may have an A, at most; None: any."""
    least_c: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """Percent of the members who must have a C, at least; None: none must."""


TABLES = (EliteAppraisal, EliteTask, EliteResultQuota)
