"""Teams: two kinds, their composition, cars, customers and establishment."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.teams.headcount import headcount, warnings
from crm_telecom_elite.testing import Branch

HQ, REGIONAL = EliteTeamKind.HQ, EliteTeamKind.REGIONAL
R = ElitePostRole
DAY = date(2025, 11, 3)
USUAL_HQ = {R.TEAM_MANAGER: 1, R.MARKETING_MANAGER: 2, R.PRODUCT_MANAGER: 1, R.SERVICE_MANAGER: 1}
USUAL_REGIONAL = {R.TEAM_LEADER: 1, R.CUSTOMER_MANAGER: 5, R.SERVICE_MANAGER: 2}
WARNINGS = "query($id: ID!) { eliteTeam(id: $id) { compositionWarnings } }"
ASSIGNED = "query($id: ID!) { customer(id: $id) { eliteAssignments(first: 9) { nodes { validFrom validTo eliteTeam { id } assignedBy { name } } } } }"


# -- pure rules


@pytest.mark.rule("MO-014", "OT-106")
def test_twelve_million_of_revenue_are_worth_fifteen_people() -> None:
    assert headcount(HQ, Decimal(12_000_000), Rates(), DAY) == 15
    assert headcount(HQ, Decimal(12_000_001), Rates(), DAY) == 16


@pytest.mark.rule("MO-015", "OT-106")
def test_a_thousand_users_a_month_are_worth_twenty_five_people() -> None:
    assert headcount(REGIONAL, Decimal(1_000), Rates(), DAY) == 25
    assert headcount(REGIONAL, Decimal(1_001), Rates(), DAY) == 26


@pytest.mark.rule("MO-014", "MO-015")
@given(st.sampled_from(EliteTeamKind), st.integers(0, 10**10))
def test_the_headcount_is_the_fewest_people_who_reach_the_target(kind: EliteTeamKind, target: int) -> None:
    each = 800_000 if kind is HQ else 40
    people = headcount(kind, Decimal(target), Rates(), DAY)
    assert people * each >= target
    assert people == 0 or (people - 1) * each < target


@pytest.mark.rule("MO-008", "OT-104")
def test_a_team_of_the_headquarters_with_four_or_five_is_usual() -> None:
    assert warnings(HQ, USUAL_HQ, Rates(), DAY) == []
    assert warnings(HQ, USUAL_HQ | {R.MARKETING_MANAGER: 1}, Rates(), DAY) == []


@pytest.mark.rule("MO-008", "OT-104")
@pytest.mark.parametrize(
    ("role", "people", "wanted"),
    [
        (R.TEAM_MANAGER, 0, "1"),
        (R.TEAM_MANAGER, 2, "1"),
        (R.MARKETING_MANAGER, 0, "1-2"),
        (R.MARKETING_MANAGER, 3, "1-2"),
        (R.PRODUCT_MANAGER, 2, "1"),
        (R.SERVICE_MANAGER, 0, "1"),
    ],
)
def test_a_team_of_the_headquarters_that_lacks_or_doubles_a_role_is_warned_of(
    role: ElitePostRole, people: int, wanted: str
) -> None:
    (only,) = warnings(HQ, USUAL_HQ | {role: people}, Rates(), DAY)
    assert (only.rule, only.params["found"], only.params["wanted"]) == ("MO-008", people, wanted)


@pytest.mark.rule("MO-009", "OT-105")
@pytest.mark.parametrize(("customer_managers", "warned"), [(4, True), (5, False), (6, False), (7, True)])
def test_a_regional_team_has_eight_or_nine_people_the_leader_among_them(
    customer_managers: int, warned: object
) -> None:
    people = USUAL_REGIONAL | {R.CUSTOMER_MANAGER: customer_managers, R.TECHNICAL_SUPPORT: 3}
    assert bool(warnings(REGIONAL, people, Rates(), DAY)) is warned


@pytest.mark.rule("MO-009", "OT-105")
def test_a_regional_team_without_leader_or_with_a_product_manager_is_warned_of() -> None:
    (leaderless,) = warnings(
        REGIONAL, USUAL_REGIONAL | {R.TEAM_LEADER: 0, R.CUSTOMER_MANAGER: 6}, Rates(), DAY
    )
    assert leaderless.params["role_zh"] == "团队组长"
    (strange,) = warnings(REGIONAL, USUAL_REGIONAL | {R.PRODUCT_MANAGER: 1}, Rates(), DAY)
    assert (strange.rule, strange.params["role_zh"]) == ("MO-009", "产品经理")


# -- teams


@pytest.mark.rule("MO-002", "OT-101")
async def test_a_regional_team_has_a_region_and_one_of_the_headquarters_none(branch: Branch) -> None:
    for wrong in ({"teamKind": "REGIONAL"}, {"teamKind": "HQ", "region": "宝安"}):
        refused = await branch.crm.change("eliteTeamCreate", branch.centre, input={"name": "新队", **wrong})
        assert [(e["code"], e["field"], e["rule"]) for e in refused["userErrors"]] == [
            ("TELECOM_ELITE_REGION_NEEDED", "region", "MO-002")
        ]


@pytest.mark.rule("MO-002", "MO-006", "OT-101")
async def test_a_team_is_a_team_of_the_line_below_its_department(branch: Branch) -> None:
    department = await branch.crm.team("集团客户营销中心", branch.line)
    given = {"name": "本部二队", "teamKind": "HQ", "parentId": f"tea_{department.hex}"}
    made = await branch.crm.done(
        "eliteTeamCreate",
        branch.centre,
        input=given,
        select="eliteTeam { name kind region closedOn team { name line } }",
    )
    assert made["eliteTeam"] == {
        "name": "本部二队", "kind": "HQ", "region": "", "closedOn": None,
        "team": {"name": "本部二队", "line": "elite"},
    }  # fmt: skip
    again = await branch.crm.change("eliteTeamCreate", branch.centre, input=given)
    assert [e["code"] for e in again["userErrors"]] == ["TELECOM_ELITE_TEAM_TAKEN"]
    twice = await branch.crm.change(
        "eliteTeamCreate",
        branch.centre,
        input={"name": "三队", "teamKind": "HQ", "teamId": await _team_of(branch, branch.hq)},
    )
    assert [(e["code"], e["field"]) for e in twice["userErrors"]] == [("TELECOM_ELITE_TEAM_TAKEN", "teamId")]


async def test_nobody_is_proposed_for_a_closed_team(branch: Branch) -> None:
    await branch.crm.done("eliteTeamClose", branch.centre, input={"id": branch.hq, "closedOn": "2025-11-03"})
    given = {
        "teamId": branch.hq,
        "postId": await branch.post("marketing_manager"),
        "name": "甲",
        "origin": "RECRUIT",
    }
    refused = await branch.crm.change("eliteMemberPropose", branch.hr, input=given)
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [
        ("TELECOM_ELITE_TEAM_CLOSED", "teamId")
    ]


async def test_a_team_is_renamed_and_a_region_given_anew(branch: Branch) -> None:
    changed = await branch.crm.done(
        "eliteTeamUpdate",
        branch.centre,
        input={"id": branch.regional, "name": "龙岗一队", "region": "龙岗"},
        select="eliteTeam { name region }",
    )
    assert changed["eliteTeam"] == {"name": "龙岗一队", "region": "龙岗"}
    wrong = await branch.crm.change(
        "eliteTeamUpdate", branch.centre, input={"id": branch.hq, "region": "龙岗"}
    )
    assert [e["code"] for e in wrong["userErrors"]] == ["TELECOM_ELITE_REGION_NEEDED"]


@pytest.mark.rule("MO-008", "OT-104")
async def test_a_composition_is_warned_of_in_both_languages_and_never_blocked(branch: Branch) -> None:
    for _ in range(3):
        await branch.member(post="marketing_manager")
    for language, words in (
        ("en", "The team has 3 marketing manager(s), it should have 1-2."),
        ("zh-CN", "团队现有营销经理 3 人，应为 1-2 人。"),
    ):
        answer = await branch.crm.ask(WARNINGS, branch.manager, language=language, id=branch.hq)  # type: ignore[arg-type]  # one of the two
        assert answer.data is not None
        found = answer.data["eliteTeam"]["compositionWarnings"]
        assert {"code": "TELECOM_ELITE_COMPOSITION", "rule": "MO-008", "message": words} in found


@pytest.mark.rule("MO-009", "OT-105")
async def test_a_changed_figure_of_composition_holds_at_once(branch: Branch) -> None:
    for name in ("team_size_least", "team_leaders"):
        given = {"name": name, "teamKind": "REGIONAL", "validFrom": "2025-11-01", "value": "0"}
        await branch.crm.done("eliteRateSet", branch.hr, input=given)
    seen = await branch.crm.data(WARNINGS, branch.hr, id=branch.regional)
    assert seen["eliteTeam"]["compositionWarnings"] == []


@pytest.mark.rule("MO-051", "OT-119")
async def test_cars_are_said_from_a_day_on_and_the_same_day_is_replaced(branch: Branch) -> None:
    for day, guaranteed in (("2025-03-01", False), ("2025-06-01", False), ("2025-06-01", True)):
        given = {"id": branch.hq, "validFrom": day, "guaranteed": guaranteed}
        await branch.crm.done("eliteTeamSetCars", branch.centre, input=given)
    seen = await branch.crm.data(
        "query($id: ID!) { eliteTeam(id: $id) { cars { validFrom guaranteed } } }",
        branch.members[0],
        id=branch.hq,
    )
    assert seen["eliteTeam"]["cars"] == [
        {"validFrom": "2025-06-01", "guaranteed": True},
        {"validFrom": "2025-03-01", "guaranteed": False},
    ]


# -- customers


@pytest.mark.rule("MO-006", "OT-101")
async def test_a_customer_has_one_team_at_a_time_and_keeps_the_history(branch: Branch) -> None:
    customer = await branch.customer()
    await assign(branch, customer, branch.regional, "2025-10-01")
    await assign(branch, customer, branch.hq, "2025-11-01")
    seen = await branch.crm.data(ASSIGNED, branch.centre, id=customer)
    assert seen["customer"]["eliteAssignments"]["nodes"] == [
        {"validFrom": "2025-11-01", "validTo": None, "eliteTeam": {"id": branch.hq}, "assignedBy": {"name": "elite 周中心"}},
        {"validFrom": "2025-10-01", "validTo": "2025-11-01", "eliteTeam": {"id": branch.regional}, "assignedBy": {"name": "elite 周中心"}},
    ]  # fmt: skip


@pytest.mark.rule("MO-006")
async def test_only_the_centre_assigns_customers(branch: Branch) -> None:
    customer = await branch.customer()
    for who in (branch.hr, branch.manager, branch.leader, branch.finance, branch.members[0]):
        refused = await branch.crm.change(
            "eliteCustomerAssign", who, input={"customerId": customer, "teamId": branch.hq}
        )
        assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]


@pytest.mark.rule("MO-006")
async def test_an_assignment_does_not_begin_before_a_known_one(branch: Branch) -> None:
    customer = await branch.customer()
    await assign(branch, customer, branch.hq, "2025-10-01")
    for day in ("2025-09-01", "2025-10-01"):
        refused = await branch.crm.change(
            "eliteCustomerAssign",
            branch.centre,
            input={"customerId": customer, "teamId": branch.regional, "validFrom": day},
        )
        assert [(e["code"], e["field"], e["rule"]) for e in refused["userErrors"]] == [
            ("TELECOM_ELITE_LATER_ASSIGNED", "validFrom", "MO-006")
        ]


@pytest.mark.rule("MO-006")
async def test_an_assigned_customer_is_seen_by_the_teams_manager_from_its_day_on(branch: Branch) -> None:
    now, soon = await branch.customer(), await branch.customer()
    await assign(branch, now, branch.hq, "2025-11-03")
    await assign(branch, soon, branch.hq, "2025-11-04")
    seen = "{ customers(first: 9) { nodes { id } } }"
    assert await _ids(branch, seen) == {now}
    branch.crm.clock.advance(days=1)
    await settled(branch)
    assert await _ids(branch, seen) == {now, soon}


# -- establishment


@pytest.mark.rule("MO-014", "MO-015", "MO-019", "OT-106")
async def test_an_establishment_follows_from_the_years_task(branch: Branch) -> None:
    for task, people in (
        ({"teamKind": "HQ", "year": 2025, "target": "12000000"}, 15),
        ({"teamKind": "REGIONAL", "region": "宝安", "year": 2025, "target": "1000"}, 25),
        ({"teamKind": "REGIONAL", "region": "宝安", "year": 2025, "target": "1001"}, 26),
    ):
        made = await branch.crm.done(
            "eliteEstablishmentSet", branch.hr, input=task, select="eliteEstablishment { headcount }"
        )
        assert made["eliteEstablishment"]["headcount"] == people
    seen = await branch.crm.data("{ eliteEstablishments(first: 9) { totalCount } }", branch.members[0])
    assert seen["eliteEstablishments"]["totalCount"] == 2


@pytest.mark.rule("MO-014", "MO-015")
async def test_the_headcount_of_a_task_may_be_asked_for(branch: Branch) -> None:
    text = 'query($k: EliteTeamKind!, $t: Decimal!) { eliteHeadcount(line: "elite", teamKind: $k, target: $t, on: "2025-11-03") }'
    assert (await branch.crm.data(text, branch.hr, k="HQ", t="12000000"))["eliteHeadcount"] == 15
    assert (await branch.crm.data(text, branch.hr, k="REGIONAL", t="1000"))["eliteHeadcount"] == 25
    given = {"name": "headcount_users", "teamKind": "REGIONAL", "validFrom": "2025-11-01", "value": "50"}
    await branch.crm.done("eliteRateSet", branch.hr, input=given)
    assert (await branch.crm.data(text, branch.hr, k="REGIONAL", t="1000"))["eliteHeadcount"] == 20
    stranger = await branch.crm.actor("stranger", {"customer.read": 1}, lines=("office",))  # type: ignore[dict-item]  # OWN
    assert (await branch.crm.ask(text, stranger, k="HQ", t="1")).codes == ["FORBIDDEN"]


async def assign(branch: Branch, customer: str, team: str, day: str) -> None:
    """The Centre assigns a customer."""
    given = {"customerId": customer, "teamId": team, "validFrom": day}
    await branch.crm.done("eliteCustomerAssign", branch.centre, input=given)


async def settled(branch: Branch) -> None:
    """The clockwork of the plugin has run."""
    (chore,) = (one for one in branch.crm.services.registry.chores if one.name == "telecom_elite.settle")
    await chore.run(branch.crm.services)


async def _ids(branch: Branch, text: str) -> set[str]:
    seen: dict[str, Any] = await branch.crm.data(text, branch.manager)
    return {node["id"] for node in seen["customers"]["nodes"]}


async def _team_of(branch: Branch, team: str) -> str:
    seen = await branch.crm.data("query($id: ID!) { eliteTeam(id: $id) { team { id } } }", id=team)
    found: str = seen["eliteTeam"]["team"]["id"]
    return found
