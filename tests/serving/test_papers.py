"""Papers over HTTP: who may fetch and bring them, what the answers say, on both databases."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column
from starlette.applications import Starlette
from starlette.routing import Route

from crm_core import hookimpl
from crm_core.access.authentication import Authenticator
from crm_core.actors import Actor, Reach
from crm_core.approvals.attached import ApprovalAttachment
from crm_core.db.base import Base, LineCode, Personal
from crm_core.errors import Unavailable
from crm_core.graphql import Id, ObjectType, field
from crm_core.loader import Candidate
from crm_core.logs import logger
from crm_core.papers import PaperRecord, keep
from crm_core.papers_http import PAPER_ROUTE, PAPERS_ROUTE, Desk, Papers, filing_scopes
from crm_core.settings import Limits
from crm_core.testing.kit import Kit
from tests.serving.conftest import Web

SIGNS = {"approval.sign": Reach.LINE, "approval.read": Reach.OWN, "approval.request": Reach.OWN}
MOST = 1_000_000


@dataclass
class Counter:
    """Papers over HTTP before a deployment of the kit."""

    crm: Kit
    log: io.StringIO
    away: bool = False

    async def desk(self) -> Desk:
        if self.away:
            raise Unavailable("The database does not answer (数据库无响应)")
        return Desk(self.crm.services, Authenticator(self.crm.services))

    @property
    def client(self) -> httpx.AsyncClient:
        papers = Papers(self.desk, logger("debug", self.log))
        routes = [
            Route(PAPERS_ROUTE, papers.take, methods=["POST"]),
            Route(PAPER_ROUTE, papers.give, methods=["GET"]),
        ]
        transport = httpx.ASGITransport(Starlette(routes=routes), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://crm")

    async def ask(self, method: str, path: str, actor: Actor | None = None, **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if actor is not None:
            headers["authorization"] = f"Bearer {await self.crm.token(actor)}"
        async with self.client as client:
            return await client.request(method, path, headers=headers, **more)

    async def get(self, paper: str, actor: Actor | None = None, **more: Any) -> httpx.Response:
        return await self.ask("GET", f"/papers/{paper}", actor, **more)

    async def bring(self, content: bytes, actor: Actor | None = None, **more: Any) -> httpx.Response:
        return await self.ask("POST", "/papers", actor, content=content, **more)


def code(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    assert not error["message"].isascii(), "in both languages"
    return str(error["extensions"]["code"])


class Scan(PaperRecord):
    """A paper of a made-up plugin."""

    __tablename__ = "scans_scans"
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    note: Mapped[str] = mapped_column(String(20))


class Scans:
    """The hooks of that plugin."""

    @hookimpl
    def crm_tables(self) -> Sequence[type[Base]]:
        return (Scan,)

    @hookimpl
    def crm_migrations(self) -> Path:
        return Path(__file__).parent / "scans_revisions"

    @hookimpl
    def crm_types(self) -> Sequence[ObjectType]:
        fields = (field("id", Id("sca"), "Id.", nullable=False), field("note", str, "Note."))
        return (
            ObjectType(
                name="Scan", table=Scan.__table__, model=Scan, prefix="sca", description="A scan.", fields=fields,
                rule=lambda t, access, _scope: t.c.line.in_(access.actor.lines), scope="approval.read",
            ),
        )  # fmt: skip


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": (), "west": ("scans",)}


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (Candidate("scans", "1.0", "crm-scans", (), Scans),)


@pytest.fixture
def crm_settings() -> Mapping[str, Any]:
    return {"limits": Limits(statement_seconds=60, paper_bytes=MOST)}


@pytest.fixture
def counter(crm: Kit) -> Counter:
    return Counter(crm, io.StringIO())


@pytest.fixture
async def salesman(crm: Kit) -> Actor:
    return await crm.actor("salesman", role="sales")


@pytest.fixture
async def manager(crm: Kit) -> Actor:
    return await crm.actor("manager", role="line_manager")


@pytest.fixture
async def licence(crm: Kit, salesman: Actor, manager: Actor) -> str:
    """A paper in the archive of the salesman's customer."""
    given = {"name": "华信", "kind": "ORGANISATION"}
    made = await crm.done("customerCreate", salesman, input=given, select="customer { id }")
    paper = {
        "id": made["customer"]["id"], "category": "BUSINESS_LICENCE", "title": "营业执照 副本/1", "origin": "OTHER",
        "mediaType": "application/pdf", "content": base64.b64encode(b"licence").decode(),
    }  # fmt: skip
    filed = await crm.done("customerFileDocument", manager, input=paper, select="customerDocument { id }")
    return str(filed["customerDocument"]["id"])


