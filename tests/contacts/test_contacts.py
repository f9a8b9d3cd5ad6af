"""Contacts of customers: entering and changing, key persons, relations, relationship cards, what an archive lacks."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from crm_core.audit.models import AuditEntry
from crm_core.outbox.models import OutboxEvent

House = Any


@pytest.mark.rule("CS-050")
async def test_a_contact_has_a_title_and_mobile_office_and_home_numbers(house: House) -> None:
    phones = [
        {"number": "13800138000"},
        {"number": "0512-65001234转8"},
        {"number": "021-64001234", "use": "HOME"},
    ]
    contact = await house.contact(await house.enter("华信"), "王总", title="采购总监", phones=phones)
    found = await house.contact_fields(contact, "name title line version phones { use number extension }")
    assert found == {
        "name": "王总",
        "title": "采购总监",
        "line": None,
        "version": 1,
        "phones": [
            {"use": "MOBILE", "number": "+8613800138000", "extension": None},
            {"use": "OFFICE", "number": "+8651265001234", "extension": "8"},
            {"use": "HOME", "number": "+862164001234", "extension": None},
        ],
    }


async def test_what_is_left_out_stays_and_null_clears(house: House) -> None:
    contact = await house.contact(
        await house.enter("华信"), "王总", title="总监", birthday="1980-02-29", role="使用者"
    )
    await house.do("contactUpdate", id=contact, title="副总")
    await house.do("contactUpdate", id=contact, birthday=None)
    await house.do("contactUpdate", id=contact)
    found = await house.contact_fields(contact, "title birthday role version")
    assert found == {"title": "副总", "birthday": None, "role": "使用者", "version": 3}
    assert await house.refused("contactUpdate", id=contact, name=None) == [("REQUIRED", "name")]


@pytest.mark.parametrize("text", ["王晓", "wangxiao", "wxm", "8000"])
async def test_a_contact_is_found_by(house: House, text: str) -> None:
    customer = await house.enter("华信")
    await house.contact(customer, "王晓明", phones=[{"number": "13800138000"}])
    await house.contact(customer, "李雷", phones=[{"number": "13900139111"}])
    text_of = "query($s: String!) { contacts(where: {search: $s}) { nodes { name } } }"
    found = await house.crm.data(text_of, house.li, s=text)
    assert [node["name"] for node in found["contacts"]["nodes"]] == ["王晓明"]
    assert await house.names(contacts={"search": text}) == ["华信"]
    assert await house.names(house.wang, contacts={"search": text}) == []


async def test_a_shared_contact_is_seen_with_its_customer_and_a_private_one_in_its_line_only(
    house: House,
) -> None:
    both = await house.crm.actor("郑", role="line_manager", lines=("east", "west"))
    customer = await house.enter("华信", both)
    await house.do("customerJoinLine", both, line="west", id=customer)
    await house.contact(customer, "大家的", both)
    secret = await house.contact(customer, "东线的", both, private=True)
    west = await house.crm.actor("冯", role="line_manager", lines=("west",))
    people = "contacts(orderBy: [{name: ASC}]) { totalCount nodes { name line } }"
    assert (await house.read(customer, people, west))["contacts"] == {
        "totalCount": 1,
        "nodes": [{"name": "大家的", "line": None}],
    }
    assert (await house.read(customer, people, both))["contacts"]["totalCount"] == 2
    assert await house.refused("contactUpdate", west, line="west", id=secret, title="x") == [
        ("NOT_FOUND", "id")
    ]
    assert await house.refused("contactUpdate", both, line="west", id=secret, title="x") == [
        ("WRONG_LINE", "line")
    ]
    node = await house.crm.data("query($i: ID!) { node(id: $i) { id } }", west, i=secret)
    assert node["node"] is None


async def test_contacts_of_customers_out_of_reach_are_neither_seen_nor_entered(house: House) -> None:
    customer = await house.enter("华信")
    contact = await house.contact(customer, "王总")
    assert (await house.crm.data("{ contacts { totalCount } }", house.wang))["contacts"]["totalCount"] == 0
    assert await house.refused("contactCreate", house.wang, customerId=customer, name="李") == [
        ("NOT_FOUND", "customerId")
    ]
    assert await house.refused("contactArchive", house.wang, id=contact) == [("NOT_FOUND", "id")]
    await house.do("contactArchive", house.leader, id=contact)
    assert (await house.contact_fields(contact, "archivedAt"))["archivedAt"] == "2025-11-03T02:00:00.000000Z"
    await house.do("contactRestore", id=contact)
    assert (await house.contact_fields(contact, "archivedAt"))["archivedAt"] is None


@pytest.mark.rule("CS-053", "CS-055")
async def test_a_key_person_has_a_role_an_effect_and_concerns_in_the_decision(house: House) -> None:
    customer = await house.enter("华信")
    await house.contact(customer, "前台")
    await house.contact(
        customer,
        "王总",
        isKeyPerson=True,
        decisionRole="决策者",
        decisionEffect="一票否决",
        concerns="交期与质保",
    )
    key = "contacts(where: {isKeyPerson: {eq: true}}) { nodes { name decisionRole decisionEffect concerns } }"
    assert (await house.read(customer, key))["contacts"]["nodes"] == [
        {"name": "王总", "decisionRole": "决策者", "decisionEffect": "一票否决", "concerns": "交期与质保"}
    ]


@pytest.mark.rule("CS-054", "CS-056")
async def test_the_overall_relation_is_the_best_of_ours(house: House) -> None:
    contact = await house.contact(await house.enter("华信"), "王总", isKeyPerson=True)
    state = "relationshipState links { state since user { name title } }"
    assert await house.contact_fields(contact, state) == {"relationshipState": "NOT_ESTABLISHED", "links": []}
    await house.crm.done("userUpdate", input={"id": house.user(house.wang), "title": "区域总监"})
    for actor, word in ((house.li, "NEGATIVE"), (house.wang, "POSITIVE"), (house.li, "NEUTRAL")):
        await house.do("contactLink", id=contact, userId=house.user(actor), state=word, since="2025-01-02")
    found = await house.contact_fields(contact, state)
    assert found["relationshipState"] == "POSITIVE"
    assert found["links"] == [
        {"state": "NEUTRAL", "since": "2025-01-02", "user": {"name": "李", "title": ""}},
        {"state": "POSITIVE", "since": "2025-01-02", "user": {"name": "王", "title": "区域总监"}},
    ]
    await house.do("contactUnlink", id=contact, userId=house.user(house.wang))
    assert (await house.contact_fields(contact, state))["relationshipState"] == "NEUTRAL"
    assert await house.names(contacts={"relationshipState": {"eq": "NEUTRAL"}}) == ["华信"]
    gone = await house.refused("contactUnlink", id=contact, userId=house.user(house.wang))
    assert gone == [("NOT_LINKED", "userId")]


async def test_saying_the_same_relation_again_changes_nothing(house: House) -> None:
    contact = await house.contact(await house.enter("华信"), "王总")
    given = {"id": contact, "userId": house.user(house.li), "state": "POSITIVE"}
    await house.do("contactLink", **given)
    before = len(await house.crm.rows(OutboxEvent))
    await house.do("contactLink", **given)
    assert len(await house.crm.rows(OutboxEvent)) == before
    assert (await house.contact_fields(contact, "version"))["version"] == 2


@pytest.mark.rule("CS-051")
async def test_the_card_has_a_fixed_format_and_a_key_person_s_card_its_own_manager(house: House) -> None:
    customer = await house.enter("华信科技")
    contact = await house.contact(
        customer, "王总", title="总监", address="苏州", isKeyPerson=True, phones=[{"number": "13800138000"}]
    )
    card = "name employer title address phones { number } cardManager { name }"
    assert await house.contact_fields(contact, card) == {
        "name": "王总",
        "employer": "华信科技",
        "title": "总监",
        "address": "苏州",
        "phones": [{"number": "+8613800138000"}],
        "cardManager": {"name": "李"},
    }
    nobody = await house.refused("contactUpdate", id=contact, cardManagerId=None)
    assert nobody == [("KEY_PERSON_NEEDS_MANAGER", "cardManagerId")]
    await house.do("contactUpdate", id=contact, cardManagerId=house.user(house.wang), employer="华信苏州")
    found = await house.contact_fields(contact, "employer cardManager { name }")
    assert found == {"employer": "华信苏州", "cardManager": {"name": "王"}}


@pytest.mark.rule("CS-052")
async def test_cards_to_be_judged_come_with_those_longest_due_first(house: House) -> None:
    customer = await house.enter("华信")
    for name in ("甲", "乙", "丙"):
        await house.contact(customer, name, title="总监")
        house.crm.clock.advance(days=1)
    due = "{ contacts(where: {cardCheckDue: true}, orderBy: [{cardCheckDueAt: ASC}]) { nodes { name } } }"

    async def names() -> list[str]:
        return [one["name"] for one in (await house.crm.data(due, house.li))["contacts"]["nodes"]]

    house.crm.clock.advance(days=178)
    assert await names() == ["甲", "乙"]
    house.crm.clock.advance(days=1)
    assert await names() == ["甲", "乙", "丙"]


@pytest.mark.rule("CS-052")
async def test_a_card_is_judged_and_loses_its_verdict_when_it_changes(house: House) -> None:
    customer = await house.enter("华信")
    contact = await house.contact(customer, "王总", title="总监")
    due = "{ contacts(where: {cardCheckDue: true}) { totalCount } }"

    async def waiting() -> int:
        found: int = (await house.crm.data(due, house.li))["contacts"]["totalCount"]
        return found

    assert await waiting() == 0
    house.crm.clock.advance(days=180)
    assert await waiting() == 1
    await house.do("contactCheckCard", id=contact, accurate=True, valid=True, timely=True)
    assert await waiting() == 0
    verdict = "cardAccurate cardValid cardTimely cardCheckedBy { name }"
    assert await house.contact_fields(contact, verdict) == {
        "cardAccurate": True,
        "cardValid": True,
        "cardTimely": True,
        "cardCheckedBy": {"name": "李"},
    }
    await house.do("contactUpdate", id=contact, preferences="茶")
    assert await waiting() == 0
    await house.do("contactUpdate", id=contact, title="副总")
    assert await waiting() == 1
    assert (await house.contact_fields(contact, "cardAccurate"))["cardAccurate"] is None
    entry = (await house.crm.rows(AuditEntry))[-1]
    change = next(one for one in entry.changes if one["table"] == "contacts")
    assert (change["before"]["title"], change["after"]["title"]) == ("总监", "副总")
    await house.do("contactCheckCard", id=contact, accurate=False, valid=True, timely=True)
    assert await waiting() == 1


CARD = {
    "name": "王强",
    "employer": "华信苏州",
    "title": "副总",
    "address": "苏州",
    "phones": [{"number": "13900139000"}],
    "wechat": "wangq",
    "email": "wang@huaxin.example",
}
"""A new value of every field of a relationship card."""


@pytest.mark.rule("CS-052")
@pytest.mark.parametrize("field", CARD)
async def test_a_change_of_any_field_of_the_card_voids_its_verdict_and_is_logged(
    house: House, field: str
) -> None:
    old = {"title": "总监", "phones": [{"number": "13800138000"}]}
    contact = await house.contact(await house.enter("华信"), "王总", **old)
    await house.do("contactCheckCard", id=contact, accurate=True, valid=True, timely=True)
    await house.do("contactUpdate", id=contact, **{field: CARD[field]})
    verdict = "cardAccurate cardValid cardTimely cardCheckDueAt"
    assert await house.contact_fields(contact, verdict) == {
        "cardAccurate": None,
        "cardValid": None,
        "cardTimely": None,
        "cardCheckDueAt": "2025-11-03T02:00:00.000000Z",
    }
    entry = (await house.crm.rows(AuditEntry))[-1]
    table, column = ("contact_phones", "e164") if field == "phones" else ("contacts", field)
    new = "+8613900139000" if field == "phones" else CARD[field]
    logged = [one["after"].get(column) for one in entry.changes if one["table"] == table and one["after"]]
    assert (entry.kind, entry.actor_name) == ("contact.update", "李")
    assert logged == [new]


@pytest.mark.rule("CS-055")
@pytest.mark.parametrize("crm_settings", [{"rooms": {"contacts": {"decision_roles": ["决策者", "影响者"]}}}])
async def test_a_deployment_may_list_the_roles_in_the_purchase_decision(house: House) -> None:
    customer = await house.enter("华信")
    contact = await house.contact(customer, "王总", decisionRole="决策者")
    for mutation, given in (
        ("contactCreate", {"customerId": customer, "name": "李总"}),
        ("contactUpdate", {"id": contact}),
    ):
        payload = await house.crm.change(
            mutation, house.li, input={**given, "decisionRole": "旁观者"}, acting="east"
        )
        (error,) = payload["userErrors"]
        assert (error["code"], error["field"]) == ("UNKNOWN_DECISION_ROLE", "decisionRole")
        assert "决策者, 影响者" in error["message"]
    await house.do("contactUpdate", id=contact, decisionRole=None)
    assert (await house.contact_fields(contact, "decisionRole"))["decisionRole"] is None


@pytest.mark.rule("CS-004")
async def test_the_missing_parts_of_an_archive_are_named(house: House) -> None:
    customer = await house.enter("华信", creditStatus="良好")

    async def missing() -> list[str]:
        found: list[str] = (await house.read(customer, "dossierMissing"))["dossierMissing"]
        return found

    assert await missing() == ["QUALIFICATION", "CONTACT_DETAILS", "PRODUCTION", "TRANSACTIONS"]
    paper = {
        "id": customer,
        "title": "证照",
        "origin": "OTHER",
        "mediaType": "image/png",
        "content": base64.b64encode(b"x").decode(),
    }
    await house.do("customerFileDocument", house.manager, **paper, category="BUSINESS_LICENCE")
    assert "QUALIFICATION" in await missing()
    await house.do("customerFileDocument", house.manager, **paper, category="TAX_REGISTRATION")
    assert "QUALIFICATION" not in await missing()
    await house.do(
        "customerUpdate", id=customer, website="huaxin.example", phones=[{"number": "13800138000"}]
    )
    assert "CONTACT_DETAILS" in await missing()
    await house.contact(customer, "王总")
    assert await missing() == ["PRODUCTION", "TRANSACTIONS"]
    production = {"productionProcess": "冲压", "productionScale": "年产万件", "rawMaterials": "钢"}
    await house.do("customerUpdate", id=customer, **production)
    assert "PRODUCTION" in await missing()
    await house.do("customerUpdate", id=customer, productionInvestment="五百万")
    await house.do(
        "customerRecordTransaction", id=customer, doneOn="2025-10-01", description="首单", amount="1.00"
    )
    assert await missing() == []
    await house.do("customerUpdate", id=customer, creditStatus=None)
    assert await missing() == ["CREDIT_STATUS"]


async def test_of_a_person_no_papers_of_a_company_are_asked(house: House) -> None:
    person = await house.enter("李雷", kind="PERSON", phones=[{"number": "13800138000"}])
    assert (await house.read(person, "dossierMissing"))["dossierMissing"] == ["CREDIT_STATUS", "TRANSACTIONS"]


async def test_a_contact_s_number_is_masked_without_the_permission_to_see_phones(house: House) -> None:
    contact = await house.contact(await house.enter("华信"), "王总", phones=[{"number": "13800138000"}])
    reader = await house.crm.actor("reader", {"contact.read": 4})
    assert await house.contact_fields(contact, "phones { number }", reader) == {
        "phones": [{"number": "138****8000"}]
    }
