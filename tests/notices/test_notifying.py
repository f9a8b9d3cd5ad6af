"""Writing notices with the change they are about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm_core.actors import Reach
from crm_core.commands import Options
from crm_core.errors import Fault
from crm_core.notices.notifying import notify
from crm_core.work import Work
from tests.notices.conftest import FACTS, Office


async def test_a_notice_is_written_with_the_change_and_sent_only_afterwards(office: Office) -> None:
    await office.tell(path="/approvals/1")
    (notice,) = await office.notices()
    assert (notice.user_id, notice.kind, notice.line) == (office.ann.user_id, "approval.asked", "east")
    assert (notice.facts, notice.path, notice.subject_type) == (FACTS, "/approvals/1", "User")
    delivery = await office.delivery()
    assert (delivery.channel, delivery.address) == ("fake", "ann@example.com")
    assert (delivery.state, delivery.attempts, delivery.next_at) == ("WAITING", 0, office.crm.clock())
    assert office.fake.sent == []


async def test_a_change_that_fails_tells_nobody(office: Office) -> None:
    with pytest.raises(RuntimeError):
        await office.tell(then_fail=True)
    with pytest.raises(RuntimeError):
        await office.tell(then_fail=True, dedupe="once")
    assert (await office.notices(), await office.deliveries()) == ([], [])
    assert await office.deliver() == 0


async def test_a_dry_run_tells_nobody(office: Office) -> None:
    body = {"to": [office.ann.user_id]}
    outcome = await office.crm.perform("test.tell", body, dry_run=True)
    assert not outcome.errors
    assert await office.notices() == []


async def test_under_one_key_each_user_is_told_once(office: Office) -> None:
    bob = await office.person("bob")
    await office.tell(dedupe="reminder 1")
    await office.tell(office.ann, bob, dedupe="reminder 1")
    await office.tell(dedupe="reminder 2")
    told = [row.user_id for row in await office.notices()]
    assert told == [office.ann.user_id, bob.user_id, office.ann.user_id]
    assert len(await office.deliveries()) == 3


async def test_without_a_key_the_same_is_told_again_but_each_user_once(office: Office) -> None:
    await office.tell(office.ann, office.ann)
    await office.tell()
    assert len(await office.notices()) == 2


async def test_a_disabled_user_is_told_nothing(office: Office) -> None:
    await office.crm.perform("user.update", {"id": office.ann.user_id, "disabled": True})
    await office.tell()
    assert await office.notices() == []


async def test_a_kind_nobody_declared_is_a_fault(office: Office) -> None:
    with pytest.raises(Fault, match="no\\.such"):
        await office.tell(about="no.such")


async def test_many_are_told_in_a_fixed_number_of_statements(office: Office) -> None:
    people = [await office.person(f"p{n}") for n in range(6)]
    counts = []
    for some in (people[:2], people):
        with office.crm.statements() as sent:
            await office.tell(*some)
        counts.append(len(sent))
    assert counts[0] == counts[1]


# -- preferences


async def test_without_a_preference_the_companys_default_holds(office: Office) -> None:
    office.configure(channels=["fake"], kinds=["approval.d*"])
    await office.tell(about="approval.asked")
    assert await office.deliveries() == []
    await office.tell(about="approval.decided")
    assert len(await office.deliveries()) == 1
    assert len(await office.notices()) == 2


async def test_a_preference_chooses_kinds_language_and_address(office: Office) -> None:
    done = await office.prefer(
        kinds=["approval.asked", "approval.u*"], language="en", address="ann@home.example"
    )
    assert done["userErrors"] == []
    for about in ("approval.asked", "approval.urged", "approval.decided"):
        await office.tell(about=about)
    rows = await office.deliveries()
    assert {(row.address, row.language) for row in rows} == {("ann@home.example", "en")}
    assert len(rows) == 2


async def test_who_switched_a_channel_off_still_finds_his_notices(office: Office) -> None:
    await office.prefer(enabled=False)
    await office.tell()
    assert await office.deliveries() == []
    assert len(await office.notices()) == 1


async def test_a_channel_off_by_default_can_be_switched_on(office: Office) -> None:
    office.configure(channels=[])
    await office.tell()
    await office.prefer()
    await office.tell()
    assert len(await office.deliveries()) == 1


# -- quiet hours


async def test_in_quiet_hours_a_delivery_waits_for_their_end_in_the_lines_zone(office: Office) -> None:
    await office.prefer(quietFrom="22:00", quietTo="07:30")
    office.crm.clock.now = datetime(2025, 11, 3, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
    await office.tell()
    delivery = await office.delivery()
    assert delivery.next_at == datetime(2025, 11, 3, 23, 30, tzinfo=UTC)
    assert await office.deliver() == 0
    office.crm.clock.now = delivery.next_at
    assert await office.deliver() == 1


async def test_what_is_urgent_is_sent_in_quiet_hours_too(office: Office) -> None:
    await office.prefer(quietFrom="22:00", quietTo="07:30")
    office.crm.clock.now = datetime(2025, 11, 3, 15, 0, tzinfo=UTC)
    await office.tell(urgent=True)
    assert await office.deliver() == 1
    assert office.fake.sent[0].urgent


async def test_a_notice_of_no_line_has_the_quiet_hours_of_the_company(office: Office) -> None:
    office.configure(time_zone="Europe/Berlin")
    await office.prefer(quietFrom="15:00", quietTo="17:00")
    office.crm.clock.now = datetime(2025, 11, 3, 15, 0, tzinfo=UTC)  # 16:00 in Berlin
    await office.tell(line=None)
    assert (await office.delivery()).next_at == office.crm.clock() + timedelta(hours=1)


async def test_nothing_is_written_where_a_work_is_undone(office: Office) -> None:
    with pytest.raises(ValueError, match="undone after 1"):
        await _undone(office)
    assert await office.notices() == []


async def _undone(office: Office) -> None:
    crm = office.crm
    assert office.ann.user_id is not None
    async with crm.database.transaction() as session:
        work = Work(crm.services, session, crm.administrator, Options())
        written = await notify(work, [office.ann.user_id], "approval.asked", FACTS)
        raise ValueError(f"undone after {len(written)}")


async def test_everybody_seeded_may_read_his_notices(office: Office) -> None:
    roles = office.crm.services.registry.roles
    lacking = [r.name for r in roles.values() if not {"*", "notice.self"} & set(r.scopes)]
    assert lacking == []
    assert roles["line_manager"].scopes["notice.admin"] == Reach.LINE
