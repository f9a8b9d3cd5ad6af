"""Carries imports out: checks the whole file, registers it as one command, brings it in by resumable batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import ids
from crm_core.actors import Actor
from crm_core.commands import Options, Outcome
from crm_core.errors import Fault, Json, Message, Refused, UserError
from crm_core.imports import mapping as mappings
from crm_core.imports import queries, reading, rows, store
from crm_core.imports.bringing import Brought, Customers, Interactions
from crm_core.imports.commands import (
    FILE_REFUSED,
    FinishImport,
    ImportCustomers,
    ImportFile,
    ImportInteractions,
)
from crm_core.imports.customer_rows import CustomerDraft, duplicate_keys
from crm_core.imports.events import ImportFinished
from crm_core.imports.interaction_rows import InteractionDraft
from crm_core.imports.mapping import Mapping as ColumnMapping
from crm_core.imports.mapping import Subject
from crm_core.imports.models import FindingKind, ImportFinding, ImportRun, ImportState, OnError, UpdateBy
from crm_core.imports.outcomes import Rejected, Severity, Skipped
from crm_core.imports.reading import Row
from crm_core.imports.rejects import RejectsFile
from crm_core.imports.rows import Judged, Sheet
from crm_core.imports.tally import Effect, Pairs, Tally, stored_error, stored_problem
from crm_core.work import Services, Work, perform

Report: TypeAlias = Callable[[str, int, int | None], None]
"""Told how far a phase (`check`, `rehearse`, `import`) has come: rows done, rows in all if known."""
State: TypeAlias = Literal["done", "dry_run", "refused", "held"]

NOT_ACCEPTED = Message(
    "IMPORT_ROW_NOT_ACCEPTED",
    "The database does not take the row: {problem}",
    "数据库不接受该行：{problem}",
)
MESSAGES = (NOT_ACCEPTED,)
SAMPLE_ROWS = 3
LONGEST_NUMBER = 120


@dataclass(frozen=True)
class Request:
    """What a caller wants imported, and how. `mapping` None: by known headers; `rejects` None: no rejects file."""

    subject: Subject
    file: Path
    line: str
    as_of: date
    source: str = "import"
    mapping: ColumnMapping | None = None
    on_error: OnError = OnError.REJECT_ALL
    lenient: bool = False
    update_existing_by: UpdateBy = UpdateBy.EXTERNAL_ID
    sheet: str | None = None
    dry_run: bool = False
    rejects: Path | None = None
    file_name: str | None = None


@dataclass
class Summary:
    """What came of an import: its state, the tally, columns nobody knows, candidate pairs of duplicates."""

    state: State
    tally: Tally
    unknown_columns: tuple[str, ...] = ()
    pairs: Pairs = field(default_factory=Pairs)
    labels: Mapping[Any, Mapping[str, Any]] = field(default_factory=dict)
    run: UUID | None = None
    approval: UUID | None = None
    errors: tuple[UserError, ...] = ()
    rejects: Path | None = None
    resumed_after: int | None = None

    def as_json(self) -> dict[str, Json]:
        """The summary for `--summary-json`: counts, reasons by code, candidate pairs."""
        tally = self.tally
        return {
            "state": self.state,
            "run": ids.show("imp", self.run) if self.run else None,
            "approval": ids.show("apr", self.approval) if self.approval else None,
            **{name: getattr(tally, name) for name in tally.COUNTS},
            "skippedBy": dict(tally.reasons["skipped"]),
            "rejectedBy": dict(tally.reasons["rejected"]),
            "blankedBy": dict(tally.reasons["blanked"]),
            "warningsBy": dict(tally.reasons["warnings"]),
            "unknownColumns": list(self.unknown_columns),
            "rejectsFile": str(self.rejects) if self.rejects else None,
            "resumedAfterRow": self.resumed_after,
            "errors": [error.as_json() for error in self.errors],
            "duplicateCandidates": {
                "pairs": len(self.pairs.found),
                "more": self.pairs.more,
                "by": dict(self.pairs.by_kind()),
                "list": [
                    self._pair(pair, kinds) for pair, kinds in sorted(self.pairs.found.items(), key=str)
                ],
            },
        }

    def _pair(self, pair: tuple[Any, Any], kinds: set[str]) -> Json:
        return {"a": self._member(pair[0]), "b": self._member(pair[1]), "by": [*sorted(kinds)]}

    def _member(self, key: Any) -> Json:
        if isinstance(key, UUID):
            label = self.labels.get(key, {})
            return {
                "id": ids.show("cus", key),
                "number": label.get("number"),
                "externalId": label.get("external_id"),
            }
        return {"row": key}


async def run_import(
    services: Services, actor: Actor, request: Request, report: Report | None = None
) -> Summary:
    """Import a file: check all of it, then bring it in. An interrupted import of the same file goes on.

    Raises:
        UnreadableFile: the file as a whole cannot be read.
        MappingProblem: the mapping does not fit its header.
        Fault: the same import is being carried out by another process.
    """
    return await _Importer(services, actor, request, report or _silent).summary()


def _silent(_phase: str, _done: int, _total: int | None) -> None:
    return None


def open_sheet(services: Services, request: Request, file: Path | None = None) -> Sheet:
    """The request's file under its mapping, by default one suggested from the header."""
    path = file or request.file
    mapping = request.mapping
    if mapping is None:
        mapping = mappings.suggest(reading.inspect(path, request.sheet).header, request.subject)
    zone = ZoneInfo(services.settings.lines[request.line].time_zone)
    return rows.opened(
        path, mapping, as_of=request.as_of, zone=zone, lenient=request.lenient, sheet=request.sheet
    )


