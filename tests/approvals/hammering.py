"""People who do conflicting things with the same requests at the same time, each on a connection of his own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import select

from crm_core.access.queries import actor_of
from crm_core.actors import Actor
from crm_core.approvals.models import Approval, ApprovalBatch, ApprovalTask
from crm_core.commands import Options
from crm_core.db.session import open_database
from crm_core.ids import show
from crm_core.keyring import Keyring
from crm_core.loader import Candidate, installed, load
from crm_core.settings import LineSettings, Settings
from crm_core.testing.kit import INDEX_KEY, KEYS, START
from crm_core.work import Services, perform
from tests.approvals.conftest import Deals

LINE, ADMIN = "east", "administrator"


@dataclass(frozen=True)
class Place:
    """Where it happens, as another process can be told."""

    url: str
    keys: str
    index_key: str
    store: Path
    administrator: UUID
    requester: UUID
    people: Sequence[UUID]
    approvals: Sequence[UUID]
    deals: Sequence[UUID]
    lines: Mapping[str, Sequence[str]] = field(default_factory=lambda: {LINE: ("deals",), "west": ("deals",)})

    def services(self, clock: Clock) -> Services:
        """A deployment of its own on this database."""
        settings = Settings(
            database_url=self.url,
            lines={
                code: LineSettings(name=code, plugins=list(plugins)) for code, plugins in self.lines.items()
            },
            keys=self.keys,  # type: ignore[arg-type]  # pydantic makes the secret
            index_key=self.index_key,  # type: ignore[arg-type]
            store=self.store,
            database_connections=2,
        )
        registry = load(settings, [*installed(), Candidate("deals", "1.0", "crm-deals", (), Deals)])
        keyring = Keyring.parse(self.keys, self.index_key)
        return Services(settings, registry, open_database(settings, busy_seconds=60), keyring, clock)


@dataclass
class Clock:
    """Moves on by a minute whenever it is looked at, so that deadlines pass while people sign."""

    now: datetime = START

    def __call__(self) -> datetime:
        """A minute later than the last time."""
        self.now += timedelta(minutes=1)
        return self.now


@dataclass
class Tally:
    """What was done: decisions that were taken, refusals by code, faults, and how long each command took."""

    decisions: list[tuple[str, UUID, UUID]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """What somebody else did, too."""
        self.decisions += other.decisions
        self.refused += other.refused
        self.done += other.done
        self.faults += other.faults
        self.seconds += other.seconds


@dataclass
class Worker:
    """Does one thing after another with requests chosen at random; everything random comes from the seed."""

    place: Place
    services: Services
    random: Random
    tally: Tally = field(default_factory=Tally)
    actors: dict[UUID, Actor] = field(default_factory=dict)

    async def run(self, turns: int) -> Tally:
        """So many things."""
        for _ in range(turns):
            await self.turn()
        return self.tally

    async def turn(self) -> None:
        """One thing."""
        approval, tasks = await self._look(self.random.choice(self.place.approvals))
        if not tasks and self.random.random() < 0.9:  # mostly something that still waits
            approval, tasks = await self._look(self.random.choice(self.place.approvals))
        verb = self.random.choices(tuple(_VERBS), tuple(_VERBS.values()))[0]
        who, kind, body = self._wish(verb, approval, tasks)
        begun = time.perf_counter()
        await self.do(who, kind, body, approval.id)
        self.tally.seconds.append(time.perf_counter() - begun)

    async def do(self, who: UUID, kind: str, body: Mapping[str, Any], approval: UUID) -> None:
        """A command; what is no refusal is a fault, and decisions that were taken are remembered."""
        try:
            actor = await self._actor(who)
            outcome, _ = await perform(self.services, actor, kind, body, Options(line=LINE))
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody was to see it
            self.tally.faults.append(f"{kind}: {type(error).__name__}: {error}")
            return
        if outcome.errors:
            self.tally.refused.update(e.code for e in outcome.errors)
            return
        self.tally.done[kind] += 1
        if kind in _DECIDING:
            self.tally.decisions.append((_DECIDING[kind], approval, who))
        if kind == "approval.approve_many":
            await self._note_batch(outcome.ids[0], who)

    async def _note_batch(self, batch: UUID, who: UUID) -> None:
        statement = select(ApprovalBatch.__table__.c.results).where(ApprovalBatch.__table__.c.id == batch)
        for result in (await self.services.database.fetch(statement))[0][0]:
            if result["errors"]:
                self.tally.refused.update(e["code"] for e in result["errors"])
            else:
                key = UUID(result["approval"].removeprefix("apr_"))
                self.tally.decisions.append(("approve", key, who))

    async def _actor(self, who: UUID) -> Actor:
        if who not in self.actors:
            self.actors[who] = await actor_of(self.services.database.fetch, self.services.registry, who)
        return self.actors[who]

    async def _look(self, key: UUID) -> tuple[Any, Sequence[Any]]:
        approval, task = Approval.__table__, ApprovalTask.__table__
        fetch = self.services.database.fetch
        found = await fetch(select(approval).where(approval.c.id == key))
        tasks = select(task).where(task.c.approval_id == key, task.c.state.in_(("OPEN", "WAITING")))
        return found[0], await fetch(tasks.order_by(task.c.position))

    def _wish(self, verb: str, approval: Any, tasks: Sequence[Any]) -> tuple[UUID, str, Mapping[str, Any]]:
        """Who wants what; mostly what could be done when he looked."""
        task = self.random.choice(tasks) if tasks else None
        asked = self._asked(task)
        other = self.random.choice(self.place.people)
        common: dict[str, Any] = {"id": approval.id, "comment": f"{verb} {self.random.random()}"}
        on_task = common | {"task": task.id if task is not None else approval.id}
        requester, administrator = approval.requester_id, self.place.administrator
        wishes: dict[str, tuple[UUID, str, Mapping[str, Any]]] = {
            "approve": (asked, "approval.approve", common),
            "reject": (asked, "approval.reject", common),
            "return": (asked, "approval.return", common | {"stage": self.random.choice((None, 0, 1))}),
            "resubmit": (requester, "approval.resubmit", common | self._changed(approval)),
            "withdraw": (requester, "approval.withdraw", common),
            "terminate": (administrator, "approval.terminate", common),
            "adopt": (administrator, "approval.adopt", common),
            "urge": (requester, "approval.urge", common),
            "copy": (requester, "approval.copy", common | {"users": [other]}),
            "transfer": (
                self.random.choice((asked, administrator)),
                "approval.transfer",
                on_task | {"to": other},
            ),
            "delegate": (asked, "approval.delegate", on_task | {"to": other}),
            "add": (
                asked,
                "approval.add_signer",
                on_task | {"users": [other], "how": self.random.choice(("BEFORE", "AFTER", "PARALLEL"))},
            ),
            "remove": (self.random.choice((asked, administrator)), "approval.remove_signer", on_task),
            "overdue": (administrator, "approval.process_overdue", {"id": approval.id}),
            "many": (asked, "approval.approve_many", {"approvals": self._several(), "comment": "all"}),
            "policy": (administrator, "approval_policy.set", {"name": "chain", "title": common["comment"]}),
            "grade": (
                self.place.requester,
                "deal.grade",
                {"id": self.random.choice(self.place.deals), "grade": self.random.choice("ABC")},
            ),
        }
        return wishes[verb]

    def _asked(self, task: Any) -> UUID:
        if task is None:
            return self.random.choice(self.place.people)
        if task.user_id is not None:
            return UUID(int=task.user_id.int)
        return self.random.choice(self.place.people[-2:]) if task.role != ADMIN else self.place.administrator

    def _changed(self, approval: Any) -> dict[str, Any]:
        how: dict[str, Any] = {"to_returner": self.random.random() < 0.5}
        if self.random.random() < 0.5:
            return how
        given = {"amount": f"{self.random.randint(1, 999)}.00"}
        kept = "title" if approval.kind == "deal.create" else "id"
        value = approval.body["title"] if kept == "title" else show("dea", approval.subject_id)
        return how | {"input": given | {kept: value}}

    def _several(self) -> Sequence[UUID]:
        count = min(6, len(self.place.approvals))
        return self.random.sample(list(self.place.approvals), count)


_DECIDING = {
    "approval.approve": "approve",
    "approval.reject": "reject",
    "approval.return": "return",
    "approval.withdraw": "withdraw",
    "approval.terminate": "terminate",
    "approval.resubmit": "resubmit",
}
_VERBS = {
    "approve": 30,
    "reject": 2,
    "return": 6,
    "resubmit": 12,
    "withdraw": 1,
    "terminate": 1,
    "adopt": 1,
    "urge": 2,
    "copy": 3,
    "transfer": 6,
    "delegate": 4,
    "add": 6,
    "remove": 4,
    "overdue": 8,
    "many": 5,
    "policy": 2,
    "grade": 3,
}
"""How often each is wanted."""


async def hammered(place: Place, seed: int, workers: int, turns: int) -> Tally:
    """What so many workers did in this process, each with connections of his own."""
    whole, clock = Tally(), Clock()
    async with AsyncExitStack() as stack:
        people = []
        first = place.services(clock)
        for number in range(workers):
            services = replace(first, database=open_database(first.settings, busy_seconds=60))
            stack.push_async_callback(services.database.dispose)
            people.append(Worker(place, services, Random(seed * 1000 + number)))
        stack.push_async_callback(first.database.dispose)
        for tally in await asyncio.gather(*(one.run(turns) for one in people)):
            whole.add(tally)
    return whole


def process(place: Place, seed: int, workers: int, turns: int) -> Tally:
    """The same, as the work of a process."""
    return asyncio.run(hammered(place, seed, workers, turns))


__all__ = ["INDEX_KEY", "KEYS", "Clock", "Place", "Tally", "Worker", "hammered", "process"]
