"""Reads declared fields level by level: one statement per field and level, whatever the number of parents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    SelectionSetNode,
)
from sqlalchemy import ColumnElement, Select, func, select, true

from crm_core import ids
from crm_core.errors import Fault, Forbidden
from crm_core.graphql.context import Context, Fetch, Info
from crm_core.graphql.fields import Field, ObjectType, Row, asked_where
from crm_core.graphql.filters import predicate
from crm_core.graphql.paging import Key, Page, behind, decode, encode, keys_of, listed, page_of
from crm_core.graphql.values import shown

Types = Mapping[str, ObjectType]
Resolver = Callable[..., Any]
LISTING_LIMIT = 100


def resolver_of(declared: Field, owner: ObjectType | None, types: Types) -> Resolver:
    """The graphql-core resolver of a declared field; `owner` is None for root fields."""
    return _RESOLVERS[declared.kind](declared, owner, types)


def refuse_if_denied(declared: Field, target: ObjectType | None, context: Context) -> None:
    """Raise FORBIDDEN when scope, target scope or plugin line deny the field."""
    scopes = (declared.scope, target.scope if target else None)
    for scope in scopes:
        if scope is not None and not context.actor.may(scope):
            raise Forbidden(f"{declared.name} needs the permission {scope}")
    if not context.in_plugin(declared.owner):
        raise Forbidden(f"{declared.name} belongs to plugin {declared.owner}, enabled in none of your lines")


def _column(declared: Field, _owner: ObjectType | None, _types: Types) -> Resolver:
    show, key = shown(declared.type), declared.name

    def resolve(row: Row, info: Info) -> Any:
        refuse_if_denied(declared, None, info.context)
        value = row[key]
        return None if value is None else show(value)

    return resolve


def _batch(declared: Field, _owner: ObjectType | None, _types: Types) -> Resolver:
    show = shown(declared.type)

    async def resolve(row: Row, info: Info) -> Any:
        context: Context = info.context
        refuse_if_denied(declared, None, context)

        async def load(rows: list[Row]) -> Sequence[Any]:
            return await computed(declared, rows, context)

        parent = {name: row["need " + name] for name in declared.needs}
        value = await context.loader(_key(declared, info, row), load).load(_Parent(parent))
        try:
            return None if value is None else show(value)
        except Exception as error:
            raise failed(declared) from error

    return resolve


async def computed(declared: Field, rows: list[Row], context: Context) -> Sequence[Any]:
    """What the plugin's function gives for these rows; whatever it raises stays its own field's failure."""
    assert declared.function is not None
    try:
        values = await declared.function(rows, context)
        if len(values) != len(rows):
            raise ValueError(f"{declared.name} gave {len(values)} values for {len(rows)} rows")
    except (Fault, GraphQLError):
        raise
    except Exception as error:
        raise failed(declared) from error
    return values


def failed(declared: Field) -> Fault:
    """What a caller hears of a plugin's function that failed."""
    return Fault("PLUGIN_FIELD_FAILED", f"{declared.name} of {declared.owner} failed (插件字段出错)")


class _Parent(dict[str, Any]):
    """A parent's needed columns; hashable by identity, as loaders ask."""

    def __hash__(self) -> int:  # type: ignore[override]  # identity is what a loader key means
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def _relation(declared: Field, owner: ObjectType | None, types: Types) -> Resolver:
    target = types[declared.target]
    assert owner is not None

    async def resolve(row: Row, info: Info) -> Any:
        context: Context = info.context
        refuse_if_denied(declared, target, context)

        async def load(parents: list[UUID]) -> Sequence[Any]:
            statement, _ = _children(declared, owner, target, info, context, parents)
            found = {r["__parent"]: r for r in await _rows(statement, target, row["__fetch"])}
            return [found.get(parent) for parent in parents]

        return await context.loader(_key(declared, info, row), load).load(row["id"])

    return resolve


