"""Who may see what, in plain Python over all rows: written from the rules, ignorant of how the product reads."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table

from crm_core.actors import Actor, Reach
from crm_core.graphql.fields import Field, Id, ObjectType, Yuan
from crm_core.graphql.values import shown
from crm_core.ids import show
from crm_core.testing.kit import Kit
from tests.fuzz.data import Row, World
from tests.fuzz.pools import Pools, Word, literal
from tests.fuzz.probe import LINES

Holds = Callable[[Row], bool]
PAGE = 100


@dataclass
class Eyes:
    """What one caller may see."""

    world: World
    actor: Actor

    # -- words of the rules

    def everything(self, scope: str) -> bool:
        """Reach `all` in some line is reach over all lines."""
        return any(scopes.get(scope) == Reach.ALL for scopes in self.actor.grants.values())

    def holds(self, scope: str, line: str | None) -> bool:
        """The scope is held in the line."""
        return scope in self.actor.grants.get(line or "", {})

    def joined(self, line: str | None) -> bool:
        """The caller belongs to the line."""
        return line in self.actor.grants

    def whole(self, scope: str, line: str | None) -> bool:
        """The scope reaches the whole line."""
        return self.everything(scope) or self.actor.grants.get(line or "", {}).get(scope, 0) >= Reach.LINE

    def mine(self, *people: UUID | None) -> bool:
        """The caller is one of these."""
        return self.actor.user_id in people

    def within(self, scope: str, line: str, owner: UUID | None, team: UUID | None = None) -> bool:
        """A row of this line, owner and team is reached."""
        if self.whole(scope, line):
            return True
        reach = self.actor.grants.get(line, {}).get(scope)
        teams = (
            self.actor.subtree if reach == Reach.SUBTREE else self.actor.teams if reach == Reach.TEAM else {}
        )
        return reach is not None and (self.mine(owner) or team in teams.get(line, ()))

    def customer(self, scope: str, customer: UUID | None, line: str | None = None) -> bool:
        """The customer is reached in this line, or (None) in any."""
        rows = [r for r in self._lines_of.get(customer, ()) if line is None or r["line"] == line]
        return self.everything(scope) or any(
            self.within(scope, r["line"], r["owner_id"], r["team_id"]) for r in rows
        )

    @cached_property
    def _lines_of(self) -> dict[UUID | None, list[Row]]:
        found: dict[UUID | None, list[Row]] = {}
        for row in self.world.rows["customer_lines"]:
            found.setdefault(row["customer_id"], []).append(row)
        return found

    # -- types

    def enabled(self, owner: str) -> bool:
        """The plugin is enabled in a line of the caller."""
        return owner == "core" or any(owner in LINES[line] for line in self.actor.grants)

    def may_ask(self, kind: ObjectType, owner: str) -> bool:
        """The type's scope is held somewhere, and its plugin is enabled in a line of the caller."""
        return self.enabled(owner) and (
            kind.scope is None or any(kind.scope in s for s in self.actor.grants.values())
        )

    def sees(self, kind: ObjectType, row: Row) -> bool:
        """The row rule."""
        return _RULES[kind.name](self, kind.scope or "", row)

    def rows(self, kind: ObjectType) -> list[Row]:
        """All rows of a type that may be seen."""
        assert isinstance(kind.table, Table)
        return [row for row in self.world.rows[kind.table.name] if self.sees(kind, row)]

    def _colleague(self, _scope: str, row: Row) -> bool:
        grants = [g["line"] for g in self.world.rows["role_grants"] if g["user_id"] == row["id"]]
        shared = any(line is None or self.joined(line) for line in grants)
        return self.everything("user.read") or self.mine(row["id"]) or shared

    def _approval(self, scope: str, row: Row) -> bool:
        if self.whole(scope, row["line"]):
            return True
        tasks = [t for t in self.world.rows["approval_tasks"] if t["approval_id"] == row["id"]]
        copies = [c["user_id"] for c in self.world.rows["approval_copies"] if c["approval_id"] == row["id"]]
        own = any(map(self.mine, [row["requester_id"], *copies])) or any(map(self._asked, tasks))
        return self.joined(row["line"]) and own

    def _asked(self, task: Row) -> bool:
        if self.mine(task["instead_of_id"]) or self.mine(task["signer_id"]):
            return True
        if task["user_id"] is not None:
            return self.mine(task["user_id"])
        roles = {r["id"]: r["name"] for r in self.world.rows["roles"]}
        held = [
            g
            for g in self.world.rows["role_grants"]
            if self.mine(g["user_id"]) and g["line"] in (None, task["line"])
        ]
        return any(roles[g["role_id"]] == task["role"] for g in held)

    def _interaction(self, scope: str, row: Row) -> bool:
        if self.everything(scope):
            return True
        reached = self.mine(row["performer_id"]) or self.customer(scope, row["customer_id"], row["line"])
        return self.holds(scope, row["line"]) and reached

    def _task(self, scope: str, row: Row) -> bool:
        if self.everything(scope):
            return True
        if not self.holds(scope, row["line"]):
            return False
        if self.mine(row["assignee_id"], row["creator_id"]):
            return True
        if row["customer_id"] is None:
            return self.within(scope, row["line"], row["assignee_id"], row["team_id"])
        return self.customer(scope, row["customer_id"], row["line"])

    def _vehicle(self, scope: str, row: Row) -> bool:
        if self.everything(scope):
            return True
        dealers = row["customer_id"] is None
        return self.holds(scope, row["line"]) and (
            dealers or self.customer(scope, row["customer_id"], row["line"])
        )

    def _change(self, scope: str, row: Row) -> bool:
        order = next(o for o in self.world.rows["auto_dealer_orders"] if o["id"] == row["order_id"])
        return self.within(scope, order["line"], order["owner_id"], order["team_id"])


