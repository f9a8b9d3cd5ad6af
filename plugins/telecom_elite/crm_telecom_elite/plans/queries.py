"""Who sees plans and maps, which reports are missing, who holds a customer's key persons, who decides in open tenders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.actors import Reach
from crm_core.contacts.models import Contact, ContactLink, RelationshipState
from crm_core.contacts.queries import visible as visible_contact
from crm_core.customers.queries import reached_in
from crm_core.graphql.access import Access
from crm_core.graphql.context import Context
from crm_core.graphql.fields import Row
from crm_core.interactions.models import InteractionReport, InteractionStatus
from crm_core.work import Work
from crm_telecom_elite.plans.models import (
    EliteContactState,
    EliteMapOpening,
    ElitePlannedContact,
    EliteTender,
    EliteTenderRole,
)
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates, rates_in
from crm_telecom_elite.scopes import PLAN_READ, PLAN_WRITE
from crm_telecom_elite.teams.models import EliteCustomerAssignment, EliteTeam


class EliteKeyPersonWarning(StrEnum):
    """What is wrong with our relations to a customer's key persons (关键人物预警, MO-528).

    TOO_FEW_OWNERS 负责人过于集中: all of them are in the hands of fewer of us than `key_person_owners` asks for, by
    default of one. NO_RELATION 尚未建立关系: some key person is known to none of us.
    """

    TOO_FEW_OWNERS = "TOO_FEW_OWNERS"
    NO_RELATION = "NO_RELATION"


# -- row rules


def of_customer(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Rows of customers reached in their line, and one's own."""
    if access.everything(scope):
        return true()
    reached = reached_in(access, scope, t.c.line, t.c.customer_id)
    return and_(t.c.line.in_(access.lines(scope)), or_(t.c.owner_id == access.me(), reached))


