"""What a verifier (验签方式) is: a function that tells whether a request comes from whom it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_core.commands import Part


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it arrived: names of headers in lower case, the body as bytes."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender hears: status 200, this body."""

    body: bytes
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature is right.

    `body` is what the sender meant, decrypted where it came encrypted. `moment` is when it was signed (UTC), None where
    nothing signed tells. `key` is the sender's own id of it, the same whenever it is sent again. With `answer` it is a
    handshake: answered and not kept. `reply` is said once it is kept, in place of the usual answer.
    """

    body: bytes
    moment: datetime | None = None
    key: str | None = None
    answer: Answer | None = None
    reply: Answer | None = None


class Unverified(Exception):
    """The request does not come from whom it says. The text goes into the log: no secret may stand in it."""


class NoOptions(Part):
    """A verifier that has none."""


def _anything(_secret: Mapping[str, str]) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Verifier:
    """A way to verify requests: `verify(arrived, secret, options, now)` gives what was verified or raises `Unverified`.

    It is pure: `secret` holds the values named in `secrets` (all needed) and `optional`, `options` is what the source
    set, as an instance of the model of that name. `problem(secret)` says what is wrong with a secret of the wrong form,
    in both languages. `says_when` tells whether what it verifies has a moment, so that a replay window can hold.
    """

    name: str
    title: str
    verify: Callable[[Arrived, Mapping[str, str], Any, datetime], Verified]
    secrets: tuple[str, ...] = ("secret",)
    optional: tuple[str, ...] = ()
    options: type[Part] = NoOptions
    problem: Callable[[Mapping[str, str]], str | None] = _anything
    says_when: bool = True