def _whole(e: Eyes, scope: str, row: Row) -> bool:
    return e.whole(scope, row["line"])


def _held(e: Eyes, scope: str, row: Row) -> bool:
    return e.everything(scope) or e.holds(scope, row["line"])


def _owned(e: Eyes, scope: str, row: Row) -> bool:
    return e.within(scope, row["line"], row["owner_id"], row.get("team_id"))


def _paper(e: Eyes, scope: str, row: Row) -> bool:
    return e.customer(scope, row["customer_id"], row["line"])


_RULES: Mapping[str, Callable[[Eyes, str, Row], bool]] = {
    "User": Eyes._colleague,
    "Team": lambda e, _s, r: e.joined(r["line"]),
    "BusinessLine": lambda e, _s, r: e.joined(r["code"]),
    "Role": lambda _e, _s, _r: True,
    "RoleGrant": lambda e, s, r: r["line"] is None or _held(e, s, r),
    "ApiToken": lambda e, _s, r: e.everything("access.admin") or e.mine(r["user_id"]),
    "Absence": lambda e, _s, r: e.everything("access.admin") or e.mine(r["user_id"]) or e.mine(r["deputy_id"]),
    "Notice": lambda e, _s, r: e.mine(r["user_id"]),
    "NoticePreference": lambda e, _s, r: e.mine(r["user_id"]),
    "NoticeDelivery": _whole,
    "UsageReview": _whole, "AuditEntry": _whole, "Event": _whole, "ImportRun": _whole,
    "IncomingSource": _whole, "IncomingRequest": _whole,
    "Approval": Eyes._approval,
    "ApprovalPolicy": _held, "Cadence": _held, "CallbackPlan": _held,
    "Customer": lambda e, s, r: e.customer(s, r["id"]),
    "CustomerLine": _owned, "TestDrive": _owned, "OrderCard": _owned,
    "CustomerDocument": _paper, "CustomerTransaction": _paper, "Contact": _paper,
    "DuplicateFlag": lambda e, s, r: e.everything(s) or e.holds(s, r["line"]) or e.holds(s, r["foreign_line"]),
    "Interaction": Eyes._interaction,
    "InteractionReport": lambda e, s, r: e.mine(r["user_id"]) and e.holds(s, r["line"]),
    "Task": Eyes._task,
    "SalesMeeting": lambda e, s, r: e.within(s, r["line"], r["chair_id"], r["team_id"]),
    "Vehicle": Eyes._vehicle,
    "OrderChange": Eyes._change,
    "ProbeMark": lambda e, s, r: e.within(s, r["line"], r["owner_id"]),
}  # fmt: skip

