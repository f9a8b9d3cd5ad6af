"""GraphQL input types generated from commands: omitted fields stay omitted, null stays null."""

from __future__ import annotations

import keyword
import types
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import strawberry
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from crm_core.commands import InYuan, Part
from crm_core.graphql.values import YuanAmount, annotation

MutationArguments = tuple[tuple[str, Any, str], ...]
ARGUMENTS: MutationArguments = (
    (
        "idempotencyKey",
        str,
        "Repeat safely: the same key with the same input within 24 hours is performed once.",
    ),
    ("expectedVersion", int, "Refuse with STALE_VERSION unless the record still has this version."),
    ("dryRun", bool, "Do everything but commit; the payload shows what would be."),
    ("reason", str, "Why; kept in the audit entry and the event."),
    ("line", str, "Business line to act in; default: header X-CRM-Line, else your only line."),
)


class InputTypes:
    """Makes each input type once, by its class; `take(name, type, of, owner)` keeps it, or refuses a name twice."""

    def __init__(self, take: Callable[[str, Any, str, str], None] = lambda *_: None) -> None:
        """Start empty; one set per schema."""
        self._take = take
        self._made: dict[type[Part], Any] = {}
        self._owner = "core"

    def of(self, model: type[Part], name: str, of: str, owner: str) -> Any:
        """The Strawberry input type of a command or part, of this owner; its parts are his too."""
        if model not in self._made:
            self._owner = owner
            fields = [self._field(key, info) for key, info in model.model_fields.items()]
            text = (model.__doc__ or "").strip() or None
            made = self._made[model] = class_of(name, fields or [_nothing()], text, is_input=True)
            self._take(name, made, of, owner)
        return self._made[model]

    def _field(self, key: str, info: FieldInfo) -> StrawberryField:
        type_ = self._annotation(info.annotation, tuple(info.metadata))
        required = info.is_required()
        made = field_of(
            info.alias or to_camel(key), type_ if required else _optional(type_), info.description
        )
        if not required:
            made.default = made.default_value = strawberry.UNSET
        return made

    def _annotation(self, type_: Any, metadata: tuple[Any, ...] = ()) -> Any:  # noqa: PLR0911  # one per form
        origin = get_origin(type_)
        if origin is Annotated:
            inner, *more = get_args(type_)
            return self._annotation(inner, (*more, *metadata))
        if origin in (Union, types.UnionType):
            members = [a for a in get_args(type_) if a is not type(None)]
            return _optional(self._annotation(members[0], metadata))
        if origin in (list, tuple, set, frozenset):
            return list[self._annotation(get_args(type_)[0])]  # type: ignore[misc]  # built at run time
        if any(isinstance(m, InYuan) for m in metadata):
            return YuanAmount
        if type_ is UUID:
            return strawberry.ID
        if isinstance(type_, type) and issubclass(type_, Part):
            return self.of(type_, _part_name(type_), f"part {type_.__module__}.{type_.__name__}", self._owner)
        if isinstance(type_, type) and issubclass(type_, str) and not issubclass(type_, Enum):
            return str
        return annotation(dict if type_ is Any or origin is dict else type_)


def _part_name(model: type[Part]) -> str:
    return model.__name__ if model.__name__.endswith("Input") else f"{model.__name__}Input"


def _optional(type_: Any) -> Any:
    return type_ | None if not isinstance(type_, str) else f"{type_} | None"


def _nothing() -> StrawberryField:
    made = field_of("unused", bool | None, "This command takes no input.")
    made.default = made.default_value = strawberry.UNSET
    return made


def field_of(
    name: str,
    type_: Any,
    description: str | None = None,
    *,
    arguments: list[StrawberryArgument] | None = None,
    metadata: dict[str, Any] | None = None,
    namespace: dict[str, Any] | None = None,
    deprecated: str | None = None,
) -> StrawberryField:
    """A Strawberry field that is only a declaration: name, type, words; its resolver is set on the built schema."""
    made = StrawberryField(
        python_name=f"{name}_" if keyword.iskeyword(name) else name,
        graphql_name=name,
        type_annotation=StrawberryAnnotation(type_, namespace=namespace),
        description=description,
        metadata=metadata or {},
        deprecation_reason=deprecated,
    )
    if arguments:
        made._arguments = arguments  # noqa: SLF001  # the setter would evaluate names too early
    return made


def class_of(
    name: str,
    fields: list[StrawberryField],
    description: str | None = None,
    *,
    bases: tuple[type, ...] = (),
    is_input: bool = False,
    is_interface: bool = False,
) -> Any:
    """A Strawberry type of declared fields.

    Its definition is made directly: the class is only a name to Strawberry, instances of it are never made, so the
    dataclass that `strawberry.type` would generate is left out (it takes most of the time of building a schema).
    """
    made = types.new_class(name, bases)
    interfaces = [base.__strawberry_definition__ for base in bases]  # type: ignore[attr-defined]
    made.__strawberry_definition__ = StrawberryObjectDefinition(  # type: ignore[attr-defined]
        name=name,
        is_input=is_input,
        is_interface=is_interface,
        origin=made,
        description=description,
        interfaces=interfaces,
        extend=False,
        directives=(),
        is_type_of=None,
        resolve_type=None,
        fields=fields,
    )
    for declared in fields:
        declared.origin = made
    return made


def argument_of(
    name: str, type_: Any, description: str | None = None, namespace: dict[str, Any] | None = None
) -> StrawberryArgument:
    """An argument of a field; optional ones have no default, so that omitted and null differ."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=name,
        type_annotation=StrawberryAnnotation(type_, namespace=namespace),
        description=description,
        default=strawberry.UNSET,
    )
