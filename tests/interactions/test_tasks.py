"""Tasks and the timeline of a customer."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.actors import Reach
from crm_core.graphql.fields import Source
from crm_core.interactions.graphql import TASK
from crm_core.interactions.timeline import source
from tests.interactions.conftest import Company


async def _task(company: Company, **more: Any) -> str:
    done = await company.do("taskCreate", select="task { id }", title="寄样本", dueOn="2025-11-05", **more)
    found: str = done["task"]["id"]
    return found


async def test_a_task_is_given_changed_and_done(company: Company) -> None:
    customer = await company.customer("甲公司")
    task = await _task(company, customerId=customer)
    await company.do("taskUpdate", id=task, dueOn="2025-11-07")
    await company.do("taskComplete", id=task)
    query = (
        "query($id: ID!) { task(id: $id) { title dueOn status doneAt assignee { name } customer { name } } }"
    )
    assert (await company.crm.data(query, company.seller, id=task))["task"] == {
        "title": "寄样本",
        "dueOn": "2025-11-07",
        "status": "DONE",
        "doneAt": "2025-11-03T02:00:00.000000Z",
        "assignee": {"name": "seller"},
        "customer": {"name": "甲公司"},
    }
    assert await company.codes("taskCancel", id=task) == [("ILLEGAL_MOVE", None)]


async def test_a_task_is_seen_by_who_gave_it_who_does_it_and_who_reaches_the_customer(
    company: Company, shown: Any
) -> None:
    customer = await company.customer("甲公司")
    await _task(company, customerId=customer)
    await _task(company, assigneeId=shown("usr", company.other.user_id))
    query = "{ tasks { totalCount } }"
    seen = {
        actor.name: (await company.crm.data(query, actor))["tasks"]["totalCount"]
        for actor in (company.seller, company.other, company.manager)
    }
    assert seen == {"seller": 2, "other": 1, "manager": 2}


@pytest.mark.rule("CS-212")
async def test_a_superior_sees_what_became_of_his_peoples_tasks_and_reports_the_callbacks_he_makes(
    company: Company, shown: Any
) -> None:
    reads = dict.fromkeys(("customer.read", "interaction.read", "interaction.write"), Reach.TEAM)
    chief = await company.crm.actor("chief", reads, team=company.team, leads=True)
    customer = await company.customer("甲公司")
    done, _ = [await _task(company, customerId=customer) for _ in range(2)]
    await company.do("taskComplete", id=done)
    query = "{ tasks(orderBy: [{dueOn: ASC}]) { nodes { status assignee { name } } } }"
    seen = (await company.crm.data(query, chief))["tasks"]["nodes"]
    assert sorted(task["status"] for task in seen) == ["DONE", "OPEN"]
    assert {task["assignee"]["name"] for task in seen} == {"seller"}
    call = await company.log(
        customer, chief, content="回访满意", reportTo=[shown("usr", company.manager.user_id)]
    )
    reports = "{ interactionReports { nodes { interaction { id } } } }"
    found = (await company.crm.data(reports, company.manager))["interactionReports"]["nodes"]
    assert found == [{"interaction": {"id": call}}]


async def test_a_task_follows_from_an_interaction_of_its_customer(company: Company) -> None:
    first, second = await company.customer("甲公司"), await company.customer("乙公司")
    call = await company.log(first)
    task = await _task(company, interactionId=call)
    query = "query($id: ID!) { task(id: $id) { customer { name } interaction { id } } }"
    assert (await company.crm.data(query, company.seller, id=task))["task"] == {
        "customer": {"name": "甲公司"},
        "interaction": {"id": call},
    }
    wrong: dict[str, Any] = {"title": "x", "dueOn": "2025-11-05", "interactionId": call, "customerId": second}
    assert await company.codes("taskCreate", **wrong) == [("CONTACT_OF_OTHER_CUSTOMER", "interactionId")]


TIMELINE = """query($id: ID!, $first: Int, $after: String) { customer(id: $id) {
    timeline(first: $first, after: $after) { totalCount pageInfo { endCursor hasNextPage }
        nodes { id kind title status line at } } } }"""


@pytest.mark.rule("CS-014")
async def test_the_timeline_shows_all_kinds_latest_first_and_pages_through_them(company: Company) -> None:
    customer = await company.customer("甲公司")
    expected = []
    for kind in ("call", "sms", "wechat"):
        expected.append(await company.log(customer, kind=kind, subject=kind))
        company.crm.clock.advance(minutes=1)
    expected.append(await _task(company, customerId=customer))
    await company.log(await company.customer("乙公司"))
    whole = (await company.crm.data(TIMELINE, company.seller, id=customer))["customer"]["timeline"]
    assert [(entry["kind"], entry["id"]) for entry in whole["nodes"]] == [
        ("task", expected[3]),
        ("wechat", expected[2]),
        ("sms", expected[1]),
        ("call", expected[0]),
    ]
    assert whole["nodes"][0]["title"] == "寄样本"
    assert whole["nodes"][3] == {
        "id": expected[0],
        "kind": "call",
        "title": "call",
        "status": "DONE",
        "line": "east",
        "at": "2025-11-03T02:00:00.000000Z",
    }
    assert await _paged(company, customer) == [entry["id"] for entry in whole["nodes"]]
    assert whole["totalCount"] == 4


async def _paged(company: Company, customer: str) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        variables = {"id": customer, "first": 1, "after": after}
        page = (await company.crm.data(TIMELINE, company.seller, **variables))["customer"]["timeline"]
        found += [entry["id"] for entry in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_every_entry_of_the_timeline_is_a_record_the_reader_may_open(company: Company) -> None:
    customer = await company.customer("甲公司")
    await company.log(customer)
    await _task(company, customerId=customer)
    entries = (await company.crm.data(TIMELINE, company.manager, id=customer))["customer"]["timeline"][
        "nodes"
    ]
    for entry in entries:
        found = await company.crm.data(
            "query($id: ID!) { node(id: $id) { id } }", company.manager, id=entry["id"]
        )
        assert found["node"] == {"id": entry["id"]}


def test_a_source_names_its_rows_by_the_table_of_its_type() -> None:
    made = source("task", TASK, at=lambda t: t.c.created_at, title=lambda t: t.c.title)
    assert isinstance(made, Source)
    assert made.name == "task"
