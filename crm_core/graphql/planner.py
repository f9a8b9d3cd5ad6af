"""Builds one SQL statement that answers a whole selection as JSON, from the same declarations the interpreter reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLObjectType, GraphQLSchema
from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, null, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause

from crm_core import ids
from crm_core.db.arrays import among
from crm_core.errors import Forbidden
from crm_core.graphql.access import Access
from crm_core.graphql.connections import Part
from crm_core.graphql.context import Context
from crm_core.graphql.fields import Field, Id, ObjectType, asked_where
from crm_core.graphql.filters import is_uneven, predicate
from crm_core.graphql.interpreter import LISTING_LIMIT, refuse_if_denied
from crm_core.graphql.json_sql import Json, Pairs, Sql, needed, words, writer
from crm_core.graphql.late import Late, Unplanned
from crm_core.graphql.operations import ITS_ID, Selections, hidden
from crm_core.graphql.paging import Key, Page, behind, decode, keys_of, listed, page_of
from crm_core.graphql.values import sql_type

Path = tuple[tuple[str, bool], ...]
"""Where objects stand in an answer: keys from the root, and whether a list stands there."""


@dataclass(frozen=True)
class Step:
    """What is left to do for one field of the objects at `path` once the database has answered.

    With `error` the field is refused there; else its function is asked, with the columns it `needs` read back.
    """

    path: Path
    key: str
    declared: Field
    nodes: list[FieldNode]
    needs: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    error: Exception | None = None
    type: Any = None


@dataclass
class Row:
    """A table's row at hand: its parts are named in plain words, so that no statement around it matters.

    `table` is what declarations see; `outward` turns what they make of it into plain references to the row's name,
    and notes which columns are used.
    """

    name: str
    table: Any
    used: dict[str, None] = field(default_factory=dict)

    def outward(self, expression: Any) -> Any:
        """The expression with every column of this row as a plain reference."""
        return visitors.replacement_traverse(expression, {}, self._reference)

    def _reference(self, element: Any, **_options: Any) -> Any:
        if isinstance(element, ColumnClause) and element.table is self.table:
            self.used.setdefault(element.key)
            return literal_column(f"{self.name}.{element.name}", element.type)
        return None


class Planner:
    """Builds the statement of one request; what it decides on stands in its trail.

    `unasked` are conditions on rows of which nothing is asked: not in the statement, but their values must be sound.
    `uneven`: how the statement is best performed depends on its very values.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        types: Mapping[str, ObjectType],
        context: Context,
        access: Access,
        selections: Selections,
    ) -> None:
        """`access` may be another caller's of the same reach, to see what of the caller is built in."""
        self.schema, self.types, self.context, self.access = schema, types, context, access
        self._few = replace(access, wanted="few")
        self.selections, self.trail = selections, selections.trail
        self.json: Json = writer(access.dialect)
        self.steps: list[Step] = []
        self.left: dict[str, list[FieldNode]] = {}
        self.unasked: list[ColumnElement[bool]] = []
        self.uneven = False
        self._names = 0

    # -- roots

    def query(self, nodes_by_key: Mapping[str, list[FieldNode]]) -> Select[Any]:
        """The statement of a query's root fields; its only value is the answer's `data`.

        Fields that are no declarations stand as null in it; `left` names them.
        """
        root = self.schema.query_type
        assert root is not None
        pairs = [(key, self._root(root, key, nodes)) for key, nodes in nodes_by_key.items()]
        if self.left and len(self.left) == len(pairs):
            introspection = all(nodes[0].name.value.startswith("__") for nodes in self.left.values())
            raise Unplanned("introspection" if introspection else "resolver")
        return select(self.json.inline(pairs))

    def _root(self, root: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Sql:
        name = nodes[0].name.value
        if name == "__typename":
            return self.text(root.name)
        if name == "node":
            return self._node(key, nodes)
        found = root.fields.get(name)
        declared = declaration(found)
        if declared is None:
            self.left[key] = nodes
            return self.json.nothing()
        build = {"query_one": self._query_one, "query_connection": self._query_connection}[declared.kind]
        return self._refusable((), key, declared, nodes, lambda: build(declared, key, nodes))

    def _refusable(
        self, path: Path, key: str, declared: Field, nodes: list[FieldNode], build: Callable[[], Sql]
    ) -> Sql:
        """What is built, or null with an error wherever the field may not be read.

        Of wrong arguments the interpreter tells: which is told first may depend on values not known yet.
        """
        mark = len(self.steps)
        try:
            target = self.types.get(declared.target)
            refuse_if_denied(declared, target, self.context)
            return build()
        except GraphQLError as error:
            raise Unplanned("arguments", str(error)) from error
        except Forbidden as error:
            if not declared.nullable:
                raise Unplanned("refused", declared.name) from error
            del self.steps[mark:]
            self.steps.append(Step(path, key, declared, nodes, error=error.with_traceback(None)))
            return self.json.nothing()

    def _query_one(self, declared: Field, key: str, nodes: list[FieldNode]) -> Sql:
        target = self.types[declared.target]
        found = self._arguments(self.schema.query_type, nodes)["id"]
        wanted = found.then(lambda shown: _id(target, shown))
        return self.record(target, wanted, ((key, False),), nodes)

    def _node(self, key: str, nodes: list[FieldNode]) -> Sql:
        found: Late = self._arguments(self.schema.query_type, nodes)["id"]
        prefix = self.trail.fix(lambda given: ids.read(found.read(given))[0])
        target = next((kind for kind in self.types.values() if kind.prefix == prefix), None)
        if target is None or (target.scope is not None and not self.context.actor.may(target.scope)):
            return self.json.nothing()
        return self.record(target, found.then(lambda shown: ids.read(shown)[1]), ((key, False),), nodes)

    def records_of(
        self, target: ObjectType, wanted: Late, selected: Mapping[str, list[FieldNode]], *, many: bool
    ) -> Select[Any]:
        """The statement of what was just made or changed: under each key, the record or records of these ids."""
        pairs: list[tuple[str, Sql]] = []
        for key, nodes in selected.items():
            if many:
                pairs.append((key, self.records(target, wanted, ((key, True),), nodes)))
            else:
                pairs.append((key, self.record(target, wanted.then(_at(0)), ((key, False),), nodes)))
        return select(self.json.inline(pairs))

    def record(self, target: ObjectType, wanted: Late, path: Path, nodes: Sequence[FieldNode]) -> Sql:
        """One record by its id, if the caller sees it."""
        t, row = self._table(target)
        pairs = self.selected(target, row, path, nodes)
        found = (t.c.id == _bound(wanted, target), *self._rule(target, t, self._few))
        rows = select().select_from(t).where(*found)
        return self.json.one(pairs, rows)

    def records(self, target: ObjectType, wanted: Late, path: Path, nodes: Sequence[FieldNode]) -> Sql:
        """Records by their ids, in the order of these, without those the caller does not see."""
        t, row = self._table(target)
        pairs = self.selected(target, row, path, nodes)
        hits = among(t.c.id, wanted, sql_type(Id(target.prefix or "x")), self.access.dialect)
        rows = select().select_from(t).where(hits, *self._rule(target, t, self._few))
        return self.json.many([*pairs, (hidden(ITS_ID), self._id_text(row))], rows)

    def _id_text(self, row: Row) -> Sql:
        return self.json.value(row.outward(row.table.c.id), Id("x"))

    def _rule(self, target: ObjectType, t: Any, access: Access) -> list[ColumnElement[bool]]:
        rule = target.visible(t, access)
        return [] if rule is None else [rule]

    def _query_connection(self, declared: Field, key: str, nodes: list[FieldNode]) -> Sql:
        arguments = self._arguments(self.schema.query_type, nodes)
        return self._connection(declared, None, None, arguments, ((key, False),), nodes)

    def _arguments(self, kind: GraphQLObjectType | None, nodes: Sequence[FieldNode]) -> dict[str, Any]:
        assert kind is not None
        return self.selections.arguments(kind.fields[nodes[0].name.value], nodes[0])

    # -- the fields of an object

    def selected(self, kind: ObjectType, row: Row, path: Path, nodes: Iterable[FieldNode]) -> Pairs:
        """The fields of an object that merged field nodes select, by response key."""
        shape = self.schema.get_type(kind.name)
        assert isinstance(shape, GraphQLObjectType)
        pairs: dict[str, Sql] = {}
        for key, own in self.selections.under(shape, nodes).items():
            name = own[0].name.value
            if name == "__typename":
                pairs[key] = self.text(kind.name)
                continue
            declared = kind.by_name.get(name)
            if declared is None:
                raise Unplanned("resolver", f"{kind.name}.{name}")
            build = self._builder(kind, declared, row, path, key, own, pairs)
            pairs[key] = self._refusable(path, key, declared, own, build)
        return list(pairs.items())

    def _builder(
        self,
        kind: ObjectType,
        declared: Field,
        row: Row,
        path: Path,
        key: str,
        nodes: list[FieldNode],
        pairs: dict[str, Sql],
    ) -> Callable[[], Sql]:
        here = (*path, (key, declared.kind == "listing"))
        if declared.kind == "column":
            return lambda: self._column(declared, row)
        if declared.kind == "batch":
            return lambda: self._batch(kind, declared, row, path, key, nodes, pairs)
        if declared.kind == "relation":
            return lambda: self._relation(kind, declared, row, here, nodes)
        if declared.kind == "listing":
            return lambda: self._listing(kind, declared, row, here, nodes)

        def connected() -> Sql:
            shape = self.schema.get_type(kind.name)
            arguments = self._arguments(shape, nodes)  # type: ignore[arg-type]  # an object type
            return self._connection(declared, kind, row, arguments, here, nodes)

        return connected

    def _column(self, declared: Field, row: Row) -> Sql:
        expression = declared.expression(row.table, self.access)
        return self.json.value(row.outward(expression), declared.type)

    def _batch(
        self,
        kind: ObjectType,
        declared: Field,
        row: Row,
        path: Path,
        key: str,
        nodes: list[FieldNode],
        pairs: dict[str, Sql],
    ) -> Sql:
        needs: dict[str, Callable[[Any], Any]] = {}
        for name in declared.needs:
            written, needs[name] = needed(self.json, row.outward(row.table.c[name]))
            pairs[hidden(name)] = written
        shape = self.schema.get_type(kind.name)
        assert isinstance(shape, GraphQLObjectType)
        type_ = shape.fields[declared.name].type
        self.steps.append(Step(path, key, declared, nodes, needs, type=type_))
        return self.json.nothing()

    def _relation(
        self, kind: ObjectType, declared: Field, row: Row, here: Path, nodes: list[FieldNode]
    ) -> Sql:
        target = self.types[declared.target]
        t, own = self._table(target, self._near(kind, row))
        pairs = self.selected(target, own, here, nodes)
        rows = select().select_from(t).where(*self._joined(declared, target, row, t, self._few)).limit(1)
        return self.json.one(pairs, rows)

    def _listing(
        self, kind: ObjectType, declared: Field, row: Row, here: Path, nodes: list[FieldNode]
    ) -> Sql:
        target = self.types[declared.target]
        t, _ = self._table(target, self._near(kind, row))
        own = Row(self._name("p"), t)
        pairs = self.selected(target, own, here, nodes)
        order = listed(declared, t)
        columns = [t.c[name] for name in own.used] or [literal_column("1")]
        page = select(*columns).select_from(t).where(*self._joined(declared, target, row, t, self._few))
        page = page.order_by(*order).limit(LISTING_LIMIT)
        return self.json.many(pairs, select().select_from(page.subquery(own.name)))

    def _joined(
        self, declared: Field, target: ObjectType, row: Row | None, t: Any, access: Access
    ) -> list[ColumnElement[bool]]:
        conditions = self._rule(target, t, access)
        if row is not None:
            assert declared.on is not None
            conditions.insert(0, row.outward(declared.on(row.table, t, self.access)))
        return conditions

    # -- connections

    def _connection(
        self,
        declared: Field,
        kind: ObjectType | None,
        row: Row | None,
        arguments: Mapping[str, Any],
        here: Path,
        nodes: list[FieldNode],
    ) -> Sql:
        target = self.types[declared.target]
        page = self._page(arguments)
        near = self._near(kind, row) if kind is not None and row is not None else None
        t, _ = self._table(target, near)
        own = Row(self._name("p"), t)
        keys = keys_of(target, t, arguments.get("orderBy"), self.access)
        where = asked_where(declared, arguments)
        self.uneven |= row is None and is_uneven(target, where)
        part = Part(self, target, own, keys, page, here)
        shape = self.schema.get_type(f"{target.name}Connection")
        assert isinstance(shape, GraphQLObjectType)
        pairs = part.selected(shape, nodes, lambda: self._count(declared, target, row, near, where))
        access = self.access if row is None and not _finding(target, where) else self._few
        asked = [] if not where else [predicate(target, t, where, access, self.types)]
        conditions = [*self._joined(declared, target, row, t, access), *asked]
        self.unasked += [] if part.asks else asked
        if page.cursor is not None:
            conditions.append(behind(keys, self._values_behind(keys, page.cursor), backward=page.backward))
        return part.put_together(pairs, t, conditions)

    def _page(self, arguments: Mapping[str, Any]) -> Page:
        sizes = {name: self._fixed(arguments.get(name)) for name in ("first", "last")}
        cursors = {name: arguments.get(name) for name in ("after", "before")}
        limits = self.context.limits
        shown = {
            n: "x" if isinstance(c, Late) and self._fixed(c.then(bool)) else None for n, c in cursors.items()
        }
        page = page_of({**sizes, **shown}, limits.page_default, limits.page_max)
        return replace(page, cursor=cursors["before" if page.backward else "after"] if page.cursor else None)

    def _fixed(self, value: Any) -> Any:
        return self.trail.fix(value.read) if isinstance(value, Late) else value

    def _values_behind(self, keys: Sequence[Key], cursor: Any) -> list[Any]:
        bare = [replace(key, sql=null()) for key in keys]  # cursors outlive this statement
        decoded: Late = cursor.then(lambda text: decode(bare, text))
        empty = self.trail.fix(lambda given: tuple(v is None for v in decoded.read(given)))
        return [None if none else decoded.then(_at(i)) for i, none in enumerate(empty)]

    def _count(
        self, declared: Field, target: ObjectType, row: Row | None, near: Access | None, where: Any
    ) -> Sql:
        t, _ = self._table(target, near)
        whole = row is None and not _finding(target, where)
        access = replace(self.access, wanted="all") if whole else self._few
        asked = [] if not where else [predicate(target, t, where, access, self.types)]
        conditions = [*self._joined(declared, target, row, t, access), *asked]
        counted = select(func.count()).select_from(t).where(*conditions).scalar_subquery()
        return self.json.value(counted, int)

    # -- tables and names

    def _table(self, target: ObjectType, near: Access | None = None) -> tuple[Any, Row]:
        """The table under a new name, and a row of it."""
        t = target.aliased(near or self.access, self._name("t"))
        return t, Row(t.name, t)

    def _near(self, kind: ObjectType, row: Row) -> Access:
        """For computed tables: they need the rows of this parent only."""
        parent = row.outward(row.table.c.id) if "id" in row.table.c else None
        if parent is None:
            return self.access
        return replace(self.access, parents=(kind.name, lambda c: c == parent))

    def _name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"

    def text(self, text: str) -> Sql:
        """A constant text."""
        return self.json.value(words(text), str)


def _finding(target: ObjectType, where: Any) -> bool:
    """Whether a filter leads to few rows."""
    return any(one.finds and one.name in where for one in target.filters) if where else False


def declaration(found: Any) -> Field | None:
    """The declaration behind a field of the schema, if it has one."""
    metadata = getattr(getattr(found, "extensions", {}).get("strawberry-definition"), "metadata", {})
    declared = metadata.get("crm")
    return declared if isinstance(declared, Field) else None


def _id(target: ObjectType, shown: Any) -> Any:
    return ids.read_as(target.prefix or "", shown)


def _bound(value: Late, target: ObjectType) -> ColumnElement[Any]:
    return bindparam(None, value, type_=sql_type(Id(target.prefix or "x")), unique=True)


def _at(position: int) -> Callable[[Sequence[Any]], Any]:
    return lambda values: values[position]
