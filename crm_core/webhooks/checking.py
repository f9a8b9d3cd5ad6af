"""What is wrong with an endpoint as somebody wants it: address, headers, certificates, filter, scopes, document."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from crm_core.actors import Reach
from crm_core.errors import Message, UserError
from crm_core.webhooks.claiming import settings_of
from crm_core.webhooks.documents import problems_of
from crm_core.webhooks.filtering import WebhookCondition, events_of, readable, unfit_tests, unknown_columns
from crm_core.webhooks.guard import problem_of_url
from crm_core.webhooks.posting import certificates
from crm_core.webhooks.queries import PRIVATE
from crm_core.webhooks.signing import key_of
from crm_core.work import Work

MOST_HEADER_BYTES: Final = 8_000
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,80}")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_OURS: Final = frozenset({
    "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive",
    "upgrade", "te", "trailer", "expect", "cookie", "user-agent", "proxy-authorization",
})  # fmt: skip

URL = Message("WEBHOOK_URL", "The address {problem}.", "地址无效：{problem}。")
PRIVATE_NEEDS = Message(
    "WEBHOOK_PRIVATE",
    "Endpoints in private networks need the permission {scope}, and networks allowed in the settings.",
    "内网端点需要权限 {scope}，且须在配置中允许相应网段。",
)
HEADER = Message("WEBHOOK_HEADER", "The header {name} {problem}.", "请求头 {name} 无效：{problem}。")
CA = Message("WEBHOOK_CA", "These are no certificates in PEM: {problem}.", "不是有效的 PEM 证书：{problem}。")
SECRET = Message(
    "WEBHOOK_SECRET",
    "A secret is `whsec_` and base64 of 24 to 64 bytes; leave it out to be given one.",
    "密钥应为 whsec_ 加 24 至 64 字节的 base64；不填则由系统生成。",
)
KIND = Message("WEBHOOK_KIND", "No event is of the kind {kind}.", "没有类型为 {kind} 的事件。")
NEEDS_SCOPE = Message(
    "WEBHOOK_NEEDS_SCOPE",
    "Events of the kind {kind} are about {type}: give the endpoint the permission {scope}.",
    "{kind} 事件涉及 {type}，端点需要权限 {scope}。",
)
UNKNOWN_SCOPE = Message("WEBHOOK_UNKNOWN_SCOPE", "No permission {scope}.", "没有权限 {scope}。")
BEYOND = Message(
    "WEBHOOK_BEYOND_YOURS",
    "You do not hold {scope} for the whole line {line}, so you cannot give it to an endpoint.",
    "您在业务线 {line} 没有覆盖全线的权限 {scope}，不能授予端点。",
)
FIELD = Message(
    "WEBHOOK_FIELD", "{name} is a public field of none of these events.", "所选事件没有公开字段 {name}。"
)
CONDITION = Message("WEBHOOK_CONDITION", "{problem}.", "{problem}。")
DOCUMENT = Message("WEBHOOK_DOCUMENT", "The document does not fit: {problem}", "查询文档无效：{problem}")
MESSAGES = (
    URL, PRIVATE_NEEDS, HEADER, CA, SECRET, KIND, NEEDS_SCOPE, UNKNOWN_SCOPE, BEYOND, FIELD, CONDITION, DOCUMENT,
)  # fmt: skip


def troubles(work: Work, wish: Mapping[str, Any], given: Iterable[str]) -> Iterator[UserError]:
    """Everything wrong with an endpoint's columns as they would be; only of what was `given` or depends on it."""
    asked = set(given)
    if asked & {"url", "allow_private"}:
        yield from _address(work, wish)
    if asked & {"kinds", "scopes", "changed_fields", "condition"}:
        yield from _filter(work, wish)
    if "scopes" in asked:
        yield from _scopes(work, wish["scopes"])
    if wish.get("ca") and "ca" in asked:
        yield from _certificates(wish["ca"])
    if "document" in asked:
        yield from document_troubles(work, wish.get("document"))


def document_troubles(work: Work, document: str | None) -> Iterator[UserError]:
    """Why a stored document cannot be run with this schema."""
    if document:
        problems = problems_of(work.registry, work.services.settings.limits, document)
        yield from (DOCUMENT("document", problem=problem) for problem in problems)


def _address(work: Work, wish: Mapping[str, Any]) -> Iterator[UserError]:
    private = bool(wish["allow_private"])
    allowed = settings_of(work.services).allowed_networks
    if private and not (allowed and work.actor.may(PRIVATE, work.line)):
        yield PRIVATE_NEEDS("allowPrivate", scope=PRIVATE)
    problem = problem_of_url(wish["url"], private=private)
    if problem:
        yield URL("url", problem=problem)


def _filter(work: Work, wish: Mapping[str, Any]) -> Iterator[UserError]:
    registry, scopes = work.registry, frozenset(wish["scopes"])
    for position, pattern in enumerate(wish["kinds"]):
        covered = events_of(registry, [pattern])
        if not covered:
            yield KIND(f"kinds.{position}", kind=pattern)
        elif not any(readable(registry, event, scopes) for event in covered):
            kind = registry.types[covered[0].subject_type]
            yield NEEDS_SCOPE(f"kinds.{position}", kind=pattern, type=kind.name, scope=kind.scope or "")
    events = [event for event in events_of(registry, wish["kinds"]) if readable(registry, event, scopes)]
    for name in unknown_columns(wish["changed_fields"] or (), events):
        yield FIELD("changedFields", name=name)
    condition: WebhookCondition | None = wish["condition"]
    if condition is not None:
        for path, unfit in unfit_tests(registry, condition, events):
            words = f"{unfit.english} ({unfit.chinese})"
            yield CONDITION(f"condition.{path}.{unfit.place}", problem=words)


def _scopes(work: Work, scopes: Sequence[str]) -> Iterator[UserError]:
    line = work.acting_line
    for position, scope in enumerate(scopes):
        if scope not in work.registry.scopes:
            yield UNKNOWN_SCOPE(f"scopes.{position}", scope=scope)
        elif not work.actor.is_system and work.actor.reach(scope).get(line, Reach.OWN) < Reach.LINE:
            yield BEYOND(f"scopes.{position}", scope=scope, line=line)


def _certificates(text: str) -> Iterator[UserError]:
    try:
        certificates(text)
    except (ssl.SSLError, ValueError) as error:
        yield CA("ca", problem=str(error)[:200])


def header_troubles(headers: Mapping[str, str]) -> Iterator[UserError]:
    """What is wrong with an endpoint's own headers."""
    seen: set[str] = set()
    for position, (name, value) in enumerate(headers.items()):
        problem = _header_problem(name.lower(), value, seen)
        if problem:
            yield HEADER(f"headers.{position}", name=name[:80], problem=problem)
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEADER_BYTES:
        yield HEADER("headers", name="*", problem=f"together at most {MOST_HEADER_BYTES} bytes (总长度超限)")


def _header_problem(name: str, value: str, seen: set[str]) -> str | None:
    if not _HEADER.fullmatch(name):
        return "is no name of a header (名称无效)"
    if name in _OURS or name.startswith("webhook-"):
        return "is set by the sender (由系统设置)"
    if name in seen:
        return "stands twice (重复)"
    seen.add(name)
    if not _VALUE.fullmatch(value):
        return "may hold printable ASCII characters alone (仅限可见 ASCII 字符)"
    return None


def secret_troubles(secret: str | None) -> Iterator[UserError]:
    """What is wrong with a secret somebody brings."""
    if secret is None:
        return
    try:
        key_of(secret)
    except ValueError:
        yield SECRET("secret")
