"""Signing, refusing, withdrawing; performing what was signed by all; setting policies."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints, TypeAdapter
from sqlalchemy import select

from crm_core import errors
from crm_core.access.models import Role, RoleScope
from crm_core.access.queries import EVERYTHING
from crm_core.approvals import held
from crm_core.approvals.chain import (
    ApprovalAnswer,
    ApprovalState,
    Approve,
    Effects,
    Finished,
    Illegal,
    Perform,
    Reject,
    Settle,
    State,
    Verb,
    Withdraw,
    apply,
)
from crm_core.approvals.events import ApprovalDecided, ApprovalPolicySet, ApprovalSigned
from crm_core.approvals.models import Approval, ApprovalPolicy, ApprovalTask
from crm_core.approvals.performing import performed
from crm_core.approvals.policy import STAGES, ApprovalCondition, ApprovalStage, problems
from crm_core.approvals.queries import SIGN, is_enabled, last_edition, roles_held
from crm_core.commands import Command, Ref, omitted
from crm_core.commands import Perform as Performing
from crm_core.errors import Message, Refused, UserError
from crm_core.work import Work

ApprovalId = Annotated[UUID, Ref("Approval", "apr")]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
STATE: TypeAdapter[State] = TypeAdapter(State)
UNGATED = frozenset({"approval.approve", "approval.reject", "approval.withdraw"})

FINISHED = Message(
    "APPROVAL_FINISHED",
    "The approval is {state}; nothing more can be signed.",
    "该审批已结束（{state}），不能再签署。",
)
NOT_YOURS = Message(
    "APPROVAL_NOT_YOURS", "Your signature is not asked for here now.", "当前环节不需要您的签署。"
)
SELF = Message(
    "APPROVAL_SELF", "You asked for this change; somebody else must sign it.", "不能审批自己提交的申请。"
)
NOT_REQUESTER = Message(
    "APPROVAL_NOT_REQUESTER", "Only who asked for the change may withdraw it.", "只有申请人可以撤回。"
)
NO_SIGNER = Message(
    "APPROVAL_NO_SIGNER",
    "The policy {policy} of line {line} asks for a signature nobody but you could give. Ask an administrator to name a signer.",
    "业务线 {line} 的审批规则“{policy}”没有可签署的人，请联系管理员指定审批人。",
)
BAD_SLOT = Message(
    "APPROVAL_SLOT", "Name either a role or a user, not both.", "请填写角色或指定人员其中之一。"
)
UNKNOWN_KIND = Message(
    "POLICY_UNKNOWN_COMMAND",
    "There is no command {kind} that acts in a line.",
    "没有可用于业务线的命令 {kind}。",
)
KIND_FIXED = Message(
    "POLICY_COMMAND_FIXED",
    "The policy {name} is about {kind}; give another command another name.",
    "审批规则 {name} 针对 {kind}，其他命令请另立规则。",
)
INCOMPLETE = Message(
    "POLICY_INCOMPLETE", "A new policy needs a command and stages.", "新的审批规则必须填写命令和审批环节。"
)
UNKNOWN_ROLE = Message("POLICY_UNKNOWN_ROLE", "There is no role {role}.", "没有角色 {role}。")
CANNOT_SIGN = Message(
    "POLICY_ROLE_CANNOT_SIGN",
    "The role {role} lacks the permission {scope}; its holders could not sign.",
    "角色 {role} 没有权限 {scope}，其成员无法签署。",
)
BAD_CONDITION = Message("POLICY_CONDITION", "{field}: {problem}", "{field}：{problem}")

MESSAGES = (
    FINISHED, NOT_YOURS, SELF, NOT_REQUESTER, NO_SIGNER, BAD_SLOT, UNKNOWN_KIND, KIND_FIXED, INCOMPLETE, UNKNOWN_ROLE,
    CANNOT_SIGN, BAD_CONDITION, held.UNKNOWN_COMMAND,
)  # fmt: skip
_REFUSALS = {m.code: m for m in (FINISHED, NOT_YOURS, SELF, NOT_REQUESTER)}


# -- verbs


class _OnApproval(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = SIGN
    returns: ClassVar[str | list[str]] = "Approval"
    subject: ClassVar[str | None] = "id"
    id: ApprovalId = Field(description="The approval (审批单).")
    comment: Comment = Field("", description="What to say with it (审批意见).")


class ApproveApproval(_OnApproval):
    """Sign a change that waits for you; with the last signature it is performed (同意)."""

    kind = "approval.approve"


async def approve(work: Work, command: ApproveApproval) -> Approval:
    """The signed approval. Whether the change could be performed is told by its state, reasons and conflicts."""
    approval: Approval = work.subject
    roles = await roles_held(work.session, _me(work), approval.line)
    effects = await _act(work, approval, Approve(roles, command.comment))
    if any(isinstance(effect, Perform) for effect in effects):
        await work.flush()
        await _act(work, approval, Settle(await performed(work, approval)))
    return _decided(work, approval, command.comment)


class RejectApproval(_OnApproval):
    """Refuse a change that waits for you; this ends it (拒绝)."""

    kind = "approval.reject"


async def reject(work: Work, command: RejectApproval) -> Approval:
    """The rejected approval; nothing of the change is performed."""
    approval: Approval = work.subject
    roles = await roles_held(work.session, _me(work), approval.line)
    await _act(work, approval, Reject(roles, command.comment))
    return _decided(work, approval, command.comment)


class WithdrawApproval(_OnApproval):
    """Take back a change you asked for, while it still waits (撤回)."""

    kind = "approval.withdraw"
    scope = "approval.request"


async def withdraw(work: Work, command: WithdrawApproval) -> Approval:
    """The withdrawn approval; its open tasks are cancelled."""
    approval: Approval = work.subject
    await _act(work, approval, Withdraw(command.comment))
    return _decided(work, approval, command.comment)


def _me(work: Work) -> UUID:
    """Only people sign."""
    if work.actor.user_id is None:
        raise Refused(NOT_YOURS("id"))
    return work.actor.user_id


async def _act(work: Work, approval: Approval, verb: Verb) -> Effects:
    """Apply the verb, and write the new state with the tasks it moved."""
    state = STATE.validate_python(approval.chain)
    try:
        state, effects = apply(state, verb, _me(work), work.now)
    except Illegal as illegal:
        raise Refused(_REFUSALS[illegal.code]("id", state=approval.state)) from None
    approval.chain = STATE.dump_python(state, mode="json")
    approval.state = state.status.value
    if any(isinstance(effect, Finished) for effect in effects):
        approval.decided_at = work.now
    await _move_tasks(work, approval, state)
    return effects


def _decided(work: Work, approval: Approval, comment: str) -> Approval:
    """The approval with its one event; what was sealed is forgotten once nobody needs it any more."""
    if approval.state == ApprovalState.PENDING:
        work.record(ApprovalSigned.of(approval, command=approval.kind))
        return approval
    approval.comment = comment
    approval.sealed = None
    work.record(ApprovalDecided.of(approval, command=approval.kind, state=approval.state))
    return approval


def show_tasks(approval: Approval, state: State, now: datetime) -> Iterable[ApprovalTask]:
    """The rows of a new request's tasks."""
    position = 0
    for number, stage in enumerate(state.stages):
        for place, slot in enumerate(stage.slots):
            for task in slot.tasks:
                yield ApprovalTask(
                    id=task.id, created_at=now, approval_id=approval.id, line=approval.line, position=position,
                    stage=number, stage_name=stage.name, slot=place, role=task.role, user_id=task.user,
                    state=task.state.value, signer_id=None, answer=None, comment="", at=None,
                )  # fmt: skip
                position += 1


