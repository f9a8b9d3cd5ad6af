"""How much signing costs: five stages with twenty signers, an inbox of 10,000 open tasks, holding against performing.

`python -m benchmarks.approvals` makes 1,000,000 tasks of which 10,000 wait for one user (`--scale 0.05` makes fewer) on
a PostgreSQL server of its own (`--keep FOLDER` keeps them for the next time), signs requests to their end, reads the
inbox, lets PostgreSQL explain it, and performs the same command held and at once. It prints milliseconds, statements
and ratios; it never fails on time, and ends with 1 where the inbox is not read through indexes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import event, select

from benchmarks.explain import Explainer, Query
from benchmarks.reads import postgres
from benchmarks.reads.around import _defaults
from crm_core import ids, migrate
from crm_core.access.models import User
from crm_core.access.queries import actor_of
from crm_core.actors import Actor, Reach, system
from crm_core.approvals.models import Approval, ApprovalPolicy, ApprovalTask
from crm_core.commands import Options, Outcome
from crm_core.db.session import open_database
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.settings import LineSettings, Settings
from crm_core.work import Services, perform

LINE: Final = "east"
STAGES, EACH = 5, 4
TASKS, OPEN = 1_000_000, 10_000
OTHERS: Final = 200
REQUESTS: Final = 40
INBOXES: Final = {
    "page of 20": "{ approvals(where: {waitingForMe: true}, first: 20) { nodes { id title state createdAt"
    " requester { name } tasks { state dueAt user { name } } } } }",
    "count": "{ approvals(where: {waitingForMe: true}, first: 1) { totalCount nodes { id } } }",
    "done by me": "{ approvals(where: {signed: true}, first: 20) { nodes { id title } } }",
    "asked by me": "{ approvals(where: {mine: true}, first: 20) { nodes { id title } } }",
    "copied to me": "{ approvals(where: {copied: true}, first: 20) { nodes { id title } } }",
}
SIGNS: Final = {"approval.sign": Reach.LINE, "approval.read": Reach.OWN, "approval.request": Reach.OWN}
ASKS: Final = {**SIGNS, "customer.read": Reach.LINE, "customer.write": Reach.LINE}


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 1,000,000 tasks (default)")
    parser.add_argument("--keep", type=Path, help="folder that keeps the server's data")
    parser.add_argument("--plans", type=Path, help="write statements and plans to this file")
    return parser.parse_args()


def main() -> None:
    """Load, measure, print."""
    given = arguments()
    with _folder(given.keep) as folder, postgres.running(folder / "postgres") as server:
        name = f"approvals_{given.scale:g}".replace(".", "_").replace("-", "m")
        sys.exit(asyncio.run(_measured(given, server, name)))


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="crm-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's own account goes through it
        yield folder


async def _measured(given: argparse.Namespace, server: postgres.Server, name: str) -> int:
    fresh = await _created(server, name)
    services = await _services(server.url(name), Path(tempfile.gettempdir()))
    try:
        company = await _company(services, fresh=fresh)
        if fresh:
            await _loaded(server.url(name), company, given.scale)
        print(await _held_against_performed(services, company, max(5, round(REQUESTS * given.scale))))
        print(await _signed(services, company, max(3, round(REQUESTS * given.scale))))
        return await _inbox(services, company, given.plans)
    finally:
        await services.database.dispose()


# -- the deployment


async def _created(server: postgres.Server, name: str) -> bool:
    """Whether the database is new."""
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return False
        await connection.execute(f'CREATE DATABASE "{name}"')
        return True
    finally:
        await connection.close()


async def _services(url: str, store: Path) -> Services:
    keys, index_key = Keyring.generate_text(), Keyring.generate_index_text()  # nothing sealed is read again
    settings = Settings(
        database_url=url,
        lines={LINE: LineSettings()},
        keys=keys,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=index_key,  # type: ignore[arg-type]
        store=store,
    )
    registry = load(settings, ())
    await migrate.upgrade(settings, registry)
    return Services(settings, registry, open_database(settings), Keyring.parse(keys, index_key))


@dataclass(frozen=True)
class Company:
    """Who asks, who signs, whose inbox is full, and others."""

    requester: Actor
    signers: Sequence[Actor]
    busy: Actor
    others: Sequence[UUID]
    policy: UUID


async def _company(services: Services, *, fresh: bool) -> Company:
    if fresh:
        await _people(services)
    rows = await services.database.fetch(select(User.login, User.id).order_by(User.login))
    found = {row.login: row.id for row in rows}
    policies = await services.database.fetch(select(ApprovalPolicy.id).where(ApprovalPolicy.name == "chain"))

    async def actor(login: str) -> Actor:
        return await actor_of(services.database.fetch, services.registry, found[login])

    signers = [await actor(f"signer{n:02}") for n in range(STAGES * EACH)]
    others = [key for login, key in found.items() if login.startswith("other")]
    return Company(await actor("requester"), signers, await actor("busy"), others, policies[0].id)


async def _people(services: Services) -> None:
    roles = {"signs": SIGNS, "asks": ASKS}
    for role, scopes in roles.items():
        given = [{"scope": scope, "reach": int(reach)} for scope, reach in scopes.items()]
        await _done(services, "role.define", {"name": role, "scopes": given})
    logins = {f"signer{n:02}": "signs" for n in range(STAGES * EACH)} | {"busy": "signs", "requester": "asks"}
    for login, role in (logins | {f"other{n:03}": "signs" for n in range(OTHERS)}).items():
        user = (await _done(services, "user.create", {"login": login, "name": login})).ids[0]
        await _done(services, "role.grant", {"user_id": user, "role": role, "line": LINE})
    rows = await services.database.fetch(
        select(User.id).where(User.login.like("signer%")).order_by(User.login)
    )
    slots = [{"user_id": ids.show("usr", row.id)} for row in rows]
    stages = [{"name": f"{n}", "slots": slots[n * EACH : (n + 1) * EACH]} for n in range(STAGES)]
    condition = {"all": [{"field": "name", "op": "NE", "value": "at once"}]}
    policy = {"name": "chain", "commands": ["customer.create"], "stages": stages, "condition": condition}
    await _done(services, "approval_policy.set", policy)


async def _done(
    services: Services, kind: str, body: Mapping[str, Any], actor: Actor | None = None
) -> Outcome:
    outcome, _ = await perform(services, actor or system((LINE,)), kind, body, Options(line=LINE))
    if outcome.errors:
        raise SystemExit(f"{kind}: {outcome.errors}")
    return outcome


# -- rows


async def _loaded(url: str, company: Company, scale: float) -> None:
    """Requests of four tasks each, one of them open; the busy user has his share of the open ones."""
    begun, requests = time.perf_counter(), round(TASKS * scale) // EACH
    busy = round(OPEN * scale)
    connection = await asyncpg.connect(url)
    try:
        await _keep_people(connection, company)
        await connection.execute(_requests(company, requests))
        await connection.execute(_tasks(company, requests, busy))
        await connection.execute("DROP TABLE people")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    print(
        f"{requests * EACH:,} tasks, {busy:,} of them open for one user: {time.perf_counter() - begun:.0f} s"
    )


async def _keep_people(connection: Any, company: Company) -> None:
    await connection.execute("CREATE TABLE people (n int PRIMARY KEY, id uuid)")
    await connection.executemany("INSERT INTO people VALUES ($1, $2)", [*enumerate(company.others)])


def _insert(model: Any, given: Mapping[str, str], source: str) -> str:
    """Rows of a model from a source; columns left out get the model's default, else null."""
    columns = {**_defaults(model.__table__), **given}
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{model.__tablename__}" ({names}) SELECT {", ".join(columns.values())} FROM {source}'  # noqa: S608  # our own


