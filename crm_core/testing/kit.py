"""The test kit for us and for plugin authors: a small deployment on either database, actors, a GraphQL client.

Loaded as a pytest plugin it gives the fixture `crm`, once on SQLite and once on PostgreSQL. Override the fixtures
`crm_lines` (line → plugins), `crm_candidates` (plugins besides the installed ones) or `crm_settings` to shape it, and
`crm_prepared` to have what many tests begin with made once.
"""

from __future__ import annotations

import gc
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest
import strawberry
from graphql import GraphQLError, get_operation_ast
from sqlalchemy import event, select

from crm_core import ids, migrate
from crm_core.access.queries import actor_of, secret_hash, show_token
from crm_core.actors import Actor, Reach, system
from crm_core.commands import Command, Options, Outcome
from crm_core.db.session import Database, open_database
from crm_core.errors import Fault, Language
from crm_core.graphql.build import build, core_schema
from crm_core.graphql.context import Context, Then
from crm_core.graphql.execution import Executor
from crm_core.graphql.sharing import Sharing, Text
from crm_core.keyring import Keyring
from crm_core.loader import Candidate, installed, load, parts_of
from crm_core.outbox.loop import work_off
from crm_core.registry import Registry
from crm_core.settings import Limits, LineSettings, Settings
from crm_core.testing.memory import Memory
from crm_core.testing.postgres import Server
from crm_core.work import Services, perform

KEYS = Keyring.generate_text()
INDEX_KEY = Keyring.generate_index_text()
PATIENT = Limits(statement_seconds=60)
"""A busy machine that runs tests is no slow statement."""
DIALECTS: Final = ("sqlite", "postgresql")
START = datetime(2025, 11, 3, 2, 0, tzinfo=UTC)


class FrozenClock:
    """A clock that stands still until it is moved; starts on Monday 2025-11-03, 10:00 in Shanghai."""

    def __init__(self, now: datetime = START) -> None:
        """Show this moment."""
        self.now = now

    def __call__(self) -> datetime:
        """The moment shown, UTC."""
        return self.now

    def advance(self, **how_far: float) -> None:
        """Move on, e.g. `advance(days=3)`."""
        self.now += timedelta(**how_far)


class Statements(list[str]):
    """The SQL statements of a block, transaction control left out."""


@dataclass
class Answer:
    """A GraphQL answer: `data`, `errors` (as dictionaries), and the codes of the errors."""

    data: dict[str, Any] | None
    errors: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    """Why the interpreter answered; None: a compiled statement did."""
    detail: str = ""

    @property
    def compiled(self) -> bool:
        """Whether compiled statements answered."""
        return self.reason is None

    @property
    def codes(self) -> list[str]:
        """Codes of the errors."""
        return [e.get("extensions", {}).get("code", "") for e in self.errors]


