"""The words of a request for signatures: its state, its tasks, what people do with it, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, TypeAlias
from uuid import UUID


class ApprovalState(StrEnum):
    """State of an approval (审批状态); PENDING it waits for signers, RETURNED for who asked, PERFORMING for a job."""

    PENDING = "PENDING"
    RETURNED = "RETURNED"
    PERFORMING = "PERFORMING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    TERMINATED = "TERMINATED"
    CONFLICT = "CONFLICT"
    NEEDS_ADOPTION = "NEEDS_ADOPTION"
    STALE = "STALE"


class ApprovalRule(StrEnum):
    """How many must sign: ALL (会签), ANY one (或签), a QUORUM, a share (RATIO, 票签), all in turn (SEQUENTIAL, 依次)."""

    ALL = "ALL"
    ANY = "ANY"
    QUORUM = "QUORUM"
    RATIO = "RATIO"
    SEQUENTIAL = "SEQUENTIAL"


class ApprovalTaskKind(StrEnum):
    """What is asked for: to SIGN (签署), or to change and RESUBMIT what came back (重新提交)."""

    SIGN = "SIGN"
    RESUBMIT = "RESUBMIT"


class ApprovalTaskState(StrEnum):
    """State of a task (审批任务): not its turn yet, it can be done, was done, or lapsed."""

    WAITING = "WAITING"
    OPEN = "OPEN"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class ApprovalAnswer(StrEnum):
    """What was done with a task (审批结论)."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"
    RETURN = "RETURN"
    TRANSFER = "TRANSFER"
    RESUBMIT = "RESUBMIT"


class ApprovalAdded(StrEnum):
    """How a signer came in later: asked BEFORE the adder (前加签), AFTER (后加签), beside (PARALLEL), or for advice (委派)."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"
    PARALLEL = "PARALLEL"
    DELEGATED = "DELEGATED"


class ApprovalPlace(StrEnum):
    """Where a further signer is asked (加签位置): BEFORE the adder, AFTER him, or beside him (PARALLEL)."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"
    PARALLEL = "PARALLEL"


class ApprovalEmpty(StrEnum):
    """What happens where nobody can sign (审批人为空): the slot is left out, others are asked, or nothing begins."""

    SKIP = "SKIP"
    MANAGER = "MANAGER"
    ADMINISTRATOR = "ADMINISTRATOR"
    REFUSE = "REFUSE"


class ApprovalSelf(StrEnum):
    """Whether who asks may sign too (自批): never, like others, or without being asked."""

    FORBID = "FORBID"
    ALLOW = "ALLOW"
    AUTO = "AUTO"


class ApprovalSame(StrEnum):
    """Whether who has signed an earlier stage signs again (自动去重), or passes without being asked."""

    SIGN = "SIGN"
    AUTO = "AUTO"


class Illegal(Exception):  # a refusal of the business, not a fault of the program
    """The state does not allow this verb to this person; `code` is that of the refusal, e.g. APPROVAL_NOT_YOURS."""

    def __init__(self, code: str) -> None:
        """Codes begin with APPROVAL_."""
        super().__init__(code)
        self.code = code


# -- the state


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody to be asked, under the id his task will have: a user, maybe in place of an absent one, or a role."""

    id: UUID
    user: UUID | None = None
    role: str | None = None
    instead_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One thing asked of one person or role. `parent` is the task to which a signer was added, by `added_by`."""

    id: UUID
    stage: int
    slot: int
    round: int
    kind: ApprovalTaskKind = ApprovalTaskKind.SIGN
    role: str | None = None
    user: UUID | None = None
    instead_of: UUID | None = None
    parent: UUID | None = None
    added: ApprovalAdded | None = None
    added_by: UUID | None = None
    state: ApprovalTaskState = ApprovalTaskState.OPEN
    answer: ApprovalAnswer | None = None
    signer: UUID | None = None
    automatic: bool = False
    comment: str = ""
    at: datetime | None = None

    def may(self, actor: UUID, roles: Iterable[str]) -> bool:
        """Whether this person, holding these roles, is the one asked, or absent and represented."""
        if self.user is None:
            return self.role in set(roles)
        return actor in (self.user, self.instead_of)

    @property
    def living(self) -> bool:
        """Whether it is open, or may be opened yet."""
        return self.state in (ApprovalTaskState.OPEN, ApprovalTaskState.WAITING)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for signatures; of several people asked, the rule says how many must sign (`need`: number or percent)."""

    rule: ApprovalRule = ApprovalRule.ANY
    need: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Slots that sign at the same time."""

    slots: tuple[Slot, ...]
    rule: ApprovalRule = ApprovalRule.ALL
    need: int | None = None
    name: str = ""
    empty: ApprovalEmpty = ApprovalEmpty.REFUSE


