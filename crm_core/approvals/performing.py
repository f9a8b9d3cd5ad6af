"""Performs what everybody signed: restored, checked against today's rights and data, in the signer's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crm_core import errors
from crm_core.access.queries import actor_of
from crm_core.actors import Actor
from crm_core.approvals import held
from crm_core.approvals.chain import ApprovalState
from crm_core.approvals.models import Approval
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
MESSAGES = (REQUESTER_GONE, CHANGED_SINCE)
_RIGHTS = frozenset({errors.FORBIDDEN.code, errors.UNKNOWN_LINE.code})


async def performed(work: Work, approval: Approval) -> ApprovalState:
    """What became of the change: APPROVED when it is made, else why not; details are written to the approval."""
    try:
        command = held.restored(approval, work.registry, work.services.keyring)
    except Refused as refused:
        return _failed(approval, ApprovalState.STALE, refused.errors)
    try:
        requester = await actor_of(_fetch(work), work.registry, approval.requester_id)
    except Unauthenticated:
        return _failed(approval, ApprovalState.NEEDS_ADOPTION, [REQUESTER_GONE()])
    approval.conflicts = await held.conflicts(work, approval)
    if approval.conflicts:
        return _failed(approval, ApprovalState.CONFLICT, [_changed_since(approval)])
    return await _performed_as(work, approval, command, requester)


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
        missing = any(e.code in _RIGHTS or _out_of_reach(e, command) for e in refused.errors)
        return _failed(
            approval, ApprovalState.NEEDS_ADOPTION if missing else ApprovalState.CONFLICT, refused.errors
        )
    _note_result(work, approval, outcome)
    return ApprovalState.APPROVED


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


def _changed_since(approval: Approval) -> UserError:
    names = sorted({str(c["field"] or c["table"]) for c in approval.conflicts})
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
