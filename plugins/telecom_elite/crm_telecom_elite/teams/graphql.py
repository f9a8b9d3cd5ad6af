"""GraphQL types of teams, their cars, customers and establishment; the headcount a task is worth."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, cast

import strawberry

from crm_core.errors import Forbidden
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
from crm_core.graphql.context import Context
from crm_core.graphql.values import Day, Number
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates, rates_in, visible
from crm_telecom_elite.scopes import TEAM_READ
from crm_telecom_elite.teams.headcount import headcount
from crm_telecom_elite.teams.models import (
    EliteCustomerAssignment,
    EliteEstablishment,
    EliteTeam,
    EliteTeamCars,
)
from crm_telecom_elite.teams.queries import of_visible_team

ELITE_TEAM = ObjectType(
    name="EliteTeam",
    table=EliteTeam.__table__,
    model=EliteTeam,
    prefix="elt",
    description="A team of the elite (精英团队, MO-002).",
    rule=visible,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("elt"),
        field("name", str, "Name (团队名称).", nullable=False, filter=True),
        field("kind", EliteTeamKind, "Of the headquarters, or of a regional centre (团队类型).", nullable=False, filter=True),
        field("region", str, "Its regional centre (区域).", nullable=False, filter=True),
        field("closedOn", date, "The first day it is no more (撤销日期).", filter=True),
        relation("team", "Team", "The line's team it is (团队).", on=lambda e, t, _a: t.c.id == e.c.team_id),
        listing(
            "cars",
            "EliteTeamCars",
            "From which days on its cars are guaranteed or not, the latest first; none: they are (用车保证, MO-051).",
            on=lambda e, c, _a: c.c.elite_team_id == e.c.id,
            order=lambda c: [c.c.valid_from.desc()],
        ),
        connection(
            "customers",
            "EliteCustomerAssignment",
            "Customers that are or were assigned to it (指定客户).",
            on=lambda e, c, _a: c.c.elite_team_id == e.c.id,
        ),
    ),
)  # fmt: skip

ELITE_TEAM_CARS = ObjectType(
    name="EliteTeamCars",
    table=EliteTeamCars.__table__,
    model=EliteTeamCars,
    prefix="etc",
    description="Whether a team's cars are guaranteed, from a day on (用车保证, MO-051).",
    rule=of_visible_team,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("etc"), "Id.", nullable=False),
        field("validFrom", date, "The first day it holds (生效日期).", nullable=False),
        field("guaranteed", bool, "Whether the team has cars (是否保证用车).", nullable=False),
    ),
)

ELITE_CUSTOMER_ASSIGNMENT = ObjectType(
    name="EliteCustomerAssignment",
    table=EliteCustomerAssignment.__table__,
    model=EliteCustomerAssignment,
    prefix="eca",
    description="A group customer assigned to a team by the Centre (客户指定, MO-006).",
    rule=visible,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("eca"), "Id.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        relation(
            "customer", "Customer", "The customer (客户); null where you may not see him.",
            on=lambda a, c, _a: c.c.id == a.c.customer_id, filter=True,
        ),
        relation(
            "eliteTeam", "EliteTeam", "The team (精英团队).",
            on=lambda a, t, _a: t.c.id == a.c.elite_team_id, filter=True,
        ),
        field("validFrom", date, "The first day (生效日期).", nullable=False),
        field("validTo", date, "The first day it no longer holds (失效日期)."),
        relation("assignedBy", "User", "Who assigned him (指定人).", on=lambda a, u, _a: u.c.id == a.c.assigned_by_id),
    ),
)  # fmt: skip

ELITE_ESTABLISHMENT = ObjectType(
    name="EliteEstablishment",
    table=EliteEstablishment.__table__,
    model=EliteEstablishment,
    prefix="ees",
    description="A year's task of a kind of team and how many people it is worth (编制, MO-014, MO-015).",
    rule=visible,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("ees"),
        field("teamKind", EliteTeamKind, "Of which teams (团队类型).", nullable=False, filter=True),
        field("region", str, "Of which regional centre (区域).", nullable=False, filter=True),
        field("year", int, "Year (年度).", nullable=False, filter=True, sort=True),
        field("target", Decimal, "Revenue of the year, yuan; or users a month (任务).", nullable=False),
        field("headcount", int, "People (编制人数).", nullable=False),
    ),
)

TYPES = (ELITE_TEAM, ELITE_TEAM_CARS, ELITE_CUSTOMER_ASSIGNMENT, ELITE_ESTABLISHMENT)


@strawberry.type
class HeadcountQuery:
    """The root field for what a task is worth in people."""

    @strawberry.field(  # type: ignore[untyped-decorator]  # it has no types
        name="eliteHeadcount",
        description="People a task is worth by the figures of a line on a day, rounded up (编制测算, MO-014, MO-015).",
    )
    async def headcount(
        self,
        info: strawberry.Info,
        line: Annotated[str, strawberry.argument(description="Business line (业务线).")],
        team_kind: Annotated[
            EliteTeamKind, strawberry.argument(name="teamKind", description="Of which teams (团队类型).")
        ],
        target: Annotated[
            Number,
            strawberry.argument(description="Revenue of the year in yuan (HQ), users a month (REGIONAL)."),
        ],
        on: Annotated[Day, strawberry.argument(description="The day (日期).")],
    ) -> int:
        """By the figures of the line on that day."""
        context: Context = info.context
        if line not in context.access.lines(TEAM_READ):
            raise Forbidden(f"{TEAM_READ} in line {line}")
        figures = Rates([tuple(row) for row in await context.fetch(rates_in(line))])
        return headcount(team_kind, cast("Decimal", target), figures, cast("date", on))


QUERIES = (
    query_connection("eliteTeams", "EliteTeam", "Teams of the elite (精英团队)."),
    query_one("eliteTeam", "EliteTeam", "A team by id."),
    query_connection(
        "eliteCustomerAssignments",
        "EliteCustomerAssignment",
        "Which customers the Centre assigned (客户指定).",
    ),
    query_connection("eliteEstablishments", "EliteEstablishment", "Establishments by year (编制)."),
    HeadcountQuery,
)
FIELDS = {
    "Customer": (
        connection(
            "eliteAssignments",
            "EliteCustomerAssignment",
            "Teams of the elite the customer is or was assigned to (客户指定).",
            on=lambda c, a, _a: a.c.customer_id == c.c.id,
            scope=TEAM_READ,
        ),
    )
}
