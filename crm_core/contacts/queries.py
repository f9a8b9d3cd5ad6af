"""Finds contacts: their row rule, their best relation with us, and what an archive still lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, String, case, func, literal, select, union

from crm_core.contacts.models import Contact, ContactLink, ContactPhone, RelationshipState
from crm_core.customers.models import (
    Customer,
    CustomerDocument,
    CustomerPhone,
    CustomerTransaction,
    DocumentCategory,
)
from crm_core.customers.queries import line_papers, reached_in_or_shared
from crm_core.db.arrays import among
from crm_core.graphql.access import Access

READ = "contact.read"


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of contacts: shared ones with their customer, others only in their own line."""
    return reached_in_or_shared(access, scope, t.c.line, t.c.customer_id)


def best_state(t: Any, _access: Access) -> ColumnElement[Any]:
    """The best of a contact's relations with us (CS-056); none is NOT_ESTABLISHED."""
    link = ContactLink.__table__.alias()
    rank = case({state.value: place for place, state in enumerate(RelationshipState)}, value=link.c.state)
    best = select(func.min(rank)).where(link.c.contact_id == t.c.id).correlate(t).scalar_subquery()
    states = {place: state.value for place, state in enumerate(RelationshipState)}
    return case(states, value=best, else_=RelationshipState.NOT_ESTABLISHED.value)


def employer(t: Any, _access: Access) -> ColumnElement[Any]:
    """Where the contact works: as recorded, else the customer."""
    customer = Customer.__table__.alias()
    name = select(customer.c.name).where(customer.c.id == t.c.customer_id).correlate(t).scalar_subquery()
    return func.coalesce(t.c.employer, name)


def by_phone(t: Any, access: Access, numbers: Any) -> ColumnElement[bool]:
    """Contacts with one of these telephone numbers."""
    phone = ContactPhone.__table__.alias()
    which = select(phone.c.contact_id).where(among(phone.c.e164, numbers, String(), access.dialect))
    found: ColumnElement[bool] = t.c.id.in_(which)
    return found


def card_check_due(t: Any, access: Access, *, due: bool) -> ColumnElement[bool]:
    """Contacts whose relationship card is (or is not) to be judged again (CS-052)."""
    late: ColumnElement[bool] = t.c.card_check_due_at <= access.moment()
    return late if due else ~late


def evidence(customers: Sequence[UUID], access: Access) -> CompoundSelect[Any]:
    """What visible evidence there is for the parts of these archives: rows of (customer, what)."""
    contact, phone = Contact.__table__.alias(), CustomerPhone.__table__.alias()
    paper, trade = CustomerDocument.__table__.alias(), CustomerTransaction.__table__.alias()
    papers = [DocumentCategory.BUSINESS_LICENCE.value, DocumentCategory.TAX_REGISTRATION.value]
    return union(
        select(phone.c.customer_id, literal("PHONE").label("what")).where(phone.c.customer_id.in_(customers)),
        select(contact.c.customer_id, literal("CONTACT")).where(
            contact.c.customer_id.in_(customers),
            contact.c.archived_at.is_(None),
            visible(contact, access, READ),
        ),
        select(paper.c.customer_id, paper.c.category).where(
            paper.c.customer_id.in_(customers),
            paper.c.category.in_(papers),
            line_papers(paper, access, "customer.read"),
        ),
        select(trade.c.customer_id, literal("TRANSACTION")).where(
            trade.c.customer_id.in_(customers), line_papers(trade, access, "customer.read")
        ),
    )
