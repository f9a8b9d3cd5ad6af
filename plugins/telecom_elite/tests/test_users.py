"""Developed users: their commission months, whose they are from which day on, legacy users, who sees them."""

from datetime import date
from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_core.outbox.models import OutboxEvent
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.receipts.testing import codes, user
from crm_telecom_elite.testing import Branch
from crm_telecom_elite.users.entering import commission_months
from crm_telecom_elite.users.models import EliteAssignment, EliteUser
from crm_telecom_elite.users.queries import developed_in

ASSIGNED = "eliteUser { assignments { validFrom validTo eliteTeam { id } member { id } } owner { name } eliteTeam { id } }"


async def history(branch: Branch, key: str) -> list[tuple[str, str | None]]:
    """From and to of a user's assignments, the latest first."""
    asked = "query($id: ID!) { eliteUser(id: $id) { assignments { validFrom validTo } } }"
    found = await branch.crm.data(asked, branch.centre, id=key)
    return [(one["validFrom"], one["validTo"]) for one in found["eliteUser"]["assignments"]]


async def member_of(branch: Branch, kind: str) -> str:
    """A member of the team of this kind."""
    if kind == "HQ":
        return await branch.member()
    return await branch.member(team=branch.regional, post="customer_manager")


# -- entering


@pytest.mark.rule("MO-042", "OT-102", "OT-114", "MO-045")
async def test_the_month_of_activation_is_month_1_and_the_eighteenth_the_last(branch: Branch) -> None:
    made = await user(branch, await branch.member(), activatedOn="2025-10-31")
    assert (made["firstMonth"], made["lastMonth"], made["servedUntil"]) == (
        "2025-10",
        "2027-03",
        "2027-03-31",
    )


@pytest.mark.rule("MO-004", "MO-005", "MO-042", "MO-045", "OT-102")
@pytest.mark.parametrize("kind", ["HQ", "REGIONAL"])
@pytest.mark.parametrize(
    ("activated", "last", "served"),
    [("2025-03-31", "2026-08", "2026-08-31"), ("2025-09-01", "2027-02", "2027-02-28")],
)
async def test_a_team_of_either_kind_serves_to_the_end_of_the_last_commission_month(
    branch: Branch, kind: str, activated: str, last: str, served: str
) -> None:
    made = await user(branch, await member_of(branch, kind), activatedOn=activated)
    assert (made["lastMonth"], made["servedUntil"]) == (last, served)


@pytest.mark.rule("MO-004", "MO-005", "MO-006", "OT-101")
@pytest.mark.parametrize(("kind", "other"), [("HQ", "REGIONAL"), ("REGIONAL", "HQ")])
async def test_a_team_of_either_kind_develops_the_customers_that_were_assigned_to_it(
    branch: Branch, kind: str, other: str
) -> None:
    customer = await branch.customer()
    team = branch.hq if kind == "HQ" else branch.regional
    assigned = {"customerId": customer, "teamId": team, "validFrom": "2025-10-10"}
    await branch.crm.done("eliteCustomerAssign", branch.centre, input=assigned)
    given = {"number": "K", "customerId": customer, "activatedOn": "2025-10-10"}
    foreign = {**given, "memberId": await member_of(branch, other)}
    refused = await branch.crm.change("eliteUserCreate", branch.centre, input=foreign)
    assert codes(refused) == [("TELECOM_ELITE_CUSTOMER_OF_ANOTHER_TEAM", "customerId")]
    made = await branch.crm.done(
        "eliteUserCreate",
        branch.centre,
        input={**given, "memberId": await member_of(branch, kind)},
        select="eliteUser { eliteTeam { id } }",
    )
    assert made["eliteUser"]["eliteTeam"] == {"id": team}


@pytest.mark.rule("MO-042")
def test_the_cycle_in_force_on_the_day_of_activation_is_fixed() -> None:
    rates = Rates([("commission_months", "HQ", date(2025, 7, 1), 12)])  # type: ignore[list-item]  # as a Decimal
    hq = EliteTeamKind.HQ
    assert commission_months(rates, hq, date(2025, 6, 30)) == ("2025-06", "2026-11")
    assert commission_months(rates, hq, date(2025, 7, 1)) == ("2025-07", "2026-06")


async def test_a_number_stands_once_in_a_line(branch: Branch) -> None:
    member = await branch.member()
    made = await user(branch, member)
    given = {"number": made["number"], "memberId": member, "activatedOn": "2025-10-10"}
    again = await branch.crm.change("eliteUserCreate", branch.centre, input=given, language="zh-CN")
    assert codes(again) == [("TELECOM_ELITE_USER_KNOWN", "number")]
    assert again["userErrors"][0]["message"] == f"业务线 elite 已有用户 {made['number']}。"


