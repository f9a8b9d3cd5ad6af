"""Finds actors: a user's grants, teams and lines as one value; and the row rules of this room."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, true

from crm_core.access.models import ApiToken, Role, RoleGrant, RoleScope, Team, TeamMember, User
from crm_core.actors import Actor, Reach
from crm_core.errors import Language, Unauthenticated
from crm_core.graphql.access import Access
from crm_core.graphql.context import Fetch
from crm_core.registry import Registry

EVERYTHING = "*"


def secret_hash(secret: str) -> str:
    """SHA-256 of a token's secret, hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def show_token(token_id: UUID, secret: str) -> str:
    """A token as it is handed out: `crm_<id>_<secret>`."""
    return f"crm_{token_id.hex}_{secret}"


def read_token(text: str) -> tuple[UUID, str]:
    """Id and secret of a token; `Unauthenticated` when it has not the form."""
    head, _, rest = text.partition("_")
    key, _, secret = rest.partition("_")
    try:
        if head != "crm" or not secret:
            raise ValueError
        return UUID(hex=key), secret
    except ValueError:
        raise Unauthenticated from None


async def actor_of_token(
    fetch: Fetch, registry: Registry, text: str, now: datetime, language: Language
) -> Actor:
    """The actor a token stands for; `Unauthenticated` if unknown, wrong, expired, revoked or its user disabled."""
    key, secret = read_token(text)
    table = ApiToken.__table__
    given = (table.c.secret_hash, table.c.revoked_at, table.c.expires_at, table.c.lines, table.c.scopes)
    rows = await fetch(
        _granted(*given).join(table, table.c.user_id == User.__table__.c.id).where(table.c.id == key)
    )
    token = rows[0] if rows else None
    if token is None or not hmac.compare_digest(token.secret_hash, secret_hash(secret)):
        raise Unauthenticated
    if token.revoked_at is not None:
        raise Unauthenticated("The token was revoked (令牌已撤销)")
    if token.expires_at is not None and token.expires_at <= now:
        raise Unauthenticated("The token has expired (令牌已过期)")
    return _bound_to(await _actor(fetch, registry, rows, language), key, token.lines, token.scopes)


async def actor_of(fetch: Fetch, registry: Registry, user_id: UUID, language: Language = "en") -> Actor:
    """The user as an actor with today's rights; `Unauthenticated` if unknown or disabled."""
    rows = await fetch(_granted().where(User.__table__.c.id == user_id))
    return await _actor(fetch, registry, rows, language)


async def _actor(fetch: Fetch, registry: Registry, rows: Sequence[Row[Any]], language: Language) -> Actor:
    """The actor of these rows of `_granted`."""
    if not rows or rows[0].disabled_at is not None:
        raise Unauthenticated("The user is disabled (账号已停用)")
    user, grants = rows[0], _grants((row for row in rows if row.granted), registry)
    teams, subtree = _reachable(await fetch(_teams(user.user_id, grants)))
    return Actor(user.user_id, user.name, grants, teams, subtree, language=language)


def _bound_to(
    actor: Actor, token_id: UUID, bound: Sequence[str] | None, scopes_of_token: Sequence[str] | None
) -> Actor:
    """The actor as far as a token bound to these lines and scopes lets him."""
    lines = actor.grants if bound is None else {k: v for k, v in actor.grants.items() if k in bound}
    allowed = None if scopes_of_token is None else frozenset(scopes_of_token)
    grants = {
        line: {s: r for s, r in scopes.items() if allowed is None or s in allowed}
        for line, scopes in lines.items()
    }
    if bound is not None:
        grants = {line: {s: min(r, Reach.LINE) for s, r in scopes.items()} for line, scopes in grants.items()}
    return Actor(
        actor.user_id,
        actor.name,
        grants,
        actor.teams,
        actor.subtree,
        token_id=token_id,
        language=actor.language,
    )


def _granted(*more: ColumnElement[Any]) -> Select[Any]:
    """A user's grants, one row per scope; a user without any has one row, of which `granted` is null."""
    user, grant, scope = User.__table__, RoleGrant.__table__, RoleScope.__table__
    return (
        select(
            user.c.id.label("user_id"), user.c.name, user.c.disabled_at,
            grant.c.id.label("granted"), grant.c.line, scope.c.scope, scope.c.reach, *more,
        )
        .select_from(user)
        .join(grant, grant.c.user_id == user.c.id, isouter=True)
        .join(scope, scope.c.role_id == grant.c.role_id, isouter=True)
    )  # fmt: skip


