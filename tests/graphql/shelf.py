"""A small plugin for tests of reading and writing: items on a shelf, with columns of every type, some of them null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Boolean, Date, ForeignKey, Integer, LargeBinary, String, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from crm_core import hookimpl
from crm_core.commands import Command, Money, Part, Ref, omitted
from crm_core.db.base import Aggregate, LineCode, Personal
from crm_core.db.types import ExactDecimal, Fen, UtcDateTime
from crm_core.errors import Message, Refused, UserError
from crm_core.graphql.access import Access
from crm_core.graphql.fields import (
    YUAN,
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
from crm_core.money import fen
from crm_core.outbox.events import Event
from crm_core.registry import Scope
from crm_core.work import Work


class Shade(StrEnum):
    """How bright an item is."""

    BRIGHT = "BRIGHT"
    DARK = "DARK"
    DEEP_RED = "DEEP_RED"


class Item(Aggregate):
    """An item on a shelf of one line; it may lie in another item."""

    __tablename__ = "shelf_items"
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    name: Mapped[str] = mapped_column(String(100))
    note: Mapped[str | None] = mapped_column(String(100))
    shade: Mapped[str | None] = mapped_column(String(40))
    amount: Mapped[int | None] = mapped_column(Integer)
    weight: Mapped[int] = mapped_column(Integer, default=0)
    price: Mapped[int | None] = mapped_column(Fen)
    day: Mapped[date | None] = mapped_column(Date)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fragile: Mapped[bool | None] = mapped_column(Boolean)
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    seal: Mapped[bytes | None] = mapped_column(LargeBinary)
    rate: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    owner_id: Mapped[UUID | None] = mapped_column(Uuid)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("shelf_items.id"))


ItemId = Annotated[UUID, Ref("ShelfItem", "she")]
UNLUCKY = Message("SHELF_UNLUCKY", "{field}: not {name}.", "{field}：不可为 {name}。", rule="SH-001")


class Label(Part):
    """A label to put on an item."""

    text: str = Field(max_length=20, description="What it says.")
    shade: Shade | None = Field(None, description="Its shade.")


class AddItem(Command):
    """Put an item on the shelf."""

    kind = "shelf.add"
    scope = "shelf.write"
    returns = "ShelfItem"
    name: str = Field(min_length=1, max_length=100, description="Its name.")
    note: str | None = Field(None, max_length=100, description="A note.")
    amount: int | None = Field(None, description="How many.")
    shade: Shade | None = Field(None, description="Its shade.")
    price: Money | None = Field(None, description="What it costs, yuan.")
    day: date | None = Field(None, description="Of which day.")
    parent_id: ItemId | None = Field(None, description="What it lies in.")
    labels: list[Label] = Field(default_factory=list, max_length=3, description="Labels.")


class ChangeItem(Command):
    """Change an item; what is left out stays."""

    kind = "shelf.change"
    scope = "shelf.write"
    returns = "ShelfItem"
    subject = "item_id"
    item_id: ItemId = Field(description="The item.")
    name: str = omitted(min_length=1, max_length=100, description="Its name.")
    note: str | None = omitted(max_length=100, description="A note.")
    amount: int | None = omitted(description="How many.")
    label: Label | None = omitted(description="A label, kept as its note.")


class AddItems(Command):
    """Put several items on the shelf."""

    kind = "shelf.add_many"
    scope = "shelf.write"
    returns: ClassVar[str | list[str]] = ["ShelfItem"]
    names: list[str] = Field(max_length=10, description="Their names.")


class ItemAdded(Event):
    """An item was put on the shelf."""

    kind = "shelf.added"
    subject_type = "ShelfItem"


class ItemChanged(Event):
    """An item was changed."""

    kind = "shelf.changed"
    subject_type = "ShelfItem"


async def add_item(work: Work, command: AddItem) -> Item:
    """The new item."""
    given: dict[str, Any] = command.model_dump(exclude={"labels", "price"})
    price = None if command.price is None else fen(command.price)
    note = command.note or "/".join(label.text for label in command.labels) or None
    item = work.add(Item(line=work.acting_line, price=price, **{**given, "note": note}))
    work.record(ItemAdded.of(item))
    return item


async def change_item(work: Work, command: ChangeItem) -> Item:
    """The changed item."""
    item: Item = work.subject
    given = command.given()
    for column in given.keys() & {"name", "note", "amount"}:
        setattr(item, column, given[column])
    if command.label is not None:
        item.note = command.label.text
    work.record(ItemChanged.of(item))
    return item


async def add_items(work: Work, command: AddItems) -> list[Item]:
    """The new items."""
    return [work.add(Item(line=work.acting_line, name=name)) for name in command.names]


async def not_unlucky(_work: Work, command: AddItem) -> list[UserError]:
    """Two refusals at once for an item of this name; one with the path of the note."""
    if command.name != "unlucky":
        return []
    return [UNLUCKY("name", name=command.name), UNLUCKY("note", name=command.name)]


async def refuse_late(_work: Work, command: AddItem) -> list[UserError]:
    """A check that refuses by raising."""
    if command.name == "too late":
        raise Refused(UNLUCKY("name", name=command.name))
    return []


async def shouted(rows: Sequence[Mapping[str, Any]], _context: object) -> Sequence[str]:
    """Names in capitals."""
    return [str(row["name"]).upper() for row in rows]


async def spelled(rows: Sequence[Mapping[str, Any]], _context: object) -> Sequence[str]:
    """What the function was given, types included."""
    return [f"{row['seal']!r} {row['rate']!r}" for row in rows]


def visible(t: Any, access: Access, scope: str) -> Any:
    """Items of the lines the scope reaches, or one's own."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id)


