"""Signs what is sent, as Standard Webhooks asks: HMAC-SHA256 of id, moment and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64
_NEW_BYTES: Final = 32


def new_secret(random: Callable[[int], bytes]) -> str:
    """A new secret: `whsec_` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(random(_NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key in a secret; `ValueError` when it is not `whsec_` and base64 of 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except NotBase64:
        raise ValueError("not base64") from None
    if not secret.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise ValueError("not whsec_ and base64 of 24 to 64 bytes")
    return key


def headers_for(message_id: str, moment: datetime, body: bytes, secrets: Iterable[str]) -> Mapping[str, str]:
    """The headers `webhook-id`, `webhook-timestamp` (s) and `webhook-signature`, one signature for each secret."""
    stamp = str(int(moment.timestamp()))
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    signatures = (_signature(key_of(secret), signed) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(signatures),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
