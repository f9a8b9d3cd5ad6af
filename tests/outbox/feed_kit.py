"""What tests of the feed share: events made up and recorded, and receivers that remember."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from crm_core import ids
from crm_core.db.unit import Unit
from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.models import OutboxEvent
from crm_core.registry import Receiver
from crm_core.testing.kit import START, Kit
from crm_core.work import Services

E = OutboxEvent.__table__


def made_up(subject: UUID, sequence: int, *, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    """The row of an event of this subject; `at` is what the clock of its machine said."""
    values: dict[str, Any] = {
        "id": ids.uuid7() if at is None else uuid7_at(at),
        "created_at": START,
        "position": None,
        "kind": "customer.updated",
        "schema_version": 1,
        "subject_type": "Customer",
        "subject_id": subject,
        "subject_ref": ids.show("cus", subject),
        "sequence": sequence,
        "ordinal": 0,
        "line": "east",
        "actor_id": None,
        "actor_name": "made up",
        "reason": None,
        "request_id": None,
        "occurred_at": START,
        "before": {},
        "after": {},
        "changed_fields": [],
        "data": {},
    }
    return values | more


def uuid7_at(moment: datetime) -> UUID:
    """An id as a machine whose clock shows this moment makes it."""
    milliseconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    random = ids.uuid7().int & ((1 << 74) - 1)
    return UUID(
        int=milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    )


async def recorded(crm: Kit, *rows: dict[str, Any]) -> list[UUID]:
    """Record these events in one transaction; their ids."""
    async with crm.database.transaction() as session:
        await session.execute(insert(E), list(rows))
    return [row["id"] for row in rows]


async def feed_of(crm: Kit) -> list[Any]:
    """All numbered events, in the order of the feed."""
    return list(await crm.database.fetch(select(E).where(E.c.position.is_not(None)).order_by(E.c.position)))


@dataclass
class Memory:
    """A receiver that remembers what it got, in this process and in a table of the database."""

    name: str = "memory"
    got: list[RecordedEvent] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    poison: set[UUID] = field(default_factory=set)

    async def receive(self, _services: Services, _session: Unit, events: Sequence[RecordedEvent]) -> None:
        self.batches.append(len(events))
        for event in events:
            if event.id in self.poison:
                raise ValueError(f"cannot take {event.kind}")
        self.got += events

    def receiver(self, **more: Any) -> Receiver:
        return Receiver(self.name, self.receive, **more)
