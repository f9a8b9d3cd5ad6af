"""How statements are compiled, shared and forgotten; that answers are right is what every other test asks."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Integer, String, cast, literal, literal_column, true

from crm_core.actors import Reach
from crm_core.db.reader import EACH_TIME
from crm_core.errors import Language
from crm_core.graphql.build import core_schema
from crm_core.graphql.execution import Executor
from crm_core.graphql.fields import Filter, whole
from crm_core.graphql.plans import Plans
from crm_core.settings import Limits
from crm_core.testing.kit import Kit
from tests.graphql.filling import shelve
from tests.graphql.shelf import Item

LIST = """query ($where: ShelfItemWhere, $first: Int, $shout: Boolean = false) {
  shelfItems(where: $where, first: $first) { nodes { name amount shouted @include(if: $shout) } } }"""


@pytest.fixture
async def items(crm: Kit) -> list[Item]:
    made = [Item(line=line, name=f"{line} {n}", amount=n) for line in ("east", "north") for n in range(3)]
    await shelve(crm, made)
    return made


async def names(crm: Kit, document: str, *actor: Any, **variables: Any) -> list[str]:
    found = await crm.data(document, *actor, compiled=True, **variables)
    return [node["name"] for node in found["shelfItems"]["nodes"]]


def declare(crm: Kit, **changed: Any) -> None:
    """From now on items are declared otherwise, for compiled statements."""
    services = crm.services
    kind = replace(services.registry.types["ShelfItem"], **changed)
    types = {**services.registry.types, "ShelfItem": kind}
    dialect, limits = crm.database.reads.dialect, services.settings.limits
    crm.executor = Executor(core_schema(crm.schema), types, dialect, limits)


def built(crm: Kit) -> int:
    return crm.executor.plans.built


async def test_requests_that_differ_in_values_share_a_statement(crm: Kit, items: list[Item]) -> None:
    assert await names(crm, LIST, where={"amount": {"gte": 2}}) == ["east 2", "north 2"]
    once = built(crm)
    assert await names(crm, LIST, where={"amount": {"gte": 1}}) == ["east 1", "east 2", "north 1", "north 2"]
    assert built(crm) == once


async def test_documents_that_differ_in_literals_and_spacing_share_a_statement(
    crm: Kit, items: list[Item]
) -> None:
    text = '{ shelfItems(where: {name: {eq: "%s"}}) { nodes { name } } }'
    assert await names(crm, text % "east 1") == ["east 1"]
    once = built(crm)
    assert await names(crm, text.replace(" ", "  ") % "north 2") == ["north 2"]
    assert await names(crm, "# again\n" + text % "\\u0065ast 0") == ["east 0"]
    assert built(crm) == once


async def test_an_object_of_which_everything_is_left_out_is_empty(crm: Kit, items: list[Item]) -> None:
    key = f"she_{items[0].id.hex}"
    document = """query ($id: ID!, $no: Boolean = true) { shelfItem(id: $id) { name @skip(if: $no) }
      shelfItems(first: 2) { nodes { id @skip(if: $no) children { nodes { id @skip(if: $no) } } } edges { node { id @skip(if: $no) } }
        pageInfo { endCursor @skip(if: $no) } } }"""
    nothing: dict[str, Any] = {}
    for compiled in (True, False):
        found = await crm.data(document, compiled=compiled, id=key)
        assert found["shelfItem"] == nothing
        assert found["shelfItems"]["nodes"] == [{"children": {"nodes": []}}] * 2
        assert found["shelfItems"]["edges"] == [{"node": nothing}] * 2
        assert found["shelfItems"]["pageInfo"] == nothing


@pytest.mark.parametrize("form", ['name: {in: "%s"}', 'name: {in: ["%s"]}', 'and: {name: {in: "%s"}}'])
async def test_a_list_may_be_given_as_its_only_item(crm: Kit, items: list[Item], form: str) -> None:
    for name in ("east 1", "north 2", "none"):
        document = f"{{ shelfItems(where: {{ {form % name} }}) {{ nodes {{ name }} }} }}"
        assert await names(crm, document) == [one.name for one in items if one.name == name]
    refused = "{ shelfItems(where: { " + form % "x\\u0000" + " }) { totalCount } }"
    assert (await crm.ask(refused)).codes == ["INVALID_FILTER"]


async def test_what_a_shared_document_cannot_answer_is_told_of_the_one_that_was_sent(
    crm: Kit, items: list[Item]
) -> None:
    """Roots of Python, refused fields and functions that fail: with later literals too one statement reads the rest."""
    clerk = await crm.actor("clerk", {"shelf.read": Reach.LINE}, lines=("east",))
    text = '{ viewer { name } shelfItems(where: {name: {eq: "%s"}}) { nodes { name secret } } }'
    for name in ("east 1", "east 2", "a longer name than the others"):
        answer = await crm.ask(text % name, clerk)
        plain = await crm.ask(text % name, clerk, compiled=False)
        assert answer.compiled
        assert (answer.data, answer.errors) == (plain.data, plain.errors)
        assert bool(answer.errors) is name.startswith("east")
    assert built(crm) == 1


async def test_a_literal_that_is_no_value_of_its_type_is_refused_in_a_shared_document(
    crm: Kit, items: list[Item]
) -> None:
    text = "{ shelfItems(where: {amount: {eq: %s}}) { nodes { name } } }"
    assert await names(crm, text % "1") == ["east 1", "north 1"]
    answer = await crm.ask(text % "99999999999")
    assert answer.data is None
    assert "Int cannot represent" in answer.errors[0]["message"]


async def test_a_filter_is_refused_though_nothing_of_the_rows_is_asked_for(
    crm: Kit, items: list[Item]
) -> None:
    for compiled in (None, False):
        answer = await crm.ask("{ customers(where: { id: { ne: 7 } }) { __typename } }", compiled=compiled)
        assert answer.codes == ["INVALID_ID"]
        answer = await crm.ask('{ customers(after: "no cursor") { __typename } }', compiled=compiled)
        assert answer.codes == ["INVALID_PAGE"]


@pytest.mark.parametrize(
    "where",
    [
        '{ id: { ne: $id }, search: "😀" }',
        "{ and: [{ or: [] }, { id: { ne: $id } }] }",
        "{ or: [{ and: [] }, { id: { ne: $id } }] }",
        "{ or: [{ id: { ne: $id } }, { name: null }] }",
        "{ not: { or: [{}, { id: { ne: $id } }] } }",
        "{ id: { ne: $id, in: [] } }",
        '{ contacts: { id: { ne: $id }, search: "😀" } }',
    ],
)
async def test_a_filter_is_refused_though_another_decides_the_answer_alone(crm: Kit, where: str) -> None:
    nobody = await crm.actor(
        "nobody", {"customer.read": Reach.OWN, "contact.read": Reach.OWN}, lines=("north",)
    )
    for actor in (None, nobody):
        for asked in ("totalCount", "nodes { id }", "__typename"):
            text = f"query($id: ID) {{ customers(where: {where}) {{ {asked} }} }}"
            codes = [(await crm.ask(text, actor, compiled=one, id="7")).codes for one in (None, False)]
            assert codes == [["INVALID_ID"]] * 2, (actor, asked)


async def test_of_a_wrong_order_and_a_wrong_filter_the_order_is_told_however_it_is_answered(crm: Kit) -> None:
    wrong = 'tasks(orderBy: [$by], where: { assignee: { title: { eq: "x\\u0000" } } }) { nodes { id } }'
    for text in (f"{{ {wrong} }}", f"{{ users {{ nodes {{ {wrong} }} }} }}"):
        for compiled in (None, False):
            answer = await crm.ask(f"query ($by: TaskOrder!) {text}", compiled=compiled, by={})
            assert answer.codes == ["INVALID_PAGE"]


async def test_of_two_wrong_filters_the_same_one_is_told_however_it_is_answered(crm: Kit) -> None:
    text = "query ($where: CustomerWhere) { customers(where: $where) { nodes { id } } }"
    wrong: dict[str, Any]
    for wrong in ({"name": {"eq": None}}, {"search": "x" * 9_000}, {"or": [{}] * 101}):
        for where in ({"id": {"in": "NO_SUCH"}, **wrong}, {**wrong, "id": {"in": "NO_SUCH"}}):
            asked = [await crm.ask(text, compiled=one, where=where) for one in (None, False)]
            assert asked[0].codes == asked[1].codes != [], where


async def test_what_decides_the_form_gets_a_statement_of_its_own(crm: Kit, items: list[Item]) -> None:
    known = set[int]()
    for variables in (
        {"where": {"amount": {"gte": 2}}},
        {"where": {"amount": {"lte": 2}}},
        {"where": {"amount": {"isNull": True}}},
        {"where": {"amount": {"isNull": False}}},
        {"first": 2},
        {"first": 3},
        {"where": None},
        {"shout": True},
    ):
        await crm.data(LIST, compiled=True, **variables)
        assert built(crm) not in known, variables
        known.add(built(crm))


async def test_callers_of_the_same_reach_share_a_statement_and_see_their_own(
    crm: Kit, items: list[Item]
) -> None:
    scopes = {"shelf.read": Reach.OWN}
    anna, bert = await crm.actor("anna", scopes), await crm.actor("bert", scopes)
    await shelve(crm, [Item(line="east", name=who.name, owner_id=who.user_id) for who in (anna, bert)])
    assert await names(crm, LIST, anna) == ["anna"]
    once = built(crm)
    assert await names(crm, LIST, bert) == ["bert"]
    assert built(crm) == once
    chief = await crm.actor("chief", {"shelf.read": Reach.LINE})
    assert await names(crm, LIST, chief) == ["anna", "bert", "east 0", "east 1", "east 2"]
    assert built(crm) == once + 1


@pytest.mark.parametrize("dry", [True, False])
async def test_in_a_payload_too_callers_of_the_same_reach_see_their_own(crm: Kit, *, dry: bool) -> None:
    """A dry run is read on the connection that writes, by a statement that was built for somebody else."""
    scopes = {"shelf.read": Reach.OWN, "shelf.write": Reach.OWN}
    people = [await crm.actor(name, scopes) for name in ("anna", "bert", "carl")]
    shelves = {who.name: Item(line="east", name=who.name, owner_id=who.user_id) for who in people}
    await shelve(crm, list(shelves.values()))
    await shelve(
        crm,
        [
            Item(line="east", name=f"{who.name} in {name}", owner_id=who.user_id, parent_id=shelf.id)
            for name, shelf in shelves.items()
            for who in people
        ],
    )
    document = """mutation ($item: ID!, $dry: Boolean) { shelfChange(input: {itemId: $item, note: "n"}, dryRun: $dry) {
      shelfItem { name children { totalCount nodes { name } } } userErrors { code message } } }"""
    for who in people:
        answer = await crm.ask(document, who, item=f"she_{shelves[who.name].id.hex}", dry=dry)
        assert answer.compiled
        assert answer.data == {
            "shelfChange": {
                "shelfItem": {
                    "name": who.name,
                    "children": {"totalCount": 1, "nodes": [{"name": f"{who.name} in {who.name}"}]},
                },
                "userErrors": [],
            }
        }
    assert built(crm) == 1


async def test_a_rule_that_builds_the_caller_in_is_never_shared(crm: Kit, items: list[Item]) -> None:
    """A rule should bind `access.me()`; one that writes the id itself must not show one's rows to another."""
    declare(crm, rule=lambda t, access, _scope: t.c.owner_id == access.actor.user_id)
    for name in ("anna", "bert"):
        who = await crm.actor(name, {"shelf.read": Reach.LINE})
        assert (await crm.ask("{ shelfItems { nodes { id } } }", who)).reason == "caller"


