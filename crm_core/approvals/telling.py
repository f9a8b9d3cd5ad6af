"""Tells people about a request: those asked, those shown it, who asked for it (审批通知)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import select

from crm_core import ids
from crm_core.access.models import User
from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.approvals.notices import ASKED, COPIED, DECIDED, RETURNED
from crm_core.approvals.queries import holders
from crm_core.approvals.titles import title_of
from crm_core.approvals.words import ApprovalState, ApprovalTaskKind, ApprovalTaskState, State, Task
from crm_core.errors import Language
from crm_core.notices.notifying import notify
from crm_core.work import Work


async def tell(work: Work, approval: Approval, state: State, before: State | None = None) -> None:
    """Tell everybody what is new for him since `before`: a task of his, a copy, a return, the end."""
    known = {task.id: task.state for task in before.tasks} if before is not None else {}
    fresh = [
        task
        for task in state.tasks
        if task.state is ApprovalTaskState.OPEN and known.get(task.id) is not ApprovalTaskState.OPEN
    ]
    due, asked = _due(work), {kind: [t for t in fresh if t.kind is kind] for kind in ApprovalTaskKind}
    for kind, notice in ((ApprovalTaskKind.SIGN, ASKED), (ApprovalTaskKind.RESUBMIT, RETURNED)):
        theirs = await _own_tasks(work, approval, asked[kind])
        facts = {user: _of_task(task.id, due.get(task.id)) for user, task in theirs.items()}
        await tell_about(work, approval, list(theirs), notice, own=facts)
    shown = [user for user in state.copied if before is None or user not in before.copied]
    if shown:
        await tell_about(work, approval, shown, COPIED)
    waiting = (ApprovalState.PENDING, ApprovalState.RETURNED, ApprovalState.PERFORMING)
    if state.status not in waiting and (before is None or before.status is not state.status):
        await tell_about(work, approval, [state.requester], DECIDED)


async def people_of(work: Work, approval: Approval, tasks: Iterable[Task | ApprovalTask]) -> Sequence[UUID]:
    """Who can do these tasks: the users named, those they stand in for, or all holders of the role."""
    found: dict[UUID, None] = {}
    for task in tasks:
        named = task.user if isinstance(task, Task) else task.user_id
        absent = task.instead_of if isinstance(task, Task) else task.instead_of_id
        if named is None:
            found |= dict.fromkeys(await holders(work.session, str(task.role), approval.line))
        else:
            found |= dict.fromkeys(one for one in (named, absent) if one is not None)
    others = [one for one in found if one != approval.requester_id]
    return others if others and not approval.self_approval else list(found)


async def tell_about(
    work: Work,
    approval: Approval,
    users: Sequence[UUID],
    kind: str,
    *,
    task: ApprovalTask | None = None,
    own: Mapping[UUID, Mapping[str, Any]] | None = None,
    urgent: bool = False,
) -> None:
    """One notice about the request to each of these users; `own` holds what is told to one of them alone."""
    if not users:
        return
    subject = ("Approval", approval.id)
    path = f"/approvals/{ids.show('apr', approval.id)}"
    common = _of_task(task.id, task.due_at) if task is not None else _of_task(None, None)
    facts = await _facts(work, approval) | common
    await notify(
        work, users, kind, facts, subject=subject, path=path, urgent=urgent, line=approval.line, own=own
    )


async def _own_tasks(work: Work, approval: Approval, tasks: Sequence[Task]) -> dict[UUID, Task]:
    """Who can do these tasks, and the first of them that he can."""
    found: dict[UUID, Task] = {}
    for task in tasks:
        for user in await people_of(work, approval, [task]):
            found.setdefault(user, task)
    return found


def _due(work: Work) -> dict[UUID, datetime | None]:
    """By when the tasks must be done that were written, or are about to be."""
    known = (*work.session.new, *work.session.identity_map.values())
    return {row.id: row.due_at for row in known if isinstance(row, ApprovalTask)}


def _of_task(task: UUID | None, due: datetime | None) -> dict[str, Any]:
    return {"task": ids.show("apt", task) if task is not None else None, "due": due}


async def _facts(work: Work, approval: Approval) -> dict[str, Any]:
    requester = await work.session.scalar(select(User.name).where(User.id == approval.requester_id))
    spec = work.registry.commands.get(approval.kind)
    words = (spec.command.__doc__ or "").strip().split("\n")[0] if spec else ""
    return {
        "title": approval.title,
        "requester": requester or "",
        "kind": {one: title_of(words, approval.kind, one) for one in get_args(Language)},
        "line": work.services.settings.lines[approval.line].name or approval.line,
        "subject": approval.subject_ref or "",
        "comment": approval.comment or approval.options.get("reason") or "",
    }