def _teams(user_id: UUID, grants: Mapping[str, Any]) -> Select[Any]:
    """All teams of these lines, and the user's own in any line; `member` tells his."""
    team, member = Team.__table__, TeamMember.__table__
    own = and_(member.c.team_id == team.c.id, member.c.user_id == user_id)
    return (
        select(team.c.id, team.c.parent_id, team.c.line, member.c.user_id.label("member"))
        .select_from(team)
        .join(member, own, isouter=True)
        .where(or_(team.c.line.in_(sorted(grants)), member.c.user_id.is_not(None)))
    )


def _grants(rows: Iterable[Row[Any]], registry: Registry) -> dict[str, dict[str, Reach]]:
    grants: dict[str, dict[str, Reach]] = {}
    for row in rows:
        for line in registry.lines if row.line is None else (row.line,):
            if line not in registry.lines:
                continue
            scopes = grants.setdefault(line, {})
            for name in _named(row.scope, registry):
                scopes[name] = max(scopes.get(name, Reach.OWN), Reach(row.reach))
    return grants


def _named(scope: str | None, registry: Registry) -> Iterable[str]:
    if scope is None:
        return ()
    return registry.scopes if scope == EVERYTHING else (scope,)


def _reachable(
    teams_found: Iterable[Row[Any]],
) -> tuple[dict[str, frozenset[UUID]], dict[str, frozenset[UUID]]]:
    below: dict[UUID, list[UUID]] = {}
    mine: dict[str, set[UUID]] = {}
    for team in teams_found:
        if team.parent_id is not None:
            below.setdefault(team.parent_id, []).append(team.id)
        if team.member is not None:
            mine.setdefault(team.line, set()).add(team.id)
    subtree = {line: frozenset(_with_below(teams, below)) for line, teams in mine.items()}
    return {line: frozenset(teams) for line, teams in mine.items()}, subtree


def _with_below(teams: set[UUID], below: Mapping[UUID, list[UUID]]) -> set[UUID]:
    found, waiting = set(teams), list(teams)
    while waiting:
        for child in below.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


# -- row rules


def colleagues(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """Users who share a line with the actor, and himself."""
    if access.everything("user.read"):
        return true()
    grant = RoleGrant.__table__.alias("grant_of_user")
    here = or_(grant.c.line.is_(None), grant.c.line.in_(access.actor.lines))
    shared = select(grant.c.id).where(grant.c.user_id == t.c.id, here).correlate_except(grant)
    return or_(t.c.id == access.me(), shared.exists())


def of_own_lines(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """Rows of the lines the actor belongs to (teams)."""
    return true() if access.actor.is_system else t.c.line.in_(access.actor.lines)


def lines_joined(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """Business lines the actor belongs to."""
    return true() if access.actor.is_system else t.c.code.in_(access.actor.lines)


def own_or_administered(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """A user's own tokens; an administrator of all lines sees everybody's."""
    return (
        true()
        if access.everything(scope) or access.everything("access.admin")
        else t.c.user_id == access.me()
    )


def own_deputised_or_administered(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """A user's own absences and those he stands in for; an administrator of all lines sees everybody's."""
    if access.everything("access.admin"):
        return true()
    return or_(t.c.user_id == access.me(), t.c.deputy_id == access.me())


def grants_of_own_lines(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Role grants in the lines where the actor holds the scope, and those for all lines."""
    if access.everything(scope):
        return true()
    return or_(t.c.line.is_(None), t.c.line.in_(access.lines(scope)))


def role_by_name(name: str) -> Select[Role]:
    """The role of this name."""
    return select(Role).where(Role.name == name)


def members_of(role: str, line: str) -> Select[Any]:
    """Ids of enabled users who hold a role in a line (or in all lines)."""
    return holding([role], line).with_only_columns(RoleGrant.__table__.c.user_id)


def holding(roles: Sequence[str], line: str | ColumnElement[str]) -> Select[Any]:
    """Enabled users (`user_id`) who hold one of these roles (`name`) in a line, or in all lines."""
    grant, user, held = RoleGrant.__table__, User.__table__, Role.__table__
    return (
        select(grant.c.user_id, held.c.name)
        .join(held, held.c.id == grant.c.role_id)
        .join(user, and_(user.c.id == grant.c.user_id, user.c.disabled_at.is_(None)))
        .where(held.c.name.in_(roles), or_(grant.c.line == line, grant.c.line.is_(None)))
    )
