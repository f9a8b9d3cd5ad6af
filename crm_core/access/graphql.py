"""GraphQL types of users, teams, lines, roles and tokens."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import case, select, true

from crm_core.access.models import (
    Absence,
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
from crm_core.access.queries import (
    colleagues,
    grants_of_own_lines,
    lines_joined,
    of_own_lines,
    own_deputised_or_administered,
    own_or_administered,
)
from crm_core.actors import Reach
from crm_core.graphql import Id, ObjectType, connection, field, listing, query_connection, query_one, relation
from crm_core.graphql.access import whole_lines


def _common(prefix: str) -> tuple:  # type: ignore[type-arg]
    return (
        field("id", Id(prefix), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was made.", nullable=False, filter=True, sort=True),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
    )


USER = ObjectType(
    name="User",
    table=User.__table__,
    model=User,
    prefix="usr",
    description="A person of the company who acts in the system (员工).",
    rule=colleagues,
    order=lambda t: [t.c.name],
    fields=(
        *_common("usr"),
        field("name", str, "Name (姓名).", nullable=False, filter=True, sort=True),
        field("login", str, "Sign-in name (登录名).", filter=True, scope="user.read"),
        field("title", str, "Post (职务).", nullable=False, filter=True),
        field("department", str, "Department (部门).", nullable=False, filter=True),
        field("email", str, "E-mail (邮箱).", scope="user.read"),
        field("disabledAt", datetime, "Since when the account is disabled (停用时间).", filter=True),
        listing(
            "teams",
            "Team",
            "Teams the user belongs to (所属团队).",
            on=lambda u, t, _a: t.c.id.in_(
                select(TeamMember.team_id).where(TeamMember.user_id == u.c.id).correlate(u)
            ),
            order=lambda t: [t.c.line, t.c.name],
        ),
        listing(
            "grants",
            "RoleGrant",
            "Roles the user holds (角色).",
            on=lambda u, g, _a: g.c.user_id == u.c.id,
            scope="user.read",
        ),
        connection(
            "absences",
            "Absence",
            "When the user is away, as far as you may see it (外出委托).",
            on=lambda u, a, _a: a.c.user_id == u.c.id,
        ),
    ),
)

TEAM = ObjectType(
    name="Team",
    table=Team.__table__,
    model=Team,
    prefix="tea",
    description="A team or department of one line (团队).",
    rule=of_own_lines,
    order=lambda t: [t.c.line, t.c.name],
    fields=(
        *_common("tea"),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("name", str, "Name (名称).", nullable=False, filter=True, sort=True),
        relation("parent", "Team", "The team above (上级团队).", on=lambda t, p, _a: p.c.id == t.c.parent_id),
        listing(
            "members",
            "User",
            "Its members (成员).",
            on=lambda t, u, _a: u.c.id.in_(
                select(TeamMember.user_id).where(TeamMember.team_id == t.c.id).correlate(t)
            ),
            order=lambda u: [u.c.name],
        ),
        listing(
            "leaders",
            "User",
            "Who leads it (组长).",
            on=lambda t, u, _a: u.c.id.in_(
                select(TeamMember.user_id)
                .where(TeamMember.team_id == t.c.id, TeamMember.leads == true())
                .correlate(t)
            ),
            order=lambda u: [u.c.name],
        ),
    ),
)

LINE = ObjectType(
    name="BusinessLine",
    table=BusinessLine.__table__,
    model=BusinessLine,
    prefix="lin",
    description="A business line (业务线) you belong to.",
    rule=lines_joined,
    order=lambda t: [t.c.code],
    fields=(
        *_common("lin"),
        field("code", str, "Code, as given to `line` arguments.", nullable=False, filter=True, sort=True),
        field("name", str, "Name (名称).", nullable=False),
        field("plugins", list[str], "Plugins enabled (启用的插件).", nullable=False),
        relation(
            "steward",
            "User",
            "Who keeps its customer archives (档案管理员).",
            on=lambda t, u, _a: u.c.id == t.c.steward_id,
        ),
    ),
)

ROLE = ObjectType(
    name="Role",
    table=Role.__table__,
    model=Role,
    prefix="rol",
    description="A role (角色): scopes with their reach.",
    rule=lambda _t, _a, _s: true(),
    scope="user.read",
    order=lambda t: [t.c.name],
    fields=(
        *_common("rol"),
        field("name", str, "Name.", nullable=False, filter=True, sort=True),
        field("title", str, "Title for people (名称).", nullable=False),
        listing(
            "scopes",
            "RoleScope",
            "Its permissions (权限).",
            on=lambda r, s, _a: s.c.role_id == r.c.id,
            order=lambda s: [s.c.scope],
        ),
    ),
)

ROLE_SCOPE = ObjectType(
    name="RoleScope",
    table=RoleScope.__table__,
    model=RoleScope,
    description="A scope of a role and its reach.",
    order=lambda t: [t.c.scope],
    fields=(
        field("scope", str, "Permission (权限).", nullable=False),
        field(
            "reach",
            str,
            "OWN, TEAM, SUBTREE, LINE or ALL (数据范围).",
            nullable=False,
            sql=lambda t, _a: case({r.value: r.name for r in Reach}, value=t.c.reach),
        ),
    ),
)

GRANT = ObjectType(
    name="RoleGrant",
    table=RoleGrant.__table__,
    model=RoleGrant,
    prefix="gra",
    description="A role held by a user in a line, or in all lines.",
    rule=grants_of_own_lines,
    scope="user.read",
    fields=(
        *_common("gra"),
        field("line", str, "Business line; null: all lines (业务线).", filter=True),
        relation("role", "Role", "The role.", on=lambda g, r, _a: r.c.id == g.c.role_id),
        relation("user", "User", "Who holds it.", on=lambda g, u, _a: u.c.id == g.c.user_id),
    ),
)

TOKEN = ObjectType(
    name="ApiToken",
    table=ApiToken.__table__,
    model=ApiToken,
    prefix="tok",
    description="An API token (访问令牌); its secret is kept nowhere.",
    rule=own_or_administered,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *_common("tok"),
        field("name", str, "What it is for (用途).", nullable=False),
        field("scopes", list[str], "Only these scopes; null: all its user has."),
        field("lines", list[str], "Only these lines; null: all its user has."),
        field("expiresAt", datetime, "When it expires.", filter=True),
        field("revokedAt", datetime, "When it was revoked.", filter=True),
        field("lastUsedAt", datetime, "When it was last used, to five minutes."),
        relation("user", "User", "Whose rights it has.", on=lambda t, u, _a: u.c.id == t.c.user_id),
    ),
)

REVIEW = ObjectType(
    name="UsageReview",
    table=UsageReview.__table__,
    model=UsageReview,
    prefix="urv",
    description="A review of the usage log (使用记录审核, CS-023).",
    rule=whole_lines,
    scope="audit.read",
    order=lambda t: [t.c.id.desc()],
    fields=(
        *_common("urv"),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("periodFrom", date, "First day reviewed.", nullable=False, filter=True),
        field("periodTo", date, "Last day reviewed.", nullable=False, filter=True, sort=True),
        field("entries", int, "Audit entries of those days.", nullable=False),
        field("findings", str, "What was found (审核结论).", nullable=False),
        relation("reviewer", "User", "Who reviewed.", on=lambda t, u, _a: u.c.id == t.c.reviewer_id),
    ),
)

ABSENCE = ObjectType(
    name="Absence",
    table=Absence.__table__,
    model=Absence,
    prefix="abs",
    description="Somebody is away for some days, and a deputy stands in for him (外出委托).",
    rule=own_deputised_or_administered,
    order=lambda t: [t.c.to_day.desc(), t.c.id.desc()],
    fields=(
        *_common("abs"),
        field("line", str, "Only in this business line; null: in all (业务线).", filter=True),
        field("fromDay", date, "First day away (开始日期).", nullable=False, filter=True),
        field("toDay", date, "Last day away (结束日期).", nullable=False, filter=True, sort=True),
        field("kinds", list[str], "Only for these kinds of command; null: for all (委托范围)."),
        field("note", str, "What the deputy must know (说明).", nullable=False),
        field("endedAt", datetime, "When it was taken back or ended early (结束时间).", filter=True),
        relation("user", "User", "Who is away (外出人).", on=lambda t, u, _a: u.c.id == t.c.user_id),
        relation(
            "deputy", "User", "Who stands in for him (受托人).", on=lambda t, u, _a: u.c.id == t.c.deputy_id
        ),
    ),
)

TYPES = (USER, TEAM, LINE, ROLE, ROLE_SCOPE, GRANT, TOKEN, REVIEW, ABSENCE)

QUERIES = (
    query_connection("users", "User", "Colleagues of your lines (员工)."),
    query_one("user", "User", "A colleague by id."),
    query_connection("teams", "Team", "Teams of your lines (团队)."),
    query_connection("businessLines", "BusinessLine", "Lines you belong to (业务线)."),
    query_connection("roles", "Role", "Roles and their permissions (角色)."),
    query_connection(
        "apiTokens", "ApiToken", "Your API tokens; an administrator's list holds all (访问令牌)."
    ),
    query_connection(
        "absences",
        "Absence",
        "Who is away: you, and those you stand in for; an administrator's list holds all (外出委托).",
    ),
    query_connection("usageReviews", "UsageReview", "Reviews of the usage log (使用记录审核)."),
)
