"""Looks up, for a whole batch at once, what the database knows of the customers and interactions its rows name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.access.models import RoleGrant, User
from crm_core.approvals.models import Approval
from crm_core.approvals.words import ApprovalState
from crm_core.contacts.models import Contact
from crm_core.customers.models import (
    Customer,
    CustomerExternalId,
    CustomerKey,
    CustomerLine,
    CustomerPhone,
    DuplicateKeyKind,
)
from crm_core.customers.queries import line_rows
from crm_core.graphql.access import Access
from crm_core.imports.models import FindingKind, ImportFinding, ImportRun, ImportState, ImportSubject
from crm_core.imports.rows import NO_NUMBER
from crm_core.interactions.models import Interaction

WAITING = ("PENDING", "RETURNED", "PERFORMING", "CONFLICT", "NEEDS_ADOPTION", "STALE")
"""States of an approval that is not decided for good, or performed at present."""


@dataclass(slots=True)
class Existing:
    """A customer as it stands before a row is brought in; `row` is None while it is not in the line."""

    customer: Customer
    row: CustomerLine | None = None
    phones: list[CustomerPhone] = field(default_factory=list)
    contacts: set[str] = field(default_factory=set)
    reached: bool = True


async def unfinished(session: AsyncSession, digest: str) -> ImportRun | None:
    """The run of this very import that is not over yet."""
    statement = select(ImportRun).where(ImportRun.digest == digest, ImportRun.state != ImportState.DONE.value)
    return (await session.scalars(statement)).first()


async def performing(session: AsyncSession, approval: UUID | None) -> bool:
    """Whether a job carries out what this approval is about."""
    if approval is None:
        return False
    state = await session.scalar(select(Approval.state).where(Approval.id == approval))
    return bool(state == ApprovalState.PERFORMING.value)


async def finished(session: AsyncSession, digest: str) -> int:
    """How often this very import was carried out to its end."""
    statement = select(ImportRun.id).where(
        ImportRun.digest == digest, ImportRun.state == ImportState.DONE.value
    )
    return len((await session.scalars(statement)).all())


async def waiting(session: AsyncSession, line: str, kind: str) -> list[tuple[UUID, dict[str, Any]]]:
    """Imports of the line that wait for signatures (待审批): approval and stored command, the newest first."""
    statement = select(Approval.id, Approval.body).where(
        Approval.line == line, Approval.kind == kind, Approval.state.in_(WAITING)
    )
    return [(one.id, one.body) for one in await session.execute(statement.order_by(Approval.id.desc()))]


# -- customers


async def numbers_of(session: AsyncSession, source: str, numbers: Collection[str]) -> dict[str, UUID]:
    """Customers by their number in the source."""
    table = CustomerExternalId.__table__
    statement = select(table.c.external_id, table.c.customer_id).where(
        table.c.source == source, table.c.external_id.in_(numbers)
    )
    return {row.external_id: row.customer_id for row in await session.execute(statement)}


async def by_keys(
    session: AsyncSession,
    access: Access,
    line: str,
    source: str,
    kind: DuplicateKeyKind,
    values: Collection[str],
) -> dict[str, set[UUID]]:
    """Customers of the line, as far as the actor reaches them, by telephone or credit code.

    Those with a number of the source are other customers of it and left out.
    """
    key, row, known = CustomerKey.__table__, CustomerLine.__table__, CustomerExternalId.__table__
    numbered = exists().where(
        known.c.customer_id == key.c.customer_id,
        known.c.source == source,
        known.c.external_id.not_like(f"{NO_NUMBER}%"),
    )
    statement = (
        select(key.c.value, key.c.customer_id)
        .join(row, row.c.customer_id == key.c.customer_id)
        .where(key.c.kind == kind.value, key.c.value.in_(values), row.c.line == line, ~numbered)
        .where(line_rows(row, access, "customer.write"))
    )
    found: dict[str, set[UUID]] = {}
    for one in await session.execute(statement):
        found.setdefault(one.value, set()).add(one.customer_id)
    return found


async def existing(
    session: AsyncSession, access: Access, line: str, keys: Collection[UUID]
) -> dict[UUID, Existing]:
    """These customers with their row in the line, phones, and names of contacts."""
    customers = await session.scalars(select(Customer).where(Customer.id.in_(keys)))
    found = {customer.id: Existing(customer) for customer in customers}
    table = CustomerLine.__table__
    reach = line_rows(table, access, "customer.write").label("reached")
    rows = select(CustomerLine, reach).where(CustomerLine.customer_id.in_(keys), CustomerLine.line == line)
    for row, reached in await session.execute(rows):
        found[row.customer_id].row, found[row.customer_id].reached = row, bool(reached)
    phones = select(CustomerPhone).where(CustomerPhone.customer_id.in_(keys))
    for phone in await session.scalars(phones.order_by(CustomerPhone.position, CustomerPhone.id)):
        found[phone.customer_id].phones.append(phone)
    contacts = select(Contact.customer_id, Contact.name).where(
        Contact.customer_id.in_(keys), or_(Contact.line.is_(None), Contact.line == line)
    )
    for one in await session.execute(contacts):
        found[one.customer_id].contacts.add(one.name)
    return found


async def colleagues(session: AsyncSession, line: str) -> dict[str, UUID]:
    """Enabled users with a role in the line by name; a name borne by two is left out."""
    grant = select(RoleGrant.user_id).where(or_(RoleGrant.line == line, RoleGrant.line.is_(None)))
    statement = select(User.name, User.id).where(User.disabled_at.is_(None), User.id.in_(grant))
    found: dict[str, list[UUID]] = {}
    for one in await session.execute(statement):
        found.setdefault(one.name, []).append(one.id)
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1}


async def held_rows(
    session: AsyncSession, line: str, source: str, subject: ImportSubject, numbers: Collection[str]
) -> dict[str, UUID]:
    """Rows of earlier runs that still wait for signatures, by number: their approval."""
    finding = ImportFinding.__table__
    statement = (
        select(finding.c.external_id, finding.c.approval_id)
        .join(Approval, Approval.id == finding.c.approval_id)
        .where(finding.c.line == line, finding.c.source == source, finding.c.external_id.in_(numbers))
        .where(finding.c.subject == subject.value, Approval.state.in_(WAITING))
    )
    return {row.external_id: row.approval_id for row in await session.execute(statement)}


# -- interactions


@dataclass(frozen=True, slots=True)
class Known:
    """A customer of the line as interactions see it."""

    customer_id: UUID
    first_visit_on: date | None


async def known(session: AsyncSession, line: str, source: str, numbers: Collection[str]) -> dict[str, Known]:
    """Customers of the line by their number in the source, with the day of the first visit."""
    number, row = CustomerExternalId.__table__, CustomerLine.__table__
    statement = (
        select(number.c.external_id, number.c.customer_id, row.c.first_visit_on)
        .join(row, and_(row.c.customer_id == number.c.customer_id, row.c.line == line))
        .where(number.c.source == source, number.c.external_id.in_(numbers))
    )
    return {o.external_id: Known(o.customer_id, o.first_visit_on) for o in await session.execute(statement)}


async def line_rows_of(
    session: AsyncSession, line: str, customers: Collection[UUID]
) -> dict[UUID, CustomerLine]:
    """Rows of the line by customer."""
    statement = select(CustomerLine).where(CustomerLine.line == line, CustomerLine.customer_id.in_(customers))
    return {row.customer_id: row for row in await session.scalars(statement)}


async def refused(session: AsyncSession, line: str, source: str, numbers: Collection[str]) -> set[str]:
    """Numbers of customers whose own row was refused by some import of this source into the line."""
    statement = select(ImportFinding.external_id).where(
        ImportFinding.line == line,
        ImportFinding.source == source,
        ImportFinding.external_id.in_(numbers),
        ImportFinding.subject == ImportSubject.CUSTOMERS.value,
        ImportFinding.kind == FindingKind.REFUSED.value,
    )
    return {number for number in await session.scalars(statement) if number is not None}


async def recorded(
    session: AsyncSession, line: str, source: str, keys: Collection[str]
) -> dict[str, Interaction]:
    """Interactions of the line that came from the source, by their key there."""
    statement = select(Interaction).where(
        Interaction.line == line, Interaction.source == source, Interaction.external_id.in_(keys)
    )
    return {str(one.external_id): one for one in await session.scalars(statement)}


# -- candidates of duplicates


async def twins(
    session: AsyncSession, access: Access, line: str, keys: Collection[UUID], limit: int
) -> list[tuple[str, UUID, UUID]]:
    """Pairs of customers of the line that share a key, the first among `keys`, as far as the actor sees them."""
    mine, its, row = CustomerKey.__table__.alias(), CustomerKey.__table__.alias(), CustomerLine.__table__
    seen = exists().where(
        row.c.customer_id == its.c.customer_id, row.c.line == line, line_rows(row, access, "customer.read")
    )
    same = and_(
        its.c.kind == mine.c.kind, its.c.value == mine.c.value, its.c.customer_id != mine.c.customer_id
    )
    statement = (
        select(mine.c.kind, mine.c.customer_id.label("a"), its.c.customer_id.label("b"))
        .join(its, same)
        .where(mine.c.customer_id.in_(keys), seen.correlate(its))
        .limit(limit)
    )
    return [(o.kind, o.a, o.b) for o in await session.execute(statement)]


async def labels(session: AsyncSession, source: str, keys: Iterable[UUID]) -> Mapping[UUID, dict[str, Any]]:
    """Number of ours and of the source of these customers, for a report."""
    wanted, found = list(keys), {}
    table = CustomerExternalId.__table__
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        statement = (
            select(Customer.id, Customer.number, table.c.external_id)
            .outerjoin(table, and_(table.c.customer_id == Customer.id, table.c.source == source))
            .where(Customer.id.in_(some))
        )
        for one in await session.execute(statement):
            found[one.id] = {"number": one.number, "external_id": one.external_id}
    return found
