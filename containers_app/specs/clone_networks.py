"""Which networks a clone joins, when, and with what: the part of a clone that no inspect can simply be copied for."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from containers_app.errors import InvalidRequest
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.network import (
    NETWORKS_ALONE,
    AddressSpec,
    EndpointSpec,
    Found,
    find_network,
    generated_mac,
    hardware_mac,
)
from containers_app.specs.overrides import NetworkOverride

# From this API on all endpoints stand in the create body, each with its MAC (moby 25.0).
ALL_ENDPOINTS_API = (1, 44)
# From this API on (moby 28.0) a generated MAC is random, and a running container's cannot be told from a configured one
# unless that is a hardware address; a container that ended does not report its configured ones at all.
RANDOM_MAC_API = (1, 48)
# These report a generated MAC as configured (moby issue 47228).
_MAC_CONFUSED_ENGINES = ("25.0.0", "25.0.1")


@dataclass(frozen=True, kw_only=True)
class PlanWarning:
    """Something the user should know; `code` is stable, `message` is for people.

    `fields` names what of the clone's inspect differs from the source's because of it.
    """

    code: str
    message: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Join:
    """A network to connect the clone to once it exists."""

    network_id: str
    network_name: str
    endpoint: EndpointSpec


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """`mode` is the NetworkMode to send, `at_create` the endpoints by the key to send, `mac_address` that of Config."""

    mode: str | None
    at_create: Mapping[str, EndpointSpec]
    mac_address: str | None = None
    connect_after: tuple[Join, ...] = ()
    disconnect_after: tuple[str, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One endpoint of the source and what became of its network."""

    key: str
    endpoint: EndpointSpec
    found: Found | None


def has_own_network(mode: str | None) -> bool:
    """Whether the mode gives the container endpoints of its own."""
    return mode not in ("none", "host") and not (mode or "").startswith("container:")


def plan_networks(
    source: Mapping[str, Any], *, networks: tuple[NetworkSummary, ...], api: tuple[int, ...], engine: str
) -> NetworkPlan:
    """Lay out the clone's networks for an Engine of this API version and product version."""
    mode: str | None = source["HostConfig"].get("NetworkMode")
    if not has_own_network(mode) or source["Config"].get("NetworkDisabled"):
        return NetworkPlan(mode=mode, at_create={})
    endpoints: Mapping[str, Mapping[str, Any]] = (source.get("NetworkSettings") or {}).get("Networks") or {}
    first_key = _first_key(mode, endpoints, networks)
    at_once = api >= ALL_ENDPOINTS_API
    macs = _configured_macs(source, endpoints, first_key, api=api, engine=engine) if at_once else {}
    places = [
        _place(key, raw, EndpointSpec.of(raw, str(source["Id"]), macs.get(key)), networks)
        for key, raw in endpoints.items()
    ]
    if not at_once:
        places = [_pinned(place) for place in places]
    first = next((place for place in places if place.key == first_key), None)
    others = [place for place in places if place is not first]
    mode = _sent_mode(mode, first, at_once=at_once)
    at_create = _first_endpoint(mode, first)
    if at_once:
        at_create.update(_other_endpoints(others))
    return NetworkPlan(
        mode=mode,
        at_create=at_create,
        mac_address=None if at_once else source["Config"].get("MacAddress") or None,
        connect_after=() if at_once else tuple(_join(place) for place in others if place.found),
        # An Engine that is given no endpoint joins the network of the mode by itself.
        disconnect_after=() if at_create else _to_leave(mode, networks),
        warnings=tuple(warning for place in places for warning in _warnings(place)),
    )


def chosen_networks(
    wanted: tuple[NetworkOverride, ...], *, networks: tuple[NetworkSummary, ...], api: tuple[int, ...]
) -> NetworkPlan:
    """Lay out the networks of an override: the first is the primary one, none at all is the mode `none`.

    Raises InvalidRequest that names the field for what an Engine would refuse.
    """
    places = [
        _Place(key=entry.name, endpoint=_chosen_endpoint(entry), found=find_network(entry.name, "", networks))
        for entry in wanted
    ]
    _check_chosen(places)
    found = [place for place in places if place.found]
    missing = tuple(place.key for place in places if not place.found)
    alone = _alone(places)
    if not found or alone:
        return NetworkPlan(mode=alone or "none", at_create={}, missing=missing)
    first, others = found[0], found[1:]
    mode = _sent_mode(first.key, first, at_once=True)
    at_create = _first_endpoint(mode, first)
    if api >= ALL_ENDPOINTS_API:
        at_create.update(_other_endpoints(others))
    joins = () if api >= ALL_ENDPOINTS_API else tuple(_join(place) for place in others)
    return NetworkPlan(mode=mode, at_create=at_create, connect_after=joins, missing=missing)


def _alone(places: list[_Place]) -> str | None:
    """`host` or `none` where one was chosen, if only by its id: an Engine knows these two by their names."""
    names = [place.found.network.name for place in places if place.found]
    return next((name for name in names if name in NETWORKS_ALONE), None)


def _check_chosen(places: list[_Place]) -> None:
    seen: set[str] = set()
    for number, place in enumerate(places):
        if place.found is None:
            continue
        network, field = place.found.network, f"options.overrides.networks[{number}]"
        if network.id in seen or (_alone(places) and len(places) > 1):
            words = "is named twice" if network.id in seen else f"does not go with the network {_alone(places)}"
            raise InvalidRequest(f"'{field}.name': the network {network.name} {words}", field=f"{field}.name")
        if place.found.ambiguous and place.key == network.name:
            words = f"several networks are named {network.name}: give the id"
            raise InvalidRequest(f"'{field}.name': {words}", field=f"{field}.name")
        seen.add(network.id)
        _check_endpoint(place.endpoint, network, field)


