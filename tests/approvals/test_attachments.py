"""Papers given with what people do to a request: kept, shown to whom the request is shown, and to nobody else."""

import base64
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.approvals.attached import ApprovalAttachment
from crm_core.approvals.models import Approval
from crm_core.approvals.sweeping import sweep
from crm_core.audit.models import AuditEntry
from crm_core.customers.models import CustomerDocument
from crm_core.outbox.models import OutboxEvent
from crm_core.papers import Incoming, find, keep, remove, untouched
from crm_core.testing.kit import Kit
from tests.approvals.link_kit import Post, words
from tests.approvals.test_gate import deals, hold, shown
from tests.approvals.test_verbs import SIGNS, do, look, open_, refused, task

Policy = Callable[..., Awaitable[dict[str, Any]]]
PAPERS = """query ($id: ID!) { approval(id: $id) { history attachments { totalCount nodes {
    id verb historyLine title mediaType size sha256 user { name } } } } }"""


def paper(title: str, of: bytes = b"quote", **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "mediaType": "application/pdf",
        "content": base64.b64encode(of).decode(),
        **more,
    }


async def papers(crm: Kit, approval: Mapping[str, Any], actor: Actor | None = None) -> list[dict[str, Any]]:
    found = await crm.data(PAPERS, actor, id=approval["id"])
    nodes: list[dict[str, Any]] = found["approval"]["attachments"]["nodes"]
    assert found["approval"]["attachments"]["totalCount"] == len(nodes)
    for node in nodes:
        assert found["approval"]["history"][node["historyLine"]]["verb"] == node["verb"]
    return nodes


async def titles(crm: Kit, approval: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one["verb"], one["title"]) for one in await papers(crm, approval)]


async def errors(crm: Kit, actor: Actor, approval: Mapping[str, Any], *given: Any, **more: Any) -> Any:
    body = {"id": approval["id"], "attachments": list(given)}
    payload = await crm.change("approvalAttach", actor, input=body, **more)
    return [(e["code"], e["field"]) for e in payload["userErrors"]]


@pytest.fixture
async def clerk(crm: Kit) -> Actor:
    return await crm.actor("clerk", SIGNS)


@pytest.fixture
async def chief(crm: Kit) -> Actor:
    return await crm.actor("chief", SIGNS)


@pytest.fixture
async def held(crm: Kit, policy: Policy, seller: Actor, clerk: Actor, chief: Actor) -> dict[str, Any]:
    """A deal that the clerk has to sign, then the chief."""
    stages = [{"slots": [{"userId": shown(one)}]} for one in (clerk, chief)]
    given = {"name": "two", "commands": ["deal.create"], "stages": stages, "withdrawDays": 5}
    await crm.done("approvalPolicySet", acting="east", input=given)
    return await hold(crm, seller)


async def test_a_paper_given_with_a_signature_is_kept_and_stands_at_its_line_of_the_history(
    crm: Kit, held: dict[str, Any], clerk: Actor
) -> None:
    await do(
        crm, clerk, "Approve", held, comment="see there", attachments=[paper("报价单"), paper("b", b"b")]
    )
    first, second = await papers(crm, held)
    assert (first["title"], first["verb"], first["size"], first["user"]) == (
        "报价单", "approve", 5, {"name": "clerk"},
    )  # fmt: skip
    assert second["title"] == "b"
    rows = await crm.rows(ApprovalAttachment)
    assert {(crm.services.store / row.path).read_bytes() for row in rows} == {b"quote", b"b"}
    assert {row.created_at for row in rows} == {crm.clock()}


