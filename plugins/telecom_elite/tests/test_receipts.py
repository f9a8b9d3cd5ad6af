"""Fees received: recorded once, corrected by further receipts, refused one by one, counted in a month still open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core import ids
from crm_core.audit.models import AuditEntry
from crm_core.commands import Options
from crm_core.outbox.models import OutboxEvent
from crm_core.work import Work
from crm_telecom_elite.receipts.closing import close_month, first_open, open_month
from crm_telecom_elite.receipts.models import EliteReceipt
from crm_telecom_elite.receipts.testing import BATCH, codes, receipt, record, user
from crm_telecom_elite.testing import Branch

SEEN = "{ eliteReceipts { nodes { number amount billMonth receivedOn earnedOn payMonth user { number } corrects { number } } } }"


async def seen(branch: Branch, number: str) -> dict[str, Any]:
    """A receipt as the finance department sees it."""
    found = (await branch.crm.data(SEEN, branch.finance))["eliteReceipts"]["nodes"]
    return next(one for one in found if one["number"] == number)


async def in_closing(branch: Branch, *, close: str = "", reopen: str = "") -> None:
    """Close a month as a pay run does, or open it again."""
    async with branch.crm.database.transaction() as session:
        work = Work(branch.crm.services, session, branch.hr, Options(line=branch.line))
        work.line = branch.line
        if close:
            await close_month(work, close)
        if reopen:
            await open_month(work, reopen)


# -- recording


@pytest.mark.rule("MO-040", "OT-112")
async def test_what_was_received_is_recorded_to_the_fen(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    given = receipt(one, "123.45", bill="2025-10")
    batch = await record(branch, given, reference="October")
    assert (batch["reference"], batch["source"], batch["state"]) == ("October", "API", "DONE")
    assert (batch["rows"], batch["recorded"], batch["amount"]) == (1, 1, "123.45")
    assert await seen(branch, given["number"]) == {
        "number": given["number"], "amount": "123.45", "billMonth": "2025-10", "receivedOn": "2025-11-03",
        "earnedOn": "2025-11-03", "payMonth": "2025-11", "user": {"number": one["number"]}, "corrects": None,
    }  # fmt: skip


async def test_the_same_receipt_again_changes_nothing(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    given = receipt(one, "10.00")
    await record(branch, given)
    again = await record(branch, given, given)
    assert (again["rows"], again["recorded"], again["known"], again["refused"]) == (2, 0, 2, 0)
    assert again["amount"] == "0.00"
    assert len(await branch.crm.rows(EliteReceipt)) == 1


async def test_the_same_number_with_other_content_is_refused(branch: Branch) -> None:
    one, other = await user(branch, await branch.member()), await user(branch, await branch.member())
    given = receipt(one, "10.00")
    await record(branch, given)
    changes: list[dict[str, Any]] = [
        {"amount": "10.01"}, {"billMonth": "2025-10"}, {"receivedOn": "2025-11-02"}, {"userNumber": other["number"]},
    ]  # fmt: skip
    for change in changes:
        batch = await record(branch, {**given, **change})
        assert (batch["recorded"], batch["known"], batch["refused"]) == (0, 0, 1)
        assert [p["code"] for p in batch["problems"]] == ["TELECOM_ELITE_RECEIPT_DIFFERS"]
    twice = receipt(one, "1.00")
    batch = await record(branch, twice, {**twice, "amount": "2.00"})
    assert (batch["recorded"], batch["refused"], batch["problems"][0]["row"]) == (1, 1, 2)


async def test_a_receipt_of_an_unknown_user_is_refused_alone_and_said_in_both_languages(
    branch: Branch,
) -> None:
    one = await user(branch, await branch.member())
    stranger = {**receipt(one, "5.00"), "userNumber": "nobody"}
    batch = await record(branch, receipt(one, "1.00"), stranger, receipt(one, "2.00"))
    assert (batch["rows"], batch["recorded"], batch["refused"], batch["amount"]) == (3, 2, 1, "3.00")
    assert batch["problems"] == [
        {
            "row": 2,
            "number": stranger["number"],
            "code": "TELECOM_ELITE_RECEIPT_USER_UNKNOWN",
            "params": {"user": "nobody"},
            "en": "No user nobody was developed in this line.",
            "zh": "本业务线没有发展用户 nobody。",
        }
    ]
    (event,) = [e for e in await branch.crm.rows(OutboxEvent) if e.kind == "elite_receipts.recorded"]
    assert event.data == {"recorded_now": 2, "known_now": 0, "refused_now": 1, "amount_now": "3.00"}


async def test_neither_members_nor_managers_record_receipts(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    for actor in (branch.members[0], branch.manager, branch.hr):
        given = {"receipts": [receipt(one, "1.00")]}
        refused = await branch.crm.change("eliteReceiptsRecord", actor, input=given)
        assert codes(refused) == [("FORBIDDEN", None)], actor.name


async def test_the_same_reference_adds_to_its_batch(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    first = await record(branch, receipt(one, "1.00"), reference="monthly")
    second = await record(branch, receipt(one, "2.00"), reference="monthly")
    assert second["id"] == first["id"]
    assert (second["rows"], second["recorded"], second["amount"]) == (2, 2, "3.00")


async def test_a_thousand_receipts_take_as_many_statements_as_one(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    await record(branch, receipt(one, "1.00"))
    sent = []
    for many in (1, 1_000):
        with branch.crm.statements() as statements:
            await record(branch, *(receipt(one, "1.00") for _ in range(many)))
        sent.append(len(statements))
    assert sent[0] == sent[1]


async def test_more_than_the_settings_allow_at_once_are_refused(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    refused = await branch.crm.change(
        "eliteReceiptsRecord",
        branch.finance,
        input={"receipts": [receipt(one, "1.00") for _ in range(1_001)]},
    )
    assert codes(refused) == [("TOO_MANY", "receipts")]


async def test_a_rehearsal_records_nothing(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    given = {"receipts": [receipt(one, "1.00")]}
    dry = await branch.crm.change(
        "eliteReceiptsRecord", branch.finance, input=given, dryRun=True, select=BATCH
    )
    assert dry["eliteReceiptBatch"]["recorded"] == 1
    assert await branch.crm.rows(EliteReceipt) == []


async def test_the_audit_says_who_recorded_them(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    await record(branch, receipt(one, "1.00"))
    (entry,) = [e for e in await branch.crm.rows(AuditEntry) if e.kind == "elite_receipts.record"]
    assert (entry.actor_name, entry.line) == ("elite 郑财务", "elite")


# -- corrections


@pytest.mark.rule("MO-043")
async def test_a_correction_counts_as_what_it_corrects(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    given = receipt(one, "100.00", receivedOn="2025-10-20")
    await record(branch, given)
    back = receipt(one, "-100.00", receivedOn="2025-11-03", corrects=given["number"])
    await record(branch, back)
    found = await seen(branch, back["number"])
    assert (found["earnedOn"], found["payMonth"], found["amount"]) == ("2025-10-20", "2025-11", "-100.00")
    assert found["corrects"] == {"number": given["number"]}


async def test_a_correction_may_stand_before_what_it_corrects_and_be_corrected_itself(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    given = receipt(one, "100.00", receivedOn="2025-10-20")
    back = receipt(one, "-100.00", corrects=given["number"])
    anew = receipt(one, "80.00", corrects=back["number"])
    batch = await record(branch, anew, back, given)
    assert (batch["recorded"], batch["amount"]) == (3, "80.00")
    rows = await branch.crm.rows(EliteReceipt)
    assert {row.earned_on.isoformat() for row in rows} == {"2025-10-20"}
    again = await record(branch, given, back, anew)
    assert (again["recorded"], again["known"]) == (0, 3)


async def test_a_correction_of_nothing_or_of_something_else_is_refused(branch: Branch) -> None:
    one, other = await user(branch, await branch.member()), await user(branch, await branch.member())
    given = receipt(one, "100.00")
    await record(branch, given)
    wrong = [
        receipt(one, "-1.00", corrects="nothing"),
        receipt(other, "-1.00", corrects=given["number"]),
        receipt(one, "-1.00", bill="2025-10", corrects=given["number"]),
        {**receipt(one, "-1.00"), "number": "self", "corrects": "self"},
    ]
    batch = await record(branch, *wrong)
    assert [(p["row"], p["code"]) for p in batch["problems"]] == [
        (1, "TELECOM_ELITE_CORRECTED_UNKNOWN"), (2, "TELECOM_ELITE_CORRECTS_OTHER"),
        (3, "TELECOM_ELITE_CORRECTS_OTHER"), (4, "TELECOM_ELITE_CORRECTED_UNKNOWN"),
    ]  # fmt: skip


# -- which month's pay counts it


async def test_a_receipt_of_a_closed_month_is_counted_in_the_next(branch: Branch) -> None:
    one = await user(branch, await branch.member(), activatedOn="2025-09-10")
    await in_closing(branch, close="2025-10")
    late, older, fresh = (
        receipt(one, "1.00", receivedOn=day) for day in ("2025-10-31", "2025-09-01", "2025-12-01")
    )
    await record(branch, late, older, fresh)
    months = [(await seen(branch, given["number"]))["payMonth"] for given in (late, older, fresh)]
    assert months == ["2025-11", "2025-11", "2025-12"]


async def test_a_month_opened_again_takes_receipts_and_leaves_those_that_came_meanwhile(
    branch: Branch,
) -> None:
    one = await user(branch, await branch.member())
    await in_closing(branch, close="2025-11")
    await in_closing(branch, close="2025-11")
    meanwhile = receipt(one, "1.00")
    await record(branch, meanwhile)
    await in_closing(branch, reopen="2025-11")
    now = receipt(one, "1.00")
    await record(branch, now)
    assert (await seen(branch, meanwhile["number"]))["payMonth"] == "2025-12"
    assert (await seen(branch, now["number"]))["payMonth"] == "2025-11"


@pytest.mark.parametrize("crm_dialect", ["postgresql"], indirect=True)
async def test_a_month_is_closed_when_the_receipts_being_recorded_are_in(branch: Branch) -> None:
    crm, told = branch.crm, []

    async def recording(may_commit: asyncio.Event, begun: asyncio.Event) -> None:
        async with crm.database.transaction() as session:
            work = Work(crm.services, session, branch.hr, Options(line=branch.line))
            work.line = branch.line
            assert await first_open(work) is None
            begun.set()
            await may_commit.wait()
            told.append("recorded")

    async def closing() -> None:
        await in_closing(branch, close="2025-11")
        told.append("closed")

    may_commit, begun = asyncio.Event(), asyncio.Event()
    writer = asyncio.create_task(recording(may_commit, begun))
    await begun.wait()
    closer = asyncio.create_task(closing())
    done, _ = await asyncio.wait([closer], timeout=0.3)
    assert not done
    may_commit.set()
    await asyncio.gather(writer, closer)
    assert told == ["recorded", "closed"]


@pytest.mark.rule("MO-043", "MO-044")
async def test_users_change_hands_from_the_first_open_month_on_however_many_at_once(branch: Branch) -> None:
    first, second = await branch.member(), await branch.member()
    one = await user(branch, first)
    await in_closing(branch, close="2025-10")
    to_second = {"memberId": second, "validFrom": "2025-10-31"}
    for mutation, whom in (
        ("eliteUserAssign", {"id": one["id"]}),
        ("eliteUserAssignMany", {"ids": [one["id"]]}),
        ("eliteUserHandOver", {"id": first}),
    ):
        refused = await branch.crm.change(mutation, branch.centre, input={**whom, **to_second})
        assert codes(refused) == [("TELECOM_ELITE_MONTH_SETTLED", "validFrom")], mutation
    allowed = {"id": first, **to_second, "validFrom": "2025-11-01"}
    await branch.crm.done("eliteUserHandOver", branch.centre, input=allowed)


# -- who sees what


async def test_a_member_sees_what_his_users_paid_and_no_batches(branch: Branch) -> None:
    mine, mates = await branch.member(user=branch.members[0]), await branch.member(user=branch.members[1])
    theirs = await branch.member(team=branch.regional, user=branch.members[2], post="customer_manager")
    paid = {}
    for name, member in (("a", mine), ("b", mates), ("c", theirs)):
        paid[name] = receipt(await user(branch, member), "1.00")
    batch = await record(branch, *paid.values())
    asked = "{ eliteReceipts { nodes { number } } eliteReceiptBatches { nodes { id } } eliteUsers { nodes { receipts { nodes { number } } } } }"
    for actor, names, batches in (
        (branch.members[0], "a", []), (branch.members[2], "c", []), (branch.manager, "ab", []),
        (branch.finance, "abc", [batch["id"]]), (branch.centre, "abc", [batch["id"]]),
    ):  # fmt: skip
        found = await branch.crm.data(asked, actor)
        expected = {paid[name]["number"] for name in names}
        assert {one["number"] for one in found["eliteReceipts"]["nodes"]} == expected, actor.name
        nested = {r["number"] for u in found["eliteUsers"]["nodes"] for r in u["receipts"]["nodes"]}
        assert nested == expected
        assert [one["id"] for one in found["eliteReceiptBatches"]["nodes"]] == batches
    key = ids.show("erc", (await branch.crm.rows(EliteReceipt))[2].id)
    one = "query($id: ID!) { eliteReceipt(id: $id) { number } }"
    assert (await branch.crm.data(one, branch.members[0], id=key))["eliteReceipt"] is None
