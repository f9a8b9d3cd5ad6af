"""Carries imports out: checks the whole file, registers it as one command, brings it in by resumable batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.actors import Actor
from crm_core.commands import Options, Outcome
from crm_core.imports import keeping, queries, reading, rows, store
from crm_core.imports.batch import Batches, Result
from crm_core.imports.bringing import Customers, Interactions
from crm_core.imports.commands import (
    FILE_REFUSED,
    FinishImport,
    ImportCustomers,
    ImportFile,
    ImportInteractions,
)
from crm_core.imports.customer_rows import CustomerDraft, duplicate_keys
from crm_core.imports.events import ImportFinished
from crm_core.imports.files import Row
from crm_core.imports.mapping import Subject
from crm_core.imports.models import FindingKind, ImportFinding, ImportRun, ImportState, OnError
from crm_core.imports.rejects import RejectsFile
from crm_core.imports.request import Report, Request, State, Summary, Turn, open_sheet
from crm_core.imports.rows import Judged, Sheet
from crm_core.imports.tally import Pairs, Tally
from crm_core.work import Services, Work, perform

SAMPLE_ROWS = 3


async def run_import(
    services: Services, actor: Actor, request: Request, report: Report | None = None
) -> Summary:
    """Import a file: check all of it, then bring it in. An interrupted import of the same file goes on.

    Raises:
        UnreadableFile: the file as a whole cannot be read.
        MappingProblem: the mapping does not fit its header.
        Fault: the same import is being carried out by another process.
    """
    return await Importer(services, actor, request, report or _silent).summary()


def _silent(_phase: str, _done: int, _total: int | None) -> None:
    return None


class Importer:
    """Imports one file; `summary` does it all, a job that was asked to carries out what was registered."""

    def __init__(
        self,
        services: Services,
        actor: Actor,
        request: Request,
        report: Report = _silent,
        turn: Turn | None = None,
    ) -> None:
        """As this actor; `turn` is asked before each batch who acts now, and told how many rows are done."""
        self.services, self.actor, self.request, self.report = services, actor, request, report
        self.turn = turn
        self.sheet = open_sheet(services, request)
        self.batches = Batches(services, self.sheet)
        self.total: int | None = None
        self.pairs = Pairs()
        self.run: UUID | None = None

    async def summary(self) -> Summary:
        """Check the whole file, register it, and carry it out."""
        sample = self._survey()
        if self.request.dry_run:
            return await self.rehearsed("dry_run")
        command = self._command(sample)
        run, known = await self._known(command)
        if run is None and known is not None:
            return self._summary("held", Tally(), approval=known)
        request = self.request
        if request.on_error is OnError.REJECT_ALL and (run is None or run.position == 1):
            rehearsed = await self.rehearsed("refused")
            if rehearsed.tally.rejected:
                rehearsed.errors = (FILE_REFUSED(rows=rehearsed.tally.rejected),)
                return rehearsed
        store.keep(self.services.store, request.file, self.services.clock())
        if run is None:
            outcome = await self._register(command)
            if outcome.errors:
                await keeping.let_go(self.services, command.file)
                return self._summary("refused", Tally(), errors=outcome.errors)
            if outcome.approval is not None:
                return self._summary("held", Tally(), approval=outcome.approval)
            run = await self._load(outcome.ids[0])
        return await self.carry_out(run)

    def _summary(self, state: State, tally: Tally, **more: Any) -> Summary:
        return Summary(state, tally, self.sheet.binding.unknown, pairs=self.pairs, run=self.run, **more)

    # -- before anything is written

    def _survey(self) -> list[dict[str, Any]]:
        """Read the whole file once: what is unreadable is known before the first row is written; a few rows to show."""
        sample: list[dict[str, Any]] = []
        seen = 0
        for row in self.sheet.rows():
            seen += 1
            if len(sample) < SAMPLE_ROWS:
                sample.append(_shown(self.sheet, row))
            if seen % rows.BATCH == 0:
                self.report("check", seen, None)
        self.total = seen
        self.report("check", seen, seen)
        return sample

    def _command(self, sample: list[dict[str, Any]]) -> ImportFile:
        request = self.request
        kind = ImportCustomers if request.subject is Subject.CUSTOMERS else ImportInteractions
        return kind(
            file=reading.digest(request.file),
            file_name=(request.file_name or request.file.name)[:300],
            source=request.source,
            mapping=self.sheet.mapping.model_dump(mode="json"),
            on_error=request.on_error,
            lenient=request.lenient,
            update_existing_by=request.update_existing_by,
            as_of=request.as_of,
            sheet=request.sheet,
            rows=self.total or 0,
            sample=sample,
        )

    async def _known(self, command: ImportFile) -> tuple[ImportRun | None, UUID | None]:
        """The unfinished run of this very import, or the approval it waits for."""
        async with AsyncSession(self.services.database.reads) as session:
            run = await queries.unfinished(session, command.digest(self.request.line))
            if run is not None:
                by_job = await queries.performing(session, run.approval_id)
                return (None, run.approval_id) if by_job else (run, None)
            for approval, body in await queries.waiting(session, self.request.line, command.kind):
                if type(command).model_validate(body).digest(self.request.line) == command.digest(
                    self.request.line
                ):
                    return None, approval
        return None, None

    async def _register(self, command: ImportFile) -> Outcome:
        options = Options(line=self.request.line, channel="import")
        outcome, _ = await perform(self.services, self.actor, command.kind, command, options)
        return outcome

    async def _load(self, key: UUID) -> ImportRun:
        async with AsyncSession(self.services.database.reads) as session:
            return await session.get_one(ImportRun, key)

    # -- rehearsing

    async def rehearsed(self, state: State) -> Summary:
        """Bring everything in and undo it, batch by batch: what would be refused, created and updated."""
        tally, bringer = Tally(), self._bringer(None)
        alike = _Alike(self.pairs)
        with self._rejects() as rejects:
            for batch in rows.batches(self.sheet):
                await self._ask_whose_turn(bringer, 0)
                result = await self.batches.bring(bringer, batch, None)
                _keep(rejects, result)
                alike.note(batch, result)
                tally.add(result.tally)
                self.report("rehearse", tally.read, self.total)
        return self._summary(state, tally, rejects=rejects.path if rejects.written else None)

    # -- carrying out

    async def carry_out(self, run: ImportRun) -> Summary:
        """Bring in what is left of a registered import, and end it."""
        self.run = run.id
        self.sheet = replace(self.sheet, path=store.place(self.services.store, run.file_sha256))
        tally, bringer = Tally.stored(run), self._bringer(run)
        started = run.position
        brought: set[UUID] = set()
        with self._rejects() as rejects:
            for batch in rows.batches(self.sheet):
                if batch[-1][0].number <= started:
                    await self._pass_over(run, bringer, batch, rejects, brought)
                    continue
                await self._ask_whose_turn(bringer, batch[0][0].number - 2)
                result = await self.batches.bring(bringer, batch, run)
                _keep(rejects, result)
                tally.add(result.tally)
                if self.sheet.subject is Subject.CUSTOMERS:
                    brought.update(result.records)
                self.report("import", batch[-1][0].number - 1, self.total)
        await self._finish(run)
        if self.sheet.subject is Subject.CUSTOMERS and self.turn is None:
            await self._look_for_twins(brought)
        summary = self._summary("done", tally, rejects=rejects.path if rejects.written else None)
        summary.resumed_after = started if started > 1 else None
        summary.labels = await self._labels()
        return summary

    async def _ask_whose_turn(self, bringer: Customers | Interactions, done: int) -> None:
        if self.turn is not None:
            self.actor = bringer.actor = await self.turn(done, self.request.rows or self.total)

    def _bringer(self, run: ImportRun | None) -> Customers | Interactions:
        name = self.request.file_name or self.request.file.name
        options = Options(
            line=self.request.line,
            channel="import",
            reason=f"import {name}",
            request_id=run.id.hex if run else None,
        )
        kind = Customers if self.request.subject is Subject.CUSTOMERS else Interactions
        return kind(
            self.services,
            self.actor,
            options,
            self.sheet,
            self.request.source,
            self.request.update_existing_by,
        )

    def _rejects(self) -> RejectsFile:
        return RejectsFile(self.request.rejects, self.sheet.shape.header, self.services.registry.messages)

    async def _pass_over(
        self,
        run: ImportRun,
        bringer: Customers | Interactions,
        batch: Sequence[tuple[Row, Judged]],
        rejects: RejectsFile,
        brought: set[UUID],
    ) -> None:
        """A batch that was committed before an interruption: only its refused rows are written out again."""
        first, last = batch[0][0].number, batch[-1][0].number
        refused = select(ImportFinding.row, ImportFinding.problems).where(
            ImportFinding.run_id == run.id,
            ImportFinding.kind == FindingKind.REFUSED.value,
            ImportFinding.row.between(first, last),
        )
        async with AsyncSession(self.services.database.reads) as session:
            problems = {one.row: one.problems for one in await session.execute(refused)}
            if isinstance(bringer, Customers):
                drafts = [o for _, o in batch if isinstance(o, CustomerDraft) and o.row not in problems]
                brought |= await bringer.claim(session, [str(draft.external_id) for draft in drafts])
        for row, _ in batch:
            if row.number in problems:
                rejects.write(row, problems[row.number])
        self.report("import", last - 1, self.total)

    # -- the end

    async def _finish(self, run: ImportRun) -> None:
        """Close the run, announce it, and let the stored file go unless another run waits for it."""
        async with self.services.database.transaction() as session:
            work = Work(
                self.services,
                session,
                self.actor,
                Options(line=run.line, channel="import", request_id=run.id.hex),
            )
            work.line = run.line
            stored = await session.get_one(ImportRun, run.id)
            stored.state, stored.finished_at, stored.sample = ImportState.DONE.value, work.now, []
            stored.started_at = stored.started_at or work.now
            work.record(ImportFinished.of(stored))
            await work.finish(FinishImport())
        await keeping.let_go(self.services, run.file_sha256)

    async def _look_for_twins(self, brought: set[UUID]) -> None:
        keys, access = sorted(brought), self.services.access(self.actor)
        async with AsyncSession(self.services.database.reads) as session:
            for start in range(0, len(keys), rows.BATCH):
                some = keys[start : start + rows.BATCH]
                found = await queries.twins(session, access, self.request.line, some, self.pairs.limit + 1)
                for kind, one, other in found:
                    self.pairs.add(kind, one, other)

    async def _labels(self) -> Mapping[UUID, Mapping[str, Any]]:
        keys = {key for pair in self.pairs.found for key in pair if isinstance(key, UUID)}
        async with AsyncSession(self.services.database.reads) as session:
            return await queries.labels(session, self.request.source, keys)


class _Alike:
    """Candidate pairs inside a file that is only rehearsed: rows that share a key."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._rows: dict[int, list[int]] = {}

    def note(self, batch: Sequence[tuple[Row, Judged]], result: Result) -> None:
        refused = {row.number for row, _ in result.refused}
        for row, outcome in batch:
            if isinstance(outcome, CustomerDraft) and row.number not in refused:
                for key in duplicate_keys(outcome):
                    same = self._rows.setdefault(hash(key), [])
                    for other in same[: self._pairs.limit]:
                        self._pairs.add(key[0].value, other, row.number)
                    same.append(row.number)


def _keep(rejects: RejectsFile, result: Result) -> None:
    for row, problems in result.refused:
        rejects.write(row, problems)


def _shown(sheet: Sheet, row: Row) -> dict[str, Any]:
    """A row for those who sign: field and text, identity numbers left out, long texts cut."""
    hidden = {"identity_or_credit_code", "identity_number"}
    fields = [name for name in sheet.binding.fields if name not in hidden]
    return {name: value[:100] for name in fields if (value := sheet.binding.text(row, name))}
