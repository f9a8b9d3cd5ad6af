"""The unit of work: one transaction in which one command is checked, held or performed, audited and announced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from sqlalchemy import Insert, insert, inspect, select
from sqlalchemy.orm.attributes import flag_modified

from crm_core import errors, ids
from crm_core.actors import Actor
from crm_core.audit.changes import Changes
from crm_core.audit.idempotency import Claim, claim, keep
from crm_core.audit.models import AuditEntry
from crm_core.commands import (
    Change,
    Command,
    CommandSpec,
    Options,
    Outcome,
    digest,
    not_storable,
    user_errors,
)
from crm_core.db.base import Aggregate, Base, stamped
from crm_core.db.session import Database
from crm_core.db.unit import Unit, flush
from crm_core.db.writer import Reading
from crm_core.deadlines import WorkCalendar
from crm_core.errors import Fault, Refused, UserError
from crm_core.evidence import Told, audit_entry, outbox_rows
from crm_core.graphql.access import Access
from crm_core.graphql.context import Fetch, Then
from crm_core.keyring import Keyring
from crm_core.outbox.events import Event
from crm_core.outbox.models import OutboxEvent
from crm_core.registry import Registry
from crm_core.settings import Settings
from crm_core.stirring import Stirred
from crm_core.together import Together

RecordT = TypeVar("RecordT", bound=Base)
MOST_REASON = 2000
_ENTRIES, _EVENTS = insert(AuditEntry), insert(OutboxEvent)


@dataclass(frozen=True)
class Services:
    """What a running product is made of; handed to whatever performs commands. `clock` gives the moment in UTC.

    `stirred` is told of commits; `count` hears of work done in the background: of what, by whom, how many.
    """

    settings: Settings
    registry: Registry
    database: Database
    keyring: Keyring
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    stirred: Stirred = field(default_factory=Stirred, compare=False)
    count: Callable[[str, str, int], None] = field(default=lambda _what, _who, _many: None, compare=False)
    _seen: dict[bytes, tuple[frozenset[str], ZoneInfo]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def store(self) -> Path:
        """Folder of the local file store."""
        return self.settings.store

    def calendar(self, line: str) -> WorkCalendar:
        """The working calendar of a business line (工作日历): official days, then the line's own."""
        own = self.settings.lines[line]
        return WorkCalendar(frozenset(own.days_off), frozenset(own.work_days), zone=ZoneInfo(own.time_zone))

    def day(self, line: str, moment: datetime) -> date:
        """The day a moment (UTC) lies in, where a business line does its business."""
        return moment.astimezone(ZoneInfo(self.settings.lines[line].time_zone)).date()

    def access(self, actor: Actor) -> Access:
        """The actor's view of the data, now."""
        known = self._seen.get(actor.shape)
        if known is None:
            known = self._seen[actor.shape] = self._hidden(actor), self._zone(actor)
        hidden, zone = known
        return Access(actor, self.database.dialect, self.clock(), zone, self.registry.timeline, hidden)

    def _hidden(self, actor: Actor) -> frozenset[str]:
        """Plugins enabled in none of the actor's lines."""
        registry, own = self.registry, set(actor.lines)
        return frozenset(
            p.name
            for p in registry.plugins
            if not actor.is_system and own.isdisjoint(registry.lines_of(p.name))
        )

    def _zone(self, actor: Actor) -> ZoneInfo:
        """The time zone of the actor's first line."""
        lines = self.settings.lines
        return ZoneInfo(
            next((lines[line].time_zone for line in actor.lines if line in lines), "Asia/Shanghai")
        )