CHILDREN: Mapping[tuple[str, str], str] = {
    ("Customer", "contacts"): "customer_id", ("Customer", "interactions"): "customer_id",
    ("Customer", "tasks"): "customer_id", ("Customer", "documents"): "customer_id",
    ("Customer", "transactions"): "customer_id", ("Customer", "branches"): "parent_id",
    ("Customer", "vehicles"): "customer_id", ("Customer", "testDrives"): "customer_id",
    ("Customer", "orders"): "customer_id", ("Customer", "probeMarks"): "customer_id",
    ("User", "interactions"): "performer_id", ("User", "tasks"): "assignee_id", ("Interaction", "tasks"): "interaction_id",
    ("Vehicle", "testDrives"): "vehicle_id", ("ProbeMark", "children"): "parent_id",
    ("IncomingSource", "requests"): "source_id",
}  # fmt: skip
"""Nested connections, and the column of the child that names its parent."""
PARENTS: Mapping[tuple[str, str], str] = {
    ("Interaction", "customer"): "customer_id", ("Interaction", "performer"): "performer_id",
    ("Interaction", "team"): "team_id", ("Task", "customer"): "customer_id", ("Task", "assignee"): "assignee_id",
    ("Task", "interaction"): "interaction_id", ("Contact", "customer"): "customer_id",
    ("Customer", "parent"): "parent_id", ("Customer", "mergedInto"): "merged_into_id",
    ("Vehicle", "customer"): "customer_id", ("TestDrive", "vehicle"): "vehicle_id",
    ("OrderCard", "customer"): "customer_id", ("OrderChange", "order"): "order_id",
    ("ProbeMark", "customer"): "customer_id", ("ProbeMark", "owner"): "owner_id", ("ProbeMark", "parent"): "parent_id",
    ("DuplicateFlag", "other"): "other_id", ("Approval", "requester"): "requester_id",
}  # fmt: skip
"""Relations, and the column that names the other record."""


# -- conditions in plain Python


def comparable(type_: Any, value: Any) -> Any:
    """A shown value in a form that sorts as the database sorts the column."""
    if type_ is datetime:
        return datetime.fromisoformat(value)
    return Decimal(value) if isinstance(type_, Yuan) else value


@dataclass
class Conditions:
    """Random conditions, each as an argument and as a plain predicate over rows."""

    pools: Pools
    eyes: Eyes
    chance: random.Random

    def of(self, kind: ObjectType, depth: int = 2) -> tuple[dict[str, Any], Holds]:
        """Conditions on one or two keys, all of which must hold."""
        names = [f.name for f in kind.fields if f.filter and self._known(kind, f)] + ["and", "or", "not"] * (
            depth > 0
        )
        if not names:
            return {}, lambda _row: True
        parts = {
            n: self._part(kind, n, depth)
            for n in self.chance.sample(names, min(len(names), self.chance.choice((1, 2))))
        }
        tests = [holds for _, holds in parts.values()]
        return {n: given for n, (given, _) in parts.items()}, lambda row: all(test(row) for test in tests)

    def _known(self, kind: ObjectType, declared: Field) -> bool:
        if declared.scope is not None or declared.mask is not None or declared.match is not None:
            return False
        if not self.eyes.enabled(declared.owner):
            return False
        if declared.kind == "column":
            return _column(kind, declared, self.eyes.world) is not None
        target = self.pools.types[declared.target]
        owner = self.pools.world.registry.type_owners[target.name]
        return (kind.name, declared.name) in PARENTS and self.eyes.may_ask(target, owner)

    def _part(self, kind: ObjectType, name: str, depth: int) -> tuple[Any, Holds]:
        if name == "not":
            given, holds = self.of(kind, depth - 1)
            return given, lambda row: not holds(row)
        if name in ("and", "or"):
            parts = [self.of(kind, depth - 1) for _ in range(self.chance.randrange(3))]
            join = all if name == "and" else any
            return [g for g, _ in parts], lambda row: join(holds(row) for _, holds in parts)
        declared = kind.by_name[name]
        return (
            self._column(kind, declared) if declared.kind == "column" else self._parent(kind, declared, depth)
        )

    def _parent(self, kind: ObjectType, declared: Field, depth: int) -> tuple[Any, Holds]:
        target, column = self.pools.types[declared.target], PARENTS[kind.name, declared.name]
        given, holds = self.of(target, depth - 1)
        found = {row["id"] for row in self.eyes.rows(target) if holds(row)}
        return given, lambda row: row[column] in found

    def _column(self, kind: ObjectType, declared: Field) -> tuple[Any, Holds]:
        column, type_ = _column(kind, declared, self.eyes.world) or "", declared.type
        values = self.pools.values(kind, declared)
        value = self.chance.choice(values)
        is_enum = isinstance(type_, type) and issubclass(type_, Enum)
        show_one = shown(type_)

        def api(row: Row) -> Any:
            raw = row[column]
            return None if raw is None else Word(raw) if is_enum else show_one(raw)

        operator = self.chance.choice(_operators(type_))
        if operator == "isNull":
            wanted = self.chance.random() < 0.5
            return {"isNull": wanted}, lambda row: (row[column] is None) == wanted
        if operator == "in":
            some = [self.chance.choice(values) for _ in range(self.chance.randrange(4))]
            return {"in": some}, lambda row: api(row) is not None and _same(type_, api(row), some)
        return {operator: value}, lambda row: _holds(operator, type_, api(row), value)