async def test_a_user_is_developed_by_somebody_who_is_in_a_team_that_day(branch: Branch) -> None:
    member = await branch.member(entered_on="2025-03-01")
    given = {"number": "early", "memberId": member, "activatedOn": "2025-02-28"}
    refused = await branch.crm.change("eliteUserCreate", branch.centre, input=given)
    assert codes(refused) == [("TELECOM_ELITE_NOT_POSTED", "activatedOn")]
    assert refused["userErrors"][0]["rule"] == "MO-038"


async def test_many_are_entered_at_once_in_few_statements(branch: Branch) -> None:
    member = await branch.member()
    given = [{"number": f"M{n}", "memberId": member, "activatedOn": "2025-10-10"} for n in range(300)]
    with branch.crm.statements() as sent:
        made = await branch.crm.done(
            "eliteUserCreateMany", branch.centre, input={"users": given}, select="eliteUsers { id number }"
        )
    assert len(made["eliteUsers"]) == 300
    assert len(sent) < 40, [one[:80] for one in sent]
    events = [e for e in await branch.crm.rows(OutboxEvent) if e.kind == "elite_user.created"]
    assert len(events) == 300


async def test_of_many_each_wrong_one_is_named_and_none_is_entered(branch: Branch) -> None:
    member, day = await branch.member(), "2025-10-10"
    nobody = ids.show("elm", ids.uuid7())
    given = [
        {"number": "A", "memberId": member, "activatedOn": day},
        {"number": "A", "memberId": member, "activatedOn": day},
        {"number": "B", "memberId": nobody, "activatedOn": day},
        {"number": "C", "memberId": member, "activatedOn": "2020-01-01"},
        {"number": "D", "memberId": member, "activatedOn": day, "legacy": True},
    ]
    refused = await branch.crm.change("eliteUserCreateMany", branch.centre, input={"users": given})
    assert codes(refused) == [
        ("TELECOM_ELITE_USER_TWICE", "users.0.number"),
        ("TELECOM_ELITE_USER_TWICE", "users.1.number"),
        ("NOT_FOUND", "users.2.memberId"),
        ("TELECOM_ELITE_NOT_POSTED", "users.3.activatedOn"),
        ("TELECOM_ELITE_NOT_LEGACY", "users.4.legacy"),
    ]
    assert await branch.crm.rows(EliteUser) == []


@pytest.mark.rule("MO-006")
async def test_a_customer_assigned_to_another_team_is_not_developed(branch: Branch) -> None:
    customer, member = await branch.customer(), await branch.member()
    assigned = {"customerId": customer, "teamId": branch.regional, "validFrom": "2025-01-01"}
    await branch.crm.done("eliteCustomerAssign", branch.centre, input=assigned)
    given = {"number": "K", "memberId": member, "activatedOn": "2025-10-10", "customerId": customer}
    refused = await branch.crm.change("eliteUserCreate", branch.centre, input=given)
    assert codes(refused) == [("TELECOM_ELITE_CUSTOMER_OF_ANOTHER_TEAM", "customerId")]


async def test_a_customer_shows_the_users_developed_with_it(branch: Branch) -> None:
    customer, member = await branch.customer(), await branch.member()
    made = await user(branch, member, customerId=customer)
    asked = "query($id: ID!) { customer(id: $id) { eliteUsers { totalCount nodes { id member { id users { totalCount } } } } } }"
    found = await branch.crm.data(asked, branch.centre, id=customer)
    node = {"id": made["id"], "member": {"id": member, "users": {"totalCount": 1}}}
    assert found["customer"]["eliteUsers"] == {"totalCount": 1, "nodes": [node]}


@pytest.mark.rule("MO-072")
async def test_group_users_of_a_month_are_counted_for_who_developed_them(branch: Branch) -> None:
    old = await branch.member(entered_on="2025-09-01", origin="DIRECT_SALES")
    other = await branch.member()
    for day in ("2025-10-01", "2025-10-31"):
        await user(branch, old, activatedOn=day)
    await user(branch, old, activatedOn="2025-10-15", groupUser=False)
    await user(branch, old, activatedOn="2025-11-01")
    await user(branch, old, activatedOn="2025-08-15", legacy=True)
    await user(branch, other)
    rows = await branch.crm.database.fetch(developed_in("elite", "2025-10"))
    assert {ids.show("elm", row.member_id): row.users for row in rows} == {old: 2, other: 1}


