"""Values to ask with: ids, values that stand in the rows, words to search for, and cursors of earlier answers."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import Column, Table

from crm_core.graphql.fields import Field, Id, ObjectType, Yuan
from crm_core.graphql.values import show_moment, shown
from crm_core.ids import show
from tests.fuzz.data import DAYS, FEN, MOMENTS, NUMBERS, PHONES, SEED, TEXTS, World

Order = tuple[tuple[str, str], ...]
"""Sort keys with their directions; empty: the type's own order."""
Ask = Callable[[str], Awaitable[Any]]
CHINA = timezone(timedelta(hours=8))
SEARCHES = (
    "华", "华信", "信华", "huaxin", "hx", "zhang", "张", "8000", "138", "13800138000", "ab", "a", "C0000", "C000012",
    "😀", "'", '"', "%", "", " ", "OR AND", "* NEAR(", "长长长", "ouyang", "chongqing", "华信 物流",
)  # fmt: skip


class Word(str):
    """An enum value: written without quotes in a document."""

    __slots__ = ()


class Pools:
    """What a generator draws from; the same for everybody who makes it from the same world."""

    def __init__(self, world: World) -> None:
        """Collect the values of all rows."""
        self.world = world
        self.types: Mapping[str, ObjectType] = world.registry.types
        self.known: dict[tuple[str, str], list[Any]] = {}
        self.by_prefix: dict[str, list[str]] = {p: world.shown(t) for t, p in world.prefixes.items() if p}
        self.ids = sorted(one for prefix in self.by_prefix.values() for one in prefix)
        self.cursors: dict[tuple[str, Order], list[str]] = {}
        self.orders: dict[str, list[Order]] = {name: _orders(kind) for name, kind in self.types.items()}

    def values(self, kind: ObjectType, declared: Field) -> Sequence[Any]:
        """Values a filter on this field may be asked with, most of them found in rows."""
        key = (kind.name, declared.name)
        if key not in self.known:
            self.known[key] = [*self._found(kind, declared), *self.made_up(declared.type)]
        return self.known[key]

    def made_up(self, type_: Any) -> list[Any]:
        """Values of a type, in rows or not."""
        if isinstance(type_, Id):
            return [*self.by_prefix.get(type_.prefix, [])[:3], show(type_.prefix, self.world.ids("users")[0])]
        if isinstance(type_, Yuan):
            return [str(Decimal(fen) / 100) for fen in FEN]
        if isinstance(type_, type) and issubclass(type_, Enum):
            return [Word(name) for name in type_.__members__]
        return list(_MADE_UP[type_])

    def _found(self, kind: ObjectType, declared: Field) -> Iterator[Any]:
        """The first forty values of the field's column."""
        plain = _plain(kind, declared, self.world)
        if not isinstance(plain, Column) or (
            isinstance(declared.type, type) and issubclass(declared.type, Enum)
        ):
            return
        show_one = shown(declared.type)
        rows = self.world.rows[kind.table.name] if isinstance(kind.table, Table) else []
        found = [row[plain.name] for row in rows if row.get(plain.name) is not None]
        for value in found[:: max(1, len(found) // 40)]:
            yield show_one(value)

    async def harvest(self, ask: Ask, connections: Iterable[tuple[str, str]]) -> None:
        """Take cursors from answers: of every type in several orders, by the paths (root → type) given."""
        for template, name in connections:
            for some in _chunks(self.orders[name], 8):
                parts = [
                    template.replace("ALIAS", f"a{i}").replace("ORDER", _argument(o))
                    for i, o in enumerate(some)
                ]
                answer = await ask("{" + " ".join(parts) + "}")
                for i, order in enumerate(some):
                    found = self.cursors.setdefault((name, order), [])
                    found += sorted(set(_cursors_under(answer, f"a{i}")))[:60]


_MADE_UP: Mapping[Any, Sequence[Any]] = {
    str: TEXTS,
    int: (*NUMBERS, -(2**31)),
    bool: (True, False),
    date: [day.isoformat() for day in DAYS],
    datetime: [*map(show_moment, MOMENTS), *(m.astimezone(CHINA).isoformat() for m in MOMENTS[:4])],
    Decimal: ("0", "1.5", "-2.250"),
    dict: (),
}
FILTERS: Mapping[str, Sequence[Any]] = {
    "search": SEARCHES,
    "phone": (*PHONES, "13800138000", "021-64370001", "138 0013 8000", "x", ""),
    "line": ("east", "west", "north", "south", ""),
    "longName": (0, 1, 2, 5),
}
"""Values of filters that compare with something special; others take those of their type."""


def _plain(kind: ObjectType, declared: Field, world: World) -> Any:
    """The field's SQL over its table itself."""
    try:
        return declared.plain(kind.table, world.access) if isinstance(kind.table, Table) else None
    except KeyError:
        return None  # documents that ask for the field show what is wrong with it


def _orders(kind: ObjectType) -> list[Order]:
    """The type's own order, every single key in both directions, and some of several keys."""
    keys = [f.name for f in kind.fields if f.sort]
    chance = random.Random(f"{SEED}:{kind.name}")
    singles = [((key, way),) for key in keys for way in ("ASC", "DESC")]
    several = []
    for _ in range(min(8, len(keys) * 2) if len(keys) > 1 else 0):
        chosen = chance.sample(keys, chance.randrange(2, min(4, len(keys)) + 1))
        several.append(tuple((key, chance.choice(("ASC", "DESC"))) for key in chosen))
    return [(), *singles, *several]


def _argument(order: Order) -> str:
    given = ", ".join(f"{{{key}: {way}}}" for key, way in order)
    return f", orderBy: [{given}]" if order else ""


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _cursors_under(answer: Any, alias: str) -> Iterator[str]:
    """Cursors anywhere below this alias."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            if key == alias:
                yield from _cursors(value)
            else:
                yield from _cursors_under(value, alias)
    elif isinstance(answer, list):
        for value in answer:
            yield from _cursors_under(value, alias)


def _cursors(answer: Any) -> Iterator[str]:
    if isinstance(answer, dict):
        for key, value in answer.items():
            if key == "cursor":
                yield value
            else:
                yield from _cursors(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _cursors(value)


def paths(types: Mapping[str, ObjectType], roots: Mapping[str, str]) -> list[tuple[str, str]]:
    """For every type a template that reads cursors of it: from a root, else from a field of a type with a root."""
    edges = "{ edges { cursor } }"
    found = {target: f"ALIAS: {root}(first: 60ORDER) {edges}" for root, target in roots.items()}
    nested: dict[str, str] = defaultdict(str)
    for root, name in roots.items():
        for field in types[name].fields:
            if field.kind == "connection" and field.target not in found and not nested[field.target]:
                nested[field.target] = (
                    f"{root}(first: 40) {{ nodes {{ ALIAS: {field.name}(first: 8ORDER) {edges} }} }}"
                )
    return [(template, name) for name, template in {**nested, **found}.items() if template]


def literal(value: Any, *, ascii_only: bool = False) -> str:
    """The value as it stands in a document."""
    if isinstance(value, Word):
        return str.__str__(value)
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{key}: {literal(one, ascii_only=ascii_only)}" for key, one in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(literal(one, ascii_only=ascii_only) for one in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)
