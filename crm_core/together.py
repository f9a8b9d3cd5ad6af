"""Commands of one transaction that only add rows, written at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Insert
from sqlalchemy import event as listening
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.db import search
from crm_core.db.base import Base
from crm_core.db.unit import flush


class Together:
    """Commands of one transaction that only add rows, performed one after the other and written at once.

    Made for an import's batch: the cost of writing lies in the statements, not in the rows. What a command adds is
    written by `write`; until then nothing reads it. Whatever goes wrong undoes the whole transaction. `kept` is for
    what rooms fetch ahead for several commands.
    """

    def __init__(self, session: AsyncSession, dialect: str) -> None:
        """Watch what is added to this session from now on."""
        self._session, self._dialect = session, dialect
        self._fresh: list[Base] = []
        self._later: dict[str, tuple[Insert, list[Mapping[str, Any]]]] = {}
        self._documents: list[Mapping[str, Any]] = []
        self.kept: dict[str, Any] = {}
        session.info[search.LATER] = self._documents
        listening.listen(session.sync_session, "transient_to_pending", self._note)

    def take(self) -> list[Base]:
        """The records added since the last time."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def insert(self, statement: Insert, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows after the records that are pending."""
        self._later.setdefault(statement.table.name, (statement, []))[1].extend(rows)

    async def write(self) -> None:
        """Write everything; raises `Refused` or the database's own errors."""
        await flush(self._session)
        for statement, rows in self._later.values():
            await self._session.execute(statement, rows)
        self._later.clear()
        if self._documents:
            await search.write(self._session, self._dialect, self._documents)
            self._documents.clear()

    async def end(self) -> None:
        """Write everything; what follows in the transaction is written as usual."""
        await self.write()
        self._session.info.pop(search.LATER, None)
        listening.remove(self._session.sync_session, "transient_to_pending", self._note)

    def _note(self, _session: Any, record: Base) -> None:
        self._fresh.append(record)
