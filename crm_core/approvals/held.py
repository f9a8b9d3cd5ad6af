"""A command as an approval keeps it: given fields, most sensitive ones sealed, what it would change, values before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from sqlalchemy import RowMapping, inspect, select

from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals.models import Approval
from crm_core.audit.changes import masked, plain
from crm_core.commands import Change, Command, user_errors
from crm_core.db.base import Base
from crm_core.errors import Json, Message, Refused
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field
from crm_core.keyring import Keyring
from crm_core.registry import Registry
from crm_core.work import Work

UNKNOWN_COMMAND = Message(
    "APPROVAL_UNKNOWN_COMMAND",
    "The command {kind} no longer exists; its plugin may be gone.",
    "命令 {kind} 已不存在，其插件可能已被移除。",
)
_OVERLOOKED = frozenset({"id", "created_at", "updated_at", "version"})


# -- the command


def sealed(command: Command, keyring: Keyring, approval: UUID) -> str | None:
    """The command's most sensitive given fields, encrypted for this approval; None when it has none."""
    secret = {name: value for name, value in command.body().items() if name in command.sensitive}
    return keyring.seal(json.dumps(secret), _context(approval)) if secret else None


def restored(approval: Approval, registry: Registry, keyring: Keyring) -> Command:
    """The command as it was given, in today's form; `Refused` when today's product no longer understands it."""
    spec = registry.commands.get(approval.kind)
    if spec is None:
        raise Refused(UNKNOWN_COMMAND(kind=approval.kind))
    body = given(approval.id, approval.body, approval.sealed, keyring)
    if approval.command_version != spec.command.version:
        body = spec.command.upcast(body, approval.command_version)
    try:
        return spec.command.model_validate(body)
    except ValidationError as error:
        raise Refused(*user_errors(error)) from None


def given(approval: UUID, body: Mapping[str, Any], sealed: str | None, keyring: Keyring) -> dict[str, Any]:
    """The stored form of a held command, with what was sealed."""
    secret = json.loads(keyring.open(sealed, _context(approval))) if sealed else {}
    return {**body, **secret}


def _context(approval: UUID) -> str:
    return f"approvals.sealed:{approval.hex}"


async def subject_of(work: Work, approval: Approval, *, lock: bool = False) -> Base | None:
    """The record an approval is about, as it is now; `lock`: nobody else changes it until the end of the transaction."""
    kind = work.registry.types.get(approval.subject_type)
    if approval.subject_id is None or kind is None:
        return None
    if lock:
        await work.session.execute(
            select(kind.model.id).where(kind.model.id == approval.subject_id).with_for_update()
        )
    return await work.session.get(kind.model, approval.subject_id)


# -- what it would change


def diff_of(changes: Iterable[Change], registry: Registry) -> list[dict[str, Json]]:
    """Field by field what changes: table, recordId (null for a new record), field, before, after.

    `needs` names the permissions without which a reader sees that a field changes, but not its values.
    """
    models = _models(registry)
    return [line for change in changes for line in _lines(change, models[change.type], registry)]


def _lines(change: Change, model: type[Base], registry: Registry) -> Iterable[dict[str, Json]]:
    before, after = change.before or {}, change.after or {}
    for column in dict.fromkeys((*before, *after)):
        if column in _OVERLOOKED or before.get(column) == after.get(column):
            continue
        yield {
            "table": change.type,
            "recordId": shown_id(model, change.id, registry) if change.before is not None else None,
            "field": to_camel(column),
            "before": before.get(column),
            "after": after.get(column),
            "needs": _needs(model, column, registry),
        }


def _needs(model: type[Base], column: str, registry: Registry) -> list[Json]:
    """Permissions that the API asks for before it shows this column in full.

    Personal columns that no field shows are for who has the permission they name; without one, where they are
    masked, for administrators alone.
    """
    key = ("approvals.needs", model, column)
    if key not in registry.worked_out:
        registry.worked_out[key] = _worked_out_needs(model, column, registry)
    return [*registry.worked_out[key]]


def _worked_out_needs(model: type[Base], column: str, registry: Registry) -> list[Json]:
    kind = next((k for k in registry.types.values() if k.model is model), None)
    shown = [f for f in kind.fields if shows(f, model, column)] if kind is not None else []
    needs = {scope for f in shown for scope in (f.scope, f.mask.unless if f.mask else None) if scope}
    personal = model.personal.get(column)
    if not shown and personal is not None and personal.unless is not None:
        return [personal.unless]
    if not shown and personal is not None and (personal.mask != "none" or personal.category == "sensitive"):
        return ["access.admin"]
    return [*sorted(needs)]


def shows(declared: Field, model: type[Base], column: str) -> bool:
    """Whether a field is this very column, under whatever name."""
    if declared.kind != "column":
        return False
    if declared.sql is None:
        return declared.name == to_camel(column)
    nobody = Access(Actor(None, "nobody"), "sqlite")
    return declared.sql(model.__table__, nobody) is model.__table__.c.get(column)


def shown_id(model: type[Base], key: Any, registry: Registry) -> str:
    """A record's id as clients see it; of parts with several keys, these joined."""
    if not isinstance(key, UUID):
        return "/".join(str(part) for part in (key if isinstance(key, tuple | list) else (key,)))
    kind = next((k for k in registry.types.values() if k.model is model), None)
    return ids.show(kind.prefix, key) if kind is not None and kind.prefix else key.hex


