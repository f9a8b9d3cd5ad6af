"""What becomes known after a month is closed: nothing of it changes, and what goes back goes back to whoever had it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from crm_core import ids
from crm_core.jobs.claims import reap
from crm_core.jobs.running import Runner, work_off
from crm_core.testing.kit import Kit
from crm_telecom_elite.runs.commands import OfRun
from crm_telecom_elite.runs.computing import run as compute_job
from crm_telecom_elite.runs.models import EliteDistribution
from crm_telecom_elite.testing_pay import MONTH, Pay
from crm_telecom_elite.users.models import EliteUser


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def adjusted(pay: Pay, run: str, member: str) -> Decimal:
    """What a run adds to a member's pay of closed months, yuan."""
    lines = [one for one in await pay.lines(run) if one["member"]["id"] == member]
    return sum((Decimal(one["amount"]) for one in lines if one["kind"] == "ADJUSTMENT"), Decimal(0))


@pytest.mark.rule("MO-043", "MO-044")
async def test_what_goes_back_is_divided_as_it_was_whatever_appraisals_came_since(pay: Pay) -> None:
    rate = {"name": "factor_c", "teamKind": "HQ", "validFrom": "2025-01-01", "value": "0.5"}
    await pay.branch.crm.done("eliteRateSet", pay.branch.hr, input=rate, acting="elite")
    await pay.appraised(pay.first, ("2025-Q3", "C"))
    user = await pay.user(pay.first)
    received = await pay.fees(pay.first, "10000.00", user=user)
    await pay.divided({pay.first: "50", pay.second: "50"})
    october = await pay.closed()
    assert (await pay.paid(october, pay.first))["COMMISSION"] == "133.33"
    pay.branch.crm.clock.advance(days=25)
    await pay.appraised(pay.first, ("2025-11", "A"))
    await pay.appraised(pay.second, ("2025-11", "C"))
    given = {"user": user, "billMonth": "2025-10", "corrects": received}
    await pay.fees(pay.first, "-10000.00", "2025-11-05", **given)
    november = await pay.computed("2025-11")
    assert await adjusted(pay, november, pay.first) == Decimal("-133.33")
    assert await adjusted(pay, november, pay.second) == Decimal("-266.67")


@pytest.mark.rule("MO-043")
async def test_fees_of_before_the_first_run_that_come_once_it_is_open_belong_to_it(pay: Pay) -> None:
    run = await pay.open_run()
    await pay.fees(pay.first, "10000.00", "2025-09-28")
    await pay.divided({pay.first: "100"})
    await pay.compute(run)
    assert (await pay.paid(run, pay.first))["ADJUSTMENT 2025-09"] == "400.00"


@pytest.mark.rule("MO-044")
async def test_a_distribution_of_a_closed_month_is_not_handed_in_again(pay: Pay) -> None:
    await pay.fees(pay.first, "10000.00")
    signed = await pay.divided({pay.first: "100"})
    await pay.closed()
    crm, manager = pay.branch.crm, pay.branch.manager
    refused = await crm.change("approvalSubmit", manager, input={"record": signed}, acting="elite")
    assert codes(refused) == [("TELECOM_ELITE_RUN_SETTLED", "record")]
    (row,) = await crm.rows(EliteDistribution)
    assert row.state == "APPROVED"


@pytest.mark.rule("MO-044")
async def test_a_month_is_not_reviewed_while_somebody_divides_it_anew(pay: Pay) -> None:
    run = await pay.open_run()
    for _ in range(3):
        await pay.divided({pay.first: "100"})
        await pay.compute(run)
        anew = pay.propose({pay.first: "60", pay.second: "40"})
        reviewed, proposed = await asyncio.gather(pay.act("Review", run), anew)
        assert bool(reviewed["userErrors"]) is not bool(proposed["userErrors"])
        if not reviewed["userErrors"]:
            await pay.done("Reopen", run, why="再算")


async def test_an_account_that_changes_while_a_killed_job_waits_does_not_stop_the_run(
    pay: Pay, crm: Kit
) -> None:
    other = await pay.branch.team("HQ")
    await pay.branch.act("Transfer", id=pay.first, teamId=other, validFrom=f"{MONTH}-17")
    run = await pay.open_run()
    await pay.done("Compute", run)
    (claim,) = await Runner(crm.services, asyncio.Event()).take(1)

    class Killed(Exception):
        pass

    class Context:
        """Breaks off after the first team is committed."""

        def __init__(self) -> None:
            self.claim = claim

        async def progress(self, *_done: Any, within: Any = None) -> None:
            if within is None:
                raise Killed

    with pytest.raises(Killed):
        await compute_job(crm.services, Context(), OfRun(run=ids.read(run)[1]))  # type: ignore[arg-type]
    new = await crm.actor("新号", role="elite_member", lines=("elite",))
    await pay.branch.act("Update", id=pay.first, userId=_shown(new.user_id))
    for _ in range(2):  # its lease runs out, then its wait is over
        crm.clock.advance(minutes=10)
        await reap(crm.services)
    await work_off(crm.services)
    assert (await pay.run(run))["state"] == "COMPUTED"
    assert [code for code, _ in codes(await pay.act("Review", run))] == ["TELECOM_ELITE_RUN_STALE"]
    await pay.compute(run)
    assert (await pay.statements(run))[pay.first]["total"] == "4800.00"
    assert (await pay.done("Review", run))["state"] == "REVIEWED"


