"""The tables of pay runs: frozen inputs, pools, how teams divide them, lines of pay, statements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import ExactDecimal, Fen, JsonValue, UtcDateTime
from crm_core.lifecycle import Lifecycle, Move
from crm_core.papers import PaperRecord
from crm_telecom_elite.months import MONTH
from crm_telecom_elite.scopes import RUN_APPROVE, RUN_WRITE


class EliteRunState(StrEnum):
    """State of a pay run (月度核算状态)."""

    OPEN = "OPEN"
    COMPUTING = "COMPUTING"
    COMPUTED = "COMPUTED"
    REVIEWED = "REVIEWED"
    CONFIRMED = "CONFIRMED"
    APPROVED = "APPROVED"
    CLOSED = "CLOSED"


_S = EliteRunState
RUN_LIFE = Lifecycle(
    name="pay run",
    initial=_S.OPEN,
    states={
        _S.OPEN: "Receipts, appraisals and weights are still coming in (开放).",
        _S.COMPUTING: "A job computes it (计算中).",
        _S.COMPUTED: "Lines stand, to be looked at (已计算).",
        _S.REVIEWED: "Looked at; members see their lines and confirm them (已复核).",
        _S.CONFIRMED: "Every member confirmed, or the time for it is over (已确认).",
        _S.APPROVED: "Approved for payment (已审批).",
        _S.CLOSED: "Never changes again; corrections go to the next run (已关闭).",
    },
    moves=(
        Move("compute", (_S.OPEN, _S.COMPUTED, _S.REVIEWED), _S.COMPUTING, RUN_WRITE, "Compute it, or again (计算)."),
        Move("finish", (_S.COMPUTING,), _S.COMPUTED, None, "The job is done."),
        Move("reopen", (_S.COMPUTING, _S.COMPUTED, _S.REVIEWED, _S.CONFIRMED), _S.OPEN, RUN_WRITE, "Put it back to mend what went in (退回)."),
        Move("review", (_S.COMPUTED,), _S.REVIEWED, RUN_WRITE, "Its lines are right (复核)."),
        Move("confirm", (_S.REVIEWED,), _S.CONFIRMED, None, "The members confirmed (成员确认)."),
        Move("approve", (_S.CONFIRMED,), _S.APPROVED, RUN_APPROVE, "Approved for payment (审批)."),
        Move("close", (_S.APPROVED,), _S.CLOSED, RUN_WRITE, "Statements are made, it is frozen (关闭)."),
    ),
)  # fmt: skip


class EliteRun(Aggregate):
    """The pay run of one month (月度薪酬核算): `inputs` are all it was computed from, `digest` that of its lines."""

    __tablename__ = "telecom_elite_runs"
    __table_args__ = (
        UniqueConstraint("line", "month"),
        Index("ix_telecom_elite_runs_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "approved_by_name": Personal("identity", "Who approved what is paid, on statements")
    }

    line: Mapped[str] = mapped_column(LineCode)
    month: Mapped[str] = mapped_column(MONTH)
    state: Mapped[str] = mapped_column(String(20))
    computed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    computed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From here on the members have time to confirm."""
    approved_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    approved_by_name: Mapped[str] = mapped_column(String(120), default="")
    """As he was called then: statements made again later say the same."""
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    job_id: Mapped[UUID | None]
    engine: Mapped[str] = mapped_column(String(20), default="")
    """Version of the arithmetic its lines follow."""
    digest: Mapped[str] = mapped_column(String(64), default="")
    """SHA-256 over the digests of its teams' lines."""
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue, default=list)
    """What stands in the way of a review, each with code, team, member, rule and words in both languages."""
    total: Mapped[int] = mapped_column(Fen, default=0)
    """What is payable in all."""
    members: Mapped[int] = mapped_column(Integer, default=0)


