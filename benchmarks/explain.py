"""Which indexes the database uses for every query the product shows, on a company of 1,000,000 interactions.

`python benchmarks/explain.py --keep FOLDER` takes the database that `read_path.py` makes, fills the other tables of a
copy of it, and lets PostgreSQL explain each query – those of the README, of the query page, of the benchmark and of
`benchmarks/screens` – for an administrator, a manager of two lines, a member of two teams and a seller. It prints what
reads a table of more than 10,000 rows whole, or goes through more than 100,000 rows; then it ends with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    parse,
    print_ast,
)
from sqlalchemy import text

from benchmarks.reads import loading, postgres
from benchmarks.reads.around import indexed, surrounded
from benchmarks.reads.data import REACHED, Asked
from benchmarks.reads.operations import _CURSORS, _MIDDLE, DOCUMENTS
from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor, Reach
from crm_core.app import services_of
from crm_core.commands import Options, Outcome
from crm_core.db.explain import BIG, Explained, settled
from crm_core.db.layout import laid_out
from crm_core.db.reader import TooLong
from crm_core.db.session import open_database
from crm_core.errors import Fault
from crm_core.graphql.build import core_schema
from crm_core.graphql.context import Context, Fetch, Then
from crm_core.graphql.documents import Documents
from crm_core.graphql.execution import Executor
from crm_core.graphql.late import Given, Unplanned
from crm_core.graphql.page import EXAMPLE
from crm_core.graphql.plans import Plan
from crm_core.schema import schema_of
from crm_core.settings import load
from crm_core.work import Services

ROOT: Final = Path(__file__).parent.parent
MANY: Final = 100_000
PATIENCE: Final = 20.0
SLOW_MS: Final = 100.0
RUNS: Final = 9
ENOUGH_MS: Final = 3_000.0


@dataclass(frozen=True)
class Query:
    """One query that is shown somewhere."""

    name: str
    document: str


@dataclass
class Told:
    """What was found for one query as one actor."""

    query: Query
    actor: str
    milliseconds: float = 0.0
    size: int = 0
    findings: list[str] = field(default_factory=list)
    remark: str = ""
    plan: str = ""


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, required=True, help="folder that keeps the loaded databases")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 100,000 customers (default)")
    parser.add_argument("--only", default="", help="a regular expression that names of queries match")
    parser.add_argument("--actor", choices=("admin", "line", "team", "own"), help="default: all four")
    parser.add_argument("--plans", type=Path, help="write statements and plans to this file")
    return parser.parse_args()


def main() -> None:
    """Load, explain, print; 1 if something is not read through an index."""
    given = arguments()
    given.keep.mkdir(parents=True, exist_ok=True)
    folder = given.keep.resolve()
    with postgres.running(folder / "postgres") as server:
        deployment = loading.on_postgresql(server, folder, given.scale)
        name = asyncio.run(surrounded(server, deployment.address.split("?")[0].rsplit("/", 1)[1]))
        asyncio.run(indexed(server.url(name)))
        told = asyncio.run(_all_told(given, deployment, server.url(name)))
    print(_table(told))
    if given.plans:
        given.plans.write_text("\n\n".join(one.plan for one in told if one.plan), encoding="utf-8")
    sys.exit(any(one.findings for one in told))


# -- what is shown somewhere


def queries() -> Iterator[Query]:
    """Every query of the README, the query page, the benchmark and the screens."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for number, found in enumerate(re.findall(r"```graphql\n(.*?)```", readme, re.DOTALL), 1):
        yield from _operations(f"README {number}", found)
    yield from _operations("query page", EXAMPLE)
    for name, document in DOCUMENTS.items():
        yield from _operations(name, document)
    for file in sorted((ROOT / "benchmarks" / "screens").glob("*.graphql")):
        yield from _operations("", file.read_text(encoding="utf-8"))


def _operations(name: str, document: str) -> Iterator[Query]:
    """Each reading operation with all fragments; unused ones are taken out by name."""
    parsed = parse(document)
    others = [d for d in parsed.definitions if not isinstance(d, OperationDefinitionNode)]
    for one in parsed.definitions:
        if isinstance(one, OperationDefinitionNode) and one.operation is OperationType.QUERY:
            body = print_ast(one)
            spread = set(re.findall(r"\.\.\.\s*(\w+)", body))
            used = [d for d in others if isinstance(d, FragmentDefinitionNode) and d.name.value in spread]
            named = name or (one.name.value if one.name else "?")
            yield Query(named, print_ast(DocumentNode(definitions=(one, *used))))


# -- who asks