def _operators(type_: Any) -> Sequence[str]:
    if type_ is str:
        return ("eq", "ne", "in", "contains", "startsWith", "isNull")
    if type_ is bool:
        return ("eq", "isNull")
    if isinstance(type_, Id) or (isinstance(type_, type) and issubclass(type_, Enum)):
        return ("eq", "ne", "in", "isNull")
    return ("eq", "ne", "in", "gt", "gte", "lt", "lte", "isNull")


def _same(type_: Any, value: Any, some: Sequence[Any]) -> bool:
    return comparable(type_, value) in [comparable(type_, one) for one in some]


def _holds(operator: str, type_: Any, have: Any, value: Any) -> bool:
    if have is None:
        return operator == "ne"
    here, given = comparable(type_, have), comparable(type_, value)
    return bool(_TESTS[operator](here, given))


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b, "contains": lambda a, b: b in a,
    "startsWith": lambda a, b: a.startswith(b),
}  # fmt: skip


def _column(kind: ObjectType, declared: Field, world: World) -> str | None:
    """The plain column behind a field; None for whatever is computed."""
    try:
        plain = declared.plain(kind.table, world.access) if isinstance(kind.table, Table) else None
    except KeyError:
        return None
    return plain.name if isinstance(plain, Column) and plain.table is kind.table else None


# -- looking


@dataclass
class Check:
    """Looks at a deployment with the eyes of some callers; `problems` says where it shows other rows than it should."""

    crm: Kit
    pools: Pools
    seed: int
    compiled: bool | None = None
    problems: list[str] = field(default_factory=list)
    looks: int = 0

    async def everything(self, callers: Sequence[Actor], roots: int) -> None:
        """For each caller some roots with conditions, nested fields, single records."""
        for number, actor in enumerate(callers):
            look = _Look(self, Eyes(self.pools.world, actor), random.Random(f"oracle:{self.seed}:{number}"))
            await look.some(roots)


