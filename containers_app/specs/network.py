"""A container's place in a network: the configured part of an endpoint, and which live network it means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from containers_app.specs.engine import NetworkSummary
from containers_app.specs.record import INTEGER, TEXT, TEXT_MAP, TEXTS, Record, engine_field, record

SHORT_ID_CHARACTERS = 12
# Modes of an Engine's own, which no other network goes with.
NETWORKS_ALONE = ("host", "none")


@dataclass(frozen=True, kw_only=True)
class AddressSpec(Record):
    """Static addresses (`IPAMConfig`)."""

    ipv4: str | None = engine_field("IPv4Address", TEXT)
    ipv6: str | None = engine_field("IPv6Address", TEXT)
    link_local: tuple[str, ...] | None = engine_field("LinkLocalIPs", TEXTS)


@dataclass(frozen=True, kw_only=True)
class EndpointSpec(Record):
    """The configuration of one endpoint; never ids, gateways or addresses the Engine gave out."""

    addresses: AddressSpec | None = engine_field("IPAMConfig", record(AddressSpec))
    links: tuple[str, ...] | None = engine_field("Links", TEXTS)
    aliases: tuple[str, ...] | None = engine_field("Aliases", TEXTS)
    driver_options: Mapping[str, str] | None = engine_field("DriverOpts", TEXT_MAP)
    gateway_priority: int | None = engine_field("GwPriority", INTEGER)
    mac_address: str | None = engine_field("MacAddress", TEXT)
    # Sent only where the network's name stands for several: Engines before 25 look the name up again at the start.
    network_id: str | None = engine_field("NetworkID", TEXT)

    @classmethod
    def of(cls, raw: Mapping[str, Any], container_id: str, mac_address: str | None) -> EndpointSpec:
        """The configuration in an inspected endpoint, without the alias that the Engine makes of the container's id."""
        endpoint = cls.read(raw, "NetworkSettings.Networks")
        aliases = own_aliases(endpoint.aliases, container_id)
        return replace(endpoint, aliases=aliases, mac_address=mac_address or None, network_id=None)

    @property
    def static_addresses(self) -> tuple[str, ...]:
        if self.addresses is None:
            return ()
        return tuple(address for address in (self.addresses.ipv4, self.addresses.ipv6) if address)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The live network that a source's endpoint means; `replaced` when only its name lives on."""

    network: NetworkSummary
    replaced: bool
    ambiguous: bool


def endpoints_of(inspect: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The endpoints of an inspected container, by their network's name."""
    return (inspect.get("NetworkSettings") or {}).get("Networks") or {}


def own_aliases(aliases: tuple[str, ...] | None, container_id: str) -> tuple[str, ...] | None:
    """Aliases that somebody configured; None where there is none."""
    kept = tuple(alias for alias in aliases or () if alias != container_id[:SHORT_ID_CHARACTERS])
    return kept or None


def find_network(name: str, network_id: str, networks: Iterable[NetworkSummary]) -> Found | None:
    """Look a source's network up among the live ones: by the id it had, else its name, else a unique id prefix.

    None means that it is gone, which an Engine would not notice before the start.
    """
    every = tuple(networks)
    namesakes = [network for network in every if network.name == name]
    by_id = [network for network in every if network_id and network.id == network_id]
    if by_id:
        twins = [network for network in every if network.name == by_id[0].name]
        return Found(network=by_id[0], replaced=False, ambiguous=len(twins) > 1)
    if namesakes:
        return Found(network=namesakes[0], replaced=bool(network_id), ambiguous=len(namesakes) > 1)
    prefixed = [network for network in every if name and network.id.startswith(name)]
    return Found(network=prefixed[0], replaced=False, ambiguous=False) if len(prefixed) == 1 else None


def generated_mac(mac_address: str, ipv4: str) -> bool:
    """Whether a MAC is the one that Engines before 28 derive from the IPv4 address: 02:42 and its four bytes."""
    try:
        derived = "02:42:" + ":".join(f"{int(part):02x}" for part in ipv4.split("."))
    except ValueError:
        return False
    return mac_address.lower() == derived


def hardware_mac(mac_address: str) -> bool:
    """Whether a MAC is one that a maker gave out; those that Engines generate are marked as local."""
    try:
        return not int(mac_address.partition(":")[0], 16) & 0b10
    except ValueError:
        return False
