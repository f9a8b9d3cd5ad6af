"""Reads a GraphQL request from HTTP: what it accepts, its body or parameters, well formed or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from graphql import GraphQLError
from starlette.requests import Request

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
_NUL = re.compile(rb"\\u(?:0000|\{0+\})")


class HttpError(Exception):
    """The request gets no execution: an HTTP status and one or more errors."""

    def __init__(self, status: int, *errors: GraphQLError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(", ".join(error.message for error in errors))
        self.status = status
        self.errors = errors
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed GraphQL request: its document as text, or the id of a persisted one, or both."""

    query: str | None
    variables: dict[str, Any]
    operation_name: str | None
    document_id: str | None = None


class Headers(dict[str, str]):
    """The headers of a request by their lower-case names; of several with one name the first counts."""

    def __init__(self, request: Request) -> None:
        """Read them all at once."""
        given = request.scope["headers"]
        super().__init__((name.decode("latin-1"), value.decode("latin-1")) for name, value in reversed(given))


async def asked_by(request: Request, headers: Mapping[str, str], most_bytes: int) -> Asked:
    """The request's document and variables; `HttpError` 400, 413 or 415 when it is not well formed."""
    if request.method == "GET":
        return _from_parameters(request)
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = re.search(r"charset=\"?([\w-]+)", parameters) if parameters else None
    if kind.strip().lower() != JSON or (charset and charset[1].lower() not in ("utf-8", "utf8")):
        raise HttpError(
            415, coded("UNSUPPORTED_MEDIA_TYPE", "Send application/json in UTF-8 (请发送 UTF-8 JSON).")
        )
    return _from_body(await _body(request, headers.get("content-length", ""), most_bytes))


def media_of(headers: Mapping[str, str]) -> str:
    """The media type of the answer: the newer one when preferred, else JSON; `HttpError` 406 for neither."""
    accept = headers.get("accept", "*/*")
    if accept in ("*/*", JSON):
        return JSON
    offered = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if GRAPHQL_JSON in offered and (JSON not in offered or offered.index(GRAPHQL_JSON) < offered.index(JSON)):
        return GRAPHQL_JSON
    if any(kind in (JSON, "*/*", "application/*", "") for kind in offered):
        return JSON
    raise HttpError(406, coded("NOT_ACCEPTABLE", f"This endpoint answers {GRAPHQL_JSON} and {JSON}."))


async def _body(request: Request, length: str, most: int) -> bytes:
    if length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)
    body, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise HttpError(400, coded("BAD_REQUEST", "The client went away."))
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise _too_large(most)
    return body


def _too_large(most: int) -> HttpError:
    return HttpError(413, coded("BODY_TOO_LARGE", f"The body may have at most {most} bytes (请求体过大)."))


def _from_body(body: bytes) -> Asked:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8 at byte {error.start} (请求体不是有效的 UTF-8).") from None
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(f"The body is not JSON: {error} (请求体不是有效的 JSON).") from None
    if isinstance(given, list):
        raise malformed("Batches are not served; send one request per document.", "BATCH_REFUSED")
    if not isinstance(given, dict):
        raise malformed("The body must be a JSON object with a query.")
    refuse_nul(body)
    return well_formed(given)


def refuse_nul(body: bytes) -> None:
    """`HttpError` 400 for JSON with the one character that no database stores."""
    if _NUL.search(body):
        raise malformed("The character U+0000 cannot be stored (不支持空字符).")


def _from_parameters(request: Request) -> Asked:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if text := given.get(name):
            try:
                given[name] = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise malformed(f"The parameter {name} is not JSON: {error}") from None
    if b"%00" in request.scope.get("query_string", b"") or _NUL.search(json.dumps(given).encode()):
        raise malformed("The character U+0000 cannot be stored (不支持空字符).")
    return well_formed(given)


def well_formed(given: Mapping[str, Any]) -> Asked:
    """The request in an object with `query`, `variables` and the like; `HttpError` 400 for one that is none."""
    query, variables = given.get("query"), given.get("variables")
    name = given.get("operationName") or None
    document_id = _document_id(given)
    if not isinstance(query, str) and (query is not None or document_id is None):
        raise malformed("`query` is missing; it must be a string (缺少 query).")
    if variables is not None and not isinstance(variables, dict):
        raise malformed("`variables` must be an object.")
    if name is not None and not isinstance(name, str):
        raise malformed("`operationName` must be a string.")
    return Asked(query, variables or {}, name, document_id)


def _document_id(given: Mapping[str, Any]) -> str | None:
    """`documentId`, else Apollo's `extensions.persistedQuery.sha256Hash`."""
    extensions = given.get("extensions") or {}
    if not isinstance(extensions, dict):
        raise malformed("`extensions` must be an object.")
    named = given.get("documentId")
    if named is None and isinstance(persisted := extensions.get("persistedQuery"), dict):
        if persisted.get("version", 1) != 1:
            raise malformed("`persistedQuery` of version 1 is served.", "PERSISTED_QUERY_NOT_SUPPORTED")
        named = persisted.get("sha256Hash")
    if named is not None and (not isinstance(named, str) or not named):
        raise malformed("The id of a document must be a string that is not empty.")
    return named


def malformed(message: str, code: str = "BAD_REQUEST") -> HttpError:
    """Status 400."""
    return HttpError(400, coded(code, message))


def coded(code: str, message: str) -> GraphQLError:
    """An error with its stable code."""
    return GraphQLError(message, extensions={"code": code})
