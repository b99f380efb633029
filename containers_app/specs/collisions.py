"""What stands in a clone's way, all of it at once, each with options that would avoid it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from containers_app.specs.clone_networks import has_own_network
from containers_app.specs.container import ClonePlan
from containers_app.specs.engine import Holding, NetworkSummary

Blocks = Literal["create", "start", "confirm"]
_ANY_ADDRESS = ("", "0.0.0.0", "::")
_HIGHEST_PORT = 65535
_LONGEST_NAME = 63
_MOST_ADDRESSES = 4096


@dataclass(frozen=True, kw_only=True)
class Collision:
    """One thing in the way.

    `blocks` says what cannot be done: creating, starting, or doing it without an explicit word; None is advice.
    `resolution` has options of a request that would avoid it, or is None.
    """

    kind: str
    subject: str
    message: str
    resolution: Mapping[str, Any] | None = None
    blocks: Blocks | None = None

    def document(self) -> dict[str, Any]:
        """As plans show it."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "message": self.message,
            "resolution": dict(self.resolution) if self.resolution is not None else None,
            "blocks": self.blocks,
        }


@dataclass(frozen=True, kw_only=True)
class World:
    """What the target's Engine has: what its containers hold, and its networks."""

    holdings: tuple[Holding, ...] = ()
    networks: tuple[NetworkSummary, ...] = ()


def find_collisions(plan: ClonePlan, world: World) -> tuple[Collision, ...]:
    """Every collision of a plan with the world: name, image, networks, host ports, static addresses, MACs."""
    return (
        *_name(plan, world),
        *_image(plan),
        *_missing_networks(plan, world),
        *_ports(plan, world),
        *_addresses(plan, world),
        *_macs(plan, world),
    )


def _name(plan: ClonePlan, world: World) -> Iterator[Collision]:
    taken = {holding.name for holding in world.holdings}
    if plan.name in taken:
        yield Collision(
            kind="name",
            subject=plan.name,
            message=f"A container named {plan.name} exists: choose another name.",
            resolution={"name": free_name(plan.name, taken)},
            blocks="create",
        )


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The name with the lowest number at its end that nobody has."""
    numbers = range(2, len(taken) + 3)
    candidates = (f"{wanted[: _LONGEST_NAME - len(str(number)) - 1]}-{number}" for number in numbers)
    return next(candidate for candidate in candidates if candidate not in taken)


def _image(plan: ClonePlan) -> Iterator[Collision]:
    if plan.missing_image:
        subject = plan.create.settings.image or plan.image_id
        yield Collision(kind="image", subject=subject, message=plan.missing_image, blocks="create")


def _missing_networks(plan: ClonePlan, world: World) -> Iterator[Collision]:
    names = ", ".join(sorted(network.name for network in world.networks))
    for name in plan.missing_networks:
        message = f"The network {name} is not on the Engine; it has: {names}."
        yield Collision(kind="network", subject=name, message=message, blocks="create")


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One binding of the clone; `ports` are the host ports that would do, none for any free one."""

    container: str
    address: str
    ports: range


def _wanted_ports(plan: ClonePlan) -> tuple[_Wanted, ...]:
    host = plan.create.host
    if not has_own_network(host.network_mode):
        return ()
    return tuple(
        _Wanted(container=key, address=entry.address or "", ports=_as_range(entry.port or ""))
        for key, entries in (host.port_bindings or {}).items()
        for entry in entries or ()
    )


def _as_range(text: str) -> range:
    first, _, last = text.partition("-")
    if not first.isdigit() or int(first) == 0:
        return range(0)
    return range(int(first), int(last if last.isdigit() else first) + 1)


def _ports(plan: ClonePlan, world: World) -> Iterator[Collision]:
    wanted = _wanted_ports(plan)
    held = tuple((holding.name, port) for holding in world.holdings if holding.running for port in holding.ports)
    holders = [(entry, _holder(entry, held)) for entry in wanted]
    if not any(holder for _, holder in holders):
        return
    resolution = {"overrides": {"ports": _free_ports(holders, held)}}
    for entry, holder in holders:
        if holder:
            shown = f"{entry.address or '0.0.0.0'}:{entry.ports[0]}/{_protocol(entry)}"
            message = (
                f"The host port {shown} is held by the running container {holder}: the clone cannot start with it."
            )
            yield Collision(kind="port", subject=shown, message=message, resolution=resolution, blocks="start")


def _protocol(entry: _Wanted) -> str:
    return entry.container.partition("/")[2] or "tcp"


