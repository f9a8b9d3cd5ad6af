"""Who decides at a customer, through the API: key persons, tenders, and who looked at their roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_telecom_elite.plans.queries import deciders_of_open_tenders
from crm_telecom_elite.plans.testing import Desk, role

WARNINGS = "query ($id: ID!) { customer(id: $id) { eliteKeyPersonWarnings } }"


@pytest.mark.rule("MO-528", "MO-527")
async def test_one_of_us_who_holds_all_key_persons_is_warned_of(desk: Desk) -> None:
    customer = await desk.customer()

    async def found() -> list[str]:
        data = await desk.branch.crm.data(WARNINGS, desk.compliance, id=customer)
        warned: list[str] = data["customer"]["eliteKeyPersonWarnings"]
        return warned

    assert await found() == []
    first, second = await desk.person(customer), await desk.person(customer, "吴处长")
    assert await found() == ["NO_RELATION"]
    await desk.knows(first, desk.mine)
    assert await found() == ["TOO_FEW_OWNERS", "NO_RELATION"]
    await desk.knows(second, desk.mine, "NEGATIVE")
    assert await found() == ["TOO_FEW_OWNERS"]
    await desk.knows(second, desk.other, "NOT_ESTABLISHED")
    assert await found() == ["TOO_FEW_OWNERS"]
    await desk.knows(second, desk.other, "NEUTRAL")
    assert await found() == []


@pytest.mark.rule("MO-528")
async def test_how_many_of_us_are_enough_is_a_dated_figure(desk: Desk) -> None:
    customer = await desk.customer()
    person = await desk.person(customer)
    for who in (desk.mine, desk.other):
        await desk.knows(person, who)
    assert (await desk.branch.crm.data(WARNINGS, desk.mine, id=customer))["customer"] == {
        "eliteKeyPersonWarnings": []
    }
    given = {"name": "key_person_owners", "teamKind": "HQ", "validFrom": "2025-11-01", "value": "3"}
    await desk.branch.crm.done("eliteRateSet", desk.branch.hr, input=given)
    assert (await desk.branch.crm.data(WARNINGS, desk.mine, id=customer))["customer"] == {
        "eliteKeyPersonWarnings": ["TOO_FEW_OWNERS"]
    }


@pytest.mark.rule("MO-527")
async def test_the_map_of_a_customer_shows_its_key_persons_with_who_of_us_and_how(desk: Desk) -> None:
    customer = await desk.customer()
    person = await desk.person(customer, title="总工程师", decisionRole="技术把关")
    await desk.knows(person, desk.mine, "POSITIVE")
    await desk.knows(person, desk.other, "NEUTRAL")
    asked = """query ($id: ID!) { customer(id: $id) { contacts(where: { isKeyPerson: { eq: true } }) { nodes {
      name title decisionRole relationshipState links { state user { name } } } } } }"""
    data = await desk.branch.crm.data(asked, desk.compliance, id=customer)
    assert data["customer"]["contacts"]["nodes"] == [{
        "name": "陈总", "title": "总工程师", "decisionRole": "技术把关", "relationshipState": "POSITIVE",
        "links": [
            {"state": "POSITIVE", "user": {"name": "小王"}}, {"state": "NEUTRAL", "user": {"name": "小李"}},
        ],
    }]  # fmt: skip


ROLES = "query ($id: ID!) { eliteTender(id: $id) { roles { nodes { role decisionMaker concerns contact { name } } } } }"


@pytest.mark.rule("MO-528", "MO-527", "MO-C08", "MO-C11")
async def test_roles_in_a_tender_are_read_for_some_hours_by_who_said_what_for(desk: Desk) -> None:
    customer = await desk.customer()
    tender = await desk.decider(customer, await desk.person(customer))
    kept = [{"role": "评标组长", "decisionMaker": True, "concerns": "服务响应", "contact": {"name": "陈总"}}]

    async def seen(who: Actor) -> list[dict[str, Any]]:
        data = await desk.branch.crm.data(ROLES, who, id=tender)
        roles: list[dict[str, Any]] = data["eliteTender"]["roles"]["nodes"]
        return roles

    assert await seen(desk.mine) == kept
    for who in (desk.compliance, desk.branch.centre):
        assert await seen(who) == []
        await desk.opening(customer, who)
        assert await seen(who) == kept
    desk.branch.crm.clock.advance(hours=8, seconds=1)
    for who in (desk.mine, desk.compliance, desk.branch.centre):
        assert await seen(who) == []


@pytest.mark.rule("MO-527", "MO-C08", "MO-C11")
async def test_compliance_sees_who_opened_which_map_and_why(desk: Desk) -> None:
    customer = await desk.customer()
    for who in (desk.mine, desk.branch.centre):
        await desk.opening(customer, who)
    asked = "{ eliteMapOpenings { nodes { user { name } customer { name } purpose } } }"
    line = (await desk.branch.crm.data(asked, desk.compliance))["eliteMapOpenings"]["nodes"]
    why = {"customer": {"name": "华信集团"}, "purpose": "准备投标"}
    assert line == [{"user": {"name": who.name}, **why} for who in (desk.branch.centre, desk.mine)]
    own = (await desk.branch.crm.data(asked, desk.mine))["eliteMapOpenings"]["nodes"]
    assert own == [{"user": {"name": "小王"}, **why}]


@pytest.mark.rule("MO-527")
async def test_nobody_opens_the_map_of_a_customer_out_of_reach(desk: Desk) -> None:
    customer = await desk.customer()
    for who in (desk.other, desk.far, desk.branch.regional_leader):
        refused = await desk.refused("eliteKeyPersonMapOpen", who, customerId=customer, purpose="看看")
        assert [(code, field) for code, field, _ in refused] == [("NOT_FOUND", "customerId")]


@pytest.mark.rule("MO-527", "MO-C08")
async def test_a_role_is_written_by_who_opened_the_map(desk: Desk) -> None:
    customer = await desk.customer()
    person, tender = await desk.person(customer), await desk.tender(customer)
    refused = await desk.refused("eliteTenderRoleSet", desk.mine, **role(tender, person))
    assert refused == [("TELECOM_ELITE_MAP_CLOSED", "id", "MO-527")]
    await desk.opening(customer, desk.mine)
    chosen = "eliteTenderRole { role decisionMaker purpose }"
    await desk.done("eliteTenderRoleSet", desk.mine, chosen, **role(tender, person))
    changed = await desk.done(
        "eliteTenderRoleSet", desk.mine, chosen, **role(tender, person, role="评委", decisionMaker=False)
    )
    assert changed == {"role": "评委", "decisionMaker": False, "purpose": "了解评标流程"}
    gone = {"id": tender, "contactId": person}
    await desk.done("eliteTenderRoleRemove", desk.mine, "eliteTender { id }", **gone)
    assert await desk.refused("eliteTenderRoleRemove", desk.mine, **gone) == [
        ("TELECOM_ELITE_NO_ROLE", "contactId", "MO-528")
    ]


@pytest.mark.rule("MO-528", "MO-C11")
async def test_who_decides_in_an_open_tender_is_known_to_whatever_spends_money(desk: Desk) -> None:
    customer = await desk.customer()
    person, harmless = await desk.person(customer), await desk.person(customer, "吴处长")
    tender = await desk.decider(customer, person)
    await desk.done(
        "eliteTenderRoleSet", desk.mine, "eliteTenderRole { id }",
        **role(tender, harmless, role="联络人", decisionMaker=False),
    )  # fmt: skip
    asked = "query ($id: ID!) { customer(id: $id) { contacts { nodes { name eliteDecidesOpenTender } } } }"

    async def deciding() -> tuple[Sequence[str], frozenset[UUID]]:
        data = await desk.branch.crm.data(asked, desk.compliance, id=customer)
        named = [n["name"] for n in data["customer"]["contacts"]["nodes"] if n["eliteDecidesOpenTender"]]
        people = [ids.read(one)[1] for one in (person, harmless)]
        async with desk.branch.crm.database.transaction() as session:
            today = desk.branch.crm.clock.now.date()
            return named, await deciders_of_open_tenders(session, people, today)

    assert await deciding() == (["陈总"], frozenset({ids.read(person)[1]}))
    await desk.done("eliteTenderClose", desk.mine, "eliteTender { closedOn }", id=tender, outcome="中标")
    assert await deciding() == ([], frozenset())
    again = await desk.refused("eliteTenderClose", desk.mine, id=tender)
    assert again == [("TELECOM_ELITE_TENDER_CLOSED", "id", "MO-528")]
