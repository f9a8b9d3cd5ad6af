"""Conditions as typed comparisons of a command, its record and who asks (触发条件); no text is ever evaluated."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_snake
from pydantic_core import PydanticCustomError

from crm_core import ids
from crm_core.access.commands import TeamId, UserId
from crm_core.commands import Command, Part


class ApprovalOperator(StrEnum):
    """How a field is compared (条件运算); null fulfils only NE, NOT_IN and IS_NULL."""

    EQ = "EQ"
    NE = "NE"
    IN = "IN"
    NOT_IN = "NOT_IN"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    CONTAINS = "CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    IS_NULL = "IS_NULL"
    GIVEN = "GIVEN"


class ApprovalTest(Part):
    """One comparison of a field of the command, the record or the actor with a value or another field (条件).

    A field left out has its default.
    """

    field: str = Field(
        min_length=1,
        max_length=120,
        description="amount or command.amount, record.grade, actor.roles, actor.teams, actor.userId (字段).",
    )
    op: ApprovalOperator = Field(
        description="Comparison; GIVEN asks whether the command's field was given at all (运算)."
    )
    value: Any = Field(
        None,
        description="Value in the field's own form; a list for IN, NOT_IN; true or false for IS_NULL, GIVEN.",
    )
    than: str | None = Field(
        None,
        min_length=1,
        max_length=120,
        description="Instead of a value: another field it is compared with, e.g. record.largestMonth (比较字段).",
    )
    times: Decimal | None = Field(
        None,
        gt=0,
        max_digits=12,
        decimal_places=4,
        description="With than: so many times that field, which is a number then; default: once (倍数).",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ApprovalTest:
        if self.than is None and self.times is not None:
            raise PydanticCustomError("times_alone", "times goes with than (times 须与 than 同用)")
        if self.than is not None and self.value is not None:
            raise PydanticCustomError("value_and_than", "give value or than, not both (value 与 than 二选一)")
        return self


class ApprovalCondition(Part):
    """When something applies: every test of `all`, one of `any` if there are some, and not one of `none` (触发条件)."""

    all: list[ApprovalTest] = Field(
        default_factory=list, max_length=50, description="All of these must hold."
    )
    any: list[ApprovalTest] = Field(
        default_factory=list, max_length=50, description="At least one of these must hold."
    )
    none: list[ApprovalTest] = Field(
        default_factory=list, max_length=50, description="None of these may hold."
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions are asked about.

    `record`: columns of the record the command is about, or of the document, by name, money in yuan. `actor`:
    `roles` (names in the line), `teams` (ids) and `user_id` of who asks.
    """

    command: Command | None = None
    record: Mapping[str, Any] | None = None
    actor: Mapping[str, Any] = field(default_factory=dict)


class Unfit(Exception):  # a finding about data, not a fault of the program
    """A test that does not fit its field: a stable code, and why in both languages; `place` is the part at fault."""

    def __init__(self, code: str, english: str, chinese: str, place: str | None = None) -> None:
        """Codes: POLICY_UNKNOWN_FIELD, POLICY_OPERATOR, POLICY_ORDER, POLICY_VALUE."""
        super().__init__(code)
        self.code, self.english, self.chinese = code, english, chinese
        self.place = place or _PLACES.get(code, "field")


_PLACES: Final = {"POLICY_VALUE": "value", "POLICY_ORDER": "op", "POLICY_OPERATOR": "op"}


def matches(condition: ApprovalCondition, facts: Facts) -> bool:
    """Whether the condition holds; a test that no longer fits counts so that the condition holds: nothing slips by."""
    return (
        all(holds(test, facts) for test in condition.all)
        and (not condition.any or any(holds(test, facts) for test in condition.any))
        and not any(verdict(test, facts) for test in condition.none)
    )


def holds(test: ApprovalTest, facts: Facts) -> bool:
    """Whether one test holds, or no longer fits."""
    return verdict(test, facts) is not False


def verdict(test: ApprovalTest, facts: Facts) -> bool | None:
    """Whether one test holds; None where it does not fit what it is asked about."""
    try:
        value, source = _found(test.field, facts, given=test.op is ApprovalOperator.GIVEN)
        if test.than is not None:
            return compared(test.op, value, _rival(test, facts))
        if value is None and isinstance(source, type) and source is type(None):
            return _of_null(test)
        return compared(test.op, value, wanted(test, source))
    except (Unfit, TypeError):
        return None


# -- where a field stands, and of which type it is


@dataclass(frozen=True, slots=True)
class InCommand:
    """A field of a command's input."""

    command: type[Command]
    name: str


Source: TypeAlias = Any
"""An `InCommand`, or the type of a column or of a fact about the actor."""

Where = Literal["command", "record", "actor"]
ACTOR: Final[Mapping[str, Any]] = {"roles": list[str], "teams": list[TeamId], "user_id": UserId | None}


