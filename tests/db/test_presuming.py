"""What is presumed empty: asked with the next statement, and everything done again when it was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select, String, select, union_all

from crm_core.access.models import User
from crm_core.db.unit import Unit
from crm_core.db.writer import Reading, given
from crm_core.errors import INVALID, Refused
from crm_core.ids import uuid7
from crm_core.testing.kit import Kit

USERS = User.__table__
Rows = Sequence[Sequence[Any]]


def of_name() -> Select[Any]:
    """Users of a name."""
    return select(USERS.c.id, USERS.c.login).where(USERS.c.name == given("name", String()))


async def seldom(unit: Unit, name: str) -> Rows:
    return await unit.seldom("seldom", of_name, {"name": name})


async def often(unit: Unit, name: str) -> Rows:
    return await unit.rows("often", of_name, {"name": name})


@pytest.fixture
async def li(crm: Kit) -> UUID:
    outcome = await crm.perform("user.create", {"login": "li", "name": "李"})
    return outcome.ids[0]


async def tried(crm: Kit, do: Callable[[Unit], Awaitable[Rows]]) -> tuple[Rows, int]:
    """What it gave, and how often it was begun."""
    begun = 0

    async def counted(unit: Unit) -> Rows:
        nonlocal begun
        begun += 1
        return await do(unit)

    return await crm.database.attempt(counted), begun


async def test_both_are_asked_in_one_statement_each_with_its_own_values(crm: Kit, li: UUID) -> None:
    async def do(unit: Unit) -> Rows:
        assert await seldom(unit, "nobody") == ()
        return await often(unit, "李")

    with crm.statements() as sent:
        assert await tried(crm, do) == ([(li, "li")], 1)
    assert len(sent) == 1


async def test_nothing_is_found_by_either(crm: Kit) -> None:
    async def do(unit: Unit) -> Rows:
        assert not await seldom(unit, "nobody")
        return await often(unit, "nobody else")

    assert await tried(crm, do) == ([], 1)


async def test_a_union_may_be_presumed_empty(crm: Kit, li: UUID) -> None:
    async def do(unit: Unit) -> Rows:
        found = await unit.seldom("union", lambda: union_all(of_name(), of_name()), {"name": "李"})
        return found or await often(unit, "李")

    found, begun = await tried(crm, do)
    assert (list(map(tuple, found)), begun) == ([(li, "li")], 2)


async def test_what_was_presumed_wrongly_is_done_again_knowing_it(crm: Kit, li: UUID) -> None:
    async def do(unit: Unit) -> Rows:
        if found := await seldom(unit, "李"):
            return found
        return await often(unit, "nobody")

    with crm.statements() as sent:
        assert await tried(crm, do) == ([(li, "li")], 2)
    assert len(sent) == 1, "it is not asked a second time"


async def test_nothing_is_written_upon_a_wrong_presumption(crm: Kit, li: UUID) -> None:
    async def do(unit: Unit) -> Rows:
        if found := await seldom(unit, "李"):
            return found
        unit.add(User(login="wang", name="王"))
        await unit.write_last()
        return ()

    assert await tried(crm, do) == ([(li, "li")], 2)
    assert {user.login for user in await crm.rows(User)} == {"admin", "li"}


async def test_a_work_that_asks_nothing_more_is_done_again_too(crm: Kit, li: UUID) -> None:
    assert await tried(crm, lambda unit: seldom(unit, "李")) == ([(li, "li")], 2)


async def test_a_refusal_stands_only_upon_what_is_right(crm: Kit, li: UUID) -> None:
    async def do(unit: Unit, name: str) -> Rows:
        if found := await seldom(unit, name):
            return found
        raise Refused(INVALID("name", problem="refused"))

    with pytest.raises(Refused):
        await tried(crm, lambda unit: do(unit, "nobody"))
    assert await tried(crm, lambda unit: do(unit, "李")) == ([(li, "li")], 2)


async def test_it_is_asked_before_the_orm_reads(crm: Kit, li: UUID) -> None:
    async def do(unit: Unit) -> Rows:
        if found := await seldom(unit, "李"):
            return found
        return (await unit.execute(select(USERS.c.id, USERS.c.login))).all()

    assert await tried(crm, do) == ([(li, "li")], 2)


async def test_in_a_transaction_of_somebody_else_nothing_is_presumed(crm: Kit, li: UUID) -> None:
    async with crm.database.transaction() as unit:
        assert await seldom(unit, "李") == [(li, "li")]


# -- reading with writing


def new_user(login: str) -> User:
    return User(id=uuid7(), login=login, name=login)


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_reading_sees_what_the_same_statement_writes(crm: Kit) -> None:
    made = new_user("wang")

    async def do(unit: Unit) -> bytes | None:
        unit.add(made)
        return await unit.write_last(Reading("SELECT to_json(login) FROM users WHERE id = $1", [made.id]))

    with crm.statements() as sent:
        assert await crm.database.attempt(do) == b'"wang"'
    assert len(sent) == 1


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_what_cannot_be_read_is_written_all_the_same(crm: Kit) -> None:
    made = new_user("wang")

    async def do(unit: Unit) -> bytes | None:
        unit.add(made)
        return await unit.write_last(
            Reading("SELECT to_json(1 / (length(login) - 4)) FROM users WHERE id = $1", [made.id])
        )

    assert await crm.database.attempt(do) is None
    assert "wang" in {user.login for user in await crm.rows(User)}


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_sqlite_reads_afterwards(crm: Kit) -> None:
    async def do(unit: Unit) -> bytes | None:
        unit.add(new_user("wang"))
        return await unit.write_last(Reading("SELECT 1", []))

    assert await crm.database.attempt(do) is None
