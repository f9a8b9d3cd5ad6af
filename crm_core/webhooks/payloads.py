"""What is sent about an event: Standard Webhooks' `{type, timestamp, data}`, with what the endpoint may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic.alias_generators import to_camel

from crm_core import ids
from crm_core.db.base import Base
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, ObjectType
from crm_core.keyring import mask_phone
from crm_core.outbox.events import Event, RecordedEvent
from crm_core.webhooks.documents import Matter, endpoint_actor, shaped
from crm_core.work import Services

CONTENT_TYPE: Final = "application/json"
TEST: Final = "webhook.test"
READS_EVENTS: Final = "event.read"


@dataclass(frozen=True)
class Form:
    """In which form an endpoint gets events: as far as its scopes see, or shaped by its document."""

    name: str
    line: str
    scopes: frozenset[str]
    document: str | None = None


async def payload(services: Services, form: Form, event: RecordedEvent, most: int) -> bytes:
    """The bytes to be sent about an event; more than `most` are replaced by what it takes to fetch the rest.

    Raises `Fault` when the stored document cannot be run now.
    """
    if form.document is None:
        shown: Mapping[str, Any] = {"data": public_view(services, form, event)}
    else:
        matter = Matter(
            event.subject_ref,
            ids.show("evt", event.id),
            event.kind,
            form.line,
            event.occurred_at,
            form.scopes,
        )
        shown = await shaped(services, form.name, form.document, matter)
    body = _wrapped(event.kind, event.occurred_at, shown)
    return body if len(body) <= most else _wrapped(event.kind, event.occurred_at, {"data": _thin(event)})


def test_payload(form: Form, delivery: str, moment: datetime) -> bytes:
    """The bytes of a test."""
    return _wrapped(TEST, moment, {"data": {"id": delivery, "endpoint": form.name, "line": form.line}})


def _wrapped(kind: str, moment: datetime, shown: Mapping[str, Any]) -> bytes:
    whole = {"type": kind, "timestamp": moment, **shown}
    return orjson.dumps(whole, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)


def _thin(event: RecordedEvent) -> dict[str, Any]:
    """In place of a payload that is too large: `events` after `after` begins with the event; `subject` is a node."""
    return {
        "thin": True,
        **_head(event),
        "fetch": {"after": str(event.position - 1), "node": event.subject_ref},
    }


def _head(event: RecordedEvent) -> dict[str, Any]:
    return {
        "id": ids.show("evt", event.id),
        "position": event.position,
        "kind": event.kind,
        "schemaVersion": event.schema_version,
        "subjectType": event.subject_type,
        "subjectId": event.subject_ref,
        "sequence": event.sequence,
        "line": event.line,
        "occurredAt": event.occurred_at,
    }


def public_view(services: Services, form: Form, event: RecordedEvent) -> dict[str, Any]:
    """Everything of an event that an endpoint may see; the one place where its scopes and masks are applied.

    Columns are those the event's class declares public. Of them a column is left out whose field needs a scope that
    the endpoint lacks, and masked where the field is. Who did it and why goes out with the scope `event.read` alone.
    """
    registry = services.registry
    declared, kind = registry.events.get(event.kind), registry.types.get(event.subject_type)
    access = services.access(endpoint_actor(form.name, form.line, form.scopes))
    view = _View(declared, kind, access)
    shown = {
        **_head(event),
        "before": view.values(event.before),
        "after": view.values(event.after),
        "changedFields": [name for name in event.changed_fields if view.shows(name)],
        "data": dict(event.data) if declared is not None else {},
    }
    if READS_EVENTS in form.scopes:
        actor = ids.show("usr", event.actor_id) if event.actor_id else None
        shown |= {
            "actorId": actor,
            "actorName": event.actor_name,
            "reason": event.reason,
            "requestId": event.request_id,
        }
    return shown


class _View:
    """Which columns of an event's record an endpoint sees, and which of them in part."""

    def __init__(self, declared: type[Event] | None, kind: ObjectType | None, access: Access) -> None:
        self._public = frozenset(declared.public) if declared is not None else frozenset()
        self._kind, self._access = kind, access

    def values(self, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The visible columns."""
        if given is None:
            return None
        return {name: self._masked(name, value) for name, value in given.items() if self.shows(name)}

    def shows(self, column: str) -> bool:
        """Whether a column is public and its field open to these scopes."""
        if column not in self._public:
            return False
        field = self._field(column)
        return field is None or self._access.denial(field.owner, field.scope) is None

    def _field(self, column: str) -> Field | None:
        return self._kind.by_name.get(to_camel(column)) if self._kind is not None else None

    def _masked(self, column: str, value: Any) -> Any:
        field = self._field(column)
        if value is None or field is None or field.mask is None or not field.mask.hides(self._access):
            return value
        return masked(self._kind.model if self._kind is not None else None, column, value)


def masked(model: type[Base] | None, column: str, value: Any) -> str:
    """A value that may be seen in part only, as its table declares; by default nothing of it is shown."""
    declared = model.personal.get(column) if model is not None else None
    text = str(value)
    if declared is not None and declared.mask == "phone":
        return mask_phone(text)
    if declared is not None and declared.mask == "name":
        return text[:1] + "**"
    return "***"
