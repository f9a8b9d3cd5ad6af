"""GraphQL types of developed users and of whose they are, root fields, and users of customers, members and teams."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Date, Interval, cast, func, literal, select

from crm_core.graphql import (
    Id,
    ObjectType,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.access import Access
from crm_telecom_elite.scopes import USER_READ
from crm_telecom_elite.users.models import EliteAssignment, EliteUser
from crm_telecom_elite.users.queries import has_now, visible

_A = EliteAssignment.__table__


def _last_day(t: Any, access: Access) -> ColumnElement[Any]:
    """The last day of the last month that earns commission."""
    first = t.c.last_month + literal("-01")
    if access.dialect == "sqlite":
        return func.date(first, "+1 month", "-1 day", type_=Date())
    return cast(cast(first, Date()) + cast(literal("1 month -1 day"), Interval()), Date())


ELITE_USER = ObjectType(
    name="EliteUser",
    table=EliteUser.__table__,
    model=EliteUser,
    prefix="elu",
    description="A user developed by a team (发展用户, MO-040).",
    rule=visible,
    scope=USER_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("elu"),
        field("number", str, "By which billing knows him (用户号码).", nullable=False, filter=True),
        field("activatedOn", date, "Day of activation (激活日期).", nullable=False, filter=True, sort=True),
        field("firstMonth", str, "Billing month 1 (首个账期, MO-042).", nullable=False),
        field("lastMonth", str, "Last billing month that earns commission (末个提成账期, MO-042).", nullable=False),
        field(
            "servedUntil",
            date,
            "Last day of the team's after-sale duty for him (售后服务截止日, MO-045).",
            sql=_last_day,
            nullable=False,
        ),
        field("groupUser", bool, "Whether he is a group user (CDMA集团用户, MO-072).", nullable=False),
        field("legacy", bool, "Developed before the elite (原发展用户, MO-038).", nullable=False, filter=True),
        field("legacyApprovedOn", date, "On the approved list from this day on (列入名单日期, MO-038)."),
        field("endedOn", date, "His last day with the operator (离网日期)."),
        relation("customer", "Customer", "The customer he belongs to (集团客户).",
                 on=lambda u, c, _a: c.c.id == u.c.customer_id),
        relation("member", "EliteMember", "Who developed him (发展人).", on=lambda u, m, _a: m.c.id == u.c.member_id),
        relation("eliteTeam", "EliteTeam", "The team that has him now (所属团队).",
                 on=lambda u, t, _a: t.c.team_id == u.c.team_id),
        relation("owner", "User", "Account of the member who has him now (现归属人).",
                 on=lambda u, o, _a: o.c.id == u.c.owner_id),
        listing("assignments", "EliteAssignment", "Whose he was and is, the latest first (归属记录).",
                on=lambda u, a, _a: a.c.user_id == u.c.id, order=lambda a: [a.c.valid_from.desc()]),
    ),
)  # fmt: skip

ELITE_ASSIGNMENT = ObjectType(
    name="EliteAssignment",
    table=EliteAssignment.__table__,
    model=EliteAssignment,
    description="Whose a user is from a day on (用户归属).",
    fields=(
        field("id", Id("eas"), "Id.", nullable=False),
        field("validFrom", date, "The first day it holds (生效日期).", nullable=False),
        field("validTo", date, "The first day it no longer holds (失效日期)."),
        relation(
            "eliteTeam",
            "EliteTeam",
            "The team (团队).",
            on=lambda a, t, _a: t.c.id == a.c.elite_team_id,
        ),
        relation(
            "member",
            "EliteMember",
            "The member; null: the team as a whole (成员).",
            on=lambda a, m, _a: m.c.id == a.c.member_id,
        ),
    ),
)

TYPES = (ELITE_USER, ELITE_ASSIGNMENT)
QUERIES = (
    query_connection("eliteUsers", "EliteUser", "Developed users (发展用户)."),
    query_one("eliteUser", "EliteUser", "A developed user by id."),
)
FIELDS = {
    "Customer": (
        connection(
            "eliteUsers",
            "EliteUser",
            "Users developed with the customer (发展用户).",
            on=lambda c, u, _a: u.c.customer_id == c.c.id,
            scope=USER_READ,
        ),
    ),
    "EliteMember": (
        connection(
            "users",
            "EliteUser",
            "Users he developed (发展用户).",
            on=lambda m, u, _a: u.c.member_id == m.c.id,
            scope=USER_READ,
        ),
        connection(
            "usersHeld",
            "EliteUser",
            "Users he has now, whoever developed them (现归属用户).",
            on=lambda m, u, _a: u.c.id.in_(select(_A.c.user_id).where(has_now(_A, m)).correlate(m)),
            scope=USER_READ,
        ),
    ),
    "EliteTeam": (
        connection(
            "users",
            "EliteUser",
            "Users it has now (所属用户).",
            on=lambda t, u, _a: u.c.team_id == t.c.team_id,
            scope=USER_READ,
        ),
    ),
}
