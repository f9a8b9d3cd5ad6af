"""The one GraphQL schema of a deployment: built from a registry, printed, compared with an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import strawberry
from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    lexicographic_sort_schema,
    print_schema,
)

from crm_core.errors import ConfigurationError
from crm_core.graphql.build import build
from crm_core.graphql.documents import Documents
from crm_core.graphql.manifests import Operation, operations_of
from crm_core.graphql.persisted import opened
from crm_core.loader import Candidate, load, parts_of
from crm_core.registry import Registry
from crm_core.settings import Limits, LineSettings, Settings


def schema_of(registry: Registry) -> strawberry.Schema:
    """The executable schema of everything the registry holds."""
    return build(parts_of(registry))


def refuse_invalid_documents(settings: Settings, registry: Registry) -> None:
    """Raise `ConfigurationError` that names the persisted documents this schema does not answer, as a server would."""
    documents = Documents(schema_of(registry)._schema, settings.limits.tokens)  # noqa: SLF001  # Strawberry has no other door
    opened(
        settings.persisted_documents,
        documents,
        only=settings.only_persisted,
        forgiving=any(plugin.state == "quarantined" for plugin in registry.plugins),
    )


def operations(texts: Mapping[str, str], registry: Registry, limits: Limits) -> list[Operation]:
    """The operations in these `.graphql` texts, by name of their file, ready to be persisted.

    Raises `ConfigurationError` that names everything wrong with its file, line and column.
    """
    return operations_of(texts, schema_of(registry)._schema, limits)  # noqa: SLF001  # Strawberry has no other door


def sdl(registry: Registry) -> str:
    """The schema as text, sorted by name: the same for every order of installation. Ends in a line break."""
    return print_schema(lexicographic_sort_schema(schema_of(registry)._schema)) + "\n"  # noqa: SLF001  # Strawberry has no other door


def core_registry() -> Registry:
    """The core alone: what a plugin author may rely on."""
    return load(Settings(), candidates=())


def full_registry(candidates: Sequence[Candidate]) -> Registry:
    """The core with these plugins, all enabled in one line; raises `ConfigurationError` when one does not load."""
    line = LineSettings(plugins=[candidate.name for candidate in candidates])
    registry = load(Settings(lines={"all": line}), candidates)
    broken = [f"{state.name}: {state.reason}" for state in registry.plugins if state.state == "quarantined"]
    if broken:
        raise ConfigurationError("Plugins that do not load (插件无法加载):\n" + "\n".join(broken))
    return registry


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that may hurt a client: `breaking` ends working queries, `dangerous` changes their meaning."""

    severity: Literal["breaking", "dangerous"]
    kind: str
    description: str


def changes(earlier: str, now: str) -> list[Change]:
    """What a client of the earlier schema text would notice in the new one; additions are no change to him.

    Raises `ConfigurationError` when a text is no schema.
    """
    old, new = _read(earlier), _read(now)
    found = [Change("breaking", c.type.name, c.description) for c in find_breaking_changes(old, new)]
    return found + [Change("dangerous", c.type.name, c.description) for c in find_dangerous_changes(old, new)]


def _read(text: str) -> GraphQLSchema:
    try:
        return build_schema(text)
    except (GraphQLError, TypeError) as error:
        raise ConfigurationError(f"not a GraphQL schema: {error}") from None
