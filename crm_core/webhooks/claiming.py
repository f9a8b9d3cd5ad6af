"""Takes deliveries that are due under a lease, with the bytes to be sent, and writes down what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, insert

from crm_core import ids
from crm_core.db.session import is_trouble
from crm_core.db.unit import Unit
from crm_core.errors import Fault
from crm_core.outbox.events import RecordedEvent
from crm_core.webhooks import queries
from crm_core.webhooks.documents import problems_of
from crm_core.webhooks.dying import announce
from crm_core.webhooks.judging import Answer, Verdict
from crm_core.webhooks.models import (
    MOST_ERROR,
    WebhookAttempt,
    WebhookDeliveryState,
    WebhookOrder,
    WebhookState,
)
from crm_core.webhooks.payloads import CONTENT_TYPE, Form, payload, test_payload
from crm_core.webhooks.settings import WebhooksSettings
from crm_core.work import Services

_AT_LEAST: Final = timedelta(seconds=1)
_UNFIT_WAIT: Final = timedelta(seconds=60)
_TROUBLE_WAIT: Final = timedelta(seconds=30)
_DOCUMENTS_AT_ONCE: Final = 4
_GONE: Final = "the event is not kept any more (事件已不再保留)"


@dataclass(frozen=True)
class Taken:
    """A delivery taken by this process: `attempts` counts this one, `until` ends the lease.

    Without bytes there is a `problem`, and a `hopeless` one will stay; or `trouble` of the database kept us from making
    them, which is no fault of the receiver: it is to be given back.
    """

    id: UUID
    endpoint: Row[Any]
    kind: str
    event_id: UUID | None
    subject_ref: str | None
    position: int | None
    attempts: int
    until: datetime
    occurred_at: datetime
    body: bytes | None
    content_type: str
    problem: str | None = None
    hopeless: bool = False
    trouble: str | None = None

    @property
    def message_id(self) -> str:
        """The id its receiver knows it by; the same in every attempt and replay."""
        return ids.show("evt", self.event_id) if self.event_id else ids.show("whd", self.id)


@dataclass(frozen=True)
class Tried:
    """What became of an attempt at a moment (UTC)."""

    taken: Taken
    answer: Answer
    verdict: Verdict
    at: datetime


class UnfitDocument(Exception):
    """The stored document of an endpoint cannot be run with this schema: nothing is taken for it, no attempt is lost."""

    def __init__(self, endpoint_id: UUID, line: str, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.endpoint_id, self.line = endpoint_id, line

    @property
    def why(self) -> str:
        """Why the endpoint is paused, in both languages where they differ."""
        return f"document (查询文档与接口不符): {self}"[:MOST_ERROR]


def settings_of(services: Services) -> WebhooksSettings:
    """The settings of this room."""
    settings = services.registry.settings["webhooks"]
    if not isinstance(settings, WebhooksSettings):
        raise Fault("MISCONFIGURED", "The settings of webhooks are not known")
    return settings


def form_of(endpoint: Any) -> Form:
    """In which form an endpoint gets events."""
    return Form(endpoint.name, endpoint.line, frozenset(endpoint.scopes), endpoint.document)


async def claim(services: Services, endpoint_id: UUID, most: int, *, alone: bool) -> Sequence[Taken]:
    """Take up to so many deliveries of an endpoint that are due; nobody else has them until their lease ends.

    `alone`: the endpoint is failing or has a rate, so that one process at a time takes from it. Raises `UnfitDocument`;
    then the endpoint rests for a minute.
    """
    now = services.clock()

    async def do(session: Unit) -> Sequence[Taken] | UnfitDocument:
        return await _claimed(services, session, endpoint_id, most, now, alone=alone)

    taken = await services.database.attempt(do)
    if isinstance(taken, UnfitDocument):
        raise taken
    if any(one.body is None for one in taken):
        return await _shaped(services, taken)
    return taken


async def _claimed(
    services: Services, session: Unit, endpoint_id: UUID, most: int, now: datetime, *, alone: bool
) -> Sequence[Taken] | UnfitDocument:
    endpoint = (await session.execute(queries.endpoint(endpoint_id, alone=alone))).first()
    if endpoint is None or not _may_send(endpoint, now) or (_is_limited(endpoint) and not alone):
        return ()
    problems = _document_problems(services, endpoint)
    if problems:
        await session.execute(queries.resting(endpoint_id, now + _UNFIT_WAIT))
        return UnfitDocument(endpoint_id, endpoint.line, problems)
    most = _most(endpoint, most)
    rows = (await session.execute(queries.due(endpoint_id, now, most))).all()
    until = now + timedelta(seconds=settings_of(services).lease_seconds)
    if endpoint.ordered == WebhookOrder.SUBJECT and rows:
        rows = await _first_of_each(session, rows, now, until)
    taken = await _with_bytes(services, session, endpoint, rows, until)
    if taken:
        await queries.take(session, [_bound(one) for one in taken], now, until)
        await _rest(services, session, endpoint, len(taken), now)
    return taken


def _may_send(endpoint: Row[Any], now: datetime) -> bool:
    rests = endpoint.resting_until is not None and endpoint.resting_until > now
    return endpoint.state in queries.SENDING and not rests


def _document_problems(services: Services, endpoint: Row[Any]) -> Sequence[str]:
    """Why the endpoint's document cannot be run with this schema; nothing when it can, or there is none."""
    if endpoint.document is None:
        return ()
    return problems_of(services.registry, services.settings.limits, endpoint.document)


