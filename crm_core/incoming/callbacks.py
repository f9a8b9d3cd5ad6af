"""Verifiers of the callbacks of WeCom (企业微信), DingTalk (钉钉) and Feishu (飞书): signed and encrypted, with handshake."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from binascii import Error as NotBase64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pydantic import StringConstraints

from crm_core.commands import Part
from crm_core.incoming.parsing import Unreadable, from_xml
from crm_core.incoming.signatures import header, moment_of, same
from crm_core.incoming.verifier import Answer, Arrived, Unverified, Verified, Verifier

_BLOCK: Final = 16
_PADDING: Final = 32
_NOISE: Final = 16
_LENGTH: Final = 4
_AES_KEY: Final = re.compile(r"[A-Za-z0-9]{43}")
_NOT_READABLE: Final = "what is encrypted cannot be read"


class ReceiverOptions(Part):
    """Whom callbacks are for: the corp id of WeCom; of DingTalk the app key, corp id or suite key (接收方编号)."""

    receiver: Annotated[str, StringConstraints(min_length=1, max_length=80)]


# -- WeCom and DingTalk: one envelope


def sha1_of(*parts: str) -> str:
    """The signature of an envelope: SHA-1 over the sorted parts, hex. The sender asks for SHA-1."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324  # their protocol


def opened(encrypted: str, aes_key: str, receiver: str) -> bytes:
    """What an envelope holds; `Unverified` if it cannot be read or is for somebody else."""
    key = _key(aes_key)
    plain = _decrypted(encrypted, key, key[:_BLOCK])
    content, size = plain[_NOISE + _LENGTH :], int.from_bytes(plain[_NOISE : _NOISE + _LENGTH], "big")
    if size > len(content):
        raise Unverified(_NOT_READABLE)
    if not hmac.compare_digest(content[size:], receiver.encode()):
        raise Unverified("it is for another receiver")
    return content[:size]


def sealed(content: bytes, aes_key: str, receiver: str, noise: bytes) -> str:
    """An envelope for what we answer; `noise`: 16 bytes that are never the same."""
    key = _key(aes_key)
    plain = noise + len(content).to_bytes(_LENGTH, "big") + content + receiver.encode()
    missing = _PADDING - len(plain) % _PADDING
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:_BLOCK])).encryptor()
    return base64.b64encode(
        encryptor.update(plain + bytes([missing]) * missing) + encryptor.finalize()
    ).decode()


def _key(aes_key: str) -> bytes:
    return base64.b64decode(aes_key + "=")


def _decrypted(encrypted: str, key: bytes, iv: bytes | None) -> bytes:
    """Decrypted and without padding; without `iv` the first block is it."""
    try:
        given = base64.b64decode(encrypted, validate=True)
    except (NotBase64, ValueError):
        raise Unverified(_NOT_READABLE) from None
    iv, body = (given[:_BLOCK], given[_BLOCK:]) if iv is None else (iv, given)
    if not body or len(body) % _BLOCK:
        raise Unverified(_NOT_READABLE)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(body) + decryptor.finalize()
    missing = padded[-1]
    if not 1 <= missing <= min(_PADDING, len(padded)) or padded[-missing:] != bytes([missing]) * missing:
        raise Unverified(_NOT_READABLE)
    return padded[:-missing]


def _signed(arrived: Arrived, secret: Mapping[str, str], encrypted: str) -> datetime:
    """When an envelope was signed; `Unverified` unless the signature in the query is right."""
    query = arrived.query
    given = query.get("msg_signature") or query.get("signature") or ""
    stamp, nonce = query.get("timestamp") or query.get("timeStamp") or "", query.get("nonce") or ""
    if not same(given, sha1_of(secret["token"], stamp, nonce, encrypted)):
        raise Unverified("the signature is wrong")
    return moment_of(stamp)


def _wecom(arrived: Arrived, secret: Mapping[str, str], options: ReceiverOptions, _now: datetime) -> Verified:
    """XML with `Encrypt`; the handshake is a GET whose `echostr` is given back decrypted."""
    if arrived.method == "GET":
        echo = arrived.query.get("echostr", "")
        moment = _signed(arrived, secret, echo)
        shown = opened(echo, secret["aesKey"], options.receiver)
        return Verified(b"", moment, answer=Answer(shown, "text/plain"))
    encrypted = _encrypted_xml(arrived.body)
    moment = _signed(arrived, secret, encrypted)
    content = opened(encrypted, secret["aesKey"], options.receiver)
    return Verified(content, moment, reply=Answer(b"success", "text/plain"))


def _encrypted_xml(body: bytes) -> str:
    try:
        found = from_xml(body)
    except Unreadable as problem:
        raise Unverified(str(problem)) from None
    encrypted = found.get("Encrypt") if isinstance(found, dict) else None
    if not isinstance(encrypted, str):
        raise Unverified("the body holds no Encrypt")
    return encrypted


