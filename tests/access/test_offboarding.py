"""Somebody leaves: everything of his changes hands in one transaction, or nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.access.models import ApiToken, BusinessLine, TeamMember
from crm_core.actors import Actor, Reach
from crm_core.audit.models import AuditEntry
from crm_core.contacts.models import Contact
from crm_core.customers.models import Customer, CustomerLine, CustomerLineChange
from crm_core.errors import Unauthenticated
from crm_core.interactions.models import Interaction, Task
from crm_core.loader import Candidate
from crm_core.outbox.models import OutboxEvent
from crm_core.registry import Handover
from crm_core.testing.kit import Kit
from crm_core.work import Work
from tests.loader.made import candidate, module

ASKED: list[tuple[UUID, UUID, str | None]] = []


async def count_keys(_work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    ASKED.append((leaver, successor, line))
    return 3


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return KEYS_PLUGIN


@pytest.fixture
def crm_lines() -> dict[str, Sequence[str]]:
    return {"east": (), "west": ("keyring",)}


KEYS_PLUGIN = (candidate("keyring", module(crm_handovers=lambda: [Handover("keyring.keys", count_keys)])),)


@dataclass
class Shop:
    """Li leaves; Wang sells in the east, Wu in the west, Zhao in both; all through the API."""

    crm: Kit
    team: UUID
    li: Actor
    wang: Actor
    wu: Actor
    zhao: Actor

    async def enter(self, name: str, line: str, owner: Actor | None = None) -> str:
        given = {"name": name, "kind": "ORGANISATION"}
        made = await self.crm.done(
            "customerCreate", owner or self.li, input=given, select="customer { id }", acting=line
        )
        customer: str = made["customer"]["id"]
        return customer

    async def leave(self, **given: Any) -> dict[str, Any]:
        select = "user { name disabledAt version }"
        body = {"id": user(self.li), **given}
        return await self.crm.done("userOffboard", input=body, select=select, reason="离职")

    async def refused(self, actor: Actor | None = None, **given: Any) -> list[tuple[str, str | None]]:
        body = {"id": user(self.li), **given}
        payload = await self.crm.change("userOffboard", actor, input=body)
        return [(error["code"], error["field"]) for error in payload["userErrors"]]

    async def owners(self) -> dict[str, str]:
        """Line and customer → owner's name."""
        people = {a.user_id: a.name for a in (self.li, self.wang, self.wu, self.zhao)}
        names = {row.id: row.name for row in await self.crm.rows(Customer)}
        rows = await self.crm.rows(CustomerLine)
        return {f"{row.line} {names[row.customer_id]}": people[row.owner_id] for row in rows}

    async def told(self, kind: str) -> list[Any]:
        return [row for row in await self.crm.rows(OutboxEvent) if row.kind == kind]


def user(actor: Actor) -> str:
    assert actor.user_id is not None
    return ids.show("usr", actor.user_id)


@pytest.fixture
async def shop(crm: Kit) -> Shop:
    ASKED.clear()
    both = ("east", "west")
    team = await crm.team("showroom")
    return Shop(
        crm,
        team,
        li=await crm.actor("li", role="sales", lines=both, team=team, leads=True),
        wang=await crm.actor("wang", role="sales", team=await crm.team("second")),
        wu=await crm.actor("wu", role="sales", lines=("west",)),
        zhao=await crm.actor("zhao", role="sales", lines=both),
    )


async def test_customers_go_to_the_successor_of_their_line(shop: Shop) -> None:
    for name, line in (("甲", "east"), ("乙", "west")):
        await shop.enter(name, line)
    await shop.enter("丙", "east", shop.zhao)
    lines = [{"line": "east", "userId": user(shop.wang)}, {"line": "west", "userId": user(shop.wu)}]
    left = await shop.leave(successors=lines)
    assert left["user"]["disabledAt"] == "2025-11-03T02:00:00.000000Z"
    assert await shop.owners() == {"east 甲": "wang", "west 乙": "wu", "east 丙": "zhao"}


