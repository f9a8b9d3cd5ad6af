"""Imports that were held and signed: a job carries them out from the kept file, and goes on where another was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.approvals.carrying import look_after
from crm_core.approvals.large import Performance
from crm_core.audit.models import AuditEntry
from crm_core.customers.models import Customer
from crm_core.db.unit import Unit
from crm_core.imports import jobs, keeping
from crm_core.imports.models import ImportRun, OnError
from crm_core.imports.request import Summary
from crm_core.interactions.models import Interaction
from crm_core.jobs.claims import reap
from crm_core.jobs.context import JobContext
from crm_core.jobs.models import QueuedJob
from crm_core.jobs.running import Runner, work_off
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit
from tests.imports.made_up import contact_with, person
from tests.imports.test_importing import customers, interactions

IMPORTS: Mapping[str, Reach] = {
    "import.run": Reach.LINE,
    "customer.read": Reach.LINE,
    "customer.write": Reach.LINE,
    "contact.read": Reach.LINE,
    "contact.write": Reach.LINE,
    "interaction.read": Reach.LINE,
    "interaction.write": Reach.LINE,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
}
ROWS = [person(number) for number in range(1, 521)]


@pytest.fixture
async def boss(crm: Kit) -> Actor:
    """Who signs imports, as their policy wants it."""
    boss = await crm.actor("boss", role="line_manager")
    for kind in ("customer.import", "interaction.import"):
        stages = [{"slots": [{"user_id": boss.user_id}]}]
        policy = {"name": f"signed {kind}", "commands": [kind], "enabled": True, "stages": stages}
        assert not (await crm.perform("approval_policy.set", policy, line="east")).errors
    return boss


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", IMPORTS)


async def signed(crm: Kit, boss: Actor, held: Summary) -> str:
    """The approval of a held import that is signed now."""
    assert held.state == "held"
    assert not (await crm.perform("approval.approve", {"id": held.approval}, boss, line="east")).errors
    assert held.approval is not None
    return ids.show("apr", held.approval)


async def approval(crm: Kit, key: str) -> dict[str, Any]:
    select = "state rowsDone rowsTotal results reasons job { name state progressDone progressTotal }"
    found = await crm.data(f"query($id: ID!) {{ approval(id: $id) {{ {select} }} }}", id=key)
    return dict(found["approval"])


def kept(crm: Kit) -> list[str]:
    folder = crm.services.store / "imports"
    return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []


@dataclass
class Dying:
    """A database whose process is killed in a batch, after so many, when everything is written and not committed."""

    inner: Any
    after: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    batches: int = field(default=0, init=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        self.batches += 1
        async with self.inner.transaction() as session:
            yield session
            if self.batches > self.after:
                self.reached.set()
                await asyncio.Event().wait()


async def killed_in_the_middle(crm: Kit, after: int) -> None:
    """A process takes the job and is killed in a batch, after so many; its lease has run out since."""
    database: Any = Dying(crm.database, after)
    runner = Runner(crm.services, asyncio.Event())
    [claim] = await runner.take(1)
    services = replace(crm.services, database=database)
    context = JobContext(services, claim, runner.claims.lease, asyncio.Event())
    about = Performance.model_validate(claim.arguments)
    task = asyncio.ensure_future(jobs.JOBS[0].run(services, context, about))
    waiting = asyncio.create_task(database.reached.wait())
    async with asyncio.timeout(60):
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    assert waiting.done(), task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    crm.clock.advance(minutes=2)


async def taken_over(crm: Kit) -> None:
    """Another process finds that the one before is gone, and goes on."""
    await reap(crm.services)
    await work_off(crm.services)


async def test_a_signed_import_is_carried_out_by_a_job_without_being_run_again(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    held = await customers(crm, tmp_path, [person(1), person(2)], actor=clerk)
    (tmp_path / "customers.csv").unlink()
    assert len(kept(crm)) == 1
    key = await signed(crm, boss, held)
    assert (await approval(crm, key))["state"] == "PERFORMING"
    assert await crm.rows(Customer) == []
    await work_off(crm.services)
    [run] = await crm.rows(ImportRun)
    assert await approval(crm, key) == {
        "state": "APPROVED", "rowsDone": 2, "rowsTotal": 2, "results": [ids.show("imp", run.id)], "reasons": [],
        "job": {"name": "imports.perform", "state": "DONE", "progressDone": 2, "progressTotal": 2},
    }  # fmt: skip
    assert (run.state, run.created, run.requested_by_id) == ("DONE", 2, clerk.user_id)
    assert ids.show("apr", run.approval_id) == key
    assert kept(crm) == []


async def test_its_rows_are_brought_in_as_who_asked_for_it(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    await signed(crm, boss, await customers(crm, tmp_path, [person(1), person(2)], actor=clerk))
    await work_off(crm.services)
    made = [e for e in await crm.rows(AuditEntry) if e.kind in ("customer.create", "customer.import")]
    told = [(e.kind, e.actor_name, e.channel) for e in made if e.channel != "graphql"]
    assert sorted(told[1:]) == [
        ("customer.create", "clerk", "import"), ("customer.create", "clerk", "import"),
        ("customer.import", "clerk", "approval"),
    ]  # fmt: skip
    kinds = [e.kind for e in await crm.rows(OutboxEvent)]
    assert [kind for kind in kinds if kind.startswith(("import.", "approval."))] == [
        "approval.requested", "approval.performing", "import.registered", "import.finished", "approval.decided",
    ]  # fmt: skip


async def test_run_again_meanwhile_it_says_that_it_waits(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    rows = [person(1), person(2)]
    key = await signed(crm, boss, await customers(crm, tmp_path, rows, actor=clerk))
    again = await customers(crm, tmp_path, rows, actor=clerk)
    assert (again.state, ids.show("apr", again.approval or boss.user_id)) == ("held", key)  # type: ignore[arg-type]  # he is somebody
    assert len(await crm.rows(QueuedJob)) == 1


async def test_interactions_are_carried_out_too(crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor) -> None:
    await signed(crm, boss, await customers(crm, tmp_path, [person(1)], actor=clerk))
    await work_off(crm.services)
    key = await signed(
        crm, boss, await interactions(crm, tmp_path, [contact_with(1, "2025-10-03 10:00")], actor=clerk)
    )
    await work_off(crm.services)
    assert (await approval(crm, key))["state"] == "APPROVED"
    assert len(await crm.rows(Interaction)) == 1


@pytest.mark.parametrize("after", [0, 1])
async def test_killed_in_a_batch_it_goes_on_with_that_batch_and_brings_none_in_twice(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor, after: int
) -> None:
    key = await signed(crm, boss, await customers(crm, tmp_path, ROWS, actor=clerk))
    await killed_in_the_middle(crm, after)
    assert len(await crm.rows(Customer)) == 500 * after
    assert [(r.state, r.position) for r in await crm.rows(ImportRun)] == [
        ("RUNNING", 501) if after else ("READY", 1)
    ]
    await taken_over(crm)
    assert ((await approval(crm, key))["state"], len(await crm.rows(Customer))) == ("APPROVED", len(ROWS))
    [run] = await crm.rows(ImportRun)
    assert (run.created, run.unchanged, run.state) == (len(ROWS), 0, "DONE")


async def test_rights_lost_midway_stop_it_and_who_adopts_it_goes_on(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    key = await signed(crm, boss, await customers(crm, tmp_path, ROWS, actor=clerk))
    await killed_in_the_middle(crm, 1)
    less = [{"scope": s, "reach": int(r)} for s, r in IMPORTS.items() if s != "import.run"]
    assert not (await crm.perform("role.define", {"name": "role of clerk", "scopes": less})).errors
    await taken_over(crm)
    stopped = await approval(crm, key)
    assert (stopped["state"], [r["code"] for r in stopped["reasons"]]) == ("NEEDS_ADOPTION", ["FORBIDDEN"])
    assert len(await crm.rows(Customer)) == 500
    other = await crm.actor("other", {**IMPORTS, "approval.read": Reach.LINE})
    await crm.done("approvalAdopt", other, input={"id": key}, select="approval { state }")
    await work_off(crm.services)
    assert ((await approval(crm, key))["state"], len(await crm.rows(Customer))) == ("APPROVED", len(ROWS))


async def test_a_row_that_has_become_wrong_keeps_the_whole_file_out_where_that_was_asked(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    far = await crm.actor("far", {**IMPORTS, "customer.write": Reach.OWN})
    rows = [person(1), person(2)]
    key = await signed(
        crm, boss, await customers(crm, tmp_path, rows, actor=far, on_error=OnError.REJECT_ALL)
    )
    taken = {
        "name": "Elsewhere", "customer_kind": "PERSON", "owner_id": clerk.user_id,
        "external_ids": [{"source": "old", "external_id": rows[1]["客户编号"]}],
    }  # fmt: skip
    assert not (await crm.perform("customer.create", taken, line="east")).errors
    await work_off(crm.services)
    found = await approval(crm, key)
    assert (found["state"], [r["code"] for r in found["reasons"]]) == ("CONFLICT", ["IMPORT_FILE_REFUSED"])
    assert len(await crm.rows(Customer)) == 1
    assert len(kept(crm)) == 1, "it can be asked for again"


async def test_without_its_file_it_is_not_carried_out(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    key = await signed(crm, boss, await customers(crm, tmp_path, [person(1)], actor=clerk))
    (crm.services.store / "imports" / kept(crm)[0]).write_text("something else")
    await work_off(crm.services)
    found = await approval(crm, key)
    assert (found["state"], [r["code"] for r in found["reasons"]]) == ("CONFLICT", ["IMPORT_FILE_NOT_STORED"])


async def test_a_cancelled_import_goes_on_when_it_is_signed_again(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    key = await signed(crm, boss, await customers(crm, tmp_path, ROWS, actor=clerk))
    await killed_in_the_middle(crm, 1)
    [job] = await crm.rows(QueuedJob)
    await crm.done("jobCancel", input={"id": ids.show("job", job.id)}, select="job { state }")
    await reap(crm.services)
    assert await look_after(crm.services) == 1
    assert (await approval(crm, key))["state"] == "CONFLICT"
    await crm.done("approvalResubmit", clerk, input={"id": key}, select="approval { state }")
    assert not (await crm.perform("approval.approve", {"id": key}, boss, line="east")).errors
    await work_off(crm.services)
    assert ((await approval(crm, key))["state"], len(await crm.rows(Customer))) == ("APPROVED", len(ROWS))
    assert len(await crm.rows(ImportRun)) == 1


# -- files


async def test_a_file_is_kept_as_long_as_an_approval_needs_it(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    held = await customers(crm, tmp_path, [person(1)], actor=clerk)
    crm.clock.advance(days=30)
    assert await keeping.sweep(crm.services) == 0
    assert len(kept(crm)) == 1
    assert not (await crm.perform("approval.reject", {"id": held.approval}, boss, line="east")).errors
    assert await keeping.sweep(crm.services) == 1
    assert kept(crm) == []


def _rows(many: int) -> Sequence[Mapping[str, str]]:
    return [person(number) for number in range(1, many + 1)]


async def test_an_import_that_ends_leaves_the_file_another_waits_for(
    crm: Kit, tmp_path: Path, boss: Actor, clerk: Actor
) -> None:
    first = await customers(crm, tmp_path, _rows(2), actor=clerk)
    await customers(crm, tmp_path, _rows(2), actor=clerk, source="other")
    await signed(crm, boss, first)
    await work_off(crm.services)
    assert len(kept(crm)) == 1
    file = crm.services.store / "imports" / kept(crm)[0]
    assert file.stat().st_size > 0
