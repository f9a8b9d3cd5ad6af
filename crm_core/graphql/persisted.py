"""Persisted documents (持久化查询): a manifest of known documents, and those that clients teach the server by hash."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from graphql import DocumentNode

from crm_core.errors import ConfigurationError
from crm_core.graphql.documents import Documents
from crm_core.graphql.manifests import Manifest, hash_of, manifest_of, plain_id
from crm_core.graphql.requests import coded

MOST_TAUGHT: Final = 1_000
MOST_TAUGHT_CHARACTERS: Final = 4_000_000
LONGEST_TAUGHT: Final = 100_000  # characters; a longer document is answered but not remembered
_MOST_NAMED: Final = 20


class Persisted:
    """Finds the text a request asks for, by its own words or by the id of a document known before."""

    def __init__(self, manifest: Manifest, *, only: bool = False) -> None:
        """`manifest` maps ids to texts; with `only`, no other document is answered."""
        self._manifest, self._only = manifest, only
        self._allowed = frozenset(manifest.values()) if only else frozenset()
        self._taught: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    def text(self, query: str | None, document_id: str | None) -> str:
        """The document to answer; a `GraphQLError` with its code when it is unknown or not allowed.

        A client may send an id alone, the text alone, or both: then the text must bear that hash, and the server
        remembers it for later requests by id alone.
        """
        if document_id is None:
            return self._own_words(query or "")
        known = self._manifest.get(plain_id(document_id))
        if known is not None and query in (None, known):
            return known
        if self._only and query is not None:
            return self._own_words(query)
        return self._remembered(plain_id(document_id)) if query is None else self._learned(document_id, query)

    def _own_words(self, query: str) -> str:
        if self._only and query not in self._allowed:
            raise coded(
                "PERSISTED_DOCUMENT_REQUIRED",
                "This server answers persisted documents only; name one by documentId (仅接受持久化查询).",
            )
        return query

    def _remembered(self, document_id: str) -> str:
        known = self._taught.get(document_id)
        if known is None:
            raise coded("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
        self._taught.move_to_end(document_id)
        return known

    def _learned(self, document_id: str, query: str) -> str:
        plain = plain_id(document_id)
        if hash_of(query) != plain:
            raise coded(
                "BAD_USER_INPUT", "The id is not the SHA-256 of the query (查询与其哈希不符); send either."
            )
        if plain not in self._taught and len(query) <= LONGEST_TAUGHT:
            self._taught[plain] = query
            self._characters += len(query)
            self._forget_the_oldest()
        return query

    def _forget_the_oldest(self) -> None:
        while len(self._taught) > MOST_TAUGHT or self._characters > MOST_TAUGHT_CHARACTERS:
            _, text = self._taught.popitem(last=False)
            self._characters -= len(text)


def opened(
    file: Path | None, documents: Documents, *, only: bool = False, forgiving: bool = False
) -> tuple[Persisted, Sequence[str]]:
    """The documents of a manifest, each read and kept; and what is wrong with those that are left out.

    Raises `ConfigurationError` that names every document that is not valid, unless `forgiving`: then it is left out.
    """
    if file is None:
        if only:
            raise ConfigurationError(
                "Setting only_persisted needs persisted_documents, a manifest (缺少持久化查询清单)"
            )
        return Persisted({}), ()
    manifest = manifest_of(file)
    wrong = kept(manifest, documents)
    if wrong and not forgiving:
        raise ConfigurationError(
            f"{file}: documents that are not valid (清单中有无效的查询):\n" + "\n".join(_shortened(wrong))
        )
    valid = {name: text for name, text in manifest.items() if name not in wrong}
    return Persisted(valid, only=only), _shortened(wrong)


def kept(manifest: Manifest, documents: Documents) -> dict[str, str]:
    """Read every document and keep the valid ones for good; what is wrong with the others, by id."""
    wrong: dict[str, str] = {}
    for name, text in manifest.items():
        found = documents.keep(text)
        if not isinstance(found, DocumentNode):
            wrong[name] = f"{_named(name, text)}: {'; '.join(error.message for error in found)}"
    return wrong


def _named(name: str, text: str) -> str:
    return f"{name[:16]} {' '.join(text.split())[:40]}"


def _shortened(wrong: Mapping[str, str]) -> list[str]:
    lines = list(wrong.values())
    more = len(lines) - _MOST_NAMED
    return [*lines[:_MOST_NAMED], f"and {more} more"] if more > 0 else lines