async def test_each_customer_keeps_its_history_and_is_announced_in_its_line(shop: Shop) -> None:
    await shop.enter("甲", "east")
    await shop.leave(successorId=user(shop.zhao))
    [told] = await shop.told("customer.assigned")
    assert (told.line, told.data["before_owner"], told.data["after_owner"], told.reason) == (
        "east",
        user(shop.li),
        user(shop.zhao),
        "离职",
    )
    [customer] = await shop.crm.rows(Customer)
    assert told.sequence == customer.version == 2
    noted = [
        (r.what, r.old, r.new, r.reason) for r in await shop.crm.rows(CustomerLineChange) if r.what == "OWNER"
    ]
    assert noted == [("OWNER", user(shop.li), user(shop.zhao), "离职")]
    [entry] = [row for row in await shop.crm.rows(AuditEntry) if row.kind == "user.offboard"]
    assert entry.reason == "离职"
    assert {"customer_lines", "users"} <= {change["table"] for change in entry.changes}


async def test_the_team_follows_a_successor_with_exactly_one(shop: Shop) -> None:
    await shop.enter("甲", "east")
    await shop.leave(successorId=user(shop.wang), successors=[{"line": "west", "userId": user(shop.wu)}])
    [row] = await shop.crm.rows(CustomerLine)
    assert row.team_id not in (None, shop.team)


async def test_cards_planned_interactions_and_open_tasks_go_with_them(shop: Shop) -> None:
    crm, li = shop.crm, shop.li
    customer = await shop.enter("甲", "east")
    for private in (True, False):
        card = {"customerId": customer, "name": "陈", "isKeyPerson": True, "private": private}
        await crm.done("contactCreate", li, input=card, acting="east")
    planned = {"customerId": customer, "kind": "call", "plannedAt": "2025-11-10T02:00:00Z"}
    await crm.done("interactionPlan", li, input={**planned, "channel": "PHONE"}, acting="east")
    logged = {"customerId": customer, "kind": "call", "channel": "PHONE", "content": "问价"}
    await crm.done(
        "interactionLog", li, input={**logged, "occurredAt": "2025-11-02T02:00:00Z"}, acting="east"
    )
    tasks = [
        await crm.done(
            "taskCreate",
            li,
            input={"title": title, "dueOn": "2025-11-10"},
            select="task { id }",
            acting="east",
        )
        for title in ("open", "done")
    ]
    await crm.done("taskComplete", li, input={"id": tasks[1]["task"]["id"]})
    await shop.leave(successorId=user(shop.zhao))
    zhao, here = shop.zhao.user_id, li.user_id
    assert {row.card_manager_id for row in await crm.rows(Contact)} == {zhao}
    assert {r.status: r.performer_id for r in await crm.rows(Interaction)} == {"PLANNED": zhao, "DONE": here}
    assert {row.title: row.assignee_id for row in await crm.rows(Task)} == {"open": zhao, "done": here}
    [told] = await shop.told("user.offboarded")
    handed_over = told.data["handed_over"]
    assert handed_over | {"customers": 1, "cards": 2, "interactions": 1, "tasks": 1} == handed_over
    assert (handed_over["stewardships"], handed_over["keyring.keys"]) == (0, 6)


async def test_a_plugin_is_asked_in_the_lines_that_enable_it(shop: Shop) -> None:
    await shop.leave(successorId=user(shop.zhao))
    both = (shop.li.user_id, shop.zhao.user_id)
    assert [(*both, "west"), (*both, None)] == ASKED


async def test_his_account_tokens_leaderships_and_deputies_end(shop: Shop) -> None:
    crm, away = shop.crm, {"fromDay": "2025-11-03", "toDay": "2025-11-07"}
    await crm.token(shop.li)
    await crm.done("absenceSet", shop.li, input={**away, "deputyId": user(shop.wang)})
    for_wang = await crm.done(
        "absenceSet", shop.wang, input={**away, "deputyId": user(shop.li)}, select="absence { id }"
    )
    await shop.leave(successorId=user(shop.zhao))
    assert [row.revoked_at for row in await crm.rows(ApiToken)] == [crm.clock()]
    assert not any(row.leads for row in await crm.rows(TeamMember))
    with pytest.raises(Unauthenticated):
        await crm.again(shop.li.user_id)
    found = await crm.data("{ absences { nodes { id endedAt deputy { name } } } }")
    ended = {
        node["id"]: (node["endedAt"] is not None, node["deputy"]["name"])
        for node in found["absences"]["nodes"]
    }
    assert ended.pop(for_wang["absence"]["id"]) == (False, "zhao")
    assert list(ended.values()) == [(True, "wang")]


