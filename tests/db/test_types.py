"""Columns that behave the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from crm_core.db.types import Fen, JsonValue, TokenList, UtcDateTime
from crm_core.testing.kit import Kit

SHANGHAI = timezone(timedelta(hours=8))
MOMENTS = (
    datetime(2025, 11, 3, 2, 0, 0, 1, UTC),
    datetime(2025, 11, 3, 10, 0, tzinfo=SHANGHAI),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2999, 12, 31, 23, 59, 59, 999_999, UTC),
)
DOCUMENTS: tuple[Any, ...] = ({}, [], {"华": [1, None, True, "x"]}, "text", 5, {"a": {"b": 1.5}}, None)


@pytest.fixture
def values() -> Table:
    columns: list[Column[Any]] = [
        Column("at", UtcDateTime),
        Column("document", JsonValue),
        Column("tokens", TokenList),
    ]
    return Table("values_of_tests", MetaData(), *columns, Column("price", Fen))


async def kept(crm: Kit, table: Table, column: str, value: Any) -> Any:
    """The value as it comes back."""
    async with crm.database.transaction() as session:
        connection = await session.connection()
        await connection.run_sync(table.metadata.create_all)
        await connection.execute(insert(table).values({column: value}))
    rows = await crm.database.fetch(select(table.c[column]))
    return rows[-1][0]


async def test_a_moment_comes_back_as_the_same_moment_in_utc(crm: Kit, values: Table) -> None:
    for moment in MOMENTS:
        back = await kept(crm, values, "at", moment)
        assert back == moment
        assert back.utcoffset() == timedelta(0)
    assert await kept(crm, values, "at", None) is None


async def test_a_moment_without_zone_is_refused(crm: Kit, values: Table) -> None:
    with pytest.raises(Exception, match="time zone"):
        await kept(crm, values, "at", datetime(2025, 11, 3))  # noqa: DTZ001  # the point of the test


async def test_a_document_comes_back_as_it_was(crm: Kit, values: Table) -> None:
    for document in DOCUMENTS:
        assert await kept(crm, values, "document", document) == document


async def test_tokens_come_back_as_a_tuple(crm: Kit, values: Table) -> None:
    for tokens in (("华", "华信", "hx"), ("one",), ()):
        assert await kept(crm, values, "tokens", tokens) == tokens
    assert await kept(crm, values, "tokens", None) is None


async def test_money_keeps_every_fen(crm: Kit, values: Table) -> None:
    for fen in (0, 1, -1, 2**63 - 1, -(2**63)):
        assert await kept(crm, values, "price", fen) == fen


naive = st.datetimes(min_value=MOMENTS[2].replace(tzinfo=None), max_value=MOMENTS[3].replace(tzinfo=None))


@given(st.builds(lambda moment, zone: moment.replace(tzinfo=zone), naive, st.sampled_from([UTC, SHANGHAI])))
def test_every_moment_survives_the_way_there_and_back(moment: datetime) -> None:
    column = UtcDateTime()
    for dialect in (sqlite.dialect(), postgresql.dialect()):  # type: ignore[no-untyped-call]  # SQLAlchemy's
        stored = column.process_bind_param(moment, dialect)
        assert column.process_result_value(stored, dialect) == moment
