"""How long an approval stays valid, and for what: within it the same is not signed again (审批有效期、适用范围)."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from uuid import UUID

from pydantic.alias_generators import to_snake
from sqlalchemy import select

from crm_core.approvals.models import Approval, ApprovalPolicy
from crm_core.approvals.words import ApprovalState
from crm_core.commands import Command
from crm_core.work import Work

MOST_LOOKED_AT = 100


def valid_until(work: Work, policy: ApprovalPolicy) -> datetime | None:
    """When what is approved now ceases to be valid: at midnight in the line's zone; None: it is good for once."""
    if policy.valid_days is None:
        return None
    zone = work.services.calendar(policy.line).zone
    last = work.now.astimezone(zone).date() + timedelta(days=policy.valid_days)
    return datetime.combine(last, time.min, zone)


async def standing(work: Work, policy: ApprovalPolicy, command: Command) -> UUID | None:
    """The valid approval of the same kind, requester, record and scope; None where signatures are wanted anew (CS-205)."""
    if policy.valid_days is None:
        return None
    statement = select(Approval).where(
        Approval.requester_id == work.actor.user_id,
        Approval.kind == command.kind,
        Approval.valid_until > work.now,
        Approval.line == policy.line,
        Approval.state == ApprovalState.APPROVED.value,
        Approval.command_version == command.version,
        Approval.policy_id.in_(
            select(ApprovalPolicy.id).where(
                ApprovalPolicy.line == policy.line, ApprovalPolicy.name == policy.name
            )
        ),
    )
    if command.subject is not None:
        statement = statement.where(Approval.subject_id == work.subject.id)
    wanted, names = command.body(), [_name(path) for path in policy.valid_for]
    found = (
        await work.session.execute(statement.order_by(Approval.id.desc()).limit(MOST_LOOKED_AT))
    ).scalars()
    return next(
        (one.id for one in found if all(one.body.get(name) == wanted.get(name) for name in names)), None
    )


def _name(path: str) -> str:
    return to_snake(path.rpartition(".")[2])
