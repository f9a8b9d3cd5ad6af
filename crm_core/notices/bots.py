"""The channel `bot`: signed HTTP to group bots of WeCom, DingTalk and Feishu, and to web hooks of one's own.

A bot's address and secret stand in the settings; a delivery knows its name alone. Requests go out without a client
around them that would follow redirects, keep cookies or write addresses, which hold keys, into logs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import orjson

from crm_core.notices.notifier import NoticeMessage, Notifier, Unsent
from crm_core.notices.settings import BotSettings, NoticesSettings, settings_of
from crm_core.notices.trust import certificates

if TYPE_CHECKING:
    from crm_core.work import Services

_MOST_ANSWER: Final = 65_536
_MOST_BYTES: Final = {"wecom": 4_000, "dingtalk": 15_000, "feishu": 15_000}
_MOST_SAID: Final = 200
_TAKEN: Final = 2
"""Hundreds of a status that means: taken."""
_BROKEN: Final = 500
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_BUSY: Final = {
    "wecom": frozenset({-1, 45009, 45033}),  # busy; too often; too many at once
    "dingtalk": frozenset({-1, 130101, 410100, 460101}),
    "feishu": frozenset({11232, 99991400, 5000}),
}
"""Answers of each service that mean: later. Any other refusal (wrong key, wrong signature, keyword) stays one."""
_MARKUP: Final = str.maketrans({"[": "［", "]": "］", "<": "＜", ">": "＞", "*": "＊", "`": "｀"})
_OPEN: Final = {"zh-CN": "打开", "en": "Open"}


@dataclass(frozen=True, slots=True)
class Post:
    """One HTTP request: where to, with which body and further headers."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


async def send(services: Services, message: NoticeMessage) -> None:
    """Post the message by the bot of that name; `Unsent` when it is not taken."""
    settings = settings_of(services)
    bot = settings.bots.get(message.address)
    if bot is None:
        raise Unsent(f"no bot {message.address} is set in notices.bots (未配置该机器人)", retry=False)
    post = post_of(bot, message, services.clock())
    import httpx  # noqa: PLC0415  # of no use to a process that sends nothing to bots

    try:
        status, headers, answer = await _posted(post, settings)
    except httpx.TransportError as error:
        raise Unsent(_safe(f"{type(error).__name__}: {error}", bot), retry=True) from None
    _judge(bot, status, headers, answer)


def post_of(bot: BotSettings, message: NoticeMessage, now: datetime) -> Post:
    """The request that carries a message to a bot, signed at this moment in the way its service asks."""
    return _POSTS[bot.kind](bot, message, now)


async def _posted(post: Post, settings: NoticesSettings) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and the beginning of the answer."""
    import httpx  # noqa: PLC0415

    timeout = httpx.Timeout(settings.timeout_seconds).as_dict()
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": "crm-core", **post.headers}
    request = httpx.Request(
        "POST", post.url, content=post.body, headers=headers, extensions={"timeout": timeout}
    )
    async with httpx.AsyncHTTPTransport(verify=certificates(settings.ca_file), trust_env=False) as transport:
        response = await transport.handle_async_request(request)
        try:
            answer = b""
            async for some in response.aiter_raw():
                answer += some
                if len(answer) >= _MOST_ANSWER:
                    break
            return response.status_code, response.headers, answer[:_MOST_ANSWER]
        finally:
            await response.aclose()


def _judge(bot: BotSettings, status: int, headers: Mapping[str, str], answer: bytes) -> None:
    """Nothing when the message was taken, else `Unsent`; the services answer 200 to what they refuse too."""
    if status // 100 != _TAKEN:
        retry = status in _TRY_AGAIN or status >= _BROKEN
        raise Unsent(_safe(f"HTTP {status}", bot), retry=retry, after=_seconds(headers.get("retry-after")))
    if bot.kind == "webhook":
        return
    code, words = _said(answer)
    if code is None:
        raise Unsent("the answer is none of this service (响应格式不符)", retry=True)
    if code != 0:
        retry = code in _BUSY[bot.kind]
        raise Unsent(_safe(f"{bot.kind} {code}: {words}"[:_MOST_SAID], bot), retry=retry)


def _said(answer: bytes) -> tuple[int | None, str]:
    """Code and words of an answer of WeCom or DingTalk (`errcode`, `errmsg`) or Feishu (`code`, `msg`)."""
    try:
        found: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None, ""
    if not isinstance(found, dict):
        return None, ""
    code = next((found[name] for name in ("errcode", "code", "StatusCode") if name in found), None)
    words = next((found[name] for name in ("errmsg", "msg", "StatusMessage") if name in found), "")
    return (code if isinstance(code, int) else None), str(words)


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else 0.0


def _safe(words: str, bot: BotSettings) -> str:
    """Words without the bot's address and secret, should something repeat them."""
    for secret in (bot.url.get_secret_value(), bot.secret.get_secret_value()):
        words = words.replace(secret, "***") if secret else words
    return words


