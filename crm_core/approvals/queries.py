"""Finds policies, signers and the approvals a caller may see; row rules of this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select, true, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.access.models import Role, RoleGrant, User
from crm_core.access.queries import members_of
from crm_core.actors import Reach
from crm_core.approvals.chain import ApprovalState, ApprovalTaskState
from crm_core.approvals.models import Approval, ApprovalPolicy, ApprovalTask
from crm_core.approvals.policy import ApprovalCondition, matches
from crm_core.commands import Command
from crm_core.db.unit import Unit
from crm_core.db.writer import given
from crm_core.graphql.access import Access

READ, SIGN = "approval.read", "approval.sign"


async def policy_for(session: Unit, line: str, command: Command, now: datetime) -> ApprovalPolicy | None:
    """The policy that holds this command now: of those enabled whose condition is met, the first by priority, name."""
    if not await session.rows("policies", _any_policy, {"line": line, "kind": command.kind, "now": now}):
        return None
    statement = select(ApprovalPolicy).where(
        ApprovalPolicy.line == line,
        ApprovalPolicy.command_kind == command.kind,
        ApprovalPolicy.valid_from <= now,
    )
    found = (await session.execute(statement)).scalars().all()
    applying = (
        p
        for p in latest(found)
        if p.enabled and matches(ApprovalCondition.model_validate(p.condition), command)
    )
    return min(applying, key=lambda p: (p.priority, p.name), default=None)


def _any_policy() -> Select[Any]:
    """Whether there is any policy for a kind of command in a line; most have none."""
    table = ApprovalPolicy.__table__
    return (
        select(table.c.id)
        .where(
            table.c.line == given("line", table.c.line.type),
            table.c.command_kind == given("kind", table.c.command_kind.type),
            table.c.valid_from <= given("now", table.c.valid_from.type),
        )
        .limit(1)
    )


def latest(policies: Iterable[ApprovalPolicy]) -> Sequence[ApprovalPolicy]:
    """The last edition of each name."""
    last: dict[str, ApprovalPolicy] = {}
    for policy in policies:
        known = last.get(policy.name)
        if known is None or known.edition < policy.edition:
            last[policy.name] = policy
    return list(last.values())


async def last_edition(session: AsyncSession, line: str, name: str) -> ApprovalPolicy | None:
    """The newest edition of a policy of a line, in force or not yet."""
    statement = select(ApprovalPolicy).where(ApprovalPolicy.line == line, ApprovalPolicy.name == name)
    return (
        (await session.execute(statement.order_by(ApprovalPolicy.edition.desc()).limit(1))).scalars().first()
    )


async def holders(session: AsyncSession, role: str, line: str) -> list[UUID]:
    """Enabled users who hold a role in a line, each once, in a fixed order."""
    return sorted(set((await session.execute(members_of(role, line))).scalars()))


async def is_enabled(session: AsyncSession, user_id: UUID) -> bool:
    """Whether the user exists and is not disabled."""
    statement = select(User.id).where(User.id == user_id, User.disabled_at.is_(None))
    return (await session.execute(statement)).first() is not None


async def roles_held(session: AsyncSession, user_id: UUID, line: str) -> frozenset[str]:
    """Names of the roles a user holds in a line, those given for all lines included."""
    statement = _held_roles(line).where(RoleGrant.__table__.c.user_id == user_id)
    return frozenset((await session.execute(statement)).scalars())


def _held_roles(line: Any) -> Select[Any]:
    grant, role = RoleGrant.__table__, Role.__table__
    return (
        select(role.c.name)
        .join(grant, grant.c.role_id == role.c.id)
        .where(or_(grant.c.line == line, grant.c.line.is_(None)))
    )


# -- row rules


def concerned(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """Approvals the actor asked for, may sign or signed, and those of lines that he reads whole; in his lines only."""
    if access.actor.is_system or access.everything(READ):
        return true()
    whole = [line for line, reach in access.actor.reach(READ).items() if reach >= Reach.LINE]
    requested = Approval.__table__.alias("requested")
    mine = select(requested.c.id).where(requested.c.requester_id == access.me())
    own = and_(t.c.line.in_(access.actor.lines), t.c.id.in_(union_all(mine, *_asked(access))))
    return or_(t.c.line.in_(sorted(whole)), own) if whole else own


def of_lines(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Policies of the lines where the actor holds the scope, however far it reaches."""
    if access.actor.is_system or access.everything(scope):
        return true()
    reached: ColumnElement[bool] = t.c.line.in_(sorted(access.actor.reach(scope)))
    return reached


def _asked(access: Access, state: ApprovalTaskState | None = None) -> tuple[Select[Any], ...]:
    """Ids of approvals with a signature (in this state) asked of the actor, by name or by a role he holds in its line.

    Each way of being asked is a statement of its own, so that each goes through its own index.
    """
    task = ApprovalTask.__table__.alias("asked")
    grant, role = RoleGrant.__table__.alias("asked_grant"), Role.__table__.alias("asked_role")
    held = role.join(grant, and_(grant.c.role_id == role.c.id, grant.c.user_id == access.me()))
    in_line = select(role.c.name, grant.c.line).select_from(held).where(grant.c.line.is_not(None))
    everywhere = select(role.c.name).select_from(held).where(grant.c.line.is_(None))
    found = select(task.c.approval_id).where(true() if state is None else task.c.state == state.value)
    of_role = found.where(task.c.user_id.is_(None))
    return (
        found.where(task.c.user_id == access.me()),
        of_role.where(tuple_(task.c.role, task.c.line).in_(in_line)),
        of_role.where(task.c.role.in_(everywhere)),
    )


def waits_for_me(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the actor may sign the approval now."""
    return and_(
        t.c.state == ApprovalState.PENDING.value,
        t.c.line.in_(sorted(access.actor.reach(SIGN))),
        or_(t.c.self_approval == true(), t.c.requester_id != access.me()),
        t.c.id.in_(union_all(*_asked(access, ApprovalTaskState.OPEN))),
    )


def pending() -> Select[Approval]:
    """All approvals that wait for a signature, oldest first."""
    return select(Approval).where(Approval.state == ApprovalState.PENDING.value).order_by(Approval.id)