ITEM = ObjectType(
    name="ShelfItem",
    table=Item.__table__,
    model=Item,
    prefix="she",
    plural="shelfItems",
    description="An item on a shelf.",
    rule=visible,
    scope="shelf.read",
    order=lambda t: [t.c.name],
    filters=(
        Filter("longName", int, "Names at least this long.", lambda t, _a, v: func.length(t.c.name) >= v),
    ),
    fields=(
        field("id", Id("she"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was made.", nullable=False, sort=True),
        field("version", int, "Counts changes.", nullable=False),
        field("line", str, "Business line.", nullable=False, filter=True, sort=True),
        field("name", str, "Its name.", nullable=False, filter=True, sort=True),
        field("note", str, "A note.", filter=True, sort=True),
        field("shade", Shade, "Its shade.", filter=True, sort=True),
        field("amount", int, "How many.", filter=True, sort=True),
        field("weight", int, "How heavy.", nullable=False, filter=True, sort=True),
        field("price", YUAN, "What it costs.", filter=True, sort=True),
        field("day", date, "Of which day.", filter=True, sort=True),
        field("seenAt", datetime, "When it was seen.", filter=True, sort=True),
        field("fragile", bool, "Whether it breaks.", filter=True, sort=True),
        field("parentId", Id("she"), "What it lies in.", filter=True, sort=True),
        field(
            "secret",
            str,
            "Its secret.",
            sql=lambda t, _a: t.c.note,
            scope="shelf.secret",
            filter=True,
            sort=True,
        ),
        field(
            "code",
            str,
            "A code shown in part.",
            sql=lambda t, _a: t.c.name,
            mask=Mask(lambda c: func.substr(c, 1, 1) + "***", unless="shelf.secret"),
            filter=True,
            sort=True,
        ),
        relation(
            "parent",
            "ShelfItem",
            "What it lies in.",
            on=lambda t, p, _a: p.c.id == t.c.parent_id,
            filter=True,
        ),
        listing(
            "parts", "ShelfItem", "What lies in it.", on=lambda t, c, _a: c.c.parent_id == t.c.id, filter=True
        ),
        connection("children", "ShelfItem", "What lies in it.", on=lambda t, c, _a: c.c.parent_id == t.c.id),
        batch("shouted", str, "Its name in capitals.", shouted, needs=("name",)),
        batch("spelled", str, "What it was given.", spelled, needs=("seal", "rate", "id")),
        field("oldName", str, "Its name.", sql=lambda t, _a: t.c.name, deprecated="Use name."),
    ),
)


def plugin() -> ModuleType:
    """The plugin's hooks."""
    made = ModuleType("shelf")
    folder = Path(__file__).parent / "shelf_revisions"
    answers: Mapping[str, object] = {
        "crm_tables": (Item,),
        "crm_types": (ITEM,),
        "crm_queries": (
            query_connection("shelfItems", "ShelfItem", "Items you may see."),
            query_one("shelfItem", "ShelfItem", "An item by id."),
        ),
        "crm_fields": {
            "User": (
                field("shelfNote", str, "Login again.", sql=lambda t, _a: t.c.login, filter=True, sort=True),
            )
        },
        "crm_commands": {AddItem: add_item, ChangeItem: change_item, AddItems: add_items},
        "crm_checks": {"shelf.add": (not_unlucky, refuse_late)},
        "crm_events": (ItemAdded, ItemChanged),
        "crm_scopes": tuple(
            Scope(f"shelf.{what}", f"May {what} items") for what in ("read", "write", "secret")
        ),
        "crm_messages": (UNLUCKY,),
        "crm_migrations": folder,
    }
    for name, answer in answers.items():
        setattr(made, name, hookimpl(_giving(answer)))
    return made


def _giving(answer: object) -> Any:
    return lambda: answer


SHELF = Candidate("shelf", "1.0", "crm-shelf", (), plugin)
