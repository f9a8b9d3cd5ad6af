"""SQL of what is due: visits by the grade's cadence, callbacks by plan, and how many customers were visited."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Integer,
    Interval,
    ScalarSelect,
    Select,
    String,
    Text,
    and_,
    cast,
    distinct,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)

from crm_core.customers.models import CustomerLine, CustomerStage
from crm_core.graphql.access import Access
from crm_core.interactions.models import Cadence, CallbackPlan, Interaction
from crm_core.interactions.queries import reached_lines

MONTHS_SHOWN = 24
OLD_CUSTOMER = (CustomerStage.CUSTOMER.value, CustomerStage.DORMANT.value)


# -- days in SQL


def plus_days(access: Access, day: ColumnElement[Any], days: ColumnElement[int]) -> ColumnElement[date]:
    """A day and a number of days later, on either database."""
    if access.dialect == "sqlite":
        return func.date(day, cast(days, String) + literal(" days"), type_=Date())
    return type_coerce(day + days, Date())


def day_of(access: Access, moment: ColumnElement[Any]) -> ColumnElement[date]:
    """The local day of a moment, on either database: by the offset the caller's zone has now."""
    offset = access.now.astimezone(access.zone).utcoffset() or timedelta()
    if access.dialect == "sqlite":
        return func.date(moment, f"{offset // timedelta(minutes=1):+d} minutes", type_=Date())
    return cast(func.timezone("UTC", moment) + literal(offset, Interval()), Date())


def month_of(access: Access, day: ColumnElement[Any]) -> ColumnElement[str]:
    """The month of a day as `2025-11`, on either database."""
    if access.dialect == "sqlite":
        return func.strftime("%Y-%m", day, type_=String())
    return func.to_char(day, "YYYY-MM", type_=String())


def first_of_month(access: Access, back: int) -> ColumnElement[date]:
    """The first day of this month, or of the month so many before."""
    if access.dialect == "sqlite":
        return func.date(access.today(), "start of month", f"-{back} months", type_=Date())
    this = func.date_trunc("month", cast(access.today(), DateTime()))
    return cast(this - func.make_interval(0, back), Date())


def _same_line(i: Any, cl: Any) -> ColumnElement[bool]:
    """Interactions of the same line, compared so that only the customer's index serves: a line has far too many."""
    line: ColumnElement[str] = i.c.line
    same: ColumnElement[bool] = line + literal("") == cl.c.line
    return same


# -- visits


def not_visited_since(c: Any, access: Access, day: date) -> ColumnElement[bool]:
    """Customers of the actor's reach that no visit met since the day, in some line they belong to (CS-108)."""
    cl, i = CustomerLine.__table__.alias("cl"), Interaction.__table__.alias("visited")
    visited = exists().where(
        i.c.customer_id == cl.c.customer_id,
        _same_line(i, cl),
        i.c.is_visit == true(),
        i.c.status == "DONE",
        i.c.occurred_on >= day,
    )
    return exists().where(cl.c.customer_id == c.c.id, reached_lines(cl, access), ~visited).correlate(c)


def next_visit_due(c: Any, access: Access) -> ScalarSelect[Any]:
    """The earliest day the cadence of the customer's grade asks for the next contact, over his lines (CS-109)."""
    return _due_days(c, access, lambda day: func.min(day, type_=Date())).scalar_subquery()


def visit_overdue(c: Any, access: Access, value: bool) -> ColumnElement[bool]:  # noqa: FBT001  # the filter's value
    """Customers whose next contact by cadence was due before today (CS-109)."""
    cl, cadence = CustomerLine.__table__.alias("cl"), Cadence.__table__.alias("cadence")
    late = _in_force(cl, cadence, access) & (_due(cl, cadence, access) < access.today())
    found = exists().where(cl.c.customer_id == c.c.id, late).correlate(c)
    return found if value else ~found


def _due_days(c: Any, access: Access, shown: Any) -> Select[Any]:
    cl, cadence = CustomerLine.__table__.alias("cl"), Cadence.__table__.alias("cadence")
    both = cl.join(cadence, and_(cadence.c.line == cl.c.line, cadence.c.grade == cl.c.grade))
    statement = select(shown(_due(cl, cadence, access))).select_from(both)
    return statement.where(cl.c.customer_id == c.c.id, _in_force(cl, cadence, access)).correlate(c)


def _due(cl: Any, cadence: Any, access: Access) -> ColumnElement[date]:
    """The last contact of the cadence's kind – or the day the customer came to the line – and its days later."""
    i = Interaction.__table__.alias("contacted")
    last = (
        select(func.max(i.c.occurred_on, type_=Date()))
        .where(
            i.c.customer_id == cl.c.customer_id,
            _same_line(i, cl),
            i.c.kind == cadence.c.kind,
            i.c.status == "DONE",
        )
        .correlate(cl, cadence)
        .scalar_subquery()
    )
    start = func.coalesce(last, day_of(access, cl.c.created_at), type_=Date())
    return plus_days(access, start, cadence.c.every_days)


