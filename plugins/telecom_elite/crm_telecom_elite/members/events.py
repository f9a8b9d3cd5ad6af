"""Facts about members; pay, training results and why somebody left stay in the house."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from crm_core.outbox.events import Event


class _OfMember(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteMember"
    public: ClassVar[tuple[str, ...]] = ("state", "elite_team_id", "post_id", "entered_on", "ended_on")


class EliteMemberProposed(_OfMember):
    """A candidate was proposed to the provincial company (上报候选人)."""

    kind: ClassVar[str] = "elite_member.proposed"


class EliteMemberUpdated(_OfMember):
    """A member's data changed (成员信息变更)."""

    kind: ClassVar[str] = "elite_member.updated"


class EliteMemberApproved(_OfMember):
    """A provincial department approved a candidate (省公司审批)."""

    kind: ClassVar[str] = "elite_member.approved"
    department: str


class EliteMemberMoved(_OfMember):
    """A membership moved on along its way: medical check, exam, coaching, start, confirmation, rejection (状态变更)."""

    kind: ClassVar[str] = "elite_member.moved"
    move: str


class EliteMemberEntered(_OfMember):
    """A member entered (入职)."""

    kind: ClassVar[str] = "elite_member.entered"
    grading: str = ""


class EliteMemberPosted(_OfMember):
    """From a day on a member has another team, post or step (任职变更)."""

    kind: ClassVar[str] = "elite_member.posted"
    valid_from: date
    why: str


class EliteMemberTerminated(_OfMember):
    """A membership ended by a recorded decision (解聘/离开)."""

    kind: ClassVar[str] = "elite_member.terminated"


class EliteTrainingRecorded(_OfMember):
    """A course a member took was recorded (培训登记)."""

    kind: ClassVar[str] = "elite_training.recorded"
    course: str
    subject_area: str
    level: str
    held_on: date


EVENTS: tuple[type[Event], ...] = (
    EliteMemberProposed,
    EliteMemberUpdated,
    EliteMemberApproved,
    EliteMemberMoved,
    EliteMemberEntered,
    EliteMemberPosted,
    EliteMemberTerminated,
    EliteTrainingRecorded,
)
