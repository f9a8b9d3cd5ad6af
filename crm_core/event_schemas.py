"""The forms of events for partners: a JSON Schema of each kind, and an AsyncAPI document of all; made of declarations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import yaml
from pydantic.alias_generators import to_camel
from sqlalchemy import Column

from crm_core import __version__
from crm_core.graphql.fields import Field, ObjectType, Yuan
from crm_core.outbox.events import Event
from crm_core.registry import Registry

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_SCALARS: Final[Mapping[type, Schema]] = {
    UUID: {"type": "string", "format": "uuid"},
    datetime: _MOMENT,
    date: {"type": "string", "format": "date"},
    Decimal: {"type": "string", "description": "A decimal number."},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: _TEXT,
}
_STANDARD: Final[Mapping[str, Schema]] = {
    "webhook-id": {"type": "string", "description": "The same for each attempt: what to know doubles by."},
    "webhook-timestamp": {"type": "string", "description": "Moment of the attempt, seconds since 1970."},
    "webhook-signature": {"type": "string", "description": "Signatures, `v1,` and base64, parted by spaces."},
}


def schemas(registry: Registry) -> dict[str, Schema]:
    """The JSON Schema (2020-12) of every kind of event the registry knows, by kind."""
    return {kind: schema_of(event, registry) for kind, event in sorted(registry.events.items())}


def schema_of(event: type[Event], registry: Registry) -> Schema:
    """The form of one kind of event as partners get it: the envelope, with its public columns and its data.

    Who may see less gets less: actor, reason and request are left out for those who may not read events, columns for
    those who may not read them; a masked value is a text.
    """
    kind = registry.types.get(event.subject_type)
    columns = {name: _column(kind, name) for name in event.public}
    return {
        "$schema": DIALECT,
        "$id": f"urn:crm:event:{event.kind}:{event.version}",
        "title": event.kind,
        "description": inspect.cleandoc(event.__doc__ or ""),
        "type": "object",
        "properties": _envelope(event, columns),
        "required": [
            "id", "position", "kind", "schemaVersion", "subjectType", "subjectId", "sequence", "line", "occurredAt",
            "before", "after", "changedFields", "data",
        ],
        "additionalProperties": True,
    }  # fmt: skip


def asyncapi(registry: Registry) -> str:
    """All kinds as an AsyncAPI 3 document in YAML, which refers to the schemas beside it in `events/`."""
    kinds = sorted(registry.events)
    messages = {kind: _message(registry.events[kind]) for kind in kinds}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "crm-core events",
            "version": __version__,
            "description": "Facts in the past tense, one for each change of a record (事件). Generated; do not edit.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "webhooks": {
                "address": None,
                "title": "Outgoing webhooks",
                "description": "Posted to the endpoints of a business line, signed as Standard Webhooks say (出站 Webhook).",
                "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
            },
            "feed": {
                "address": "/graphql",
                "title": "Live feed",
                "description": "`subscription { events(after:, kinds:, subject:) { … } }` by graphql-sse or graphql-transport-ws."
                " Each result holds what the document selects of `Event` (实时订阅).",
                "messages": {"result": {"$ref": "#/components/messages/result"}},
            },
        },
        "operations": {
            "deliver": {"action": "send", "channel": {"$ref": "#/channels/webhooks"}},
            "follow": {"action": "send", "channel": {"$ref": "#/channels/feed"}},
        },
        "components": {"messages": messages | {"result": _result()}},
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def _envelope(event: type[Event], columns: Mapping[str, Schema]) -> Schema:
    values = {"type": ["object", "null"], "properties": dict(columns), "additionalProperties": False}
    names = {"enum": list(columns)} if columns else _TEXT
    return {
        "id": {
            "type": "string",
            "pattern": "^evt_[0-9a-f]{32}$",
            "description": "The same in every delivery.",
        },
        "position": {"type": "integer", "minimum": 1, "description": "Place in the feed; without gaps."},
        "kind": {"const": event.kind},
        "schemaVersion": {"const": event.version},
        "subjectType": {"const": event.subject_type},
        "subjectId": {"type": "string", "description": "Id of the record, as the API shows it."},
        "sequence": {
            "type": "integer",
            "minimum": 1,
            "description": "Version of the record after the change.",
        },
        "line": {"type": ["string", "null"], "description": "Business line (业务线)."},
        "occurredAt": _MOMENT,
        "actorId": {"type": ["string", "null"], "description": "Who."},
        "actorName": _TEXT,
        "reason": {"type": ["string", "null"]},
        "requestId": {"type": ["string", "null"]},
        "before": {**values, "description": "Columns that changed, before; null for a new record."},
        "after": {
            **values,
            "description": "Columns that changed, after; of a new record all that were given.",
        },
        "changedFields": {"type": "array", "items": names},
        "data": _data(event),
    }


def _column(kind: ObjectType | None, name: str) -> Schema:
    """A public column in the form in which it is stored; null where it may be empty."""
    field = kind.by_name.get(to_camel(name)) if kind is not None else None
    column = kind.model.__table__.c.get(name) if kind is not None and kind.model is not None else None
    shape = _shape(field, column)
    words = [field.description] if field is not None else []
    if field is not None and isinstance(field.type, Yuan):
        words.append("In fen, 1/100 yuan (分).")
    if "description" in shape:
        words.append(shape["description"])
    if column is None or column.nullable:
        shape = _or_null(shape)
    return shape | ({"description": " ".join(words)} if words else {})


def _shape(field: Field | None, column: Column[Any] | None) -> Schema:
    if field is not None and isinstance(field.type, type) and issubclass(field.type, Enum):
        return {"enum": [member.value for member in field.type]}
    if column is None:
        return {}
    try:
        return dict(_SCALARS.get(column.type.python_type, {}))
    except NotImplementedError:
        return {}


def _or_null(shape: Schema) -> Schema:
    if "enum" in shape:
        return {**shape, "enum": [*shape["enum"], None]}
    return {**shape, "type": [shape["type"], "null"]} if "type" in shape else shape


def _data(event: type[Event]) -> Schema:
    made = event.model_json_schema(mode="serialization")
    shape = _untitled({name: made[name] for name in ("$defs", "properties", "required") if name in made})
    return {"type": "object", **shape, "description": "Further data of this kind."}


def _untitled(schema: Any) -> Any:
    """Without the titles that only repeat names."""
    if isinstance(schema, dict):
        return {k: _untitled(v) for k, v in schema.items() if k != "title" or not isinstance(v, str)}
    return [_untitled(one) for one in schema] if isinstance(schema, list) else schema


def _message(event: type[Event]) -> Schema:
    return {
        "name": event.kind,
        "summary": inspect.cleandoc(event.__doc__ or ""),
        "headers": {"type": "object", "properties": dict(_STANDARD), "required": list(_STANDARD)},
        "payload": {
            "type": "object",
            "properties": {
                "type": {"const": event.kind},
                "timestamp": dict(_MOMENT),
                "data": {"$ref": f"./events/{event.kind}.json"},
            },
            "required": ["type", "timestamp", "data"],
        },
    }


def _result() -> Schema:
    return {
        "name": "result",
        "summary": "One event, as the document of the subscription selects it.",
        "payload": {
            "type": "object",
            "properties": {"data": {"type": ["object", "null"]}, "errors": {"type": "array"}},
        },
    }


__all__ = ["asyncapi", "schema_of", "schemas"]
