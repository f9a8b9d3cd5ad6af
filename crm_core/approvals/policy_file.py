"""Sign-off policies as YAML: reads a file with the place of every mistake, and writes one that reads back the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_args
from uuid import UUID, uuid5

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from crm_core import ids
from crm_core.approvals.conditions import plain
from crm_core.approvals.stages import MESSAGES, ApprovalSlot, PolicyDefinition
from crm_core.commands import Part, user_errors, validation_messages
from crm_core.errors import INVALID, REQUIRED, worded

LARGEST: Final = 262_144
DEEPEST: Final = 20
MOST: Final = 500
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_STRANGERS: Final = UUID("5d0e7f0a-6a3f-4f36-9a52-6a8a4b1f2c11")
_WORDS: Final = {m.code: m for m in (*validation_messages(), REQUIRED, INVALID, *MESSAGES)}

Path: TypeAlias = "tuple[str | int, ...]"
Mark: TypeAlias = "tuple[int, int]"
"""Line and column, both from 1."""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Something wrong in a file: line and column (from 1), a stable code, and words in both languages."""

    line: int
    column: int
    code: str
    text_en: str
    text_zh: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class FilePolicy:
    """One policy of a file: its definition, the lines it is for (none: those asked for), where each part stands."""

    definition: PolicyDefinition
    lines: tuple[str, ...]
    path: Path
    marks: Mapping[Path, Mark] = field(repr=False)

    def at(self, api_path: str) -> Mark:
        """Line and column of a part, named as the API names it: `stages.0.slots.1.userId`."""
        parts: Path = tuple(int(p) if p.isdigit() else _key(to_snake(p)) for p in api_path.split(".") if p)
        login = (*self.path, *parts[:-1], "user")
        return _nearest(
            self.marks, login if parts[-1:] == ("user_id",) and login in self.marks else (*self.path, *parts)
        )


@dataclass(frozen=True)
class PolicyFile:
    """What a file holds: the policies that could be read, and what is wrong with the others."""

    policies: tuple[FilePolicy, ...]
    problems: tuple[FileProblem, ...]


TOO_LARGE: Final = PolicyFile(
    (), (FileProblem(1, 1, "POLICY_FILE", "the file is larger than 256 KiB", "文件超过 256 KiB"),)
)


def read(text: str, users: Mapping[str, UUID] | None = None) -> PolicyFile:
    """The policies of a file, `user: login` read by `users`.

    Without `users` every login stands for somebody unknown: enough to look a file over without a database. Nothing
    is evaluated; tags, anchors and several documents are refused, and what is larger than 256 KiB.
    """
    if len(text.encode(errors="replace")) > LARGEST:
        return TOO_LARGE
    try:
        return _Reading(_Tree(text), users).whole()
    except _Wrong as wrong:
        return PolicyFile((), (wrong.problem,))


def stranger(login: str) -> UUID:
    """The id a login has while no database is asked."""
    return uuid5(_STRANGERS, login)


class _Wrong(Exception):
    def __init__(self, mark: Mark, code: str, english: str, chinese: str) -> None:
        super().__init__(english)
        self.problem = FileProblem(*mark, code, english, chinese)


def _nearest(marks: Mapping[Path, Mark], path: Path) -> Mark:
    """Where a part stands, or else what it would stand in."""
    while path and path not in marks:
        path = path[:-1]
    return marks.get(path, (1, 1))


# -- from text to plain values, with the place of each