@dataclass(frozen=True, slots=True)
class State:
    """A whole request. `stage` counts from 0; `round` counts how often it began anew; `performed`: the change was made.

    `asking` is the stage whose people are wanted now. `returned_from` is the stage that sent it back, `resume` the
    stage that follows the present one, if not the next. `origin` is who asked first; somebody may have taken over.
    """

    requester: UUID
    stages: tuple[Stage, ...]
    origin: UUID
    self_approval: ApprovalSelf = ApprovalSelf.FORBID
    same_signer: ApprovalSame = ApprovalSame.SIGN
    status: ApprovalState = ApprovalState.PENDING
    stage: int = 0
    round: int = 0
    asking: int | None = 0
    returned_from: int | None = None
    resume: int | None = None
    tasks: tuple[Task, ...] = ()
    copied: tuple[UUID, ...] = ()
    performed: bool = False
    log: tuple[Entry, ...] = ()

    def task(self, key: UUID) -> Task:
        """The task of this id; `Illegal` (APPROVAL_NO_TASK) when there is none."""
        for task in self.tasks:
            if task.id == key:
                return task
        raise Illegal("APPROVAL_NO_TASK")

    @property
    def ended(self) -> bool:
        """Whether nothing can come of it any more, but a recall."""
        return self.status in ENDED


ENDED: Final = frozenset(
    {
        ApprovalState.APPROVED,
        ApprovalState.REJECTED,
        ApprovalState.WITHDRAWN,
        ApprovalState.TERMINATED,
        ApprovalState.STALE,
    }
)


# -- verbs


@dataclass(frozen=True, slots=True)
class Seat:
    """Whom the wanted stage asks, slot by slot, and who gets a copy; `skipped`: its condition does not hold."""

    slots: tuple[tuple[Asked, ...], ...] = ()
    copies: tuple[UUID, ...] = ()
    skipped: bool = False
    name: Literal["seat"] = "seat"


@dataclass(frozen=True, slots=True)
class Approve:
    """The actor, holding these roles of the line, does every open task that asks for him, or only `task` (同意)."""

    roles: frozenset[str] = frozenset()
    comment: str = ""
    task: UUID | None = None
    name: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True)
class Reject:
    """The actor refuses; what that means for the request, the rules of slot and stage say (拒绝)."""

    roles: frozenset[str] = frozenset()
    comment: str = ""
    task: UUID | None = None
    name: Literal["reject"] = "reject"


@dataclass(frozen=True, slots=True)
class Return:
    """One signer sends it back (退回): to who asked (`stage` None) or to an earlier stage, whatever the rules are.

    `back_here`: after that stage it comes straight back to this one. `key` is the id of the task of who asked.
    """

    key: UUID
    roles: frozenset[str] = frozenset()
    stage: int | None = None
    back_here: bool = False
    comment: str = ""
    name: Literal["return"] = "return"


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Who asked hands it in again (重新提交): to the stage that returned it, or from the start."""

    to_returner: bool = False
    comment: str = ""
    name: Literal["resubmit"] = "resubmit"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Who asked takes it back before it is decided (撤回)."""

    comment: str = ""
    name: Literal["withdraw"] = "withdraw"


@dataclass(frozen=True, slots=True)
class Recall:
    """Who asked takes back what was performed already (通过后撤回); the change is undone by its compensation."""

    comment: str = ""
    name: Literal["recall"] = "recall"


