"""An event: a fact in the past tense about one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PrivateAttr

from crm_core.db.base import Aggregate


class Event(BaseModel):
    """A fact (事件), e.g. `CustomerCreated`; recorded by `work.record(CustomerCreated.of(customer))`.

    Class attributes: `kind` (`customer.created`), `subject_type` (GraphQL type of its record), `version` of its
    form, `public` (columns of the record that may leave the house). Fields of the class are further data.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    kind: ClassVar[str]
    subject_type: ClassVar[str]
    version: ClassVar[int] = 1
    public: ClassVar[tuple[str, ...]] = ()

    _subject: Aggregate = PrivateAttr()

    @classmethod
    def of(cls, subject: Aggregate, **data: Any) -> Self:
        """The fact about this record."""
        event = cls(**data)
        event._subject = subject
        return event

    @property
    def subject(self) -> Aggregate:
        """The record the fact is about."""
        return self._subject


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it was recorded, with its place in the feed (已记录的事件); what receivers get.

    `position` counts all events without gaps; of one subject they come in the order of (`sequence`, `ordinal`).
    `before` and `after` hold the columns that changed (of a new record all it has), `changed_fields` their names.
    """

    id: UUID
    position: int
    kind: str
    schema_version: int
    subject_type: str
    subject_id: UUID
    subject_ref: str
    sequence: int
    ordinal: int
    line: str | None
    actor_id: UUID | None
    actor_name: str
    reason: str | None
    request_id: str | None
    occurred_at: datetime
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    changed_fields: Sequence[str]
    data: Mapping[str, Any]