class _Again(Exception):
    """A row of the batch is refused when something may be written: once more, each row on its own."""


class _Undo(Exception):
    """Leaves a rehearsal's transaction."""


@dataclass
class _Result:
    """What one batch came to: its tally, findings, refused rows with their problems, records brought in."""

    tally: Tally = field(default_factory=Tally)
    findings: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[Row, list[dict[str, Json]]]] = field(default_factory=list)
    records: list[UUID] = field(default_factory=list)


class _Importer:
    def __init__(self, services: Services, actor: Actor, request: Request, report: Report) -> None:
        self.services, self.actor, self.request, self.report = services, actor, request, report
        self.sheet = open_sheet(services, request)
        self.total: int | None = None
        self.pairs = Pairs()
        self.run: UUID | None = None

    async def summary(self) -> Summary:
        sample = self._survey()
        if self.request.dry_run:
            return await self._rehearsed("dry_run")
        command = self._command(sample)
        run, known = await self._known(command)
        if run is None and known is not None:
            return self._summary("held", Tally(), approval=known)
        request = self.request
        if request.on_error is OnError.REJECT_ALL and (run is None or run.position == 1):
            rehearsed = await self._rehearsed("refused")
            if rehearsed.tally.rejected:
                rehearsed.errors = (FILE_REFUSED(rows=rehearsed.tally.rejected),)
                return rehearsed
        store.keep(self.services.store, request.file)
        if run is None:
            outcome = await self._register(command)
            if outcome.errors:
                await self._let_go(command.file)
                return self._summary("refused", Tally(), errors=outcome.errors)
            if outcome.approval is not None:
                return self._summary("held", Tally(), approval=outcome.approval)
            run = await self._load(outcome.ids[0])
        return await self._carry_out(run)

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
                return run, None
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

    async def _rehearsed(self, state: State) -> Summary:
        """Bring everything in and undo it, batch by batch: what would be refused, created and updated."""
        tally, bringer = Tally(), self._bringer(None)
        alike = _Alike(self.pairs)
        with self._rejects() as rejects:
            for batch in rows.batches(self.sheet):
                result = await self._batch(bringer, batch, None)
                _keep(rejects, result)
                alike.note(batch, result)
                tally.add(result.tally)
                self.report("rehearse", tally.read, self.total)
        return self._summary(state, tally, rejects=rejects.path if rejects.written else None)

    # -- carrying out

    async def _carry_out(self, run: ImportRun) -> Summary:
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
                result = await self._batch(bringer, batch, run)
                _keep(rejects, result)
                tally.add(result.tally)
                if self.sheet.subject is Subject.CUSTOMERS:
                    brought.update(result.records)
                self.report("import", batch[-1][0].number - 1, self.total)
        await self._finish(run)
        if self.sheet.subject is Subject.CUSTOMERS:
            await self._look_for_twins(brought)
        summary = self._summary("done", tally, rejects=rejects.path if rejects.written else None)
        summary.resumed_after = started if started > 1 else None
        summary.labels = await self._labels()
        return summary

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

    # -- one batch

    async def _batch(
        self, bringer: Customers | Interactions, batch: Sequence[tuple[Row, Judged]], run: ImportRun | None
    ) -> _Result:
        """Bring one batch in, in one transaction with its position; without a run it is undone again."""
        claimed = set(bringer.claimed) if isinstance(bringer, Customers) else set()
        for carefully in (False, True):
            try:
                async with self._transaction(undone=run is None) as session:
                    result = await self._brought(session, bringer, batch, carefully=carefully)
                    if run is not None:
                        await self._note(session, run, batch, result)
                break
            except _Again:
                if isinstance(bringer, Customers):
                    bringer.claimed = set(claimed)
        else:
            raise AssertionError("unreachable")
        if run is not None:
            run.position = batch[-1][0].number
        elif isinstance(bringer, Customers):
            bringer.claimed = claimed
        return result

    @asynccontextmanager
    async def _transaction(self, *, undone: bool) -> AsyncIterator[AsyncSession]:
        try:
            async with self.services.database.transaction() as session:
                yield session
                if undone:
                    raise _Undo
        except _Undo:
            return

    async def _brought(
        self,
        session: AsyncSession,
        bringer: Customers | Interactions,
        batch: Sequence[tuple[Row, Judged]],
        *,
        carefully: bool,
    ) -> _Result:
        result = _Result()
        judged = await bringer.judged(session, batch)
        bringer.start(session, together=not carefully)
        drafts: list[Any] = [o for _, o in judged if isinstance(o, CustomerDraft | InteractionDraft)]
        await bringer.load(session, drafts)
        for row, outcome in judged:
            result.tally.read += 1
            if isinstance(outcome, Skipped):
                result.tally.skipped += 1
                result.tally.note("skipped", [outcome.reason.value])
            elif isinstance(outcome, Rejected):
                self._refuse(result, row, outcome.external_id, [stored_problem(p) for p in outcome.problems])
            else:
                await self._one(session, bringer, row, outcome, result, carefully=carefully)
        await self._complete(session, bringer, carefully=carefully)
        return result

    async def _complete(
        self, session: AsyncSession, bringer: Customers | Interactions, *, carefully: bool
    ) -> None:
        try:
            await bringer.complete(session)
        except (Refused, DataError, IntegrityError):
            if carefully:
                raise
            raise _Again from None

    async def _one(
        self,
        session: AsyncSession,
        bringer: Customers | Interactions,
        row: Row,
        draft: CustomerDraft | InteractionDraft,
        result: _Result,
        *,
        carefully: bool,
    ) -> None:
        try:
            if carefully:
                async with session.begin_nested():
                    brought = await bringer.bring_in(session, draft)  # type: ignore[arg-type]  # its own kind of draft
            else:
                brought = await bringer.bring_in(session, draft)  # type: ignore[arg-type]
        except (Refused, DataError, IntegrityError) as error:
            if not carefully:
                raise _Again from None
            found = (
                error.errors if isinstance(error, Refused) else (NOT_ACCEPTED(problem=_first_line(error)),)
            )
            self._refuse(result, row, draft.external_id, [self._stored(one) for one in found])
            return
        problems = bringer.warnings(draft) if isinstance(bringer, Interactions) else draft.problems  # type: ignore[arg-type]
        self._accept(result, row, draft, brought, [stored_problem(p) for p in problems])

    def _stored(self, error: UserError) -> dict[str, Json]:
        return stored_error(error, _column(self.sheet, error.field))

    def _refuse(self, result: _Result, row: Row, number: str | None, problems: list[dict[str, Json]]) -> None:
        result.tally.rejected += 1
        result.tally.note(
            "rejected", [str(p["code"]) for p in problems if p["severity"] == Severity.ERROR.value]
        )
        result.refused.append((row, problems))
        self._find(result, FindingKind.REFUSED, row, number, problems)

    def _accept(
        self,
        result: _Result,
        row: Row,
        draft: CustomerDraft | InteractionDraft,
        brought: Brought,
        problems: list[dict[str, Json]],
    ) -> None:
        tally, name = result.tally, brought.effect.value
        setattr(tally, name, getattr(tally, name) + 1)
        number = draft.external_id if isinstance(draft, CustomerDraft) else rows.key_of(draft)
        if brought.record is not None:
            result.records.append(brought.record)
        if brought.effect is Effect.HELD:
            self._find(result, FindingKind.HELD, row, number, [], brought.approval)
        for kind, severity, counted in (
            (FindingKind.BLANKED, Severity.ERROR, "blanked"),
            (FindingKind.WARNING, Severity.WARNING, "warnings"),
        ):
            some = [p for p in problems if p["severity"] == severity.value]
            tally.note(counted, [str(p["code"]) for p in some])
            if some:
                self._find(result, kind, row, number, some)

    def _find(
        self,
        result: _Result,
        kind: FindingKind,
        row: Row,
        number: str | None,
        problems: list[dict[str, Json]],
        approval: UUID | None = None,
    ) -> None:
        result.findings.append(
            {
                "kind": kind.value,
                "row": row.number,
                "external_id": number[:LONGEST_NUMBER] if number else None,
                "problems": problems,
                "approval_id": approval,
            }
        )

    async def _note(
        self, session: AsyncSession, run: ImportRun, batch: Sequence[tuple[Row, Judged]], result: _Result
    ) -> None:
        """Write position, tally and findings in the batch's transaction; a second process finds the position moved."""
        table, now = ImportRun.__table__, self.services.clock()
        tally = await self._tally_of(session, run)
        tally.add(result.tally)
        moved = await session.execute(
            update(table)
            .where(table.c.id == run.id, table.c.position == run.position)
            .where(table.c.state != ImportState.DONE.value)
            .values(
                position=batch[-1][0].number,
                state=ImportState.RUNNING.value,
                started_at=run.started_at or now,
                updated_at=now,
                **tally.columns(),
            )
        )
        if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE has it
            raise Fault(
                "IMPORT_RUNS_ELSEWHERE",
                "The same import is being carried out by another process (同一导入正由其他进程执行)",
            )
        run.started_at = run.started_at or now
        if result.findings:
            shared = {
                "run_id": run.id,
                "line": run.line,
                "source": run.source,
                "subject": run.subject,
                "created_at": now,
            }
            found = [{"id": ids.uuid7(), **shared, **one} for one in result.findings]
            await session.execute(insert(ImportFinding.__table__), found)

    async def _tally_of(self, session: AsyncSession, run: ImportRun) -> Tally:
        table = ImportRun.__table__
        columns = [table.c[name] for name in (*Tally.COUNTS, "tallies")]
        row = (await session.execute(select(*columns).where(table.c.id == run.id))).one()
        return Tally.stored(row)

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
        await self._let_go(run.file_sha256)

    async def _let_go(self, sha256: str) -> None:
        """Remove the stored file unless another run needs it."""
        others = select(ImportRun.id).where(
            ImportRun.file_sha256 == sha256, ImportRun.state != ImportState.DONE.value
        )
        if not await self.services.database.fetch(others):
            store.forget(self.services.store, sha256)

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

    def note(self, batch: Sequence[tuple[Row, Judged]], result: _Result) -> None:
        refused = {row.number for row, _ in result.refused}
        for row, outcome in batch:
            if isinstance(outcome, CustomerDraft) and row.number not in refused:
                for key in duplicate_keys(outcome):
                    same = self._rows.setdefault(hash(key), [])
                    for other in same[: self._pairs.limit]:
                        self._pairs.add(key[0].value, other, row.number)
                    same.append(row.number)


