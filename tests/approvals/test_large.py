"""Approved changes of many records: performed by a job, part by part, resumed after a crash, with today's rights."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.approvals import carrying
from crm_core.approvals.large import Performance
from crm_core.approvals.models import Approval
from crm_core.audit.models import AuditEntry
from crm_core.customers.models import CustomerLine, CustomerTag
from crm_core.db.unit import Unit
from crm_core.jobs.claims import reap
from crm_core.jobs.context import JobContext
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.jobs.running import Runner, work_off
from crm_core.notices.models import Notice
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit
from tests.approvals.conftest import Policy

MANY, FEW = 230, 120
STATE = "approval { id state rowsDone rowsTotal reasons conflicts results job { id state progressDone progressTotal } }"
ASKS: Mapping[str, Reach] = {
    "customer.read": Reach.LINE,
    "customer.write": Reach.LINE,
    "customer.assign": Reach.LINE,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
    "job.read": Reach.OWN,
    "job.manage": Reach.OWN,
}


@pytest.fixture
def crm_settings() -> Mapping[str, Any]:
    return {"limits": {"bulk_max": 500, "statement_seconds": 60}, "rooms": {"approvals": {"job_rows": 50}}}


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", ASKS)


async def customers(crm: Kit, many: int = MANY) -> list[str]:
    """So many customers of the east, as shown."""
    made = []
    for number in range(many):
        body = {"name": f"Customer {number}", "customer_kind": "ORGANISATION"}
        made.append((await crm.perform("customer.create", body, line="east")).ids[0])
    return [ids.show("cus", key) for key in made]


async def tagging(crm: Kit, clerk: Actor, keys: Sequence[str]) -> str:
    """A held wish to tag all of these."""
    payload = await crm.done(
        "customerBulkTag",
        clerk,
        acting="east",
        input={"ids": keys, "tags": ["vip"]},
        select="approval { id }",
    )
    return str(payload["approval"]["id"])


async def approval(crm: Kit, key: str, actor: Actor | None = None) -> dict[str, Any]:
    found = await crm.data(
        f"query($id: ID!) {{ {STATE.replace('approval', 'approval(id: $id)', 1)} }}", actor, id=key
    )
    return dict(found["approval"])


async def sign(crm: Kit, manager: Actor, key: str) -> str:
    payload = await crm.done("approvalApprove", manager, input={"id": key}, select="approval { state }")
    return str(payload["approval"]["state"])


async def signed(crm: Kit, policy: Policy, clerk: Actor, manager: Actor, keys: Sequence[str]) -> str:
    """A wish to tag these that all have signed."""
    await policy("customer.bulk_tag")
    key = await tagging(crm, clerk, keys)
    assert await sign(crm, manager, key) == "PERFORMING"
    return key


async def tagged(crm: Kit) -> int:
    return len(await crm.rows(CustomerTag))


async def codes(crm: Kit, mutation: str, actor: Actor, **given: Any) -> list[str]:
    return [e["code"] for e in (await crm.change(mutation, actor, **given))["userErrors"]]


@dataclass
class Dying:
    """A database whose process is killed in the middle of a part, when everything is written and not committed."""

    inner: Any
    after: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    parts: int = field(default=0, init=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def attempt(self, do: Callable[[Unit], Awaitable[Any]]) -> Any:
        self.parts += isinstance(do, partial)
        return await self.inner.attempt(self._killed(do) if self.parts > self.after else do)

    def _killed(self, do: Callable[[Unit], Awaitable[Any]]) -> Callable[[Unit], Awaitable[Any]]:
        async def hang(session: Unit) -> Any:
            await do(session)
            self.reached.set()
            await asyncio.Event().wait()

        return hang


async def killed_in_the_middle(crm: Kit, after: int) -> None:
    """A process takes the job and is killed in the middle of a part, after so many; its lease has run out since."""
    database: Any = Dying(crm.database, after)
    runner = Runner(crm.services, asyncio.Event())
    [claim] = await runner.take(1)
    context = JobContext(
        replace(crm.services, database=database), claim, runner.claims.lease, asyncio.Event()
    )
    about = Performance.model_validate(claim.arguments)
    task = asyncio.ensure_future(carrying.JOBS[0].run(context.services, context, about))
    async with asyncio.timeout(30):
        await asyncio.wait(
            [task, waiting := asyncio.create_task(database.reached.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
    assert waiting.done(), task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    crm.clock.advance(minutes=2)


async def taken_over(crm: Kit) -> None:
    """Another process finds that the one before is gone, and goes on."""
    await reap(crm.services)
    await work_off(crm.services)


# -- performed by a job


async def test_a_large_change_is_performed_by_a_job_after_the_last_signature(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    keys = await customers(crm)
    key = await signed(crm, policy, clerk, manager, keys)
    assert await tagged(crm) == 0
    before = await approval(crm, key, clerk)
    assert (before["state"], before["rowsDone"], before["rowsTotal"]) == ("PERFORMING", 0, MANY)
    assert before["job"]["state"] == "WAITING"
    assert await work_off(crm.services) == 1
    after = await approval(crm, key, clerk)
    assert (after["state"], after["rowsDone"], after["reasons"]) == ("APPROVED", MANY, [])
    assert after["results"] == keys
    assert (after["job"]["state"], after["job"]["progressDone"]) == ("DONE", MANY)
    assert await tagged(crm) == MANY


async def test_its_parts_are_audited_and_announced_like_direct_commands_of_who_asked(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    key = await signed(crm, policy, clerk, manager, await customers(crm))
    await work_off(crm.services)
    parts = [
        e for e in await crm.rows(AuditEntry) if e.kind == "customer.bulk_tag" and e.signer_id is not None
    ]
    assert [len(e.command["ids"]) for e in parts] == [100, 100, 30]
    assert {(e.actor_id, e.signer_id, e.channel) for e in parts} == {
        (clerk.user_id, manager.user_id, "approval")
    }
    assert {ids.show("apr", e.approval_id) for e in parts} == {key}
    events = [e.kind for e in await crm.rows(OutboxEvent)]
    assert events.count("customer.tagged") == MANY
    assert [kind for kind in events if kind.startswith("approval.")] == [
        "approval.requested", "approval.performing", "approval.decided",
    ]  # fmt: skip
    told = [n.kind for n in await crm.rows(Notice) if n.user_id == clerk.user_id]
    assert told == ["approval.decided"]


async def test_a_change_of_no_more_than_the_setting_is_performed_with_the_last_signature(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    await policy("customer.bulk_tag")
    key = await tagging(crm, clerk, await customers(crm, 3))
    assert await sign(crm, manager, key) == "APPROVED"
    assert await crm.rows(QueuedJob) == []


# -- killed, and gone on with


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_killed_in_the_middle_it_goes_on_with_the_next_part_and_does_none_twice(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor, after: int
) -> None:
    key = await signed(crm, policy, clerk, manager, await customers(crm))
    await killed_in_the_middle(crm, after)
    assert await tagged(crm) == 100 * after
    await carrying.look_after(crm.services)
    assert (await approval(crm, key))["state"] == "PERFORMING"
    await taken_over(crm)
    assert (await approval(crm, key))["state"] == "APPROVED"
    assert await tagged(crm) == MANY
    parts = [
        e for e in await crm.rows(AuditEntry) if e.kind == "customer.bulk_tag" and e.signer_id is not None
    ]
    assert sorted(len(e.command["ids"]) for e in parts) == [30, 100, 100]


# -- rights


async def test_rights_lost_midway_stop_it_and_who_adopts_it_goes_on(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    key = await signed(crm, policy, clerk, manager, await customers(crm))
    await killed_in_the_middle(crm, 1)
    await crm.perform(
        "role.define", {"name": "role of clerk", "scopes": [{"scope": "approval.read", "reach": 1}]}
    )
    await taken_over(crm)
    stopped = await approval(crm, key)
    assert (stopped["state"], stopped["rowsDone"], len(stopped["results"])) == ("NEEDS_ADOPTION", 100, 100)
    assert [r["code"] for r in stopped["reasons"]] == ["FORBIDDEN"]
    other = await crm.actor("other", {**ASKS, "approval.read": Reach.LINE})
    await crm.done("approvalAdopt", other, input={"id": key}, select="approval { state }")
    assert (await approval(crm, key))["state"] == "PERFORMING"
    await work_off(crm.services)
    assert (await approval(crm, key))["state"] == "APPROVED"
    assert await tagged(crm) == MANY
    parts = [
        e for e in await crm.rows(AuditEntry) if e.kind == "customer.bulk_tag" and e.signer_id is not None
    ]
    assert sorted((e.actor_name, len(e.command["ids"])) for e in parts) == [
        ("clerk", 100), ("other", 30), ("other", 100),
    ]  # fmt: skip


async def test_a_requester_who_left_needs_somebody_to_adopt_it(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    key = await signed(crm, policy, clerk, manager, await customers(crm, FEW))
    assert not (await crm.perform("user.update", {"id": clerk.user_id, "disabled": True})).errors
    await work_off(crm.services)
    assert (await approval(crm, key))["state"] == "NEEDS_ADOPTION"
    assert await tagged(crm) == 0


# -- what stands in the way


async def assigning(crm: Kit, policy: Policy, clerk: Actor, manager: Actor, keys: Sequence[str]) -> str:
    await policy("customer.bulk_assign")
    given = {"ids": keys, "ownerId": ids.show("usr", clerk.user_id)}  # type: ignore[arg-type]  # he is somebody
    payload = await crm.done(
        "customerBulkAssign", clerk, acting="east", input=given, select="approval { id }"
    )
    key = str(payload["approval"]["id"])
    assert await sign(crm, manager, key) == "PERFORMING"
    return key


async def test_what_was_changed_before_it_begins_keeps_all_of_it_from_being_performed(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    keys = await customers(crm, FEW)
    key = await assigning(crm, policy, clerk, manager, keys)
    mine = {"id": keys[110], "owner_id": manager.user_id}
    assert not (await crm.perform("customer.assign", mine, line="east")).errors
    await work_off(crm.services)
    found = await approval(crm, key)
    assert (found["state"], found["rowsDone"], found["results"]) == ("CONFLICT", 0, [])
    assert [r["code"] for r in found["reasons"]] == ["APPROVAL_CHANGED_SINCE"]
    assert [c["field"] for c in found["conflicts"]] == ["ownerId"]


async def test_what_is_changed_while_it_is_performed_is_left_out_and_told(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    keys = await customers(crm, FEW)
    key = await assigning(crm, policy, clerk, manager, keys)
    await killed_in_the_middle(crm, 1)
    mine = {"id": keys[110], "owner_id": manager.user_id}
    assert not (await crm.perform("customer.assign", mine, line="east")).errors
    await taken_over(crm)
    found = await approval(crm, key)
    assert (found["state"], found["rowsDone"]) == ("CONFLICT", FEW)
    assert [(r["code"], r["field"]) for r in found["reasons"]] == [
        ("APPROVAL_ROWS_LEFT_OUT", None), ("APPROVAL_CHANGED_SINCE", "ids.110"),
    ]  # fmt: skip
    assert found["results"] == keys[:110] + keys[111:]
    owners = {ids.show("cus", row.customer_id): row.owner_id for row in await crm.rows(CustomerLine)}
    assert owners.pop(keys[110]) == manager.user_id
    assert set(owners.values()) == {clerk.user_id}


async def test_what_could_not_be_changed_can_be_asked_for_again(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    keys = await customers(crm, FEW)
    key = await assigning(crm, policy, clerk, manager, keys)
    mine = {"id": keys[110], "owner_id": manager.user_id}
    await crm.perform("customer.assign", mine, line="east")
    await work_off(crm.services)
    await crm.done("approvalResubmit", clerk, input={"id": key}, select="approval { state }")
    assert await sign(crm, manager, key) == "PERFORMING"
    await work_off(crm.services)
    assert (await approval(crm, key))["state"] == "APPROVED"
    assert {row.owner_id for row in await crm.rows(CustomerLine)} == {clerk.user_id}


# -- verbs meanwhile


async def test_while_it_is_performed_verbs_say_so_in_both_languages(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    key = await signed(crm, policy, clerk, manager, await customers(crm, FEW))
    verbs = [("approvalWithdraw", clerk), ("approvalUrge", clerk), ("approvalApprove", manager),
             ("approvalReject", manager), ("approvalReturn", manager)]  # fmt: skip
    for verb, actor in verbs:
        assert await codes(crm, verb, actor, input={"id": key}) == ["APPROVAL_PERFORMING"], verb
    given = {"id": key, "comment": "stop"}
    assert await codes(crm, "approvalTerminate", manager, input=given) == ["APPROVAL_PERFORMING"]
    assert await codes(crm, "approvalResubmit", clerk, input={"id": key}) == ["APPROVAL_PERFORMING"]
    said = [
        (await crm.change("approvalWithdraw", clerk, input={"id": key}, language=language))["userErrors"][0]
        for language in ("en", "zh-CN")
    ]
    assert "0 of 120" in said[0]["message"]
    assert "正在执行变更（0/120）" in said[1]["message"]


# -- a job that does not come to its end


async def test_cancelling_the_job_ends_it_and_it_can_be_withdrawn(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    key = await signed(crm, policy, clerk, manager, await customers(crm, FEW))
    job = (await approval(crm, key, clerk))["job"]["id"]
    await crm.done("jobCancel", clerk, input={"id": job}, select="job { state }")
    assert await carrying.look_after(crm.services) == 1
    found = await approval(crm, key)
    assert (found["state"], [r["code"] for r in found["reasons"]]) == ("CONFLICT", ["APPROVAL_JOB_ENDED"])
    await crm.done("approvalWithdraw", clerk, input={"id": key}, select="approval { state }")
    assert await tagged(crm) == 0


async def test_a_job_that_dies_leaves_a_conflict_that_tells_what_is_done(
    crm: Kit, policy: Policy, clerk: Actor, manager: Actor
) -> None:
    keys = await customers(crm, FEW)
    key = await signed(crm, policy, clerk, manager, keys)
    await killed_in_the_middle(crm, 1)
    async with crm.database.transaction() as session:
        await session.execute(update(QueuedJob.__table__).values(most_attempts=1))
    assert [state for _, state in await reap(crm.services)] == [JobState.DEAD]
    assert await carrying.look_after(crm.services) == 1
    found = await approval(crm, key)
    assert (found["state"], found["results"]) == ("CONFLICT", keys[:100])
    assert [row.state for row in await crm.rows(Approval)] == ["CONFLICT"]
