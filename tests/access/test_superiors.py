"""Who stands above a user in a line, level by level; and who administers it."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from crm_core import ids
from crm_core.access.models import Team
from crm_core.access.superiors import TeamAbove, administrators, at_level, superiors
from crm_core.actors import Actor, Reach
from crm_core.testing.kit import Kit

PEOPLE = [UUID(int=n) for n in range(1, 7)]
TEAMS = [UUID(int=n) for n in range(101, 107)]


async def above(crm: Kit, actor: Actor, level: int, line: str = "east") -> list[str]:
    """Names of those above the actor."""
    assert actor.user_id is not None
    async with crm.database.transaction() as session:
        found = await superiors(session, actor.user_id, line, level)
    users = "{ users { nodes { id name } } }"
    names = {ids.read_as("usr", n["id"]): n["name"] for n in (await crm.data(users))["users"]["nodes"]}
    return sorted(names[one] for one in found)


async def leads(crm: Kit, team: UUID, actor: Actor, *, leads: bool = True) -> None:
    user = ids.show("usr", actor.user_id) if actor.user_id else ""
    shown = ids.show("tea", team)
    await crm.done("teamSetMember", input={"id": shown, "userId": user, "leads": leads})


async def disable(crm: Kit, actor: Actor) -> None:
    assert actor.user_id is not None
    await crm.done("userUpdate", input={"id": ids.show("usr", actor.user_id), "disabled": True})


async def test_the_levels_above_a_salesman_are_the_leaders_of_his_team_and_of_those_above(crm: Kit) -> None:
    region = await crm.team("region")
    shop = await crm.team("shop", parent=region)
    group = await crm.team("group", parent=shop)
    await crm.actor("director", {}, team=region, leads=True)
    await crm.actor("manager", {}, team=shop, leads=True)
    leader = await crm.actor("leader", {}, team=group, leads=True)
    li = await crm.actor("li", {}, team=group)
    assert [await above(crm, li, n) for n in (1, 2, 3, 4)] == [["leader"], ["manager"], ["director"], []]
    assert [await above(crm, leader, n) for n in (1, 2, 3)] == [["manager"], ["director"], []]
    assert await above(crm, li, 1, "west") == []


async def test_two_leaders_are_one_step_and_each_of_them_looks_further_up(crm: Kit) -> None:
    shop = await crm.team("shop")
    group = await crm.team("group", parent=shop)
    await crm.actor("manager", {}, team=shop, leads=True)
    one = await crm.actor("one", {}, team=group, leads=True)
    await crm.actor("two", {}, team=group, leads=True)
    li = await crm.actor("li", {}, team=group)
    assert await above(crm, li, 1) == ["one", "two"]
    assert await above(crm, one, 1) == ["manager"]


async def test_who_leads_two_teams_of_the_chain_is_one_step(crm: Kit) -> None:
    region = await crm.team("region")
    shop = await crm.team("shop", parent=region)
    group = await crm.team("group", parent=shop)
    await crm.actor("director", {}, team=region, leads=True)
    both = await crm.actor("both", {}, team=shop, leads=True)
    await leads(crm, group, both)
    li = await crm.actor("li", {}, team=group)
    assert [await above(crm, li, n) for n in (1, 2, 3)] == [["both"], ["director"], []]


async def test_a_disabled_leader_and_a_team_without_one_are_passed_over(crm: Kit) -> None:
    region = await crm.team("region")
    shop = await crm.team("shop", parent=region)
    group = await crm.team("group", parent=shop)
    await crm.actor("director", {}, team=region, leads=True)
    gone = await crm.actor("gone", {}, team=group, leads=True)
    li = await crm.actor("li", {}, team=group)
    await disable(crm, gone)
    assert await above(crm, li, 1) == ["director"]


async def test_teams_in_a_circle_end_and_nobody_is_his_own_superior(crm: Kit) -> None:
    shop = await crm.team("shop")
    group = await crm.team("group", parent=shop)
    manager = await crm.actor("manager", {}, team=shop, leads=True)
    li = await crm.actor("li", {}, team=group)
    async with crm.database.transaction() as session:
        await session.execute(
            update(Team.__table__).where(Team.__table__.c.id == shop).values(parent_id=group)
        )
    assert [await above(crm, li, n) for n in (1, 2)] == [["manager"], []]
    assert await above(crm, manager, 1) == []


async def test_superiors_take_one_statement(crm: Kit) -> None:
    shop = await crm.team("shop")
    li = await crm.actor("li", {}, team=shop)
    assert li.user_id is not None
    async with crm.database.transaction() as session:
        with crm.statements() as sent:
            await superiors(session, li.user_id, "east", 7)
    assert len(sent) == 1


async def test_administrators_are_enabled_holders_of_the_right_in_the_line(crm: Kit) -> None:
    east = await crm.actor("east", {"access.admin": Reach.ALL}, lines=("east",))
    gone = await crm.actor("gone", {"access.admin": Reach.ALL}, lines=("east",))
    await crm.actor("sales", role="sales")
    await disable(crm, gone)
    admin = crm.administrator.user_id
    async with crm.database.transaction() as session:
        assert set(await administrators(session, "east")) == {admin, east.user_id}
        assert await administrators(session, "west") == [admin]


def test_levels_begin_with_one() -> None:
    with pytest.raises(ValueError, match="begin with 1"):
        at_level(PEOPLE[0], {}, 0)


FORESTS = st.dictionaries(
    st.sampled_from(TEAMS),
    st.builds(
        TeamAbove,
        st.sampled_from([None, *TEAMS]),
        st.frozensets(st.sampled_from(PEOPLE), max_size=3),
        st.booleans(),
    ),
)


@given(FORESTS, st.sampled_from(PEOPLE))
def test_every_level_is_new_people_without_the_user_and_the_chain_ends(
    teams: dict[UUID, TeamAbove], user: UUID
) -> None:
    levels = [at_level(user, teams, n) for n in range(1, 8)]
    people = [one for level in levels for one in level]
    assert len(people) == len(set(people))
    assert user not in people
    assert levels[-1] == []
    assert sorted(levels, key=bool, reverse=True) == levels, "no empty level below a full one"
