"""Tables of sign-off policies, of what waits for signatures, and of the signatures asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, Base, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime


class ApprovalPolicy(Aggregate):
    """One edition of a sign-off policy (审批规则); never changed, a later edition of the same name replaces it.

    It holds commands, or has records of the type `document` signed. `stages` are `ApprovalStage`s, `condition` is an
    `ApprovalCondition`, both in their stored form.
    """

    __tablename__ = "approval_policies"
    __table_args__ = (UniqueConstraint("line", "name", "edition"),)
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(200), default="")
    commands: Mapped[list[str]] = mapped_column(JsonValue)
    document: Mapped[str | None] = mapped_column(String(80))
    edition: Mapped[int] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean)
    priority: Mapped[int] = mapped_column(Integer, default=100)
    self_approval: Mapped[str] = mapped_column(String(40))
    same_signer: Mapped[str] = mapped_column(String(40))
    withdraw_days: Mapped[int | None] = mapped_column(Integer)
    lock: Mapped[bool] = mapped_column(Boolean, default=True)
    forbid: Mapped[bool] = mapped_column(Boolean, default=False)
    valid_days: Mapped[int | None] = mapped_column(Integer)
    valid_for: Mapped[list[str]] = mapped_column(JsonValue, default=list)
    stages: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    condition: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    valid_to: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApprovalTarget(Base):
    """What an edition of a policy is about: a kind of command, or a type of record; by this it is found."""

    __tablename__ = "approval_targets"
    __table_args__ = (Index("ix_approval_targets_target_line", "target", "line"),)
    personal: ClassVar[dict[str, Personal]] = {}

    policy_id: Mapped[UUID] = mapped_column(ForeignKey("approval_policies.id"), primary_key=True)
    target: Mapped[str] = mapped_column(String(80), primary_key=True)
    line: Mapped[str] = mapped_column(LineCode)


class Approval(Aggregate):
    """A command, or a record, that waits for signatures (审批单), with what it would change and what came of it.

    `document` is the type of the record that is signed; `locked` while nothing else may change it. A change of many
    records is performed by the job `job_id`, which has dealt with `rows_done` of `rows_total`; `refused` are those it
    had to leave out.
    `body` is the stored form of the command (given fields only) with its most sensitive fields masked; these stand
    encrypted in `sealed`. `base` holds the values found in the fields it writes, to notice a conflict later.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_line_state_id", "line", "state", "id"),
        Index("ix_approvals_line_kind_id", "line", "kind", "id"),
        Index("ix_approvals_requester_id_id", "requester_id", "id"),
        Index("ix_approvals_subject_id_id", "subject_id", "id"),
        Index(
            "ix_approvals_locked", "subject_id", sqlite_where=text("locked"), postgresql_where=text("locked")
        ),
        Index("ix_approvals_subject_ref_id", "subject_ref", "id"),
        Index("ix_approvals_standing", "requester_id", "kind", "valid_until"),
        Index(
            "ix_approvals_performing",
            "job_id",
            sqlite_where=text("state = 'PERFORMING'"),
            postgresql_where=text("state = 'PERFORMING'"),
        ),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "body": Personal("content", "The change as it was asked for"),
        "diff": Personal("content", "What the change would do, for those who sign"),
        "base": Personal("content", "Values before, to notice a conflict"),
        "conflicts": Personal("content", "Values that stood in the way"),
        "sealed": Personal("sensitive", "Most sensitive fields of the change, until it is decided"),
        "comment": Personal("content", "What was said when it was decided"),
        "chain": Personal("content", "Who signed what and when, with comments"),
        "refused": Personal("content", "Why records of a large change were left out"),
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
    title: Mapped[str] = mapped_column(String(200))
    document: Mapped[str | None] = mapped_column(String(80))
    locked: Mapped[bool] = mapped_column(Boolean, default=False)
    self_approval: Mapped[bool] = mapped_column(Boolean)
    round: Mapped[int] = mapped_column(Integer, default=0)
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
    withdrawable_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    valid_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    urged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    job_id: Mapped[UUID | None] = mapped_column(Uuid)
    rows_total: Mapped[int | None] = mapped_column(Integer)
    rows_done: Mapped[int | None] = mapped_column(Integer)
    refused: Mapped[list[dict[str, Any]] | None] = mapped_column(JsonValue)


