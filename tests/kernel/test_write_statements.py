"""How many statements a command takes: what it reads, then everything it writes at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.access.authentication import REMEMBERED_SECONDS, Authenticator
from crm_core.actors import Actor, Reach
from crm_core.audit.models import AuditEntry
from crm_core.commands import Outcome
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit, Statements

SELLS = dict.fromkeys(
    ("customer.read", "customer.write", "interaction.read", "interaction.write"), Reach.SUBTREE
)


@dataclass
class Shop:
    """A deployment with a seller of two lines, and one of his customers."""

    crm: Kit
    seller: Actor
    customer: UUID

    async def sent(self, kind: str, body: Mapping[str, Any], **options: Any) -> tuple[Outcome, Statements]:
        """What became of a command, and the statements it took."""
        with self.crm.statements() as sent:
            outcome = await self.crm.perform(kind, body, self.seller, line="east", **options)
        return outcome, sent

    def most(self, postgresql: int, sqlite: int) -> int:
        """The number for this database: SQLite takes one statement per table where PostgreSQL takes one for all."""
        return postgresql if self.crm.database.dialect == "postgresql" else sqlite

    def call(self, **more: Any) -> dict[str, Any]:
        """A call with the customer."""
        return {"customer_id": ids.show("cus", self.customer), "kind": "call", "content": "聊了", **more}


@pytest.fixture
async def shop(crm: Kit) -> Shop:
    team = await crm.team("一组")
    seller = await crm.actor("li", SELLS, lines=("east", "west"), team=team)
    made = await crm.perform("customer.create", {"name": "华信", "kind": "PERSON"}, seller, line="east")
    return Shop(crm, seller, made.ids[0])


def written(sent: Statements) -> list[str]:
    """The statements that write."""
    return [one for one in sent if one.startswith(("INSERT", "UPDATE", "DELETE", "WITH"))]


async def test_logging_an_interaction_takes_one_look_and_one_write(shop: Shop) -> None:
    outcome, sent = await shop.sent("interaction.log", shop.call())
    assert outcome.ids
    assert len(sent) == shop.most(postgresql=2, sqlite=4), sent
    assert len(written(sent)) == shop.most(postgresql=1, sqlite=3)


async def test_the_one_write_holds_the_record_its_audit_entry_and_its_event(shop: Shop) -> None:
    outcome, _ = await shop.sent("interaction.log", shop.call(), reason="回访")
    (entry,) = [e for e in await shop.crm.rows(AuditEntry) if e.kind == "interaction.log"]
    (event,) = [e for e in await shop.crm.rows(OutboxEvent) if e.kind == "interaction.logged"]
    assert (entry.subject_ref, entry.reason) == (ids.show("int", outcome.ids[0]), "回访")
    assert entry.changes[0]["table"] == "interactions"
    assert "is_visit" in entry.changes[0]["after"]
    assert "target" not in entry.changes[0]["after"], "a mere default is no change"
    assert (event.subject_id, event.sequence, event.ordinal) == (outcome.ids[0], 1, 0)
    assert event.after == entry.changes[0]["after"]


async def test_who_gets_the_report_is_found_with_the_customer(shop: Shop) -> None:
    boss = await shop.crm.actor("boss", lines=("east",), role="marketing_gm")
    _, sent = await shop.sent("interaction.log", shop.call())
    assert len(sent) == shop.most(postgresql=2, sqlite=5), sent
    assert [e.kind for e in await shop.crm.rows(OutboxEvent)][-2:] == [
        "interaction.logged",
        "interaction_report.sent",
    ]
    answer = await shop.crm.data("{ interactionReports { nodes { text } } }", boss)
    assert answer == {"interactionReports": {"nodes": [{"text": "聊了"}]}}


LOG = 'mutation M($input: InteractionLogInput!) { interactionLog(line: "east", input: $input) { %s } }'
SHOWN = "interaction { id kind content customer { id name } } userErrors { code }"


async def test_the_payload_is_read_by_the_statement_that_writes(shop: Shop) -> None:
    given = {"customerId": ids.show("cus", shop.customer), "kind": "call", "content": "聊了"}
    await shop.crm.data(LOG % SHOWN, shop.seller, input=given)  # at first the database is shown the statement
    with shop.crm.statements() as sent:
        answer = await shop.crm.data(LOG % SHOWN, shop.seller, input=given)
    found = answer["interactionLog"]["interaction"]
    assert (found["content"], found["customer"]["name"]) == ("聊了", "华信")
    assert len(sent) == shop.most(postgresql=2, sqlite=5), sent


async def test_what_is_read_more_than_once_is_read_after_writing(shop: Shop) -> None:
    given = {"customerId": ids.show("cus", shop.customer), "kind": "call", "content": "聊了"}
    shown = "interaction { id customer { interactions { totalCount nodes { content } } } }"
    await shop.crm.data(LOG % shown, shop.seller, input=given)
    with shop.crm.statements() as sent:
        answer = await shop.crm.data(LOG % shown, shop.seller, input=given)
    page = answer["interactionLog"]["interaction"]["customer"]["interactions"]
    assert (page["totalCount"], len(page["nodes"])) == (2, 2)
    assert len(sent) == shop.most(postgresql=3, sqlite=5), sent


async def test_creating_a_customer_with_two_phones(shop: Shop) -> None:
    phones = [{"number": "13800001111"}, {"number": "13900002222"}]
    given = {"name": "新客户", "kind": "PERSON", "phones": phones}
    outcome, sent = await shop.sent("customer.create", given)
    assert outcome.ids
    assert len(sent) == shop.most(postgresql=6, sqlite=12), sent


async def test_changing_a_customer_of_an_expected_version(shop: Shop) -> None:
    given = {"id": ids.show("cus", shop.customer), "city": "济南"}
    outcome, sent = await shop.sent("customer.update", given, expected_version=1)
    assert outcome.ids
    assert len(sent) == shop.most(postgresql=5, sqlite=6), sent
    late, refused = await shop.sent("customer.update", given, expected_version=1)
    assert [e.code for e in late.errors] == ["STALE_VERSION"]
    assert len(refused) == 1, "the version is loaded with the record and its row rule"


async def test_a_replay_reads_only_what_it_replays(shop: Shop) -> None:
    first, sent = await shop.sent("interaction.log", shop.call(), idempotency_key="k1")
    assert len(sent) <= shop.most(postgresql=6, sqlite=8), sent
    again, sent = await shop.sent("interaction.log", shop.call(), idempotency_key="k1")
    assert (again.ids, again.replayed) == (first.ids, True)
    assert len(sent) <= 3, sent


async def test_a_refused_command_writes_nothing(shop: Shop) -> None:
    outcome, sent = await shop.sent("interaction.log", shop.call(content=""))
    assert [e.code for e in outcome.errors] == ["CONTENT_REQUIRED"]
    assert len(sent) == 1, sent
    outcome, sent = await shop.sent("interaction.log", shop.call(occurred_at="2099-01-01 00:00"))
    assert outcome.errors
    assert sent == [], "what its form tells needs no database"


async def test_what_the_database_does_not_take_is_a_conflict_and_leaves_nothing(shop: Shop) -> None:
    known = shop.call(source="dms", external_id="7")
    await shop.sent("interaction.log", known)
    events = len(await shop.crm.rows(OutboxEvent))
    outcome, _ = await shop.sent("interaction.log", known)
    assert [e.code for e in outcome.errors] == ["ALREADY_RECORDED"]
    assert len(await shop.crm.rows(OutboxEvent)) == events


async def test_a_token_is_looked_up_in_two_statements_and_then_remembered(shop: Shop) -> None:
    token = await shop.crm.token(shop.seller)
    seconds = [0.0]
    known = Authenticator(shop.crm.services, lambda: seconds[0])
    with shop.crm.statements() as cold:
        actor = await known.actor(f"Bearer {token}", "zh-CN")
    with shop.crm.statements() as warm:
        assert await known.actor(f"Bearer {token}", "zh-CN") == actor
    seconds[0] += REMEMBERED_SECONDS
    with shop.crm.statements() as later:
        await known.actor(f"Bearer {token}", "zh-CN")
    assert (len(cold), len(warm), len(later)) == (2, 0, 2)
    assert (actor.grants, actor.teams) == (shop.seller.grants, shop.seller.teams)
