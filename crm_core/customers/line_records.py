"""Rows of the line acted in: loading them by reach, keeping their history, counting their changes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from crm_core import errors, ids
from crm_core.customers.models import Customer, CustomerLine, CustomerLineChange, LineChangeKind
from crm_core.customers.queries import line_rows, visible
from crm_core.errors import Message, Refused
from crm_core.work import Work

NOT_IN_LINE = Message(
    "CUSTOMER_NOT_IN_LINE",
    "The customer is not among yours in line {line}. Act in a line of the customer, or let it join this one.",
    "该客户不在您于业务线 {line} 的客户之列，请在其所属业务线操作，或先将其加入本业务线。",
)
MESSAGES = (NOT_IN_LINE,)


async def in_acting_line(work: Work, customer: Customer, scope: str, path: str = "id") -> CustomerLine:
    """The row of the line acted in; refuses unless the scope reaches the customer in that very line."""
    found = await rows_in_acting_line(work, [customer.id], scope)
    if customer.id not in found:
        raise Refused(NOT_IN_LINE(path, line=work.acting_line))
    return found[customer.id]


async def rows_in_acting_line(work: Work, keys: Sequence[UUID], scope: str) -> dict[UUID, CustomerLine]:
    """Rows of the line acted in, by customer, as far as the scope reaches them."""
    table, access = CustomerLine.__table__, work.services.access(work.actor)
    statement = select(CustomerLine).where(
        table.c.customer_id.in_(keys), table.c.line == work.acting_line, line_rows(table, access, scope)
    )
    return {row.customer_id: row for row in (await work.session.scalars(statement)).all()}


def note(work: Work, row: CustomerLine, what: LineChangeKind, old: str | None, new: str | None) -> None:
    """Keep a change in the history of the row."""
    work.add(
        CustomerLineChange(
            customer_line_id=row.id, what=what.value, old=old, new=new, by_id=work.actor.user_id,
            reason=work.options.reason,
        )
    )  # fmt: skip


async def many(work: Work, keys: Sequence[UUID], scope: str) -> list[Customer]:
    """Customers by id as far as the scope reaches, each once; refuses too many and names each unknown one."""
    most = work.services.settings.limits.bulk_max
    if len(keys) > most:
        raise Refused(errors.TOO_MANY("ids", limit=most, given=len(keys)))
    table, access = Customer.__table__, work.services.access(work.actor)
    statement = (
        select(Customer).where(table.c.id.in_(keys), visible(table, access, scope)).order_by(table.c.id)
    )
    if work.services.database.dialect == "postgresql":
        statement = statement.with_for_update(of=table)
    found = {customer.id: customer for customer in (await work.session.scalars(statement)).all()}
    errors.raise_if(
        errors.NOT_FOUND(f"ids.{position}", type="Customer", id=ids.show("cus", key))
        for position, key in enumerate(keys)
        if key not in found
    )
    return [found[key] for key in dict.fromkeys(keys)]


def refuse_without(work: Work, scope: str) -> None:
    """Refuse unless the actor holds the scope in the line acted in."""
    if not work.actor.may(scope, work.acting_line):
        raise Refused(errors.FORBIDDEN(scope=scope, line=work.acting_line))


def shown(prefix: str, key: UUID | None) -> str | None:
    """An id as clients see it."""
    return ids.show(prefix, key) if key is not None else None


def anything_changed(work: Work) -> bool:
    """Whether something waits to be written."""
    return bool(work.session.new or work.session.deleted) or any(
        map(work.session.is_modified, work.session.dirty)
    )
