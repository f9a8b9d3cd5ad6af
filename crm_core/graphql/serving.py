"""Answers GraphQL requests over HTTP: credential, document, limits, execution, and errors a client can act on."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import orjson
import strawberry
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from crm_core.actors import Actor
from crm_core.commands import Options, Outcome
from crm_core.errors import UNKNOWN_LINE, Fault, Language, Unavailable, preferred_language
from crm_core.graphql.context import Context, Fetch, Then
from crm_core.graphql.documents import Documents
from crm_core.graphql.execution import Executed, Executor, Operation
from crm_core.graphql.limits import refuse_excess
from crm_core.graphql.live import Subscription, subscription_of
from crm_core.graphql.persisted import opened
from crm_core.graphql.requests import (
    GRAPHQL_JSON,
    JSON,
    Asked,
    Headers,
    HttpError,
    asked_by,
    coded,
    malformed,
    media_of,
)
from crm_core.graphql.sharing import Sharing, Text
from crm_core.logs import logger

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from crm_core.work import Services

MOST_ERRORS_SHOWN: Final = 100
RETRY_SECONDS: Final = "2"
MOST_TOLD: Final = 100
_LIVE_ELSEWHERE: Final = (
    "Subscriptions are answered as text/event-stream (Accept) or over a websocket, graphql-transport-ws"
    " (订阅请使用 SSE 或 WebSocket)."
)
_DECLARED = frozenset({"caller", "declaration", "filter", "statement"})
"""Why a document is not compiled, where some declaration is the reason."""
AWAY: Final = frozenset({"DATABASE_UNAVAILABLE", "DATABASE_BUSY", "DATABASE_FULL"})
"""Codes of a database that may answer the next time."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Authenticate(Protocol):
    """Turns a credential into an actor."""

    async def actor(self, authorization: str | None, language: Language) -> Actor:
        """The actor of an `Authorization` header; raises `Unauthenticated`."""
        ...

    def is_use_due(self, actor: Actor) -> bool:
        """Whether the use of the actor's token is to be written down."""
        ...

    async def note_use(self, actor: Actor) -> None:
        """Write down that the actor's token was used."""
        ...


class Perform(Protocol):
    """Performs one command in one transaction."""

    async def __call__(  # the signature of `work.perform`
        self,
        services: Services,
        actor: Actor,
        kind: str,
        body: Mapping[str, Any],
        options: Options,
        linger: AsyncExitStack | None = None,
        then: Then | None = None,
    ) -> tuple[Outcome, Fetch | None]:
        """The outcome, and for a lingering dry run the way to read inside its transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What is known of an answered request, for logs and metrics.

    `read`: "compiled" where compiled statements answered, else why they did not; None: nothing was executed.
    """

    operation: str
    status: int
    seconds: float
    codes: tuple[str, ...]
    read: str | None = None


@dataclass
class Exchange:
    """One request on its way to an answer."""

    method: str
    headers: Mapping[str, str]
    request_id: str
    language: Language
    media: str = JSON
    operation: str = "none"
    actor: Actor | None = None
    cost: dict[str, int] | None = None
    reason: str | None = None
    codes: list[str] = field(default_factory=list)