class Work:
    """One transaction for one actor. Performing functions get it as their first argument.

    `line` is the business line acted in (None for deployment-wide commands), `subject` the existing record the
    command changes, already loaded with its row rule and locked. `approval` and `signer` are set where the command
    waits for signatures, or was performed by the last of them.
    """

    def __init__(
        self,
        services: Services,
        session: Unit,
        actor: Actor,
        options: Options,
        together: Together | None = None,
    ) -> None:
        """Made by `perform`; not by hand."""
        self.services = services
        self.session = session
        self.actor = actor
        self.options = options
        self.now = services.clock()
        self.line: str | None = None
        self.subject: Any = None
        self.approval: UUID | None = None
        self.signer: UUID | None = None
        self.together = together
        self.changes = Changes(session, watch=together is None)
        self._told: list[Told] = []

    @property
    def registry(self) -> Registry:
        """Answers of all rooms and plugins."""
        return self.services.registry

    @cached_property
    def access(self) -> Access:
        """The actor's view of the data."""
        return self.services.access(self.actor)

    @property
    def acting_line(self) -> str:
        """The line acted in, for commands that always have one."""
        if self.line is None:
            raise Fault("LINE_MISSING", "This command needs a business line")
        return self.line

    def day(self, moment: datetime | None = None) -> date:
        """The day of a moment (UTC), by default of this command, where the line acted in does its business."""
        return self.services.day(self.acting_line, moment or self.now)

    def settings_of(self, owner: str) -> Any:
        """The settings of a room or plugin, as it declared them."""
        return self.registry.settings[owner]

    def record(self, event: Event) -> None:
        """Announce a fact: it becomes an outbox row of this transaction, and its record's version rises."""
        subject = event.subject
        self._told.append((event, subject, self.line))
        if inspect(subject).persistent:
            self.touch(subject)

    def touch(self, record: Aggregate) -> None:
        """Count a change of the record's parts as a change of the record: its version rises."""
        record.updated_at = self.now
        flag_modified(record, "updated_at")

    def add(self, record: RecordT) -> RecordT:
        """Add a new row; its moment of making is the work's."""
        stamped(record, created_at=self.now, updated_at=self.now)
        self.session.add(record)
        return record

    async def get(self, model: type[RecordT], key: UUID, path: str, *, lock: bool = False) -> RecordT:
        """A record by id that the actor may see; otherwise the command is refused naming the input field `path`."""
        found = await self.find(model, key, lock=lock)
        if found is None:
            kind = self.registry.type_of(model)
            raise Refused(errors.NOT_FOUND(path, type=kind.name, id=ids.show(kind.prefix or "xx", key)))
        return found

    async def find(
        self, model: type[RecordT], key: UUID, *, scope: str | None = None, lock: bool = False
    ) -> RecordT | None:
        """A record by id if the actor's scope (default: the type's reading scope) reaches it."""
        kind = self.registry.type_of(model)
        table = model.__table__
        statement = select(model).where(table.c.id == key)
        rule = kind.visible(table, self.access, scope)
        if rule is not None:
            statement = statement.where(rule)
        if lock and self.services.database.dialect == "postgresql":
            statement = statement.with_for_update()
        return (await self.session.execute(statement)).scalars().first()

    @contextmanager
    def within(self, line: str | None) -> Iterator[None]:
        """Act in this business line for a while: what a deployment-wide command announces of a line's records is that line's."""
        outer, self.line = self.line, line
        try:
            yield
        finally:
            self.line = outer

    async def run(self, command: Command) -> Any:
        """Perform another command inside this transaction: its scope and checks hold, its events are recorded."""
        spec = self.registry.commands[command.kind]
        outer = (self.line, self.subject, self.options)
        try:
            self.options = replace(self.options, line=self.line or self.options.line, expected_version=None)
            await _prepared(self, command, spec)
            return await spec.perform(self, command)
        finally:
            self.line, self.subject, self.options = outer

    async def flush(self) -> None:
        """Have what is pending written before anything is read, at the latest at the end.

        What the database does not take is refused as CONFLICT then. What is written together waits for its end.
        """
        if self.together is None:
            self.session.put_off()

    async def insert(self, statement: Insert, rows: list[dict[str, Any]]) -> None:
        """Insert rows that are no records of the audit trail, such as keys, after the records they belong to."""
        if self.together is not None:
            self.together.insert(statement, rows)
        else:
            self.session.insert(statement.table, rows)

    async def finish(
        self, command: Command, *, last: bool = False, reading: Reading | None = None
    ) -> bytes | None:
        """Write pending rows with the audit entry and the events of everything recorded; `last`: nothing may follow.

        Then what `reading` reads comes back, where writing can tell.
        """
        if self.together is not None:
            self.changes.added(self.together.take())
        elif self.session.dirty or self.session.deleted:
            await flush(self.session)
        else:
            self.changes.collect()
        await self.insert(_ENTRIES, [audit_entry(self, command, self._told)])
        if self._told:
            await self.insert(_EVENTS, outbox_rows(self, self._told))
        self._told.clear()
        if last:
            return await self.session.write_last(reading)
        if self.together is None:
            await flush(self.session)
        return None


