"""A member gets another account: what is his follows to it, and the one before sees nothing any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_core.testing.kit import Kit, Prepare
from crm_telecom_elite.testing import Branch
from crm_telecom_elite.testing_pay import MONTH, Pay

SEEN = """{
  eliteStatements { nodes { payable files { id } } } elitePayLines { nodes { amount } }
  eliteAppraisals { nodes { result } } eliteTasks { nodes { point } } eliteRegrades { nodes { kind } }
  eliteUsers { nodes { number } } eliteReceipts { nodes { amount } } eliteBonusFactors { nodes { factor } }
  eliteDistributions { nodes { shares { weight } } } }"""


async def seen(crm: Kit, actor: Actor) -> Mapping[str, int]:
    """How many rows of each list somebody sees."""
    data = await crm.data(SEEN, await crm.again(actor.user_id))
    found = {name: len(rows["nodes"]) for name, rows in data.items() if name != "eliteDistributions"}
    found["files"] = sum(len(one["files"]) for one in data["eliteStatements"]["nodes"])
    found["shares"] = sum(len(one["shares"]) for one in data["eliteDistributions"]["nodes"])
    return found


async def told(branch: Branch, mutation: str, by: Actor, select: str, **given: Any) -> Any:
    payload = await branch.crm.done(mutation, by, input=given, acting="elite", select=select)
    return payload[select.split(" ", maxsplit=1)[0]]


async def closed_october(crm: Kit) -> Pay:
    """In which the first member has something of everything."""
    branch = await Branch.open(crm)
    pay = await Pay.open(branch)
    await pay.fees(pay.first, "10000.00")
    given = {"teamId": branch.hq, "memberId": pay.first, "month": MONTH, "factor": "1.1", "reason": "绩效"}
    await told(branch, "eliteBonusFactorSet", branch.hr, "eliteBonusFactor { id }", **given)
    points = [{"point": "新签", "side": "MARKETING", "target": "12", "memberId": pay.first}]
    broken_down: dict[str, Any] = {"teamId": branch.hq, "quarter": "2025-Q4", "points": points}
    await told(branch, "eliteTaskSet", branch.manager, "eliteTasks { id }", **broken_down)
    rated = {
        "teamId": branch.hq,
        "quarter": "2025-Q3",
        "marketPeriod": "HARVEST",
        "m": "90",
        "s": "70",
        "d": "80",
    }
    team = await told(branch, "eliteAppraisalRateTeam", branch.centre, "eliteAppraisal { id }", **rated)
    await told(branch, "eliteAppraisalConfirm", branch.centre, "eliteAppraisals { id }", ids=[team["id"]])
    rated = {"memberId": pay.first, "period": "2025-Q3", "result": "B"}
    await told(branch, "eliteAppraisalRateMember", branch.centre, "eliteAppraisal { id }", **rated)
    asked = {"memberId": pay.first, "postId": await branch.post("product_manager"), "reason": "产品能力"}
    await told(branch, "eliteRegradeApplyForPost", branch.centre, "eliteRegrade { id }", **asked)
    await pay.divided({pay.first: "60", pay.second: "40"})
    await pay.closed()
    return pay


@pytest.fixture
def pay_prepared() -> Prepare:
    return closed_october


async def given_to(pay: Pay, account: Actor | None) -> None:
    key = ids.show("usr", account.user_id) if account is not None and account.user_id else None
    await pay.branch.act("Update", id=pay.first, userId=key)


@pytest.mark.rule("MO-044")
async def test_what_is_a_members_is_seen_by_his_new_account_and_no_more_by_the_old(
    pay: Pay, crm: Kit
) -> None:
    old, new = pay.branch.members[0], await crm.actor("新号", role="elite_member", lines=("elite",))
    before = await seen(crm, old)
    assert all(before.values()), "there is something of everything"
    assert set((await seen(crm, new)).values()) == {0}
    await given_to(pay, new)
    assert await seen(crm, new) == before
    assert set((await seen(crm, old)).values()) == {0}
    await given_to(pay, None)
    assert set((await seen(crm, new)).values()) == {0}
    await given_to(pay, old)
    assert await seen(crm, old) == before, "and back again, from no account"


async def test_what_another_member_has_stays_with_him(pay: Pay, crm: Kit) -> None:
    mate = pay.branch.members[1]
    before = await seen(crm, mate)
    user = (await crm.data("{ eliteUsers { nodes { id } } }", pay.branch.members[0]))["eliteUsers"]["nodes"]
    moved = {"id": user[0]["id"], "memberId": pay.second, "validFrom": "2025-11-05"}
    await crm.done("eliteUserAssign", pay.branch.centre, input=moved)
    new = await crm.actor("新号", role="elite_member", lines=("elite",))
    await given_to(pay, new)
    assert (await seen(crm, new))["eliteUsers"] == 0, "he developed it, the other has it"
    after = await seen(crm, mate)
    assert (after["eliteUsers"], after["elitePayLines"]) == (1, before["elitePayLines"])


async def test_the_new_account_confirms_pay_that_waits_for_it(branch: Branch, crm: Kit) -> None:
    pay = await Pay.open(branch)
    run = await pay.computed()
    await pay.done("Review", run)
    new = await crm.actor("新号", role="elite_member", lines=("elite",))
    await given_to(pay, new)
    given = {"id": await pay.statement(run, pay.first)}
    refused = await crm.change("eliteStatementConfirm", branch.members[0], input=given)
    assert [error["code"] for error in refused["userErrors"]] == ["NOT_FOUND"]
    new = await crm.again(new.user_id)
    await crm.done("eliteStatementConfirm", new, input=given, select="eliteStatement { confirmedAt }")


async def test_another_account_takes_as_many_statements_however_much_is_his(pay: Pay, crm: Kit) -> None:
    async def sent(name: str) -> int:
        new = await crm.actor(name, role="elite_member", lines=("elite",))
        with crm.statements() as found:
            await given_to(pay, new)
        return len([one for one in found if one.startswith("UPDATE telecom_elite")])

    few = await sent("甲")
    assert few == 11, "the member himself, and each table that has what is his"
    for _ in range(10):
        await pay.user(pay.first)
    assert await sent("乙") == few


async def test_changing_a_member_otherwise_moves_nothing(pay: Pay, crm: Kit) -> None:
    with crm.statements() as sent:
        await pay.branch.act("Update", id=pay.first, name="陈一一")
        await given_to(pay, pay.branch.members[0])
    assert [one for one in sent if one.startswith("UPDATE telecom_elite") and "_members" not in one] == []
