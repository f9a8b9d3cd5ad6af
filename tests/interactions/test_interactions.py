"""Interactions: what is kept of each contact, its states, who sees it, and who gets the short report."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.actors import Reach
from crm_core.interactions.models import Channel, Interaction
from tests.interactions.conftest import MANAGES, Company

CHANNELS = {
    "call": "PHONE",
    "sms": "SMS",
    "email": "EMAIL",
    "wechat": "WECHAT",
    "letter": "LETTER",
    "online_chat": "ONLINE_CHAT",
    "meeting": "FACE_TO_FACE",
    "social_media": "SOCIAL_MEDIA",
}


@pytest.mark.rule("CS-014")
async def test_every_contact_stays_in_the_customers_archive_latest_first(company: Company) -> None:
    customer = await company.customer("甲公司")
    first = await company.log(customer, content="初次来电", direction="INBOUND")
    company.crm.clock.advance(hours=1)
    second = await company.log(customer, content="回电", nextStep="寄样本", nextOn="2025-11-10")
    query = """query($id: ID!) { customer(id: $id) { interactions { totalCount nodes {
        id content direction occurredAt nextStep nextOn performer { name } status line } } } }"""
    found = (await company.crm.data(query, company.seller, id=customer))["customer"]["interactions"]
    assert found["totalCount"] == 2
    assert [node["id"] for node in found["nodes"]] == [second, first]
    assert found["nodes"][0] == {
        "id": second,
        "content": "回电",
        "direction": "OUTBOUND",
        "occurredAt": "2025-11-03T03:00:00.000000Z",
        "nextStep": "寄样本",
        "nextOn": "2025-11-10",
        "performer": {"name": "seller"},
        "status": "DONE",
        "line": "east",
    }


@pytest.mark.rule("CS-127")
@pytest.mark.parametrize(("kind", "channel"), CHANNELS.items())
async def test_each_interaction_stores_its_channel(company: Company, kind: str, channel: str) -> None:
    interaction = await company.log(await company.customer("甲公司"), kind=kind)
    assert (await company.read(interaction, "channel"))["channel"] == channel


@pytest.mark.rule("CS-127")
async def test_a_kind_that_does_not_tell_the_channel_asks_for_it(company: Company) -> None:
    customer = await company.customer("甲公司")
    given: dict[str, Any] = {"customerId": customer, "kind": "care", "content": "生日问候"}
    assert await company.codes("interactionLog", **given) == [("CHANNEL_REQUIRED", "channel")]
    care = await company.log(customer, **given | {"channel": "WECHAT"})
    assert (await company.read(care, "channel kind"))["channel"] == "WECHAT"
    assert {channel.value for channel in Channel} == set(CHANNELS.values())


async def test_an_unknown_kind_and_the_future_are_refused(company: Company) -> None:
    customer = await company.customer("甲公司")
    assert await company.codes("interactionLog", customerId=customer, kind="telepathy", content="x") == [
        ("UNKNOWN_INTERACTION_KIND", "kind")
    ]
    tomorrow: dict[str, Any] = {
        "customerId": customer,
        "kind": "call",
        "content": "x",
        "occurredAt": "2025-11-04T10:00:00+08:00",
    }
    assert await company.codes("interactionLog", **tomorrow) == [("IN_FUTURE", "occurredAt")]


async def test_a_done_interaction_is_neither_completed_cancelled_nor_replanned(company: Company) -> None:
    call = await company.log(await company.customer("甲公司"))
    changes: dict[str, dict[str, Any]] = {
        "interactionComplete": {"content": "再次"},
        "interactionCancel": {},
        "interactionUpdate": {"plannedAt": "2025-11-05T10:00:00+08:00"},
    }
    for mutation, more in changes.items():
        assert await company.codes(mutation, id=call, **more) == [("ILLEGAL_MOVE", None)]
    await company.do("interactionUpdate", id=call, content="更正：对方未接", subject="回访")
    assert await company.read(call, "content subject version") == {
        "content": "更正：对方未接",
        "subject": "回访",
        "version": 2,
    }


async def test_a_planned_interaction_is_changed_and_called_off(company: Company) -> None:
    visit = await company.plan(await company.customer("甲公司"))
    await company.do("interactionUpdate", id=visit, plannedAt="2025-11-06T23:30:00+08:00", subject="改期")
    assert await company.read(visit, "occurredOn plannedAt subject visit { target }") == {
        "occurredOn": "2025-11-06",
        "plannedAt": "2025-11-06T15:30:00.000000Z",
        "subject": "改期",
        "visit": {"target": "年度框架协议"},
    }
    await company.do("interactionCancel", id=visit)
    assert (await company.read(visit, "status"))["status"] == "CANCELLED"


async def test_a_planned_interaction_of_any_kind_has_a_target(company: Company) -> None:
    customer = await company.customer("甲公司")
    call = await company.plan(customer, kind="call", visit=None, target="约定看样")
    assert (await company.read(call, "target"))["target"] == "约定看样"
    await company.do("interactionUpdate", id=call, target="约定试用")
    company.crm.clock.advance(days=1)
    await company.do("interactionComplete", id=call, content="已约")
    assert (await company.read(call, "target"))["target"] == "约定试用"
    assert await company.codes("interactionUpdate", id=call, target="另一目标") == [("ILLEGAL_MOVE", None)]


async def test_participants_are_colleagues_contacts_of_the_customer_or_names(
    company: Company, shown: Any
) -> None:
    customer = await company.customer("甲公司")
    call = await company.log(
        customer, participants=[{"userId": shown("usr", company.other.user_id)}, {"name": "李工"}]
    )
    read = await company.read(call, "participants { name user { name } contact { id } }")
    assert read["participants"] == [
        {"name": "", "user": {"name": "other"}, "contact": None},
        {"name": "李工", "user": None, "contact": None},
    ]
    wrong: dict[str, Any] = {"customerId": customer, "kind": "call", "content": "x", "participants": [{}]}
    assert await company.codes("interactionLog", **wrong) == [("PARTICIPANT_UNCLEAR", "participants.0")]


async def test_a_contact_of_the_customer_shows_the_interactions_he_took_part_in(company: Company) -> None:
    customer, stranger = await company.customer("甲公司"), await company.customer("乙公司")
    contact = await company.contact(customer, "张总")
    call = await company.log(customer, participants=[{"contactId": contact}])
    await company.log(customer)
    query = "query($id: ID!) { contact(id: $id) { interactions { nodes { id participants { contact { name } } } } } }"
    found = (await company.crm.data(query, company.seller, id=contact))["contact"]["interactions"]["nodes"]
    assert found == [{"id": call, "participants": [{"contact": {"name": "张总"}}]}]
    given: dict[str, Any] = {"customerId": stranger, "kind": "call", "content": "x"}
    assert await company.codes("interactionLog", **given, participants=[{"contactId": contact}]) == [
        ("CONTACT_OF_OTHER_CUSTOMER", "participants.0.contactId")
    ]


# -- who sees what


async def test_an_interaction_is_seen_with_the_customer_in_its_own_line_only(company: Company) -> None:
    customer = await company.customer("甲公司")
    call = await company.log(customer)
    west = await company.crm.actor("westerner", MANAGES, lines=("west",))
    both = await company.crm.actor("both", {"interaction.read": Reach.LINE}, lines=("east", "west"))
    seen = {
        actor.name: (await company.read(call, "id", actor)) is not None
        for actor in (company.seller, company.manager, company.other, west, both)
    }
    assert seen == {"seller": True, "manager": True, "other": False, "westerner": False, "both": True}


async def test_an_interaction_is_seen_by_who_performs_it(company: Company, shown: Any) -> None:
    customer = await company.customer("甲公司")
    visit = await company.plan(customer, company.manager, performerId=shown("usr", company.other.user_id))
    assert await company.read(visit, "id performer { name } customer { id }", company.other) == {
        "id": visit,
        "performer": {"name": "other"},
        "customer": None,
    }
    company.crm.clock.advance(hours=1)
    done: dict[str, Any] = {"id": visit, "content": "已谈", "occurredAt": "2025-11-03T10:30:00+08:00"}
    await company.do("interactionComplete", company.other, **done)


async def test_nobody_logs_for_a_customer_he_does_not_reach(company: Company) -> None:
    customer = await company.customer("甲公司")
    given: dict[str, Any] = {"customerId": customer, "kind": "call", "content": "x"}
    assert await company.codes("interactionLog", company.other, **given) == [("NOT_FOUND", "customerId")]


# -- CS-119


@pytest.mark.rule("CS-119")
async def test_no_contact_is_recorded_without_its_short_report(company: Company) -> None:
    customer = await company.customer("甲公司")
    for kind in ("letter", "call", "meeting"):
        given: dict[str, Any] = {"customerId": customer, "kind": kind, "content": " "}
        assert await company.codes("interactionLog", **given) == [("CONTENT_REQUIRED", "content")]
    visit = await company.plan(customer)
    assert await company.codes("interactionComplete", id=visit) == [("CONTENT_REQUIRED", "content")]


@pytest.mark.rule("CS-119")
async def test_the_short_report_goes_to_the_director_and_to_who_needs_to_know(
    company: Company, shown: Any
) -> None:
    director = await company.crm.actor("director", role="regional_director")
    elsewhere = await company.crm.actor("elsewhere", role="marketing_gm", lines=("west",))
    call = await company.log(
        await company.customer("甲公司"),
        subject="催款",
        content="月底付清",
        nextStep="核对到账",
        nextOn="2025-11-30",
        reportTo=[shown("usr", company.other.user_id)],
    )
    query = "{ interactionReports(where: { unread: true }) { nodes { id text interaction { id } } } }"
    found = (await company.crm.data(query, director))["interactionReports"]["nodes"]
    assert [(report["text"], report["interaction"]) for report in found] == [
        ("催款\n月底付清\n2025-11-30 核对到账", {"id": call})
    ]
    noted = (await company.crm.data(query, company.other))["interactionReports"]["nodes"]
    assert [(report["text"], report["interaction"]) for report in noted] == [(found[0]["text"], None)]
    for nobody in (elsewhere, company.seller, company.manager):
        assert (await company.crm.data(query, nobody))["interactionReports"]["nodes"] == []
    sent = await company.read(call, "reportedTo { name }")
    assert sent == {"reportedTo": [{"name": "director"}, {"name": "other"}]}
    await company.do("interactionReadReport", director, id=found[0]["id"])
    assert (await company.crm.data(query, director))["interactionReports"]["nodes"] == []
    assert await company.codes("interactionReadReport", company.manager, id=found[0]["id"]) == [
        ("NOT_FOUND", "id")
    ]


# -- imported history


async def test_imported_history_needs_no_plan_report_or_channel_and_sends_no_reports(
    company: Company,
) -> None:
    customer = await company.customer("甲公司")
    director = await company.crm.actor("director", role="regional_director")
    row = {
        "customer_id": customer,
        "kind": "visit",
        "occurred_at": "2024-05-06T23:30:00+08:00",
        "consultant_name": "赵强",
        "source": "legacy",
        "external_id": "K1/2024-05-06T23:30",
    }
    done = await company.crm.perform("interaction.log", row, company.seller, channel="import", line="east")
    assert done.errors == ()
    again = await company.crm.perform("interaction.log", row, company.seller, channel="import", line="east")
    assert [error.code for error in again.errors] == ["ALREADY_RECORDED"]
    read = await company.read(
        "int_" + done.ids[0].hex, "kind occurredOn consultantName performer { id } reportedTo { id }"
    )
    assert read == {
        "kind": "visit",
        "occurredOn": "2024-05-06",
        "consultantName": "赵强",
        "performer": None,
        "reportedTo": [],
    }
    assert (await company.crm.data("{ interactionReports { totalCount } }", director))[
        "interactionReports"
    ] == {"totalCount": 0}


async def test_one_event_tells_of_each_change(company: Company) -> None:
    visit = await company.visited(await company.customer("甲公司"))
    await company.do("interactionSubmitReport", id=visit, feedback="好")
    await company.do("interactionUpdate", id=visit, nextStep="报价")
    await company.crm.passed_on()
    events = await company.crm.data(
        '{ events(where: { subjectType: { eq: "Interaction" } }) { nodes { kind sequence } } }'
    )
    assert [(e["kind"], e["sequence"]) for e in events["events"]["nodes"]] == [
        ("interaction.planned", 1),
        ("interaction.completed", 2),
        ("interaction.report_submitted", 3),
        ("interaction.updated", 4),
    ]
    assert len(await company.crm.rows(Interaction)) == 1


async def test_the_timeline_never_shows_another_line(company: Company) -> None:
    customer = await company.customer("甲公司")
    await company.log(customer)
    joint = {"interaction.read": Reach.LINE, "customer.read": Reach.LINE}
    west = await company.crm.actor("westerner", joint, lines=("west",))
    reader = await company.crm.actor("reader", {"customer.read": Reach.LINE})
    query = "query($id: ID!) { customer(id: $id) { timeline { totalCount } interactions { totalCount } } }"
    assert (await company.crm.data(query, west, id=customer))["customer"] is None
    blind = await company.crm.ask(query, reader, id=customer)
    assert blind.data is not None
    assert blind.data["customer"] == {"timeline": {"totalCount": 0}, "interactions": None}
    assert blind.codes == ["FORBIDDEN"]
