"""Chat bots and web hooks, as an HTTP server on this machine gets them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import orjson
import pytest
from pydantic import ValidationError

from crm_core.notices.bots import post_of
from crm_core.notices.notifier import NoticeMessage
from crm_core.notices.settings import BotSettings, NoticesSettings
from tests.notices.conftest import Office
from tests.notices.sinks import HttpSink, Reply, certificate, http_sink

NOW = datetime(2025, 11, 3, 2, 0, tzinfo=UTC)
HOOK_KEY = b"0123456789abcdef01234567"
SECRETS = {
    "wecom": "", "dingtalk": "SECdingtalk", "feishu": "feishu-secret",
    "webhook": "whsec_" + base64.b64encode(HOOK_KEY).decode(),
}  # fmt: skip
KINDS = sorted(SECRETS)


def by_bot(office: Office, sink: HttpSink, kind: str, **more: Any) -> None:
    bot = {"kind": kind, "url": sink.url("/hook?key=url-key"), "secret": SECRETS[kind]}
    office.configure(
        **{
            "channels": ["bot"], "bots": {"group": bot}, "default_bot": "group",
            "public_url": "https://crm.example.com", **more,
        }
    )  # fmt: skip


def hmac_of(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()


async def one(office: Office, kind: str, *replies: Reply, **told: Any) -> tuple[HttpSink, Any]:
    """What a bot was sent, and the delivery."""
    async with http_sink() as sink:
        sink.replies = list(replies)
        by_bot(office, sink, kind)
        await office.tell(path="/approvals/1", **told)
        assert await office.deliver() == 1
    return sink, await office.delivery()


async def test_wecom_gets_markdown_by_the_key_in_its_address(office: Office) -> None:
    sink, row = await one(office, "wecom")
    (request,) = sink.received
    assert request.path == "/hook?key=url-key"
    assert request.json["msgtype"] == "markdown"
    assert request.json["markdown"]["content"] == (
        "**待您审批：折扣申请**\n\n申请人：王芳\n\n事项：合同\n\n对象：华信\n\n业务线：东区"
        "\n\n[打开](https://crm.example.com/approvals/1)"
    )
    assert (row.state, row.address) == ("SENT", "group")


async def test_dingtalk_gets_moment_and_signature_in_the_query(office: Office) -> None:
    sink, row = await one(office, "dingtalk")
    (request,) = sink.received
    query = parse_qs(urlsplit(request.path).query)
    stamp = query["timestamp"][0]
    assert stamp == str(int(NOW.timestamp() * 1000))
    assert query["sign"] == [hmac_of(b"SECdingtalk", f"{stamp}\nSECdingtalk".encode())]
    assert query["key"] == ["url-key"]
    assert request.json["markdown"]["title"] == "待您审批：折扣申请"
    assert row.state == "SENT"


async def test_feishu_gets_moment_and_signature_in_the_body(office: Office) -> None:
    sink, row = await one(office, "feishu")
    body = sink.received[0].json
    assert body["timestamp"] == str(int(NOW.timestamp()))
    assert body["sign"] == hmac_of(f"{body['timestamp']}\nfeishu-secret".encode(), b"")
    post = body["content"]["post"]["zh_cn"]
    assert (body["msg_type"], post["title"]) == ("post", "待您审批：折扣申请")
    assert post["content"][0] == [{"tag": "text", "text": "申请人：王芳"}]
    assert post["content"][-1] == [
        {"tag": "a", "text": "打开", "href": "https://crm.example.com/approvals/1"}
    ]
    assert row.state == "SENT"


async def test_a_web_hook_gets_a_standard_webhook(office: Office) -> None:
    sink, row = await one(office, "webhook")
    (request,) = sink.received
    name, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert name == f"ntd_{row.id.hex}"
    assert stamp == str(int(NOW.timestamp()))
    signed = b".".join((name.encode(), stamp.encode(), request.body))
    assert request.headers["webhook-signature"] == f"v1,{hmac_of(HOOK_KEY, signed)}"
    assert request.headers["content-type"].startswith("application/json")
    data = request.json["data"]
    assert (request.json["type"], data["kind"], data["line"]) == ("notice", "approval.asked", "east")
    assert data["facts"]["requester"] == "王芳"
    assert office.ann.user_id is not None
    assert data["userId"] == f"usr_{office.ann.user_id.hex}"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_attempt_bears_the_same_id(office: Office, kind: str) -> None:
    async with http_sink() as sink:
        sink.replies = [Reply(503)]
        by_bot(office, sink, kind)
        await office.tell()
        await office.deliver()
        office.crm.clock.advance(hours=1)
        await office.deliver()
    first, second = (request.headers["webhook-id"] for request in sink.received)
    assert first == second
    assert (await office.delivery()).state == "SENT"


@pytest.mark.parametrize(
    ("status", "state"),
    [(500, "FAILED"), (503, "FAILED"), (429, "FAILED"), (400, "DEAD"), (404, "DEAD"), (302, "DEAD")],
)
async def test_the_status_decides_whether_it_is_tried_again(office: Office, status: int, state: str) -> None:
    _, row = await one(office, "webhook", Reply(status, headers={"location": "/elsewhere"}))
    assert (row.state, row.last_error) == (state, f"HTTP {status}")


async def test_a_redirect_is_not_followed(office: Office) -> None:
    async with http_sink() as other, http_sink() as sink:
        sink.replies = [Reply(307, headers={"location": other.url("/stolen")})]
        by_bot(office, sink, "webhook")
        await office.tell()
        await office.deliver()
    assert (len(sink.received), other.received) == (1, [])


async def test_retry_after_is_heard(office: Office) -> None:
    before = office.crm.clock()
    _, row = await one(office, "webhook", Reply(429, headers={"retry-after": "1800"}))
    assert 1800 <= (row.next_at - before).total_seconds() < 1810


@pytest.mark.parametrize(
    ("kind", "answer", "state"),
    [
        ("wecom", b'{"errcode":45009,"errmsg":"api freq out of limit"}', "FAILED"),
        ("wecom", b'{"errcode":93000,"errmsg":"invalid webhook url"}', "DEAD"),
        ("dingtalk", b'{"errcode":130101,"errmsg":"send too fast"}', "FAILED"),
        ("dingtalk", b'{"errcode":310000,"errmsg":"sign not match"}', "DEAD"),
        ("feishu", b'{"code":11232,"msg":"frequency limited"}', "FAILED"),
        ("feishu", b'{"code":19021,"msg":"sign match fail"}', "DEAD"),
        ("wecom", b"<html>a portal</html>", "FAILED"),
        ("wecom", b"[1]", "FAILED"),
    ],
)
async def test_a_refusal_within_an_answer_of_200_is_a_refusal(
    office: Office, kind: str, answer: bytes, state: str
) -> None:
    _, row = await one(office, kind, Reply(body=answer))
    assert row.state == state


async def test_a_server_that_hangs_is_cut_off(office: Office) -> None:
    async with http_sink() as sink:
        sink.replies = [Reply(hang=True)]
        by_bot(office, sink, "webhook", timeout_seconds=0.3)
        await office.tell()
        await office.deliver()
    assert (await office.delivery()).state == "FAILED"


async def test_an_endless_answer_is_not_read_to_its_end(office: Office) -> None:
    _, row = await one(office, "webhook", Reply(body=b"x" * 20_000_000))
    assert row.state == "SENT"


async def test_a_certificate_nobody_vouches_for_is_not_accepted(office: Office, tmp_path: Any) -> None:
    shown = certificate(tmp_path)
    async with http_sink(shown.server) as sink:
        by_bot(office, sink, "webhook")
        await office.tell()
        await office.deliver()
        row = await office.delivery()
        assert (row.state, sink.received) == ("FAILED", [])
        assert "CERTIFICATE_VERIFY_FAILED" in row.last_error
        by_bot(office, sink, "webhook", ca_file=shown.file)
        office.crm.clock.advance(hours=1)
        await office.deliver()
    assert (await office.delivery()).state == "SENT"


@pytest.mark.parametrize("kind", KINDS)
async def test_addresses_and_secrets_stand_in_no_log_and_no_row(
    office: Office, kind: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    repeating = f'{{"errcode":1,"errmsg":"bad {SECRETS[kind]} at"}}'.encode()
    for reply in (Reply(), Reply(500), Reply(body=repeating)):
        await posted(office, kind, reply)
    gone = (await posted(office, kind, Reply())).port  # nobody listens there any more
    await office.tell()
    await office.deliver()
    rows = "\n".join(repr(row) for row in (*await office.deliveries(), *await office.notices()))
    everything = "\n".join([caplog.text, *capsys.readouterr(), rows, repr(office.crm.services)])
    for secret in filter(None, ("url-key", SECRETS[kind], f"{gone}/hook")):
        assert secret not in everything


async def posted(office: Office, kind: str, reply: Reply) -> HttpSink:
    async with http_sink() as sink:
        sink.replies = [reply]
        by_bot(office, sink, kind)
        await office.tell()
        await office.deliver()
    return sink


async def test_a_bot_that_is_not_set_any_more_is_dead_at_once(office: Office) -> None:
    async with http_sink() as sink:
        by_bot(office, sink, "wecom")
        await office.tell()
        office.configure(channels=["bot"])
        await office.deliver()
    assert ((await office.delivery()).state, sink.received) == ("DEAD", [])


# -- without a server


def message(**given: Any) -> NoticeMessage:
    plain = {
        "id": "ntd_1", "created_at": NOW, "user_id": UUID(int=1), "address": "group", "kind": "k", "title": "t",
        "body": "b", "language": "en", "facts": {}, "url": "https://crm.example.com/x",
    }  # fmt: skip
    return NoticeMessage(**{**plain, **given})


def bot(kind: str) -> BotSettings:
    return BotSettings.model_validate(
        {"kind": kind, "url": "https://bots.example.com/x", "secret": SECRETS[kind]}
    )


@pytest.mark.parametrize("kind", ["wecom", "dingtalk"])
def test_what_people_wrote_neither_formats_nor_links_nor_calls_anybody(kind: str) -> None:
    sent = post_of(bot(kind), message(title="[x](http://evil)", body="<@all> **hi**"), NOW).body.decode()
    assert "[x]" not in sent
    assert "<@all>" not in sent
    assert "**hi**" not in sent


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu"])
def test_a_long_notice_is_shortened_and_keeps_its_link(kind: str) -> None:
    body = post_of(bot(kind), message(body="汉" * 20_000), NOW).body
    assert len(body) < 20_000
    assert "https://crm.example.com/x" in body.decode()


def test_wecom_takes_at_most_4096_bytes() -> None:
    body = orjson.loads(post_of(bot("wecom"), message(body="汉" * 20_000), NOW).body)
    assert len(body["markdown"]["content"].encode()) <= 4096


@pytest.mark.parametrize("url", ["http://bots.example.com/x", "ftp://x", "https://", "x"])
def test_a_bot_is_reached_over_tls_only(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NoticesSettings.model_validate({"bots": {"a": {"kind": "wecom", "url": url}}})
    assert "https://" in str(refused.value)


def test_secrets_do_not_show() -> None:
    settings = NoticesSettings.model_validate(
        {
            "smtp_password": "hunter2",
            "bots": {"a": {"kind": "webhook", "url": "https://x.example/k3y", "secret": "whsec_c2Vj"}},
        }
    )
    for secret in ("hunter2", "k3y", "c2Vj"):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        {"lease_seconds": 5, "timeout_seconds": 10},
        {"smtp_host": "mail.example.com"},
        {"smtp_security": "none", "smtp_user": "crm"},
        {"default_bot": "nobody"},
        {"time_zone": "Asia/Nowhere"},
        {"bots": {"a": {"kind": "webhook", "url": "https://x.example"}}},
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NoticesSettings.model_validate(given)