def _is_limited(endpoint: Row[Any]) -> bool:
    return endpoint.state == WebhookState.FAILING or endpoint.per_second is not None


def _most(endpoint: Row[Any], most: int) -> int:
    if endpoint.state == WebhookState.FAILING:
        return 1
    return min(most, endpoint.per_second) if endpoint.per_second else most


async def _rest(services: Services, session: Unit, endpoint: Row[Any], many: int, now: datetime) -> None:
    """A failing endpoint rests until its next probe, one with a rate until so many may follow."""
    rest = 0.0
    if endpoint.state == WebhookState.FAILING:
        rest = settings_of(services).probe_seconds
    elif endpoint.per_second is not None:
        rest = many / endpoint.per_second
    if rest:
        await session.execute(queries.resting(endpoint.id, now + timedelta(seconds=rest)))


async def _first_of_each(
    session: Unit, rows: Sequence[Row[Any]], now: datetime, until: datetime
) -> Sequence[Row[Any]]:
    """Those that come first of their record; the others are put off until the one before them may be settled.

    They are locked by now, so whoever settles the one before calls them after this.
    """
    known = (await session.execute(queries.heads([row.id for row in rows]))).all()
    head = {row.id: row.head for row in known}
    first = [row for row in rows if head[row.id] in (None, row.id)]
    later = [row for row in rows if head[row.id] not in (None, row.id)]
    if later:
        going = {row.id for row in first}
        moments = dict.fromkeys(going, until)
        waiting = {head[row.id] for row in later} - going
        if waiting:
            found = (await session.execute(queries.next_moments(waiting))).all()
            moments |= {row.id: row.next_at for row in found}
        values = [
            {"which": row.id, "until": max(moments.get(head[row.id], now), now + _AT_LEAST)} for row in later
        ]
        await session.execute(queries.put_off(), values)
    return first


# -- the bytes


async def _with_bytes(
    services: Services, session: Unit, endpoint: Row[Any], rows: Sequence[Row[Any]], until: datetime
) -> Sequence[Taken]:
    """The deliveries with what is to be sent, save what a stored document is still to shape."""
    missing = [row.event_id for row in rows if row.body is None and row.event_id is not None]
    known = await _events(session, missing) if missing else {}
    return [await _taken(services, endpoint, row, until, known) for row in rows]


async def _events(session: Unit, event_ids: Iterable[UUID]) -> Mapping[UUID, RecordedEvent]:
    return _by_id((await session.execute(queries.events(event_ids))).all())


def _by_id(rows: Sequence[Row[Any]]) -> Mapping[UUID, RecordedEvent]:
    return {row.id: RecordedEvent(*tuple(row)) for row in rows}


