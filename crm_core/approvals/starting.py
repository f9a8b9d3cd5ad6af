"""Begins requests for signatures: finds the policy, asks the first stage, keeps what was asked for; and begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from crm_core import ids
from crm_core.approvals import held
from crm_core.approvals.asking import NO_SIGNER, Matter, facts_of, foresee, seat
from crm_core.approvals.chain import apply, start
from crm_core.approvals.conditions import ApprovalCondition, Facts, matches
from crm_core.approvals.events import ApprovalRequested
from crm_core.approvals.locks import LOCKED
from crm_core.approvals.models import Approval, ApprovalPolicy
from crm_core.approvals.moving import BROKEN_POLICY, STATE, show_tasks, stages_of
from crm_core.approvals.queries import policies_about, what_concerns
from crm_core.approvals.stages import ApprovalSlot, ApprovalStage
from crm_core.approvals.words import (
    ApprovalSame,
    ApprovalSelf,
    Ask,
    Illegal,
    Slot,
    Stage,
    State,
)
from crm_core.commands import Change, Command
from crm_core.db.base import Base
from crm_core.errors import Message, Refused
from crm_core.evidence import without_secrets
from crm_core.work import Work

FORBIDDEN = Message(
    "APPROVAL_FORBIDDEN",
    "The policies of line {line} do not allow this: {policy}.",
    "业务线 {line} 的审批规则不允许此操作：{policy}。",
)
NOWHERE = UUID(int=0)
"""In place of the id of a record that is not there yet."""


def sought(line: str | None, target: str, command: Command | None) -> tuple[str | None, Sequence[str]]:
    """Where policies about a target are looked for, and under which names.

    A command without a line is held by the policies of whichever line (None); a bulk command also by what holds the
    command it does to many.
    """
    if command is None:
        return line, (target,)
    return line if command.on_line else None, (target, command.bulk_of) if command.bulk_of else (target,)


async def policy_for(
    work: Work, line: str | None, target: str, command: Command | None, record: Base | None
) -> ApprovalPolicy | None:
    """The policy that wants a target signed now: the first by priority and name whose condition holds.

    Refuses (APPROVAL_LOCKED) when the record waits for signatures itself, and (APPROVAL_FORBIDDEN) where that policy
    lets nobody sign.
    """
    subject = getattr(record, "id", None)
    key = subject if isinstance(subject, UUID) else NOWHERE
    where, targets = sought(line, target, command)
    found = {row[0] for row in await what_concerns(work.session, where, targets, key)}
    if "lock" in found:
        raise Refused(LOCKED(command.subject if command is not None else None))
    if "policy" not in found:
        return None
    policy = await _first(work, await policies_about(work.session, where, targets, work.now), command, record)
    if policy is not None and policy.forbid:
        raise Refused(FORBIDDEN(line=policy.line, policy=policy.title or policy.name))
    return policy


async def _first(
    work: Work, policies: Sequence[ApprovalPolicy], command: Command | None, record: Base | None
) -> ApprovalPolicy | None:
    """The first policy whose condition holds; what conditions ask about is looked up where there is one."""
    assert work.actor.user_id is not None
    facts: dict[str, Facts] = {}
    for policy in policies:
        condition = _condition_of(policy)
        if condition == ApprovalCondition():
            return policy
        if policy.line not in facts:
            facts[policy.line] = await facts_of(work, policy.line, work.actor.user_id, command, record)
        if matches(condition, facts[policy.line]):
            return policy
    return None


def _condition_of(policy: ApprovalPolicy) -> ApprovalCondition:
    try:
        return ApprovalCondition.model_validate(policy.condition)
    except ValidationError:
        raise Refused(BROKEN_POLICY(policy=policy.title or policy.name, line=policy.line)) from None


def matter_for(
    policy: ApprovalPolicy, requester: UUID, command: Command | None, record: Base | None
) -> Matter:
    """What is to be signed, as resolvers look at it."""
    kind = command.kind if command is not None else str(policy.document)
    own = ApprovalSelf(policy.self_approval)
    return Matter(policy.line, requester, kind, policy.title or policy.name, command, record, own)


async def begun(work: Work, policy: ApprovalPolicy, matter: Matter) -> State:
    """A request whose first stage is asked; APPROVED where every stage is left out or passes by itself.

    Refuses (APPROVAL_NO_SIGNER) where a stage, this or a later one, has nobody and its policy says so.
    """
    declared = stages_of(policy)
    state, effects = start(
        matter.requester,
        tuple(map(_stage, declared)),
        self_approval=ApprovalSelf(policy.self_approval),
        same_signer=ApprovalSame(policy.same_signer),
    )
    waiting = list(effects)
    await foresee(work, matter, declared)
    while waiting:
        effect = waiting.pop(0)
        if isinstance(effect, Ask):
            people = await seat(work, matter, declared[effect.stage], strict=True)
            try:
                state, more = apply(state, people, matter.requester, work.now)
            except Illegal:
                raise Refused(NO_SIGNER(policy=matter.policy, line=matter.line)) from None
            waiting += more
    for later in declared[state.stage + 1 :]:
        await seat(work, matter, later, strict=True)
    return state


def _stage(stage: ApprovalStage) -> Stage:
    return Stage(
        tuple(map(_slot, stage.slots)), stage.rule, stage.quorum or stage.percent, stage.name, stage.empty
    )


def _slot(slot: ApprovalSlot) -> Slot:
    return Slot(slot.rule, slot.quorum or slot.percent, slot.name)


# -- keeping


def keep_command(
    work: Work, policy: ApprovalPolicy, state: State, command: Command, changes: Sequence[Change]
) -> Approval:
    """The held command as a record, with its tasks and event."""
    subject, key = work.subject, ids.uuid7()
    approval = Approval(
        **_common(work, policy, state, key),
        kind=command.kind,
        command_version=command.version,
        title=policy.title or policy.name,
        subject_type=command.subject_type or command.result_type(),
        subject_id=subject.id if subject is not None else None,
        subject_ref=held.shown_id(type(subject), subject.id, work.registry) if subject is not None else None,
        **_content(work, key, command, subject, changes),
    )
    return _announced(work, policy, state, approval)


def _content(
    work: Work, key: UUID, command: Command, subject: Any, changes: Sequence[Change]
) -> dict[str, Any]:
    return {
        "body": without_secrets(command, work.services.keyring),
        "sealed": held.sealed(command, work.services.keyring, key),
        "diff": held.diff_of(changes, work.registry),
        "base": held.base_of(changes, command, subject),
    }


def keep_record(work: Work, policy: ApprovalPolicy, state: State, record: Any) -> Approval:
    """A record that is to be signed, with its tasks and event; locked, where the policy says so."""
    kind = work.registry.type_of(type(record))
    approval = Approval(
        **_common(work, policy, state, ids.uuid7()),
        kind=kind.name,
        command_version=1,
        title=work.registry.documents[kind.name].title(record),
        document=kind.name,
        locked=policy.lock,
        subject_type=kind.name,
        subject_id=record.id,
        subject_ref=held.shown_id(type(record), record.id, work.registry),
        body={},
        sealed=None,
        diff=[],
        base=[],
    )
    return _announced(work, policy, state, approval)


def _common(work: Work, policy: ApprovalPolicy, state: State, key: UUID) -> dict[str, Any]:
    options = work.options
    return {
        "id": key,
        "line": policy.line,
        "requester_id": state.requester,
        "options": {
            "reason": options.reason,
            "expectedVersion": options.expected_version,
            "channel": options.channel,
            "requestId": options.request_id,
            "tokenId": work.actor.token_id.hex if work.actor.token_id else None,
        },
        "policy_id": policy.id,
        "policy_edition": policy.edition,
        "self_approval": policy.self_approval != ApprovalSelf.FORBID.value,
        "state": state.status.value,
        "round": state.round,
        "chain": STATE.dump_python(state, mode="json"),
        "result_refs": [],
        "reasons": [],
        "conflicts": [],
    }


def _announced(work: Work, policy: ApprovalPolicy, state: State, approval: Approval) -> Approval:
    work.add(approval)
    work.record(ApprovalRequested.of(approval, command=approval.kind))
    work.session.put_off()
    show_tasks(work, approval, state, stages_of(policy))
    return approval


def change_held(
    work: Work, approval: Approval, command: Command, subject: Any, changes: Sequence[Change]
) -> None:
    """The request asks for this command now: who asked has changed it, or what it changes has changed."""
    for name, value in _content(work, approval.id, command, subject, changes).items():
        setattr(approval, name, value)
    approval.command_version = command.version
    approval.reasons, approval.conflicts = [], []
    approval.job_id = approval.rows_total = approval.rows_done = approval.refused = None
    approval.result_refs = []
