"""Finds policies, signers and the approvals a caller may see; row rules of this room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from crm_core.access.models import Role, RoleGrant, Team, TeamMember, User
from crm_core.access.queries import members_of
from crm_core.actors import Reach
from crm_core.approvals.models import Approval, ApprovalCopy, ApprovalPolicy, ApprovalTarget, ApprovalTask
from crm_core.approvals.words import ENDED, ApprovalState, ApprovalTaskState
from crm_core.db.unit import Unit
from crm_core.db.writer import given
from crm_core.graphql.access import Access

DEEPEST_TEAM = 30
READ, SIGN = "approval.read", "approval.sign"


async def what_concerns(
    session: Unit, line: str | None, targets: Sequence[str], subject: UUID
) -> Sequence[Sequence[Any]]:
    """Whether anything is to be asked about targets (kinds of command, a type of record) and a subject; mostly not.

    `targets` are one or two. Rows of one word: `policy` where there are policies about one of them in the line (None: in
    any), `lock` where the record waits for signatures and may not be changed meanwhile. One statement, made once.
    """
    about = {"target": targets[0], "other": targets[-1], "subject": subject}
    if line is None:
        return await session.seldom("approvals anywhere", _concerns_anywhere, about)
    return await session.seldom("approvals", _concerns, {"line": line, **about})


def _concerns() -> CompoundSelect[Any]:
    target = ApprovalTarget.__table__
    return _concerning(target.c.line == given("line", target.c.line.type))


def _concerns_anywhere() -> CompoundSelect[Any]:
    return _concerning(true())


def _concerning(here: ColumnElement[bool]) -> CompoundSelect[Any]:
    target, approval = ApprovalTarget.__table__, Approval.__table__
    about = [given(name, target.c.target.type) for name in ("target", "other")]
    policies = (
        select(literal("policy").label("what")).where(here, target.c.target.in_(about)).limit(1).subquery()
    )
    locks = (
        select(literal("lock").label("what"))
        .where(
            approval.c.locked == true(), approval.c.subject_id == given("subject", approval.c.subject_id.type)
        )
        .limit(1)
        .subquery()
    )
    return select(policies.c.what).union_all(select(locks.c.what))


async def policies_about(
    session: AsyncSession, line: str | None, targets: Sequence[str], now: datetime
) -> list[ApprovalPolicy]:
    """Policies in force now about one of these targets, the lowest priority number first; conditions not yet asked.

    Without a line: those of all lines.
    """
    edition = aliased(ApprovalPolicy)
    named = (
        select(edition.line, edition.name)
        .join(ApprovalTarget, ApprovalTarget.policy_id == edition.id)
        .where(ApprovalTarget.target.in_(targets), true() if line is None else ApprovalTarget.line == line)
    )
    statement = select(ApprovalPolicy).where(
        tuple_(ApprovalPolicy.line, ApprovalPolicy.name).in_(named), ApprovalPolicy.valid_from <= now
    )
    found = latest((await session.execute(statement)).scalars())
    about = (
        p
        for p in found
        if p.enabled
        and not {*p.commands, p.document}.isdisjoint(targets)
        and (p.valid_to is None or now < p.valid_to)
    )
    return sorted(about, key=lambda p: (p.priority, p.name, p.line))


def latest(policies: Iterable[ApprovalPolicy]) -> Sequence[ApprovalPolicy]:
    """The last edition of each name in each line."""
    last: dict[tuple[str, str], ApprovalPolicy] = {}
    for policy in policies:
        known = last.get((policy.line, policy.name))
        if known is None or known.edition < policy.edition:
            last[policy.line, policy.name] = policy
    return list(last.values())


async def last_edition(session: AsyncSession, line: str, name: str) -> ApprovalPolicy | None:
    """The newest edition of a policy of a line, in force or not yet."""
    statement = select(ApprovalPolicy).where(ApprovalPolicy.line == line, ApprovalPolicy.name == name)
    return (
        (await session.execute(statement.order_by(ApprovalPolicy.edition.desc()).limit(1))).scalars().first()
    )


async def last_editions(session: AsyncSession, line: str) -> Sequence[ApprovalPolicy]:
    """The newest edition of every policy of a line, in force or not yet."""
    statement = select(ApprovalPolicy).where(ApprovalPolicy.line == line)
    return latest((await session.execute(statement)).scalars())


async def holders(session: AsyncSession, role: str, line: str) -> list[UUID]:
    """Enabled users who hold a role in a line, each once, in a fixed order."""
    return sorted(set((await session.execute(members_of(role, line))).scalars()))


async def near_holders(session: AsyncSession, role: str, line: str, user_id: UUID) -> list[UUID]:
    """Holders of a role in the user's team of the line, or in the nearest team above that has any."""
    able = set(await holders(session, role, line))
    teams = await teams_upwards(session, user_id, line)
    for level in teams:
        if here := sorted(able & level):
            return here
    return []


async def teams_in(session: AsyncSession, user_id: UUID, line: str) -> list[UUID]:
    """The user's teams in a line."""
    statement = (
        select(Team.id)
        .join(TeamMember, TeamMember.team_id == Team.id)
        .where(TeamMember.user_id == user_id, Team.line == line)
        .order_by(Team.id)
    )
    return list((await session.execute(statement)).scalars())


