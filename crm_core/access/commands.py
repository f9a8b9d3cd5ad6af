"""Commands on users, teams, roles and tokens; all deployment-wide, for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import delete, func, select

from crm_core import errors
from crm_core.access.events import RolesChanged, TokenRevoked, UserChanged
from crm_core.access.models import (
    ApiToken,
    BusinessLine,
    Role,
    RoleGrant,
    RoleScope,
    Team,
    TeamMember,
    UsageReview,
    User,
)
from crm_core.access.queries import EVERYTHING
from crm_core.actors import Reach
from crm_core.audit.models import AuditEntry
from crm_core.commands import Command, Part, Perform, Ref, omitted
from crm_core.errors import Message, Refused
from crm_core.work import Work

UserId = Annotated[UUID, Ref("User", "usr")]
TeamId = Annotated[UUID, Ref("Team", "tea")]
RoleId = Annotated[UUID, Ref("Role", "rol")]
GrantId = Annotated[UUID, Ref("RoleGrant", "gra")]
TokenId = Annotated[UUID, Ref("ApiToken", "tok")]
LineId = Annotated[UUID, Ref("BusinessLine", "lin")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]

LOGIN_TAKEN = Message("LOGIN_TAKEN", "The login {login} is taken.", "登录名 {login} 已被使用。")
UNKNOWN_SCOPE = Message(
    "UNKNOWN_SCOPE",
    "No permission {scope}; see docs/reference/scopes.md.",
    "没有权限 {scope}，请参阅权限清单。",
)
TEAM_CIRCLE = Message("TEAM_CIRCLE", "A team cannot stand below itself.", "团队不能隶属于自身。")
OTHER_LINE = Message("OTHER_LINE", "The team belongs to line {line}.", "该团队属于业务线 {line}。")
EXPIRED_ALREADY = Message("EXPIRED_ALREADY", "The token would have expired already.", "令牌的有效期已过。")
MESSAGES = (EXPIRED_ALREADY, LOGIN_TAKEN, UNKNOWN_SCOPE, TEAM_CIRCLE, OTHER_LINE)


class _Administration(Command):
    scope: ClassVar[str] = "access.admin"
    on_line: ClassVar[bool] = False
    kind: ClassVar[str] = ""
    returns: ClassVar[str | list[str]] = ""


class CreateUser(_Administration):
    """Create a user (新建员工)."""

    kind = "user.create"
    returns = "User"
    login: Name = Field(description="Sign-in name, unique (登录名).")
    name: Name = Field(description="The person's name (姓名).")
    title: str = Field("", max_length=120, description="Post, e.g. 销售顾问 (职务).")
    department: str = Field("", max_length=120, description="Department (部门).")
    email: str | None = Field(None, max_length=200, description="E-mail for notices (邮箱).")


async def create_user(work: Work, command: CreateUser) -> User:
    """A new user; refuses a login already in use."""
    taken = await work.session.scalar(select(func.count()).where(User.login == command.login))
    if taken:
        raise Refused(LOGIN_TAKEN("login", login=command.login))
    user = work.add(User(**command.model_dump(by_alias=False)))
    work.record(UserChanged.of(user))
    return user


class UpdateUser(_Administration):
    """Change a user; what is left out stays (修改员工)."""

    kind = "user.update"
    returns = "User"
    subject = "id"
    id: UserId = Field(description="The user.")
    name: Name = omitted(description="The person's name (姓名).")
    title: str = omitted(max_length=120, description="Post (职务).")
    department: str = omitted(max_length=120, description="Department (部门).")
    email: str | None = omitted(max_length=200, description="E-mail (邮箱).")
    disabled: bool = omitted(description="Disable (true) or enable (false) the account (停用).")


async def update_user(work: Work, command: UpdateUser) -> User:
    """The changed user; disabling ends all his sessions within seconds."""
    user: User = work.subject
    given = command.given()
    for column in given.keys() & {"name", "title", "department", "email"}:
        setattr(user, column, given[column])
    if "disabled" in given:
        user.disabled_at = (user.disabled_at or work.now) if given["disabled"] else None
    work.touch(user)
    work.record(UserChanged.of(user))
    return user


class CreateTeam(_Administration):
    """Create a team in a line (新建团队)."""

    kind = "team.create"
    returns = "Team"
    line: str = Field(description="Code of the line (业务线).")
    name: Name = Field(description="The team's name (名称).")
    parent_id: TeamId | None = Field(None, description="The team above (上级团队).")


async def create_team(work: Work, command: CreateTeam) -> Team:
    """A new team; refuses an unknown line or a parent of another line."""
    if command.line not in work.registry.lines:
        raise Refused(errors.UNKNOWN_LINE("line", line=command.line))
    if command.parent_id is not None:
        parent = await work.get(Team, command.parent_id, "parentId")
        if parent.line != command.line:
            raise Refused(OTHER_LINE("parentId", line=parent.line))
    return work.add(Team(line=command.line, name=command.name, parent_id=command.parent_id))


class MoveTeam(_Administration):
    """Put a team below another, or at the top (调整团队)."""

    kind = "team.move"
    returns = "Team"
    subject = "id"
    id: TeamId = Field(description="The team.")
    parent_id: TeamId | None = Field(description="The team above; null: none (上级团队).")


async def move_team(work: Work, command: MoveTeam) -> Team:
    """The moved team; refuses a circle."""
    team: Team = work.subject
    above = command.parent_id
    while above is not None:
        parent = await work.get(Team, above, "parentId")
        if parent.id == team.id:
            raise Refused(TEAM_CIRCLE("parentId"))
        if parent.line != team.line:
            raise Refused(OTHER_LINE("parentId", line=parent.line))
        above = parent.parent_id
    team.parent_id = command.parent_id
    work.touch(team)
    return team


class SetTeamMember(_Administration):
    """Put a user into a team, or take him out (团队成员)."""

    kind = "team.set_member"
    returns = "Team"
    subject = "id"
    id: TeamId = Field(description="The team.")
    user_id: UserId = Field(description="The user.")
    member: bool = Field(True, description="False takes the user out.")
    leads: bool = Field(False, description="Whether the user leads the team (组长).")


async def set_team_member(work: Work, command: SetTeamMember) -> Team:
    """The team with its changed membership."""
    team: Team = work.subject
    await work.get(User, command.user_id, "userId")
    known = await work.session.get(TeamMember, (team.id, command.user_id))
    if known is not None and not command.member:
        await work.session.delete(known)
    elif known is not None:
        known.leads = command.leads
    elif command.member:
        work.session.add(TeamMember(team_id=team.id, user_id=command.user_id, leads=command.leads))
    work.touch(team)
    return team


class ScopeReach(Part):
    """A scope and how far it reaches."""

    scope: str = Field(description="Permission, e.g. customer.read; `*` is every one (权限).")
    reach: Reach = Field(description="How far it reaches (数据范围).")


class DefineRole(_Administration):
    """Create a role or replace its scopes (定义角色)."""

    kind = "role.define"
    returns = "Role"
    name: Name = Field(description="The role's name, e.g. sales_manager.")
    title: str = Field("", max_length=120, description="Title for people (名称).")
    scopes: list[ScopeReach] = Field(
        max_length=500, description="All its scopes; those left out are taken away."
    )


async def define_role(work: Work, command: DefineRole) -> Role:
    """The role with exactly these scopes; refuses scopes nobody declares."""
    errors.raise_if(
        UNKNOWN_SCOPE(f"scopes.{position}.scope", scope=one.scope)
        for position, one in enumerate(command.scopes)
        if one.scope != EVERYTHING and one.scope not in work.registry.scopes
    )
    role = await work.session.scalar(select(Role).where(Role.name == command.name))
    if role is None:
        role = work.add(Role(name=command.name, title=command.title or command.name))
        await work.flush()
    else:
        role.title = command.title or role.title
        work.touch(role)
    await work.session.execute(delete(RoleScope).where(RoleScope.role_id == role.id))
    for one in command.scopes:
        work.session.add(RoleScope(role_id=role.id, scope=one.scope, reach=int(one.reach)))
    return role


class GrantRole(_Administration):
    """Give a user a role in a line or in all lines (授予角色)."""

    kind = "role.grant"
    returns = "RoleGrant"
    user_id: UserId = Field(description="The user.")
    role: Name = Field(description="The role's name.")
    line: str | None = Field(None, description="The line; null: all lines (业务线).")


async def grant_role(work: Work, command: GrantRole) -> RoleGrant:
    """The grant; granting twice gives the one that exists."""
    user = await work.get(User, command.user_id, "userId")
    role = await work.session.scalar(select(Role).where(Role.name == command.role))
    if role is None:
        raise Refused(errors.NOT_FOUND("role", type="Role", id=command.role))
    if command.line is not None and command.line not in work.registry.lines:
        raise Refused(errors.UNKNOWN_LINE("line", line=command.line))
    known = await work.session.scalar(
        select(RoleGrant).where(
            RoleGrant.user_id == user.id,
            RoleGrant.role_id == role.id,
            RoleGrant.line.is_not_distinct_from(command.line),
        )
    )
    if known is not None:
        return known
    work.touch(user)
    work.record(RolesChanged.of(user, role=role.name, line=command.line, granted=True))
    return work.add(RoleGrant(user_id=user.id, role_id=role.id, line=command.line))


class RevokeRole(_Administration):
    """Take a role back (收回角色)."""

    kind = "role.revoke"
    returns = "User"
    subject = "user_id"
    user_id: UserId = Field(description="The user.")
    role: Name = Field(description="The role's name.")
    line: str | None = Field(None, description="The line the role was given in; null: all lines.")


async def revoke_role(work: Work, command: RevokeRole) -> User:
    """The user without that role in that line."""
    user: User = work.subject
    role = await work.session.scalar(select(Role).where(Role.name == command.role))
    found = role and await work.session.scalar(
        select(RoleGrant).where(
            RoleGrant.user_id == user.id,
            RoleGrant.role_id == role.id,
            RoleGrant.line.is_not_distinct_from(command.line),
        )
    )
    if not found:
        raise Refused(errors.NOT_FOUND("role", type="RoleGrant", id=command.role))
    await work.session.delete(found)
    work.touch(user)
    work.record(RolesChanged.of(user, role=command.role, line=command.line, granted=False))
    return user


class CreateToken(_Administration):
    """Create an API token (新建令牌). The secret stays with you: give its SHA-256; the token is `crm_<id>_<secret>`."""

    kind = "token.create"
    returns = "ApiToken"
    sensitive = frozenset({"secret_hash"})
    user_id: UserId = Field(description="Whose rights it has.")
    name: Name = Field(description="What it is for (用途).")
    secret_hash: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the secret, hex.")
    scopes: list[str] | None = Field(
        None, max_length=500, description="Only these scopes; null: all the user's."
    )
    lines: list[str] | None = Field(
        None, max_length=100, description="Only these lines; null: all the user's."
    )
    expires_at: datetime | None = Field(None, description="When it expires; null: never.")


async def create_token(work: Work, command: CreateToken) -> ApiToken:
    """The token's row; refuses unknown scopes and lines."""
    await work.get(User, command.user_id, "userId")
    if command.expires_at is not None and command.expires_at <= work.now:
        raise Refused(EXPIRED_ALREADY("expiresAt"))
    found = [
        UNKNOWN_SCOPE(f"scopes.{i}", scope=s)
        for i, s in enumerate(command.scopes or ())
        if s not in work.registry.scopes
    ]
    found += [
        errors.UNKNOWN_LINE(f"lines.{i}", line=code)
        for i, code in enumerate(command.lines or ())
        if code not in work.registry.lines
    ]
    errors.raise_if(found)
    return work.add(ApiToken(**command.model_dump(by_alias=False)))