async def test_every_verb_with_a_comment_takes_papers(
    crm: Kit, held: dict[str, Any], seller: Actor, clerk: Actor, chief: Actor
) -> None:
    wang, li = await crm.actor("wang", SIGNS), await crm.actor("li", SIGNS)

    def with_paper(verb: str) -> dict[str, Any]:
        return {"comment": verb, "attachments": [paper(verb, verb.encode())]}

    await do(crm, seller, "Copy", held, users=[shown(li)], **with_paper("copy"))
    await do(crm, seller, "Urge", held, **with_paper("urge"))
    now = await do(crm, clerk, "Return", held, **with_paper("return"))
    now = await do(crm, seller, "Resubmit", held, **with_paper("resubmit"))
    now = await do(
        crm, clerk, "Transfer", held, task=task(now, "clerk"), to=shown(wang), **with_paper("transfer")
    )
    now = await do(
        crm, wang, "Delegate", held, task=task(now, "wang"), to=shown(li), **with_paper("delegate")
    )
    now = await do(crm, li, "Approve", held, **with_paper("approve"))
    added = {"task": task(now, "wang"), "users": [shown(li)], "how": "PARALLEL"}
    now = await do(crm, wang, "AddSigner", held, **added, **with_paper("add"))
    now = await do(crm, wang, "RemoveSigner", held, task=task(now, "li"), **with_paper("remove"))
    now = await do(crm, wang, "Attach", held, **with_paper("attach"))
    assert open_(now) == ["wang"]
    await do(crm, wang, "Approve", held)
    await do(crm, chief, "Reject", held, **with_paper("reject"))
    verbs = [
        "copy",
        "urge",
        "return",
        "resubmit",
        "transfer",
        "delegate",
        "approve",
        "add",
        "remove",
        "attach",
        "reject",
    ]
    assert await titles(crm, held) == [(verb, verb) for verb in verbs]


