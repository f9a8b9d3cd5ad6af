"""Values that are known when a statement is sent, not when it is built; and the choices a statement was built on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ColumnElement

    from crm_core.graphql.access import Access


class Unplanned(Exception):
    """This request is answered by the interpreter; `reason` is a short code for the metrics."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


@dataclass
class Given:
    """What one request gives to a statement: coerced variables, literals of the document, the caller.

    `more` holds what only this statement knows: ids of a payload, values found by custom filters.
    """

    variables: Mapping[str, Any]
    access: Access
    literals: tuple[Any, ...] = ()
    more: dict[Hashable, Any] = field(default_factory=dict)


Read = Callable[[Given], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """A value in a statement that each request brings anew."""

    read: Read
    trail: Trail

    def then(self, convert: Callable[[Any], Any]) -> Late:
        """The value converted, once it is known."""
        read = self.read
        return Late(lambda given: convert(read(given)), self.trail)

    def _unknown(self, *_other: object) -> NoReturn:
        raise Unplanned("filter", "the value is not known yet")

    __bool__ = __len__ = __iter__ = __str__ = __int__ = __contains__ = _unknown
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __hash__ = _unknown


def converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    """The value converted now, or once it is known."""
    return value.then(convert) if isinstance(value, Late) else convert(value)


class Trail:
    """The choices a statement is built on, in order: each is read from the request and decides what is built next.

    Another request that reads the same values at each of them may use the same statement.
    """

    def __init__(self, given: Given) -> None:
        """`given` is the request the statement is built for."""
        self.given = given
        self.steps: list[tuple[Read, Hashable]] = []
        self._named = 0

    def fix(self, read: Read) -> Any:
        """What this request reads here; from now on it is part of what the statement is for."""
        try:
            value = read(self.given)
        except Unplanned:
            raise
        except Exception as error:
            raise Unplanned("value", str(error)) from error
        self.steps.append((read, value))
        return value

    def split(self, late: Late, parts: Callable[[Access, Any], Sequence[Any]]) -> list[Late | None]:
        """What a function makes of a value: how many parts, and which are None, is a choice; the others are late."""
        self._named += 1
        name = ("split", self._named)
        read = late.read

        def empty(given: Given) -> tuple[bool, ...]:
            given.more[name] = found = parts(given.access, read(given))
            return tuple(part is None for part in found)

        return [
            None if none else Late(_part(name, position), self)
            for position, none in enumerate(self.fix(empty))
        ]

    def trace(
        self, late: Late, build: Callable[[Any, Access, Any], ColumnElement[bool]], canonical: Any, t: Any
    ) -> ColumnElement[bool]:
        """SQL that a function makes of a value in its own way: its form is a choice, the values in it are late.

        `build(t, access, value)` is asked anew for each request, on the same table `canonical`; the values it binds
        take the places of those bound here, as long as the form is the same.
        """
        self._named += 1
        name = ("traced", self._named)
        read = late.read

        def form(given: Given) -> Hashable:
            shape, values = _traced(build(canonical, given.access, read(given)))
            given.more[name] = values
            return shape

        self.fix(form)
        built = build(t, self.given.access, read(self.given))
        key = built._generate_cache_key()  # noqa: SLF001  # what SQLAlchemy itself tells statements apart by
        assert key is not None  # `form` has seen one
        for position, bound in enumerate(key.bindparams):
            bound.value = self._placed(name, position, bound)
            bound.callable = None
        return built

    def _placed(self, name: Hashable, position: int, bound: BindParameter[Any]) -> Any:
        """What stands for a traced value: a late one, or a list of them where the list is spelled out in SQL."""
        value = Late(_part(name, position), self)
        if not bound.expanding:
            return value
        return [value.then(itemgetter(i)) for i in range(len(bound.effective_value or ()))]


def _part(name: Hashable, position: int) -> Read:
    return lambda given: given.more[name][position]


def _traced(built: ColumnElement[bool]) -> tuple[Hashable, list[Any]]:
    key = built._generate_cache_key()  # noqa: SLF001
    if key is None:
        raise Unplanned("filter", "an expression without a cache key")
    values = [bound.effective_value for bound in key.bindparams]
    lengths = tuple(
        len(value or ()) if bound.expanding else None
        for bound, value in zip(key.bindparams, values, strict=True)
    )
    return (key.key, lengths), values
