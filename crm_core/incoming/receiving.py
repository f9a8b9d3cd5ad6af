"""Takes a request in: checked, verified, kept as it is in one small transaction, then confirmed; processed later."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from crm_core import ids
from crm_core.commands import Part
from crm_core.errors import Fault
from crm_core.incoming.addresses import Address, client_of, is_allowed
from crm_core.incoming.expressions import Failed, evaluate
from crm_core.incoming.models import IncomingOrder, IncomingState
from crm_core.incoming.parsing import Unreadable, read_body
from crm_core.incoming.queries import keeping, kept, source_at
from crm_core.incoming.sealing import valid_secrets
from crm_core.incoming.settings import IncomingSettings
from crm_core.incoming.verifier import Answer, Arrived, Unverified, Verified, Verifier
from crm_core.work import Services

RECEIVED: Final = "incoming"
"""What those who process requests hear of, in the process that received one."""
MOST_KEY: Final = 64
_MOST_DEDUPE: Final = 200
_MOST_VALUES: Final = 60
_MOST_TEXT: Final = 1_000
_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|signature|passw|credential|api-?key|^echostr$|^nonce$", re.IGNORECASE
)
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
_HEADER: Final = "header:"

Read = Callable[[int], Awaitable[bytes]]
"""Reads the body, at most so many bytes; raises `Refusal` when it is larger, or too slow."""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """The request is not taken: status, code, why (in both languages)."""

    status: int
    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request at the door. `peer` is the address of the connection; names of headers are in lower case."""

    method: str
    path_key: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    peer: str | None
    read: Read


@dataclass(frozen=True, slots=True)
class Taken:
    """What the sender hears, with this status, and what the log tells."""

    status: int
    answer: Answer
    told: Mapping[str, Any] = field(default_factory=dict)


UNKNOWN: Final = Refusal(404, "NOT_FOUND", "No such address (地址不存在)")
_DISABLED: Final = Refusal(410, "DISABLED", "This source is disabled (该来源已停用)")
_FORBIDDEN: Final = Refusal(403, "ADDRESS_NOT_ALLOWED", "Not from this address (来源地址不在白名单内)")
_WRONG: Final = Refusal(401, "UNVERIFIED", "The signature or token is not right (签名或令牌验证失败)")
_STALE: Final = Refusal(
    401, "STALE", "Signed too long ago, or ahead of time; check the clocks (时间戳超出允许范围)"
)


def too_large(most: int) -> Refusal:
    """The body is larger than it may be."""
    return Refusal(413, "TOO_LARGE", f"At most {most} bytes (正文不得超过 {most} 字节)")


def settings_of(services: Services) -> IncomingSettings:
    """The settings of this room."""
    settings = services.registry.settings["incoming"]
    if not isinstance(settings, IncomingSettings):
        raise Fault("MISCONFIGURED", "The settings of incoming are not known")
    return settings


async def receive(services: Services, call: Call) -> Taken:
    """Take a request in; what was taken before is confirmed under the same id.

    Raises `Refusal`; `Fault` while the database is out of reach, so that the sender tries again; `KeyringError` when
    the source's secret cannot be opened.
    """
    settings = settings_of(services)
    most = settings.body_bytes
    _refuse_length(call, most)
    if len(call.path_key) > MOST_KEY:
        raise UNKNOWN
    rows = await services.database.fetch(source_at(call.path_key))
    if not rows:
        raise UNKNOWN
    source = rows[0]
    if not source.enabled:
        raise _noted(services, source, _DISABLED)
    client = client_of(call.peer, call.headers.get("x-forwarded-for"), settings.trusted_proxies)
    if not is_allowed(client, source.addresses):
        raise _noted(services, source, _FORBIDDEN)
    body = await call.read(min(most, source.body_bytes))
    now = services.clock()
    verified = _verified(services, source, Arrived(call.method, call.headers, call.query, body), now)
    if call.method != "POST" and verified.answer is None:
        raise UNKNOWN
    if verified.answer is not None:
        return Taken(200, verified.answer, {"handshake": True, "source": ids.show("ins", source.id)})
    return await _kept(services, source, call, client, verified, now)


def _refuse_length(call: Call, most: int) -> None:
    given = call.headers.get("content-length", "")
    if given.isascii() and given.isdecimal() and int(given[:20]) > most:
        raise too_large(most)


def _noted(services: Services, source: Any, refusal: Refusal) -> Refusal:
    services.count("incoming_refused", refusal.code, 1)
    return Refusal(refusal.status, refusal.code, refusal.words)


# -- verifying


