"""The job that records a file of receipts, portion by portion; begun again it goes on behind the last one committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Final, Self
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from crm_core import errors, papers
from crm_core.actors import Actor
from crm_core.commands import Command, Options
from crm_core.errors import Json, Refused
from crm_core.imports.files import UnreadableFile
from crm_core.jobs.context import GaveUp, JobContext
from crm_core.registry import Job
from crm_core.work import Services, Work
from crm_telecom_elite.receipts.commands import PLUGIN, READING_JOB, BatchToRead
from crm_telecom_elite.receipts.events import EliteReceiptsImported, EliteReceiptsImportFailed
from crm_telecom_elite.receipts.inputs import BY_CODE, FILE_UNREADABLE, Problem, Reported
from crm_telecom_elite.receipts.models import EliteBatchState, EliteReceiptBatch
from crm_telecom_elite.receipts.reading import ReceiptFile
from crm_telecom_elite.receipts.recording import note, record
from crm_telecom_elite.scopes import RECEIPT_WRITE
from crm_telecom_elite.settings import TelecomEliteSettings

if TYPE_CHECKING:
    from crm_core.db.unit import Unit


class ReadReceipts(Command):
    """A portion of a file, for its audit entry; performed by the job itself, not a mutation."""

    kind: ClassVar[str] = "elite_receipts.read"
    scope: ClassVar[str] = RECEIPT_WRITE
    returns: ClassVar[str | list[str]] = "EliteReceiptBatch"
    first: int = Field(description="The first of its receipts, in the order of reading.")
    last: int = Field(description="The last.")


async def read_receipts(services: Services, context: JobContext, about: BatchToRead) -> Json:
    """Record the file of a batch; how many were recorded, known and refused."""
    reading = _Reading(services, context, about.batch)
    try:
        await reading.to_the_end()
    except (UnreadableFile, Refused) as error:
        await reading.fail(error)
        raise GaveUp(str(error)) from None
    batch = await reading.batch()
    return {"recorded": batch.recorded, "known": batch.known, "refused": batch.refused}


class _Reading:
    """The reading of one file."""

    def __init__(self, services: Services, context: JobContext, key: UUID) -> None:
        self.services, self.context, self.key = services, context, key
        self.settings = _settings(services)
        self.total = 0

    async def to_the_end(self) -> None:
        """Portion by portion, each with how far it is in one transaction."""
        file = await self._file()
        self.total = await asyncio.to_thread(file.count)
        done = int((self.context.state or {}).get("done", 0))
        async with _Ahead(islice(file.rows(), done, None), self.settings.receipt_rows) as ahead:
            while portion := await ahead.portion():
                actor = await self._actor()
                await self.services.database.attempt(partial(self._take, actor, portion, done))
                done += len(portion)
                await self.context.progress(done, self.total)
        await self.services.database.attempt(partial(self._finish, await self._actor()))

    async def fail(self, error: UnreadableFile | Refused) -> None:
        """The file as a whole is refused: that is what the batch says from now on."""
        actor = await self.context.actor()
        problems = [_as_json(one) for one in _worded(error)]

        async def do(session: Unit) -> None:
            work, batch = await self._opened(session, actor)
            batch.state, batch.finished_at = EliteBatchState.FAILED.value, work.now
            batch.problems = [*batch.problems, *problems]
            work.record(EliteReceiptsImportFailed.of(batch))
            await work.finish(ReadReceipts(first=0, last=0))

        await self.services.database.attempt(do)

    async def batch(self) -> EliteReceiptBatch:
        """The batch as it stands."""
        async with self.services.database.transaction() as session:
            return await session.get_one(EliteReceiptBatch, self.key)

    async def _file(self) -> ReceiptFile:
        batch, store = await self.batch(), self.services.store
        found = await asyncio.to_thread(papers.find, store, batch.path or "", self.services.clock())
        if found is None:
            raise Refused(
                FILE_UNREADABLE(
                    "path",
                    problem="it is no longer in the store",
                    problem_zh="文件已不在存储中",
                )
            )
        return await asyncio.to_thread(ReceiptFile, store / found.path)

    async def _actor(self) -> Actor:
        """Who handed it in, as long as he may record receipts in this line."""
        actor, line = await self.context.actor(), self.context.line
        if not actor.is_system and not actor.may(RECEIPT_WRITE, line):
            raise Refused(errors.FORBIDDEN(scope=RECEIPT_WRITE, line=line))
        return actor

    async def _take(
        self, actor: Actor, portion: Sequence[Reported | Problem], done: int, session: Unit
    ) -> None:
        work, batch = await self._opened(session, actor)
        batch.state = EliteBatchState.READING.value
        tally = await record(work, batch, [one for one in portion if isinstance(one, Reported)])
        tally.problems += [one for one in portion if isinstance(one, Problem)]
        batch.rows += len(portion)
        note(work, batch, tally, self.settings.most_problems)
        after = done + len(portion)
        await work.finish(ReadReceipts(first=done + 1, last=after))
        words = f"{batch.recorded} recorded, {batch.known} known, {batch.refused} refused (已入账/已有/拒绝)"
        await self.context.progress(after, self.total, words, state={"done": after}, within=session)

    async def _finish(self, actor: Actor, session: Unit) -> None:
        work, batch = await self._opened(session, actor)
        if batch.state == EliteBatchState.DONE:
            return
        batch.state, batch.finished_at = EliteBatchState.DONE.value, work.now
        work.record(EliteReceiptsImported.of(batch))
        await work.finish(ReadReceipts(first=0, last=0))

    async def _opened(self, session: Unit, actor: Actor) -> tuple[Work, EliteReceiptBatch]:
        """A work in the line of the batch, and the batch, locked."""
        statement = select(EliteReceiptBatch).where(EliteReceiptBatch.id == self.key).with_for_update()
        batch = (await session.scalars(statement)).one()
        options = Options(line=batch.line, channel="job", request_id=self.context.id)
        work = Work(self.services, session, actor, options)
        work.line, work.subject = batch.line, batch
        return work, batch


def _settings(services: Services) -> TelecomEliteSettings:
    found = services.registry.settings[PLUGIN]
    assert isinstance(found, TelecomEliteSettings), "the plugin declares them"
    return found


class _Ahead:
    """Reads portions of rows in a thread, the next one while somebody is busy with the last."""

    def __init__(self, rows: Iterator[Reported | Problem], many: int) -> None:
        self.rows, self.many = rows, many

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    def _begin(self) -> None:
        self.next = asyncio.create_task(asyncio.to_thread(_some, self.rows, self.many))

    async def portion(self) -> Sequence[Reported | Problem]:
        """The next portion; the one after it is begun. Raises what reading it raised."""
        found = await self.next
        self._begin()
        return found

    async def __aexit__(self, *_error: object) -> None:
        """Nobody reads the file any more."""
        await asyncio.wait([self.next])
        self.next.exception()


def _some(rows: Iterator[Reported | Problem], many: int) -> list[Reported | Problem]:
    return list(islice(rows, many))


def _worded(error: UnreadableFile | Refused) -> Sequence[errors.UserError]:
    if isinstance(error, Refused):
        return error.errors
    words: Callable[[str], str] = error.message
    return [FILE_UNREADABLE("path", problem=words("en"), problem_zh=words("zh-CN"))]


def _as_json(error: errors.UserError) -> dict[str, Json]:
    if error.code in BY_CODE:
        return Problem(0, "", error).as_json()
    said = errors.FORBIDDEN if error.code == errors.FORBIDDEN.code else errors.INVALID
    return {
        "row": 0, "number": "", "code": error.code, "params": dict(error.params),
        "en": said.words(error.params, "en"), "zh": said.words(error.params, "zh-CN"),
    }  # fmt: skip


JOBS: Final = (
    Job(
        READING_JOB,
        read_receipts,
        BatchToRead,
        timeout=timedelta(hours=12),
        unique=lambda about: about.batch.hex,
    ),
)
