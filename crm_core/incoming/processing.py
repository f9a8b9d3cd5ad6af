"""Processes requests: claimed under a lease, each carried out in one transaction as its source's user, all or nothing.

What a request asks for is done in the transaction that says it is done, so it is done once, whoever is killed when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Row

from crm_core import errors, ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor
from crm_core.commands import Command, Options, Outcome, not_storable, user_errors
from crm_core.db.unit import Unit
from crm_core.errors import Fault, Refused, Unauthenticated, UserError, worded
from crm_core.graphql.access import Access
from crm_core.incoming import mapping as mappings
from crm_core.incoming.finding import found
from crm_core.incoming.handler import IncomingMessage
from crm_core.incoming.mapping import IncomingMapping, IncomingStep, Unmapped
from crm_core.incoming.models import IncomingState
from crm_core.incoming.parsing import Unreadable, read_body
from crm_core.incoming.queries import anything_due, claimed, claiming, moving, noting
from crm_core.incoming.receiving import settings_of
from crm_core.incoming.refusals import (
    ACTOR_UNFIT,
    BODY_GONE,
    GAVE_UP,
    HANDLER_FAILED,
    ONE_WAY,
    TOO_SLOW,
    UNKNOWN_COMMAND,
    UNKNOWN_HANDLER,
    UNKNOWN_TYPE,
    UNREADABLE,
)
from crm_core.incoming.telling import tell_if_failing
from crm_core.logs import logger
from crm_core.work import Services, perform_within

CHANNEL: Final = "incoming"
_MOST_CONFLICTS: Final = 3
_TRANSIENT: Final = frozenset({"DATABASE_BUSY", "DATABASE_FULL", "DATABASE_UNAVAILABLE", "STATEMENT_TIMEOUT"})
_MOST_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Done:
    """What one step came to: records by their ids as shown, an approval it waits for, or left out."""

    step: str
    command: str | None
    type: str | None = None
    ids: tuple[str, ...] = ()
    approval: str | None = None
    skipped: bool = False

    def as_json(self) -> dict[str, Any]:
        """The form in which it is kept."""
        return {
            "step": self.step, "command": self.command, "type": self.type, "ids": list(self.ids),
            "approval": self.approval, "skipped": self.skipped,
        }  # fmt: skip


class Stopped(Exception):
    """A request cannot be carried out: why, and at which step; nothing of it remains."""

    def __init__(
        self, refusals: Sequence[UserError], step: str | None = None, command: str | None = None
    ) -> None:
        super().__init__(", ".join(e.code for e in refusals))
        self.refusals, self.step, self.command = tuple(refusals), step, command

    def as_json(self) -> list[dict[str, Any]]:
        """The form in which it is kept."""
        return [{"step": self.step, "command": self.command, **_clean(e.as_json())} for e in self.refusals]


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
        left = settings.at_once if most is None else min(settings.at_once, most - done)
        rows = await _claim(services, left)
        if not rows:
            break
        await asyncio.gather(*(_attempt(services, row) for row in rows))
        done += len(rows)
    return done


async def _claim(services: Services, most: int) -> Sequence[Row[Any]]:
    now, lease = services.clock(), timedelta(seconds=settings_of(services).lease_seconds)
    if not await services.database.fetch(anything_due(now)):
        return ()
    async with services.database.transaction() as session:
        mine = (await session.execute(claiming(now, lease, most))).scalars().all()
        return (await session.execute(claimed(mine))).all() if mine else ()


async def _attempt(services: Services, row: Row[Any]) -> None:
    """Process one request and write down what became of it; trouble of the database leaves it for later."""
    settings, log = settings_of(services), logger(services.settings.log_level)
    try:
        async with asyncio.timeout(settings.work_seconds):
            await _carried_out(services, row)
        services.count("incoming_done", row.name, 1)
    except _Overtaken:
        return
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


async def _again(services: Services, row: Row[Any], stopped: Stopped) -> None:
    """Put a request off by the next wait of the settings; after the last it waits for somebody."""
    waits = settings_of(services).retry_seconds
    if row.attempts > len(waits):
        await _failed(services, row, stopped)
        return
    now = services.clock()
    due = now + timedelta(seconds=waits[row.attempts - 1])
    try:
        async with services.database.transaction() as session:
            await session.execute(moving(row.id, row.attempts, now, next_at=due))
    except Fault:  # it stays with its lease
        return


async def _failed(services: Services, row: Row[Any], stopped: Stopped) -> None:
    """Let a request wait for somebody, with the reasons; tell managers when that happens often."""
    now = services.clock()
    values = {"state": IncomingState.FAILED.value, "errors": stopped.as_json(), "finished_at": now}
    reason = worded(stopped.refusals[0], services.registry.messages, "zh-CN")[:_MOST_TEXT]
    try:
        async with services.database.transaction() as session:
            mine = (await session.execute(moving(row.id, row.attempts, now, **values))).first()
            if mine is not None:
                await tell_if_failing(services, session, row, _clean(reason), now)
    except Fault:  # it stays with its lease, and fails again
        return
    services.count("incoming_failed", row.name, 1)


# -- carrying out


async def _carried_out(services: Services, row: Row[Any]) -> None:
    """Do everything the request asks for and note it as done, in one transaction; raises `Stopped`."""
    if row.body is None:
        raise Stopped([BODY_GONE()])
    message, actor = message_of(row), await _actor(services, row.actor_id, row.line)
    async with services.database.transaction() as session:
        now = services.clock()
        values = {"state": IncomingState.DONE.value, "errors": [], "finished_at": now}
        if (await session.execute(moving(row.id, row.attempts, now, **values))).first() is None:
            raise _Overtaken
        doing = DoingInOne(services, session, actor, message)
        await _do(doing, row.handler, row.mapping)
        results = [one.as_json() for one in doing.done]
        await session.execute(noting(row.id, results))


class _Undo(Exception):
    pass


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
        async with services.database.transaction() as session:
            doing = DoingInOne(services, session, actor, message)
            await _do(doing, handler, steps)
            raise _Undo
    except _Undo:
        pass
    except Stopped as stopped:
        stop = stopped
    made = zip(doing.done, doing.commands, strict=True) if doing is not None else ()
    return Rehearsal(list(made), stop)


async def _do(doing: DoingInOne, handler: str | None, steps: mappings.Steps | None) -> None:
    """Carry a request out by a handler or by a mapping; raises `Stopped`."""
    known = doing.services.registry.incoming_handlers
    try:
        if handler is not None and handler not in known:
            raise Stopped([UNKNOWN_HANDLER(handler=handler, known=", ".join(sorted(known)) or "-")])
        if handler is not None:
            await known[handler].handle(doing.message, doing)
        elif steps is not None:
            await _follow(doing, mappings.read(steps))
        else:
            raise Stopped([ONE_WAY()])
    except Refused as refused:
        raise Stopped(refused.errors) from None


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
    """A claimed request as handlers get it; raises `Stopped` if its body cannot be read."""
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


# -- doing


@dataclass
class DoingInOne:
    """Does things in one transaction and remembers what came of them."""

    services: Services
    session: Unit
    actor: Actor
    message: IncomingMessage
    done: list[Done] = field(default_factory=list)
    commands: list[Command | None] = field(default_factory=list)

    @cached_property
    def access(self) -> Access:
        """What the source's user may see."""
        return self.services.access(self.actor)

    async def perform(self, command: Command, step: str | None = None) -> Outcome:
        """Perform a command; raises `Stopped` with the step when it is refused."""
        name = step or str(len(self.done))
        options = Options(line=self.message.line, request_id=self.message.id, channel=CHANNEL)
        try:
            outcome = await perform_within(self.services, self.session, self.actor, command, options)
        except Refused as refused:
            raise Stopped(refused.errors, name, command.kind) from None
        self._note(Done(name, command.kind, outcome.type, self._shown(outcome), _approval(outcome)), command)
        return outcome

    async def perform_kind(self, step: str, kind: str, body: Mapping[str, Any]) -> Done:
        """Perform a command given as data."""
        spec = self.services.registry.commands.get(kind)
        if spec is None:
            raise Stopped([UNKNOWN_COMMAND("command", command=kind)], step, kind)
        odd = not_storable(body, "")
        if odd:
            raise Stopped(odd, step, kind)
        try:
            command = spec.command.model_validate(dict(body))
        except ValidationError as error:
            raise Stopped(user_errors(error), step, kind) from None
        await self.perform(command, step)
        return self.done[-1]

    async def find(self, step: str, type_name: str, where: Mapping[str, Any], *, first: bool) -> Done:
        """Find a record."""
        kind = self.services.registry.types.get(type_name)
        if kind is None:
            raise Stopped([UNKNOWN_TYPE("find", type=type_name)], step)
        try:
            key = await found(self.session, self.access, kind, where, first=first)
        except Refused as refused:
            raise Stopped(refused.errors, step) from None
        shown = () if key is None else (ids.show(kind.prefix or "rec", key),)
        return self._note(Done(step, None, type_name, shown), None)

    def skip(self, step: str, command: str | None, approval: str | None = None) -> Done:
        """Leave a step out, perhaps because what it needs waits for an approval."""
        return self._note(Done(step, command, approval=approval, skipped=True), None)

    def _note(self, done: Done, command: Command | None) -> Done:
        self.done.append(done)
        self.commands.append(command)
        return done

    def _shown(self, outcome: Outcome) -> tuple[str, ...]:
        kind = self.services.registry.types.get(outcome.type)
        prefix = (kind.prefix if kind else None) or "rec"
        return tuple(ids.show(prefix, one) for one in outcome.ids)


