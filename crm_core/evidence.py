"""What a command leaves behind besides its records: its entry in the audit trail, and the events it announced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from crm_core import ids
from crm_core.commands import Command
from crm_core.db.base import Aggregate
from crm_core.keyring import Keyring
from crm_core.outbox.events import Event

if TYPE_CHECKING:
    from crm_core.work import Work

Told: TypeAlias = tuple[Event, Aggregate, str | None]
"""An event with its record, and the line it is of."""


def audit_entry(work: Work, command: Command, told: Iterable[Told]) -> dict[str, Any]:
    """The audit entry (审计记录) of a performed command, as a row."""
    named = command.subject_type or command.result_type()
    subject = work.subject or next((subject for e, subject, _ in told if e.subject_type == named), None)
    return {
        "id": ids.uuid7(),
        "created_at": work.now,
        "kind": command.kind,
        "actor_id": work.actor.user_id,
        "actor_name": work.actor.name,
        "token_id": work.actor.token_id,
        "line": work.line,
        "channel": work.options.channel,
        "reason": work.options.reason,
        "request_id": work.options.request_id,
        "approval_id": work.approval,
        "signer_id": work.signer,
        "subject_type": named,
        "subject_ref": _shown(work, named, subject.id) if subject is not None else None,
        "command": without_secrets(command, work.services.keyring),
        "changes": [
            {"table": c.type, "id": str(c.id), "before": c.before, "after": c.after}
            for c in work.changes.all()
        ],
    }


def outbox_rows(work: Work, told: Iterable[Told]) -> list[dict[str, Any]]:
    """The events (事件) as rows, in the order in which they were announced."""
    return [_outbox_row(work, *one, ordinal) for ordinal, one in enumerate(told)]


def _outbox_row(
    work: Work, event: Event, subject: Aggregate, line: str | None, ordinal: int
) -> dict[str, Any]:
    change = work.changes.of(subject)
    before, after = (change.before, change.after) if change else ({}, {})
    return {
        "id": ids.uuid7(),
        "created_at": work.now,
        "kind": event.kind,
        "schema_version": event.version,
        "subject_type": event.subject_type,
        "subject_id": subject.id,
        "subject_ref": _shown(work, event.subject_type, subject.id),
        "sequence": subject.version,
        "ordinal": ordinal,
        "line": line,
        "actor_id": work.actor.user_id,
        "actor_name": work.actor.name,
        "reason": work.options.reason,
        "request_id": work.options.request_id,
        "occurred_at": work.now,
        "before": before,
        "after": after,
        "changed_fields": sorted(set(after or {}) if before else set()),
        "data": event.model_dump(mode="json") if type(event).model_fields else {},
    }


def _shown(work: Work, type_name: str, key: UUID) -> str:
    return ids.show(work.registry.types[type_name].prefix or "rec", key)


def without_secrets(command: Command, keyring: Keyring) -> dict[str, Any]:
    """The command's stored form with its most sensitive fields masked."""
    body = command.body()
    if command.sensitive.isdisjoint(body):
        return body
    return {k: _masked(command, k, v, keyring) if k in command.sensitive else v for k, v in body.items()}


def _masked(command: Command, name: str, value: Any, keyring: Keyring) -> str | None:
    """A keyed digest: it shows whether two values are the same, and cannot be found out by trying."""
    return None if value is None else f"*** {keyring.blind(str(value), f'{command.kind}.{name}')[:12]}"
