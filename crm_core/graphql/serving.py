"""Answers GraphQL requests over HTTP: credential, document, limits, execution, and errors a client can act on."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import orjson
import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.commands import Options, Outcome
from crm_core.errors import UNKNOWN_LINE, Fault, Language, Unavailable, preferred_language
from crm_core.graphql.context import Context, Fetch
from crm_core.graphql.documents import Documents
from crm_core.graphql.limits import measure, refuse_excess
from crm_core.graphql.requests import (
    GRAPHQL_JSON,
    JSON,
    Asked,
    HttpError,
    asked_by,
    coded,
    malformed,
    media_of,
)

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from crm_core.work import Services

MOST_ERRORS_SHOWN: Final = 100
RETRY_SECONDS: Final = "2"
_AWAY = frozenset({"DATABASE_UNAVAILABLE", "DATABASE_BUSY"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Authenticate(Protocol):
    """Turns a credential into an actor."""

    async def actor(self, authorization: str | None, language: Language) -> Actor:
        """The actor of an `Authorization` header; raises `Unauthenticated`."""
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
    ) -> tuple[Outcome, Fetch | None]:
        """The outcome, and for a lingering dry run the way to read inside its transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What is known of an answered request, for logs and metrics."""

    operation: str
    status: int
    seconds: float
    codes: tuple[str, ...]


@dataclass
class Exchange:
    """One request on its way to an answer."""

    request: Request
    request_id: str
    language: Language
    media: str = JSON
    operation: str = "none"
    actor: Actor | None = None
    cost: dict[str, int] | None = None
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
        new_id: Callable[[], str] = lambda: ids.uuid7().hex,
    ) -> None:
        """`served` hears of every answer; `timer` gives seconds; `new_id` gives request ids."""
        self._services = services
        self._schema: GraphQLSchema = schema._schema  # noqa: SLF001  # Strawberry has no other door
        self._authenticator = authenticator
        self._perform = perform
        self._log = log or structlog.get_logger()
        self._served = served
        self._timer = timer
        self._new_id = new_id
        self._limits = services.settings.limits
        self._documents = Documents(self._schema, self._limits.tokens)
        registry = services.registry
        self._plugin_lines = {p.name: registry.lines_of(p.name) for p in registry.plugins}

    async def handle(self, request: Request) -> Response:
        """The answer to a GraphQL request, by POST or GET."""
        begun = self._timer()
        exchange = Exchange(
            request, self._request_id(request), preferred_language(request.headers.get("accept-language"))
        )
        headers: dict[str, str] = {}
        try:
            exchange.media = media_of(request)
            status, answer = await self._answer(exchange)
        except HttpError as refusal:
            status, headers = refusal.status, refusal.headers
            answer = {"errors": [self._shown(error, exchange) for error in refusal.errors]}
            answer |= {"extensions": {"cost": exchange.cost}} if exchange.cost else {}
        except Exception as error:  # noqa: BLE001  # the edge: masked and logged
            status, answer = self._unexpected(error, exchange)
        headers = {"x-request-id": exchange.request_id, "cache-control": "no-store", **headers}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = RETRY_SECONDS
        self._tell(exchange, status, self._timer() - begun)
        return Response(
            _encoded(answer), status, headers, f"{exchange.media}; charset=utf-8", self._afterwards(exchange)
        )

    def _request_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id", "")
        return given if _REQUEST_ID.fullmatch(given) else self._new_id()

    def _unexpected(self, error: Exception, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        located = GraphQLError(str(error), original_error=error)
        return _status_of_fault(error), {"errors": [self._shown(located, exchange)]}

    def _tell(self, exchange: Exchange, status: int, seconds: float) -> None:
        self._served(Served(exchange.operation, status, seconds, tuple(exchange.codes)))
        self._log.info(
            "request",
            request_id=exchange.request_id,
            operation=exchange.operation,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            actor=str(exchange.actor.user_id) if exchange.actor else None,
            codes=exchange.codes[:10],
            cost=exchange.cost["requested"] if exchange.cost else None,
        )

    def _afterwards(self, exchange: Exchange) -> BackgroundTask | None:
        actor = exchange.actor
        return BackgroundTask(self._note_use, actor, exchange.request_id) if actor else None

    async def _note_use(self, actor: Actor, request_id: str) -> None:
        try:
            await self._authenticator.note_use(actor)
        except Exception as error:  # noqa: BLE001  # the answer is out; a busy database must not spoil it
            self._log.warning("token use not noted", request_id=request_id, reason=str(error)[:200])

    # -- the steps of a request

    async def _answer(self, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        actor = await self._actor(exchange)
        asked = await asked_by(exchange.request, self._limits.body_bytes)
        document = self._document(asked.query, exchange)
        operation = _operation(document, asked.operation_name)
        exchange.operation = operation.operation.value
        if exchange.request.method == "GET" and operation.operation is not OperationType.QUERY:
            raise HttpError(
                405, coded("METHOD_NOT_ALLOWED", "Send mutations by POST."), headers={"allow": "POST"}
            )
        self._limited(document, operation, asked.variables, exchange)
        async with _Performing(self._services, self._perform, actor) as performing:
            context = self._context(exchange, actor, performing)
            result = await self._executed(document, asked, context)
        return self._concluded(result, exchange)

    async def _actor(self, exchange: Exchange) -> Actor:
        headers = exchange.request.headers
        try:
            actor = await self._authenticator.actor(headers.get("authorization"), exchange.language)
        except Fault as fault:
            if fault.code != "UNAUTHENTICATED":
                raise
            error = GraphQLError(str(fault), extensions={"code": fault.code})
            raise HttpError(401, error, headers={"www-authenticate": 'Bearer realm="crm"'}) from None
        exchange.actor = actor
        return actor

    def _document(self, query: str, exchange: Exchange) -> DocumentNode:
        found = self._documents.read(query)
        if isinstance(found, DocumentNode):
            return found
        raise HttpError(_request_error_status(exchange), *found)

    def _limited(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        exchange: Exchange,
    ) -> None:
        try:
            found = measure(self._schema, document, operation, variables, self._limits)
            exchange.cost = {"requested": found.cost, "limit": self._limits.cost}
            refuse_excess(found, self._limits)
        except GraphQLError as error:
            raise HttpError(_request_error_status(exchange), error) from None

    def _context(self, exchange: Exchange, actor: Actor, performing: _Performing) -> Context:
        line = exchange.request.headers.get("x-crm-line") or None
        reader = actor if line is None else _narrowed(actor, line, exchange)
        services = self._services
        return Context(
            actor=reader,
            access=services.access(reader),
            fetch=services.database.fetch,
            perform=performing,
            limits=self._limits,
            language=exchange.language,
            messages=services.registry.messages,
            plugin_lines=self._plugin_lines,
            request_id=exchange.request_id,
            line=line,
        )

    async def _executed(self, document: DocumentNode, asked: Asked, context: Context) -> ExecutionResult:
        try:
            result = execute(
                self._schema,
                document,
                context_value=context,
                variable_values=asked.variables,
                operation_name=asked.operation_name,
            )
            return await result if inspect.isawaitable(result) else result
        except RecursionError:
            return ExecutionResult(
                None, [coded("BAD_USER_INPUT", "A variable is nested too deeply (变量嵌套过深).")]
            )

    def _concluded(self, result: ExecutionResult, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        errors = result.errors or []
        shown = [self._shown(error, exchange) for error in errors[:MOST_ERRORS_SHOWN]]
        extensions: dict[str, Any] = {"cost": exchange.cost}
        if len(errors) > len(shown):
            extensions["errorsLeftOut"] = len(errors) - len(shown)
        answer: dict[str, Any] = {"errors": shown} if shown else {}
        if result.data is None and errors and all(error.path is None for error in errors):
            return _request_error_status(exchange), answer | {"extensions": extensions}
        answer |= {"data": result.data, "extensions": extensions}
        nothing = not any(value is not None for value in (result.data or {}).values())
        away = not _AWAY.isdisjoint(exchange.codes)
        return (503 if nothing and away else 200), answer

    # -- errors

    def _shown(self, error: GraphQLError, exchange: Exchange) -> dict[str, Any]:
        code, message = self._code_and_message(error, exchange)
        exchange.codes.append(code)
        shown: dict[str, Any] = dict(error.formatted)
        shown["message"] = message
        shown["extensions"] = {**(error.extensions or {}), "code": code}
        if code in ("INTERNAL", "PLUGIN_FIELD_FAILED", *_AWAY):
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
        self, kind: str, body: Mapping[str, Any], options: Options
    ) -> tuple[Outcome, Fetch | None]:
        await self._linger.aclose()
        outcome, fetch = await self._perform(self._services, self._actor, kind, body, options, self._linger)
        return outcome, _one_at_a_time(fetch) if fetch else None


def _one_at_a_time(fetch: Fetch) -> Fetch:
    """The fields of a dry run share one connection, which takes one statement at a time."""
    turn = asyncio.Lock()

    async def fetch_in_turn(statement: Any) -> Sequence[Any]:
        async with turn:
            return await fetch(statement)

    return fetch_in_turn


def _narrowed(actor: Actor, line: str, exchange: Exchange) -> Actor:
    """The actor with this line only; a scope over all lines reaches this one whole."""
    if line not in actor.grants:
        words = UNKNOWN_LINE.words({"line": line[:40]}, exchange.language)
        raise HttpError(_request_error_status(exchange), coded(UNKNOWN_LINE.code, words))
    scopes = {scope: min(reach, Reach.LINE) for scope, reach in actor.grants[line].items()}
    return replace(
        actor,
        grants={line: scopes},
        teams={line: actor.teams.get(line, frozenset())},
        subtree={line: actor.subtree.get(line, frozenset())},
    )


# -- the answer


def _request_error_status(exchange: Exchange) -> int:
    """`application/json` clients get 200 for what GraphQL itself refuses; the newer media type tells by status."""
    return 400 if exchange.media == GRAPHQL_JSON else 200


def _status_of_fault(error: Exception) -> int:
    if isinstance(error, Fault):
        return 503 if error.code in _AWAY else 500
    return 503 if isinstance(error, PoolTimeoutError) else 500


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = get_operation_ast(document, name)
    if found is None:
        text = (
            f"The document has no operation {name!r}." if name else "Name the operation by `operationName`."
        )
        raise malformed(text, "BAD_USER_INPUT")
    return found


def _encoded(answer: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(answer)
    except (
        TypeError
    ):  # numbers beyond 64 bits, keys that are no strings: whatever a plugin's JSON field holds
        return json.dumps(answer, ensure_ascii=False, default=str).encode("utf-8", "replace")
