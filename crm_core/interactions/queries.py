"""Row rules of this room, and the look-ups its commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, distinct, func, or_, select, true

from crm_core import errors, ids
from crm_core.access.queries import holding
from crm_core.customers.models import CustomerLine
from crm_core.customers.queries import reached_in
from crm_core.db.writer import given
from crm_core.errors import Refused
from crm_core.graphql.access import Access
from crm_core.interactions.models import Callback, Interaction, Visit
from crm_core.interactions.refusals import UNKNOWN_KIND
from crm_core.registry import InteractionKind
from crm_core.work import Work

# -- row rules


def visible_interactions(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Interactions of the lines where the scope is held, of customers reached there or performed by the actor."""
    if access.everything(scope):
        return true()
    mine = t.c.performer_id == access.me()
    reached = reached_in(access, scope, t.c.line, t.c.customer_id)
    return and_(t.c.line.in_(access.lines(scope)), or_(mine, reached))


def visible_tasks(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Tasks given to or by the actor, of customers reached in their line, or without customer by assignee and team."""
    if access.everything(scope):
        return true()
    mine = or_(t.c.assignee_id == access.me(), t.c.creator_id == access.me())
    reached = reached_in(access, scope, t.c.line, t.c.customer_id)
    internal = and_(
        t.c.customer_id.is_(None), access.per_line(scope, t.c.line, owner=t.c.assignee_id, team=t.c.team_id)
    )
    return and_(t.c.line.in_(access.lines(scope)), or_(mine, reached, internal))


def own_reports(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Reports sent to the actor, in lines he still reads; nobody else's mail, whatever his reach."""
    return and_(t.c.user_id == access.me(), t.c.line.in_(access.lines(scope)))


def led_meetings(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Sales meetings by chair and team."""
    return access.per_line(scope, t.c.line, owner=t.c.chair_id, team=t.c.team_id)


def held_lines(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Rows of the lines where the scope is held, whatever its reach: a line's own rules and plans."""
    return true() if access.everything(scope) else t.c.line.in_(access.lines(scope))


def reached_lines(cl: Any, access: Access) -> ColumnElement[bool]:
    """The rows of `customer_lines` that reading interactions reaches."""
    return access.per_line("interaction.read", cl.c.line, owner=cl.c.owner_id, team=cl.c.team_id)


# -- look-ups of commands


def kind_of(work: Work, name: str) -> InteractionKind:
    """The kind of interaction of this name; refused at `kind` when no room or plugin knows it."""
    kinds = work.registry.interaction_kinds
    if name not in kinds:
        raise Refused(UNKNOWN_KIND("kind", kind=name, known=", ".join(sorted(kinds))))
    return kinds[name]


CUSTOMER_LINES = "customer lines"
"""Key under which an import keeps rows of the line acted in that it fetched ahead, by customer."""


async def customer_line(
    work: Work, customer_id: UUID, path: str, scope: str = "interaction.write"
) -> CustomerLine:
    """The customer's row in the line acted in; refused as not found unless the actor's scope reaches it there."""
    ahead = work.together.kept.get(CUSTOMER_LINES, {}).get(customer_id) if work.together else None
    if ahead is not None:
        return ahead  # type: ignore[no-any-return]  # rooms keep what they like
    table = CustomerLine.__table__
    reached = work.access.per_line(scope, table.c.line, owner=table.c.owner_id, team=table.c.team_id)
    here = (table.c.customer_id == customer_id, table.c.line == work.acting_line)
    found = await work.session.scalar(select(CustomerLine).where(*here, reached))
    if found is None:
        raise Refused(errors.NOT_FOUND(path, type="Customer", id=ids.show("cus", customer_id)))
    return found


@dataclass(frozen=True, slots=True)
class Ground:
    """What a new contact rests on: the customer's team in the line acted in, and who gets the short report (CS-119)."""

    team_id: UUID | None
    recipients: Sequence[UUID] = ()


async def ground_of(work: Work, customer_id: UUID, path: str) -> Ground:
    """The ground of a contact with this customer, in one look-up; refused as `customer_line` refuses.

    An import of history looks the lines up ahead and sends no reports.
    """
    if work.options.channel == "import":
        return Ground((await customer_line(work, customer_id, path)).team_id)
    line, access = work.acting_line, work.access
    roles = tuple(work.settings_of("interactions").report_roles)
    key = ("ground of a contact", work.actor.shape, line, roles)
    bound = {**access.values, "customer": customer_id, "line": line}
    found = await work.session.rows(key, lambda: _ground(access, line, roles), bound)
    if not found:
        raise Refused(errors.NOT_FOUND(path, type="Customer", id=ids.show("cus", customer_id)))
    holders = sorted((roles.index(role), user) for _, user, role in found if user is not None)
    return Ground(found[0][0], list(dict.fromkeys(user for _, user in holders)))


def _ground(access: Access, line: str, roles: Sequence[str]) -> Select[Any]:
    """The customer's row in the line as far as the actor's scope reaches, once for each who gets the report."""
    own = CustomerLine.__table__
    here = given("line", own.c.line.type)
    holder = holding(roles, here).subquery("holder")
    reached = access.per_line(
        "interaction.write", own.c.line, owner=own.c.owner_id, team=own.c.team_id, only=(line,)
    )
    return (
        select(own.c.team_id, holder.c.user_id, holder.c.name)
        .select_from(own.outerjoin(holder, true()))
        .where(own.c.customer_id == given("customer", Uuid()), own.c.line == here, reached)
    )


async def locked_line(work: Work, customer_id: UUID, line: str) -> CustomerLine | None:
    """The customer's row of a line, whoever keeps it, locked for a change that follows from an interaction."""
    statement = select(CustomerLine).where(CustomerLine.customer_id == customer_id, CustomerLine.line == line)
    if work.services.database.dialect == "postgresql":
        statement = statement.with_for_update()
    return await work.session.scalar(statement)


async def visit_of(work: Work, interaction: Interaction) -> Visit | None:
    """Plan and report of a visit."""
    return await work.session.scalar(select(Visit).where(Visit.interaction_id == interaction.id))


async def callback_of(work: Work, interaction: Interaction) -> Callback | None:
    """What a callback found, if it was recorded."""
    return await work.session.scalar(select(Callback).where(Callback.interaction_id == interaction.id))


async def last_callbacks(work: Work, customer_id: UUID, line: str, most: int) -> Sequence[str | None]:
    """Channels of the customer's last callbacks in a line, latest first."""
    statement = (
        select(Interaction.channel)
        .where(
            Interaction.customer_id == customer_id,
            Interaction.line == line,
            Interaction.is_callback == true(),
            Interaction.status == "DONE",
        )
        .order_by(Interaction.occurred_at.desc(), Interaction.id.desc())
        .limit(most)
    )
    return (await work.session.scalars(statement)).all()


async def visits_between(work: Work, team_id: UUID | None, first: date, last: date) -> tuple[int, int]:
    """Visits done in the line acted in (by a team) from one local day to another, and customers visited."""
    statement = select(func.count(), func.count(distinct(Interaction.customer_id))).where(
        Interaction.line == work.acting_line,
        Interaction.is_visit == true(),
        Interaction.status == "DONE",
        Interaction.occurred_on.between(first, last),
        true() if team_id is None else Interaction.team_id == team_id,
    )
    visits, customers = (await work.session.execute(statement)).one()
    return visits, customers


async def imported(work: Work, source: str, keys: Sequence[str]) -> Sequence[Interaction]:
    """Interactions of the line acted in that came from a source, by their keys there."""
    found = select(Interaction).where(
        Interaction.line == work.acting_line, Interaction.source == source, Interaction.external_id.in_(keys)
    )
    return (await work.session.scalars(found)).all()
