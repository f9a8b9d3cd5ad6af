"""Commands on teams: set up, change, close, cars, the customers assigned to them, and the year's establishment."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import errors, ids
from crm_core.access.commands import TeamId
from crm_core.access.models import Team
from crm_core.commands import Command, Perform, Ref, omitted
from crm_core.customers.assigning import assign
from crm_core.customers.inputs import CustomerId
from crm_core.customers.line_records import in_acting_line
from crm_core.customers.models import Customer
from crm_core.errors import Message, Refused
from crm_core.work import Work
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import rates_of
from crm_telecom_elite.scopes import CUSTOMER_ASSIGN, TEAM_WRITE
from crm_telecom_elite.teams import headcount
from crm_telecom_elite.teams.events import (
    EliteCustomerAssigned,
    EliteEstablishmentSet,
    EliteTeamCarsSet,
    EliteTeamClosed,
    EliteTeamCreated,
    EliteTeamUpdated,
)
from crm_telecom_elite.teams.models import (
    EliteCustomerAssignment,
    EliteEstablishment,
    EliteTeam,
    EliteTeamCars,
)
from crm_telecom_elite.teams.queries import after, establishment_in, in_force

TEAM_TAKEN = Message(
    "TELECOM_ELITE_TEAM_TAKEN",
    "Line {line} already has a team {name}.",
    "业务线 {line} 已有团队 {name}。",
)
TEAM_CLOSED = Message("TELECOM_ELITE_TEAM_CLOSED", "{name} was closed on {day}.", "{name} 已于 {day} 撤销。")
REGION_NEEDED = Message(
    "TELECOM_ELITE_REGION_NEEDED",
    "A team of a regional centre has its region, one of the headquarters none.",
    "区域团队必须填写区域，本部团队不得填写。",
    rule="MO-002",
)
LATER_ASSIGNED = Message(
    "TELECOM_ELITE_LATER_ASSIGNED",
    "From {day} on the customer is assigned already; an assignment may not begin before a known one.",
    "该客户自 {day} 起已有指定，新的指定不得早于已有指定。",
    rule="MO-006",
)
MESSAGES = (TEAM_TAKEN, TEAM_CLOSED, REGION_NEEDED, LATER_ASSIGNED)

AssignmentId = Annotated[UUID, Ref("EliteCustomerAssignment", "eca")]
EliteTeamId = Annotated[UUID, Ref("EliteTeam", "elt")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Region = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)]


class CreateEliteTeam(Command):
    """Set up a team of the elite (新设精英团队). Without `teamId` it gets a team of the line of the same name."""

    kind = "elite_team.create"
    scope = TEAM_WRITE
    returns = "EliteTeam"
    name: Name = Field(description="Name (团队名称).")
    team_kind: EliteTeamKind = Field(description="Of the headquarters, or of a regional centre (团队类型).")
    region: Region = Field("", description="Its regional centre; of regional teams only (区域).")
    team_id: TeamId | None = Field(None, description="A team the line has already (现有团队).")
    parent_id: TeamId | None = Field(None, description="The department above, for a new team (所属部门).")


async def create_team(work: Work, command: CreateEliteTeam) -> EliteTeam:
    """The new team; refuses a name or a team that is taken, and a region where there can be none (MO-002)."""
    _refuse_wrong_region(command.team_kind, command.region)
    given = command.team_id
    team = await _new_team(work, command) if given is None else await _own_team(work, given)
    made = work.add(
        EliteTeam(
            line=work.acting_line,
            team_id=team.id,
            name=command.name,
            kind=command.team_kind,
            region=command.region,
        )
    )
    work.record(EliteTeamCreated.of(made))
    return made


def _refuse_wrong_region(kind: str, region: str) -> None:
    if (kind == EliteTeamKind.HQ) is bool(region):
        raise Refused(REGION_NEEDED("region"))


async def _new_team(work: Work, command: CreateEliteTeam) -> Team:
    line = work.acting_line
    known = select(Team.id).where(Team.line == line, Team.name == command.name)
    if await work.session.scalar(known) is not None:
        raise Refused(TEAM_TAKEN("name", name=command.name, line=line))
    if command.parent_id is not None:
        await _require_team(work, command.parent_id, "parentId")
    team = work.add(Team(line=line, name=command.name, parent_id=command.parent_id))
    await work.flush()
    return team


async def _own_team(work: Work, team_id: UUID) -> Team:
    team = await _require_team(work, team_id, "teamId")
    if await work.session.scalar(select(EliteTeam.id).where(EliteTeam.team_id == team_id)) is not None:
        raise Refused(TEAM_TAKEN("teamId", name=team.name, line=team.line))
    return team


async def _require_team(work: Work, team_id: UUID, path: str) -> Team:
    team = await work.get(Team, team_id, path)
    if team.line != work.acting_line:
        raise Refused(errors.WRONG_LINE(path, given=work.acting_line, line=team.line))
    return team


class UpdateEliteTeam(Command):
    """Change a team's name or region (修改精英团队)."""

    kind = "elite_team.update"
    scope = TEAM_WRITE
    returns = "EliteTeam"
    subject = "id"
    id: EliteTeamId = Field(description="The team.")
    name: Name = omitted(description="Name (团队名称).")
    region: Region = omitted(description="Its regional centre (区域).")


