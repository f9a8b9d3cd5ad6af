"""Processes requests: claimed under a lease, each carried out in one transaction as its source's user, all or nothing.

What a request asks for is done in the transaction that says it is done, so it is done once, whoever is killed when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row

from crm_core import errors, ids
from crm_core.access.models import User
from crm_core.access.queries import actor_of
from crm_core.actors import Actor
from crm_core.commands import Command
from crm_core.db.unit import Unit
from crm_core.errors import Fault, Unauthenticated, worded
from crm_core.incoming import mapping as mappings
from crm_core.incoming.doing import DoingInOne, Done, Stopped, clean, do
from crm_core.incoming.handler import IncomingMessage
from crm_core.incoming.models import IncomingState
from crm_core.incoming.parsing import Unreadable, read_body
from crm_core.incoming.queries import (
    anything_due,
    calling_next,
    claimed,
    claiming,
    finishing,
    held_up,
    moving,
    noting,
    putting_off,
)
from crm_core.incoming.receiving import settings_of
from crm_core.incoming.refusals import ACTOR_UNFIT, BODY_GONE, GAVE_UP, HANDLER_FAILED, TOO_SLOW, UNREADABLE
from crm_core.incoming.telling import tell_if_failing
from crm_core.logs import logger
from crm_core.work import Services

_MOST_CONFLICTS: Final = 3
_AWAY: Final = frozenset({"DATABASE_FULL", "DATABASE_UNAVAILABLE"})
_TRANSIENT: Final = _AWAY | {"DATABASE_BUSY", "STATEMENT_TIMEOUT"}
_MOST_TEXT: Final = 500
_AT_LEAST: Final = timedelta(seconds=1)
_UNMENDED: Final = timedelta(days=1)
"""How long what waits for a failed request is left alone, unless it is called before."""


class _Overtaken(Exception):
    """Somebody else took the request over, or it was discarded."""


# -- working off


async def work_off(services: Services, most: int | None = None) -> int:
    """Process everything due now, at most so many; how many were tried, well or not.

    Any number of processes may do so at the same time. A request whose process is gone is taken over after its lease.
    Raises `Fault` when the database is out of reach.
    """
    settings, done = settings_of(services), 0
    while most is None or done < most:
        left = settings.batch if most is None else min(settings.batch, most - done)
        rows = await _claim(services, left)
        if not rows:
            break
        shares = _shares(rows, settings.at_once)
        await asyncio.gather(*(_one_after_the_other(services, share) for share in shares))
        done += len(rows)
    return done


async def _claim(services: Services, most: int) -> Sequence[Row[Any]]:
    """Take requests that are due; those that wait for an earlier one are put off until it may be settled."""
    lease = timedelta(seconds=settings_of(services).lease_seconds)
    while await services.database.fetch(anything_due(now := services.clock())):
        async with services.database.transaction() as session:
            taken = (await session.execute(claiming(now, lease, most))).all()
            if not taken:
                return ()
            mine = {row.id for row in taken}
            if any(row.order_key is not None for row in taken):
                mine -= await _put_off(session, [row.id for row in taken], now)
            rows: Sequence[Row[Any]] = (await session.execute(claimed(sorted(mine)))).all() if mine else ()
        if rows:
            return rows
    return ()


async def _put_off(session: Unit, taken: Sequence[UUID], now: datetime) -> frozenset[UUID]:
    """Give back those that wait for an earlier request somebody else has, or that failed."""
    held = (await session.execute(held_up(taken))).all()
    if held:
        await session.execute(putting_off(), [{"which": one.id, "due": _due(one, now)} for one in held])
    return frozenset(one.id for one in held)


def _due(held: Row[Any], now: datetime) -> datetime:
    """When to look again; whoever settles the one before calls earlier."""
    if held.state == IncomingState.FAILED:
        return now + _UNMENDED
    until: datetime = held.until
    return max(until, now + _AT_LEAST)


def _shares(rows: Sequence[Row[Any]], most: int) -> Sequence[Sequence[Row[Any]]]:
    """The requests in shares, each to be processed in order; those that wait for one another are in one."""
    shares: list[list[Row[Any]]] = [[] for _ in range(min(most, len(rows)))]
    known: dict[tuple[UUID, str], int] = {}
    for place, row in enumerate(rows):
        share = place % len(shares)
        if row.order_key is not None:
            share = known.setdefault((row.source_id, row.order_key), share)
        shares[share].append(row)
    return [one for one in shares if one]


async def _one_after_the_other(services: Services, rows: Sequence[Row[Any]]) -> None:
    """Process requests in order: those of mappings in one transaction, as far as they go well.

    One that does not go well is processed by itself, those before and behind it together again. What waits for a request
    that was not done is given back. While the database is away or full all of them are put off.
    """
    left = list(rows)
    while left:
        try:
            many = await _well(services, left)
        except Fault as away:
            await _all_again(services, left, away)
            return
        one, left = left[many : many + 1], left[many + 1 :]
        for row in one:
            if not await _attempt(services, row) and row.order_key is not None:
                await _give_back(services, [other for other in left if _waits_for(other, row)])
                left = [other for other in left if not _waits_for(other, row)]


async def _well(services: Services, rows: Sequence[Row[Any]]) -> int:
    """Process the first requests together, if that goes well; how many were done.

    Raises `Fault` while the database is away or full.
    """
    handled = (place for place, row in enumerate(rows) if row.handler is not None)
    many = next(handled, len(rows))
    while many > 1:
        several = Several(services, rows[:many])
        if await several.carried_out():
            return many
        many = several.place  # nothing of it remains; those before the one that failed may go well
    return 0


async def _all_again(services: Services, rows: Sequence[Row[Any]], away: Fault) -> None:
    for row in rows:
        if not await _again(services, row, Stopped([GAVE_UP(error=away.code)])):
            return


def _waits_for(row: Row[Any], other: Row[Any]) -> bool:
    return (row.source_id, row.order_key) == (other.source_id, other.order_key)


async def _give_back(services: Services, rows: Sequence[Row[Any]]) -> None:
    """Requests that were taken and not tried are due at once; then it is seen what they wait for."""
    if not rows:
        return
    now = services.clock()
    try:
        async with services.database.transaction() as session:
            await session.execute(putting_off(), [{"which": row.id, "due": now} for row in rows])
    except Fault:  # they stay with their lease
        return


async def _attempt(services: Services, row: Row[Any]) -> bool:
    """Process one request and write down what became of it; whether it was done.

    Trouble of the database leaves it for later.
    """
    settings, log = settings_of(services), logger(services.settings.log_level)
    try:
        async with asyncio.timeout(settings.work_seconds):
            await _carried_out(services, row)
        _tell_done(services, [row])
        return True
    except _Overtaken:
        return False
    except Stopped as stopped:
        conflict = any(e.code == errors.CONFLICT.code for e in stopped.refusals)
        if conflict and row.attempts < _MOST_CONFLICTS:
            await _again(services, row, stopped)
        else:
            await _failed(services, row, stopped)
    except TimeoutError:
        await _again(services, row, Stopped([TOO_SLOW(seconds=settings.work_seconds)]))
    except Fault as fault:
        if fault.code in _TRANSIENT:
            await _again(services, row, Stopped([GAVE_UP(error=fault.code)]))
        else:
            log.exception("incoming request failed", request=ids.show("inr", row.id))
            await _failed(services, row, Stopped([HANDLER_FAILED(error=fault.code)]))
    except Exception as error:  # whatever a handler raises, the other requests go on
        log.exception("incoming request failed", request=ids.show("inr", row.id))
        await _failed(services, row, Stopped([HANDLER_FAILED(error=type(error).__name__)]))
    return False


def _tell_done(services: Services, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        services.count("incoming_done", row.name, 1)
    services.stirred()


async def _again(services: Services, row: Row[Any], stopped: Stopped) -> bool:
    """Put a request off by the next wait of the settings; after the last it waits for somebody. Whether it is written."""
    waits = settings_of(services).retry_seconds
    if row.attempts > len(waits):
        return await _failed(services, row, stopped)
    now = services.clock()
    due = now + timedelta(seconds=waits[row.attempts - 1])
    try:
        async with services.database.transaction() as session:
            await session.execute(moving(row.id, row.attempts, now, next_at=due))
    except Fault:  # it stays with its lease
        return False
    return True


async def _failed(services: Services, row: Row[Any], stopped: Stopped) -> bool:
    """Let a request wait for somebody, with the reasons; tell managers when that happens often. Whether it is written."""
    now = services.clock()
    values = {"state": IncomingState.FAILED.value, "errors": stopped.as_json(), "finished_at": now}
    reason = worded(stopped.refusals[0], services.registry.messages, "zh-CN")[:_MOST_TEXT]
    try:
        async with services.database.transaction() as session:
            mine = (await session.execute(moving(row.id, row.attempts, now, **values))).first()
            if mine is not None:
                await tell_if_failing(services, session, row, clean(reason), now)
    except Fault:  # it stays with its lease, and fails again
        return False
    services.count("incoming_failed", row.name, 1)
    return True


# -- carrying out


async def _carried_out(services: Services, row: Row[Any]) -> None:
    """Do everything the request asks for and note it as done, in one transaction; raises `Stopped`."""
    message, actor = message_of(row), await _actor(services, row.actor_id, row.line)
    async with services.database.transaction() as session:
        await _finish(services, session, [row])
        doing = DoingInOne(services, session, actor, message)
        await do(doing, row.handler, row.mapping)
        await _note(services, session, [row], [doing])


async def _finish(services: Services, session: Unit, rows: Sequence[Row[Any]]) -> None:
    """Write that requests are done, as far as they are still held; raises `_Overtaken` unless all are."""
    by_attempts: dict[int, list[UUID]] = {}
    for row in rows:
        by_attempts.setdefault(row.attempts, []).append(row.id)
    held = (await session.execute(finishing(by_attempts, services.clock()))).all()
    if len(held) < len(rows):
        raise _Overtaken


async def _note(
    services: Services, session: Unit, rows: Sequence[Row[Any]], done: Sequence[DoingInOne]
) -> None:
    """Write what was done for requests, and call those that waited for them."""
    what = [[step.as_json() for step in one.done] for one in done]
    found = [{"which": row.id, "what": results} for row, results in zip(rows, what, strict=True)]
    await session.execute(noting(), found)
    keys = dict.fromkeys((row.source_id, row.order_key) for row in rows if row.order_key is not None)
    for source, key in keys:
        await session.execute(calling_next(source, key, services.clock()))


@dataclass
class Several:
    """Requests of mappings that are carried out in one transaction, all of them or none.

    A transaction, and looking up as whom they are done, costs as much as a command. `place` is the one it came to.
    """

    services: Services
    rows: Sequence[Row[Any]]
    place: int = 0

    async def carried_out(self) -> bool:
        """Whether all went well; raises `Fault` while the database is away or full."""
        try:
            async with asyncio.timeout(settings_of(self.services).work_seconds):
                actors = await self._actors()
                await self.services.database.attempt(lambda session: self._do(session, actors))
        except Fault as fault:
            if fault.code in _AWAY:
                raise
            return False
        except Exception:  # noqa: BLE001  # the one that did not go well is tried by itself, and judged then
            return False
        _tell_done(self.services, self.rows)
        return True

    async def _actors(self) -> dict[tuple[UUID, str], Actor]:
        """As whom each is done, each user once."""
        actors: dict[tuple[UUID, str], Actor] = {}
        for place, row in enumerate(self.rows):
            self.place = place
            if (row.actor_id, row.line) not in actors:
                actors[row.actor_id, row.line] = await _actor(self.services, row.actor_id, row.line)
        return actors

    async def _do(self, session: Unit, actors: Mapping[tuple[UUID, str], Actor]) -> None:
        self.place = 0
        await _finish(self.services, session, self.rows)
        users = {key: await session.get(User, key) for key, _ in actors}  # commands find them in the session
        done = []
        for place, row in enumerate(self.rows):
            self.place = place
            actor = actors[row.actor_id, row.line]
            done.append(DoingInOne(self.services, session, actor, message_of(row)))
            await do(done[-1], None, row.mapping)
        await _note(self.services, session, self.rows, done)
        users.clear()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a request would do: steps with their commands, and what stopped it on the way."""

    steps: Sequence[tuple[Done, Command | None]]
    stopped: Stopped | None


