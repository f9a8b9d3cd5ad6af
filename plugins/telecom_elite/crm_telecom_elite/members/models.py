"""The tables of members: the person's way into the elite, his postings, pay packages and training."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Boolean, Date, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import ExactDecimal, Fen
from crm_core.lifecycle import Lifecycle, Move
from crm_telecom_elite.scopes import MEMBER_WRITE


class EliteOrigin(StrEnum):
    """Where a member comes from (MO-030, MO-036, MO-038): decides his pay package."""

    RECRUIT = "RECRUIT"
    """New recruit (新招员工)."""
    TRANSFEREE = "TRANSFEREE"
    """From the operator's establishment (联通在编)."""
    DIRECT_SALES = "DIRECT_SALES"
    """From the former direct-sales force (原直销团队)."""


class EliteChannel(StrEnum):
    """How a candidate was found (MO-018)."""

    DIRECT_SALES = "DIRECT_SALES"
    """Written test, interview, ranking of past sales (直销队伍选拔)."""
    INTERNAL = "INTERNAL"
    """Internal transfer (内部调配)."""
    EXTERNAL = "EXTERNAL"
    """Advertised (外部招聘)."""


class ElitePackage(StrEnum):
    """A pay package (薪酬套餐, MO-030 to MO-036)."""

    PACKAGE_1 = "PACKAGE_1"
    """Post salary and monthly bonus, no commission (套餐一)."""
    PACKAGE_2 = "PACKAGE_2"
    """Post salary and commission (套餐二)."""
    TRANSFER = "TRANSFER"
    """The original salary and bonus of somebody from the establishment, raised (联通在编前6个月)."""


class EliteEnding(StrEnum):
    """Why a membership ended (MO-022)."""

    HR_RULES = "HR_RULES"
    """A termination clause of the company's rules (公司人事制度规定)."""
    PRE_POST = "PRE_POST"
    """The assessment before taking up the post was not passed (岗前考核未通过)."""
    ON_POST = "ON_POST"
    """The assessment on the post was not passed (在岗考核未通过)."""
    RESIGNED = "RESIGNED"
    """He left (离职)."""
    MOVED = "MOVED"
    """He works elsewhere in the company (调离)."""


class EliteMemberState(StrEnum):
    """State of a membership (MO-001, MO-020 to MO-023)."""

    CANDIDATE = "CANDIDATE"
    PROVINCE_APPROVED = "PROVINCE_APPROVED"
    MEDICAL_PASSED = "MEDICAL_PASSED"
    IN_TRAINING = "IN_TRAINING"
    EXAM_PASSED = "EXAM_PASSED"
    COACHING = "COACHING"
    PROBATION = "PROBATION"
    REGULAR = "REGULAR"
    TERMINATED = "TERMINATED"
    REJECTED = "REJECTED"


_S = EliteMemberState
_EMPLOYED = (_S.IN_TRAINING, _S.EXAM_PASSED, _S.COACHING, _S.PROBATION, _S.REGULAR)
_BEFORE = (_S.CANDIDATE, _S.PROVINCE_APPROVED, _S.MEDICAL_PASSED)

MEMBER_LIFE = Lifecycle(
    name="elite member",
    initial=_S.CANDIDATE,
    states={
        _S.CANDIDATE: "Proposed to the provincial company (候选).",
        _S.PROVINCE_APPROVED: "Both provincial departments approved (省公司审批同意, MO-001).",
        _S.MEDICAL_PASSED: "Passed the medical check at a designated hospital (体检合格, MO-020).",
        _S.IN_TRAINING: "Entered; in pre-post training (岗前培训, MO-023).",
        _S.EXAM_PASSED: "Passed the exam of the training (考试通过, MO-023).",
        _S.COACHING: "Works on site with a senior colleague (一对一辅导, MO-023).",
        _S.PROBATION: "At work, within the probation (试用期, MO-021).",
        _S.REGULAR: "Regular member (正式).",
        _S.TERMINATED: "No longer a member (解聘/离开).",
        _S.REJECTED: "Not hired (未录用).",
    },
    moves=(
        Move("approve", (_S.CANDIDATE,), _S.PROVINCE_APPROVED, MEMBER_WRITE, "The second provincial approval is there (MO-001)."),
        Move("pass_medical", (_S.PROVINCE_APPROVED,), _S.MEDICAL_PASSED, MEMBER_WRITE, "The medical check is passed (MO-020)."),
        Move("enter", (_S.MEDICAL_PASSED,), _S.IN_TRAINING, MEMBER_WRITE, "Entry with contract, post and step (入职, MO-021)."),
        Move("pass_exam", (_S.IN_TRAINING,), _S.EXAM_PASSED, MEMBER_WRITE, "The exam is passed (MO-023)."),
        Move("coach", (_S.EXAM_PASSED,), _S.COACHING, MEMBER_WRITE, "A senior colleague takes him along (MO-023)."),
        Move("start", (_S.COACHING,), _S.PROBATION, MEMBER_WRITE, "Coaching is over (MO-023)."),
        Move("confirm", (_S.PROBATION,), _S.REGULAR, MEMBER_WRITE, "Probation is passed (转正)."),
        Move("terminate", _EMPLOYED, _S.TERMINATED, MEMBER_WRITE, "Membership ends by a recorded decision (MO-022)."),
        Move("reject", _BEFORE, _S.REJECTED, MEMBER_WRITE, "Not hired (MO-016)."),
    ),
)  # fmt: skip