def _listing(declared: Field, owner: ObjectType | None, types: Types) -> Resolver:
    target = types[declared.target]
    assert owner is not None

    async def resolve(row: Row, info: Info) -> Any:
        context: Context = info.context
        refuse_if_denied(declared, target, context)

        async def load(parents: list[UUID]) -> Sequence[Any]:
            statement, t = _children(declared, owner, target, info, context, parents)
            order = listed(declared, t)
            numbered = _numbered(statement, order, LISTING_LIMIT)
            return _grouped(await _rows(numbered, target, row["__fetch"]), parents)

        return await context.loader(_key(declared, info, row), load).load(row["id"])

    return resolve


def _connection(declared: Field, owner: ObjectType | None, types: Types) -> Resolver:
    target = types[declared.target]
    assert owner is not None

    async def resolve(row: Row, info: Info, **arguments: Any) -> Any:
        context: Context = info.context
        refuse_if_denied(declared, target, context)
        page = page_of(arguments, context.limits.page_default, context.limits.page_max)

        async def load(parents: list[UUID]) -> Sequence[Any]:
            # a wrong order is told before a wrong filter, as the planner does
            keys_of(target, target.aliased(context.access, "t"), arguments.get("orderBy"), context.access)
            statement, t = _children(
                declared, owner, target, info, context, parents, arguments.get("where"), types
            )
            keys = keys_of(target, t, arguments.get("orderBy"), context.access)
            paged = _paged(statement, keys, page)
            order = [key.ordered(reverse=page.backward) for key in keys]
            rows = await _rows(_numbered(paged, order, page.size + 1), target, row["__fetch"], keys)
            return _grouped(rows, parents)

        async def count(parents: list[UUID]) -> Sequence[Any]:
            statement, _ = _children(
                declared, owner, target, info, context, parents, arguments.get("where"), types, count=True
            )
            counted = {r[0]: r[1] for r in await row["__fetch"](statement)}
            return [counted.get(parent, 0) for parent in parents]

        key = _key(declared, info, row)
        found = await context.loader(key, load).load(row["id"])
        return _connected(found, page, lambda: context.loader((key, "count"), count).load(row["id"]))

    return resolve


def _query_connection(declared: Field, _owner: ObjectType | None, types: Types) -> Resolver:
    target = types[declared.target]

    async def resolve(_root: Any, info: Info, **arguments: Any) -> Any:
        context: Context = info.context
        refuse_if_denied(declared, target, context)
        page = page_of(arguments, context.limits.page_default, context.limits.page_max)
        t = target.aliased(context.access, "t")
        keys = keys_of(target, t, arguments.get("orderBy"), context.access)
        asked = asked_where(declared, arguments)
        where = _where(target, t, asked, context, types)
        statement = select(*_columns(t, _wanted(info, target, connection=True), context)).where(*where)
        statement = _paged(statement, keys, page).limit(page.size + 1)
        statement = statement.order_by(*(key.ordered(reverse=page.backward) for key in keys))
        rows = await _rows(statement, target, context.fetch, keys)

        async def total() -> int:
            whole = replace(context, access=replace(context.access, wanted="all"))
            where = _where(target, t, asked, whole, types)
            counted = await context.fetch(select(func.count()).select_from(t).where(*where))
            return int(counted[0][0])

        return _connected(rows, page, total)

    return resolve


def _query_one(declared: Field, _owner: ObjectType | None, types: Types) -> Resolver:
    target = types[declared.target]

    async def resolve(_root: Any, info: Info, id: str) -> Any:
        context: Context = info.context
        refuse_if_denied(declared, target, context)
        return await record(context, info, target, _read(target, id), context.fetch)

    return resolve


def _read(target: ObjectType, shown_id: str) -> UUID:
    try:
        return ids.read_as(target.prefix or "", shown_id)
    except ValueError as error:
        raise GraphQLError(str(error), extensions={"code": "INVALID_ID"}) from None


async def node(context: Context, info: Info, types: Types, shown_id: str) -> Row | None:
    """The record of any type by its id, if the caller may see it."""
    try:
        prefix, key = ids.read(shown_id)
    except ValueError as error:
        raise GraphQLError(str(error), extensions={"code": "INVALID_ID"}) from None
    target = next((kind for kind in types.values() if kind.prefix == prefix), None)
    if target is None:
        return None
    return await record(context, info, target, key, context.fetch)


