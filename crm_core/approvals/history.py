"""What happened to a request, line by line and in words, out of the log of its chain (审批历史); pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from crm_core.approvals.words import (
    Add,
    ApprovalAnswer,
    ApprovalState,
    Asked,
    Copy,
    Delegate,
    Entry,
    Expire,
    Remove,
    Return,
    Seat,
    Settle,
    State,
    Task,
    Transfer,
    Verb,
)
from crm_core.errors import Language

NOBODY = UUID(int=0)
"""Who acts where nobody does: the product itself."""
Said: TypeAlias = "tuple[str, str]"
"""Words in English and in Chinese; `{people}` and `{stage}` are filled in."""

_SUBMITTED: Final[Said] = ("asked for it", "提交申请")
_WORDS: Final[Mapping[str, Said]] = {
    "approve": ("approved", "同意"),
    "reject": ("rejected", "拒绝"),
    "resubmit": ("handed it in again", "重新提交"),
    "withdraw": ("withdrew it", "撤回"),
    "recall": ("took it back after it was approved", "通过后撤回"),
    "terminate": ("ended it", "终止"),
    "transfer": ("handed the task on to {people}", "转交给{people}"),
    "delegate": ("asked {people} for an opinion", "委派给{people}"),
    "add BEFORE": ("added {people}, to sign before", "前加签：{people}"),
    "add AFTER": ("signed and added {people}, to sign after", "同意，后加签：{people}"),
    "add PARALLEL": ("added {people}, to sign too", "并加签：{people}"),
    "remove": ("no longer asks {people}", "减签：{people}"),
    "expire APPROVE": ("approved, not being signed in time", "超时自动同意"),
    "expire REJECT": ("rejected, not being signed in time", "超时自动拒绝"),
    "copy": ("showed it to {people}", "抄送{people}"),
    "urge": ("urged the signers", "催办"),
    "adopt": ("took it over", "接手"),
    "attach": ("added papers", "补充材料"),
    "return": ("returned it to who asked", "退回申请人"),
    "return to": ("returned it to the stage {stage}", "退回至“{stage}”环节"),
    "seat": ("{people} asked to sign", "请{people}审批"),
    "seat nobody": ("stage left out: nobody to ask", "无审批人，跳过该环节"),
    "seat skipped": ("stage left out: its condition does not hold", "不满足环节条件，跳过该环节"),
    "settle APPROVED": ("approved and performed", "审批通过，已执行"),
    "settle PERFORMING": ("approved; a job performs it", "审批通过，后台执行中"),
    "settle CONFLICT": ("approved, but not performed: something stood in the way", "审批通过，但执行冲突"),
    "settle NEEDS_ADOPTION": ("approved, but who asked can no longer act", "审批通过，但申请人已无权执行"),
    "settle STALE": ("approved, but the change is no longer understood", "审批通过，但变更内容已失效"),
}
STATES: Final[Mapping[ApprovalState, Said]] = {
    ApprovalState.PENDING: ("Waiting for signatures", "审批中"),
    ApprovalState.RETURNED: ("Returned to who asked", "已退回"),
    ApprovalState.PERFORMING: ("Approved, and being performed", "已通过，执行中"),
    ApprovalState.APPROVED: ("Approved", "已通过"),
    ApprovalState.REJECTED: ("Rejected", "已拒绝"),
    ApprovalState.WITHDRAWN: ("Withdrawn", "已撤回"),
    ApprovalState.TERMINATED: ("Ended", "已终止"),
    ApprovalState.CONFLICT: ("Approved, but not performed", "已通过，执行冲突"),
    ApprovalState.NEEDS_ADOPTION: ("Approved; somebody has to take it over", "已通过，待接手"),
    ApprovalState.STALE: ("No longer understood", "已失效"),
}


@dataclass(frozen=True, slots=True)
class Attached:
    """A paper that came with something (附件); `size` in bytes."""

    id: UUID
    title: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `actor` None: the product itself; `stage` counts from 0."""

    at: datetime
    verb: str
    actor: UUID | None
    words: str
    comment: str = ""
    stage: int | None = None
    stage_name: str = ""
    task: UUID | None = None
    papers: tuple[Attached, ...] = ()


NO_PAPERS: Final[Mapping[int, tuple[Attached, ...]]] = MappingProxyType({})


def said(words: Said, language: Language) -> str:
    """The words in one language."""
    return words[1] if language == "zh-CN" else words[0]


def people_in(state: State) -> set[UUID]:
    """Everybody the history may name."""
    found = {state.requester, state.origin, *state.copied}
    for entry in state.log:
        found |= {entry.actor, *(u for one in _asked(entry.verb) for u in (one.user, one.instead_of) if u)}
        found |= set(entry.verb.users) if isinstance(entry.verb, Copy) else set()
    return found - {NOBODY}


