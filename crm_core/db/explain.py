"""Asks the database how it performs a reading statement: its plan, and which rows of which tables it goes through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crm_core.db.reader import EACH_TIME
from crm_core.db.session import Database

BIG: Final = 10_000
"""A table with more rows is not to be read whole for one answer."""
PLANNING_COST: Final = 2.5
"""What PostgreSQL takes the planning of each table to cost when it decides whether to plan again."""
_MODE: Final = "SELECT to_json(current_setting('plan_cache_mode'))"
_TABLE_NODES: Final = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan")
_NODE: Final = re.compile(
    r"^\s*(?:->\s+)?(?P<what>[A-Z][^(]*?)\s+"
    r"\(cost=[\d.]+\.\.(?P<cost>[\d.]+) rows=(?P<expected>\d+) width=\d+\)"
    r"(?: \(actual (?:time=\S+ )?rows=(?P<rows>[\d.]+) loops=(?P<loops>\d+)\)| \((?P<never>never executed)\))?"
)
_TABLE: Final = re.compile(r"(?:using (?P<index>\S+) )?on (?P<table>\S+)")
_REMOVED: Final = re.compile(r"^\s*Rows Removed by (?:Filter|Index Recheck): (\d+)")
_TIME: Final = re.compile(r"^(Planning|Execution) Time: ([\d.]+) ms", re.MULTILINE)
_NAMED: Final = re.compile(r'"?(\w+)"?\s+AS\s+"?(\w+)"?')
_SQLITE_TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"  # an index of its own
_SQLITE_SCAN: Final = re.compile(r"^(SCAN|SEARCH) (\w+)(?: USING (?:[A-Z]+ )*INDEX (\w+))?")


@dataclass(frozen=True, slots=True)
class Scan:
    """A place in a plan where rows of a table are read, through an index or (`index` None) one after the other.

    `rows` is how many were gone through, None where that is not known; `size` how many the table has. `is_walked`
    (SQLite): the index is followed from its beginning, not searched.
    """

    table: str
    size: int
    index: str | None = None
    rows: int | None = None
    is_whole: bool = False
    is_walked: bool = False

    @property
    def is_big(self) -> bool:
        """Whether a big table is gone through from its beginning to its end."""
        return self.is_whole and self.size > BIG and (self.rows is None or self.rows > BIG)


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a PostgreSQL plan: rows expected and rows that came, None where it was not performed."""

    what: str
    expected: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Explained:
    """How the database performs a statement. `performed` False: it took too long, this is only what is intended."""

    text: str
    scans: tuple[Scan, ...]
    performed: bool = False
    nodes: tuple[Node, ...] = ()
    cost: float = 0.0
    milliseconds: float | None = None


async def settled(database: Database, sql: str, values: Sequence[Any], seconds: float) -> list[Explained]:
    """How the database performs a statement for these values and, where that is another plan, for any values.

    PostgreSQL plans a prepared statement for its values five times, then for any values if that looks no dearer; one that
    asks for it is planned for its values each time.
    """
    here = await explained(database, sql, values, seconds)
    if database.dialect == "sqlite" or not values:
        return [here]
    if sql.startswith(EACH_TIME) or b"force_custom_plan" in await database.reader.value(_MODE, [], seconds):
        return [here]
    any_ = await explained(database, sql, values, seconds, generic=True)
    planning = PLANNING_COST * (len(here.scans) + 1)
    return [here, any_] if any_.cost < here.cost + planning else [here]


async def explained(
    database: Database, sql: str, values: Sequence[Any], seconds: float, *, generic: bool = False
) -> Explained:
    """How the database performs this compiled statement; on PostgreSQL it is performed, for at most so many seconds.

    `generic`: as PostgreSQL would for any values, which is what a server does with a statement it has prepared.
    Errors of the driver come through.
    """
    async with database.connection() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        if database.dialect == "sqlite":
            return await _by_sqlite(raw, sql, values)
        if not generic:
            return await _by_postgresql(raw, sql, values, seconds)
        types = [found.name for found in (await raw.prepare(sql)).get_parameters()]
        literals = ", ".join(map(_literal, values, types))
        await raw.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE explained AS {sql}")
        try:
            told = f"EXECUTE explained({literals})" if literals else "EXECUTE explained"
            return await _by_postgresql(raw, told, (), seconds)
        finally:
            await raw.execute("DEALLOCATE explained; RESET plan_cache_mode")


# -- PostgreSQL


