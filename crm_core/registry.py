"""All answers of the rooms and plugins, frozen: what the product is made of at run time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim
from pydantic import BaseModel, ConfigDict

from crm_core.actors import Reach
from crm_core.commands import Check, Command, CommandSpec, Held
from crm_core.db.base import Base
from crm_core.errors import Json, Message
from crm_core.graphql.fields import Field, ObjectType, Source

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession

    from crm_core.db.unit import Unit
    from crm_core.incoming.handler import IncomingHandler
    from crm_core.incoming.verifier import Verifier
    from crm_core.jobs.context import JobContext
    from crm_core.notices.notifier import Notifier
    from crm_core.outbox.events import Event, RecordedEvent
    from crm_core.work import Services, Work

Gate = Callable[["Work", Command, CommandSpec], Awaitable["Held | None"]]
Demo = Callable[[Any], Awaitable[None]]
Seed = Callable[["AsyncSession", str, datetime], Awaitable[None]]
"""Adds to a line (session, line, now) the rows it begins with, where it has none yet (初始数据)."""
WAITS: Final = (
    timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
)  # fmt: skip
"""How long a job that failed waits for its second, third … attempt unless it says otherwise."""
CRON_FIELDS: Final = 5
"""Minute, hour, day of month, month, day of week."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A permission as a plain string, e.g. `customer.read`, with its meaning for an administrator."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class RoleTemplate:
    """A role (角色) seeded by a room or plugin: name, title and how far each scope reaches. Editable afterwards."""

    name: str
    title: str
    scopes: Mapping[str, Reach]


@dataclass(frozen=True, slots=True)
class InteractionKind:
    """A kind of interaction (互动方式), e.g. `visit` 拜访; an open list that plugins extend."""

    name: str
    title: str
    title_zh: str
    plan_required: bool = False
    report_required: bool = False
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class MigrationLine:
    """One distribution's own line of revisions with its own version table."""

    owner: str
    folder: Path
    version_table: str


@dataclass(frozen=True, slots=True)
class PolicyTemplate:
    """A sign-off policy a room or plugin suggests (审批规则模板). Off until a line enables it, unless it comes `enabled`.

    `kind` is that of a command, or the type of a record that can be signed. `stages` say who signs, in the form of the
    policy files (docs/approval-policies.md), values as the API writes them; without them the holders of `role` do.
    `self_approval` says whether who asks may sign: FORBID, ALLOW, AUTO.
    """

    name: str
    kind: str
    role: str
    title: str
    enabled: bool = False
    stages: Sequence[Mapping[str, Any]] = ()
    self_approval: str = "FORBID"


