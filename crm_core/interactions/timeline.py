"""The timeline of a customer: entries of all rooms and plugins in one order (时间线)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    String,
    Uuid,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)

from crm_core.db.types import UtcDateTime
from crm_core.graphql.access import Access
from crm_core.graphql.fields import ObjectType, Source


def shown_id(access: Access, prefix: str, column: ColumnElement[Any]) -> ColumnElement[str]:
    """An id in SQL as the API shows it: `int_0192…`."""
    plain = cast(column, String()) if access.dialect == "postgresql" else column
    return literal(prefix + "_") + func.replace(plain, "-", "", type_=String())


def source(
    name: str,
    declared: ObjectType,
    *,
    at: Callable[[Any], ColumnElement[Any]],
    title: Callable[[Any], ColumnElement[Any]],
    kind: Callable[[Any], ColumnElement[Any]] | None = None,
    status: Callable[[Any], ColumnElement[Any]] | None = None,
) -> Source:
    """A source of entries from the table of an object type, its row rule included; for `crm_timeline`.

    The table has `id`, `customer_id` and `line`; `at` gives the entry's moment, `title` its words, `kind` its kind
    (default: the source's name), `status` its state.
    """

    def entries(access: Access) -> Select[Any]:
        t = declared.aliased(access, f"{name}_entry")
        rule = declared.visible(t, access)
        columns: list[ColumnElement[Any]] = [
            t.c.customer_id.label("customer_id"),
            t.c.line.label("line"),
            at(t).label("at"),
            shown_id(access, declared.prefix or "x", t.c.id).label("id"),
            (kind(t) if kind else literal(name)).label("kind"),
            title(t).label("title"),
            (status(t) if status else cast(null(), String())).label("status"),
        ]
        return select(*columns).where(_wanted(t, access), true() if rule is None else rule)

    return Source(name, entries)


def _wanted(t: Any, access: Access) -> ColumnElement[bool]:
    """Rows of customers; of those customers alone whose timelines are being read, where that is known."""
    customer: ColumnElement[Any] = t.c.customer_id
    if access.parents is None or access.parents[0] != "Customer":
        return customer.is_not(None)
    return access.parents[1](customer)


def entries_of(access: Access) -> FromClause:
    """All entries of all sources that the actor may see."""
    if not access.timeline:
        return _none().subquery("timeline")
    return union_all(*(one.select(access) for one in access.timeline)).subquery("timeline")


def _none() -> Select[Any]:
    texts = [cast(null(), String()).label(name) for name in ("line", "id", "kind", "title", "status")]
    nothing: list[ColumnElement[Any]] = [
        cast(null(), Uuid()).label("customer_id"),
        cast(null(), UtcDateTime()).label("at"),
    ]
    return select(*nothing, *texts).where(false())
