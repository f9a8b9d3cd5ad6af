"""A seeded demo company in an SQLite file: two lines, their people, customers and what befell them, all by commands."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from crm_core import demo_words as words
from crm_core import migrate
from crm_core import settings as configuration
from crm_core.access.queries import actor_of, secret_hash, show_token
from crm_core.actors import Actor, system
from crm_core.app import services_of
from crm_core.commands import Options
from crm_core.db.session import open_database
from crm_core.errors import ConfigurationError
from crm_core.keyring import Keyring
from crm_core.loader import Candidate, installed, load
from crm_core.settings import Settings
from crm_core.work import Services, Work, perform

LINES: Final = {
    "auto_east": ("东区汽车 Cars East", "auto_dealer"),
    "auto_west": ("西区汽车 Cars West", "auto_dealer"),
    "telecom": ("集团客户 Key accounts", "telecom_elite"),
}
"""Lines of the company: name, and the plugin each enables where it is installed."""
CUSTOMERS_PER_LINE: Final = 1_000
BATCH: Final = 100
SEED: Final = 20251103
PAST: Final = timedelta(days=300)
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Wish:
    """A command somebody of the company gives."""

    actor: Actor
    line: str
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A customer of the company, who owns it in its line, and since when it is known."""

    id: UUID
    line: str
    owner: Actor
    since: datetime
    organisation: bool


class Company:
    """The company while it is being filled; plugins get it to add their part."""

    def __init__(self, services: Services, rng: random.Random, now: datetime) -> None:
        """`now` is the present of the company, UTC."""
        self.services = services
        self.rng = rng
        self.now = now
        self.known: list[Known] = []
        self._people: dict[tuple[str, str], Actor] = {}

    @property
    def lines(self) -> Sequence[str]:
        """Codes of its business lines."""
        return tuple(self.services.registry.lines)

    def lines_of(self, plugin: str) -> Sequence[str]:
        """Lines that enable the plugin."""
        return sorted(self.services.registry.lines_of(plugin))

    def customers(self, line: str) -> Sequence[UUID]:
        """Customers of a line."""
        return [one.id for one in self.known if one.line == line]

    async def perform(self, role: str, kind: str, body: Mapping[str, Any], *, line: str) -> UUID:
        """Perform a command as somebody who holds the role in the line; the id of its record or approval."""
        return await self.do(await self._holder(role, line), kind, body, line=line)

    async def do(
        self,
        actor: Actor,
        kind: str,
        body: Mapping[str, Any],
        *,
        line: str | None = None,
        reason: str = "demo",
    ) -> UUID:
        """Perform a command as this actor; the id of its record, or of the approval it waits for."""
        options = Options(line=line, channel="demo", reason=reason)
        outcome, _ = await perform(self.services, actor, kind, body, options)
        if outcome.errors:
            raise ConfigurationError(f"demo: {kind} was refused: {outcome.errors}")
        return outcome.approval or outcome.ids[0]

    async def together(self, wishes: Iterable[Wish], moment: datetime) -> list[UUID]:
        """Perform commands in one transaction, as if at this moment; ids of their records, in order."""
        services = Services(
            self.services.settings, self.services.registry, self.services.database, self.services.keyring,
            lambda: moment,
        )  # fmt: skip
        made = []
        async with services.database.transaction() as session:
            for wish in wishes:
                work = Work(services, session, wish.actor, Options(line=wish.line, channel="demo"))
                command = services.registry.commands[wish.kind].command.model_validate(dict(wish.body))
                record = await work.run(command)
                await work.finish(command)
                work.changes.pause()
                made.append(record.id)
        return made

    async def hire(self, login: str, name: str, roles: Iterable[str], line: str | None, **more: Any) -> Actor:
        """A new user with these roles in the line (None: in all)."""
        crm = system(tuple(self.lines), "demo")
        user = await self.do(crm, "user.create", {"login": login, "name": name, **more})
        for role in roles:
            await self.do(crm, "role.grant", {"user_id": user, "role": role, "line": line})
        return await self.again(user)

    async def again(self, user: UUID | None) -> Actor:
        """The user with the rights he has now."""
        if user is None:
            raise ConfigurationError("demo: the system is no user")
        return await actor_of(self.services.database.fetch, self.services.registry, user)

    async def _holder(self, role: str, line: str) -> Actor:
        if (role, line) not in self._people:
            name = words.person(self.rng)
            self._people[role, line] = await self.hire(f"{role}.{line}", name, (role,), line)
        return self._people[role, line]


# -- making the deployment


@dataclass(frozen=True)
class Demo:
    """A demo deployment: its folder, its settings and the token of its administrator."""

    folder: Path
    settings: Settings
    token: str


