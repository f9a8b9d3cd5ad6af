"""A verifier that a plugin brings, from the request to the record it makes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import Field

from crm_core.commands import Part
from crm_core.customers.models import Customer
from crm_core.incoming.verifier import Arrived, Unverified, Verified, Verifier
from crm_core.loader import Candidate
from tests.incoming.conftest import ONCE, Door
from tests.loader.made import candidate, module

KEY = "a-key-that-both-of-us-know"
BODY = b'{"name": "Ann"}'


class PartnerOptions(Part):
    """Options of a source of this partner."""

    header: str = Field("x-partner-signature", description="Where the signature stands (签名头).")


def signature(key: str, stamp: str, body: bytes) -> str:
    return hmac.new(key.encode(), stamp.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def verify(arrived: Arrived, secret: Mapping[str, str], options: PartnerOptions, _now: datetime) -> Verified:
    """The partner signs its moment and the body."""
    stamp = arrived.headers.get("x-partner-time", "")
    given = arrived.headers.get(options.header.lower(), "")
    if not hmac.compare_digest(given, signature(secret["secret"], stamp, arrived.body)):
        raise Unverified("the signature is wrong")
    moment = datetime.fromtimestamp(int(stamp), UTC)
    return Verified(arrived.body, moment, arrived.headers.get("x-partner-id"))


def problem(secret: Mapping[str, str]) -> str | None:
    return None if len(secret["secret"]) > 8 else "too short (太短)"


PARTNER = Verifier("PARTNER", "Partner (合作方)", verify, options=PartnerOptions, problem=problem)
PLUGIN = candidate("partner", module(crm_verifiers=lambda: [PARTNER]))


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (PLUGIN,)


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": ("partner",), "west": ()}


async def source(door: Door, **more: Any) -> Any:
    given = {"secret": {"secret": KEY}, "options": {"header": "X-Signed"}, **more}
    return await door.source(verifier="PARTNER", **given)


def signed(door: Door, key: str = KEY, *, late: int = 0, number: str = "1") -> dict[str, str]:
    stamp = str(int(door.crm.clock.now.timestamp()) - late)
    return {"x-partner-time": stamp, "x-signed": signature(key, stamp, BODY), "x-partner-id": number}


async def test_what_a_verifier_of_a_plugin_lets_in_is_kept_once_and_becomes_a_record(door: Door) -> None:
    made = await source(door)
    first = await door.send(made, BODY, signed(door), token=None)
    again = await door.send(made, BODY, signed(door), token=None)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == {"id": first.json()["id"], "duplicate": True}
    assert await door.work_off() == 1
    row = await door.request()
    assert (row.state, row.body, row.line) == ("DONE", BODY, "east")
    (customer,) = await door.crm.rows(Customer)
    assert customer.name == "Ann"
    assert (await door.send(made, BODY, signed(door, number="2"), token=None)).status_code == 202


@ONCE
async def test_what_it_refuses_is_not_kept(door: Door) -> None:
    made = await source(door)
    wrong = [signed(door, "another-key-than-ours"), {}, signed(door, late=3_600)]
    for headers in wrong:
        answer = await door.send(made, BODY, headers, token=None)
        assert answer.status_code == 401, answer.text
    assert (await door.requests(), await door.work_off()) == ([], 0)
    assert await door.crm.rows(Customer) == []
    assert KEY not in door.log.getvalue()


@ONCE
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"secret": {"token": KEY}}, "secret"),
        ({"secret": {"secret": "short"}}, "secret"),
        ({"options": {"headers": "x"}}, "options"),
    ],
)
async def test_a_source_must_have_the_secret_and_the_options_it_asks_for(
    door: Door, given: dict[str, Any], field: str
) -> None:
    body = {"secret": {"secret": KEY}, "options": {}, **given}
    refused = await door.try_source(verifier="PARTNER", **body)
    assert refused["incomingSource"] is None
    assert {error["field"].split(".")[0] for error in refused["userErrors"]} == {field}
