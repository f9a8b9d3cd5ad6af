"""The relay: gives committed events their positions in the feed, without gaps, one process at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Select,
    TextClause,
    Uuid,
    and_,
    bindparam,
    func,
    select,
    text,
    tuple_,
    update,
)

from crm_core.db.arrays import ListOf, among
from crm_core.outbox.models import FeedState, OutboxEvent

if TYPE_CHECKING:
    from crm_core.db.unit import Unit
    from crm_core.work import Services

MOST_NUMBERED: Final = 1_000
FEED: Final = "events"
_E, _S = OutboxEvent.__table__, FeedState.__table__
_LAST: Final = select(_S.c.position).where(_S.c.name == FEED)
_HELD: Final = _LAST.with_for_update(skip_locked=True)
_MOVED: Final = update(_S).where(_S.c.name == FEED).values(position=bindparam("further", type_=BigInteger()))
_UNIQUE = (_E.c.id, _E.c.subject_type, _E.c.subject_id, _E.c.sequence, _E.c.ordinal)

_HEAD: Final = (
    "SELECT id, subject_type, subject_id, sequence, ordinal FROM outbox_events"
    " INDEXED BY ix_outbox_events_unnumbered WHERE position IS NULL ORDER BY id LIMIT :most"
)
_PLACES: Final = {
    "postgresql": "UPDATE outbox_events SET position = :last + given.place"
    " FROM unnest(:ids) WITH ORDINALITY AS given(id, place) WHERE outbox_events.id = given.id",
    "sqlite": "UPDATE outbox_events SET position = :last + 1 + given.key"
    " FROM json_each(:ids) AS given WHERE outbox_events.id = given.value",
}


class Unnumbered(NamedTuple):
    """An event that has no position yet: what its place depends on."""

    id: UUID
    subject_type: str
    subject_id: UUID
    sequence: int
    ordinal: int


async def number(services: Services, most: int = MOST_NUMBERED) -> int:
    """Give up to about `most` committed events their positions; how many. 0 too when somebody else is at it.

    Positions are given after commit, so that no event ever appears behind a position that was read already. Events
    come in the order of their ids, save that none comes before an earlier one of its subject, whatever the clocks of
    two machines say. Raises `Fault` when the database is out of reach.
    """

    async def do(session: Unit) -> int:
        last = await _locked(session)
        if last is None:
            return 0
        found = await _unnumbered(session, services.database.dialect, most)
        if found:
            await _place(session, services.database.dialect, last, in_order(found))
        return len(found)

    return await services.database.attempt(do)


async def is_behind(services: Services) -> bool:
    """Whether any committed event waits for its position; costs next to nothing."""
    return bool(await services.database.fetch(head(services.database.dialect, 1)))


async def unnumbered(services: Services) -> int:
    """How many committed events wait for their position."""
    waiting = select(func.count()).select_from(_E).where(_E.c.position.is_(None))
    return int((await services.database.fetch(waiting))[0][0])


async def last_position(services: Services) -> int:
    """The position of the last event of the feed; 0 before the first."""
    return int((await services.database.fetch(_LAST))[0].position)


def in_order(events: Iterable[Unnumbered]) -> list[Unnumbered]:
    """By id, save that the events of one subject change places until they stand in their own order."""
    waiting: dict[tuple[str, UUID], list[Unnumbered]] = {}
    by_id = sorted(events, key=lambda event: event.id.bytes)
    for event in by_id:
        waiting.setdefault(_subject(event), []).append(event)
    queues: dict[tuple[str, UUID], Iterator[Unnumbered]] = {
        subject: iter(sorted(own, key=lambda event: (event.sequence, event.ordinal)))
        for subject, own in waiting.items()
    }
    return [next(queues[_subject(event)]) for event in by_id]


def _subject(event: Unnumbered) -> tuple[str, UUID]:
    return event.subject_type, event.subject_id


async def _locked(session: Unit) -> int | None:
    """The last position given, held until the end of the transaction; None: somebody else holds it."""
    found = (await session.execute(_HELD)).scalar_one_or_none()
    return None if found is None else int(found)


async def _unnumbered(session: Unit, dialect: str, most: int) -> Sequence[Unnumbered]:
    """The head, and what of its subjects came earlier and has a later id: it goes along."""
    found = await _rows(session, head(dialect, most))
    if len(found) < most:
        return found
    known = {event.id: event for event in found}
    while found:
        before = await _rows(session, _directly_before([event.id for event in found], dialect))
        found = [event for event in before if event.id not in known]
        known |= {event.id: event for event in found}
    return list(known.values())


async def _rows(session: Unit, statement: Select[Any]) -> list[Unnumbered]:
    return [Unnumbered(*row) for row in await session.execute(statement)]


@cache
def head(dialect: str, most: int) -> Select[Any]:
    """The first unnumbered events by id. SQLite is told by which index: its guesses go astray once it has statistics."""
    if dialect == "sqlite":
        return select(text(_HEAD).bindparams(most=most).columns(*_UNIQUE).subquery())
    return select(*_UNIQUE).where(_E.c.position.is_(None)).order_by(_E.c.id).limit(most)


def _directly_before(ids: Sequence[UUID], dialect: str) -> Select[Any]:
    """Of each of these events the one before it of its subject, where that has no position either."""
    given, before = _E.alias("given"), _E.alias("before")
    same = and_(
        before.c.subject_type == given.c.subject_type,
        before.c.subject_id == given.c.subject_id,
        tuple_(before.c.sequence, before.c.ordinal) < tuple_(given.c.sequence, given.c.ordinal),
    )
    latest = select(before.c.id).where(same).order_by(before.c.sequence.desc(), before.c.ordinal.desc())
    wanted = select(latest.limit(1).scalar_subquery()).where(among(given.c.id, ids, Uuid(), dialect))
    return select(*_UNIQUE).where(_E.c.id.in_(wanted), _E.c.position.is_(None))


async def _place(session: Unit, dialect: str, last: int, events: Sequence[Unnumbered]) -> None:
    await session.execute(_placing(dialect), {"last": last, "ids": [event.id for event in events]})
    await session.execute(_MOVED, {"further": last + len(events)})


@cache
def _placing(dialect: str) -> TextClause:
    return text(_PLACES[dialect]).bindparams(
        bindparam("ids", type_=ListOf(Uuid())), bindparam("last", type_=BigInteger())
    )
