"""What can go wrong: refusals a caller can act on (data), and faults (GraphQL errors with a stable code)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh-CN"]
Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class UserError:
    """One business refusal as data (拒绝理由): a stable code and its parameters, worded later for the caller.

    `field` is the dotted path of the input field (`phones.0.number`), `rule` the rule that refused (`AD-050`).
    """

    code: str
    params: Mapping[str, Json] = field(default_factory=dict)
    field: str | None = None
    rule: str | None = None

    def as_json(self) -> dict[str, Json]:
        """The form in which a refusal is stored: code and parameters, no words."""
        return {"code": self.code, "params": dict(self.params), "field": self.field, "rule": self.rule}


@dataclass(frozen=True, slots=True)
class Message:
    """The words of one code in both languages; `{name}` marks a parameter."""

    code: str
    en: str
    zh: str
    rule: str | None = None

    def __call__(self, field: str | None = None, *, rule: str | None = None, **params: Json) -> UserError:
        """A refusal with this code."""
        return UserError(self.code, params, field, rule or self.rule)

    def words(self, params: Mapping[str, Json], language: Language) -> str:
        """The message for a person; a missing parameter shows as its name, it never fails."""
        return (self.zh if language == "zh-CN" else self.en).format_map(_Named(params))


class _Named(dict[str, Json]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


class Refused(Exception):
    """The command is refused; nothing was written. Carries every reason found, not just the first."""

    def __init__(self, *errors: UserError) -> None:
        super().__init__(", ".join(f"{e.code}({e.field})" if e.field else e.code for e in errors))
        self.errors = errors


class Fault(Exception):
    """Something the caller cannot mend by changing his input; becomes a GraphQL error with `extensions.code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unauthenticated(Fault):
    """No credential or a bad one: HTTP 401."""

    def __init__(self, message: str = "A valid API token is required (需要有效的访问令牌)") -> None:
        super().__init__("UNAUTHENTICATED", message)


class Forbidden(Fault):
    """The actor lacks a scope, or the field belongs to a plugin of none of his lines."""

    def __init__(self, what: str) -> None:
        super().__init__("FORBIDDEN", f"Not allowed: {what} (无权访问)")


class Unavailable(Fault):
    """The database does not answer now; trying again later is right."""

    def __init__(self, message: str) -> None:
        super().__init__("DATABASE_UNAVAILABLE", message)


class ConfigurationError(Exception):
    """The deployment's settings are wrong; the text names the key and what to do."""


REQUIRED = Message("REQUIRED", "{field} is required; give a value.", "必须填写 {field}。")
INVALID = Message("INVALID_VALUE", "{field}: {problem}", "{field} 的值无效：{problem}")
NOT_FOUND = Message(
    "NOT_FOUND",
    "No {type} {id} that you may see. Check the id and the line you act in.",
    "找不到您有权查看的 {type} {id}，请核对编号和业务线。",
)
FORBIDDEN = Message(
    "FORBIDDEN",
    "You lack the permission {scope} in line {line}. Ask an administrator for a role that has it.",
    "您在业务线 {line} 没有权限 {scope}，请联系管理员授予相应角色。",
)
STALE_VERSION = Message(
    "STALE_VERSION",
    "The record was changed meanwhile: you expected version {expected}, it is {actual}. Read it again.",
    "记录已被他人修改：您预期版本 {expected}，当前为 {actual}，请重新读取后再改。",
)
VERSION_NOT_APPLICABLE = Message(
    "VERSION_NOT_APPLICABLE",
    "{kind} does not change one existing record; leave expectedVersion out.",
    "{kind} 不修改单个已有记录，请勿填写 expectedVersion。",
)
IDEMPOTENCY_MISMATCH = Message(
    "IDEMPOTENCY_KEY_REUSED",
    "The idempotency key {key} was used for another input within 24 hours. Use a new key.",
    "幂等键 {key} 在 24 小时内已用于不同的内容，请更换。",
)
LINE_REQUIRED = Message(
    "LINE_REQUIRED",
    "You act in several business lines ({lines}): name one, by the argument line or the header X-CRM-Line.",
    "您属于多条业务线（{lines}），请用参数 line 或请求头 X-CRM-Line 指明一条。",
)
UNKNOWN_LINE = Message(
    "UNKNOWN_LINE", "You do not act in a business line {line}.", "您不在业务线 {line} 内，或该业务线不存在。"
)
WRONG_LINE = Message(
    "WRONG_LINE",
    "The record belongs to line {line}, you act in {given}.",
    "该记录属于业务线 {line}，而您正在业务线 {given} 操作。",
)
PLUGIN_QUARANTINED = Message(
    "PLUGIN_QUARANTINED",
    "Plugin {plugin} of line {line} is quarantined ({reason}); writes of this line are refused until it is mended.",
    "业务线 {line} 的插件 {plugin} 已被隔离（{reason}），修复之前该业务线不接受写入。",
)
PLUGIN_NOT_ENABLED = Message(
    "PLUGIN_NOT_ENABLED",
    "Plugin {plugin} is not enabled in line {line}.",
    "业务线 {line} 未启用插件 {plugin}。",
)
ILLEGAL_MOVE = Message(
    "ILLEGAL_MOVE",
    "{what} cannot {move} while it is {state}. Allowed now: {allowed}.",
    "{what} 当前状态为 {state}，不能执行 {move}；现在可以：{allowed}。",
)
CONFLICT = Message(
    "CONFLICT",
    "Another change came first ({what}). Read the record again and retry.",
    "数据已被其他操作抢先修改（{what}），请重新读取后重试。",
)
TOO_MANY = Message(
    "TOO_MANY", "At most {limit} at a time; you gave {given}.", "一次最多 {limit} 个，您给了 {given} 个。"
)

KERNEL_MESSAGES: tuple[Message, ...] = (
    REQUIRED, INVALID, NOT_FOUND, FORBIDDEN, STALE_VERSION, VERSION_NOT_APPLICABLE, IDEMPOTENCY_MISMATCH,
    LINE_REQUIRED, UNKNOWN_LINE, WRONG_LINE, PLUGIN_QUARANTINED, PLUGIN_NOT_ENABLED, ILLEGAL_MOVE, CONFLICT, TOO_MANY,
)  # fmt: skip


def worded(error: UserError, messages: Mapping[str, Message], language: Language) -> str:
    """A refusal in the caller's language; an unknown code (its plugin is gone) shows code and parameters."""
    message = messages.get(error.code)
    params = {"field": error.field or "", **error.params}
    return message.words(params, language) if message else f"{error.code} {dict(error.params)}"


def preferred_language(accept_language: str | None) -> Language:
    """The best of the languages we speak for an `Accept-Language` header; English when none is named."""
    best: tuple[float, Language] = (0.0, "en")
    for part in (accept_language or "").split(","):
        tag, _, q = part.strip().partition(";q=")
        weight = _weight(q)
        language: Language | None = (
            "zh-CN" if tag.lower().startswith("zh") else "en" if tag.lower().startswith("en") else None
        )
        if language and weight > best[0]:
            best = (weight, language)
    return best[1]


def _weight(q: str) -> float:
    try:
        return float(q) if q else 1.0
    except ValueError:
        return 0.0


def raise_if(errors: Iterable[UserError]) -> None:
    """Refuse with everything collected; nothing collected is no refusal."""
    found = tuple(errors)
    if found:
        raise Refused(*found)