@dataclass(frozen=True, slots=True)
class Terminate:
    """An administrator ends it, with a reason (终止)."""

    comment: str = ""
    name: Literal["terminate"] = "terminate"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A task goes to somebody else for good (转交); `forced`: by an administrator, an escalation, somebody's leaving."""

    task: UUID
    to: Asked
    roles: frozenset[str] = frozenset()
    forced: bool = False
    comment: str = ""
    name: Literal["transfer"] = "transfer"


@dataclass(frozen=True, slots=True)
class Delegate:
    """Somebody is asked for his opinion, then the task is the actor's again (委派)."""

    task: UUID
    to: Asked
    roles: frozenset[str] = frozenset()
    comment: str = ""
    name: Literal["delegate"] = "delegate"


@dataclass(frozen=True, slots=True)
class Add:
    """Further signers of a task, all of whom must sign (加签); with AFTER the actor signs at once."""

    task: UUID
    to: tuple[Asked, ...]
    how: ApprovalAdded
    roles: frozenset[str] = frozenset()
    comment: str = ""
    name: Literal["add"] = "add"


@dataclass(frozen=True, slots=True)
class Remove:
    """A signer is not asked any more (减签): one whom the actor added, or any (`forced`)."""

    task: UUID
    forced: bool = False
    comment: str = ""
    name: Literal["remove"] = "remove"


@dataclass(frozen=True, slots=True)
class Expire:
    """A deadline answers an open task as its policy says (超时自动通过/拒绝)."""

    task: UUID
    answer: Literal[ApprovalAnswer.APPROVE, ApprovalAnswer.REJECT]
    name: Literal["expire"] = "expire"


@dataclass(frozen=True, slots=True)
class Copy:
    """These people are shown the request (抄送)."""

    users: tuple[UUID, ...]
    comment: str = ""
    name: Literal["copy"] = "copy"


@dataclass(frozen=True, slots=True)
class Urge:
    """Those asked are reminded (催办)."""

    comment: str = ""
    name: Literal["urge"] = "urge"


@dataclass(frozen=True, slots=True)
class Settle:
    """What became of performing the approved change: APPROVED (performed), CONFLICT, NEEDS_ADOPTION or STALE.

    PERFORMING: a job performs it from now on, and settles it at its end.
    """

    outcome: ApprovalState
    name: Literal["settle"] = "settle"


@dataclass(frozen=True, slots=True)
class Adopt:
    """The actor asks for the change in place of who can no longer (接手); nobody need sign again."""

    comment: str = ""
    name: Literal["adopt"] = "adopt"


@dataclass(frozen=True, slots=True)
class Attach:
    """Who asked, or who is asked now, holding these roles of the line, adds papers (补充材料)."""

    roles: frozenset[str] = frozenset()
    comment: str = ""
    name: Literal["attach"] = "attach"


Verb: TypeAlias = (
    Seat
    | Approve
    | Reject
    | Return
    | Resubmit
    | Withdraw
    | Recall
    | Terminate
    | Transfer
    | Delegate
    | Add
    | Remove
    | Expire
    | Copy
    | Urge
    | Settle
    | Adopt
    | Attach
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: who did what, when."""

    verb: Verb
    actor: UUID
    at: datetime


# -- effects


@dataclass(frozen=True, slots=True)
class TaskMoved:
    """A task is new, or changed."""

    task: Task


@dataclass(frozen=True, slots=True)
class Ask:
    """Find out whom this stage asks, and `Seat` them."""

    stage: int


@dataclass(frozen=True, slots=True)
class Copied:
    """These people are to be shown the request."""

    users: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The request waits for nobody any more."""

    status: ApprovalState


@dataclass(frozen=True, slots=True)
class Perform:
    """Perform the held change now; it succeeds once at most."""


@dataclass(frozen=True, slots=True)
class Compensate:
    """Undo the performed change."""


Effect: TypeAlias = TaskMoved | Ask | Copied | Finished | Perform | Compensate
Effects: TypeAlias = tuple[Effect, ...]
Step: TypeAlias = tuple[State, Effects]