@pytest.fixture
async def quote(crm: Kit, salesman: Actor, manager: Actor, licence: str) -> str:
    """A paper that the salesman attached to what the manager has to sign."""
    given = {"name": "p", "commands": ["customer.create"], "stages": [{"slots": [{"role": "line_manager"}]}]}
    await crm.done("approvalPolicySet", manager, input=given)
    wish = {"name": "远大", "kind": "ORGANISATION"}
    held = await crm.done("customerCreate", salesman, input=wish, select="approval { id }")
    paper = {"title": "报价", "mediaType": "text/html", "content": base64.b64encode(b"<b>quote</b>").decode()}
    body = {"id": held["approval"]["id"], "attachments": [paper]}
    select = "approval { attachments { nodes { id } } }"
    attached = await crm.done("approvalAttach", salesman, input=body, select=select)
    return str(attached["approval"]["attachments"]["nodes"][0]["id"])


# -- fetching


async def test_a_paper_is_answered_whole_and_as_nothing_a_browser_would_run(
    counter: Counter, quote: str, salesman: Actor
) -> None:
    answer = await counter.get(quote, salesman)
    digest = hashlib.sha256(b"<b>quote</b>").hexdigest()
    assert (answer.status_code, answer.content) == (200, b"<b>quote</b>")
    headers = answer.headers
    assert headers["content-type"].startswith("text/html")
    assert headers["content-length"] == "12"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["etag"] == f'"{digest}"'
    assert "sandbox" in headers["content-security-policy"]
    assert headers["cache-control"] == "private, no-cache"
    assert headers["content-disposition"] == "attachment; filename*=utf-8''%E6%8A%A5%E4%BB%B7.html"


async def test_the_name_of_the_file_is_one_that_file_systems_take(
    counter: Counter, licence: str, manager: Actor
) -> None:
    answer = await counter.get(licence, manager)
    name = "%E8%90%A5%E4%B8%9A%E6%89%A7%E7%85%A7%20%E5%89%AF%E6%9C%AC_1.pdf"
    assert answer.headers["content-disposition"] == f"attachment; filename*=utf-8''{name}"
    assert answer.content == b"licence"


