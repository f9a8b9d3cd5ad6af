"""Writes one change to many records in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Uuid, update
from sqlalchemy.orm.attributes import set_committed_value

from crm_core.db.arrays import among
from crm_core.db.base import Aggregate
from crm_core.work import Work


async def write_alike(work: Work, records: Sequence[Aggregate], **values: Any) -> None:
    """Put the same values, by column, into records of one table; the version of each rises by one.

    They are loaded and locked, and the events about them are recorded. The ORM would send a statement for each of them,
    to be sure of its version.
    """
    if not records:
        return
    for record in records:
        for name, value in values.items():
            setattr(record, name, value)
    work.changes.collect()
    table = type(records[0]).__table__
    these = among(table.c.id, [record.id for record in records], Uuid(), work.services.database.dialect)
    raised = {**values, "updated_at": work.now, "version": table.c.version + 1}
    connection = await work.session.connection()
    await connection.execute(update(table).where(these).values(raised))
    for record in records:
        _written(record, {**values, "updated_at": work.now, "version": record.version + 1})


def _written(record: Aggregate, values: dict[str, Any]) -> None:
    """The record is as the database has it: nothing of this waits to be written."""
    for name, value in values.items():
        set_committed_value(record, name, value)
