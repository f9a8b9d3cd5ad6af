"""Incoming webhooks over HTTP (接收 Webhook): `POST /hooks/<key>` takes a request in; GET is for handshakes alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from crm_core.errors import ConfigurationError, Fault
from crm_core.incoming.receiving import Call, Refusal, receive, settings_of, too_large
from crm_core.keyring import KeyringError
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

HOOKS_ROUTE: Final = "/hooks/{key}"
_RETRY_SECONDS: Final = "5"
_SAFE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_SLOW: Final = Refusal(408, "TOO_SLOW", "The body did not arrive in time (正文接收超时)")
_BROKEN: Final = Refusal(400, "BROKEN_OFF", "The body broke off (正文不完整)")


def incoming_hooks(
    services: Callable[[], Awaitable[Services]], log: FilteringBoundLogger
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of `HOOKS_ROUTE`; `services` raises a `Fault` while the database is out of reach.

    The address of a source is a secret: it stands in no log line of ours.
    """

    async def answer(request: Request) -> Response:
        try:
            return await _answered(await services(), request, log)
        except Refusal as refusal:
            log.warning("webhook refused", code=refusal.code, reason=_why(refusal), peer=_peer(request))
            return _said(refusal.status, refusal.code, refusal.words)
        except (Fault, ConfigurationError, KeyringError) as problem:
            log.warning("webhook put off", reason=str(problem))
            away = "Try again later (服务暂不可用，请稍后重试)"
            return _said(503, "UNAVAILABLE", away, {"Retry-After": _RETRY_SECONDS})
        except Exception:  # the sender tries again; nothing that names the address may come of it
            log.exception("webhook failed")
            return _said(500, "INTERNAL", "Internal error (内部错误)")

    return answer


async def _answered(services: Services, request: Request, log: FilteringBoundLogger) -> Response:
    seconds = settings_of(services).read_seconds

    async def read(most: int) -> bytes:
        return await _body(request, most, seconds)

    call = Call(
        method=request.method,
        path_key=str(request.path_params["key"]),
        headers={name.lower(): value for name, value in request.headers.items()},
        query=dict(request.query_params),
        peer=_peer(request),
        read=read,
    )
    taken = await receive(services, call)
    log.info("webhook taken", status=taken.status, **taken.told)
    return Response(taken.answer.body, taken.status, _SAFE, taken.answer.media_type)


async def _body(request: Request, most: int, seconds: float) -> bytes:
    """The body, never more than allowed of it in memory."""
    found = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                found += part
                if len(found) > most:
                    raise too_large(most)
    except TimeoutError:
        raise _SLOW from None
    except ClientDisconnect:
        raise _BROKEN from None
    return bytes(found)


def _why(refusal: Refusal) -> str:
    return str(refusal.__cause__) if refusal.__cause__ is not None else refusal.words


def _peer(request: Request) -> str | None:
    return request.client.host if request.client is not None else None


def _said(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> Response:
    body = {"errors": [{"message": words, "extensions": {"code": code}}]}
    return Response(
        orjson.dumps(body), status, {**_SAFE, **(headers or {})}, "application/json; charset=utf-8"
    )
