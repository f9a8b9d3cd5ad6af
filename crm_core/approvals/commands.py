"""What people do with a request for signatures: sign, send back, hand on, ask further people, take back, end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import ids
from crm_core.access.commands import UserId
from crm_core.approvals import held
from crm_core.approvals.attaching import (
    ATTACHMENTS,
    SENSITIVE,
    Attachments,
    GivenAttachments,
    with_papers,
)
from crm_core.approvals.events import (
    ApprovalAdopted,
    ApprovalAttached,
    ApprovalCopied,
    ApprovalDecided,
    ApprovalHandedOn,
    ApprovalPerforming,
    ApprovalReturned,
    ApprovalSigned,
    ApprovalUrged,
)
from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.approvals.moving import REFUSALS, Moved, move
from crm_core.approvals.notices import URGED
from crm_core.approvals.performing import NOT_RECALLABLE
from crm_core.approvals.queries import READ, SIGN, enabled_of, roles_held
from crm_core.approvals.telling import people_of, tell_about
from crm_core.approvals.words import (
    Add,
    Adopt,
    ApprovalAdded,
    ApprovalPlace,
    ApprovalState,
    ApprovalTaskState,
    Approve,
    Asked,
    Attach,
    Copy,
    Delegate,
    Recall,
    Reject,
    Remove,
    Return,
    Terminate,
    Transfer,
    Urge,
    Verb,
    Withdraw,
)
from crm_core.commands import Command, Perform, Ref
from crm_core.errors import FORBIDDEN, NOT_FOUND, Message, Refused
from crm_core.work import Work

ApprovalId = Annotated[UUID, Ref("Approval", "apr")]
TaskId = Annotated[UUID, Ref("ApprovalTask", "apt")]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
REQUEST, ADMINISTER = "approval.request", "approval.administer"
URGE_EVERY = timedelta(hours=1)

TOO_SOON = Message(
    "APPROVAL_URGED_LATELY",
    "They were reminded less than an hour ago; wait a little.",
    "一小时内已催办过，请稍后再试。",
)
MESSAGES = (*REFUSALS.values(), TOO_SOON, held.UNKNOWN_COMMAND)


class _OnApproval(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = SIGN
    returns: ClassVar[str | list[str]] = "Approval"
    subject: ClassVar[str | None] = "id"
    sensitive: ClassVar[frozenset[str]] = SENSITIVE
    id: ApprovalId = Field(description="The approval (审批单).")
    comment: Comment = Field("", description="What to say with it (审批意见).")
    attachments: Attachments = Field([], description=ATTACHMENTS)


def me(work: Work) -> UUID:
    """Who acts; only people do."""
    if work.actor.user_id is None:
        raise Refused(REFUSALS["APPROVAL_NOT_YOURS"]("id"))
    return work.actor.user_id


async def _roles(work: Work) -> frozenset[str]:
    """Roles the actor holds now in the approval's line: rights are those of the moment of signing."""
    return await roles_held(work.session, me(work), work.subject.line)


async def _act(work: Work, command: _OnApproval, verb: Verb) -> Moved:
    moved = await move(work, work.subject, verb, me(work))
    return await with_papers(work, work.subject, moved, verb, command.attachments)


async def _asked(work: Work, users: Iterable[UUID], path: str) -> tuple[Asked, ...]:
    """These users as people to be asked; refuses those who are not, or are disabled."""
    wanted = list(dict.fromkeys(users))
    gone = [user for user in wanted if user not in await enabled_of(work.session, wanted)]
    if gone:
        raise Refused(NOT_FOUND(path, type="User", id=f"usr_{gone[0].hex}"))
    return tuple(Asked(ids.uuid7(), user=user) for user in wanted)


# -- signing


class ApproveApproval(_OnApproval):
    """Sign what waits for you; with the last signature the change is performed (同意)."""

    kind = "approval.approve"
    task: TaskId | None = Field(None, description="Only this task of yours; default: all that are open.")


async def approve(work: Work, command: ApproveApproval) -> Approval:
    """The signed approval. Whether the change could be performed is told by its state, reasons and conflicts."""
    moved = await _act(work, command, Approve(await _roles(work), command.comment, command.task))
    return concluded(work, work.subject, moved, command.comment)


class RejectApproval(_OnApproval):
    """Refuse what waits for you; by the rules of its stage this ends the request, or counts as a vote (拒绝)."""

    kind = "approval.reject"
    task: TaskId | None = Field(None, description="Only this task of yours; default: all that are open.")


async def reject(work: Work, command: RejectApproval) -> Approval:
    """The approval; rejected, nothing of the change is performed."""
    moved = await _act(work, command, Reject(await _roles(work), command.comment, command.task))
    return concluded(work, work.subject, moved, command.comment)


