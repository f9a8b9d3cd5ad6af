"""Pay runs through the API: computed, reviewed, confirmed, approved, closed, and never changed after."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, update

from crm_core import ids
from crm_core.chores import run_due
from crm_core.jobs.claims import reap
from crm_core.jobs.running import Runner, work_off
from crm_core.outbox.models import OutboxEvent
from crm_core.papers import find
from crm_core.testing.kit import Kit
from crm_telecom_elite.runs.commands import OfRun
from crm_telecom_elite.runs.computing import run as compute_job
from crm_telecom_elite.runs.filing import file_statements
from crm_telecom_elite.runs.models import ElitePayLine, EliteRunInput, EliteStatementFile
from crm_telecom_elite.testing_pay import MONTH, Pay
from crm_telecom_elite.users.models import EliteUser


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


# -- a run from one end to the other


@pytest.mark.rule("MO-034", "MO-040", "MO-041", "MO-043", "MO-044", "MO-050", "OT-112", "OT-113", "OT-116")
async def test_a_run_pays_salaries_commission_and_allowances(pay: Pay) -> None:
    await pay.fees(pay.first, "10000.00")
    await pay.fees(pay.third, "10000.00")
    await pay.divided({pay.first: "50", pay.second: "30", pay.manager: "20"})
    await pay.divided({pay.third: "100"}, by=pay.branch.regional_leader, team=pay.branch.regional)
    run = await pay.computed()
    assert await pay.paid(run, pay.first) == {"SALARY": "4800.00", "COMMISSION": "200.00"}
    assert await pay.paid(run, pay.second) == {"SALARY": "4800.00", "COMMISSION": "120.00"}
    assert await pay.paid(run, pay.third) == {"SALARY": "4800.00", "COMMISSION": "360.00"}
    assert await pay.paid(run, pay.manager) == {
        "SALARY": "4800.00",
        "COMMISSION": "80.00",
        "MANAGER_ALLOWANCE": "1000.00",
    }
    found = await pay.run(run)
    assert (found["state"], found["total"], found["members"], found["problems"]) == (
        "COMPUTED",
        "20960.00",
        4,
        [],
    )


async def test_every_line_says_how_it_came_about(pay: Pay) -> None:
    await pay.fees(pay.first, "10000.00")
    await pay.divided({pay.first: "100"})
    run = await pay.computed()
    line = next(one for one in await pay.lines(run) if one["kind"] == "COMMISSION")
    pool, share = line["derivation"]
    assert (pool["rule"], pool["value"]) == ("MO-043", "400.00")
    assert share["formula"] == "pool × weight × factor ÷ Σ (weight × factor)"
    assert share["inputs"]["weight"] == "100.0000" or share["inputs"]["weight"] == "100"
    assert share["labelZh"] == "个人份额"
    assert share["rounding"].startswith("half-up")


async def test_lines_are_found_by_what_they_are_for_and_named_in_both_languages(pay: Pay) -> None:
    await pay.computed()
    text = """{ elitePayLines(where: {kind: {eq: MANAGER_ALLOWANCE}}) { nodes { label labelZh amount rule
        member { id } team { id } run { month } } } }"""
    data = await pay.branch.crm.data(text, pay.branch.hr)
    assert data["elitePayLines"]["nodes"] == [
        {
            "label": "Post allowance",
            "labelZh": "职务补贴",
            "amount": "1000.00",
            "rule": "MO-050",
            "member": {"id": pay.manager},
            "team": {"id": pay.branch.hq},
            "run": {"month": MONTH},
        }
    ]


@pytest.mark.rule("MO-051", "OT-119")
async def test_a_team_whose_cars_are_not_guaranteed_gets_car_money_by_days(pay: Pay) -> None:
    given = {"id": pay.branch.hq, "validFrom": "2025-10-17", "guaranteed": False}
    await pay.branch.crm.done("eliteTeamSetCars", pay.branch.centre, input=given)
    run = await pay.computed()
    cars = [one["amount"] for one in await pay.lines(run) if one["kind"] == "CAR_ALLOWANCE"]
    assert sorted(cars) == ["806.45", "806.45", "806.45"]  # 5,000 × 15/31 = 2,419.35


@pytest.mark.rule("MO-032", "MO-033", "MO-037", "OT-111", "OT-115")
async def test_a_recruit_moves_from_package_1_to_package_2_in_his_seventh_month(pay: Pay) -> None:
    recruit = await pay.branch.member(entered_on="2025-05-01")
    given = {
        "teamId": pay.branch.hq,
        "memberId": recruit,
        "month": MONTH,
        "factor": "1.1",
        "reason": "十月绩效",
    }
    await pay.branch.crm.done("eliteBonusFactorSet", pay.branch.hr, input=given, acting="elite")
    run = await pay.computed()
    assert await pay.paid(run, recruit) == {"SALARY": "4800.00", "BONUS": "1980.00"}
    await pay.finish(run)
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert await pay.paid(november, recruit) == {"SALARY": "4800.00"}


@pytest.mark.rule("MO-036", "OT-115")
async def test_a_transferee_gets_his_original_pay_raised(pay: Pay) -> None:
    transferee = await pay.branch.member(origin="TRANSFEREE", entered_on="2025-08-01")
    await pay.fees(transferee, "10000.00")
    run = await pay.computed()
    assert await pay.paid(run, transferee) == {"SALARY": "8400.00"}
    pools = await pay.branch.crm.data("{ elitePools { nodes { received base pool } } }", pay.branch.hr)
    assert {"received": "10000.00", "base": "0.00", "pool": "0.00"} in pools["elitePools"]["nodes"]


@pytest.mark.rule("MO-040", "MO-041")
async def test_a_rate_that_changes_in_mid_month_is_applied_by_date_and_shown(pay: Pay) -> None:
    rate = {"name": "commission_rate", "teamKind": "HQ", "validFrom": "2025-10-16", "value": "0.05"}
    await pay.branch.crm.done("eliteRateSet", pay.branch.hr, input=rate, acting="elite")
    await pay.fees(pay.first, "10000.00", "2025-10-15")
    await pay.fees(pay.first, "10000.00", "2025-10-16")
    await pay.divided({pay.first: "100"})
    run = await pay.computed()
    assert (await pay.paid(run, pay.first))["COMMISSION"] == "900.00"
    pools = await pay.branch.crm.data("{ elitePools { nodes { pool derivation } } }", pay.branch.hr)
    steps = next(p["derivation"] for p in pools["elitePools"]["nodes"] if p["pool"] == "900.00")
    rates = [(s["inputs"].get("commission_rate"), s["inputs"].get("from")) for s in steps[:-1]]
    assert rates == [("0.04", "2025-10-01"), ("0.05", "2025-10-16")]


# -- what is refused


async def test_runs_are_opened_in_turn_and_not_ahead(pay: Pay) -> None:
    async def opened(month: str) -> list[str]:
        payload = await pay.branch.crm.change(
            "eliteRunOpen", pay.branch.hr, input={"month": month}, acting="elite"
        )
        return codes(payload)

    assert await opened("2025-12") == ["TELECOM_ELITE_RUN_AHEAD"]
    run = await pay.open_run("2025-09")
    assert await opened("2025-09") == ["TELECOM_ELITE_RUN_EXISTS"]
    assert await opened("2025-10") == ["TELECOM_ELITE_RUN_ORDER"]
    await pay.compute(run)
    await pay.finish(run)
    assert await opened("2025-11") == ["TELECOM_ELITE_RUN_ORDER"]
    assert await opened("2025-10") == []


@pytest.mark.rule("MO-044")
async def test_a_pool_that_nobody_signed_a_distribution_for_stops_the_review(pay: Pay) -> None:
    await pay.fees(pay.first, "10000.00")
    run = await pay.computed()
    (problem,) = (await pay.run(run))["problems"]
    assert (problem["code"], problem["rule"], problem["blocks"]) == ("NO_DISTRIBUTION", "MO-044", True)
    refused = await pay.act("Review", run)
    assert [(e["code"], e["rule"]) for e in refused["userErrors"]] == [
        ("TELECOM_ELITE_RUN_PROBLEMS", "MO-044")
    ]
    await pay.divided({pay.first: "100"})
    assert (await pay.compute(run))["problems"] == []
    assert (await pay.done("Review", run))["state"] == "REVIEWED"


async def test_a_month_that_is_not_over_is_computed_but_not_reviewed(pay: Pay) -> None:
    run = await pay.computed("2025-11")
    assert codes(await pay.act("Review", run)) == ["TELECOM_ELITE_RUN_NOT_OVER"]


async def test_what_changed_after_computing_has_to_be_computed_again(pay: Pay) -> None:
    await pay.divided({pay.first: "100"})
    run = await pay.computed()
    await pay.fees(pay.first, "100.00")
    assert codes(await pay.act("Review", run)) == ["TELECOM_ELITE_RUN_STALE"]
    await pay.compute(run)
    assert (await pay.done("Review", run))["state"] == "REVIEWED"


async def test_fees_that_come_after_the_review_belong_to_the_next_month(pay: Pay) -> None:
    await pay.divided({pay.first: "50", pay.second: "50"})
    run = await pay.computed()
    await pay.done("Review", run)
    await pay.fees(pay.first, "10000.00")
    pay.branch.crm.advance_working_days(6, "elite")
    for verb, by in (("Confirm", pay.branch.hr), ("Approve", pay.branch.finance), ("Close", pay.branch.hr)):
        await pay.done(verb, run, by)
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert (await pay.paid(november, pay.second)) == {"SALARY": "4800.00", "ADJUSTMENT 2025-10": "200.00"}
    assert (await pay.run(november))["problems"] == [], "October's own distribution divides it"


async def test_reopening_says_why_and_lets_inputs_change_again(pay: Pay) -> None:
    await pay.fees(pay.first, "10000.00")
    await pay.divided({pay.first: "100"})
    run = await pay.computed()
    await pay.done("Review", run)
    assert codes(await pay.propose({pay.second: "100"})) == ["TELECOM_ELITE_RUN_SETTLED"]
    assert codes(await pay.act("Reopen", run, why="  ")) == ["INVALID_STRING_TOO_SHORT"]
    assert (await pay.done("Reopen", run, why="权重有误"))["state"] == "OPEN"
    await pay.divided({pay.second: "100"})
    await pay.compute(run)
    assert (await pay.paid(run, pay.second))["COMMISSION"] == "400.00"


async def test_who_computed_a_run_does_not_approve_it(pay: Pay) -> None:
    both = await pay.branch.crm.actor("双职", role="elite_hr", lines=("elite",))
    grant = {"user_id": both.user_id, "role": "elite_finance", "line": "elite"}
    outcome = await pay.branch.crm.perform("role.grant", grant)
    assert not outcome.errors
    both = await pay.branch.crm.again(both.user_id)
    run = await pay.open_run()
    await pay.done("Compute", run, both)
    await work_off(pay.branch.crm.services)
    await pay.done("Review", run)
    pay.branch.crm.advance_working_days(6, "elite")
    await pay.done("Confirm", run)
    assert codes(await pay.act("Approve", run, both)) == ["TELECOM_ELITE_RUN_BY_TWO"]
    assert (await pay.done("Approve", run, pay.branch.leader))["state"] == "APPROVED"


async def test_only_those_who_hold_the_scope_move_a_run(pay: Pay) -> None:
    run = await pay.computed()
    for verb, actors in {
        "Review": (pay.branch.finance, pay.branch.manager, pay.branch.centre, pay.branch.members[0]),
        "Compute": (pay.branch.finance, pay.branch.leader),
    }.items():
        for actor in actors:
            assert codes(await pay.act(verb, run, actor)) == ["FORBIDDEN"], (verb, actor.name)


# -- members confirm


async def confirm(pay: Pay, run: str, member: str, by: Any, verb: str = "Confirm", **more: Any) -> list[str]:
    given = {"id": await pay.statement(run, member), **more}
    return codes(await pay.branch.crm.change(f"eliteStatement{verb}", by, input=given))


async def test_the_last_member_who_confirms_confirms_the_run(pay: Pay) -> None:
    run = await pay.computed()
    assert await confirm(pay, run, pay.first, pay.branch.members[0]) == ["NOT_FOUND"], "not before the review"
    await pay.done("Review", run)
    people = [
        (pay.first, pay.branch.members[0]),
        (pay.second, pay.branch.members[1]),
        (pay.third, pay.branch.members[2]),
        (pay.manager, pay.branch.manager),
    ]
    for member, actor in people:
        assert (await pay.run(run))["state"] == "REVIEWED"
        assert await confirm(pay, run, member, actor) == []
    assert (await pay.run(run))["state"] == "CONFIRMED"


async def test_only_who_is_paid_confirms(pay: Pay) -> None:
    run = await pay.computed()
    await pay.done("Review", run)
    assert await confirm(pay, run, pay.first, pay.branch.members[1]) == ["NOT_FOUND"]
    assert await confirm(pay, run, pay.first, pay.branch.hr) == ["TELECOM_ELITE_STATEMENT_NOT_YOURS"]
    assert await confirm(pay, run, pay.first, pay.branch.members[0]) == []
    assert await confirm(pay, run, pay.first, pay.branch.members[0]) == ["TELECOM_ELITE_CONFIRMED_ALREADY"]


async def test_an_objection_is_answered_before_the_run_goes_on(pay: Pay) -> None:
    run = await pay.computed()
    await pay.done("Review", run)
    assert await confirm(pay, run, pay.first, pay.branch.members[0], "Object", words="工资少了") == []
    pay.branch.crm.advance_working_days(6, "elite")
    assert codes(await pay.act("Confirm", run)) == ["TELECOM_ELITE_OBJECTIONS_OPEN"]
    await run_due(pay.branch.crm.services, pay.branch.crm.clock())
    assert (await pay.run(run))["state"] == "REVIEWED"
    assert await confirm(pay, run, pay.second, pay.branch.hr, "Answer", words="?") == [
        "TELECOM_ELITE_NO_OBJECTION"
    ]
    assert await confirm(pay, run, pay.first, pay.branch.hr, "Answer", words="按标准核算") == []
    pay.branch.crm.clock.advance(minutes=11)
    await run_due(pay.branch.crm.services, pay.branch.crm.clock())
    assert (await pay.run(run))["state"] == "CONFIRMED"
    assert (await pay.statements(run))[pay.first]["answer"] == "按标准核算"


async def test_the_clock_confirms_after_five_working_days(pay: Pay) -> None:
    run = await pay.computed()
    await pay.done("Review", run)
    for days, state in ((5, "REVIEWED"), (1, "CONFIRMED")):
        pay.branch.crm.advance_working_days(days, "elite")
        assert codes(await pay.act("Confirm", run)) == (
            ["TELECOM_ELITE_TIME_LEFT"] if state == "REVIEWED" else []
        )
        assert (await pay.run(run))["state"] == state


# -- closed


async def test_a_closed_run_is_changed_by_no_command(pay: Pay) -> None:
    run = await pay.closed()
    before = await pay.run(run)
    verbs: dict[str, dict[str, Any]] = {
        "Compute": {},
        "Review": {},
        "Reopen": {"why": "改"},
        "Confirm": {},
        "Close": {},
    }
    for verb, more in verbs.items():
        assert codes(await pay.act(verb, run, **more)) == ["ILLEGAL_MOVE"], verb
    assert codes(await pay.act("Approve", run, pay.branch.finance)) == ["ILLEGAL_MOVE"]
    assert codes(await pay.propose({pay.first: "100"})) == ["TELECOM_ELITE_RUN_SETTLED"]
    factor = {"teamId": pay.branch.hq, "month": MONTH, "factor": "2", "reason": "改"}
    refused = await pay.branch.crm.change("eliteBonusFactorSet", pay.branch.hr, input=factor, acting="elite")
    assert codes(refused) == ["TELECOM_ELITE_RUN_SETTLED"]
    assert await confirm(pay, run, pay.first, pay.branch.members[0], "Object", words="改") == [
        "TELECOM_ELITE_NOT_TO_CONFIRM"
    ]
    assert await pay.run(run) == before


async def test_a_run_computed_again_from_its_frozen_inputs_gives_the_same_bytes(pay: Pay) -> None:
    await pay.fees(pay.first, "1234.56")
    await pay.divided({pay.first: "33.3", pay.second: "33.3", pay.manager: "33.4"})
    run = await pay.closed()
    await pay.branch.standard("营销经理", "A", "9000.00", "9000.00")
    rate = {"name": "package_2_factor", "teamKind": "HQ", "validFrom": "2025-10-01", "value": "1.5"}
    await pay.branch.crm.done("eliteRateSet", pay.branch.hr, input=rate, acting="elite")
    assert (await pay.run(run))["reproducible"] is True, "later figures change nothing"


@pytest.mark.parametrize("what", ["line", "inputs"])
async def test_tampering_with_a_closed_run_shows(pay: Pay, what: str) -> None:
    run = await pay.closed()
    line, inputs = ElitePayLine.__table__, EliteRunInput.__table__
    async with pay.branch.crm.database.transaction() as session:
        if what == "line":
            await session.execute(update(line).values(amount=line.c.amount + 1))
        else:
            await session.execute(delete(line).where(line.c.position == 1))
            await session.execute(
                update(inputs).values(inputs={**(await first_inputs(pay)), "month": "2025-09"})
            )
    assert (await pay.run(run))["reproducible"] is False


async def first_inputs(pay: Pay) -> dict[str, Any]:
    found: dict[str, Any] = (await pay.branch.crm.rows(EliteRunInput))[0].inputs
    return found


async def test_the_files_of_a_closed_run_are_the_same_bytes_whenever_they_are_made(
    pay: Pay, crm: Kit
) -> None:
    run = await pay.closed()
    files = (await pay.statements(run))[pay.first]["files"]
    assert [one["mediaType"].rsplit(".", 1)[-1] for one in files] == ["application/pdf", "sheet"]
    made = {row.id: (row.sha256, row.path) for row in await crm.rows(EliteStatementFile)}
    assert len(made) == 8
    for sha256, path in made.values():
        paper = find(crm.services.store, path, crm.clock())
        assert paper is not None
        assert paper.sha256 == sha256
    async with crm.database.transaction() as session:
        await session.execute(delete(EliteStatementFile))
    crm.clock.advance(days=400)

    class Told:
        async def progress(self, *_given: Any, **_more: Any) -> None:
            return None

    await file_statements(crm.services, Told(), OfRun(run=ids.read(run)[1]))  # type: ignore[arg-type]  # all it asks
    again = {row.sha256 for row in await crm.rows(EliteStatementFile)}
    assert again == {sha256 for sha256, _path in made.values()}


@pytest.mark.rule("MO-C13")
async def test_a_negative_total_is_not_taken_back_but_carried_over(pay: Pay) -> None:
    paid = await pay.fees(pay.first, "500000.00", "2025-09-10")
    await pay.divided({pay.first: "100"}, month="2025-09")
    await pay.closed("2025-09")
    number = next(row.number for row in await pay.branch.crm.rows(EliteUser))
    back = {"corrects": paid, "billMonth": "2025-09"}
    await pay.fees(pay.first, "-500000.00", "2025-10-10", user=number, **back)
    run = await pay.computed()
    assert await pay.paid(run, pay.first) == {"SALARY": "4800.00", "ADJUSTMENT 2025-09": "-20000.00"}
    statement = (await pay.statements(run))[pay.first]
    sums = (statement["total"], statement["payable"], statement["carriedOver"])
    assert sums == ("-15200.00", "0.00", "-15200.00")
    await pay.finish(run)
    pay.branch.crm.clock.advance(days=20)
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.first) == {"SALARY": "4800.00", "CARRIED_OVER": "-15200.00"}
    statement = (await pay.statements(november))[pay.first]
    sums = (statement["total"], statement["payable"], statement["carriedOver"])
    assert sums == ("-10400.00", "0.00", "-10400.00")


# -- what comes to be known later


@pytest.mark.rule("MO-034", "MO-035")
async def test_a_standard_set_for_a_closed_month_is_paid_by_the_next_run_once(pay: Pay) -> None:
    await pay.closed("2025-09")
    await pay.branch.standard("营销经理", "A", "4500.00", "1500.00", validFrom="2025-09-16")
    october = await pay.computed()
    assert await pay.paid(october, pay.first) == {"SALARY": "5400.00", "ADJUSTMENT 2025-09": "300.00"}
    assert "ADJUSTMENT 2025-09" not in await pay.paid(october, pay.third), "his rung pays what it paid"
    line = next(one for one in await pay.lines(october) if one["kind"] == "ADJUSTMENT")
    assert line["rule"] == "MO-034"
    assert line["derivation"][-1]["inputs"] == {"due": "5100.00", "paid": "4800.00"}
    await pay.finish(october)
    assert (await pay.run(october))["reproducible"] is True
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.first) == {"SALARY": "5400.00"}


async def test_what_was_corrected_and_turns_out_to_have_been_right_is_corrected_back(pay: Pay) -> None:
    await pay.closed("2025-09")
    await pay.branch.standard("营销经理", "A", "4500.00", "1500.00", validFrom="2025-09-16")
    await pay.closed()
    await pay.branch.standard("营销经理", "A", "4000.00", "1500.00", validFrom="2025-09-16")
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert await pay.paid(november, pay.first) == {
        "SALARY": "4800.00",
        "ADJUSTMENT 2025-09": "-300.00",
        "ADJUSTMENT 2025-10": "-600.00",
    }


async def test_a_move_recorded_after_the_month_was_closed_is_settled_between_the_teams(pay: Pay) -> None:
    await pay.closed("2025-09")
    step = await pay.branch.step("REGIONAL", "营销经理", "A")
    given = {"id": pay.second, "teamId": pay.branch.regional, "validFrom": "2025-09-16", "stepId": step}
    await pay.branch.act("Transfer", **given)
    run = await pay.computed()
    found = [
        (one["position"], one["kind"], one["amount"])
        for one in await pay.lines(run)
        if one["member"]["id"] == pay.second
    ]
    assert found == [(1, "SALARY", "4800.00"), (2, "ADJUSTMENT", "2400.00"), (101, "ADJUSTMENT", "-2400.00")]


# -- teams and people that move


async def test_who_moves_to_another_team_within_the_month_is_paid_by_each_for_its_days(pay: Pay) -> None:
    given = {"id": pay.second, "teamId": pay.branch.regional, "validFrom": "2025-10-11"}
    step = await pay.branch.step("REGIONAL", "营销经理", "A")
    await pay.branch.act("Transfer", **given, stepId=step)
    run = await pay.computed()
    found = [(o["position"], o["amount"]) for o in await pay.lines(run) if o["member"]["id"] == pay.second]
    assert found == [(1, "1548.39"), (101, "3251.61")]
    assert (await pay.statements(run))[pay.second]["total"] == "4800.00"


@pytest.mark.rule("MO-043")
async def test_a_former_members_users_stay_with_the_team(pay: Pay) -> None:
    await pay.fees(pay.first, "100.00")
    number = next(row.number for row in await pay.branch.crm.rows(EliteUser))
    gone = {"id": pay.first, "endedOn": "2025-09-20", "cause": "RESIGNED", "decision": "本人辞职"}
    payload = await pay.branch.crm.change("eliteMemberTerminate", pay.branch.hr, input=gone)
    assert payload["userErrors"] == [], payload
    await pay.fees(pay.first, "10000.00", "2025-10-25", user=number)
    await pay.divided({pay.second: "100"})
    run = await pay.computed()
    assert await pay.paid(run, pay.first) == {}
    assert (await pay.paid(run, pay.second))["COMMISSION"] == "404.00"


# -- the job


async def test_a_job_that_was_killed_goes_on_at_the_next_team(pay: Pay, crm: Kit) -> None:
    run = await pay.open_run()
    await pay.done("Compute", run)
    runner = Runner(crm.services, asyncio.Event())
    (claim,) = await runner.take(1)
    teams: list[int] = []

    class Killed(Exception):
        pass

    class Context:
        """Breaks off after the first team is committed."""

        def __init__(self) -> None:
            self.claim = claim

        async def progress(self, done: int, *_more: Any, within: Any = None) -> None:
            if within is None:
                raise Killed
            teams.append(done)

    with pytest.raises(Killed):
        await compute_job(crm.services, Context(), OfRun(run=ids.read(run)[1]))  # type: ignore[arg-type]
    assert teams == [1]
    first = [row.id for row in await crm.rows(EliteRunInput)]
    for _ in range(2):  # its lease runs out, then its wait is over
        crm.clock.advance(minutes=10)
        await reap(crm.services)
    await work_off(crm.services)
    found = await pay.run(run)
    assert (found["state"], found["members"]) == ("COMPUTED", 4)
    assert [row.id for row in await crm.rows(EliteRunInput)][:1] == first, (
        "the first team was not computed again"
    )


async def test_nobody_says_for_the_job_that_a_run_is_computed(pay: Pay) -> None:
    run = await pay.open_run()
    await pay.done("Compute", run)
    finish = {"teams": 0, "unassigned": "0.00"}
    for actor in (pay.branch.hr, pay.branch.crm.administrator):
        assert codes(await pay.act("Finish", run, actor, **finish)) == ["TELECOM_ELITE_ONLY_ITS_JOB"]
    for actor in (pay.branch.finance, pay.branch.leader, pay.branch.centre):
        assert codes(await pay.act("Finish", run, actor, **finish)) == ["FORBIDDEN"]
    assert (await pay.run(run))["state"] == "COMPUTING"
    await work_off(pay.branch.crm.services)
    assert (await pay.run(run))["state"] == "COMPUTED"


async def test_a_job_whose_run_was_put_back_writes_nothing(pay: Pay, crm: Kit) -> None:
    run = await pay.open_run()
    await pay.done("Compute", run)
    await pay.done("Reopen", run, why="再等等")
    await work_off(crm.services)
    assert (await pay.run(run))["state"] == "OPEN"
    assert await crm.rows(EliteRunInput) == []


async def test_statements_of_computing_do_not_grow_with_the_members(pay: Pay, crm: Kit) -> None:
    async def counted() -> int:
        run_id = (await pay.branch.crm.data("{ eliteRuns { nodes { id } } }", pay.branch.hr))["eliteRuns"][
            "nodes"
        ][0]["id"]
        await pay.done("Compute", run_id)
        with crm.statements() as sent:
            await work_off(crm.services)
        return len([s for s in sent if "telecom_elite" in s and not s.startswith("INSERT")])

    await pay.open_run()
    before = await counted()
    for _ in range(4):
        await pay.branch.member(origin="DIRECT_SALES")
    assert await counted() == before


async def test_fees_of_users_nobody_had_are_said_but_stop_nothing(pay: Pay) -> None:
    number = await pay.user(pay.first, "2025-10-15")
    await pay.fees(pay.first, "70.00", "2025-10-01", user=number)
    run = await pay.computed()
    (problem,) = (await pay.run(run))["problems"]
    assert (problem["code"], problem["blocks"]) == ("FEES_OF_NOBODY", False)
    assert "70.00" in problem["message"]
    assert (await pay.done("Review", run))["state"] == "REVIEWED"


async def test_it_is_all_announced(pay: Pay, crm: Kit) -> None:
    await pay.closed()
    kinds = [row.kind for row in await crm.rows(OutboxEvent) if row.kind.startswith("elite_run.")]
    assert kinds == [f"elite_run.{what}" for what in (
        "opened", "computing", "computed", "reviewed", "confirmed", "approved", "closed",
    )]  # fmt: skip
