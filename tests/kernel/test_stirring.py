"""Who listens for commits is told at once; among very many, now and then."""

import asyncio

from crm_core.stirring import AT_ONCE, PER_SECOND, Stirred


async def test_a_few_commits_are_told_of_at_once_each() -> None:
    stirred = Stirred()
    with stirred.listening() as event:
        for _ in range(AT_ONCE):
            stirred()
            assert event.is_set()
            event.clear()


async def test_of_very_many_commits_the_last_is_told_of_a_little_later() -> None:
    stirred = Stirred()
    with stirred.listening() as event:
        for _ in range(AT_ONCE):
            stirred()
        event.clear()
        for _ in range(1000):
            stirred()
        assert not event.is_set()
        await asyncio.wait_for(event.wait(), 20 / PER_SECOND)


async def test_each_kind_of_work_is_told_of_by_itself() -> None:
    stirred = Stirred()
    with stirred.listening() as commits, stirred.listening("jobs") as jobs:
        for _ in range(2 * AT_ONCE):
            stirred()
        commits.clear()
        stirred("jobs")
        assert (commits.is_set(), jobs.is_set()) == (False, True)


async def test_nobody_who_stopped_listening_is_told() -> None:
    stirred = Stirred()
    with stirred.listening() as event:
        pass
    stirred()
    assert not event.is_set()
