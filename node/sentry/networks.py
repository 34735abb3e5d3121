"""Parts of the network by address: whoever has one address there mostly has others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_V4_PREFIX: Final = 24
_V6_PREFIX: Final = 48


def network_of(address: str) -> str:
    """Return the /24 (IPv6: /48) that an address is of; what is no address is a network of its own."""
    ip = _parsed(address)
    if ip is None:
        return address
    prefix = _V4_PREFIX if ip.version == 4 else _V6_PREFIX
    return f"{int(ip) >> (ip.max_prefixlen - prefix)}/{prefix}/{ip.version}"


def neighbours_of(address: str) -> str:
    """Return what of the network one stranger may hold as a whole: its /24 or /48, in private networks the address."""
    ip = _parsed(address)
    return address if ip is None or ip.is_private else network_of(address)


def is_own_machine(address: str) -> bool:
    """Tell whether whoever is there is no single stranger: a devnet's other nodes, or a proxy."""
    ip = _parsed(address)
    return ip is not None and ip.is_loopback


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