async def _move_tasks(work: Work, approval: Approval, state: State) -> None:
    rows = await work.session.execute(select(ApprovalTask).where(ApprovalTask.approval_id == approval.id))
    known = {row.id: row for row in rows.scalars()}
    for task in state.tasks:
        row = known[task.id]
        row.state, row.signer_id, row.comment, row.at = task.state.value, task.signer, task.comment, task.at
        row.answer = ApprovalAnswer(task.answer).value if task.answer else None


# -- policies


class SetApprovalPolicy(Command):
    """Make a sign-off policy of the line, or a new edition of it; what is left out stays as it was (设置审批规则).

    Requests already waiting keep the edition they began with.
    """

    kind = "approval_policy.set"
    scope = "approval.policy"
    returns = "ApprovalPolicy"
    name: Name = Field(description="Its name, unique in the line (名称).")
    command: str = omitted(
        max_length=80, description="Kind of the commands it holds, e.g. customer.create (命令)."
    )
    title: str = omitted(max_length=200, description="Title for people (标题).")
    enabled: bool = omitted(description="Whether it is in force (启用).")
    priority: int = omitted(
        ge=0, le=10_000, description="Of several that apply the lowest number counts (优先级)."
    )
    self_approval: bool = omitted(description="Whether who asks may also sign (允许自批).")
    stages: list[ApprovalStage] = omitted(
        min_length=1, max_length=20, description="Who signs, in order (审批环节)."
    )
    condition: ApprovalCondition = omitted(description="Only commands that meet it; none: all (触发条件).")
    valid_from: datetime = omitted(description="From when on; default: now (生效时间).")


