"""Fresh subnets for networks that are made again beside the old ones, with every address at its old place in them."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_PRIVATE = tuple(ipaddress.IPv4Network(text) for text in ("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"))
_MOST_CANDIDATES = 65536

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parsed(texts: Iterable[str]) -> list[Network]:
    """The subnets among some texts; an Engine's `host` and `none` have none."""
    return [ipaddress.ip_network(text, strict=False) for text in texts if text]


def free_subnet(old: str, taken: Iterable[Network], *, seed: str) -> str | None:
    """A subnet of the same size that overlaps none of the taken ones; None where all are taken."""
    wanted = ipaddress.ip_network(old, strict=False)
    if isinstance(wanted, ipaddress.IPv6Network):
        return _unique_local(wanted.prefixlen, seed)
    fours = [entry for entry in taken if isinstance(entry, ipaddress.IPv4Network)]
    return next((str(entry) for entry in _candidates(wanted.prefixlen) if not any(map(entry.overlaps, fours))), None)


def _candidates(prefix: int) -> Iterator[ipaddress.IPv4Network]:
    count = 0
    for pool in _PRIVATE:
        for candidate in pool.subnets(new_prefix=prefix) if prefix >= pool.prefixlen else ():
            count += 1
            if count > _MOST_CANDIDATES:
                return
            yield candidate


def _unique_local(prefix: int, seed: str) -> str:
    """A unique local prefix (RFC 4193, section 3) with its 40 bits from a hash instead of chance: plans repeat."""
    bits = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7], "big")
    base = (0xFD << 120) | (bits << 64)
    return str(ipaddress.ip_network((base, max(prefix, 64)), strict=False))


def moved(address: str, old: str, new: str) -> str:
    """The address at the same place in the new subnet."""
    before, after = ipaddress.ip_network(old, strict=False), ipaddress.ip_network(new, strict=False)
    offset = int(ipaddress.ip_address(address)) - int(before.network_address)
    return str(after.network_address + offset)


def within(address: str, subnet: str) -> bool:
    """Whether an address lies in a subnet of its kind."""
    network, parsed_address = ipaddress.ip_network(subnet, strict=False), ipaddress.ip_address(address)
    return parsed_address.version == network.version and parsed_address in network


def pool_body(pool: Mapping[str, Any], new: str) -> dict[str, str]:
    """One entry of `IPAM.Config` in a new subnet; its range and gateway move along."""
    old = str(pool["Subnet"])
    body = {"Subnet": new}
    if pool.get("IPRange"):
        old_range = ipaddress.ip_network(str(pool["IPRange"]), strict=False)
        body["IPRange"] = f"{moved(str(old_range.network_address), old, new)}/{old_range.prefixlen}"
    if pool.get("Gateway"):
        body["Gateway"] = moved(str(pool["Gateway"]).partition("/")[0], old, new)
    return body