def _holder(entry: _Wanted, held: tuple[tuple[str, tuple[str, int, str]], ...]) -> str | None:
    """Who holds every port that would do; None where one is free, or any port will do."""
    holders = [
        next((name for name, taken in held if _clash(entry.address, number, _protocol(entry), taken)), None)
        for number in entry.ports
    ]
    return holders[0] if holders and all(holders) else None


def _clash(address: str, number: int, protocol: str, taken: tuple[str, int, str]) -> bool:
    other, port, kind = taken
    same_address = address in _ANY_ADDRESS or other in _ANY_ADDRESS or address == other
    return number == port and protocol == kind and same_address


def _free_ports(
    holders: list[tuple[_Wanted, str | None]], held: tuple[tuple[str, tuple[str, int, str]], ...]
) -> list[dict[str, Any]]:
    """All ports of the clone, the taken ones moved up to the next that nobody holds or wants."""
    used = {port for _, (_, port, _) in held} | {
        entry.ports[0] for entry, holder in holders if entry.ports and not holder
    }
    proposal = []
    for entry, holder in holders:
        number = entry.ports[0] if entry.ports else None
        if holder and number is not None:
            number = next((port for port in range(number + 1, _HIGHEST_PORT + 1) if port not in used), None)
            used.add(number or 0)
        container, _, protocol = entry.container.partition("/")
        proposal.append(
            {
                "container": int(container),
                "protocol": protocol or "tcp",
                "host": number,
                "hostIp": entry.address or None,
            }
        )
    return proposal


def _addresses(plan: ClonePlan, world: World) -> Iterator[Collision]:
    held = {address: holding.name for holding in world.holdings if holding.running for address in holding.addresses}
    clashing = [address for endpoint in plan.endpoints for address in endpoint.static_addresses if address in held]
    for address in clashing:
        yield Collision(
            kind="address",
            subject=address,
            message=f"The address {address} is held by the running container {held[address]}: the clone cannot start.",
            resolution={"overrides": {"networks": _fresh_networks(plan, world, set(held))}},
            blocks="start",
        )


def _macs(plan: ClonePlan, world: World) -> Iterator[Collision]:
    held = {mac: holding.name for holding in world.holdings if holding.running for mac in holding.macs}
    macs = [plan.create.settings.mac_address, *(endpoint.mac_address for endpoint in plan.endpoints)]
    for mac in dict.fromkeys(mac.lower() for mac in macs if mac):
        if mac in held:
            yield Collision(
                kind="mac",
                subject=mac,
                message=f"The MAC address {mac} is held by the running container {held[mac]}: both would lose packets.",
                resolution={"overrides": {"networks": _fresh_networks(plan, world, set())}},
                blocks="start",
            )


def _fresh_networks(plan: ClonePlan, world: World, held: set[str]) -> list[dict[str, Any]]:
    """All networks of the clone without a MAC, with an address that nobody holds where one was configured."""
    by_id = {network.id: network for network in world.networks}
    by_name = {network.name: network for network in world.networks}
    used = held | {address for holding in world.holdings for address in holding.addresses}
    proposal = []
    entries = [*plan.create.endpoints.items(), *((join.network_id, join.endpoint) for join in plan.connect_after)]
    for key, endpoint in entries:
        network = by_id.get(key) or by_name.get(key)
        addresses = endpoint.addresses
        fresh = {
            "ipv4Address": _free_address(addresses.ipv4 if addresses else None, network, used, held),
            "ipv6Address": _free_address(addresses.ipv6 if addresses else None, network, used, held),
        }
        known = {"name": network.name if network else key, "aliases": list(endpoint.aliases or ())}
        proposal.append({**known, **{name: value for name, value in fresh.items() if value}})
    return proposal


def _free_address(wanted: str | None, network: NetworkSummary | None, used: set[str], held: set[str]) -> str | None:
    """The wanted address if nobody holds it, else the next free one of its subnet, else None: any."""
    if wanted is None or wanted not in held:
        return wanted
    address = ipaddress.ip_address(wanted)
    pools = [ipaddress.ip_network(subnet, strict=False) for subnet in (network.subnets if network else ()) if subnet]
    for pool in (pool for pool in pools if address in pool):
        for number in range(1, _MOST_ADDRESSES):
            candidate = address + number
            if candidate not in pool or candidate == pool.broadcast_address:
                break
            if str(candidate) not in used:
                used.add(str(candidate))
                return str(candidate)
    return None
