"""JMESPath over a request, with a few functions of our own; nothing but `Wrong` and `Failed` is ever raised."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

from crm_core.commands import not_storable

LONGEST: Final = 1_000
MOST_VALUES: Final = 20_000
"""So many values at most may one expression give: pipes of lists could double it with every few characters."""
_DEEPEST: Final = 50
_MILLISECONDS_SINCE: Final = 100_000_000_000
_NEGATED: Final = "negated"


class Wrong(Exception):
    """The text is no expression; `negated`: it is one, but negates less than it seems to."""

    def __init__(self, problem: str, *, negated: bool = False) -> None:
        super().__init__(problem)
        self.negated = negated


class Failed(Exception):
    """The expression cannot be evaluated on this document; `large`: it gives too much."""

    def __init__(self, problem: str, *, large: bool = False) -> None:
        super().__init__(problem)
        self.large = large


def check(expression: str) -> frozenset[str]:
    """The steps an expression names (`steps.customer` names `customer`); `Wrong` if it is none."""
    tree = _parsed(expression).parsed
    if any(_negates_half(node) for node in _nodes(tree)):
        raise Wrong(_NEGATED, negated=True)
    return frozenset(name for node in _nodes(tree) for name in _named(node))


def evaluate(expression: str, document: Mapping[str, Any]) -> Any:
    """The value of an expression, plain JSON values all through; None where there is nothing."""
    try:
        found = _parsed(expression).search(document, options=jmespath.Options(custom_functions=_Functions()))
    except Wrong as wrong:
        raise Failed(str(wrong)) from None
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Failed(_said(error)) from None
    except (RecursionError, MemoryError):
        raise Failed("too deep or too large", large=True) from None
    return _plain(found, _Budget(), 0)


def holds(expression: str, document: Mapping[str, Any]) -> bool:
    """Whether an expression gives something that JMESPath takes for true; zero is, nothing and what is empty is not."""
    found = evaluate(expression, document)
    return found is not None and found is not False and found not in ("", [], {})


@lru_cache(maxsize=1_024)
def _parsed(expression: str) -> Any:
    if len(expression) > LONGEST:
        raise Wrong(f"at most {LONGEST} characters")
    try:
        parsed = jmespath.compile(expression)
    except (JMESPathError, ValueError, LookupError, TypeError) as error:
        raise Wrong(_said(error)) from None
    except RecursionError:
        raise Wrong("too deep") from None
    unknown = next(_unknown_functions(parsed.parsed), None)
    if unknown is not None:
        raise Wrong(f"there is no function {unknown}")
    return parsed


def _said(error: Exception) -> str:
    return (str(error).split("\n", maxsplit=1)[0] or type(error).__name__)[:200]


# -- looking at an expression


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield node
            waiting += node.get("children", ())


def _named(node: Mapping[str, Any]) -> Iterator[str]:
    parts = node.get("children", ())
    if node.get("type") == "subexpression" and len(parts) > 1 and _is_steps(parts[0]):
        second = parts[1]
        if isinstance(second, Mapping) and second.get("type") == "field":
            yield str(second["value"])


def _is_steps(node: Any) -> bool:
    return isinstance(node, Mapping) and node.get("type") == "field" and node.get("value") == "steps"


def _negates_half(node: Mapping[str, Any]) -> bool:
    """`!a.b` is `(!a).b`, which is nothing, always."""
    parts = node.get("children", ())
    first = parts[0] if parts else None
    return (
        node.get("type") == "subexpression"
        and isinstance(first, Mapping)
        and first.get("type") == "not_expression"
    )


def _unknown_functions(tree: Any) -> Iterator[str]:
    known = _Functions.FUNCTION_TABLE
    return (
        str(n["value"])
        for n in _nodes(tree)
        if n.get("type") == "function_expression" and n["value"] not in known
    )


# -- what it gives


class _Budget:
    def __init__(self) -> None:
        self.left = MOST_VALUES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Failed(f"more than {MOST_VALUES} values", large=True)


def _plain(value: Any, budget: _Budget, depth: int) -> Any:
    budget.spend()
    if depth > _DEEPEST:
        raise Failed("too deep", large=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, budget, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, budget, depth + 1) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise Failed("no finite number")
    if value is None or isinstance(value, bool | int | float | str):
        if not_storable(value, ""):
            raise Failed("holds a character that is no text")
        return value
    raise Failed(f"gives a {type(value).__name__}")


# -- functions of our own


class _Functions(functions.Functions):
    """`trim`, `lower`, `upper`, `replace`, `digits`, `lookup` and `moment`, besides those of JMESPath."""

    @functions.signature({"types": ["string", "null"]})
    def _func_trim(self, text: str | None) -> str | None:
        """The text without blanks around it; null where nothing is left."""
        return (text or "").strip() or None

    @functions.signature({"types": ["string", "null"]})
    def _func_lower(self, text: str | None) -> str | None:
        return None if text is None else text.lower()

    @functions.signature({"types": ["string", "null"]})
    def _func_upper(self, text: str | None) -> str | None:
        return None if text is None else text.upper()

    @functions.signature({"types": ["string", "null"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_replace(self, text: str | None, old: str, new: str) -> str | None:
        if text is None or not old:
            return text
        if text.count(old) * len(new) > LONGEST * LONGEST:
            raise ValueError("replace gives too long a text")
        return text.replace(old, new)

    @functions.signature({"types": ["string", "number", "null"]})
    def _func_digits(self, text: str | float | None) -> str | None:
        """The digits of a text, or null where there are none."""
        return "".join(re.findall(r"[0-9]", "" if text is None else str(text))) or None

    @functions.signature({"types": ["object"]}, {"types": ["string", "number", "boolean", "null"]})
    def _func_lookup(self, table: Mapping[str, Any], key: object) -> Any:
        """What the table holds under this key, else under `*`."""
        name = str(key).lower() if isinstance(key, bool) else str(key)
        return table.get(name, table.get("*"))

    @functions.signature({"types": ["string", "number", "null"]})
    def _func_moment(self, value: str | float | None) -> str | None:
        """A moment with zone, from seconds or milliseconds since 1970."""
        if value is None or value == "":
            return None
        number = float(value)
        seconds = number / 1000 if abs(number) >= _MILLISECONDS_SINCE else number
        return datetime.fromtimestamp(seconds, UTC).isoformat()
