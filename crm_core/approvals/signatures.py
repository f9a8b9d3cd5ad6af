"""Who signed a record, stage by stage: what a document asks when its last signature is given (签署记录)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.approvals.words import ApprovalAnswer, ApprovalState, ApprovalTaskKind, ApprovalTaskState
from crm_core.work import Work


@dataclass(frozen=True, slots=True)
class Signature:
    """One approval given: the number of its stage, from 0, who gave it and when; `user` None: nobody, by a deadline."""

    stage: int
    user: UUID | None
    at: datetime


async def signatures(work: Work, document: str, record: UUID) -> Sequence[Signature]:
    """The approvals given to a record in the present round of its latest request, in order.

    Called from a document's `told` at APPROVED, the signature being given is the last of them.
    """
    latest = (
        select(Approval)
        .where(Approval.subject_id == record, Approval.document == document)
        .order_by(Approval.id.desc())
        .limit(1)
    )
    approval = (await work.session.execute(latest)).scalars().first()
    if approval is None:
        return ()
    asked = select(ApprovalTask).where(
        ApprovalTask.approval_id == approval.id,
        ApprovalTask.round == approval.round,
        ApprovalTask.kind == ApprovalTaskKind.SIGN.value,
    )
    rows = (
        (await work.session.execute(asked.order_by(ApprovalTask.at, ApprovalTask.position))).scalars().all()
    )
    found = [
        Signature(row.stage, row.signer_id, row.at or work.now)
        for row in rows
        if row.state == ApprovalTaskState.DONE.value and row.answer == ApprovalAnswer.APPROVE.value
    ]
    now = [row.stage for row in rows if row.state == ApprovalTaskState.OPEN.value]
    if approval.state == ApprovalState.PENDING.value and now:
        found.append(Signature(max(now), work.actor.user_id, work.now))
    return tuple(found)
