"""Keeps webhooks away from machines of the house: every address is checked, and the checked one is connected to."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the addresses of a host: (host, port) → addresses as text; raises `OSError`."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
_REFUSED: Final = (
    IPv4Network("100.64.0.0/10"),  # shared by carriers (CGNAT)
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of the house
    IPv6Network("fec0::/10"),  # site-local
    IPv6Network("100::/64"),  # discard
    IPv6Network("2001:db8::/32"),
    IPv6Network("5f00::/16"),
)
_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_MOST_NAME: Final = 253


class Refusal(OSError):
    """An address that must not be connected to; the text says why, without naming the address of the house."""


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Every address of a host, as the machine resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def allowed(address: Address, networks: Iterable[Network] = ()) -> bool:
    """Whether an address may be connected to: one of the public internet, or in one of these networks.

    An IPv6 address that stands for an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo) is judged by both.
    """
    given = tuple(networks)
    plain = _mapped(address)
    if any(plain.version == network.version and plain in network for network in given):
        return True
    return all(_is_public(one) for one in (plain, *_inside(plain)))


def _mapped(address: Address) -> Address:
    """The IPv4 address of `::ffff:1.2.3.4` and of NAT64's `64:ff9b::1.2.3.4`: that one is connected to in the end."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.scope_id:
        return False
    refused = any(address.version == network.version and address in network for network in _REFUSED)
    return address.is_global and not refused and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    )  # fmt: skip


def _inside(address: Address) -> Iterable[IPv4Address]:
    """IPv4 addresses that an IPv6 address carries, which a gateway may connect to."""
    if not isinstance(address, IPv6Address):
        return
    number = int(address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if number >> 32 == 0:
        yield IPv4Address(number & 0xFFFFFFFF)


def refuse_address(text: str, networks: Iterable[Network]) -> None:
    """Raise `Refusal` unless this address may be connected to."""
    try:
        address = ip_address(text)
    except ValueError:
        raise Refusal("the name leads to no address (无法解析的地址)") from None
    if not allowed(address, networks):
        raise Refusal("the address is private or special; it is not connected to (地址属于内网或保留网段)")


def problem_of_url(url: str, *, private: bool) -> str | None:
    """What is wrong with the address of an endpoint, in words; None: nothing that its text shows.

    `https` is required, save for those that may stand in private networks. Hosts written as octal, hexadecimal or
    single numbers are refused, as are user names, fragments, and characters that clients understand differently.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is no address (格式错误)"
    if url != url.strip() or any(c <= " " or c in "\\\x7f" for c in url) or not url.isascii():
        return "holds characters that do not belong into an address (含有非法字符)"
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        return "must begin with https:// (必须使用 https)"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must hold no user name and no fragment (不得包含用户名或片段)"
    if port == 0 or not is_host(host):
        return "names no host that is known by everybody (主机名无效)"
    return None


def is_host(host: str) -> bool:
    """Whether this is a full name or the usual form of an address, read by everybody alike."""
    if ":" in host:
        return _is_address(host) and "%" not in host
    labels = host.removesuffix(".").split(".")
    if not host or _NUMBER.fullmatch(labels[-1]):  # a name never ends in a number
        return _is_address(host)
    return len(host) <= _MOST_NAME and all(_NAME.fullmatch(label) for label in labels)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves a name for the connection that follows: if one of its addresses is refused, none is given."""

    def __init__(self, resolve: Resolve, networks: Iterable[Network]) -> None:
        """`networks` are private ones that may be reached."""
        self._resolve, self._networks = resolve, tuple(networks)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The checked addresses, each as it is: connecting resolves nothing again."""
        found = await self._resolve(host, port)
        if not found:
            raise Refusal("the name leads to no address (无法解析的地址)")
        for address in found:
            refuse_address(address, self._networks)
        return [_result(host, port, address) for address in found]

    async def close(self) -> None:
        """Nothing is open."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )  # fmt: skip
