"""What a server remembers of documents and statements, kept for all tests of a session that have equal deployments.

A server parses, plans and compiles once and answers for days; a test that starts with nothing remembered would spend
most of its time on what another has done. Nothing of a database is remembered: each test's is new to its plans.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from graphql import GraphQLSchema

from crm_core.db.session import Database
from crm_core.db.writer import Writer
from crm_core.graphql.documents import Documents
from crm_core.graphql.execution import Executor
from crm_core.graphql.late import Given, Read, Unplanned
from crm_core.graphql.plans import Build, Plan, Plans, _Branch
from crm_core.graphql.sharing import Sharing
from crm_core.work import Services

STATEMENTS: Final = 5_000
"""Statements of SQLAlchemy kept per engine; so many are used by no test, but by all of them."""


@dataclass
class Memory:
    """What equal deployments remember on one kind of database; without `_donor`: nothing beyond a test."""

    _donor: _Donor | None = None

    @classmethod
    def of(cls, services: Services, schema: GraphQLSchema) -> Memory:
        """A memory for deployments with this registry, these settings and this schema."""
        return cls(_Donor(services, schema))

    def lend(self, database: Database) -> None:
        """Have a database that was not connected to yet use the statements made for others of its kind."""
        if self._donor is not None:
            self._donor.lend(database)

    def sharing(self, services: Services, schema: GraphQLSchema) -> Sharing:
        """What reads documents."""
        donor = self._suited(services, schema)
        return donor.sharing if donor else _sharing(services, schema)

    def executor(self, services: Services, schema: GraphQLSchema, *, compiled: bool) -> Executor:
        """What executes them."""
        limits, dialect = services.settings.limits, services.database.reads.dialect
        made = Executor(schema, services.registry.types, dialect, limits, compiled=compiled)
        donor = self._suited(services, schema)
        if donor is not None:
            shared = donor.executor
            made._operations, made._coercers = shared._operations, shared._coercers  # noqa: SLF001  # pure
            made.plans = _Recalled(shared.plans)
        return made

    def _suited(self, services: Services, schema: GraphQLSchema) -> _Donor | None:
        return self._donor if self._donor is not None and self._donor.suits(services, schema) else None


@dataclass
class _Donor:
    services: Services
    schema: GraphQLSchema
    sharing: Sharing = field(init=False)
    executor: Executor = field(init=False)
    writer: Writer = field(init=False)
    engines: list[tuple[Any, Any]] = field(init=False)

    def __post_init__(self) -> None:
        services, database = self.services, self.services.database
        dialect, limits = database.reads.dialect, services.settings.limits
        self.sharing = _sharing(services, self.schema)
        self.executor = Executor(self.schema, services.registry.types, dialect, limits)
        self.writer = database.writer
        self.engines = []
        for engine in (database.reads.sync_engine, database.writes.sync_engine):
            statements: Any = engine._compiled_cache  # noqa: SLF001  # it has no public name
            statements.capacity = STATEMENTS
            self.engines.append((engine.dialect, statements))

    def suits(self, services: Services, schema: GraphQLSchema) -> bool:
        """Whether documents are planned alike: nothing that decides of a plan was replaced by a test."""
        mine, other = self.services.registry, services.registry
        same = schema is self.schema and mine.types is other.types and mine.timeline is other.timeline
        alike = mine.plugins == other.plugins and mine.lines == other.lines
        settings, given = self.services.settings, services.settings
        return same and alike and settings.limits == given.limits and settings.lines == given.lines

    def lend(self, database: Database) -> None:
        """Statements are remembered by dialect, so that is lent as well."""
        object.__setattr__(database, "writer", self.writer)
        engines = (database.reads.sync_engine, database.writes.sync_engine)
        for engine, (dialect, statements) in zip(engines, self.engines, strict=True):
            engine.dialect, engine._compiled_cache = dialect, statements  # noqa: SLF001


def _sharing(services: Services, schema: GraphQLSchema) -> Sharing:
    return Sharing(schema, Documents(schema, services.settings.limits.tokens))


class _Recalled(Plans):
    """The plans of one test: counted, tried on its database and forgotten as if built for it, but made once for all."""

    def __init__(self, shared: Plans) -> None:
        super().__init__(shared._dialect)  # noqa: SLF001  # of its kind
        self._shared = shared
        self._key: Hashable = None

    def find(self, key: Hashable, given: Given, build: Build, *, keep: bool = False) -> Plan:
        self._key = key
        return super().find(key, given, build, keep=keep)

    def _built(self, given: Given, build: Build, root: _Branch, *, keep: bool) -> Plan | Unplanned:
        self.built += 1
        shared = self._shared
        try:
            shared.find(self._key, given, build, keep=keep)
        except Unplanned as reason:
            if reason.reason == "value":
                raise
        known = shared._roots[self._key]  # noqa: SLF001  # of its kind
        found = known.find(given)
        assert found is not None, "it was built just now"
        own = replace(found) if isinstance(found, Plan) else found
        root.keep(_choices(known, given), own)
        return own


def _choices(branch: _Branch, given: Given) -> list[tuple[Read, Hashable]]:
    """What leads to the plan of this request."""
    steps = []
    while branch.read is not None:
        value = branch.read(given)
        steps.append((branch.read, value))
        branch = branch.further[value]
    return steps
