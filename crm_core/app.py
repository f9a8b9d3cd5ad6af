"""Composition root: settings in, ASGI app out."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from crm_core import migrate
from crm_core import settings as configuration
from crm_core.access.authentication import Authenticator
from crm_core.approvals_page import ROUTE, approval_page
from crm_core.chores import run_due
from crm_core.db.session import Database, open_database
from crm_core.errors import ConfigurationError, Fault
from crm_core.graphql.event_stream import EventStream, wants_events
from crm_core.graphql.following import Following
from crm_core.graphql.page import installed_assets, query_page
from crm_core.graphql.serving import GraphQLServer
from crm_core.graphql.socket import TRY_LATER, Socket
from crm_core.incoming_http import HOOKS_ROUTE, incoming_hooks
from crm_core.keyring import Keyring, KeyringError
from crm_core.loader import Candidate, load
from crm_core.logs import logger
from crm_core.metrics import Metrics
from crm_core.papers_http import PAPER_ROUTE, PAPERS_ROUTE, Desk, Papers
from crm_core.schema import schema_of
from crm_core.settings import Settings
from crm_core.stirring import first_of
from crm_core.work import Services, perform
from crm_core.working import run_workers

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Clock = Callable[[], datetime]
COLLECTED_AFTER: Final = (20_000, 5, 5)
"""New objects, then collections of the younger generation, after which the garbage collector looks again."""
REACH_SECONDS: Final = 2.0
"""How often a process that only works in the background tries whether the database answers."""


def create_app(
    settings: Settings,
    *,
    candidates: Sequence[Candidate] | None = None,
    clock: Clock | None = None,
    log: FilteringBoundLogger | None = None,
    settled: Callable[[], None] = lambda: None,
    ending: Callable[[Callable[[], None]], AbstractContextManager[None]] = lambda _end: nullcontext(),
) -> Starlette:
    """The app of a deployment. `candidates`: plugins that may be loaded (default: the installed ones).

    `settled` is called once, when everything that lives as long as the process is put together. `ending` is entered while
    the app runs, with what is to be called as soon as the process is told to stop: live subscriptions end then.

    It starts while the database is out of reach and recovers by itself; it refuses to start on a database that lacks
    revisions. Raises `ConfigurationError` for wrong settings.
    """
    told = log or logger(settings.log_level)
    house = House(settings, candidates, clock or utc_now, told, settled)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        stop = asyncio.Event()
        doing: asyncio.Task[None] | None = None
        try:
            await house.open()
            doing = asyncio.create_task(house.work(stop))
            with ending(house.end_streams):
                yield
        finally:
            house.end_streams()
            stop.set()
            if doing is not None:
                await asyncio.wait([doing])
            await house.database.dispose()

    app = Starlette(routes=_routes(house, _assets(settings)), lifespan=lifespan)
    app.state.house = house
    return app


def from_environment() -> Starlette:
    """The app of the settings in `crm.toml` and the environment: what worker processes start."""
    settings = configuration.load(None, os.environ)
    return create_app(settings, settled=spare_the_collector, ending=at_the_signal)


@contextmanager
def at_the_signal(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` when the process is told to stop, besides what happens then anyway; only in a main thread.

    The server waits for its answers to end before it tells the app that it stops: live ones would not.
    """
    loop = asyncio.get_running_loop()
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

    def hear(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        known = before[signal.Signals(number)]
        if callable(known):
            known(number, frame)

    for one in before:
        signal.signal(one, hear)
    try:
        yield
    finally:
        for one, known in before.items():
            signal.signal(one, known)


def spare_the_collector() -> None:
    """Tune the garbage collector of a process that serves: what it starts with stays, and it is searched seldom.

    Requests leave few cycles behind, so looking for them after every 700 objects costs more than it frees. The second
    look finds nothing left to look at: the collector puts off looking at everything until there is a quarter more.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
    gc.set_threshold(*COLLECTED_AFTER)


def keyring_of(settings: Settings) -> Keyring:
    """The deployment's keys; `ConfigurationError` says what is missing and how to make it."""
    keys, index_key = settings.keys.get_secret_value(), settings.index_key.get_secret_value()
    if not keys or not index_key:
        raise ConfigurationError(
            "Settings keys and index_key are missing; `crm doctor` makes them (缺少密钥，crm doctor 可生成)"
        )
    try:
        return Keyring.parse(keys, index_key)
    except KeyringError as error:
        raise ConfigurationError(f"Setting keys or index_key: {error} (密钥配置不正确)") from None


async def services_of(
    settings: Settings,
    database: Database,
    *,
    candidates: Sequence[Candidate] | None = None,
    clock: Clock | None = None,
) -> Services:
    """What performs commands on this database; raises `Behind` if it lacks revisions, `Unavailable` if it is away."""
    registry = load(settings, candidates, await migrate.failures(database))
    lacking = await migrate.behind(database, registry)
    if lacking:
        words = "; ".join(f"{owner} is {what}" for owner, what in sorted(lacking.items()))
        raise migrate.Behind(
            f"The database is behind: {words}. Run `crm db upgrade` (数据库版本落后，请运行 crm db upgrade)"
        )
    return Services(settings, registry, database, keyring_of(settings), clock or utc_now)


class House:
    """The running parts of one app; they are put together as soon as the database answers."""

    def __init__(
        self,
        settings: Settings,
        candidates: Sequence[Candidate] | None,
        clock: Clock,
        log: FilteringBoundLogger,
        settled: Callable[[], None],
    ) -> None:
        """Check the settings; nothing connects yet."""
        keyring_of(settings)
        self.settings = settings
        self.database = open_database(settings)
        self.metrics = Metrics()
        self.metrics.watch(self.database)
        self.log = log
        self._candidates, self._clock, self._settled = candidates, clock, settled
        self._server: GraphQLServer | None = None
        self._following: Following | None = None
        self._services: Services | None = None
        self._desk: Desk | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Put everything together, or note that the database is away; a database that is behind is refused."""
        try:
            await self.server()
        except Fault as fault:
            self.log.warning("database out of reach; serving 503 until it answers", reason=str(fault))

    async def work(self, stop: asyncio.Event) -> None:
        """Do everything that goes on in the background, until `stop` is set: workers, and what is due by the clock."""
        chores = asyncio.create_task(self.do_chores()) if self.settings.chore_seconds else None
        try:
            if await self._reached(stop):
                await run_workers(self.services, stop, self.log)
        except Exception:
            self.log.exception("background work failed")
        finally:
            if chores is not None:
                chores.cancel()
                await asyncio.wait([chores])

    async def _reached(self, stop: asyncio.Event) -> bool:
        """Wait until the database was reached once; False: stopped before."""
        while not stop.is_set():
            try:
                await self.server()
            except (Fault, ConfigurationError):
                await first_of(REACH_SECONDS, stop)
            else:
                return True
        return False

    async def do_chores(self) -> None:
        """Until cancelled, look every so often for work due by the clock; nothing that happens ends it."""
        while True:
            await asyncio.sleep(self.settings.chore_seconds)
            try:
                await self.server()
                await run_due(self.services, self._clock(), self.log)
            except (Fault, ConfigurationError) as problem:
                self.log.warning("chores are put off", reason=str(problem))
            except Exception:  # the next look may go well
                self.log.exception("looking for chores failed")

    async def server(self) -> GraphQLServer:
        """What answers GraphQL; raises `Unavailable` until the database was reached once."""
        if self._server is None:
            async with self._turn:
                if self._server is None:
                    self._server = await self._put_together()
                    self._settled()
        return self._server

    async def _put_together(self) -> GraphQLServer:
        services = await services_of(
            self.settings, self.database, candidates=self._candidates, clock=self._clock
        )
        services = replace(services, count=self.metrics.work)
        self._services, authenticator = services, Authenticator(services)
        self._desk = Desk(services, authenticator)
        quarantined = [p for p in services.registry.plugins if p.state == "quarantined"]
        self.metrics.quarantined(len(quarantined))
        for plugin in quarantined:
            self.log.error("plugin quarantined", plugin=plugin.name, reason=plugin.reason, lines=plugin.lines)
        server = GraphQLServer(
            services,
            schema_of(services.registry),
            authenticator=authenticator,
            perform=perform,
            log=self.log,
            served=self.metrics.served,
        )
        for document in server.left_out:
            self.log.error("persisted document left out", document=document)
        self._following = Following(server, services, watch=self.metrics.streams)
        return server

    async def following(self) -> Following:
        """What answers live subscriptions; raises `Unavailable` until the database was reached once."""
        await self.server()
        assert self._following is not None
        return self._following

    def end_streams(self) -> None:
        """End every live subscription: the process is about to stop."""
        if self._following is not None:
            self._following.closing.set()

    async def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether requests can be answered now, and what to show for it."""
        try:
            await self.server()
            lacking = await migrate.behind(self.database, self.services.registry)
        except (Fault, ConfigurationError) as problem:
            return False, {"ready": False, "reason": str(problem)}
        found = {p.name: p.reason for p in self.services.registry.plugins if p.state == "quarantined"}
        shown: dict[str, object] = {"ready": not lacking, "quarantined": found}
        if lacking:
            shown |= {"reason": "The database is behind; run `crm db upgrade`.", "behind": lacking}
        return not lacking, shown

    async def ready_services(self) -> Services:
        """The services; raises `Unavailable` until the database was reached once."""
        await self.server()
        return self.services

    async def desk(self) -> Desk:
        """What answers for papers; raises `Unavailable` until the database was reached once."""
        await self.server()
        assert self._desk is not None
        return self._desk

    @property
    def services(self) -> Services:
        """The services, once the database was reached."""
        if self._services is None:
            raise RuntimeError("the database was not reached yet")
        return self._services


class _GraphQL:
    """The endpoint `/graphql`: an ASGI app of its own, without a framework's wrapping around each request."""

    def __init__(self, house: House, assets: Path | None) -> None:
        self._house, self._assets = house, assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if wants_events(scope):
            await self._follow(scope, receive, send)
            return
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        house = self._house
        try:
            following = await house.following()
        except (Fault, ConfigurationError) as problem:
            await _away(problem)(scope, receive, send)
            return
        await EventStream(following, house.settings.limits.body_bytes, house.log)(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "GET" and _wants_page(request):
            return query_page(graphiql=self._assets is not None)
        try:
            server = await self._house.server()
        except (Fault, ConfigurationError) as problem:
            return _away(problem)
        return await server.handle(request)


def _routes(house: House, assets: Path | None) -> list[BaseRoute]:
    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        ready, shown = await house.readiness()
        return _json(shown, 200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(house.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def socket(websocket: WebSocket) -> None:
        try:
            following = await house.following()
        except (Fault, ConfigurationError):
            await websocket.accept()
            await websocket.close(TRY_LATER, "Try again later")
            return
        await Socket(following, websocket, house.log).run()

    papers = Papers(house.desk, house.log)
    routes: list[BaseRoute] = [
        Route("/graphql", _GraphQL(house, assets), methods=["GET", "POST"]),
        WebSocketRoute("/graphql", socket),
        Route(ROUTE, approval_page(house.ready_services, house.log), methods=["GET", "POST"]),
        Route(PAPERS_ROUTE, papers.take, methods=["POST"]),
        Route(PAPER_ROUTE, papers.give, methods=["GET"]),
        Route(HOOKS_ROUTE, incoming_hooks(house.ready_services, house.log), methods=["GET", "POST"]),
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
    ]
    if assets is not None:
        routes.insert(0, Mount("/graphql/assets", StaticFiles(directory=assets)))
    return routes


def _wants_page(request: Request) -> bool:
    asks = not {"query", "documentId", "extensions"}.isdisjoint(request.query_params)
    return not asks and "text/html" in request.headers.get("accept", "")


def _away(problem: Fault | ConfigurationError) -> Response:
    code = problem.code if isinstance(problem, Fault) else _misconfigured(problem)
    body = {"errors": [{"message": str(problem), "extensions": {"code": code}}]}
    return _json(body, 503, {"retry-after": "2"})


def _misconfigured(problem: ConfigurationError) -> str:
    return "DATABASE_BEHIND" if isinstance(problem, migrate.Behind) else "MISCONFIGURED"


def _json(body: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json; charset=utf-8")


def _assets(settings: Settings) -> Path | None:
    folder = settings.graphiql_assets or Path(sys.prefix) / "share" / "crm" / "graphiql"
    return folder if installed_assets(folder) else None


def utc_now() -> datetime:
    """The moment, UTC."""
    return datetime.now(UTC)


__all__ = [
    "House",
    "create_app",
    "from_environment",
    "keyring_of",
    "services_of",
    "spare_the_collector",
    "utc_now",
]