async def test_a_filter_that_looks_at_its_value_is_asked_anew_for_each(crm: Kit, items: list[Item]) -> None:
    def by_word(t: Any, _access: Any, text: str) -> Any:
        return t.c.name.in_([f"{line} {text.strip()}" for line in ("east", "north") if text])

    declare(
        crm, filters=(Filter("longName", int, "By number.", lambda t, a, v: by_word(t, a, f" {int(v)} ")),)
    )
    document = "query ($n: Int) { shelfItems(where: {longName: $n}) { nodes { name } } }"
    assert await names(crm, document, n=1) == ["east 1", "north 1"]
    once = built(crm)
    assert await names(crm, document, n=2) == ["east 2", "north 2"]
    assert built(crm) == once


async def test_a_filter_may_compare_its_value_in_python(crm: Kit, items: list[Item]) -> None:
    def first(t: Any, _access: Any, number: int) -> Any:
        return t.c.name == "east 0" if number == 0 else t.c.name != "east 0"

    declare(crm, filters=(Filter("longName", int, "The first (0), or others.", first),))
    document = "query ($n: Int) { shelfItems(where: {longName: $n}) { nodes { name } } }"
    assert await names(crm, document, n=7) == [i.name for i in items if i.name != "east 0"]
    assert await names(crm, document, n=0) == ["east 0"]


