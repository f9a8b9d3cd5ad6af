"""Hands orders and their changes in for signatures, refuses what nobody would sign, and ends what need not be signed."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import select

from crm_auto_dealer.orders.models import OrderCard, OrderChange
from crm_core.approvals.commands import concluded
from crm_core.approvals.models import Approval
from crm_core.approvals.moving import SYSTEM, move
from crm_core.approvals.requests import SubmitRecord
from crm_core.approvals.starting import policy_for
from crm_core.approvals.words import ENDED, Terminate
from crm_core.errors import Message, Refused
from crm_core.work import Work

NOBODY_SIGNS = Message(
    "AUTO_DEALER_NOBODY_SIGNS",
    "No sign-off policy for {document} is in force in line {line}, so this could never take effect; enable the policy"
    " '{policy}' (approvalPolicySet with enabled: true), or set one of your own.",
    "业务线 {line} 没有针对 {document} 的有效审批规则，无法生效；请启用审批规则“{policy}”"
    "（approvalPolicySet，enabled: true），或自行设置审批规则。",
    rule="AD-050",
)
MESSAGES = (NOBODY_SIGNS,)
OFFERED: Final = {"OrderCard": "order card", "OrderChange": "order change"}
"""The policies offered to each line, by what they have signed."""
CALLED_OFF: Final = "订单已取消 The order was cancelled"


async def refuse_without_policy(work: Work, document: str, record: OrderCard | OrderChange) -> None:
    """Refuse what no policy of the line would have signed (AD-050, AD-051)."""
    if work.actor.user_id is None:  # the product itself; what it drafts is handed in by somebody
        return
    if await policy_for(work, work.acting_line, document, None, record) is None:
        raise Refused(NOBODY_SIGNS(document=document, line=work.acting_line, policy=OFFERED[document]))


async def handed_in(work: Work, shown: str) -> None:
    """Hand a record in, by the id it is shown with, as `approvalSubmit` does."""
    await work.flush()
    await work.run(SubmitRecord(record=shown))


async def signing_ended(work: Work, document: str, record: UUID) -> None:
    """End the request for signatures of a record that still waits, was returned or could not be performed, if any."""
    waiting = select(Approval).where(
        Approval.document == document,
        Approval.subject_id == record,
        Approval.state.not_in([state.value for state in ENDED]),
    )
    approval = (await work.session.execute(waiting.with_for_update())).scalars().first()
    if approval is not None:
        moved = await move(work, approval, Terminate(CALLED_OFF), work.actor.user_id or SYSTEM)
        concluded(work, approval, moved, CALLED_OFF)
