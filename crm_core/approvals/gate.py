"""Holds a command that a policy of its line wants signed, and refuses one on a record that is being signed."""

from __future__ import annotations

from crm_core.approvals.inbox import make_findable
from crm_core.approvals.known import OWN_VERBS
from crm_core.approvals.locks import LOCKED, documents_changed, is_locked
from crm_core.approvals.standing import standing
from crm_core.approvals.starting import begun, keep_command, matter_for, policy_for
from crm_core.approvals.telling import tell
from crm_core.approvals.words import ApprovalState
from crm_core.commands import Command, CommandSpec, Held
from crm_core.errors import Refused
from crm_core.work import Work, rehearse


async def hold(work: Work, command: Command, spec: CommandSpec) -> Held | None:
    """The approval this command waits as, or None: no policy wants it signed, or the product itself acts.

    What was signed and stays valid is not held again; the audit names that approval. What performing would refuse is
    refused now. A bulk command is held as one, also by a policy about the command it does to many. A command without
    a line waits in the line whose policy holds it.
    """
    if work.actor.is_system or work.actor.user_id is None or spec.kind.startswith(OWN_VERBS):
        return None
    await _refuse_locked(work, command)
    policy = await policy_for(work, work.line, command.kind, command, work.subject)
    if policy is None:
        return None
    if (covering := await standing(work, policy, command)) is not None:
        work.approval = covering
        return None
    state = await begun(work, policy, matter_for(policy, work.actor.user_id, command, work.subject))
    if state.status is not ApprovalState.PENDING:
        return None  # every stage is left out for this command, or passes by itself
    changes = await rehearse(work, command, spec)
    approval = keep_command(work, policy, state, command, changes)
    await make_findable(work, approval)
    await tell(work, approval, state)
    return Held(approval.id)


async def _refuse_locked(work: Work, command: Command) -> None:
    """Records that a command names beside its subject are asked about here, the subject with the policies of its line."""
    records = documents_changed(work, command)
    if work.subject is not None:
        records.discard(work.subject.id)
    if await is_locked(work, records):
        raise Refused(LOCKED())
