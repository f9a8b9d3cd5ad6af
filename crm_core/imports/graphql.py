"""GraphQL types of imports and what they found."""

from __future__ import annotations

from datetime import datetime

from crm_core.graphql import Id, ObjectType, connection, field, query_connection, query_one, relation
from crm_core.graphql.access import whole_lines
from crm_core.imports.models import FindingKind, ImportFinding, ImportRun, ImportState, ImportSubject

RUN = ObjectType(
    name="ImportRun",
    table=ImportRun.__table__,
    model=ImportRun,
    prefix="imp",
    plural="importRuns",
    description="An import of one file into one line (导入).",
    rule=whole_lines,
    scope="import.run",
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("imp"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was registered.", nullable=False, filter=True, sort=True),
        field("updatedAt", datetime, "When it last moved on.", nullable=False),
        field("version", int, "Counts changes.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("subject", ImportSubject, "What its rows are (内容).", nullable=False, filter=True),
        field("source", str, "The other system (来源系统).", nullable=False, filter=True),
        field("fileName", str, "Name of the file (文件名).", nullable=False),
        field("fileSha256", str, "SHA-256 of the file, hex.", sql=lambda t, _a: t.c.file_sha256, nullable=False,
              filter=True),
        field("mapping", dict, "Which header is which field (字段映射).", nullable=False),
        field("options", dict, "The options it runs with (选项).", nullable=False),
        field("state", ImportState, "How far it has come (状态).", nullable=False, filter=True),
        field("rows", int, "Rows of the file (行数).", nullable=False),
        field("position", int, "Row number up to which it is dealt with (进度).", nullable=False),
        field("read", int, "Rows read (已读).", nullable=False),
        field("created", int, "Records created (新建).", nullable=False),
        field("updated", int, "Records updated (更新).", nullable=False),
        field("unchanged", int, "Rows that changed nothing (未变).", nullable=False),
        field("skipped", int, "Blank rows, totals and exact duplicates (跳过).", nullable=False),
        field("held", int, "Rows that wait for signatures (待审批).", nullable=False),
        field("rejected", int, "Rows refused (拒绝).", nullable=False),
        field("tallies", dict, "Reasons by code: skipped, rejected, blanked, warnings (原因).", nullable=False),
        field("startedAt", datetime, "When the first batch was brought in (开始时间)."),
        field("finishedAt", datetime, "When it was over (完成时间)."),
        relation(
            "requestedBy", "User", "Who asked for it (申请人).", on=lambda r, u, _a: u.c.id == r.c.requested_by_id
        ),
        relation(
            "approval", "Approval", "The approval it was signed under (审批).",
            on=lambda r, a, _a: a.c.id == r.c.approval_id,
        ),
        connection(
            "findings", "ImportFinding", "What was found in single rows (逐行结果).",
            on=lambda r, f, _a: f.c.run_id == r.c.id,
        ),
    ),
)  # fmt: skip

FINDING = ObjectType(
    name="ImportFinding",
    table=ImportFinding.__table__,
    model=ImportFinding,
    description="What was found in one row of an import (导入行结果).",
    rule=whole_lines,
    scope="import.run",
    order=lambda t: [t.c.row, t.c.kind],
    fields=(
        field("kind", FindingKind, "What became of the row (结果).", nullable=False, filter=True),
        field("row", int, "Row number, the header being 1 (行号).", nullable=False, filter=True, sort=True),
        field("externalId", str, "Number in the other system (外部编号).", filter=True),
        field("problems", dict, "Code, column, value and parameters of each reason (原因).", nullable=False),
    ),
)

TYPES = (RUN, FINDING)
QUERIES = (
    query_connection("importRuns", "ImportRun", "Imports into your lines (导入)."),
    query_one("importRun", "ImportRun", "An import by id."),
)
