"""Commands on fees received: record some, hand a file of them in."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import select

from crm_core import errors, ids, papers
from crm_core.commands import Command, Perform
from crm_core.errors import Refused
from crm_core.jobs.enqueuing import enqueue
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.work import Work
from crm_telecom_elite.receipts.events import EliteReceiptsHandedIn
from crm_telecom_elite.receipts.inputs import REFERENCE_TAKEN, ReceiptInput, Reference, Reported
from crm_telecom_elite.receipts.models import EliteBatchState, EliteReceiptBatch, EliteReceiptSource
from crm_telecom_elite.receipts.queries import batch_of
from crm_telecom_elite.receipts.recording import note, record
from crm_telecom_elite.scopes import RECEIPT_WRITE
from crm_telecom_elite.settings import TelecomEliteSettings

PLUGIN: Final = "telecom_elite"
READING_JOB: Final = "telecom_elite.read_receipts"


class BatchToRead(BaseModel):
    """Which batch a job reads."""

    batch: UUID


class RecordReceipts(Command):
    """Record amounts received (实收入账). Each counts once, by its number; what is wrong with one refuses it alone.

    Refused ones are counted in the batch, with what is wrong with them. The same reference again adds to its batch.
    """

    kind = "elite_receipts.record"
    scope = RECEIPT_WRITE
    returns = "EliteReceiptBatch"
    reference: Reference | None = Field(None, description="What the sender calls them together (批次号).")
    receipts: list[ReceiptInput] = Field(min_length=1, max_length=5_000, description="The receipts (收款).")

    def records(self) -> int:
        """As many as are given."""
        return len(self.receipts)


async def record_receipts(work: Work, command: RecordReceipts) -> EliteReceiptBatch:
    """The batch with its counts, all receipts looked up and written in one statement each."""
    settings: TelecomEliteSettings = work.settings_of(PLUGIN)
    if len(command.receipts) > settings.receipt_rows:
        raise Refused(errors.TOO_MANY("receipts", limit=settings.receipt_rows, given=len(command.receipts)))
    source = EliteReceiptSource.WEBHOOK if work.options.channel == "incoming" else EliteReceiptSource.API
    batch = await _batch(work, source, command.reference)
    first = batch.rows + 1
    given = [Reported.of(first + place, one) for place, one in enumerate(command.receipts)]
    tally = await record(work, batch, given)
    batch.rows += len(given)
    note(work, batch, tally, settings.most_problems)
    return batch


async def _batch(work: Work, source: EliteReceiptSource, reference: str | None) -> EliteReceiptBatch:
    """The batch of this reference, or a new one; that of a file is not added to."""
    key = ids.uuid7()
    found = await work.session.scalar(batch_of(work.acting_line, reference)) if reference else None
    if found is not None and found.source != source:
        raise Refused(REFERENCE_TAKEN("reference", reference=reference))
    if found is not None:
        return found
    made = _new(work, key, reference or ids.show("erb", key), source, EliteBatchState.DONE)
    made.finished_at = work.now
    return made


class ImportReceipts(papers.PaperInput, Command):
    """Hand a file of receipts in, CSV or XLSX (实收文件导入); a job records it and shows how far it is.

    Columns: 流水号, 用户号码, 账期, 收款日期, 金额, 冲正流水号 (or number, userNumber, billMonth, receivedOn, amount,
    corrects). Give the file's `content`, or the `path` that `POST /papers` answered. The same file again is read
    again: what was recorded stays, what was refused is tried once more.
    """

    kind = "elite_receipts.import"
    scope = RECEIPT_WRITE
    returns = "EliteReceiptBatch"
    sensitive = frozenset({"content"})
    reference: Reference | None = Field(None, description="What you call it; default: its SHA-256 (批次号).")


async def import_receipts(work: Work, command: ImportReceipts) -> EliteReceiptBatch:
    """The batch, which a job reads once this commits; while it is being read it is given back as it stands."""
    most = work.services.settings.limits.paper_bytes
    paper = await papers.stored(work.services.store, command, most, work.now, dry=work.options.dry_run)
    reference = command.reference or paper.sha256
    batch = await work.session.scalar(batch_of(work.acting_line, reference))
    if batch is not None and batch.sha256 != paper.sha256:
        raise Refused(REFERENCE_TAKEN("reference", reference=reference))
    if batch is not None and await _is_being_read(work, batch):
        return batch
    if batch is None:
        batch = _new(work, ids.uuid7(), reference, EliteReceiptSource.FILE, EliteBatchState.RECEIVED)
    _begin_again(batch)
    batch.path, batch.sha256 = paper.path, paper.sha256
    batch.job_id = await enqueue(work, READING_JOB, BatchToRead(batch=batch.id))
    work.record(EliteReceiptsHandedIn.of(batch))
    return batch


async def _is_being_read(work: Work, batch: EliteReceiptBatch) -> bool:
    """Whether a job has it, or is to; one that died or was cancelled has not."""
    if batch.state not in (EliteBatchState.RECEIVED, EliteBatchState.READING):
        return False
    state = await work.session.scalar(select(QueuedJob.state).where(QueuedJob.id == batch.job_id))
    return state in (JobState.WAITING, JobState.RUNNING, JobState.FAILED)


def _new(
    work: Work, key: UUID, reference: str, source: EliteReceiptSource, state: EliteBatchState
) -> EliteReceiptBatch:
    return work.add(
        EliteReceiptBatch(
            id=key, line=work.acting_line, reference=reference, source=source.value, state=state.value,
            rows=0, recorded=0, known=0, refused=0, amount=0, problems=[],
        )
    )  # fmt: skip


def _begin_again(batch: EliteReceiptBatch) -> None:
    batch.state, batch.finished_at = EliteBatchState.RECEIVED.value, None
    batch.rows = batch.recorded = batch.known = batch.refused = batch.amount = 0
    batch.problems = []


COMMANDS: dict[type[Command], Perform] = {RecordReceipts: record_receipts, ImportReceipts: import_receipts}
