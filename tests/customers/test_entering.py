"""Entering and changing the shared archive of a customer."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from crm_core.audit.models import AuditEntry
from crm_core.customers.models import Customer, CustomerPhone
from crm_core.outbox.models import OutboxEvent

House = Any
IDENTITY = "11010519491231002X"


async def test_a_new_customer_gets_a_number_an_owner_and_a_pending_archive(house: House) -> None:
    first = await house.enter(
        "华信科技有限公司", phones=[{"number": "138 0013 8000"}], grade="A", tags=["重点", "重点"]
    )
    await house.enter("苏州明达")
    found = await house.read(
        first,
        "number kind name stage grade secrecy archiveState origin relation version owner { name } team { name }"
        " tags { name } phones { number raw use }",
    )
    assert found == {
        "number": "C000001",
        "kind": "ORGANISATION",
        "name": "华信科技有限公司",
        "stage": "PROSPECT",
        "grade": "A",
        "secrecy": "restricted",
        "archiveState": "PENDING",
        "origin": "OTHER",
        "relation": "DIRECT",
        "version": 1,
        "owner": {"name": "李"},
        "team": {"name": "一组"},
        "tags": [{"name": "重点"}],
        "phones": [{"number": "+8613800138000", "raw": "138 0013 8000", "use": "MOBILE"}],
    }
    assert await house.names(number={"eq": "C000002"}) == ["苏州明达"]


async def test_every_wrong_value_is_refused_at_once(house: House) -> None:
    found = await house.refused(
        "customerCreate",
        name=" ",
        kind="PERSON",
        creditCode="91350211M000100Y44",
        identityNumber="110105194912310021",
        phones=[{"number": "13800138000"}, {"number": "12345"}],
        deposit="-1.00",
    )
    assert sorted(found) == [
        ("CREDIT_CODE_WRONG", "creditCode"),
        ("IDENTITY_NUMBER_WRONG", "identityNumber"),
        ("INVALID_GREATER_THAN_EQUAL", "deposit"),
        ("INVALID_STRING_TOO_SHORT", "name"),
        ("PHONE_WRONG", "phones.1.number"),
    ]
    assert await house.crm.rows(Customer) == []


async def test_what_is_left_out_stays_and_null_clears(house: House) -> None:
    customer = await house.enter("华信", province="江苏", city="苏州", phones=[{"number": "13800138000"}])
    await house.do("customerUpdate", id=customer, city="昆山")
    kept = await house.read(customer, "name province city phones { number }")
    assert kept == {
        "name": "华信",
        "province": "江苏",
        "city": "昆山",
        "phones": [{"number": "+8613800138000"}],
    }
    await house.do("customerUpdate", id=customer, province=None)
    assert (await house.read(customer, "province city")) == {"province": None, "city": "昆山"}
    assert await house.refused("customerUpdate", id=customer, name=None) == [("REQUIRED", "name")]
    assert (await house.read(customer, "version"))["version"] == 3


async def test_an_update_that_changes_nothing_leaves_version_and_feed_alone(house: House) -> None:
    customer = await house.enter("华信", city="苏州")
    before = len(await house.crm.rows(OutboxEvent))
    await house.do("customerUpdate", id=customer, city="苏州")
    assert (await house.read(customer, "version"))["version"] == 1
    assert len(await house.crm.rows(OutboxEvent)) == before


async def test_phones_given_replace_all_and_equal_ones_count_once(house: House) -> None:
    customer = await house.enter("华信", phones=[{"number": "13800138000"}, {"number": "0512-65001234转8"}])
    kept = {row.e164: row.id for row in await house.crm.rows(CustomerPhone)}
    again = [
        {"number": "+86 512 65001234-8", "use": "OFFICE"},
        {"number": "051265001234转8"},
        {"number": "13900139000"},
    ]
    await house.do("customerUpdate", id=customer, phones=again)
    found = await house.read(customer, "version phones { number extension use }")
    assert found["phones"] == [
        {"number": "+8651265001234", "extension": "8", "use": "OFFICE"},
        {"number": "+8613900139000", "extension": None, "use": "MOBILE"},
    ]
    assert found["version"] == 2
    assert kept["+8651265001234"] in {row.id for row in await house.crm.rows(CustomerPhone)}
    assert await house.names(phone="13800138000") == []
    assert await house.names(phone="0512-6500 1234") == ["华信"]


async def test_a_number_is_masked_without_the_permission_to_see_phones(house: House) -> None:
    crm = house.crm
    customer = await house.enter("华信", phones=[{"number": "138 0013 8000"}, {"number": "+44 20 7946 0958"}])
    phones = "phones { number raw }"
    reader = await crm.actor("reader", {"customer.read": 4})
    assert (await house.read(customer, phones, reader))["phones"] == [
        {"number": "138****8000", "raw": "****8000"},
        {"number": "****0958", "raw": "****0958"},
    ]


async def test_an_identity_number_is_kept_encrypted_and_shown_masked(house: House) -> None:
    customer = await house.enter("李雷", kind="PERSON", identityNumber=IDENTITY.lower())
    assert (await house.read(customer, "identityNumber"))["identityNumber"] == "110***********002X"
    row = (await house.crm.rows(Customer))[0]
    keyring = house.crm.services.keyring
    assert keyring.open(row.identity_sealed, f"customers.identity_number:{row.id}") == IDENTITY
    stored = str(await house.crm.rows(AuditEntry)) + str(await house.crm.rows(OutboxEvent))
    assert IDENTITY not in stored.upper()
    await house.do("customerUpdate", id=customer, identityNumber=None)
    assert (await house.read(customer, "identityNumber"))["identityNumber"] is None


async def test_an_external_id_belongs_to_one_customer_of_its_source(house: House) -> None:
    erp = {"source": "erp", "externalId": "K-1"}
    first = await house.enter("华信", externalIds=[erp])
    taken = [("EXTERNAL_ID_TAKEN", "externalIds.0.externalId")]
    assert await house.refused("customerCreate", name="明达", kind="PERSON", externalIds=[erp]) == taken
    second = await house.enter("明达", externalIds=[{"source": "dms", "externalId": "K-1"}])
    assert await house.refused("customerUpdate", id=second, externalIds=[erp]) == taken
    await house.do("customerUpdate", id=first, externalIds=[erp, {"source": "dms", "externalId": "K-2"}])
    found = await house.read(first, "externalIds { source externalId }")
    assert found["externalIds"] == [{"source": "dms", "externalId": "K-2"}, erp]
    assert await house.names(externalId="K-1") == ["华信", "明达"]
    assert await house.names(externalIds={"source": {"eq": "erp"}, "externalId": {"eq": "K-1"}}) == ["华信"]


async def test_a_level_of_secrecy_must_be_one_of_the_deployment(house: House) -> None:
    customer = await house.enter("华信", secrecy="secret")
    assert await house.names(secrecy={"eq": "secret"}) == ["华信"]
    assert await house.refused("customerUpdate", id=customer, secrecy="cosmic") == [
        ("UNKNOWN_SECRECY", "secrecy")
    ]


async def test_an_archived_customer_stays_in_lists_and_can_be_restored(house: House) -> None:
    customer = await house.enter("华信")
    await house.enter("明达")
    await house.do("customerArchive", id=customer)
    await house.do("customerArchive", id=customer)
    assert await house.names(archivedAt={"isNull": True}) == ["明达"]
    assert await house.names() == ["华信", "明达"]
    await house.do("customerRestore", id=customer)
    assert await house.read(customer, "archivedAt version") == {"archivedAt": None, "version": 3}


async def test_a_stale_version_is_refused_and_a_dry_run_writes_nothing(house: House) -> None:
    customer = await house.enter("华信")
    stale = await house.crm.change(
        "customerUpdate", house.li, input={"id": customer, "name": "新名"}, expectedVersion=9, acting="east"
    )
    assert stale["userErrors"][0]["code"] == "STALE_VERSION"
    tried = await house.crm.done(
        "customerUpdate",
        house.li,
        input={"id": customer, "name": "新名"},
        dryRun=True,
        select="customer { name version }",
    )
    assert tried["customer"] == {"name": "新名", "version": 2}
    assert await house.read(customer, "name version") == {"name": "华信", "version": 1}


@pytest.mark.rule("CS-050")
async def test_an_organisation_has_branches_each_with_its_office(house: House) -> None:
    parent = await house.enter("华信集团", officeLocation="上海浦东")
    await house.enter("华信苏州分公司", parentId=parent, officeLocation="苏州园区")
    below = await house.enter("华信昆山办事处", parentId=parent, officeLocation="昆山")
    found = await house.read(
        parent, "officeLocation branches(orderBy: [{name: ASC}]) { totalCount nodes { name officeLocation } }"
    )
    assert found["branches"] == {
        "totalCount": 2,
        "nodes": [
            {"name": "华信昆山办事处", "officeLocation": "昆山"},
            {"name": "华信苏州分公司", "officeLocation": "苏州园区"},
        ],
    }
    assert (await house.read(below, "parent { name }"))["parent"] == {"name": "华信集团"}
    assert await house.refused("customerUpdate", id=parent, parentId=below) == [("PARENT_CIRCLE", "parentId")]


@pytest.mark.rule("CS-016")
async def test_every_change_of_an_archive_names_who_changed_what(house: House) -> None:
    customer = await house.enter("华信", address="一号路")
    await house.do("customerUpdate", house.manager, id=customer, address="二号路")
    entry = (await house.crm.rows(AuditEntry))[-1]
    changed = next(change for change in entry.changes if change["table"] == "customers")
    assert (entry.actor_name, entry.kind) == ("钱", "customer.update")
    assert (changed["before"], changed["after"]) == ({"address": "一号路"}, {"address": "二号路"})


@pytest.mark.rule("CS-016")
async def test_a_replaced_phone_stands_in_the_log_with_both_numbers(house: House) -> None:
    customer = await house.enter("华信", phones=[{"number": "13800138000"}])
    await house.do("customerUpdate", house.manager, id=customer, phones=[{"number": "13900139000"}])
    entry = (await house.crm.rows(AuditEntry))[-1]
    changes = [one for one in entry.changes if one["table"] == "customer_phones"]
    before = [one["before"]["e164"] for one in changes if one["before"]]
    after = [one["after"]["e164"] for one in changes if one["after"]]
    assert (entry.actor_name, entry.kind) == ("钱", "customer.update")
    assert (before, after) == (["+8613800138000"], ["+8613900139000"])


@pytest.mark.rule("CS-016")
async def test_the_same_paper_filed_twice_keeps_both(house: House) -> None:
    customer = await house.enter("华信")
    paper = {
        "id": customer,
        "category": "CONTRACT",
        "title": "合同",
        "origin": "OTHER",
        "mediaType": "text/plain",
    }
    for content in (b"signed", b"signed", b"changed later"):
        given = paper | {"content": base64.b64encode(content).decode()}
        await house.do("customerFileDocument", house.manager, **given)
    found = await house.read(customer, "documents { nodes { id path } }")
    later, second, first = found["documents"]["nodes"]
    assert len({first["id"], second["id"], later["id"]}) == 3
    assert first["path"] == second["path"] != later["path"]
    store = house.crm.services.store
    assert (store / first["path"]).read_bytes() == b"signed"
    assert (store / later["path"]).read_bytes() == b"changed later"


async def test_an_identity_number_given_again_changes_nothing(house: House) -> None:
    customer = await house.enter("李雷", kind="PERSON", identityNumber=IDENTITY)
    await house.do("customerUpdate", id=customer, identityNumber=IDENTITY.lower())
    assert (await house.read(customer, "version"))["version"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "notmail"), ("email", "a@b"), ("website", "javascript:alert(1)"), ("website", "ftp://a.cn")],
)
async def test_an_address_that_is_none_is_refused(house: House, field: str, value: str) -> None:
    given = {"name": "李雷", "kind": "PERSON", field: value}
    refused = await house.crm.change("customerCreate", input=given, acting="east")
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [
        ("INVALID_STRING_PATTERN_MISMATCH", field)
    ]