@dataclass
class Kit:
    """A running deployment. `ask` goes through the schema, `perform` through the commands.

    `prepared` is what `crm_prepared` gave, still bound to the deployment it was made on: `replace(crm.prepared, crm=crm)`.
    """

    services: Services
    schema: strawberry.Schema
    clock: FrozenClock
    administrator: Actor
    prepared: Any = None
    memory: Memory = field(default_factory=Memory, repr=False)

    @cached_property
    def executor(self) -> Executor:
        """What answers, compiled statements first."""
        return self._executor(compiled=True)

    @cached_property
    def interpreter(self) -> Executor:
        """What answers without compiled statements."""
        return self._executor(compiled=False)

    @cached_property
    def _sharing(self) -> Sharing:
        return self.memory.sharing(self.services, core_schema(self.schema))

    def _executor(self, *, compiled: bool) -> Executor:
        return self.memory.executor(self.services, core_schema(self.schema), compiled=compiled)

    @property
    def database(self) -> Database:
        """Its database."""
        return self.services.database

    async def ask(
        self,
        document: str,
        actor: Actor | None = None,
        *,
        line: str | None = None,
        language: Language = "en",
        operation: str | None = None,
        compiled: bool | None = None,
        **variables: Any,
    ) -> Answer:
        """Ask as this actor (default: an administrator of all lines).

        `compiled` True: by a compiled statement, or the test fails; False: by the interpreter.
        """
        who = actor or self.administrator
        text = self._sharing.read(document)
        if not isinstance(text, Text):
            return Answer(None, [e.formatted for e in text])  # type: ignore[misc]
        node = get_operation_ast(text.document, operation)
        assert node is not None, "no such operation"
        executor = self.executor if compiled is not False else self.interpreter
        async with AsyncExitStack() as linger:
            context = self._context(who, line, language, linger)
            asked = executor.operation(text.document, node, text.places)
            done = await executor.execute(asked, variables, context, text)
        assert compiled is not True or done.compiled, f"not compiled: {done.reason}"
        data = orjson.loads(done.data) if isinstance(done.data, bytes) else done.data
        return Answer(data, [_formatted(e) for e in done.errors], done.reason, done.detail)

    async def data(self, document: str, actor: Actor | None = None, **variables: Any) -> Any:
        """The data of an answer that must have no errors."""
        answer = await self.ask(document, actor, **variables)
        assert not answer.errors, answer.errors
        return answer.data

    async def change(self, mutation: str, actor: Actor | None = None, **arguments: Any) -> dict[str, Any]:
        """One mutation by name, e.g. `change("customerCreate", input={…}, select="customer { id }")`; its payload."""
        chosen = arguments.pop("select", "")
        line = arguments.pop("acting", None)
        language = arguments.pop("language", "en")
        kind = core_schema(self.schema).mutation_type
        assert kind is not None
        types = {name: kind.fields[mutation].args[name].type for name in arguments}
        head = ", ".join(f"$given_{name}: {type_}" for name, type_ in types.items())
        passed = ", ".join(f"{name}: $given_{name}" for name in arguments)
        text = f"mutation({head}) {{ {mutation}({passed}) {{ userErrors {{ code message field rule }} {chosen} }} }}"
        answer = await self.ask(
            text,
            actor,
            line=line,
            language=language,
            **{f"given_{name}": value for name, value in arguments.items()},
        )
        assert not answer.errors, answer.errors
        assert answer.data is not None
        payload: dict[str, Any] = answer.data[mutation]
        return payload

    async def done(self, mutation: str, actor: Actor | None = None, **arguments: Any) -> dict[str, Any]:
        """Like `change`, for a mutation that must not be refused."""
        payload = await self.change(mutation, actor, **arguments)
        assert payload["userErrors"] == [], payload["userErrors"]
        return payload

    async def perform(
        self, kind: str, body: Mapping[str, Any] | Command, actor: Actor | None = None, **options: Any
    ) -> Outcome:
        """A command without GraphQL, as the CLI or an import would perform it."""
        outcome, _ = await perform(self.services, actor or self.administrator, kind, body, Options(**options))
        return outcome

    async def actor(
        self,
        name: str,
        scopes: Mapping[str, Reach] | None = None,
        *,
        lines: Sequence[str] = ("east",),
        role: str | None = None,
        team: UUID | None = None,
        leads: bool = False,
    ) -> Actor:
        """A new user with a role of these scopes in these lines (or a seeded `role`), in a team if one is given."""
        user = await self._done("user.create", {"login": name, "name": name})
        if scopes is not None:
            role = f"role of {name}"
            given = [{"scope": s, "reach": int(r)} for s, r in scopes.items()]
            await self._done("role.define", {"name": role, "scopes": given})
        for line in lines if role else ():
            await self._done("role.grant", {"user_id": user, "role": role, "line": line})
        if team is not None:
            await self._done("team.set_member", {"id": team, "user_id": user, "leads": leads})
        return await self.again(user)

    async def again(self, user_id: UUID | None) -> Actor:
        """The user as an actor with the rights he has now."""
        assert user_id is not None
        return await actor_of(self.database.fetch, self.services.registry, user_id)

    async def team(self, name: str, line: str = "east", parent: UUID | None = None) -> UUID:
        """A new team."""
        return await self._done("team.create", {"name": name, "line": line, "parent_id": parent})

    async def token(self, actor: Actor, **more: Any) -> str:
        """A token of this actor, as a client would send it."""
        secret = secrets.token_hex(32)
        body = {"user_id": actor.user_id, "name": "test", "secret_hash": secret_hash(secret), **more}
        return show_token(await self._done("token.create", body), secret)

    async def passed_on(self) -> None:
        """Have everything recorded so far numbered and taken in by all receivers, as the loop of a server does."""
        await work_off(self.services)

    async def rows(self, model: Any) -> list[Any]:
        """All rows of a table, unseen by any row rule."""
        return list(await self.database.fetch(select(model.__table__)))

    def advance_working_days(self, days: int, line: str = "east") -> None:
        """Move the clock to the same hour, so many working days of the line later (make-up days count)."""
        zone = ZoneInfo(self.services.settings.lines[line].time_zone)
        local = self.clock.now.astimezone(zone)
        due = self.services.calendar(line).add_working_days(local.date(), days)
        self.clock.now = datetime.combine(due.date, local.time(), zone).astimezone(UTC)

    @contextmanager
    def statements(self) -> Iterator[Statements]:
        """Collect the SQL statements of a block: `with crm.statements() as sent: …; assert len(sent) == 3`."""
        sent = Statements()

        def note(_c: Any, _k: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:  # noqa: FBT001
            if (
                not statement.startswith(("BEGIN", "SELECT 1", "ROLLBACK", "COMMIT", "SAVEPOINT", "RELEASE"))
                or "FROM" in statement
            ):
                sent.append(statement)

        engines = [self.database.writes.sync_engine]  # on PostgreSQL the reading side is the same engine
        if self.database.dialect == "sqlite":
            engines.append(self.database.reads.sync_engine)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        self.database.heard.append(sent.append)
        try:
            yield sent
        finally:
            self.database.heard.remove(sent.append)
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)

    def context(self, actor: Actor | None = None) -> Context:
        """What a request of this actor carries; it performs nothing."""
        return self._context(actor or self.administrator, None, "en", AsyncExitStack())

    async def _done(self, kind: str, body: Mapping[str, Any]) -> UUID:
        outcome, _ = await perform(self.services, self.administrator, kind, body, Options(channel="test"))
        assert not outcome.errors, outcome.errors
        return outcome.ids[0]

    def _context(self, actor: Actor, line: str | None, language: Language, linger: AsyncExitStack) -> Context:
        services = self.services

        async def run(kind: str, body: Mapping[str, Any], options: Options, then: Then | None = None) -> Any:
            await linger.aclose()
            return await perform(services, actor, kind, body, options, linger, then)

        return Context(
            actor=actor,
            access=services.access(actor),
            services=services,
            fetch=services.database.fetch,
            answer=services.database.answer,
            perform=run,
            limits=services.settings.limits,
            language=language,
            messages=services.registry.messages,
            plugin_lines={p.name: services.registry.lines_of(p.name) for p in services.registry.plugins},
            request_id="test",
            line=line,
        )


