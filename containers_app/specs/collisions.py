"""What stands in a clone's way, all of it at once, each with options that would avoid it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from containers_app.specs.bindings import HostPort, canonical, same_binding
from containers_app.specs.clone_networks import has_own_network
from containers_app.specs.container import ClonePlan
from containers_app.specs.engine import Holding, NetworkSummary
from containers_app.specs.network import AddressSpec, find_network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Pool = ipaddress.IPv4Network | ipaddress.IPv6Network
Blocks = Literal["create", "start", "confirm"]
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


def no_room(needed_bytes: int, free_bytes: int, *, certain: bool) -> Collision:
    """Content that is larger than what is free where the Engine keeps its data; unless `certain`, that is advice."""
    words = (
        f"The clone takes {in_words(needed_bytes)}, and where the Engine keeps its data {in_words(free_bytes)} are free"
    )
    message = f"{words}: make room there, or clone to another host."
    return Collision(kind="space", subject="data", message=message, blocks="create" if certain else None)


def in_words(size_bytes: int) -> str:
    """Bytes with three digits and a decimal unit: `1.23 GB`."""
    size, units = float(size_bytes), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= 999.5 and (larger := next(units, None)):
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


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
    proposal = [*_free_ports(holders, held), *_published_anyway(plan)]
    for entry, holder in holders:
        if holder:
            shown = _shown(entry)
            message = (
                f"The host port {shown} is held by the running container {holder}: the clone cannot start with it."
            )
            resolution = {"overrides": {"ports": proposal}}
            yield Collision(kind="port", subject=shown, message=message, resolution=resolution, blocks="start")


def expected_ports(plan: ClonePlan, world: World) -> tuple[HostPort, ...]:
    """The host ports that the clone will hold while it runs; of a range the first one that is free."""
    held = tuple((holding.name, port) for holding in world.holdings if holding.running for port in holding.ports)
    expected: list[HostPort] = []
    for entry in _wanted_ports(plan):
        own = tuple((plan.name, port) for port in expected)
        free = (number for number in entry.ports if _holder_of(entry, number, (*held, *own)) is None)
        expected += [(entry.address, number, _protocol(entry)) for number in [next(free, None)] if number]
    return tuple(expected)


def _shown(entry: _Wanted) -> str:
    address = entry.address or "0.0.0.0"
    last = f"-{entry.ports[-1]}" if len(entry.ports) > 1 else ""
    return f"{f'[{address}]' if ':' in address else address}:{entry.ports[0]}{last}/{_protocol(entry)}"


def _protocol(entry: _Wanted) -> str:
    return entry.container.partition("/")[2] or "tcp"


def _holder(entry: _Wanted, held: tuple[tuple[str, HostPort], ...]) -> str | None:
    """Who holds every port that would do; None where one is free, or any port will do."""
    holders = [_holder_of(entry, number, held) for number in entry.ports]
    return holders[0] if holders and all(holders) else None


def _holder_of(entry: _Wanted, number: int, held: tuple[tuple[str, HostPort], ...]) -> str | None:
    binding = (entry.address, number, _protocol(entry))
    return next((name for name, taken in held if same_binding(binding, taken)), None)


def _free_ports(
    holders: list[tuple[_Wanted, str | None]], held: tuple[tuple[str, HostPort], ...]
) -> list[dict[str, Any]]:
    """All ports of the clone: of a range the first free one, the taken ones moved up to what nobody holds or wants."""
    used = {port for _, (_, port, _) in held} | {entry.ports[0] for entry, _ in holders if len(entry.ports) == 1}
    proposal = []
    for entry, holder in holders:
        number = entry.ports[0] if entry.ports else None
        if number is not None and (holder or len(entry.ports) > 1):
            candidates = (*entry.ports, *range(entry.ports[-1] + 1, _HIGHEST_PORT + 1))
            number = next((port for port in candidates if port not in used), None)
        used.add(number or 0)
        proposal.append(_as_override(entry.container, number, entry.address))
    return proposal


def _published_anyway(plan: ClonePlan) -> list[dict[str, Any]]:
    """Ports without a binding that `PublishAllPorts` publishes, which an override of the ports ends."""
    if not plan.create.host.publish_all_ports:
        return []
    bindings = plan.create.host.port_bindings or {}
    return [_as_override(key, None, "") for key in plan.create.settings.exposed_ports or () if not bindings.get(key)]


def _as_override(key: str, number: int | None, address: str) -> dict[str, Any]:
    container, _, protocol = key.partition("/")
    return {"container": int(container), "protocol": protocol or "tcp", "host": number, "hostIp": address or None}


def _addresses(plan: ClonePlan, world: World) -> Iterator[Collision]:
    held = _held_addresses(world)
    wanted = [canonical(address) for endpoint in plan.endpoints for address in endpoint.static_addresses]
    for address in dict.fromkeys(wanted):
        if address in held:
            words = f"The address {address} is held by the running container {held[address]}: the clone cannot start."
            resolution = {"overrides": {"networks": _fresh_networks(plan, world)}}
            yield Collision(kind="address", subject=address, message=words, resolution=resolution, blocks="start")


def _held_addresses(world: World) -> dict[str, str]:
    """Who holds each address; a container that does not run holds none."""
    return {
        canonical(address): holding.name
        for holding in world.holdings
        if holding.running
        for address in holding.addresses
    }


def _macs(plan: ClonePlan, world: World) -> Iterator[Collision]:
    held = {mac.lower(): holding.name for holding in world.holdings if holding.running for mac in holding.macs}
    macs = [plan.create.settings.mac_address, *(endpoint.mac_address for endpoint in plan.endpoints)]
    for mac in dict.fromkeys(mac.lower() for mac in macs if mac):
        if mac in held:
            words = f"The MAC address {mac} is held by the running container {held[mac]}: both would lose packets."
            resolution = {"overrides": {"networks": _fresh_networks(plan, world)}}
            yield Collision(kind="mac", subject=mac, message=words, resolution=resolution, blocks="start")


def _fresh_networks(plan: ClonePlan, world: World) -> list[dict[str, Any]]:
    """All networks of the clone without a MAC, with an address that nobody holds where one was configured.

    A network that is gone is left out, and one that shares its name is named by its id.
    """
    held = _held_addresses(world)
    used = {canonical(address) for holding in world.holdings for address in holding.addresses}
    used |= {canonical(address) for endpoint in plan.endpoints for address in endpoint.static_addresses}
    names = [network.name for network in world.networks]
    proposal = []
    entries = [*plan.create.endpoints.items(), *((join.network_id, join.endpoint) for join in plan.connect_after)]
    for key, endpoint in entries:
        found = find_network(key, endpoint.network_id or key, world.networks)
        if found is None:
            continue
        network, addresses = found.network, endpoint.addresses or AddressSpec()
        fresh = {
            "ipv4Address": _free_address(addresses.ipv4, network, used, held),
            "ipv6Address": _free_address(addresses.ipv6, network, used, held),
        }
        name = network.name if names.count(network.name) == 1 else network.id
        known = {"name": name, "aliases": list(endpoint.aliases or ())}
        proposal.append({**known, **{field_name: value for field_name, value in fresh.items() if value}})
    return proposal


def _free_address(wanted: str | None, network: NetworkSummary, used: set[str], held: Collection[str]) -> str | None:
    """The wanted address if nobody holds it, else the next free one of its subnet, else None: any."""
    if wanted is None or canonical(wanted) not in held:
        return wanted
    address = ipaddress.ip_address(wanted)
    pools = [ipaddress.ip_network(subnet, strict=False) for subnet in network.subnets if subnet]
    candidates = (str(candidate) for pool in pools if address in pool for candidate in _neighbours(address, pool))
    free = next((candidate for candidate in candidates if candidate not in used), None)
    if free:
        used.add(free)
    return free


def _neighbours(address: Address, pool: Pool) -> Iterator[Address]:
    """The addresses after this one, then those from the subnet's beginning; the first there is the gateway's."""
    first, last = int(pool.network_address) + 2, int(pool.broadcast_address) - 1
    after = range(int(address) + 1, min(last, int(address) + _MOST_ADDRESSES) + 1)
    before = range(first, min(int(address), first + _MOST_ADDRESSES))
    make = type(address)
    return (make(number) for numbers in (after, before) for number in numbers)
