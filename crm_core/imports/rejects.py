"""The rejects file (拒绝文件): refused rows with their reasons, to be corrected and imported again as it is."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from crm_core.errors import Message
from crm_core.imports.cells import Cell, text
from crm_core.imports.files import Row
from crm_core.imports.rows import REASON_COLUMN, ROW_COLUMN, guarded
from crm_core.imports.tally import words


class RejectsFile:
    """Writes a CSV (UTF-8 with BOM, as spreadsheets expect) beside the import; nothing refused leaves no file.

    It has the columns of the input, the row's number there, and all reasons in Chinese and English. Cells that a
    spreadsheet would run as formulas are guarded by an apostrophe, which importing the file takes off again.
    """

    def __init__(self, path: Path | None, header: Sequence[str], messages: Mapping[str, Message]) -> None:
        """`path` None: refused rows are counted only."""
        self.path = path
        self._kept = [place for place, name in enumerate(header) if name not in (ROW_COLUMN, REASON_COLUMN)]
        self._header = [header[place] for place in self._kept]
        self._messages = messages
        self._file: TextIO | None = None
        self._writer: Any = None

    @property
    def _unfinished(self) -> Path:
        assert self.path is not None  # asked only where something is written
        return self.path.with_name(self.path.name + ".part")

    def __enter__(self) -> Self:
        """Nothing is opened before there is something to write."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """A whole file takes its name; of an interrupted import none stays."""
        if self._file is None:
            return
        self._file.close()
        if kind is None and self.path is not None:
            self._unfinished.replace(self.path)
        else:
            self._unfinished.unlink(missing_ok=True)

    @property
    def written(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def write(self, row: Row, problems: Sequence[Mapping[str, Any]]) -> None:
        """Add a refused row with its problems, as findings keep them."""
        if self.path is None:
            return
        if self._writer is None:
            self._file = self._unfinished.open("w", encoding="utf-8-sig", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow([*map(guarded, self._header), ROW_COLUMN, REASON_COLUMN])
        reasons = [
            f"{words(p, self._messages, 'zh-CN')} / {words(p, self._messages, 'en')}" for p in problems
        ]
        cells = [guarded(_shown(row.cells[place])) for place in self._kept]
        self._writer.writerow([*cells, row.number, guarded("; ".join(reasons))])


def _shown(cell: Cell) -> str:
    """A cell as text that reads back as the same value; text keeps its spaces."""
    return cell if isinstance(cell, str) else text(cell)
