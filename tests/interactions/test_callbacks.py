"""Callbacks: planned by team, due by plan, opinions kept, problems made tasks, SMS alone does not count."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interactions.conftest import Company


async def _stage(company: Company, customer: str, stage: str = "CUSTOMER") -> None:
    await company.do("customerMoveStage", id=customer, stage=stage)


async def _overdue(company: Company) -> list[str]:
    query = "{ customers(where: { callbackOverdue: true }) { nodes { name } } }"
    found = await company.crm.data(query, company.seller)
    return sorted(node["name"] for node in found["customers"]["nodes"])


async def _plan(company: Company, shown: Any, **more: Any) -> str:
    team = shown("tea", company.team)
    given: dict[str, Any] = {
        "teamId": team,
        "name": "季度回访",
        "everyDays": 30,
        "validFrom": "2025-11-01",
        **more,
    }
    done = await company.do("callbackPlanSet", company.manager, "callbackPlan { id }", **given)
    found: str = done["callbackPlan"]["id"]
    return found


@pytest.mark.rule("CS-128")
async def test_customers_without_callback_in_the_days_of_the_teams_plan_are_due(
    company: Company, shown: Any
) -> None:
    called, silent = await company.customer("甲公司"), await company.customer("乙公司")
    assert await _overdue(company) == []
    plan = await _plan(company, shown)
    await company.log(called, isCallback=True)
    await company.log(silent)
    assert await _overdue(company) == ["乙公司"]
    query = "query($id: ID!) { callbackPlan(id: $id) { dueCustomers { totalCount nodes { name } } } }"
    found = await company.crm.data(query, company.seller, id=plan)
    assert found["callbackPlan"]["dueCustomers"] == {"totalCount": 1, "nodes": [{"name": "乙公司"}]}
    company.crm.clock.advance(days=30)
    assert await _overdue(company) == ["乙公司"]
    company.crm.clock.advance(days=1)
    assert await _overdue(company) == ["乙公司", "甲公司"]


@pytest.mark.rule("CS-128")
async def test_a_callback_plan_may_ask_for_one_channel(company: Company, shown: Any) -> None:
    customer = await company.customer("甲公司")
    await _plan(company, shown, channel="EMAIL")
    await company.log(customer, isCallback=True)
    assert await _overdue(company) == ["甲公司"]
    await company.log(customer, kind="email", isCallback=True)
    assert await _overdue(company) == []


@pytest.mark.rule("CS-128", "CS-131")
async def test_callbacks_by_sms_alone_leave_the_customer_due(company: Company, shown: Any) -> None:
    customer = await company.customer("甲公司")
    plan = await _plan(company, shown)
    query = "query($id: ID!) { callbackPlan(id: $id) { channel channels } }"
    found = await company.crm.data(query, company.seller, id=plan)
    assert found["callbackPlan"] == {"channel": None, "channels": ["PHONE", "EMAIL", "FACE_TO_FACE"]}
    await _messages(company, customer, "sms", "sms", "sms")
    assert await _overdue(company) == ["甲公司"]
    await company.log(customer, kind="email", isCallback=True)
    assert await _overdue(company) == []


@pytest.mark.rule("CS-128")
@pytest.mark.parametrize("crm_settings", [{"rooms": {"interactions": {"callback_channels": ["WECHAT"]}}}])
async def test_which_channels_meet_a_plan_that_names_none_is_a_setting(company: Company, shown: Any) -> None:
    customer = await company.customer("甲公司")
    await _plan(company, shown)
    await company.log(customer, isCallback=True)
    assert await _overdue(company) == ["甲公司"]
    await company.log(customer, kind="wechat", isCallback=True)
    assert await _overdue(company) == []


@pytest.mark.rule("CS-128")
async def test_a_callback_plan_ends_and_may_be_changed(company: Company, shown: Any) -> None:
    await company.customer("甲公司")
    plan = await _plan(company, shown)
    assert await _plan(company, shown, validTo="2025-11-02") == plan
    assert await _overdue(company) == []
    refused = await company.codes(
        "callbackPlanSet",
        company.manager,
        teamId=shown("tea", company.team),
        name="季度回访",
        everyDays=30,
        validFrom="2025-11-02",
        validTo="2025-11-01",
    )
    assert refused == [("PERIOD_REVERSED", "validTo")]


@pytest.mark.rule("CS-128")
async def test_problems_found_by_a_callback_become_a_task(company: Company) -> None:
    customer = await company.customer("甲公司")
    found = {"satisfaction": 3, "changedNeeds": "明年扩产", "problems": "空压机异响"}
    call = await company.log(customer, callback=found)
    read = await company.read(
        call,
        "isCallback callback { satisfaction changedNeeds problems } "
        "tasks { nodes { title dueOn status assignee { name } customer { name } } }",
    )
    assert read == {
        "isCallback": True,
        "callback": found,
        "tasks": {
            "nodes": [
                {
                    "title": "空压机异响",
                    "dueOn": "2025-11-06",
                    "status": "OPEN",
                    "assignee": {"name": "seller"},
                    "customer": {"name": "甲公司"},
                }
            ]
        },
    }


@pytest.mark.rule("CS-129")
async def test_old_customers_are_called_or_met_not_written_to(company: Company, shown: Any) -> None:
    old = await company.customer("老客户")
    await company.customer("新客户")
    await _stage(company, old)
    await _plan(company, shown, oldCustomers=True)
    await company.log(old, kind="wechat", isCallback=True)
    assert await _overdue(company) == ["老客户"]
    await company.log(old, kind="meeting", isCallback=True)
    assert await _overdue(company) == []


@pytest.mark.rule("CS-129")
async def test_dormant_customers_are_old_customers_lost_ones_are_not(company: Company, shown: Any) -> None:
    for name, stages in {"沉睡": ("CUSTOMER", "DORMANT"), "流失": ("CUSTOMER", "LOST")}.items():
        customer = await company.customer(name)
        for stage in stages:
            await _stage(company, customer, stage)
    await _plan(company, shown, oldCustomers=True)
    assert await _overdue(company) == ["沉睡"]


@pytest.mark.rule("CS-129")
async def test_a_plan_for_old_customers_names_no_channel(company: Company, shown: Any) -> None:
    given: dict[str, Any] = {
        "teamId": shown("tea", company.team),
        "name": "老客户",
        "everyDays": 30,
        "validFrom": "2025-11-01",
        "oldCustomers": True,
        "channel": "EMAIL",
    }
    refused = await company.codes("callbackPlanSet", company.manager, **given)
    assert refused == [("OLD_CUSTOMERS_CHANNEL", "channel")]


@pytest.mark.rule("CS-130")
async def test_a_callback_keeps_opinions_on_product_and_sales_strategy(company: Company) -> None:
    opinions = {"productQuality": "密封件易老化", "salesStrategy": "希望以旧换新"}
    call = await company.log(await company.customer("甲公司"), callback=opinions)
    assert (await company.read(call, "callback { productQuality salesStrategy }"))["callback"] == opinions


# -- CS-131


async def _card(company: Company, customer: str) -> str:
    query = "query($id: ID!) { customer(id: $id) { lines { cardState } } }"
    found = await company.crm.data(query, company.seller, id=customer)
    state: str = found["customer"]["lines"][0]["cardState"]
    return state


async def _messages(company: Company, customer: str, *kinds: str) -> None:
    for kind in kinds:
        company.crm.clock.advance(days=1)
        await company.log(customer, kind=kind, isCallback=True)


@pytest.mark.rule("CS-131")
async def test_three_callbacks_by_sms_alone_void_the_card_of_a_long_term_customer(company: Company) -> None:
    customer = await company.customer("甲公司")
    await _stage(company, customer)
    await _messages(company, customer, "sms", "sms")
    assert await _card(company, customer) == "VALID"
    await _messages(company, customer, "sms")
    assert await _card(company, customer) == "VOID"
    await company.crm.passed_on()
    events = await company.crm.data(
        '{ events(kinds: ["customer.card_voided"]) { nodes { subjectType data line } } }'
    )
    assert events["events"]["nodes"] == [
        {"subjectType": "Customer", "data": {"line": "east"}, "line": "east"}
    ]


@pytest.mark.rule("CS-131")
async def test_a_callback_through_another_channel_begins_the_count_anew(company: Company) -> None:
    customer = await company.customer("甲公司")
    await _stage(company, customer)
    await _messages(company, customer, "sms", "sms", "call", "sms", "sms")
    assert await _card(company, customer) == "VALID"
    await _messages(company, customer, "sms")
    assert await _card(company, customer) == "VOID"


@pytest.mark.rule("CS-131")
async def test_sms_that_are_no_callbacks_and_prospects_do_not_count(company: Company) -> None:
    prospect, customer = await company.customer("甲公司"), await company.customer("乙公司")
    await _stage(company, customer)
    await _messages(company, prospect, "sms", "sms", "sms")
    for _ in range(3):
        await company.log(customer, kind="sms")
    assert [await _card(company, one) for one in (prospect, customer)] == ["VALID", "VALID"]


@pytest.mark.rule("CS-131")
async def test_a_void_card_counts_again_by_the_superior_after_a_real_callback(company: Company) -> None:
    customer = await company.customer("甲公司")
    await _stage(company, customer)
    await _messages(company, customer, "sms", "sms", "sms")
    restore: dict[str, Any] = {"customerId": customer, "why": "已上门回访"}
    assert await company.codes("customerRestoreCard", company.manager, **restore) == [
        ("CARD_STILL_INVALID", "customerId")
    ]
    await _messages(company, customer, "call")
    assert await company.codes("customerRestoreCard", **restore) == [("FORBIDDEN", None)]
    await company.do("customerRestoreCard", company.manager, **restore)
    assert await _card(company, customer) == "VALID"
    await _messages(company, customer, "sms")
    assert await _card(company, customer) == "VALID"
    assert await company.codes("customerRestoreCard", company.manager, **restore) == [
        ("CARD_NOT_VOID", "customerId")
    ]


@pytest.mark.rule("CS-131")
@pytest.mark.parametrize("crm_settings", [{"rooms": {"interactions": {"sms_callback_limit": 2}}}])
async def test_how_many_sms_make_a_callback_invalid_is_a_setting(company: Company) -> None:
    customer = await company.customer("甲公司")
    await _stage(company, customer)
    await _messages(company, customer, "sms", "sms")
    assert await _card(company, customer) == "VOID"
