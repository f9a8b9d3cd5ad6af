"""Events of approvals and policies."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from crm_core.outbox.events import Event


class _OfApproval(Event):
    subject_type: ClassVar[str] = "Approval"
    public: ClassVar[tuple[str, ...]] = (
        "line", "kind", "title", "document", "requester_id", "round", "state", "subject_type", "subject_ref",
        "result_refs", "decided_at", "valid_until",
    )  # fmt: skip
    command: str


class _Done(_OfApproval):
    """What somebody did; `attachments` are ids of the papers he gave with it (附件)."""

    attachments: list[str] = Field(default_factory=list)


class ApprovalRequested(_OfApproval):
    """A change or a record waits for signatures (已提交审批)."""

    kind: ClassVar[str] = "approval.requested"


class ApprovalSigned(_Done):
    """A signature was given; others are still asked for (已签署)."""

    kind: ClassVar[str] = "approval.signed"


class ApprovalReturned(_Done):
    """A signer sent it back (已退回): to who asked, or to an earlier stage, counted from 0."""

    kind: ClassVar[str] = "approval.returned"
    stage: int | None


class ApprovalResubmitted(_Done):
    """Who asked handed it in again (已重新提交)."""

    kind: ClassVar[str] = "approval.resubmitted"


class ApprovalHandedOn(_Done):
    """Other people are asked now (人员变更).

    `how`: transfer (转交), delegate (委派), add_before, add_after, add_parallel (加签), remove (减签), overdue (超时).
    """

    kind: ClassVar[str] = "approval.handed_on"
    how: str
    users: list[str]


class ApprovalUrged(_Done):
    """Those asked were reminded (已催办)."""

    kind: ClassVar[str] = "approval.urged"


class ApprovalCopied(_Done):
    """People were shown the request (已抄送)."""

    kind: ClassVar[str] = "approval.copied"
    users: list[str]


class ApprovalAdopted(_Done):
    """Somebody took over a request whose requester can no longer act (已接手)."""

    kind: ClassVar[str] = "approval.adopted"


class ApprovalPerforming(_Done):
    """Everybody has signed, and a job performs the change (已通过，执行中); `rows`: of how many records."""

    kind: ClassVar[str] = "approval.performing"
    rows: int


class ApprovalDecided(_Done):
    """An approval waits for nobody any more (审批结束): performed, rejected, withdrawn, ended, or not performed."""

    kind: ClassVar[str] = "approval.decided"
    state: str


class ApprovalAttached(_Done):
    """Papers were added to a request (补充材料)."""

    kind: ClassVar[str] = "approval.attached"


class ApprovalFiled(_OfApproval):
    """The original or a copy of a signed form was filed (已归档)."""

    kind: ClassVar[str] = "approval.filed"
    form: str
    department: str


class ControlledDocumentChanged(Event):
    """A controlled document was drafted, changed, or took another state (受控文件变更)."""

    kind: ClassVar[str] = "controlled_document.changed"
    subject_type: ClassVar[str] = "ControlledDocument"
    public: ClassVar[tuple[str, ...]] = ("line", "number", "title", "kind", "issue", "revision", "state")
    number: str
    issue: int
    revision: int
    state: str


class ApprovalPolicySet(Event):
    """A sign-off policy has a new edition (审批规则变更)."""

    kind: ClassVar[str] = "approval_policy.set"
    subject_type: ClassVar[str] = "ApprovalPolicy"
    public: ClassVar[tuple[str, ...]] = ("line", "name", "title", "document", "edition", "enabled")
    name: str
    edition: int
    enabled: bool


EVENTS: tuple[type[Event], ...] = (
    ApprovalRequested,
    ApprovalSigned,
    ApprovalReturned,
    ApprovalResubmitted,
    ApprovalHandedOn,
    ApprovalUrged,
    ApprovalCopied,
    ApprovalAdopted,
    ApprovalPerforming,
    ApprovalDecided,
    ApprovalAttached,
    ApprovalFiled,
    ControlledDocumentChanged,
    ApprovalPolicySet,
)