async def test_who_takes_another_post_keeps_his_account(shop: Shop) -> None:
    await shop.crm.token(shop.li)
    await shop.enter("甲", "east")
    left = await shop.leave(successorId=user(shop.zhao), disable=False)
    assert left["user"]["disabledAt"] is None
    assert [row.revoked_at for row in await shop.crm.rows(ApiToken)] == [None]
    assert await shop.owners() == {"east 甲": "zhao"}


async def test_a_stewardship_goes_to_the_successor(shop: Shop) -> None:
    [east] = [row for row in await shop.crm.rows(BusinessLine) if row.code == "east"]
    given = {"id": ids.show("lin", east.id), "userId": user(shop.li)}
    await shop.crm.done("lineAssignSteward", input=given)
    await shop.leave(successorId=user(shop.zhao))
    stewards = {row.code: row.steward_id for row in await shop.crm.rows(BusinessLine)}
    assert stewards == {"east": shop.zhao.user_id, "west": None}


async def test_unfit_successors_are_refused_and_nothing_changes(shop: Shop) -> None:
    await shop.enter("乙", "west")
    assert await shop.refused() == [("REQUIRED", "successorId")]
    assert await shop.refused(successorId=user(shop.li)) == [("SUCCESSOR_IS_LEAVER", "successorId")]
    stranger = [{"line": "east", "userId": user(shop.wu)}]
    assert await shop.refused(successorId=user(shop.zhao), successors=stranger) == [
        ("SUCCESSOR_NOT_IN_LINE", "successors.0.userId")
    ]
    assert await shop.refused(successorId=user(shop.wang)) == [("SUCCESSOR_NOT_IN_LINE", "successorId")]
    only = [{"line": "west", "userId": user(shop.wu)}]
    assert await shop.refused(successors=only) == [("SUCCESSOR_MISSING", "successors")]
    wrong = [*only, {"line": "north", "userId": user(shop.zhao)}, {"line": "west", "userId": user(shop.zhao)}]
    assert await shop.refused(successors=wrong) == [
        ("UNKNOWN_LINE", "successors.1.line"),
        ("LINE_TWICE", "successors.2.line"),
    ]
    await shop.crm.done("userUpdate", input={"id": user(shop.zhao), "disabled": True})
    assert await shop.refused(successorId=user(shop.zhao)) == [("SUCCESSOR_DISABLED", "successorId")]
    assert await shop.owners() == {"west 乙": "li"}
    assert await shop.told("user.offboarded") == []


async def test_only_an_administrator_hands_over(shop: Shop) -> None:
    manager = await shop.crm.actor("manager", role="line_manager")
    assert await shop.refused(manager, successorId=user(shop.zhao)) == [("FORBIDDEN", None)]
    some = await shop.crm.actor("some", {"access.admin": Reach.ALL})
    assert await shop.refused(some, successorId=user(shop.zhao)) == []


async def test_leaving_twice_hands_over_nothing_more(shop: Shop) -> None:
    await shop.enter("甲", "east")
    await shop.leave(successorId=user(shop.zhao))
    await shop.leave(successorId=user(shop.zhao))
    first, second = sorted(await shop.told("user.offboarded"), key=lambda row: row.sequence)
    assert (first.data["handed_over"]["customers"], second.data["handed_over"]["customers"]) == (1, 0)


async def test_statements_do_not_grow_with_the_customers(shop: Shop) -> None:
    counts = []
    await shop.leave(successorId=user(shop.zhao), disable=False)
    for names in ("甲乙", "丙丁戊己庚辛"):
        for name in names:
            await shop.enter(name, "east")
        with shop.crm.statements() as sent:
            await shop.leave(successorId=user(shop.zhao), disable=False)
        counts.append(len([s for s in sent if s.startswith("SELECT")]))
    assert counts[0] == counts[1]