async def update_team(work: Work, command: UpdateEliteTeam) -> EliteTeam:
    """The changed team; its team of the line keeps its own name."""
    team: EliteTeam = work.subject
    given = command.given()
    if "region" in given:
        _refuse_wrong_region(team.kind, command.region)
        team.region = command.region
    if "name" in given:
        team.name = command.name
    work.record(EliteTeamUpdated.of(team))
    return team


class CloseEliteTeam(Command):
    """Close a team from a day on (撤销精英团队); nobody is put into it any more, its pay is computed to the end."""

    kind = "elite_team.close"
    scope = TEAM_WRITE
    returns = "EliteTeam"
    subject = "id"
    id: EliteTeamId = Field(description="The team.")
    closed_on: date = Field(description="The first day it is no more (撤销日期).")


async def close_team(work: Work, command: CloseEliteTeam) -> EliteTeam:
    """The closed team."""
    team: EliteTeam = work.subject
    team.closed_on = command.closed_on
    work.record(EliteTeamClosed.of(team))
    return team


def refuse_closed(team: EliteTeam, day: date, path: str) -> None:
    """Refuse, naming `path`, a team that is closed on this day."""
    if team.closed_on is not None and team.closed_on <= day:
        raise Refused(TEAM_CLOSED(path, name=team.name, day=team.closed_on.isoformat()))


class SetEliteTeamCars(Command):
    """Say from which day on a team's cars are guaranteed, or not (用车保证). What was said of the same day is replaced."""

    kind = "elite_team.set_cars"
    scope = TEAM_WRITE
    returns = "EliteTeam"
    subject = "id"
    id: EliteTeamId = Field(description="The team.")
    valid_from: date = Field(description="The first day it holds (生效日期).")
    guaranteed: bool = Field(description="Whether the team has cars (是否保证用车).")


async def set_cars(work: Work, command: SetEliteTeamCars) -> EliteTeam:
    """The team; where it has no cars its allowance follows (MO-051)."""
    team: EliteTeam = work.subject
    same_day = (EliteTeamCars.elite_team_id == team.id, EliteTeamCars.valid_from == command.valid_from)
    known = await work.session.scalar(select(EliteTeamCars).where(*same_day))
    if known is None:
        work.add(
            EliteTeamCars(elite_team_id=team.id, valid_from=command.valid_from, guaranteed=command.guaranteed)
        )
    else:
        known.guaranteed = command.guaranteed
    said = {"valid_from": command.valid_from, "guaranteed": command.guaranteed}
    work.record(EliteTeamCarsSet.of(team, **said))
    return team


class AssignEliteCustomer(Command):
    """Assign a group customer to a team from a day on, as the Centre (指定客户). The one before ends with that day."""

    kind = "elite_customer.assign"
    scope = CUSTOMER_ASSIGN
    returns = "EliteCustomerAssignment"
    customer_id: CustomerId = Field(description="The customer (客户).")
    team_id: EliteTeamId = Field(description="The team (精英团队).")
    valid_from: date | None = Field(None, description="The first day; left out: today (生效日期).")