async def test_a_filter_that_looks_at_a_part_not_known_yet_is_not_compiled(
    crm: Kit, items: list[Item]
) -> None:
    def by_number(t: Any, _access: Any, number: int) -> Any:
        return t.c.name == ("east 0" if number == 0 else "east 1")

    declare(crm, filters=(Filter("longName", int, "By number.", by_number, parts=whole),))
    assert (await crm.ask("{ shelfItems(where: {longName: 0}) { nodes { name } } }")).reason == "filter"


async def test_what_is_read_in_another_language_has_a_statement_of_its_own(
    crm: Kit, items: list[Item]
) -> None:
    declared = crm.services.registry.types["ShelfItem"].fields

    def by_language(t: Any, a: Any) -> Any:
        return literal("zh ") + t.c.name if a.actor.language == "zh-CN" else literal("en ") + t.c.name

    declare(crm, fields=tuple(replace(f, sql=by_language) if f.name == "note" else f for f in declared))
    languages: list[tuple[Language, str]] = [("en", "en "), ("zh-CN", "zh "), ("en", "en ")]
    for language, begins in languages:
        who = replace(crm.administrator, language=language)
        answer = await crm.ask("{ shelfItems(first: 1) { nodes { note } } }", who)
        assert answer.compiled
        assert answer.data == {"shelfItems": {"nodes": [{"note": f"{begins}east 0"}]}}