def of_line(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """A line's own goals: read by all who hold the scope there, changed by whose reach is the line, or by their owner."""
    if scope != PLAN_WRITE:
        return true() if access.everything(scope) else t.c.line.in_(access.lines(scope))
    return access.per_line(scope, t.c.line, owner=t.c.owner_id)


def opened(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Roles of persons: of customers reached, and read only by who has said what for and is within his time (MO-527)."""
    reached = reached_in(access, scope, t.c.line, t.c.customer_id)
    if scope != PLAN_READ or access.everything(scope):
        return reached
    o = EliteMapOpening.__table__.alias()
    mine = and_(
        o.c.customer_id == t.c.customer_id,
        o.c.user_id == access.me(),
        o.c.line == t.c.line,
        o.c.until > access.moment(),
    )
    return and_(reached, select(o.c.id).where(mine).correlate_except(o).exists())


def own_or_line(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """The access log: one's own lines of it, or all where the reach is the line."""
    return access.per_line(scope, t.c.line, owner=t.c.user_id)


def reaches_line(work: Work) -> bool:
    """Whether the actor plans for the whole line acted in."""
    reach = work.actor.reach(PLAN_WRITE).get(work.acting_line, Reach.OWN)
    return work.actor.is_system or reach >= Reach.LINE


# -- missing reports


def report_missing(t: Any, today: Any) -> ColumnElement[bool]:
    """Planned contacts whose short report was due before a day and is not there (MO-520)."""
    open_states = [EliteContactState.PLANNED.value, EliteContactState.HELD.value]
    late: ColumnElement[bool] = t.c.report_due_on < today
    return and_(t.c.state.in_(open_states), late)


def unreported(p: Any, i: Any, _access: Access) -> ColumnElement[bool]:
    """Contacts of a plan's customer in its year that took place and of which nobody got a report (MO-520)."""
    r = InteractionReport.__table__.alias()
    sent = select(r.c.id).where(r.c.interaction_id == i.c.id).correlate(i).exists()
    return and_(
        i.c.customer_id == p.c.customer_id,
        i.c.line == p.c.line,
        i.c.status == InteractionStatus.DONE.value,
        i.c.occurred_on.between(p.c.begins_on, p.c.ends_on),
        ~sent,
    )


def uncovered(p: Any, c: Any, _access: Access) -> ColumnElement[bool]:
    """Key persons of a plan's customer whom no planned contact is with (MO-521)."""
    e = ElitePlannedContact.__table__.alias()
    met = and_(e.c.plan_id == p.c.id, e.c.state != EliteContactState.CANCELLED.value)
    covered = select(e.c.contact_id).where(met, e.c.contact_id.is_not(None)).correlate(p)
    return and_(
        c.c.customer_id == p.c.customer_id,
        c.c.is_key_person == true(),
        c.c.archived_at.is_(None),
        c.c.id.not_in(covered),
    )


# -- whose customer


def kinds_of(customers: Collection[UUID], lines: Sequence[str], day: Any) -> Select[Any]:
    """Kinds of the teams that customers are assigned to on a day: rows of (customer, line, kind)."""
    a, t = EliteCustomerAssignment.__table__, EliteTeam.__table__
    return (
        select(a.c.customer_id, a.c.line, t.c.kind)
        .join_from(a, t, a.c.elite_team_id == t.c.id)
        .where(
            a.c.customer_id.in_(customers),
            a.c.line.in_(lines),
            a.c.valid_from <= day,
            or_(a.c.valid_to.is_(None), a.c.valid_to > day),
        )
    )


async def figure_for(work: Work, name: str, customer_id: UUID, day: date) -> int:
    """A whole figure as it holds for the team a customer is assigned to; for one of none, that of the headquarters."""
    line = work.acting_line
    rows = (await work.session.execute(kinds_of([customer_id], [line], day))).all()
    kind = rows[0].kind if rows else EliteTeamKind.HQ
    found = (await work.session.execute(rates_in(line))).all()
    return Rates([tuple(row) for row in found]).whole(name, kind, day)


# -- key persons


async def warnings(rows: Sequence[Row], context: Any) -> list[list[EliteKeyPersonWarning]]:
    """For each customer what is wrong with our relations to its key persons, as far as the caller sees them (MO-528)."""
    asking: Context = context
    customers, access = [row["id"] for row in rows], asking.access
    owners: dict[UUID, dict[UUID, set[UUID]]] = defaultdict(lambda: defaultdict(set))
    for found in await asking.fetch(_relations(customers, access)):
        known = owners[found.customer_id][found.contact_id]
        known |= {found.user_id} - {None}
    wanted = await _owners_wanted(asking, customers)
    return [_warnings(owners[key].values(), wanted[key]) for key in customers]


def _warnings(relations: Iterable[set[UUID]], wanted: int) -> list[EliteKeyPersonWarning]:
    each = list(relations)
    held = set().union(*each)
    found = []
    if held and len(held) < wanted:
        found.append(EliteKeyPersonWarning.TOO_FEW_OWNERS)
    if not all(each):
        found.append(EliteKeyPersonWarning.NO_RELATION)
    return found


def _relations(customers: Sequence[UUID], access: Access) -> Select[Any]:
    """Key persons the caller sees, once for each of us who has a relation with them: (customer, contact, user)."""
    c, k = Contact.__table__.alias(), ContactLink.__table__.alias()
    known = and_(k.c.contact_id == c.c.id, k.c.state != RelationshipState.NOT_ESTABLISHED.value)
    return (
        select(c.c.customer_id, c.c.id.label("contact_id"), k.c.user_id)
        .join_from(c, k, known, isouter=True)
        .where(
            c.c.customer_id.in_(customers),
            c.c.is_key_person == true(),
            c.c.archived_at.is_(None),
            visible_contact(c, access, "contact.read"),
        )
    )


async def _owners_wanted(asking: Context, customers: Sequence[UUID]) -> dict[UUID, int]:
    """How many of us are to hold a customer's key persons: the most that a line of the caller asks for."""
    access = asking.access
    lines, today = access.lines(PLAN_READ), access.now.astimezone(access.zone).date()
    rates = {line: Rates([tuple(r) for r in await asking.fetch(rates_in(line))]) for line in lines}
    least = max((_owners(one, EliteTeamKind.HQ, today) for one in rates.values()), default=0)
    found = dict.fromkeys(customers, least)
    assigned: dict[UUID, list[int]] = defaultdict(list)
    for row in await asking.fetch(kinds_of(customers, lines, today)):
        assigned[row.customer_id].append(_owners(rates[row.line], row.kind, today))
    return found | {key: max(numbers) for key, numbers in assigned.items()}


def _owners(rates: Rates, kind: EliteTeamKind | str, day: date) -> int:
    return rates.whole("key_person_owners", kind, day)


# -- open tenders


def decides(role: Any, tender: Any, today: Any) -> ColumnElement[bool]:
    """Whether a role is a decision maker's of a tender that is open on a day."""
    return and_(
        role.c.tender_id == tender.c.id,
        role.c.decision_maker == true(),
        or_(tender.c.closed_on.is_(None), tender.c.closed_on > today),
    )


def decides_open_tender(c: Any, access: Access) -> ColumnElement[Any]:
    """Whether a contact decides in an open tender of a line of the caller's (MO-528)."""
    r, t = EliteTenderRole.__table__.alias(), EliteTender.__table__.alias()
    mine = true() if access.everything(PLAN_READ) else t.c.line.in_(access.lines(PLAN_READ))
    deciding = and_(r.c.contact_id == c.c.id, decides(r, t, access.today()), mine)
    return (
        select(r.c.id).select_from(r.join(t, r.c.tender_id == t.c.id)).where(deciding).correlate(c).exists()
    )


async def deciders_of_open_tenders(
    session: AsyncSession, contact_ids: Collection[UUID], day: date
) -> frozenset[UUID]:
    """Those of these contacts who decide in a tender open on a day, of any line (MO-528).

    For whatever spends money on people of customers: nothing may be spent on them until the tender is closed.
    """
    r, t = EliteTenderRole.__table__, EliteTender.__table__
    found = select(r.c.contact_id).join_from(r, t, decides(r, t, day)).where(r.c.contact_id.in_(contact_ids))
    return frozenset((await session.scalars(found.distinct())).all())


async def may_read_roles(work: Work, customer_id: UUID) -> bool:
    """Whether the actor has opened the roles of this customer's people in the line acted in, and is within his time."""
    if work.actor.is_system:
        return True
    o = EliteMapOpening.__table__
    mine = select(func.count()).where(
        o.c.customer_id == customer_id,
        o.c.user_id == work.actor.user_id,
        o.c.line == work.acting_line,
        o.c.until > work.now,
    )
    return bool(await work.session.scalar(mine))


__all__ = [
    "EliteKeyPersonWarning", "deciders_of_open_tenders", "decides_open_tender", "figure_for", "kinds_of",
    "may_read_roles", "of_customer", "of_line", "opened", "own_or_line", "reaches_line", "report_missing", "uncovered",
    "unreported", "warnings",
]  # fmt: skip