async def perform(
    services: Services,
    actor: Actor,
    kind: str,
    body: Mapping[str, Any] | Command,
    options: Options,
    linger: AsyncExitStack | None = None,
    then: Then | None = None,
) -> tuple[Outcome, Fetch | None]:
    """Perform one command in one transaction; refusals come back as data in the outcome.

    A dry run is undone; with `linger` it stays readable (the second value) until that stack closes. `then` tells what
    will be read of its records: where the database can tell it while it writes them, it is in the outcome.
    """
    spec = services.registry.commands.get(kind)
    if spec is None:
        raise Fault("UNKNOWN_COMMAND", f"No command {kind}")
    result_type = spec.command.result_type()
    unstorable = (*not_storable(body, ""), *_odd_options(options))
    if unstorable:
        return Outcome(result_type, errors=unstorable), None
    try:
        command = body if isinstance(body, Command) else spec.command.model_validate(dict(body))
    except ValidationError as error:
        return Outcome(result_type, errors=user_errors(error)), None
    try:
        if options.dry_run:
            return await _dry_run(services, actor, spec, command, options, linger)
        last = options.idempotency_key is None

        async def do(session: Unit) -> Outcome:
            work = Work(services, session, actor, options)
            return await _performed(work, spec, command, last=last, then=then)

        outcome = await services.database.attempt(do)
        services.stirred()
        return outcome, None
    except Refused as refused:
        return Outcome(result_type, errors=refused.errors), None


async def perform_within(
    services: Services,
    session: Unit,
    actor: Actor,
    command: Command,
    options: Options,
    together: Together | None = None,
) -> Outcome:
    """Perform one of several commands in a transaction of the caller's, with everything `perform` asks and leaves.

    With `together` a command that only adds is written at its end. Raises `Refused`; what was written by then is the
    caller's to undo.
    """
    if together is not None and not command.adds_only:
        await together.write()
        outcome = await perform_within(services, session, actor, command, options)
        together.take()
        return outcome
    work = Work(services, session, actor, options, together)
    try:
        return await _performed(work, services.registry.commands[command.kind], command)
    finally:
        work.changes.close()


def _odd_options(options: Options) -> list[UserError]:
    """What accompanies a command must be storable too; its reason has at most 2,000 characters."""
    found = not_storable({"reason": options.reason, "idempotencyKey": options.idempotency_key}, "")
    if options.reason is not None and len(options.reason) > MOST_REASON:
        found.append(
            errors.INVALID("reason", problem=f"at most {MOST_REASON} characters (最多 {MOST_REASON} 个字符)")
        )
    return found


async def _dry_run(
    services: Services,
    actor: Actor,
    spec: CommandSpec,
    command: Command,
    options: Options,
    linger: AsyncExitStack | None,
) -> tuple[Outcome, Fetch | None]:
    stack = linger if linger is not None else AsyncExitStack()
    try:
        session = await stack.enter_async_context(services.database.undone())
        outcome = await _performed(
            Work(services, session, actor, replace(options, idempotency_key=None)), spec, command
        )
    except BaseException:
        await stack.aclose()
        raise
    if linger is None:
        await stack.aclose()
        return outcome, None

    turn = asyncio.Lock()

    async def fetch(statement: Any) -> Any:
        async with turn:  # one connection takes one statement at a time
            return (await session.execute(statement)).all()

    return outcome, fetch


