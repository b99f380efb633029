"""Addresses and host ports, compared as a host's kernel would when it is asked to bind them."""

from __future__ import annotations

import ipaddress

_ANY = ("0.0.0.0", "::")
HostPort = tuple[str, int, str]


def canonical(address: str) -> str:
    """The address in its one short spelling; what is none stays as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def same_binding(one: HostPort, other: HostPort) -> bool:
    """Whether two (host address, host port, protocol) exclude each other.

    The empty address is any of both families; `0.0.0.0` and `::` are any of their own, which an Engine binds apart.
    """
    return one[1:] == other[1:] and _same_address(canonical(one[0]), canonical(other[0]))


def _same_address(one: str, other: str) -> bool:
    if not one or not other:
        return True
    same_family = (":" in one) == (":" in other)
    return same_family and (one == other or one in _ANY or other in _ANY)
