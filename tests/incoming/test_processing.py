"""Processing: what a request asks for is done once, as its source's user, or waits to be mended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, text, update

from crm_core import ids
from crm_core.access.models import RoleGrant, User
from crm_core.actors import Reach
from crm_core.approvals.models import Approval
from crm_core.audit.models import AuditEntry
from crm_core.commands import Command
from crm_core.customers.commands import CreateCustomer
from crm_core.customers.models import Customer
from crm_core.db.session import open_database
from crm_core.errors import INVALID, Fault, Refused
from crm_core.incoming import processing
from crm_core.incoming.forgetting import forget
from crm_core.incoming.handler import Doing, IncomingHandler, IncomingMessage
from crm_core.incoming.models import IncomingRequest
from crm_core.incoming.processing import work_off
from crm_core.incoming.queries import anything_due, claimed, claiming
from crm_core.incoming.worker import WORKERS
from crm_core.interactions.models import Interaction
from crm_core.notices.models import Notice
from tests.incoming.conftest import NEW_CUSTOMER, ONCE, Door, codes

LEAD = [
    {"name": "known", "find": "Customer", "where": {"phone": "=body.phone"}},
    {"name": "made", "when": "!(steps.known)", "command": "customer.create",
     "input": {"name": "=body.name", "kind": "PERSON", "phones": "=body.phone && [{number: body.phone}]"}},
    {"command": "interaction.log",
     "input": {"customerId": "=steps.known.id || steps.made.id", "kind": "call", "content": "=body.message"}},
]  # fmt: skip


def shown(row: Any, prefix: str = "inr") -> str:
    return ids.show(prefix, row.id)


async def received(door: Door, **body: Any) -> Any:
    """One more request, unprocessed."""
    source = body.pop("to", None) or await door.source(mapping=body.pop("mapping", NEW_CUSTOMER))
    assert (await door.send(source, orjson.dumps(body))).status_code == 202
    return (await door.requests())[-1]


async def names(door: Door) -> list[str]:
    return sorted(row.name for row in await door.crm.rows(Customer))


async def failed_with(door: Door) -> list[tuple[str, str | None, str | None]]:
    row = await door.request()
    assert row.state == "FAILED", row.results
    return [(e["code"], e["field"], e["step"]) for e in row.errors]


# -- done


async def test_what_a_request_asks_for_is_done_by_the_sources_user_on_the_record(door: Door) -> None:
    row = await received(door, name="Ann")
    assert (await door.work_off(), await door.work_off()) == (1, 0)
    row = await door.request()
    (customer,) = await door.crm.rows(Customer)
    assert (row.state, row.attempts, row.errors, row.lease_until) == ("DONE", 1, [], None)
    assert row.results == [
        {"step": "0", "command": "customer.create", "type": "Customer", "ids": [shown(customer, "cus")],
         "approval": None, "skipped": False}
    ]  # fmt: skip
    (entry,) = [e for e in await door.crm.rows(AuditEntry) if e.kind == "customer.create"]
    assert (entry.actor_id, entry.channel, entry.line, entry.request_id) == (
        door.robot.user_id, "incoming", "east", shown(row),
    )  # fmt: skip
    assert ("incoming_done", "website") in door.counted


async def test_a_lead_of_a_known_number_is_an_interaction_of_a_known_customer(door: Door) -> None:
    source = await door.source(mapping=LEAD)
    for number, name in enumerate(("Ann", "Ann B.")):
        await received(door, to=source, name=name, phone="138 0013 8000", message=f"call me {number}")
        await door.work_off()
    assert await names(door) == ["Ann"]
    assert sorted(i.content for i in await door.crm.rows(Interaction)) == ["call me 0", "call me 1"]
    first, second = await door.requests()
    assert [r["skipped"] for r in first.results] == [False, False, False]
    assert [(r["step"], r["skipped"], len(r["ids"])) for r in second.results] == [
        ("known", False, 1), ("made", True, 0), ("2", False, 1),
    ]  # fmt: skip


@ONCE
async def test_a_lead_without_a_number_makes_a_customer_without_looking_for_one(door: Door) -> None:
    await received(door, mapping=LEAD, name="Ann", message="hello")
    await door.work_off()
    row = await door.request()
    assert (row.state, [r["skipped"] for r in row.results]) == ("DONE", [True, False, False])


@ONCE
async def test_several_records_that_match_are_nobodys_guess(door: Door) -> None:
    for name in ("Ann", "Bob"):
        await door.crm.perform(
            "customer.create",
            {"name": name, "kind": "PERSON", "phones": [{"number": "13800138000"}]},
            line="east",
        )
    source = await door.source(mapping=LEAD)
    await received(door, to=source, phone="13800138000", name="Ann", message="x")
    await door.work_off()
    assert await failed_with(door) == [("INCOMING_AMBIGUOUS", "find", "known")]
    steps = [{**LEAD[0], "first": True}, *LEAD[1:]]
    await door.crm.done("incomingUpdate", input={"id": shown(source, "ins"), "mapping": steps})
    await door.crm.done("incomingReplay", input={"id": shown(await door.request())})
    await door.work_off()
    assert (await door.request()).state == "DONE"
    assert len(await door.crm.rows(Interaction)) == 1


@ONCE
async def test_what_the_user_may_not_see_is_not_found(door: Door) -> None:
    await door.crm.perform(
        "customer.create",
        {"name": "West", "kind": "PERSON", "phones": [{"number": "13800138000"}]},
        line="west",
    )
    await received(door, mapping=LEAD, phone="13800138000", name="Ann", message="x")
    await door.work_off()
    assert await names(door) == ["Ann", "West"]


# -- refused, mended, replayed


async def test_a_refusal_undoes_the_whole_request_which_waits_to_be_mended(door: Door) -> None:
    source = await door.source(mapping=LEAD)
    await received(door, to=source, name="Ann", phone="13800138000")
    await door.work_off()
    assert await failed_with(door) == [("CONTENT_REQUIRED", "content", "2")]
    assert await names(door) == [], "the customer of the step before is undone"
    assert await door.work_off() == 0
    steps = [*LEAD[:2], {**LEAD[2], "input": {**LEAD[2]["input"], "content": "=body.message || 'no word'"}}]  # type: ignore[dict-item]
    await door.crm.done("incomingUpdate", input={"id": shown(source, "ins"), "mapping": steps})
    await door.crm.done("incomingReplay", input={"id": shown(await door.request())})
    assert await door.work_off() == 1
    row = await door.request()
    assert (row.state, row.errors, await names(door)) == ("DONE", [], ["Ann"])
    refused = await door.crm.change("incomingReplay", input={"id": shown(row)})
    assert codes(refused) == [("INCOMING_NOT_WAITING", "id")], "what was done is not done again"
    assert await names(door) == ["Ann"]


async def test_all_failed_requests_of_a_source_are_replayed_at_once(door: Door) -> None:
    source = await door.source()
    for number in range(3):
        await received(door, to=source, title=f"n{number}")
    await received(door, to=source, name="fine")
    await door.work_off()
    assert sorted(r.state for r in await door.requests()) == ["DONE", "FAILED", "FAILED", "FAILED"]
    steps = [{"command": "customer.create", "input": {"name": "=body.title", "kind": "PERSON"}}]
    await door.crm.done("incomingUpdate", input={"id": shown(source, "ins"), "mapping": steps})
    await door.crm.done("incomingReplayFailed", input={"id": shown(source, "ins")})
    assert await door.work_off() == 3
    assert await names(door) == ["fine", "n0", "n1", "n2"]


@ONCE
@pytest.mark.parametrize(
    ("content", "content_type", "code"),
    [(b"{", "application/json", "INCOMING_UNREADABLE"), (b"\xff", "text/plain", "INCOMING_UNREADABLE")],
)
async def test_a_body_that_cannot_be_read_waits_too(
    door: Door, content: bytes, content_type: str, code: str
) -> None:
    source = await door.source()
    await door.send(source, content, {"content-type": content_type})
    await door.work_off()
    assert (await failed_with(door))[0][0] == code


@ONCE
async def test_a_request_may_be_discarded_while_it_waits(door: Door) -> None:
    row = await received(door, name="Ann")
    await door.crm.done("incomingDiscard", input={"id": shown(row)})
    assert (await door.work_off(), await names(door)) == (0, [])
    assert codes(await door.crm.change("incomingDiscard", input={"id": shown(row)})) == [
        ("INCOMING_NOT_OPEN", "id")
    ]
    await door.crm.done("incomingReplay", input={"id": shown(row)})
    assert (await door.work_off(), await names(door)) == (1, ["Ann"])


# -- as whom


@ONCE
async def test_the_rights_of_the_user_hold_as_they_are_now(door: Door) -> None:
    await received(door, name="Ann")
    async with door.crm.database.transaction() as session:
        await session.execute(delete(RoleGrant).where(RoleGrant.user_id == door.robot.user_id))
    await door.work_off()
    assert (await failed_with(door))[0][0] == "INCOMING_ACTOR_UNFIT"


@ONCE
async def test_a_disabled_user_does_nothing(door: Door) -> None:
    await received(door, name="Ann")
    async with door.crm.database.transaction() as session:
        values = {"disabled_at": door.crm.clock.now}
        await session.execute(update(User.__table__).where(User.id == door.robot.user_id).values(values))
    await door.work_off()
    assert (await failed_with(door))[0][0] == "INCOMING_ACTOR_UNFIT"


@ONCE
async def test_what_is_held_for_signatures_is_done_and_what_needs_it_is_left_out(door: Door) -> None:
    await hold_new_customers(door)
    await received(door, mapping=LEAD, name="Ann", phone="13800138000", message="x")
    await door.work_off()
    row = await door.request()
    (approval,) = await door.crm.rows(Approval)
    assert row.state == "DONE", row.errors
    assert [(r["approval"], r["skipped"]) for r in row.results] == [
        (None, False), (shown(approval, "apr"), False), (shown(approval, "apr"), True),
    ]  # fmt: skip
    assert approval.requester_id == door.robot.user_id


async def hold_new_customers(door: Door) -> None:
    """From now on new customers of the line wait for an administrator."""
    stages = [{"name": "s", "slots": [{"role": "administrator"}]}]
    policy = {"name": "new customers", "title": "新客户", "commands": ["customer.create"], "stages": stages}
    await door.crm.done("approvalPolicySet", acting="east", input={**policy, "enabled": True})


# -- trouble


async def test_a_request_kept_before_a_crash_is_processed_once_by_whoever_comes(door: Door) -> None:
    await received(door, name="Ann")
    async with door.crm.database.transaction() as session:  # taken by a process that was killed
        await session.execute(claiming(door.crm.clock.now, timedelta(seconds=60), 10))
    assert await door.work_off() == 0, "its lease holds"
    door.crm.clock.advance(seconds=61)
    assert (await door.work_off(), await door.work_off()) == (1, 0)
    row = await door.request()
    assert (row.state, row.attempts, await names(door)) == ("DONE", 2, ["Ann"])


async def test_who_was_overtaken_does_nothing(door: Door) -> None:
    row = await received(door, name="Ann")
    async with door.crm.database.transaction() as session:
        await session.execute(
            update(IncomingRequest.__table__).values(attempts=5, lease_until=door.crm.clock.now)
        )
    async with door.crm.database.transaction() as session:
        now = (await session.execute(claimed([row.id]))).one()
    stale = SimpleNamespace(**{**now._asdict(), "attempts": 4})
    with pytest.raises(processing._Overtaken):
        await processing._carried_out(door.services, stale)  # type: ignore[arg-type]
    assert await names(door) == []


async def test_several_workers_do_each_request_once(door: Door) -> None:
    source = await door.source()
    for number in range(12):
        await received(door, to=source, name=f"c{number:02}")
    others = [open_database(door.services.settings) for _ in range(3)]
    try:
        workers = [door.services, *(replace(door.services, database=one) for one in others)]
        done = await asyncio.gather(*(work_off(one) for one in workers))
    finally:
        for one in others:
            await one.dispose()
    assert sum(done) == 12
    assert await names(door) == [f"c{number:02}" for number in range(12)]
    assert {row.attempts for row in await door.requests()} == {1}


class Grumpy:
    """A handler that raises what stands in `troubles`, then makes a customer."""

    def __init__(self, *troubles: BaseException) -> None:
        self.troubles = list(troubles)
        self.seen: list[IncomingMessage] = []

    async def handle(self, message: IncomingMessage, doing: Doing) -> None:
        self.seen.append(message)
        command: Command = CreateCustomer.model_validate({"name": message.body["name"], "kind": "PERSON"})
        await doing.perform(command, "customer")
        if self.troubles:
            raise self.troubles.pop(0)

    @property
    def handler(self) -> IncomingHandler:
        return IncomingHandler("grumpy", "Grumpy", self.handle)


async def grumpy(door: Door, *troubles: BaseException) -> Grumpy:
    made = Grumpy(*troubles)
    door.plug_in(handlers=[made.handler])
    source = await door.source(mapping=..., handler="grumpy")
    await received(door, to=source, name="Ann")
    return made


@ONCE
async def test_a_plugins_handler_gets_the_message_and_performs_commands(door: Door) -> None:
    made = await grumpy(door)
    await door.work_off()
    row = await door.request()
    (message,) = made.seen
    assert (message.id, message.source, message.line, message.body) == (
        shown(row),
        "website",
        "east",
        {"name": "Ann"},
    )
    assert (row.state, row.results[0]["step"], await names(door)) == ("DONE", "customer", ["Ann"])


@ONCE
async def test_a_busy_database_is_tried_again_with_longer_waits_then_left_to_people(door: Door) -> None:
    door.configure(retry_seconds=[1, 60])
    await grumpy(door, *(Fault("DATABASE_BUSY", "busy") for _ in range(3)))
    waits = []
    for _ in range(3):
        assert await door.work_off() == 1
        row = await door.request()
        waits.append((row.next_at - door.crm.clock.now).total_seconds() if row.state == "RECEIVED" else None)
        assert await names(door) == []
        assert await door.work_off() == 0
        door.crm.clock.advance(seconds=waits[-1] or 0)
    assert waits == [1, 60, None]
    assert await failed_with(door) == [("INCOMING_GAVE_UP", None, None)]


@ONCE
async def test_a_busy_database_that_recovers_leaves_no_trace(door: Door) -> None:
    await grumpy(door, Fault("DATABASE_BUSY", "busy"))
    await door.work_off()
    door.crm.clock.advance(seconds=1)
    await door.work_off()
    assert ((await door.request()).state, await names(door)) == ("DONE", ["Ann"])


@ONCE
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (RuntimeError("secret 123"), "INCOMING_HANDLER_FAILED"),
        (Fault("ODD", "odd"), "INCOMING_HANDLER_FAILED"),
        (Refused(INVALID("x", problem="a\0b")), "INVALID_VALUE"),
    ],
)
async def test_whatever_a_handler_raises_undoes_all_and_waits_for_people(
    door: Door, trouble: BaseException, code: str
) -> None:
    await grumpy(door, trouble)
    await door.work_off()
    assert (await failed_with(door))[0][0] == code
    assert await names(door) == []
    assert "secret" not in repr((await door.request()).errors)


@ONCE
async def test_a_handler_that_hangs_is_cut_off(door: Door) -> None:
    door.configure(work_seconds=0.2, lease_seconds=60, retry_seconds=[1])

    async def hang(_message: IncomingMessage, _doing: Doing) -> None:
        await asyncio.sleep(30)

    door.plug_in(handlers=[IncomingHandler("hang", "Hang", hang)])
    await received(door, to=await door.source(mapping=..., handler="hang"), name="Ann")
    for _ in range(2):
        assert await door.work_off() == 1
        door.crm.clock.advance(seconds=2)
    assert await failed_with(door) == [("INCOMING_TOO_SLOW", None, None)]


@ONCE
async def test_a_handler_whose_plugin_is_gone_leaves_requests_waiting(door: Door) -> None:
    await grumpy(door)
    door.plug_in()
    await door.work_off()
    assert (await failed_with(door))[0][0] == "INCOMING_UNKNOWN_HANDLER"


@ONCE
async def test_the_worker_goes_on_until_it_is_stopped(door: Door) -> None:
    door.configure(poll_seconds=0.02)
    stop = asyncio.Event()
    working = asyncio.ensure_future(WORKERS[0].run(door.services, stop))
    await received(door, name="Ann")
    for _ in range(200):
        await asyncio.sleep(0.02)
        if (await door.request()).state == "DONE":
            break
    stop.set()
    await asyncio.wait_for(working, 5)
    assert await names(door) == ["Ann"]


# -- told, forgotten, plans


async def test_managers_are_told_once_a_day_that_a_source_fails(door: Door) -> None:
    door.configure(tell_after=3)
    manager = await door.crm.actor("manager", {"incoming.manage": Reach.LINE, "notice.self": Reach.OWN})
    west = await door.crm.actor("west", {"incoming.manage": Reach.LINE}, lines=("west",))
    source = await door.source()
    for number in range(5):
        await received(door, to=source, title=f"n{number}")
        await door.work_off()
    told = [n for n in await door.crm.rows(Notice) if n.user_id == manager.user_id]
    assert [(n.kind, n.line, n.facts["count"]) for n in told] == [("incoming.failing", "east", 3)]
    assert not [n for n in await door.crm.rows(Notice) if n.user_id == west.user_id]
    door.crm.clock.advance(days=1)
    for number in range(5, 8):
        await received(door, to=source, title=f"n{number}")
        await door.work_off()
    assert len([n for n in await door.crm.rows(Notice) if n.user_id == manager.user_id]) == 2


async def test_bodies_are_forgotten_then_requests_and_what_nobody_mended_is_given_up(door: Door) -> None:
    door.configure(body_days=10, failed_days=20, retention_days=40)
    source = await door.source()
    await received(door, to=source, name="Ann")
    await received(door, to=source, title="wrong")
    await door.work_off()
    door.crm.clock.advance(days=11)
    await forget(door.services)
    done, failed = await door.requests()
    assert (done.body, done.headers, done.address, done.state) == (None, {}, None, "DONE")
    assert (failed.state, failed.body is None) == ("FAILED", False)
    door.crm.clock.advance(days=10)
    await forget(door.services)
    _, failed = await door.requests()
    assert (failed.state, failed.errors[0]["code"], failed.body) == ("DISCARDED", "INCOMING_TOO_OLD", None)
    assert codes(await door.crm.change("incomingReplay", input={"id": shown(failed)})) == [
        ("INCOMING_BODY_GONE", "id")
    ]
    door.crm.clock.advance(days=20)
    await forget(door.services)
    assert await door.requests() == []


async def test_what_is_due_is_found_by_its_own_index(door: Door) -> None:
    source = await door.source()
    await received(door, to=source, name="Ann")
    await door.work_off()
    async with door.crm.database.transaction() as session:
        if door.crm.database.dialect == "postgresql":
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if door.crm.database.dialect == "sqlite" else "EXPLAIN "
        compiled = anything_due(door.crm.clock.now).compile(
            dialect=door.crm.database.writes.dialect, compile_kwargs={"literal_binds": True}
        )
        plan = " ".join(
            str(row) for row in await session.execute(text(explain + str(compiled).replace(":", "\\:")))
        )
    assert "ix_incoming_requests_due" in plan


@ONCE
async def test_an_idle_look_is_one_statement(door: Door) -> None:
    await received(door, name="Ann")
    await door.work_off()
    with door.crm.statements() as sent:
        assert await door.work_off() == 0
    assert len(sent) == 1, sent
