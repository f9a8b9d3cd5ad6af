"""Finds customers: row rules by line and reach, a line's view of a customer, search, and possible duplicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, not_, or_, select, true

from crm_core.actors import Reach
from crm_core.customers.models import (
    CustomerExternalId,
    CustomerKey,
    CustomerLine,
    CustomerPhone,
    CustomerTag,
)
from crm_core.db import search
from crm_core.graphql.access import Access
from crm_core.numbers import parse_phones
from crm_core.tokens import recheck_pattern

READ = "customer.read"
SHOWN_DIGITS = 4
Holds = Callable[[ColumnElement[Any]], ColumnElement[bool]]


# -- row rules


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of customers: those whom some line of the actor reaches with the scope, archived ones too."""
    return reached_somewhere(access, scope, t.c.id)


def reached_somewhere(access: Access, scope: str, customer_column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Row rule of rows shared by all lines of a customer: the customer is reached in some line.

    Lines reached whole are probed per customer, narrower reach is looked up from the owner's or team's index:
    a list in the default order stops after its page, and a salesman's few customers are found at once.
    """
    if access.everything(scope):
        return true()
    wide, narrow = _by_reach(access, scope)
    found: list[ColumnElement[bool]] = [false()]
    if wide:
        row = CustomerLine.__table__.alias()
        probe = select(row.c.id).where(row.c.customer_id == customer_column, row.c.line.in_(wide))
        found.append(probe.correlate_except(row).exists())
    if narrow:
        found.append(customer_column.in_(_reached(access, scope, narrow)))
    return or_(*found)


def reached(access: Access, scope: str) -> Select[tuple[UUID]]:
    """Ids of the customers the scope reaches in some line."""
    return _reached(access, scope, None)


def reached_in(
    access: Access, scope: str, line_column: ColumnElement[str], customer_column: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Row rule of rows that belong to one line and one customer: the customer is reached in that very line.

    A line reached whole needs no look at the customer: its rows are of customers of the line.
    """
    if access.everything(scope):
        return true()
    wide, narrow = _by_reach(access, scope)
    branches = [
        and_(line_column == code, customer_column.in_(_reached(access, scope, [code]))) for code in narrow
    ]
    return or_(line_column.in_(wide) if wide else false(), *branches)


def line_rows(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of `customer_lines`: the rows the scope reaches."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id, team=t.c.team_id)


def line_papers(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of papers and transactions: those of customers reached in the same line."""
    return reached_in(access, scope, t.c.line, t.c.customer_id)


def flags_of_own_lines(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Row rule of duplicate flags: those that concern a line whose archives the actor keeps."""
    if access.everything(scope):
        return true()
    lines = access.lines(scope)
    return or_(t.c.line.in_(lines), t.c.foreign_line.in_(lines))


def _by_reach(access: Access, scope: str) -> tuple[list[str], list[str]]:
    """Lines reached whole, and lines reached in part."""
    reach = sorted(access.actor.reach(scope).items())
    wide = [line for line, how_far in reach if how_far >= Reach.LINE]
    return wide, [line for line, how_far in reach if how_far < Reach.LINE]


def _reached(access: Access, scope: str, lines: list[str] | None) -> Select[tuple[UUID]]:
    row = CustomerLine.__table__.alias()
    rule = access.per_line(scope, row.c.line, owner=row.c.owner_id, team=row.c.team_id, only=lines)
    return select(row.c.customer_id).where(rule)


# -- what a line knows of a customer, seen from the shared customer


def in_first_line(t: Any, access: Access, column: str) -> ColumnElement[Any]:
    """A column of the actor's first line (by code) in which he sees the customer."""
    row = CustomerLine.__table__.alias()
    found = select(row.c[column]).where(row.c.customer_id == t.c.id, line_rows(row, access, READ))
    return found.order_by(row.c.line).limit(1).correlate(t).scalar_subquery()


def where_in_first_line(t: Any, access: Access, column: str, holds: Holds) -> ColumnElement[bool]:
    """Customers for whom a test of that same column holds, found through the indexes of `customer_lines`."""
    row = CustomerLine.__table__.alias()
    found = select(row.c.customer_id).where(line_rows(row, access, READ), holds(row.c[column]))
    if len(access.lines(READ)) != 1:
        earlier = CustomerLine.__table__.alias()
        before = exists().where(
            earlier.c.customer_id == row.c.customer_id,
            earlier.c.line < row.c.line,
            line_rows(earlier, access, READ),
        )
        found = found.where(not_(before.correlate(row)))
    return _among(t, found)


def in_line(t: Any, access: Access, line: str) -> ColumnElement[bool]:
    """Customers the actor sees in this line."""
    row = CustomerLine.__table__.alias()
    return _among(t, select(row.c.customer_id).where(row.c.line == line, line_rows(row, access, READ)))


def review_due(t: Any, access: Access, *, due: bool) -> ColumnElement[bool]:
    """Customers whose archive is (or is not) due for its check in a line of the actor (CS-011)."""
    row = CustomerLine.__table__.alias()
    waiting = select(row.c.customer_id).where(
        row.c.review_due_at <= access.moment(), line_rows(row, access, READ)
    )
    return _among(t, waiting) if due else t.c.id.not_in(waiting)


# -- finding by what people type


def found_by(kind: str, t: Any, access: Access, text: str) -> ColumnElement[bool]:
    """Rows of a kind that a search finds; three and more characters are compared once more with the name.

    Who sees telephone numbers only in part finds them by their last four digits, no more.
    """
    digits = None if access.actor.reaches_as_far("customer.phone", READ) else SHOWN_DIGITS
    candidates = search.matching(kind, text, access.dialect, digits)
    if candidates is None:
        return false()
    pattern = recheck_pattern(text)
    exact = t.c.name_search.contains(pattern, autoescape=True) if pattern else true()
    return and_(t.c.id.in_(candidates), exact)


def by_phone(t: Any, _access: Access, text: str) -> ColumnElement[bool]:
    """Customers with this telephone number, however it is written; an extension is left aside."""
    numbers = [number.e164 for number in parse_phones(text).numbers]
    phone = CustomerPhone.__table__.alias()
    return _among(t, select(phone.c.customer_id).where(phone.c.e164.in_(numbers))) if numbers else false()


def by_external_id(t: Any, _access: Access, external_id: str) -> ColumnElement[bool]:
    """Customers with this id in some other system."""
    known = CustomerExternalId.__table__.alias()
    return _among(t, select(known.c.customer_id).where(known.c.external_id == external_id))


def by_tag(t: Any, _access: Access, tag: str) -> ColumnElement[bool]:
    """Customers with this tag."""
    tagged = CustomerTag.__table__.alias()
    return _among(t, select(tagged.c.customer_id).where(tagged.c.tag == tag))


def twins(t: Any, other: Any, access: Access) -> ColumnElement[bool]:
    """Another customer that shares a telephone number, credit code, identity number or company name.

    SQLite looks a set of ids up, PostgreSQL turns an EXISTS into a join; each is slow the other's way.
    """
    mine, its = CustomerKey.__table__.alias(), CustomerKey.__table__.alias()
    shared = and_(
        its.c.kind == mine.c.kind, its.c.value == mine.c.value, its.c.customer_id != mine.c.customer_id
    )
    if access.dialect == "postgresql":
        same = exists().where(mine.c.customer_id == t.c.id, its.c.customer_id == other.c.id, shared)
        return same.correlate(t, other)
    ids = select(its.c.customer_id).join(mine, shared).where(mine.c.customer_id == t.c.id)
    return _among(other, ids.correlate(t))


def _among(t: Any, ids: Select[Any]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = t.c.id.in_(ids)
    return found