_ID = "('00000000-0000-7000-{}-' || lpad(to_hex({}), 12, '0'))::uuid"
_SOME_TIME_AGO = "now() - make_interval(mins => (g % 500000)::int)"


def _one_of_people(number: str) -> str:
    return f"(SELECT id FROM people WHERE n = {number} % {OTHERS})"  # noqa: S608  # our own


def _requests(company: Company, count: int) -> str:
    given = {
        "id": _ID.format("8000", "g"), "created_at": _SOME_TIME_AGO, "updated_at": _SOME_TIME_AGO, "version": "1",
        "line": f"'{LINE}'", "kind": "'customer.update'", "command_version": "1", "body": "'{}'", "options": "'{}'",
        "requester_id": _one_of_people("g"), "policy_id": f"'{company.policy}'",
        "policy_edition": "1", "title": "'request ' || g", "self_approval": "false", "locked": "false", "round": "0",
        "state": "'PENDING'", "chain": "'{}'", "subject_type": "'Customer'", "comment": "''",
    }  # fmt: skip
    return _insert(Approval, given, f"generate_series(1, {count}) AS g")


def _tasks(company: Company, requests: int, busy: int) -> str:
    """The second of four is open; of these so many, evenly spread, are the busy user's."""
    every = max(1, requests // max(1, busy))
    whose = _one_of_people("(g + k)")
    given = {
        "id": _ID.format("9000", f"g::bigint * {EACH} + k"), "created_at": _SOME_TIME_AGO,
        "approval_id": _ID.format("8000", "g"), "line": f"'{LINE}'", "position": "k", "stage": "k", "stage_name": "k::text",
        "slot": "0", "round": "0", "kind": "'SIGN'", "comment": "''", "automatic": "false", "overdue": "false",
        "due_provisional": "false", "user_id": f"CASE WHEN k = 1 AND g % {every} = 0 THEN '{company.busy.user_id}'::uuid ELSE {whose} END",
        "state": "CASE WHEN k = 0 THEN 'DONE' WHEN k = 1 THEN 'OPEN' ELSE 'WAITING' END",
        "signer_id": f"CASE WHEN k = 0 THEN {whose} END", "answer": "CASE WHEN k = 0 THEN 'APPROVE' END",
        "at": f"CASE WHEN k = 0 THEN {_SOME_TIME_AGO} END", "opened_at": f"CASE WHEN k < 2 THEN {_SOME_TIME_AGO} END",
    }  # fmt: skip
    source = f"generate_series(1, {requests}) AS g, generate_series(0, {EACH - 1}) AS k"
    return _insert(ApprovalTask, given, source)


# -- measuring


@dataclass
class Figures:
    """Milliseconds and statements of something done several times."""

    milliseconds: list[float] = field(default_factory=list)
    statements: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        """Medians."""
        slow = sorted(self.milliseconds)[len(self.milliseconds) * 95 // 100]
        return f"{median(self.milliseconds):7.2f} ms (95 %: {slow:7.2f}) {median(self.statements):4.0f} statements"


async def _timed(services: Services, figures: Figures, do: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Do it, noting how long it took and how many statements were sent."""
    sent: list[str] = []
    engine = services.database.writes.sync_engine

    def note(_c: Any, _k: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT")):
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    services.database.heard.append(sent.append)
    begun = time.perf_counter()
    try:
        return await do()
    finally:
        figures.milliseconds.append((time.perf_counter() - begun) * 1000)
        figures.statements.append(len(sent))
        services.database.heard.remove(sent.append)
        event.remove(engine, "before_cursor_execute", note)


def _customer(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "PERSON"}


async def _held_against_performed(services: Services, company: Company, count: int) -> str:
    held, at_once = Figures(), Figures()
    for number in range(count + 3):
        for name, figures in ((f"held {number}", held), ("at once", at_once)):
            into = figures if number >= 3 else Figures()  # the first ones fill caches  # noqa: PLR2004
            create = partial(_done, services, "customer.create", _customer(name), company.requester)
            await _timed(services, into, create)
    ratio = median(held.milliseconds) / median(at_once.milliseconds)
    return f"holding a command    {held}\nperforming it        {at_once}\nratio                {ratio:7.2f}"


async def _signed(services: Services, company: Company, count: int) -> str:
    """Requests signed by all twenty: an ordinary signature, one that ends a stage, and the one that performs."""
    ordinary, ends_stage, performs, whole = Figures(), Figures(), Figures(), Figures()
    for number in range(count):
        outcome = await _done(services, "customer.create", _customer(f"signed {number}"), company.requester)
        body, begun = {"id": outcome.approval}, time.perf_counter()
        for place, signer in enumerate(company.signers, 1):
            figures = performs if place == STAGES * EACH else ordinary if place % EACH else ends_stage
            await _timed(services, figures, partial(_done, services, "approval.approve", body, signer))
        whole.milliseconds.append((time.perf_counter() - begun) * 1000)
        whole.statements.append(0)
    lines = [
        f"a signature          {ordinary}",
        f"the last of a stage  {ends_stage}",
        f"the last of all      {performs}",
        f"all {STAGES * EACH} signatures    {median(whole.milliseconds):7.0f} ms",
    ]
    return "\n".join(lines)


async def _inbox(services: Services, company: Company, plans: Path | None) -> int:
    explainer = Explainer(services, company.busy, "busy", {})
    told = [await explainer.told(Query(name, document)) for name, document in INBOXES.items()]
    for one in told:
        print(
            f"inbox, {one.query.name:12} {one.milliseconds:9.2f} ms  {'; '.join(one.findings) or 'index'} {one.remark}"
        )
    if plans is not None:
        await asyncio.to_thread(plans.write_text, "\n\n".join(one.plan for one in told), encoding="utf-8")
    return int(any(one.findings for one in told))


if __name__ == "__main__":
    main()
