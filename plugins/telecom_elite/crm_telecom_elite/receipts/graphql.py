"""GraphQL types of fees received and of the batches they came in, root fields, and receipts of a user."""

from __future__ import annotations

from datetime import date, datetime

from crm_core.graphql import (
    Id,
    ObjectType,
    connection,
    field,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.access import whole_lines
from crm_core.graphql.fields import YUAN
from crm_telecom_elite.receipts.models import (
    EliteBatchState,
    EliteReceipt,
    EliteReceiptBatch,
    EliteReceiptSource,
)
from crm_telecom_elite.receipts.queries import visible
from crm_telecom_elite.scopes import RECEIPT_READ

ELITE_RECEIPT_BATCH = ObjectType(
    name="EliteReceiptBatch",
    table=EliteReceiptBatch.__table__,
    model=EliteReceiptBatch,
    prefix="erb",
    plural="eliteReceiptBatches",
    description="Receipts that came together (实收导入批次).",
    rule=whole_lines,
    scope=RECEIPT_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("erb"),
        field("reference", str, "What the sender calls it (批次号).", nullable=False, filter=True),
        field("source", EliteReceiptSource, "How it came (来源).", nullable=False, filter=True),
        field("state", EliteBatchState, "How far it has come (状态).", nullable=False, filter=True),
        field("sha256", str, "SHA-256 of the file, hex.", sql=lambda t, _a: t.c.sha256),
        field("rows", int, "Receipts dealt with (已处理行数).", nullable=False),
        field("recorded", int, "Newly recorded (新入账).", nullable=False),
        field("known", int, "Recorded before, by their number (已有).", nullable=False),
        field("refused", int, "Refused (拒绝).", nullable=False),
        field("amount", YUAN, "Sum of the newly recorded, yuan (新入账金额).", nullable=False),
        field("problems", dict, "The first refused ones: row, number, code, why in both languages (错误明细).",
              nullable=False),
        field("finishedAt", datetime, "When it was over (完成时间)."),
        relation("job", "Job", "The job that reads it (后台任务).", on=lambda b, j, _a: j.c.id == b.c.job_id),
        connection("receipts", "EliteReceipt", "What was newly recorded with it (新入账明细).",
                   on=lambda b, r, _a: r.c.batch_id == b.c.id),
    ),
)  # fmt: skip

ELITE_RECEIPT = ObjectType(
    name="EliteReceipt",
    table=EliteReceipt.__table__,
    model=EliteReceipt,
    prefix="erc",
    description="An amount actually received from a user (实收话费, MO-040).",
    rule=visible,
    scope=RECEIPT_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("erc"), "Id.", nullable=False, filter=True),
        field("line", str, "Business line (业务线).", nullable=False),
        field("createdAt", datetime, "When it was recorded.", nullable=False),
        field("number", str, "Billing's own number of it (收款流水号).", nullable=False, filter=True),
        field("billMonth", str, "Which bill it is about (账期).", nullable=False),
        field("receivedOn", date, "Day it was received, or went back (收款日期).", nullable=False),
        field("amount", YUAN, "Yuan; negative where money went back (金额).", nullable=False),
        field("earnedOn", date, "Day that decides on rates and on whose it is (归属日期).", nullable=False),
        field("payMonth", str, "Month whose pay counts it (核算月份).", nullable=False, filter=True),
        relation("user", "EliteUser", "Whose bill it is (用户).", on=lambda r, u, _a: u.c.id == r.c.user_id),
        relation("corrects", "EliteReceipt", "The receipt it corrects (被冲正流水).",
                 on=lambda r, c, _a: c.c.id == r.c.corrects_id),
        relation("batch", "EliteReceiptBatch", "What it came with (批次).", on=lambda r, b, _a: b.c.id == r.c.batch_id),
    ),
)  # fmt: skip

TYPES = (ELITE_RECEIPT_BATCH, ELITE_RECEIPT)
QUERIES = (
    query_connection("eliteReceiptBatches", "EliteReceiptBatch", "Receipts that came together (实收批次)."),
    query_one("eliteReceiptBatch", "EliteReceiptBatch", "A batch of receipts by id."),
    query_connection("eliteReceipts", "EliteReceipt", "Fees received (实收话费)."),
    query_one("eliteReceipt", "EliteReceipt", "A receipt by id."),
)
FIELDS = {
    "EliteUser": (
        connection(
            "receipts",
            "EliteReceipt",
            "What was received from him (实收话费).",
            on=lambda u, r, _a: r.c.user_id == u.c.id,
            scope=RECEIPT_READ,
        ),
    )
}
