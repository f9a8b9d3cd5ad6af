"""Serves the page behind a link to sign: GET only shows it, POST signs; needs no JavaScript and no signing in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from crm_core.approvals.by_link import Answer, Trouble, look, sign
from crm_core.approvals.page import HEADERS, away, page, unreadable
from crm_core.errors import ConfigurationError, Fault, preferred_language
from crm_core.work import Services

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

ROUTE: Final = "/a/{token}"
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_BYTES: Final = 65_536
_STATUS: Final = {
    Trouble.UNKNOWN: 404,
    Trouble.NOT_YOURS: 403,
    Trouble.EXPIRED: 410,
    Trouble.USED: 410,
    Trouble.DECIDED: 409,
    Trouble.NO_CHOICE: 400,
    Trouble.CHANGED: 409,
    Trouble.REFUSED: 422,
}
_RETRY_SECONDS: Final = "2"


def approval_page(
    services: Callable[[], Awaitable[Services]], log: FilteringBoundLogger
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of `ROUTE`; `services` raises a `Fault` while the database is out of reach.

    The address is a secret: it stands in no log line of ours.
    """

    async def answer(request: Request) -> Response:
        accepted = request.headers.get("accept-language")
        try:
            return await _answered(request, await services(), accepted)
        except (Fault, ConfigurationError) as problem:
            log.warning("approval page put off", reason=type(problem).__name__)
            return _html(away(preferred_language(accepted)), 503, {"Retry-After": _RETRY_SECONDS})
        except Exception:  # nothing that names the address may come of it
            log.exception("approval page failed")
            return _html(away(preferred_language(accepted)), 500)

    return answer


async def _answered(request: Request, services: Services, accepted: str | None) -> Response:
    token = str(request.path_params["token"])
    if request.method != "POST":
        return _shown(await look(services, token, accepted))
    form = await _form(request)
    if form is None:
        return _html(unreadable(preferred_language(accepted)), 400)
    return _shown(await sign(services, token, accepted, form))


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of the form; None for what is no form, or larger than any of ours."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return None
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="replace")
        )
    except ValueError:
        return None


def _shown(answer: Answer) -> Response:
    return _html(page(answer), 200 if answer.trouble is None else _STATUS[answer.trouble])


def _html(text: str, status: int, more: dict[str, str] | None = None) -> Response:
    return HTMLResponse(text, status, {**HEADERS, **(more or {})})