def _formatted(error: GraphQLError) -> dict[str, Any]:
    found: dict[str, Any] = dict(error.formatted)
    if isinstance(error.original_error, Fault):
        found["extensions"] = {"code": error.original_error.code}
    elif error.original_error is not None and not isinstance(error.original_error, GraphQLError):
        raise error.original_error
    return found


# -- fixtures


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    """Business lines of the deployment with their plugins."""
    return {"east": (), "west": ()}


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    """Plugins besides the installed ones."""
    return ()


@pytest.fixture
def crm_settings() -> Mapping[str, Any]:
    """Further settings, e.g. `{"limits": …}` or `{"rooms": {"customers": {…}}}`."""
    return {}


Prepare: TypeAlias = Callable[[Kit], Awaitable[Any]]


@pytest.fixture
def crm_prepared() -> Prepare | None:
    """What is done to the deployment before the test has it; done once, each test gets a copy of database and store.

    What it returns is `crm.prepared`. The clock stands where it was left.
    """
    return None


@dataclass(frozen=True)
class Template:
    """A database with its administrator, and the registry and schema it was made for; copied per test.

    `intended` is the registry before its migrations, of which `failures` failed.
    """

    url: str
    administrator: UUID
    intended: Registry
    failures: Mapping[str, str]
    registry: Registry
    schema: strawberry.Schema
    candidates: Sequence[Candidate]
    memory: Memory
    now: datetime = START
    prepared: Any = None
    store: Path | None = None


@pytest.fixture(scope="session")
def crm_templates() -> dict[tuple[Any, ...], Template]:
    """Templates by what they were made for."""
    return {}


@pytest.fixture(params=DIALECTS)
def crm_dialect(request: pytest.FixtureRequest) -> str:
    """On which database the test runs; both by default."""
    return str(request.param)


@pytest.fixture
async def crm(
    crm_dialect: str,
    crm_lines: Mapping[str, Sequence[str]],
    crm_candidates: Sequence[Candidate],
    crm_settings: Mapping[str, Any],
    crm_prepared: Prepare | None,
    crm_templates: dict[tuple[Any, ...], Template],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Kit]:
    """A fresh deployment, its database built by migrations."""
    settings = Settings(
        lines={code: LineSettings(name=code, plugins=list(plugins)) for code, plugins in crm_lines.items()},
        keys=KEYS,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=INDEX_KEY,  # type: ignore[arg-type]
        store=tmp_path / "store",
        **{"limits": PATIENT, **crm_settings},
    )
    place = _Place(crm_dialect, tmp_path_factory, request)
    lines = sorted((line, tuple(plugins)) for line, plugins in crm_lines.items())
    made_for = (*lines, repr(crm_settings), *crm_candidates)
    key = (crm_dialect, *made_for)
    if key not in crm_templates:
        other = next(
            (crm_templates[one, *made_for] for one in DIALECTS if (one, *made_for) in crm_templates), None
        )
        crm_templates[key] = await _template(place, settings, crm_candidates, other)
    if crm_prepared is not None:
        template, key = crm_templates[key], (*key, crm_prepared)
        if key not in crm_templates:
            crm_templates[key] = await _prepared(place, settings, template, crm_prepared)
    template = crm_templates[key]
    url, drop = place.copy(template.url, tmp_path)
    if template.store is not None and template.store.exists():
        shutil.copytree(template.store, settings.store)
    try:
        async with _opened(settings.model_copy(update={"database_url": url}), template) as kit:
            yield kit
    finally:
        drop()


