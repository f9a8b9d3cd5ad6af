"""Identifiers: time-sortable in the database (UUIDv7, RFC 9562), `<prefix>_<32 hex>` in the API."""

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

_PREFIX = re.compile(r"[a-z]{2,5}")
_SHOWN = re.compile(r"(?P<prefix>[a-z]{2,5})_(?P<hex>[0-9a-f]{32})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_MS = 1_000_000
_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (1 << 62) - 1


def uuid7(now: datetime | None = None, random: Callable[[int], bytes] = os.urandom) -> UUID:
    """A new UUID of version 7, which sorts by the time it was made.

    Milliseconds stand in the first 48 bits, the fraction of the millisecond in the 12 bits after the version
    (method 3 of RFC 9562, section 6.2), so that ids made one after the other sort in that order.

    Args:
        now: the moment, with its zone; the clock of the machine when left out.
        random: gives that many random bytes.

    Raises:
        ValueError: `now` has no zone or lies before 1970.
    """
    milliseconds, rest = divmod(_nanoseconds(now), _NS_PER_MS)
    fraction = (rest << 12) // _NS_PER_MS
    noise = int.from_bytes(random(8), "big") & _RANDOM_BITS
    return UUID(int=milliseconds << 80 | _VERSION_7 | fraction << 64 | _VARIANT | noise)


def show(prefix: str, id: UUID) -> str:
    """The id as clients see it: `show("cus", …)` is `cus_0192…`.

    Raises:
        ValueError: the prefix is not 2 to 5 lower-case letters.
    """
    _require_prefix(prefix)
    return f"{prefix}_{id.hex}"


def read(shown: str) -> tuple[str, UUID]:
    """The prefix and the UUID of an id as clients see it; the inverse of `show`.

    Raises:
        ValueError: the text has any other form. Upper-case letters and dashes are refused too, so that one record
            has one id.
    """
    match = _SHOWN.fullmatch(shown)
    if match is None:
        raise ValueError(
            f"{shown[:60]!r} is not an id: expected 2 to 5 letters, '_' and 32 hexadecimal digits"
        )
    return match["prefix"], UUID(hex=match["hex"])


def read_as(prefix: str, shown: str) -> UUID:
    """The UUID of an id that must carry this prefix.

    Raises:
        ValueError: the id is malformed or carries another prefix.
    """
    _require_prefix(prefix)
    found, uuid = read(shown)
    if found != prefix:
        raise ValueError(
            f"{shown!r} is not an id of the kind expected here: it should begin with '{prefix}_'"
        )
    return uuid


def _require_prefix(prefix: str) -> None:
    if _PREFIX.fullmatch(prefix) is None:
        raise ValueError(f"{prefix!r} is not a prefix of ids: expected 2 to 5 lower-case letters")


def _nanoseconds(now: datetime | None) -> int:
    """Nanoseconds since 1970, exactly."""
    if now is None:
        return time.time_ns()
    if now.tzinfo is None:
        raise ValueError("the moment of an id needs a time zone")
    if now < _EPOCH:
        raise ValueError(f"an id cannot be made for {now.isoformat()}, which is before 1970")
    return (now - _EPOCH) // timedelta(microseconds=1) * 1000
