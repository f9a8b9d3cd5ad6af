"""A declarative mapping (字段映射): steps that find records and perform commands, with expressions for values.

In `input` and `where` a text that begins with `=` is a JMESPath expression, any other value stands for itself; `==`
begins a text with `=`. What an expression does not find is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from crm_core.commands import Part, not_storable, user_errors
from crm_core.errors import REQUIRED, UserError, raise_if
from crm_core.incoming import expressions
from crm_core.incoming.expressions import Failed, Wrong
from crm_core.incoming.finding import findable
from crm_core.incoming.refusals import (
    NEGATED,
    NO_STEPS,
    NOT_EVALUATED,
    STEP_TWICE,
    TOO_LARGE,
    UNKNOWN_COMMAND,
    UNKNOWN_FIELD,
    UNKNOWN_STEP,
    UNKNOWN_TYPE,
    WRONG_EXPRESSION,
    WRONG_STEP,
)
from crm_core.registry import Registry

MOST_STEPS: Final = 20
_DEEPEST: Final = 12
_MARK: Final = "="
Expression = Annotated[str, StringConstraints(min_length=1, max_length=expressions.LONGEST)]
Steps = Sequence[Mapping[str, Any]]


class IncomingStep(Part):
    """One step: `command` with its `input`, or `find` a type by `where`; left out unless `when` holds.

    Later steps name it by `name`: `steps.customer.id`. `first` takes the record made first where several match.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_]{0,39}$")] | None = None
    when: Expression | None = None
    command: Annotated[str, StringConstraints(max_length=80)] | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    find: Annotated[str, StringConstraints(max_length=80)] | None = None
    where: dict[str, Any] = Field(default_factory=dict)
    first: bool = False

    def values(self) -> Mapping[str, Any]:
        """Its input, or what it finds by."""
        return self.input if self.command is not None else self.where


@dataclass(frozen=True)
class IncomingMapping:
    """A mapping whose form is right."""

    steps: tuple[IncomingStep, ...]


class Unmapped(Exception):
    """A request a mapping cannot be applied to: why, and at which step (from 0)."""

    def __init__(self, step: int, error: UserError) -> None:
        super().__init__(error.code)
        self.step, self.error = step, error


# -- reading and checking


def read(given: Steps) -> IncomingMapping:
    """The mapping of its stored form; raises `Refused` with everything wrong with its form, by path."""
    found: list[UserError] = []
    steps: list[IncomingStep] = []
    for position, one in enumerate(given):
        try:
            steps.append(IncomingStep.model_validate(one))
        except ValidationError as error:
            found += (_within(f"{position}", e) for e in user_errors(error))
    raise_if(found)
    return IncomingMapping(tuple(steps))


def check(given: Steps, registry: Registry, line: str) -> Iterator[UserError]:
    """Everything wrong with a mapping of a line: forms, expressions, names of commands, fields, types and steps."""
    yield from not_storable(list(given), "")
    if not given:
        yield NO_STEPS()
    if len(given) > MOST_STEPS:
        yield UserError("INVALID_TOO_LONG", {"max_length": MOST_STEPS})
    known: set[str] = set()
    for position, one in enumerate(given[:MOST_STEPS]):
        try:
            step = IncomingStep.model_validate(one)
        except ValidationError as error:
            yield from (_within(str(position), e) for e in user_errors(error))
            continue
        yield from (_within(str(position), e) for e in _step_problems(step, registry, line, known))
        if step.name is not None:
            known.add(step.name)


def _within(path: str, error: UserError) -> UserError:
    inner = f"{path}.{error.field}" if error.field else path
    return UserError(error.code, error.params, inner, error.rule)


def _step_problems(step: IncomingStep, registry: Registry, line: str, known: set[str]) -> Iterator[UserError]:
    if (step.command is None) == (step.find is None) or (step.input and step.find is not None):
        yield WRONG_STEP()
        return
    if step.name in known:
        yield STEP_TWICE("name", name=step.name)
    if step.when is not None:
        yield from _expression_problems(step.when.removeprefix(_MARK), "when", known)
    place = "input" if step.command is not None else "where"
    for path, expression in _expressions(step.values(), place):
        yield from _expression_problems(expression, path, known)
    if step.command is not None:
        yield from _command_problems(step, registry, line)
    else:
        yield from _find_problems(step, registry)


def _expression_problems(expression: str, path: str, known: set[str]) -> Iterator[UserError]:
    shown = expression[:80]
    try:
        named = expressions.check(expression)
    except Wrong as wrong:
        if wrong.negated:
            yield NEGATED(path, expression=shown)
        else:
            yield WRONG_EXPRESSION(path, expression=shown, problem=str(wrong))
        return
    for name in sorted(named - known):
        yield UNKNOWN_STEP(path, name=name)


def _find_problems(step: IncomingStep, registry: Registry) -> Iterator[UserError]:
    kind = registry.types.get(step.find or "")
    if kind is None or kind.model is None or kind.rule is None:
        yield UNKNOWN_TYPE("find", type=step.find)
        return
    by = findable(kind)
    if not step.where:
        yield REQUIRED("where")
    for name in step.where:
        if name not in by:
            yield UNKNOWN_FIELD(f"where.{name}", what=kind.name, name=name, known=", ".join(sorted(by)))