@pytest.mark.rule("MO-034")
async def test_a_team_that_was_no_more_then_takes_back_what_the_new_one_pays(pay: Pay) -> None:
    other = await pay.branch.team("HQ")
    await pay.closed()
    for member in (pay.first, pay.second, pay.manager):
        await pay.branch.act("Transfer", id=member, teamId=other, validFrom=f"{MONTH}-01")
    closed = {"id": pay.branch.hq, "closedOn": f"{MONTH}-01"}
    await pay.branch.crm.done("eliteTeamClose", pay.branch.centre, input=closed)
    pay.branch.crm.clock.advance(days=25)
    november = await pay.computed("2025-11")
    assert {await adjusted(pay, november, one) for one in (pay.first, pay.manager)} == {Decimal(0)}
    assert (await pay.statements(november))[pay.first]["total"] == "4800.00"
    pay.branch.crm.clock.advance(days=25)
    await pay.finish(november)
    december = await pay.computed("2025-12")
    assert await adjusted(pay, december, pay.first) == Decimal(0)


@pytest.mark.rule("MO-033")
async def test_a_factor_is_given_to_who_was_in_the_team_only(pay: Pay) -> None:
    given = {
        "teamId": pay.branch.hq,
        "memberId": pay.third,
        "month": MONTH,
        "factor": "2",
        "reason": "十月绩效",
    }
    refused = await pay.branch.crm.change("eliteBonusFactorSet", pay.branch.hr, input=given, acting="elite")
    assert codes(refused) == [("TELECOM_ELITE_NOT_IN_TEAM", "memberId")]


# -- who sees it


async def test_an_account_that_was_a_members_by_mistake_sees_nothing_of_his_pay(pay: Pay, crm: Kit) -> None:
    wrong = await crm.actor("别人", role="elite_member", lines=("elite",))
    mine = pay.branch.members[0]
    await pay.branch.act("Update", id=pay.first, userId=_shown(wrong.user_id))
    await pay.fees(pay.first, "10000.00")
    await pay.divided({pay.first: "100"})
    run = await pay.closed()
    text = """{ eliteStatements { nodes { total files { id } } } elitePayLines { nodes { amount } }
        eliteDistributions { nodes { shares { weight } } } }"""
    seen = await crm.data(text, await crm.again(wrong.user_id))
    assert len(seen["elitePayLines"]["nodes"]) == 2
    file = (await pay.statements(run))[pay.first]["files"][0]["id"]
    node = "query($id: ID!) { node(id: $id) { id } }"
    assert (await crm.data(node, wrong, id=file))["node"] == {"id": file}
    await pay.branch.act("Update", id=pay.first, userId=_shown(mine.user_id))
    nothing: dict[str, Any] = {"nodes": []}
    seen = await crm.data(text, wrong)
    assert seen["eliteStatements"] == seen["elitePayLines"] == nothing
    assert [one["shares"] for one in seen["eliteDistributions"]["nodes"]] in ([], [[]])
    assert (await crm.data(node, wrong, id=file))["node"] is None


def _shown(key: Any) -> str:
    return ids.show("usr", key)


@pytest.mark.rule("MO-044")
async def test_why_a_factor_differs_is_read_by_who_divides_or_sees_all_pay(pay: Pay, crm: Kit) -> None:
    shares = [
        {"memberId": pay.first, "weight": "50", "factor": "0.5"},
        {"memberId": pay.second, "weight": "50"},
    ]
    given = {"teamId": pay.branch.hq, "month": MONTH, "shares": shares, "remark": "陈一本季考核C"}
    await crm.done("eliteDistributionPropose", pay.branch.manager, input=given, acting="elite")
    text = "{ eliteDistributions { nodes { remark } } }"
    b = pay.branch
    for reader in (b.manager, b.centre, b.hr, b.finance, b.leader):
        assert (await crm.data(text, reader))["eliteDistributions"]["nodes"] == [{"remark": "陈一本季考核C"}]
    for mate in b.members[:2]:
        assert (await crm.data(text, mate))["eliteDistributions"]["nodes"] == [{"remark": None}]


@pytest.mark.rule("MO-011")
async def test_applying_for_a_post_does_not_tell_on_which_rung_somebody_stands(pay: Pay, crm: Kit) -> None:
    post = await pay.branch.post("team_manager")  # of the series he is in
    for letter in "ABC":
        step = await pay.branch.step("HQ", "营销经理", letter)
        given = {"memberId": pay.first, "postId": post, "stepId": step, "reason": "拟任团队经理"}
        answer = await crm.change("eliteRegradeApplyForPost", pay.branch.centre, input=given, dryRun=True)
        assert codes(answer) == [("TELECOM_ELITE_BY_RESULTS", "stepId")]


@pytest.mark.rule("MO-043")
async def test_what_closed_fees_were_counted_by_is_changed_from_the_first_open_month_on(pay: Pay) -> None:
    await pay.fees(pay.first, "10000.00")
    await pay.divided({pay.first: "100"})
    await pay.closed()
    user = ids.show("elu", (await pay.branch.crm.rows(EliteUser))[0].id)
    legacy = {"ids": [user], "approvedOn": "2025-10-31"}
    given = {"id": user, "memberId": pay.second, "validFrom": "2025-10-31"}
    rate = {"name": "commission_rate", "teamKind": "HQ", "value": "0.05", "validFrom": "2025-10-31"}
    crm, branch = pay.branch.crm, pay.branch
    settled = "TELECOM_ELITE_MONTH_SETTLED"
    assert (settled, "validFrom") in codes(await crm.change("eliteUserAssign", branch.centre, input=given))
    assert (settled, "approvedOn") in codes(
        await crm.change("eliteUserApproveLegacy", branch.centre, input=legacy)
    )
    assert codes(await crm.change("eliteRateSet", branch.hr, input=rate)) == [(settled, "validFrom")]
    await crm.done(
        "eliteRateSet", branch.hr, input={**rate, "validFrom": "2025-11-01"}, select="eliteRate { id }"
    )
    await crm.done("eliteUserAssign", branch.centre, input={**given, "validFrom": "2025-11-01"})
