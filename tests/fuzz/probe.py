"""A plugin made to be difficult: columns of every type, masks, scopes, and batch fields that fail in every way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Integer, LargeBinary, Numeric, String, cast, func, select
from sqlalchemy.orm import Mapped, mapped_column

from crm_core import hookimpl
from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import ExactDecimal, Fen, JsonValue, UtcDateTime
from crm_core.errors import Forbidden
from crm_core.graphql.access import Access
from crm_core.graphql.fields import (
    YUAN,
    Batch,
    Field,
    Filter,
    Id,
    Mask,
    ObjectType,
    batch,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    relation,
)
from crm_core.loader import Candidate
from crm_core.registry import Scope

READ, SECRET = "probe.read", "probe.secret"
Rows = Sequence[Mapping[str, Any]]


class Shade(StrEnum):
    """How bright a mark is."""

    BRIGHT = "BRIGHT"
    DARK = "DARK"
    DEEP_RED = "DEEP_RED"


class Mark(Aggregate):
    """A mark of one line; it may stand on a customer and lie in another mark."""

    __tablename__ = "probe_marks"
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(100))
    note: Mapped[str | None] = mapped_column(String(100))
    shade: Mapped[str | None] = mapped_column(String(40))
    amount: Mapped[int | None] = mapped_column(Integer)
    price: Mapped[int | None] = mapped_column(Fen)
    day: Mapped[date | None]
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fragile: Mapped[bool | None]
    data: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    words: Mapped[list[str]] = mapped_column(JsonValue)
    seal: Mapped[bytes | None] = mapped_column(LargeBinary)
    rate: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("probe_marks.id"))


def visible(t: Any, access: Access, scope: str) -> Any:
    """Marks of the lines the scope reaches, or one's own."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id)


# -- batch fields


def each(compute: Callable[[Mapping[str, Any]], Any]) -> Batch:
    """A batch function that looks at each row by itself."""

    async def values(rows: Rows, _context: object) -> Sequence[Any]:
        return [compute(row) for row in rows]

    return values


def spelled(row: Mapping[str, Any]) -> str:
    """What the function was given, types included: they must not depend on how the row was read."""
    return "; ".join(f"{name}={type(row[name]).__name__} {_spelled(row[name])}" for name in sorted(row))