async def teams_upwards(session: AsyncSession, user_id: UUID, line: str) -> list[set[UUID]]:
    """The members of the user's teams in a line, then of the teams above those, and so on; one statement."""
    team, member = Team.__table__, TeamMember.__table__
    way = (
        select(team.c.id, team.c.parent_id, literal(0).label("level"))
        .join(member, member.c.team_id == team.c.id)
        .where(member.c.user_id == user_id, team.c.line == line)
        .cte("way", recursive=True)
    )
    above = select(team.c.id, team.c.parent_id, way.c.level + 1).join(way, way.c.parent_id == team.c.id)
    way = way.union_all(above.where(way.c.level < DEEPEST_TEAM))
    statement = select(way.c.level, member.c.user_id).join(member, member.c.team_id == way.c.id)
    levels: dict[int, set[UUID]] = {}
    for level, user in (await session.execute(statement)).all():
        levels.setdefault(level, set()).add(user)
    return [levels[level] for level in sorted(levels)]


async def enabled_of(session: AsyncSession, users: Collection[UUID]) -> set[UUID]:
    """Those of these users who exist and are not disabled."""
    statement = select(User.id).where(User.id.in_(users), User.disabled_at.is_(None))
    return set((await session.execute(statement)).scalars())


async def is_being_signed(session: AsyncSession, document: str, record: UUID) -> bool:
    """Whether a record has a request for signatures that may still come to something."""
    open_ = [state.value for state in ApprovalState if state not in ENDED]
    statement = select(Approval.id).where(
        Approval.subject_id == record, Approval.document == document, Approval.state.in_(open_)
    )
    return (await session.execute(statement.limit(1))).first() is not None


async def is_enabled(session: AsyncSession, user_id: UUID) -> bool:
    """Whether the user exists and is not disabled."""
    statement = select(User.id).where(User.id == user_id, User.disabled_at.is_(None))
    return (await session.execute(statement)).first() is not None


async def roles_held(session: AsyncSession, user_id: UUID, line: str) -> frozenset[str]:
    """Names of the roles a user holds in a line, those given for all lines included."""
    return frozenset((await session.execute(held_roles(user_id, line))).scalars())


def held_roles(user_id: UUID, line: str) -> Select[Any]:
    """Names of the roles a user holds in a line."""
    return _held_roles(line).where(RoleGrant.__table__.c.user_id == user_id)


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
    ways = union_all(mine, _copied(access), _done(access), *asked(access))
    own = and_(t.c.line.in_(access.actor.lines), t.c.id.in_(ways))
    return or_(t.c.line.in_(sorted(whole)), own) if whole else own


def of_lines(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Policies of the lines where the actor holds the scope, however far it reaches."""
    if access.actor.is_system or access.everything(scope):
        return true()
    reached: ColumnElement[bool] = t.c.line.in_(sorted(access.actor.reach(scope)))
    return reached


def asked(
    access: Access,
    state: ApprovalTaskState | None = None,
    only: Callable[[Any], ColumnElement[bool]] | None = None,
) -> tuple[Select[Any], ...]:
    """Ids of approvals with a signature (in this state) asked of the actor, by name or by a role he holds in its line.

    Each way of being asked is a statement of its own, so that each goes through its own index. `only` narrows the tasks.
    """
    task = ApprovalTask.__table__.alias("asked")
    grant, role = RoleGrant.__table__.alias("asked_grant"), Role.__table__.alias("asked_role")
    held = role.join(grant, and_(grant.c.role_id == role.c.id, grant.c.user_id == access.me()))
    found = select(task.c.approval_id).where(true() if state is None else task.c.state == state.value)
    found = found if only is None else found.where(only(task))
    of_role = found.where(task.c.user_id.is_(None), task.c.role == role.c.name)
    return (
        found.where(task.c.user_id == access.me()),
        found.where(task.c.instead_of_id == access.me()),
        of_role.select_from(held.join(task, task.c.line == grant.c.line)),
        of_role.select_from(held.join(task, grant.c.line.is_(None))),
    )


def _copied(access: Access) -> Select[Any]:
    copy = ApprovalCopy.__table__.alias("copied")
    return select(copy.c.approval_id).where(copy.c.user_id == access.me())


def _done(access: Access) -> Select[Any]:
    done = ApprovalTask.__table__.alias("done")
    return select(done.c.approval_id).where(done.c.signer_id == access.me())


def copied_to_me(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the actor was shown the approval (抄送)."""
    found: ColumnElement[bool] = t.c.id.in_(_copied(access))
    return found


def done_by_me(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the actor did a task of the approval (已处理)."""
    found: ColumnElement[bool] = t.c.id.in_(_done(access))
    return found


def waits_for_me(
    t: Any, access: Access, only: Callable[[Any], ColumnElement[bool]] | None = None
) -> ColumnElement[bool]:
    """Whether the actor may sign the approval now; `only`: for the sake of one of these tasks."""
    return _waits(t, access, t.c.id.in_(union_all(*asked(access, ApprovalTaskState.OPEN, only))))


def _waits(t: Any, access: Access, is_asked: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(
        t.c.state == ApprovalState.PENDING.value,
        t.c.line.in_(sorted(access.actor.reach(SIGN))),
        or_(t.c.self_approval == true(), t.c.requester_id != access.me()),
        is_asked,
    )


def can_sign(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the actor may sign the approval now, asked of few approvals: each looks at its own tasks."""
    return _waits(t, access, or_(*(way.exists() for way in _asked_of(t, access))))


def _asked_of(t: Any, access: Access) -> Iterable[Select[Any]]:
    def own(task: Any) -> ColumnElement[bool]:
        here: ColumnElement[bool] = task.c.approval_id == t.c.id
        return here

    return (way.correlate(t) for way in asked(access, ApprovalTaskState.OPEN, own))


def pending() -> Select[Approval]:
    """All approvals that wait for a signature, oldest first."""
    return select(Approval).where(Approval.state == ApprovalState.PENDING.value).order_by(Approval.id)
