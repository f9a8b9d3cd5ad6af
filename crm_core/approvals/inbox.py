"""The inbox of somebody who signs and asks (审批中心): its boxes, their counts, search, copies he has read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeAlias

from pydantic import Field
from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, or_, select, true, union_all

from crm_core.access.models import Role, RoleGrant, RoleScope, User
from crm_core.access.queries import EVERYTHING
from crm_core.approvals.commands import ApprovalId, me
from crm_core.approvals.models import Approval, ApprovalCopy, ApprovalTask
from crm_core.approvals.queries import (
    READ,
    SIGN,
    copied_to_me,
    done_by_me,
    waits_for_me,
)
from crm_core.approvals.words import ApprovalAdded, ApprovalState, ApprovalTaskKind, ApprovalTaskState
from crm_core.commands import Command, Perform
from crm_core.db import search
from crm_core.errors import Message, Refused
from crm_core.graphql.access import Access
from crm_core.tokens import tokens_of
from crm_core.work import Work

NOT_COPIED = Message("APPROVAL_NOT_COPIED", "This approval was not copied to you.", "该审批未抄送给您。")
MESSAGES = (NOT_COPIED,)
KIND: Final = "Approval"
"""Under which kind titles stand in the search index."""
_MOST_NAME: Final = 120


class ApprovalBox(StrEnum):
    """A box of the inbox (审批箱): MINE waits for me, DELEGATED of these as a deputy or for advice, COPIED, SUBMITTED, DONE."""

    MINE = "MINE"
    DELEGATED = "DELEGATED"
    COPIED = "COPIED"
    SUBMITTED = "SUBMITTED"
    DONE = "DONE"


# -- boxes


def delegated(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the approval waits for the actor in somebody's place (外出委托), or for his advice (委派)."""

    def handed(task: Any) -> ColumnElement[bool]:
        as_deputy = and_(task.c.instead_of_id.is_not(None), task.c.user_id == access.me())
        return or_(as_deputy, task.c.added == ApprovalAdded.DELEGATED.value)

    return waits_for_me(t, access, handed)


