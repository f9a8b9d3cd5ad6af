"""Who sees a member, and who sees his pay: a member his own, never a team mate's."""

from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_telecom_elite.members.models import ElitePosting, EliteTerm
from crm_telecom_elite.testing import Branch

MEMBER = "query($id: ID!) { eliteMember(id: $id) { name originalSalary originalBonus endedReason postings { step { grade } } terms { package } benefits } }"


@pytest.fixture
async def mates(branch: Branch) -> dict[str, str]:
    """Members by who they are: two of one team, one of another."""
    own, mate, stranger = branch.members
    manager = {"origin": "TRANSFEREE", "post": "team_manager", "user": branch.manager}
    return {
        "own": await branch.member(origin="TRANSFEREE", user=own),
        "mate": await branch.member(origin="TRANSFEREE", user=mate),
        "stranger": await branch.member(team=branch.regional, origin="TRANSFEREE", user=stranger),
        "manager": await branch.member(**manager),  # type: ignore[arg-type]  # as the kit takes them
    }


async def seen(branch: Branch, who: Actor, member: str) -> str:
    """What somebody sees of a member: nothing, the person, or his pay as well; never a part of it."""
    answer = await branch.crm.ask(MEMBER, who, id=member)
    if answer.codes:
        text = "query($id: ID!) { eliteMember(id: $id) { name originalSalary originalBonus endedReason } }"
        answer = await branch.crm.ask(text, who, id=member)
        assert not answer.errors
    assert answer.data is not None
    found: dict[str, Any] | None = answer.data["eliteMember"]
    if found is None:
        return "nothing"
    shown = {
        bool(found.get(name))
        for name in ("originalSalary", "originalBonus", "postings", "terms")
        if name in found
    }
    assert len(shown) == 1, found
    return "pay" if shown.pop() else "person"


@pytest.mark.rule("MO-035")
async def test_a_member_sees_his_own_pay_and_his_team_mates_as_persons(
    branch: Branch, mates: dict[str, str]
) -> None:
    await branch.act(
        "Terminate", id=mates["stranger"], endedOn="2025-11-02", cause="RESIGNED", decision="本人申请"
    )
    matrix = {
        "own": (
            branch.members[0],
            {"own": "pay", "mate": "person", "stranger": "nothing", "manager": "person"},
        ),
        "manager": (
            branch.manager,
            {"own": "person", "mate": "person", "stranger": "nothing", "manager": "pay"},
        ),
        "regional_leader": (branch.regional_leader, {"own": "nothing", "stranger": "person"}),
        "centre": (branch.centre, dict.fromkeys(mates, "person")),
        "hr": (branch.hr, dict.fromkeys(mates, "pay")),
        "finance": (branch.finance, dict.fromkeys(mates, "pay")),
        "leader": (branch.leader, dict.fromkeys(mates, "pay")),
    }
    for name, (who, expected) in matrix.items():
        found = {whose: await seen(branch, who, mates[whose]) for whose in expected}
        assert found == expected, name


async def test_postings_and_packages_are_reached_by_id_only_by_who_sees_the_pay(
    branch: Branch, mates: dict[str, str]
) -> None:
    mate = ids.read(mates["mate"])[1]
    shown = [
        ids.show(prefix, row.id)
        for prefix, model in (("epo", ElitePosting), ("etm", EliteTerm))
        for row in await branch.crm.rows(model)
        if row.member_id == mate
    ]
    assert len(shown) == 3
    for key in shown:
        text = "query($id: ID!) { node(id: $id) { id } }"
        for who, sees in (
            (branch.members[0], False),
            (branch.manager, False),
            (branch.members[1], True),
            (branch.hr, True),
        ):
            answer = await branch.crm.data(text, who, id=key)
            assert (answer["node"] is not None) is sees


async def test_training_is_seen_by_who_sees_the_appraisal(branch: Branch, mates: dict[str, str]) -> None:
    text = "query($id: ID!) { eliteMember(id: $id) { trainings { kind subject level heldOn heldUntil passed } } }"
    course = {"kind": "ENTRY", "subject": "EXPERTISE", "level": "ELEMENTARY", "heldOn": "2025-03-01",
              "heldUntil": "2025-03-12", "passed": True}  # fmt: skip
    for who, sees in (
        (branch.members[0], True),
        (branch.members[1], False),
        (branch.manager, True),
        (branch.centre, True),
    ):
        answer = await branch.crm.data(text, who, id=mates["own"])
        assert answer["eliteMember"]["trainings"] == ([course] if sees else [])


async def test_another_line_sees_nobody(branch: Branch, mates: dict[str, str]) -> None:
    stranger = await branch.crm.actor("office", role="sales", lines=("office",))
    answer = await branch.crm.ask(
        "query($id: ID!) { eliteMember(id: $id) { name } }", stranger, id=mates["own"]
    )
    assert answer.codes == ["FORBIDDEN"]
