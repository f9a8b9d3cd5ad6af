"""Tables of sign-off policies, held commands and the signatures they ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime


class ApprovalPolicy(Aggregate):
    """One edition of a sign-off policy (审批规则); never changed, a later edition of the same name replaces it."""

    __tablename__ = "approval_policies"
    __table_args__ = (
        UniqueConstraint("line", "name", "edition"),
        Index("ix_approval_policies_line_command_kind", "line", "command_kind"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(200), default="")
    command_kind: Mapped[str] = mapped_column(String(80))
    edition: Mapped[int] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean)
    priority: Mapped[int] = mapped_column(Integer, default=100)
    self_approval: Mapped[bool] = mapped_column(Boolean, default=False)
    stages: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    condition: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)


class Approval(Aggregate):
    """A command that waits for signatures (审批单), with what it would change and what came of it.

    `body` is the stored form of the command (given fields only) with its most sensitive fields masked; these stand
    encrypted in `sealed`. `base` holds the values found in the fields it writes, to notice a conflict later.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_line_state_id", "line", "state", "id"),
        Index("ix_approvals_line_kind_id", "line", "kind", "id"),
        Index("ix_approvals_requester_id_id", "requester_id", "id"),
        Index("ix_approvals_subject_id_id", "subject_id", "id"),
        Index("ix_approvals_subject_ref_id", "subject_ref", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "body": Personal("content", "The change as it was asked for"),
        "diff": Personal("content", "What the change would do, for those who sign"),
        "base": Personal("content", "Values before, to notice a conflict"),
        "conflicts": Personal("content", "Values that stood in the way"),
        "sealed": Personal("sensitive", "Most sensitive fields of the change, until it is decided"),
        "comment": Personal("content", "What was said when it was decided"),
        "chain": Personal("content", "Who signed what and when, with comments"),
    }

    line: Mapped[str] = mapped_column(LineCode)
    kind: Mapped[str] = mapped_column(String(80))
    command_version: Mapped[int] = mapped_column(Integer)
    body: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    sealed: Mapped[str | None] = mapped_column(Text)
    requester_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    options: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("approval_policies.id"))
    policy_edition: Mapped[int] = mapped_column(Integer)
    self_approval: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(String(40))
    chain: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    diff: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    base: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    subject_type: Mapped[str] = mapped_column(String(80))
    subject_id: Mapped[UUID | None] = mapped_column(Uuid)
    subject_ref: Mapped[str | None] = mapped_column(String(40))
    result_refs: Mapped[list[str]] = mapped_column(JsonValue)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    conflicts: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    comment: Mapped[str] = mapped_column(String(2000), default="")
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApprovalTask(Record):
    """One signature asked for (审批任务): of a named user, or of anybody holding a role in the line."""

    __tablename__ = "approval_tasks"
    __table_args__ = (
        Index("ix_approval_tasks_user_id_state", "user_id", "state"),
        Index("ix_approval_tasks_role_line_state", "role", "line", "state"),
    )
    personal: ClassVar[dict[str, Personal]] = {"comment": Personal("content", "What the signer said")}

    approval_id: Mapped[UUID] = mapped_column(ForeignKey("approvals.id"), index=True)
    line: Mapped[str] = mapped_column(LineCode)
    position: Mapped[int] = mapped_column(Integer)
    stage: Mapped[int] = mapped_column(Integer)
    stage_name: Mapped[str] = mapped_column(String(120), default="")
    slot: Mapped[int] = mapped_column(Integer)
    role: Mapped[str | None] = mapped_column(String(60))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(String(40))
    signer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    answer: Mapped[str | None] = mapped_column(String(40))
    comment: Mapped[str] = mapped_column(String(2000), default="")
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)


TABLES: tuple[type[Any], ...] = (ApprovalPolicy, Approval, ApprovalTask)
