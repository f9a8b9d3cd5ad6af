"""Tables of imports: one row per run, and what was found in rows that did not come in as they were."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import JsonValue, UtcDateTime


class ImportSubject(StrEnum):
    """What the rows of a file are: customers (客户) or interactions (跟进记录)."""

    CUSTOMERS = "CUSTOMERS"
    INTERACTIONS = "INTERACTIONS"


class ImportState(StrEnum):
    """How far an import has come: READY 待执行, RUNNING 执行中 (or interrupted), DONE 已完成."""

    READY = "READY"
    RUNNING = "RUNNING"
    DONE = "DONE"


class OnError(StrEnum):
    """What wrong rows do to an import: REJECT_ALL refuses the whole file, REJECT_ROWS only those rows."""

    REJECT_ALL = "REJECT_ALL"
    REJECT_ROWS = "REJECT_ROWS"


class UpdateBy(StrEnum):
    """By what a customer who has no id of the source yet is taken for an existing one (匹配方式)."""

    EXTERNAL_ID = "EXTERNAL_ID"
    PHONE = "PHONE"
    CREDIT_CODE = "CREDIT_CODE"


class FindingKind(StrEnum):
    """What became of a row: REFUSED 拒绝, HELD 待审批, or imported with BLANKED fields (留空) or a WARNING (提示)."""

    REFUSED = "REFUSED"
    HELD = "HELD"
    BLANKED = "BLANKED"
    WARNING = "WARNING"


class ImportRun(Aggregate):
    """One import of one file into one line (导入), resumable at `position`, the number of the last row dealt with.

    `digest` stands for file, mapping, options, source and line together: the same import again finds the unfinished
    run. `tallies` counts reasons: skipped, rejected, blanked, warnings by code.
    """

    __tablename__ = "import_runs"
    __table_args__ = (
        Index("ix_import_runs_line_id", "line", "id"),
        Index("ix_import_runs_line_state_id", "line", "state", "id"),
        Index("ix_import_runs_digest", "digest"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "sample": Personal("content", "Showing those who sign what a file holds", retention_days=90),
    }

    line: Mapped[str] = mapped_column(LineCode)
    subject: Mapped[str] = mapped_column(String(40))
    source: Mapped[str] = mapped_column(String(60))
    file_name: Mapped[str] = mapped_column(String(300))
    file_sha256: Mapped[str] = mapped_column(String(64))
    mapping: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    options: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(40), default=ImportState.READY.value)
    rows: Mapped[int] = mapped_column(Integer)
    sample: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    position: Mapped[int] = mapped_column(Integer, default=1)
    read: Mapped[int] = mapped_column(Integer, default=0)
    created: Mapped[int] = mapped_column(Integer, default=0)
    updated: Mapped[int] = mapped_column(Integer, default=0)
    unchanged: Mapped[int] = mapped_column(Integer, default=0)
    skipped: Mapped[int] = mapped_column(Integer, default=0)
    held: Mapped[int] = mapped_column(Integer, default=0)
    rejected: Mapped[int] = mapped_column(Integer, default=0)
    tallies: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    requested_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    approval_id: Mapped[UUID | None] = mapped_column(ForeignKey("approvals.id"))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ImportFinding(Record):
    """What was found in one row of a run: reasons as code, column and parameters, worded later for the reader.

    Refused customers are remembered here, so that their interactions are told from those of unknown customers.
    """

    __tablename__ = "import_findings"
    __table_args__ = (
        UniqueConstraint("run_id", "kind", "row"),
        Index("ix_import_findings_line_source_external_id", "line", "source", "external_id"),
        Index("ix_import_findings_run_id_row_id", "run_id", "row", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {
        "external_id": Personal("identity", "Telling a refused customer from an unknown one"),
        "problems": Personal("content", "Saying what is wrong in a row", retention_days=365),
    }

    run_id: Mapped[UUID] = mapped_column(ForeignKey("import_runs.id"))
    line: Mapped[str] = mapped_column(LineCode)
    source: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    row: Mapped[int] = mapped_column(Integer)
    external_id: Mapped[str | None] = mapped_column(String(120))
    approval_id: Mapped[UUID | None] = mapped_column(ForeignKey("approvals.id"))
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)


TABLES: tuple[type[Any], ...] = (ImportRun, ImportFinding)
