"""Which events an endpoint gets: by kind, by what changed, and by typed comparisons; no text is ever evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_snake

from crm_core.approvals.conditions import ApprovalOperator, ApprovalTest, Unfit, annotation, compared, wanted
from crm_core.commands import Part
from crm_core.outbox.events import Event, RecordedEvent
from crm_core.registry import Registry

_PLACES: Final = ("before", "after", "data")
_ABSENT: Final = object()


class WebhookOperator(StrEnum):
    """How a value is compared (条件运算); null fulfils only NE, NOT_IN and IS_NULL."""

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


class WebhookComparison(Part):
    """One comparison of a public field of an event with a value (条件). A field that did not change fulfils none."""

    field: str = Field(
        min_length=1, max_length=120, description="before.grade, after.grade or data.line, and so on (字段)."
    )
    op: WebhookOperator = Field(description="Comparison (运算).")
    value: Any = Field(
        None, description="Value in the field's own form; a list for IN, NOT_IN; true or false for IS_NULL."
    )


class WebhookCondition(Part):
    """When an event is sent: every test of `all`, one of `any` if there are some, and not one of `none` (条件)."""

    all: list[WebhookComparison] = Field(
        default_factory=list, max_length=20, description="All of these must hold."
    )
    any: list[WebhookComparison] = Field(
        default_factory=list, max_length=20, description="At least one of these must hold."
    )
    none: list[WebhookComparison] = Field(
        default_factory=list, max_length=20, description="None of these may hold."
    )

    def tests(self) -> Iterator[tuple[str, WebhookComparison]]:
        """Every test with its path."""
        for name, tests in (("all", self.all), ("any", self.any), ("none", self.none)):
            yield from ((f"{name}.{position}", test) for position, test in enumerate(tests))


@dataclass(frozen=True)
class Wanted:
    """What an endpoint wants: kinds, changed columns (None: any), a condition; `scopes` let it read."""

    kinds: tuple[str, ...]
    changed: frozenset[str] | None
    condition: WebhookCondition | None
    scopes: frozenset[str]


def wants(registry: Registry, wanted: Wanted, event: RecordedEvent) -> bool:
    """Whether an event of the endpoint's line is for it: readable, of its kinds, changed as it asks, as it compares."""
    declared = registry.events.get(event.kind)
    if declared is None or not readable(registry, declared, wanted.scopes):
        return False
    if not any(covers(pattern, event.kind) for pattern in wanted.kinds):
        return False
    if wanted.changed is not None and wanted.changed.isdisjoint(event.changed_fields):
        return False
    return wanted.condition is None or fulfils(registry, wanted.condition, declared, event)


def covers(pattern: str, kind: str) -> bool:
    """Whether a kind is this one, or begins like `customer.*`; `*` covers every one."""
    return pattern == kind or (pattern.endswith("*") and kind.startswith(pattern[:-1]))


def readable(registry: Registry, declared: type[Event], scopes: frozenset[str]) -> bool:
    """Whether these scopes read the records this event is about."""
    kind = registry.types.get(declared.subject_type)
    return kind is not None and (kind.scope is None or kind.scope in scopes)


def fulfils(
    registry: Registry, condition: WebhookCondition, declared: type[Event], event: RecordedEvent
) -> bool:
    """Whether a condition holds for an event."""

    def holds(test: WebhookComparison) -> bool:
        return _holds(registry, test, declared, event)

    return (
        all(map(holds, condition.all))
        and (not condition.any or any(map(holds, condition.any)))
        and not any(map(holds, condition.none))
    )


def _holds(registry: Registry, test: WebhookComparison, declared: type[Event], event: RecordedEvent) -> bool:
    place, name = place_of(test.field)
    source = source_of(registry, declared, place, name)
    value = _value(event, place, name)
    if source is None or value is _ABSENT:
        return False
    try:
        typed = None if value is None else source.adapter.validate_python(value)
        return compared(ApprovalOperator(test.op), typed, _wish(test, source.type))
    except (Unfit, ValidationError, TypeError):
        return False


def _value(event: RecordedEvent, place: str, name: str) -> Any:
    """The value of a field. Of a new record what is not there is null; else it did not change."""
    if place == "data":
        return event.data.get(name, _ABSENT)
    values: Mapping[str, Any] | None = event.before if place == "before" else event.after
    is_new = place == "after" and not event.before
    return (values or {}).get(name, None if is_new else _ABSENT)


# -- where a field stands, and of which type it is


@dataclass(frozen=True)
class Source:
    """The type of a field, and what reads its JSON."""

    type: Any
    adapter: TypeAdapter[Any]


def place_of(path: str) -> tuple[str, str]:
    """Where a field stands (`before`, `after`, `data`) and its name in snake_case; elsewhere is nothing."""
    place, _, name = path.partition(".")
    return (place, to_snake(name)) if place in _PLACES else ("", "")


def source_of(registry: Registry, declared: type[Event], place: str, name: str) -> Source | None:
    """The field of an event of this class; None: it has none that is public."""
    known: dict[Any, Source | None] = registry.worked_out.setdefault("webhook sources", {})
    key = (declared.kind, place, name)
    if key not in known:
        known[key] = _source(registry, declared, place, name)
    return known[key]


def _source(registry: Registry, declared: type[Event], place: str, name: str) -> Source | None:
    if place == "data":
        info = declared.model_fields.get(name)
        return None if info is None else _of_type(info.annotation)
    kind = registry.types.get(declared.subject_type)
    if kind is None or kind.model is None or name not in declared.public:
        return None
    column = kind.model.__table__.c.get(name)
    if column is None:
        return None
    return _of_type(column.type.python_type)


def _of_type(kind: Any) -> Source:
    return Source(kind, TypeAdapter(annotation(kind)))


def _wish(test: WebhookComparison, kind: Any) -> Any:
    """The test's value in the type of the field; raises `Unfit`."""
    return wanted(ApprovalTest(field=test.field, op=ApprovalOperator(test.op), value=test.value), kind)


# -- what is wrong with a filter


def events_of(registry: Registry, patterns: Iterable[str]) -> Sequence[type[Event]]:
    """The event classes that these patterns cover."""
    given = tuple(patterns)
    return [e for e in registry.events.values() if any(covers(pattern, e.kind) for pattern in given)]


def unfit_tests(
    registry: Registry, condition: WebhookCondition, events: Sequence[type[Event]]
) -> Iterator[tuple[str, Unfit]]:
    """Tests that can never hold for these events, with their paths: an unknown field, a wrong operator or value."""
    for path, test in condition.tests():
        place, name = place_of(test.field)
        sources = [s for e in events if (s := source_of(registry, e, place, name)) is not None]
        problems = list(_problems(test, sources))
        if not sources:
            yield path, _unknown(test.field)
        elif len(problems) == len(sources):
            yield path, problems[0]


def _problems(test: WebhookComparison, sources: Iterable[Source]) -> Iterator[Unfit]:
    for source in sources:
        try:
            _wish(test, source.type)
        except Unfit as unfit:
            yield unfit


def _unknown(path: str) -> Unfit:
    return Unfit(
        "POLICY_UNKNOWN_FIELD",
        f"no event of these kinds has a public field {path}",
        f"所选事件没有公开字段 {path}",
    )


def unknown_columns(columns: Iterable[str], events: Sequence[type[Event]]) -> list[str]:
    """Names that are public columns of none of these events."""
    public = {name for event in events for name in event.public}
    return [name for name in columns if to_snake(name) not in public]
