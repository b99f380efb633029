"""Which network addresses no Engine may have: a registered host must not become a way to what only we can reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Machines in clouds are given credentials here; these lie outside of the link-local ranges.
_METADATA = frozenset(ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Where databases and brokers usually listen; the product's own ports are added by whoever knows the settings.
SERVICE_PORTS = frozenset({5432, 6379})
_RANGES: Mapping[str, str] = {
    "is_unspecified": "it stands for every address",
    "is_link_local": "it is link-local, where clouds keep their metadata",
    "is_multicast": "it is multicast",
    "is_reserved": "it is reserved",
}


def why_refused(text: str) -> str | None:
    """Why no Engine may have this IP address, in words that follow "because"; None when one may.

    Loopback and private addresses are fine: only administrators register hosts, and that is where Engines are. An IPv6
    address that carries an IPv4 one is judged by that. Raises ValueError for what is no IP address.
    """
    address = _carried(ipaddress.ip_address(text.partition("%")[0]))
    if address in _METADATA:
        return "it is where a cloud keeps its metadata"
    if address.is_loopback:  # Python counts ::1 among the reserved ones
        return None
    if address.version == 4 and int(address) >> 24 == 0:
        return _RANGES["is_unspecified"]
    return next((words for name, words in _RANGES.items() if getattr(address, name)), None)


def _carried(address: Address) -> Address:
    """The IPv4 address in a mapped, 6to4, Teredo or NAT64 address, which a router or the kernel would take it for."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo
    inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address
