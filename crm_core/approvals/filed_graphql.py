"""GraphQL types of what is kept after signing: filings of an approval, controlled documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, not_

from crm_core.approvals.controlled import READ
from crm_core.approvals.filed import (
    ApprovalFiling,
    ControlledDocument,
    ControlledKind,
    ControlledState,
    FiledForm,
)
from crm_core.approvals.queries import of_lines
from crm_core.graphql import Filter, Id, ObjectType, field, listing, query_connection, query_one, relation
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field

FILING = ObjectType(
    name="ApprovalFiling",
    table=ApprovalFiling.__table__,
    model=ApprovalFiling,
    description="The original or a copy of a signed form, and who keeps it (归档记录).",
    order=lambda t: [t.c.id],
    fields=(
        field("id", Id("apf"), "Id.", nullable=False),
        field("form", FiledForm, "ORIGINAL (原件) or COPY (复印件).", nullable=False, filter=True),
        field("department", str, "Department that keeps it (保管部门).", nullable=False),
        field("place", str, "Where (存放位置).", nullable=False),
        field("note", str, "Remark (备注).", nullable=False),
        field("filedOn", date, "Since when (归档日期).", nullable=False),
        field("endedAt", datetime, "Until when; null: it is there now (结束时间)."),
        relation("keeper", "User", "Who keeps it (保管人).", on=lambda t, u, _a: u.c.id == t.c.keeper_id),
        relation(
            "filedBy", "User", "Who recorded it (归档人).", on=lambda t, u, _a: u.c.id == t.c.filed_by_id
        ),
    ),
)


def _due(t: Any, access: Access, value: bool) -> ColumnElement[bool]:  # noqa: FBT001  # a filter's value
    due = and_(t.c.review_due_on.is_not(None), t.c.review_due_on <= access.today())
    return due if value else not_(due)


CONTROLLED = ObjectType(
    name="ControlledDocument",
    table=ControlledDocument.__table__,
    model=ControlledDocument,
    prefix="cdo",
    description="One issue and revision of a controlled document: a policy, its rules, a form (受控文件).",
    rule=of_lines,
    scope=READ,
    order=lambda t: [t.c.number, t.c.issue.desc(), t.c.revision.desc()],
    fields=(
        field("id", Id("cdo"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was drafted.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("kind", ControlledKind, "Kind (类别).", nullable=False, filter=True),
        field("number", str, "Document number (文件编号).", nullable=False, filter=True),
        field("title", str, "Name (制度名称).", nullable=False),
        field("department", str, "Executing department (执行部门).", nullable=False, filter=True),
        field("issue", int, "Issue (发行版次).", nullable=False),
        field("revision", int, "Count of revisions of the issue (修订次数).", nullable=False),
        field("pages", int, "Pages (页数).", nullable=False),
        field("year", int, "Year of an annual table (年度)."),
        field("place", str, "Where its text is kept (存放位置).", nullable=False),
        field("state", ControlledState, "State (状态).", nullable=False, filter=True),
        field("preparedOn", date, "When it was prepared (编制日期).", nullable=False),
        field("reviewedOn", date, "When it was reviewed (审核日期)."),
        field("approvedOn", date, "When it was approved (批准日期)."),
        field("reviewDueOn", date, "When it is due for revision (应修订日期)."),
        relation(
            "preparedBy",
            "User",
            "Who prepared it (编制人).",
            on=lambda t, u, _a: u.c.id == t.c.prepared_by_id,
        ),
        relation(
            "reviewedBy",
            "User",
            "Who reviewed it (审核人).",
            on=lambda t, u, _a: u.c.id == t.c.reviewed_by_id,
        ),
        relation(
            "approvedBy",
            "User",
            "Who approved it (批准人).",
            on=lambda t, u, _a: u.c.id == t.c.approved_by_id,
        ),
    ),
    filters=(
        Filter("reviewDue", bool, "Those due for revision today (true), or not (false) (应修订).", _due),
    ),
)

TYPES = (FILING, CONTROLLED)
QUERIES = (
    query_connection("controlledDocuments", "ControlledDocument", "Controlled documents (受控文件)."),
    query_one("controlledDocument", "ControlledDocument", "A controlled document by id."),
)
FIELDS: Mapping[str, Sequence[Field | Filter]] = {
    "Approval": (
        field("validUntil", datetime, "Until when the same needs no new signatures (有效期至)."),
        listing(
            "filings",
            "ApprovalFiling",
            "Where the original and the copies are, and were (归档记录).",
            on=lambda a, f, _x: f.c.approval_id == a.c.id,
            order=lambda t: [t.c.id],
            filter=True,
        ),
    )
}
