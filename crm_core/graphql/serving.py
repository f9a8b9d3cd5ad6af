"""Answers GraphQL requests over HTTP: credential, document, limits, execution, and errors a client can act on."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import MaxIntrospectionDepthRule
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.commands import Options, Outcome
from crm_core.errors import UNKNOWN_LINE, Fault, Language, Unavailable, preferred_language
from crm_core.graphql.context import Context, Fetch
from crm_core.graphql.limits import measure, refuse_excess

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from crm_core.work import Services

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
REMEMBERED_DOCUMENTS: Final = 500
LONGEST_REMEMBERED: Final = 20_000  # characters; longer documents are read anew each time
MOST_ERRORS_SHOWN: Final = 100
MOST_VALIDATION_ERRORS: Final = 20
RULES: Final = tuple(dict.fromkeys((*specified_rules, MaxIntrospectionDepthRule)))
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NUL = re.compile(rb"\\u(?:0000|\{0+\})")


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

    async def __call__(
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


class Refusal(Exception):
    """The request gets no execution: an HTTP status and one or more errors."""

    def __init__(self, status: int, *errors: GraphQLError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(", ".join(error.message for error in errors))
        self.status = status
        self.errors = errors
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed GraphQL request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


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
        self._documents = _Documents(self._schema, self._limits.tokens)
        registry = services.registry
        self._plugin_lines = {p.name: registry.lines_of(p.name) for p in registry.plugins}

    async def handle(self, request: Request) -> Response:
        """The answer to a GraphQL request, by POST or GET."""
        begun = self._timer()
        exchange = Exchange(request, self._request_id(request), preferred_language(request.headers.get("accept-language")))
        headers: dict[str, str] = {}
        try:
            exchange.media = _media(request)
            status, answer = await self._answer(exchange)
        except Refusal as refusal:
            status, headers = refusal.status, refusal.headers
            answer = {"errors": [self._shown(error, exchange) for error in refusal.errors]}
        except Exception as error:  # noqa: BLE001  # the edge: masked and logged
            status, answer = self._unexpected(error, exchange)
        headers = {"x-request-id": exchange.request_id, "cache-control": "no-store", **headers}
        self._tell(exchange, status, self._timer() - begun)
        return Response(
            _encoded(answer), status, headers, f"{exchange.media}; charset=utf-8", self._afterwards(exchange)
        )

    def _request_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id", "")
        return given if _REQUEST_ID.fullmatch(given) else self._new_id()

    def _unexpected(self, error: Exception, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        located = GraphQLError(str(error), original_error=error)
        status, headers_apart = _status_of_fault(error), located
        return status, {"errors": [self._shown(headers_apart, exchange)]}

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
        return BackgroundTask(self._note_use, exchange) if exchange.actor else None

    async def _note_use(self, exchange: Exchange) -> None:
        assert exchange.actor is not None
        try:
            await self._authenticator.note_use(exchange.actor)
        except Exception as error:  # noqa: BLE001  # the answer is out; a busy database must not spoil it
            self._log.warning("token use not noted", request_id=exchange.request_id, reason=str(error)[:200])

    # -- the steps of a request

    async def _answer(self, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        actor = await self._actor(exchange)
        asked = await self._asked(exchange.request)
        document = self._document(asked.query, exchange)
        operation = _operation(document, asked.operation_name)
        exchange.operation = operation.operation.value
        if exchange.request.method == "GET" and operation.operation is not OperationType.QUERY:
            raise Refusal(405, _error("METHOD_NOT_ALLOWED", "Send mutations by POST."), headers={"allow": "POST"})
        self._limited(document, operation, asked.variables, exchange)
        async with _Performing(self._services, self._perform, actor) as performing:
            context = self._context(exchange, performing)
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
            raise Refusal(401, error, headers={"www-authenticate": 'Bearer realm="crm"'}) from None
        exchange.actor = actor
        return actor

    async def _asked(self, request: Request) -> Asked:
        if request.method == "GET":
            return _from_parameters(request)
        kind, _, parameters = request.headers.get("content-type", "").partition(";")
        charset = re.search(r"charset=\"?([\w-]+)", parameters)
        if kind.strip().lower() != JSON or (charset and charset[1].lower() not in ("utf-8", "utf8")):
            raise Refusal(415, _error("UNSUPPORTED_MEDIA_TYPE", "Send application/json in UTF-8 (请发送 UTF-8 JSON)."))
        return _from_body(await _body(request, self._limits.body_bytes))

    def _document(self, query: str, exchange: Exchange) -> DocumentNode:
        found = self._documents.read(query)
        if isinstance(found, DocumentNode):
            return found
        raise Refusal(_request_error_status(exchange), *found)

    def _limited(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        exchange: Exchange,
    ) -> None:
        found = measure(self._schema, document, operation, variables, self._limits)
        exchange.cost = {"requested": found.cost, "limit": self._limits.cost}
        try:
            refuse_excess(found, self._limits)
        except GraphQLError as error:
            raise Refusal(_request_error_status(exchange), error) from None

    def _context(self, exchange: Exchange, performing: _Performing) -> Context:
        assert exchange.actor is not None
        line = exchange.request.headers.get("x-crm-line") or None
        reader = exchange.actor if line is None else _narrowed(exchange.actor, line, exchange)
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
            return ExecutionResult(None, [_error("BAD_USER_INPUT", "A variable is nested too deeply (变量嵌套过深).")])

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
        return (503 if nothing and "DATABASE_UNAVAILABLE" in exchange.codes else 200), answer

    # -- errors

    def _shown(self, error: GraphQLError, exchange: Exchange) -> dict[str, Any]:
        code, message = self._code_and_message(error, exchange)
        exchange.codes.append(code)
        shown: dict[str, Any] = dict(error.formatted)
        shown["message"] = message
        shown["extensions"] = {**(error.extensions or {}), "code": code}
        if code in ("INTERNAL", "PLUGIN_FIELD_FAILED", "DATABASE_UNAVAILABLE"):
            shown["extensions"]["requestId"] = exchange.request_id
        return shown

    def _code_and_message(self, error: GraphQLError, exchange: Exchange) -> tuple[str, str]:
        cause = error.original_error
        if isinstance(cause, Fault):
            if cause.__cause__ is not None and not isinstance(cause, Unavailable):
                self._report(cause.__cause__, cause.code, error, exchange)
            return cause.code, str(cause)
        if isinstance(error, GraphQLSyntaxError):
            return _syntax_code(error), error.message
        if cause is None or isinstance(cause, GraphQLError):
            return str((error.extensions or {}).get("code", "BAD_USER_INPUT")), error.message
        if isinstance(cause, PoolTimeoutError):
            return "DATABASE_BUSY", "All database connections are in use; try again (数据库连接繁忙，请重试)"
        self._report(cause, "INTERNAL", error, exchange)
        return "INTERNAL", f"Internal error; quote the request id {exchange.request_id} (内部错误，请提供请求编号)"

    def _report(self, cause: BaseException, code: str, error: GraphQLError, exchange: Exchange) -> None:
        path = ".".join(str(part) for part in error.path or ())
        self._log.error(code, request_id=exchange.request_id, path=path, exc_info=cause)


# -- performing


class _Performing:
    """Performs the commands of one request; a dry run stays readable until the next command or the end."""

    def __init__(self, services: Services, perform: Perform, actor: Actor) -> None:
        self._services, self._perform, self._actor = services, perform, actor
        self._linger = AsyncExitStack()

    async def __aenter__(self) -> _Performing:
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
        raise Refusal(_request_error_status(exchange), _error(UNKNOWN_LINE.code, words))
    scopes = {scope: min(reach, Reach.LINE) for scope, reach in actor.grants[line].items()}
    return replace(
        actor,
        grants={line: scopes},
        teams={line: actor.teams.get(line, frozenset())},
        subtree={line: actor.subtree.get(line, frozenset())},
    )


# -- reading the request


def _media(request: Request) -> str:
    accept = request.headers.get("accept", "*/*")
    offered = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if GRAPHQL_JSON in offered and (
        JSON not in offered or offered.index(GRAPHQL_JSON) < offered.index(JSON)
    ):
        return GRAPHQL_JSON
    if any(kind in (JSON, "*/*", "application/*", "") for kind in offered):
        return JSON
    raise Refusal(406, _error("NOT_ACCEPTABLE", f"This endpoint answers {GRAPHQL_JSON} and {JSON}."))


def _request_error_status(exchange: Exchange) -> int:
    """`application/json` clients get 200 for what GraphQL itself refuses; the newer media type tells by status."""
    return 400 if exchange.media == GRAPHQL_JSON else 200


def _status_of_fault(error: Exception) -> int:
    if isinstance(error, Fault):
        return {"DATABASE_UNAVAILABLE": 503, "DATABASE_BUSY": 503}.get(error.code, 500)
    return 503 if isinstance(error, PoolTimeoutError) else 500


async def _body(request: Request, most: int) -> bytes:
    too_large = Refusal(413, _error("BODY_TOO_LARGE", f"The body may have at most {most} bytes (请求体过大)."))
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise too_large
    except ClientDisconnect:
        raise Refusal(400, _error("BAD_REQUEST", "The client went away.")) from None
    return bytes(body)


def _from_body(body: bytes) -> Asked:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8 at byte {error.start} (请求体不是有效的 UTF-8).") from None
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"The body is not JSON: {error} (请求体不是有效的 JSON).") from None
    if isinstance(given, list):
        raise _malformed("Batches are not served; send one request per document.", "BATCH_REFUSED")
    if not isinstance(given, dict):
        raise _malformed("The body must be a JSON object with a query.")
    if _NUL.search(body):
        raise _malformed("The character U+0000 cannot be stored (不支持空字符).")
    return _well_formed(given)


def _from_parameters(request: Request) -> Asked:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if text := given.get(name):
            try:
                given[name] = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise _malformed(f"The parameter {name} is not JSON: {error}") from None
    if b"%00" in request.scope.get("query_string", b"") or _NUL.search(json.dumps(given).encode()):
        raise _malformed("The character U+0000 cannot be stored (不支持空字符).")
    return _well_formed(given)


def _well_formed(given: Mapping[str, Any]) -> Asked:
    query, variables = given.get("query"), given.get("variables")
    name = given.get("operationName") or None
    if not isinstance(query, str):
        raise _malformed("`query` is missing; it must be a string (缺少 query).")
    if variables is not None and not isinstance(variables, dict):
        raise _malformed("`variables` must be an object.")
    if name is not None and not isinstance(name, str):
        raise _malformed("`operationName` must be a string.")
    if not isinstance(given.get("extensions") or {}, dict):
        raise _malformed("`extensions` must be an object.")
    return Asked(query, variables or {}, name)


def _malformed(message: str, code: str = "BAD_REQUEST") -> Refusal:
    return Refusal(400, _error(code, message))


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = get_operation_ast(document, name)
    if found is None:
        text = f"The document has no operation {name!r}." if name else "Name the operation by `operationName`."
        raise _malformed(text, "BAD_USER_INPUT")
    return found


def _error(code: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def _syntax_code(error: GraphQLSyntaxError) -> str:
    if "more than" in error.message and "tokens" in error.message:
        return "TOO_MANY_TOKENS"
    return "TOO_DEEP" if "nested too deeply" in error.message else "GRAPHQL_PARSE_FAILED"


def _encoded(answer: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(answer)
    except TypeError:  # numbers beyond 64 bits, keys that are no strings: whatever a plugin's JSON field holds
        return json.dumps(answer, ensure_ascii=False, default=str).encode("utf-8", "replace")


# -- documents


class _Documents:
    """Documents parsed and validated before, the latest used kept."""

    def __init__(self, schema: GraphQLSchema, tokens: int) -> None:
        self._schema, self._tokens = schema, tokens
        self._known: OrderedDict[str, DocumentNode] = OrderedDict()

    def read(self, query: str) -> DocumentNode | Sequence[GraphQLError]:
        """The valid document, or what is wrong with it."""
        known = self._known.get(query)
        if known is not None:
            self._known.move_to_end(query)
            return known
        found = self._read(query)
        if isinstance(found, DocumentNode) and len(query) <= LONGEST_REMEMBERED:
            self._known[query] = found
            if len(self._known) > REMEMBERED_DOCUMENTS:
                self._known.popitem(last=False)
        return found

    def _read(self, query: str) -> DocumentNode | Sequence[GraphQLError]:
        try:
            document = parse(query, max_tokens=self._tokens)
        except GraphQLSyntaxError as error:
            return [error]
        wrong = validate(self._schema, document, RULES, max_errors=MOST_VALIDATION_ERRORS)
        return [_validation_error(error) for error in wrong] or document


def _validation_error(error: GraphQLError) -> GraphQLError:
    """The error with its code; also those that scalars raise while a literal is read."""
    code = (error.extensions or {}).get("code", "GRAPHQL_VALIDATION_FAILED")
    return GraphQLError(error.message, error.nodes, error.source, error.positions, extensions={"code": code})


