"""Events of approvals and policies."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class ApprovalRequested(Event):
    """A change waits for signatures (已提交审批)."""

    kind: ClassVar[str] = "approval.requested"
    subject_type: ClassVar[str] = "Approval"
    command: str


class ApprovalSigned(Event):
    """A signature was given; others are still asked for (已签署)."""

    kind: ClassVar[str] = "approval.signed"
    subject_type: ClassVar[str] = "Approval"
    command: str


class ApprovalDecided(Event):
    """An approval waits for nobody any more (审批结束): performed, rejected, withdrawn, or it could not be performed."""

    kind: ClassVar[str] = "approval.decided"
    subject_type: ClassVar[str] = "Approval"
    command: str
    state: str


class ApprovalPolicySet(Event):
    """A sign-off policy has a new edition (审批规则变更)."""

    kind: ClassVar[str] = "approval_policy.set"
    subject_type: ClassVar[str] = "ApprovalPolicy"
    name: str
    edition: int
    enabled: bool


EVENTS: tuple[type[Event], ...] = (ApprovalRequested, ApprovalSigned, ApprovalDecided, ApprovalPolicySet)