class _Tree:
    """Plain values of a YAML text, and where each stands; of YAML only mappings, lists and scalars are taken."""

    def __init__(self, text: str) -> None:
        self.marks: dict[Path, Mark] = {}
        try:
            self._events = yaml.parse(text, Loader=_LOADER)
            self.value = self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            problem = error.problem or "no YAML"
            raise _Wrong(
                place, "POLICY_SYNTAX", f"not YAML: {problem}", f"YAML 语法错误：{problem}"
            ) from None
        except yaml.YAMLError as error:
            words = str(error).split("\n", maxsplit=1)[0]
            raise _Wrong((1, 1), "POLICY_SYNTAX", f"not YAML: {words}", f"YAML 语法错误：{words}") from None

    def _document(self) -> Any:
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Wrong(
                        _place(event), "POLICY_FILE", "one document a file", "每个文件只能有一个文档"
                    )
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, ())
        return value

    def _value(self, event: yaml.Event, path: Path) -> Any:
        self.marks.setdefault(path, _place(event))
        _refuse_tricks(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._list(path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _Wrong(_place(event), "POLICY_SYNTAX", "a key is one word", "键必须是简单的词")
            _refuse_tricks(event, path)
            key = event.value
            if key in found:
                raise _Wrong(_place(event), "POLICY_DUPLICATE", f"{key} stands here twice", f"{key} 重复")
            value = next(self._events)
            inner = (*path, key)
            if not isinstance(value, yaml.ScalarEvent):
                self.marks[inner] = _place(event)
            found[key] = self._value(value, inner)
            self.marks[(*inner, "#key")] = _place(event)
        return found

    def _list(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found


def _place(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _refuse_tricks(event: yaml.Event, path: Path) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise _Wrong(
            _place(event), "POLICY_FILE", "anchors (& and *) are not taken", "不支持锚点与引用（& 和 *）"
        )
    if getattr(event, "tag", None):
        raise _Wrong(_place(event), "POLICY_FILE", "tags (!) are not taken", "不支持标签（!）")
    if len(path) > DEEPEST:
        raise _Wrong(_place(event), "POLICY_FILE", "too many levels", "层级过深")


# What these take is less than what the writer quotes, so that no text ever comes back as something else.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,4000})")
_DECIMAL: Final = re.compile(r"[-+]?[0-9]{1,30}\.[0-9]{1,30}(?:[eE][-+][0-9]{1,3})?")
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def _scalar(event: yaml.ScalarEvent) -> Any:
    """A quoted word is text; a plain one may be null, true, false or a number. `no` and `on` are words, days are text."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


# -- from plain values to definitions


class _Reading:
    def __init__(self, tree: _Tree, users: Mapping[str, UUID] | None) -> None:
        self._tree, self._users = tree, users
        self._problems: dict[tuple[int, int, str], FileProblem] = {}

    def whole(self) -> PolicyFile:
        top = self._tree.value
        if not isinstance(top, dict) or not isinstance(top.get("policies"), list):
            raise _Wrong((1, 1), "POLICY_FILE", "a file has a list `policies:`", "文件须有列表 policies:")
        if len(top["policies"]) > MOST:
            mark = _nearest(self._tree.marks, ("policies", MOST))
            raise _Wrong(mark, "POLICY_FILE", f"more than {MOST} policies", f"超过 {MOST} 条规则")
        self._refuse_keys(top, (), {"line", "lines", "policies"})
        shared = self._lines(top, ())
        read = [self._policy(one, ("policies", i), shared) for i, one in enumerate(top["policies"])]
        policies = tuple(policy for policy in read if policy is not None)
        self._same_names(policies)
        return PolicyFile(policies, tuple(sorted(self._problems.values(), key=lambda p: (p.line, p.column))))

    def _wrong(self, path: Path, code: str, english: str, chinese: str) -> None:
        """Note it; of one place and code the first counts (a value may miss several forms)."""
        place = _nearest(self._tree.marks, path)
        self._problems.setdefault((*place, code), FileProblem(*place, code, english, chinese))

    def _refuse_keys(self, mapping: dict[str, Any], path: Path, known: Iterable[str]) -> None:
        for key in mapping.keys() - set(known):
            self._wrong(
                (*path, key, "#key"), "POLICY_KEY", f"there is no key {key} here", f"此处没有键 {key}"
            )

    def _lines(self, mapping: dict[str, Any], path: Path) -> tuple[str, ...]:
        if "line" in mapping and "lines" in mapping:
            self._wrong((*path, "lines"), "POLICY_LINE", "either line or lines", "line 与 lines 只能填写其一")
        name = "lines" if "lines" in mapping else "line"
        given = mapping.get(name)
        several = given if isinstance(given, list) else [] if given is None else [given]
        found = tuple(one for one in several if isinstance(one, str) and one)
        if len(found) != len(several) or len(set(found)) != len(found):
            self._wrong(
                (*path, name), "POLICY_LINE", "lines are codes, each once", "业务线应为代码，且不重复"
            )
        return found

    def _policy(self, given: Any, path: Path, shared: tuple[str, ...]) -> FilePolicy | None:
        if not isinstance(given, dict):
            self._wrong(path, "POLICY_FILE", "a policy is a mapping", "规则须为键值结构")
            return None
        before = len(self._problems)
        body = self._translated(
            {k: v for k, v in given.items() if k not in ("line", "lines")}, PolicyDefinition, path
        )
        lines = self._lines(given, path) or shared
        definition = self._validated(body, path) if len(self._problems) == before else None
        return FilePolicy(definition, lines, path, self._tree.marks) if definition is not None else None

    def _validated(self, body: dict[str, Any], path: Path) -> PolicyDefinition | None:
        try:
            return PolicyDefinition.model_validate(body, by_name=True, by_alias=False)
        except ValidationError as error:
            for found in user_errors(error):
                inner = (int(p) if p.isdigit() else _key(to_snake(p)) for p in (found.field or "").split("."))
                named = (found.field or "").split(".")[-1]
                bare = found.__class__(found.code, found.params, _key(to_snake(named)) or None, found.rule)
                code = found.code if found.code in {m.code for m in MESSAGES} else "POLICY_VALUE"
                self._wrong((*path, *inner), code, worded(bare, _WORDS, "en"), worded(bare, _WORDS, "zh-CN"))
            return None

    def _translated(self, given: dict[str, Any], model: type[Part], path: Path) -> dict[str, Any]:
        """A mapping of the file in the form of the model: names of the API, enum values in capitals, users by id."""
        names = {_key(name): name for name in model.model_fields}
        also = {"user"} if model is ApprovalSlot else set()
        self._refuse_keys(given, path, names.keys() | also)
        body = {
            names[key]: self._part(value, model.model_fields[names[key]].annotation, (*path, key))
            for key, value in given.items()
            if key in names
        }
        if also and "user" in given:
            body["user_id"] = self._user(given["user"], (*path, "user"))
        return body

    def _part(self, value: Any, annotation: Any, path: Path) -> Any:
        kind = plain(annotation)
        if isinstance(value, list) and get_args(kind):
            return [self._part(one, get_args(kind)[0], (*path, i)) for i, one in enumerate(value)]
        if not isinstance(kind, type):
            return value
        if issubclass(kind, Part) and isinstance(value, dict):
            return self._translated(value, kind, path)
        return value.upper() if issubclass(kind, Enum) and isinstance(value, str) else value

    def _user(self, login: Any, path: Path) -> UUID | None:
        if not isinstance(login, str):
            self._wrong(path, "POLICY_VALUE", "a user is a login", "员工应填写登录名")
            return None
        if self._users is None:
            return stranger(login)
        if login not in self._users:
            self._wrong(path, "POLICY_UNKNOWN_USER", f"there is no user {login}", f"没有员工 {login}")
        return self._users.get(login, stranger(login))

    def _same_names(self, policies: Sequence[FilePolicy]) -> None:
        seen: set[tuple[str | None, str]] = set()
        for policy in policies:
            name = policy.definition.name
            for line in policy.lines or (None,):
                if (line, name) in seen:
                    self._wrong(
                        (*policy.path, "name"), "POLICY_DUPLICATE",
                        f"another policy of the line is called {name}", f"该业务线已有规则“{name}”",
                    )  # fmt: skip
                seen.add((line, name))


def _key(name: str) -> str:
    """The key of a field in a file."""
    return "copy" if name == "copies" else name


# -- writing


def write(policies: Iterable[tuple[PolicyDefinition, Sequence[str]]], logins: Mapping[UUID, str]) -> str:
    """The file of these policies with their lines; users by login where known. What has its default is left out.

    Reading it gives equal definitions, and writing those the same text.
    """
    written = [_written(definition, lines, logins) for definition, lines in policies]
    return yaml.dump(
        {"policies": written}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100, indent=2
    )


class _Dumper(yaml.SafeDumper):
    """Without anchors, and lists set in under their key."""

    def ignore_aliases(self, data: Any) -> bool:
        """Nothing is written as a reference."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002
        """Lists are set in too."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted with escapes where it has characters that YAML would read as ends of lines."""
    odd = any(c in _LINE_ENDS for c in text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if odd else None)


_LINE_ENDS: Final = "\x85\u2028\u2029\ufeff\r"
_Dumper.add_representer(str, _text)


def _written(
    definition: PolicyDefinition, lines: Sequence[str], logins: Mapping[UUID, str]
) -> dict[str, Any]:
    body = _plain_part(definition, logins)
    if not lines:
        return body
    where: dict[str, Any] = {"line": lines[0]} if len(lines) == 1 else {"lines": list(lines)}
    return {"name": body.pop("name"), **where, **body}


def _plain_part(part: Part, logins: Mapping[UUID, str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if not info.is_required() and value == info.get_default(call_default_factory=True):
            continue
        if name == "user_id" and value in logins:
            body["user"] = logins[value]
        elif name == "value":
            body[name] = value
        else:
            body[_key(name)] = _plain_value(value, logins)
    return body


def _plain_value(value: Any, logins: Mapping[UUID, str]) -> Any:  # noqa: PLR0911  # one per type
    if isinstance(value, Part):
        return _plain_part(value, logins)
    if isinstance(value, list):
        return [_plain_value(one, logins) for one in value]
    if isinstance(value, Enum):
        return str(value.value).lower()
    if isinstance(value, UUID):
        return ids.show("usr", value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if not isinstance(value, date) else date(value.year, value.month, value.day)
