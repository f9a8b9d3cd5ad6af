"""Finds customers: row rules by line and reach, a line's view of a customer, search, and possible duplicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    String,
    Subquery,
    and_,
    any_,
    case,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from crm_core.actors import Reach
from crm_core.customers.models import (
    CustomerExternalId,
    CustomerKey,
    CustomerLine,
    CustomerPhone,
    CustomerTag,
)
from crm_core.db.arrays import among
from crm_core.db.search import matching, wanted
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Filter
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
    """Row rule of rows shared by all lines of a customer: the customer is reached in some line."""
    if access.everything(scope):
        return true()
    if not access.actor.reach(scope):
        return false()
    if _from_customers(access, scope):
        return customer_column.in_(_reached(access, scope, None))
    few = customer_column.in_(_listed(access, scope, "customer_id"))
    return _unless_few(access, scope, few, _probe(access, scope, customer_column))


def reached_in(
    access: Access, scope: str, line_column: ColumnElement[str], customer_column: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Row rule of rows that belong to one line and one customer: the customer is reached in that very line.

    A line reached whole needs no look at the customer: its rows are of customers of the line.
    """
    if access.everything(scope):
        return true()
    wide, narrow = _by_reach(access, scope)
    whole = line_column.in_(wide) if wide else false()
    if not narrow:
        return whole
    if _from_customers(access, scope):
        return or_(whole, _in_lines(access, scope, line_column, customer_column, narrow))
    few = tuple_(customer_column, line_column).in_(_listed(access, scope, "customer_id", "line"))
    probe = _probe(access, scope, customer_column, narrow, lambda row: row.c.line == line_column)
    return or_(whole, _unless_few(access, scope, few, probe))


