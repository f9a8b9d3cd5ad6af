"""Brings one batch of rows in, in one transaction with the run's position and findings, or undoes it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import ids
from crm_core.errors import Fault, Json, Refused, UserError
from crm_core.imports import rows
from crm_core.imports.bringing import Brought, Customers, Interactions
from crm_core.imports.commands import NOT_ACCEPTED
from crm_core.imports.customer_rows import CustomerDraft
from crm_core.imports.files import Row
from crm_core.imports.interaction_rows import InteractionDraft
from crm_core.imports.models import FindingKind, ImportFinding, ImportRun, ImportState
from crm_core.imports.outcomes import Rejected, Severity, Skipped
from crm_core.imports.rows import Judged, Sheet
from crm_core.imports.tally import Effect, Tally, stored_error, stored_problem
from crm_core.work import Services

LONGEST_NUMBER = 120


class _Again(Exception):
    """A row of the batch is refused when something may be written: once more, each row on its own."""


@dataclass
class Result:
    """What one batch came to: its tally, findings, refused rows with their problems, records brought in."""

    tally: Tally = field(default_factory=Tally)
    findings: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[Row, list[dict[str, Json]]]] = field(default_factory=list)
    records: list[UUID] = field(default_factory=list)


class Batches:
    """Brings the batches of one sheet in, one after the other."""

    def __init__(self, services: Services, sheet: Sheet) -> None:
        """Bring the rows of this sheet into the services' database."""
        self.services, self.sheet = services, sheet

    async def bring(
        self, bringer: Customers | Interactions, batch: Sequence[tuple[Row, Judged]], run: ImportRun | None
    ) -> Result:
        """Bring one batch in, in one transaction with its position; without a run it is undone again."""
        claimed = set(bringer.claimed) if isinstance(bringer, Customers) else set()
        database = self.services.database
        for carefully in (False, True):
            try:
                async with database.undone() if run is None else database.transaction() as session:
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

    async def _brought(
        self,
        session: AsyncSession,
        bringer: Customers | Interactions,
        batch: Sequence[tuple[Row, Judged]],
        *,
        carefully: bool,
    ) -> Result:
        result = Result()
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
        result: Result,
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

    def _refuse(self, result: Result, row: Row, number: str | None, problems: list[dict[str, Json]]) -> None:
        result.tally.rejected += 1
        result.tally.note(
            "rejected", [str(p["code"]) for p in problems if p["severity"] == Severity.ERROR.value]
        )
        result.refused.append((row, problems))
        self._find(result, FindingKind.REFUSED, row, number, problems)

    def _accept(
        self,
        result: Result,
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
        result: Result,
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
        self, session: AsyncSession, run: ImportRun, batch: Sequence[tuple[Row, Judged]], result: Result
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
