"""Stored GraphQL documents that shape payloads: checked against the schema, and run as the endpoint itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn
from uuid import UUID

import orjson
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
)
from sqlalchemy import select

from crm_core.actors import Actor, Reach
from crm_core.commands import Options, Outcome
from crm_core.db.session import Database
from crm_core.errors import Fault
from crm_core.graphql.build import Parts, build, core_schema
from crm_core.graphql.context import Context, Fetch, Then
from crm_core.graphql.documents import Documents
from crm_core.graphql.execution import Executor
from crm_core.graphql.limits import Meter, refuse_excess
from crm_core.registry import Registry
from crm_core.settings import Limits
from crm_core.webhooks.models import WebhookEndpoint, WebhookState
from crm_core.work import Services

VARIABLES: Final = ("subject", "event", "kind", "line", "occurredAt")
"""What a document may declare: the record's and the event's id, kind, line and moment, as texts."""


@dataclass(frozen=True)
class Matter:
    """What a document is run about; `line` is the endpoint's, `scopes` what it may read there."""

    subject: str | None
    event: str
    kind: str
    line: str
    occurred_at: datetime
    scopes: frozenset[str]

    @property
    def variables(self) -> Mapping[str, str | None]:
        """Values of the variables a document may declare."""
        return {
            "subject": self.subject,
            "event": self.event,
            "kind": self.kind,
            "line": self.line,
            "occurredAt": self.occurred_at.isoformat(),
        }


class _Shaper:
    """The schema of a deployment with what reads and executes its documents; made once."""

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self.schema = schema
        self.documents = Documents(schema, limits.tokens)
        self.executors: dict[str, Executor] = {}

    def executor(self, services: Services) -> Executor:
        """What executes on this database."""
        dialect = services.database.reads.dialect
        known = self.executors.get(dialect.name)
        if known is None:
            settings, types = services.settings, services.registry.types
            known = Executor(self.schema, types, dialect, settings.limits, compiled=settings.compiled_reads)
            self.executors[dialect.name] = known
        return known


def endpoint_actor(name: str, line: str, scopes: frozenset[str]) -> Actor:
    """An endpoint as an actor: it reads its line, as far as its scopes go, and is nobody's user."""
    return Actor(user_id=None, name=name, grants={line: dict.fromkeys(sorted(scopes), Reach.LINE)})


def problems_of(registry: Registry, limits: Limits, document: str) -> list[str]:
    """What is wrong with a document for this schema; nothing when it can be run.

    It must be one query within the limits, and declare no variable but those of `VARIABLES`, which are texts or ids.
    """
    found = _shaper(registry, limits).documents.read(document)
    if not isinstance(found, DocumentNode):
        return [error.message for error in found]
    node = get_operation_ast(found, None)
    if node is None or node.operation is not OperationType.QUERY:
        return ["must hold exactly one query (必须恰好包含一个查询)"]
    return [*_odd_variables(node), *_excess(registry, limits, found, node)]


async def unfit_documents(
    registry: Registry, limits: Limits, database: Database
) -> Mapping[UUID, Sequence[str]]:
    """Endpoints in use whose stored document cannot be run with this schema, and why; their deliveries wait."""
    table = WebhookEndpoint.__table__
    stored = select(table.c.id, table.c.document).where(
        table.c.document.is_not(None), table.c.state != WebhookState.ARCHIVED.value
    )
    rows = await database.fetch(stored)
    found = {row.id: problems_of(registry, limits, row.document) for row in rows}
    return {key: problems for key, problems in found.items() if problems}


def _odd_variables(node: OperationDefinitionNode) -> list[str]:
    names = [one.variable.name.value for one in node.variable_definitions or ()]
    return [
        f"has no variable ${name}; there are ${', $'.join(VARIABLES)}"
        for name in names
        if name not in VARIABLES
    ]


def _excess(
    registry: Registry, limits: Limits, document: DocumentNode, node: OperationDefinitionNode
) -> list[str]:
    try:
        meter = Meter(_shaper(registry, limits).schema, document, node, limits)
        refuse_excess(meter.measure(dict.fromkeys(VARIABLES, "")), limits)
    except GraphQLError as error:
        return [error.message]
    return []


async def shaped(services: Services, name: str, document: str, matter: Matter) -> dict[str, Any]:
    """The answer to a document as the endpoint sees it now: `data`, and `errors` where some field has none.

    Raises `Fault` when the document does not fit the schema, or the database is out of reach.
    """
    shaper = _shaper(services.registry, services.settings.limits)
    found = shaper.documents.read(document)
    node = get_operation_ast(found, None) if isinstance(found, DocumentNode) else None
    if not isinstance(found, DocumentNode) or node is None:
        raise Fault("WEBHOOK_DOCUMENT", "The stored document does not fit the schema (查询文档与接口不符)")
    executor = shaper.executor(services)
    context = _context(services, endpoint_actor(name, matter.line, matter.scopes), matter.line)
    asked = {one.variable.name.value for one in node.variable_definitions or ()}
    variables = {key: value for key, value in matter.variables.items() if key in asked}
    done = await executor.execute(executor.operation(found, node), variables, context)
    _raise_faults(done.errors)
    data = orjson.loads(done.data) if isinstance(done.data, bytes) else done.data
    return {"data": data, **_shown(done.errors)}


def is_of_database(fault: Fault) -> bool:
    """Whether the database is away, busy, full or too slow: no answer to a document, and nobody's fault outside."""
    return fault.code.startswith(("DATABASE_", "STATEMENT_"))


def _raise_faults(errors: Any) -> None:
    """A database that is away is no answer: the document is run again."""
    for error in errors:
        cause = error.original_error
        if isinstance(cause, Fault) and is_of_database(cause):
            raise cause


def _shown(errors: Any) -> dict[str, Any]:
    """Errors by path and code, without words that may name what the endpoint must not see."""
    if not errors:
        return {}
    return {"errors": [{"path": error.path, "code": _code(error)} for error in errors]}


def _code(error: GraphQLError) -> str:
    cause = error.original_error
    if isinstance(cause, Fault):
        return cause.code
    return str((error.extensions or {}).get("code", "INTERNAL"))


async def _performs_nothing(
    kind: str, body: Mapping[str, Any], options: Options, then: Then | None = None
) -> tuple[Outcome, Fetch | None]:
    _refuse_mutation()


def _refuse_mutation() -> NoReturn:
    raise Fault("WEBHOOK_DOCUMENT", "A webhook's document only reads (文档只能查询)")


def _context(services: Services, actor: Actor, line: str) -> Context:
    registry = services.registry
    return Context(
        actor=actor,
        access=services.access(actor),
        services=services,
        fetch=services.database.fetch,
        answer=services.database.answer,
        perform=_performs_nothing,
        limits=services.settings.limits,
        language="zh-CN",
        messages=registry.messages,
        plugin_lines={p.name: registry.lines_of(p.name) for p in registry.plugins},
        request_id="webhook",
        line=line,
    )


def _shaper(registry: Registry, limits: Limits) -> _Shaper:
    known: _Shaper | None = registry.worked_out.get("webhook documents")
    if known is None:
        parts = Parts(
            registry.types, registry.queries, registry.commands, registry.type_owners, registry.query_owners
        )
        known = registry.worked_out["webhook documents"] = _Shaper(core_schema(build(parts)), limits)
    return known
