"""A command: a change as data (imperative), what it needs, and what its performance yields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic import Field as PydanticField
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from crm_core import ids
from crm_core.errors import INVALID, REQUIRED, Json, Message, UserError

if TYPE_CHECKING:
    from crm_core.work import Work


class Part(BaseModel):
    """A structured part of a command's input (one phone, one paper); frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )


class Command(Part):
    """A wish as data (命令): `class CreateCustomer(Command)`; frozen, stored with the fields that were given only.

    Class attributes: `kind` (`customer.create`), `version` of the stored form, `scope` it needs, `returns` (name of
    the GraphQL type of its record, or a one-element list of it), `subject` (the input field holding the id of the
    existing record it changes; that record is loaded with the row rule and checked against `expectedVersion`),
    `subject_type` (its GraphQL type, when not that of `returns`), `on_line` (whether it acts in one business line),
    `bulk_of` (the kind of the command it does to many records, whose ids it has in `ids`: what holds that one for
    signatures holds it too), `signed_job` (name of the job that carries it out once everybody has signed; None: it is
    performed with the last signature, or, of many records, in parts by a job of the core),
    `sensitive` (fields kept only masked in audit and held commands), `guards` (columns of the subject that must not
    have changed while the command was held, besides those it writes), `adds_only` (performing it adds rows, reads
    none of them back, and writes them by `work.add` and `work.insert` alone: an import may write many together). Its
    docstring is the mutation's description.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    scope: ClassVar[str]
    returns: ClassVar[str | list[str]]
    subject: ClassVar[str | None] = None
    subject_type: ClassVar[str | None] = None
    sensitive: ClassVar[frozenset[str]] = frozenset()
    guards: ClassVar[frozenset[str]] = frozenset()
    on_line: ClassVar[bool] = True
    bulk_of: ClassVar[str | None] = None
    signed_job: ClassVar[str | None] = None
    adds_only: ClassVar[bool] = False

    @classmethod
    def upcast(cls, body: dict[str, Any], version: int) -> dict[str, Any]:
        """A stored body of an older `version` in today's form; override when the form changes."""
        return body

    def compensation(
        self, _made: Sequence[UUID], before: Mapping[str, Any]
    ) -> Command | None:  # named for those who use it
        """The command that undoes this one after it was approved and performed (补偿命令); None: it stays done.

        `_made` are the ids of its records, `before` the values of its subject before, by column, of those it changed.
        """
        return None

    def given(self) -> dict[str, Any]:
        """The fields the caller gave (omitted is not null), by Python name."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def body(self) -> dict[str, Any]:
        """The stored form: JSON values of the given fields."""
        return self.model_dump(mode="json", exclude_unset=True)

    def records(self) -> int:
        """Of how many records a change it asks for: of a bulk command the number of `ids`, else 1."""
        return len(set(getattr(self, "ids", ()))) if self.bulk_of is not None else 1

    @classmethod
    def result_type(cls) -> str:
        """Name of the GraphQL type of the record(s) this command yields."""
        return cls.returns[0] if isinstance(cls.returns, list) else cls.returns


def omitted(**constraints: Any) -> Any:
    """Default of an optional patch field: leaving it out changes nothing, `null` must pass the field's own type."""
    return PydanticField(default=None, validate_default=False, **constraints)


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks an id field with the GraphQL type and id prefix it points to; reads `cus_…` and plain UUIDs.

    `CustomerId = Annotated[UUID, Ref("Customer", "cus")]`.
    """

    type: str
    prefix: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Shown ids in, UUIDs inside, shown ids in the stored form."""
        return core_schema.no_info_before_validator_function(
            self._read,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value if value is None else ids.show(self.prefix, value), when_used="json"
            ),
        )

    def _read(self, value: object) -> object:
        if isinstance(value, UUID):
            return value
        try:
            return ids.read_as(self.prefix, str(value))
        except ValueError:
            raise PydanticCustomError(
                "INVALID_ID", "not an id of the form {prefix}_…", {"prefix": self.prefix}
            ) from None


@dataclass(frozen=True, slots=True)
class InYuan:
    """Marks a Decimal field as money in yuan: at most two decimals, kept as fen."""


Money = Annotated[Decimal, InYuan(), PydanticField(max_digits=14, decimal_places=2)]
"""An amount in yuan in a command's input."""


CommandT = TypeVar("CommandT", bound=Command)
Perform = Callable[["Work", Any], Awaitable[Any]]
Check = Callable[["Work", Any], Awaitable[list[UserError]]]


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command class with the function that performs it and the room or plugin it comes from."""

    command: type[Command]
    perform: Perform
    owner: str

    @property
    def kind(self) -> str:
        """The command's kind, e.g. `customer.create`."""
        return self.command.kind


