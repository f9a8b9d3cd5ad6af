"""The inbox: its boxes and their counts, search, copies, history in words, who could sign; on both databases."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.actors import Actor
from crm_core.errors import Language
from crm_core.testing.kit import Kit
from tests.approvals.conftest import SELLER
from tests.approvals.test_gate import codes, hold, shown
from tests.approvals.test_verbs import SIGNS, look, task

Policy = Callable[..., Awaitable[dict[str, Any]]]
COUNTS = "{ approvalInboxCounts { mine delegated copied submitted done unread returned overdue } }"
BOX = "query ($where: ApprovalWhere) { approvals(where: $where) { totalCount nodes { id } } }"


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", SIGNS)


@pytest.fixture
async def chief(crm: Kit) -> Actor:
    return await crm.actor("chief", SIGNS)


async def box(crm: Kit, actor: Actor, name: str | None = None, **where: Any) -> list[str]:
    """What stands in a box, by a compiled statement and by the interpreter."""
    wanted = where | ({"inbox": name} if name else {})
    found = [(await crm.ask(BOX, actor, compiled=compiled, where=wanted)).data for compiled in (True, False)]
    assert found[0] == found[1]
    assert found[0] is not None
    page = found[0]["approvals"]
    assert page["totalCount"] == len(page["nodes"])
    return [node["id"] for node in page["nodes"]]


async def counts(crm: Kit, actor: Actor) -> dict[str, int]:
    """Boxes that are not empty."""
    found = (await crm.data(COUNTS, actor))["approvalInboxCounts"]
    boxes = ("MINE", "DELEGATED", "COPIED", "SUBMITTED", "DONE")
    assert {b.lower(): found[b.lower()] for b in boxes} == {
        b.lower(): len(await box(crm, actor, b)) for b in boxes
    }
    assert found["unread"] == len(await box(crm, actor, unread=True))
    assert found["overdue"] == len(await box(crm, actor, overdue=True))
    return {name: number for name, number in found.items() if number}


async def test_a_request_moves_from_box_to_box(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    first, second = await hold(crm, seller), await hold(crm, seller, input={"title": "VW"})
    assert await counts(crm, seller) == {"submitted": 2}
    assert await counts(crm, clerk) == {"mine": 2}
    assert await counts(crm, chief) == {}
    assert await box(crm, clerk, "MINE") == [second["id"], first["id"]]
    await crm.done("approvalApprove", clerk, input={"id": first["id"]})
    await crm.done("approvalReturn", clerk, input={"id": second["id"]})
    assert await counts(crm, clerk) == {"done": 2}
    assert await counts(crm, seller) == {"submitted": 2, "returned": 1}
    await crm.done("approvalResubmit", seller, input={"id": second["id"]})
    assert await counts(crm, clerk) == {"mine": 1, "done": 2}


async def test_what_one_has_for_others_is_a_box_of_its_own(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    asked = await hold(crm, seller)
    now = await look(crm, asked)
    given = {"id": asked["id"], "task": task(now, "clerk"), "to": shown(chief)}
    await crm.done("approvalDelegate", clerk, input=given)
    assert await counts(crm, chief) == {"mine": 1, "delegated": 1}
    assert await counts(crm, clerk) == {}
    away = {"userId": shown(clerk), "deputyId": shown(chief), "fromDay": "2025-11-03", "toDay": "2025-11-09"}
    await crm.done("absenceSet", input=away)
    second = await hold(crm, seller, input={"title": "VW"})
    assert await box(crm, chief, "DELEGATED") == [second["id"], asked["id"]]
    assert await counts(crm, clerk) == {"mine": 1}  # who is away may sign himself


async def test_a_copy_is_unread_until_its_reader_says_so(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    asked = await hold(crm, seller)
    await crm.done("approvalCopy", seller, input={"id": asked["id"], "users": [shown(chief)]})
    assert await counts(crm, chief) == {"copied": 1, "unread": 1}
    crm.clock.advance(hours=1)
    given: dict[str, Any] = {"input": {"id": asked["id"]}, "select": "approval { readAt }"}
    payload = await crm.done("approvalMarkRead", chief, **given)
    assert payload["approval"]["readAt"] == "2025-11-03T03:00:00.000000Z"
    crm.clock.advance(hours=1)
    again = await crm.done("approvalMarkRead", chief, **given)
    assert again["approval"]["readAt"] == "2025-11-03T03:00:00.000000Z"
    assert await counts(crm, chief) == {"copied": 1}
    assert await box(crm, chief, unread=False) == [asked["id"]]
    assert await codes(crm, "approvalMarkRead", clerk, **given) == ["APPROVAL_NOT_COPIED"]
    ask = "query ($id: ID!) { approval(id: $id) { readAt } }"
    assert (await crm.data(ask, seller, id=asked["id"]))["approval"] == {"readAt": None}


async def test_what_waits_too_long_is_counted(crm: Kit, seller: Actor, clerk: Actor) -> None:
    stages = [{"slots": [{"userId": shown(clerk)}], "deadline": {"workingHours": "2"}}]
    given = {"name": "p", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    asked = await hold(crm, seller)
    assert await counts(crm, clerk) == {"mine": 1}
    crm.clock.advance(days=1)
    assert await counts(crm, clerk) == {"mine": 1, "overdue": 1}
    assert await box(crm, clerk, "MINE", overdue=True) == [asked["id"]]
    assert await box(crm, clerk, "MINE", overdue=False) == []


async def test_one_statement_counts_all_boxes(crm: Kit, policy: Policy, seller: Actor, clerk: Actor) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    await hold(crm, seller)
    with crm.statements() as sent:
        await crm.data(COUNTS, clerk)
    assert len(sent) == 1
    nobody = await crm.actor("nobody", {"deals.read": SIGNS["approval.read"]})
    assert (await crm.ask(COUNTS, nobody)).codes == ["FORBIDDEN"]


async def test_requests_are_found_by_title_requester_and_record(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    other = await crm.actor("王芳", SELLER)
    await policy("deal.create", {"userId": shown(clerk)}, title="大客户折扣审批", name="a")
    await policy("deal.update", {"userId": shown(clerk)}, title="Change of a deal", name="b")
    first = await hold(crm, seller)
    second = await hold(crm, other, input={"title": "VW"})
    await crm.done("approvalApprove", clerk, input={"id": first["id"]})
    found = await crm.data("{ deals { nodes { id } } }")
    deal = found["deals"]["nodes"][0]["id"]
    third = await hold(crm, seller, "dealUpdate", input={"id": deal, "note": "new"})
    for text, wanted in (
        ("折扣", [second, first]),
        ("dkh", [second, first]),
        ("change deal", [third]),
        ("王", [second]),
        ("SELL", [third, first]),
        (deal, [third, first]),
        ("nothing like it", []),
        ("%", []),
        ("", []),
    ):
        assert await box(crm, crm.administrator, search=text) == [w["id"] for w in wanted], text
    assert await box(crm, clerk, "MINE", search="折扣") == [second["id"]]
    assert await box(crm, clerk, "DONE", search="折扣") == [first["id"]]


HISTORY = "query ($id: ID!) { approval(id: $id) { history stateInWords couldSign { name } } }"


async def evidence(crm: Kit, actor: Actor, approval: str, language: Language = "en") -> dict[str, Any]:
    answer = await crm.ask(HISTORY, actor, language=language, id=approval)
    assert not answer.errors, answer.errors
    assert answer.data is not None
    found: dict[str, Any] = answer.data["approval"]
    return found


async def test_the_history_says_who_did_what_in_the_readers_language(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    stages = [{"name": "初审", "slots": [{"userId": shown(clerk)}]}, {"slots": [{"userId": shown(chief)}]}]
    given = {"name": "two", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    asked = await hold(crm, seller, reason="urgent")
    now = await look(crm, asked)
    crm.clock.advance(hours=1)
    await crm.done("approvalApprove", clerk, input={"id": asked["id"], "comment": "价格已核实"})
    now = await look(crm, asked)
    manager = await crm.actor("manager", role="line_manager")
    more = {"id": asked["id"], "task": task(now, "chief"), "users": [shown(manager)], "how": "BEFORE"}
    await crm.done("approvalAddSigner", chief, input=more)
    await crm.done("approvalReject", manager, input={"id": asked["id"], "comment": "no"})
    found = await evidence(crm, seller, asked["id"])
    assert [(e["actor"], e["words"], e["comment"], e["stage"]) for e in found["history"]] == [
        ("seller", "asked for it", "urgent", None),
        ("seller", "clerk asked to sign", "", 0),
        ("clerk", "approved", "价格已核实", 0),
        (None, "chief asked to sign", "", 1),
        ("chief", "added manager, to sign before", "", 1),
        ("manager", "rejected", "no", 1),
    ]
    assert found["history"][2]["at"] == "2025-11-03T03:00:00.000000Z"
    assert found["history"][2]["stageName"] == "初审"
    assert found["history"][5]["task"].startswith("apt_")
    assert found["stateInWords"] == "Rejected"
    chinese = await evidence(crm, seller, asked["id"], "zh-CN")
    assert [e["words"] for e in chinese["history"]][-2:] == ["前加签：manager", "拒绝"]
    assert chinese["stateInWords"] == "已拒绝"


async def test_who_could_sign_is_asked_enabled_and_allowed(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor, manager: Actor
) -> None:
    await crm.actor("another", role="line_manager")
    await crm.actor("elsewhere", role="line_manager", lines=("west",))
    await policy("deal.create", {"userId": shown(clerk)}, {"role": "line_manager"})
    asked = await hold(crm, seller)

    async def able() -> list[str]:
        document = HISTORY.replace("history stateInWords ", "")
        answers = [await crm.ask(document, compiled=compiled, id=asked["id"]) for compiled in (True, False)]
        found = [[u["name"] for u in a.data["approval"]["couldSign"]] for a in answers if a.data]
        assert found[0] == found[1]
        return found[0]

    assert await able() == ["another", "clerk", "manager"]
    await crm.done("userUpdate", input={"id": shown(manager), "disabled": True})
    assert await able() == ["another", "clerk"]
    await crm.done("roleRevoke", input={"userId": shown(clerk), "role": "role of clerk", "line": "east"})
    assert await able() == ["another"]
    await crm.done("approvalWithdraw", seller, input={"id": asked["id"]})
    assert await able() == []
    assert chief.user_id is not None


async def test_who_asks_is_not_among_those_who_could_sign(crm: Kit, policy: Policy, manager: Actor) -> None:
    await crm.actor("another", role="line_manager")
    await policy("deal.grade")
    given = {"title": "Audi", "amount": "1.00"}
    deal = (
        await crm.done("dealCreate", crm.administrator, acting="east", input=given, select="deal { id }")
    )["deal"]
    payload = await crm.done(
        "dealGrade",
        crm.administrator,
        acting="east",
        input={"id": deal["id"], "grade": "A"},
        select="approval { id }",
    )
    found = await evidence(crm, crm.administrator, payload["approval"]["id"])
    assert [u["name"] for u in found["couldSign"]] == ["another", "manager"]
    assert manager.user_id is not None


async def test_the_inbox_costs_the_same_however_long(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    document = (
        "{ approvals(where: {inbox: MINE}) { totalCount nodes { id history couldSign { name } readAt } } }"
    )
    sent_for = []
    for title in ("a", "b", "c"):
        await hold(crm, seller, input={"title": title})
        with crm.statements() as sent:
            await crm.data(document, clerk)
        sent_for.append(len(sent))
    assert sent_for[0] == sent_for[1] == sent_for[2] <= 2