class RevokeToken(_Administration):
    """Revoke an API token; it stops working within seconds (撤销令牌)."""

    kind = "token.revoke"
    returns = "ApiToken"
    subject = "id"
    id: TokenId = Field(description="The token.")


async def revoke_token(work: Work, _command: RevokeToken) -> ApiToken:
    """The revoked token; revoking twice changes nothing."""
    token: ApiToken = work.subject
    if token.revoked_at is None:
        revoke(work, token)
    return token


def revoke(work: Work, token: ApiToken) -> None:
    """Revoke a token now, and announce it."""
    token.revoked_at = work.now
    work.record(TokenRevoked.of(token))


class AssignSteward(_Administration):
    """Name the one person who keeps the customer archives of a line (客户档案专人管理, CS-010)."""

    kind = "line.assign_steward"
    returns = "BusinessLine"
    subject = "id"
    id: LineId = Field(description="The line.")
    user_id: UserId | None = Field(description="The steward; null: none (档案管理员).")


async def assign_steward(work: Work, command: AssignSteward) -> BusinessLine:
    """The line with its steward."""
    line: BusinessLine = work.subject
    if command.user_id is not None:
        await work.get(User, command.user_id, "userId")
    line.steward_id = command.user_id
    work.touch(line)
    return line


class ReviewUsage(Command):
    """Record a review of the usage log over some days (审核系统使用记录, CS-023)."""

    kind = "usage.review"
    scope = "audit.review"
    returns = "UsageReview"
    period_from: date = Field(description="First day reviewed.")
    period_to: date = Field(description="Last day reviewed.")
    findings: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field(
        description="What was found (审核结论)."
    )