def _keep(rejects: RejectsFile, result: _Result) -> None:
    for row, problems in result.refused:
        rejects.write(row, problems)


def _shown(sheet: Sheet, row: Row) -> dict[str, Any]:
    """A row for those who sign: field and text, identity numbers left out, long texts cut."""
    hidden = {"identity_or_credit_code", "identity_number"}
    fields = [name for name in sheet.binding.fields if name not in hidden]
    return {name: value[:100] for name in fields if (value := sheet.binding.text(row, name))}


def _column(sheet: Sheet, path: str | None) -> str:
    """The header of the column a command's field came from; the field itself if it came from none."""
    name = _FIELDS.get((path or "").split(".")[0], path or "")
    if name in ("identity_number", "credit_code") and name not in sheet.binding.fields:
        name = "identity_or_credit_code"
    return sheet.binding.column(name)


_FIELDS = {
    "kind": "kind", "phones": "phone", "creditCode": "credit_code", "identityNumber": "identity_number",
    "sourceChannel": "source_channel", "interest": "intended_model", "consultantName": "consultant",
    "firstVisitOn": "first_visit_on", "lastContactOn": "last_contact_on", "lastContactText": "last_contact_text",
    "externalIds": "external_id", "externalId": "external_id", "occurredAt": "occurred_at", "nextOn": "next_on",
    "interactionKind": "method", "subject": "method",
}  # fmt: skip


def _first_line(error: DataError | IntegrityError) -> str:
    return str(error.orig).split("\n")[0][:200]
