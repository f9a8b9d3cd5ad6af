"""Verifiers against vectors of others: documented examples and independent implementations."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from crm_core.incoming import callbacks, signatures
from crm_core.incoming.verifier import Arrived, Unverified, Verified, Verifier
from tests.incoming.conftest import signature, whsec

NOW = datetime(2025, 11, 3, 2, 0, tzinfo=UTC)
BY_NAME = {v.name: v for v in (*signatures.VERIFIERS, *callbacks.VERIFIERS)}
SECRET = "It's a Secret to Everybody"


def verify(
    name: str,
    secret: dict[str, str],
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    options: dict[str, Any] | None = None,
    method: str = "POST",
) -> Verified:
    verifier = BY_NAME[name]
    arrived = Arrived(method, headers or {}, query or {}, body)
    return verifier.verify(arrived, secret, verifier.options.model_validate(options or {}), NOW)


# -- Standard Webhooks, by the official package


def standard(secret: str, body: str, moment: datetime = NOW, key: str = "msg_1") -> dict[str, str]:
    stamp = int(moment.timestamp())
    return {
        "webhook-id": key,
        "webhook-timestamp": str(stamp),
        "webhook-signature": Webhook(secret).sign(key, datetime.fromtimestamp(stamp, UTC), body),
    }


@given(
    st.text(max_size=200), st.binary(min_size=24, max_size=64), st.text("abcxyz_09", min_size=1, max_size=30)
)
def test_what_the_official_package_signs_is_verified(body: str, key: bytes, message: str) -> None:
    secret = whsec(key)
    headers = standard(secret, body, key=message)
    found = verify("STANDARD_WEBHOOKS", {"secret": secret}, body.encode(), headers)
    assert (found.key, found.moment, found.body) == (message, NOW, body.encode())
    with pytest.raises(Unverified):
        verify("STANDARD_WEBHOOKS", {"secret": secret}, body.encode() + b" ", headers)
    with pytest.raises(Unverified):
        verify("STANDARD_WEBHOOKS", {"secret": whsec(key[::-1] + b"x")}, body.encode(), headers)


def test_one_right_signature_among_several_is_enough() -> None:
    secret = whsec(b"k" * 24)
    headers = standard(secret, "x")
    headers["webhook-signature"] = f"v1a,abc v1,AAAA {headers['webhook-signature']}"
    assert verify("STANDARD_WEBHOOKS", {"secret": secret}, b"x", headers).key == "msg_1"


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_of_its_headers_must_be_there(missing: str) -> None:
    headers = standard(whsec(b"k" * 24), "x")
    headers[missing] = ""
    with pytest.raises(Unverified, match=missing):
        verify("STANDARD_WEBHOOKS", {"secret": whsec(b"k" * 24)}, b"x", headers)


@pytest.mark.parametrize("stamp", ["soon", "-1", "1e9", "²", "9" * 30, "12345678901234567", ""])
def test_a_timestamp_that_is_no_number_is_refused(stamp: str) -> None:
    with pytest.raises(Unverified):
        signatures.moment_of(stamp)


# -- GitHub, by its documented example


def test_the_documented_example_of_github_is_verified() -> None:
    headers = {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    }
    found = verify("GITHUB", {"secret": SECRET}, b"Hello, World!", headers)
    assert (found.key, found.moment) == ("72d3162e-cc78-11e3-81ab-4c9367dc0958", None)
    for body, secret in ((b"Hello, World?", SECRET), (b"Hello, World!", SECRET + "!")):
        with pytest.raises(Unverified):
            verify("GITHUB", {"secret": secret}, body, headers)


# -- HMAC


def test_an_hmac_may_cover_id_and_timestamp_too() -> None:
    options = {
        "header": "X-Sig", "algorithm": "SHA256", "prefix": "v0=", "signed": "v0:{timestamp}:{body}",
        "timestampHeader": "X-Time",
    }  # fmt: skip
    stamp = str(int(NOW.timestamp()))
    headers = {"x-sig": "v0=" + signature(SECRET, f"v0:{stamp}:hi".encode()).upper(), "x-time": stamp}
    assert verify("HMAC", {"secret": SECRET}, b"hi", headers, options=options).moment == NOW
    with pytest.raises(Unverified):
        verify("HMAC", {"secret": SECRET}, b"hi", {**headers, "x-time": "1"}, options=options)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_an_hmac_in_base64_as_shops_send_it(algorithm: str) -> None:
    body = b'{"id": 1}'
    wanted = base64.b64encode(hmac.new(SECRET.encode(), body, algorithm.lower()).digest()).decode()
    options = {"header": "X-Shop-Hmac", "algorithm": algorithm, "encoding": "BASE64", "idHeader": "X-Id"}
    headers = {"x-shop-hmac": wanted, "x-id": "7"}
    assert verify("HMAC", {"secret": SECRET}, body, headers, options=options).key == "7"
    with pytest.raises(Unverified):
        verify(
            "HMAC", {"secret": SECRET}, body, {**headers, "x-shop-hmac": wanted.swapcase()}, options=options
        )


# -- static token


def test_a_static_token_is_compared_whole() -> None:
    assert (
        verify("STATIC_TOKEN", {"secret": SECRET}, headers={"authorization": f"Bearer {SECRET}"}).body == b""
    )
    for wrong in (SECRET, f"Bearer {SECRET}x", f"bearer {SECRET}", "Bearer ", "Bearer é"):
        with pytest.raises(Unverified):
            verify("STATIC_TOKEN", {"secret": SECRET}, headers={"authorization": wrong})


# -- WeCom and DingTalk, by the samples of their makers

WECOM = {"token": "QDG6eK", "aesKey": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"}
CORP = {"receiver": "wx5823bf96d3bd56c7"}
ECHO = {
    "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
    "timestamp": "1409659589",
    "nonce": "263014780",
    "echostr": "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
}
WECOM_QUERY = {
    "msg_signature": "477715d11cdb4164915debcba66cb864d751f3e6",
    "timestamp": "1409659813",
    "nonce": "1372623149",
}
WECOM_BODY = (
    b"<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA["
    b"RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3"
    b"TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gs"
    b"ijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUa"
    b"x5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIG"
    b"HBZZIs2pDBS8R07+qN+E7Q=="
    b"]]></Encrypt><AgentID><![CDATA[218]]></AgentID></xml>"
)


def test_the_handshake_of_wecoms_sample_gives_its_echo_back() -> None:
    found = verify("WECOM", WECOM, query=ECHO, options=CORP, method="GET")
    assert found.answer is not None
    assert (found.answer.body, found.answer.media_type) == (b"1616140317555161061", "text/plain")


def test_the_message_of_wecoms_sample_is_opened() -> None:
    found = verify("WECOM", WECOM, WECOM_BODY, query=WECOM_QUERY, options=CORP)
    assert b"<Content><![CDATA[hello]]></Content>" in found.body
    assert found.moment == datetime.fromtimestamp(1409659813, UTC)
    assert found.reply is not None
    assert found.reply.body == b"success"


@pytest.mark.parametrize(
    ("secret", "query", "body", "options"),
    [
        ({**WECOM, "token": "QDG6eL"}, WECOM_QUERY, WECOM_BODY, CORP),
        (WECOM, {**WECOM_QUERY, "nonce": "1"}, WECOM_BODY, CORP),
        (WECOM, {}, WECOM_BODY, CORP),
        (WECOM, WECOM_QUERY, WECOM_BODY.replace(b"RypE", b"RypF"), CORP),
        (WECOM, WECOM_QUERY, WECOM_BODY, {"receiver": "wx5823bf96d3bd56c8"}),
        (WECOM, WECOM_QUERY, b"<xml></xml>", CORP),
        (WECOM, WECOM_QUERY, b"<!DOCTYPE x [<!ENTITY a 'b'>]><xml><Encrypt>&a;</Encrypt></xml>", CORP),
        (WECOM, WECOM_QUERY, b"\xff", CORP),
    ],
)
def test_a_message_that_is_not_wecoms_is_refused(
    secret: dict[str, str], query: dict[str, str], body: bytes, options: dict[str, str]
) -> None:
    with pytest.raises(Unverified):
        verify("WECOM", secret, body, query=query, options=options)


DINGTALK = {"token": "123456", "aesKey": "4g5j64qlyl3zvetqxz5jiocdr586fn2zvjpa8zls3ij"}
SUITE = {"receiver": "suite4xxxxxxxxxxxxxxx"}
DING_QUERY = {
    "signature": "5a65ceeef9aab2d149439f82dc191dd6c5cbe2c0",
    "timestamp": "1445827045067",
    "nonce": "nEXhMP4r",
}
DING_BODY = orjson.dumps(
    {
        "encrypt": "1a3NBxmCFwkCJvfoQ7WhJHB+iX3qHPsc9JbaDznE1i03peOk1LaOQoRz3+nlyGNhwmwJ3vDMG+OzrHMeiZI7gTRWVdUBmfxjZ8Ej23JVY"
        "a9VrYeJ5as7XM/ZpulX8NEQis44w53h1qAgnC3PRzM7Zc/D6Ibr0rgUathB6zRHP8PYrfgnNOS9PhSBdHlegK+AGGanfwjXuQ9+0pZcy0w9lQ=="
    }
)


def test_dingtalks_sample_is_opened_and_its_handshake_answered_encrypted() -> None:
    found = verify("DINGTALK", DINGTALK, DING_BODY, query=DING_QUERY, options=SUITE)
    assert orjson.loads(found.body)["EventType"] == "check_create_suite_url"
    assert found.moment == datetime.fromtimestamp(1445827045.067, UTC)
    assert found.answer is not None
    said = orjson.loads(found.answer.body)
    signed = hashlib.sha1(  # noqa: S324  # their protocol
        "".join(sorted([DINGTALK["token"], said["timeStamp"], said["nonce"], said["encrypt"]])).encode()
    )
    assert said["msg_signature"] == signed.hexdigest()
    assert envelope_content(said["encrypt"], DINGTALK["aesKey"]) == b"success" + SUITE["receiver"].encode()
    with pytest.raises(Unverified):
        verify("DINGTALK", DINGTALK, DING_BODY, query={**DING_QUERY, "timestamp": "1"}, options=SUITE)


def envelope_content(encrypted: str, aes_key: str) -> bytes:
    """Opened by hand: content and receiver."""
    key = base64.b64decode(aes_key + "=")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(encrypted)) + decryptor.finalize()
    return plain[20 : -plain[-1]]


@given(st.binary(max_size=300), st.binary(min_size=16, max_size=16))
def test_an_envelope_opens_to_what_was_sealed(content: bytes, noise: bytes) -> None:
    sealed = callbacks.sealed(content, WECOM["aesKey"], "wx1", noise)
    assert callbacks.opened(sealed, WECOM["aesKey"], "wx1") == content


@given(st.one_of(st.text(max_size=80), st.binary(max_size=96).map(lambda b: base64.b64encode(b).decode())))
def test_no_envelope_breaks_anything(encrypted: str) -> None:
    with pytest.raises(Unverified):
        callbacks.opened(encrypted, WECOM["aesKey"], "wx1")


# -- Feishu

FEISHU = {"token": "v-token", "aesKey": "test key"}


def feishu(
    event: Any, secret: dict[str, str] = FEISHU, stamp: str = "1762135200"
) -> tuple[bytes, dict[str, str]]:
    """An encrypted and signed request, made by hand from the published steps."""
    plain = orjson.dumps(event)
    missing = 16 - len(plain) % 16
    iv = b"0123456789abcdef"
    encryptor = Cipher(
        algorithms.AES(hashlib.sha256(secret["aesKey"].encode()).digest()), modes.CBC(iv)
    ).encryptor()
    encrypted = iv + encryptor.update(plain + bytes([missing]) * missing) + encryptor.finalize()
    body = orjson.dumps({"encrypt": base64.b64encode(encrypted).decode()})
    signed = hashlib.sha256(stamp.encode() + b"n" + secret["aesKey"].encode() + body).hexdigest()
    return body, {
        "x-lark-request-timestamp": stamp, "x-lark-request-nonce": "n", "x-lark-signature": signed,
    }  # fmt: skip


def test_feishus_sample_of_encryption_is_read() -> None:
    key = hashlib.sha256(b"test key").digest()
    assert callbacks._decrypted("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=", key, None) == b"hello world"


def test_an_event_of_feishu_is_opened_and_known_by_its_id() -> None:
    body, headers = feishu(
        {"schema": "2.0", "header": {"event_id": "e1", "token": "v-token"}, "event": {"a": 1}}
    )
    found = verify("FEISHU", FEISHU, body, headers)
    assert (found.key, orjson.loads(found.body)["event"], found.moment) == ("e1", {"a": 1}, NOW)


def test_feishus_handshake_gives_the_challenge_back_without_a_signature() -> None:
    event = {"challenge": "c-1", "token": "v-token", "type": "url_verification"}
    for body in (feishu(event)[0],):
        found = verify("FEISHU", FEISHU, body)
        assert found.answer is not None
        assert orjson.loads(found.answer.body) == {"challenge": "c-1"}
    plain = verify("FEISHU", {"token": "v-token"}, orjson.dumps(event))
    assert plain.answer is not None


@pytest.mark.parametrize("wrong", ["token", "signature", "body", "nothing signed"])
def test_a_request_that_is_not_feishus_is_refused(wrong: str) -> None:
    event = {"header": {"event_id": "e1", "token": "other" if wrong == "token" else "v-token"}}
    body, headers = feishu(event)
    if wrong == "signature":
        headers["x-lark-signature"] = "0" * 64
    if wrong == "body":
        body = b"[1]"
    if wrong == "nothing signed":
        headers = {}
    with pytest.raises(Unverified):
        verify("FEISHU", FEISHU, body, headers)


# -- all of them


@pytest.mark.parametrize("verifier", BY_NAME.values(), ids=lambda v: v.name)
@given(
    body=st.one_of(
        st.binary(max_size=60), st.sampled_from([b"{}", b"[]", b"null", b"<a/>", b'{"encrypt": 1}'])
    ),
    value=st.text(max_size=40),
    method=st.sampled_from(["GET", "POST"]),
)
def test_no_request_makes_a_verifier_raise_anything_else(
    verifier: Verifier, body: bytes, value: str, method: str
) -> None:
    names = (
        "webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256", "authorization", "x-sig", "x-time",
        "x-lark-signature", "x-lark-request-timestamp", "x-lark-request-nonce", "echostr", "msg_signature", "timestamp",
    )  # fmt: skip
    secret = {"secret": whsec(b"k" * 24), "token": "t", "aesKey": WECOM["aesKey"]}
    options: dict[str, Any] = {}
    if verifier.name == "HMAC":
        options = {"header": "X-Sig", "signed": "{timestamp}{body}", "timestampHeader": "X-Time"}
    if "receiver" in verifier.options.model_fields:
        options = CORP
    arrived = replace(
        Arrived(method, {}, {}, body), headers=dict.fromkeys(names, value), query=dict.fromkeys(names, value)
    )
    with pytest.raises(Unverified):
        verifier.verify(arrived, secret, verifier.options.model_validate(options), NOW)


def test_the_moments_of_seconds_and_milliseconds_are_the_same() -> None:
    assert signatures.moment_of("1762135200") == signatures.moment_of("1762135200000") == NOW
    assert signatures.moment_of("1762135200500") - NOW == timedelta(milliseconds=500)
