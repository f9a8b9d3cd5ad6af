"""Registering an import: one command for the whole file, so that one policy and one signature decide on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, StringConstraints, ValidationError
from sqlalchemy import select

from crm_core.commands import Command, Perform
from crm_core.errors import Json, Message, Refused
from crm_core.imports import mapping as mappings
from crm_core.imports import store
from crm_core.imports.events import ImportRegistered
from crm_core.imports.mapping import MappingProblem, Subject
from crm_core.imports.models import ImportRun, ImportState, OnError, UpdateBy
from crm_core.work import Work

FILE_NOT_STORED = Message(
    "IMPORT_FILE_NOT_STORED",
    "No file {sha256} is in the store; `crm import` puts it there.",
    "文件存储中没有 {sha256}，请用 `crm import` 导入。",
)
MAPPING_UNUSABLE = Message(
    "IMPORT_MAPPING_UNUSABLE", "The mapping cannot be used: {problem}.", "字段映射不可用：{problem}。"
)
FILE_REFUSED = Message(
    "IMPORT_FILE_REFUSED",
    "{rows} row(s) are wrong, so nothing is imported. Mend them, or import the others with on-error reject-rows.",
    "有 {rows} 行有误，未导入任何数据。请更正，或用 reject-rows 只导入其余各行。",
)
NOT_REACHED = Message(
    "IMPORT_CUSTOMER_NOT_REACHED",
    "The customer with number {external_id} exists, but not among yours in this line.",
    "编号 {external_id} 的客户已存在，但不在您于本业务线的客户之列。",
)
AMBIGUOUS = Message(
    "IMPORT_CUSTOMER_AMBIGUOUS",
    "{count} customers match by {by}; give the row the number of the right one.",
    "按 {by} 匹配到 {count} 个客户，请为该行填写正确的客户编号。",
)
NOT_ACCEPTED = Message(
    "IMPORT_ROW_NOT_ACCEPTED",
    "The database does not take the row: {problem}",
    "数据库不接受该行：{problem}",
)
MESSAGES = (FILE_NOT_STORED, MAPPING_UNUSABLE, FILE_REFUSED, NOT_REACHED, AMBIGUOUS, NOT_ACCEPTED)

Source = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=r"^[\w.-]+$")
]


SIGNED_JOB: Final = "imports.perform"


class ImportFile(Command):
    """What decides an import; base of the commands that register one. Once signed, a job carries it out."""

    kind: ClassVar[str] = ""
    signed_job: ClassVar[str | None] = SIGNED_JOB
    scope: ClassVar[str] = "import.run"
    returns: ClassVar[str | list[str]] = "ImportRun"
    rows_are: ClassVar[Subject]

    file: str = Field(
        pattern="^[0-9a-f]{64}$", description="SHA-256 of the file in the local store, hex (文件)."
    )
    file_name: str = Field(min_length=1, max_length=300, description="Its name for people (文件名).")
    source: Source = Field(description="The other system, e.g. dms; ids are unique per source (来源系统).")
    mapping: dict[str, Any] = Field(description="Which header is which field (字段映射).")
    on_error: OnError = Field(OnError.REJECT_ALL, description="What wrong rows do (出错处理).")
    lenient: bool = Field(
        False, description="Leave wrong fields blank instead of refusing the row (宽松模式)."
    )
    update_existing_by: UpdateBy = Field(
        UpdateBy.EXTERNAL_ID,
        description="By what a customer without an id of the source is found (匹配方式).",
    )
    as_of: date = Field(description="Local day of the export; later days lie in the future (导出日期).")
    sheet: str | None = Field(
        None, max_length=100, description="Sheet of a workbook; default: the first (工作表)."
    )
    rows: int = Field(0, ge=0, description="Rows of the file, as counted before (行数).")
    sample: list[dict[str, Any]] = Field([], max_length=5, description="A few rows for who signs (样例).")

    def records(self) -> int:
        """As many as the file has rows."""
        return self.rows

    def digest(self, line: str) -> str:
        """What tells this import from others: file, mapping, options, source and line; not name, counts and sample."""
        said = self.model_dump(mode="json", exclude={"file_name", "rows", "sample"})
        return hashlib.sha256(json.dumps([self.kind, line, said], sort_keys=True).encode()).hexdigest()

    def options(self) -> dict[str, Json]:
        """The options as a run keeps them."""
        wanted = {"on_error", "lenient", "update_existing_by", "as_of", "sheet"}
        kept: dict[str, Json] = self.model_dump(mode="json", include=wanted, by_alias=False)
        return kept


class ImportCustomers(ImportFile):
    """Import customers from a file in the store (导入客户); `crm import` puts it there and carries the import out."""

    kind = "customer.import"
    rows_are = Subject.CUSTOMERS


class ImportInteractions(ImportFile):
    """Import interactions from a file in the store (导入跟进记录), matched to customers by their number in the source."""

    kind = "interaction.import"
    rows_are = Subject.INTERACTIONS


async def register(work: Work, command: ImportFile) -> ImportRun:
    """The run, ready to be carried out; the same import that is not over yet is given back as it stands."""
    _refuse_unusable(work, command)
    digest = command.digest(work.acting_line)
    known = select(ImportRun).where(ImportRun.digest == digest, ImportRun.state != ImportState.DONE.value)
    run = (await work.session.scalars(known)).first()
    if run is not None:
        return run
    run = ImportRun(
        line=work.acting_line,
        subject=command.rows_are.name,
        source=command.source,
        file_name=command.file_name,
        file_sha256=command.file,
        mapping=command.mapping,
        options=command.options(),
        digest=digest,
        state=ImportState.READY.value,
        rows=command.rows,
        sample=command.sample,
        tallies={},
        requested_by_id=work.actor.user_id,
        approval_id=work.approval,
    )
    work.add(run)
    work.record(ImportRegistered.of(run))
    return run


def _refuse_unusable(work: Work, command: ImportFile) -> None:
    if not store.place(work.services.store, command.file).exists():
        raise Refused(FILE_NOT_STORED("file", sha256=command.file))
    try:
        mapping = mappings.Mapping.model_validate(command.mapping)
        mappings.checked(mapping)
    except (ValidationError, MappingProblem) as error:
        raise Refused(MAPPING_UNUSABLE("mapping", problem=str(error).split("\n")[0][:300])) from None
    if mapping.subject is not command.rows_are:
        raise Refused(MAPPING_UNUSABLE("mapping", problem=f"it is for {mapping.subject.value}"))


class FinishImport(Command):
    """The end of a run, for its audit entry; performed by the importer itself, not a mutation."""

    kind: ClassVar[str] = "import.finish"
    scope: ClassVar[str] = "import.run"
    returns: ClassVar[str | list[str]] = "ImportRun"


COMMANDS: Mapping[type[Command], Perform] = {ImportCustomers: register, ImportInteractions: register}
