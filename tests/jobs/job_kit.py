"""What tests of jobs share: jobs that remember what they did, and a deployment that has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import select

from crm_core import ids
from crm_core.actors import Actor
from crm_core.commands import Command, CommandSpec, Options, Outcome
from crm_core.errors import Json
from crm_core.jobs.context import JobContext
from crm_core.jobs.enqueuing import enqueue
from crm_core.jobs.models import QueuedJob
from crm_core.jobs.running import Runner
from crm_core.registry import Job, Schedule
from crm_core.testing.kit import Kit
from crm_core.work import Services, Work, perform

J = QueuedJob.__table__
SOON = (timedelta(seconds=10), timedelta(minutes=1))


class About(BaseModel):
    """What a job of a test is about."""

    what: str = ""
    many: int = 0


class Demanding(About):
    """What a newer version of the job wants to know too."""

    more: int


class Ask(Command):
    """Have jobs done."""

    kind: ClassVar[str] = "test.ask"
    scope: ClassVar[str] = "job.read"
    returns: ClassVar[str | list[str]] = "Job"
    on_line: ClassVar[bool] = False
    job: str = "note"
    whats: list[str] = Field(default_factory=list)
    line: str | None = None
    then_fail: bool = False


async def ask(work: Work, command: Ask) -> list[Any]:
    """Enqueue a job for each, and fail when asked to."""
    for what in command.whats:
        await enqueue(work, command.job, About(what=what), line=command.line)
    if command.then_fail:
        raise RuntimeError("after the jobs were enqueued")
    return []


class Notes:
    """A job that notes what it is about."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.contexts: list[JobContext] = []

    async def run(self, _services: Services, context: JobContext, about: About) -> Json:
        self.done.append(about.what)
        self.contexts.append(context)
        return {"noted": about.what}

    def job(self, **more: Any) -> Job:
        return Job("note", self.run, **{"arguments": About, "waits": SOON, **more})


def job(name: str, run: Callable[[JobContext, About], Awaitable[Json]], **more: Any) -> Job:
    """A job of a test."""

    async def running(_services: Services, context: JobContext, about: About) -> Json:
        return await run(context, about)

    return Job(name, running, About, **{"waits": SOON, **more})


def with_jobs(crm: Kit, *jobs: Job, schedules: Sequence[Schedule] = (), **more: Any) -> Services:
    """The deployment with these jobs and schedules alone."""
    registry = crm.services.registry
    commands = {**registry.commands, Ask.kind: CommandSpec(Ask, ask, "core")}
    return replace(
        crm.services,
        registry=replace(
            registry,
            jobs={one.name: one for one in jobs},
            schedules=tuple(("core", one) for one in schedules),
            commands=commands,
        ),
        **more,
    )


async def asked(services: Services, actor: Actor, *whats: str, job: str = "note", **more: Any) -> Outcome:
    """Have jobs enqueued by a command."""
    body = {"job": job, "whats": list(whats), **more}
    outcome, _ = await perform(services, actor, "test.ask", body, Options(request_id="request-1"))
    assert not outcome.errors, outcome.errors
    return outcome


async def rows(crm: Kit) -> list[Any]:
    """All jobs, in the order they were enqueued."""
    return list(await crm.database.fetch(select(J).order_by(J.c.id)))


async def row(crm: Kit) -> Any:
    """The only job."""
    [found] = await rows(crm)
    return found


def shown(key: UUID) -> str:
    return ids.show("job", key)


def runner(services: Services, stop: asyncio.Event | None = None) -> Runner:
    """One more process, with a name of its own."""
    return Runner(services, stop or asyncio.Event())
