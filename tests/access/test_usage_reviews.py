"""The usage log of a line and its periodic review."""

import pytest

from crm_core.actors import Reach
from crm_core.testing.kit import Kit

REVIEW = "usageReview { line entries findings reviewer { name } }"
LOG = "{ auditEntries { totalCount nodes { kind actorName line reason } } }"


@pytest.mark.rule("CS-023")
async def test_a_change_in_a_line_is_in_the_log_its_reviewer_reads_and_counts(crm: Kit) -> None:
    seller = await crm.actor("seller", {"customer.write": Reach.LINE, "customer.read": Reach.LINE})
    reviewer = await crm.actor("reviewer", {"audit.read": Reach.LINE, "audit.review": Reach.LINE})
    given = {"name": "上海华信科技有限公司", "kind": "ORGANISATION"}
    await crm.done(
        "customerCreate", seller, input=given, acting="east", reason="fair", select="customer { id }"
    )
    log = (await crm.data(LOG, reviewer))["auditEntries"]
    assert log == {
        "totalCount": 1,
        "nodes": [{"kind": "customer.create", "actorName": "seller", "line": "east", "reason": "fair"}],
    }
    period = {"periodFrom": "2025-11-01", "periodTo": "2025-11-30", "findings": "无异常"}
    done = await crm.done("usageReview", reviewer, input=period, select=REVIEW)
    assert done["usageReview"] == {
        "line": "east",
        "entries": 1,
        "findings": "无异常",
        "reviewer": {"name": "reviewer"},
    }


@pytest.mark.rule("CS-023")
async def test_a_review_counts_only_the_days_it_names_and_its_own_line(crm: Kit) -> None:
    given = {"name": "李明", "kind": "PERSON"}
    for line in ("east", "east", "west"):
        await crm.done("customerCreate", input=given, acting=line)
    both = {"periodFrom": "2025-11-03", "periodTo": "2025-11-03", "findings": "ok"}
    before = {**both, "periodFrom": "2025-11-01", "periodTo": "2025-11-02"}
    counted = [
        (await crm.done("usageReview", input=period, acting="east", select=REVIEW))["usageReview"]["entries"]
        for period in (both, before)
    ]
    assert counted == [2, 0]


async def test_a_period_that_ends_before_it_begins_is_refused(crm: Kit) -> None:
    wrong = {"periodFrom": "2025-11-30", "periodTo": "2025-11-01", "findings": "x"}
    refused = await crm.change("usageReview", input=wrong, acting="east")
    assert [(e["code"], e["field"], e["rule"]) for e in refused["userErrors"]] == [
        ("INVALID_VALUE", "periodTo", "CS-023")
    ]


async def test_who_does_not_reach_the_whole_line_sees_no_log(crm: Kit) -> None:
    await crm.done("customerCreate", input={"name": "李明", "kind": "PERSON"}, acting="east")
    seller = await crm.actor("seller", {"audit.read": Reach.OWN})
    assert (await crm.data(LOG, seller))["auditEntries"]["totalCount"] == 0