def _in_force(cl: Any, cadence: Any, access: Access) -> ColumnElement[bool]:
    """The cadence of the line and grade that is the latest one valid today, on a row the actor reaches."""
    later = Cadence.__table__.alias("later")
    replaced = exists().where(
        later.c.line == cadence.c.line,
        later.c.grade == cadence.c.grade,
        later.c.kind == cadence.c.kind,
        later.c.valid_from > cadence.c.valid_from,
        later.c.valid_from <= access.today(),
    )
    return and_(
        cadence.c.line == cl.c.line,
        cadence.c.grade == cl.c.grade,
        cadence.c.valid_from <= access.today(),
        ~replaced,
        reached_lines(cl, access),
    )


# -- callbacks


def callback_due(plan: Any, c: Any, access: Access) -> ColumnElement[bool]:
    """Customers of the plan's team whose last fitting callback is older than the plan allows (CS-128, CS-129).

    Only callbacks through the plan's channels fit. A plan for old customers covers those who trade with us or did
    (stages CUSTOMER and DORMANT).
    """
    cl = CustomerLine.__table__.alias("cl")
    return exists().where(cl.c.customer_id == c.c.id, _uncalled(plan, cl, access)).correlate(c, plan)


def _uncalled(plan: Any, cl: Any, access: Access) -> ColumnElement[bool]:
    """Rows of `customer_lines` the plan covers and the actor reaches, without a callback in the plan's time."""
    i = Interaction.__table__.alias("called")
    called = exists().where(
        i.c.customer_id == cl.c.customer_id,
        _same_line(i, cl),
        i.c.is_callback == true(),
        i.c.status == "DONE",
        _listed(plan.c.channels, i.c.channel),
        plus_days(access, i.c.occurred_on, plan.c.every_days) >= access.today(),
    )
    return and_(
        cl.c.line == plan.c.line,
        cl.c.team_id == plan.c.team_id,
        or_(plan.c.old_customers != true(), cl.c.stage.in_(OLD_CUSTOMER)),
        reached_lines(cl, access),
        ~called.correlate(cl, plan),
    )


def _listed(channels: ColumnElement[Any], channel: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a channel stands in a list kept as JSON, on either database."""
    text = cast(channels, Text())
    return func.replace(text, literal('"') + channel + literal('"'), "") != text


def callback_overdue(c: Any, access: Access, value: bool) -> ColumnElement[bool]:  # noqa: FBT001  # the filter's value
    """Customers due under some callback plan in force (CS-128)."""
    plan, cl = CallbackPlan.__table__.alias("plan"), CustomerLine.__table__.alias("cl")
    in_force = and_(
        plan.c.valid_from <= access.today(), or_(plan.c.valid_to.is_(None), plan.c.valid_to >= access.today())
    )
    found = exists().where(in_force, cl.c.customer_id == c.c.id, _uncalled(plan, cl, access)).correlate(c)
    return found if value else ~found


# -- coverage


def coverage(access: Access) -> FromClause:
    """Per line and month: customers of the actor's reach, how many of them were visited, how many not (CS-108)."""
    cl, i = CustomerLine.__table__.alias("cl"), Interaction.__table__.alias("visited")
    shown = (month_of(access, first_of_month(access, back)).label("month") for back in range(MONTHS_SHOWN))
    months = union_all(*(select(month) for month in shown)).subquery("months")
    customers = (
        select(cl.c.line, func.count().label("customers"))
        .where(reached_lines(cl, access))
        .group_by(cl.c.line)
        .subquery("customers")
    )
    month = month_of(access, i.c.occurred_on)
    visits = (
        select(cl.c.line, month.label("month"), func.count(distinct(cl.c.customer_id)).label("visited"))
        .select_from(cl.join(i, and_(i.c.customer_id == cl.c.customer_id, _same_line(i, cl))))
        .where(reached_lines(cl, access), i.c.is_visit == true(), i.c.status == "DONE")
        .where(i.c.occurred_on >= first_of_month(access, MONTHS_SHOWN - 1))
        .group_by(cl.c.line, month)
        .subquery("visits")
    )
    here = and_(visits.c.line == customers.c.line, visits.c.month == months.c.month)
    visited = func.coalesce(visits.c.visited, 0, type_=Integer())
    return (
        select(
            (customers.c.line + literal(":") + months.c.month).label("id"),
            customers.c.line.label("line"),
            months.c.month.label("month"),
            customers.c.customers.label("customers"),
            visited.label("visited"),
            (customers.c.customers - visited).label("not_visited"),
        )
        .select_from(customers.join(months, true()).outerjoin(visits, here))
        .subquery("coverage")
    )
