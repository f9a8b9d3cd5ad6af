"""Filing signed forms: who keeps the original and who a copy, in which department (表单归档、保管)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.approvals.commands import ApprovalId
from crm_core.approvals.events import ApprovalFiled
from crm_core.approvals.filed import ApprovalFiling, FiledForm
from crm_core.approvals.models import Approval
from crm_core.approvals.words import ApprovalState
from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused
from crm_core.work import Work

FILE = "approval.file"
NOT_SIGNED = Message(
    "APPROVAL_NOT_SIGNED",
    "Only what all have signed is filed; this approval is {state}.",
    "只有全部签署完成的表单才能归档，当前状态为 {state}。",
    "CS-193",
)
FILED_AHEAD = Message(
    "APPROVAL_FILED_AHEAD", "A form is not filed on a day to come.", "归档日期不得晚于今天。"
)
MESSAGES = (NOT_SIGNED, FILED_AHEAD)
Department = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class FileApproval(Command):
    """Record who keeps the original or a copy of a signed form (归档); an original is in one place at a time."""

    kind: ClassVar[str] = "approval.file"
    scope: ClassVar[str] = FILE
    returns: ClassVar[str | list[str]] = "Approval"
    subject: ClassVar[str | None] = "id"
    id: ApprovalId = Field(description="The approval (审批单).")
    form: FiledForm = Field(description="The ORIGINAL (原件) or a COPY (复印件).")
    department: Department = Field(description="Department that keeps it (保管部门).")
    keeper_id: UserId | None = Field(None, description="Who keeps it; default: you (保管人).")
    place: str = Field("", max_length=200, description="Cabinet, folder, or address in the store (存放位置).")
    filed_on: date | None = Field(None, description="Since when; default: today (归档日期).")
    note: str = Field("", max_length=1000, description="Remark (备注).")


async def file_approval(work: Work, command: FileApproval) -> Approval:
    """The approval with what is kept of it; an original moved, or a department's copy filed anew, ends what was."""
    approval: Approval = work.subject
    if approval.state != ApprovalState.APPROVED.value:
        raise Refused(NOT_SIGNED("id", state=approval.state))
    today = work.now.astimezone(work.services.calendar(approval.line).zone).date()
    filed_on = command.filed_on or today
    if filed_on > today:
        raise Refused(FILED_AHEAD("filedOn"))
    keeper = command.keeper_id or work.actor.user_id
    if keeper is None:
        raise Refused(NOT_SIGNED("keeperId", state=approval.state))
    await work.get(User, keeper, "keeperId")
    await _end(work, approval, command)
    work.add(
        ApprovalFiling(
            approval_id=approval.id,
            line=approval.line,
            form=command.form.value,
            department=command.department,
            place=command.place,
            note=command.note,
            keeper_id=keeper,
            filed_by_id=work.actor.user_id,
            filed_on=filed_on,
        )
    )
    shown = ApprovalFiled.of(
        approval, command=approval.kind, form=command.form.value, department=command.department
    )
    work.record(shown)
    return approval


async def _end(work: Work, approval: Approval, command: FileApproval) -> None:
    statement = select(ApprovalFiling).where(
        ApprovalFiling.approval_id == approval.id,
        ApprovalFiling.form == command.form.value,
        ApprovalFiling.ended_at.is_(None),
    )
    if command.form is FiledForm.COPY:
        statement = statement.where(ApprovalFiling.department == command.department)
    for known in (await work.session.execute(statement)).scalars():
        known.ended_at = work.now


COMMANDS: dict[type[Command], Perform] = {FileApproval: file_approval}
