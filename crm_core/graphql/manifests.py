"""Manifests of persisted documents (持久化查询清单): made from `.graphql` files, written, read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    Node,
    OperationDefinitionNode,
    Source,
    Visitor,
    parse,
    print_ast,
    validate,
    visit,
)

from crm_core.errors import ConfigurationError
from crm_core.graphql.documents import RULES
from crm_core.graphql.limits import measure, refuse_excess
from crm_core.settings import Limits

_APOLLO: Final = "apollo-persisted-query-manifest"
_VERSION: Final = 1
_PREFIX: Final = "sha256:"
_HASH_CHARACTERS: Final = 64

Manifest = Mapping[str, str]
"""Ids without prefix → texts of documents."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a manifest, with the fragments it uses; `id` is the SHA-256 of the body, hex."""

    id: str
    name: str
    type: str
    body: str


def hash_of(text: str) -> str:
    """The SHA-256 of a document's text, 64 lower-case hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain_id(document_id: str) -> str:
    """An id without its prefix `sha256:`; hashes in lower case."""
    plain = document_id.removeprefix(_PREFIX)
    return plain.lower() if len(plain) == _HASH_CHARACTERS else plain


# -- reading


def manifest_of(file: Path) -> dict[str, str]:
    """Ids and texts of a manifest file; `ConfigurationError` says what is wrong with it.

    Two forms are read: a map of ids to texts (Relay, GraphQL Code Generator), and Apollo's
    `apollo-persisted-query-manifest`.
    """
    try:
        given = orjson.loads(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read: {error.strerror} (无法读取持久化查询清单)"
        ) from None
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{file}: not readable as JSON: {error} (清单格式错误)") from None
    if not isinstance(given, dict):
        raise ConfigurationError(f"{file}: not a map of ids to documents (清单格式错误)")
    return {plain_id(name): _text(file, name, text) for name, text in _entries(file, given)}


def _entries(file: Path, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if given.get("format") != _APOLLO:
        yield from given.items()
        return
    operations = given.get("operations")
    if isinstance(operations, dict):
        operations = [{"id": name} | body for name, body in operations.items() if isinstance(body, dict)]
    if not isinstance(operations, list) or given.get("version") != _VERSION:
        raise ConfigurationError(
            f"{file}: {_APOLLO} of version 1 with a list of operations is read (清单格式错误)"
        )
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("id"), str):
            raise ConfigurationError(f"{file}: an operation has no id (清单中有查询缺少 id)")
        yield operation["id"], operation.get("body")


def _text(file: Path, name: str, text: object) -> str:
    if not isinstance(text, str):
        raise ConfigurationError(f"{file}: {name} has no document text (清单中的查询缺少正文)")
    return text


# -- making


def manifest_text(operations: Sequence[Operation]) -> str:
    """The manifest of these operations, in Apollo's form, which clients read too; sorted by name."""
    listed = [asdict(operation) for operation in sorted(operations, key=lambda each: each.name)]
    written = {"format": _APOLLO, "version": _VERSION, "operations": listed}
    return orjson.dumps(written, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def operations_of(texts: Mapping[str, str], schema: GraphQLSchema, limits: Limits) -> list[Operation]:
    """The operations of `.graphql` files, by name of the file; a fragment may stand in another file than its use.

    Raises `ConfigurationError` that names everything wrong with its file, line and column.
    """
    gathering = _Gathering(schema, limits)
    for file, text in texts.items():
        gathering.add(file, text)
    found = [gathering.operation(node) for node in gathering.named()]
    if gathering.wrong:
        raise ConfigurationError("\n".join(gathering.wrong))
    return [operation for operation in found if operation is not None]


class _Gathering:
    """What the files define, and what is wrong with it (each fault once)."""

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema, self._limits = schema, limits
        self._operations: list[OperationDefinitionNode] = []
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        self._wrong: dict[str, None] = {}

    @property
    def wrong(self) -> list[str]:
        return list(self._wrong)

    def add(self, file: str, text: str) -> None:
        """Take in one file."""
        try:
            document = parse(Source(text, file), max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            self._note(error)
            return
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._operations.append(node)
            elif isinstance(node, FragmentDefinitionNode):
                self._add_fragment(node)
            else:
                self._refuse(node, "Only operations and fragments can be persisted (只能持久化操作和片段).")

    def _add_fragment(self, node: FragmentDefinitionNode) -> None:
        known = self._fragments.setdefault(node.name.value, node)
        if print_ast(known) != print_ast(node):
            self._refuse(node, f"Another fragment {node.name.value} stands in {_file(known)} (片段重名).")

    def named(self) -> Iterator[OperationDefinitionNode]:
        """The operations that have a name of their own; the others are noted."""
        known: dict[str, OperationDefinitionNode] = {}
        for node in self._operations:
            if node.name is None:
                self._refuse(node, "The operation needs a name (操作缺少名称).")
            elif known.setdefault(node.name.value, node) is not node:
                first = _file(known[node.name.value])
                self._refuse(node, f"Another operation {node.name.value} stands in {first} (操作重名).")
            else:
                yield node

    def operation(self, node: OperationDefinitionNode) -> Operation | None:
        """The operation as it is persisted, or nothing: then what is wrong with it is noted."""
        document = DocumentNode(definitions=(node, *self._used(node)))
        wrong = self._faults(document, node)
        for error in wrong:
            self._note(error)
        if wrong or node.name is None:
            return None
        body = print_ast(document)
        return Operation(hash_of(body), node.name.value, node.operation.value, body)

    def _used(self, node: OperationDefinitionNode) -> Iterable[FragmentDefinitionNode]:
        names, waiting = set[str](), [*_spread_in(node)]
        while waiting:
            name = waiting.pop()
            if name not in names and name in self._fragments:
                names.add(name)
                waiting += _spread_in(self._fragments[name])
        return [self._fragments[name] for name in sorted(names)]

    def _faults(self, document: DocumentNode, node: OperationDefinitionNode) -> Sequence[GraphQLError]:
        try:
            wrong = validate(self._schema, document, RULES)
            if not wrong:
                found = measure(self._schema, document, node, {}, self._limits)
                refuse_excess(replace(found, cost=0), self._limits)  # the cost is known with the variables
        except GraphQLError as error:
            return [GraphQLError(error.message, node)]
        except RecursionError:
            return [GraphQLError("The document is nested too deeply (查询嵌套过深).", node)]
        return wrong

    def _refuse(self, node: Node, words: str) -> None:
        self._note(GraphQLError(words, node))

    def _note(self, error: GraphQLError) -> None:
        places = [f"{place.line}:{place.column}" for place in error.locations or ()]
        at = ":".join([error.source.name if error.source else "?", *places[:1]])
        self._wrong[f"{at}: {error.message}"] = None


class _Spreads(Visitor):
    """Names of the fragments a definition spreads."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_place: object) -> None:
        self.names.append(node.name.value)


def _spread_in(node: Node) -> list[str]:
    spreads = _Spreads()
    visit(node, spreads)
    return spreads.names


def _file(node: Node) -> str:
    return node.loc.source.name if node.loc else "another file"
