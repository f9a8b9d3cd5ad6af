"""What somebody with bad intentions, or bad luck, would try: choosing his own signers, slipping past a lock or a policy."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field
from sqlalchemy import text

from crm_core import hookimpl, ids
from crm_core.actors import Actor, Reach
from crm_core.approvals.models import Approval
from crm_core.commands import Command, Perform, Ref
from crm_core.loader import Candidate
from crm_core.registry import Document
from crm_core.testing.kit import Kit
from crm_core.work import Work
from tests.approvals.conftest import Deal, Deals
from tests.approvals.test_gate import codes, deals, hold, made, shown
from tests.approvals.test_verbs import SIGNS, do, look, open_, refused, task

Policy = Callable[..., Awaitable[dict[str, Any]]]
ALL_DEALS: Mapping[str, Reach] = {
    "deals.read": Reach.LINE,
    "deals.write": Reach.LINE,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
}


class GradeDeals(Command):
    """Grade several deals."""

    kind = "deal.grade_many"
    scope = "deals.write"
    returns = ["Deal"]  # noqa: RUF012  # as commands declare it
    deals: list[Annotated[UUID, Ref("Deal", "dea")]] = Field(description="The deals.")


class ArchiveDeal(Command):
    """Change a deal without acting in a line."""

    kind = "deal.archive"
    scope = "deals.write"
    returns = "Deal"
    subject = "id"
    on_line = False
    id: Annotated[UUID, Ref("Deal", "dea")] = Field(description="The deal.")


async def grade_deals(work: Work, command: GradeDeals) -> list[Deal]:
    deals = [await work.get(Deal, key, "deals", lock=True) for key in command.deals]
    for deal in deals:
        deal.grade = "A"
    return deals


async def archive_deal(work: Work, _command: ArchiveDeal) -> Deal:
    deal: Deal = work.subject
    deal.grade = "Z"
    return deal


async def told(_work: Work, deal: Deal, state: str) -> None:
    deal.grade = state[:10]


class SignedDeals(Deals):
    """Deals that are documents too."""

    @hookimpl
    def crm_commands(self) -> Mapping[type[Command], Perform]:
        return {**super().crm_commands(), GradeDeals: grade_deals, ArchiveDeal: archive_deal}

    @hookimpl
    def crm_documents(self) -> Sequence[Document]:
        return (Document("Deal", "deals.write", told, lambda deal: f"deal {deal.title}"),)


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (Candidate("deals", "1.0", "crm-deals", (), SignedDeals),)


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", SIGNS)


@pytest.fixture
async def chief(crm: Kit) -> Actor:
    return await crm.actor("chief", SIGNS)


async def signed_deals(crm: Kit, *signers: Actor, **more: Any) -> None:
    """A policy that has deals signed by these, one after the other."""
    stages = [{"slots": [{"userId": shown(one)}]} for one in signers]
    given = {"name": "deals", "document": "Deal", "stages": stages, **more}
    await crm.done("approvalPolicySet", acting="east", input=given)


async def submit(crm: Kit, actor: Actor, deal: str) -> dict[str, Any]:
    payload = await crm.done(
        "approvalSubmit", actor, acting="east", input={"record": deal}, select="approval { id locked state }"
    )
    found: dict[str, Any] = payload["approval"]
    return found


# -- who signs


async def test_an_administrator_does_not_choose_who_signs_his_own_request(
    crm: Kit, policy: Policy, manager: Actor, clerk: Actor, chief: Actor
) -> None:
    await crm.done("roleGrant", input={"userId": shown(manager), "role": "sales", "line": "east"})
    await crm.done(
        "roleDefine", input={"name": "sells", "scopes": [{"scope": "deals.write", "reach": "LINE"}]}
    )
    await crm.done("roleGrant", input={"userId": shown(manager), "role": "sells", "line": "east"})
    boss = await crm.again(manager.user_id)
    both = {"slots": [{"userId": shown(clerk)}, {"userId": shown(chief)}]}
    await policy("deal.create", stages=[both])
    held = await hold(crm, boss)
    now = await look(crm, held)
    friend = await crm.actor("friend", SIGNS)
    assert await refused(crm, boss, "Transfer", held, task=task(now, "chief"), to=shown(friend)) == [
        "APPROVAL_NOT_YOURS"
    ]
    assert await refused(crm, boss, "RemoveSigner", held, task=task(now, "chief")) == ["APPROVAL_NOT_YOURS"]
    assert sorted(open_(await look(crm, held))) == ["chief", "clerk"]


async def test_an_administrator_of_another_line_moves_nothing(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    west = await crm.actor("west", role="line_manager", lines=("west",))
    await crm.done("roleGrant", input={"userId": shown(west), "role": "sales", "line": "east"})
    west = await crm.again(west.user_id)
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller)
    await do(crm, seller, "Copy", held, users=[shown(west)])
    mine = task(await look(crm, held), "clerk")
    assert await refused(crm, west, "Transfer", held, task=mine, to=shown(chief)) == ["FORBIDDEN"]
    assert await refused(crm, west, "RemoveSigner", held, task=mine) == ["FORBIDDEN"]
    assert await refused(crm, west, "Terminate", held, comment="no") == ["FORBIDDEN"]


async def test_rights_count_at_the_moment_of_signing(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor, clerk: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    await crm.done("roleGrant", input={"userId": shown(clerk), "role": "line_manager", "line": "west"})
    elsewhere = await crm.again(clerk.user_id)
    assert await refused(crm, elsewhere, "Approve", held) == ["NOT_FOUND"]
    await crm.done("roleRevoke", input={"userId": shown(manager), "role": "line_manager", "line": "east"})
    await crm.done("roleGrant", input={"userId": shown(manager), "role": "team_leader", "line": "east"})
    revoked = await crm.again(manager.user_id)
    assert await refused(crm, revoked, "Approve", held) == ["NOT_FOUND"]


async def test_a_named_signer_without_the_permission_or_with_a_narrow_key_does_not_sign(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller)
    reads = {"east": {"approval.read": Reach.OWN}}
    narrow = Actor(clerk.user_id, clerk.name, reads, token_id=clerk.user_id)
    assert await refused(crm, narrow, "Approve", held) == ["FORBIDDEN"]
    assert await refused(crm, narrow, "Delegate", held, task=task(await look(crm, held), "clerk"), to=shown(seller)) == ["FORBIDDEN"]  # fmt: skip


async def test_masked_values_need_the_permission_in_the_line_of_the_request(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    held = await hold(crm, seller, input={"note": "secret"})
    scopes = [{"scope": "deals.notes", "reach": "LINE"}]
    await crm.done("roleDefine", input={"name": "notes", "scopes": scopes})
    ask = f'{{ approval(id: "{held["id"]}") {{ diff }} }}'

    async def note(line: str) -> str:
        await crm.done("roleGrant", input={"userId": shown(clerk), "role": "notes", "line": line})
        diff = (await crm.data(ask, await crm.again(clerk.user_id)))["approval"]["diff"]
        return str(next(one["after"] for one in diff if one["field"] == "note"))

    assert await note("west") == "***"
    assert await note("east") == "secret"


# -- past a policy


async def test_what_is_changed_until_another_policy_wants_it_is_asked_anew(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    dear = {"field": "amount", "op": "GTE", "value": "1000"}
    await policy("deal.create", {"userId": shown(clerk)}, name="cheap", condition={"none": [dear]})
    await policy("deal.create", {"userId": shown(chief)}, name="dear", condition={"all": [dear]})
    held = await hold(crm, seller, input={"amount": "10.00"})
    await do(crm, clerk, "Return", held)
    raised = {"title": "Audi", "amount": "900000.00"}
    assert await refused(crm, seller, "Resubmit", held, input=raised) == ["APPROVAL_OTHER_POLICY"]
    again = await do(crm, seller, "Resubmit", held, input=raised | {"amount": "20.00"})
    assert open_(again) == ["clerk"]


async def test_a_stage_that_was_left_out_is_asked_when_the_change_has_become_dear(
    crm: Kit, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    dear = {"all": [{"field": "amount", "op": "GTE", "value": "1000"}]}
    stages = [
        {"slots": [{"userId": shown(chief)}], "when": dear},
        {"slots": [{"userId": shown(clerk)}]},
    ]
    given = {"name": "chain", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    held = await hold(crm, seller, input={"amount": "10.00"})
    await do(crm, clerk, "Return", held)
    raised = {"title": "Audi", "amount": "900000.00"}
    assert open_(await do(crm, seller, "Resubmit", held, input=raised, toReturner=True)) == ["chief"]


async def test_a_policy_nobody_understands_any_more_refuses_and_lets_nothing_slip(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    async with crm.database.transaction() as session:
        await session.execute(text("UPDATE approval_policies SET stages = '[{\"gone\": 1}]'"))
    given = {"title": "VW", "amount": "1.00"}
    assert await codes(crm, "dealCreate", seller, input=given) == ["APPROVAL_POLICY_BROKEN"]
    assert (await do(crm, manager, "Approve", held))["state"] == "APPROVED"


# -- past a lock


async def test_a_locked_record_is_changed_by_no_command(crm: Kit, clerk: Actor) -> None:
    owner = await crm.actor("owner", ALL_DEALS)
    deal, other = await made(crm, owner), await made(crm, owner, title="VW")
    await signed_deals(crm, clerk)
    await submit(crm, owner, deal)
    assert await codes(crm, "dealUpdate", owner, input={"id": deal, "note": "x"}) == ["APPROVAL_LOCKED"]
    assert await codes(crm, "dealGradeMany", owner, acting="east", input={"deals": [other, deal]}) == [
        "APPROVAL_LOCKED"
    ]
    assert await codes(crm, "dealArchive", owner, input={"id": deal}) == ["APPROVAL_LOCKED"]
    assert await codes(crm, "dealGradeMany", owner, acting="east", input={"deals": [other]}) == []


async def test_a_change_held_before_the_record_was_handed_in_is_not_made_while_it_is_locked(
    crm: Kit, policy: Policy, clerk: Actor, chief: Actor
) -> None:
    owner = await crm.actor("owner", ALL_DEALS)
    deal = await made(crm, owner)
    await signed_deals(crm, clerk)
    await policy("deal.update", {"userId": shown(chief)})
    held = await hold(crm, owner, "dealUpdate", input={"id": deal, "note": "slipped in"})
    await submit(crm, owner, deal)
    after = await do(crm, chief, "Approve", held)
    assert after["state"] == "CONFLICT"
    assert [one["code"] for one in after["reasons"]] in (["APPROVAL_LOCKED"], ["APPROVAL_CHANGED_SINCE"])


async def test_what_was_returned_may_be_changed_and_has_one_request_only(crm: Kit, clerk: Actor) -> None:
    owner = await crm.actor("owner", ALL_DEALS)
    deal = await made(crm, owner)
    await signed_deals(crm, clerk)
    first = await submit(crm, owner, deal)
    await do(crm, clerk, "Return", first)
    await crm.done("dealUpdate", owner, input={"id": deal, "note": "mended"})
    again = await codes(crm, "approvalSubmit", owner, acting="east", input={"record": deal})
    assert again == ["APPROVAL_SUBMITTED_ALREADY"]
    await do(crm, owner, "Resubmit", first)
    assert await codes(crm, "dealUpdate", owner, input={"id": deal, "note": "x"}) == ["APPROVAL_LOCKED"]
    assert (await do(crm, clerk, "Approve", first))["state"] == "APPROVED"
    await crm.done("dealUpdate", owner, input={"id": deal, "note": "later"})


async def test_what_is_not_locked_is_not_handed_in_twice(crm: Kit, clerk: Actor) -> None:
    owner = await crm.actor("owner", ALL_DEALS)
    deal = await made(crm, owner)
    await signed_deals(crm, clerk, lock=False)
    await submit(crm, owner, deal)
    again = await codes(crm, "approvalSubmit", owner, acting="east", input={"record": deal})
    assert again == ["APPROVAL_SUBMITTED_ALREADY"]


async def test_nobody_hands_in_what_he_may_not_read(crm: Kit, clerk: Actor) -> None:
    owner, stranger = await crm.actor("owner", ALL_DEALS), await crm.actor("stranger", {**ALL_DEALS, "deals.read": Reach.OWN})  # fmt: skip
    deal = await made(crm, owner)
    await signed_deals(crm, clerk)
    assert await codes(crm, "approvalSubmit", stranger, acting="east", input={"record": deal}) == [
        "NOT_FOUND"
    ]


# -- secrets, and people named twice


async def test_secrets_are_forgotten_however_a_request_ends(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor, clerk: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    ends: Sequence[tuple[str, Actor, dict[str, Any]]] = (
        ("Withdraw", seller, {}),
        ("Terminate", manager, {"comment": "no"}),
        ("Reject", clerk, {}),
    )
    for number, (verb, who, more) in enumerate(ends):
        held = await hold(crm, seller, input={"title": f"{number}", "account": "6222"})
        await do(crm, clerk, "Return", held)
        await do(crm, seller, "Resubmit", held)
        assert await kept_secret(crm, held)
        await do(crm, who, verb, held, **more)
        assert not await kept_secret(crm, held)


async def kept_secret(crm: Kit, approval: dict[str, Any]) -> bool:
    key = ids.read(approval["id"])[1]
    return next(row.sealed for row in await crm.rows(Approval) if row.id == key) is not None


async def test_who_is_named_twice_signs_once(crm: Kit, seller: Actor, clerk: Actor) -> None:
    twice = {"slots": [{"userId": shown(clerk)}, {"userId": shown(clerk)}]}
    given = {"name": "chain", "commands": ["deal.create"], "stages": [twice]}
    await crm.done("approvalPolicySet", acting="east", input=given)
    held = await hold(crm, seller)
    assert (await do(crm, clerk, "Approve", held))["state"] == "APPROVED"


async def test_a_record_that_nobody_need_sign_is_passed_at_once_and_is_free(
    crm: Kit, seller: Actor, clerk: Actor
) -> None:
    """Every stage is left out: waiting for nobody would leave it locked for ever."""
    dear = {"all": [{"field": "record.amount", "op": "GT", "value": "1000.00"}]}
    stages = [{"slots": [{"userId": shown(clerk)}], "when": dear}]
    await crm.done(
        "approvalPolicySet", acting="east", input={"name": "deals", "document": "Deal", "stages": stages}
    )
    deal = await made(crm, seller)
    found = await submit(crm, seller, deal)
    assert (found["state"], found["locked"]) == ("APPROVED", False)
    assert [d["grade"] for d in await deals(crm)] == ["APPROVED"]
    assert await codes(crm, "dealUpdate", seller, input={"id": deal, "note": "free"}) == []