@dataclass(frozen=True, slots=True)
class Options:
    """What accompanies a command: the same for GraphQL, CLI, imports and webhooks."""

    idempotency_key: str | None = None
    expected_version: int | None = None
    dry_run: bool = False
    reason: str | None = None
    line: str | None = None
    request_id: str | None = None
    channel: str = "graphql"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: done (`ids` of its records), held (`approval`), or refused (`errors`).

    `read` is the JSON its caller wanted to read of the records, where it was read with the writing.
    """

    type: str
    ids: tuple[UUID, ...] = ()
    approval: UUID | None = None
    errors: tuple[UserError, ...] = ()
    replayed: bool = False
    changed: bool = True
    read: bytes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A gate's answer: the command waits as this approval instead of being performed."""

    approval: UUID


@dataclass(slots=True)
class Change:
    """One record changed by a command: values before and after, by column."""

    type: str
    id: UUID
    before: dict[str, Json] | None
    after: dict[str, Json] | None
    fields: list[str] = field(default_factory=list)


def digest(command: Command, options: Options) -> str:
    """Digest of the canonical body, line included: what an idempotency key stands for."""
    canonical = json.dumps(
        [command.kind, options.line, options.expected_version, command.body()], sort_keys=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


_WORDS: Mapping[str, tuple[str, str]] = {
    "string_too_long": ("at most {max_length} characters", "最多 {max_length} 个字符"),
    "string_too_short": ("at least {min_length} character(s)", "至少 {min_length} 个字符"),
    "too_long": ("at most {max_length} items", "最多 {max_length} 项"),
    "too_short": ("at least {min_length} item(s)", "至少 {min_length} 项"),
    "greater_than": ("must be greater than {gt}", "必须大于 {gt}"),
    "greater_than_equal": ("must be at least {ge}", "不得小于 {ge}"),
    "less_than": ("must be less than {lt}", "必须小于 {lt}"),
    "less_than_equal": ("must be at most {le}", "不得大于 {le}"),
    "INVALID_ID": ("not an id of the form {prefix}_…", "不是 {prefix}_… 形式的编号"),
    "enum": ("must be one of {expected}", "必须是 {expected} 之一"),
    "decimal_max_places": ("at most {decimal_places} decimals", "最多 {decimal_places} 位小数"),
    "decimal_max_digits": ("at most {max_digits} digits", "最多 {max_digits} 位数字"),
    "string_pattern_mismatch": ("must match {pattern}", "格式应为 {pattern}"),
    "extra_forbidden": ("this field does not exist", "没有这个字段"),
}


def validation_messages() -> tuple[Message, ...]:
    """Bilingual messages for the value errors pydantic finds, one code each (`INVALID_STRING_TOO_LONG` …)."""
    return tuple(
        Message(_code(kind), "{field}: " + en, "{field}：" + zh) for kind, (en, zh) in _WORDS.items()
    )


def _code(kind: str) -> str:
    return f"INVALID_{kind.upper()}" if kind.islower() else kind


def invalid(message: Message, **params: Json) -> PydanticCustomError:
    """What a field validator raises to refuse a value with this message."""
    context = {**params, "_rule": message.rule}
    return PydanticCustomError(message.code, "refused", context)


def not_storable(value: object, path: str) -> list[UserError]:
    """Texts no database keeps (the character NUL, half of a surrogate pair), with the path of each."""
    if isinstance(value, str):
        if "\0" not in value and _is_text(value):
            return []
        return [INVALID(path or None, problem="holds a character that is no text (含有非法字符)")]
    if isinstance(value, Mapping):
        inner = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(str(position), one) for position, one in enumerate(value)]
    else:
        return []
    return [e for key, one in inner for e in not_storable(one, f"{path}.{key}" if path else key)]


def _is_text(value: str) -> bool:
    """Whether it can be written down: half of a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def user_errors(error: ValidationError) -> tuple[UserError, ...]:
    """Every value error of an input as a refusal, with the path of the field as the client wrote it."""
    return tuple(_user_error(dict(e)) for e in error.errors())


def _user_error(found: dict[str, Any]) -> UserError:
    path = ".".join(to_camel(p) if isinstance(p, str) else str(p) for p in found["loc"]) or None
    kind, context = found["type"], dict(found.get("ctx") or {})
    if kind == "missing" or (found.get("input") is None and kind.endswith(("_type", "_parsing"))):
        return REQUIRED(path)
    rule = context.pop("_rule", None)
    plain: dict[str, Json] = {
        k: v if isinstance(v, (str, int, float, bool)) else str(v) for k, v in context.items()
    }
    if kind in _WORDS:
        return UserError(_code(kind), plain, path)
    if kind.isupper():
        return UserError(kind, plain, path, rule if isinstance(rule, str) else None)
    return INVALID(path, problem=str(found["msg"]))
