"""Facts about fees received."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from crm_core.outbox.events import Event


class _OfBatch(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteReceiptBatch"
    public: ClassVar[tuple[str, ...]] = (
        "reference", "source", "state", "sha256", "rows", "recorded", "known", "refused", "amount",
    )  # fmt: skip


class EliteReceiptsHandedIn(_OfBatch):
    """A file of receipts was handed in; a job reads it (实收文件提交)."""

    kind: ClassVar[str] = "elite_receipts.handed_in"


class EliteReceiptsRecorded(_OfBatch):
    """Receipts were recorded (实收入账): how many just now, known before, refused; the sum of the new ones in yuan."""

    kind: ClassVar[str] = "elite_receipts.recorded"
    recorded_now: int
    known_now: int
    refused_now: int
    amount_now: Decimal


class EliteReceiptsImported(_OfBatch):
    """A file of receipts was read to its end (实收文件导入完成)."""

    kind: ClassVar[str] = "elite_receipts.imported"


class EliteReceiptsImportFailed(_OfBatch):
    """A file of receipts cannot be read (实收文件导入失败)."""

    kind: ClassVar[str] = "elite_receipts.import_failed"


EVENTS: tuple[type[Event], ...] = (
    EliteReceiptsHandedIn,
    EliteReceiptsRecorded,
    EliteReceiptsImported,
    EliteReceiptsImportFailed,
)