class GraphQLServer:
    """Serves one schema; `handle` answers a request and never raises.

    The credential is checked before the body is read. A header `X-CRM-Line` narrows what is read to that line and is
    the default line of writes; an argument `line` of a mutation goes before it.
    """

    def __init__(
        self,
        services: Services,
        schema: strawberry.Schema,
        *,
        authenticator: Authenticate,
        perform: Perform,
        log: FilteringBoundLogger | None = None,
        served: Callable[[Served], None] = lambda _served: None,
        timer: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        """`served` hears of every answer; `timer` gives seconds; `new_id` gives request ids.

        `left_out` names the persisted documents that a plugin in quarantine makes invalid. Raises
        `ConfigurationError` when persisted documents are not valid though every plugin loaded.
        """
        self._services = services
        self._schema: GraphQLSchema = schema._schema  # noqa: SLF001  # Strawberry has no other door
        self._authenticator = authenticator
        self._perform = perform
        self._log = log or logger(services.settings.log_level)
        self._served = served
        self._timer = timer
        self._new_id = new_id or _counted(secrets.token_hex(6))
        self._limits = services.settings.limits
        self._documents = Documents(self._schema, self._limits.tokens)
        registry = services.registry
        self._persisted, self.left_out = opened(
            services.settings.persisted_documents,
            self._documents,
            only=services.settings.only_persisted,
            forgiving=any(plugin.state == "quarantined" for plugin in registry.plugins),
        )
        self._sharing = Sharing(self._schema, self._documents)
        self._executor = Executor(
            self._schema,
            registry.types,
            services.database.reads.dialect,
            self._limits,
            compiled=services.settings.compiled_reads,
        )
        self._told: set[tuple[str, str]] = set()
        self._plugin_lines = {p.name: registry.lines_of(p.name) for p in registry.plugins}

    async def handle(self, request: Request) -> Response:
        """The answer to a GraphQL request, by POST or GET."""
        begun = self._timer()
        exchange = self.exchange(request.method, Headers(request))
        headers: dict[str, str] = {}
        try:
            exchange.media = media_of(exchange.headers)
            status, answer = await self._answer(exchange, request)
        except HttpError as refusal:
            status, headers = refusal.status, refusal.headers
            answer = encoded(self.refusal(refusal, exchange))
        except Exception as error:  # noqa: BLE001  # the edge: masked and logged
            status, unexpected = self.unexpected(error, exchange)
            answer = encoded(unexpected)
        headers = {"x-request-id": exchange.request_id, "cache-control": "no-store", **headers}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = RETRY_SECONDS
        self.tell(exchange, status, self._timer() - begun)
        return Response(
            answer, status, headers, f"{exchange.media}; charset=utf-8", self._afterwards(exchange)
        )

    def exchange(self, method: str, headers: Mapping[str, str]) -> Exchange:
        """A request with these headers, by their lower-case names, before anything is done for it."""
        language = preferred_language(headers.get("accept-language"))
        return Exchange(method, headers, self._request_id(headers), language)

    def _request_id(self, headers: Mapping[str, str]) -> str:
        given = headers.get("x-request-id")
        return given if given is not None and _REQUEST_ID.fullmatch(given) else self._new_id()

    def refusal(self, refusal: HttpError, exchange: Exchange) -> dict[str, Any]:
        """The answer to a request that is not executed."""
        refused: dict[str, Any] = {"errors": self.shown(refusal.errors, exchange)}
        return refused | ({"extensions": {"cost": exchange.cost}} if exchange.cost else {})

    def shown(self, errors: Sequence[GraphQLError], exchange: Exchange) -> list[dict[str, Any]]:
        """Errors as a client sees them."""
        return [self._shown(error, exchange) for error in errors[:MOST_ERRORS_SHOWN]]

    def unexpected(self, error: Exception, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        """Status and answer for what nobody foresaw: masked, and logged in full."""
        located = GraphQLError(str(error), original_error=error)
        return _status_of_fault(error), {"errors": [self._shown(located, exchange)]}

    def tell(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Log and count an answer that took so long."""
        self._served(Served(exchange.operation, status, seconds, tuple(exchange.codes), exchange.reason))
        self._log.info(
            "request",
            request_id=exchange.request_id,
            operation=exchange.operation,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            actor=str(exchange.actor.user_id) if exchange.actor else None,
            read=exchange.reason,
            codes=exchange.codes[:10],
            cost=exchange.cost["requested"] if exchange.cost else None,
        )

    async def note_use(self, exchange: Exchange) -> None:
        """Write down that the token of a request was used, where that is due."""
        afterwards = self._afterwards(exchange)
        if afterwards is not None:
            await afterwards()

    def _afterwards(self, exchange: Exchange) -> BackgroundTask | None:
        actor = exchange.actor
        if actor is None or not self._authenticator.is_use_due(actor):
            return None
        return BackgroundTask(self._note_use, actor, exchange.request_id)

    async def _note_use(self, actor: Actor, request_id: str) -> None:
        try:
            await self._authenticator.note_use(actor)
        except Exception as error:  # noqa: BLE001  # the answer is out; a busy database must not spoil it
            self._log.warning("token use not noted", request_id=request_id, reason=str(error)[:200])

    # -- the steps of a request

    async def _answer(self, exchange: Exchange, request: Request) -> tuple[int, bytes]:
        actor = await self.actor(exchange)
        asked = await asked_by(request, exchange.headers, self._limits.body_bytes)
        text, node = self.operation(asked, exchange)
        if node.operation is OperationType.SUBSCRIPTION:
            raise HttpError(406, coded("NOT_ACCEPTABLE", _LIVE_ELSEWHERE))
        return await self.answered(exchange, actor, asked, text, node)

    def operation(self, asked: Asked, exchange: Exchange) -> tuple[Text, OperationDefinitionNode]:
        """The document a request asks for, and which operation of it; `HttpError` where there is none."""
        text = self._document(self._text(asked, exchange), exchange)
        return text, _operation(text.document, asked.operation_name)

    async def answered(
        self, exchange: Exchange, actor: Actor, asked: Asked, text: Text, node: OperationDefinitionNode
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a query or mutation."""
        operation = self._executor.operation(text.document, node, text.places)
        kind = operation.node.operation
        exchange.operation = kind.value
        if exchange.method == "GET" and kind is not OperationType.QUERY:
            raise HttpError(
                405, coded("METHOD_NOT_ALLOWED", "Send mutations by POST."), headers={"allow": "POST"}
            )
        self._limited(operation, asked.variables, exchange)
        async with _Performing(self._services, self._perform, actor) as performing:
            context = self._context(exchange, actor, performing)
            result = await self._executor.execute(operation, asked.variables, context, text)
        exchange.reason = result.reason or "compiled"
        if result.reason in _DECLARED:
            self._tell_why(result, node, exchange)
        return self._concluded(result, exchange)

    # -- live

    def subscription(
        self, exchange: Exchange, asked: Asked, text: Text, node: OperationDefinitionNode
    ) -> Subscription:
        """What a subscription follows; `HttpError` for one beyond the limits, or with wrong variables."""
        document = text.exact()
        exact = get_operation_ast(document, node.name.value if node.name else None)
        assert exact is not None
        exchange.operation = OperationType.SUBSCRIPTION.value
        operation = self._executor.operation(document, exact)
        most = self._limits.page_max
        try:
            found = subscription_of(self._schema, self._executor, operation, asked.variables, most)
        except GraphQLError as error:
            raise HttpError(_request_error_status(exchange), error) from None
        self._limited(found.query, asked.variables, exchange)
        return found

    async def read(
        self, exchange: Exchange, actor: Actor, operation: Operation, variables: Mapping[str, Any]
    ) -> Executed:
        """Read for somebody who follows a feed."""
        async with _Performing(self._services, self._perform, actor) as performing:
            context = self._context(exchange, actor, performing)
            return await self._executor.execute(operation, variables, context)

    def _tell_why(self, result: Executed, node: OperationDefinitionNode, exchange: Exchange) -> None:
        """Some declaration keeps a document from being compiled; its author learns of it, once."""
        what = (str(result.reason), result.detail[:200])
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(what)
            name = node.name.value if node.name else None
            self._log.warning(
                "not compiled", request_id=exchange.request_id, document=name, reason=what[0], detail=what[1]
            )

    async def actor(self, exchange: Exchange) -> Actor:
        """Who asks, as far as he may now; `HttpError` 401 for a credential that is none, or none any more."""
        given = exchange.headers.get("authorization")
        try:
            actor = await self._authenticator.actor(given, exchange.language)
        except Fault as fault:
            if fault.code != "UNAUTHENTICATED":
                raise
            error = GraphQLError(str(fault), extensions={"code": fault.code})
            raise HttpError(401, error, headers={"www-authenticate": 'Bearer realm="crm"'}) from None
        exchange.actor = actor
        return actor

    def _text(self, asked: Asked, exchange: Exchange) -> str:
        try:
            return self._persisted.text(asked.query, asked.document_id)
        except GraphQLError as error:
            raise HttpError(_request_error_status(exchange), error) from None

    def _document(self, query: str, exchange: Exchange) -> Text:
        found = self._sharing.read(query)
        if isinstance(found, Text):
            return found
        raise HttpError(_request_error_status(exchange), *found)

    def _limited(self, operation: Operation, variables: Mapping[str, Any], exchange: Exchange) -> None:
        try:
            found = operation.meter.measure(variables)
            exchange.cost = {"requested": found.cost, "limit": self._limits.cost}
            refuse_excess(found, self._limits)
        except GraphQLError as error:
            raise HttpError(_request_error_status(exchange), error) from None

    def _context(self, exchange: Exchange, actor: Actor, performing: _Performing) -> Context:
        line = exchange.headers.get("x-crm-line") or None
        reader = actor if line is None else _narrowed(actor, line, exchange)
        services = self._services
        return Context(
            actor=reader,
            access=services.access(reader),
            services=services,
            fetch=services.database.fetch,
            answer=services.database.answer,
            perform=performing,
            limits=self._limits,
            language=exchange.language,
            messages=services.registry.messages,
            plugin_lines=self._plugin_lines,
            request_id=exchange.request_id,
            line=line,
        )

    def _concluded(self, result: Executed, exchange: Exchange) -> tuple[int, bytes]:
        if isinstance(result.data, bytes) and not result.errors:
            cost = orjson.dumps(exchange.cost)
            return 200, b'{"data":' + result.data + b',"extensions":{"cost":' + cost + b"}}"
        data = orjson.loads(result.data) if isinstance(result.data, bytes) else result.data
        shown = [self._shown(error, exchange) for error in result.errors[:MOST_ERRORS_SHOWN]]
        extensions: dict[str, Any] = {"cost": exchange.cost}
        if len(result.errors) > len(shown):
            extensions["errorsLeftOut"] = len(result.errors) - len(shown)
        answer: dict[str, Any] = {"errors": shown} if shown else {}
        if data is None and shown and all(error.path is None for error in result.errors):
            return _request_error_status(exchange), encoded(answer | {"extensions": extensions})
        answer |= {"data": data, "extensions": extensions}
        nothing = not any(value is not None for value in (data or {}).values())
        away = not AWAY.isdisjoint(exchange.codes)
        return (503 if nothing and away else 200), encoded(answer)

    # -- errors

    def _shown(self, error: GraphQLError, exchange: Exchange) -> dict[str, Any]:
        code, message = self._code_and_message(error, exchange)
        exchange.codes.append(code)
        shown: dict[str, Any] = dict(error.formatted)
        shown["message"] = message
        shown["extensions"] = {**(error.extensions or {}), "code": code}
        if code in ("INTERNAL", "PLUGIN_FIELD_FAILED", *AWAY):
            shown["extensions"]["requestId"] = exchange.request_id
        return shown

    def _code_and_message(self, error: GraphQLError, exchange: Exchange) -> tuple[str, str]:
        cause = error.original_error
        if isinstance(cause, Fault):
            if cause.__cause__ is not None and not isinstance(cause, Unavailable):
                self._report(cause.__cause__, cause.code, error, exchange)
            return cause.code, str(cause)
        if cause is None or isinstance(cause, GraphQLError):
            return str((error.extensions or {}).get("code", "BAD_USER_INPUT")), error.message
        if isinstance(cause, PoolTimeoutError):
            return "DATABASE_BUSY", "All database connections are in use; try again (数据库连接繁忙，请重试)"
        self._report(cause, "INTERNAL", error, exchange)
        return (
            "INTERNAL",
            f"Internal error; quote the request id {exchange.request_id} (内部错误，请提供请求编号)",
        )

    def _report(self, cause: BaseException, code: str, error: GraphQLError, exchange: Exchange) -> None:
        path = ".".join(str(part) for part in error.path or ())
        self._log.error(code, request_id=exchange.request_id, path=path, exc_info=cause)


# -- performing


class _Performing:
    """Performs the commands of one request; a dry run stays readable until the next command or the end."""

    def __init__(self, services: Services, perform: Perform, actor: Actor) -> None:
        self._services, self._perform, self._actor = services, perform, actor
        self._linger = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._linger.aclose()

    async def __call__(
        self, kind: str, body: Mapping[str, Any], options: Options, then: Then | None = None
    ) -> tuple[Outcome, Fetch | None]:
        await self._linger.aclose()
        outcome, fetch = await self._perform(
            self._services, self._actor, kind, body, options, self._linger, then
        )
        return outcome, _one_at_a_time(fetch) if fetch else None


def _counted(start: str) -> Callable[[], str]:
    """Ids that differ within this process by their number, between processes by their start."""
    numbers = itertools.count(1)
    return lambda: f"{start}-{next(numbers)}"


def _one_at_a_time(fetch: Fetch) -> Fetch:
    """The fields of a dry run share one connection, which takes one statement at a time."""
    turn = asyncio.Lock()

    async def fetch_in_turn(statement: Any) -> Sequence[Any]:
        async with turn:
            return await fetch(statement)

    return fetch_in_turn


def _narrowed(actor: Actor, line: str, exchange: Exchange) -> Actor:
    """The actor with this line only."""
    found = actor.narrowed(line)
    if found is None:
        words = UNKNOWN_LINE.words({"line": line[:40]}, exchange.language)
        raise HttpError(_request_error_status(exchange), coded(UNKNOWN_LINE.code, words))
    return found


# -- the answer


def _request_error_status(exchange: Exchange) -> int:
    """`application/json` clients get 200 for what GraphQL itself refuses; the newer media type tells by status."""
    return 400 if exchange.media == GRAPHQL_JSON else 200


def _status_of_fault(error: Exception) -> int:
    if isinstance(error, Fault):
        return 503 if error.code in AWAY else 500
    return 503 if isinstance(error, PoolTimeoutError) else 500


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = get_operation_ast(document, name)
    if found is None:
        text = (
            f"The document has no operation {name!r}." if name else "Name the operation by `operationName`."
        )
        raise malformed(text, "BAD_USER_INPUT")
    return found


def encoded(answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON."""
    try:
        return orjson.dumps(answer)
    except (
        TypeError
    ):  # numbers beyond 64 bits, keys that are no strings: whatever a plugin's JSON field holds
        return json.dumps(answer, ensure_ascii=False, default=str).encode("utf-8", "replace")