def _models(registry: Registry) -> dict[str, type[Base]]:
    return {model.__tablename__: model for models in registry.tables.values() for model in models}


# -- values before, and what differs from them later


def base_of(changes: Iterable[Change], command: Command, subject: Any) -> list[dict[str, Json]]:
    """Values now in every field that is written: those that change, those given for the subject, and its guards."""
    found: dict[tuple[str, str], dict[str, Json]] = {}
    for change in changes:
        if change.before is not None:
            values = found.setdefault((change.type, _key(change.id)), {})
            values.update({k: v for k, v in change.before.items() if k not in _OVERLOOKED})
    if isinstance(subject, Base):
        columns = (
            set(inspect(type(subject)).columns.keys())
            & (command.model_fields_set | command.guards) - _OVERLOOKED
        )
        own = found.setdefault((subject.__tablename__, _key(_identity(subject))), {})
        for column in sorted(columns - own.keys()):
            own[column] = _stored(type(subject), column, getattr(subject, column))
    return [{"table": table, "key": key, "values": dict(values)} for (table, key), values in found.items()]


async def conflicts(work: Work, approval: Approval) -> list[dict[str, Json]]:
    """Fields of the base that hold another value now, each with base, theirs and mine; locks the records.

    A record that is gone is one entry without field.
    """
    models, found = _models(work.registry), []
    for entry in sorted(approval.base, key=lambda e: (e["table"], e["key"])):
        model = models.get(entry["table"])
        row = await _current(work, model, entry["key"]) if model is not None else None
        if model is None or row is None:
            found.append(_gone(entry))
            continue
        record = shown_id(model, _read(entry["key"]), work.registry)
        mine = {
            d["field"]: d["after"]
            for d in approval.diff
            if d["table"] == entry["table"] and d["recordId"] == record
        }
        for column, before in entry["values"].items():
            now, name = _stored(model, column, row[column]), to_camel(column)
            if now != before:
                values = {"base": before, "theirs": now, "mine": mine.get(name, before)}
                needs = _needs(model, column, work.registry)
                found.append(
                    {"table": entry["table"], "recordId": record, "field": name, **values, "needs": needs}
                )
    return found


def clashes(
    base: Iterable[Mapping[str, Any]],
    diff: Iterable[Mapping[str, Any]],
    changes: Iterable[Change],
    registry: Registry,
) -> list[dict[str, Json]]:
    """Fields that these changes found with another value than the base knows, each with base, theirs and mine."""
    models = _models(registry)
    known = {(entry["table"], entry["key"]): entry["values"] for entry in base}
    mine = {(line["table"], line["recordId"], line["field"]): line["after"] for line in diff}
    found: list[dict[str, Json]] = []
    for change in changes:
        values, model = known.get((change.type, _key(change.id)), {}), models[change.type]
        for column, now in (change.before or {}).items():
            if column in values and values[column] != now:
                record, name = shown_id(model, change.id, registry), to_camel(column)
                sides = {
                    "base": values[column],
                    "theirs": now,
                    "mine": mine.get((change.type, record, name), values[column]),
                }
                needs = _needs(model, column, registry)
                found.append(
                    {"table": change.type, "recordId": record, "field": name, **sides, "needs": needs}
                )
    return found


def _gone(entry: Mapping[str, Any]) -> dict[str, Json]:
    nothing: dict[str, Json] = {"field": None, "base": None, "theirs": None, "mine": None, "needs": []}
    return {"table": entry["table"], "recordId": entry["key"], **nothing}


async def _current(work: Work, model: type[Base], key: str) -> RowMapping | None:
    table = model.__table__
    statement = select(table)
    for column, value in zip(inspect(model).primary_key, _parts(key), strict=True):
        statement = statement.where(column == _typed(column, value))
    if work.services.database.dialect == "postgresql":
        statement = statement.with_for_update()
    return (await work.session.execute(statement)).mappings().first()


def _identity(record: Base) -> Any:
    keys = inspect(record).identity or ()
    return keys[0] if len(keys) == 1 else keys


def _key(key: Any) -> str:
    """A primary key as text; `_parts` and `_typed` bring it back."""
    return "/".join(part.hex if isinstance(part, UUID) else str(part) for part in _several(key))


def _several(key: Any) -> Sequence[Any]:
    return key if isinstance(key, tuple | list) else (key,)


def _parts(key: str) -> list[str]:
    return key.split("/")


def _read(key: str) -> Any:
    parts = [UUID(part) if len(part) == 32 else part for part in _parts(key)]  # noqa: PLR2004  # hex digits of a UUID
    return parts[0] if len(parts) == 1 else tuple(parts)


def _typed(column: Any, value: str) -> Any:
    kind = column.type.python_type
    return UUID(value) if kind is UUID else kind(value)


def _stored(model: type[Base], column: str, value: Any) -> Json:
    """A value as changes show it: JSON, most sensitive ones as a digest."""
    declared = model.personal.get(column)
    if declared is not None and declared.category == "sensitive" and value is not None:
        return masked(str(value))
    return plain(value)
