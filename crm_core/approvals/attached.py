"""The table of papers that people gave with what they did to a request (审批附件)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, Index, Integer, String, select, true
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.approvals.history import Attached
from crm_core.approvals.models import Approval
from crm_core.approvals.queries import READ, concerned
from crm_core.db.base import LineCode, Personal
from crm_core.graphql.access import Access
from crm_core.graphql.context import Fetch
from crm_core.papers import PaperRecord


class ApprovalAttachment(PaperRecord):
    """A paper that somebody gave with a verb (审批附件). `entry` counts lines of the history; 0: when it was asked for."""

    __tablename__ = "approval_attachments"
    __table_args__ = (Index("ix_approval_attachments_approval_id_id", "approval_id", "id"),)
    personal: ClassVar[dict[str, Personal]] = {
        "title": Personal("content", "Papers given with a signature"),
        "path": Personal("content", "Papers given with a signature"),
    }

    approval_id: Mapped[UUID] = mapped_column(ForeignKey("approvals.id"))
    line: Mapped[str] = mapped_column(LineCode)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    verb: Mapped[str] = mapped_column(String(40))
    entry: Mapped[int] = mapped_column(Integer)


TABLES: tuple[type[Any], ...] = (ApprovalAttachment,)


def of_readable(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """Row rule: an attachment is seen exactly where its approval is."""
    approval = Approval.__table__.alias("attached_to")
    if access.actor.is_system or access.everything(READ):
        return true()
    return (
        select(approval.c.id)
        .where(approval.c.id == t.c.approval_id, concerned(approval, access, READ))
        .correlate(t)
        .exists()
    )


async def papers_of(fetch: Fetch, approval: UUID) -> Mapping[int, tuple[Attached, ...]]:
    """Attachments of a request that the reader may see, by line of its history; one statement."""
    table = ApprovalAttachment.__table__
    wanted = (table.c.id, table.c.entry, table.c.title, table.c.size, table.c.sha256)
    found: defaultdict[int, tuple[Attached, ...]] = defaultdict(tuple)
    for row in await fetch(select(*wanted).where(table.c.approval_id == approval).order_by(table.c.id)):
        found[row.entry] += (Attached(row.id, row.title, row.size, row.sha256),)
    return found
