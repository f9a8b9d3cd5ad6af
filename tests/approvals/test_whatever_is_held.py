"""What else a policy holds: what all lines share, what is done to many records at once, what exceeds another field."""

from typing import Any

import pytest

from crm_core.access.models import User
from crm_core.actors import Actor, Reach
from crm_core.testing.kit import Kit
from tests.approvals.conftest import Policy
from tests.approvals.test_gate import HELD, codes, hold, made, sign

NEW_USER = {"name": "Zhao Min", "login": "zhaomin"}
EVERYWHERE = {"access.admin": Reach.ALL, "approval.policy": Reach.ALL, "approval.request": Reach.ALL}


async def changed(crm: Kit, mutation: str, actor: Actor, given: dict[str, Any], **more: Any) -> Any:
    """The approval a command waits as, or None when it was performed."""
    select = "approval { id line state canSign }"
    return (await crm.done(mutation, actor, input=given, select=select, **more))["approval"]


@pytest.fixture
async def administrator(crm: Kit) -> Actor:
    return await crm.actor("head office", EVERYWHERE, lines=("east", "west"))


# -- what all lines share


async def test_a_command_without_a_line_is_held_in_the_line_of_its_policy(
    crm: Kit, policy: Policy, administrator: Actor, manager: Actor
) -> None:
    await policy("user.create", acting="east")
    held = await changed(crm, "userCreate", administrator, NEW_USER)
    assert (held["line"], held["state"]) == ("east", "PENDING")
    assert not [u for u in await crm.rows(User) if u.name == "Zhao Min"]
    assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"
    assert [u.name for u in await crm.rows(User) if u.name == "Zhao Min"] == ["Zhao Min"]


async def test_of_policies_of_several_lines_about_it_the_first_by_priority_holds_it(
    crm: Kit, policy: Policy, administrator: Actor, manager: Actor
) -> None:
    await crm.actor("western", role="line_manager", lines=("west",))
    await policy("user.create", acting="east", priority=20)
    await policy("user.create", acting="west", priority=10)
    assert (await changed(crm, "userCreate", administrator, NEW_USER))["line"] == "west"


async def test_who_sets_policies_in_his_line_alone_does_not_hold_what_all_lines_share(
    crm: Kit, administrator: Actor
) -> None:
    local = await crm.actor("local", {"approval.policy": Reach.LINE})
    given = {
        "name": "users",
        "commands": ["deal.create", "user.create"],
        "stages": [{"slots": [{"role": "line_manager"}]}],
    }
    refused = await crm.change("approvalPolicySet", local, acting="east", input=given)
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [("POLICY_OF_ALL_LINES", "commands.1")]
    assert await codes(crm, "approvalPolicySet", administrator, acting="east", input=given) == []


async def test_who_would_sign_what_has_no_line_is_told_beforehand(
    crm: Kit, policy: Policy, administrator: Actor, manager: Actor
) -> None:
    query = """query($input: JSON!) { explainApproval(command: "user.create", input: $input) {
        why line policy { name } stages { asked { role } } errors { code } } }"""
    before = await crm.data(query, administrator, input=NEW_USER)
    assert before["explainApproval"]["why"] == "NO_POLICY"
    await policy("user.create", acting="east")
    after = (await crm.data(query, administrator, input=NEW_USER))["explainApproval"]
    assert (after["why"], after["line"]) == ("HELD", "east")
    assert after["policy"] == {"name": "signed user.create"}
    assert after["stages"] == [{"asked": [{"role": "line_manager"}]}]


# -- what is done to many at once


async def customer(crm: Kit, name: str) -> str:
    given = {"name": name, "kind": "ORGANISATION"}
    payload = await crm.done("customerCreate", acting="east", input=given, select="customer { id }")
    return str(payload["customer"]["id"])


@pytest.mark.parametrize(
    ("single", "bulk", "given"),
    [
        ("customer.assign", "customerBulkAssign", {"ownerId": None}),
        ("customer.tag", "customerBulkTag", {"tags": ["vip"]}),
    ],
)
async def test_a_bulk_command_is_held_by_what_holds_the_single_one(
    crm: Kit, policy: Policy, manager: Actor, single: str, bulk: str, given: dict[str, Any]
) -> None:
    clerk = await crm.actor("clerk", role="line_manager")
    ids = [await customer(crm, "East Trading"), await customer(crm, "West Trading")]
    condition = {"all": [{"field": "record.kind", "op": "EQ", "value": "PERSON"}]}
    await policy(single, condition=condition)
    held = await changed(crm, bulk, clerk, {"ids": ids, **given})
    assert held is not None, "what a condition cannot be asked about is held"
    assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"


