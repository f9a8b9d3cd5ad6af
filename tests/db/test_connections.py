"""The pool of the driver's connections: who gets one, what becomes of it."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from crm_core.db.connections import AllInUse, Connections

SOON = 0.05
LONG = 5.0


class Line:
    """A connection that does nothing."""

    def __init__(self, number: int) -> None:
        self.number, self.closed = number, False

    def is_closed(self) -> bool:
        return self.closed

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109  # as the driver's
        await asyncio.sleep(0)
        self.closed = True

    def terminate(self) -> None:
        self.closed = True


@pytest.fixture
def pool() -> Connections:
    numbers = count(1)

    async def connect() -> Line:
        await asyncio.sleep(0)
        return Line(next(numbers))

    return Connections(connect, 2)


async def test_the_one_given_back_last_is_given_out_first(pool: Connections) -> None:
    first, second = await pool.take(LONG), await pool.take(LONG)
    pool.give_back(first)
    pool.give_back(second)
    assert await pool.take(LONG) is second
    assert pool.in_use == 1


async def test_no_more_are_made_than_allowed(pool: Connections) -> None:
    await pool.take(LONG)
    await pool.take(LONG)
    with pytest.raises(AllInUse):
        await pool.take(SOON)


async def test_who_waited_longest_gets_the_next(pool: Connections) -> None:
    held = [await pool.take(LONG), await pool.take(LONG)]
    order: list[int] = []

    async def wait(who: int) -> None:
        one = await pool.take(LONG)
        order.append(who)
        pool.give_back(one)

    waiting = [asyncio.create_task(wait(who)) for who in range(5)]
    await asyncio.sleep(0)
    for one in held:
        pool.give_back(one)
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]
    assert pool.in_use == 0


async def test_who_is_cancelled_passes_his_turn_on(pool: Connections) -> None:
    held = [await pool.take(LONG), await pool.take(LONG)]
    gone, patient = (asyncio.create_task(pool.take(LONG)) for _ in range(2))
    await asyncio.sleep(0)
    pool.give_back(held[0])  # it is the turn of the first
    gone.cancel()
    assert await asyncio.wait_for(patient, LONG) is held[0]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_one_closed_while_idle_is_not_given_out(pool: Connections) -> None:
    lost = await pool.take(LONG)
    pool.give_back(lost)
    lost.terminate()
    assert await pool.take(LONG) is not lost
    assert pool.in_use == 1


async def test_one_with_something_under_way_is_closed_and_another_made(pool: Connections) -> None:
    busy, other = await pool.take(LONG), await pool.take(LONG)
    waiting = asyncio.create_task(pool.take(LONG))
    await asyncio.sleep(0)
    pool.give_back(busy, whole=False)
    fresh = await waiting
    assert fresh not in (busy, other)
    await pool.close()
    assert busy.is_closed()
    assert not fresh.is_closed(), "it is in use"


async def test_after_a_loss_none_of_the_old_is_used_again(pool: Connections) -> None:
    lost, kept = await pool.take(LONG), await pool.take(LONG)
    lost.terminate()
    pool.replace()
    pool.give_back(lost, whole=False)
    pool.give_back(kept)
    assert {(await pool.take(LONG)).number, (await pool.take(LONG)).number} == {3, 4}


async def test_what_cannot_be_made_takes_nobodys_place() -> None:
    failing = [True]

    async def connect() -> Line:
        if failing[0]:
            raise ConnectionRefusedError
        return Line(1)

    pool = Connections(connect, 1)
    with pytest.raises(ConnectionRefusedError):
        await pool.take(LONG)
    failing.clear()
    failing.append(False)
    assert (await pool.take(SOON)).number == 1
