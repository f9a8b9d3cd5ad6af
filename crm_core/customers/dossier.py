"""The archive's papers and past transactions, and its approval by the marketing head office (客户档案)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import ids, money, papers
from crm_core.access.models import BusinessLine
from crm_core.commands import Command, Money, Perform
from crm_core.customers.events import (
    CustomerArchiveConfirmed,
    CustomerArchiveReturned,
    CustomerDocumentFiled,
    CustomerTransactionRecorded,
)
from crm_core.customers.inputs import CustomerId, Name, Short
from crm_core.customers.line_records import in_acting_line
from crm_core.customers.models import (
    ArchiveState,
    Customer,
    CustomerDocument,
    CustomerTransaction,
    DocumentCategory,
    Origin,
)
from crm_core.customers.settings import CustomersSettings
from crm_core.customers.stages import win
from crm_core.errors import Message, Refused
from crm_core.work import Work

KEEPERS_ONLY = Message(
    "ARCHIVE_KEEPERS_ONLY",
    "Papers are filed by the steward of line {line}, or with the permission customer.documents.",
    "档案资料由业务线 {line} 的档案管理员或持有 customer.documents 权限者存档。",
    "CS-010",
)
IN_THE_FUTURE = Message("IN_THE_FUTURE", "{day} lies in the future.", "{day} 晚于今天。")
ARCHIVE_DECIDED = Message(
    "ARCHIVE_DECIDED",
    "The archive is {state}; only one that waits for approval can be confirmed or returned.",
    "档案状态为 {state}，只有待确认的档案才能确认或退回。",
    "CS-012",
)
MESSAGES = (KEEPERS_ONLY, IN_THE_FUTURE, ARCHIVE_DECIDED)


# -- papers


class FileDocument(papers.PaperInput, Command):
    """File a paper in the archive of a customer (档案资料存档, CS-004, CS-010).

    The steward of the line does it, or somebody with `customer.documents`. Give the paper's `content`, or the `path`
    of one that is in the store already (`POST /papers`). A paper filed is never overwritten. A returned archive waits
    for its approval again (CS-012).
    """

    kind = "customer.file_document"
    scope = "customer.write"
    returns = "CustomerDocument"
    subject = "id"
    subject_type = "Customer"
    sensitive = frozenset({"content"})
    id: CustomerId = Field(description="The customer.")
    category: DocumentCategory = Field(description="Kind of paper (资料类别).")
    origin: Origin = Field(description="Where it came from (资料来源, CS-003).")
    received_on: date | None = Field(None, description="Day it was received; default: today (收到日期).")


async def file_document(work: Work, command: FileDocument) -> CustomerDocument:
    """The paper's reference; tells whether it was filed within the days of the settings."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    await _refuse_strangers(work)
    settings: CustomersSettings = work.settings_of("customers")
    received = _past_day(work, command.received_on, "receivedOn")
    late = (work.day() - received).days > settings.filing_days
    paper = await papers.stored(
        work.services.store, command, settings.document_bytes, work.now, dry=work.options.dry_run
    )
    document = work.add(
        CustomerDocument(
            customer_id=customer.id, line=row.line, category=command.category.value, title=command.title,
            origin=command.origin.value, path=paper.path, sha256=paper.sha256, size=paper.size,
            media_type=command.media_type, received_on=received, filed_at=work.now, filed_by_id=work.actor.user_id,
            filed_late=late,
        )
    )  # fmt: skip
    resubmit(customer)
    shown = ids.show("doc", document.id)
    work.record(
        CustomerDocumentFiled.of(
            customer, line=row.line, document=shown, category=document.category, late=late
        )
    )
    return document


async def _refuse_strangers(work: Work) -> None:
    """Archives are kept by one person per line (专人管理, CS-010)."""
    if work.actor.may("customer.documents", work.acting_line):
        return
    steward = await work.session.scalar(
        select(BusinessLine.steward_id).where(BusinessLine.code == work.acting_line)
    )
    if steward is None or steward != work.actor.user_id:
        raise Refused(KEEPERS_ONLY(line=work.acting_line))


def _past_day(work: Work, day: date | None, path: str) -> date:
    if day is not None and day > work.day():
        raise Refused(IN_THE_FUTURE(path, day=day.isoformat()))
    return day or work.day()