def _verified(services: Services, source: Any, arrived: Arrived, now: datetime) -> Verified:
    """Verified with the current secret, or with the previous one while it holds, and not too long ago."""
    verifier = services.registry.verifiers.get(source.verifier)
    if verifier is None:
        raise Fault("UNKNOWN_VERIFIER", f"No verifier {source.verifier}; its plugin may be gone")
    verified = _with_any_secret(services, verifier, source, arrived, now)
    window = timedelta(seconds=source.window_seconds)
    if window and verified.moment is not None and abs(now - verified.moment) > window:
        raise _noted(services, source, _STALE)
    return verified


def _with_any_secret(
    services: Services, verifier: Verifier, source: Any, arrived: Arrived, now: datetime
) -> Verified:
    options: Part = verifier.options.model_validate(source.options)
    why: Unverified | None = None
    for secret in valid_secrets(services.keyring, source, now):
        try:
            return verifier.verify(arrived, secret, options, now)
        except Unverified as unverified:
            why = why or unverified
    raise _noted(services, source, _WRONG) from why


# -- keeping


async def _kept(
    services: Services, source: Any, call: Call, client: Address | None, verified: Verified, now: datetime
) -> Taken:
    content_type = _storable(call.headers.get("content-type", ""))[:200]
    key = dedupe_key(source.dedupe, call.headers, call.query, verified, content_type)
    values = {
        "id": ids.uuid7(),
        "created_at": now,
        "updated_at": now,
        "version": 1,
        "source_id": source.id,
        "line": source.line,
        "dedupe_key": key,
        "order_key": order_key(source, call.headers, call.query, verified, content_type),
        "content_type": content_type,
        "headers": without_secrets(call.headers, {str(v).lower() for v in source.options.values()}),
        "query": without_secrets(call.query, frozenset()),
        "body": verified.body,
        "size": len(verified.body),
        "address": str(client) if client else None,
        "state": IncomingState.RECEIVED.value,
        "attempts": 0,
        "next_at": now,
        "results": [],
        "errors": [],
    }
    async with services.database.transaction() as session:
        new = (await session.execute(keeping(services.database.dialect, values))).scalar()
        known: UUID = new or (await session.execute(kept(source.id, key))).scalar_one()
    services.count("incoming_received" if new else "incoming_repeated", "", 1)
    services.stirred(RECEIVED)
    shown = ids.show("inr", known)
    said = verified.reply or Answer(orjson.dumps({"id": shown, "duplicate": new is None}))
    status = 200 if verified.reply is not None or new is None else 202
    return Taken(
        status, said, {"request": shown, "source": ids.show("ins", source.id), "new": new is not None}
    )


def dedupe_key(
    wanted: str | None,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    verified: Verified,
    content_type: str,
) -> str:
    """What tells a request from another one of its source.

    The header or expression its source names (`header:x-id`, `=body.id`), else the sender's id that came with it, else
    the digest of the body.
    """
    found = _named_key(wanted, headers, query, verified, content_type) if wanted else verified.key
    return _short(found) if found else f"sha256:{hashlib.sha256(verified.body).hexdigest()}"


def order_key(
    source: Any, headers: Mapping[str, str], query: Mapping[str, str], verified: Verified, content_type: str
) -> str | None:
    """What a request waits for the earlier ones of: the source, or its subject; None: for none.

    A request whose subject is not found waits for none either.
    """
    if source.ordered == IncomingOrder.SOURCE:
        return "*"
    if source.ordered != IncomingOrder.SUBJECT or source.about is None:
        return None
    found = _named_key(source.about, headers, query, verified, content_type)
    return f"={_short(found)}" if found else None


def _short(key: str) -> str:
    """A key as it is, or the digest of one that is too long or no text."""
    if len(key) < _MOST_DEDUPE and not _NO_TEXT.search(key):
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _named_key(
    wanted: str, headers: Mapping[str, str], query: Mapping[str, str], verified: Verified, content_type: str
) -> str | None:
    if wanted.startswith(_HEADER):
        return headers.get(wanted.removeprefix(_HEADER).strip().lower())
    try:
        body = read_body(verified.body, content_type)
        document = {"body": body, "headers": dict(headers), "query": dict(query)}
        found = evaluate(wanted.removeprefix("="), document)
    except (Failed, Unreadable):
        return None
    if isinstance(found, str):
        return found
    return None if found in (None, [], {}) else orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def without_secrets(given: Mapping[str, str], secret: frozenset[str] | set[str]) -> dict[str, str]:
    """Headers or query without what signs or authorises, those of these names included; at most 60, shortened."""
    told = [(k, v) for k, v in given.items() if not _SECRET.search(k) and k.lower() not in secret]
    return {_storable(k)[:200]: _storable(v)[:_MOST_TEXT] for k, v in told[:_MOST_VALUES]}


def _storable(text: str) -> str:
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)
