"""Fresh subnets for networks that are made again beside the old ones, with every address at its old place in them."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

_PRIVATE = tuple(ipaddress.IPv4Network(text) for text in ("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"))
_UNIQUE_LOCAL = ipaddress.IPv6Network("fd00::/8")
_MOST_CANDIDATES = 1000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parsed(texts: Iterable[str]) -> list[Network]:
    """The subnets among some texts; an Engine's `host` and `none` have none."""
    return [ipaddress.ip_network(text, strict=False) for text in texts if text]


def free_subnet(old: str, taken: Iterable[Network], *, seed: str) -> str | None:
    """A subnet of the same size that overlaps none of the taken ones, the old one if it can be; None where all are."""
    wanted = ipaddress.ip_network(old, strict=False)
    alike = [entry for entry in taken if entry.version == wanted.version]
    if _in_the_way(wanted, alike) is None:
        return str(wanted)
    if isinstance(wanted, ipaddress.IPv6Network):
        return _unique_local(wanted.prefixlen, alike, seed)
    return _private(wanted.prefixlen, alike)


def _in_the_way(candidate: Network, alike: Iterable[Network]) -> Network | None:
    """One of the networks of its kind that it overlaps."""
    first, last = int(candidate.network_address), int(candidate.broadcast_address)
    return next(
        (entry for entry in alike if int(entry.network_address) <= last and first <= int(entry.broadcast_address)), None
    )


def _private(prefix: int, alike: Iterable[Network]) -> str | None:
    """The lowest free one of the private address ranges: what is in the way is stepped over in one go."""
    step = 2 ** (32 - prefix)
    for pool in _PRIVATE:
        start = int(pool.network_address)
        while prefix >= pool.prefixlen and start <= int(pool.broadcast_address):
            candidate = ipaddress.IPv4Network((start, prefix))
            held = _in_the_way(candidate, alike)
            if held is None:
                return str(candidate)
            start = (int(held.broadcast_address) // step + 1) * step
    return None


def _unique_local(prefix: int, alike: Iterable[Network], seed: str) -> str | None:
    """A unique local prefix (RFC 4193, section 3), its bits from a hash instead of chance: plans repeat."""
    if prefix < _UNIQUE_LOCAL.prefixlen:
        return None
    for number in range(_MOST_CANDIDATES):
        bits = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:7], "big")
        base = int(_UNIQUE_LOCAL.network_address) | (bits << 64)
        candidate = ipaddress.IPv6Network((base, prefix), strict=False)
        if _in_the_way(candidate, alike) is None:
            return str(candidate)
    return None


def moved(address: str, old: str, new: str) -> str:
    """The address at the same place in the new subnet."""
    before, after = ipaddress.ip_network(old, strict=False), ipaddress.ip_network(new, strict=False)
    offset = int(ipaddress.ip_address(address)) - int(before.network_address)
    return str(after.network_address + offset)


def within(address: str, subnet: str) -> bool:
    """Whether an address lies in a subnet of its kind."""
    network, parsed_address = ipaddress.ip_network(subnet, strict=False), ipaddress.ip_address(address)
    return parsed_address.version == network.version and parsed_address in network


def pool_body(pool: Mapping[str, Any], new: str) -> dict[str, Any]:
    """One entry of `IPAM.Config` in a new subnet; its range, gateway and reserved addresses move along."""
    old = str(pool["Subnet"])
    body: dict[str, Any] = {"Subnet": new}
    if pool.get("IPRange"):
        old_range = ipaddress.ip_network(str(pool["IPRange"]), strict=False)
        body["IPRange"] = f"{moved(str(old_range.network_address), old, new)}/{old_range.prefixlen}"
    if pool.get("Gateway"):
        body["Gateway"] = _moved_along(pool["Gateway"], old, new)
    if pool.get("AuxiliaryAddresses"):
        reserved = pool["AuxiliaryAddresses"].items()
        body["AuxiliaryAddresses"] = {name: _moved_along(address, old, new) for name, address in reserved}
    return body


def _moved_along(address: Any, old: str, new: str) -> str:
    """As `moved`, of an address that Engines may write with its prefix."""
    return moved(str(address).partition("/")[0], old, new)
