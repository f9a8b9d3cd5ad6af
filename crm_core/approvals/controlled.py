"""The register of controlled documents (受控文件): drafted, signed by policy, in force, revised, replaced."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core.approvals.events import ControlledDocumentChanged
from crm_core.approvals.filed import ControlledDocument, ControlledKind, ControlledState
from crm_core.approvals.signatures import signatures
from crm_core.approvals.words import ApprovalState
from crm_core.commands import Command, Perform, Ref, omitted
from crm_core.errors import Message, Refused
from crm_core.registry import Document
from crm_core.work import Work

READ, WRITE = "controlled_document.read", "controlled_document.write"
TAKEN = Message(
    "CONTROLLED_DOCUMENT_EXISTS",
    "{number}, issue {issue}, revision {revision} exists already.",
    "文件 {number} 第 {issue} 版第 {revision} 次修订已存在。",
    "CS-188",
)
NOT_DRAFT = Message(
    "CONTROLLED_DOCUMENT_SETTLED",
    "The document is {state} and is not changed; revise the one in force.",
    "文件状态为 {state}，不能修改，请对现行文件进行修订。",
    "CS-200",
)
NOT_IN_FORCE = Message(
    "CONTROLLED_DOCUMENT_NOT_IN_FORCE",
    "The document is {state}; only one in force is revised.",
    "文件状态为 {state}，只有现行文件才能修订。",
    "CS-200",
)
MESSAGES = (TAKEN, NOT_DRAFT, NOT_IN_FORCE)

DocumentId = Annotated[UUID, Ref("ControlledDocument", "cdo")]
Number = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Department = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class DraftControlledDocument(Command):
    """Draft a controlled document (编制文件). It is in force once all have signed it; who drafts is its preparer."""

    kind: ClassVar[str] = "controlled_document.draft"
    scope: ClassVar[str] = WRITE
    returns: ClassVar[str | list[str]] = "ControlledDocument"
    document_kind: ControlledKind = Field(description="POLICY 制度, RULES 实施细则, FORM 表格, TABLE 年度表.")
    number: Number = Field(description="Document number, e.g. ZD-055 (文件编号).")
    title: Title = Field(description="Name of the system or form (制度名称).")
    department: Department = Field(description="Executing department (执行部门).")
    pages: int = Field(ge=1, le=10_000, description="Pages (页数).")
    issue: int = Field(1, ge=1, le=10_000, description="Issue (发行版次).")
    year: int | None = Field(None, ge=1900, le=9999, description="Year of an annual table (年度).")
    place: str = Field("", max_length=300, description="Where its text is kept (存放位置).")
    review_months: int | None = Field(
        None, ge=1, le=120, description="Months after approval when it is due for revision (修订周期)."
    )


async def draft(work: Work, command: DraftControlledDocument) -> ControlledDocument:
    """The draft, revision 0."""
    values = command.model_dump(exclude={"document_kind"})
    return await _made(work, kind=command.document_kind.value, revision=0, **values)


class UpdateControlledDocument(Command):
    """Change the draft of a controlled document (修改文件草稿); who changes it is its preparer from now on."""

    kind: ClassVar[str] = "controlled_document.update"
    scope: ClassVar[str] = WRITE
    returns: ClassVar[str | list[str]] = "ControlledDocument"
    subject: ClassVar[str | None] = "id"
    id: DocumentId = Field(description="The draft (文件).")
    title: Title = omitted(description="Name (制度名称).")
    department: Department = omitted(description="Executing department (执行部门).")
    pages: int = omitted(ge=1, le=10_000, description="Pages (页数).")
    place: str = omitted(max_length=300, description="Where its text is kept (存放位置).")


async def update(work: Work, command: UpdateControlledDocument) -> ControlledDocument:
    """The changed draft; refuses any other state."""
    document: ControlledDocument = work.subject
    if document.state != ControlledState.DRAFT.value:
        raise Refused(NOT_DRAFT("id", state=document.state))
    for name in command.given().keys() - {"id"}:
        setattr(document, name, getattr(command, name))
    document.prepared_by_id, document.prepared_on = work.actor.user_id, _today(work, document.line)
    _tell(work, document)
    return document


class ReviseControlledDocument(Command):
    """Begin a revision of a document in force (修订文件): a draft of its own; what is in force stays so until signed."""

    kind: ClassVar[str] = "controlled_document.revise"
    scope: ClassVar[str] = WRITE
    returns: ClassVar[str | list[str]] = "ControlledDocument"
    subject: ClassVar[str | None] = "id"
    id: DocumentId = Field(description="The document in force (现行文件).")
    new_issue: bool = Field(False, description="As a new issue with revision 0 (换版).")
    year: int | None = omitted(ge=1900, le=9999, description="Year of an annual table (年度).")
    pages: int = omitted(ge=1, le=10_000, description="Pages (页数).")
    place: str = omitted(max_length=300, description="Where its text is kept (存放位置).")


async def revise(work: Work, command: ReviseControlledDocument) -> ControlledDocument:
    """The draft of the next revision, or of the next issue."""
    old: ControlledDocument = work.subject
    if old.state != ControlledState.IN_FORCE.value:
        raise Refused(NOT_IN_FORCE("id", state=old.state))
    kept = ("kind", "number", "title", "department", "pages", "year", "place", "review_months")
    given = {k: v for k, v in command.given().items() if k in kept}
    values = {name: getattr(old, name) for name in kept} | given
    step = (old.issue + 1, 0) if command.new_issue else (old.issue, old.revision + 1)
    return await _made(work, issue=step[0], revision=step[1], **values)


async def _made(work: Work, **values: Any) -> ControlledDocument:
    line = work.acting_line
    same = select(ControlledDocument.id).where(
        ControlledDocument.line == line,
        ControlledDocument.number == values["number"],
        ControlledDocument.issue == values["issue"],
        ControlledDocument.revision == values["revision"],
    )
    if (await work.session.execute(same)).first() is not None:
        shown = {name: values[name] for name in ("number", "issue", "revision")}
        raise Refused(TAKEN("number", **shown))
    who, today = work.actor.user_id, _today(work, line)
    document = work.add(
        ControlledDocument(
            line=line, state=ControlledState.DRAFT.value, prepared_by_id=who, prepared_on=today, **values
        )
    )
    _tell(work, document)
    return document


# -- signing


async def told(work: Work, document: ControlledDocument, state: str) -> None:
    """A request's state is the document's; with the last signature it is in force and its predecessor replaced."""
    if state == ApprovalState.APPROVED.value:
        await _into_force(work, document)
    elif state == ApprovalState.PENDING.value:
        if document.state not in (ControlledState.DRAFT.value, ControlledState.PENDING.value):
            raise Refused(NOT_DRAFT("record", state=document.state))
        document.state = ControlledState.PENDING.value
    else:
        document.state = ControlledState.DRAFT.value
    _tell(work, document)


async def _into_force(work: Work, document: ControlledDocument) -> None:
    """Approver is who signs last; reviewer who signed last in a stage before (审核人、批准人)."""
    zone = work.services.calendar(document.line).zone
    given = await signatures(work, "ControlledDocument", document.id)
    for one in given:
        day = one.at.astimezone(zone).date()
        if one.stage < given[-1].stage:
            document.reviewed_by_id, document.reviewed_on = one.user, day
        else:
            document.approved_by_id, document.approved_on = one.user, day
    before = select(ControlledDocument).where(
        ControlledDocument.line == document.line,
        ControlledDocument.state == ControlledState.IN_FORCE.value,
        ControlledDocument.number == document.number,
    )
    for old in (await work.session.execute(before)).scalars():
        old.state = ControlledState.REPLACED.value
        old.review_due_on = None
        _tell(work, old)
    document.state = ControlledState.IN_FORCE.value
    if document.review_months is not None:
        document.review_due_on = _months_on(_today(work, document.line), document.review_months)


def _months_on(day: date, months: int) -> date:
    """The same day so many months later; the last of the month where there is no such day."""
    years, month = divmod(day.month - 1 + months, 12)
    first = date(day.year + years, month + 1, 1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first.replace(day=min(day.day, (following - first).days))


def _today(work: Work, line: str) -> date:
    return work.now.astimezone(work.services.calendar(line).zone).date()


def _tell(work: Work, document: ControlledDocument) -> None:
    work.record(
        ControlledDocumentChanged.of(
            document,
            number=document.number,
            issue=document.issue,
            revision=document.revision,
            state=document.state,
        )
    )


def _title(document: ControlledDocument) -> str:
    year = f" {document.year}" if document.year is not None else ""
    return f"{document.number} {document.title}{year}"


DOCUMENT = Document("ControlledDocument", WRITE, told, _title)
COMMANDS: dict[type[Command], Perform] = {
    DraftControlledDocument: draft,
    UpdateControlledDocument: update,
    ReviseControlledDocument: revise,
}
