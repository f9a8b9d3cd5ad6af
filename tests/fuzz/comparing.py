"""Asks a document in several ways and compares the answers; makes a document that differs as small as it can."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    ListValueNode,
    Node,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    print_ast,
)

from crm_core.actors import Actor
from crm_core.testing.kit import Kit
from tests.fuzz.documents import Document

REFUSED_AS_ASKED = frozenset({"", "INVALID_PAGE", "INVALID_FILTER", "INVALID_ID", "TOO_COMPLEX"})
"""Codes of documents that ask for what cannot be: they say nothing about the share that compiles."""
_SHOWN_ID = re.compile(r"\b([a-z]{2,5})_([0-9a-f]{32})\b")


@dataclass(frozen=True)
class Said:
    """An answer in a form to compare: data with the order of its keys, errors as a multiset."""

    data: str
    errors: tuple[tuple[str, int], ...]
    compiled: bool
    reason: str

    def same_as(self, other: Said) -> bool:
        """Equal to the last key of every object."""
        return self.data == other.data and self.errors == other.errors

    def alike(self, other: Said) -> bool:
        """Equal, the order of keys aside: JSON columns keep it on one database and not on the other."""
        return self.errors == other.errors and (
            self.data == other.data
            or json.dumps(json.loads(self.data), sort_keys=True)
            == json.dumps(json.loads(other.data), sort_keys=True)
        )

    @property
    def broke(self) -> str:
        """What was raised that no client should see; empty when nothing was."""
        raised = [json.loads(error)[2] for error, _ in self.errors if '"RAISED"' in error]
        return str(raised[0]).partition("(")[0][:60] if raised else ""

    @property
    def valid(self) -> bool:
        """Whether the document asked for what can be."""
        codes = {json.loads(error)[1] for error, _ in self.errors}
        return self.data != "null" and not codes & REFUSED_AS_ASKED


async def say(crm: Kit, asked: Document, actor: Actor, known: frozenset[str], *, compiled: bool) -> Said:
    """The answer to a document; ids of rows just made are evened out."""
    values = json.loads(json.dumps(asked.variables))
    try:
        way = None if compiled else False
        answer = await crm.ask(asked.text, actor, compiled=way, operation=asked.operation, **values)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        return Said(
            "null", ((json.dumps([None, "RAISED", f"{type(error).__name__}: {error}"]), 1),), compiled, ""
        )
    errors = Counter(_evened(json.dumps(_error(one)), known) for one in answer.errors)
    data = _evened(json.dumps(answer.data, ensure_ascii=False), known)
    reason = f"{answer.reason} {answer.detail}".strip()
    return Said(data, tuple(sorted(errors.items())), answer.compiled, reason)


def _error(error: dict[str, Any]) -> list[Any]:
    return [error.get("path"), error.get("extensions", {}).get("code", ""), error.get("message")]


def _evened(text: str, known: frozenset[str]) -> str:
    return _SHOWN_ID.sub(lambda m: m[0] if m[0] in known or set(m[2]) <= set("0x") else f"{m[1]}_new", text)


# -- smaller documents

Differs = Callable[[Document], Awaitable[bool]]


async def shrunk(asked: Document, differs: Differs, most: int = 150) -> Document:
    """A smaller document that still differs: selections, arguments, directives, conditions are left out one by one."""
    tries = 0
    smaller = True
    while smaller and tries < most:
        smaller = False
        for candidate in _smaller(asked):
            tries += 1
            if tries > most:
                break
            if await differs(candidate):
                asked, smaller = candidate, True
                break
    return asked


def _smaller(asked: Document) -> Iterator[Document]:
    """Documents with one part less, large parts first."""
    try:
        parsed = parse(asked.text)
    except Exception:  # noqa: BLE001  # what cannot be read cannot be made smaller
        return
    places = sorted(_places(parsed), key=lambda place: -_size(place))
    for path, attribute, position in places:
        copied = copy.deepcopy(parsed)
        node: Any = copied
        for name, index in path:
            node = getattr(node, name) if index is None else getattr(node, name)[index]
        parts = list(getattr(node, attribute))
        del parts[position]
        if attribute == "selections" and not parts:
            continue
        object.__setattr__(node, attribute, tuple(parts))  # the copy is nobody else's
        yield _tidy(copied, asked)
    for name, value in asked.variables.items():
        for less in _less(value):
            yield replace(asked, variables={**asked.variables, name: less})


Path = tuple[tuple[str, int | None], ...]


def _places(node: Node, path: Path = ()) -> Iterator[tuple[Path, str, int]]:
    """Everything that can be left out, as (path to its parent, attribute, position)."""
    for attribute in node.keys:
        value = getattr(node, attribute, None)
        if isinstance(value, list | tuple):
            for index, one in enumerate(value):
                if isinstance(node, SelectionSetNode | ListValueNode | ObjectValueNode) or isinstance(
                    one, ArgumentNode | DirectiveNode | ObjectFieldNode | OperationDefinitionNode
                ):
                    needed = isinstance(one, ArgumentNode) and one.name.value in (
                        "if",
                        "id",
                        "input",
                        "dryRun",
                    )
                    if not needed and not _sole(node, one):
                        yield path, attribute, index
                if isinstance(one, Node):
                    yield from _places(one, (*path, (attribute, index)))
        elif isinstance(value, Node):
            yield from _places(value, (*path, (attribute, None)))


def _sole(parent: Node, one: Node) -> bool:
    """Whether it is the only operation of the document."""
    others = [d for d in getattr(parent, "definitions", ()) if isinstance(d, OperationDefinitionNode)]
    return isinstance(one, OperationDefinitionNode) and len(others) == 1


def _size(place: tuple[Path, str, int]) -> int:
    return -len(place[0])


def _less(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for less in _less(value[key]):
                yield {**value, key: less}
    elif isinstance(value, list):
        for position in range(len(value)):
            yield value[:position] + value[position + 1 :]


def _used(text: str, name: str) -> bool:
    """Whether a variable stands in a document once more than where it is declared."""
    return len(re.findall(rf"\${name}\b", text)) > 1


def _tidy(parsed: DocumentNode, asked: Document) -> Document:
    """Without fragments and variables that are no longer used."""
    while True:
        text = print_ast(parsed)
        kept = tuple(
            d for d in parsed.definitions
            if not isinstance(d, FragmentDefinitionNode) or re.search(rf"\.\.\.{d.name.value}\b", text)
        )  # fmt: skip
        if len(kept) == len(parsed.definitions):
            break
        object.__setattr__(parsed, "definitions", kept)
    for one in parsed.definitions:
        if isinstance(one, OperationDefinitionNode):
            kept_ones = tuple(d for d in one.variable_definitions or () if _used(text, d.variable.name.value))
            object.__setattr__(one, "variable_definitions", kept_ones)
    text = print_ast(parsed)
    values = {k: v for k, v in asked.variables.items() if f"${k}" in text}
    operation = asked.operation if asked.operation and asked.operation in text else None
    return replace(asked, text=text, variables=values, operation=operation)
