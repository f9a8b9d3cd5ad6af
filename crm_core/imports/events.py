"""Facts about imports."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event

_PUBLIC = (
    "line", "subject", "source", "file_name", "state", "rows", "read", "created", "updated", "unchanged", "skipped",
    "held", "rejected",
)  # fmt: skip


class _OfImport(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "ImportRun"
    public: ClassVar[tuple[str, ...]] = _PUBLIC


class ImportRegistered(_OfImport):
    """An import was registered and may be carried out (导入已登记)."""

    kind: ClassVar[str] = "import.registered"


class ImportFinished(_OfImport):
    """Every row of an import was dealt with (导入已完成)."""

    kind: ClassVar[str] = "import.finished"


EVENTS: tuple[type[Event], ...] = (ImportRegistered, ImportFinished)
