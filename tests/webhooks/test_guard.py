"""No webhook reaches a machine of the house, whatever its address is written like or resolves to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.webhooks.guard import Resolve, allowed, is_host, problem_of_url
from crm_core.webhooks.posting import Post, Poster
from crm_core.webhooks.settings import WebhooksSettings
from tests.webhooks.conftest import SHORT
from tests.webhooks.sinks import sink

REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104  # nothing is bound to it
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::10.0.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:a9fe:a9fe::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "2001:0:7f00:1:8000:63bf:3fff:fdd2",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "223.5.5.5",
    "114.114.114.114",
    "::ffff:8.8.8.8",
    "2606:4700::1111",
    "2400:3200::1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", REFUSED)
def test_private_and_special_addresses_are_refused_in_every_form(address: str) -> None:
    assert not allowed(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert allowed(ip_address(address))


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_opens_it(address: IPv4Address) -> None:
    number = int(address)
    wrapped = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | (number ^ 0xFFFFFFFF)),
    ]
    assert allowed(address) or not any(allowed(one) for one in wrapped)


def test_an_allowed_network_is_allowed_and_nothing_beside_it() -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    assert allowed(ip_address("10.1.2.3"), networks)
    assert allowed(ip_address("::ffff:10.1.2.3"), networks)
    assert allowed(ip_address("fd00:1::5"), networks)
    assert not allowed(ip_address("10.2.0.1"), networks)
    assert not allowed(ip_address("127.0.0.1"), networks)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https://", "https://2130706433/", "https://0x7f000001/",
        "https://0177.0.0.1/", "https://127.1/", "https://0x7f.1/", "https://1.2.3.4.5/", "https://a:b@example.com/",
        "https://user@example.com/", "https://example.com/#x", "https://exa mple.com/", "https://example.com\\@evil.com/",
        "https://例子.com/", "https://example.com:0/", "https://example.com:99999/", "https://[::1%25eth0]/", " https://x.cn/",
        "https://a..b/", "https://-a.com/", "https://①②⑦.⓪.⓪.①/", "//example.com/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_addresses_that_clients_read_differently_are_refused_when_they_are_set_up(url: str) -> None:
    assert problem_of_url(url, private=False)


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=b", "https://hook.example.cn:8443/x", "https://8.8.8.8/", "https://[2606:4700::1111]/x"]
)  # fmt: skip
def test_usual_addresses_are_taken(url: str) -> None:
    assert problem_of_url(url, private=False) is None


def test_http_is_for_private_networks_alone() -> None:
    assert problem_of_url("http://10.1.0.1/", private=True) is None
    assert is_host("localhost")


def resolving(*answers: Sequence[str]) -> Resolve:
    """Resolves to each of these in turn, the last one for ever."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def posted(
    url: str, resolve: Resolve, *, private: bool = False, **settings: object
) -> tuple[int | None, str | None, bool]:
    """Status, error, and whether it is hopeless."""
    given = WebhooksSettings.model_validate({**SHORT, **settings})
    async with Poster(given, resolve) as poster:
        answer = await poster.post(Post(url, b"{}", {}, private=private), datetime.now(UTC))
    return answer.status, answer.error, answer.hopeless


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], []]
)
async def test_a_name_that_leads_home_is_not_connected_to(addresses: list[str]) -> None:
    async with sink() as receiver:
        url = f"http://partner.example.com:{receiver.port}/"
        status, error, hopeless = await posted(url, resolving(addresses))
    assert (status, hopeless) == (None, True)
    assert error is not None
    assert "127.0.0.1" not in error
    assert receiver.received == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"]
)
async def test_a_written_address_that_leads_home_is_not_connected_to(host: str) -> None:
    async with sink() as receiver:
        status, _, hopeless = await posted(f"http://{host}:{receiver.port}/", resolving(["127.0.0.1"]))
    assert (status, hopeless) == (None, True)
    assert receiver.received == []


async def test_the_checked_address_is_connected_to_and_nothing_resolved_again() -> None:
    """A name that is public when it is checked and private when it is used (DNS rebinding) has no second use."""
    asked: list[str] = []

    def noting(resolve: Resolve) -> Callable[[str, int], object]:
        async def resolve_and_note(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return await resolve(host, port)

        return resolve_and_note

    async with sink() as receiver:
        url = f"http://rebinding.example.com:{receiver.port}/"
        resolve = noting(resolving(["127.0.0.1"], ["127.0.0.2"]))
        status, error, _ = await posted(url, resolve, private=True)  # type: ignore[arg-type]  # it is one
        assert (status, error, asked) == (200, None, ["rebinding.example.com"])
        assert receiver.received[0].headers["host"] == f"rebinding.example.com:{receiver.port}"


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sink() as proxy, sink() as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url("/"))
        monkeypatch.setenv("http_proxy", proxy.url("/"))
        status, _, _ = await posted(receiver.url(), resolving(["127.0.0.1"]), private=True)
    assert (status, proxy.received) == (200, [])


async def test_networks_that_the_settings_do_not_allow_stay_closed_to_private_endpoints() -> None:
    async with sink() as receiver:
        status, _, _ = await posted(
            receiver.url(), resolving(["127.0.0.1"]), private=True, allowed_networks=["10.0.0.0/8"]
        )
    assert status is None
