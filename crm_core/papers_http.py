"""Papers over HTTP (资料、附件): `GET /papers/<id>` answers the file a record stands for, `POST /papers` takes one in."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import select
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from crm_core import ids, papers
from crm_core.access.authentication import Authenticator
from crm_core.actors import Actor
from crm_core.commands import Command
from crm_core.errors import UNKNOWN_LINE, ConfigurationError, Fault, preferred_language
from crm_core.graphql.fields import ObjectType
from crm_core.papers import Paper, PaperRecord
from crm_core.registry import Registry
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

PAPERS_ROUTE: Final = "/papers"
PAPER_ROUTE: Final = "/papers/{id}"
_AT_ONCE: Final = 262_144
_SAFE: Final[Mapping[str, str]] = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Vary": "Authorization, X-CRM-Line",
    "X-Content-Type-Options": "nosniff",
}
_ENDINGS: Final = mimetypes.MimeTypes(())
_NOT_IN_NAMES: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_RETRY_SECONDS: Final = "2"


@dataclass(frozen=True, slots=True)
class Desk:
    """What answers for papers: the services, and who knows the bearers of tokens."""

    services: Services
    authenticator: Authenticator


@dataclass(slots=True)
class _Problem(Exception):
    """An answer that is none: status, code, words in both languages."""

    status: int
    code: str
    words: str
    headers: dict[str, str] = field(default_factory=dict)


_ABSENT: Final = ("NOT_FOUND", "No paper of this id that you may read (找不到您有权查看的资料)")


class Papers:
    """The endpoints of both routes; `desk` raises a `Fault` while the database is out of reach."""

    def __init__(self, desk: Callable[[], Awaitable[Desk]], log: FilteringBoundLogger) -> None:
        """`log` hears of what goes wrong."""
        self._desk, self._log = desk, log

    async def give(self, request: Request) -> Response:
        """The bytes of the paper in the path, for whoever may read its record."""
        return await self._answered(request, self._given)

    async def take(self, request: Request) -> Response:
        """Take the body into the store; answers its path, SHA-256 and bytes."""
        return await self._answered(request, self._taken)

    async def _answered(
        self, request: Request, answer: Callable[[Request, Desk, Actor], Awaitable[Response]]
    ) -> Response:
        actor: Actor | None = None
        try:
            desk = await self._desk()
            actor = await _actor(request, desk)
            response = await answer(request, desk, actor)
            if desk.authenticator.is_use_due(actor):
                response.background = BackgroundTask(self._note_use, desk, actor)
        except _Problem as problem:
            response = _refusal(problem)
        except (Fault, ConfigurationError) as fault:
            response = _refusal(_away(fault))
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception:  # noqa: BLE001  # the edge: masked and logged
            self._log.exception("paper failed", paper=request.path_params.get("id"))
            response = _refusal(_Problem(500, "INTERNAL", "Internal error (内部错误)"))
        self._tell(request, response, actor)
        return response

    def _tell(self, request: Request, response: Response, actor: Actor | None) -> None:
        self._log.info(
            "paper",
            method=request.method,
            paper=str(request.path_params.get("id", ""))[:40],
            status=response.status_code,
            actor=str(actor.user_id) if actor is not None else None,
        )

    async def _note_use(self, desk: Desk, actor: Actor) -> None:
        try:
            await desk.authenticator.note_use(actor)
        except Exception as error:  # noqa: BLE001  # the answer is out; a busy database must not spoil it
            self._log.warning("token use not noted", reason=str(error)[:200])

    # -- out

    async def _given(self, request: Request, desk: Desk, actor: Actor) -> Response:
        row = await _record(desk.services, actor, str(request.path_params["id"]))
        headers = {**_SAFE, "ETag": f'"{row.sha256}"'}
        if _is_known(request.headers.get("if-none-match"), row.sha256):
            return Response(status_code=304, headers=headers)
        store = desk.services.store
        size = await asyncio.to_thread(papers.size_of, store, row.path)
        if size != row.size:
            self._log.error("paper is not what it was", path=row.path, expected=row.size, found=size)
            if size is None:
                raise _Problem(404, *_ABSENT)
            raise _Problem(
                500, "PAPER_DAMAGED", "The file is not the one that was filed (文件与存档时不一致)"
            )
        name = _file_name(row.title, row.media_type)
        return FileResponse(store / row.path, headers=headers, media_type=row.media_type, filename=name)

    # -- in

    async def _taken(self, request: Request, desk: Desk, actor: Actor) -> Response:
        services = desk.services
        if not any(actor.may(scope) for scope in filing_scopes(services.registry)):
            words = "You lack a permission to file papers or to sign (您没有存档或签署的权限)"
            raise _Problem(403, "FORBIDDEN", words)
        paper = await _received(request, services, services.settings.limits.paper_bytes)
        body = {"path": paper.path, "sha256": paper.sha256, "size": paper.size}
        return _json(body, 201, {"Cache-Control": "no-store"})


# -- who asks


async def _actor(request: Request, desk: Desk) -> Actor:
    """The bearer, with the line of the header `X-CRM-Line` alone if there is one."""
    language = preferred_language(request.headers.get("accept-language"))
    try:
        actor = await desk.authenticator.actor(request.headers.get("authorization"), language)
    except Fault as fault:
        if fault.code != "UNAUTHENTICATED":
            raise
        wanted = {"www-authenticate": 'Bearer realm="crm"'}
        raise _Problem(401, fault.code, str(fault), wanted) from None
    line = request.headers.get("x-crm-line")
    narrowed = actor.narrowed(line) if line else actor
    if narrowed is None:
        params = {"line": (line or "")[:40]}
        both = f"{UNKNOWN_LINE.words(params, 'en')} ({UNKNOWN_LINE.words(params, 'zh-CN')})"
        raise _Problem(400, UNKNOWN_LINE.code, both)
    return narrowed


def filing_scopes(registry: Registry) -> frozenset[str]:
    """Permissions of the commands that papers are given to; not one that merely lets read what the command changes."""
    key = "papers.filing_scopes"
    if key not in registry.worked_out:
        filing = (spec.command for spec in registry.commands.values() if papers.takes_papers(spec.command))
        registry.worked_out[key] = frozenset(c.scope for c in filing if c.scope != _reads(registry, c))
    found: frozenset[str] = registry.worked_out[key]
    return found


def _reads(registry: Registry, command: type[Command]) -> str | None:
    """The permission to read what a command changes."""
    kind = registry.types.get(command.subject_type or command.result_type())
    return kind.scope if kind is not None else None


# -- out


async def _record(services: Services, actor: Actor, shown: str) -> Any:
    """What the record of this id says of its paper, if the actor may read it."""
    try:
        prefix, key = ids.read(shown)
    except ValueError:
        raise _Problem(404, *_ABSENT) from None
    kind = _kind(services.registry, prefix)
    access = services.access(actor)
    if kind is None or access.denial(services.registry.type_owners[kind.name], kind.scope) is not None:
        raise _Problem(404, *_ABSENT)
    table = kind.model.__table__
    rule = kind.visible(table, access)
    if rule is None:  # reached through its parents alone
        raise _Problem(404, *_ABSENT)
    wanted = [table.c[name] for name in ("title", "path", "sha256", "size", "media_type")]
    rows = await services.database.fetch(select(*wanted).where(table.c.id == key, rule))
    if not rows:
        raise _Problem(404, *_ABSENT)
    return rows[0]


def _kind(registry: Registry, prefix: str) -> ObjectType | None:
    """The type of papers whose ids begin like this."""
    kinds = (k for k in registry.types.values() if k.prefix == prefix)
    return next((k for k in kinds if k.model is not None and issubclass(k.model, PaperRecord)), None)


def _is_known(header: str | None, sha256: str) -> bool:
    """Whether the caller has these very bytes already."""
    given = [one.strip().removeprefix("W/") for one in (header or "").split(",")]
    return "*" in given or f'"{sha256}"' in given


def _file_name(title: str, media_type: str) -> str:
    """A name for the file: the title without what file systems do not take, with the ending of its type."""
    name = _NOT_IN_NAMES.sub("_", title).strip(" .") or "paper"
    ending = _ENDINGS.guess_extension(media_type) or ""
    known = _ENDINGS.guess_all_extensions(media_type)
    return name if name.lower().endswith(tuple(known)) else name + ending


# -- in


async def _received(request: Request, services: Services, most: int) -> Paper:
    """The body as a paper of the store; nothing of it remains when it is too large, empty, or broken off."""
    _refuse_length(request.headers.get("content-length"), most)
    incoming = await asyncio.to_thread(papers.Incoming, services.store)
    try:
        waiting = bytearray()
        async for part in request.stream():
            waiting += part
            if incoming.size + len(waiting) > most:
                raise _too_large(most)
            if len(waiting) >= _AT_ONCE:
                await asyncio.to_thread(incoming.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(incoming.write, bytes(waiting))
        if not incoming.size:
            raise _Problem(400, "PAPER_EMPTY", "The body is empty (内容为空)")
        return await asyncio.to_thread(incoming.finish, services.clock())
    finally:
        incoming.close()


def _refuse_length(header: str | None, most: int) -> None:
    if header is not None and header.isascii() and header.isdecimal() and int(header[:20]) > most:
        raise _too_large(most)


def _too_large(most: int) -> _Problem:
    words = f"The file is larger than {most} bytes (文件超过 {most} 字节)"
    return _Problem(413, "PAPER_TOO_LARGE", words, {"connection": "close"})


# -- answers


def _away(fault: Fault | ConfigurationError) -> _Problem:
    code = fault.code if isinstance(fault, Fault) else "MISCONFIGURED"
    return _Problem(503, code, str(fault), {"retry-after": _RETRY_SECONDS})


def _refusal(problem: _Problem) -> Response:
    body = {"errors": [{"message": problem.words, "extensions": {"code": problem.code}}]}
    return _json(body, problem.status, {"Cache-Control": "no-store", **problem.headers})


def _json(body: object, status: int, headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps(body), HTTPStatus(status), headers, "application/json; charset=utf-8")
