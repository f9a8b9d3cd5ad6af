"""Finding customers: search, filters, possible duplicates, and how many statements a list takes."""

from __future__ import annotations

from typing import Any

import pytest

House = Any


@pytest.mark.parametrize(
    "text", ["华信", "信科", "华信科技", "huaxin", "hx", "8000", "13800138000", "C000001", "K-77", "HXKJ"]
)
async def test_a_customer_is_found_by(house: House, text: str) -> None:
    await house.enter(
        "华信科技有限公司",
        phones=[{"number": "13800138000"}],
        externalIds=[{"source": "erp", "externalId": "K-77"}],
    )
    await house.enter("苏州明达", phones=[{"number": "13900139111"}])
    assert await house.names(search=text) == ["华信科技有限公司"]


@pytest.mark.parametrize("text", ["技科", "科信", "华科", "7999", "、", ""])
async def test_a_customer_is_not_found_by(house: House, text: str) -> None:
    await house.enter("华信科技有限公司", phones=[{"number": "13800138000"}])
    assert await house.names(search=text) == []


async def test_three_characters_must_stand_side_by_side(house: House) -> None:
    await house.enter("大华信和信科技")
    await house.enter("华信科技")
    assert await house.names(search="华信科") == ["华信科技"]


async def test_a_search_follows_changes_and_keeps_to_what_one_may_see(house: House) -> None:
    customer = await house.enter("华信", phones=[{"number": "13800138000"}])
    await house.do("customerUpdate", id=customer, name="明达", phones=[{"number": "13900139000"}])
    assert await house.names(search="华信") == []
    assert await house.names(search="8000") == []
    assert await house.names(search="明达") == ["明达"]
    assert await house.names(house.wang, search="明达") == []


async def test_filters_combine(house: House) -> None:
    await house.enter("华信苏州", province="江苏", city="苏州", grade="A", sourceChannel="展会")
    await house.enter("华信南京", province="江苏", city="南京", grade="B")
    await house.enter("个人", kind="PERSON", province="浙江")
    assert await house.names(province={"eq": "江苏"}, grade={"in": ["A", "VIP"]}) == ["华信苏州"]
    assert await house.names(grade={"isNull": True}) == ["个人"]
    either = [{"city": {"eq": "南京"}}, {"kind": {"eq": "PERSON"}}]
    assert await house.names(**{"or": either}) == ["个人", "华信南京"]
    assert await house.names(name={"contains": "华信"}, **{"not": {"sourceChannel": {"eq": "展会"}}}) == [
        "华信南京"
    ]


async def test_the_newest_customer_comes_first_and_pages_follow(house: House) -> None:
    for number in range(5):
        await house.enter(f"客户{number}")
    page = "query($after: String) { customers(first: 2, after: $after) { nodes { name } totalCount pageInfo { endCursor } } }"
    first = (await house.crm.data(page, house.li))["customers"]
    second = (await house.crm.data(page, house.li, after=first["pageInfo"]["endCursor"]))["customers"]
    assert [n["name"] for n in first["nodes"] + second["nodes"]] == ["客户4", "客户3", "客户2", "客户1"]
    assert first["totalCount"] == 5


DUPLICATES = "possibleDuplicates { name }"


async def test_possible_duplicates_are_shown_and_never_refused(house: House) -> None:
    first = await house.enter("华信科技有限公司", phones=[{"number": "0512-65001234转1"}])
    await house.enter("张三", kind="PERSON", phones=[{"number": "0512 6500 1234"}])
    await house.enter("华信科技 有限责任公司")
    await house.enter("华信科技股份有限公司")
    found = await house.read(first, DUPLICATES)
    assert found["possibleDuplicates"] == [{"name": "张三"}, {"name": "华信科技 有限责任公司"}]


async def test_persons_of_one_name_are_no_duplicates_and_of_one_identity_number_are(house: House) -> None:
    first = await house.enter("李雷", kind="PERSON", identityNumber="11010519491231002X")
    await house.enter("李雷", kind="PERSON")
    assert (await house.read(first, DUPLICATES))["possibleDuplicates"] == []
    await house.enter("李磊", kind="PERSON", identityNumber="11010519491231002x")
    assert (await house.read(first, DUPLICATES))["possibleDuplicates"] == [{"name": "李磊"}]


async def test_a_duplicate_in_a_foreign_line_is_told_to_stewards_only(house: House) -> None:
    phones = [{"number": "13800138000"}]
    known = await house.enter("华信", house.west, line="west", phones=phones)
    mine = await house.enter("华信科技", phones=phones)
    assert (await house.read(mine, DUPLICATES))["possibleDuplicates"] == []
    flags = "{ duplicateFlags { nodes { line foreignLine by customer { name } other { name } } } }"
    assert (await house.crm.ask(flags, house.li)).codes == ["FORBIDDEN"]
    told = await house.crm.data(flags, house.steward)
    assert told["duplicateFlags"]["nodes"] == [
        {
            "line": "east",
            "foreignLine": "west",
            "by": "PHONE",
            "customer": {"name": "华信科技"},
            "other": None,
        }
    ]
    other = await house.crm.actor("卫", role="steward", lines=("west",))
    told = await house.crm.data(flags, other)
    assert told["duplicateFlags"]["nodes"][0]["other"] == {"name": "华信"}
    assert told["duplicateFlags"]["nodes"][0]["customer"] is None
    await house.do("customerUpdate", id=mine, phones=[*phones, {"number": "13900139000"}])
    assert len((await house.crm.data(flags, house.steward))["duplicateFlags"]["nodes"]) == 1
    assert known


async def test_a_page_of_customers_takes_the_same_statements_whatever_its_size(house: House) -> None:
    text = (
        "query($n: Int) { customers(first: $n) { totalCount nodes { name grade owner { name } phones { number } tags { name }"
        " lines { line } contacts(first: 3) { nodes { name phones { number } } } possibleDuplicates { id } dossierMissing } } }"
    )
    counts = []
    for size in (1, 20):
        while len(await house.names()) < size:
            number = len(await house.names())
            customer = await house.enter(
                f"客户{number}", phones=[{"number": f"138001380{number:02}"}], tags=["x"]
            )
            await house.do(
                "contactCreate", customerId=customer, name=f"人{number}", phones=[{"number": "13900139000"}]
            )
        with house.crm.statements() as sent:
            found = await house.crm.data(text, house.li, n=50)
        assert len(found["customers"]["nodes"]) == size
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 11