async def actors(services: Services, asked: Mapping[str, Asked]) -> dict[str, Actor]:
    """An administrator, a manager of two lines, a member of two teams and a seller, who may read everything there."""
    fetch, registry = services.database.fetch, services.registry
    admin = await actor_of(fetch, registry, UUID(asked["admin"].user))
    team = await actor_of(fetch, registry, UUID(asked["team"].user))
    found = await fetch(text("SELECT id FROM users WHERE login = 'seller0.auto_east'"))
    seller = await actor_of(fetch, registry, found[0][0])
    scopes = sorted({scope for held in admin.grants.values() for scope in held})

    def reaching(actor: Actor, reach: Reach, lines: Sequence[str]) -> Actor:
        return replace(actor, grants={line: dict.fromkeys(scopes, reach) for line in lines})

    return {
        "admin": admin,
        "line": reaching(team, Reach.LINE, REACHED),
        "team": reaching(team, Reach.TEAM, REACHED),
        "own": reaching(seller, Reach.OWN, REACHED[:1]),
    }


# -- explaining


class Explainer:
    """Explains queries as one actor. Their variables take their values by name."""

    def __init__(self, services: Services, actor: Actor, name: str, samples: Mapping[str, Any]) -> None:
        self.services, self.actor, self.name, self.samples = services, actor, name, dict(samples)
        self.schema = core_schema(schema_of(services.registry))
        limits = services.settings.limits
        self.documents = Documents(self.schema, limits.tokens)
        dialect = services.database.reads.dialect
        self.executor = Executor(self.schema, services.registry.types, dialect, limits)

    async def told(self, query: Query) -> Told:
        """What the database does for this query."""
        told = Told(query, self.name)
        try:
            plan, given = self._plan(query.document, await self._variables(query.document))
        except Unplanned as why:
            told.remark = f"interpreter: {why.reason} ({why})"
            return told
        refused = [step.key for step in plan.steps if step.error is not None]
        told.remark = f"refused: {', '.join(refused)}" if refused else ""
        values = plan.bound(given)
        found = await settled(self.services.database, plan.sql, values, PATIENCE)
        for one in found:
            told.findings += [finding for finding in findings(one) if finding not in told.findings]
        told.milliseconds, told.size = await self._timed(plan, values)
        told.plan = f"-- {query.name} as {self.name}\n{laid_out(plan.sql)}\n" + "\n\n".join(
            f.text for f in found
        )
        return told

    def _plan(self, document: str, variables: Mapping[str, Any]) -> tuple[Plan, Given]:
        read = self.documents.read(document)
        if not isinstance(read, DocumentNode):
            raise Unplanned("schema", read[0].message)
        node = next(d for d in read.definitions if isinstance(d, OperationDefinitionNode))
        return self.executor.plan_of(self.executor.operation(read, node), variables, self._context())

    async def _timed(self, plan: Plan, values: Sequence[Any]) -> tuple[float, int]:
        """Milliseconds once PostgreSQL has settled for a plan (it looks five times before), and size of the answer."""
        times: list[float] = []
        size = 0
        while len(times) < RUNS and sum(times) < ENOUGH_MS:
            begun = time.perf_counter()
            try:
                size = len(await self.services.database.reader.value(plan.sql, values, PATIENCE))
            except TooLong:
                return PATIENCE * 1000, 0
            times.append((time.perf_counter() - begun) * 1000)
        return sorted(times[-3:])[len(times[-3:]) // 2], size

    async def _variables(self, document: str) -> dict[str, Any]:
        node = next(d for d in parse(document).definitions if isinstance(d, OperationDefinitionNode))
        names = [v.variable.name.value for v in node.variable_definitions or ()]
        if "after" in names:
            await self._note_cursor(
                "interactions" if "interactions(" in document.split("nodes", maxsplit=1)[0] else "customers"
            )
        return {name: self.samples[name] for name in names}

    async def _note_cursor(self, root: str) -> None:
        document = _MIDDLE if root == "interactions" else _CURSORS
        moment = {"moment": self.samples["moment"]}
        plan, given = self._plan(document, moment)
        data = orjson.loads(await self.services.database.answer(plan.sql, plan.bound(given)))
        self.samples["after"] = data[root]["edges"][-1]["cursor"] if data[root]["edges"] else None

    def _context(self) -> Context:
        services, actor = self.services, self.actor

        async def perform(
            kind: str, body: Mapping[str, Any], options: Options, then: Then | None = None
        ) -> tuple[Outcome, Fetch | None]:
            raise Fault("READ_ONLY", "Nothing is performed here")

        return Context(
            actor=actor,
            access=services.access(actor),
            services=services,
            fetch=services.database.fetch,
            answer=services.database.answer,
            perform=perform,
            limits=services.settings.limits,
            language="en",
            messages=services.registry.messages,
            plugin_lines={p.name: services.registry.lines_of(p.name) for p in services.registry.plugins},
            request_id="explain",
        )


def findings(found: Explained) -> Iterator[str]:
    """What is not as it should be: tables read whole, many rows gone through."""
    if not found.performed:
        yield f"took longer than {PATIENCE:.0f} s"
    for scan in found.scans:
        if scan.rows == 0:
            continue  # nothing was read there
        read = "?" if scan.rows is None else f"{scan.rows:,}"
        if scan.is_whole and scan.size > BIG:
            yield f"{scan.table} read whole ({read} of {scan.size:,})"
        elif scan.rows is not None and scan.rows > MANY:
            yield f"{read} rows of {scan.table} through {scan.index}"
    for node in found.nodes:
        rows = node.rows if node.rows is not None else node.expected
        if rows > MANY and not re.search(r"\bon\b", node.what):
            yield f"{rows:,} rows in {node.what}"


async def _all_told(given: argparse.Namespace, deployment: loading.Deployment, url: str) -> list[Told]:
    settings = load(deployment.folder / "crm.toml", {}).model_copy(update={"database_url": url})
    database = open_database(settings)
    try:
        services = await services_of(settings, database)
        told = []
        wanted = [query for query in queries() if re.search(given.only, query.name)]
        for name, actor in (await actors(services, deployment.asked)).items():
            if given.actor in (None, name):
                explainer = Explainer(services, actor, name, await samples(services, actor))
                told += [await explainer.told(query) for query in wanted]
        return told
    finally:
        await database.dispose()


_SAMPLES: Final = """
    SELECT c.id, c.number, c.name, c.province, c.city, cl.owner_id, cl.team_id, u.login, p.e164,
           k.id AS contact, k.title, i.id AS interaction, i.occurred_at
    FROM customer_lines cl JOIN customers c ON c.id = cl.customer_id JOIN users u ON u.id = cl.owner_id
    JOIN customer_phones p ON p.customer_id = c.id JOIN contacts k ON k.customer_id = c.id
    JOIN interactions i ON i.customer_id = c.id AND i.team_id = cl.team_id
    WHERE cl.line = 'auto_east' AND i.status = 'DONE'
      AND (CAST(:everything AS boolean) OR cl.owner_id = :me OR cl.team_id = ANY(:teams))
    ORDER BY c.id OFFSET 200 LIMIT 20
"""


async def samples(services: Services, actor: Actor) -> dict[str, Any]:
    """Values of variables by name, of records this actor reaches."""
    everything = actor.reaches_everything("customer.read")
    own = Reach.OWN in actor.reach("customer.read").values()
    teams = [] if own else [team for held in actor.teams.values() for team in held]
    found = await services.database.fetch(
        text(_SAMPLES).bindparams(everything=everything, teams=teams, me=actor.user_id)
    )
    one = found[0]
    vehicle = (await services.database.fetch(text("SELECT id FROM auto_dealer_vehicles OFFSET 500 LIMIT 1")))[
        0
    ][0]
    moment: datetime = one.occurred_at
    return {
        "id": ids.show("cus", one.id), "customer": ids.show("cus", one.id),
        "customers": [ids.show("cus", row.id) for row in found], "number": one.number, "province": one.province,
        "city": one.city, "user": ids.show("usr", one.owner_id), "team": ids.show("tea", one.team_id),
        "login": one.login, "phone": one.e164, "contact": ids.show("con", one.contact), "title": one.title,
        "interaction": ids.show("int", one.interaction), "text": one.name[:2], "code": "auto_east", "grade": "A",
        "channel": "展厅", "tag": "标签7", "moment": moment.isoformat(), "day": moment.date().isoformat(),
        "from": (moment - timedelta(days=1)).isoformat(), "month": f"{moment:%Y-%m}",
        "vehicle": ids.show("veh", vehicle), "request": "28dd2c7955ce926456240b2ff0100bde",
    }  # fmt: skip


# -- the table


def _table(told: Sequence[Told]) -> str:
    lines = [f"{'query':32} {'actor':6} {'ms':>9} {'bytes':>8}  verdict"]
    for one in told:
        verdict = "; ".join(one.findings) or ("slow" if one.milliseconds > SLOW_MS else "index")
        remark = f"  [{one.remark}]" if one.remark else ""
        lines.append(
            f"{one.query.name:32} {one.actor:6} {one.milliseconds:9.1f} {one.size:8,}  {verdict}{remark}"
        )
    bad = sum(bool(one.findings) for one in told)
    lines.append(f"{len(told)} explained, {bad} not driven by an index")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