async def record(
    context: Context,
    info: Info,
    target: ObjectType,
    key: UUID,
    fetch: Fetch,
    *,
    own: bool = False,
) -> Row | None:
    """One record by id with the fields this position of the document asks for; siblings are read together.

    `own`: what the caller just made himself, shown by its row rule alone.
    """
    if not own and target.scope is not None and not context.actor.may(target.scope):
        return None

    async def load(keys: list[UUID]) -> Sequence[Any]:
        t = target.aliased(context.access, "t")
        rule = target.visible(t, context.access)
        statement = select(*_columns(t, _wanted(info, target), context))
        statement = statement.where(t.c.id.in_(keys), true() if rule is None else rule)
        found = {r["id"]: r for r in await _rows(statement, target, fetch)}
        return [found.get(one) for one in keys]

    found: Row | None = await context.loader(("record", target.name, _nodes(info), id(fetch)), load).load(key)
    return found


def _children(
    declared: Field,
    owner: ObjectType,
    target: ObjectType,
    info: Info,
    context: Context,
    parents: Sequence[UUID],
    where: Mapping[str, Any] | None = None,
    types: Types | None = None,
    *,
    count: bool = False,
) -> tuple[Select[Any], Any]:
    """Statement for the children of many parents at once, and the child's alias; `count` counts per parent."""
    assert declared.on is not None
    narrowed = replace(context.access, parents=(owner.name, lambda ids: ids.in_(list(parents))))
    p, t = owner.aliased(context.access, "p"), target.aliased(narrowed, "t")
    wanted = _wanted(info, target, connection=declared.kind == "connection")
    columns = [func.count()] if count else _columns(t, wanted, context)
    statement = select(p.c.id.label("parent"), *columns).select_from(
        p.join(t, declared.on(p, t, context.access))
    )
    statement = statement.where(p.c.id.in_(list(parents)), *_where(target, t, where, context, types or {}))
    return (statement.group_by(p.c.id) if count else statement), t


def _where(
    target: ObjectType, t: Any, where: Mapping[str, Any] | None, context: Context, types: Types
) -> list[ColumnElement[bool]]:
    rule = target.visible(t, context.access)
    asked = predicate(target, t, where, context.access, types) if where else None
    return [part for part in (rule, asked) if part is not None]


def _columns(t: Any, wanted: Iterable[Field], context: Context) -> list[ColumnElement[Any]]:
    columns = {"id": t.c.id.label("id")} if "id" in t.c else {}
    for declared in wanted:
        if declared.kind == "column" and declared.name != "id":
            columns[declared.name] = declared.expression(t, context.access).label("f_" + declared.name)
        for need in declared.needs if declared.kind == "batch" else ():
            columns["need " + need] = t.c[need].label("n_" + need)
    return list(columns.values())


def _paged(statement: Select[Any], keys: Sequence[Key], page: Page) -> Select[Any]:
    statement = statement.add_columns(*(key.sql.label(f"k_{position}") for position, key in enumerate(keys)))
    if page.cursor:
        statement = statement.where(behind(keys, decode(keys, page.cursor), backward=page.backward))
    return statement


def _numbered(statement: Select[Any], order: Sequence[Any], most: int) -> Select[Any]:
    parent = statement.selected_columns["parent"]
    number = func.row_number().over(partition_by=parent, order_by=list(order)).label("n")
    inner = statement.add_columns(number).subquery("numbered")
    return select(inner).where(inner.c.n <= most).order_by(inner.c.parent, inner.c.n)


async def _rows(
    statement: Select[Any], target: ObjectType, fetch: Fetch, keys: Sequence[Key] = ()
) -> list[Row]:
    return [
        _row(dict(zip(found._fields, found, strict=True)), target, fetch, keys)
        for found in await fetch(statement)
    ]