async def review_usage(work: Work, command: ReviewUsage) -> UsageReview:
    """The review with the number of audit entries it covers; refuses a period that ends before it begins."""
    if command.period_to < command.period_from:
        raise Refused(errors.INVALID("periodTo", problem="before periodFrom (早于起始日)", rule="CS-023"))
    table = AuditEntry.__table__
    day = func.date(table.c.created_at)
    first, last = command.period_from.isoformat(), command.period_to.isoformat()
    if work.services.database.dialect == "postgresql":
        condition = day.between(command.period_from, command.period_to)
    else:
        condition = day.between(first, last)
    entries = await work.session.scalar(
        select(func.count()).select_from(table).where(table.c.line == work.acting_line, condition)
    )
    return work.add(
        UsageReview(
            line=work.acting_line,
            period_from=command.period_from,
            period_to=command.period_to,
            entries=entries or 0,
            findings=command.findings,
            reviewer_id=work.actor.user_id,
        )
    )


COMMANDS: Mapping[type[Command], Perform] = {
    CreateUser: create_user,
    UpdateUser: update_user,
    CreateTeam: create_team,
    MoveTeam: move_team,
    SetTeamMember: set_team_member,
    DefineRole: define_role,
    GrantRole: grant_role,
    RevokeRole: revoke_role,
    CreateToken: create_token,
    RevokeToken: revoke_token,
    AssignSteward: assign_steward,
    ReviewUsage: review_usage,
}