def _approval(outcome: Outcome) -> str | None:
    return ids.show("apr", outcome.approval) if outcome.approval else None


async def _follow(doing: DoingInOne, mapping: IncomingMapping) -> None:
    """Take the steps of a mapping in order. One that uses what waits for an approval is left out with it."""
    document = doing.message.document()
    results: dict[str, Any] = {}
    document["steps"] = results
    for position, step in enumerate(mapping.steps):
        name = step.name or str(position)
        try:
            done = await _take(doing, position, name, step, document)
        except Unmapped as unmapped:
            raise Stopped([unmapped.error], name, step.command) from None
        results[name] = _result(done)


async def _take(
    doing: DoingInOne, position: int, name: str, step: IncomingStep, document: Mapping[str, Any]
) -> Done:
    if not mappings.applies(position, step, document):
        return doing.skip(name, step.command)
    waits = next((r["approval"] for r in _used(step, document) if r and r["approval"] and not r["id"]), None)
    if waits is not None:
        return doing.skip(name, step.command, waits)
    values = mappings.values_of(position, step, document)
    if step.command is not None:
        return await doing.perform_kind(name, step.command, values)
    if step.where.keys() - values.keys():  # what to find by is not there, so nothing is
        return doing.skip(name, None)
    return await doing.find(name, step.find or "", values, first=step.first)


def _used(step: IncomingStep, document: Mapping[str, Any]) -> Sequence[Any]:
    return [document["steps"].get(name) for name in sorted(mappings.names_of(step))]


def _result(done: Done) -> dict[str, Any] | None:
    """How expressions see a step: null where it found nothing or was left out."""
    if not done.ids and done.approval is None:
        return None
    first = done.ids[0] if done.ids else None
    return {"id": first, "ids": list(done.ids), "approval": done.approval}


def _clean(value: Any) -> Any:
    """A JSON value without characters that no database keeps."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()[:_MOST_TEXT]
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value
