"""What is kept of customers' people is kept for a purpose that somebody stated (MO-C08)."""

from __future__ import annotations

from typing import Any

import pytest

from crm_telecom_elite.plans.models import EliteMapOpening, EliteTenderRole
from crm_telecom_elite.testing import Branch

BLANK = ["", "   "]


async def refused(branch: Branch, mutation: str, **given: Any) -> list[tuple[str, str | None]]:
    """Code and field of what is refused to the Centre."""
    payload = await branch.crm.change(mutation, branch.centre, input=given, acting=branch.line)
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


@pytest.mark.rule("MO-C08", "MO-527")
@pytest.mark.parametrize("purpose", BLANK)
async def test_nobody_opens_a_map_without_saying_what_for(branch: Branch, purpose: str) -> None:
    given = {"customerId": await branch.customer(), "purpose": purpose}
    assert await refused(branch, "eliteKeyPersonMapOpen", **given) == [
        ("INVALID_STRING_TOO_SHORT", "purpose")
    ]
    assert await branch.crm.rows(EliteMapOpening) == []


@pytest.mark.rule("MO-C08")
@pytest.mark.parametrize("purpose", BLANK)
async def test_no_role_of_a_person_is_kept_without_saying_why(branch: Branch, purpose: str) -> None:
    customer, crm = await branch.customer(), branch.crm
    asked = {"customerId": customer, "name": "陈总", "isKeyPerson": True}
    person = await crm.done("contactCreate", branch.centre, input=asked, select="contact { id }")
    asked = {"customerId": customer, "name": "专网招标", "openedOn": "2025-11-01"}
    tender = await crm.done("eliteTenderOpen", branch.centre, input=asked, select="eliteTender { id }")
    asked = {"customerId": customer, "purpose": "准备投标"}
    await crm.done("eliteKeyPersonMapOpen", branch.centre, input=asked)
    given = {
        "id": tender["eliteTender"]["id"],
        "contactId": person["contact"]["id"],
        "role": "评委",
        "decisionMaker": False,
    }
    assert await refused(branch, "eliteTenderRoleSet", **given, purpose=purpose) == [
        ("INVALID_STRING_TOO_SHORT", "purpose")
    ]
    assert await crm.rows(EliteTenderRole) == []
    assert await refused(branch, "eliteTenderRoleSet", **given, purpose="了解评标流程") == []
