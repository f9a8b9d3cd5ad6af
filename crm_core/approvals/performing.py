"""Performs what everybody signed: restored, checked against today's rights and data, in the signer's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_core import errors, ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor
from crm_core.approvals import held
from crm_core.approvals.large import job_for, put_off
from crm_core.approvals.locks import LOCKED, documents_changed, is_locked
from crm_core.approvals.models import Approval
from crm_core.approvals.words import ApprovalState
from crm_core.commands import Command, Options, Outcome
from crm_core.errors import Message, Refused, Unauthenticated, UserError
from crm_core.graphql.context import Fetch
from crm_core.work import Work, perform_held

REQUESTER_GONE = Message(
    "APPROVAL_REQUESTER_GONE",
    "Who asked for the change can no longer act; somebody else has to ask for it.",
    "申请人已停用，需由他人重新提交。",
)
CHANGED_SINCE = Message(
    "APPROVAL_CHANGED_SINCE",
    "{fields} changed after the request was made; ask for the change again.",
    "提交申请之后 {fields} 已被修改，请重新提交。",
)
NOT_RECALLABLE = Message(
    "APPROVAL_NOT_RECALLABLE",
    "What was performed cannot be taken back, or not any more; change the record instead.",
    "该变更已执行，不可撤回或已超过撤回期限，请直接修改记录。",
)
MESSAGES = (REQUESTER_GONE, CHANGED_SINCE, NOT_RECALLABLE)
_RIGHTS = frozenset({errors.FORBIDDEN.code, errors.UNKNOWN_LINE.code})


async def performed(work: Work, approval: Approval) -> ApprovalState:
    """What became of the change: APPROVED when it is made, else why not; details are written to the approval.

    PERFORMING: it is one of many records, and a job was asked to make it.
    """
    approval.reasons, approval.conflicts = [], []
    if approval.document is not None:
        return await _passed(work, approval)
    try:
        command = held.restored(approval, work.registry, work.services.keyring)
    except Refused as refused:
        return _failed(approval, ApprovalState.STALE, refused.errors)
    try:
        requester = await actor_of(_fetch(work), work.registry, approval.requester_id)
    except Unauthenticated:
        return _failed(approval, ApprovalState.NEEDS_ADOPTION, [REQUESTER_GONE()])
    if (job := job_for(work, command)) is not None:
        await put_off(work, approval, command, job)
        return ApprovalState.PERFORMING
    approval.conflicts = await held.conflicts(work, approval)
    reasons = await in_the_way(work, command, approval.conflicts)
    if reasons:
        return _failed(approval, ApprovalState.CONFLICT, reasons)
    return await _performed_as(work, approval, command, requester)


async def in_the_way(work: Work, command: Command, conflicts: Sequence[Mapping[str, Any]]) -> list[UserError]:
    """Why the change must not be made now: fields changed since it was asked for, a document that is being signed."""
    if conflicts:
        return [changed_since(conflicts)]
    return [LOCKED()] if await is_locked(work, documents_changed(work, command)) else []


async def _passed(work: Work, approval: Approval) -> ApprovalState:
    """A record that all have signed goes its way."""
    record = await held.subject_of(work, approval)
    document = work.registry.documents.get(str(approval.document))
    if record is None or document is None:
        return _failed(approval, ApprovalState.STALE, [held.UNKNOWN_COMMAND(kind=str(approval.document))])
    try:
        async with work.session.begin_nested():
            await document.told(work, record, "APPROVED")
            await work.flush()
    except Refused as refused:
        return _failed(approval, ApprovalState.CONFLICT, refused.errors)
    approval.result_refs = [str(approval.subject_ref)]
    return ApprovalState.APPROVED


async def compensated(work: Work, approval: Approval) -> None:
    """Undo what was performed by the command's own compensation, with the rights of who takes it back."""
    command = compensation_of(work, approval)
    if command is None:
        raise Refused(NOT_RECALLABLE("id"))
    await work.flush()
    options = Options(line=approval.line, request_id=work.options.request_id, channel="approval")
    await perform_held(work, work.actor, command, options, approval.id, work.actor.user_id)


def compensation_of(work: Work, approval: Approval) -> Command | None:
    """The command that would undo this approval's change; None where there is none."""
    if approval.document is not None:
        return None
    made = [ids.read(ref)[1] for ref in approval.result_refs if "_" in ref]
    own: Mapping[str, Any] = next((e["values"] for e in approval.base if e["key"] == _key(approval)), {})
    return held.restored(approval, work.registry, work.services.keyring).compensation(made, own)


def _key(approval: Approval) -> str:
    return approval.subject_id.hex if approval.subject_id is not None else ""


async def _performed_as(work: Work, approval: Approval, command: Command, requester: Actor) -> ApprovalState:
    options = Options(
        reason=approval.options.get("reason"),
        line=approval.line,
        request_id=work.options.request_id,
        channel="approval",
    )
    try:
        outcome = await perform_held(work, requester, command, options, approval.id, work.actor.user_id)
    except Refused as refused:
        return _failed(approval, not_performed(refused.errors, command), refused.errors)
    _note_result(work, approval, outcome)
    return ApprovalState.APPROVED


def not_performed(reasons: Iterable[UserError], command: Command) -> ApprovalState:
    """The state of an approval whose change was refused: NEEDS_ADOPTION where its requester lacks a right, else CONFLICT."""
    missing = any(e.code in _RIGHTS or _out_of_reach(e, command) for e in reasons)
    return ApprovalState.NEEDS_ADOPTION if missing else ApprovalState.CONFLICT


def _out_of_reach(error: UserError, command: Command) -> bool:
    """The record is still there, or a conflict had been found, but the requester no longer sees it."""
    return (
        error.code == errors.NOT_FOUND.code and command.subject is not None and error.field == command.subject
    )


def _note_result(work: Work, approval: Approval, outcome: Outcome) -> None:
    kind = work.registry.types[outcome.type]
    approval.result_refs = [held.shown_id(kind.model, one, work.registry) for one in outcome.ids]
    if approval.subject_id is None and len(outcome.ids) == 1 and approval.subject_type == outcome.type:
        approval.subject_id, approval.subject_ref = outcome.ids[0], approval.result_refs[0]


def _failed(approval: Approval, status: ApprovalState, reasons: Iterable[UserError]) -> ApprovalState:
    approval.reasons = [dict(reason.as_json()) for reason in reasons]
    return status


def changed_since(conflicts: Iterable[Mapping[str, Any]]) -> UserError:
    """Which fields hold another value than when the change was asked for."""
    names = sorted({str(c["field"] or c["table"]) for c in conflicts})
    return CHANGED_SINCE(fields=", ".join(names))


def _fetch(work: Work) -> Fetch:
    async def fetch(statement: Any) -> Any:
        return (await work.session.execute(statement)).all()

    return fetch


async def stale(work: Work, approvals: Iterable[Approval]) -> list[Approval]:
    """Those of these waiting approvals whose command today's product no longer understands, for `crm db check`."""
    found = []
    for approval in approvals:
        try:
            held.restored(approval, work.registry, work.services.keyring)
        except Refused:
            found.append(approval)
    return found
