"""Verifiers of signatures and tokens in headers: Standard Webhooks, GitHub, HMAC of one's own making, static token."""

from __future__ import annotations

import base64
import hmac
from binascii import Error as NotBase64
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from crm_core.commands import Part
from crm_core.incoming.verifier import Arrived, Unverified, Verified, Verifier

SHORTEST_SECRET: Final = 16
_MILLISECONDS_SINCE: Final = 100_000_000_000
"""Above it a number of seconds is one of milliseconds: as seconds it would lie in the year 5138."""
_WHSEC: Final = "whsec_"
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,80}$")]


def moment_of(text: str) -> datetime:
    """A moment (UTC) from seconds or milliseconds since 1970; `Unverified` for anything else."""
    try:
        number = int(text) if text.isascii() and len(text) < len("1234567890123456") else -1
        seconds = number / 1000 if number >= _MILLISECONDS_SINCE else number
        if number < 0:
            raise ValueError
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unverified("the timestamp is no number of seconds") from None


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def header(arrived: Arrived, name: str) -> str:
    """A header that must be there."""
    value = arrived.headers.get(name.lower(), "")
    if not value:
        raise Unverified(f"the header {name} is missing")
    return value


# -- Standard Webhooks


def _standard(arrived: Arrived, secret: Mapping[str, str], _options: object, _now: datetime) -> Verified:
    """`webhook-signature` holds one or more `v1,<base64>` of id, timestamp and body."""
    key, stamp = header(arrived, "webhook-id"), header(arrived, "webhook-timestamp")
    moment = moment_of(stamp)
    signed = b".".join((key.encode(), stamp.encode(), arrived.body))
    wanted = base64.b64encode(hmac.digest(_standard_key(secret["secret"]), signed, "sha256")).decode()
    given = [one[3:] for one in header(arrived, "webhook-signature").split() if one.startswith("v1,")]
    if not sum(same(one, wanted) for one in given):  # all are looked at, right or not
        raise Unverified("no signature is right")
    return Verified(arrived.body, moment, key)


def _standard_key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_WHSEC), validate=True)


def _not_standard(secret: Mapping[str, str]) -> str | None:
    try:
        key = _standard_key(secret["secret"])
    except (NotBase64, ValueError):
        return "whsec_ and base64 (应为 whsec_ 加 base64)"
    return None if len(key) >= SHORTEST_SECRET else _TOO_SHORT


_TOO_SHORT: Final = f"at least {SHORTEST_SECRET} characters (至少 {SHORTEST_SECRET} 个字符)"


def _short(secret: Mapping[str, str]) -> str | None:
    return None if len(secret["secret"]) >= SHORTEST_SECRET else _TOO_SHORT


# -- HMAC


class HmacAlgorithm(StrEnum):
    """Hash of an HMAC (摘要算法)."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"


class HmacEncoding(StrEnum):
    """How a signature is written (编码)."""

    HEX = "HEX"
    BASE64 = "BASE64"


class HmacOptions(Part):
    """Options of the verifier HMAC.

    `signed` is what is signed, with `{body}`, `{timestamp}` and `{id}` for the body and the values of the headers
    `timestampHeader` and `idHeader`.
    """

    header: HeaderName
    algorithm: HmacAlgorithm = HmacAlgorithm.SHA256
    encoding: HmacEncoding = HmacEncoding.HEX
    prefix: Annotated[str, StringConstraints(max_length=40)] = ""
    signed: Annotated[str, StringConstraints(max_length=200)] = "{body}"
    timestamp_header: HeaderName | None = None
    id_header: HeaderName | None = None

    @model_validator(mode="after")
    def _whole(self) -> HmacOptions:
        if self.signed.count("{body}") != 1:
            raise ValueError("signed must hold {body} once (signed 须包含一个 {body})")
        for mark, name in (("{timestamp}", self.timestamp_header), ("{id}", self.id_header)):
            if mark in self.signed and name is None:
                raise ValueError(f"signed names {mark}, but no header holds it (缺少对应的请求头)")
        return self


def _hmac(arrived: Arrived, secret: Mapping[str, str], options: HmacOptions, _now: datetime) -> Verified:
    """A signature in one header, over the body and what else the options name."""
    given, stamp, key = header(arrived, options.header), "", None
    if options.timestamp_header is not None and "{timestamp}" in options.signed:
        stamp = header(arrived, options.timestamp_header)
    if options.id_header is not None:
        key = header(arrived, options.id_header)
    before, _, after = options.signed.partition("{body}")
    around = [part.replace("{timestamp}", stamp).replace("{id}", key or "") for part in (before, after)]
    signed = around[0].encode() + arrived.body + around[1].encode()
    digest = hmac.digest(secret["secret"].encode(), signed, options.algorithm.value.lower())
    written = digest.hex() if options.encoding is HmacEncoding.HEX else base64.b64encode(digest).decode()
    if options.encoding is HmacEncoding.HEX:
        given = (
            given.lower() if not options.prefix else options.prefix + _after(given, options.prefix).lower()
        )
    if not same(given, options.prefix + written):
        raise Unverified("the signature is wrong")
    return Verified(arrived.body, moment_of(stamp) if stamp else None, key)


def _after(given: str, prefix: str) -> str:
    if not given.startswith(prefix):
        raise Unverified("the signature does not begin as it should")
    return given[len(prefix) :]


_GITHUB: Final = HmacOptions(header="X-Hub-Signature-256", prefix="sha256=")


def _github(arrived: Arrived, secret: Mapping[str, str], _options: object, now: datetime) -> Verified:
    """GitHub: `X-Hub-Signature-256: sha256=<hex>` over the body; the delivery's id is not signed."""
    verified = _hmac(arrived, secret, _GITHUB, now)
    return Verified(verified.body, key=arrived.headers.get("x-github-delivery"))


# -- static token


class TokenOptions(Part):
    """Options of the verifier STATIC_TOKEN: the header that holds the token, and what stands before it."""

    header: HeaderName = "Authorization"
    prefix: Annotated[str, StringConstraints(max_length=40)] = Field("Bearer ")


def _token(arrived: Arrived, secret: Mapping[str, str], options: TokenOptions, _now: datetime) -> Verified:
    """A fixed token in a header; the body is not signed, so use it over TLS alone."""
    if not same(header(arrived, options.header), options.prefix + secret["secret"]):
        raise Unverified("the token is wrong")
    key = arrived.headers.get("webhook-id") or arrived.headers.get("idempotency-key")
    return Verified(arrived.body, key=key)


VERIFIERS: Final = (
    Verifier("STANDARD_WEBHOOKS", "Standard Webhooks", _standard, problem=_not_standard),
    Verifier("GITHUB", "GitHub (X-Hub-Signature-256)", _github, problem=_short, says_when=False),
    Verifier("HMAC", "HMAC 签名", _hmac, options=HmacOptions, problem=_short),
    Verifier(
        "STATIC_TOKEN", "Static token 固定令牌", _token, options=TokenOptions, problem=_short, says_when=False
    ),
)