async def _by_postgresql(raw: Any, sql: str, values: Sequence[Any], seconds: float) -> Explained:
    performed = True
    try:
        rows = await raw.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", *values, timeout=seconds)
    except TimeoutError:
        performed = False
        rows = await raw.fetch(f"EXPLAIN {sql}", *values)
    text = "\n".join(row[0] for row in rows)
    found = list(_nodes(text))
    sizes = await _sizes(raw, {table for _, table, _, _ in found if table})
    scans = tuple(
        Scan(table, sizes[table], index, rows_read, index is None and "Seq Scan" in node.what)
        for node, table, index, rows_read in found
        if table in sizes
    )
    times = [float(ms) for _, ms in _TIME.findall(text)]
    head = _NODE.match(text)
    cost = float(head["cost"]) if head else 0.0
    nodes = tuple(node for node, *_ in found)
    return Explained(text, scans, performed, nodes, cost, sum(times) if performed else None)


def _literal(value: Any, type_: str) -> str:
    """A bound value written into a statement."""
    if value is None:
        return f"NULL::{type_}"
    if isinstance(value, list | tuple):
        quoted = ('"' + str(one).replace("\\", "\\\\").replace('"', '\\"') + '"' for one in value)
        value = "{" + ",".join(quoted) + "}"
    return "'" + str(value).replace("'", "''") + f"'::{type_}"


def _nodes(text: str) -> Iterable[tuple[Node, str | None, str | None, int | None]]:
    """Each step of the plan with the table and the index it reads, and the rows it goes through."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        node = _NODE.match(line)
        if node is None:
            continue
        rows, loops = float(node["rows"] or 0), int(node["loops"] or 0)
        came = 0 if node["never"] else round(rows * loops) if node["rows"] else None
        removed = _removed(lines[place + 1 :]) * loops
        table, index = _read_by(node["what"])
        yield (
            Node(node["what"], int(node["expected"]), came),
            table,
            index,
            None if came is None else came + removed,
        )


def _removed(following: Sequence[str]) -> int:
    """Rows that were read and left out, as the lines under a step tell."""
    found = 0
    for line in following:
        if _NODE.match(line):
            break
        removed = _REMOVED.match(line)
        found += int(removed[1]) if removed else 0
    return found


def _read_by(what: str) -> tuple[str | None, str | None]:
    if not what.removeprefix("Parallel ").startswith(_TABLE_NODES):
        return None, None
    found = _TABLE.search(what)
    if found is None:
        return None, None
    bitmap = "by several" if "Bitmap" in what else None
    return found["table"].strip('"'), found["index"] or bitmap


async def _sizes(raw: Any, tables: Iterable[str]) -> dict[str, int]:
    """How many rows these tables have, as the last ANALYZE found; those never analysed are counted."""
    rows = await raw.fetch(
        "SELECT relname, reltuples::bigint FROM pg_class"
        " WHERE relname = ANY($1::text[]) AND relkind IN ('r', 'p') AND pg_table_is_visible(oid)",
        sorted(tables),
    )
    sizes: dict[str, int] = dict(rows)
    for name, size in sizes.items():
        if size <= 0:
            sizes[name] = await raw.fetchval(f'SELECT count(*) FROM "{name}"')  # noqa: S608  # a table of ours
    return sizes


# -- SQLite


async def _by_sqlite(raw: Any, sql: str, values: Sequence[Any]) -> Explained:
    rows = list(await raw.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", tuple(values)))
    known = {name for (name,) in await raw.execute_fetchall(_SQLITE_TABLES)}
    named = {alias: table for table, alias in _NAMED.findall(sql) if table in known}
    scans: list[Scan] = []
    for detail in (row[3] for row in rows):
        found = _SQLITE_SCAN.match(detail)
        table = named.get(found[2], found[2]) if found else None
        if found is None or table is None or table not in known:
            continue
        whole = "AUTOMATIC" in detail or (found[1] == "SCAN" and found[3] is None)
        size = (await raw.execute_fetchall(f'SELECT count(*) FROM "{table}"'))[0][0]  # noqa: S608  # a table of ours
        walked = found[1] == "SCAN" and not whole
        scans.append(Scan(table, size, found[3], None, whole, walked))
    return Explained(_tree(rows), tuple(scans))


def _tree(rows: Iterable[Sequence[Any]]) -> str:
    depth: Mapping[int, int] = {0: -1}
    lines = []
    for key, parent, _, detail in rows:
        depth = {**depth, key: depth.get(parent, -1) + 1}
        lines.append("  " * depth[key] + str(detail))
    return "\n".join(lines)
