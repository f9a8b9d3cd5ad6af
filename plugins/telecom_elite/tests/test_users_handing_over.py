"""Many users change hands at once: some by their ids, all of a member, or with everything of who leaves."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import update

from crm_core import ids
from crm_core.actors import Actor
from crm_core.audit.models import AuditEntry
from crm_core.db.unit import Unit
from crm_core.outbox.models import OutboxEvent
from crm_telecom_elite.members.models import ElitePosting
from crm_telecom_elite.receipts.testing import codes, earnings, receipt, record, user
from crm_telecom_elite.testing import Branch
from crm_telecom_elite.users.models import EliteAssignment, EliteUser

DAY = "2025-11-01"


async def develop(branch: Branch, member: str, many: int, **more: Any) -> list[str]:
    """Users of a member, all entered at once."""
    given = [
        {"number": f"{member}/{n}", "memberId": member, "activatedOn": "2025-10-10", **more}
        for n in range(many)
    ]
    made = await branch.crm.done(
        "eliteUserCreateMany", branch.centre, input={"users": given}, select="eliteUsers { id }"
    )
    return [one["id"] for one in made["eliteUsers"]]


async def history(branch: Branch) -> set[tuple[str, str | None, str, str | None]]:
    """From, to, team and member of every assignment, whatever user it is of."""
    rows = await branch.crm.rows(EliteAssignment)
    return {
        (
            row.valid_from.isoformat(),
            row.valid_to.isoformat() if row.valid_to else None,
            ids.show("elt", row.elite_team_id),
            ids.show("elm", row.member_id) if row.member_id else None,
        )
        for row in rows
    }


async def owners(branch: Branch) -> set[Any]:
    return {row.owner_id for row in await branch.crm.rows(EliteUser)}


async def two(branch: Branch) -> tuple[str, str]:
    """Two members of the team of the headquarters, with the accounts of 陈一 and 林二."""
    return await branch.member(user=branch.members[0]), await branch.member(user=branch.members[1])


# -- some


async def test_several_users_are_given_to_another_member_from_a_day_on(branch: Branch) -> None:
    first, second = await two(branch)
    users = await develop(branch, first, 3)
    given = {"ids": [users[2], users[0], users[2]], "memberId": second, "validFrom": DAY}
    done = await branch.crm.done(
        "eliteUserAssignMany",
        branch.centre,
        input=given,
        select="eliteUsers { id owner { name } assignments { validFrom validTo member { id } } }",
    )
    history = [
        {"validFrom": DAY, "validTo": None, "member": {"id": second}},
        {"validFrom": "2025-10-10", "validTo": DAY, "member": {"id": first}},
    ]
    mine = {"owner": {"name": "elite 林二"}, "assignments": history}
    assert done["eliteUsers"] == [{"id": users[2], **mine}, {"id": users[0], **mine}]
    asked = "{ eliteUsers { nodes { id } } }"
    kept = await branch.crm.data(asked, branch.members[0])
    assert kept["eliteUsers"]["nodes"] == [{"id": users[1]}]


async def test_of_several_each_wrong_one_is_named_and_none_changes_hands(branch: Branch) -> None:
    first, second = await two(branch)
    users = await develop(branch, first, 2)
    later = {"id": users[1], "memberId": second, "validFrom": "2025-11-20"}
    await branch.crm.done("eliteUserAssign", branch.centre, input=later)
    before = await history(branch)
    nobody = ids.show("elu", ids.uuid7())
    for wrong, expected in (
        ([users[0], nobody], ("NOT_FOUND", "ids.1")),
        ([users[0], users[1]], ("TELECOM_ELITE_ASSIGNED_LATER", "ids.1")),
        (users * 51, ("TOO_MANY", "ids")),
    ):
        given = {"ids": wrong, "memberId": second, "validFrom": DAY}
        refused = await branch.crm.change("eliteUserAssignMany", branch.centre, input=given)
        assert codes(refused) == [expected]
    assert await history(branch) == before


async def test_a_manager_gives_several_of_his_own_team_to_its_members_alone(branch: Branch) -> None:
    mine, mate = await two(branch)
    theirs = await branch.member(team=branch.regional, user=branch.members[2], post="customer_manager")
    users, foreign = await develop(branch, mine, 2), await develop(branch, theirs, 1)
    many = "eliteUserAssignMany"
    given = {"ids": users + foreign, "memberId": mate, "validFrom": DAY}
    refused = await branch.crm.change(many, branch.manager, input=given)
    assert codes(refused) == [("NOT_FOUND", "ids.2")]
    to_them = await branch.crm.change(
        many, branch.manager, input={"ids": users, "memberId": theirs, "validFrom": DAY}
    )
    assert codes(to_them) == [("NOT_FOUND", "memberId")]
    await branch.crm.done(many, branch.manager, input={**given, "ids": users})


async def test_what_is_signed_for_one_is_signed_for_several_and_for_all(branch: Branch) -> None:
    first, second = await two(branch)
    users, crm = await develop(branch, first, 2), branch.crm
    policy = {
        "name": "users",
        "commands": ["elite_user.assign"],
        "stages": [{"slots": [{"role": "elite_leader"}]}],
    }
    await crm.done("approvalPolicySet", acting=branch.line, input=policy)
    to_second = {"memberId": second, "validFrom": DAY}
    for mutation, given, left in (
        ("eliteUserAssignMany", {"ids": users[:1], **to_second}, 1),
        ("eliteUserHandOver", {"id": first, **to_second}, 0),
    ):
        held = await crm.done(mutation, branch.centre, input=given, select="approval { id state diff }")
        assert held["approval"]["state"] == "PENDING"
        assert "owner" in {line["field"].removesuffix("Id") for line in held["approval"]["diff"]}
        assert await held_by_first(branch) == left + 1
        signed = {"id": held["approval"]["id"]}
        done = await crm.done("approvalApprove", branch.leader, input=signed, select="approval { state }")
        assert done["approval"]["state"] == "APPROVED"
        assert await held_by_first(branch) == left


async def held_by_first(branch: Branch) -> int:
    """How many users 陈一 sees as his."""
    mine = branch.members[0].user_id
    return sum(row.owner_id == mine for row in await branch.crm.rows(EliteUser))


# -- all of a member


async def test_all_users_of_a_member_go_to_another_from_a_day_on(branch: Branch) -> None:
    first, second = await two(branch)
    await develop(branch, first, 2)
    mates = await develop(branch, second, 1)
    given = {"id": first, "memberId": second, "validFrom": DAY}
    seen = "eliteMember { id users { totalCount } usersHeld { totalCount } }"
    left = await branch.crm.done("eliteUserHandOver", branch.centre, input=given, select=seen)
    assert left["eliteMember"] == {"id": first, "users": {"totalCount": 2}, "usersHeld": {"totalCount": 0}}
    assert await history(branch) == {
        ("2025-10-10", DAY, branch.hq, first), (DAY, None, branch.hq, second), ("2025-10-10", None, branch.hq, second),
    }  # fmt: skip
    asked = "query($id: ID!) { eliteMember(id: $id) { users { nodes { id } } usersHeld { totalCount } } }"
    his = (await branch.crm.data(asked, branch.centre, id=second))["eliteMember"]
    assert his == {"users": {"nodes": [{"id": mates[0]}]}, "usersHeld": {"totalCount": 3}}


@pytest.mark.rule("MO-043")
async def test_what_was_received_before_stays_with_who_had_them_that_day(branch: Branch) -> None:
    first = await branch.member(user=branch.members[0])
    second = await branch.member(team=branch.regional, user=branch.members[2], post="customer_manager")
    made = await user(branch, first)
    await record(
        branch,
        receipt(made, "100.00", receivedOn="2025-11-01"),
        receipt(made, "30.00", receivedOn="2025-11-02"),
    )
    given = {"id": first, "memberId": second, "validFrom": "2025-11-02"}
    await branch.crm.done("eliteUserHandOver", branch.centre, input=given)
    found = {
        (ids.show("elt", one.elite_team_id), ids.show("elm", one.member_id)): one.amount
        for one in await earnings(branch)
        if one.elite_team_id and one.member_id
    }
    assert found == {(branch.hq, first): 10000, (branch.regional, second): 3000}


async def test_what_he_is_to_have_later_or_has_for_a_while_goes_with_them(branch: Branch) -> None:
    first, second = await two(branch)
    third = await branch.member()
    while_, later = await develop(branch, first, 1), await develop(branch, third, 1)
    steps = [(while_[0], third, "2025-12-01"), (later[0], first, "2025-11-20")]
    for key, member, day in steps:
        given = {"id": key, "memberId": member, "validFrom": day}
        await branch.crm.done("eliteUserAssign", branch.centre, input=given)
    given = {"id": first, "memberId": second, "validFrom": "2025-11-10"}
    await branch.crm.done("eliteUserHandOver", branch.centre, input=given)
    hq = branch.hq
    assert await history(branch) == {
        ("2025-10-10", "2025-11-10", hq, first), ("2025-11-10", "2025-12-01", hq, second), ("2025-12-01", None, hq, third),
        ("2025-10-10", "2025-11-20", hq, third), ("2025-11-20", None, hq, second),
    }  # fmt: skip
    sees = {ids.show("elu", row.id): row.owner_id for row in await branch.crm.rows(EliteUser)}
    assert sees == {while_[0]: None, later[0]: branch.members[1].user_id}


async def test_a_team_as_a_whole_takes_all_users_over_by_the_centre(branch: Branch) -> None:
    first, _ = await two(branch)
    await develop(branch, first, 2)
    given = {"id": first, "eliteTeamId": branch.regional, "validFrom": DAY}
    refused = await branch.crm.change("eliteUserHandOver", branch.manager, input=given)
    assert codes(refused) == [("TELECOM_ELITE_USERS_CENTRE_ONLY", "eliteTeamId")]
    await branch.crm.done("eliteUserHandOver", branch.centre, input=given)
    assert (DAY, None, branch.regional, None) in await history(branch)
    assert await owners(branch) == {None}


async def test_a_manager_hands_over_within_his_team_and_not_what_is_beyond_his_reach(branch: Branch) -> None:
    first, second = await two(branch)
    theirs = await branch.member(team=branch.regional, user=branch.members[2], post="customer_manager")
    users = await develop(branch, first, 2)
    given = {"id": first, "memberId": second, "validFrom": "2025-11-10"}
    for wrong, expected in (
        ({**given, "memberId": theirs}, ("NOT_FOUND", "memberId")),
        ({**given, "id": theirs}, ("NOT_FOUND", "id")),
        ({**given, "memberId": first}, ("SUCCESSOR_IS_LEAVER", "memberId")),
        ({"id": first, "validFrom": DAY}, ("TELECOM_ELITE_ONE_HOLDER", "memberId")),
    ):
        refused = await branch.crm.change("eliteUserHandOver", branch.manager, input=wrong)
        assert codes(refused) == [expected]
    away = {"id": users[0], "memberId": theirs, "validFrom": "2025-12-01"}
    await branch.crm.done("eliteUserAssign", branch.centre, input=away)
    refused = await branch.crm.change("eliteUserHandOver", branch.manager, input=given, language="zh-CN")
    assert codes(refused) == [("TELECOM_ELITE_USERS_CENTRE_ONLY", "id")]
    assert refused["userErrors"][0]["message"].startswith("仅营销中心可以操作")
    await branch.crm.done("eliteUserHandOver", branch.centre, input=given)


async def test_who_takes_over_is_in_a_team_on_that_day(branch: Branch) -> None:
    first = await branch.member()
    second = await branch.member(entered_on="2025-10-20")
    await develop(branch, first, 1)
    given = {"id": first, "memberId": second, "validFrom": "2025-10-19"}
    refused = await branch.crm.change("eliteUserHandOver", branch.centre, input=given)
    assert codes(refused) == [("TELECOM_ELITE_NOT_POSTED", "validFrom")]


@pytest.mark.parametrize("mutation", ["eliteUserAssignMany", "eliteUserHandOver"])
async def test_many_change_hands_in_few_statements_and_each_is_told(branch: Branch, mutation: str) -> None:
    first, second = await two(branch)
    users = await develop(branch, first, 100)
    whom: dict[str, Any] = {"ids": users} if mutation == "eliteUserAssignMany" else {"id": first}
    given = {**whom, "memberId": second, "validFrom": DAY}
    with branch.crm.statements() as sent:
        await branch.crm.done(mutation, branch.centre, input=given)
    assert len(sent) < 25, [one[:80] for one in sent]
    told = [e for e in await branch.crm.rows(OutboxEvent) if e.kind == "elite_user.assigned"]
    assert {ids.show("elu", e.subject_id) for e in told} == set(users)
    rows = {row.id: row for row in await branch.crm.rows(EliteUser)}
    assert {(e.sequence, rows[e.subject_id].version) for e in told} == {(2, 2)}
    accounts = [str(who.user_id) for who in branch.members[:2]]
    assert all([e.before["owner_id"], e.after["owner_id"]] == accounts for e in told)
    data = {"team": branch.hq, "member": second, "valid_from": DAY}
    assert [e.data for e in told] == [data] * 100
    entry = max(await branch.crm.rows(AuditEntry), key=lambda entry: entry.id)
    changed = [one["table"] for one in entry.changes]
    assert changed.count("telecom_elite_users") == 100
    assert changed.count("telecom_elite_assignments") == 200


# -- who leaves


async def leave(branch: Branch, who: Actor, to: Actor) -> dict[str, int]:
    """Offboard somebody; what his successor took over."""
    given = {"id": ids.show("usr", who.user_id), "successorId": ids.show("usr", to.user_id)}  # type: ignore[arg-type]  # accounts
    await branch.crm.done("userOffboard", input=given, select="user { name }")
    told = [e for e in await branch.crm.rows(OutboxEvent) if e.kind == "user.offboarded"]
    handed: dict[str, int] = max(told, key=lambda e: e.id).data["handed_over"]
    return handed


async def test_a_leavers_users_go_to_the_member_who_succeeds_him(branch: Branch) -> None:
    first, second = await two(branch)
    await develop(branch, first, 2)
    assert (await leave(branch, branch.members[0], branch.members[1]))["elite_users"] == 2
    today = date(2025, 11, 3).isoformat()
    assert await history(branch) == {
        ("2025-10-10", today, branch.hq, first),
        (today, None, branch.hq, second),
    }
    assert await owners(branch) == {branch.members[1].user_id}


async def test_without_a_member_to_succeed_him_they_are_their_teams_and_his_successor_sees_them(
    branch: Branch,
) -> None:
    first, second = await two(branch)
    await develop(branch, first, 2)
    assert (await leave(branch, branch.members[0], branch.manager))["elite_users"] == 2
    assert await history(branch) == {
        ("2025-10-10", "2025-11-03", branch.hq, first),
        ("2025-11-03", None, branch.hq, None),
    }
    assert await owners(branch) == {branch.manager.user_id}
    assert (await leave(branch, branch.manager, branch.members[1]))["elite_users"] == 2
    assert await owners(branch) == {branch.members[1].user_id}
    assert second not in {member for *_, member in await history(branch)}


async def sits_until(branch: Branch, member: str, day: date) -> None:
    """A posting that ends in the days to come, which no command makes."""
    postings = ElitePosting.__table__
    ends = update(postings).where(postings.c.member_id == ids.read(member)[1]).values(valid_to=day)

    async def write(session: Unit) -> None:
        await session.execute(ends)

    await branch.crm.services.database.attempt(write)


async def test_what_a_leaver_is_to_have_once_his_successor_is_in_no_team_is_the_teams_as_a_whole(
    branch: Branch,
) -> None:
    first, second = await two(branch)
    third = await branch.member()
    await develop(branch, first, 1)
    later = await develop(branch, third, 1)
    given = {"id": later[0], "memberId": first, "validFrom": "2025-12-10"}
    await branch.crm.done("eliteUserAssign", branch.centre, input=given)
    await sits_until(branch, second, date(2025, 12, 1))
    assert (await leave(branch, branch.members[0], branch.members[1]))["elite_users"] == 2
    today = "2025-11-03"
    assert await history(branch) == {
        ("2025-10-10", today, branch.hq, first), (today, None, branch.hq, second),
        ("2025-10-10", "2025-12-10", branch.hq, third), ("2025-12-10", None, branch.hq, None),
    }  # fmt: skip
    assert await owners(branch) == {branch.members[1].user_id}