def concluded(work: Work, approval: Approval, moved: Moved, comment: str) -> Approval:
    """The approval with the event of what came of it; what was sealed is forgotten once nobody needs it any more."""
    if moved.after.status is ApprovalState.PERFORMING:
        approval.comment, rows = comment, approval.rows_total or 0
        begun = ApprovalPerforming.of(
            approval, command=approval.kind, rows=rows, attachments=list(moved.papers)
        )
        work.record(begun)
        return approval
    if not moved.finished:
        work.record(ApprovalSigned.of(approval, command=approval.kind, attachments=list(moved.papers)))
        return approval
    approval.comment = comment
    if moved.after.ended and approval.withdrawable_until is None:
        approval.sealed = None
    work.record(
        ApprovalDecided.of(
            approval, command=approval.kind, state=approval.state, attachments=list(moved.papers)
        )
    )
    return approval


# -- back and again


class ReturnApproval(_OnApproval):
    """Send back what waits for you: to who asked, or to an earlier stage, whatever the others say (退回)."""

    kind = "approval.return"
    stage: int | None = Field(
        None, ge=0, description="Number of the earlier stage, from 0; none: to who asked (退回环节)."
    )
    back_here: bool = Field(
        False, description="After that stage it comes straight back here (重审后回到本环节)."
    )


async def return_(work: Work, command: ReturnApproval) -> Approval:
    """The approval; with who asked its state is RETURNED, and he may change and resubmit it."""
    verb = Return(ids.uuid7(), await _roles(work), command.stage, command.back_here, command.comment)
    moved = await _act(work, command, verb)
    approval: Approval = work.subject
    shown = list(moved.papers)
    work.record(ApprovalReturned.of(approval, command=approval.kind, stage=command.stage, attachments=shown))
    return approval


class WithdrawApproval(_OnApproval):
    """Take back what you asked for while it waits; or, where its policy lets you, after it was performed (撤回)."""

    kind = "approval.withdraw"
    scope = REQUEST


async def withdraw(work: Work, command: WithdrawApproval) -> Approval:
    """The withdrawn approval; what was performed already is undone by its compensation within the policy's days."""
    approval: Approval = work.subject
    recall = approval.state == ApprovalState.APPROVED
    if recall:
        _refuse_late(work, approval)
    moved = await _act(work, command, Recall(command.comment) if recall else Withdraw(command.comment))
    return concluded(work, approval, moved, command.comment)


def _refuse_late(work: Work, approval: Approval) -> None:
    if approval.withdrawable_until is None or work.now > approval.withdrawable_until:
        raise Refused(NOT_RECALLABLE("id"))


class TerminateApproval(_OnApproval):
    """End a request that waits, with a reason (终止)."""

    kind = "approval.terminate"
    scope = ADMINISTER
    comment: Reason = Field(description="Why (终止原因).")


async def terminate(work: Work, command: TerminateApproval) -> Approval:
    """The terminated approval; nothing is performed."""
    moved = await _act(work, command, Terminate(command.comment))
    return concluded(work, work.subject, moved, command.comment)


class AdoptApproval(_OnApproval):
    """Ask for an approved change in place of who can no longer; it is performed with your rights (接手)."""

    kind = "approval.adopt"
    scope = REQUEST


async def adopt(work: Work, command: AdoptApproval) -> Approval:
    """The approval; nobody need sign again."""
    moved = await _act(work, command, Adopt(command.comment))
    approval: Approval = work.subject
    work.record(ApprovalAdopted.of(approval, command=approval.kind, attachments=list(moved.papers)))
    return concluded(work, work.subject, moved, command.comment)


# -- other people


class TransferApproval(_OnApproval):
    """Give a task of yours to somebody else for good; an administrator may give anybody's (转交)."""

    kind = "approval.transfer"
    task: TaskId = Field(description="The task (任务).")
    to: UserId = Field(description="Who gets it (转交给).")


async def transfer(work: Work, command: TransferApproval) -> Approval:
    """The approval with the task in other hands."""
    (to,) = await _asked(work, [command.to], "to")
    forced = await _forced(work, command.task)
    verb = Transfer(command.task, to, await _roles(work), forced, command.comment)
    return await _handed_on(work, command, verb, "transfer", [command.to])


async def _forced(work: Work, task: UUID) -> bool:
    """Whether the actor acts as an administrator: the task is not his own."""
    row = await work.session.get(ApprovalTask, task)
    own = row is not None and me(work) in (row.user_id, row.instead_of_id)
    return not own and _administers(work)


def _administers(work: Work) -> bool:
    """Whether the actor administers this request; nobody chooses who signs his own (自批), even as administrator."""
    approval: Approval = work.subject
    own = approval.requester_id == me(work) and not approval.self_approval
    return not own and work.actor.may(ADMINISTER, approval.line)


class DelegateApproval(_OnApproval):
    """Ask somebody for his opinion first; then the task is yours again (委派)."""

    kind = "approval.delegate"
    task: TaskId = Field(description="Your task (任务).")
    to: UserId = Field(description="Who gives his opinion (委派给).")


async def delegate(work: Work, command: DelegateApproval) -> Approval:
    """The approval, waiting for the opinion."""
    (to,) = await _asked(work, [command.to], "to")
    verb = Delegate(command.task, to, await _roles(work), command.comment)
    return await _handed_on(work, command, verb, "delegate", [command.to])


