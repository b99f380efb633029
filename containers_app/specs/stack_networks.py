"""The networks of a compose project as they would be under a new name: with subnets and addresses of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from containers_app.specs.engine import NetworkSummary
from containers_app.specs.network import endpoints_of
from containers_app.specs.placeholder import placeholder_id
from containers_app.specs.stack import NETWORK_LABEL, Member, new_resource_name, of_project
from containers_app.specs.subnets import Network, free_subnet, moved, parsed, pool_body, within

Raw = Mapping[str, Any]

# Their subnets are those of a network outside, on an interface of the host.
_ON_AN_INTERFACE = ("macvlan", "ipvlan")
# The name of a bridge on the host, and the numbers that a swarm gave an overlay network.
_BRIDGE_NAME, _MADE_BY_SWARM = "com.docker.network.bridge.name", "com.docker.network.driver.overlay.vxlanid_list"


@dataclass(frozen=True, kw_only=True)
class NewNetwork:
    """A network to make in place of one of the project's. `options`, `labels` and `addressing` may hold secrets.

    `moves` are (old, new) subnets, `addresses` the members' static addresses by the old ones. `addressing` is the
    Engine's IPAM object, None for its own choice.
    """

    old_id: str
    old_name: str
    name: str
    driver: str
    internal: bool
    attachable: bool
    enable_ipv4: bool
    enable_ipv6: bool
    labels: Mapping[str, str] = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    addressing: Mapping[str, Any] | None = field(default=None, repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict)
    lost_subnet: bool = False

    @property
    def summary(self) -> NetworkSummary:
        """As a plan sees it before it is made."""
        pools = (self.addressing or {}).get("Config") or []
        subnets = tuple(str(pool.get("Subnet", "")) for pool in pools)
        return NetworkSummary(id=placeholder_id(self.name), name=self.name, driver=self.driver, subnets=subnets)

    @property
    def material(self) -> list[Any]:
        """All that makes it this network, for the plan's hash."""
        kind = [self.driver, self.internal, self.attachable, self.enable_ipv4, self.enable_ipv6]
        where = [self.addressing, self.lost_subnet]
        return [self.old_name, self.name, *kind, *where, dict(self.labels), dict(self.options), dict(self.addresses)]

    @property
    def shared_parent(self) -> str | None:
        """The host's interface that it would be on beside the old network; None for one that has none to itself."""
        return (self.options.get("parent") or None) if self.driver in _ON_AN_INTERFACE else None

    def document(self) -> dict[str, Any]:
        """As plans show it."""
        return {
            "source": self.old_name,
            "target": self.name,
            "driver": self.driver,
            "subnets": list(self.summary.subnets),
        }


def new_networks(
    networks: Iterable[Mapping[str, Any]],
    members: Iterable[Member],
    *,
    project: str,
    new_project: str,
    around: tuple[NetworkSummary, ...],
) -> tuple[NewNetwork, ...]:
    """Those of the members' networks that the project made; the others are used by both. `around`: the target's.

    Those that ask for a subnet come first: what the Engine chooses for the others may not be one of these.
    """
    every = tuple(members)
    taken = parsed(subnet for network in around for subnet in network.subnets)
    made = []
    for raw in networks:
        name = new_resource_name(raw.get("Labels") or {}, NETWORK_LABEL, project, new_project)
        if name is not None:
            labels = of_project(raw.get("Labels") or {}, new_project)
            made.append(new_network(raw, name, labels=labels, static=static_addresses(raw, every), taken=taken))
    return tuple(sorted(made, key=lambda network: network.addressing is None))


def static_addresses(raw: Raw, members: Iterable[Member]) -> tuple[str, ...]:
    """What members have asked for in this network."""
    endpoints = [
        endpoint
        for member in members
        for name, endpoint in endpoints_of(member.inspect).items()
        if (endpoint.get("NetworkID") or name) in (raw.get("Id"), raw.get("Name"))
    ]
    asked = [
        (endpoint.get("IPAMConfig") or {}).get(key) for endpoint in endpoints for key in ("IPv4Address", "IPv6Address")
    ]
    return tuple(str(address) for address in asked if address)


def new_network(
    raw: Raw,
    name: str,
    *,
    labels: Mapping[str, str],
    static: tuple[str, ...],
    taken: list[Network],
    every_subnet: bool = False,
) -> NewNetwork:
    """The Engine's network under this name; the subnets that it asks for are added to `taken`.

    Unless `every_subnet` is kept, one is asked for only where members have addresses in it, or the kind of network
    needs one.
    """
    ipam = raw.get("IPAM") or {}
    pools = [pool for pool in ipam.get("Config") or [] if pool.get("Subnet")]
    needed = [
        pool
        for pool in pools
        if every_subnet
        or ":" in str(pool["Subnet"])
        or raw.get("Driver") in _ON_AN_INTERFACE
        or any(within(address, str(pool["Subnet"])) for address in static)
    ]
    moves: dict[str, str] = {}
    for pool in needed:
        fresh = free_subnet(str(pool["Subnet"]), taken, seed=name)
        if fresh is not None:
            moves[str(pool["Subnet"])] = fresh
            taken.extend(parsed([fresh]))
    config = [pool_body(pool, moves[str(pool["Subnet"])]) for pool in needed if str(pool["Subnet"]) in moves]
    plain = ipam.get("Driver") in (None, "", "default") and not ipam.get("Options") and not config
    return NewNetwork(
        old_id=str(raw["Id"]),
        old_name=str(raw["Name"]),
        name=name,
        driver=str(raw.get("Driver") or "bridge"),
        internal=bool(raw.get("Internal")),
        attachable=bool(raw.get("Attachable")),
        enable_ipv4=raw.get("EnableIPv4") is not False,
        enable_ipv6=bool(raw.get("EnableIPv6")),
        labels=labels,
        options=_options(raw, own_bridge=name == raw["Name"]),
        addressing=None if plain else {"Driver": ipam.get("Driver"), "Options": ipam.get("Options"), "Config": config},
        addresses={
            address: moved(address, old, new)
            for address in static
            for old, new in moves.items()
            if within(address, old)
        },
        lost_subnet=len(moves) < len(needed),
    )


def _options(raw: Raw, *, own_bridge: bool) -> dict[str, str]:
    """Driver options but for those of which each network has its own."""
    own = (_MADE_BY_SWARM,) if own_bridge else (_BRIDGE_NAME, _MADE_BY_SWARM)
    return {key: value for key, value in (raw.get("Options") or {}).items() if key not in own}