async def set_policy(work: Work, command: SetApprovalPolicy) -> ApprovalPolicy:
    """The new edition; refuses unknown commands, fields, values, roles, and people who could not sign."""
    known = await last_edition(work.session, work.acting_line, command.name)
    if known is None and not {"command", "stages"} <= command.model_fields_set:
        raise Refused(INCOMPLETE("command" if "command" not in command.model_fields_set else "stages"))
    policy = _edition(work, command, known)
    errors.raise_if([*_kind_troubles(work, policy, known), *await _signer_troubles(work, policy)])
    errors.raise_if(_condition_troubles(work, policy))
    work.add(policy)
    work.record(
        ApprovalPolicySet.of(policy, name=policy.name, edition=policy.edition, enabled=policy.enabled)
    )
    return policy


def _edition(work: Work, command: SetApprovalPolicy, known: ApprovalPolicy | None) -> ApprovalPolicy:
    given = command.model_dump(mode="json", exclude_unset=True, by_alias=False)
    given["command_kind"] = given.pop("command", None) or (known.command_kind if known else "")
    given["valid_from"] = command.valid_from if "valid_from" in given else work.now
    kept = (
        {
            c: getattr(known, c)
            for c in ("title", "enabled", "priority", "self_approval", "stages", "condition")
        }
        if known
        else {}
    )
    fresh = {"title": command.name, "enabled": True, "priority": 100, "self_approval": False, "condition": {}}
    edition = known.edition + 1 if known else 1
    return ApprovalPolicy(**{**fresh, **kept, **given, "line": work.acting_line, "edition": edition})


def _kind_troubles(work: Work, policy: ApprovalPolicy, known: ApprovalPolicy | None) -> Iterable[UserError]:
    spec = work.registry.commands.get(policy.command_kind)
    if (
        spec is None
        or not spec.command.on_line
        or spec.kind in UNGATED
        or policy.line not in work.registry.lines_of(spec.owner)
    ):
        yield UNKNOWN_KIND("command", kind=policy.command_kind)
    if known is not None and known.command_kind != policy.command_kind:
        yield KIND_FIXED("command", name=policy.name, kind=known.command_kind)


async def _signer_troubles(work: Work, policy: ApprovalPolicy) -> list[UserError]:
    found = []
    for i, stage in enumerate(STAGES.validate_python(policy.stages)):
        for j, slot in enumerate(stage.slots):
            path = f"stages.{i}.slots.{j}"
            if slot.user_id is not None and not await is_enabled(work.session, slot.user_id):
                found.append(errors.NOT_FOUND(f"{path}.userId", type="User", id=f"usr_{slot.user_id.hex}"))
            if slot.role is not None:
                found += await _role_troubles(work, slot.role, f"{path}.role")
    return found


async def _role_troubles(work: Work, name: str, path: str) -> list[UserError]:
    role = await work.session.scalar(select(Role.id).where(Role.name == name))
    if role is None:
        return [UNKNOWN_ROLE(path, role=name)]
    scopes = set(
        (await work.session.execute(select(RoleScope.scope).where(RoleScope.role_id == role))).scalars()
    )
    return [] if scopes & {SIGN, EVERYTHING} else [CANNOT_SIGN(path, role=name, scope=SIGN)]


def _condition_troubles(work: Work, policy: ApprovalPolicy) -> Iterable[UserError]:
    spec = work.registry.commands[policy.command_kind]
    for path, problem in problems(ApprovalCondition.model_validate(policy.condition), spec.command):
        yield BAD_CONDITION(f"condition.{path}", problem=problem)


COMMANDS: dict[type[Command], Performing] = {
    ApproveApproval: approve,
    RejectApproval: reject,
    WithdrawApproval: withdraw,
    SetApprovalPolicy: set_policy,
}