async def _taken(
    services: Services,
    endpoint: Row[Any],
    row: Row[Any],
    until: datetime,
    known: Mapping[UUID, RecordedEvent],
) -> Taken:
    event = known.get(row.event_id)
    taken = Taken(
        row.id, endpoint, row.kind, row.event_id, row.subject_ref, row.position, row.attempts + 1, until,
        event.occurred_at if event else row.created_at, row.body, row.content_type or CONTENT_TYPE,
    )  # fmt: skip
    if row.body is not None:
        return taken
    if row.event_id is None:
        return replace(taken, body=test_payload(form_of(endpoint), taken.message_id, row.created_at))
    if event is None:
        return replace(taken, problem=_GONE, hopeless=True)
    if endpoint.document is not None:
        return taken
    most = settings_of(services).most_bytes
    return replace(taken, body=await payload(services, form_of(endpoint), event, most))


def _bound(taken: Taken) -> dict[str, Any]:
    return {"which": taken.id, "bytes": taken.body, "type": taken.content_type if taken.body else None}


async def _shaped(services: Services, taken: Sequence[Taken]) -> Sequence[Taken]:
    """Run the stored document for those that have no bytes yet, and keep what comes out for all their attempts.

    What could not be kept must not be sent: the next attempt would make other bytes.
    """
    asked = [one for one in taken if one.body is None and one.problem is None]
    try:
        done = await _by_documents(services, asked)
        await _freeze(services, [one for one in done if one.body is not None])
    except Exception as error:
        if not (isinstance(error, Fault) or is_trouble(error)):
            raise
        done = [replace(one, trouble=str(error)[:MOST_ERROR]) for one in asked]
    found = {one.id: one for one in done}
    return [found.get(one.id, one) for one in taken]


async def _by_documents(services: Services, asked: Sequence[Taken]) -> Sequence[Taken]:
    """A few at a time; once the database is in trouble the others are not tried."""
    rows = await services.database.fetch(queries.events([one.event_id for one in asked if one.event_id]))
    known, turn = _by_id(rows), asyncio.Semaphore(_DOCUMENTS_AT_ONCE)
    troubles: list[str] = []

    async def with_bytes(one: Taken) -> Taken:
        async with turn:
            if troubles:
                return replace(one, trouble=troubles[0])
            done = await _by_document(services, one, known)
            troubles.extend([done.trouble] if done.trouble else ())
            return done

    return await asyncio.gather(*(with_bytes(one) for one in asked))


async def _freeze(services: Services, shaped: Sequence[Taken]) -> None:
    if shaped:
        async with services.database.transaction() as session:
            await session.execute(queries.freezing(), [_frozen(one) for one in shaped])


def _frozen(taken: Taken) -> dict[str, Any]:
    return {**_bound(taken), "number": taken.attempts}


async def _by_document(services: Services, one: Taken, known: Mapping[UUID, RecordedEvent]) -> Taken:
    event = known.get(one.event_id) if one.event_id else None
    if event is None:
        return replace(one, problem=_GONE, hopeless=True)
    try:
        most = settings_of(services).most_bytes
        return replace(one, body=await payload(services, form_of(one.endpoint), event, most))
    except Fault as fault:
        words = f"{fault.code}: {fault}"[:MOST_ERROR]
        away = fault.code.startswith("DATABASE_")  # a document that takes too long may do so for ever
        return replace(one, trouble=words) if away else replace(one, problem=words)


