"""One page of a connection as SQL: its rows, cursors and counts, put together as one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLObjectType
from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, select, table

from crm_core.graphql.fields import ObjectType
from crm_core.graphql.json_sql import Json, Pairs, Sql
from crm_core.graphql.paging import Key, Page, cursor_sql

if TYPE_CHECKING:
    from crm_core.graphql.planner import Path, Planner, Row


class Part:
    """One page of a connection: which of its rows and cursors are asked for, and the statement that gives them."""

    def __init__(
        self, planner: Planner, target: ObjectType, row: Row, keys: Sequence[Key], page: Page, here: Path
    ) -> None:
        self.planner, self.target, self.row, self.keys, self.page, self.here = (
            planner, target, row, keys, page, here,
        )  # fmt: skip
        self.lists: list[tuple[Sql, Pairs]] = []
        self.counted = self.cursors = self.totalled = False

    @property
    def asks(self) -> bool:
        """Whether anything of the rows is asked for, once the fields are selected."""
        return bool(self.lists) or self.counted or self.totalled

    @property
    def json(self) -> Json:
        """Writes JSON in the statement's dialect."""
        return self.planner.json

    # -- what is selected

    def selected(self, shape: GraphQLObjectType, nodes: list[FieldNode], count: Callable[[], Sql]) -> Pairs:
        """The fields of the connection; those made of rows stand for columns of the page, put together later."""
        pairs: list[tuple[str, Sql]] = []
        for key, own in self.planner.selections.under(shape, nodes).items():
            name = own[0].name.value
            if name == "__typename":
                pairs.append((key, self.planner.text(shape.name)))
            elif name == "totalCount":
                self.totalled = True
                pairs.append((key, count()))
            elif name == "pageInfo":
                pairs.append((key, self._page_info(own)))
            else:
                pairs.append((key, self._list(name, key, own)))
        return pairs

    def _list(self, name: str, key: str, nodes: list[FieldNode]) -> Sql:
        path = (*self.here, (key, True))
        if name == "nodes":
            pairs = self.planner.selected(self.target, self.row, path, nodes)
        else:
            pairs = self._edges(path, nodes)
        place: Sql = literal_column("list_")
        self.lists.append((place, pairs))
        return place

    def _edges(self, path: Path, nodes: list[FieldNode]) -> Pairs:
        planner = self.planner
        shape = planner.schema.get_type(f"{self.target.name}Edge")
        assert isinstance(shape, GraphQLObjectType)
        pairs: list[tuple[str, Sql]] = []
        for key, own in planner.selections.under(shape, nodes).items():
            name = own[0].name.value
            if name == "__typename":
                pairs.append((key, planner.text(shape.name)))
            elif name == "cursor":
                self.cursors = True
                pairs.append((key, self.json.value(literal_column(f"{self.row.name}.cursor_"), str)))
            else:
                inner = planner.selected(self.target, self.row, (*path, (key, False)), own)
                pairs.append((key, self.json.inline(inner)))
        return pairs

    def _page_info(self, nodes: list[FieldNode]) -> Sql:
        planner, page = self.planner, self.page
        shape = planner.schema.get_type("PageInfo")
        assert isinstance(shape, GraphQLObjectType)
        more, known = self._more, self._constant(page.cursor is not None)
        values: dict[str, Callable[[], Sql]] = {
            "__typename": lambda: planner.text("PageInfo"),
            "hasNextPage": (lambda: known) if page.backward else more,
            "hasPreviousPage": more if page.backward else (lambda: known),
            "startCursor": lambda: self._edge("far" if page.backward else "near"),
            "endCursor": lambda: self._edge("near" if page.backward else "far"),
        }
        found = planner.selections.under(shape, nodes)
        return self.json.inline([(key, values[own[0].name.value]()) for key, own in found.items()])

    def _constant(self, truth: bool) -> Sql:  # noqa: FBT001
        return self.json.truth(literal_column("true" if truth else "false"))

    def _more(self) -> Sql:
        self.counted = True
        if self.json.flat:
            return self.json.truth(func.coalesce(func.max(self._column("of_")), self._zero) > self._size)
        return self.json.truth(select(func.count() > self._size).select_from(self._all).scalar_subquery())

    def _edge(self, which: str) -> Sql:
        """The cursor of the row fetched first (near) or last (far)."""
        self.counted = self.cursors = True
        if self.json.flat:
            number, of = self._column("number_"), self._column("of_")
            last = case((of > self._size, self._size), else_=of)
            here = and_(number == (literal_column("1") if which == "near" else last), number <= self._size)
            return self.json.value(func.max(self._column("cursor_")).filter(here), str)
        kept = select(literal_column("*")).select_from(self._all).limit(self.page.size).subquery("e_")
        keys = self._keys_in("e_")
        order = [key.ordered(reverse=self.page.backward is (which == "near")) for key in keys]
        found = select(cursor_sql(keys, self.json)).select_from(kept).order_by(*order).limit(1)
        return found.scalar_subquery()

    # -- the statement

    _zero: Sql = literal_column("0")

    @property
    def _size(self) -> Sql:
        return literal_column(str(self.page.size))

    @property
    def _all(self) -> Any:
        """All rows fetched, where they have a name of their own."""
        return table("f" + self.row.name)

    def _column(self, name: str) -> ColumnElement[Any]:
        return literal_column(f"{self.row.name}.{name}")

    def _keys_in(self, name: str) -> list[Key]:
        return [
            replace(k, sql=literal_column(f"{name}.k_{at}", k.sql.type)) for at, k in enumerate(self.keys)
        ]

    def put_together(self, pairs: Pairs, t: Any, conditions: list[ColumnElement[bool]]) -> Sql:
        """The connection as one value."""
        if not self.lists and not self.counted:
            return self.json.inline(pairs)
        if len(self.lists) == 1 and not self.counted and not self.page.backward:
            return self.json.inline(self._placed(pairs, self._simply(t, conditions)))
        return (self._flatly if self.json.flat else self._by_name)(pairs, t, conditions)

    def _placed(self, pairs: Pairs, lists: Callable[[Pairs], Sql]) -> Pairs:
        """The lists in their places."""
        inner = {id(place): pairs for place, pairs in self.lists}
        return [(key, lists(inner[id(value)]) if id(value) in inner else value) for key, value in pairs]

    def _simply(self, t: Any, conditions: list[ColumnElement[bool]]) -> Callable[[Pairs], Sql]:
        """Rows that are only listed."""
        rows: Any = self._found(t, conditions)
        if self.cursors:
            inner = rows.subquery("r" + self.row.name)
            rows = select(*self._columns("r" + self.row.name)).select_from(inner)
        page = rows.subquery(self.row.name)
        return lambda pairs: self.json.many(pairs, select().select_from(page))

    def _by_name(self, pairs: Pairs, t: Any, conditions: list[ColumnElement[bool]]) -> Sql:
        """The rows fetched get a name: they are listed, counted and looked at, one after the other."""
        own = "k" + self.row.name
        kept = select(literal_column("*")).select_from(self._all).limit(self.page.size).subquery(own)
        page = select(*self._columns(own)).select_from(kept)
        if self.page.backward:
            page = page.order_by(*(key.ordered(reverse=False) for key in self._keys_in(own)))
        rows = page.subquery(self.row.name)
        placed = self._placed(pairs, lambda inner: self.json.many(inner, select().select_from(rows)))
        return self.json.inline(placed, self._found(t, conditions).cte("f" + self.row.name))

    def _flatly(self, pairs: Pairs, t: Any, conditions: list[ColumnElement[bool]]) -> Sql:
        """The rows are numbered, and everything is gathered from them at once."""
        inner = self._found(t, conditions).subquery("r" + self.row.name)
        number = func.row_number().over().label("number_")
        columns = [*self._columns("r" + self.row.name), number, func.count().over().label("of_")]
        rows: Any = select(*columns).select_from(inner).subquery(self.row.name)
        if self.page.backward:
            around = select(*columns).select_from(inner).subquery("b" + self.row.name)
            rows = select(around).order_by(around.c.number_.desc()).subquery(self.row.name)
        kept = self._column("number_") <= self._size
        placed = self._placed(pairs, lambda one: self.json.gathered(one, kept))
        return self.json.one(placed, select().select_from(rows), sure=True)

    def _columns(self, name: str) -> list[Any]:
        """What is used of each row, and its cursor."""
        used: list[Any] = [
            literal_column(f"{name}.{self.row.table.c[one].name}").label(one) for one in self.row.used
        ]
        cursor = [cursor_sql(self._keys_in(name), self.json).label("cursor_")] if self.cursors else []
        return used + cursor or [literal_column("1").label("one_")]

    def _found(self, t: Any, conditions: list[ColumnElement[bool]]) -> Select[Any]:
        """The rows of the page, and one more where that is asked about."""
        keyed = self.cursors or self.page.backward
        keys = [key.sql.label(f"k_{at}") for at, key in enumerate(self.keys)] if keyed else []
        columns = [t.c[used] for used in self.row.used] + keys
        rows = select(*(columns or [literal_column("1").label("one_")])).select_from(t).where(*conditions)
        order = [key.ordered(reverse=self.page.backward) for key in self.keys]
        return rows.order_by(*order).limit(self.page.size + 1 if self.counted else self.page.size)


__all__ = ["Part"]