def reached_in_or_shared(
    access: Access, scope: str, line_column: ColumnElement[str], customer_column: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Row rule of rows of one customer that belong to one line or, without line, to all lines of the customer."""
    if access.everything(scope):
        return true()
    if not access.actor.reach(scope):
        return false()
    wide, narrow = _by_reach(access, scope)
    whole = line_column.in_(wide) if wide else false()
    if _from_customers(access, scope):
        shared = and_(line_column.is_(None), _of_customers(access, scope, customer_column))
        return or_(shared, whole, _in_lines(access, scope, line_column, customer_column, narrow))

    def fits(row: Any) -> ColumnElement[bool]:
        return or_(line_column.is_(None), line_column == row.c.line)

    few = or_(
        and_(line_column.is_(None), customer_column.in_(_listed(access, scope, "customer_id"))),
        tuple_(customer_column, line_column).in_(_listed(access, scope, "customer_id", "line")),
    )
    return or_(whole, _unless_few(access, scope, few, _probe(access, scope, customer_column, also=fits)))


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


def _from_customers(access: Access, scope: str) -> bool:
    """Whether rows are best found by way of the customers reached: for counts, and for a salesman's own."""
    return access.wanted == "all" or (access.wanted == "page" and _own_only(access, scope))


def _own_only(access: Access, scope: str) -> bool:
    return all(how_far is Reach.OWN for how_far in access.actor.reach(scope).values())


def _unless_few(
    access: Access, scope: str, few: ColumnElement[bool], probe: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Two forms of one rule: a `probe` of row after row, which stops with the page, or those of the `few` listed.

    A team may have so few customers that the probes would go through the whole table: PostgreSQL looks at that first.
    """
    if access.wanted == "few" or access.dialect != "postgresql" or _by_reach(access, scope)[0]:
        return probe
    more = (
        select(literal_column("true", Boolean()))
        .select_from(_each(access, scope))
        .offset(access.few)
        .limit(1)
    )
    return case((more.scalar_subquery(), probe), else_=few)


def _listed(access: Access, scope: str, *columns: str) -> Select[Any]:
    """Customers and lines reached in part, as many as are listed at most."""
    each = _each(access, scope)
    return select(*(each.c[name] for name in columns)).limit(access.few)


def _each(access: Access, scope: str) -> Subquery:
    """Customers and lines reached in part, one index after the other; some come twice."""
    parts = []
    for line, how_far in sorted(access.actor.reach(scope).items()):
        mine, teams = CustomerLine.__table__.alias(), CustomerLine.__table__.alias()
        own = and_(mine.c.line == line, mine.c.owner_id == access.me())
        parts.append(select(mine.c.customer_id, mine.c.line).where(own))
        if how_far > Reach.OWN:
            rule = access.per_line(scope, teams.c.line, team=teams.c.team_id, only=(line,))
            parts.append(select(teams.c.customer_id, teams.c.line).where(rule))
    return union_all(*parts).subquery()


def _in_lines(
    access: Access,
    scope: str,
    line_column: ColumnElement[str],
    customer_column: ColumnElement[Any],
    lines: list[str],
) -> ColumnElement[bool]:
    branches = [
        and_(line_column == code, _of_customers(access, scope, customer_column, [code])) for code in lines
    ]
    return or_(false(), *branches)


def _of_customers(
    access: Access, scope: str, customer_column: ColumnElement[Any], lines: list[str] | None = None
) -> ColumnElement[bool]:
    """Rows of the customers reached; a salesman's few go as a list to the index of the customer column."""
    found = _reached(access, scope, lines)
    if access.dialect == "postgresql" and _own_only(access, scope):
        return customer_column == any_(func.array(found.scalar_subquery()))
    return customer_column.in_(found)


def _probe(
    access: Access,
    scope: str,
    customer_column: ColumnElement[Any],
    lines: list[str] | None = None,
    also: Callable[[Any], ColumnElement[bool]] | None = None,
) -> ColumnElement[bool]:
    """A look at the customer's own rows in `customer_lines`, row by row.

    PostgreSQL would make an EXISTS or IN into a hash of all that the actor reaches, anew for each statement; a value
    with a limit it has to look up.
    """
    row = CustomerLine.__table__.alias()
    rule = access.per_line(scope, row.c.line, owner=row.c.owner_id, team=row.c.team_id, only=lines)
    here = and_(row.c.customer_id == customer_column, also(row) if also else true(), rule)
    if access.dialect != "postgresql":
        return select(row.c.id).where(here).correlate_except(row).exists()
    found = select(literal_column("true", Boolean())).select_from(row).where(here).limit(1)
    return found.correlate_except(row).scalar_subquery()


def _reached(access: Access, scope: str, lines: list[str] | None) -> Select[tuple[UUID]]:
    row = CustomerLine.__table__.alias()
    rule = access.per_line(scope, row.c.line, owner=row.c.owner_id, team=row.c.team_id, only=lines)
    return select(row.c.customer_id).where(rule)


# -- what a line knows of a customer, seen from the shared customer


def in_first_line(t: Any, access: Access, column: str, holds: Holds | None = None) -> ColumnElement[Any]:
    """A column of the actor's first line (by code) in which he sees the customer; or whether a test of it holds."""
    row = CustomerLine.__table__.alias()
    value = holds(row.c[column]) if holds else row.c[column]
    found = select(value).where(row.c.customer_id == t.c.id, line_rows(row, access, READ))
    return found.order_by(row.c.line).limit(1).correlate(t).scalar_subquery()


def where_in_first_line(
    t: Any, access: Access, column: str, holds: Holds, *, telling: bool
) -> ColumnElement[bool]:
    """Customers for whom a test of that same column holds.

    They are found through the indexes of `customer_lines`, or one by one where those would lead to many more than
    a page, by a column of few values (not `telling`); so are all of them who sees every line counts, for no index
    leads to the lines of all.
    """
    row = CustomerLine.__table__.alias()
    everything = access.everything(READ)
    counted = everything and access.wanted == "all"
    if not telling and (counted or not (everything or _from_customers(access, READ))):
        return in_first_line(t, access, column, holds)
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


def search(kind: str, description: str) -> Filter:
    """The filter `search` of a type: what people type; three and more characters are compared again with the name.

    Who sees telephone numbers only in part finds them by their last four digits, no more.
    """

    def found(t: Any, access: Access, pattern: Any, *looked_for: Any) -> ColumnElement[bool]:
        if not looked_for:
            return false()
        exact = true() if pattern is None else t.c.name_search.like(pattern, escape="/")
        return and_(t.c.id.in_(matching(kind, looked_for, access.dialect)), exact)

    return Filter("search", str, description, found, parts=_search_parts, finds=True)


def _search_parts(access: Access, text: str) -> tuple[Any, ...]:
    """The pattern a name must fit, if it must, and what to look up in the index."""
    digits = None if access.actor.reaches_as_far("customer.phone", READ) else SHOWN_DIGITS
    pattern = recheck_pattern(text)
    literal = pattern and "".join("/" + c if c in "/%_" else c for c in pattern)
    return (f"%{literal}%" if literal else None, *wanted(text, access.dialect, digits))


def by_phone(t: Any, access: Access, numbers: Any) -> ColumnElement[bool]:
    """Customers with one of these telephone numbers."""
    phone = CustomerPhone.__table__.alias()
    return _among(
        t, select(phone.c.customer_id).where(among(phone.c.e164, numbers, String(), access.dialect))
    )


def phone_numbers(_access: Access, text: str) -> tuple[list[str]]:
    """The numbers a text holds, however written; an extension is left aside."""
    return ([number.e164 for number in parse_phones(text).numbers],)


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