def place_of(path: str) -> tuple[str, str]:
    """Where a field stands (`command`, `record`, `actor`) and its name in snake_case; `amount` is the command's."""
    where, dot, name = path.partition(".")
    return (where, to_snake(name)) if dot else ("command", to_snake(path))


def _found(path: str, facts: Facts, *, given: bool = False) -> tuple[Any, Source]:
    where, name = place_of(path)
    if where == "command" and facts.command is not None and name in type(facts.command).model_fields:
        value = name in facts.command.model_fields_set if given else getattr(facts.command, name)
        return value, InCommand(type(facts.command), name)
    if where == "record" and facts.record is not None and name in facts.record:
        return facts.record[name], type(facts.record[name])
    if where == "actor" and name in ACTOR and name in facts.actor:
        return facts.actor[name], ACTOR[name]
    raise unknown_field(path)


def unknown_field(path: str) -> Unfit:
    """What is said of a field that is nowhere."""
    return Unfit("POLICY_UNKNOWN_FIELD", f"there is no field {path}", f"没有字段 {path}")


# -- the other field a field is compared with


def fit(test: ApprovalTest, find: Callable[[str], Source]) -> None:
    """Raise `Unfit` where the test does not fit its field, or the one it is compared with; `find` gives their types."""
    source = find(test.field)
    if test.than is None:
        wanted(test, source)
        return
    if test.op not in _OF_TWO:
        raise _not_for(test, "another field", "与另一字段的比较")
    try:
        rival = plain(annotation(find(test.than)))
    except Unfit as unfit:
        raise Unfit(unfit.code, unfit.english, unfit.chinese, "than") from None
    kind = plain(annotation(source))
    if kind is not rival and not {kind, rival} <= _NUMBERS:
        raise Unfit(
            "POLICY_VALUE", f"{test.field} and {test.than} are not of one type", f"{test.field} 与 {test.than} 类型不同",
            "than",
        )  # fmt: skip
    if test.op in ORDERED and kind not in _WITH_ORDER:
        raise Unfit("POLICY_ORDER", f"{test.field} has no order", f"{test.field} 不可比较大小")
    if test.times is not None and rival not in _NUMBERS:
        raise Unfit("POLICY_VALUE", f"{test.than} is no number", f"{test.than} 不是数值", "times")


def _rival(test: ApprovalTest, facts: Facts) -> Any:
    """The value of the other field, so many times; one that is null cannot be compared with: raises `Unfit`."""
    path = str(test.than)
    value, _ = _found(path, facts)
    if value is None:
        raise Unfit("POLICY_VALUE", f"{path} has no value", f"{path} 没有值", "than")
    if isinstance(value, float):
        value = Decimal(str(value))
    return value if test.times is None else value * test.times


def _of_null(test: ApprovalTest) -> bool:
    """A column that is null, whatever its type."""
    if test.op is ApprovalOperator.GIVEN:
        raise _not_for(test, "the record", "记录")
    if test.op is ApprovalOperator.IS_NULL:
        return wanted(test, bool) is True
    return test.op in _OF_NULL


# -- the value a field is compared with


def wanted(test: ApprovalTest, source: Source) -> Any:
    """The test's value in the type of the field; raises `Unfit`."""
    if test.op in _YES_NO:
        if test.op is ApprovalOperator.GIVEN and not isinstance(source, InCommand):
            raise _not_for(test, "anything but the command", "命令以外的字段")
        return _validated(test, TypeAdapter(bool), True if test.value is None else test.value)
    kind = plain(annotation(source))
    if source in ACTOR.values() and get_origin(kind) is list and test.op is not ApprovalOperator.CONTAINS:
        raise _not_for(test, "a list; use CONTAINS", "列表，请用 CONTAINS")
    if test.op in ORDERED and kind not in _WITH_ORDER:
        raise Unfit("POLICY_ORDER", f"{test.field} has no order", f"{test.field} 不可比较大小")
    value = _validated(test, _adapter(test, source, kind), test.value)
    _refuse_local_times(test, value)
    return value


def _adapter(test: ApprovalTest, source: Source, kind: Any) -> TypeAdapter[Any]:
    if test.op is ApprovalOperator.CONTAINS and get_origin(kind) in (list, tuple, set, frozenset):
        return _element(source)
    if test.op is ApprovalOperator.CONTAINS and kind in (list, tuple, set, frozenset):
        return TypeAdapter(object)
    if test.op in _OF_TEXT:
        if not (isinstance(kind, type) and issubclass(kind, str)):
            raise _not_for(test, "a field that is no text", "非文本字段")
        return TypeAdapter(str)
    return _many(source) if test.op in _OF_MANY else _one(source)