async def _performed(
    work: Work, spec: CommandSpec, command: Command, *, last: bool = False, then: Then | None = None
) -> Outcome:
    """Everything that is asked of a command, in order; `last`: nothing follows in its transaction."""
    remembered = await _remember(work, command)
    if remembered is not None:
        return remembered
    await _prepared(work, command, spec)
    for gate in work.registry.gates:
        held = await gate(work, command, spec)
        if held is not None:
            work.approval = held.approval
            outcome = Outcome(command.result_type(), approval=held.approval)
            await work.finish(command, last=last)
            await _note(work, command, outcome)
            return outcome
    ids = _ids(await spec.perform(work, command))
    reading = then(ids) if then is not None and last else None
    read = await work.finish(command, last=last, reading=reading)
    outcome = Outcome(command.result_type(), ids, read=read)
    await _note(work, command, outcome)
    return outcome


# -- commands that wait for signatures


async def rehearse(work: Work, command: Command, spec: CommandSpec) -> list[Change]:
    """What a prepared command would change: performed in a savepoint that is undone; refuses what performing would."""
    await flush(work.session)
    work.changes.pause()
    trial = Work(work.services, work.session, work.actor, work.options)
    trial.line, trial.subject = work.line, work.subject
    try:
        async with work.session.begin_nested() as savepoint:
            await spec.perform(trial, command)
            await flush(trial.session)
            await savepoint.rollback()
    finally:
        trial.changes.pause()
        work.changes.resume()
    if work.subject is not None:
        await work.session.refresh(work.subject)
    return trial.changes.all()


async def prepared(work: Work, command: Command) -> tuple[UserError, ...]:
    """Look for the line and the record of a command as performing does, and ask its checks; why it is refused, if it is."""
    try:
        await _prepared(work, command, work.registry.commands[command.kind])
    except Refused as refused:
        return refused.errors
    return ()


async def rehearsed(work: Work, command: Command, line: str) -> tuple[Any, list[Change]]:
    """The record another command of this actor is about, and what it would change; refuses what performing would."""
    spec = work.registry.commands[command.kind]
    options = replace(work.options, line=line, expected_version=None)
    inner = Work(work.services, work.session, work.actor, options)
    await flush(work.session)
    work.changes.pause()
    try:
        await _prepared(inner, command, spec)
        return inner.subject, await rehearse(inner, command, spec)
    finally:
        inner.changes.pause()
        work.changes.resume()


async def perform_held(
    work: Work,
    actor: Actor,
    command: Command,
    options: Options,
    approval: UUID,
    signer: UUID | None,
    judge: Callable[[Sequence[Change]], None] | None = None,
) -> Outcome:
    """Perform a held command in its signer's transaction as its requester; raises `Refused`, then nothing of it remains.

    `judge` is shown what it changed, and may refuse it.

    Scope, line, row rule and checks hold for `actor` now; gates are not asked again. The command has its own audit
    entry and events; the signer's work does not count its changes as its own.
    """
    spec = work.registry.commands[command.kind]
    await flush(work.session)
    work.changes.pause()
    inner = Work(work.services, work.session, actor, options)
    inner.now, inner.approval, inner.signer = work.now, approval, signer
    try:
        async with work.session.begin_nested():
            await _prepared(inner, command, spec)
            result = await spec.perform(inner, command)
            await inner.finish(command)
            if judge is not None:
                judge(inner.changes.all())
            return Outcome(command.result_type(), _ids(result))
    finally:
        inner.changes.pause()
        work.changes.resume()


def _ids(result: Any) -> tuple[UUID, ...]:
    if result is None:
        return ()
    return tuple(r.id for r in result) if isinstance(result, list | tuple) else (result.id,)


# -- before performing


async def _prepared(work: Work, command: Command, spec: CommandSpec) -> None:
    """Scope, subject with row rule, line, expected version, and every check; refuses with all that was found."""
    _refuse_without_scope(work, command)
    subject = await _subject(work, command)
    work.subject = subject
    work.line = _line(work, command, spec, subject)
    _refuse_quarantined(work, spec)
    if work.line is not None and not work.actor.may(command.scope, work.line):
        raise Refused(errors.FORBIDDEN(scope=command.scope, line=work.line))
    _expect_version(work, command, subject)
    await check(work, command)


