"""Feeds receivers: each event in order, exactly once with what its receiver writes; what fails holds up no other."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Integer, Row, Select, bindparam, delete, insert, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from crm_core.errors import Fault
from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.models import MOST_ERROR, FeedCursor, FeedFailure, FeedState, OutboxEvent
from crm_core.outbox.relay import FEED, head

if TYPE_CHECKING:
    from uuid import UUID

    from crm_core.db.unit import Unit
    from crm_core.registry import Receiver
    from crm_core.work import Services

BATCH_TRIES: Final = 5
"""Failures of a batch after which its events are fed one by one."""
EVENT_TRIES: Final = 10
"""Failures of a single event after which it is passed over."""
FIRST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(minutes=5)
_WORTH_SHARING: Final = 2
_E, _C, _F, _S = (model.__table__ for model in (OutboxEvent, FeedCursor, FeedFailure, FeedState))
_COLUMNS = tuple(_E.c[name] for name in RecordedEvent.__dataclass_fields__)
_CURSORS: Final = select(_C).order_by(_C.c.receiver)
_HELD: Final = select(_C).where(_C.c.receiver == bindparam("receiver")).with_for_update(skip_locked=True)
_AFTER: Final = (
    select(*_COLUMNS)
    .where(_E.c.position > bindparam("position"))
    .order_by(_E.c.position)
    .limit(bindparam("most", type_=Integer()))
)
_TAKEN: Final = (
    update(_C)
    .where(_C.c.receiver == bindparam("of"))
    .values(position=bindparam("taken", type_=BigInteger()), attempts=0, next_at=None, last_error=None)
)


class ReceiverFailed(Exception):
    """A receiver raised something; whatever it was, it is no trouble of the database."""


@dataclass(frozen=True, slots=True)
class _Tried:
    """A batch on its way: where the cursor stood, and what was tried."""

    position: int
    attempts: int
    events: Sequence[RecordedEvent] = ()


@dataclass(frozen=True, slots=True)
class Fed:
    """What feeding a receiver once came to: how many events it took in, and what it failed with.

    `more`: there may be more for it now.
    """

    taken: int = 0
    more: bool = False
    passed_over: int = 0
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """Events read once for all receivers: those directly after a position, of a feed that goes on up to `last` at least."""

    start: int = 0
    events: Sequence[RecordedEvent] = ()
    last: int = 0

    def after(self, position: int, most: int) -> Sequence[RecordedEvent]:
        """At most so many events directly after this position; none where they are not known."""
        if position < self.start:
            return ()
        first = bisect_right(self.events, position, key=attrgetter("position"))
        return self.events[first : first + most]


async def read_ahead(
    services: Services, receivers: Sequence[Receiver], due: Mapping[str, int], last: int
) -> Ahead:
    """What these receivers get next, where they stand alike; `due` tells their positions, `last` is the feed's."""
    start = min(due.values(), default=0)
    if len(receivers) < _WORTH_SHARING:
        return Ahead(last=last)
    most = max(receiver.batch for receiver in receivers)
    rows: Sequence[Any] = await services.database.fetch(_AFTER, {"position": start, "most": most})
    return Ahead(start, [RecordedEvent(*row) for row in rows], last)


