"""Reads a whole file row by row under one plan: what each row is, before anything is asked of the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from pathlib import Path
from typing import TypeAlias

from crm_core.imports import reading
from crm_core.imports.cells import Cell
from crm_core.imports.customer_rows import CustomerDraft, parse_customer
from crm_core.imports.files import FileShape, Row
from crm_core.imports.interaction_rows import InteractionDraft, parse_interaction
from crm_core.imports.mapping import Binding, Mapping, Subject
from crm_core.imports.outcomes import (
    ExternalIds,
    Problem,
    Rejected,
    RowDigests,
    Skipped,
    SkipReason,
    row_digest,
)

Draft: TypeAlias = CustomerDraft | InteractionDraft
Judged: TypeAlias = Draft | Rejected | Skipped

ROW_COLUMN = "原行号 Row"
REASON_COLUMN = "拒绝原因 Reason"
"""The columns a rejects file adds; a file that has them is read as one."""
BATCH = 500
"""Rows of one transaction."""
NO_NUMBER = "#"
"""Begins the number given to a row without one; the rest is a digest of its cells."""
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_LIVE = re.compile(r"'*[=+\-@\t\r]")


@dataclass(frozen=True)
class Sheet:
    """A file with its mapping applied, and what decides how its rows are judged."""

    path: Path
    shape: FileShape
    mapping: Mapping
    binding: Binding
    as_of: date
    zone: tzinfo
    lenient: bool

    @property
    def subject(self) -> Subject:
        """What its rows are."""
        return self.mapping.subject

    @property
    def is_rejects_file(self) -> bool:
        """Whether it is a rejects file of ours, corrected or not."""
        return REASON_COLUMN in self.shape.header

    def rows(self) -> Iterator[Row]:
        """Its records; a guard that a rejects file put before a cell is taken off again."""
        rows = reading.rows(self.path, self.shape)
        if not self.is_rejects_file:
            return rows
        return (Row(row.number, tuple(unguarded(cell) for cell in row.cells)) for row in rows)


def opened(
    path: Path, mapping: Mapping, *, as_of: date, zone: tzinfo, lenient: bool, sheet: str | None = None
) -> Sheet:
    """The file under a mapping; raises `UnreadableFile` or `MappingProblem`."""
    shape = reading.inspect(path, sheet)
    ignoring = mapping.model_copy(update={"ignored": (*mapping.ignored, ROW_COLUMN, REASON_COLUMN)})
    return Sheet(path, shape, mapping, ignoring.bind(shape.header), as_of, zone, lenient)


def guarded(text: str) -> str:
    """A text as a rejects file holds it: one that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{text}" if _LIVE.match(text) else text


def unguarded(cell: Cell) -> Cell:
    """The inverse of `guarded`."""
    return cell[1:] if isinstance(cell, str) and _GUARDED.match(cell) else cell


def judged(sheet: Sheet) -> Iterator[tuple[Row, Judged]]:
    """Every row with what it is: a draft, refused with its problems, or skipped; exact duplicates are skipped."""
    digests, numbers = RowDigests(), ExternalIds()
    for row in sheet.rows():
        outcome = _parsed(sheet, row)
        if not isinstance(outcome, Skipped):
            first = digests.first_row_like(row.number, row.cells)
            if first is not None:
                outcome = Skipped(row.number, SkipReason.DUPLICATE, first)
        if isinstance(outcome, CustomerDraft | InteractionDraft):
            outcome = _told_apart(sheet, row, outcome, numbers)
        yield row, outcome


def batches(sheet: Sheet, size: int = BATCH) -> Iterator[list[tuple[Row, Judged]]]:
    """The judged rows, so many at a time."""
    batch: list[tuple[Row, Judged]] = []
    for one in judged(sheet):
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def key_of(draft: InteractionDraft) -> str:
    """What tells an interaction from all others of its source: the customer's number and the minute, UTC."""
    return f"{draft.external_id}@{draft.key[1].strftime('%Y-%m-%dT%H:%MZ')}"


def _parsed(sheet: Sheet, row: Row) -> Judged:
    if sheet.subject is Subject.CUSTOMERS:
        return parse_customer(row, sheet.binding, sheet.as_of, lenient=sheet.lenient)
    return parse_interaction(row, sheet.binding, sheet.zone)


def _told_apart(sheet: Sheet, row: Row, draft: Draft, numbers: ExternalIds) -> Draft | Rejected:
    """The draft, with a number made of its content if it has none; refused if its number stood before."""
    column = sheet.binding.column("external_id")
    if isinstance(draft, InteractionDraft):
        problem = _repeated(numbers, draft, sheet.binding.column("occurred_at"))
    else:
        problem = numbers.problem(row.number, draft.external_id, column)
        if draft.external_id is None:
            draft = replace(draft, external_id=NO_NUMBER + row_digest(row.cells).hex())
    return draft if problem is None else Rejected(row.number, draft.external_id, (problem, *draft.problems))


def _repeated(numbers: ExternalIds, draft: InteractionDraft, column: str) -> Problem | None:
    found = numbers.problem(draft.row, key_of(draft), column)
    return found and Problem("MINUTE_REPEATED", column, draft.local_day.isoformat(), found.params)