Resolver = Callable[["Work", Any], Awaitable[Sequence["UUID"]]]
"""Finds whom a policy asks: (work, matter) → users; `matter` has line, requester, command and record (审批人解析)."""
Owner = Callable[["Work", Any, str], Awaitable["UUID | None"]]
"""Who owns a record in a line: (work, record, line) → user (归属人)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A type of record that can be signed (审批单据): policies name it, `approvalSubmit` hands a record in.

    `scope` is what one needs to hand it in. `told` hears of every state its approval takes, in that transaction, and
    moves the record along: async (work, record, state); refusing there at APPROVED is a conflict. `title` names the
    record for people.
    """

    type: str
    scope: str
    told: Callable[[Work, Any, str], Awaitable[None]]
    title: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Chore:
    """Work done by the clock (定时任务): an async function that is called `every` so often, in one process at a time.

    It is cut off at its `lease`, and called again after a crash: what it does must bear being begun twice.
    """

    name: str
    every: timedelta
    run: Callable[[Services], Awaitable[None]]
    lease: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes in recorded events (事件接收方), in the order of the feed: async (services, session, events).

    It is called in a transaction that also moves its cursor on: what it writes through `session` is written exactly
    once for each event. Whatever it does besides may happen again. It gets at most `batch` events at a time, which other
    receivers get too and nobody changes, and is cut off after `seconds`. A new one begins with what is recorded from then on, or `from_start` with the first event.
    """

    name: str
    receive: Callable[[Services, Unit, Sequence[RecordedEvent]], Awaitable[None]]
    batch: int = 500
    from_start: bool = False
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Worker:
    """Work that goes on as long as a process (后台工作): async (services, stop), which returns soon after `stop` is set.

    `crm serve` runs it besides serving, `crm worker` alone; several processes run it at the same time. When it raises
    it is started again a little later.
    """

    name: str
    run: Callable[[Services, asyncio.Event], Awaitable[None]]


class Nothing(BaseModel):
    """The arguments of a job that needs none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Job:
    """Work done later in the background (后台任务): async (services, context, arguments) → what came of it, as JSON.

    It is enqueued in the transaction of a command (`crm_core.jobs.enqueuing.enqueue`) with `arguments`, and run at
    least once: after a crash it is begun again, with what it saved by `context.progress`. What it raises is tried
    again after `waits`, as often as there are waits; then it is dead. Cut off after `timeout`. `unique` makes the key
    of which at most one job of this name is open at a time; None: as many as are enqueued.
    """

    name: str
    run: Callable[[Services, JobContext, Any], Awaitable[Json]]
    arguments: type[BaseModel] = Nothing
    waits: Sequence[timedelta] = WAITS
    timeout: timedelta | None = timedelta(hours=1)
    unique: Callable[[Any], str] | None = None

    @property
    def most_attempts(self) -> int:
        """How often it is tried."""
        return len(self.waits) + 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Enqueues a job by the calendar (定时计划): `cron` has five fields, minute to day of week, in local time.

    With `each_line` it fires once for every line that enables its owner, in that line's time zone, and the job belongs
    to the line; else in `time_zone`. Where summer time skips or repeats an hour it fires once, as Debian's cron does.
    A moment missed while nothing ran is made up for once, however many were missed; without `catch_up` not at all.
    """

    name: str
    cron: str
    job: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    each_line: bool = False
    time_zone: str = "Asia/Shanghai"
    catch_up: bool = True

    def __post_init__(self) -> None:
        """Refuse what never comes, where it is declared."""
        if len(self.cron.split()) != CRON_FIELDS:
            raise ValueError(f"{self.cron!r} has not five fields (定时表达式须为五段)")
        next(CronSim(self.cron, datetime(2000, 1, 1, tzinfo=ZoneInfo(self.time_zone))))


@dataclass(frozen=True, slots=True)
class Handover:
    """What a room or plugin hands over when somebody leaves (离职交接): async (work, leaver, successor, line) → how many.

    It is called for each line the leaver has a successor in, with `line` None for what belongs to no line.
    """

    name: str
    run: Callable[[Work, UUID, UUID, str | None], Awaitable[int]]


Link = Callable[["Services", Mapping[str, Any], "UUID", str], Awaitable["str | None"]]
"""Makes the path a notice leads to, for one receiver: (services, facts, user, channel) → path."""


@dataclass(frozen=True, slots=True)
class NoticeKind:
    """A kind of notice (通知类型), e.g. `approval.asked`, with its words in both languages; `{name}` marks a fact.

    The title is one line; the body may have several, a line of it is left out where all its facts are blank. `link`
    is asked when a notice is sent, for a path that is its receiver's alone; None: the notice's own path.
    """

    kind: str
    title_zh: str
    title_en: str
    body_zh: str
    body_en: str
    link: Link | None = None

    @property
    def messages(self) -> tuple[Message, Message]:
        """Its title and its body as messages."""
        return (
            Message(f"notice.{self.kind}.title", self.title_en, self.title_zh),
            Message(f"notice.{self.kind}.body", self.body_en, self.body_zh),
        )


@dataclass(frozen=True, slots=True)
class PluginState:
    """A plugin as the deployment sees it: loaded, or quarantined with the reason."""

    name: str
    version: str
    state: Literal["loaded", "quarantined"]
    reason: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registry:
    """Everything the rooms and plugins answered; no behaviour beyond look-ups.

    `handovers`, `schedules`: (owner, each), sorted by name; `seeds`: (owner, each). `doors`: hook of a capability plugin → (plugin, its answer), in the order of loading.
    """

    commands: Mapping[str, CommandSpec]
    types: Mapping[str, ObjectType]
    type_owners: Mapping[str, str]
    queries: tuple[Field | type, ...]
    query_owners: tuple[str, ...]
    events: Mapping[str, type[Event]]
    checks: Mapping[str, tuple[tuple[str, Check], ...]]
    gates: tuple[Gate, ...]
    policies: tuple[PolicyTemplate, ...]
    scopes: Mapping[str, Scope]
    roles: Mapping[str, RoleTemplate]
    messages: Mapping[str, Message]
    interaction_kinds: Mapping[str, InteractionKind]
    timeline: tuple[Source, ...]
    migrations: tuple[MigrationLine, ...]
    tables: Mapping[str, tuple[type[Base], ...]]
    settings: Mapping[str, BaseModel]
    setting_models: Mapping[str, type[BaseModel]]
    demos: tuple[Demo, ...]
    documents: Mapping[str, Document] = field(default_factory=dict)
    owners: Mapping[str, Owner] = field(default_factory=dict)
    resolvers: Mapping[str, Resolver] = field(default_factory=dict)
    chores: tuple[Chore, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    workers: tuple[Worker, ...] = ()
    jobs: Mapping[str, Job] = field(default_factory=dict)
    schedules: tuple[tuple[str, Schedule], ...] = ()
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    incoming_handlers: Mapping[str, IncomingHandler] = field(default_factory=dict)
    handovers: tuple[tuple[str, Handover], ...] = ()
    notifiers: Mapping[str, Notifier] = field(default_factory=dict)
    notice_kinds: Mapping[str, NoticeKind] = field(default_factory=dict)
    seeds: tuple[tuple[str, Seed], ...] = ()
    doors: Mapping[str, tuple[tuple[str, Any], ...]] = field(default_factory=dict)
    plugins: tuple[PluginState, ...] = ()
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    worked_out: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What follows from it and is slow to find out; whoever does keeps it here under a key of his own."""

    def quarantined_in(self, line: str) -> PluginState | None:
        """A quarantined plugin that this line relies on, if any."""
        return next((p for p in self.plugins if p.state == "quarantined" and line in p.lines), None)

    def type_of(self, model: type[Base]) -> ObjectType:
        """The object type over a model's table."""
        return self._by_model[model]

    @cached_property
    def _by_model(self) -> dict[type[Base], ObjectType]:
        return {kind.model: kind for kind in self.types.values() if kind.model is not None}

    def lines_of(self, plugin: str) -> frozenset[str]:
        """The lines that enable a plugin; core belongs to every line."""
        return frozenset(
            line for line, plugins in self.lines.items() if plugin == "core" or plugin in plugins
        )