async def feed(services: Services, receiver: Receiver, ahead: Ahead = Ahead()) -> Fed:
    """Give a receiver the next batch of events in a transaction of its own, which also moves its cursor on.

    What was read `ahead` is not read again.
    Nothing is done while another process feeds it, or while it waits after a failure. What it raises undoes everything
    it wrote; it is tried again after 1 s, then after twice as long each time, at most 5 minutes. After 5 failures its
    batch is fed one by one, and an event that failed 10 times is passed over and kept as a failure.

    Raises:
        Fault: the database is out of reach; that is no failure of the receiver.
    """
    tried: list[_Tried] = []

    async def do(session: Unit) -> Fed:
        tried.clear()
        return await _fed(services, session, receiver, ahead, tried)

    try:
        return await services.database.attempt(do)
    except Fault as fault:
        if fault.code.startswith("DATABASE_"):
            raise
        return await _failed(services, receiver, tried, fault)
    except Exception as error:  # noqa: BLE001  # whatever a receiver raises, the others go on
        return await _failed(services, receiver, tried, error)


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the feed at a glance: its last position, whether events wait for theirs, and every cursor."""

    last: int
    is_behind: bool
    cursors: Sequence[Row[Any]]

    def due(self, last: int, now: datetime) -> Mapping[str, int]:
        """Receivers for which there is something up to this position, and that do not wait after a failure, with theirs."""
        return {
            cursor.receiver: cursor.position
            for cursor in self.cursors
            if cursor.position < last and (cursor.next_at is None or cursor.next_at <= now)
        }


async def look(services: Services) -> Look:
    """The state of the feed, in one statement; receivers without a cursor get theirs first.

    It stands at the end of the feed, or at its beginning if they want all. To be done before events are numbered, so that
    a receiver hears of everything recorded after it appeared.
    """
    found = await _looked(services)
    known = {row.receiver for row in found.cursors}
    new = [receiver for receiver in services.registry.receivers if receiver.name not in known]
    if not new:
        return found
    dialect = postgresql if services.database.dialect == "postgresql" else sqlite
    async with services.database.transaction() as session:
        last = (await session.execute(select(_S.c.position).where(_S.c.name == FEED))).scalar_one()
        rows = [_fresh(receiver, last) for receiver in new]
        await session.execute(dialect.insert(_C).values(rows).on_conflict_do_nothing())
    return await _looked(services)


async def _looked(services: Services) -> Look:
    rows = await services.database.fetch(_look(services.database.dialect))
    return Look(rows[0].last, bool(rows[0].is_behind), [row for row in rows if row.receiver is not None])


@cache
def _look(dialect: str) -> Select[Any]:
    """The state of the feed with each cursor, or once with none."""
    behind = head(dialect, 1).exists().label("is_behind")
    rows = select(_S.c.position.label("last"), behind, _C.c.receiver, _C.c.position, _C.c.next_at)
    return rows.select_from(_S.outerjoin(_C, true())).where(_S.c.name == FEED).order_by(_C.c.receiver)


async def cursors(services: Services) -> Sequence[Row[Any]]:
    """How far every receiver is that was ever fed, by name."""
    return await services.database.fetch(_CURSORS)


async def failures(services: Services, receiver: str | None = None, most: int = 100) -> Sequence[Row[Any]]:
    """What was passed over, latest first, with the kind and subject of each event."""
    wanted = select(_F, _E.c.kind, _E.c.subject_ref).join(_E, _E.c.id == _F.c.event_id)
    if receiver is not None:
        wanted = wanted.where(_F.c.receiver == receiver)
    return await services.database.fetch(wanted.order_by(_F.c.failed_at.desc()).limit(most))


async def retry(services: Services, receiver: Receiver, event_id: UUID | None = None, most: int = 100) -> int:
    """Give a receiver again what it could not take in, oldest first, each event in a transaction of its own.

    How many it took in. Raises `ReceiverFailed` at the first event that fails again.
    """
    wanted = select(_F.c.event_id).where(_F.c.receiver == receiver.name).order_by(_F.c.position).limit(most)
    if event_id is not None:
        wanted = wanted.where(_F.c.event_id == event_id)
    rows = await services.database.fetch(wanted)
    for row in rows:
        await _again(services, receiver, row.event_id)
    return len(rows)


async def _again(services: Services, receiver: Receiver, event_id: UUID) -> None:
    mine = (_F.c.receiver == receiver.name) & (_F.c.event_id == event_id)
    async with services.database.transaction() as session:
        taken = await session.execute(delete(_F).where(mine).returning(_F.c.event_id))
        if taken.first() is not None:
            row = (await session.execute(select(*_COLUMNS).where(_E.c.id == event_id))).one()
            await _receive(services, session, receiver, [RecordedEvent(*row)])


def _fresh(receiver: Receiver, last: int) -> dict[str, Any]:
    position = 0 if receiver.from_start else last
    return {"receiver": receiver.name, "position": position, "attempts": 0, "single_until": 0}


async def _fed(
    services: Services, session: Unit, receiver: Receiver, ahead: Ahead, tried: list[_Tried]
) -> Fed:
    cursor = (await session.execute(_HELD, {"receiver": receiver.name})).first()
    if cursor is None or (cursor.next_at is not None and cursor.next_at > services.clock()):
        return Fed()
    tried.append(_Tried(cursor.position, cursor.attempts))
    most = 1 if cursor.position < cursor.single_until else receiver.batch
    events = ahead.after(cursor.position, most) or await _after(session, cursor.position, most)
    if not events:
        return Fed()
    tried.append(replace(tried[-1], events=events))
    await _receive(services, session, receiver, events)
    await session.execute(_TAKEN, {"of": receiver.name, "taken": events[-1].position})
    return Fed(len(events), more=len(events) == most or events[-1].position < ahead.last)


async def _after(session: Unit, position: int, most: int) -> Sequence[RecordedEvent]:
    found = await session.execute(_AFTER, {"position": position, "most": most})
    return [RecordedEvent(*row) for row in found]


async def _receive(
    services: Services, session: Unit, receiver: Receiver, events: Sequence[RecordedEvent]
) -> None:
    try:
        async with asyncio.timeout(receiver.seconds):
            await receiver.receive(services, session, events)
            await session.flush()
    except (DBAPIError, Fault):
        raise
    except TimeoutError as error:
        raise ReceiverFailed(f"took longer than {receiver.seconds:g} s (超时)") from error
    except Exception as error:
        raise ReceiverFailed(f"{type(error).__name__}: {error}") from error


async def _failed(services: Services, receiver: Receiver, tried: Sequence[_Tried], error: Exception) -> Fed:
    """Note a failure: what was written is undone by now."""
    if not tried or not tried[-1].events:
        raise error  # nothing of the receiver's
    last, attempts = tried[-1], tried[-1].attempts + 1
    said = (str(error) if isinstance(error, ReceiverFailed) else f"{type(error).__name__}: {error}")[
        :MOST_ERROR
    ]
    values: dict[str, Any] = {
        "attempts": attempts,
        "next_at": services.clock() + min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT),
        "last_error": said,
    }
    single = len(last.events) == 1
    if not single and attempts >= BATCH_TRIES:
        values |= {"attempts": 0, "single_until": last.events[-1].position}
    passes = single and attempts >= EVENT_TRIES
    if passes:
        values |= {"position": last.events[0].position, "attempts": 0, "next_at": None}
    here = (_C.c.receiver == receiver.name) & (_C.c.position == last.position)
    unchanged = here & (_C.c.attempts == last.attempts)
    async with services.database.transaction() as session:
        noted = await session.execute(update(_C).where(unchanged).values(values).returning(_C.c.receiver))
        if noted.first() is not None and passes:
            await session.execute(insert(_F).values(_failure(services, receiver, last.events[0], said)))
            return Fed(passed_over=1, more=True, error=error)
    return Fed(error=error)


def _failure(services: Services, receiver: Receiver, event: RecordedEvent, said: str) -> dict[str, Any]:
    return {
        "receiver": receiver.name,
        "event_id": event.id,
        "position": event.position,
        "attempts": EVENT_TRIES,
        "error": said,
        "failed_at": services.clock(),
    }
