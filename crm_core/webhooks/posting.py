"""Posts a payload: by checked addresses alone, without redirects, within its time, and reads little of the answer."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, Self

import aiohttp
from yarl import URL

from crm_core.webhooks.guard import GuardedResolver, Network, Refusal, Resolve, is_host, refuse_address
from crm_core.webhooks.judging import Answer, retry_after
from crm_core.webhooks.models import MOST_ERROR, MOST_EXCERPT
from crm_core.webhooks.settings import WebhooksSettings

AGENT: Final = "crm-core"
_HIDDEN: Final = "***"
_PIECE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Post:
    """One request. `own` are headers of the endpoint, whose values are shown nowhere."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)
    ca: str | None = None
    private: bool = False


class Poster:
    """Keeps connections open from one request to the next; to be used as an async context."""

    def __init__(self, settings: WebhooksSettings, resolve: Resolve) -> None:
        """`resolve` finds the addresses of a host; each is checked before it is connected to."""
        self._settings, self._resolve = settings, resolve
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        """Open: nothing connects yet."""
        self._sessions = {private: self._session(self._networks(private)) for private in (False, True)}
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def _networks(self, private: bool) -> tuple[Network, ...]:  # noqa: FBT001  # a key
        return self._settings.networks if private else ()

    def _session(self, networks: Iterable[Network]) -> aiohttp.ClientSession:
        limits = aiohttp.ClientTimeout(
            total=self._settings.timeout_seconds, sock_connect=self._settings.connect_seconds
        )
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._resolve, networks), use_dns_cache=False, limit=0
        )  # what is trusted comes with each request
        return aiohttp.ClientSession(
            connector=connector, timeout=limits, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            trust_env=False, raise_for_status=False,
        )  # fmt: skip

    async def post(self, post: Post, now: datetime) -> Answer:
        """The answer, or why none came; never raises for what the other side does."""
        began = time.perf_counter()
        try:
            status, headers, read = await self._posted(post)
        except (aiohttp.ClientError, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
            refusal = _refusal(error)
            words = str(refusal) if refusal else self._why(error)
            return Answer(
                None, _since(began), _without(words, post)[:MOST_ERROR], hopeless=refusal is not None
            )
        error_words = None if 200 <= status < 300 else f"HTTP {status}"  # noqa: PLR2004  # HTTP
        return Answer(
            status,
            _since(began),
            error_words,
            _excerpt(read, post),
            retry_after(headers, now, self._settings.longest_wait),
        )

    async def _posted(self, post: Post) -> tuple[int, Mapping[str, str], bytes]:
        url = URL(post.url, encoded=True)
        host = url.host or ""
        if not is_host(host):
            raise Refusal("the host is written in an unusual way (主机名无效)")
        if _is_literal(host):
            refuse_address(host, self._networks(post.private))
        headers = {"user-agent": AGENT, **post.own, **post.headers}
        async with self._sessions[post.private].post(
            url, data=post.body, headers=headers, ssl=certificates(post.ca), allow_redirects=False
        ) as response:
            read = await self._read(response)
            return response.status, {k.lower(): v for k, v in response.headers.items()}, read

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The beginning of the answer; what is longer, or does not come, is cut off with its connection."""
        read = b""
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            while len(read) < self._settings.answer_bytes:
                piece = await response.content.read(_PIECE)
                if not piece:
                    return read
                read += piece
        response.close()
        return read[: self._settings.answer_bytes]

    def _why(self, error: Exception) -> str:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return f"no connection within {self._settings.connect_seconds:g} s (连接超时)"
        if isinstance(error, TimeoutError):
            return f"no answer within {self._settings.timeout_seconds:g} s (超时)"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return f"the certificate is not trusted: {error.certificate_error} (证书不受信任)"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "the connection was closed before an answer (连接被提前关闭)"
        return f"{type(error).__name__}: {error}"


def _refusal(error: BaseException) -> Refusal | None:
    """The refusal of an address that a library wrapped into an error of its own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Refusal):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _is_literal(host: str) -> bool:
    return ":" in host or host.removesuffix(".").rsplit(".", 1)[-1].isdigit()


def _since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _excerpt(read: bytes, post: Post) -> str | None:
    """The beginning of the answer as text that any database keeps."""
    if not read:
        return None
    text = read[: 4 * MOST_EXCERPT].decode("utf-8", "replace").replace("\0", "\ufffd")
    return _without(text, post).encode()[:MOST_EXCERPT].decode("utf-8", "ignore")


def _without(text: str, post: Post) -> str:
    """A text without the values of the endpoint's own headers, should somebody repeat them."""
    for value in post.own.values():
        text = text.replace(value, _HIDDEN) if value else text
    return text


@lru_cache(maxsize=256)
def certificates(ca: str | None) -> ssl.SSLContext:
    """What verifies a server's certificate and name: by these certificates (PEM), or by what the system trusts.

    Raises `ssl.SSLError` where the text holds no certificate.
    """
    return ssl.create_default_context(cadata=ca) if ca else ssl.create_default_context()