async def prepare(
    folder: Path,
    environ: Mapping[str, str],
    *,
    candidates: Sequence[Candidate] | None = None,
    customers: int = CUSTOMERS_PER_LINE,
    say: Callable[[str], None] = lambda _words: None,
    now: datetime | None = None,
) -> Demo:
    """The demo deployment in this folder, made unless it is there; a half-made one is begun anew.

    Of the environment only `CRM_HOST`, `CRM_PORT` and `CRM_LOG_LEVEL` count, so that no other database is touched.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # nobody else waits here
    plugins = {c.name for c in (installed() if candidates is None else candidates)}
    _write_once(folder / "crm.toml", lambda: _settings_text(folder, plugins))
    settings = configuration.load(folder / "crm.toml", _allowed(environ))
    database, token = folder / "demo.db", folder / "token"
    if not (database.exists() and token.exists()):
        await _made(folder, settings, candidates, customers, say, now or datetime.now(UTC))
    else:
        await migrate.upgrade(settings, load(settings, candidates))
    return Demo(folder, settings, token.read_text().strip())


async def _made(
    folder: Path,
    settings: Settings,
    candidates: Sequence[Candidate] | None,
    customers: int,
    say: Callable[[str], None],
    now: datetime,
) -> None:
    """Fill a file beside, and put it in place when all is done."""
    fresh = folder / "demo.db.new"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{fresh}{suffix}").unlink(missing_ok=True)  # noqa: ASYNC240  # nobody else waits here
    aside = settings.model_copy(update={"database_url": f"sqlite:///{fresh}"})
    await migrate.upgrade(aside, load(aside, candidates))
    database = open_database(aside)
    try:
        services = await services_of(aside, database, candidates=candidates)
        company = Company(services, random.Random(SEED), now)  # noqa: S311  # made-up people, the same each time
        token = await fill(company, customers, say)
        async with database.connection() as connection:
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        await database.dispose()
    fresh.rename(folder / "demo.db")
    _write(folder / "token", token + "\n")


def _settings_text(folder: Path, plugins: Container[str]) -> str:
    lines = "".join(
        f'\n[lines.{code}]\nname = "{name}"\nplugins = [{repr(plugin) if plugin in plugins else ""}]\n'
        for code, (name, plugin) in LINES.items()
    )
    return (
        "# The demo company; delete the folder to begin anew.\n"
        f'database_url = "sqlite:///{(folder / "demo.db").absolute()}"\n'
        f'store = "{(folder / "store").absolute()}"\n'
        f'keys = "{Keyring.generate_text()}"\n'
        f'index_key = "{Keyring.generate_index_text()}"\n{lines}'
    )


def _allowed(environ: Mapping[str, str]) -> dict[str, str]:
    return {n: environ[n] for n in ("CRM_HOST", "CRM_PORT", "CRM_LOG_LEVEL") if n in environ}


def _write_once(path: Path, text: Callable[[], str]) -> None:
    if not path.exists():
        _write(path, text())


def _write(path: Path, text: str) -> None:
    """Write a file with secrets in it: for its owner alone."""
    aside = path.with_suffix(".new")
    with os.fdopen(
        os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    aside.rename(path)


# -- filling it


async def fill(company: Company, customers: int, say: Callable[[str], None]) -> str:
    """Fill an empty deployment; the token of its administrator."""
    administrator = await company.hire("admin", "演示管理员", ("administrator",), None)
    token = await _token(company, administrator)
    steps: list[tuple[str, Callable[[], Awaitable[None]]]] = []
    for line in company.lines:
        steps.append((f"people and customers of {line}", _opening(company, line, customers)))
        steps.append((f"contacts, interactions and tasks of {line}", _history(company, line)))
    extras = company.services.registry.demos
    steps += [(f"what {extra.__module__.split('.')[0]} adds", _added(extra, company)) for extra in extras]
    steps.append(("approvals", _approvals(company, administrator)))
    for title, step in steps:
        say(title)
        await step()
    return token


def _opening(company: Company, line: str, customers: int) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        sellers = await _people(company, line)
        count = 0
        while count < customers:
            size = min(BATCH, customers - count)
            since = company.now - PAST + PAST * (count / customers) * 0.9
            await _customers(company, line, sellers, size, since)
            count += size

    return step


def _history(company: Company, line: str) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        await _contacts(company, line)
        await _interactions(company, line)
        await _tasks(company, line)

    return step


def _added(extra: Callable[[Any], Awaitable[None]], company: Company) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        await extra(company)

    return step


async def _token(company: Company, administrator: Actor) -> str:
    secret = secrets.token_hex(32)
    body = {"user_id": administrator.user_id, "name": "demo", "secret_hash": secret_hash(secret)}
    return show_token(await company.do(administrator, "token.create", body), secret)


async def _people(company: Company, line: str) -> list[Actor]:
    """Two teams of four salespeople with a leader each; the line's manager."""
    crm = system(tuple(company.lines), "demo")
    await company.hire(
        f"manager.{line}", words.person(company.rng), ("line_manager",), line, title="业务线经理"
    )
    sellers = []
    for number, title in enumerate(("一组", "二组"), 1):
        team = await company.do(crm, "team.create", {"line": line, "name": f"{title} {line}"})
        for place in range(5):
            leads = place == 0
            seller = await company.hire(
                f"seller{number}{place}.{line}", words.person(company.rng),
                ("team_leader",) if leads else ("sales",), line,
                title="销售组长" if leads else "销售顾问", department="销售部",
            )  # fmt: skip
            member = {"id": team, "user_id": seller.user_id, "leads": leads}
            await company.do(crm, "team.set_member", member)
            sellers += [] if leads else [await company.again(seller.user_id)]
    return sellers


