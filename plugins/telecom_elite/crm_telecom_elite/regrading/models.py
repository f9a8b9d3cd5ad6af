"""The table of changes of step and post, from the proposal to the day it takes effect."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import JsonValue
from crm_core.lifecycle import Lifecycle, Move
from crm_telecom_elite.scopes import MEMBER_WRITE, PAY_READ, REGRADE


class EliteRegradeKind(StrEnum):
    """What is proposed (MO-011, MO-012, MO-055, MO-056, MO-076, MO-077)."""

    STEP_UP = "STEP_UP"
    """晋级"""
    STEP_DOWN = "STEP_DOWN"
    """降级"""
    POST_CHANGE = "POST_CHANGE"
    """Cross-series change of post (调岗)."""
    TERMINATION = "TERMINATION"
    """Only ever a proposal; a person decides (解除劳动合同建议)."""


class EliteRegradeState(StrEnum):
    """State of a proposed change (调级调岗状态, MO-013)."""

    PROPOSED = "PROPOSED"
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


_S = EliteRegradeState
REGRADE_LIFE = Lifecycle(
    name="regrade",
    initial=_S.PROPOSED,
    states={
        _S.PROPOSED: "Follows from results, or was applied for; not handed in (待申请).",
        _S.SUBMITTED: "The department applied; HR, and the company leader where required, sign (审批中).",
        _S.APPROVED: "Signed: step and post hold from its day on; of a termination only the decision is recorded (已批准).",
        _S.REJECTED: "Refused, or the qualification review was not passed: everything stays (未通过).",
        _S.WITHDRAWN: "Taken back; its results count again (已撤回).",
    },
    moves=(
        Move("schedule", (_S.PROPOSED,), _S.PROPOSED, REGRADE, "Say from when on it is to hold (确定生效日)."),
        Move("review_qualification", (_S.PROPOSED,), _S.PROPOSED, REGRADE, "Qualified for the higher grade (任职资格评审, MO-055)."),
        Move("fail_review", (_S.PROPOSED,), _S.REJECTED, REGRADE, "Not qualified: no promotion (MO-055)."),
        Move("decide", (_S.PROPOSED,), _S.PROPOSED, MEMBER_WRITE, "HR records why a contract is to end (人力资源部决定, MO-077)."),
        Move("keep", (_S.PROPOSED,), _S.REJECTED, MEMBER_WRITE, "HR records why a contract is not to end (不予解除, MO-077)."),
        Move("submit", (_S.PROPOSED, _S.SUBMITTED), _S.SUBMITTED, REGRADE, "The department applies (申请, MO-011)."),
        Move("call_back", (_S.SUBMITTED,), _S.PROPOSED, None, "Its request for signatures was taken back (撤回审批)."),
        Move("approve", (_S.SUBMITTED,), _S.APPROVED, None, "Everybody signed (批准, MO-013)."),
        Move("reject", (_S.SUBMITTED,), _S.REJECTED, None, "Somebody refused (否决)."),
        Move("withdraw", (_S.PROPOSED,), _S.WITHDRAWN, REGRADE, "Take it back, with a reason (撤回)."),
    ),
)  # fmt: skip
OPEN = (_S.PROPOSED, _S.SUBMITTED)
"""States in which it is not decided; a member has one such regrade at most."""
_IS_OPEN = text("state IN ('PROPOSED', 'SUBMITTED')")


class EliteRegrade(Aggregate):
    """A proposed change of a member's step or post, or of his contract (调级调岗申请, MO-013).

    `cause` are the appraisals that led to it, by their shown ids; unless it is withdrawn they count for no second one
    (the counter starts again).
    """

    __tablename__ = "telecom_elite_regrades"
    __table_args__ = (
        Index("ix_telecom_elite_regrades_line_id", "line", "id"),
        Index("ix_telecom_elite_regrades_line_state_id", "line", "state", "id"),
        Index("ix_telecom_elite_regrades_member_id_id", "member_id", "id"),
        Index(
            "ix_telecom_elite_regrades_open", "member_id", unique=True,
            postgresql_where=_IS_OPEN, sqlite_where=_IS_OPEN,
        ),
        Index("ix_telecom_elite_regrades_owner_id_id", "owner_id", "id"),
        Index("ix_telecom_elite_regrades_team_id_id", "team_id", "id"),
    )  # fmt: skip
    personal: ClassVar[dict[str, Personal]] = {
        "reason": Personal("content", "Why a member's step or post is to change"),
        "decision": Personal("content", "What was decided about a member"),
        "from_step_id": Personal("profile", "Pay of a member", unless=PAY_READ),
        "to_step_id": Personal("profile", "Pay of a member", unless=PAY_READ),
    }

    line: Mapped[str] = mapped_column(LineCode)
    member_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_members.id"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    rule: Mapped[str] = mapped_column(String(20), default="")
    from_step_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_steps.id"))
    to_step_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_steps.id"))
    to_post_id: Mapped[UUID | None] = mapped_column(ForeignKey("telecom_elite_posts.id"))
    cause: Mapped[list[str]] = mapped_column(JsonValue)
    derivation: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    reason: Mapped[str] = mapped_column(String(1000), default="")
    qualified: Mapped[bool | None]
    """Result of the qualification review, where a higher grade needs one (任职资格评审, MO-055)."""
    decision: Mapped[str] = mapped_column(String(1000), default="")
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    effective_on: Mapped[date | None] = mapped_column(Date)


TABLES = (EliteRegrade,)
