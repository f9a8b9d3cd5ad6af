"""Makes documents from a seed, led by the built schema: what they ask is valid, save for a small share."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_list_type,
    parse,
)
from graphql.error import GraphQLError

from crm_core.graphql.fields import Field, ObjectType
from crm_core.graphql.filters import operators
from crm_core.graphql.limits import measure
from crm_core.graphql.planner import declaration
from crm_core.settings import Limits
from tests.fuzz.pools import FILTERS, Order, Pools, Word, literal

MUTATIONS = (
    "customerUpdate", "customerTag", "customerUntag", "customerBulkTag", "customerSetLine", "customerMoveStage",
    "customerAssign", "contactUpdate", "interactionLog", "interactionUpdate", "taskCreate", "taskUpdate",
    "userUpdate", "vehicleUpdate", "orderCancel",
)  # fmt: skip
MAKING = ("interactionLog", "taskCreate")
"""Mutations that make rows: their ids, and cursors made of them, differ from run to run."""
OFTEN: Mapping[str, int] = {
    "customers": 8,
    "interactions": 5,
    "probeMarks": 5,
    "contacts": 4,
    "tasks": 3,
    "node": 5,
    "customer": 3,
}
LONG = "a_key_that_is_longer_than_a_name_in_postgresql_may_be_which_is_63_bytes_"
ALONE = 0.25
"""How often a list of one is written as its only item, or given so."""
_VARIABLE = re.compile(r"\$(z?v\d+)\b")
ALIASES = (
    "a",
    "b",
    "x",
    "id",
    "name",
    "nodes",
    "key",
    "value",
    "data",
    "line",
    "cursor_",
    "__id",
    "__place",
    "f_id",
    "parent",
    "t",
    "_",
)


@dataclass
class Document:
    """What is asked: text, variables, the operation chosen; `bad`: something in it is wrong on purpose."""

    text: str
    variables: dict[str, Any]
    operation: str | None = None
    bad: bool = False


@dataclass
class Use:
    """A response key in use: by which field of which type, with which arguments; and the keys below it."""

    parent: str
    name: str
    arguments: str
    type: str
    below: Scope


@dataclass
class Scope:
    """Response keys of one place of the answer."""

    uses: dict[str, Use] = field(default_factory=dict)


class Generator:
    """Documents by number: `document(7)` is the same whenever and wherever it is made with this seed."""

    def __init__(self, schema: GraphQLSchema, pools: Pools, seed: int, limits: Limits | None = None) -> None:
        """Documents for this schema from these values."""
        self.schema, self.pools, self.seed, self.limits = schema, pools, seed, limits or Limits()

    def document(self, number: int) -> Document:
        """One document within the limits, or, rarely, beyond them."""
        chance = random.Random(f"{self.seed}:{number}")
        made = self._made(chance)
        for _ in range(6):
            if self._within(made) or chance.random() < 0.02:
                return made
            made = self._made(chance)
        return Document("{ __typename }", {})

    def _made(self, chance: random.Random) -> Document:
        bad = chance.random() < 0.06
        if chance.random() < 0.08:
            return _Writer(self, chance, "", bad=bad).mutation()
        made = _Writer(self, chance, "", bad=bad).query()
        if chance.random() < 0.05:
            other = _Writer(self, chance, "Z", bad=False).query()
            texts = [made.text, other.text]
            chance.shuffle(texts)
            return Document("\n".join(texts), made.variables, made.operation, made.bad)
        if chance.random() < 0.5:
            made.operation = None
        return made

    def _within(self, made: Document) -> bool:
        """Whether the limits hold and the answer will be of a size that is soon compared."""
        try:
            parsed = parse(made.text)
        except GraphQLError as error:
            raise AssertionError(f"not well formed: {made.text}") from error
        for one in parsed.definitions:
            if getattr(one, "operation", None) is None:
                continue
            found = measure(self.schema, parsed, one, made.variables, self.limits)  # type: ignore[arg-type]
            if found.depth > self.limits.depth or found.aliases > self.limits.aliases or found.cost > 700:
                return False
        return True


class _Writer:
    """Writes one operation with its fragments and variables."""

    def __init__(self, made: Generator, chance: random.Random, prefix: str, *, bad: bool) -> None:
        self.schema, self.pools, self.chance, self.prefix, self.bad = (
            made.schema,
            made.pools,
            chance,
            prefix,
            bad,
        )
        self.definitions: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.fragments: list[str] = []
        self.aliases = chance.choice((0, 2, 8, 20))
        self.directives = chance.choice((0.0, 0.0, 0.05, 0.15))
        self.wrapping = chance.choice((0.0, 0.1, 0.35))
        self.merging = chance.choice((0.0, 0.1, 0.3))
        self.lifting = chance.choice((0.0, 0.2, 0.6))
        self.stable = False

    # -- operations

    def query(self) -> Document:
        root = self.schema.query_type
        assert root is not None
        depth = self.chance.choice((3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 11))
        names = list(root.fields)
        weights = [OFTEN.get(name, 1) for name in names]
        scope, parts = Scope(), []
        chosen = self.chance.choices(names, weights, k=self.chance.choice((1, 1, 1, 1, 2, 3)))
        parts += [self.field(root, name, scope, max(depth, 4), 1.0) for name in chosen]
        if self.chance.random() < 0.1:
            parts.append("__typename")
        return self._document("query", self._wrapped(root, [p for p in parts if p], scope, depth))

    def mutation(self) -> Document:
        root = self.schema.mutation_type
        assert root is not None
        self.aliases, self.directives = 0, 0.0
        names = [name for name in MUTATIONS if name in root.fields]
        chosen = self.chance.choice(names)
        self.stable = chosen in MAKING
        arguments = [
            f"input: {self.emit(self.input(chosen, root.fields[chosen]), root.fields[chosen].args['input'].type)}"
        ]
        arguments.append("dryRun: true")
        if self.chance.random() < 0.7:
            arguments.append(f'line: "{self.chance.choice(("east", "west", "north"))}"')
        if self.chance.random() < 0.2:
            arguments.append(f"expectedVersion: {self.chance.randrange(1, 6)}")
        payload = get_named_type(root.fields[chosen].type)
        assert isinstance(payload, GraphQLObjectType)
        below = self.selection(payload, Scope(), 7, 1.0)
        return self._document("mutation", [f"{chosen}({', '.join(arguments)}) {below}"])

    def _document(self, kind: str, parts: Sequence[str]) -> Document:
        name = f"{self.prefix}Op"
        body = " ".join(parts) or "__typename"
        used = set(_VARIABLE.findall(" ".join([body, *self.fragments])))
        listed = ", ".join(f"${n}: {t}" for n, t in self.definitions.items() if n in used)
        text = f"{kind} {name}{f'({listed})' if listed else ''} {{ {body} }}"
        self.chance.shuffle(self.fragments)
        values = {n: v for n, v in self.values.items() if n in used}
        return Document("\n".join([text, *self.fragments]), values, name, self.bad)

    # -- selections

    def selection(self, kind: GraphQLObjectType, scope: Scope, depth: int, rows: float) -> str:
        """A selection set below a field; `depth` more levels of fields fit, `rows` records are expected here."""
        parts = [self.field(kind, name, scope, depth, rows) for name in self._names(kind, depth, rows)]
        if self.chance.random() < 0.12 or not any(parts):
            parts.append("__typename")
        if self.merging and self.chance.random() < self.merging and scope.uses:
            parts.append(self._again(kind, scope, depth, rows))
        return f"{{ {' '.join(self._wrapped(kind, [p for p in parts if p], scope, depth))} }}"

    def _names(self, kind: GraphQLObjectType, depth: int, rows: float) -> list[str]:
        chance = self.chance
        if kind.name.endswith("Connection"):
            return [n for n, p in (("nodes", 0.55), ("edges", 0.45), ("pageInfo", 0.3), ("totalCount", 0.3))
                    if chance.random() < p and (depth > 2 or n == "totalCount" or (depth > 1 and n == "pageInfo"))]  # fmt: skip
        if kind.name.endswith(("Edge", "PageInfo")):
            return [n for n in kind.fields if chance.random() < 0.7 and not self._moving(n)]
        leaves = [n for n, f in kind.fields.items() if is_leaf_type(get_named_type(f.type))]
        others = [n for n in kind.fields if n not in set(leaves)]
        most = 0 if depth < 2 else chance.choice((0, 1, 1, 1, 2) if rows < 60 else (0, 0, 0, 1))
        wide = min(len(leaves), chance.choice((1, 1, 2, 3, 5, 8)) if chance.random() < 0.97 else len(leaves))
        names = chance.sample(leaves, wide) + chance.sample(others, min(most, len(others)))
        chance.shuffle(names)
        return names

    def _moving(self, name: str) -> bool:
        """Whether the field shows the id of a row just made."""
        return self.stable and name in ("cursor", "startCursor", "endCursor")

    def field(self, kind: GraphQLObjectType, name: str, scope: Scope, depth: int, rows: float) -> str:
        """One field with its arguments and what is below; empty when it does not fit."""
        declared = kind.fields[name]
        target = get_named_type(declared.type)
        leaf = is_leaf_type(target)
        needed = 1 if leaf else 3 if target.name.endswith("Connection") else 2
        if depth < needed:
            return ""
        arguments, more = self._arguments(kind, name, declared, rows)
        key = self._key(kind, name, arguments, str(declared.type), scope)
        if key is None:
            return ""
        use = scope.uses.setdefault(key, Use(kind.name, name, arguments, str(declared.type), Scope()))
        head = (f"{key}: " if key != name else "") + name + use.arguments + self._directives()
        if leaf:
            return head
        if name == "node" and kind.name == "Query":
            return f"{head} {self._node(use.below, depth - 1)}"
        assert isinstance(target, GraphQLObjectType)
        each = rows * (more if more is not None else 3.0 if _lists(declared) else 1.0)
        return f"{head} {self.selection(target, use.below, depth - 1, each)}"

    def _again(self, kind: GraphQLObjectType, scope: Scope, depth: int, rows: float) -> str:
        """A key once more, with another part of what is below it."""
        key = self.chance.choice(sorted(scope.uses))
        use = scope.uses[key]
        if use.parent != kind.name:
            return ""
        target = get_named_type(kind.fields[use.name].type)
        head = (f"{key}: " if key != use.name else "") + use.name + use.arguments + self._directives()
        if is_leaf_type(target):
            return head
        if not isinstance(target, GraphQLObjectType) or depth < 3:
            return ""
        return f"{head} {self.selection(target, use.below, depth - 1, rows * 10)}"

    def _key(
        self, kind: GraphQLObjectType, name: str, arguments: str, type_: str, scope: Scope
    ) -> str | None:
        """A response key that does not contradict those in use; None when there is no alias left."""
        key = name
        if self.aliases > 0 and self.chance.random() < 0.25:
            self.aliases -= 1
            key = self.chance.choice(
                (*ALIASES, LONG + self.chance.choice("xy"), *self._read_along(kind.name))
            )
        for number in range(3):
            use = scope.uses.get(key)
            if use is None:
                return key
            if use.parent == kind.name and use.name == name and use.arguments == arguments:
                return key
            if (
                use.parent != kind.name
                and use.name == name
                and use.type == type_
                and not arguments
                and "[" not in type_
            ) and is_leaf_type(get_named_type(kind.fields[name].type)):
                return key
            key = f"{name}_{len(scope.uses)}_{number}"
            self.aliases -= 1
        return None

    def _read_along(self, kind: str) -> list[str]:
        """Names as a server might give to columns that it reads along for functions in Python."""
        declared = self.pools.types.get(kind)
        return [f"__{name}" for field_ in (declared.fields if declared else ()) for name in field_.needs]

    def _node(self, scope: Scope, depth: int) -> str:
        """Selection on the interface Node: per type, on Node itself, nested."""
        kinds = [k.name for k in self.pools.types.values() if k.prefix]
        parts = [p for p in ("id", "__typename") if self.chance.random() < 0.5]
        if "id" in parts:
            scope.uses.setdefault("id", Use("Node", "id", "", "ID!", Scope()))
        for name in self.chance.choices(
            kinds, [6 if k in ("Customer", "ProbeMark", "Interaction") else 1 for k in kinds], k=3
        ):
            kind = self.schema.get_type(name)
            assert isinstance(kind, GraphQLObjectType)
            parts.append(f"... on {name}{self._directives()} {self.selection(kind, scope, depth, 1.0)}")
        if self.chance.random() < 0.3:
            parts.append("... on Node { id ... on Customer { id } }")
        self.chance.shuffle(parts)
        return f"{{ {' '.join(parts)} }}"

    def _wrapped(self, kind: GraphQLObjectType, parts: list[str], scope: Scope, depth: int) -> list[str]:
        """Some neighbours put into a fragment: inline with or without condition, named, in one another."""
        if not parts or self.chance.random() >= self.wrapping:
            return parts
        start = self.chance.randrange(len(parts))
        end = self.chance.randrange(start, len(parts)) + 1
        inner = " ".join(parts[start:end])
        form = self.chance.randrange(4)
        if form == 0:
            wrapped = f"... {{ {inner} }}"
        elif form == 1:
            wrapped = f"... on {kind.name}{self._directives()} {{ {inner} }}"
        elif form == 2 and any(i.name == "Node" for i in kind.interfaces):
            wrapped = (
                f"... on Node {{ ... on {kind.name} {{ {inner} }} id }}" if self._free_id(scope) else inner
            )
        else:
            name = f"{self.prefix}F{len(self.fragments)}"
            self.fragments.append(f"fragment {name} on {kind.name} {{ {inner} }}")
            wrapped = f"...{name}{self._directives()}"
            if self.chance.random() < 0.1 and self.aliases > 8:
                wrapped += f" ...{name}"
        return [*parts[:start], wrapped, *parts[end:]]

    def _free_id(self, scope: Scope) -> bool:
        """Whether the key `id` may be asked for here."""
        use = scope.uses.get("id")
        if use is None:
            scope.uses["id"] = Use("Node", "id", "", "ID!", Scope())
        return use is None or (use.name == "id" and use.type == "ID!")

    def _directives(self) -> str:
        if self.chance.random() >= self.directives:
            return ""
        text = ""
        for name in self.chance.choice((("include",), ("skip",), ("skip", "include"))):
            wanted = self.chance.random() < (0.75 if name == "include" else 0.25)
            given = self.emit(wanted, GraphQLNonNull(_boolean(self.schema)))
            text += f" @{name}(if: {given})"
        return text

    # -- arguments

    def _arguments(
        self, kind: GraphQLObjectType, name: str, declared: GraphQLField, rows: float
    ) -> tuple[str, float | None]:
        """Arguments as text, and how many rows they let through."""
        if "id" in declared.args:
            return f"(id: {self.emit(self._id(kind, name), declared.args['id'].type)})", None
        if "first" not in declared.args:
            return "", None
        target = self.pools.types[get_named_type(declared.type).name.removesuffix("Connection")]
        given, size = self._page(target, rows)
        if self.chance.random() < 0.35:
            given["where"] = self.where(target, self.chance.choice((1, 1, 2, 3)))
        given |= self._shorthands(target, declaration(declared))
        order = given.pop("order", ())
        if "orderBy" in declared.args and order:
            given["orderBy"] = self._order(order)
        elif "orderBy" in declared.args and self.chance.random() < 0.05:
            given["orderBy"] = self.chance.choice((None, []))
        items = list(given.items())
        self.chance.shuffle(items)
        texts = [f"{key}: {self.emit(value, declared.args[key].type)}" for key, value in items]
        return (f"({', '.join(texts)})" if texts else ""), size

    def _shorthands(self, target: ObjectType, declared: Field | None) -> dict[str, Any]:
        """Arguments of a connection that stand for a part of its `where`."""
        given: dict[str, Any] = {}
        for name, field_, operator in declared.shorthands if declared is not None else ():
            values = self.pools.values(target, target.by_name[field_])
            if self.chance.random() < 0.3:
                many = [self.chance.choice(values) for _ in range(self.chance.choice((0, 1, 3)))]
                one = self.chance.choice((self.chance.choice(values), None))
                given[name] = many if operator == "in" else one
        return given

    def _id(self, kind: GraphQLObjectType, name: str) -> str:
        chance = self.chance
        if self.bad and chance.random() < 0.3:
            return chance.choice(("", "x", "cus_1", "CUS_" + "0" * 32, "zzz_" + "0" * 32, "usr-" + "0" * 32))
        if name == "node":
            prefix = chance.choice(("cus", "cus", "pro", "int", *self.pools.by_prefix))
            return (
                chance.choice(self.pools.by_prefix[prefix])
                if self.pools.by_prefix[prefix]
                else "cus_" + "0" * 32
            )
        target = get_named_type(kind.fields[name].type).name
        ids = (
            self.pools.by_prefix.get(self.pools.types[target].prefix or "", [])
            if target in self.pools.types
            else []
        )
        return chance.choice(ids) if ids and chance.random() < 0.95 else chance.choice(self.pools.ids)

    def _page(self, target: ObjectType, rows: float) -> tuple[dict[str, Any], float]:
        """first, last, after, before, and the order they stand in."""
        chance = self.chance
        most = max(1, min(20, int(150 / rows)))
        size = chance.choice((0, 1, 2, 3, most, most))
        size = min(size, most)
        orders = self.pools.orders[target.name]
        order: Order = () if chance.random() < 0.5 else chance.choice(orders)
        given: dict[str, Any] = {"order": order}
        backward = chance.random() < 0.25
        if rows > 2 or chance.random() < 0.9:
            given["last" if backward else "first"] = size
        elif chance.random() < 0.3:
            given["first"] = None
        if chance.random() < 0.3:
            given["before" if backward else "after"] = self._cursor(target.name, order)
        if self.bad and chance.random() < 0.4:
            given |= chance.choice(
                ({"first": 101}, {"first": -1}, {"first": 1, "last": 1}, {"first": 1, "before": "x"})
            )
        return given, float(
            given.get("first") or given.get("last") or (25 if "first" not in given else 0) or 1
        )

    def _cursor(self, name: str, order: Order) -> str | None:
        chance = self.chance
        known = self.pools.cursors.get((name, order)) or []
        if self.bad and chance.random() < 0.5:
            others = [
                c
                for (n, o), found in sorted(self.pools.cursors.items())
                if n == name and o != order
                for c in found
            ]
            some = chance.choice(known) if known else "00"
            return chance.choice(
                [*others[:5], "", "x", "é", some[:-1], some[:-3] + "ff", some + "00", "W10", "5b5d"]
            )
        return chance.choice(known) if known and chance.random() < 0.97 else None

    def _order(self, order: Order) -> Any:
        """The sort keys as an argument: a list, a single one without its list, a key named twice."""
        keys: list[Any] = [{key: Word(way)} for key, way in order]
        if self.chance.random() < 0.05:
            keys.append({order[0][0]: Word("DESC")})
        if self.chance.random() < 0.05 and len(order) > 1:
            keys[0] = {order[1][0]: None, **keys[0]}
        if self.bad and self.chance.random() < 0.2:
            keys.append(self.chance.choice(({}, {order[0][0]: Word("SIDEWAYS")}, {order[0][0]: None})))
        return keys[0] if len(keys) == 1 and self.chance.random() < 0.1 else keys

    # -- conditions

    def where(self, kind: ObjectType, depth: int) -> Any:
        """Conditions on a type, some of them on related ones, nested at most so deep."""
        chance = self.chance
        if chance.random() < 0.03:
            return chance.choice((None, {}))
        shape = self.schema.get_type(f"{kind.name}Where")
        assert isinstance(shape, GraphQLInputObjectType)
        return {
            name: self._condition(kind, name, depth)
            for name in chance.sample(list(shape.fields), min(len(shape.fields), chance.choice((1, 1, 2, 3))))
        }

    def _condition(self, kind: ObjectType, name: str, depth: int) -> Any:
        chance = self.chance
        if chance.random() < 0.03:
            return None
        if name == "not":
            return self.where(kind, depth - 1) if depth > 0 else {}
        if name in ("and", "or"):
            return (
                [self.where(kind, depth - 1) or {} for _ in range(chance.randrange(3))] if depth > 0 else []
            )
        own = next((f for f in kind.filters if f.name == name), None)
        if own is not None:
            return chance.choice(FILTERS.get(name) or self.pools.made_up(own.type))
        declared = kind.by_name[name]
        if declared.kind != "column":
            return self.where(self.pools.types[declared.target], depth - 1) if depth > 0 else {}
        return self._tests(kind, declared)

    def _tests(self, kind: ObjectType, declared: Field) -> dict[str, Any]:
        """Operators of a field with values, most of which some row has."""
        chance, values = self.chance, self.pools.values(kind, declared)
        given: dict[str, Any] = {}
        for name in chance.sample(operators(declared.type), chance.choice((1, 1, 1, 2))):
            if name == "isNull":
                given[name] = chance.choice((True, False, None))
            elif name == "in":
                given[name] = [chance.choice(values) for _ in range(chance.choice((0, 1, 2, 5, 20)))]
                if self.bad and chance.random() < 0.2:
                    given[name] = [values[0]] * 101
            else:
                given[name] = (
                    self._text(chance.choice(values))
                    if name in ("contains", "startsWith")
                    else chance.choice(values)
                )
        if self.bad and chance.random() < 0.3:
            wrong: Sequence[Any] = (None, Word("NO_SUCH"), "usr_x", "x\0", 2**40, {"x": 1})
            given[chance.choice(list(given))] = chance.choice(wrong)
        return given

    def _text(self, value: str) -> str:
        """A part of a text."""
        start = self.chance.randrange(len(value) + 1)
        return value[start : start + self.chance.randrange(1, 4)] if self.chance.random() < 0.8 else value

    # -- inputs of mutations

    def input(self, mutation: str, declared: GraphQLField) -> Any:
        """An input for a command; much of it will be refused."""
        shape = get_named_type(declared.args["input"].type)
        assert isinstance(shape, GraphQLInputObjectType)
        record = (
            mutation[0].upper() + "".join(c if c.islower() else "\0" for c in mutation[1:]).partition("\0")[0]
        )
        return {
            name: self._given(name, one.type, record)
            for name, one in shape.fields.items()
            if self._wanted(one)
        }

    def _wanted(self, one: Any) -> bool:
        return isinstance(one.type, GraphQLNonNull) or self.chance.random() < 0.2

    def _given(self, name: str, type_: GraphQLInputType, record: str) -> Any:
        chance = self.chance
        if isinstance(type_, GraphQLNonNull):
            return self._given(name, type_.of_type, record)
        if isinstance(type_, GraphQLList):
            return [self._given(name, type_.of_type, record) for _ in range(chance.choice((1, 1, 2)))]
        if isinstance(type_, GraphQLInputObjectType):
            return {
                n: self._given(n, one.type, record) for n, one in type_.fields.items() if self._wanted(one)
            }
        if hasattr(type_, "values"):
            return Word(chance.choice(list(type_.values)))
        named = {
            "ID": self._subject(name, record),
            "Int": chance.randrange(1, 60),
            "Boolean": chance.random() < 0.5,
        }
        named |= {"Date": "2025-11-03", "DateTime": "2025-11-02T01:00:00Z", "Yuan": "12.50", "Decimal": "1.5"}
        words = {"kind": ("call", "visit", "wechat"), "phone": ("13800138000",), "number": ("13800138001",)}
        return named.get(str(type_), chance.choice(words.get(name, ("新名字", "x'\\", "a"))))

    def _subject(self, name: str, record: str) -> str:
        prefixes = {
            "customerId": "cus",
            "teamId": "tea",
            "parentId": "cus",
            "contactId": "con",
            "interactionId": "int",
        }
        prefixes |= dict.fromkeys(
            ("performerId", "userId", "assigneeId", "ownerId", "cardManagerId", "reportTo"), "usr"
        )
        own = {"Customer": "cus", "Contact": "con", "Interaction": "int", "Task": "tsk", "User": "usr"}
        own |= {"Vehicle": "veh", "Order": "ord"}
        return self.chance.choice(self.pools.by_prefix[prefixes.get(name) or own.get(record, "cus")])

    # -- values

    def emit(self, value: Any, type_: GraphQLInputType) -> str:
        """The value as a literal, a variable, or a literal with variables inside."""
        if self.chance.random() < self.lifting and self._liftable(value, type_):
            return self._variable(value, type_)
        plain = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(value, dict) and isinstance(plain, GraphQLInputObjectType):
            known = [(k, v, plain.fields[k].type) for k, v in value.items() if k in plain.fields]
            return "{" + ", ".join(f"{k}: {self.emit(v, t)}" for k, v, t in known) + "}"
        if isinstance(value, list) and isinstance(plain, GraphQLList):
            if len(value) == 1 and value[0] is not None and self.chance.random() < ALONE:
                return literal(value[0], ascii_only=self.chance.random() < 0.3)
            return "[" + ", ".join(self.emit(one, plain.of_type) for one in value) + "]"
        return literal(value, ascii_only=self.chance.random() < 0.3)

    def _liftable(self, value: Any, type_: GraphQLInputType) -> bool:
        return not (value is None and isinstance(type_, GraphQLNonNull))

    def _variable(self, value: Any, type_: GraphQLInputType) -> str:
        """A new variable: given, given by default, null, or, where that says the same, left out."""
        name = f"{self.prefix.lower()}v{len(self.definitions)}"
        form = self.chance.random()
        plain = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if form < 0.15 and value is not None and not self.bad:
            self.definitions[name] = f"{plain} = {literal(value)}"
            return f"${name}"
        self.definitions[name] = str(type_)
        if value is None and form < 0.6:
            return f"${name}"
        if form < 0.3 and value is not None and not self.bad and not isinstance(type_, GraphQLNonNull):
            self.definitions[name] = f"{plain} = {literal(value)}"
        alone = isinstance(value, list) and len(value) == 1 and value[0] is not None
        self.values[name] = value[0] if alone and self.chance.random() < ALONE else value
        return f"${name}"


def _lists(declared: GraphQLField) -> bool:
    plain = declared.type.of_type if isinstance(declared.type, GraphQLNonNull) else declared.type
    return is_list_type(plain)


def _boolean(schema: GraphQLSchema) -> Any:
    return schema.get_type("Boolean")


__all__ = ["Document", "Generator", "GraphQLArgument"]
