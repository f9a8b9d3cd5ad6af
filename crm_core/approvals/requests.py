"""Handing in: a record for signatures, a returned request again; and signing several at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, ValidationError

from crm_core import errors, ids
from crm_core.approvals import held
from crm_core.approvals.attaching import ATTACHMENTS, SENSITIVE, Attachments, attach, with_papers
from crm_core.approvals.commands import REQUEST, ApprovalId, ApproveApproval, Comment, concluded, me
from crm_core.approvals.events import ApprovalAttached, ApprovalResubmitted
from crm_core.approvals.inbox import make_findable
from crm_core.approvals.models import Approval, ApprovalBatch
from crm_core.approvals.moving import SYSTEM, move, passes_over, policy_of
from crm_core.approvals.performing import performed
from crm_core.approvals.queries import SIGN, is_being_signed
from crm_core.approvals.starting import begun, change_held, keep_record, matter_for, policy_for
from crm_core.approvals.telling import tell
from crm_core.approvals.words import ApprovalState, Resubmit, Settle
from crm_core.commands import Command, Perform, Ref, user_errors
from crm_core.errors import Message, Refused
from crm_core.registry import Document
from crm_core.work import Work, perform_within, rehearsed

NO_DOCUMENT = Message(
    "APPROVAL_NO_DOCUMENT",
    "{id} is no record that is handed in for signatures.",
    "{id} 不是可提交审批的单据。",
)
NO_POLICY = Message(
    "APPROVAL_NO_POLICY",
    "No policy of line {line} wants this {type} signed; an administrator sets or enables one (approvalPolicySet).",
    "业务线 {line} 没有针对该单据（{type}）的审批规则，请由管理员设置或启用（approvalPolicySet）。",
)
SIGNED_ALREADY = Message(
    "APPROVAL_SUBMITTED_ALREADY",
    "The record has a request that is not decided; resubmit or withdraw that one.",
    "该单据已有未办结的审批，请重新提交或撤回该审批。",
)
OTHER_POLICY = Message(
    "APPROVAL_OTHER_POLICY",
    "Changed like this, the policy {policy} wants it signed; withdraw this request and ask anew.",
    "修改后应适用审批规则“{policy}”，请撤回本次申请后重新提交。",
)
MESSAGES = (NO_DOCUMENT, NO_POLICY, SIGNED_ALREADY, OTHER_POLICY)
BatchId = Annotated[UUID, Ref("ApprovalBatch", "apb")]


class SubmitRecord(Command):
    """Hand in a record for the signatures its policy asks for (提交审批); until then it may be changed freely."""

    kind: ClassVar[str] = "approval.submit"
    scope: ClassVar[str] = REQUEST
    returns: ClassVar[str | list[str]] = "Approval"
    sensitive: ClassVar[frozenset[str]] = SENSITIVE
    record: str = Field(max_length=80, description="Id of the record, as shown (单据).")
    attachments: Attachments = Field([], description=ATTACHMENTS)


async def submit(work: Work, command: SubmitRecord) -> Approval:
    """The request; the record hears of PENDING, and of every later state."""
    document, record = await handed_in(work, command.record)
    policy = await policy_for(work, work.acting_line, document.type, None, record)
    if policy is None:
        raise Refused(NO_POLICY("record", line=work.acting_line, type=document.type))
    if await is_being_signed(work.session, document.type, record.id):
        raise Refused(SIGNED_ALREADY("record"))
    state = await begun(work, policy, matter_for(policy, me(work), None, record))
    approval = keep_record(work, policy, state, record)
    given = await attach(work, approval, "submit", 0, command.attachments)
    if given:
        work.record(ApprovalAttached.of(approval, command=approval.kind, attachments=list(given)))
    await document.told(work, record, ApprovalState.PENDING.value)
    await make_findable(work, approval)
    if state.status is ApprovalState.APPROVED:  # nobody is asked: it goes its way at once
        await work.flush()
        moved = await move(work, approval, Settle(await performed(work, approval)), SYSTEM)
        return concluded(work, approval, moved, "")
    await tell(work, approval, state)
    return approval


async def handed_in(work: Work, shown: str) -> tuple[Document, Any]:
    """The record of this id with its declaration; refuses what is none, is hidden, or stands in another line."""
    try:
        prefix, key = ids.read(shown)
    except ValueError:
        raise Refused(NO_DOCUMENT("record", id=shown)) from None
    for document in work.registry.documents.values():
        kind = work.registry.types[document.type]
        if kind.prefix == prefix:
            if not work.actor.may(document.scope, work.acting_line):
                raise Refused(errors.FORBIDDEN(scope=document.scope, line=work.acting_line))
            record: Any = await work.get(kind.model, key, "record", lock=True)
            if getattr(record, "line", work.acting_line) != work.acting_line:
                raise Refused(errors.WRONG_LINE("line", given=work.acting_line, line=record.line))
            return document, record
    raise Refused(NO_DOCUMENT("record", id=shown))


class ResubmitApproval(Command):
    """Hand in again what was returned to you, or could not be performed, as it is or changed (重新提交)."""

    kind: ClassVar[str] = "approval.resubmit"
    scope: ClassVar[str] = REQUEST
    returns: ClassVar[str | list[str]] = "Approval"
    subject: ClassVar[str | None] = "id"
    sensitive: ClassVar[frozenset[str]] = SENSITIVE
    id: ApprovalId = Field(description="The approval (审批单).")
    to_returner: bool = Field(
        False,
        description="To the stage that returned it, not from the start (提交给退回人); from the start all the same "
        "where what was changed now needs a stage before that was left out.",
    )
    input: dict[str, Any] | None = Field(
        None, description="The whole input of the held command, changed; none: as it was (修改后的内容)."
    )
    comment: Comment = Field("", description="What to say with it (说明).")
    attachments: Attachments = Field([], description=ATTACHMENTS)


async def resubmit(work: Work, command: ResubmitApproval) -> Approval:
    """The request, asked anew; what a changed command would do is tried first."""
    approval: Approval = work.subject
    to_returner = command.to_returner
    if approval.requester_id == me(work):
        if approval.document is None:
            wanted = _changed(work, approval, command.input)
            subject, changes = await rehearsed(work, wanted, approval.line)
            await _refuse_other_policy(work, approval, wanted.kind, wanted, subject)
            change_held(work, approval, wanted, subject, changes)
        else:
            record = await held.subject_of(work, approval, lock=True)
            await _refuse_other_policy(work, approval, approval.document, None, record)
        to_returner = to_returner and not await passes_over(work, approval)
    verb = Resubmit(to_returner, command.comment)
    moved = await move(work, approval, verb, me(work))
    moved = await with_papers(work, approval, moved, verb, command.attachments)
    approval.decided_at = None if not moved.finished else approval.decided_at
    shown = list(moved.papers)
    work.record(ApprovalResubmitted.of(approval, command=approval.kind, attachments=shown))
    return concluded(work, approval, moved, command.comment) if moved.finished else approval


async def _refuse_other_policy(
    work: Work, approval: Approval, target: str, command: Command | None, record: Any
) -> None:
    """What is handed in again keeps its policy, unless it has become what another policy wants signed, or is forbidden."""
    wanted = await policy_for(work, approval.line, target, command, record)
    if wanted is not None and wanted.name != (await policy_of(work, approval)).name:
        raise Refused(OTHER_POLICY("input", policy=wanted.title or wanted.name))


def _changed(work: Work, approval: Approval, given: dict[str, Any] | None) -> Command:
    if given is None:
        return held.restored(approval, work.registry, work.services.keyring)
    spec = work.registry.commands.get(approval.kind)
    if spec is None:
        raise Refused(held.UNKNOWN_COMMAND(kind=approval.kind))
    try:
        return spec.command.model_validate(given)
    except ValidationError as error:
        found = user_errors(error)
        raise Refused(
            *(replace(e, field=f"input.{e.field}" if e.field else "input") for e in found)
        ) from None


# -- several at once


class ApproveMany(Command):
    """Sign several requests at once; each stands for itself, and what could not be signed says why (批量同意)."""

    kind: ClassVar[str] = "approval.approve_many"
    scope: ClassVar[str] = SIGN
    returns: ClassVar[str | list[str]] = "ApprovalBatch"
    on_line: ClassVar[bool] = False
    approvals: list[ApprovalId] = Field(min_length=1, max_length=100, description="The requests (审批单).")
    comment: Comment = Field("", description="What to say with each (审批意见).")


async def approve_many(work: Work, command: ApproveMany) -> ApprovalBatch:
    """The batch with what came of each; those that were refused are as before."""
    wanted = dict.fromkeys(command.approvals)
    done = {
        key: await _one(work, key, command.comment) for key in sorted(wanted)
    }  # everybody locks in one order
    return work.add(ApprovalBatch(user_id=me(work), results=[done[key] for key in wanted]))


async def _one(work: Work, key: UUID, comment: str) -> dict[str, Any]:
    shown = ids.show("apr", key)
    options = replace(work.options, line=None, idempotency_key=None, expected_version=None)
    await work.session.flush()
    work.changes.pause()
    try:
        async with work.session.begin_nested():
            wish = ApproveApproval(id=key, comment=comment)
            await perform_within(work.services, work.session, work.actor, wish, options)
    except Refused as refused:
        return {"approval": shown, "errors": [dict(e.as_json()) for e in refused.errors]}
    finally:
        work.changes.resume()
    approval = await work.session.get(Approval, key)
    return {"approval": shown, "errors": [], "state": approval.state if approval is not None else None}


COMMANDS: dict[type[Command], Perform] = {
    SubmitRecord: submit,
    ResubmitApproval: resubmit,
    ApproveMany: approve_many,
}