@asynccontextmanager
async def _opened(settings: Settings, template: Template) -> AsyncIterator[Kit]:
    services = _services(settings, template.registry, template.now)
    template.memory.lend(services.database)
    try:
        administrator = await actor_of(services.database.fetch, template.registry, template.administrator)
        clock: FrozenClock = services.clock  # type: ignore[assignment]  # `_services` put it there
        yield Kit(services, template.schema, clock, administrator, template.prepared, template.memory)
    finally:
        await services.database.dispose()


def _services(settings: Settings, registry: Registry, now: datetime = START) -> Services:
    keyring = Keyring.parse(settings.keys.get_secret_value(), settings.index_key.get_secret_value())
    return Services(settings, registry, open_database(settings), keyring, FrozenClock(now))


async def _template(
    place: _Place, settings: Settings, extra: Sequence[Candidate], other: Template | None
) -> Template:
    """A template; what the `other` database's was made with is the same and taken from it."""
    settings = settings.model_copy(update={"database_url": place.empty()})
    candidates = [*installed(), *extra]
    registry = intended = other.intended if other else load(settings, candidates)
    await migrate.upgrade(settings, intended, START)
    services = _services(settings, intended)
    try:
        failures = await migrate.failures(services.database)
        if other and failures == other.failures:
            registry, schema = other.registry, other.schema
        else:
            registry = load(settings, candidates, failures) if failures else intended
            schema = build(parts_of(registry))
        services = replace(services, registry=registry)
        user = await _administrator(services)
        memory = Memory.of(services, core_schema(schema))
    finally:
        await services.database.dispose()
    gc.collect()
    gc.freeze()  # registry and schema stay as long as the process; the collector need not look through them again
    return Template(settings.database_url, user, intended, failures, registry, schema, extra, memory)


async def _prepared(place: _Place, settings: Settings, template: Template, prepare: Prepare) -> Template:
    """The template after what many tests begin with."""
    folder = place.folder()
    url, _ = place.copy(template.url, folder)
    here = settings.model_copy(update={"database_url": url, "store": folder / "store"})
    async with _opened(here, template) as kit:
        prepared = await prepare(kit)
    return replace(template, url=url, now=kit.clock.now, prepared=prepared, store=here.store)


async def _administrator(services: Services) -> UUID:
    lines = tuple(services.registry.lines)
    outcome, _ = await perform(
        services, system(lines), "user.create", {"login": "admin", "name": "admin"}, Options()
    )
    user = outcome.ids[0]
    grant = {"user_id": user, "role": "administrator"}
    given, _ = await perform(services, system(lines), "role.grant", grant, Options())
    assert not outcome.errors + given.errors, outcome.errors + given.errors
    return user


@dataclass
class _Place:
    """Where databases of one kind are made and copied."""

    dialect: str
    folders: pytest.TempPathFactory
    request: pytest.FixtureRequest

    @property
    def _server(self) -> Server:
        server: Server = self.request.getfixturevalue("postgres_server")
        return server

    def empty(self) -> str:
        name = ids.uuid7().hex
        if self.dialect == "sqlite":
            return f"sqlite:///{self.folder() / f'{name}.db'}"
        return self._server.create_database(f"template_{name}")

    def folder(self) -> Path:
        return self.folders.mktemp("template")

    def copy(self, template: str, folder: Path) -> tuple[str, Any]:
        if self.dialect == "sqlite":
            target = folder / "crm.db"
            shutil.copy(template.removeprefix("sqlite:///"), target)
            return f"sqlite:///{target}", lambda: None
        name = f"test_{ids.uuid7().hex}"
        source = template.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
        return self._server.create_database(name, source), lambda: self._server.drop_database(name)


__all__ = ["Answer", "FrozenClock", "Kit", "Statements"]