def _row(found: dict[str, Any], target: ObjectType, fetch: Fetch, keys: Sequence[Key]) -> Row:
    row: Row = {
        "__type": target.name,
        "__fetch": fetch,
        "id": found.get("id"),
        "__parent": found.get("parent"),
    }
    for name, value in found.items():
        if name.startswith("f_"):
            row[name[2:]] = value
        elif name.startswith("n_"):
            row["need " + name[2:]] = value
    if keys:
        row["__cursor"] = encode(keys, [found[f"k_{position}"] for position in range(len(keys))])
    return row


def _grouped(rows: Iterable[Row], parents: Sequence[UUID]) -> list[list[Row]]:
    groups: dict[UUID, list[Row]] = {parent: [] for parent in parents}
    for row in rows:
        groups[row["__parent"]].append(row)
    return [groups[parent] for parent in parents]


def _connected(rows: list[Row], page: Page, total: Callable[[], Any]) -> dict[str, Any]:
    more = len(rows) > page.size
    nodes = rows[: page.size]
    if page.backward:
        nodes.reverse()
    ahead = (page.cursor is not None, more) if page.backward else (more, page.cursor is not None)
    return {"nodes": nodes, "total": total, "next": ahead[0], "previous": ahead[1]}


def _key(declared: Field, info: Info, row: Row) -> tuple[Any, ...]:
    return (info.parent_type.name, declared.name, _nodes(info), id(row["__fetch"]))


def _nodes(info: Info) -> tuple[int, ...]:
    return tuple(id(one) for one in info.field_nodes)


def _wanted(info: Info, target: ObjectType, *, connection: bool = False) -> list[Field]:
    """The declared fields of the target selected at this position, fragments included."""
    sets = [one.selection_set for one in info.field_nodes if one.selection_set]
    if connection:
        inner = list(_flat(sets, None, info))
        sets = [n.selection_set for n in inner if n.name.value == "nodes" and n.selection_set]
        edges = [n.selection_set for n in inner if n.name.value == "edges" and n.selection_set]
        sets += [
            n.selection_set for n in _flat(edges, None, info) if n.name.value == "node" and n.selection_set
        ]
    names = {one.name.value for one in _flat(sets, target, info)}
    return [declared for declared in target.fields if declared.name in names]


def _flat(sets: Iterable[SelectionSetNode], target: ObjectType | None, info: Info) -> Iterator[FieldNode]:
    for selections in sets:
        for one in selections.selections:
            if isinstance(one, FieldNode):
                yield one
            elif isinstance(one, InlineFragmentNode):
                if _applies(one.type_condition.name.value if one.type_condition else None, target):
                    yield from _flat([one.selection_set], target, info)
            elif isinstance(one, FragmentSpreadNode):
                fragment = info.fragments[one.name.value]
                if _applies(fragment.type_condition.name.value, target):
                    yield from _flat([fragment.selection_set], target, info)


def _applies(condition: str | None, target: ObjectType | None) -> bool:
    return condition is None or target is None or condition in (target.name, "Node")


_RESOLVERS: Mapping[str, Callable[[Field, ObjectType | None, Types], Resolver]] = {
    "column": _column,
    "relation": _relation,
    "listing": _listing,
    "connection": _connection,
    "batch": _batch,
    "query_one": _query_one,
    "query_connection": _query_connection,
}


def connection_resolvers() -> Mapping[str, Resolver]:
    """Resolvers of every connection type's own fields."""
    return {
        "nodes": lambda found, _info: found["nodes"],
        "edges": lambda found, _info: found["nodes"],
        "totalCount": lambda found, _info: found["total"](),
        "pageInfo": lambda found, _info: found,
    }


def page_info_resolvers() -> Mapping[str, Resolver]:
    """Resolvers of `PageInfo`."""

    def edge(found: dict[str, Any], position: int) -> str | None:
        return found["nodes"][position]["__cursor"] if found["nodes"] else None

    return {
        "hasNextPage": lambda found, _info: found["next"],
        "hasPreviousPage": lambda found, _info: found["previous"],
        "startCursor": lambda found, _info: edge(found, 0),
        "endCursor": lambda found, _info: edge(found, -1),
    }