# -- another field


THRICE = {"field": "amount", "op": "GT", "than": "record.amount", "times": "3"}


@pytest.mark.parametrize(("amount", "waits"), [("300.00", False), ("300.01", True)])
async def test_a_field_is_compared_with_so_many_times_another(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor, amount: str, *, waits: bool
) -> None:
    deal = await made(crm, seller)  # of 100.00
    await policy("deal.update", condition={"all": [THRICE]})
    given = {"id": deal, "amount": amount}
    payload = await crm.done("dealUpdate", seller, input=given, select=HELD)
    assert (payload["approval"] is not None) is waits


async def test_what_cannot_be_compared_is_held(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    deal = await made(crm, seller, note=None)
    same = {"field": "title", "op": "EQ", "than": "record.note"}
    await policy("deal.update", condition={"all": [same]})
    assert (await hold(crm, seller, "dealUpdate", input={"id": deal, "title": "x"}))["state"] == "PENDING"


@pytest.mark.parametrize(
    ("test", "code", "place"),
    [
        ({"field": "amount", "op": "GT", "than": "record.nothing"}, "POLICY_UNKNOWN_FIELD", "than"),
        ({"field": "amount", "op": "GT", "than": "record.title"}, "POLICY_VALUE", "than"),
        ({"field": "amount", "op": "IN", "than": "record.amount"}, "POLICY_OPERATOR", "op"),
        ({"field": "title", "op": "GT", "than": "record.note"}, "POLICY_ORDER", "op"),
        ({"field": "title", "op": "EQ", "than": "record.note", "times": "2"}, "POLICY_VALUE", "times"),
        ({"field": "amount", "op": "GT", "than": "record.amount", "value": "1"}, "INVALID_VALUE", None),
        ({"field": "amount", "op": "GT", "value": "1", "times": "2"}, "INVALID_VALUE", None),
    ],
)
async def test_two_fields_that_do_not_go_together_are_refused(
    crm: Kit, test: dict[str, Any], code: str, place: str | None
) -> None:
    given = {
        "name": "odd",
        "commands": ["deal.update"],
        "condition": {"all": [test]},
        "stages": [{"slots": [{"role": "line_manager"}]}],
    }
    refused = (await crm.change("approvalPolicySet", acting="east", input=given))["userErrors"]
    path = "condition.all.0" + (f".{place}" if place else "")
    assert [(e["code"], e["field"]) for e in refused] == [(code, path)]


# -- taken back


@pytest.mark.parametrize("mutation", ["customerArchive", "contactArchive"])
async def test_what_was_put_away_with_a_signature_is_taken_back_within_the_days(
    crm: Kit, policy: Policy, manager: Actor, mutation: str
) -> None:
    clerk = await crm.actor("clerk", role="line_manager")
    key = await customer(crm, "East Trading")
    if mutation == "contactArchive":
        given = {"customerId": key, "name": "Li Na"}
        made = await crm.done("contactCreate", acting="east", input=given, select="contact { id }")
        key = made["contact"]["id"]
    await policy(f"{mutation[:-7]}.archive", withdrawDays=7)
    held = await changed(crm, mutation, clerk, {"id": key}, acting="east")
    assert (await sign(crm, manager, held["id"]))["state"] == "APPROVED"
    asked = (
        "query($id: ID!) { node(id: $id) { ... on Customer { archivedAt } ... on Contact { archivedAt } } }"
    )
    assert (await crm.data(asked, id=key))["node"]["archivedAt"] is not None
    payload = await crm.done(
        "approvalWithdraw", clerk, input={"id": held["id"]}, select="approval { state withdrawableUntil }"
    )
    assert payload["approval"] == {"state": "WITHDRAWN", "withdrawableUntil": None}
    assert (await crm.data(asked, id=key))["node"]["archivedAt"] is None