async def assign_customer(work: Work, command: AssignEliteCustomer) -> EliteCustomerAssignment:
    """The assignment (MO-004 to MO-006). One that holds already also makes the customer the team's in the line."""
    line, day = work.acting_line, command.valid_from or work.day()
    customer = await work.get(Customer, command.customer_id, "customerId", lock=True)
    row = await in_acting_line(work, customer, "customer.read", "customerId")
    team = await work.get(EliteTeam, command.team_id, "teamId")
    if team.line != line:
        raise Refused(errors.WRONG_LINE("teamId", given=line, line=team.line))
    refuse_closed(team, day, "teamId")
    await _end_present(work, customer.id, day)
    made = work.add(
        EliteCustomerAssignment(
            line=line,
            customer_id=customer.id,
            elite_team_id=team.id,
            valid_from=day,
            assigned_by_id=work.actor.user_id,
        )
    )
    if day <= work.day():
        assign(work, customer, row, {"team_id": team.team_id})
    work.record(EliteCustomerAssigned.of(team, customer=ids.show("cus", customer.id), valid_from=day))
    return made


class SettleEliteCustomer(Command):
    """Let the line follow an assignment whose first day has come (指定生效); done by itself."""

    kind = "elite_customer.settle"
    scope = CUSTOMER_ASSIGN
    returns = "EliteCustomerAssignment"
    subject = "id"
    id: AssignmentId = Field(description="The assignment.")


async def settle_customer(work: Work, command: SettleEliteCustomer) -> EliteCustomerAssignment:
    """The assignment; where it holds today the customer is its team's in the line."""
    made: EliteCustomerAssignment = work.subject
    day = work.day()
    if made.valid_from <= day and (made.valid_to is None or made.valid_to > day):
        team = await work.get(EliteTeam, made.elite_team_id, "id")
        customer = await work.get(Customer, made.customer_id, "id")
        row = await in_acting_line(work, customer, "customer.read")
        assign(work, customer, row, {"team_id": team.team_id})
    return made


async def _end_present(work: Work, customer_id: UUID, day: date) -> None:
    """End the assignment that holds on the day; refuses where one begins that day or later."""
    later = await work.session.scalar(after(work.acting_line, customer_id, day))
    if later is not None:
        raise Refused(LATER_ASSIGNED("validFrom", day=later.valid_from.isoformat()))
    present = await work.session.scalar(in_force(work.acting_line, customer_id, day))
    if present is not None:
        present.valid_to = day


class SetEliteEstablishment(Command):
    """Set the year's task of a kind of team, from which its establishment follows (核定编制)."""

    kind = "elite_establishment.set"
    scope = TEAM_WRITE
    returns = "EliteEstablishment"
    team_kind: EliteTeamKind = Field(description="Of which teams (团队类型).")
    region: Region = Field("", description="Of which regional centre; empty for the headquarters (区域).")
    year: int = Field(ge=2000, le=2200, description="Year (年度).")
    target: Decimal = Field(
        ge=0,
        max_digits=16,
        decimal_places=2,
        description="Revenue of the year, yuan (本部); users to be developed a month (区域) (任务).",
    )


async def set_establishment(work: Work, command: SetEliteEstablishment) -> EliteEstablishment:
    """The establishment with its headcount, by the figures of the year's first day (MO-014, MO-015)."""
    _refuse_wrong_region(command.team_kind, command.region)
    line, region, year = work.acting_line, command.region, command.year
    rates = await rates_of(work.session, line)
    people = headcount.headcount(command.team_kind, command.target, rates, date(year, 1, 1))
    known = await work.session.scalar(establishment_in(line, command.team_kind, region, year))
    row: EliteEstablishment = known or work.add(
        EliteEstablishment(
            line=line,
            team_kind=command.team_kind,
            region=region,
            year=year,
            target=command.target,
            headcount=people,
        )
    )
    row.target, row.headcount = command.target, people
    work.record(EliteEstablishmentSet.of(row))
    return row


COMMANDS: dict[type[Command], Perform] = {
    CreateEliteTeam: create_team,
    UpdateEliteTeam: update_team,
    CloseEliteTeam: close_team,
    SetEliteTeamCars: set_cars,
    AssignEliteCustomer: assign_customer,
    SettleEliteCustomer: settle_customer,
    SetEliteEstablishment: set_establishment,
}
