"""The networks of a saved container that an Engine has no more: as they were, where their subnets are free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from containers_app.errors import ArchiveInvalid
from containers_app.specs.collisions import Collision
from containers_app.specs.engine import LABEL_PREFIX, NetworkSummary
from containers_app.specs.network import endpoints_of, find_network
from containers_app.specs.saved import OWN_NETWORKS
from containers_app.specs.stack import NETWORK_LABEL, Member, new_resource_name, of_project
from containers_app.specs.stack_networks import NewNetwork, new_network, static_addresses
from containers_app.specs.subnets import free_subnet, parsed, pool_body, within

_MADE_BY_SWARM = "com.docker.network.driver.overlay.vxlanid_list"


def lost_networks(
    container: Mapping[str, Any], saved: Mapping[str, Mapping[str, Any]], around: tuple[NetworkSummary, ...]
) -> tuple[NewNetwork, ...]:
    """A network to make for each that the container was in and that is not `around`; none for one of a swarm.

    A subnet that is taken gives way to a free one, with `lost_subnet` where the container asked for an address in it.
    Raises ArchiveInvalid for a saved network that no Engine could have told.
    """
    taken = parsed(subnet for network in around for subnet in network.subnets)
    made = []
    for name, endpoint in endpoints_of(container).items():
        raw = saved.get(name)
        gone = find_network(name, str(endpoint.get("NetworkID") or ""), around) is None
        if gone and raw is not None and name not in OWN_NETWORKS and raw.get("Scope") != "swarm":
            try:
                made.append(_again(name, raw, endpoint, taken))
            except (ValueError, AttributeError, TypeError) as error:
                raise ArchiveInvalid(f"The backup's network {name} is none that an Engine could have.") from error
    return tuple(made)


def _again(name: str, raw: Mapping[str, Any], endpoint: Mapping[str, Any], taken: list[Any]) -> NewNetwork:
    ipam = raw.get("IPAM") or {}
    pools = [pool for pool in ipam.get("Config") or [] if pool.get("Subnet")]
    fresh = [free_subnet(str(pool["Subnet"]), taken, seed=name) or str(pool["Subnet"]) for pool in pools]
    taken.extend(parsed(fresh))
    moved = [str(pool["Subnet"]) for pool, new in zip(pools, fresh, strict=True) if str(pool["Subnet"]) != new]
    asked = (endpoint.get("IPAMConfig") or {}).values()
    config = [pool_body(pool, new) for pool, new in zip(pools, fresh, strict=True)]
    return NewNetwork(
        old_id=str(raw.get("Id") or ""),
        old_name=name,
        name=name,
        driver=str(raw.get("Driver") or "bridge"),
        internal=bool(raw.get("Internal")),
        attachable=bool(raw.get("Attachable")),
        enable_ipv4=raw.get("EnableIPv4") is not False,
        enable_ipv6=bool(raw.get("EnableIPv6")),
        labels={key: text for key, text in (raw.get("Labels") or {}).items() if not key.startswith(LABEL_PREFIX)},
        options={key: text for key, text in (raw.get("Options") or {}).items() if key != _MADE_BY_SWARM},
        addressing={"Driver": ipam.get("Driver"), "Options": ipam.get("Options"), "Config": config},
        lost_subnet=any(within(str(address), subnet) for subnet in moved for address in asked if address),
    )


def saved_stack_networks(
    saved: Iterable[Mapping[str, Any]],
    members: Iterable[Member],
    *,
    project: str,
    new_project: str,
    around: tuple[NetworkSummary, ...],
) -> tuple[NewNetwork, ...]:
    """A network for each of a project's that has another name now, or that is not `around`; none for one of a swarm.

    A subnet that is taken gives way to a free one, and the members' static addresses move along. Raises ArchiveInvalid.
    """
    every, taken = tuple(members), parsed(subnet for network in around for subnet in network.subnets)
    made = []
    for raw in saved:
        try:
            name, labels = _in_project(raw, project, new_project)
            there = name == raw["Name"] and find_network(name, str(raw.get("Id") or ""), around) is not None
            if there or name in OWN_NETWORKS or raw.get("Scope") == "swarm":
                continue
            static = static_addresses(raw, every)
            made.append(new_network(raw, name, labels=labels, static=static, taken=taken, every_subnet=True))
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise ArchiveInvalid("The backup has a network that is none that an Engine could have.") from error
    return tuple(made)


def _in_project(raw: Mapping[str, Any], project: str, new_project: str) -> tuple[str, dict[str, str]]:
    """The network's name and labels; one that the project only uses keeps both."""
    labels = {key: text for key, text in (raw.get("Labels") or {}).items() if not key.startswith(LABEL_PREFIX)}
    own = new_resource_name(labels, NETWORK_LABEL, project, new_project)
    if own is None or new_project == project:
        return str(raw["Name"]), labels
    return own, of_project(labels, new_project)


def network_collisions(networks: tuple[NewNetwork, ...]) -> Iterator[Collision]:
    """Addresses that the container asked for and cannot have."""
    for network in networks:
        if network.lost_subnet:
            message = f"The subnet of the network {network.name} is taken, and the container has an address in it."
            yield Collision(
                kind="network",
                subject=network.name,
                message=f"{message} Choose other networks.",
                resolution={"overrides": {"networks": [{"name": "bridge"}]}},
                blocks="create",
            )
