"""Holds a command that a policy of its line wants signed: rehearses it, keeps it as an approval, asks the signers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from crm_core import ids
from crm_core.approvals import held
from crm_core.approvals.chain import ApprovalRule, Effects, Illegal, Slot, Stage, State, Task, start
from crm_core.approvals.commands import NO_SIGNER, STATE, UNGATED, show_tasks
from crm_core.approvals.events import ApprovalRequested
from crm_core.approvals.models import Approval, ApprovalPolicy
from crm_core.approvals.policy import STAGES, ApprovalSlot, ApprovalStage
from crm_core.approvals.queries import holders, is_enabled, policy_for
from crm_core.commands import Change, Command, CommandSpec, Held
from crm_core.errors import Refused
from crm_core.work import Work, rehearse, without_secrets


async def hold(work: Work, command: Command, spec: CommandSpec) -> Held | None:
    """The approval this command waits as, or None: no policy wants it signed, or the product itself acts.

    What performing would refuse is refused now. A bulk command is held as one. Commands without a line are not held.
    """
    if work.actor.is_system or work.actor.user_id is None or work.line is None or spec.kind in UNGATED:
        return None
    policy = await policy_for(work.session, work.line, command, work.now)
    if policy is None:
        return None
    state, _ = await _started(work, policy, work.actor.user_id)
    changes = await rehearse(work, command, spec)
    approval = work.add(_approval(work, command, policy, state, changes))
    work.record(ApprovalRequested.of(approval, command=spec.kind))
    await work.flush()
    work.session.add_all(show_tasks(approval, state, work.now))
    return Held(approval.id)


def _approval(
    work: Work, command: Command, policy: ApprovalPolicy, state: State, changes: Sequence[Change]
) -> Approval:
    key, subject, options = ids.uuid7(), work.subject, work.options
    return Approval(
        id=key,
        line=work.acting_line,
        kind=command.kind,
        command_version=command.version,
        body=without_secrets(command, work.services.keyring),
        sealed=held.sealed(command, work.services.keyring, key),
        requester_id=work.actor.user_id,
        options={
            "reason": options.reason,
            "expectedVersion": options.expected_version,
            "channel": options.channel,
            "requestId": options.request_id,
            "tokenId": work.actor.token_id.hex if work.actor.token_id else None,
        },
        policy_id=policy.id,
        policy_edition=policy.edition,
        self_approval=policy.self_approval,
        state=state.status.value,
        chain=STATE.dump_python(state, mode="json"),
        diff=held.diff_of(changes, work.registry),
        base=held.base_of(changes, command, subject),
        subject_type=command.subject_type or command.result_type(),
        subject_id=subject.id if subject is not None else None,
        subject_ref=held.shown_id(type(subject), subject.id, work.registry) if subject is not None else None,
        result_refs=[],
        reasons=[],
        conflicts=[],
    )


async def _started(work: Work, policy: ApprovalPolicy, requester: UUID) -> tuple[State, Effects]:
    stages = [await _stage(work, stage, requester, policy) for stage in STAGES.validate_python(policy.stages)]
    try:
        return start(requester, stages, self_approval=policy.self_approval)
    except Illegal:
        raise Refused(NO_SIGNER(policy=policy.title or policy.name, line=policy.line)) from None


async def _stage(work: Work, stage: ApprovalStage, requester: UUID, policy: ApprovalPolicy) -> Stage:
    slots = [await _slot(work, slot, requester, policy) for slot in stage.slots]
    return Stage(stage.name, stage.rule, tuple(slots))


async def _slot(work: Work, slot: ApprovalSlot, requester: UUID, policy: ApprovalPolicy) -> Slot:
    """The slot with the tasks of those who can sign now; none when there is nobody but the requester."""
    if slot.user_id is not None:
        asked = await is_enabled(work.session, slot.user_id)
        return Slot(slot.rule, (Task(ids.uuid7(), user=slot.user_id),) if asked else ())
    role = str(slot.role)
    able = [
        u for u in await holders(work.session, role, policy.line) if policy.self_approval or u != requester
    ]
    if slot.rule is ApprovalRule.ALL:
        return Slot(slot.rule, tuple(Task(ids.uuid7(), role=role, user=user) for user in able))
    return Slot(slot.rule, (Task(ids.uuid7(), role=role),) if able else ())