def _spelled(value: Any) -> str:
    """JSON with sorted keys: their order is not kept by every database."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else repr(value)


def shade_of(row: Mapping[str, Any]) -> Any:
    """A shade; for one row in four a value that is none."""
    if row["version"] % 4 == 0:
        return "NO SUCH SHADE"
    return None if row["version"] % 4 == 1 else Shade.DARK.value


async def failing(rows: Rows, _context: object) -> Sequence[Any]:
    """Raises for whole calls that hold a row of version 3."""
    if any(row["version"] == 3 for row in rows):
        raise RuntimeError("made to fail")
    return [row["version"] for row in rows]


async def too_few(rows: Rows, _context: object) -> Sequence[Any]:
    """Gives one value too few where there are several rows."""
    return [True for _ in rows][: max(1, len(rows) - 1)]


async def refusing(_rows: Rows, _context: object) -> Sequence[Any]:
    """Refuses by itself."""
    raise Forbidden("nobody may see this (无权访问)")


ALL = (
    "id", "created_at", "updated_at", "version", "line", "name", "note", "shade", "amount", "price", "day",
    "seen_at", "fragile", "data", "words", "seal", "rate", "owner_id", "customer_id", "parent_id",
)  # fmt: skip
OF_CUSTOMER = ("id", "name", "created_at", "archived_at", "version", "archive_state", "parent_id", "remark")
OF_INTERACTION = (
    "occurred_at", "occurred_on", "duration_minutes", "is_visit", "performer_id", "content", "next_on", "planned_at",
)  # fmt: skip


def batches(prefix: str, needs: tuple[str, ...]) -> tuple[Field, ...]:
    """Batch fields of every type over the rows of any aggregate."""
    moment = each(lambda row: row["updated_at"] if row["version"] % 2 else None)
    return (
        batch(f"{prefix}Spelled", str, "What it was given.", each(spelled), needs=needs),
        batch(f"{prefix}Shade", Shade, "A shade, or none at all.", each(shade_of), needs=("version",)),
        batch(f"{prefix}Words", list[str], "A list.", each(lambda r: [r["id"].hex, "注"][: r["version"] % 3]),
              needs=("id", "version")),
        batch(f"{prefix}Shades", list[Shade], "A list of shades.", each(lambda r: list(Shade)[: r["version"] % 4]),
              needs=("version",)),
        batch(f"{prefix}Json", dict, "JSON.", each(lambda r: {"z": [r["version"], None], "a": {"b": "\"\\'"}}),
              needs=("version",)),
        batch(f"{prefix}Moment", datetime, "A moment.", moment, needs=("updated_at", "version")),
        batch(f"{prefix}Day", date, "A day.", each(lambda r: r["created_at"].date()), needs=("created_at",)),
        batch(f"{prefix}Yuan", YUAN, "Money.", each(lambda r: r["version"] * 1005), needs=("version",)),
        batch(f"{prefix}Number", Decimal, "A decimal.", each(lambda r: Decimal(r["version"]) / 8), needs=("version",)),
        batch(f"{prefix}Id", Id("pro"), "An id.", each(lambda r: r["id"])),
        batch(f"{prefix}Failing", int, "Fails at times.", failing, needs=("version",)),
        batch(f"{prefix}Short", bool, "Gives too few.", too_few),
        batch(f"{prefix}Refusing", str, "Refuses.", refusing),
        batch(f"{prefix}Secret", bool, "Scoped.", each(lambda r: r["version"] > 2), needs=("version",), scope=SECRET),
    )  # fmt: skip


# -- types

MARK = ObjectType(
    name="ProbeMark",
    table=Mark.__table__,
    model=Mark,
    prefix="pro",
    description="A mark.",
    rule=visible,
    scope=READ,
    order=lambda t: [t.c.name, t.c.amount.desc()],
    filters=(
        Filter("longName", int, "Names at least this long.", lambda t, _a, v: func.length(t.c.name) >= v),
        Filter("codeIs", str, "Has this code.", lambda t, _a, v: t.c.name == v,
               mask=Mask(lambda c: c, unless=SECRET, reads=READ)),
    ),
    fields=(
        field("id", Id("pro"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was made.", nullable=False, filter=True, sort=True),
        field("updatedAt", datetime, "When it was changed.", nullable=False),
        field("version", int, "Counts changes.", nullable=False, filter=True, sort=True),
        field("line", str, "Business line.", nullable=False, filter=True, sort=True),
        field("name", str, "Its name.", nullable=False, filter=True, sort=True),
        field("note", str, "A note.", filter=True, sort=True),
        field("shade", Shade, "Its shade.", filter=True, sort=True),
        field("amount", int, "How many.", filter=True, sort=True),
        field("price", YUAN, "What it costs.", filter=True, sort=True),
        field("day", date, "Of which day.", filter=True, sort=True),
        field("seenAt", datetime, "When it was seen.", filter=True, sort=True),
        field("fragile", bool, "Whether it breaks.", filter=True, sort=True),
        field("data", dict, "JSON, JSON null or nothing."),
        field("words", list[str], "Words.", nullable=False),
        field("parentId", Id("pro"), "What it lies in.", filter=True, sort=True),
        field("rate", Decimal, "A number as it was written."),
        field("double", int, "Twice the amount.", sql=lambda t, _a: t.c.amount * 2, filter=True),
        field("ratio", Decimal, "The amount as a decimal.",
              sql=lambda t, _a: cast(t.c.amount, Numeric(16, 3))),
        field("secret", str, "Scoped.", sql=lambda t, _a: t.c.note, scope=SECRET, filter=True, sort=True),
        field("code", str, "Shown in part.", sql=lambda t, _a: t.c.name, filter=True, sort=True,
              mask=Mask(lambda c: func.substr(c, 1, 1).concat("***"), unless=SECRET, reads=READ)),
        relation("owner", "User", "Whose it is.", on=lambda t, u, _a: u.c.id == t.c.owner_id, filter=True),
        relation("customer", "Customer", "On whom.", on=lambda t, c, _a: c.c.id == t.c.customer_id, filter=True),
        relation("parent", "ProbeMark", "In what.", on=lambda t, p, _a: p.c.id == t.c.parent_id, filter=True),
        listing("parts", "ProbeMark", "What lies in it.", on=lambda t, c, _a: c.c.parent_id == t.c.id, filter=True,
                order=lambda t: [t.c.day.desc(), t.c.amount]),
        connection("children", "ProbeMark", "What lies in it.", on=lambda t, c, _a: c.c.parent_id == t.c.id),
        field("oldName", str, "Its name.", sql=lambda t, _a: t.c.name, deprecated="Use name."),
        *batches("probe", ALL),
    ),
)  # fmt: skip


def _count(t: Any, _access: Access) -> Any:
    mark = Mark.__table__.alias("counted")
    return select(func.count()).where(mark.c.customer_id == t.c.id).correlate(t).scalar_subquery()


FIELDS: Mapping[str, Sequence[Field | Filter]] = {
    "Customer": (
        field("probeCount", int, "How many marks.", sql=_count, filter=True, sort=True),
        field("probeNote", str, "Its remark.", sql=lambda t, _a: t.c.remark, scope=SECRET, filter=True, sort=True),
        connection("probeMarks", "ProbeMark", "Its marks.", on=lambda c, m, _a: m.c.customer_id == c.c.id),
        Filter("probed", bool, "Has marks or has none.", lambda t, a, v: (_count(t, a) > 0) == v),
        *batches("probe", OF_CUSTOMER),
    ),
    "Interaction": batches("probe", OF_INTERACTION),
    "User": (field("probeLogin", str, "Its login.", sql=lambda t, _a: t.c.login, filter=True, sort=True),),
}  # fmt: skip

QUERIES = (
    query_connection("probeMarks", "ProbeMark", "Marks you may see."),
    query_one("probeMark", "ProbeMark", "A mark by id."),
)


def plugin() -> ModuleType:
    """The plugin's hooks."""
    made = ModuleType("probe")
    answers: Mapping[str, object] = {
        "crm_tables": (Mark,),
        "crm_types": (MARK,),
        "crm_queries": QUERIES,
        "crm_fields": FIELDS,
        "crm_scopes": (Scope(READ, "See marks"), Scope(SECRET, "See what is hidden")),
        "crm_migrations": Path(__file__).parent / "probe_revisions",
    }
    for name, answer in answers.items():
        setattr(made, name, hookimpl(_giving(answer)))
    return made


def _giving(answer: object) -> Any:
    return lambda: answer


PROBE = Candidate("probe", "1.0", "crm-probe", (), plugin)
LINES: Mapping[str, Sequence[str]] = {"east": ("auto_dealer", "probe"), "north": ("probe",), "west": ()}
