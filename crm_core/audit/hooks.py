"""What the audit room answers when asked."""

from __future__ import annotations

from collections.abc import Sequence

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.audit import graphql
from crm_core.audit.models import AuditEntry, IdempotencyKey
from crm_core.db.base import Base
from crm_core.db.search import SearchDocument
from crm_core.graphql.fields import Field, ObjectType
from crm_core.registry import RoleTemplate, Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """The kernel's own tables."""
    return (AuditEntry, IdempotencyKey, SearchDocument)


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Audit entries."""
    return graphql.TYPES


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """The usage log."""
    return graphql.QUERIES


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of this room."""
    return (Scope("audit.read", "Read the usage log of a line (查看使用记录)"),)


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Who reads the log."""
    return (RoleTemplate("line_manager", "业务线经理 Line manager", {"audit.read": Reach.LINE}),)
