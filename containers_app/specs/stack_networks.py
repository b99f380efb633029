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


@dataclass(frozen=True, kw_only=True)
class NewNetwork:
    """A network to make in place of one of the project's. `options` may hold secrets of a driver.

    `moves` are (old, new) subnets, `addresses` the members' static addresses by the old ones. `addressing` is the
    Engine's IPAM object, None for its own choice.
    """

    old_id: str
    old_name: str
    name: str
    driver: str
    internal: bool
    attachable: bool
    enable_ipv6: bool
    labels: Mapping[str, str]
    options: Mapping[str, str] = field(repr=False)
    addressing: Mapping[str, Any] | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    lost_subnet: bool = False

    @property
    def summary(self) -> NetworkSummary:
        """As a plan sees it before it is made."""
        pools = (self.addressing or {}).get("Config") or []
        subnets = tuple(str(pool.get("Subnet", "")) for pool in pools)
        return NetworkSummary(id=placeholder_id(self.name), name=self.name, driver=self.driver, subnets=subnets)

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
    """Those of the members' networks that the project made; the others are used by both. `around`: the target's."""
    taken = parsed(subnet for network in around for subnet in network.subnets)
    made = []
    for raw in networks:
        name = new_resource_name(raw.get("Labels") or {}, NETWORK_LABEL, project, new_project)
        if name is not None:
            made.append(_network(raw, name, new_project, _static_addresses(raw, members), taken))
    return tuple(made)


def _static_addresses(raw: Mapping[str, Any], members: Iterable[Member]) -> tuple[str, ...]:
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


def _network(
    raw: Mapping[str, Any], name: str, new_project: str, static: tuple[str, ...], taken: list[Network]
) -> NewNetwork:
    """A subnet is asked for only where members have addresses in it, or the kind of network needs one."""
    ipam = raw.get("IPAM") or {}
    pools = [pool for pool in ipam.get("Config") or [] if pool.get("Subnet")]
    needed = [
        pool
        for pool in pools
        if ":" in str(pool["Subnet"]) or any(within(address, str(pool["Subnet"])) for address in static)
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
        enable_ipv6=bool(raw.get("EnableIPv6")),
        labels=of_project(raw.get("Labels") or {}, new_project),
        options=_options(raw),
        addressing=None if plain else {"Driver": ipam.get("Driver"), "Options": ipam.get("Options"), "Config": config},
        addresses={
            address: moved(address, old, new)
            for address in static
            for old, new in moves.items()
            if within(address, old)
        },
        lost_subnet=len(moves) < len(needed),
    )


def _options(raw: Mapping[str, Any]) -> dict[str, str]:
    """Driver options but for the name of a bridge on the host, which two networks cannot share."""
    return {key: value for key, value in (raw.get("Options") or {}).items() if key != "com.docker.network.bridge.name"}