# -- writing down


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint does after some of its attempts were written down."""

    endpoint_id: UUID
    line: str
    failing_since: datetime
    is_failing: bool


async def record(services: Services, tried: Sequence[Tried]) -> Sequence[Health]:
    """Write down attempts and what became of their deliveries, in one transaction; which endpoints are failing."""
    now = services.clock()
    ordered = sorted(tried, key=lambda one: one.taken.id.bytes)

    async def do(session: Unit) -> Sequence[Health]:
        await queries.write_down(session, [_became(one) for one in ordered], now)
        await session.execute(insert(WebhookAttempt.__table__), [_attempt(one) for one in ordered])
        followers = [_follower(one) for one in ordered if _lets_follow(one)]
        if followers:
            await session.execute(queries.calling_next(now), followers)
        found = await _note_health(services, session, tried, now)
        dead = [one.taken.id for one in ordered if one.verdict.state is WebhookDeliveryState.DEAD]
        if dead:
            await announce(services, session, dead, now)
        return found

    return await services.database.attempt(do)


def _became(one: Tried) -> dict[str, Any]:
    return {
        "which": one.taken.id,
        "number": one.taken.attempts,
        "to": one.verdict.state.value,
        "due": one.at + timedelta(seconds=one.verdict.wait),
        "status": one.answer.status,
        "why": one.answer.error,
    }


def _attempt(one: Tried) -> dict[str, Any]:
    answer = one.answer
    return {
        "id": ids.uuid7(),
        "created_at": one.at,
        "delivery_id": one.taken.id,
        "line": one.taken.endpoint.line,
        "number": one.taken.attempts,
        "milliseconds": answer.milliseconds,
        "status": answer.status,
        "error": answer.error,
        "response": answer.response,
        "retry_after": answer.retry_after,
    }


def _lets_follow(one: Tried) -> bool:
    """Whether the next delivery about the same record may go now."""
    in_order = one.taken.endpoint.ordered == WebhookOrder.SUBJECT and one.taken.subject_ref is not None
    return in_order and one.verdict.state is not WebhookDeliveryState.WAITING


def _follower(one: Tried) -> dict[str, Any]:
    return {"whose": one.taken.endpoint.id, "about": one.taken.subject_ref}


async def _note_health(
    services: Services, session: Unit, tried: Sequence[Tried], now: datetime
) -> Sequence[Health]:
    found = []
    by_endpoint: dict[UUID, list[Tried]] = {}
    for one in tried:
        by_endpoint.setdefault(one.taken.endpoint.id, []).append(one)
    for endpoint_id in sorted(by_endpoint, key=lambda key: key.bytes):
        health = await _health(services, session, endpoint_id, by_endpoint[endpoint_id], now)
        found += [health] if health is not None else []
    return found


async def _health(
    services: Services, session: Unit, endpoint_id: UUID, tried: Sequence[Tried], now: datetime
) -> Health | None:
    settings = settings_of(services)
    since_taken = _after_the_last_taken(tried)
    took = len(since_taken) < len(tried)
    if took and (since_taken or tried[0].taken.endpoint.failures):
        await session.execute(queries.recovered(endpoint_id))
    wish = max((one.answer.throttles or 0 for one in tried), default=0)
    if wish:
        await session.execute(queries.resting(endpoint_id, now + timedelta(seconds=wish)))
    if not since_taken:
        return None
    rest = now + timedelta(seconds=max(settings.probe_seconds, wish))
    why = since_taken[-1].answer.error or ""
    statement = queries.failed(endpoint_id, len(since_taken), why, now, rest, settings.breaker_failures)
    row = (await session.execute(statement)).one()
    if row.state not in queries.SENDING:
        return None
    return Health(row.id, row.line, row.failing_since, row.state == WebhookState.FAILING)


def _after_the_last_taken(tried: Sequence[Tried]) -> Sequence[Tried]:
    last = max((place for place, one in enumerate(tried) if one.answer.taken), default=-1)
    return tried[last + 1 :]


async def give_back(services: Services, taken: Sequence[Taken]) -> None:
    """Give back deliveries that were taken and not tried, if they are still held: they are due at once.

    Those we had trouble with are due after a while, and their endpoint rests as long.
    """
    now = services.clock()
    later = now + _TROUBLE_WAIT
    values = [
        {"which": one.id, "number": one.attempts, "due": later if one.trouble else now, "why": one.trouble}
        for one in taken
    ]
    troubled = {one.endpoint.id for one in taken if one.trouble}
    async with services.database.transaction() as session:
        await session.execute(queries.giving_back(), values)
        for endpoint_id in sorted(troubled, key=lambda key: key.bytes):
            await session.execute(queries.resting(endpoint_id, later))


async def renew(services: Services, taken: Sequence[Taken], until: datetime) -> frozenset[UUID]:
    """Hold deliveries until a later moment; the ids of those still held."""
    by_lease: dict[datetime, list[UUID]] = {}
    for one in taken:
        by_lease.setdefault(one.until, []).append(one.id)
    held: set[UUID] = set()
    async with services.database.transaction() as session:
        for old, delivery_ids in sorted(by_lease.items()):
            held |= set((await session.execute(queries.renewing(delivery_ids, old, until))).scalars())
    return frozenset(held)
