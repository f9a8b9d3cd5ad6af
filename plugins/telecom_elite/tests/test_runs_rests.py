"""What a pay run leaves: a former member's negative rest, and commission that nobody of a team can take."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core import ids
from crm_core.approvals.models import Approval
from crm_core.outbox.models import OutboxEvent
from crm_telecom_elite.runs.models import ElitePool, EliteWriteOff
from crm_telecom_elite.testing_pay import MONTH, Pay
from crm_telecom_elite.users.models import EliteUser

TOTALS = ("total", "payable", "carriedOver")


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(error["code"].removeprefix("TELECOM_ELITE_"), error["field"]) for error in payload["userErrors"]]


async def left(pay: Pay, member: str, on: str = "2025-09-30") -> None:
    gone = {"id": member, "endedOn": on, "cause": "RESIGNED", "decision": "本人辞职"}
    await pay.branch.act("Terminate", **gone)


# -- a former member's negative rest


async def taken_back(pay: Pay, receipt: str, on: str = "2025-10-10") -> None:
    """The fees of September that a receipt recorded go back."""
    number = next(row.number for row in await pay.branch.crm.rows(EliteUser))
    back = {"corrects": receipt, "billMonth": "2025-09", "user": number}
    await pay.fees(pay.first, "-500000.00", on, **back)


async def owing(pay: Pay) -> str:
    """The closed run of October, in which all that a member who left had been paid goes back."""
    received = await pay.fees(pay.first, "500000.00", "2025-09-10")
    await pay.divided({pay.first: "100"}, month="2025-09")
    await pay.closed("2025-09")
    await left(pay, pay.first)
    await taken_back(pay, received)
    return await pay.closed()


async def asked(pay: Pay, run: str, member: str, by: Any = None, **more: Any) -> dict[str, Any]:
    """The outcome of asking that a rest be written off; by finance unless named."""
    given_ = {"id": await pay.statement(run, member), "reason": "已离职，无法追回", **more}
    selected = "eliteWriteOff { id amount } approval { id state diff }"
    mutation, actor = "elitePayWriteOff", by or pay.branch.finance
    return await pay.branch.crm.change(mutation, actor, input=given_, acting="elite", select=selected)


async def signed(pay: Pay, by: Any = None, verb: str = "Approve") -> str:
    latest = max((row.id for row in await pay.branch.crm.rows(Approval)), key=lambda key: key.bytes)
    payload = await pay.branch.crm.done(
        f"approval{verb}",
        by or pay.branch.leader,
        input={"id": ids.show("apr", latest), **({"comment": "不同意"} if verb == "Reject" else {})},
        select="approval { state }",
    )
    state: str = payload["approval"]["state"]
    return state


async def sums(pay: Pay, run: str, member: str) -> tuple[str, ...]:
    statement = (await pay.statements(run))[member]
    return tuple(statement[name] for name in TOTALS)


@pytest.mark.rule("MO-C13")
async def test_a_former_members_rest_ends_by_a_decision_that_the_leader_signed(pay: Pay) -> None:
    october = await owing(pay)
    assert await sums(pay, october, pay.first) == ("-20000.00", "0.00", "-20000.00")
    held = await asked(pay, october, pay.first)
    assert held["userErrors"] == []
    assert held["eliteWriteOff"] is None
    assert held["approval"]["state"] == "PENDING"
    assert {line["field"]: line["after"] for line in held["approval"]["diff"]}["amount"] == 2_000_000
    assert await pay.branch.crm.rows(EliteWriteOff) == [], "nothing before the signature"
    assert await signed(pay) == "APPROVED"
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.first) == {"CARRIED_OVER": "-20000.00", "WRITTEN_OFF": "20000.00"}
    assert await sums(pay, november, pay.first) == ("0.00", "0.00", "0.00")
    lines = [one for one in await pay.lines(november) if one["kind"] == "WRITTEN_OFF"]
    assert [(one["rule"], one["derivation"][0]["inputs"]) for one in lines] == [
        ("MO-C13", {"rest": "-20000.00"})
    ]
    pay.branch.crm.clock.advance(days=20)
    await pay.finish(november)
    assert (await pay.run(november))["reproducible"] is True
    pay.branch.crm.clock.advance(days=20)
    december = await pay.computed("2025-12")
    assert pay.first not in await pay.statements(december), "it is not carried on"


@pytest.mark.rule("MO-C13")
async def test_without_a_decision_the_rest_is_carried_from_run_to_run(pay: Pay) -> None:
    await owing(pay)
    november = await pay.computed("2025-11")
    assert await sums(pay, november, pay.first) == ("-20000.00", "0.00", "-20000.00")


@pytest.mark.rule("MO-C13")
async def test_a_decision_is_on_record_and_announced_and_made_once(pay: Pay) -> None:
    october = await owing(pay)
    assert (await asked(pay, october, pay.first))["userErrors"] == []
    await signed(pay)
    text = """{ eliteWriteOffs { nodes { amount reason askedBy { name } member { id }
        statement { carriedOver writeOff { amount } run { month } } } } }"""
    seen = (await pay.branch.crm.data(text, pay.branch.finance))["eliteWriteOffs"]["nodes"]
    assert seen == [
        {
            "amount": "20000.00", "reason": "已离职，无法追回", "askedBy": {"name": "elite 郑财务"},
            "member": {"id": pay.first},
            "statement": {
                "carriedOver": "-20000.00", "writeOff": {"amount": "20000.00"}, "run": {"month": MONTH},
            },
        }
    ]  # fmt: skip
    for blind in (pay.branch.members[1], pay.branch.manager):
        assert (await pay.branch.crm.data(text, blind))["eliteWriteOffs"]["nodes"] == []
    events = [row for row in await pay.branch.crm.rows(OutboxEvent) if row.kind == "elite_pay.written_off"]
    assert len(events) == 1
    assert codes(await asked(pay, october, pay.first)) == [("WRITTEN_OFF", "id")]


@pytest.mark.rule("MO-C13")
async def test_what_the_leader_refuses_is_carried_on(pay: Pay) -> None:
    october = await owing(pay)
    await asked(pay, october, pay.first)
    assert await signed(pay, verb="Reject") == "REJECTED"
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.first) == {"CARRIED_OVER": "-20000.00"}


@pytest.mark.rule("MO-C13")
async def test_only_finance_asks_and_only_for_a_rest_that_nothing_is_set_off_against(pay: Pay) -> None:
    october = await owing(pay)
    for other in (pay.branch.hr, pay.branch.leader, pay.branch.centre, pay.branch.manager):
        assert codes(
            await pay.branch.crm.change(
                "elitePayWriteOff",
                other,
                input={"id": await pay.statement(october, pay.first), "reason": "x"},
            )
        )[0][0] in {"FORBIDDEN", "NOT_FOUND"}
    assert codes(await asked(pay, october, pay.first, reason="  ")) == [
        ("INVALID_STRING_TOO_SHORT", "reason")
    ]
    assert codes(await asked(pay, october, pay.second)) == [("NO_REST", "id")]


@pytest.mark.rule("MO-C13")
async def test_the_rest_of_who_is_paid_on_is_set_off_not_written_off(pay: Pay) -> None:
    received = await pay.fees(pay.first, "500000.00", "2025-09-10")
    await pay.divided({pay.first: "100"}, month="2025-09")
    await pay.closed("2025-09")
    await taken_back(pay, received)
    run = await pay.computed()
    assert codes(await asked(pay, run, pay.first)) == [("RUN_NOT_CLOSED", "id")]
    await pay.finish(run)
    assert codes(await asked(pay, run, pay.first)) == [("STILL_PAID", "id")]
    await left(pay, pay.first, "2025-11-01")
    assert codes(await asked(pay, run, pay.first)) == [("STILL_PAID", "id")], "a day of November is paid"


@pytest.mark.rule("MO-C13")
async def test_a_rest_that_went_on_to_a_reviewed_run_is_written_off_there(pay: Pay) -> None:
    october = await owing(pay)
    november = await pay.computed("2025-11")
    pay.branch.crm.clock.advance(days=25)
    await pay.done("Review", november)
    assert codes(await asked(pay, october, pay.first)) == [("REST_GONE_ON", "id")]
    await pay.done("Reopen", november, why="核销余额")
    assert codes(await asked(pay, october, pay.first)) == []
    await signed(pay)
    assert codes(await pay.act("Review", november)) == [("ILLEGAL_MOVE", "id")]
    await pay.compute(november)
    assert await sums(pay, november, pay.first) == ("0.00", "0.00", "0.00")


@pytest.mark.rule("MO-C13")
async def test_who_left_within_the_month_of_his_rest_is_paid_by_no_later_run(pay: Pay) -> None:
    received = await pay.fees(pay.first, "500000.00", "2025-09-10")
    await pay.divided({pay.first: "100"}, month="2025-09")
    await pay.closed("2025-09")
    await left(pay, pay.first, "2025-10-31")
    await taken_back(pay, received)
    run = await pay.closed()
    assert await sums(pay, run, pay.first) == ("-15200.00", "0.00", "-15200.00")
    assert codes(await asked(pay, run, pay.first)) == []


@pytest.mark.rule("MO-C13")
async def test_a_rest_that_went_on_to_a_closed_run_is_written_off_there_alone(pay: Pay) -> None:
    october = await owing(pay)
    november = await pay.computed("2025-11")
    pay.branch.crm.clock.advance(days=25)
    await pay.finish(november)
    assert codes(await asked(pay, october, pay.first)) == [("REST_GONE_ON", "id")]
    assert codes(await asked(pay, november, pay.first)) == []
    await signed(pay)
    pay.branch.crm.clock.advance(days=25)
    december = await pay.computed("2025-12")
    assert await pay.paid(december, pay.first) == {"CARRIED_OVER": "-20000.00", "WRITTEN_OFF": "20000.00"}


@pytest.mark.rule("MO-C13")
async def test_a_signature_that_comes_once_the_rest_went_on_writes_nothing_off(pay: Pay) -> None:
    october = await owing(pay)
    november = await pay.computed("2025-11")
    pay.branch.crm.clock.advance(days=25)
    assert codes(await asked(pay, october, pay.first)) == []
    await pay.done("Review", november)
    assert await signed(pay) == "CONFLICT"
    (held,) = (row for row in await pay.branch.crm.rows(Approval) if row.kind == "elite_pay.write_off")
    assert [(one["code"], one["field"]) for one in held.reasons] == [("TELECOM_ELITE_REST_GONE_ON", "id")]
    assert await pay.branch.crm.rows(EliteWriteOff) == []
    assert "elite_pay.written_off" not in {row.kind for row in await pay.branch.crm.rows(OutboxEvent)}
    assert await sums(pay, november, pay.first) == ("-20000.00", "0.00", "-20000.00")


@pytest.mark.rule("MO-C13")
async def test_a_later_rest_is_not_written_off_by_the_decision_on_an_earlier_one(pay: Pay) -> None:
    one = await pay.fees(pay.first, "500000.00", "2025-09-10")
    number = next(row.number for row in await pay.branch.crm.rows(EliteUser))
    other = await pay.fees(pay.first, "500000.00", "2025-09-11", number)
    await pay.divided({pay.first: "100"}, month="2025-09")
    await pay.closed("2025-09")
    await left(pay, pay.first)
    await taken_back(pay, one)
    october = await pay.closed()
    await asked(pay, october, pay.first)
    assert await signed(pay) == "APPROVED"
    await taken_back(pay, other, "2025-11-01")
    november = await pay.computed("2025-11")
    assert await sums(pay, november, pay.first) == ("-20000.00", "0.00", "-20000.00")
    pay.branch.crm.clock.advance(days=25)
    await pay.finish(november)
    pay.branch.crm.clock.advance(days=25)
    december = await pay.computed("2025-12")
    assert await pay.paid(december, pay.first) == {"CARRIED_OVER": "-20000.00"}
    assert codes(await asked(pay, november, pay.first)) == []


async def test_a_run_computed_before_a_decision_is_computed_again(pay: Pay) -> None:
    october = await owing(pay)
    november = await pay.computed("2025-11")
    await asked(pay, october, pay.first)
    await signed(pay)
    pay.branch.crm.clock.advance(days=25)
    assert codes(await pay.act("Review", november)) == [("RUN_STALE", "id")]


@pytest.mark.rule("MO-C13")
@pytest.mark.parametrize(
    ("late", "adjustment", "written_off", "totals"),
    [
        ("600000.00", "24000.00", None, ("4000.00", "4000.00", "0.00")),
        ("10000.00", "400.00", "19600.00", ("0.00", "0.00", "0.00")),
    ],
)
async def test_what_a_leaver_is_due_later_is_set_off_before_the_rest_is_written_off(
    pay: Pay, late: str, adjustment: str, written_off: str | None, totals: tuple[str, ...]
) -> None:
    october = await owing(pay)
    await asked(pay, october, pay.first)
    await signed(pay)
    await pay.fees(pay.first, late, "2025-09-12")
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.first) == {
        "ADJUSTMENT 2025-09": adjustment,
        "CARRIED_OVER": "-20000.00",
        **({"WRITTEN_OFF": written_off} if written_off else {}),
    }
    assert await sums(pay, november, pay.first) == totals
    assert (await pay.run(november))["problems"] == []


# -- commission that nobody can take


async def deserted(pay: Pay) -> str:
    """The number of a user of the regional team, whose only member left; it goes on paying."""
    number = await pay.user(pay.third)
    await left(pay, pay.third)
    return number


@pytest.mark.rule("MO-044")
async def test_commission_of_a_team_without_anybody_waits_and_stops_no_run(pay: Pay) -> None:
    number = await deserted(pay)
    await pay.fees(pay.third, "10000.00", user=number)
    run = await pay.computed()
    (problem,) = (await pay.run(run))["problems"]
    assert (problem["code"], problem["blocks"], problem["rule"]) == ("NOBODY_ON_COMMISSION", False, "MO-044")
    await pay.finish(run)
    text = "{ elitePools { nodes { team { id } pool broughtIn leftOver derivation } } }"
    seen = (await pay.branch.crm.data(text, pay.branch.hr))["elitePools"]["nodes"]
    pool = next(one for one in seen if one["team"]["id"] == pay.branch.regional)
    assert (pool["pool"], pool["broughtIn"], pool["leftOver"]) == ("360.00", "0.00", "360.00")
    assert pool["derivation"][-1]["value"] == "360.00"
    assert (await pay.run(run))["reproducible"] is True


@pytest.mark.rule("MO-044")
async def test_who_comes_to_the_team_takes_what_was_left_over(pay: Pay) -> None:
    number = await deserted(pay)
    await pay.fees(pay.third, "10000.00", user=number)
    await pay.closed()
    given_ = {"id": pay.second, "teamId": pay.branch.regional, "validFrom": "2025-11-10"}
    step = await pay.branch.step("REGIONAL", "营销经理", "A")
    await pay.branch.act("Transfer", **given_, stepId=step)
    await pay.fees(pay.third, "5000.00", "2025-11-12", user=number)
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert [one["code"] for one in (await pay.run(november))["problems"]] == ["NO_DISTRIBUTION"]
    await pay.divided(
        {pay.second: "100"}, by=pay.branch.regional_leader, team=pay.branch.regional, month="2025-11"
    )
    await pay.compute(november)
    lines = [one for one in await pay.lines(november) if one["member"]["id"] == pay.second]
    found = {(one["kind"], one["about"]): one["amount"] for one in lines if one["rule"] == "MO-044"}
    assert found == {("COMMISSION", None): "180.00", ("ADJUSTMENT", MONTH): "360.00"}
    await pay.finish(november)
    assert (await pay.run(november))["reproducible"] is True
    pools = {(row.run_id, row.elite_team_id): row for row in await pay.branch.crm.rows(ElitePool)}
    row = pools[ids.read(november)[1], ids.read(pay.branch.regional)[1]]
    assert (row.pool, row.brought_in, row.left_over) == (18_000, 36_000, 0)


@pytest.mark.rule("MO-044")
async def test_what_is_left_over_waits_on_and_is_reduced_by_what_goes_back(pay: Pay) -> None:
    number = await deserted(pay)
    received = await pay.fees(pay.third, "10000.00", user=number)
    await pay.closed()
    back = {"corrects": received, "billMonth": MONTH, "user": number}
    await pay.fees(pay.third, "-4000.00", "2025-11-05", **back)
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    text = "query($id: ID!) { eliteRun(id: $id) { pools { nodes { team { id } pool broughtIn leftOver } } } }"
    pools = (await pay.branch.crm.data(text, pay.branch.hr, id=november))["eliteRun"]["pools"]["nodes"]
    assert [one for one in pools if one["team"]["id"] == pay.branch.regional] == [
        {"team": {"id": pay.branch.regional}, "pool": "-144.00", "broughtIn": "360.00", "leftOver": "216.00"}
    ]


@pytest.mark.rule("MO-044")
async def test_a_division_signed_before_everybody_was_gone_divides_nothing(pay: Pay) -> None:
    number = await pay.user(pay.third)
    await pay.fees(pay.third, "10000.00", user=number)
    await pay.divided({pay.third: "100"}, by=pay.branch.regional_leader, team=pay.branch.regional)
    await left(pay, pay.third)
    run = await pay.closed()
    assert await pay.paid(run, pay.third) == {}
    await pay.fees(pay.third, "1000.00", user=number)  # late, for the closed month
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.third) == {}
    assert [one["code"] for one in (await pay.run(november))["problems"]] == ["NOBODY_ON_COMMISSION"]


@pytest.mark.rule("MO-044")
async def test_late_fees_of_a_month_that_was_divided_go_to_whoever_shared_in_it(pay: Pay) -> None:
    number = await pay.user(pay.third)
    await pay.fees(pay.third, "10000.00", user=number)
    await pay.divided({pay.third: "100"}, by=pay.branch.regional_leader, team=pay.branch.regional)
    await pay.closed()
    await left(pay, pay.third, "2025-10-31")
    await pay.fees(pay.third, "1000.00", user=number)
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.third) == {f"ADJUSTMENT {MONTH}": "36.00"}


@pytest.mark.rule("MO-044")
async def test_who_left_before_the_month_is_named_as_taking_no_share_of_what_was_left_over(pay: Pay) -> None:
    number = await deserted(pay)
    await pay.fees(pay.third, "10000.00", user=number)
    await pay.closed()
    step = await pay.branch.step("REGIONAL", "营销经理", "A")
    for member in (pay.first, pay.second):
        moved = {"id": member, "teamId": pay.branch.regional, "validFrom": "2025-11-01", "stepId": step}
        await pay.branch.act("Transfer", **moved)
    half = {pay.first: "50", pay.second: "50"}
    await pay.divided(half, by=pay.branch.regional_leader, team=pay.branch.regional, month="2025-11")
    await left(pay, pay.first, "2025-10-31")
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    found = await pay.run(november)
    assert found["state"] == "COMPUTED"
    assert [one["code"] for one in found["problems"]] == ["TAKES_NO_SHARE"]