def _validated(test: ApprovalTest, adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        words = error.errors()[0]["msg"]
        raise Unfit(
            "POLICY_VALUE",
            f"{value!r} is no value of {test.field}: {words}",
            f"{value!r} 不是 {test.field} 的有效值",
        ) from None


def _refuse_local_times(test: ApprovalTest, value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, datetime) and one.tzinfo is None:
            raise Unfit(
                "POLICY_VALUE",
                f"{test.field} is a moment; write its zone, e.g. 2026-01-01T09:00:00+08:00",
                f"{test.field} 是时间，请写明时区，例如 2026-01-01T09:00:00+08:00",
            )


def _not_for(test: ApprovalTest, english: str, chinese: str) -> Unfit:
    return Unfit("POLICY_OPERATOR", f"{test.op} is not for {english}", f"{test.op} 不适用于{chinese}")


def annotation(source: Source) -> Any:
    """The type of a field, with all that belongs to it."""
    if isinstance(source, InCommand):
        info = source.command.model_fields[source.name]
        return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return _AnyId if source is UUID else source


def plain(kind: Any) -> Any:
    """A type without its annotations and without None: `Annotated[UUID, …] | None` is UUID."""
    origin = get_origin(kind)
    if origin is Annotated:
        return plain(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return plain(next(one for one in get_args(kind) if one is not type(None)))
    return kind


def marks(kind: Any) -> tuple[Any, ...]:
    """The annotations of a type, also those within `… | None`."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *found = get_args(kind)
        return (*found, *marks(inner))
    if origin in (Union, types.UnionType):
        return marks(next(one for one in get_args(kind) if one is not type(None)))
    return ()


def allows_none(kind: Any) -> bool:
    """Whether a type is `… | None`."""
    if get_origin(kind) is Annotated:
        return allows_none(get_args(kind)[0])
    return kind is Any or type(None) in get_args(kind)


@lru_cache(maxsize=2_048)
def _one(source: Source) -> TypeAdapter[Any]:
    return TypeAdapter(annotation(source))


@lru_cache(maxsize=2_048)
def _many(source: Source) -> TypeAdapter[Any]:
    kind: Any = annotation(source)
    return TypeAdapter(list[kind])


@lru_cache(maxsize=2_048)
def _element(source: Source) -> TypeAdapter[Any]:
    return TypeAdapter(get_args(plain(annotation(source)))[0])


def _any_id(value: object) -> object:
    """The UUID of a shown id of whatever kind."""
    try:
        return ids.read(value)[1] if isinstance(value, str) and "_" in value else value
    except ValueError:
        return value


_AnyId = Annotated[UUID, BeforeValidator(_any_id)]


# -- comparing


def compared(op: ApprovalOperator, value: Any, wish: Any) -> bool:
    """Whether a value of a field fulfils the comparison with a value of the same type."""
    if op is ApprovalOperator.IS_NULL:
        return (value is None) is wish
    if value is None:
        return op in _OF_NULL
    return bool(_COMPARE[op](value, wish))


def _contains(value: Any, wish: Any) -> bool:
    return wish in value if isinstance(value, (str, Collection)) else False


_COMPARE: Final[Mapping[ApprovalOperator, Callable[[Any, Any], bool]]] = {
    ApprovalOperator.EQ: lambda value, wish: value == wish,
    ApprovalOperator.NE: lambda value, wish: value != wish,
    ApprovalOperator.IN: lambda value, wish: value in wish,
    ApprovalOperator.NOT_IN: lambda value, wish: value not in wish,
    ApprovalOperator.GT: lambda value, wish: value > wish,
    ApprovalOperator.GTE: lambda value, wish: value >= wish,
    ApprovalOperator.LT: lambda value, wish: value < wish,
    ApprovalOperator.LTE: lambda value, wish: value <= wish,
    ApprovalOperator.CONTAINS: _contains,
    ApprovalOperator.STARTS_WITH: lambda value, wish: value.startswith(wish),
    ApprovalOperator.GIVEN: lambda value, wish: value is wish,
}
_YES_NO: Final = frozenset({ApprovalOperator.IS_NULL, ApprovalOperator.GIVEN})
_OF_NULL: Final = frozenset({ApprovalOperator.NE, ApprovalOperator.NOT_IN})
_OF_MANY: Final = frozenset({ApprovalOperator.IN, ApprovalOperator.NOT_IN})
_OF_TEXT: Final = frozenset({ApprovalOperator.CONTAINS, ApprovalOperator.STARTS_WITH})
ORDERED: Final = frozenset(
    {ApprovalOperator.GT, ApprovalOperator.GTE, ApprovalOperator.LT, ApprovalOperator.LTE}
)
_OF_TWO: Final = frozenset({*ORDERED, ApprovalOperator.EQ, ApprovalOperator.NE})
_NUMBERS: Final = frozenset({int, float, Decimal})
_WITH_ORDER: Final = frozenset({*_NUMBERS, date, datetime})