# -- corrections


async def test_another_day_of_activation_gives_other_months_and_is_the_centres(branch: Branch) -> None:
    made = await user(branch, await branch.member(user=branch.members[0]))
    given = {"id": made["id"], "activatedOn": "2025-08-05"}
    refused = await branch.crm.change("eliteUserUpdate", branch.manager, input=given)
    assert codes(refused) == [("TELECOM_ELITE_USERS_CENTRE_ONLY", "activatedOn")]
    chosen = "eliteUser { firstMonth lastMonth groupUser assignments { validFrom } }"
    changed = await branch.crm.done("eliteUserUpdate", branch.centre, input=given, select=chosen)
    assert changed["eliteUser"] == {
        "firstMonth": "2025-08", "lastMonth": "2027-01", "groupUser": True, "assignments": [{"validFrom": "2025-08-05"}],
    }  # fmt: skip


async def test_a_user_does_not_end_before_he_began(branch: Branch) -> None:
    made = await user(branch, await branch.member())
    refused = await branch.crm.change(
        "eliteUserEnd", branch.centre, input={"id": made["id"], "endedOn": "2025-10-09"}
    )
    assert codes(refused) == [("TELECOM_ELITE_ENDS_BEFORE", "endedOn")]
    ended = await branch.crm.done(
        "eliteUserEnd",
        branch.centre,
        input={"id": made["id"], "endedOn": "2025-10-31"},
        select="eliteUser { endedOn }",
    )
    assert ended["eliteUser"]["endedOn"] == "2025-10-31"


# -- whose he is


async def test_a_user_is_given_to_another_member_from_a_day_on(branch: Branch) -> None:
    first, second = await branch.member(user=branch.members[0]), await branch.member(user=branch.members[1])
    made = await user(branch, first)
    given = {"id": made["id"], "memberId": second, "validFrom": "2025-11-01"}
    moved = await branch.crm.done("eliteUserAssign", branch.centre, input=given, select=ASSIGNED)
    assert moved["eliteUser"]["assignments"] == [
        {"validFrom": "2025-11-01", "validTo": None, "eliteTeam": {"id": branch.hq}, "member": {"id": second}},
        {"validFrom": "2025-10-10", "validTo": "2025-11-01", "eliteTeam": {"id": branch.hq}, "member": {"id": first}},
    ]  # fmt: skip
    assert moved["eliteUser"]["owner"] == {"name": "elite 林二"}


async def test_an_assignment_of_the_same_day_is_changed_and_an_earlier_one_refused(branch: Branch) -> None:
    first, second = await branch.member(), await branch.member()
    made = await user(branch, first)
    for member in (second, first):
        given = {"id": made["id"], "memberId": member, "validFrom": "2025-11-01"}
        await branch.crm.done("eliteUserAssign", branch.centre, input=given)
    assert await history(branch, made["id"]) == [("2025-11-01", None), ("2025-10-10", "2025-11-01")]
    early = {"id": made["id"], "memberId": second, "validFrom": "2025-10-20"}
    refused = await branch.crm.change("eliteUserAssign", branch.centre, input=early)
    assert codes(refused) == [("TELECOM_ELITE_ASSIGNED_LATER", "validFrom")]


async def test_a_team_as_a_whole_may_have_a_user(branch: Branch) -> None:
    made = await user(branch, await branch.member())
    given = {"id": made["id"], "eliteTeamId": branch.regional, "validFrom": "2025-11-01"}
    moved = await branch.crm.done("eliteUserAssign", branch.centre, input=given, select=ASSIGNED)
    assert moved["eliteUser"]["eliteTeam"] == {"id": branch.regional}
    assert moved["eliteUser"]["assignments"][0]["member"] is None
    both = {**given, "memberId": await branch.member()}
    refused = await branch.crm.change("eliteUserAssign", branch.centre, input=both)
    assert codes(refused) == [("TELECOM_ELITE_ONE_HOLDER", "memberId")]


