"""Does what a request asks for: commands and look-ups in one transaction, as its source's user, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from crm_core import ids
from crm_core.actors import Actor
from crm_core.commands import Command, Options, Outcome, not_storable, user_errors
from crm_core.db.unit import Unit
from crm_core.errors import Refused, UserError
from crm_core.graphql.access import Access
from crm_core.incoming import mapping as mappings
from crm_core.incoming.finding import found
from crm_core.incoming.handler import IncomingMessage
from crm_core.incoming.mapping import IncomingMapping, IncomingStep, Unmapped
from crm_core.incoming.refusals import ONE_WAY, UNKNOWN_COMMAND, UNKNOWN_HANDLER, UNKNOWN_TYPE
from crm_core.work import Services, perform_within

CHANNEL: Final = "incoming"
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
        return [{"step": self.step, "command": self.command, **clean(e.as_json())} for e in self.refusals]


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


async def do(doing: DoingInOne, handler: str | None, steps: mappings.Steps | None) -> None:
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


def clean(value: Any) -> Any:
    """A JSON value without characters that no database keeps."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()[:_MOST_TEXT]
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(one) for key, one in value.items()}
    return [clean(one) for one in value] if isinstance(value, list | tuple) else value
