"""Signing by a link out of a mail or chat: looking changes nothing, signing works once, for one person and one task."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from crm_core.actors import Actor
from crm_core.app import create_app
from crm_core.approvals.filed import ControlledDocument
from crm_core.approvals.links import digest_of, forget, read_token, token_of
from crm_core.approvals.models import Approval, ApprovalLink, ApprovalTask
from crm_core.approvals_page import ROUTE
from crm_core.audit.models import AuditEntry
from crm_core.keyring import Keyring
from crm_core.notices.models import Notice, NoticeDelivery, NoticePreference
from crm_core.testing.kit import INDEX_KEY, KEYS, Kit
from tests.approvals.link_kit import Post, form_of, words
from tests.approvals.test_gate import deals, hold, shown
from tests.approvals.test_verbs import SIGNS, look, task

Policy = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def post(crm: Kit) -> Post:
    made = Post(crm)
    made.configure()
    return made


@pytest.fixture
async def clerk(crm: Kit, post: Post) -> Actor:
    actor = await crm.actor("clerk", SIGNS)
    await post.reachable(actor)
    return actor


@pytest.fixture
async def chief(crm: Kit, post: Post) -> Actor:
    actor = await crm.actor("chief", SIGNS)
    await post.reachable(actor)
    return actor


@pytest.fixture
async def link(crm: Kit, post: Post, policy: Policy, seller: Actor, clerk: Actor) -> str:
    """The clerk's link to a new deal."""
    await policy("deal.create", {"userId": shown(clerk)})
    await hold(crm, seller, reason="urgent <b>today</b>", input={"note": "private"})
    (found,) = await post.links(clerk)
    return found


async def everything(crm: Kit) -> str:
    """All that the database holds, as text."""
    owned = crm.services.registry.tables.values()
    tables = sorted((model.__table__ for models in owned for model in models), key=lambda table: table.name)
    rows = [(table.name, await crm.database.fetch(select(table))) for table in tables]
    return "\n".join(f"{name}: {[tuple(row) for row in found]}" for name, found in rows)


async def state(crm: Kit) -> str:
    (row,) = await crm.rows(Approval)
    return str(row.state)


async def test_the_page_shows_who_asks_for_what_and_why(post: Post, link: str) -> None:
    page = await post.get(link)
    assert page.status_code == 200
    text = words(page)
    for wanted in ("signed deal.create", "seller", "east", "urgent <b>today</b>", "Audi", "CNY 200,000.00"):
        assert wanted in text, wanted
    assert "<b>today</b>" not in page.text
    assert text.count("Approve") == 1
    assert "private" not in text  # the API masks a deal's note to the clerk
    assert "Note ***" in text.replace("— ", "")


async def test_the_page_speaks_the_readers_language(crm: Kit, post: Post, link: str, clerk: Actor) -> None:
    assert "申请人" in words(await post.get(link, "zh-CN,zh;q=0.9,en;q=0.5"))
    assert "Asked for by" in words(await post.get(link, "en-GB"))
    async with crm.database.transaction() as session:
        session.add(_preference(crm, clerk))
    page = await post.get(link, "en")
    assert 'lang="zh-CN"' in page.text
    assert "变更内容" in words(page)
    assert "200,000.00 元" in words(page)


def _preference(crm: Kit, actor: Actor) -> Any:
    return NoticePreference(
        user_id=actor.user_id, channel="post", enabled=True, kinds=["*"], language="zh-CN",
        created_at=crm.clock(),
    )  # fmt: skip


async def test_looking_changes_nothing_however_often(crm: Kit, post: Post, link: str) -> None:
    before = await everything(crm)
    async with post.browser() as client:
        for _ in range(3):
            assert (await client.get(link)).status_code == 200
            assert (await client.head(link)).status_code == 200
            assert (await client.get(link, params={"choice": "approve", "form": "x"})).status_code == 200
        for method in ("PUT", "DELETE", "OPTIONS"):
            assert (await client.request(method, link)).status_code == 405
    assert await everything(crm) == before