def submitted(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the actor asked for it."""
    mine: ColumnElement[bool] = t.c.requester_id == access.me()
    return mine


def overdue(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the approval waits for the actor longer than its policy lets it."""
    return waits_for_me(t, access, lambda task: task.c.due_at <= access.moment())


def unread(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the actor has not yet read his copy."""
    copy = ApprovalCopy.__table__.alias("unread")
    fresh = select(copy.c.approval_id).where(copy.c.user_id == access.me(), copy.c.read_at.is_(None))
    found: ColumnElement[bool] = t.c.id.in_(fresh)
    return found


def returned(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the approval was sent back to the actor, who asked for it."""
    return and_(submitted(t, access), t.c.state == ApprovalState.RETURNED.value)


Rule: TypeAlias = "Callable[[Any, Access], ColumnElement[bool]]"
BOXES: Final[Mapping[ApprovalBox, Rule]] = {
    ApprovalBox.MINE: waits_for_me,
    ApprovalBox.DELEGATED: delegated,
    ApprovalBox.COPIED: copied_to_me,
    ApprovalBox.SUBMITTED: submitted,
    ApprovalBox.DONE: done_by_me,
}
COUNTED: Final[Mapping[str, Rule]] = {
    **{box.value.lower(): rule for box, rule in BOXES.items()},
    "unread": unread,
    "returned": returned,
    "overdue": overdue,
}


def counts(access: Access) -> Select[Any]:
    """How many approvals stand in each box, as far as the actor may read them; one row, one statement."""
    return select(*(_count(rule, access).label(name) for name, rule in COUNTED.items()))


def _count(rule: Rule, access: Access) -> Any:
    t = Approval.__table__.alias("counted")
    found = select(func.count()).select_from(t)
    return found.where(rule(t, access), _readable(t, access)).scalar_subquery()


def _readable(t: Any, access: Access) -> ColumnElement[bool]:
    """Of what concerns the actor he reads what belongs to his lines; the boxes hold nothing else."""
    mine: ColumnElement[bool] = t.c.line.in_(access.actor.lines)
    return true() if access.everything(READ) else mine


# -- who could sign


def could_sign(a: Any, u: Any, _access: Access) -> ColumnElement[bool]:
    """Whether a user could sign an approval now: asked by name or role, or represented, enabled, with the right to."""
    return and_(
        a.c.state == ApprovalState.PENDING.value,
        u.c.id.in_(_asked_now(a)),
        u.c.disabled_at.is_(None),
        or_(a.c.self_approval == true(), u.c.id != a.c.requester_id),
        _may_sign(a, u),
    )


def _asked_now(a: Any) -> CompoundSelect[Any]:
    """Ids of users whom the open tasks of an approval name, stand in for, or ask by their role."""
    task, role, grant = (
        ApprovalTask.__table__.alias("to_sign"),
        Role.__table__.alias("to_sign_role"),
        RoleGrant.__table__.alias("to_sign_grant"),
    )
    here = and_(
        task.c.approval_id == a.c.id,
        task.c.state == ApprovalTaskState.OPEN.value,
        task.c.kind == ApprovalTaskKind.SIGN.value,
    )
    held = and_(grant.c.role_id == role.c.id, or_(grant.c.line == task.c.line, grant.c.line.is_(None)))
    by_role = (
        select(grant.c.user_id).select_from(task).join(role, role.c.name == task.c.role).join(grant, held)
    )
    return union_all(
        select(task.c.user_id).where(here, task.c.user_id.is_not(None)).correlate(a),
        select(task.c.instead_of_id).where(here, task.c.instead_of_id.is_not(None)).correlate(a),
        by_role.where(here, task.c.user_id.is_(None)).correlate(a),
    )


def _may_sign(a: Any, u: Any) -> ColumnElement[bool]:
    """Whether a user holds the right to sign in the approval's line."""
    grant, scope = RoleGrant.__table__.alias("sign_grant"), RoleScope.__table__.alias("sign_scope")
    here = or_(grant.c.line == a.c.line, grant.c.line.is_(None))
    held = select(grant.c.user_id).join(scope, scope.c.role_id == grant.c.role_id)
    return (
        held.where(grant.c.user_id == u.c.id, scope.c.scope.in_([SIGN, EVERYTHING]), here)
        .correlate(a, u)
        .exists()
    )


# -- search


async def make_findable(work: Work, approval: Approval) -> None:
    """Put the title into the search index."""
    dialect = work.services.database.dialect
    await search.index(work.session, dialect, KIND, approval.id, tokens_of([approval.title]))


def found(t: Any, access: Access, name: Any, ref: Any, *looked_for: Any) -> ColumnElement[bool]:
    """Approvals with such a title, asked for by somebody of such a name, or about the record of this id."""
    asking, about, user = (
        Approval.__table__.alias("asked_by"),
        Approval.__table__.alias("asked_about"),
        User.__table__.alias("asker"),
    )
    people = select(user.c.id).where(func.lower(user.c.name).like(name, escape="/"))
    ways = [
        select(asking.c.id).where(asking.c.requester_id.in_(people)),
        select(about.c.id).where(about.c.subject_ref == ref),
    ]
    if looked_for:
        ways.append(search.matching(KIND, looked_for, access.dialect))
    here: ColumnElement[bool] = t.c.id.in_(union_all(*ways))
    return here


def looked_for(access: Access, text: str) -> tuple[Any, ...]:
    """What `found` compares: a pattern of names, an id, and what to look up in the index."""
    wanted = text.strip()
    literal = "".join("/" + c if c in "/%_" else c for c in wanted.lower()[:_MOST_NAME])
    return (f"%{literal}%" if literal else "", wanted, *search.wanted(wanted, access.dialect))


# -- copies


class MarkRead(Command):
    """Say that you have read what was copied to you (抄送已读)."""

    kind: ClassVar[str] = "approval.mark_read"
    scope: ClassVar[str] = READ
    returns: ClassVar[str | list[str]] = "Approval"
    subject: ClassVar[str | None] = "id"
    id: ApprovalId = Field(description="The approval (审批单).")


async def mark_read(work: Work, command: MarkRead) -> Approval:
    """The approval; the first time counts."""
    copy = await work.session.get(ApprovalCopy, (command.id, me(work)))
    if copy is None:
        raise Refused(NOT_COPIED("id"))
    if copy.read_at is None:
        copy.read_at = work.now
    approval: Approval = work.subject
    return approval


COMMANDS: dict[type[Command], Perform] = {MarkRead: mark_read}