async def test_a_rule_that_asks_whether_one_is_in_teams_is_never_shared(crm: Kit, items: list[Item]) -> None:
    def rule(t: Any, access: Any, _scope: str) -> Any:
        return true() if access.actor.teams.get("east") else t.c.name == "east 0"

    declare(crm, rule=rule)
    team = await crm.team("front")
    inside = await crm.actor("inside", {"shelf.read": Reach.LINE}, team=team)
    outside = await crm.actor("outside", {"shelf.read": Reach.LINE})
    for who in (inside, outside):
        assert (await crm.ask(LIST, who)).reason == "caller"


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_value_the_database_refuses_does_not_spoil_the_statement(crm: Kit, items: list[Item]) -> None:
    divided = Filter(
        "longName", int, "By a divisor.", lambda t, _a, v: t.c.version > 1 / cast(v, Integer), parts=whole
    )
    declare(crm, filters=(divided,))
    document = "query ($n: Int) { shelfItems(where: {longName: $n}) { nodes { name } } }"
    assert (await crm.ask(document, n=0)).reason == "database"
    assert (await crm.ask(document, n=2)).compiled


async def test_a_root_field_of_python_stands_beside_a_statement(crm: Kit, items: list[Item]) -> None:
    document = "{ who: viewer { name } shelfItems(first: 1) { nodes { name } } __typename }"
    with crm.statements() as sent:
        found = await crm.data(document, compiled=True)
    assert found == {
        "who": {"name": "admin"},
        "shelfItems": {"nodes": [{"name": "east 0"}]},
        "__typename": "Query",
    }
    assert list(found) == ["who", "shelfItems", "__typename"]
    assert len(sent) == 1, sent


async def test_a_root_field_of_python_that_fails_is_told_alone_where_it_makes_the_answer_null(
    crm: Kit, items: list[Item]
) -> None:
    clerk = await crm.actor("clerk", {"shelf.read": Reach.LINE}, lines=("east",))
    key = f"cus_{items[0].id.hex}"
    document = f'{{ shelfItems {{ nodes {{ secret }} }} customer(id: "{key}") {{ id }} approvalInboxCounts {{ unread }} }}'
    for compiled in (None, False):
        answer = await crm.ask(document, clerk, compiled=compiled)
        assert answer.data is None
        told = [error["path"] for error in answer.errors]
        assert sorted(told) == [["approvalInboxCounts"], ["customer"]]


