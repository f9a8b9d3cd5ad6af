"""Taking requests in: what is verified and kept, what is refused, and what the sender hears."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from crm_core.db.session import fault
from crm_core.incoming.models import IncomingSource
from crm_core.incoming.receiving import Call, Refusal, receive
from crm_core.incoming.verifier import Verifier
from tests.incoming.conftest import ONCE, TOKEN, Door, whsec
from tests.incoming.test_verifiers import (
    CORP,
    DING_BODY,
    DING_QUERY,
    DINGTALK,
    ECHO,
    SUITE,
    WECOM,
    WECOM_BODY,
    WECOM_QUERY,
)

SECRET = whsec(b"0123456789abcdef01234567")
OTHER = whsec(b"another-key-of-24-bytes!")


def code(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    assert not error["message"].isascii(), "in both languages"
    return str(error["extensions"]["code"])


def signed(door: Door, body: str, secret: str = SECRET, *, late: int = 0, key: str = "m1") -> dict[str, str]:
    stamp = int(door.crm.clock.now.timestamp()) - late
    return {
        "webhook-id": key,
        "webhook-timestamp": str(stamp),
        "webhook-signature": Webhook(secret).sign(key, datetime.fromtimestamp(stamp, UTC), body),
    }


async def standard(door: Door, **more: Any) -> Any:
    return await door.source(verifier="STANDARD_WEBHOOKS", secret={"secret": SECRET}, **more)


# -- kept first


async def test_a_request_is_kept_as_it_came_without_secrets_and_confirmed(door: Door) -> None:
    source = await door.source()
    headers = {
        "x-form": "f1",
        "cookie": "c",
        "x-api-key": "k",
        "content-type": "application/json; charset=utf-8",
    }
    answer = await door.send(
        source, b'{"name": "\xe6\x9d\x8e"}', headers, query={"campaign": "双\0", "token": "t"}
    )
    row = await door.request()
    assert answer.status_code == 202
    assert answer.json() == {"id": f"inr_{row.id.hex}", "duplicate": False}
    assert (row.body, row.state, row.attempts, row.line) == (
        b'{"name": "\xe6\x9d\x8e"}',
        "RECEIVED",
        0,
        "east",
    )
    assert (row.headers["x-form"], row.query) == ("f1", {"campaign": "双\N{REPLACEMENT CHARACTER}"})
    assert not {"authorization", "cookie", "x-api-key"} & row.headers.keys()
    assert (row.address, row.created_at) == ("192.0.2.10", door.crm.clock.now)
    assert door.counted == [("incoming_received", "")]
    assert source.path_key not in door.log.getvalue()
    assert TOKEN not in door.log.getvalue()


async def test_taking_in_costs_two_statements(door: Door) -> None:
    source = await door.source()
    await door.send(source, b"{}")
    with door.crm.statements() as sent:
        assert (await door.send(source)).status_code == 202
    assert len(sent) == 2, sent


@ONCE
async def test_the_same_request_again_is_confirmed_under_the_same_id(door: Door) -> None:
    source = await standard(door)
    first = await door.send(source, b"{}", signed(door, "{}"), token=None)
    door.crm.clock.advance(seconds=5)
    again = await door.send(source, b"{}", signed(door, "{}"), token=None)
    assert (again.status_code, again.json()) == (200, {"id": first.json()["id"], "duplicate": True})
    assert len(await door.requests()) == 1


async def test_duplicates_at_the_same_time_are_kept_once(door: Door) -> None:
    source = await standard(door)
    headers = signed(door, "{}")
    answers = await asyncio.gather(*(door.send(source, b"{}", headers, token=None) for _ in range(8)))
    assert {a.json()["id"] for a in answers} == {f"inr_{(await door.request()).id.hex}"}
    assert sorted(a.json()["duplicate"] for a in answers) == [False] + [True] * 7


@ONCE
@pytest.mark.parametrize(
    ("dedupe", "first", "second", "same"),
    [
        (None, ({}, b'{"a":1}'), ({}, b'{"a":1}'), True),
        (None, ({}, b'{"a":1}'), ({}, b'{"a":2}'), False),
        ("header:X-Id", ({"x-id": "1"}, b'{"a":1}'), ({"x-id": "1"}, b'{"a":2}'), True),
        ("header:X-Id", ({"x-id": "1"}, b"{}"), ({"x-id": "2"}, b"{}"), False),
        ("=body.id", ({}, b'{"id":7,"a":1}'), ({}, b'{"id":7,"a":2}'), True),
        ("=body.id", ({}, b"not json 1"), ({}, b"not json 2"), False),
        ("=[body.id, body.at]", ({}, b'{"id":7,"at":1}'), ({}, b'{"id":7,"at":2}'), False),
        ("=body.id", ({}, b'{"id":"%s1"}' % (b"x" * 300)), ({}, b'{"id":"%s2"}' % (b"x" * 300)), False),
    ],
)
async def test_what_tells_requests_apart(
    door: Door, dedupe: str | None, first: Any, second: Any, *, same: bool
) -> None:
    source = await door.source(dedupe=dedupe)
    for headers, body in (first, second):
        assert (await door.send(source, body, headers)).status_code in (200, 202)
    assert len(await door.requests()) == (1 if same else 2)


# -- refused


@ONCE
async def test_an_address_nobody_has_is_not_found(door: Door) -> None:
    for path in ("/hooks/nothing", "/hooks/" + "x" * 500):
        assert (await door.send(path)).status_code == 404


@ONCE
async def test_who_cannot_be_verified_is_refused_logged_and_counted_and_nothing_kept(door: Door) -> None:
    source = await standard(door)
    right = signed(door, "{}")
    for headers, body in (
        (signed(door, "{}", OTHER), b"{}"),
        (right, b'{"tampered":1}'),
        ({**right, "webhook-id": "m2"}, b"{}"),
        ({}, b"{}"),
    ):
        answer = await door.send(source, body, headers, token=None)
        assert (answer.status_code, code(answer)) == (401, "UNVERIFIED")
    assert await door.requests() == []
    assert door.counted == [("incoming_refused", "UNVERIFIED")] * 4
    assert [e["reason"] for e in door.logged("webhook refused")][-1] == "the header webhook-id is missing"


@ONCE
@pytest.mark.parametrize("late", [301, -301, 86_400])
async def test_a_request_signed_outside_of_the_window_is_refused(door: Door, late: int) -> None:
    source = await standard(door)
    answer = await door.send(source, b"{}", signed(door, "{}", late=late), token=None)
    assert (answer.status_code, code(answer)) == (401, "STALE")
    assert (await door.send(source, b"{}", signed(door, "{}", late=299), token=None)).status_code == 202


@ONCE
async def test_a_window_of_zero_lets_old_requests_in(door: Door) -> None:
    source = await standard(door, windowSeconds=0)
    assert (await door.send(source, b"{}", signed(door, "{}", late=9_999_999), token=None)).status_code == 202


@ONCE
async def test_a_new_secret_holds_at_once_and_the_old_one_until_its_end(door: Door) -> None:
    source = await standard(door)
    shown = f"ins_{source.id.hex}"
    await door.crm.done(
        "incomingRotateSecret", input={"id": shown, "secret": {"secret": OTHER}, "overlapHours": 2}
    )

    async def status(secret: str, key: str) -> int:
        return (await door.send(source, b"{}", signed(door, "{}", secret, key=key), token=None)).status_code

    assert (await status(OTHER, "m1"), await status(SECRET, "m2")) == (202, 202)
    door.crm.clock.advance(hours=2, seconds=1)
    assert (await status(OTHER, "m3"), await status(SECRET, "m4")) == (202, 401)
    await door.crm.done(
        "incomingRotateSecret", input={"id": shown, "secret": {"secret": SECRET}, "overlapHours": 0}
    )
    assert (await status(OTHER, "m5"), await status(SECRET, "m6")) == (401, 202)


@ONCE
async def test_a_disabled_source_is_gone(door: Door) -> None:
    source = await door.source()
    await door.crm.done("incomingDisable", input={"id": f"ins_{source.id.hex}"})
    answer = await door.send(source)
    assert (answer.status_code, code(answer)) == (410, "DISABLED")


@ONCE
async def test_only_addresses_of_the_list_get_in_and_proxies_are_believed_when_trusted(door: Door) -> None:
    source = await door.source(addresses=["203.0.113.0/24", "2001:db8::/32"])
    answer = await door.send(source)
    assert (answer.status_code, code(answer)) == (403, "ADDRESS_NOT_ALLOWED")
    forwarded = {"x-forwarded-for": "203.0.113.9"}
    assert (await door.send(source, headers=forwarded)).status_code == 403
    door.configure(trusted_proxies=["192.0.2.0/24"])
    assert (await door.send(source, headers=forwarded)).status_code == 202
    door.peer = "2001:db8::5"
    assert (await door.send(source, b"{}")).status_code == 202
    assert [row.address for row in await door.requests()] == ["203.0.113.9", "2001:db8::5"]


# -- the body


@ONCE
async def test_a_body_too_large_is_refused_before_it_is_read(door: Door) -> None:
    source = await door.source(bodyBytes=100)
    assert (await door.send(source, b"x" * 100)).status_code == 202
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 50
            yield b"x" * 50

    answer = await door.send(source, endless())
    assert (answer.status_code, code(answer)) == (413, "TOO_LARGE")
    assert read <= 200, "read no further than the limit"
    assert (await door.send(source, b"x" * 101)).status_code == 413
    door.configure(body_bytes=50)
    assert (await door.send(source, b"x" * 51)).status_code == 413
    assert (await door.send("/hooks/nothing", b"x" * 51)).status_code == 413


@ONCE
async def test_a_body_that_does_not_arrive_is_given_up(door: Door) -> None:
    door.configure(read_seconds=0.05)
    source = await door.source()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    answer = await door.send(source, slow())
    assert (answer.status_code, code(answer)) == (408, "TOO_SLOW")


# -- trouble


@ONCE
async def test_while_the_database_is_away_the_sender_is_asked_to_try_again(door: Door) -> None:
    source = await door.source()
    door.away = True
    answer = await door.send(source)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_trouble_while_keeping_is_never_confirmed(door: Door) -> None:
    source = await door.source()

    async def read(_most: int) -> bytes:
        await door.crm.database.writes.dispose()
        raise fault(OSError("gone"))

    call = Call("POST", source.path_key, {}, {}, None, read)
    with pytest.raises(Exception, match="does not answer"):
        await receive(door.services, call)
    assert await door.requests() == []


@ONCE
async def test_a_verifier_whose_plugin_is_gone_keeps_the_sender_trying(door: Door) -> None:
    own = Verifier("HOUSE", "House", lambda *_a: (_ for _ in ()).throw(RuntimeError("broken")))
    door.plug_in(verifiers=[own])
    source = await door.source(verifier="HOUSE")
    assert (await door.send(source)).status_code == 500
    assert TOKEN not in door.log.getvalue()
    assert source.path_key not in door.log.getvalue()
    registry = door.services.registry
    del registry.verifiers["HOUSE"]  # type: ignore[attr-defined]  # as after a restart
    assert (await door.send(source)).status_code == 503


# -- handshakes


@ONCE
async def test_the_handshake_of_wecom_is_answered_and_nothing_kept(door: Door) -> None:
    options = {"options": CORP, "secret": WECOM, "windowSeconds": 0}
    source = await door.source(verifier="WECOM", **options)
    answer = await door.send(source, b"", method="GET", query=ECHO, token=None)
    assert (answer.status_code, answer.text) == (200, "1616140317555161061")
    assert answer.headers["content-type"].startswith("text/plain")
    assert await door.requests() == []
    assert (await door.send(source, b"", method="GET", token=None)).status_code == 401


@ONCE
async def test_a_message_of_wecom_is_kept_opened_and_answered_as_it_wants(door: Door) -> None:
    source = await door.source(verifier="WECOM", options=CORP, secret=WECOM, windowSeconds=0)
    for _ in range(2):
        answer = await door.send(
            source, WECOM_BODY, {"content-type": "text/xml"}, query=WECOM_QUERY, token=None
        )
        assert (answer.status_code, answer.text) == (200, "success")
    row = await door.request()
    assert b"<Content><![CDATA[hello]]></Content>" in row.body
    assert set(row.query) == {"timestamp"}


@ONCE
async def test_the_handshake_of_dingtalk_is_answered_encrypted(door: Door) -> None:
    source = await door.source(verifier="DINGTALK", options=SUITE, secret=DINGTALK, windowSeconds=0)
    answer = await door.send(source, DING_BODY, query=DING_QUERY, token=None)
    assert answer.status_code == 200
    assert set(answer.json()) == {"msg_signature", "timeStamp", "nonce", "encrypt"}
    assert await door.requests() == []


@ONCE
async def test_the_handshake_of_feishu_gives_the_challenge_back(door: Door) -> None:
    source = await door.source(verifier="FEISHU", secret={"token": "v-token"})
    body = orjson.dumps({"type": "url_verification", "token": "v-token", "challenge": "c"})
    assert (await door.send(source, body, token=None)).json() == {"challenge": "c"}
    body = orjson.dumps({"header": {"event_id": "e1", "token": "v-token"}, "event": {}})
    assert [(await door.send(source, body, token=None)).status_code for _ in range(2)] == [200, 200]
    assert (await door.request()).dedupe_key == "e1"


@ONCE
async def test_a_get_without_handshake_is_nothing(door: Door) -> None:
    source = await door.source()
    assert (await door.send(source, b"", method="GET")).status_code == 404


@ONCE
async def test_secrets_are_kept_sealed(door: Door) -> None:
    source = await door.source()
    assert TOKEN not in repr((await door.crm.rows(IncomingSource))[0])
    assert source.sealed.startswith("v1.")
    assert len(base64.urlsafe_b64decode(source.path_key + "=")) == 32


@ONCE
async def test_a_refusal_is_no_surprise_to_who_calls_it(door: Door) -> None:
    async def read(_most: int) -> bytes:
        return b""

    with pytest.raises(Refusal) as caught:
        await receive(door.services, Call("POST", "nothing", {}, {}, None, read))
    assert caught.value.status == 404