class EliteMember(Aggregate):
    """A member of the elite, or who is to become one (精英, MO-001).

    `owner_id` is his account as a user, where he has one; `team_id` the team of the line he sits in now. Whose pay he
    gets is said by `ElitePosting` and `EliteTerm`, day by day.
    """

    __tablename__ = "telecom_elite_members"
    __table_args__ = (
        Index("ix_telecom_elite_members_line_id", "line", "id"),
        Index("ix_telecom_elite_members_line_state_id", "line", "state", "id"),
        Index("ix_telecom_elite_members_elite_team_id", "elite_team_id"),
        Index("ix_telecom_elite_members_owner_id_id", "owner_id", "id"),
        Index("ix_telecom_elite_members_team_id_id", "team_id", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "name": Personal("identity", "Naming a member of the staff", mask="name"),
        "staff_number": Personal("identity", "Telling members of the staff apart"),
        "coach_name": Personal("identity", "Who coached a member"),
        "original_salary": Personal("profile", "Pay of a member from the establishment (MO-036)"),
        "original_bonus": Personal("profile", "Pay of a member from the establishment (MO-036)"),
        "ended_reason": Personal("content", "Why a membership ended"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    post_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_posts.id"))
    name: Mapped[str] = mapped_column(String(120))
    staff_number: Mapped[str] = mapped_column(String(40), default="")
    origin: Mapped[str] = mapped_column(String(20))
    channel: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    hr_approved_on: Mapped[date | None] = mapped_column(Date)
    """Approval of the provincial HR department (省公司人力资源部)."""
    hr_reference: Mapped[str] = mapped_column(String(120), default="")
    group_approved_on: Mapped[date | None] = mapped_column(Date)
    """Approval of the provincial Group Customer department (省公司集团客户部)."""
    group_reference: Mapped[str] = mapped_column(String(120), default="")
    medical_on: Mapped[date | None] = mapped_column(Date)
    hospital: Mapped[str] = mapped_column(String(120), default="")
    entered_on: Mapped[date | None] = mapped_column(Date)
    exam_passed_on: Mapped[date | None] = mapped_column(Date)
    coach_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_members.id"))
    coach_name: Mapped[str] = mapped_column(String(120), default="")
    """The senior colleague's name, where he is no member himself."""
    coaching_from: Mapped[date | None] = mapped_column(Date)
    probation_until: Mapped[date | None] = mapped_column(Date)
    """The last day of the probation (试用期满)."""
    contract_until: Mapped[date | None] = mapped_column(Date)
    """The last day of the contract (合同期满)."""
    beyond_establishment: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether he was proposed although the establishment was full (超编, MO-019)."""
    original_salary: Mapped[int | None] = mapped_column(Fen)
    original_bonus: Mapped[int | None] = mapped_column(Fen)
    ended_on: Mapped[date | None] = mapped_column(Date)
    """The last day of the membership."""
    ended_cause: Mapped[str | None] = mapped_column(String(20))
    ended_reason: Mapped[str] = mapped_column(String(1000), default="")


class ElitePosting(Record):
    """Where a member sits and what he is, from a day on (任职): team, post, rung of the ladder. Pay follows it."""

    __tablename__ = "telecom_elite_postings"
    __table_args__ = (
        Index("ix_telecom_elite_postings_member_id_valid_from", "member_id", "valid_from", unique=True),
        Index("ix_telecom_elite_postings_elite_team_id", "elite_team_id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    elite_team_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_teams.id"))
    post_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_posts.id"))
    step_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_steps.id"))
    valid_from: Mapped[date] = mapped_column(Date)
    valid_to: Mapped[date | None] = mapped_column(Date)
    """The first day it no longer holds."""
    reason: Mapped[str] = mapped_column(String(40))
    rule: Mapped[str] = mapped_column(String(40), default="")


class EliteTerm(Record):
    """Which pay package a member is on, from a day on (薪酬套餐)."""

    __tablename__ = "telecom_elite_terms"
    __table_args__ = (
        Index("ix_telecom_elite_terms_member_id_valid_from", "member_id", "valid_from", unique=True),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    package: Mapped[str] = mapped_column(String(20))
    valid_from: Mapped[date] = mapped_column(Date)
    valid_to: Mapped[date | None] = mapped_column(Date)
    """The first day it no longer holds."""
    rule: Mapped[str] = mapped_column(String(40))


class EliteTraining(Record):
    """A course a member took (培训, MO-023 to MO-026)."""

    __tablename__ = "telecom_elite_trainings"
    __table_args__ = (Index("ix_telecom_elite_trainings_member_id_held_on", "member_id", "held_on"),)
    personal: ClassVar[dict[str, Personal]] = {"score": Personal("profile", "Result of a member's training")}

    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    kind: Mapped[str] = mapped_column(String(20))
    """ENTRY, IMPROVEMENT, PROMOTION (入职、提高、晋升激励)."""
    subject: Mapped[str] = mapped_column(String(20))
    """MOTIVATION, EXPERTISE, TEAM_MANAGEMENT (励志、专业知识技能、团队管理)."""
    level: Mapped[str] = mapped_column(String(20))
    """ELEMENTARY, INTERMEDIATE, ADVANCED (初、中、高级)."""
    held_on: Mapped[date] = mapped_column(Date)
    held_until: Mapped[date] = mapped_column(Date)
    passed: Mapped[bool] = mapped_column(Boolean)
    score: Mapped[Decimal | None] = mapped_column(ExactDecimal)


TABLES = (EliteMember, ElitePosting, EliteTerm, EliteTraining)
