"""Sending what is due: once, again, and not for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crm_core.db.session import open_database
from crm_core.notices.delivering import deliver, deliver_due
from crm_core.notices.forgetting import forget
from crm_core.notices.hooks import crm_chores
from crm_core.notices.models import NoticeDelivery
from crm_core.notices.notifier import NoticeMessage, Notifier, Unsent
from crm_core.notices.queries import claiming
from crm_core.work import Services
from tests.notices.conftest import Office


async def test_what_is_due_is_sent_once(office: Office) -> None:
    office.configure(public_url="https://crm.example.com/")
    await office.tell(path="/approvals/1")
    assert (await office.deliver(), await office.deliver()) == (1, 0)
    (message,) = office.fake.sent
    assert (message.title, message.address, message.language) == (
        "待您审批：折扣申请",
        "ann@example.com",
        "zh-CN",
    )
    assert message.body == "申请人：王芳\n事项：合同\n对象：华信\n业务线：东区"
    assert message.url == "https://crm.example.com/approvals/1"
    row = await office.delivery()
    assert (row.state, row.attempts, row.lease_until) == ("SENT", 1, None)
    assert row.sent_at is not None
    assert row.version == 2


async def test_it_is_sent_in_the_language_the_user_prefers(office: Office) -> None:
    await office.prefer(language="en")
    await office.tell()
    await office.deliver()
    assert office.fake.sent[0].title == "Your signature is asked for: 折扣申请"


async def test_no_more_are_tried_than_asked_for_the_longest_due_first(office: Office) -> None:
    for number in range(5):
        await office.tell(facts={"title": str(number)})
        office.crm.clock.advance(seconds=1)
    assert await office.deliver(most=3) == 3
    assert sorted(m.title[-1] for m in office.fake.sent) == ["0", "1", "2"]


async def test_what_failed_waits_longer_each_time_and_is_dead_after_the_last(office: Office) -> None:
    office.configure(retry_seconds=[60, 300])
    office.fake.troubles = [Unsent("busy", retry=True) for _ in range(3)]
    await office.tell()
    seen = []
    for wait in (0, 30, 60, 200, 200, 100_000):  # 60 and 300 are waited for
        office.crm.clock.advance(seconds=wait)
        await office.deliver()
        row = await office.delivery()
        seen.append((row.state, row.attempts))
    assert seen == [
        ("FAILED", 1), ("FAILED", 1), ("FAILED", 2), ("FAILED", 2), ("DEAD", 3), ("DEAD", 3),
    ]  # fmt: skip
    assert (await office.delivery()).last_error == "busy"
    assert len({message.id for message in office.fake.sent}) == 1


async def test_what_cannot_be_helped_is_dead_at_once(office: Office) -> None:
    office.fake.troubles = [Unsent("no such address", retry=False)]
    await office.tell()
    await office.deliver()
    row = await office.delivery()
    assert (row.state, row.last_error) == ("DEAD", "no such address")


async def test_a_server_that_names_a_longer_wait_is_heard(office: Office) -> None:
    office.fake.troubles = [Unsent("slow down", retry=True, after=3_600)]
    await office.tell()
    before = (await office.delivery()).next_at
    await office.deliver()
    waited = (await office.delivery()).next_at - before
    assert timedelta(seconds=3_600) <= waited < timedelta(seconds=3_610)


async def test_an_unexpected_error_is_tried_again_and_its_words_are_not_kept(office: Office) -> None:
    office.fake.troubles = [ValueError("password is hunter2")]
    await office.tell()
    await office.deliver()
    row = await office.delivery()
    assert (row.state, row.last_error) == ("FAILED", "ValueError")


async def test_a_channel_that_hangs_is_cut_off_and_holds_up_nobody_else(office: Office) -> None:
    office.configure(timeout_seconds=0.3)

    async def send(_services: Services, message: NoticeMessage) -> None:
        if message.title.endswith("slow"):
            await asyncio.sleep(60)

    await office.tell(facts={"title": "slow"})
    await office.tell(facts={"title": "quick"})
    senders = {"fake": Notifier("fake", "Fake", send)}
    assert await deliver(office.crm.services, senders, office.crm.clock()) == 2
    slow, quick = await office.deliveries()
    assert (slow.state, quick.state) == ("FAILED", "SENT")
    assert "0.3 s" in slow.last_error


async def test_the_others_are_sent_when_one_fails(office: Office) -> None:
    office.configure(at_once=1)
    office.fake.troubles = [Unsent("no", retry=False)]
    for _ in range(3):
        await office.tell()
    assert await office.deliver() == 3
    assert [row.state for row in await office.deliveries()] == ["DEAD", "SENT", "SENT"]


async def test_a_channel_that_is_not_loaded_is_waited_for(office: Office) -> None:
    await office.tell()
    assert await deliver(office.crm.services, {}, office.crm.clock()) == 1
    assert (await office.delivery()).state == "FAILED"


async def test_who_was_disabled_meanwhile_is_told_nothing(office: Office) -> None:
    await office.tell()
    await disable(office)
    await office.deliver()
    assert (await office.delivery()).state == "DEAD"
    assert office.fake.sent == []


async def disable(office: Office) -> None:
    outcome = await office.crm.perform("user.update", {"id": office.ann.user_id, "disabled": True})
    assert not outcome.errors


# -- several deliverers, and crashes


async def test_two_deliverers_at_once_send_each_once(office: Office) -> None:
    office.configure(at_once=3)
    for number in range(12):
        await office.tell(facts={"title": str(number)})

    async def send(_services: Services, message: NoticeMessage) -> None:
        office.fake.sent.append(message)
        await asyncio.sleep(0.01)

    other = open_database(office.crm.services.settings)
    senders = {"fake": Notifier("fake", "Fake", send)}
    try:
        houses = [office.crm.services, replace(office.crm.services, database=other), office.crm.services]
        counts = await asyncio.gather(*(deliver(house, senders, office.crm.clock()) for house in houses))
    finally:
        await other.dispose()
    assert sum(counts) == 12
    assert sorted(int(m.title.split("：")[1]) for m in office.fake.sent) == list(range(12))
    assert {row.attempts for row in await office.deliveries()} == {1}


@pytest.mark.parametrize("crm_dialect", ["postgresql"])  # SQLite has one writer at a time
async def test_what_is_being_claimed_by_another_is_left_to_him(office: Office) -> None:
    await office.tell()
    await office.tell()
    async with office.crm.database.transaction() as session:
        mine = await session.execute(claiming(office.crm.clock(), timedelta(minutes=1), 1))
        assert len(mine.scalars().all()) == 1
        assert await office.deliver() == 1
    assert sorted(row.state for row in await office.deliveries()) == ["SENT", "WAITING"]


async def test_after_a_crash_it_is_sent_again_under_the_same_id_once_the_lease_is_over(
    office: Office,
) -> None:
    office.configure(lease_seconds=60)
    office.fake.troubles = [asyncio.CancelledError()]
    await office.tell()
    with pytest.raises(asyncio.CancelledError):
        await office.deliver()
    office.crm.clock.advance(seconds=58)
    assert await office.deliver() == 0
    office.crm.clock.advance(seconds=5)
    assert await office.deliver() == 1
    first, second = office.fake.sent
    assert first.id == second.id
    row = await office.delivery()
    assert (row.state, row.attempts) == ("SENT", 2)


async def test_what_crashes_its_sender_every_time_is_given_up(office: Office) -> None:
    office.configure(retry_seconds=[1])
    office.fake.troubles = [asyncio.CancelledError() for _ in range(9)]
    await office.tell()
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await office.deliver()
        office.crm.clock.advance(minutes=2)
    await office.deliver()
    assert (await office.delivery()).state == "DEAD"
    assert len(office.fake.sent) == 2


async def test_one_who_comes_back_late_does_not_undo_what_followed(office: Office) -> None:
    """The first holder is overtaken while he sends, fails, and finds the delivery sent by the second."""
    begun, late = asyncio.Event(), asyncio.Event()

    async def stuck(_services: Services, _message: NoticeMessage) -> None:
        begun.set()
        await late.wait()
        raise Unsent("at last", retry=False)

    await office.tell()
    now = office.crm.clock()
    first = asyncio.create_task(deliver(office.crm.services, {"fake": Notifier("fake", "Fake", stuck)}, now))
    await begun.wait()
    office.crm.clock.advance(minutes=2)
    assert await office.deliver() == 1
    late.set()
    await first
    row = await office.delivery()
    assert (row.state, row.attempts, row.last_error) == ("SENT", 2, None)


async def test_no_transaction_is_open_while_something_is_sent(office: Office) -> None:
    """Another writer gets through while a message is on its way, even where there is one writer at a time."""

    async def send(_services: Services, _message: NoticeMessage) -> None:
        async with asyncio.timeout(2):
            await office.tell(about="approval.copied")

    await office.tell()
    await deliver(office.crm.services, {"fake": Notifier("fake", "Fake", send)}, office.crm.clock(), most=1)
    assert sorted(row.state for row in await office.deliveries()) == ["SENT", "WAITING"]


async def test_looking_when_nothing_is_due_takes_one_statement(office: Office) -> None:
    with office.crm.statements() as sent:
        assert await office.deliver() == 0
    assert len([one for one in sent if "notice_deliveries" in one]) == 1


async def test_the_chore_sends_everything_due(office: Office) -> None:
    for _ in range(3):
        await office.tell()
    chore, _ = crm_chores()
    assert chore.run is deliver_due
    await chore.run(office.crm.services)
    left = select(NoticeDelivery.__table__.c.id).where(NoticeDelivery.__table__.c.state != "SENT")
    assert list(await office.crm.database.fetch(left)) == []


async def test_notices_are_removed_when_their_days_are_over(office: Office) -> None:
    await office.tell()
    office.crm.services.clock.advance(days=300)  # type: ignore[attr-defined]  # the kit's clock
    await office.tell()
    assert await forget(office.crm.services) == 0
    office.crm.services.clock.advance(days=66)  # type: ignore[attr-defined]  # the first is 366 days old
    assert await forget(office.crm.services) == 1
    assert len(await office.notices()) == len(await office.deliveries()) == 1
    assert await forget(office.crm.services) == 0