async def test_signing_performs_the_change_as_the_normal_command_does(
    crm: Kit, post: Post, link: str, clerk: Actor
) -> None:
    done = await post.post(link, comment="可以 & <fine>\r\nas it is")
    assert done.status_code == 200
    assert "You have approved. signed deal.create The request is now: Approved." in words(done)
    assert [deal["title"] for deal in await deals(crm)] == ["Audi"]
    (signed,) = [r for r in await crm.rows(ApprovalTask) if r.answer == "APPROVE"]
    assert (signed.signer_id, signed.comment) == (clerk.user_id, "可以 & <fine>\nas it is")
    audit = [r for r in await crm.rows(AuditEntry) if r.kind == "approval.approve"]
    assert [(r.actor_id, r.channel, r.token_id) for r in audit] == [(clerk.user_id, "link", None)]


@pytest.mark.parametrize(("choice", "becomes"), [("reject", "REJECTED"), ("return", "RETURNED")])
async def test_rejecting_and_returning_work_too(
    crm: Kit, post: Post, link: str, choice: str, becomes: str
) -> None:
    assert (await post.post(link, choice, "no")).status_code == 200
    assert await state(crm) == becomes
    assert await deals(crm) == []


async def test_a_link_works_once(crm: Kit, post: Post, link: str) -> None:
    form = form_of(await post.get(link))
    await post.post(link)
    for page in (await post.get(link), await post.post(link, form=form)):
        assert page.status_code == 410
        assert "used already" in words(page)
        assert "已使用过" in words(page)
        assert "Audi" not in page.text
    assert len(await deals(crm)) == 1


async def test_of_two_presses_at_once_one_counts(crm: Kit, post: Post, link: str) -> None:
    form = form_of(await post.get(link))
    async with post.browser() as client:
        pressed = [client.post(link, data={"form": form, "choice": c}) for c in ("approve", "reject") * 3]
        answers = await asyncio.gather(*pressed)
    assert sorted(a.status_code for a in answers) == [200, 410, 410, 410, 410, 410]
    answered = [r for r in await crm.rows(ApprovalTask) if r.answer is not None]
    assert len(answered) == 1


async def test_the_form_of_the_page_is_needed(crm: Kit, post: Post, link: str) -> None:
    form = form_of(await post.get(link))
    async with post.browser() as client:
        for given in ({"x": "y"}, {"choice": "approve"}, {"choice": "approve", "form": "0" * 32}):
            page = await client.post(link, data=given)
            assert page.status_code == 409
            assert "look again" in words(page)
        assert (await client.post(link, json={"choice": "approve"})).status_code == 400
        assert (await client.post(link, data={"comment": "x" * 70_000})).status_code == 400
        odd = await client.post(link, data={"choice": "burn", "form": form})
        assert odd.status_code == 400
    assert await state(crm) == "PENDING"


async def test_a_refused_signature_leaves_the_link_usable(crm: Kit, post: Post, link: str) -> None:
    for comment, status in (("x" * 2001, 422), ("a\0b", 422), ("fine", 200)):
        page = await post.post(link, comment=comment)
        assert page.status_code == status, comment[:5]
    assert await state(crm) == "APPROVED"


async def test_an_expired_link_is_dead(crm: Kit, post: Post, link: str) -> None:
    form = form_of(await post.get(link))
    crm.clock.advance(hours=72)
    for page in (await post.get(link), await post.post(link, form=form)):
        assert page.status_code == 410
        assert "已过期" in words(page)
    assert await state(crm) == "PENDING"