async def _customers(
    company: Company, line: str, sellers: Sequence[Actor], size: int, since: datetime
) -> None:
    bodies = [words.customer(company.rng) for _ in range(size)]
    owners = [company.rng.choice(sellers) for _ in bodies]
    wishes = [Wish(owner, line, "customer.create", body) for owner, body in zip(owners, bodies, strict=True)]
    made = await company.together(wishes, since)
    for key, owner, body in zip(made, owners, bodies, strict=True):
        company.known.append(Known(key, line, owner, since, body["customer_kind"] == "ORGANISATION"))


async def _contacts(company: Company, line: str) -> None:
    wishes = [
        Wish(one.owner, line, "contact.create", {"customer_id": one.id, **words.contact(company.rng)})
        for one in company.known
        if one.line == line and one.organisation
        for _ in range(company.rng.randint(1, 2))
    ]
    for batch in _batches(wishes):
        await company.together(batch, company.now)


async def _interactions(company: Company, line: str) -> None:
    """One or two for half of the customers, in the order of time."""
    entries = [
        (one.since + (company.now - one.since) * company.rng.random(), one)
        for one in company.known
        if one.line == line
        for _ in range(company.rng.choice((0, 0, 1, 2)))
    ]
    entries.sort(key=lambda entry: entry[0])
    for batch in _batches(entries):
        wishes = [
            Wish(one.owner, line, "interaction.log", _talk(company.rng, one.id, at)) for at, one in batch
        ]
        await company.together(wishes, batch[-1][0])


def _talk(rng: random.Random, customer: UUID, at: datetime) -> dict[str, Any]:
    return {"customer_id": customer, "occurred_at": at, **words.interaction(rng)}


async def _tasks(company: Company, line: str) -> None:
    mine = [one for one in company.known if one.line == line]
    chosen = company.rng.sample(mine, len(mine) // 8)
    wishes = [Wish(one.owner, line, "task.create", _task(company, one.id)) for one in chosen]
    for batch in _batches(wishes):
        await company.together(batch, company.now)


def _task(company: Company, customer: UUID) -> dict[str, Any]:
    due = (company.now + timedelta(days=company.rng.randint(1, 21))).date()
    return {"customer_id": customer, "due_on": due, **words.task(company.rng)}


def _approvals(company: Company, administrator: Actor) -> Callable[[], Awaitable[None]]:
    """A customer given up needs the line manager's signature; one such wish waits in the first line."""

    async def step() -> None:
        crm = system(tuple(company.lines), "demo")
        for line in company.lines:
            grant = {"user_id": administrator.user_id, "role": "line_manager", "line": line}
            await company.do(crm, "role.grant", grant)
            await company.do(
                await company.again(administrator.user_id), "approval_policy.set", _POLICY, line=line
            )
        one = next(one for one in company.known if one.line == company.lines[0])
        wish = {"id": one.id, "stage": "LOST"}
        await company.do(one.owner, "customer.move_stage", wish, line=one.line, reason="客户已选择其他品牌")

    return step


_POLICY: Final[dict[str, Any]] = {
    "name": "giving_up",
    "commands": ["customer.move_stage"],
    "title": "流失与黑名单审批",
    "enabled": True,
    "stages": [{"name": "业务线经理", "slots": [{"role": "line_manager"}]}],
    "condition": {"all": [{"field": "stage", "op": "IN", "value": ["LOST", "BLACKLISTED"]}]},
}


def _batches(entries: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]


__all__ = ["Company", "Demo", "fill", "prepare"]
