"""Asks every contestant the same and compares the answers, before anything is timed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.reads.operations import Variant, bodies, post
from benchmarks.reads.servers import Contestant

TRIED: Final = 8
OWN: Final = frozenset({"endCursor", "id", "occurredAt"})
"""What two servers that record an interaction cannot have in common: its id and moment; and each has own cursors."""


def compare(
    operation: str, actor: str, contestants: Sequence[Contestant], given: Sequence[Variant]
) -> list[str]:
    """What differs from the product's answers, in words; nothing when all is equal."""
    chosen = [given[place * len(given) // TRIED] for place in range(min(TRIED, len(given)))]
    found: list[str] = []
    answers = {one.name: _answers(one, actor, operation, chosen) for one in contestants}
    expected = answers.get("product") or answers.get("interpreter")
    if expected is None:
        return []
    for name, answered in answers.items():
        for place, (mine, its) in enumerate(zip(expected, answered, strict=True)):
            if its.get("errors"):
                found.append(f"{operation} {actor} {name}: {json.dumps(its['errors'])[:300]}")
                continue
            difference = _difference(operation, name, mine, its)
            if difference:
                found.append(f"{operation} {actor} {name} #{place}: {difference}")
    if not any(_rows(one) for one in expected):
        found.append(f"{operation} {actor}: every answer is empty")
    return found


def _answers(one: Contestant, actor: str, operation: str, given: Sequence[Variant]) -> list[Any]:
    path, requests = bodies(one.name, operation, given)
    token = one.deployment.asked[actor].token
    return [post(one.port, token, path, request) for request in requests]


def _difference(operation: str, name: str, mine: Any, its: Any) -> str | None:
    left, right = (_bare(one["data"]) if name == "plain" else one["data"] for one in (mine, its))
    without = OWN if operation == "M1" else {"endCursor"}
    left, right = _without(left, without), _without(right, without)
    if left == right:
        return None
    return f"expected {json.dumps(left, ensure_ascii=False)[:400]} found {json.dumps(right, ensure_ascii=False)[:400]}"


def _bare(value: Any) -> Any:
    """An answer as the plain server gives it: lists for connections, records for payloads."""
    if isinstance(value, Mapping):
        inner = next((value[name] for name in ("nodes", "interaction") if name in value), None)
        return {name: _bare(one) for name, one in value.items()} if inner is None else _bare(inner)
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _ids(value: Any) -> Iterator[str]:
    """Every id in an answer, in order."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "id":
                yield inner
            else:
                yield from _ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner)


def _rows(answer: Any) -> int:
    return sum(1 for _ in _ids(answer.get("data")))


def _without(value: Any, names: frozenset[str] | set[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(inner, names) for name, inner in value.items() if name not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value