async def test_how_long_a_link_lives_is_a_setting(
    crm: Kit, post: Post, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    post.configure(approvals={"link_hours": 5})
    await policy("deal.create", {"userId": shown(clerk)})
    await hold(crm, seller)
    await post.links(clerk)
    (row,) = await crm.rows(ApprovalLink)
    assert row.expires_at - row.made_at == timedelta(hours=5)


async def test_what_was_decided_elsewhere_is_said(crm: Kit, post: Post, link: str, clerk: Actor) -> None:
    form = form_of(await post.get(link))
    (row,) = await crm.rows(Approval)
    await crm.done("approvalReject", clerk, input={"id": f"apr_{row.id.hex}"})
    for page in (await post.get(link), await post.post(link, form=form)):
        assert page.status_code == 409
        assert "The request is now: Rejected." in words(page)


async def test_a_disabled_users_link_is_dead(crm: Kit, post: Post, link: str, clerk: Actor) -> None:
    form = form_of(await post.get(link))
    await crm.done("userUpdate", input={"id": shown(clerk), "disabled": True})
    for page in (await post.get(link), await post.post(link, form=form)):
        assert (page.status_code, "不再由您审批" in words(page)) == (403, True)
    assert await state(crm) == "PENDING"


async def test_rights_are_those_of_the_moment_of_signing(
    crm: Kit, post: Post, link: str, clerk: Actor
) -> None:
    form = form_of(await post.get(link))
    await crm.done("roleRevoke", input={"userId": shown(clerk), "role": "role of clerk", "line": "east"})
    assert (await post.post(link, form=form)).status_code == 403
    assert await state(crm) == "PENDING"


async def test_a_link_to_a_task_that_was_handed_on_is_dead_and_the_heir_has_his_own(
    crm: Kit, post: Post, link: str, clerk: Actor, chief: Actor
) -> None:
    (row,) = await crm.rows(Approval)
    held = {"id": f"apr_{row.id.hex}"}
    now = await look(crm, held)
    await crm.done("approvalTransfer", clerk, input={**held, "task": task(now, "clerk"), "to": shown(chief)})
    assert (await post.get(link)).status_code == 409
    (heirs,) = await post.links(chief)
    assert (await post.post(heirs)).status_code == 200
    assert await state(crm) == "APPROVED"


async def test_a_link_signs_its_own_task_only(
    crm: Kit, post: Post, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)}, {"role": "role of clerk"}, {"userId": shown(chief)})
    await hold(crm, seller)
    (link,) = await post.links(clerk)
    await post.post(link)
    assert await state(crm) == "PENDING"
    assert sorted(r.state for r in await crm.rows(ApprovalTask)) == ["DONE", "OPEN", "OPEN"]


async def test_a_token_that_was_made_up_or_changed_is_no_link(post: Post, link: str) -> None:
    token = link.removeprefix("/a/")
    other = Keyring.parse(Keyring.generate_text(), Keyring.generate_index_text())
    key = read_token(Keyring.parse(KEYS, INDEX_KEY), token)
    assert key is not None
    changed = token[:-1] + ("0" if token[-1] != "0" else "1")
    signed_here = token_of(
        Keyring.parse(KEYS, INDEX_KEY), key, "0" * 32
    )  # the id is right, the secret is not
    for wrong in (
        "x",
        "0" * 96,
        changed,
        token.upper(),
        token_of(other, key, "0" * 32),
        signed_here,
        "é" * 96,
    ):
        page = await post.get(f"/a/{wrong}")
        assert page.status_code == 404, wrong
        assert "not valid" in words(page)
        assert "无效" in words(page)


