"""Tags on customers (标签)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from sqlalchemy import select

from crm_core import errors
from crm_core.commands import Command, Perform
from crm_core.customers.events import CustomerTagged
from crm_core.customers.inputs import CustomerId, Tag
from crm_core.customers.line_records import NOT_IN_LINE, in_acting_line, many, rows_in_acting_line
from crm_core.customers.models import Customer, CustomerTag
from crm_core.work import Work


class _Tagging(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "customer.write"
    returns: ClassVar[str | list[str]] = "Customer"
    tags: list[Tag] = Field(min_length=1, max_length=50, description="The tags (标签).")


class TagCustomer(_Tagging):
    """Put tags on a customer; those it has stay (加标签)."""

    kind = "customer.tag"
    subject = "id"
    id: CustomerId = Field(description="The customer.")


async def tag_customer(work: Work, command: TagCustomer) -> Customer:
    """The tagged customer."""
    customer: Customer = work.subject
    await in_acting_line(work, customer, command.scope)
    await _put(work, [customer], command.tags)
    return customer


class UntagCustomer(_Tagging):
    """Take tags off a customer (去标签)."""

    kind = "customer.untag"
    subject = "id"
    id: CustomerId = Field(description="The customer.")


async def untag_customer(work: Work, command: UntagCustomer) -> Customer:
    """The customer without these tags; tags it has not are passed over."""
    customer: Customer = work.subject
    await in_acting_line(work, customer, command.scope)
    gone = [row for row in await _tags_of(work, [customer]) if row.tag in command.tags]
    for row in gone:
        await work.session.delete(row)
    if gone:
        work.record(CustomerTagged.of(customer, removed=tuple(sorted(row.tag for row in gone))))
    return customer


class BulkTag(_Tagging):
    """Put tags on many customers; all or none (批量加标签)."""

    kind = "customer.bulk_tag"
    bulk_of = "customer.tag"
    returns: ClassVar[str | list[str]] = ["Customer"]
    ids: list[CustomerId] = Field(min_length=1, description="The customers; at most 100 by default.")


async def bulk_tag(work: Work, command: BulkTag) -> list[Customer]:
    """The tagged customers in the order given; refuses naming each one that cannot be tagged."""
    customers = await many(work, command.ids, command.scope)
    rows = await rows_in_acting_line(work, command.ids, command.scope)
    errors.raise_if(
        NOT_IN_LINE(f"ids.{position}", line=work.acting_line)
        for position, customer in enumerate(customers)
        if customer.id not in rows
    )
    await _put(work, customers, command.tags)
    return customers


async def _put(work: Work, customers: Sequence[Customer], tags: Sequence[str]) -> None:
    known = {(row.customer_id, row.tag) for row in await _tags_of(work, customers)}
    for customer in customers:
        added = [tag for tag in dict.fromkeys(tags) if (customer.id, tag) not in known]
        for tag in added:
            work.add(CustomerTag(customer_id=customer.id, tag=tag))
        if added:
            work.record(CustomerTagged.of(customer, added=tuple(sorted(added))))


async def _tags_of(work: Work, customers: Sequence[Customer]) -> list[CustomerTag]:
    statement = select(CustomerTag).where(
        CustomerTag.customer_id.in_([customer.id for customer in customers])
    )
    return list((await work.session.scalars(statement)).all())


COMMANDS: Mapping[type[Command], Perform] = {
    TagCustomer: tag_customer,
    UntagCustomer: untag_customer,
    BulkTag: bulk_tag,
}
