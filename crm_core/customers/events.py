"""Facts about customers; one per change, whatever parts changed with it."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event

_SHARED = (
    "number", "kind", "name", "province", "city", "district", "source_channel", "origin", "relation", "archive_state",
    "archived_at", "parent_id", "merged_into_id",
)  # fmt: skip


class _CustomerEvent(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "Customer"
    public: ClassVar[tuple[str, ...]] = _SHARED


class CustomerCreated(_CustomerEvent):
    """A customer was entered, and joined its first line (客户建档)."""

    kind: ClassVar[str] = "customer.created"
    line: str
    owner: str | None
    team: str | None
    grade: str | None
    stage: str


class CustomerUpdated(_CustomerEvent):
    """The shared archive of a customer was changed (客户资料变更)."""

    kind: ClassVar[str] = "customer.updated"
    phones_changed: bool = False


class CustomerJoinedLine(_CustomerEvent):
    """A known customer was taken up by a further line (客户加入业务线)."""

    kind: ClassVar[str] = "customer.joined_line"
    line: str
    owner: str | None
    team: str | None
    grade: str | None
    stage: str


class CustomerLineUpdated(_CustomerEvent):
    """Grade, interest or the salesman's file of a line was changed (业务线资料变更)."""

    kind: ClassVar[str] = "customer.line_updated"
    line: str
    changed: list[str]


class CustomerStageMoved(_CustomerEvent):
    """The customer came to another stage in a line (客户阶段变更)."""

    kind: ClassVar[str] = "customer.stage_moved"
    line: str
    before_stage: str
    after_stage: str


class CustomerAssigned(_CustomerEvent):
    """The customer was given to another owner or team of a line (客户分配)."""

    kind: ClassVar[str] = "customer.assigned"
    line: str
    before_owner: str | None
    after_owner: str | None
    before_team: str | None
    after_team: str | None


class CustomerTagged(_CustomerEvent):
    """Tags were put on or taken off (标签变更)."""

    kind: ClassVar[str] = "customer.tagged"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class CustomerArchived(_CustomerEvent):
    """The customer was put away (客户归档)."""

    kind: ClassVar[str] = "customer.archived"


class CustomerRestored(_CustomerEvent):
    """The customer was taken back from the archive (客户恢复)."""

    kind: ClassVar[str] = "customer.restored"


class CustomerReviewed(_CustomerEvent):
    """A line checked the archive of the customer (档案复核, CS-011)."""

    kind: ClassVar[str] = "customer.reviewed"
    line: str
    accurate: bool
    complete: bool
    current: bool


class CustomerDocumentFiled(_CustomerEvent):
    """A paper was filed in the archive (档案资料存档, CS-010)."""

    kind: ClassVar[str] = "customer.document_filed"
    line: str
    document: str
    category: str
    late: bool


class CustomerTransactionRecorded(_CustomerEvent):
    """A past transaction was recorded (交易记录, CS-004)."""

    kind: ClassVar[str] = "customer.transaction_recorded"
    line: str
    transaction: str
    became_customer: bool


class CustomerArchiveConfirmed(_CustomerEvent):
    """The archive was approved and confirmed (客户档案确认, CS-012)."""

    kind: ClassVar[str] = "customer.archive_confirmed"


class CustomerArchiveReturned(_CustomerEvent):
    """The archive was returned to be mended (客户档案退回, CS-012)."""

    kind: ClassVar[str] = "customer.archive_returned"


EVENTS: tuple[type[Event], ...] = (
    CustomerCreated, CustomerUpdated, CustomerJoinedLine, CustomerLineUpdated, CustomerStageMoved, CustomerAssigned,
    CustomerTagged, CustomerArchived, CustomerRestored, CustomerReviewed, CustomerDocumentFiled,
    CustomerTransactionRecorded, CustomerArchiveConfirmed, CustomerArchiveReturned,
)  # fmt: skip