async def test_a_manager_gives_users_to_his_own_members_alone(branch: Branch) -> None:
    mine, his = (
        await branch.member(user=branch.members[0]),
        await branch.member(team=branch.regional, user=branch.members[2], post="customer_manager"),
    )
    made = await user(branch, mine, by=branch.manager)
    given = {"id": made["id"], "memberId": his, "validFrom": "2025-11-01"}
    refused = await branch.crm.change("eliteUserAssign", branch.manager, input=given)
    assert codes(refused) == [("NOT_FOUND", "memberId")]
    foreign = await branch.crm.change(
        "eliteUserAssign", branch.regional_leader, input={**given, "validFrom": "2025-11-02"}
    )
    assert codes(foreign) == [("NOT_FOUND", "id")]
    whole = {"id": made["id"], "eliteTeamId": branch.hq, "validFrom": "2025-11-01"}
    alone = await branch.crm.change("eliteUserAssign", branch.manager, input=whole)
    assert codes(alone) == [("TELECOM_ELITE_USERS_CENTRE_ONLY", "eliteTeamId")]


# -- legacy


@pytest.mark.rule("MO-038", "OT-115")
async def test_a_legacy_user_is_the_teams_from_the_day_his_developer_entered(branch: Branch) -> None:
    member = await branch.member(entered_on="2025-07-01", origin="DIRECT_SALES")
    made = await user(branch, member, activatedOn="2025-02-10", legacy=True)
    assert (made["firstMonth"], made["lastMonth"]) == ("2025-02", "2026-07")
    assert await history(branch, made["id"]) == [("2025-07-01", None)]


@pytest.mark.rule("MO-038")
async def test_the_centre_alone_puts_legacy_users_on_the_list(branch: Branch) -> None:
    member = await branch.member(entered_on="2025-07-01", origin="DIRECT_SALES", user=branch.members[0])
    old = await user(branch, member, activatedOn="2025-02-10", legacy=True)
    new = await user(branch, member)
    given = {"ids": [old["id"]], "approvedOn": "2025-11-01"}
    refused = await branch.crm.change("eliteUserApproveLegacy", branch.manager, input=given)
    assert codes(refused) == [("TELECOM_ELITE_USERS_CENTRE_ONLY", "ids")]
    mixed = await branch.crm.change(
        "eliteUserApproveLegacy", branch.centre, input={**given, "ids": [old["id"], new["id"]]}
    )
    assert codes(mixed) == [("TELECOM_ELITE_NO_LEGACY_USER", "ids.1")]
    listed = await branch.crm.done(
        "eliteUserApproveLegacy", branch.centre, input=given, select="eliteUsers { id legacyApprovedOn }"
    )
    assert listed["eliteUsers"] == [{"id": old["id"], "legacyApprovedOn": "2025-11-01"}]


# -- who sees whom


async def test_a_member_sees_his_users_a_manager_his_teams_and_the_others_all(branch: Branch) -> None:
    mine, mates = await branch.member(user=branch.members[0]), await branch.member(user=branch.members[1])
    theirs = await branch.member(team=branch.regional, user=branch.members[2], post="customer_manager")
    a, b, c = [(await user(branch, one))["number"] for one in (mine, mates, theirs)]
    seers: list[tuple[Actor, set[str]]] = [
        (branch.members[0], {a}), (branch.members[1], {b}), (branch.members[2], {c}), (branch.manager, {a, b}),
        (branch.regional_leader, {c}), (branch.centre, {a, b, c}), (branch.hr, {a, b, c}),
        (branch.finance, {a, b, c}), (branch.leader, {a, b, c}),
    ]  # fmt: skip
    for actor, seen in seers:
        found = await branch.crm.data("{ eliteUsers { nodes { number } } }", actor)
        assert {one["number"] for one in found["eliteUsers"]["nodes"]} == seen, actor.name
    stranger = await branch.crm.actor("stranger", role="sales_manager", lines=("office",))
    answer = await branch.crm.ask("{ eliteUsers { nodes { number } } }", stranger)
    assert answer.codes == ["FORBIDDEN"]


async def test_every_change_of_a_user_is_told(branch: Branch) -> None:
    first, second = await branch.member(), await branch.member()
    made = await user(branch, first)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("Update", {"groupUser": False}),
        ("Assign", {"memberId": second, "validFrom": "2025-11-01"}),
        ("End", {"endedOn": "2025-11-02"}),
    ]
    for verb, given in steps:
        await branch.crm.done(f"eliteUser{verb}", branch.centre, input={"id": made["id"], **given})
    key = ids.read(made["id"])[1]
    told = [e for e in await branch.crm.rows(OutboxEvent) if e.subject_id == key]
    assert [e.kind for e in sorted(told, key=lambda e: e.sequence)] == [
        "elite_user.created", "elite_user.updated", "elite_user.assigned", "elite_user.ended",
    ]  # fmt: skip
    assert len(await branch.crm.rows(EliteAssignment)) == 2