# -- transactions


class RecordTransaction(Command):
    """Record a transaction of a customer with the line (记录交易, CS-004); who trades becomes a customer (CS-001).

    A prospect moves to CUSTOMER, and so does a dormant or lost one; the blacklist holds. A plugin whose own records are
    trades performs this command inside its own: `await work.run(RecordTransaction(id=…, done_on=…, …))`. A returned
    archive waits for its approval again (CS-012).
    """

    kind = "customer.record_transaction"
    scope = "customer.write"
    returns = "CustomerTransaction"
    subject = "id"
    subject_type = "Customer"
    id: CustomerId = Field(description="The customer.")
    done_on: date = Field(description="Day of the transaction (交易日期).")
    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)] = (
        Field(description="What was bought or done (交易内容).")
    )
    amount: Money = Field(ge=0, description="Amount in yuan (金额).")
    product_category: Name | None = Field(None, description="Product category (产品类别).")
    payment_method: Short | None = Field(None, description="Payment method (付款方式).")
    origin: Origin = Field(
        Origin.SALES_CONTRACT, description="Where the record came from (资料来源, CS-003)."
    )


async def record_transaction(work: Work, command: RecordTransaction) -> CustomerTransaction:
    """The transaction. Who trades is a customer (CS-001): the line's row moves on wherever its stage allows it."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    transaction = work.add(
        CustomerTransaction(
            customer_id=customer.id, line=row.line, done_on=_past_day(work, command.done_on, "doneOn"),
            product_category=command.product_category, description=command.description,
            amount=money.fen(command.amount), payment_method=command.payment_method, origin=command.origin.value,
            recorded_by_id=work.actor.user_id,
        )
    )  # fmt: skip
    resubmit(customer)
    became = win(work, row)
    shown = ids.show("txn", transaction.id)
    work.record(
        CustomerTransactionRecorded.of(customer, line=row.line, transaction=shown, became_customer=became)
    )
    return transaction


# -- approval


def resubmit(customer: Customer) -> bool:
    """Put a returned archive back to wait for its approval, now that it was mended (重新提交审批, CS-012).

    Tells whether it was a returned one; any other archive stays as it is. Call it where something of the archive really
    changed, and record one event of the customer.
    """
    if customer.archive_state != ArchiveState.RETURNED.value:
        return False
    customer.archive_state = ArchiveState.PENDING.value
    return True


class ConfirmArchive(Command):
    """Approve and confirm a customer archive (客户档案审批确认, CS-012); for the head of the marketing head office."""

    kind = "customer.confirm_archive"
    scope = "customer.archive"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")
    remark: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        None, description="Remark (审批意见)."
    )


async def confirm_archive(work: Work, command: ConfirmArchive) -> Customer:
    """The customer with its archive confirmed; refuses one that does not wait for approval."""
    customer = await _decided(work, command.scope, ArchiveState.CONFIRMED, command.remark)
    work.record(CustomerArchiveConfirmed.of(customer))
    return customer


class ReturnArchive(Command):
    """Return a customer archive to be mended (客户档案退回, CS-012)."""

    kind = "customer.return_archive"
    scope = "customer.archive"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")
    remark: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)] = Field(
        description="What is to be mended (退回意见)."
    )


async def return_archive(work: Work, command: ReturnArchive) -> Customer:
    """The customer with its archive returned; refuses one that does not wait for approval."""
    customer = await _decided(work, command.scope, ArchiveState.RETURNED, command.remark)
    work.record(CustomerArchiveReturned.of(customer))
    return customer


async def _decided(work: Work, scope: str, state: ArchiveState, remark: str | None) -> Customer:
    customer: Customer = work.subject
    await in_acting_line(work, customer, scope)
    if customer.archive_state != ArchiveState.PENDING.value:
        raise Refused(ARCHIVE_DECIDED(state=customer.archive_state))
    customer.archive_state, customer.archive_remark = state.value, remark
    customer.archive_decided_by_id, customer.archive_decided_at = work.actor.user_id, work.now
    return customer


COMMANDS: Mapping[type[Command], Perform] = {
    FileDocument: file_document,
    RecordTransaction: record_transaction,
    ConfirmArchive: confirm_archive,
    ReturnArchive: return_archive,
}