def _dingtalk(
    arrived: Arrived, secret: Mapping[str, str], options: ReceiverOptions, now: datetime
) -> Verified:
    """JSON with `encrypt`; every answer is `success` in an envelope of our own, the handshake's too."""
    encrypted = _encrypted_json(arrived.body)
    moment = _signed(arrived, secret, encrypted)
    content = opened(encrypted, secret["aesKey"], options.receiver)
    reply = _success(secret, options.receiver, now, hashlib.sha256(arrived.body).digest())
    event = _json(content)
    asked = str(event.get("EventType", "")) if isinstance(event, dict) else ""
    if asked.startswith("check_"):
        return Verified(content, moment, answer=reply)
    return Verified(content, moment, reply=reply)


def _success(secret: Mapping[str, str], receiver: str, now: datetime, digest: bytes) -> Answer:
    """The envelope DingTalk waits for; what is asked differs each time, so its digest serves as noise and nonce."""
    stamp, nonce = str(int(now.timestamp() * 1000)), digest[_NOISE:].hex()[:16]
    encrypted = sealed(b"success", secret["aesKey"], receiver, digest[:_NOISE])
    signature = sha1_of(secret["token"], stamp, nonce, encrypted)
    said = {"msg_signature": signature, "timeStamp": stamp, "nonce": nonce, "encrypt": encrypted}
    return Answer(orjson.dumps(said))


def _encrypted_json(body: bytes) -> str:
    found = _json(body)
    encrypted = found.get("encrypt") if isinstance(found, dict) else None
    if not isinstance(encrypted, str):
        raise Unverified("the body holds no encrypt")
    return encrypted


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unverified("the body is no JSON") from None


def _wrong_envelope(secret: Mapping[str, str]) -> str | None:
    if _AES_KEY.fullmatch(secret["aesKey"]) is None:
        return "aesKey: 43 letters and digits (应为 43 位字母和数字)"
    return None if secret["token"] else "token: give it (必须填写 token)"


# -- Feishu


def _feishu(arrived: Arrived, secret: Mapping[str, str], _options: object, _now: datetime) -> Verified:
    """JSON, encrypted and signed in headers where there is an Encrypt Key, always with the Verification Token.

    The handshake, `url_verification`, has no signature; its token is looked at, then its challenge is given back.
    """
    encrypt_key = secret.get("aesKey")
    content = arrived.body
    if encrypt_key:
        key = hashlib.sha256(encrypt_key.encode()).digest()
        content = _decrypted(_encrypted_json(content), key, None)
    event = _json(content)
    if not isinstance(event, dict) or not same(_feishu_token(event), secret["token"]):
        raise Unverified("the verification token is wrong")
    if event.get("type") == "url_verification":
        said = orjson.dumps({"challenge": str(event.get("challenge", ""))})
        return Verified(content, answer=Answer(said))
    moment = _feishu_signed(arrived, encrypt_key) if encrypt_key else None
    return Verified(content, moment, _feishu_id(event), reply=Answer(b"{}"))


def _feishu_signed(arrived: Arrived, encrypt_key: str) -> datetime:
    stamp, nonce = header(arrived, "x-lark-request-timestamp"), header(arrived, "x-lark-request-nonce")
    wanted = hashlib.sha256(f"{stamp}{nonce}{encrypt_key}".encode() + arrived.body).hexdigest()
    if not same(header(arrived, "x-lark-signature"), wanted):
        raise Unverified("the signature is wrong")
    return moment_of(stamp)


def _feishu_token(event: Mapping[str, Any]) -> str:
    """Version 2 has it in `header`, version 1 at the top."""
    inner = event.get("header")
    found = inner.get("token") if isinstance(inner, Mapping) else event.get("token")
    return found if isinstance(found, str) else ""


def _feishu_id(event: Mapping[str, Any]) -> str | None:
    inner = event.get("header")
    found = inner.get("event_id") if isinstance(inner, Mapping) else event.get("uuid")
    return found if isinstance(found, str) and found else None


def _wrong_feishu(secret: Mapping[str, str]) -> str | None:
    return None if secret["token"] else "token: give it (必须填写 token)"


_BOTH: Final = ("token", "aesKey")
VERIFIERS: Final = (
    Verifier("WECOM", "WeCom 企业微信", _wecom, _BOTH, options=ReceiverOptions, problem=_wrong_envelope),
    Verifier("DINGTALK", "DingTalk 钉钉", _dingtalk, _BOTH, options=ReceiverOptions, problem=_wrong_envelope),
    Verifier("FEISHU", "Feishu 飞书", _feishu, ("token",), ("aesKey",), problem=_wrong_feishu),
)
