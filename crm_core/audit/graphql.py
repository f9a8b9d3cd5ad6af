"""GraphQL type of audit entries."""

from __future__ import annotations

from datetime import datetime

from crm_core.audit.models import AuditEntry
from crm_core.graphql import Id, ObjectType, field, query_connection
from crm_core.graphql.access import whole_lines

ENTRY = ObjectType(
    name="AuditEntry",
    table=AuditEntry.__table__,
    model=AuditEntry,
    prefix="aud",
    plural="auditEntries",
    description="Who did what, when, why, and what it changed (审计记录).",
    rule=whole_lines,
    scope="audit.read",
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("aud"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When.", nullable=False, filter=True, sort=True),
        field(
            "kind",
            str,
            "Kind of the command, e.g. customer.update.",
            nullable=False,
            filter=True,
            uneven=True,
        ),
        field("actorId", Id("usr"), "Who; null: the system itself.", filter=True),
        field("actorName", str, "Name of the actor at that time.", nullable=False),
        field("line", str, "Business line (业务线).", filter=True),
        field(
            "channel",
            str,
            "How it came: graphql, cli, import, approval …",
            nullable=False,
            filter=True,
            uneven=True,
        ),
        field("reason", str, "Why, as the actor gave it (原因)."),
        field("requestId", str, "Request it belongs to.", filter=True),
        field("approvalId", Id("apr"), "Approval it waits for or was performed by (审批).", filter=True),
        field("signerId", Id("usr"), "Who gave the last signature, for a change that was approved (审批人)."),
        field("subjectType", str, "Type of the record changed.", filter=True, uneven=True),
        field("subjectId", str, "Id of the record changed.", sql=lambda t, _a: t.c.subject_ref, filter=True),
        field("command", dict, "The command as given; most sensitive values masked.", nullable=False),
        field("changes", dict, "Records changed: table, id, values before and after.", nullable=False),
    ),
)

TYPES = (ENTRY,)
QUERIES = (query_connection("auditEntries", "AuditEntry", "The usage log of your lines (使用记录)."),)