@pytest.mark.parametrize(
    ("where", "each"),
    [
        ({"seenAt": {"gte": "2025-11-03T00:00:00Z"}}, True),
        ({"or": [{"name": {"eq": "east 1"}}, {"not": {"day": {"lt": "2025-11-03"}}}]}, True),
        ({"seenAt": {"eq": "2025-11-03T00:00:00Z"}}, False),
        ({"seenAt": {"isNull": True}}, False),
        ({"amount": {"gt": 1}}, False),
        ({"shade": {"eq": "DARK"}}, True),
        ({"shade": {"in": ["DARK"]}}, True),
        ({"shade": {"isNull": True}}, False),
        (None, False),
    ],
)
async def test_a_list_that_depends_on_its_very_values_is_planned_for_them(
    crm: Kit, items: list[Item], where: dict[str, Any] | None, *, each: bool
) -> None:
    """How many rows lie in a span of time, or have a value that some have and others have not, no plan for all can know."""
    fields = crm.services.registry.types["ShelfItem"].fields
    declare(crm, fields=tuple(replace(one, uneven=one.name == "shade") for one in fields))
    sent: list[str] = []
    crm.database.heard.append(sent.append)
    await names(crm, LIST, where=where)
    assert [sql.startswith(EACH_TIME) for sql in sent] == [each and crm.database.dialect == "postgresql"]


@pytest.mark.parametrize("uneven", [True, False])
async def test_a_list_by_a_filter_that_some_meet_with_many_rows_is_planned_for_the_caller(
    crm: Kit, items: list[Item], *, uneven: bool
) -> None:
    own = Filter("longName", int, "At most so many.", lambda t, _a, most: t.c.amount <= most, uneven=uneven)
    declare(crm, filters=(own,))
    sent: list[str] = []
    crm.database.heard.append(sent.append)
    await names(crm, LIST, where={"or": [{"longName": 1}]})
    assert [sql.startswith(EACH_TIME) for sql in sent] == [uneven and crm.database.dialect == "postgresql"]


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_a_statement_that_asks_for_it_is_planned_each_time(crm: Kit) -> None:
    mode = "SELECT to_json(current_setting('plan_cache_mode'))"
    assert await crm.database.answer(EACH_TIME + mode, []) == b'"force_custom_plan"'
    assert await crm.database.answer(mode, []) == b'"auto"'


async def test_a_function_is_given_bytes_and_exact_numbers_as_they_are_kept(crm: Kit) -> None:
    kept = [
        (None, None),
        (b"", Decimal(0)),
        (b"\x00\xff\xc3(", Decimal("1.50")),
        ("华".encode(), Decimal("-0.10")),
    ]
    await shelve(
        crm, [Item(line="east", name=f"{n}", seal=seal, rate=rate) for n, (seal, rate) in enumerate(kept)]
    )
    document = "{ shelfItems(orderBy: [{name: ASC}]) { nodes { spelled } } }"
    for compiled in (True, False):
        found = await crm.data(document, compiled=compiled)
        assert [one["spelled"] for one in found["shelfItems"]["nodes"]] == [f"{s!r} {r!r}" for s, r in kept]


async def test_a_mutation_and_what_it_shows_is_read_by_one_statement(crm: Kit) -> None:
    made = await crm.ask(
        """mutation { shelfAdd(input: {name: "new"}, line: "east") {
          shelfItem { id name shouted children { totalCount } } userErrors { code } } }""",
        compiled=True,
    )
    assert made.errors == []
    assert made.data is not None
    shown = made.data["shelfAdd"]["shelfItem"]
    assert (shown["name"], shown["shouted"], shown["children"]) == ("new", "NEW", {"totalCount": 0})


async def test_a_payload_is_read_before_the_commit_with_the_values_of_this_request(crm: Kit) -> None:
    """What a dry run shows is read on the connection that writes; a list spelled out in SQL among its values."""
    among = Filter("longName", int, "By names.", lambda t, _a, n: t.c.name.in_([f"k{i}" for i in range(n)]))
    declare(crm, filters=(among,))
    document = """mutation ($n: Int, $dry: Boolean) { shelfAdd(input: {name: "new"}, line: "east", dryRun: $dry) {
      shelfItem { name children(where: {longName: $n}) { totalCount } } userErrors { code } } }"""
    for n in (2, 1, 3):
        for dry in (True, False):
            answer = await crm.ask(document, n=n, dry=dry)
            assert answer.errors == []
            assert answer.compiled
            assert answer.data is not None
            assert answer.data["shelfAdd"]["shelfItem"] == {"name": "new", "children": {"totalCount": 0}}


