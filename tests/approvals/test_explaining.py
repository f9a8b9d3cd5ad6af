"""What would wait for whose signature, said beforehand; nothing is written."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.actors import Actor
from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.audit.models import AuditEntry
from crm_core.testing.kit import Kit
from tests.approvals.conftest import Deal
from tests.approvals.test_gate import made, shown
from tests.approvals.test_verbs import SIGNS

Policy = Callable[..., Awaitable[dict[str, Any]]]
TESTS = "tests { group field op value holds }"
WHOLE = f"""query ($command: String, $input: JSON, $record: String, $line: String) {{
  explainApproval(command: $command, input: $input, record: $record, line: $line) {{
    held why line policy {{ name edition title applies {TESTS} }} considered {{ name applies {TESTS} }}
    stages {{ name rule skipped {TESTS} errors {{ code }} copies {{ name }} told {{ name }}
      asked {{ slot role people {{ id name }} insteadOf {{ name }} instead passes }} }}
    stillValid errors {{ code message field rule }} }} }}"""
AUDI = {"title": "Audi", "amount": "200000.00"}


async def explain(crm: Kit, actor: Actor, command: str | None = None, **more: Any) -> dict[str, Any]:
    before = [len(await crm.rows(t)) for t in (Approval, ApprovalTask, Deal, AuditEntry)]
    found: dict[str, Any] = (await crm.data(WHOLE, actor, command=command, **more))["explainApproval"]
    assert [len(await crm.rows(t)) for t in (Approval, ApprovalTask, Deal, AuditEntry)] == before
    return found


def asked(stage: dict[str, Any]) -> list[Any]:
    return [[p["name"] for p in place["people"]] for place in stage["asked"]]


def names(people: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in people]


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", SIGNS)


@pytest.fixture
async def chief(crm: Kit) -> Actor:
    return await crm.actor("chief", SIGNS)


async def test_a_command_without_policy_is_not_held(crm: Kit, seller: Actor) -> None:
    found = await explain(crm, seller, "deal.create", input=AUDI)
    assert (found["held"], found["why"], found["line"], found["errors"]) == (False, "NO_POLICY", "east", [])
    assert (found["policy"], found["stages"]) == (None, [])


async def test_policy_edition_conditions_and_stages_are_told(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor, manager: Actor
) -> None:
    above = {"all": [{"field": "amount", "op": "GT", "value": "100000"}]}
    huge = {"all": [{"field": "amount", "op": "GT", "value": "1000000"}]}
    stages = [
        {
            "name": "初审",
            "slots": [{"name": "clerk", "userId": shown(clerk)}],
            "copies": [{"userId": shown(chief)}],
        },
        {"name": "huge", "when": huge, "slots": [{"userId": shown(chief)}]},
        {"name": "last", "slots": [{"role": "line_manager"}]},
    ]
    given = {
        "name": "dear",
        "title": "大额",
        "commands": ["deal.create"],
        "condition": above,
        "stages": stages,
    }
    for _ in range(2):
        await crm.done("approvalPolicySet", acting="east", input=given)
    found = await explain(crm, seller, "deal.create", input=AUDI)
    assert (found["held"], found["why"], found["errors"]) == (True, "HELD", [])
    tests = [{"group": "all", "field": "amount", "op": "GT", "value": "100000", "holds": True}]
    policy = found["policy"]
    assert (policy["name"], policy["title"], policy["applies"]) == ("dear", "大额", True)
    assert policy["edition"] >= 1
    assert policy["tests"] == tests
    first, second, third = found["stages"]
    assert (asked(first), names(first["copies"]), names(first["told"])) == (
        [["clerk"]],
        ["chief"],
        ["clerk", "chief"],
    )
    assert (second["skipped"], second["asked"], second["tests"][0]["holds"]) == ("CONDITION", [], False)
    assert (third["asked"][0]["role"], asked(third), third["skipped"]) == (
        "line_manager",
        [["manager"]],
        None,
    )
    assert manager.user_id is not None
    cheap = await explain(crm, seller, "deal.create", input=AUDI | {"amount": "5.00"})
    assert (cheap["held"], cheap["why"], cheap["policy"]) == (False, "NO_POLICY", None)
    assert [(c["name"], c["applies"], c["tests"][0]["holds"]) for c in cheap["considered"]] == [
        ("dear", False, False)
    ]


async def test_deputies_and_those_who_stand_in_for_nobody_are_told(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    away = {"userId": shown(clerk), "deputyId": shown(chief), "fromDay": "2025-11-03", "toDay": "2025-11-09"}
    await crm.done("absenceSet", input=away)
    stages = [
        {"slots": [{"userId": shown(clerk)}]},
        {"empty": "SKIP", "slots": [{"role": "line_manager"}]},
        {"empty": "ADMINISTRATOR", "slots": [{"role": "line_manager"}]},
    ]
    given = {"name": "p", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    first, second, third = (await explain(crm, seller, "deal.create", input=AUDI))["stages"]
    assert (asked(first), first["asked"][0]["insteadOf"]) == ([["chief"]], {"name": "clerk"})
    assert names(first["told"]) == ["chief", "clerk"]
    assert (second["skipped"], second["asked"]) == ("NOBODY", [])
    assert (third["asked"][0]["instead"], asked(third)) == ("ADMINISTRATOR", [["admin"]])


async def test_a_stage_without_signer_refuses_beforehand(crm: Kit, seller: Actor, policy: Policy) -> None:
    await policy("deal.create", {"role": "line_manager"})
    found = await explain(crm, seller, "deal.create", input=AUDI)
    assert (found["held"], found["why"]) == (False, "REFUSED")
    assert [e["code"] for e in found["errors"]] == ["APPROVAL_NO_SIGNER"]
    assert [e["code"] for e in found["stages"][0]["errors"]] == ["APPROVAL_NO_SIGNER"]


async def test_who_passes_by_himself_is_told(crm: Kit, manager: Actor, clerk: Actor) -> None:
    stages = [
        {"slots": [{"userId": shown(clerk)}, {"userId": shown(manager)}]},
        {"slots": [{"userId": shown(clerk)}]},
    ]
    given = {
        "name": "p",
        "commands": ["deal.create"],
        "stages": stages,
        "selfApproval": "AUTO",
        "sameSigner": "AUTO",
    }
    await crm.done("approvalPolicySet", acting="east", input=given)
    found = await explain(crm, crm.administrator, "deal.create", input=AUDI, line="east")
    assert found["held"]
    assert [[p["passes"] for p in s["asked"]] for s in found["stages"]] == [[None, None], ["SIGNED"]]
    stages = [{"slots": [{"userId": shown(crm.administrator)}]}]
    await crm.done("approvalPolicySet", acting="east", input=given | {"stages": stages})
    found = await explain(crm, crm.administrator, "deal.create", input=AUDI, line="east")
    assert (found["why"], found["stages"][0]["asked"][0]["passes"]) == ("NOTHING_TO_SIGN", "REQUESTER")


async def test_what_would_be_refused_is_explained_all_the_same(
    crm: Kit, seller: Actor, manager: Actor, policy: Policy
) -> None:
    await policy("deal.create")
    found = await explain(crm, seller, "deal.create", input=AUDI | {"title": "cursed"})
    assert [(e["code"], e["field"]) for e in found["errors"]] == [("INVALID_VALUE", "title")]
    assert (found["held"], found["policy"]["name"], asked(found["stages"][0])) == (
        True,
        "signed deal.create",
        [["manager"]],
    )
    found = await explain(crm, seller, "deal.create", input={"title": "Audi", "amount": "much"})
    assert (found["why"], [e["field"] for e in found["errors"]]) == ("REFUSED", ["amount"])
    assert manager.user_id is not None


async def test_what_performing_would_refuse_is_told(
    crm: Kit, seller: Actor, manager: Actor, policy: Policy
) -> None:
    await made(crm, seller, title="Audi")
    await policy("deal.create")
    found = await explain(crm, seller, "deal.create", input=AUDI)  # its title is taken
    assert ([e["code"] for e in found["errors"]], found["held"]) == (["CONFLICT"], True)
    assert manager.user_id is not None


async def test_conditions_on_a_record_are_asked_of_that_record(
    crm: Kit, seller: Actor, manager: Actor, policy: Policy
) -> None:
    deal = await made(crm, seller)
    fine = {"all": [{"field": "record.grade", "op": "EQ", "value": "A"}]}
    await policy("deal.update", condition=fine)
    wanted = {"id": deal, "note": "new"}
    assert (await explain(crm, seller, "deal.update", input=wanted))["why"] == "NO_POLICY"
    await crm.done("dealGrade", seller, input={"id": deal, "grade": "A"})
    assert (await explain(crm, seller, "deal.update", input=wanted))["held"]
    other = await crm.actor(
        "other", {"deals.read": SIGNS["approval.read"], "deals.write": SIGNS["approval.read"]}
    )
    found = await explain(crm, other, "deal.update", input=wanted)
    assert ([e["code"] for e in found["errors"]], found["stages"]) == (["NOT_FOUND"], [])
    assert manager.user_id is not None


async def test_who_may_not_give_the_command_learns_nothing_of_its_policy(
    crm: Kit, clerk: Actor, manager: Actor, policy: Policy
) -> None:
    await policy("deal.create")
    found = await explain(crm, clerk, "deal.create", input=AUDI)
    assert ([e["code"] for e in found["errors"]], found["why"]) == (["FORBIDDEN"], "REFUSED")
    assert (found["policy"], found["considered"], found["stages"]) == (None, [], [])
    assert manager.user_id is not None


async def test_what_is_no_command_or_nothing_at_all_is_said(crm: Kit, seller: Actor) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"command": "deal.dance"}, "APPROVAL_UNKNOWN_COMMAND"),
        ({}, "INVALID_VALUE"),
        ({"command": "deal.create", "record": "dea_1"}, "INVALID_VALUE"),
        ({"command": "deal.create", "input": [1]}, "INVALID_VALUE"),
        ({"command": "deal.create", "input": {"title": "a\0", "amount": "1"}}, "INVALID_VALUE"),
        ({"record": "dea_1"}, "APPROVAL_NO_DOCUMENT"),
    ]
    for given, code in cases:
        found = await explain(crm, seller, **given)
        assert ([e["code"] for e in found["errors"]], found["held"]) == ([code], False), given


async def test_signing_itself_is_never_held(crm: Kit, manager: Actor) -> None:
    given = {"name": "p", "commands": ["deal.create"], "stages": [{"slots": [{"role": "line_manager"}]}]}
    found = await explain(crm, manager, "approval_policy.set", input=given)
    assert (found["held"], found["errors"]) == (False, [])


async def test_a_record_that_would_be_handed_in_is_explained(crm: Kit, clerk: Actor, manager: Actor) -> None:
    paper = {
        "documentKind": "POLICY",
        "number": "ZD-055",
        "title": "客户档案管理制度",
        "department": "市场部",
        "pages": 12,
    }
    made = await crm.done("controlledDocumentDraft", manager, input=paper, select="controlledDocument { id }")
    record = made["controlledDocument"]["id"]
    found = await explain(crm, manager, record=record)
    assert ([e["code"] for e in found["errors"]], found["why"]) == (["APPROVAL_NO_POLICY"], "NO_POLICY")
    stages = [{"slots": [{"userId": shown(clerk)}]}]
    given = {"name": "papers", "document": "ControlledDocument", "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    found = await explain(crm, manager, record=record)
    assert (found["held"], found["errors"], asked(found["stages"][0])) == (True, [], [["clerk"]])
    found = await explain(crm, clerk, record=record)
    assert ([e["code"] for e in found["errors"]], found["stages"]) == (["FORBIDDEN"], [])