@dataclass
class _Look:
    check: Check
    eyes: Eyes
    chance: random.Random

    @property
    def types(self) -> Mapping[str, ObjectType]:
        return self.check.pools.types

    async def some(self, roots: int) -> None:
        found = [
            q
            for q in self.eyes.world.registry.queries
            if isinstance(q, Field) and q.kind == "query_connection"
        ]
        known = [q for q in found if q.target in _RULES]
        for query in self.chance.sample(known, min(roots, len(known))):
            await self.root(query)
        await self.interactions()
        await self.single()

    async def interactions(self) -> None:
        """The type with the most intricate rule, always."""
        queries = [q for q in self.eyes.world.registry.queries if isinstance(q, Field)]
        await self.root(next(q for q in queries if q.name == "interactions"))

    async def ask(self, text: str) -> Any:
        self.check.looks += 1
        return await self.check.crm.ask(text, self.eyes.actor, compiled=self.check.compiled)

    def problem(self, what: str, text: str, missing: set[str], extra: set[str]) -> None:
        if missing or extra:
            actor = f"{self.eyes.actor.name} {self.eyes.actor.user_id}"
            some = f"hidden {sorted(missing)[:3]} ({len(missing)}), shown {sorted(extra)[:3]} ({len(extra)})"
            self.check.problems.append(f"{what}: {some}\n  seed {self.check.seed} actor {actor}\n  {text}")

    async def root(self, query: Field) -> None:
        """A root connection with conditions, page by page, its count, and what hangs on its rows."""
        kind = self.types[query.target]
        if not self.eyes.may_ask(kind, self.eyes.world.registry.type_owners[kind.name]):
            answer = await self.ask(f"{{ {query.name} {{ totalCount }} }}")
            if answer.data != {query.name: None} or answer.codes != ["FORBIDDEN"]:
                self.check.problems.append(f"{query.name} is not refused to {self.eyes.actor.name}")
            return
        given, holds = Conditions(self.check.pools, self.eyes, self.chance).of(kind)
        where = f"where: {literal(given)}" if self.chance.random() < 0.7 else ""
        expected = {show(kind.prefix or "", r["id"]) for r in self.eyes.rows(kind) if not where or holds(r)}
        nested = self.nested(kind)
        text = f"{query.name}({where} first: {PAGE} AFTER) {{ totalCount nodes {{ id {' '.join(nested)} }} pageInfo {{ hasNextPage endCursor }} }}"
        await self.pages(query.name, kind, text, expected)

    async def pages(self, name: str, kind: ObjectType, text: str, expected: set[str]) -> None:
        got: list[str] = []
        after = ""
        while True:
            asked = "{ " + text.replace("AFTER", after) + " }"
            answer = await self.ask(asked)
            if answer.errors:
                self.check.problems.append(f"{name}: {answer.errors[:2]}\n  {asked}")
                return
            page = answer.data[name]
            got += [row["id"] for row in page["nodes"]]
            for row in page["nodes"]:
                self.below(kind, row, asked)
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = f'after: "{page["pageInfo"]["endCursor"]}"'
        self.problem(name, text, expected - set(got), set(got) - expected)
        if page["totalCount"] != len(expected) or len(got) != len(set(got)):
            self.check.problems.append(
                f"{name} counts {page['totalCount']}, shows {len(got)}, not {len(expected)}: {text}"
            )

    def nested(self, kind: ObjectType) -> Iterator[str]:
        """Up to two fields to look at below each row; those that may not be asked for are left out."""
        names = [f for k, f in (*CHILDREN, *PARENTS) if k == kind.name and self._asked_for(kind, f)]
        for name in self.chance.sample(names, min(len(names), 2)):
            many = (kind.name, name) in CHILDREN
            yield f"{name}(first: {PAGE}) {{ totalCount nodes {{ id }} }}" if many else f"{name} {{ id }}"

    def _asked_for(self, kind: ObjectType, name: str) -> bool:
        declared = kind.by_name[name]
        target = self.types[declared.target]
        owners = (declared.owner, self.eyes.world.registry.type_owners[target.name])
        held = declared.scope is None or self.eyes.actor.may(declared.scope)
        return held and all(self.eyes.may_ask(target, owner) for owner in owners)

    def below(self, kind: ObjectType, row: dict[str, Any], text: str) -> None:
        """What one row of an answer shows below it."""
        for name, value in row.items():
            if (kind.name, name) in CHILDREN:
                self._children(kind, row, name, text)
            elif (kind.name, name) in PARENTS:
                expected = self._parent(kind, row["id"], name)
                got = {value["id"]} if value else set()
                self.problem(f"{kind.name}.{name} of {row['id']}", text, expected - got, got - expected)

    def _children(self, kind: ObjectType, row: dict[str, Any], name: str, text: str) -> None:
        target, column = self.types[kind.by_name[name].target], CHILDREN[kind.name, name]
        parent = UUID(row["id"].partition("_")[2])
        expected = {show(target.prefix or "", r["id"]) for r in self._seen(target) if r[column] == parent}
        got = {one["id"] for one in row[name]["nodes"]}
        self.problem(f"{kind.name}.{name} of {row['id']}", text, expected - got, got - expected)
        if row[name]["totalCount"] != len(expected):
            self.check.problems.append(
                f"{kind.name}.{name} counts {row[name]['totalCount']}, not {len(expected)}: {text}"
            )

    def _seen(self, kind: ObjectType) -> list[Row]:
        known: dict[str, list[Row]] = self.__dict__.setdefault("_seen_rows", {})
        if kind.name not in known:
            known[kind.name] = self.eyes.rows(kind)
        return known[kind.name]

    def _parent(self, kind: ObjectType, shown_id: str, name: str) -> set[str]:
        target = self.types[kind.by_name[name].target]
        assert isinstance(kind.table, Table)
        own = UUID(shown_id.partition("_")[2])
        row = next(r for r in self.eyes.world.rows[kind.table.name] if r["id"] == own)
        key = row[PARENTS[kind.name, name]]
        return {show(target.prefix or "", r["id"]) for r in self._seen(target) if r["id"] == key}

    async def single(self) -> None:
        """Records of any type by their ids: twenty at a time, some to be seen and some not."""
        kinds = [k for k in self.types.values() if k.name in _RULES and k.prefix]
        chosen = []
        for kind in self.chance.choices(kinds, k=20):
            assert isinstance(kind.table, Table)
            row = self.chance.choice(self.eyes.world.rows[kind.table.name])
            held = self.eyes.may_ask(kind, self.eyes.world.registry.type_owners[kind.name])
            chosen.append((show(kind.prefix or "", row["id"]), held and self.eyes.sees(kind, row)))
        text = "{" + " ".join(f'n{i}: node(id: "{one}") {{ id }}' for i, (one, _) in enumerate(chosen)) + "}"
        answer = await self.ask(text)
        if answer.data is None:
            self.check.problems.append(f"node: {answer.errors[:2]}\n  {text}")
            return
        got = {value["id"] for value in answer.data.values() if value}
        expected = {one for one, seen in chosen if seen}
        self.problem("node", text, expected - got, got - expected)