def _check_endpoint(endpoint: EndpointSpec, network: NetworkSummary, field: str) -> None:
    """Refuse addresses and aliases that the network cannot give (moby, daemon/container_operations.go)."""
    plain = network.name in ("bridge", *NETWORKS_ALONE)
    if plain and endpoint.aliases:
        message = f"'{field}.aliases': the network {network.name} knows no aliases, only one that somebody made does"
        raise InvalidRequest(message, field=f"{field}.aliases")
    addresses = endpoint.addresses or AddressSpec()
    pools = [ipaddress.ip_network(subnet, strict=False) for subnet in network.subnets if subnet]
    for name, address in (("ipv4Address", addresses.ipv4), ("ipv6Address", addresses.ipv6)):
        if address is None:
            continue
        if plain or (pools and not any(ipaddress.ip_address(address) in pool for pool in pools)):
            words = f"the network {network.name} cannot give {address}: its subnets are {_listed(network.subnets)}"
            raise InvalidRequest(f"'{field}.{name}': {words}", field=f"{field}.{name}")


def _listed(subnets: tuple[str, ...]) -> str:
    return ", ".join(subnets) or "none"


def _chosen_endpoint(entry: NetworkOverride) -> EndpointSpec:
    addresses = AddressSpec(ipv4=entry.ipv4, ipv6=entry.ipv6) if entry.ipv4 or entry.ipv6 else None
    return EndpointSpec(addresses=addresses, aliases=entry.aliases or None)


def _first_key(
    mode: str | None, endpoints: Mapping[str, Mapping[str, Any]], networks: tuple[NetworkSummary, ...]
) -> str | None:
    """The key of the endpoint that NetworkMode (a name, an id or an id prefix) means, or None where it was left."""
    wanted = _network_name(mode)
    if wanted in endpoints:
        return wanted
    for key, raw in endpoints.items():
        if str(raw.get("NetworkID") or "").startswith(wanted):
            return key
    found = find_network(wanted, "", networks)
    return found.network.name if found and found.network.name in endpoints else None


def _network_name(mode: str | None) -> str:
    return "bridge" if mode in (None, "", "default") else str(mode)


def _sent_mode(mode: str | None, first: _Place | None, *, at_once: bool) -> str | None:
    """The mode itself, unless it is an id prefix (which Engines keep as a second endpoint) or an ambiguous name."""
    if first is None or first.found is None:
        return mode
    network = first.found.network
    prefix = _network_name(mode) not in (network.name, network.id)
    return network.id if prefix or (at_once and first.found.ambiguous) else mode


def _place(key: str, raw: Mapping[str, Any], endpoint: EndpointSpec, networks: tuple[NetworkSummary, ...]) -> _Place:
    return _Place(key=key, endpoint=endpoint, found=find_network(key, str(raw.get("NetworkID") or ""), networks))


def _pinned(place: _Place) -> _Place:
    """The place with the network's id in its endpoint where the name alone would not do."""
    if place.found is None or not place.found.ambiguous:
        return place
    return replace(place, endpoint=replace(place.endpoint, network_id=place.found.network.id))


def _first_endpoint(mode: str | None, first: _Place | None) -> dict[str, EndpointSpec]:
    """The endpoint under the same word as NetworkMode, as the Engine expects it."""
    return {} if first is None else {_network_name(mode): first.endpoint}


def _other_endpoints(others: list[_Place]) -> dict[str, EndpointSpec]:
    return {
        place.found.network.id if place.found.ambiguous else place.found.network.name: place.endpoint
        for place in others
        if place.found
    }


def _join(place: _Place) -> Join:
    if place.found is None:
        raise ValueError("a network that is gone cannot be joined")
    return Join(network_id=place.found.network.id, network_name=place.found.network.name, endpoint=place.endpoint)


def _to_leave(mode: str | None, networks: tuple[NetworkSummary, ...]) -> tuple[str, ...]:
    found = find_network(_network_name(mode), "", networks)
    return (found.network.id,) if found else ()


def _configured_macs(
    source: Mapping[str, Any],
    endpoints: Mapping[str, Mapping[str, Any]],
    first_key: str | None,
    *,
    api: tuple[int, ...],
    engine: str,
) -> dict[str, str]:
    """The MAC of every endpoint that has a configured one, by key."""
    running = bool((source.get("State") or {}).get("Running"))
    macs: dict[str, str] = {}
    for key, raw in endpoints.items():
        reported = str(raw.get("MacAddress") or "")
        if key == first_key:
            mac = str(source["Config"].get("MacAddress") or "")
            doubtful = engine.startswith(_MAC_CONFUSED_ENGINES) and mac.lower().startswith("02:42:")
            macs[key] = "" if doubtful else mac
        elif not running or api < RANDOM_MAC_API:
            macs[key] = "" if generated_mac(reported, str(raw.get("IPAddress") or "")) else reported
        elif hardware_mac(reported):
            macs[key] = reported
    return {key: mac for key, mac in macs.items() if mac}


def _warnings(place: _Place) -> list[PlanWarning]:
    if place.found is None:
        return [
            PlanWarning(
                code="NETWORK_GONE",
                message=f"The network {place.key} no longer exists: the clone cannot join it.",
                fields=(f"NetworkSettings.Networks.{place.key}",),
            )
        ]
    if place.found.replaced:
        return [
            PlanWarning(
                code="NETWORK_REPLACED",
                message=f"The network {place.key} was made anew since the source joined it: the clone joins that one.",
                fields=(f"NetworkSettings.Networks.{place.key}.NetworkID",),
            )
        ]
    return []
