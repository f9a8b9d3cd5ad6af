"""Finds what receipts refer to, many at once, and which receipts a caller may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, String, bindparam, func, select, true

from crm_core.db.arrays import ListOf, among
from crm_core.graphql.access import Access
from crm_telecom_elite.receipts.models import EliteReceipt, EliteReceiptBatch
from crm_telecom_elite.users.queries import of_visible_user

_R = EliteReceipt.__table__


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Receipts of users the scope reaches."""
    return of_visible_user(t, access, scope)


def recorded(line: str, numbers: Iterable[str], dialect: str) -> Select[Any]:
    """Receipts of a line by these numbers.

    PostgreSQL looks each up by itself: of a table that has just grown it knows too little to choose the index.
    """
    wanted = ("number", "id", "user_id", "bill_month", "received_on", "amount", "corrects_id", "earned_on")
    columns = [_R.c[name] for name in wanted]
    some = sorted(set(numbers))
    if dialect != "postgresql":
        return select(*columns).where(_R.c.line == line, among(_R.c.number, some, String(), dialect))
    asked = func.unnest(bindparam("numbers", some, type_=ListOf(String()))).table_valued("number")
    given = asked.render_derived(name="given")
    one = select(*columns).where(_R.c.line == line, _R.c.number == given.c.number).limit(1).lateral("one")
    return select(*one.c).select_from(given.join(one, true()))


def batch_of(line: str, reference: str) -> Select[EliteReceiptBatch]:
    """The batch of this reference, locked where the database locks rows."""
    found = select(EliteReceiptBatch).where(
        EliteReceiptBatch.line == line, EliteReceiptBatch.reference == reference
    )
    return found.with_for_update()