class ApprovalTask(Record):
    """One thing asked of a named user, or of anybody holding a role in the line (审批任务); mostly a signature.

    `parent_id` is the task to which `added_by_id` added this signer. `due_at` and `remind_at` stand while it is open.
    """

    __tablename__ = "approval_tasks"
    __table_args__ = (
        Index("ix_approval_tasks_user_id_state_approval_id", "user_id", "state", "approval_id"),
        Index(
            "ix_approval_tasks_of_role",
            "role",
            "line",
            "state",
            "approval_id",
            sqlite_where=text("user_id IS NULL"),
            postgresql_where=text("user_id IS NULL"),
        ),
        Index("ix_approval_tasks_instead_of_id_state_approval_id", "instead_of_id", "state", "approval_id"),
        Index("ix_approval_tasks_signer_id_approval_id", "signer_id", "approval_id"),
        Index("ix_approval_tasks_state_due_at", "state", "due_at"),
        Index("ix_approval_tasks_state_remind_at", "state", "remind_at"),
    )
    personal: ClassVar[dict[str, Personal]] = {"comment": Personal("content", "What the signer said")}

    approval_id: Mapped[UUID] = mapped_column(ForeignKey("approvals.id"), index=True)
    line: Mapped[str] = mapped_column(LineCode)
    position: Mapped[int] = mapped_column(Integer)
    stage: Mapped[int] = mapped_column(Integer)
    stage_name: Mapped[str] = mapped_column(String(120), default="")
    slot: Mapped[int] = mapped_column(Integer)
    round: Mapped[int] = mapped_column(Integer, default=0)
    kind: Mapped[str] = mapped_column(String(40))
    role: Mapped[str | None] = mapped_column(String(60))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    instead_of_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[UUID | None] = mapped_column(Uuid)
    added: Mapped[str | None] = mapped_column(String(40))
    added_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(String(40))
    signer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    answer: Mapped[str | None] = mapped_column(String(40))
    automatic: Mapped[bool] = mapped_column(Boolean, default=False)
    comment: Mapped[str] = mapped_column(String(2000), default="")
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_provisional: Mapped[bool] = mapped_column(Boolean, default=False)
    remind_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    overdue: Mapped[bool] = mapped_column(Boolean, default=False)


class ApprovalCopy(Base):
    """Somebody who is shown a request (抄送), and when he has read it."""

    __tablename__ = "approval_copies"
    __table_args__ = (Index("ix_approval_copies_user_id_approval_id", "user_id", "approval_id"),)
    personal: ClassVar[dict[str, Personal]] = {}

    approval_id: Mapped[UUID] = mapped_column(ForeignKey("approvals.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    line: Mapped[str] = mapped_column(LineCode)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApprovalLink(Base):
    """A link by which one user may sign one task, once (审批链接); the link itself is known to its receiver alone."""

    __tablename__ = "approval_links"
    personal: ClassVar[dict[str, Personal]] = {}

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("approval_tasks.id"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApprovalBatch(Aggregate):
    """Several requests signed at once (批量审批): for each its id, its state then, or why it was refused."""

    __tablename__ = "approval_batches"
    personal: ClassVar[dict[str, Personal]] = {}

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    results: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


TABLES: tuple[type[Any], ...] = (
    ApprovalPolicy,
    ApprovalTarget,
    Approval,
    ApprovalTask,
    ApprovalCopy,
    ApprovalLink,
    ApprovalBatch,
)
