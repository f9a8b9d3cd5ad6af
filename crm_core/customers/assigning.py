"""Owner and team of a customer in a line: choosing them, and handing customers over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import or_, select

from crm_core import errors
from crm_core.access.commands import OTHER_LINE
from crm_core.access.models import RoleGrant, Team, TeamMember, User
from crm_core.commands import Command, Perform, omitted
from crm_core.customers.events import CustomerAssigned
from crm_core.customers.inputs import CustomerId, TeamId, UserId
from crm_core.customers.line_records import (
    NOT_IN_LINE,
    in_acting_line,
    many,
    note,
    refuse_without,
    rows_in_acting_line,
    shown,
)
from crm_core.customers.models import Customer, CustomerLine, LineChangeKind
from crm_core.errors import Message, Refused, UserError
from crm_core.work import Work

OWNER_NOT_IN_LINE = Message(
    "OWNER_NOT_IN_LINE",
    "{name} has no role in line {line} and cannot own its customers.",
    "{name} 在业务线 {line} 没有角色，不能成为该线客户的归属人。",
)
MESSAGES = (OWNER_NOT_IN_LINE,)


async def belonging(work: Work, given: Mapping[str, Any]) -> tuple[UUID | None, UUID | None]:
    """Owner and team of a new row: by default the actor and his only team; others take `customer.assign`."""
    line, actor = work.acting_line, work.actor
    owner: UUID | None = given.get("owner_id", actor.user_id)
    teams = actor.teams.get(line, frozenset())
    if owner not in (actor.user_id, None) or given.get("team_id") not in (None, *teams):
        refuse_without(work, "customer.assign")
    await _refuse_strangers(work, owner if "owner_id" in given else None, given.get("team_id"))
    if "team_id" in given:
        return owner, given["team_id"]
    if owner != actor.user_id:
        teams = frozenset(await teams_of(work, owner))
    return owner, next(iter(teams)) if len(teams) == 1 else None


async def owner_of(work: Work, record: Any, line: str) -> UUID | None:
    """Who owns a customer in a line (归属人); None: nobody, or the customer is not in the line."""
    statement = select(CustomerLine.owner_id).where(
        CustomerLine.customer_id == record.id, CustomerLine.line == line
    )
    found: UUID | None = await work.session.scalar(statement)
    return found


async def teams_of(work: Work, user_id: UUID | None) -> Iterable[UUID]:
    """Teams of the line acted in that the user belongs to."""
    member, team = TeamMember.__table__, Team.__table__
    statement = select(team.c.id).join(member, member.c.team_id == team.c.id)
    return (
        await work.session.scalars(
            statement.where(member.c.user_id == user_id, team.c.line == work.acting_line)
        )
    ).all()


async def _refuse_strangers(work: Work, owner: UUID | None, team: UUID | None) -> None:
    """Refuse an owner without a role in the line, and a team of another line."""
    found: list[UserError] = []
    if owner is not None and owner != work.actor.user_id:
        user = await work.get(User, owner, "ownerId")
        if user.disabled_at is not None or not await _has_role(work, owner):
            found.append(OWNER_NOT_IN_LINE("ownerId", name=user.name, line=work.acting_line))
    if team is not None:
        its = await work.get(Team, team, "teamId")
        if its.line != work.acting_line:
            found.append(OTHER_LINE("teamId", line=its.line))
    errors.raise_if(found)


async def _has_role(work: Work, user_id: UUID) -> bool:
    grant = RoleGrant.__table__
    here = or_(grant.c.line == work.acting_line, grant.c.line.is_(None))
    return (
        await work.session.scalar(select(grant.c.id).where(grant.c.user_id == user_id, here).limit(1))
        is not None
    )


class _Assignment(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "customer.assign"
    returns: ClassVar[str | list[str]] = "Customer"

    owner_id: UserId | None = omitted(description="The new owner; null: nobody; left out: as it is (归属人).")
    team_id: TeamId | None = omitted(
        description="The new team; left out: the new owner's only team, else as it is (团队)."
    )


class AssignCustomer(_Assignment):
    """Give a customer of a line to another owner or team (客户分配/转移)."""

    kind = "customer.assign"
    subject = "id"
    id: CustomerId = Field(description="The customer.")


async def assign_customer(work: Work, command: AssignCustomer) -> Customer:
    """The customer with its new owner; the former one stands in the history."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    assign(work, customer, row, await _wanted(work, command.given()))
    return customer


class BulkAssign(_Assignment):
    """Give many customers of a line to one owner or team; all or none (批量分配)."""

    kind = "customer.bulk_assign"
    bulk_of = "customer.assign"
    returns: ClassVar[str | list[str]] = ["Customer"]
    ids: list[CustomerId] = Field(min_length=1, description="The customers; at most 100 by default.")


async def bulk_assign(work: Work, command: BulkAssign) -> list[Customer]:
    """The assigned customers in the order given; refuses naming each one that cannot be assigned."""
    customers = await many(work, command.ids, command.scope)
    rows = await rows_in_acting_line(work, command.ids, command.scope)
    errors.raise_if(
        NOT_IN_LINE(f"ids.{position}", line=work.acting_line)
        for position, customer in enumerate(customers)
        if customer.id not in rows
    )
    wanted = await _wanted(work, command.given())
    for customer in customers:
        assign(work, customer, rows[customer.id], wanted)
    return customers


async def _wanted(work: Work, given: Mapping[str, Any]) -> dict[str, UUID | None]:
    """Owner and team to set; the team follows a new owner who has exactly one in the line."""
    await _refuse_strangers(work, given.get("owner_id"), given.get("team_id"))
    wanted = {name: given[name] for name in ("owner_id", "team_id") if name in given}
    if not wanted:
        raise Refused(errors.REQUIRED("ownerId"))
    if "team_id" not in wanted and wanted.get("owner_id") is not None:
        teams = list(await teams_of(work, wanted["owner_id"]))
        wanted |= {"team_id": teams[0]} if len(teams) == 1 else {}
    return wanted


def assign(work: Work, customer: Customer, row: CustomerLine, wanted: Mapping[str, UUID | None]) -> None:
    """Set owner and team, keep the change in the history, and announce it; the same again changes nothing."""
    before = (row.owner_id, row.team_id)
    kinds = {"owner_id": (LineChangeKind.OWNER, "usr"), "team_id": (LineChangeKind.TEAM, "tea")}
    for name, value in wanted.items():
        what, prefix = kinds[name]
        old = getattr(row, name)
        if old != value:
            note(work, row, what, shown(prefix, old), shown(prefix, value))
            setattr(row, name, value)
    if before == (row.owner_id, row.team_id):
        return
    work.touch(row)
    work.record(
        CustomerAssigned.of(
            customer,
            line=row.line,
            before_owner=shown("usr", before[0]),
            after_owner=shown("usr", row.owner_id),
            before_team=shown("tea", before[1]),
            after_team=shown("tea", row.team_id),
        )
    )


COMMANDS: Mapping[type[Command], Perform] = {AssignCustomer: assign_customer, BulkAssign: bulk_assign}