class AddSigner(_OnApproval):
    """Ask further people beside yourself, all of whom must sign (加签): before you, after you (you sign now), or meanwhile."""

    kind = "approval.add_signer"
    task: TaskId = Field(description="Your task (任务).")
    users: list[UserId] = Field(min_length=1, max_length=20, description="Who signs too (加签人).")
    how: ApprovalPlace = Field(description="BEFORE you (前加签), AFTER you (后加签), or beside you (并加签).")


async def add_signer(work: Work, command: AddSigner) -> Approval:
    """The approval with the further signers."""
    to = await _asked(work, command.users, "users")
    verb = Add(command.task, to, ApprovalAdded(command.how.value), await _roles(work), command.comment)
    return await _handed_on(work, command, verb, f"add_{command.how.value.lower()}", command.users)


class RemoveSigner(_OnApproval):
    """Ask a signer no more: one whom you added, or as an administrator anyone but the last of a place (减签)."""

    kind = "approval.remove_signer"
    task: TaskId = Field(description="His task (任务).")


async def remove_signer(work: Work, command: RemoveSigner) -> Approval:
    """The approval; it goes on if nobody else is waited for."""
    moved = await _act(work, command, Remove(command.task, _administers(work), command.comment))
    approval: Approval = work.subject
    shown = list(moved.papers)
    work.record(
        ApprovalHandedOn.of(approval, command=approval.kind, how="remove", users=[], attachments=shown)
    )
    return concluded(work, approval, moved, command.comment) if moved.finished else approval


async def _handed_on(
    work: Work, command: _OnApproval, verb: Verb, how: str, users: Iterable[UUID]
) -> Approval:
    moved = await _act(work, command, verb)
    approval: Approval = work.subject
    shown = [f"usr_{user.hex}" for user in users]
    work.record(
        ApprovalHandedOn.of(
            approval, command=approval.kind, how=how, users=shown, attachments=list(moved.papers)
        )
    )
    return approval


class UrgeApproval(_OnApproval):
    """Remind those whose signature your request waits for; at most once an hour (催办)."""

    kind = "approval.urge"
    scope = REQUEST


async def urge(work: Work, command: UrgeApproval) -> Approval:
    """The approval; those asked get a notice."""
    approval: Approval = work.subject
    if approval.urged_at is not None and work.now < approval.urged_at + URGE_EVERY:
        raise Refused(TOO_SOON("id"))
    moved = await _act(work, command, Urge(command.comment))
    approval.urged_at = work.now
    waiting = select(ApprovalTask).where(
        ApprovalTask.approval_id == approval.id, ApprovalTask.state == ApprovalTaskState.OPEN.value
    )
    tasks = (await work.session.execute(waiting.order_by(ApprovalTask.position))).scalars().all()
    await tell_about(work, approval, await people_of(work, approval, tasks), URGED, urgent=True)
    work.record(ApprovalUrged.of(approval, command=approval.kind, attachments=list(moved.papers)))
    return approval


class CopyApproval(_OnApproval):
    """Show a request to people who need not sign it (抄送)."""

    kind = "approval.copy"
    scope = REQUEST
    users: list[UserId] = Field(min_length=1, max_length=50, description="Who is shown it (抄送人).")


async def copy(work: Work, command: CopyApproval) -> Approval:
    """The approval; who is shown it may read it from now on."""
    asked = await _asked(work, command.users, "users")
    users = tuple(one.user for one in asked if one.user is not None)
    moved = await _act(work, command, Copy(users, command.comment))
    approval: Approval = work.subject
    shown = [f"usr_{user.hex}" for user in users]
    work.record(
        ApprovalCopied.of(approval, command=approval.kind, users=shown, attachments=list(moved.papers))
    )
    return approval


class AttachToApproval(_OnApproval):
    """Add papers to a request while it waits, or was returned: for who asked, and for whoever is asked now (补充材料)."""

    kind = "approval.attach"
    scope = READ
    attachments: GivenAttachments = Field(description=ATTACHMENTS)


async def attach(work: Work, command: AttachToApproval) -> Approval:
    """The approval with the papers; whoever may see it sees them."""
    approval: Approval = work.subject
    _refuse_readers(work, approval.line)
    moved = await _act(work, command, Attach(await _roles(work), command.comment))
    work.record(ApprovalAttached.of(approval, command=approval.kind, attachments=list(moved.papers)))
    return approval


def _refuse_readers(work: Work, line: str) -> None:
    """Who asks has one permission, who signs another; reading alone adds nothing."""
    if not (work.actor.may(REQUEST, line) or work.actor.may(SIGN, line)):
        raise Refused(FORBIDDEN(scope=REQUEST, line=line))


COMMANDS: dict[type[Command], Perform] = {
    ApproveApproval: approve,
    RejectApproval: reject,
    ReturnApproval: return_,
    WithdrawApproval: withdraw,
    TerminateApproval: terminate,
    AdoptApproval: adopt,
    TransferApproval: transfer,
    DelegateApproval: delegate,
    AddSigner: add_signer,
    RemoveSigner: remove_signer,
    UrgeApproval: urge,
    CopyApproval: copy,
    AttachToApproval: attach,
}
