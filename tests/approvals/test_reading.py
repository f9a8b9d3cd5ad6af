"""Who sees which approvals, lists and inbox; setting policies."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.actors import Actor, Reach
from crm_core.approvals.models import ApprovalPolicy
from crm_core.approvals.seeding import seed_policies
from crm_core.testing.kit import Kit

Policy = Callable[..., Awaitable[dict[str, Any]]]
INBOX = "{ approvals(where: {waitingForMe: true}) { totalCount nodes { id canSign } } }"
ALL = "{ approvals { totalCount nodes { id } } }"


async def held(crm: Kit, actor: Actor, title: str = "Audi", **more: Any) -> str:
    given = {"title": title, "amount": "1.00", **more}
    payload = await crm.done("dealCreate", actor, input=given, select="approval { id }")
    return str(payload["approval"]["id"])


async def seen(crm: Kit, actor: Actor, document: str = ALL) -> list[str]:
    found = (await crm.data(document, actor))["approvals"]
    assert found["totalCount"] == len(found["nodes"])
    return [n["id"] for n in found["nodes"]]


async def test_an_inbox_holds_what_one_may_sign_now(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    first, second = await held(crm, seller), await held(crm, seller, "VW")
    assert await seen(crm, manager, INBOX) == [second, first]
    assert await seen(crm, seller, INBOX) == []
    await crm.done("approvalApprove", manager, input={"id": first})
    assert await seen(crm, manager, INBOX) == [second]
    assert await seen(crm, manager) == [second, first]


async def test_requester_signers_and_overseers_see_an_approval_and_nobody_else(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    own = {"approval.read": Reach.OWN, "approval.sign": Reach.OWN}
    stranger = await crm.actor("stranger", own)
    overseer = await crm.actor("overseer", {"approval.read": Reach.LINE})
    elsewhere = await crm.actor("elsewhere", role="line_manager", lines=("west",))
    await policy("deal.create")
    one = await held(crm, seller)
    for actor in (seller, manager, overseer, crm.administrator):
        assert await seen(crm, actor) == [one]
    for actor in (stranger, elsewhere):
        assert await seen(crm, actor) == []
        assert (await crm.data("query($id: ID!) { node(id: $id) { id } }", actor, id=one))["node"] is None
        refused = await crm.change("approvalApprove", actor, input={"id": one})
        assert [e["code"] for e in refused["userErrors"]] == ["NOT_FOUND"]
    refused = await crm.change("approvalApprove", overseer, input={"id": one})
    assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]


async def test_a_value_that_the_api_masks_is_hidden_in_the_diff_too(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    one = await held(crm, seller, note="private")
    ask = "query($id: ID!) { approval(id: $id) { diff } }"
    lines = (await crm.data(ask, manager, id=one))["approval"]["diff"]
    assert {line["field"]: line["after"] for line in lines}["note"] == "***"
    lines = (await crm.data(ask, crm.administrator, id=one))["approval"]["diff"]
    assert {line["field"]: line["after"] for line in lines}["note"] == "private"


async def test_lists_filter_by_state_kind_and_requester(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    first, second = await held(crm, seller), await held(crm, seller, "VW")
    await crm.done("approvalReject", manager, input={"id": first})
    for where, expected in (
        ("state: {eq: REJECTED}", [first]),
        ("state: {in: [PENDING, APPROVED]}", [second]),
        ('kind: {eq: "deal.create"}', [second, first]),
        ("mine: true", [second, first]),
        ("mine: false", []),
        ("tasks: {state: {eq: OPEN}}", [second]),
    ):
        assert (
            await seen(crm, seller, ALL.replace("approvals", f"approvals(where: {{{where}}})", 1)) == expected
        )


async def test_a_list_costs_the_same_number_of_statements_however_long(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    document = "{ approvals { nodes { diff canSign tasks { role signer { name } } requester { name } policy { name } } } }"
    counts = []
    for title in ("a", "b", "c"):
        await held(crm, seller, title)
        with crm.statements() as sent:
            await crm.data(document, manager)
        counts.append(len(sent))
    assert counts[0] == counts[1] == counts[2] <= 5


async def refusals(crm: Kit, actor: Actor | None = None, **given: Any) -> list[tuple[str, str | None]]:
    base = {"name": "p", "commands": ["deal.create"], "stages": [{"slots": [{"role": "line_manager"}]}]}
    payload = await crm.change("approvalPolicySet", actor, acting="east", input=base | given)
    return [(e["code"], e["field"]) for e in payload["userErrors"]]


async def test_a_policy_that_cannot_work_is_refused_with_the_place(crm: Kit, seller: Actor) -> None:
    test = {"field": "amount", "op": "GT", "value": "dear"}
    cases: list[tuple[dict[str, Any], tuple[str, str | None]]] = [
        ({"commands": ["deal.dance"]}, ("POLICY_UNKNOWN_COMMAND", "commands.0")),
        ({"commands": ["approval.approve"]}, ("POLICY_UNKNOWN_COMMAND", "commands.0")),
        ({"stages": [{"slots": [{"role": "pope"}]}]}, ("POLICY_UNKNOWN_ROLE", "stages.0.slots.0.role")),
        (
            {"stages": [{"slots": [{"role": "role of seller"}]}]},
            ("POLICY_ROLE_CANNOT_SIGN", "stages.0.slots.0.role"),
        ),
        ({"stages": [{"slots": [{}]}]}, ("APPROVAL_SLOT", "stages.0.slots.0")),
        ({"condition": {"all": [test]}}, ("POLICY_VALUE", "condition.all.0.value")),
        (
            {"condition": {"any": [test | {"field": "colour"}]}},
            ("POLICY_UNKNOWN_FIELD", "condition.any.0.field"),
        ),
        ({"condition": {"all": [test | {"field": "title"}]}}, ("POLICY_ORDER", "condition.all.0.op")),
    ]
    for given, expected in cases:
        assert await refusals(crm, **given) == [expected], given
    assert await refusals(crm, seller) == [("FORBIDDEN", None)]
    assert await crm.rows(ApprovalPolicy) == [
        r for r in await crm.rows(ApprovalPolicy) if r.name == "new deals"
    ]


async def test_a_policy_is_changed_by_a_new_edition_that_keeps_the_rest(crm: Kit, policy: Policy) -> None:
    await policy("deal.create", priority=7)
    off = {"name": "signed deal.create", "enabled": False}
    await crm.done("approvalPolicySet", acting="east", input=off)
    ask = '{ approvalPolicies(where: {name: {eq: "signed deal.create"}}) { nodes { edition enabled current priority commands } } }'
    found = (await crm.data(ask))["approvalPolicies"]["nodes"]
    assert found == [
        {"edition": 2, "enabled": False, "current": True, "priority": 7, "commands": ["deal.create"]},
        {"edition": 1, "enabled": True, "current": False, "priority": 7, "commands": ["deal.create"]},
    ]
    assert await refusals(crm, name="signed deal.create", commands=["deal.update"]) == []
    found = (await crm.data(ask))["approvalPolicies"]["nodes"]
    assert [(p["edition"], p["commands"]) for p in found] == [
        (3, ["deal.update"]),
        (2, ["deal.create"]),
        (1, ["deal.create"]),
    ]


async def test_suggested_policies_are_offered_once_to_each_line_and_switched_off(crm: Kit) -> None:
    async with crm.database.transaction() as session:
        await _seed_again(crm, session)
    rows = [r for r in await crm.rows(ApprovalPolicy) if r.name == "new deals"]
    assert sorted((r.line, r.enabled, r.edition) for r in rows) == [("east", False, 1), ("west", False, 1)]


async def _seed_again(crm: Kit, session: AsyncSession) -> None:
    for _ in range(2):
        await seed_policies(session, crm.services.registry, crm.clock())