async def test_nothing_is_kept_framed_fetched_or_passed_on(post: Post, link: str) -> None:
    for page in (await post.get(link), await post.get("/a/x")):
        head = page.headers
        assert head["cache-control"] == "no-store"
        assert head["referrer-policy"] == "no-referrer"
        assert head["x-content-type-options"] == "nosniff"
        policy = head["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        for outside in ("<script", "http://", "https://", "src=", "url("):
            assert outside not in page.text, outside


async def test_the_token_stands_in_the_message_alone(crm: Kit, post: Post, link: str) -> None:
    token = link.removeprefix("/a/")
    await post.get(link)
    await post.get(link[:-1] + "x")
    await post.post(link, "burn")
    await post.post(link, comment="y")
    kept = await everything(crm)
    assert digest_of(token) in kept
    assert token not in kept
    assert token[32:64] not in kept  # its secret
    assert token not in post.log.getvalue()
    notices: Sequence[Any] = [*await crm.rows(Notice), *await crm.rows(NoticeDelivery)]
    assert not any("/a/" in str(tuple(row)) for row in notices)


async def test_a_fault_names_no_token(crm: Kit, post: Post, link: str) -> None:
    crm.services = replace(crm.services, keyring=None)  # type: ignore[arg-type]  # the fault
    page = await post.get(link)
    assert page.status_code == 500
    assert link.removeprefix("/a/") not in post.log.getvalue()
    assert "approval page" in post.log.getvalue()


async def test_no_link_where_none_belongs(
    crm: Kit, post: Post, policy: Policy, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    post.configure(approvals={"link_channels": ["mail"]})
    held = await hold(crm, seller)
    assert await post.links(clerk) == [f"/approvals/{held['id']}"]
    post.configure(notices={"public_url": ""})
    await hold(crm, seller, input={"title": "VW"})
    assert (await post.links(clerk))[1:] == ["None"]
    post.configure()
    third = await hold(crm, seller, input={"title": "Seat"})
    now = await look(crm, third)
    await crm.done(
        "approvalTransfer", clerk, input={"id": third["id"], "task": task(now, "clerk"), "to": shown(chief)}
    )
    assert (await post.links(clerk))[2:] == [f"/approvals/{third['id']}"]  # nothing is asked of him any more
    assert len(await crm.rows(ApprovalLink)) == 1  # the chief's


async def test_who_is_asked_by_his_role_gets_a_link_and_who_asked_gets_none(
    crm: Kit, post: Post, policy: Policy, seller: Actor, manager: Actor, chief: Actor
) -> None:
    del chief
    await post.reachable(manager, seller)
    await policy("deal.create")
    await hold(crm, seller)
    (link,) = await post.links(manager)
    assert (await post.post(link)).status_code == 200
    assert await post.links(seller) == []
    assert [m.kind for m in post.sent if m.user_id == seller.user_id] == ["approval.decided"]
    assert not any("/a/" in str(m.url) for m in post.sent if m.user_id == seller.user_id)


async def test_earlier_signatures_are_shown_with_their_comments(
    crm: Kit, post: Post, seller: Actor, clerk: Actor, chief: Actor
) -> None:
    stages = [{"name": "初审", "slots": [{"userId": shown(clerk)}]}, {"slots": [{"userId": shown(chief)}]}]
    given = {"name": "two", "commands": ["deal.create"], "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    await hold(crm, seller)
    (first,) = await post.links(clerk)
    await post.post(first, comment="价格已核实")
    (second,) = await post.links(chief)
    text = words(await post.get(second, "zh-CN"))
    assert "clerk 同意 2025-11-03 10:00 · 初审 价格已核实" in text


async def test_the_app_serves_the_page(crm: Kit) -> None:
    app = create_app(crm.services.settings, candidates=())
    assert ROUTE in [getattr(route, "path", "") for route in app.routes]


async def test_a_record_that_is_signed_itself_is_shown_as_the_api_shows_it(
    crm: Kit, post: Post, clerk: Actor, manager: Actor
) -> None:
    stages = [{"slots": [{"userId": shown(clerk)}]}]
    given = {"name": "papers", "document": "ControlledDocument", "stages": stages}
    await crm.done("approvalPolicySet", acting="east", input=given)
    paper = {
        "documentKind": "POLICY",
        "number": "ZD-055",
        "title": "客户档案管理制度",
        "department": "市场部",
        "pages": 12,
    }
    made = await crm.done("controlledDocumentDraft", manager, input=paper, select="controlledDocument { id }")
    await crm.done("approvalSubmit", manager, input={"record": made["controlledDocument"]["id"]})
    (link,) = await post.links(clerk)
    hidden = words(await post.get(link, "zh-CN"))
    assert "市场部" not in hidden  # the clerk may not read controlled documents
    await crm.done("roleGrant", input={"userId": shown(clerk), "role": "team_leader", "line": "east"})
    text = words(await post.get(link, "zh-CN"))
    assert "单据内容" in text
    for pair in ("文件编号 ZD-055", "制度名称 客户档案管理制度", "执行部门 市场部", "页数 12"):
        assert pair in text, pair
    form = form_of(await post.get(link))
    async with crm.database.transaction() as session:
        found = ControlledDocument.__table__
        await session.execute(found.update().values(pages=13))
    assert (await post.post(link, form=form)).status_code == 409  # it is not what was shown
    assert (await post.post(link)).status_code == 200
    assert await state(crm) == "APPROVED"


async def test_links_that_expired_long_ago_are_forgotten(crm: Kit, post: Post, link: str) -> None:
    crm.clock.advance(days=32)
    await forget(crm.services)
    assert "已过期" in words(await post.get(link))
    crm.clock.advance(days=2)
    await forget(crm.services)
    assert (await post.get(link)).status_code == 404
    assert await crm.rows(ApprovalLink) == []


async def test_a_server_that_repeats_the_link_brings_it_into_no_table(
    crm: Kit, post: Post, policy: Policy, seller: Actor, clerk: Actor
) -> None:
    await policy("deal.create", {"userId": shown(clerk)})
    await hold(crm, seller)
    post.refusing = True
    await post.deliver()
    (row,) = [r for r in await crm.rows(NoticeDelivery) if r.user_id == clerk.user_id]
    assert row.last_error == "550 spam: https://crm.example.com***"
    post.refusing = False
    crm.clock.advance(minutes=5)
    (link,) = await post.links(clerk)  # a new one
    assert (await post.get(link)).status_code == 200
    assert len(await crm.rows(ApprovalLink)) == 2