async def rehearse(
    services: Services,
    actor_id: UUID,
    message: IncomingMessage,
    handler: str | None,
    steps: mappings.Steps | None,
) -> Rehearsal:
    """What a request would do as this user, step by step; all of it is undone."""
    doing: DoingInOne | None = None
    stop: Stopped | None = None
    try:
        actor = await _actor(services, actor_id, message.line)
        async with services.database.undone() as session:
            doing = DoingInOne(services, session, actor, message)
            await do(doing, handler, steps)
    except Stopped as stopped:
        stop = stopped
    made = zip(doing.done, doing.commands, strict=True) if doing is not None else ()
    return Rehearsal(list(made), stop)


async def _actor(services: Services, user_id: UUID, line: str) -> Actor:
    """The source's user with his rights of now, in the source's line alone."""
    try:
        actor = await actor_of(services.database.fetch, services.registry, user_id)
    except Unauthenticated:
        raise Stopped([ACTOR_UNFIT(line=line)]) from None
    narrowed = actor.narrowed(line)
    if narrowed is None:
        raise Stopped([ACTOR_UNFIT(line=line)])
    return narrowed


def message_of(row: Any) -> IncomingMessage:
    """A claimed request as handlers get it; raises `Stopped` if its body cannot be read, or was removed."""
    if row.body is None:
        raise Stopped([BODY_GONE()])
    return read_message(
        ids.show("inr", row.id),
        row.name,
        row.line,
        row.created_at,
        row.content_type,
        row.headers,
        row.query,
        row.body,
    )


def read_message(
    shown: str,
    source: str,
    line: str,
    received_at: datetime,
    content_type: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    raw: bytes,
) -> IncomingMessage:
    """A request with its body read; raises `Stopped` if it cannot be."""
    try:
        body = read_body(raw, content_type)
    except Unreadable as problem:
        raise Stopped([UNREADABLE("body", problem=str(problem))]) from None
    return IncomingMessage(shown, source, line, received_at, content_type, headers, query, raw, body)
