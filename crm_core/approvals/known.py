"""What the rooms and plugins offer to sign-off policies: commands, and columns of records with their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic.alias_generators import to_snake
from sqlalchemy import Column, Table

from crm_core import money
from crm_core.approvals.policy import Known
from crm_core.approvals.stages import PolicyDefinition
from crm_core.commands import Command, Ref
from crm_core.graphql.fields import Id, ObjectType, Yuan
from crm_core.registry import Registry

OWN_VERBS: Final = "approval."
"""Signing is never itself held for signatures; nor is anything else done with a request."""


def known_of(
    registry: Registry,
    line: str | None,
    *,
    roles: Mapping[str, frozenset[str]] | None = None,
    users: frozenset[UUID] | None = None,
    policies: Sequence[PolicyDefinition] = (),
    now: datetime | None = None,
    zone: ZoneInfo | None = None,
) -> Known:
    """What a policy of this line can rely on; without a line: of whichever line. Roles and users are the database's."""
    here = {owner for owner in registry.type_owners.values() if _enabled(registry, owner, line)}
    types = {
        name: kind
        for name, kind in registry.types.items()
        if kind.model is not None and registry.type_owners.get(name, "core") in here
    }
    records = {name: columns_of(kind, registry) for name, kind in types.items()}
    return Known(
        commands=_commands(registry, line),
        records=records,
        documents=frozenset(registry.documents) & records.keys(),
        owned=frozenset(n for n, columns in records.items() if n in registry.owners or "owner_id" in columns),
        roles=roles,
        users=users,
        resolvers=frozenset(registry.resolvers),
        policies=policies,
        now=now,
        zone=zone or ZoneInfo("Asia/Shanghai"),
    )


def _commands(registry: Registry, line: str | None) -> dict[str, type[Command]]:
    return {
        kind: spec.command
        for kind, spec in registry.commands.items()
        if not kind.startswith(OWN_VERBS) and _enabled(registry, spec.owner, line)
    }


def _enabled(registry: Registry, owner: str, line: str | None) -> bool:
    return line is None or line in registry.lines_of(owner)


def columns_of(kind: ObjectType, registry: Registry) -> Mapping[str, Any]:
    """Columns of a type's model, each with the type its values have in conditions; money is Decimal, in yuan."""
    table: Table = kind.model.__table__
    shown = _shown(kind)
    return {column.key: _type(column, shown.get(column.key), registry) for column in table.columns}


def record_facts(kind: ObjectType, record: Any) -> Mapping[str, Any]:
    """The columns of a record as conditions compare them: money in yuan, everything else as it is."""
    shown = _shown(kind)
    return {
        column.key: _value(getattr(record, column.key), shown.get(column.key))
        for column in kind.model.__table__.columns
    }


def _shown(kind: ObjectType) -> dict[str, Any]:
    """The declared types of the fields that are columns of the model."""
    return {to_snake(f.name): f.type for f in kind.fields if f.kind == "column" and f.sql is None}


def _value(value: Any, declared: Any) -> Any:
    return money.yuan(value) if isinstance(declared, Yuan) and isinstance(value, int) else value


def _type(column: Column[Any], declared: Any, registry: Registry) -> Any:
    if isinstance(declared, Yuan):
        return Decimal
    if isinstance(declared, Id):
        return _id_of_prefix(declared.prefix, registry)
    if declared is not None:
        return declared
    plain = _python_type(column)
    return _id_of(column, registry) if plain is UUID else plain


def _python_type(column: Column[Any]) -> Any:
    try:
        return column.type.python_type
    except NotImplementedError:
        return object


def _id_of_prefix(prefix: str, registry: Registry) -> Any:
    found = next((kind for kind in registry.types.values() if kind.prefix == prefix), None)
    return UUID if found is None else Annotated[UUID, Ref(found.name, prefix)]


def _id_of(column: Column[Any], registry: Registry) -> Any:
    """The type of an id: of the type over the table it refers to, where that is known."""
    for key in column.foreign_keys:
        name = key.target_fullname.partition(".")[0]
        for kind in registry.types.values():
            if kind.prefix and isinstance(kind.table, Table) and kind.table.name == name:
                return Annotated[UUID, Ref(kind.name, kind.prefix)]
    return UUID
