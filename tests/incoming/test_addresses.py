"""Where a request comes from: addresses, networks, and proxies that are trusted or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.incoming.addresses import client_of, is_allowed, network

PROXIES = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "1.2.3.4, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.1.1.1", "1.2.3.4,198.51.100.1:443", "198.51.100.1"),
        ("10.1.1.1", None, "10.1.1.1"),
        ("10.1.1.1", "garbage", None),
        ("10.1.1.1", "1.2.3.4, garbage", None),
        ("::ffff:203.0.113.7", None, "203.0.113.7"),
        ("::ffff:10.1.1.1", "2001:db8::7", "2001:db8::7"),
        ("fd00::1", "[2001:db8::7]:8443", "2001:db8::7"),
        ("fe80::1%eth0", None, "fe80::1"),
        (None, "198.51.100.1", None),
    ],
)
def test_who_is_behind_trusted_proxies(peer: str | None, forwarded: str | None, client: str | None) -> None:
    found = client_of(peer, forwarded, PROXIES)
    assert (str(found) if found else None) == client


@pytest.mark.parametrize(
    ("client", "allowed", "taken"),
    [
        ("203.0.113.7", [], True),
        (None, [], True),
        (None, ["0.0.0.0/0"], False),
        ("203.0.113.7", ["203.0.113.7"], True),
        ("203.0.113.8", ["203.0.113.7"], False),
        ("203.0.113.200", ["203.0.113.0/24"], True),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db9::1", ["2001:db8::/32", "0.0.0.0/0"], False),
        ("203.0.113.7", ["::ffff:203.0.113.0/120"], True),
        ("::ffff:203.0.113.7", ["203.0.113.0/24"], True),
    ],
)
def test_who_is_allowed(client: str | None, allowed: list[str], *, taken: bool) -> None:
    assert is_allowed(client_of(client, None, []), allowed) is taken


@given(st.text(max_size=30), st.text(max_size=60))
def test_no_header_breaks_it(peer: str, forwarded: str) -> None:
    client_of(peer, forwarded, PROXIES)


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1.2.3.4/33", "::/129"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        network(text)
