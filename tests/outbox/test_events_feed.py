"""`events`: the feed by position, for whom the line and the scope say, in one statement driven by an index."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import DocumentNode, get_operation_ast
from sqlalchemy import insert, text

from crm_core import ids
from crm_core.actors import Reach
from crm_core.graphql.build import core_schema
from crm_core.graphql.documents import Documents
from crm_core.outbox.relay import number
from crm_core.testing.kit import Kit
from tests.outbox.feed_kit import E, made_up, recorded

FEED = """
query Feed($after: String, $kinds: [String!], $subject: String, $first: Int) {
  events(after: $after, kinds: $kinds, subject: $subject, first: $first) {
    nodes { id position kind subjectId sequence } pageInfo { endCursor hasNextPage }
  }
}
"""


async def page(crm: Kit, actor: Any = None, **variables: Any) -> dict[str, Any]:
    answer = await crm.ask(FEED, actor, compiled=True, **variables)
    assert not answer.errors, answer.errors
    interpreted = await crm.ask(FEED, actor, compiled=False, **variables)
    assert interpreted.data == answer.data
    assert answer.data is not None
    found: dict[str, Any] = answer.data["events"]
    return found


def positions(found: dict[str, Any]) -> list[str]:
    return [node["position"] for node in found["nodes"]]


@pytest.fixture
async def reader(crm: Kit) -> Any:
    actor = await crm.actor("reader", {"event.read": Reach.LINE}, lines=("east",))
    await crm.passed_on()
    return actor


async def test_the_feed_is_read_on_behind_the_last_position(crm: Kit, reader: Any) -> None:
    made = await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(5)))
    await crm.passed_on()
    first = await page(crm, reader, first=2)
    assert [node["id"] for node in first["nodes"]] == [ids.show("evt", key) for key in made[:2]]
    assert first["pageInfo"] == {"endCursor": first["nodes"][-1]["position"], "hasNextPage": True}
    second = await page(crm, reader, first=10, after=first["pageInfo"]["endCursor"])
    assert [node["id"] for node in second["nodes"]] == [ids.show("evt", key) for key in made[2:]]
    assert second["pageInfo"]["hasNextPage"] is False
    again = await page(crm, reader, first=10, after=first["nodes"][0]["position"])
    assert positions(again) == positions(first)[1:] + positions(second)


async def test_an_event_shows_as_soon_as_it_has_its_position(crm: Kit, reader: Any) -> None:
    (made,) = await recorded(crm, made_up(ids.uuid7(), 1))
    assert (await page(crm, reader))["nodes"] == []
    await crm.passed_on()
    assert [node["id"] for node in (await page(crm, reader))["nodes"]] == [ids.show("evt", made)]


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_transactions_that_commit_in_reverse_order_are_both_read(crm: Kit, reader: Any) -> None:
    early, late = made_up(ids.uuid7(), 1), made_up(ids.uuid7(), 1)
    async with crm.database.transaction() as first:
        await first.execute(insert(E), [early])
        await recorded(crm, late)
        await number(crm.services)
        seen = await page(crm, reader)
        assert [node["id"] for node in seen["nodes"]] == [ids.show("evt", late["id"])]
    await number(crm.services)
    rest = await page(crm, reader, after=seen["pageInfo"]["endCursor"])
    assert [node["id"] for node in rest["nodes"]] == [ids.show("evt", early["id"])]


async def test_kinds_and_a_subject_narrow_the_feed(crm: Kit, reader: Any) -> None:
    subject = ids.uuid7()
    await recorded(
        crm,
        made_up(subject, 1, kind="customer.created"),
        made_up(ids.uuid7(), 1, kind="customer.created"),
        made_up(subject, 2, kind="customer.tagged"),
        made_up(subject, 3, kind="customer.archived"),
    )
    await crm.passed_on()
    kinds = [
        n["kind"] for n in (await page(crm, reader, kinds=["customer.created", "customer.tagged"]))["nodes"]
    ]
    assert kinds == ["customer.created", "customer.created", "customer.tagged"]
    of_one = await page(crm, reader, subject=ids.show("cus", subject), kinds=None)
    assert [n["sequence"] for n in of_one["nodes"]] == [1, 2, 3]
    both = await page(crm, reader, subject=ids.show("cus", subject), kinds=["customer.tagged"])
    assert [n["sequence"] for n in both["nodes"]] == [2]
    where = '{ events(kinds: ["customer.tagged"], where: { line: { eq: "west" } }) { nodes { id } } }'
    assert (await crm.data(where))["events"]["nodes"] == []


async def test_others_lines_stay_out(crm: Kit, reader: Any) -> None:
    await recorded(crm, made_up(ids.uuid7(), 1, line="west"), made_up(ids.uuid7(), 1, line=None))
    (mine,) = await recorded(crm, made_up(ids.uuid7(), 1))
    await crm.passed_on()
    assert [n["id"] for n in (await page(crm, reader))["nodes"]] == [ids.show("evt", mine)]
    stranger = await crm.actor("stranger", {"customer.read": Reach.LINE})
    answer = await crm.ask(FEED, stranger)
    assert answer.data == {"events": None}
    assert answer.codes == ["FORBIDDEN"]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "٣", "5b5d", "9" * 30, " 1"])
async def test_what_is_no_position_is_refused(crm: Kit, after: str) -> None:
    answer = await crm.ask(FEED, after=after)
    assert answer.codes == ["INVALID_PAGE"]


async def test_the_latest_come_with_last(crm: Kit, reader: Any) -> None:
    made = await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(3)))
    await crm.passed_on()
    found = await crm.data("{ events(last: 2) { nodes { id } pageInfo { startCursor } } }", reader)
    assert [n["id"] for n in found["events"]["nodes"]] == [ids.show("evt", key) for key in made[1:]]
    before = found["events"]["pageInfo"]["startCursor"]
    earlier = await crm.data(f'{{ events(last: 2, before: "{before}") {{ nodes {{ id }} }} }}', reader)
    assert [n["id"] for n in earlier["events"]["nodes"]] == [ids.show("evt", made[0])]


async def test_a_page_is_one_statement_and_one_plan_for_all_positions(crm: Kit, reader: Any) -> None:
    await recorded(crm, *(made_up(ids.uuid7(), 1) for _ in range(4)))
    await crm.passed_on()
    await page(crm, reader, first=3, after="0")
    with crm.statements() as sent:
        for after in ("0", "1", "999999999999"):
            await crm.ask(FEED, reader, compiled=True, first=3, after=after)
    assert len(sent) == 3
    assert len(set(sent)) == 1


async def test_the_feed_is_read_along_the_index_of_positions(crm: Kit, reader: Any) -> None:
    await recorded(crm, *(made_up(ids.uuid7(), 1, position=10_000 + n) for n in range(5_000)))
    if crm.database.dialect == "postgresql":
        async with crm.database.transaction() as session:
            await session.execute(text("ANALYZE outbox_events"))
    plan = await explained(crm, reader, after="14000", first=50)
    assert "uq_outbox_events_position" in plan or "ix_outbox_events_line_position" in plan, plan
    assert "Sort Key: t" not in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan


async def explained(crm: Kit, actor: Any, **variables: Any) -> str:
    """How the database answers the feed's statement with these values."""
    document = core_documents(crm).read(FEED)
    assert isinstance(document, DocumentNode)
    node = get_operation_ast(document)
    assert node is not None
    plan, given = crm.executor.plan_of(crm.executor.operation(document, node), variables, crm.context(actor))
    values = plan.bound(given)
    async with crm.database.connection() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if crm.database.dialect == "sqlite":
            rows = await driver.execute_fetchall("EXPLAIN QUERY PLAN " + plan.sql, values)
        else:
            rows = await driver.fetch("EXPLAIN " + plan.sql, *values)
    return "\n".join(str(tuple(row)) for row in rows)


def core_documents(crm: Kit) -> Documents:
    return Documents(core_schema(crm.schema), 5_000)
