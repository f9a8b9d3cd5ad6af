"""The job that carries an approved import out, from the file that was kept when it was held; nobody runs it again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import errors, ids
from crm_core.actors import Actor, system
from crm_core.approvals.carrying import Ending, Signed, carried_out, requester_of
from crm_core.approvals.large import Performance
from crm_core.approvals.models import Approval
from crm_core.approvals.performing import not_performed
from crm_core.approvals.words import ApprovalState
from crm_core.errors import Json, Refused
from crm_core.imports import keeping, reading, store
from crm_core.imports.bringing import Customers, Interactions
from crm_core.imports.commands import FILE_NOT_STORED, FILE_REFUSED, SIGNED_JOB, ImportFile
from crm_core.imports.mapping import Mapping, Subject
from crm_core.imports.models import ImportRun, ImportState, OnError
from crm_core.imports.request import Request
from crm_core.imports.runner import Importer
from crm_core.jobs.context import GaveUp, JobContext
from crm_core.work import Services, Work, perform_held

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

_A = Approval.__table__


async def perform(services: Services, context: JobContext, about: Performance) -> Json:
    """Carry out the imports of a signed approval; what came of it."""
    files: list[str] = []

    async def carry(signed: Signed) -> Ending:
        assert isinstance(signed.command, ImportFile), "only imports name this job"
        files.append(signed.command.file)
        return await _Carried(services, context, signed, signed.command).ending()

    result = await carried_out(services, context, about, carry)
    for file in files:
        await keeping.let_go(services, file)
    return result


class _Carried:
    """Carries one approved import out; begun again it goes on behind the last batch that was committed."""

    def __init__(self, services: Services, context: JobContext, signed: Signed, command: ImportFile) -> None:
        self.services, self.context, self.signed, self.command = services, context, signed, command

    async def ending(self) -> Ending:
        """What came of it; of single rows the run tells."""
        try:
            return await self._ending()
        except Refused as refused:
            return Ending(not_performed(refused.errors, self.command), refused.errors)

    async def _ending(self) -> Ending:
        run = await self._registered()
        if run is not None and run.state == ImportState.DONE.value:
            return Ending(ApprovalState.APPROVED)
        await self._refuse_lost_file()
        requester = await self._requester()
        importer = Importer(self.services, requester, self._request(), turn=self._turn)
        if self.command.on_error is OnError.REJECT_ALL and (run is None or run.position == 1):
            tally = (await importer.rehearsed("refused")).tally
            errors.raise_if([FILE_REFUSED(rows=tally.rejected)] if tally.rejected else [])
        if run is None:
            key = await self.services.database.attempt(partial(self._register, requester))
            run = await self._load(key)
        await importer.carry_out(run)
        await self._tell(self.command.rows, self.command.rows)
        return Ending(ApprovalState.APPROVED)

    # -- the file

    async def _refuse_lost_file(self) -> None:
        file = store.place(self.services.store, self.command.file)
        if not await asyncio.to_thread(_holds, file, self.command.file):
            raise Refused(FILE_NOT_STORED("file", sha256=self.command.file))

    def _request(self) -> Request:
        command = self.command
        return Request(
            subject=command.rows_are,
            file=store.place(self.services.store, command.file),
            line=self.signed.line,
            as_of=command.as_of,
            source=command.source,
            mapping=Mapping.model_validate(command.mapping),
            on_error=command.on_error,
            lenient=command.lenient,
            update_existing_by=command.update_existing_by,
            sheet=command.sheet,
            file_name=command.file_name,
            rows=command.rows,
        )

    # -- the run

    async def _registered(self) -> ImportRun | None:
        """The run that was registered for this approval."""
        shown = next(iter(self.signed.results), None)
        return await self._load(ids.read(shown)[1]) if shown is not None else None

    async def _load(self, key: UUID) -> ImportRun:
        async with AsyncSession(self.services.database.reads) as session:
            return await session.get_one(ImportRun, key)

    async def _register(self, requester: Actor, session: Unit) -> UUID:
        """Perform the command that was signed; the approval names the run from the same moment on."""
        signed = self.signed
        await self._hold(session)
        actor = system(tuple(self.services.registry.lines), name=f"job {SIGNED_JOB}")
        work = Work(self.services, session, actor, signed.options)
        outcome = await perform_held(
            work, requester, self.command, signed.options, signed.approval, signed.signer
        )
        named = update(_A).where(_A.c.id == signed.approval)
        await session.execute(named.values(result_refs=[ids.show("imp", outcome.ids[0])]))
        return outcome.ids[0]

    async def _hold(self, session: Unit) -> None:
        mine = select(_A.c.id).where(
            _A.c.id == self.signed.approval,
            _A.c.state == ApprovalState.PERFORMING.value,
            _A.c.job_id == self.context.claim.id,
        )
        if (await session.execute(mine.with_for_update())).first() is None:
            raise GaveUp("the approval waits for this job no more (该审批已不由本任务执行)")

    # -- batch by batch

    async def _turn(self, done: int, total: int | None) -> Actor:
        """Before each batch: say how far it is, hear whether to stop, and look who may what now."""
        await self._tell(done, total)
        await self.context.progress()
        return await self._requester()

    async def _tell(self, done: int, total: int | None) -> None:
        async def do(session: Unit) -> None:
            told = update(_A).where(_A.c.id == self.signed.approval).values(rows_done=done)
            await session.execute(told)
            await self.context.progress(done, total, within=session)

        await self.services.database.attempt(do)

    async def _requester(self) -> Actor:
        """Who asked for the import, as long as he may import such rows."""
        actor = await requester_of(self.services, self.signed)
        bringer = Customers if self.command.rows_are is Subject.CUSTOMERS else Interactions
        scopes = (self.command.scope, bringer.checked[0].scope)
        missing = [scope for scope in scopes if not actor.may(scope, self.signed.line)]
        errors.raise_if(errors.FORBIDDEN(scope=scope, line=self.signed.line) for scope in missing)
        return actor


def _holds(file: Path, sha256: str) -> bool:
    """Whether the file is there, and what it was."""
    return file.exists() and reading.digest(file) == sha256