async def test_what_the_database_objects_to_is_answered_by_the_interpreter(
    crm: Kit, items: list[Item]
) -> None:
    declared = crm.services.registry.types["ShelfItem"].fields
    missing = lambda _t, _a: literal_column("no_such_column", String())  # noqa: E731
    declare(crm, fields=tuple(replace(f, sql=missing) if f.name == "note" else f for f in declared))
    answer = await crm.ask("{ shelfItems { nodes { name note } } }")
    assert answer.reason == "database"
    assert answer.data == {"shelfItems": {"nodes": [{"name": i.name, "note": None} for i in items]}}


@pytest.mark.parametrize("crm_settings", [{"limits": Limits(statement_seconds=0.3)}])
async def test_a_statement_that_takes_too_long_is_cancelled(crm: Kit, items: list[Item]) -> None:
    """The answer comes at once, and the database does not go on computing."""
    slow = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000000) "
        "SELECT '' || count(*) FROM n"
        if crm.database.dialect == "sqlite"
        else "SELECT pg_sleep(20)::text"
    )
    begun = asyncio.get_running_loop().time()
    with pytest.raises(Exception, match="took longer") as caught:
        await crm.database.answer(slow, [])
    assert getattr(caught.value, "code", None) == "STATEMENT_TIMEOUT"
    assert asyncio.get_running_loop().time() - begun < 5
    again = "SELECT '{}'" if crm.database.dialect == "sqlite" else "SELECT '{}'::json"
    assert await crm.database.answer(again, []) == b"{}"


async def test_old_plans_are_forgotten(crm: Kit, items: list[Item]) -> None:
    executor = crm.executor
    executor.plans = Plans(crm.database.reads.dialect, most=3)
    for first in range(10):
        await crm.data(f"{{ shelfItems(first: {first}) {{ totalCount }} }}", compiled=True)
    assert executor.plans.size <= 3


async def test_documents_whose_values_cannot_be_read_are_not_remembered(crm: Kit, items: list[Item]) -> None:
    plans = crm.executor.plans = Plans(crm.database.reads.dialect, most=3)
    for number in range(10):
        answer = await crm.ask(
            f'{{ a{number}: shelfItems(after: "no cursor") {{ totalCount nodes {{ id }} }} }}'
        )
        assert answer.codes == ["INVALID_PAGE"]
    assert len(plans._roots) <= 3  # what it holds is what the test is about


@pytest.mark.parametrize("crm_settings", [{"limits": Limits(statement_seconds=0.3)}])
async def test_of_a_statement_that_took_too_long_every_field_tells(crm: Kit, items: list[Item]) -> None:
    slow = literal_column(
        "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000000) SELECT count(*) FROM n)"
        if crm.database.dialect == "sqlite"
        else "(SELECT count(pg_sleep(20)))",
        Integer(),
    )
    declared = crm.services.registry.types["ShelfItem"].fields
    declare(
        crm, fields=tuple(replace(f, sql=lambda _t, _a: slow) if f.name == "amount" else f for f in declared)
    )
    one = "{ __typename a: shelfItem(id: %s) { amount } b: shelfItem(id: %s) { name } }"
    key = f'"she_{items[0].id.hex}"'
    answer = await crm.ask(one % (key, key))
    assert answer.data == {"__typename": "Query", "a": None, "b": None}
    assert [(error["path"], error["extensions"]["code"]) for error in answer.errors] == [
        (["a"], "STATEMENT_TIMEOUT"),
        (["b"], "STATEMENT_TIMEOUT"),
    ]
    both = f"{{ shelfItem(id: {key}) {{ amount }} shelfItems {{ totalCount }} viewer {{ name }} }}"
    answer = await crm.ask(both)
    assert answer.data is None, "shelfItems is never null"
    assert {error["extensions"]["code"] for error in answer.errors} == {"STATEMENT_TIMEOUT"}


def test_sqlite_has_what_statements_need() -> None:
    assert sqlite3.sqlite_version_info >= (3, 38), "aggregates with FILTER, window functions, JSON"
