"""What a caller asks an import for, and the summary of what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from crm_core import ids
from crm_core.actors import Actor
from crm_core.errors import Json, UserError
from crm_core.imports import mapping as mappings
from crm_core.imports import reading, rows
from crm_core.imports.mapping import Mapping as ColumnMapping
from crm_core.imports.mapping import Subject
from crm_core.imports.models import OnError, UpdateBy
from crm_core.imports.rows import Sheet
from crm_core.imports.tally import Pairs, Tally
from crm_core.work import Services

Report: TypeAlias = Callable[[str, int, int | None], None]
"""Told how far a phase (`check`, `rehearse`, `import`) has come: rows done, rows in all if known."""
Turn: TypeAlias = Callable[[int, int | None], Awaitable[Actor]]
"""Told how many rows are dealt with, of how many; says who acts in the next batch, or raises."""
State: TypeAlias = Literal["done", "dry_run", "refused", "held"]


@dataclass(frozen=True)
class Request:
    """What a caller wants imported, and how. `mapping` None: by known headers; `rejects` None: no rejects file.

    `rows` is how many the file is known to have.
    """

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
    rows: int | None = None


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