async def test_what_the_caller_has_already_is_not_sent_again(
    counter: Counter, quote: str, licence: str, salesman: Actor
) -> None:
    tag = (await counter.get(quote, salesman)).headers["etag"]
    for given in (tag, f'"x", W/{tag}', "*"):
        again = await counter.get(quote, salesman, headers={"if-none-match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await counter.get(licence, salesman, headers={"if-none-match": tag})).status_code == 200
    stranger = await counter.crm.actor("stranger", SIGNS)
    assert (await counter.get(quote, stranger, headers={"if-none-match": tag})).status_code == 404


async def test_a_part_of_a_paper_and_its_headers_alone_can_be_asked_for(
    counter: Counter, quote: str, salesman: Actor
) -> None:
    part = await counter.get(quote, salesman, headers={"range": "bytes=3-7"})
    assert (part.status_code, part.content) == (206, b"quote")
    head = await counter.ask("HEAD", f"/papers/{quote}", salesman)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "12")


async def test_a_paper_is_fetched_by_who_may_read_its_record_and_is_not_there_for_others(
    counter: Counter, licence: str, quote: str, salesman: Actor, manager: Actor
) -> None:
    crm = counter.crm
    people = {
        "salesman": salesman,
        "manager": manager,
        "administrator": crm.administrator,
        "overseer": await crm.actor("overseer", {"approval.read": Reach.LINE}),
        "archivist": await crm.actor("archivist", {"customer.read": Reach.LINE}),
        "colleague": await crm.actor("colleague", role="sales"),
        "stranger": await crm.actor("stranger", SIGNS),
        "west": await crm.actor("west", role="line_manager", lines=("west",)),
    }
    found = {
        name: ((await counter.get(licence, one)).status_code, (await counter.get(quote, one)).status_code)
        for name, one in people.items()
    }
    assert found == {
        "salesman": (200, 200),
        "manager": (200, 200),
        "administrator": (200, 200),
        "overseer": (404, 200),
        "archivist": (200, 404),
        "colleague": (404, 404),
        "stranger": (404, 404),
        "west": (404, 404),
    }


async def test_a_header_narrows_what_is_fetched_to_a_line(counter: Counter, quote: str, licence: str) -> None:
    both = await counter.crm.actor("both", role="line_manager", lines=("east", "west"))
    for paper in (quote, licence):
        assert (await counter.get(paper, both, headers={"x-crm-line": "east"})).status_code == 200
        assert (await counter.get(paper, both, headers={"x-crm-line": "west"})).status_code == 404
    answer = await counter.get(quote, both, headers={"x-crm-line": "north"})
    assert (answer.status_code, code(answer)) == (400, "UNKNOWN_LINE")


async def test_ids_of_nothing_are_not_found(counter: Counter, quote: str, licence: str) -> None:
    admin = counter.crm.administrator
    approval = await counter.crm.data("{ approvals { nodes { id } } }")
    there = approval["approvals"]["nodes"][0]["id"]
    for wrong in (
        quote.replace("att_", "doc_"),
        "att_" + "0" * 32,
        "att",
        "zzz_" + "0" * 32,
        there,
        "..%2f..%2fx",
    ):
        answer = await counter.get(wrong, admin)
        assert answer.status_code == 404, wrong
        if "%2f" not in wrong:
            assert code(answer) == "NOT_FOUND"


async def test_nothing_is_told_without_a_token(counter: Counter, quote: str, licence: str) -> None:
    for paper in (quote, licence, "att_" + "0" * 32):
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic x"}):
            answer = await counter.get(paper, headers=headers)
            assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED")
            assert answer.headers["www-authenticate"] == 'Bearer realm="crm"'
    answer = await counter.bring(b"x")
    assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED")


async def test_a_file_that_is_gone_or_changed_is_not_passed_off_as_the_paper(
    counter: Counter, quote: str, salesman: Actor
) -> None:
    (row,) = await counter.crm.rows(ApprovalAttachment)
    file = counter.crm.services.store / row.path
    file.write_bytes(b"<b>other quote</b>")
    damaged = await counter.get(quote, salesman)
    assert (damaged.status_code, code(damaged)) == (500, "PAPER_DAMAGED")
    file.unlink()
    gone = await counter.get(quote, salesman)
    assert (gone.status_code, code(gone)) == (404, "NOT_FOUND")
    assert "paper is not what it was" in counter.log.getvalue()


async def test_papers_of_a_plugin_are_fetched_in_the_same_way(counter: Counter) -> None:
    crm = counter.crm
    paper = keep(crm.services.store, b"scan", crm.clock())
    scan = Scan(
        line="west", note="n", title="s", path=paper.path, sha256=paper.sha256, size=4, media_type="image/png"
    )
    async with crm.database.transaction() as session:
        session.add(scan)
        await session.flush()
    shown = f"sca_{scan.id.hex}"
    west = await crm.actor("west", {"approval.read": Reach.LINE}, lines=("west",))
    east = await crm.actor("east", {"approval.read": Reach.LINE})
    assert (await counter.get(shown, west)).content == b"scan"
    assert (await counter.get(shown, east)).status_code == 404  # its plugin is enabled in none of his lines
    blind = await crm.actor("blind", {"customer.read": Reach.LINE}, lines=("west",))
    assert (await counter.get(shown, blind)).status_code == 404


async def test_the_server_has_both_routes(web: Web) -> None:
    bearer = {"authorization": f"Bearer {web.token}"}
    brought = await web.client.post("/papers", content=b"plan", headers=bearer)
    assert (brought.status_code, brought.json()["size"]) == (201, 4)
    assert (web.services.store / brought.json()["path"]).read_bytes() == b"plan"
    absent = await web.client.get(f"/papers/att_{'0' * 32}", headers=bearer)
    assert (absent.status_code, code(absent)) == (404, "NOT_FOUND")
    assert (await web.client.get(f"/papers/att_{'0' * 32}")).status_code == 401
    assert (await web.client.get("/papers", headers=bearer)).status_code == 405
    assert [entry["status"] for entry in web.logged("paper")][:3] == [201, 404, 401]


# -- bringing


async def test_a_file_is_taken_in_and_can_be_attached(counter: Counter, salesman: Actor, quote: str) -> None:
    content = b"0123456789" * 90_000
    answer = await counter.bring(content, salesman)
    digest = hashlib.sha256(content).hexdigest()
    assert (answer.status_code, answer.json()) == (
        201, {"path": f"papers/{digest[:2]}/{digest}", "sha256": digest, "size": len(content)},
    )  # fmt: skip
    (held,) = (await counter.crm.data("{ approvals { nodes { id } } }"))["approvals"]["nodes"]
    paper = {"title": "plan.PDF", "mediaType": "application/pdf", "path": answer.json()["path"]}
    body = {"id": held["id"], "attachments": [paper]}
    select = "approval { attachments(last: 1) { nodes { id } } }"
    attached = await counter.crm.done("approvalAttach", salesman, input=body, select=select)
    fetched = await counter.get(attached["approval"]["attachments"]["nodes"][0]["id"], salesman)
    assert fetched.content == content
    assert fetched.headers["content-disposition"] == 'attachment; filename="plan.PDF"'


async def test_equal_files_are_one_and_only_its_owner_reads_it(counter: Counter, salesman: Actor) -> None:
    first, second = await asyncio.gather(counter.bring(b"same", salesman), counter.bring(b"same", salesman))
    assert first.json() == second.json()
    file = counter.crm.services.store / first.json()["path"]
    assert file.read_bytes() == b"same"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list((counter.crm.services.store / "papers" / ".incoming").iterdir()) == []


async def test_what_is_too_large_or_empty_is_refused_and_leaves_nothing(
    counter: Counter, salesman: Actor
) -> None:
    async def streamed(parts: int) -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield b"x" * (MOST // 10)

    async def chunked(parts: int) -> httpx.Response:
        return await counter.ask("POST", "/papers", salesman, content=streamed(parts))

    for answer in (await counter.bring(b"x" * (MOST + 1), salesman), await chunked(11)):
        assert (answer.status_code, code(answer)) == (413, "PAPER_TOO_LARGE")
    empty = await counter.bring(b"", salesman)
    assert (empty.status_code, code(empty)) == (400, "PAPER_EMPTY")
    store = counter.crm.services.store
    assert [one for one in store.rglob("*") if one.is_file()] == []
    assert (await counter.bring(b"x" * MOST, salesman)).status_code == 201
    assert (await chunked(10)).status_code == 201


async def test_files_are_brought_by_who_may_file_or_sign(counter: Counter) -> None:
    crm = counter.crm
    assert filing_scopes(crm.services.registry) == {
        "customer.write", "approval.sign", "approval.request", "approval.administer",
    }  # fmt: skip
    for name, scope, status in (
        ("files", "customer.write", 201),
        ("signs", "approval.sign", 201),
        ("asks", "approval.request", 201),
        ("reads", "approval.read", 403),
        ("sees", "customer.read", 403),
    ):
        actor = await crm.actor(name, {scope: Reach.OWN})
        answer = await counter.bring(b"x", actor)
        assert answer.status_code == status, name
        if status != 201:
            assert code(answer) == "FORBIDDEN"


async def test_a_database_that_is_away_is_told_as_such(counter: Counter, quote: str, salesman: Actor) -> None:
    counter.away = True
    for answer in (await counter.get(quote, salesman), await counter.bring(b"x", salesman)):
        assert (answer.status_code, code(answer)) == (503, "DATABASE_UNAVAILABLE")
        assert answer.headers["retry-after"] == "2"
