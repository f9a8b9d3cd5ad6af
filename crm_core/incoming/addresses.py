"""Tells where a request comes from: the client's address behind proxies one trusts, and lists of allowed ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def network(text: str) -> Network:
    """An address or a network, `203.0.113.7`, `2001:db8::/32`; `ValueError` for anything else."""
    found = ip_network(text.strip(), strict=False)
    inner = found.network_address
    if isinstance(inner, IPv6Address) and inner.ipv4_mapped is not None and found.prefixlen >= _MAPPED_BITS:
        return ip_network((inner.ipv4_mapped, found.prefixlen - _MAPPED_BITS))
    return found


_MAPPED_BITS = 96


def client_of(peer: str | None, forwarded: str | None, trusted: Sequence[str]) -> Address | None:
    """The client's address: that of the connection or, as long as it is a trusted proxy's, the last one it names.

    `forwarded` is the header `X-Forwarded-For`; what stands left of an address that is not trusted is hearsay. None:
    nobody knows, e.g. over a socket of the file system.
    """
    proxies = [network(one) for one in trusted]
    found = _address(peer)
    for named in reversed((forwarded or "").split(",")):
        if found is None or not _within(found, proxies):
            return found
        if named.strip():
            found = _address(named)
    return found


def is_allowed(client: Address | None, allowed: Sequence[str]) -> bool:
    """Whether the client is in one of these networks; without any everybody is."""
    return not allowed or (client is not None and _within(client, [network(one) for one in allowed]))


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in one for one in networks if one.version == address.version)


def _address(text: str | None) -> Address | None:
    """An address, without port, brackets or zone; IPv4 inside IPv6 is the IPv4 address."""
    plain = (text or "").strip()
    if plain.startswith("["):
        plain = plain[1:].partition("]")[0]
    elif plain.count(":") == 1:
        plain = plain.partition(":")[0]
    try:
        found = ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