# -- what each service takes


def _wecom(bot: BotSettings, message: NoticeMessage, _now: datetime) -> Post:
    """The key stands in the address; Markdown."""
    content = _markdown(message, _MOST_BYTES["wecom"])
    return _json(
        bot.url.get_secret_value(), message, {"msgtype": "markdown", "markdown": {"content": content}}
    )


def _dingtalk(bot: BotSettings, message: NoticeMessage, now: datetime) -> Post:
    """Moment (ms) and signature stand in the query; Markdown."""
    url, secret = bot.url.get_secret_value(), bot.secret.get_secret_value()
    if secret:
        stamp = str(int(now.timestamp() * 1000))
        sign = _hmac(secret.encode(), f"{stamp}\n{secret}".encode())
        url += f"{'&' if '?' in url else '?'}timestamp={stamp}&sign={quote_plus(sign)}"
    text = _markdown(message, _MOST_BYTES["dingtalk"])
    return _json(
        url, message, {"msgtype": "markdown", "markdown": {"title": _plain(message.title), "text": text}}
    )


def _feishu(bot: BotSettings, message: NoticeMessage, now: datetime) -> Post:
    """Moment (s) and signature stand in the body; a rich text of lines."""
    secret = bot.secret.get_secret_value()
    signed: dict[str, Any] = {}
    if secret:
        stamp = str(int(now.timestamp()))
        signed = {"timestamp": stamp, "sign": _hmac(f"{stamp}\n{secret}".encode(), b"")}
    body = _shortened(message.body, _MOST_BYTES["feishu"])
    lines: list[list[dict[str, str]]] = [[{"tag": "text", "text": line}] for line in body.split("\n") if line]
    if message.url:
        lines.append([{"tag": "a", "text": _OPEN[message.language], "href": message.url}])
    language = "zh_cn" if message.language == "zh-CN" else "en_us"
    post = {language: {"title": message.title, "content": lines}}
    return _json(
        bot.url.get_secret_value(), message, {**signed, "msg_type": "post", "content": {"post": post}}
    )


def _webhook(bot: BotSettings, message: NoticeMessage, now: datetime) -> Post:
    """Standard Webhooks: id, moment and signature stand in headers; the message as data."""
    data = {
        "id": message.id,
        "userId": f"usr_{message.user_id.hex}",
        "kind": message.kind,
        "title": message.title,
        "body": message.body,
        "language": message.language,
        "url": message.url,
        "line": message.line,
        "subjectType": message.subject_type,
        "subject": message.subject,
        "urgent": message.urgent,
        "facts": dict(message.facts),
    }
    body = orjson.dumps({"type": "notice", "timestamp": message.created_at.isoformat(), "data": data})
    stamp = str(int(now.timestamp()))
    signature = _hmac(_key(bot), b".".join((message.id.encode(), stamp.encode(), body)))
    headers = {
        "webhook-id": message.id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature}",
    }
    return Post(bot.url.get_secret_value(), body, headers)


def _key(bot: BotSettings) -> bytes:
    try:
        return base64.b64decode(bot.secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except NotBase64:
        raise Unsent("the secret is not whsec_ and base64 (密钥格式错误)", retry=True) from None


_POSTS: Final[Mapping[str, Callable[[BotSettings, NoticeMessage, datetime], Post]]] = {
    "wecom": _wecom,
    "dingtalk": _dingtalk,
    "feishu": _feishu,
    "webhook": _webhook,
}


def _json(url: str, message: NoticeMessage, body: Mapping[str, Any]) -> Post:
    return Post(url, orjson.dumps(body), {"webhook-id": message.id})


def _hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def _markdown(message: NoticeMessage, most: int) -> str:
    """Title, lines and link in Markdown; what people wrote can neither format nor link nor call anybody."""
    link = f"\n\n[{_OPEN[message.language]}]({message.url})" if message.url else ""
    text = f"**{_plain(message.title)}**\n\n" + "\n\n".join(
        _plain(line) for line in message.body.split("\n") if line
    )
    return _shortened(text, most - len(link.encode())) + link


def _plain(text: str) -> str:
    return text.translate(_MARKUP)


def _shortened(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, whole characters."""
    if len(text.encode()) <= most:
        return text
    return text.encode()[: most - len("…".encode())].decode(errors="ignore") + "…"


# -- addresses


def _usual(services: Services, _email: str | None) -> str | None:
    return settings_of(services).default_bot or None


def _problem(services: Services, address: str) -> str | None:
    known = settings_of(services).bots
    if address in known:
        return None
    return f"is none of the bots that are set (未配置的机器人): {', '.join(sorted(known)) or '-'}"


BOT = Notifier("bot", "Chat bot 群机器人", send, _usual, _problem)