async def check(work: Work, command: Command) -> None:
    """Ask every check of the core, and of the plugins the line enables; refuse with all reasons together."""
    found: list[UserError] = []
    for owner, one in work.registry.checks.get(command.kind, ()):
        if work.line is None or work.line in work.registry.lines_of(owner):
            found += await one(work, command)
    errors.raise_if(found)


def _refuse_without_scope(work: Work, command: Command) -> None:
    if not work.actor.may(command.scope):
        line = work.options.line or ", ".join(work.actor.lines) or "-"
        raise Refused(errors.FORBIDDEN(scope=command.scope, line=line))


async def _subject(work: Work, command: Command) -> Any:
    if command.subject is None:
        return None
    key = getattr(command, command.subject)
    kind = work.registry.types[command.subject_type or command.result_type()]
    found = await work.find(kind.model, key, scope=command.scope, lock=True)
    if found is None:
        shown = ids.show(kind.prefix or "xx", key)
        raise Refused(errors.NOT_FOUND(to_camel(command.subject), type=kind.name, id=shown))
    return found


def _line(work: Work, command: Command, spec: CommandSpec, subject: Any) -> str | None:
    if not command.on_line:
        return None
    given, own = work.options.line, getattr(subject, "line", None)
    if own is not None and given is not None and own != given:
        raise Refused(errors.WRONG_LINE("line", given=given, line=own))
    line = given or own or _only(work, spec)
    if line not in work.registry.lines or (line not in work.actor.lines and not work.actor.is_system):
        raise Refused(errors.UNKNOWN_LINE("line", line=line))
    return line


def _only(work: Work, spec: CommandSpec) -> str:
    enabling = work.registry.lines_of(spec.owner)
    lines = [
        line for line in work.actor.lines if line in enabling and work.actor.may(spec.command.scope, line)
    ]
    if len(lines) == 1:
        return lines[0]
    raise Refused(errors.LINE_REQUIRED("line", lines=", ".join(lines or work.actor.lines)))


def _refuse_quarantined(work: Work, spec: CommandSpec) -> None:
    if work.line is None:
        return
    broken = work.registry.quarantined_in(work.line)
    if broken is not None:
        raise Refused(
            errors.PLUGIN_QUARANTINED("line", plugin=broken.name, line=work.line, reason=broken.reason)
        )
    if work.line not in work.registry.lines_of(spec.owner):
        raise Refused(errors.PLUGIN_NOT_ENABLED("line", plugin=spec.owner, line=work.line))


def _expect_version(work: Work, command: Command, subject: Any) -> None:
    expected = work.options.expected_version
    if expected is None:
        return
    if subject is None:
        raise Refused(errors.VERSION_NOT_APPLICABLE("expectedVersion", kind=command.kind))
    if subject.version != expected:
        raise Refused(errors.STALE_VERSION("expectedVersion", expected=expected, actual=subject.version))


# -- idempotency


def _claim(work: Work, command: Command) -> Claim | None:
    key = work.options.idempotency_key
    if key is None:
        return None
    who = str(work.actor.user_id or work.actor.name)
    line = (
        work.options.line or next(iter(work.actor.lines), None)
        if len(work.actor.lines) == 1
        else work.options.line
    )
    meant = digest(command, replace(work.options, line=line))
    return Claim(who, command.kind, key, meant)


async def _remember(work: Work, command: Command) -> Outcome | None:
    wanted = _claim(work, command)
    if wanted is None:
        return None
    stored = await claim(work.session, work.services.database.dialect, wanted, work.now)
    if stored is None:
        return None
    approval = UUID(stored["approval"]) if stored["approval"] else None
    return Outcome(stored["type"], tuple(UUID(one) for one in stored["ids"]), approval, replayed=True)


async def _note(work: Work, command: Command, outcome: Outcome) -> None:
    claimed = _claim(work, command)
    if claimed is not None:
        shown = [str(one) for one in outcome.ids]
        approval = str(outcome.approval) if outcome.approval else None
        await keep(work.session, claimed, {"type": outcome.type, "ids": list(shown), "approval": approval})