def history(
    state: State,
    begun: datetime,
    reason: str,
    names: Mapping[UUID, str],
    roles: Mapping[str, str],
    language: Language,
    papers: Mapping[int, tuple[Attached, ...]] = NO_PAPERS,
) -> list[Event]:
    """Everything that happened, oldest first.

    `begun` is when it was asked for and `reason` why; `names` of users by id, `roles` are titles by name, `papers` what
    came with each line, counted from 0.
    """
    first = Event(begun, "submit", state.origin, said(_SUBMITTED, language), reason)
    lines = [first, *(_event(state, entry, names, roles, language) for entry in state.log)]
    return [replace(line, papers=papers[n]) if n in papers else line for n, line in enumerate(lines)]


def _event(
    state: State, entry: Entry, names: Mapping[UUID, str], roles: Mapping[str, str], language: Language
) -> Event:
    verb, task = entry.verb, _task_of(state, entry)
    stage = _stage_of(state, entry, task)
    words = said(_WORDS[_key(verb)], language).format(
        people=_people(state, verb, names, roles, language), stage=_target(state, verb)
    )
    return Event(
        at=entry.at,
        verb=verb.name,
        actor=entry.actor if entry.actor != NOBODY else None,
        words=words,
        comment=getattr(verb, "comment", ""),
        stage=stage,
        stage_name=_name(state, stage) if stage is not None else "",
        task=task.id if task is not None else None,
    )


def _key(verb: Verb) -> str:  # noqa: PLR0911  # one per way
    match verb:
        case Add():
            return f"add {verb.how.value}"
        case Expire():
            return f"expire {verb.answer.value}"
        case Settle():
            return f"settle {verb.outcome.value}"
        case Return():
            return "return" if verb.stage is None else "return to"
        case Seat():
            if verb.skipped:
                return "seat skipped"
            return "seat" if any(verb.slots) else "seat nobody"
    return verb.name


def _asked(verb: Verb) -> tuple[Asked, ...]:
    """Those whom a verb asks."""
    match verb:
        case Seat():
            return tuple(one for people in verb.slots for one in people)
        case Add():
            return verb.to
        case Transfer() | Delegate():
            return (verb.to,)
    return ()


def _people(
    state: State, verb: Verb, names: Mapping[UUID, str], roles: Mapping[str, str], language: Language
) -> str:
    if isinstance(verb, Copy):
        found: list[str] = [_called(user, names) for user in verb.users]
    elif isinstance(verb, Remove):
        found = [_who(t, names, roles, language) for t in state.tasks if t.id == verb.task]
    else:
        found = [_who(one, names, roles, language) for one in _asked(verb)]
    return ("、" if language == "zh-CN" else ", ").join(dict.fromkeys(found))


def _who(one: Asked | Task, names: Mapping[UUID, str], roles: Mapping[str, str], language: Language) -> str:
    """A person, whom he stands in for, or the role."""
    if one.user is None:
        return roles.get(one.role or "") or one.role or "?"
    called = _called(one.user, names)
    if one.instead_of is None:
        return called
    absent = _called(one.instead_of, names)
    return f"{called}（代{absent}）" if language == "zh-CN" else f"{called} (for {absent})"


def _called(user: UUID, names: Mapping[UUID, str]) -> str:
    return names.get(user) or f"usr_{user.hex}"


def _task_of(state: State, entry: Entry) -> Task | None:
    """The task an entry is about: the one it names, or the first it answered."""
    named = getattr(entry.verb, "task", None)
    if named is None and isinstance(entry.verb, Return):
        return _answered(state, entry, ApprovalAnswer.RETURN)
    if named is None:
        return _answered(state, entry, ApprovalAnswer.APPROVE, ApprovalAnswer.REJECT)
    return next((t for t in state.tasks if t.id == named), None)


def _answered(state: State, entry: Entry, *answers: ApprovalAnswer) -> Task | None:
    if entry.verb.name not in {"approve", "reject", "return"}:
        return None
    mine = (t for t in state.tasks if (t.signer, t.at) == (entry.actor, entry.at) and t.answer in answers)
    return next((t for t in mine if not t.automatic), None)


def _stage_of(state: State, entry: Entry, task: Task | None) -> int | None:
    if task is not None:
        return task.stage
    wanted = {one.id for one in _asked(entry.verb)} if isinstance(entry.verb, Seat) else set()
    return next((t.stage for t in state.tasks if t.id in wanted), None)


def _target(state: State, verb: Verb) -> str:
    return _name(state, verb.stage) if isinstance(verb, Return) and verb.stage is not None else ""


def _name(state: State, stage: int) -> str:
    """A stage's title, or its number counted from 1."""
    return state.stages[stage].name or str(stage + 1)


def state_in_words(state: str, language: Language) -> str:
    """The state of a request for people."""
    return said(STATES[ApprovalState(state)], language)
