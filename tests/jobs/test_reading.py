"""Who sees which jobs, and what can be asked of them."""

from __future__ import annotations

from typing import Any

from crm_core.actors import Reach
from crm_core.jobs.running import work_off
from crm_core.testing.kit import Kit
from tests.jobs.job_kit import Notes, asked, rows, shown, with_jobs

BOTH = ("job.read", "job.manage")
WHATS = "{ jobs(orderBy: [{id: ASC}]) { nodes { arguments } totalCount } }"


async def whats(crm: Kit, actor: Any, document: str = "{ jobs { nodes { arguments } } }") -> list[str]:
    """What the jobs the actor sees are about."""
    found = await crm.data(document, actor, compiled=True)
    assert await crm.data(document, actor, compiled=False) == found
    return sorted(node["arguments"]["what"] for node in found["jobs"]["nodes"])


async def test_everybody_sees_his_own_jobs_and_managers_those_of_their_line(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    ann = await crm.actor("ann", dict.fromkeys(BOTH, Reach.OWN))
    ben = await crm.actor("ben", dict.fromkeys(BOTH, Reach.LINE), lines=["west"])
    await asked(services, ann, "ann in east", line="east")
    await asked(services, ann, "ann in no line")
    await asked(services, ben, "ben in west", line="west")
    await asked(services, crm.administrator, "admin in west", line="west")
    await asked(services, crm.administrator, "admin in no line")
    assert await whats(crm, ann) == ["ann in east", "ann in no line"]
    assert await whats(crm, ben) == ["admin in west", "ben in west"]
    assert len(await whats(crm, crm.administrator)) == 5
    nobody = await crm.actor("nobody", {"customer.read": Reach.ALL})
    refused = await crm.ask("{ jobs { nodes { id } } }", nobody)
    assert refused.codes == ["FORBIDDEN"]


async def test_one_manages_no_more_than_one_may(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    ann = await crm.actor("ann", dict.fromkeys(BOTH, Reach.OWN))
    ben = await crm.actor("ben", {"job.read": Reach.LINE, "job.manage": Reach.OWN})
    await asked(services, ann, "a", line="east")
    [job] = await rows(crm)
    refused = await crm.change("jobCancel", ben, input={"id": shown(job.id)})
    assert [error["code"] for error in refused["userErrors"]] == ["NOT_FOUND"]
    await crm.done("jobCancel", ann, input={"id": shown(job.id)})


async def test_jobs_are_found_by_state_name_time_line_and_whether_they_are_open(crm: Kit) -> None:
    notes, other = Notes(), Notes()
    services = with_jobs(crm, notes.job(), other.job())
    await asked(services, crm.administrator, "old", line="east")
    await work_off(services)
    crm.clock.advance(days=1)
    await asked(services, crm.administrator, "new", line="west")
    for where, expected in (
        ("state: {eq: DONE}", ["old"]),
        ("state: {in: [WAITING, RUNNING]}", ["new"]),
        ('name: {eq: "note"}', ["new", "old"]),
        ('name: {eq: "other"}', []),
        ('createdAt: {gte: "2025-11-04T00:00:00Z"}', ["new"]),
        ('line: {eq: "east"}', ["old"]),
        ("open: true", ["new"]),
        ("open: false", ["old"]),
        ("endedAt: {isNull: true}", ["new"]),
    ):
        document = f"{{ jobs(where: {{{where}}}) {{ nodes {{ arguments }} }} }}"
        assert await whats(crm, crm.administrator, document) == expected, where


async def test_a_job_is_read_by_its_id_with_who_asked_for_it(crm: Kit) -> None:
    services = with_jobs(crm, Notes().job())
    await asked(services, crm.administrator, "a")
    [job] = await rows(crm)
    found = await crm.data(f'{{ job(id: "{shown(job.id)}") {{ name attempts requester {{ name }} }} }}')
    assert found["job"] == {"name": "note", "attempts": 0, "requester": {"name": "admin"}}
