"""Who sees what of a pay run: one's own pay, the team's commission, never a team mate's pay."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from crm_core.access.authentication import Authenticator
from crm_core.actors import Actor
from crm_core.logs import logger
from crm_core.papers_http import PAPER_ROUTE, Desk, Papers
from crm_core.testing.kit import Kit, Prepare
from crm_telecom_elite.testing import PLUGIN, Branch
from crm_telecom_elite.testing_pay import MONTH, Pay

PEOPLE: dict[str, Callable[[Branch], Actor]] = {
    "member": lambda b: b.members[0],
    "mate": lambda b: b.members[1],
    "manager": lambda b: b.manager,
    "elsewhere": lambda b: b.members[2],
    "centre": lambda b: b.centre,
    "hr": lambda b: b.hr,
    "finance": lambda b: b.finance,
    "leader": lambda b: b.leader,
}
OWN = {"member": "first", "mate": "second", "manager": "manager", "elsewhere": "third"}
ALL_PAY = {"hr", "finance", "leader"}
ALL_POOLS = ALL_PAY | {"centre"}


@pytest.fixture
def crm_lines() -> dict[str, tuple[str, ...]]:
    return {"elite": (PLUGIN,), "other": (PLUGIN,)}


async def divided(crm: Kit) -> Pay:
    """Fees of two teams, and what they come to divided."""
    branch = await Branch.open(crm)
    found = await Pay.open(branch)
    await found.fees(found.first, "10000.00")
    await found.fees(found.third, "10000.00")
    await found.divided({found.first: "50", found.second: "30", found.manager: "20"})
    await found.divided({found.third: "100"}, by=branch.regional_leader, team=branch.regional)
    return found


@pytest.fixture
def pay_prepared() -> Prepare:
    return divided


@pytest.fixture
async def stranger(crm: Kit) -> Actor:
    """Somebody who sees all pay of another line."""
    return await crm.actor("别线人力", role="elite_hr", lines=("other",))


async def seen(crm: Kit, actor: Actor) -> dict[str, Any]:
    """Ids of members whose lines and statements somebody sees, and of teams whose commission he sees."""
    answer = await crm.ask(
        """{ elitePayLines(first: 100) { nodes { member { id } } }
             eliteStatements(first: 100) { nodes { member { id } } }
             elitePools(first: 100) { nodes { team { id } } }
             eliteDistributions(first: 100) { nodes { id shares { member { id } weight } } }
             eliteRuns { nodes { state total members digest problems inputs { nodes { id } } } } }""",
        actor,
    )
    data = answer.data
    assert data is not None
    assert set(answer.codes) <= {"FORBIDDEN"}, answer.errors

    def members(name: str) -> set[str]:
        return {one["member"]["id"] for one in (data[name] or {"nodes": ()})["nodes"]}

    return {
        "lines": members("elitePayLines"),
        "statements": members("eliteStatements"),
        "pools": {one["team"]["id"] for one in data["elitePools"]["nodes"]},
        "shares": sorted(s["weight"] for d in data["eliteDistributions"]["nodes"] for s in d["shares"]),
        "run": data["eliteRuns"]["nodes"],
    }


@pytest.mark.rule("MO-044")
async def test_who_sees_which_lines_statements_and_pools(pay: Pay, crm: Kit, stranger: Actor) -> None:
    run = await pay.computed()
    await pay.done("Review", run)
    everybody = {pay.first, pay.second, pay.third, pay.manager}
    for name, person in PEOPLE.items():
        found = await seen(crm, await crm.again(person(pay.branch).user_id))
        own = everybody if name in ALL_PAY else ({getattr(pay, OWN[name])} if name in OWN else set())
        assert found["lines"] == found["statements"] == own, name
        both = {pay.branch.hq, pay.branch.regional}
        team = pay.branch.regional if name == "elsewhere" else pay.branch.hq
        assert found["pools"] == (both if name in ALL_POOLS else {team}), name
        (seen_run,) = found["run"]
        whole = name in ALL_PAY
        assert (seen_run["total"] is not None) is whole, name
        assert (seen_run["members"] is not None) is whole, name
        assert (seen_run["problems"] is not None) is whole, name
        assert bool((seen_run["inputs"] or {"nodes": ()})["nodes"]) is whole, name
    nothing = await seen(crm, stranger)
    assert nothing == {"lines": set(), "statements": set(), "pools": set(), "shares": [], "run": []}


@pytest.mark.rule("MO-044")
async def test_a_member_sees_his_share_and_who_divides_sees_all_of_the_team(pay: Pay, crm: Kit) -> None:
    team, own = ["20", "30", "50"], {"member": ["50"], "mate": ["30"], "elsewhere": ["100"]}
    for name, person in PEOPLE.items():
        found = await seen(crm, await crm.again(person(pay.branch).user_id))
        shares = [weight.rstrip("0").rstrip(".") if "." in weight else weight for weight in found["shares"]]
        expected = own.get(name) or (team if name == "manager" else ["100", *team])
        assert sorted(shares) == sorted(expected), name


async def test_nobody_but_who_sees_all_pay_sees_a_run_before_it_is_reviewed(pay: Pay, crm: Kit) -> None:
    await pay.computed()
    for name, person in PEOPLE.items():
        found = await seen(crm, person(pay.branch))
        assert bool(found["lines"]) is (name in ALL_PAY), name
        assert bool(found["pools"]) is (name in ALL_POOLS), name


async def test_a_team_mate_is_seen_without_his_pay(pay: Pay, crm: Kit) -> None:
    run = await pay.computed()
    await pay.done("Review", run)
    text = """query($id: ID!) { eliteMember(id: $id) { id
        payLines { totalCount nodes { amount } } statements { totalCount nodes { total } } } }"""
    for actor in (pay.branch.members[1], pay.branch.manager, pay.branch.centre):
        answer = await crm.ask(text, actor, id=pay.first)
        assert answer.data is not None
        found = answer.data["eliteMember"]
        if found is not None and found["payLines"] is not None:
            assert found["payLines"]["nodes"] == found["statements"]["nodes"] == [], actor.name
            assert found["payLines"]["totalCount"] == 0
        else:
            assert actor is pay.branch.centre
    mine = await crm.data(text, pay.branch.members[0], id=pay.first)
    assert mine["eliteMember"]["payLines"]["totalCount"] == 2


async def test_a_pool_tells_a_member_nothing_of_another(pay: Pay, crm: Kit) -> None:
    run = await pay.computed()
    await pay.done("Review", run)
    data = await crm.data("{ elitePools { nodes { derivation } } }", pay.branch.members[1])
    assert "4800" not in str(data)
    assert pay.first.removeprefix("elm_") not in str(data)


async def test_files_are_fetched_by_who_may_read_their_statement(pay: Pay, crm: Kit, stranger: Actor) -> None:
    run = await pay.closed()
    files = (await pay.statements(run))[pay.first]["files"]

    async def desk() -> Desk:
        return Desk(crm.services, Authenticator(crm.services))

    papers = Papers(desk, logger("info", io.StringIO()))
    app = Starlette(routes=[Route(PAPER_ROUTE, papers.give, methods=["GET"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crm") as client:

        async def fetched(actor: Actor, file: str) -> httpx.Response:
            bearer = {"authorization": f"Bearer {await crm.token(actor)}"}
            return await client.get(f"/papers/{file}", headers=bearer)

        for name, person in [*PEOPLE.items(), ("stranger", lambda _b: stranger)]:
            for file in files:
                answer = await fetched(person(pay.branch), file["id"])
                assert answer.status_code == (200 if name in {"member", *ALL_PAY} else 404), name
        page, book = [(await fetched(pay.branch.members[0], file["id"])).content for file in files]
    assert page.startswith(b"%PDF")
    assert book.startswith(b"PK")


# -- distributions


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


@pytest.mark.rule("MO-044", "OT-113")
async def test_a_distribution_is_in_force_once_the_centre_signed_it(branch: Branch) -> None:
    pay = await Pay.open(branch)
    await pay.fees(pay.first, "10000.00")
    made = await pay.propose({pay.first: "100"})
    assert made["eliteDistribution"]["state"] == "SUBMITTED"
    run = await pay.computed()
    assert [one["code"] for one in (await pay.run(run))["problems"]] == ["NO_DISTRIBUTION"]
    await pay.sign(made["eliteDistribution"]["id"], "Reject")
    state = "{ eliteDistributions { nodes { state } } }"
    assert (await branch.crm.data(state, branch.manager))["eliteDistributions"]["nodes"] == [
        {"state": "DRAFT"}
    ]
    await pay.divided({pay.second: "100"})
    assert (await pay.compute(run))["problems"] == []
    assert (await pay.paid(run, pay.second))["COMMISSION"] == "400.00"


@pytest.mark.rule("MO-044")
async def test_a_distribution_shows_its_requests_for_signatures(branch: Branch) -> None:
    pay = await Pay.open(branch)
    made = await pay.propose({pay.first: "100"})
    text = "query($id: ID!) { eliteDistribution(id: $id) { approvals { state } } }"

    async def states(actor: Actor) -> list[str]:
        found = await branch.crm.data(text, actor, id=made["eliteDistribution"]["id"])
        return [one["state"] for one in found["eliteDistribution"]["approvals"]]

    assert await states(branch.manager) == ["PENDING"]
    assert await states(branch.members[0]) == [], "who is not concerned sees the heading alone"
    await pay.sign(made["eliteDistribution"]["id"], "Reject")
    await pay.divided({pay.second: "100"})
    assert await states(branch.manager) == ["APPROVED", "REJECTED"]


@pytest.mark.rule("MO-044")
async def test_proposing_again_replaces_what_waits_for_its_signature(branch: Branch) -> None:
    pay = await Pay.open(branch)
    await pay.propose({pay.first: "100"})
    await pay.divided({pay.second: "100"})
    text = "{ eliteDistributions { nodes { state shares { weight member { id } } } } }"
    (found,) = (await branch.crm.data(text, branch.manager))["eliteDistributions"]["nodes"]
    assert found["state"] == "APPROVED"
    assert [one["member"]["id"] for one in found["shares"]] == [pay.second]


@pytest.mark.rule("MO-044")
async def test_a_manager_divides_the_commission_of_his_own_team_only(branch: Branch) -> None:
    pay = await Pay.open(branch)
    refused = await pay.propose({pay.third: "100"}, team=branch.regional)
    assert codes(refused) == [("NOT_FOUND", "teamId")]
    assert codes(await pay.propose({pay.first: "100"}, by=branch.members[0]))[0][0] == "FORBIDDEN"
    alone = await pay.propose({pay.first: "100"}, by=branch.centre)
    assert codes(alone) == [("APPROVAL_NO_SIGNER", None)], "nobody signs his own"
    await branch.crm.actor("钱中心", role="elite_centre", lines=("elite",))
    assert codes(await pay.propose({pay.first: "100"}, by=branch.centre)) == []


@pytest.mark.rule("MO-044")
async def test_contributions_add_up_to_100_percent_of_who_was_in_the_team(branch: Branch) -> None:
    pay = await Pay.open(branch)
    recruit = await branch.member(entered_on="2025-08-01")
    refused = await pay.propose({pay.first: "50.5", pay.third: "20", recruit: "29"})
    assert codes(refused) == [
        ("TELECOM_ELITE_WEIGHTS_WRONG", "shares"),
        ("TELECOM_ELITE_NOT_IN_TEAM", "shares.1.memberId"),
        ("TELECOM_ELITE_TAKES_NO_SHARE", "shares.2.memberId"),
    ]
    assert {error["rule"] for error in refused["userErrors"]} == {"MO-044", "MO-031"}
    twice = {"teamId": branch.hq, "month": MONTH}
    shares = [{"memberId": pay.first, "weight": weight} for weight in ("60", "40")]
    answer = await branch.crm.change(
        "eliteDistributionPropose", branch.manager, input={**twice, "shares": shares}, acting="elite"
    )
    assert codes(answer) == [("TELECOM_ELITE_SHARE_TWICE", "shares.1.memberId")]


@pytest.mark.rule("MO-044")
async def test_a_factor_of_ones_own_choice_needs_a_remark(branch: Branch) -> None:
    pay = await Pay.open(branch)
    await pay.fees(pay.first, "250000.00")
    shares = [
        {"memberId": pay.first, "weight": "50"},
        {"memberId": pay.second, "weight": "30"},
        {"memberId": pay.manager, "weight": "20", "factor": "0.5"},
    ]
    given = {"teamId": branch.hq, "month": MONTH, "shares": shares}
    refused = await branch.crm.change("eliteDistributionPropose", branch.manager, input=given, acting="elite")
    assert codes(refused) == [("TELECOM_ELITE_FACTOR_UNEXPLAINED", "remark")]
    made = await branch.crm.done(
        "eliteDistributionPropose",
        branch.manager,
        input={**given, "remark": "项目延期"},
        acting="elite",
        select="eliteDistribution { id }",
    )
    await pay.sign(made["eliteDistribution"]["id"])
    run = await pay.computed()
    shown = [(await pay.paid(run, member))["COMMISSION"] for member in (pay.first, pay.second, pay.manager)]
    assert shown == ["5555.56", "3333.33", "1111.11"]


@pytest.mark.rule("MO-044")
async def test_the_factor_is_that_of_the_last_confirmed_appraisal(branch: Branch) -> None:
    pay = await Pay.open(branch)
    rate = {"name": "factor_c", "teamKind": "HQ", "validFrom": "2025-01-01", "value": "0.5"}
    await branch.crm.done("eliteRateSet", branch.hr, input=rate, acting="elite")
    await pay.appraised(pay.manager, ("2025-Q2", "A"), ("2025-Q3", "C"), ("2025-Q4", "A"))
    await pay.appraised(pay.manager, ("2025-09", "A"), state="DRAFT")
    await pay.fees(pay.first, "250000.00")
    await pay.divided({pay.first: "50", pay.second: "30", pay.manager: "20"})
    run = await pay.computed()
    assert (await pay.paid(run, pay.manager))["COMMISSION"] == "1111.11"
    line = next(one for one in await pay.lines(run) if one["amount"] == "1111.11")
    assert line["derivation"][1]["inputs"]["factor_from"] == "C 2025-Q3"


@pytest.mark.rule("MO-044")
@pytest.mark.parametrize(
    ("results", "last"),
    [
        ((("2025-Q3", "C"), ("2025-10", "A")), "A 2025-10"),
        ((("2025-10", "A"), ("2025-Q3", "C")), "A 2025-10"),
        ((("2025-Q3", "C"), ("2025-08", "A")), "C 2025-Q3"),
        ((("2025-09", "A"), ("2025-11", "C")), "A 2025-09"),
    ],
)
async def test_of_months_and_quarters_the_last_that_is_over_counts(
    branch: Branch, results: tuple[tuple[str, str], ...], last: str
) -> None:
    """Who changed between the kinds of teams has both."""
    pay = await Pay.open(branch)
    await pay.appraised(pay.first, *results)
    await pay.fees(pay.first, "10000.00")
    await pay.divided({pay.first: "100"})
    run = await pay.computed()
    (line,) = (one for one in await pay.lines(run) if one["kind"] == "COMMISSION")
    assert line["derivation"][1]["inputs"]["factor_from"] == last