def _command_problems(step: IncomingStep, registry: Registry, line: str) -> Iterator[UserError]:
    spec = registry.commands.get(step.command or "")
    if spec is None or line not in registry.lines_of(spec.owner):
        yield UNKNOWN_COMMAND("command", command=step.command)
        return
    yield from _part_problems(spec.command, step.input, "input", step.command or "")


def _part_problems(model: type[Part], given: Mapping[str, Any], path: str, what: str) -> Iterator[UserError]:
    """Fields that do not exist, those that are missing, and values given as they are that are none."""
    fields = _fields(model)
    for name, value in given.items():
        if name not in fields:
            known = ", ".join(sorted(info.alias or to_camel(key) for key, info in model.model_fields.items()))
            yield UNKNOWN_FIELD(f"{path}.{name}", what=what, name=name, known=known)
        else:
            yield from _value_problems(fields[name], value, f"{path}.{name}")
    for key, info in model.model_fields.items():
        alias = info.alias or to_camel(key)
        if info.is_required() and not {key, alias} & given.keys():
            yield REQUIRED(f"{path}.{alias}")


def _fields(model: type[Part]) -> dict[str, FieldInfo]:
    """Fields by the name of the API, and by that of Python."""
    by_alias = {(info.alias or to_camel(key)): info for key, info in model.model_fields.items()}
    return {**model.model_fields, **by_alias}


def _value_problems(info: FieldInfo, value: Any, path: str) -> Iterator[UserError]:
    if not any(True for _ in _expressions(value, path)):
        yield from _literal_problems(info, _literal(value), path)
        return
    part = _part_of(info.annotation)
    if part is None:
        return
    inner = [(path, value)] if isinstance(value, Mapping) else _numbered(value, path)
    for place, one in inner:
        if isinstance(one, Mapping):
            yield from _part_problems(part, one, place, part.__name__)


def _numbered(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    return [(f"{path}.{n}", one) for n, one in enumerate(value)] if isinstance(value, list) else []


def _literal_problems(info: FieldInfo, value: Any, path: str) -> Iterator[UserError]:
    try:
        annotated: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(annotated)
    except (PydanticUserError, TypeError):  # a type of its own kind; it is checked with the request
        return
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        yield from (_within(path, e) for e in user_errors(error))


def _part_of(annotation: Any) -> type[Part] | None:
    """The part a field holds, alone, optionally or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    origin = get_origin(annotation)
    if origin in (Annotated, list, tuple, Union) or origin is type(int | None):
        return next((part for one in get_args(annotation) if (part := _part_of(one))), None)
    return None


def _expressions(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every expression of a value, with its path."""
    if isinstance(value, str):
        if value.startswith(_MARK) and not value.startswith(_MARK * 2):
            yield path, value[1:]
    elif depth <= _DEEPEST and isinstance(value, Mapping):
        for key, one in value.items():
            yield from _expressions(one, f"{path}.{key}", depth + 1)
    elif depth <= _DEEPEST and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _expressions(one, f"{path}.{number}", depth + 1)


def _literal(value: Any) -> Any:
    """A value without expressions, as it is meant."""
    if isinstance(value, str):
        return value[1:] if value.startswith(_MARK * 2) else value
    if isinstance(value, Mapping):
        return {key: _literal(one) for key, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list) else value


# -- applying


def names_of(step: IncomingStep) -> frozenset[str]:
    """The earlier steps whose results this one uses in its values."""
    found: set[str] = set()
    for _, expression in _expressions(step.values(), ""):
        try:
            found |= expressions.check(expression)
        except Wrong:
            continue
    return frozenset(found)


def applies(position: int, step: IncomingStep, document: Mapping[str, Any]) -> bool:
    """Whether a step's `when` holds; raises `Unmapped` where it cannot be told."""
    if step.when is None:
        return True
    expression = step.when.removeprefix(_MARK)
    try:
        return expressions.holds(expression, document)
    except Failed as failed:
        raise Unmapped(position, _failure(failed, expression, "when")) from None


def values_of(position: int, step: IncomingStep, document: Mapping[str, Any]) -> dict[str, Any]:
    """A step's input or `where` for a request, without what was not found; raises `Unmapped`."""
    place = "input" if step.command is not None else "where"
    found = {key: _evaluated(position, one, document, f"{place}.{key}") for key, one in step.values().items()}
    return {key: one for key, one in found.items() if one is not _NOTHING}


class _Nothing:
    pass


_NOTHING: Final = _Nothing()


def _evaluated(position: int, value: Any, document: Mapping[str, Any], path: str, depth: int = 0) -> Any:
    if isinstance(value, str) and value.startswith(_MARK) and not value.startswith(_MARK * 2):
        try:
            found = expressions.evaluate(value[1:], document)
        except Failed as failed:
            raise Unmapped(position, _failure(failed, value[1:], path)) from None
        return _NOTHING if found is None else found
    if depth > _DEEPEST or not isinstance(value, Mapping | list):
        return _literal(value)
    if isinstance(value, Mapping):
        inner = {
            key: _evaluated(position, one, document, f"{path}.{key}", depth + 1) for key, one in value.items()
        }
        return {key: one for key, one in inner.items() if one is not _NOTHING}
    items = (_evaluated(position, one, document, f"{path}.{n}", depth + 1) for n, one in enumerate(value))
    return [one for one in items if one is not _NOTHING]


def _failure(failed: Failed, expression: str, path: str) -> UserError:
    if failed.large:
        return TOO_LARGE(path, most=expressions.MOST_VALUES)
    return NOT_EVALUATED(path, expression=expression[:80], problem=str(failed))