async def test_taking_back_ending_and_handing_in_take_papers_too(
    crm: Kit, held: dict[str, Any], seller: Actor, clerk: Actor, manager: Actor
) -> None:
    await do(crm, seller, "Withdraw", held, attachments=[paper("a")])
    assert await titles(crm, held) == [("withdraw", "a")]
    other = await hold(crm, seller, input={"title": "VW"})
    await do(crm, manager, "Terminate", other, comment="no", attachments=[paper("b")])
    assert await titles(crm, other) == [("terminate", "b")]
    stages = [{"slots": [{"userId": shown(clerk)}]}]
    given = {"name": "forms", "document": "ControlledDocument", "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    form = {"documentKind": "POLICY", "number": "ZD-1", "title": "制度", "department": "x", "pages": 1}
    steward = await crm.actor("steward", role="steward")
    drafted = await crm.done(
        "controlledDocumentDraft", steward, input=form, acting="east", select="controlledDocument { id }"
    )
    record = drafted["controlledDocument"]["id"]
    wish = {"record": record, "attachments": [paper("c")]}
    asked = await crm.done("approvalSubmit", steward, input=wish, acting="east", select="approval { id }")
    assert await titles(crm, asked["approval"]) == [("submit", "c")]
    told = {
        r.kind: len(r.data["attachments"]) for r in await crm.rows(OutboxEvent) if r.data.get("attachments")
    }
    assert told["approval.attached"] == 1


async def test_who_asked_and_who_is_asked_may_add_papers_while_it_waits(
    crm: Kit, held: dict[str, Any], seller: Actor, clerk: Actor, chief: Actor, manager: Actor
) -> None:
    await do(crm, seller, "Copy", held, users=[shown(chief)])
    await do(crm, seller, "Attach", held, comment="as wanted", attachments=[paper("from seller")])
    now = await do(crm, clerk, "Attach", held, attachments=[paper("from clerk")])
    assert (now["state"], open_(now)) == ("PENDING", ["clerk"])
    assert await errors(crm, chief, held, paper("x")) == [
        ("APPROVAL_NOT_YOURS", "id")
    ]  # his turn comes later
    assert await errors(crm, manager, held, paper("x")) == [("APPROVAL_NOT_YOURS", "id")]
    await do(crm, clerk, "Return", held)
    await do(crm, seller, "Attach", held, attachments=[paper("again")])
    assert await errors(crm, clerk, held, paper("x")) == [("APPROVAL_NOT_YOURS", "id")]
    await do(crm, seller, "Withdraw", held)
    assert await errors(crm, seller, held, paper("x")) == [("APPROVAL_FINISHED", "id")]
    assert [title for _, title in await titles(crm, held)] == ["from seller", "from clerk", "again"]
    history = (await crm.data(PAPERS, id=held["id"]))["approval"]["history"]
    assert [h["comment"] for h in history if h["verb"] == "attach"] == ["as wanted", "", ""]


async def test_any_holder_of_the_role_that_is_asked_may_add_papers(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    await do(crm, manager, "Attach", held, attachments=[paper("a")])
    reader = await crm.actor("reader", {"approval.read": Reach.LINE})
    assert await errors(crm, reader, held, paper("x")) == [("FORBIDDEN", None)]


async def test_attachments_are_seen_exactly_where_the_approval_is(
    crm: Kit, held: dict[str, Any], seller: Actor, clerk: Actor, chief: Actor, manager: Actor
) -> None:
    await do(crm, seller, "Attach", held, attachments=[paper("a")])
    (one,) = await papers(crm, held)
    overseer = await crm.actor("overseer", {"approval.read": Reach.LINE})
    stranger = await crm.actor("stranger", SIGNS)
    elsewhere = await crm.actor("elsewhere", role="line_manager", lines=("west",))
    ask = "query ($id: ID!) { node(id: $id) { id ... on ApprovalAttachment { title approval { id } } } }"
    for actor in (seller, clerk, manager, overseer, crm.administrator):
        for compiled in (True, False):
            answer = await crm.ask(ask, actor, id=one["id"], compiled=compiled)
            assert answer.data == {"node": {"id": one["id"], "title": "a", "approval": {"id": held["id"]}}}
    for actor in (stranger, elsewhere, chief):
        expected = None if actor is not chief else one["id"]
        for compiled in (True, False):
            found = (await crm.ask(ask, actor, id=one["id"], compiled=compiled)).data
            assert found is not None
            if expected is None:
                assert found == {"node": None}
        if actor is not chief:
            assert await errors(crm, actor, held, paper("x")) == [("NOT_FOUND", "id")]
    assert len(await crm.rows(ApprovalAttachment)) == 1


async def test_wrong_papers_are_refused_by_their_place(crm: Kit, held: dict[str, Any], seller: Actor) -> None:
    store = crm.services.store
    there = keep(store, b"there", crm.clock())
    (store / "imports").mkdir()
    (store / "imports" / there.sha256).write_bytes(b"there")
    good = paper("good")
    for wrong, where in (
        (paper("x", content="***"), "content"),
        (paper("x", content="YWJj\n"), "content"),
        (paper("x", content=""), "content"),
        ({"title": "x", "mediaType": "image/png"}, "content"),
        (paper("x", path=there.path), "content"),
        (paper("x", content=None, path="papers/" + "0" * 64), "path"),
        (paper("x", content=None, path=f"imports/{there.sha256}"), "path"),
        (paper("x", content=None, path=f"papers/../imports/{there.sha256}"), "path"),
        (paper("x", content=None, path=f"papers/{there.sha256[:2]}/../../imports/{there.sha256}"), "path"),
        (paper("x", content=None, path=f"/{store}/{there.path}"), "path"),
    ):
        assert await errors(crm, seller, held, good, wrong) == [
            ("PAPER_UNREADABLE", f"attachments.1.{where}")
        ], wrong
    for wrong, code, where in (
        (paper(" "), "INVALID_STRING_TOO_SHORT", "title"),
        (paper("x", mediaType="../etc"), "INVALID_STRING_PATTERN_MISMATCH", "mediaType"),
    ):
        assert await errors(crm, seller, held, wrong) == [(code, f"attachments.0.{where}")]
    bad = paper("x", content="***")
    assert [where for _, where in await errors(crm, seller, held, bad, good, bad)] == [
        "attachments.0.content",
        "attachments.2.content",
    ]
    assert await errors(crm, seller, held) == [("INVALID_TOO_SHORT", "attachments")]
    assert await errors(crm, seller, held, *[good] * 11) == [("INVALID_TOO_LONG", "attachments")]
    assert await crm.rows(ApprovalAttachment) == []
    assert (await look(crm, held))["state"] == "PENDING"


async def test_a_refusal_speaks_both_languages(crm: Kit, held: dict[str, Any], seller: Actor) -> None:
    body = {"id": held["id"], "attachments": [paper("x", content="***")]}
    for language, said in (("en", "The paper cannot be read"), ("zh-CN", "资料无法读取")):
        payload = await crm.change("approvalAttach", seller, input=body, language=language)
        assert said in payload["userErrors"][0]["message"]


async def test_a_paper_that_is_in_the_store_is_referred_to(
    crm: Kit, held: dict[str, Any], seller: Actor
) -> None:
    there = keep(crm.services.store, b"large", crm.clock())
    await do(crm, seller, "Attach", held, attachments=[paper("a", content=None, path=there.path)])
    (one,) = await papers(crm, held)
    assert (one["sha256"], one["size"]) == (there.sha256, 5)


async def test_a_refused_verb_leaves_no_attachment(
    crm: Kit, held: dict[str, Any], chief: Actor, seller: Actor
) -> None:
    await do(crm, seller, "Copy", held, users=[shown(chief)])
    assert await refused(crm, chief, "Approve", held, attachments=[paper("a")]) == ["APPROVAL_NOT_YOURS"]
    payload = await crm.done(
        "approvalAttach", seller, input={"id": held["id"], "attachments": [paper("b")]}, dryRun=True,
        select="approval { attachments { nodes { title } } }",
    )  # fmt: skip
    assert payload["approval"]["attachments"]["nodes"] == [{"title": "b"}]
    assert await crm.rows(ApprovalAttachment) == []
    assert not (crm.services.store / "papers").exists()


async def test_audit_and_events_name_the_papers_and_hold_nothing_of_them(
    crm: Kit, held: dict[str, Any], seller: Actor, clerk: Actor, chief: Actor
) -> None:
    secret = b"the very secret text of the paper"
    await do(crm, clerk, "Approve", held, attachments=[paper("a", secret)])
    await do(crm, chief, "Approve", held, attachments=[paper("b", secret)])
    rows = await crm.rows(ApprovalAttachment)
    everything = (
        str(await crm.rows(AuditEntry)) + str(await crm.rows(OutboxEvent)) + str(await crm.rows(Approval))
    )
    assert base64.b64encode(secret).decode() not in everything
    (entry,) = [
        r for r in await crm.rows(AuditEntry) if r.kind == "approval.approve" and r.actor_id == clerk.user_id
    ]
    assert entry.command["attachments"].startswith("*** ")
    (change,) = [c for c in entry.changes if c["table"] == "approval_attachments"]
    assert (change["after"]["title"], change["after"]["sha256"]) == ("a", rows[0].sha256)
    told = {r.kind: r.data["attachments"] for r in await crm.rows(OutboxEvent) if r.data.get("attachments")}
    a, b = (ids.show("att", row.id) for row in sorted(rows, key=lambda row: row.id))
    assert told == {"approval.signed": [a], "approval.decided": [b]}
    assert [deal["title"] for deal in await deals(crm)] == ["Audi"]


async def test_the_page_behind_a_link_shows_titles_and_sizes(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    post = Post(crm)
    post.configure()
    await post.reachable(clerk)
    await policy("deal.create", {"userId": shown(clerk)})
    asked = await hold(crm, seller)
    (link,) = await post.links(clerk)
    assert "Attachments" not in words(await post.get(link))
    before = await post.get(link)
    await do(crm, seller, "Attach", asked, attachments=[paper("<b>报价</b>", b"x" * 2048)])
    page = await post.get(link)
    assert "added papers" in words(page)
    assert "Attachments <b>报价</b> 2.0 KB" in words(page)
    assert "<b>报价" not in page.text
    assert before.text != page.text
    assert "附件 <b>报价</b> 2.0 KB" in words(await post.get(link, "zh-CN"))


async def test_what_is_attached_after_the_page_was_opened_has_to_be_looked_at(
    crm: Kit, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    post = Post(crm)
    post.configure()
    await post.reachable(clerk)
    await policy("deal.create", {"userId": shown(clerk)})
    asked = await hold(crm, seller)
    (link,) = await post.links(clerk)
    form = (await post.get(link)).text.split('name="form" value="')[1].split('"')[0]
    await do(crm, seller, "Attach", asked, attachments=[paper("a")])
    assert (await post.post(link, form=form)).status_code == 409
    assert (await post.post(link)).status_code == 200


class TestSettings:
    @pytest.fixture
    def crm_settings(self) -> Mapping[str, Any]:
        return {"rooms": {"approvals": {"attachments": 2, "attachment_bytes": 10}}}

    async def test_how_many_and_how_large_are_settings(
        self, crm: Kit, held: dict[str, Any], seller: Actor
    ) -> None:
        small, large = paper("a", b"0123456789"), paper("b", b"0123456789a")
        await do(crm, seller, "Attach", held, attachments=[small, small])
        assert await errors(crm, seller, held, small, small, small) == [("TOO_MANY", "attachments")]
        unreadable = "PAPER_UNREADABLE"
        assert await errors(crm, seller, held, small, large) == [(unreadable, "attachments.1.content")]
        there = keep(crm.services.store, b"0123456789a", crm.clock())
        wrong = paper("c", content=None, path=there.path)
        assert await errors(crm, seller, held, wrong) == [(unreadable, "attachments.0.path")]


# -- papers nobody refers to


async def test_papers_that_nothing_refers_to_are_removed_after_a_week(
    crm: Kit, held: dict[str, Any], seller: Actor
) -> None:
    store = crm.services.store
    await do(crm, seller, "Attach", held, attachments=[paper("a", b"attached")])
    spare = keep(store, b"spare", crm.clock())
    unfinished = Incoming(store)  # its process is gone
    (partial,) = (store / "papers" / ".incoming").iterdir()
    os.utime(partial, (crm.clock().timestamp(), crm.clock().timestamp()))
    (row,) = await crm.rows(ApprovalAttachment)
    crm.clock.advance(days=6, hours=23)
    assert await sweep(crm.services) == 0
    assert partial.exists()
    again = keep(store, b"again", crm.clock())
    crm.clock.advance(days=1)
    assert await sweep(crm.services) == 1
    assert not (store / spare.path).exists()
    assert [(store / path).is_file() for path in (row.path, again.path)] == [True, True]
    assert list(partial.parent.iterdir()) == []
    unfinished.close()


async def test_a_paper_referred_to_while_papers_are_looked_through_is_kept(crm: Kit) -> None:
    store, now = crm.services.store, crm.clock()
    spare = keep(store, b"spare", now)
    week_later = now + timedelta(days=7, seconds=1)
    assert untouched(store, spare.sha256[:2], week_later) == [spare.path]
    assert find(store, spare.path, week_later) == spare  # meanwhile a command refers to it
    assert not remove(store, spare.path, week_later)
    assert (store / spare.path).read_bytes() == b"spare"
    assert remove(store, spare.path, week_later + timedelta(days=7))
    assert find(store, spare.path, now) is None
    assert not remove(store, spare.path, week_later)


async def test_a_paper_put_in_again_is_as_good_as_new(crm: Kit) -> None:
    store = crm.services.store
    spare = keep(store, b"spare", crm.clock())
    crm.clock.advance(days=8)
    assert keep(store, b"spare", crm.clock()) == spare
    assert await sweep(crm.services) == 0
    assert (store / spare.path).read_bytes() == b"spare"
    assert untouched(store, spare.sha256[:2], crm.clock()) == []


async def test_a_paper_of_a_command_that_waits_is_kept(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    customer = await crm.done(
        "customerCreate",
        input={"name": "华信", "kind": "ORGANISATION"},
        acting="east",
        select="customer { id }",
    )
    spare = keep(crm.services.store, b"licence", crm.clock())
    await policy("customer.file_document")
    given = {
        "id": customer["customer"]["id"], "category": "OTHER", "title": "x", "origin": "OTHER",
        "mediaType": "image/png", "path": spare.path,
    }  # fmt: skip
    asked = await crm.done("customerFileDocument", input=given, acting="east", select="approval { id }")
    crm.clock.advance(days=30)
    assert await sweep(crm.services) == 0
    await do(crm, manager, "Approve", asked["approval"])
    crm.clock.advance(days=30)
    assert await sweep(crm.services) == 0
    (row,) = await crm.rows(CustomerDocument)
    assert (row.path, json.dumps(row.title)) == (spare.path, '"x"')


async def test_a_verb_without_papers_costs_no_further_statement(
    crm: Kit, policy: Policy, seller: Actor, manager: Actor
) -> None:
    await policy("deal.create")
    held = await hold(crm, seller)
    with crm.statements() as sent:
        await crm.perform("approval.approve", {"id": held["id"]}, manager, line="east")
    assert not [one for one in sent if "approval_attachments" in one]