class EliteRunInput(Record):
    """What one team's part of a run was computed from, frozen (冻结的核算输入)."""

    __tablename__ = "telecom_elite_run_inputs"
    __table_args__ = (UniqueConstraint("run_id", "elite_team_id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "inputs": Personal("profile", "Pay of members"),
        "problems": Personal("profile", "Pay of members"),
    }

    run_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_runs.id"))
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    inputs: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the inputs in canonical form."""
    lines_digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the team's lines and pool in canonical form."""
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


class ElitePool(Record):
    """A team's commission of a month (团队提成, MO-043): what was received, and how the pool follows from it."""

    __tablename__ = "telecom_elite_pools"
    __table_args__ = (
        UniqueConstraint("run_id", "elite_team_id"),
        Index("ix_telecom_elite_pools_line_id", "line", "id"),
        Index("ix_telecom_elite_pools_elite_team_id_id", "elite_team_id", "id"),
        Index("ix_telecom_elite_pools_team_id_id", "team_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_runs.id"))
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    received: Mapped[int] = mapped_column(Fen)
    """All that was received from the team's users and counted in this run."""
    base: Mapped[int] = mapped_column(Fen)
    """What of it earns commission."""
    pool: Mapped[int] = mapped_column(Fen)
    brought_in: Mapped[int] = mapped_column(Fen, default=0)
    """Commission that the last run left over, because nobody of the team was on commission."""
    left_over: Mapped[int] = mapped_column(Fen, default=0)
    """What this one leaves over to the next: the shares are `pool` + `brought_in` − `left_over`."""
    users: Mapped[int] = mapped_column(Integer)
    derivation: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


class EliteDistributionState(StrEnum):
    """How far a distribution is (分配状态)."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"


class EliteDistribution(Aggregate):
    """How a team divides its commission of a month (二次分配, MO-044): in force once the Centre signed it."""

    __tablename__ = "telecom_elite_distributions"
    __table_args__ = (
        UniqueConstraint("elite_team_id", "month"),
        Index("ix_telecom_elite_distributions_line_id", "line", "id"),
        Index("ix_telecom_elite_distributions_owner_id_id", "owner_id", "id"),
        Index("ix_telecom_elite_distributions_team_id_id", "team_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "remark": Personal("content", "Why members' shares of a team's commission are as they are")
    }

    line: Mapped[str] = mapped_column(LineCode)
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    month: Mapped[str] = mapped_column(MONTH)
    state: Mapped[str] = mapped_column(String(20))
    remark: Mapped[str] = mapped_column(String(1000), default="")


class EliteShare(Record):
    """A member's part in a distribution: contribution in percent, and the factor of his appraisal."""

    __tablename__ = "telecom_elite_shares"
    __table_args__ = (
        UniqueConstraint("distribution_id", "member_id"),
        Index("ix_telecom_elite_shares_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {"weight": Personal("profile", "Dividing a team's commission")}

    line: Mapped[str] = mapped_column(LineCode)
    distribution_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_distributions.id"))
    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    weight: Mapped[Decimal] = mapped_column(ExactDecimal)
    """Contribution in percent; those of a team add up to 100."""
    factor: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """None: the factor that the result of his last appraisal has."""


class EliteBonusFactor(Aggregate):
    """The department's or a person's part in the bonus of package 1 for a month (绩效系数, MO-033), in place of the rate."""

    __tablename__ = "telecom_elite_bonus_factors"
    __table_args__ = (
        UniqueConstraint("elite_team_id", "member_key", "month"),
        Index("ix_telecom_elite_bonus_factors_line_id", "line", "id"),
        Index("ix_telecom_elite_bonus_factors_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "factor": Personal("profile", "Pay of a member"),
        "reason": Personal("content", "Why a member's bonus differs"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    member_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_members.id"), index=True)
    """None: the department's, for the whole team."""
    member_key: Mapped[str] = mapped_column(String(32))
    """The member's id in hex, or `team`: so that each has one factor for a month."""
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    month: Mapped[str] = mapped_column(MONTH)
    factor: Mapped[Decimal] = mapped_column(ExactDecimal)
    reason: Mapped[str] = mapped_column(String(500))


class EliteLineKind(StrEnum):
    """What a line of pay is for (薪酬项目)."""

    SALARY = "SALARY"
    """岗位工资"""
    BONUS = "BONUS"
    """绩效奖金"""
    COMMISSION = "COMMISSION"
    """提成"""
    MANAGER_ALLOWANCE = "MANAGER_ALLOWANCE"
    """职务补贴"""
    CAR_ALLOWANCE = "CAR_ALLOWANCE"
    """车贴"""
    ADJUSTMENT = "ADJUSTMENT"
    """Corrects an earlier month (调整)."""
    CARRIED_OVER = "CARRIED_OVER"
    """What an earlier month could not be paid back from (结转)."""
    WRITTEN_OFF = "WRITTEN_OFF"
    """The rest of a former member that it was decided not to carry on (核销)."""


KIND_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    EliteLineKind.SALARY: ("Post salary", "岗位工资"),
    EliteLineKind.BONUS: ("Performance bonus", "绩效奖金"),
    EliteLineKind.COMMISSION: ("Commission", "提成"),
    EliteLineKind.MANAGER_ALLOWANCE: ("Post allowance", "职务补贴"),
    EliteLineKind.CAR_ALLOWANCE: ("Car allowance", "车贴"),
    EliteLineKind.ADJUSTMENT: ("Adjustment", "调整"),
    EliteLineKind.CARRIED_OVER: ("Carried over", "结转"),
    EliteLineKind.WRITTEN_OFF: ("Written off", "核销"),
}
"""Kinds of lines in both languages."""


class ElitePayLine(Record):
    """One line of one person's pay, with how it came about (薪酬明细): inputs, rule, formula, rounding."""

    __tablename__ = "telecom_elite_pay_lines"
    __table_args__ = (
        UniqueConstraint("run_id", "member_id", "position"),
        Index("ix_telecom_elite_pay_lines_line_id", "line", "id"),
        Index("ix_telecom_elite_pay_lines_member_id_id", "member_id", "id"),
        Index("ix_telecom_elite_pay_lines_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "amount": Personal("profile", "Pay of a member"),
        "derivation": Personal("profile", "Pay of a member"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_runs.id"))
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(20))
    amount: Mapped[int] = mapped_column(Fen)
    rule: Mapped[str] = mapped_column(String(20))
    about: Mapped[str | None] = mapped_column(MONTH)
    """The month an adjustment is about."""
    derivation: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


class EliteStatement(Aggregate):
    """One person's pay of a run (薪酬单): its total, what of it is payable, and whether he confirmed it."""

    __tablename__ = "telecom_elite_statements"
    __table_args__ = (
        UniqueConstraint("run_id", "member_id"),
        Index("ix_telecom_elite_statements_line_id", "line", "id"),
        Index("ix_telecom_elite_statements_member_id_id", "member_id", "id"),
        Index("ix_telecom_elite_statements_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "total": Personal("profile", "Pay of a member"),
        "payable": Personal("profile", "Pay of a member"),
        "carried_over": Personal("profile", "Pay of a member"),
        "objection": Personal("content", "What a member objects to in his pay"),
        "answer": Personal("content", "What a member is told about his objection"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_runs.id"))
    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    total: Mapped[int] = mapped_column(Fen)
    payable: Mapped[int] = mapped_column(Fen)
    """The total, or nothing where it is negative: pay is not taken back without a decision."""
    carried_over: Mapped[int] = mapped_column(Fen)
    """The negative rest that goes to the next run; never above zero."""
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    objection: Mapped[str] = mapped_column(String(1000), default="")
    answer: Mapped[str] = mapped_column(String(1000), default="")
    """An objection without one stands in the way of the confirmation."""


class EliteWriteOff(Aggregate):
    """The decision that the negative rest of a former member is not carried on (负数余额核销, MO-C13); never changed."""

    __tablename__ = "telecom_elite_write_offs"
    __table_args__ = (
        UniqueConstraint("statement_id"),
        Index("ix_telecom_elite_write_offs_line_id", "line", "id"),
        Index("ix_telecom_elite_write_offs_member_id_id", "member_id", "id"),
        Index("ix_telecom_elite_write_offs_owner_id_id", "owner_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "amount": Personal("profile", "Pay of a member"),
        "reason": Personal("content", "Why the rest of a member's pay is written off"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    statement_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_statements.id"))
    """The statement that left the rest; its month's run is closed."""
    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    asked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    amount: Mapped[int] = mapped_column(Fen)
    """What is written off: as much as the rest was below nothing."""
    reason: Mapped[str] = mapped_column(String(1000))


class EliteStatementFile(PaperRecord):
    """A statement as a file, made when the run is closed (薪酬单文件): XLSX or PDF."""

    __tablename__ = "telecom_elite_statement_files"
    __table_args__ = (Index("ix_telecom_elite_statement_files_statement_id", "statement_id"),)
    personal: ClassVar[dict[str, Personal]] = {"title": Personal("profile", "Pay of a member")}

    line: Mapped[str] = mapped_column(LineCode)
    statement_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_statements.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))


TABLES = (
    EliteRun, EliteRunInput, ElitePool, EliteDistribution, EliteShare, EliteBonusFactor, ElitePayLine, EliteStatement,
    EliteWriteOff, EliteStatementFile,
)  # fmt: skip
