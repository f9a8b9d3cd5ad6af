"""GraphQL of the papers given with what people did to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from crm_core.approvals.attached import ApprovalAttachment, of_readable
from crm_core.approvals.queries import READ
from crm_core.graphql import Filter, Id, ObjectType, connection, field, relation
from crm_core.graphql.fields import Field

ATTACHMENT = ObjectType(
    name="ApprovalAttachment",
    table=ApprovalAttachment.__table__,
    model=ApprovalAttachment,
    prefix="att",
    description="A paper that somebody gave with what he did to a request; `GET /papers/{id}` answers it (审批附件).",
    rule=of_readable,
    scope=READ,
    order=lambda t: [t.c.id],
    fields=(
        field("id", Id("att"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was given (时间).", nullable=False, filter=True),
        field("verb", str, "With which verb, as in the history (操作).", nullable=False, filter=True),
        field(
            "historyLine",
            int,
            "Number of the line of `history` it came with, from 0 (审批历史行号).",
            nullable=False,
            sql=lambda t, _a: t.c.entry,
        ),
        field("title", str, "Title (名称).", nullable=False),
        field("mediaType", str, "E.g. application/pdf (文件类型).", nullable=False),
        field("size", int, "Bytes (大小).", nullable=False),
        field("sha256", str, "SHA-256 of its content, hex (校验值).", sql=lambda t, _a: t.c.sha256, nullable=False),
        relation("user", "User", "Who gave it (提交人).", on=lambda t, u, _a: u.c.id == t.c.user_id),
        relation("approval", "Approval", "The request (审批单).", on=lambda t, a, _x: a.c.id == t.c.approval_id),
    ),
)  # fmt: skip

TYPES = (ATTACHMENT,)
FIELDS: Mapping[str, Sequence[Field | Filter]] = {
    "Approval": (
        connection(
            "attachments",
            "ApprovalAttachment",
            "Papers given with it, oldest first (附件).",
            on=lambda a, t, _x: t.c.approval_id == a.c.id,
        ),
    )
}
