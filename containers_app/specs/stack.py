"""A compose project read from its containers, and as it would be under a new name: pure, no file is read.

Compose knows its own by labels alone: with `com.docker.compose.project` rewritten and names built as compose builds
them, `docker compose -p <new> ps`, `restart` and `down` work on a clone (tried with compose 2.26 and 2.40).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.errors import InvalidRequest
from containers_app.specs.clone_mounts import own_destinations, renamed_bind, renamed_mount, renamed_volume
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.network import endpoints_of, find_network
from containers_app.specs.reference import is_full_id

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
NUMBER_LABEL = "com.docker.compose.container-number"
DEPENDS_LABEL = "com.docker.compose.depends_on"
NETWORK_LABEL = "com.docker.compose.network"
VOLUME_LABEL = "com.docker.compose.volume"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
# Labels that make other programs act on a container: a clone with all of them may answer in its source's place.
HOOK_LABELS = ("traefik.", "caddy", "com.centurylinklabs.watchtower", "ofelia.", "docker-volume-backup.")
HEALTHY, ENDED_WELL = "service_healthy", "service_completed_successfully"
_SHORTEST_ID = 12
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)

Inspect = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One container of a project; `depends_on` maps services to the condition that must hold before it starts.

    `own`: the volumes without a name that are made for it alone, with their mount points; see `with_own_volumes`.
    """

    id: str
    name: str
    service: str
    number: str
    depends_on: Mapping[str, str]
    inspect: Inspect = field(repr=False)
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The words by which others refer to it."""
        return (self.id, self.id[:_SHORTEST_ID], self.name)

    @property
    def references(self) -> tuple[str, ...]:
        """The containers that must be there before it is made: by namespaces, volumes and links of the old kind."""
        host = self.inspect["HostConfig"]
        modes = [str(host.get(key) or "") for key in ("NetworkMode", "PidMode", "IpcMode")]
        joined = [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]
        taken = [str(entry).partition(":")[0] for entry in host.get("VolumesFrom") or []]
        linked = [str(link).partition(":")[0].removeprefix("/") for link in host.get("Links") or []]
        return tuple(dict.fromkeys((*joined, *taken, *linked)))


def check_project(value: str, *, field_name: str) -> str:
    """A project's name by compose's own grammar. Raises InvalidRequest."""
    if _PROJECT.fullmatch(value) is None:
        words = "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit"
        raise InvalidRequest(f"'{field_name}' must be {words}", field=field_name)
    return value


def labels_of(inspect: Inspect) -> Mapping[str, str]:
    """The labels of an inspected container."""
    return inspect["Config"].get("Labels") or {}


def member(inspect: Inspect) -> Member:
    """A container as a member of its project."""
    labels = labels_of(inspect)
    return Member(
        id=str(inspect["Id"]),
        name=str(inspect["Name"]).removeprefix("/"),
        service=str(labels.get(SERVICE_LABEL) or ""),
        number=str(labels.get(NUMBER_LABEL) or "1"),
        depends_on=_depends_on(str(labels.get(DEPENDS_LABEL) or "")),
        inspect=inspect,
    )


def _depends_on(text: str) -> dict[str, str]:
    """`database:service_healthy:false,cache:service_started:false` as compose writes it."""
    entries = [entry.split(":") for entry in text.split(",") if entry]
    return {parts[0]: parts[1] if len(parts) > 1 else "service_started" for parts in entries}


def in_order(members: Iterable[Member]) -> tuple[Member, ...]:
    """Members after all those that they refer to or depend on; of equal rank by name.

    A circle is cut where one only depends on another, which matters for the start alone. Where all refer to one
    another it is cut anywhere: `circles` finds those.
    """
    left = sorted(members, key=lambda entry: entry.name)
    done: list[Member] = []
    while left:
        free = [entry for entry in left if not _referred(entry, left)]
        first = next((entry for entry in free if not _depended(entry, left)), (free or left)[0])
        left.remove(first)
        done.append(first)
    return tuple(done)


def _referred(entry: Member, left: Iterable[Member]) -> list[Member]:
    return [other for other in left if set(other.keys) & set(entry.references)]


def _depended(entry: Member, left: Iterable[Member]) -> list[Member]:
    return [other for other in left if other.service in entry.depends_on and other.id != entry.id]


def awaited(members: Iterable[Member]) -> dict[str, str]:
    """Services that others wait for, with the condition that is waited for: HEALTHY or ENDED_WELL."""
    wanted = [item for entry in members for item in entry.depends_on.items()]
    return {service: condition for service, condition in wanted if condition in (HEALTHY, ENDED_WELL)}


def circles(ordered: tuple[Member, ...]) -> tuple[tuple[str, str], ...]:
    """Names of members, each with one that it refers to and that cannot be made before it."""
    return tuple(
        (entry.name, other.name) for number, entry in enumerate(ordered) for other in _referred(entry, ordered[number:])
    )


def with_own_volumes(ordered: Iterable[Member]) -> tuple[Member, ...]:
    """The members with the volumes without a name that each asks for itself; of several the first one has it.

    Compose mounts the volume of a container that it makes anew by its id, so such a mount counts as without a name.
    """
    owned: set[str] = set()
    members = []
    for entry in ordered:
        asked = own_destinations(entry.inspect)
        own = {
            str(mount.get("Name")): str(mount.get("Destination"))
            for mount in entry.inspect.get("Mounts") or []
            if mount.get("Type") == "volume"
            and is_full_id(str(mount.get("Name")))
            and mount.get("Destination") in asked
        }
        own = {name: path for name, path in own.items() if name not in owned}
        owned |= set(own)
        members.append(replace(entry, own=own))
    return tuple(members)


def with_live_networks(inspect: Inspect, networks: tuple[NetworkSummary, ...]) -> dict[str, Any]:
    """An inspect whose endpoints have the ids of the networks that they mean now.

    One that never was started knows its network by name alone, and a network may have been made anew since.
    """
    endpoints = {}
    for key, raw in endpoints_of(inspect).items():
        found = find_network(key, str(raw.get("NetworkID") or ""), networks)
        endpoints[key] = {**raw, "NetworkID": found.network.id} if found else raw
    return {**inspect, "NetworkSettings": {**(inspect.get("NetworkSettings") or {}), "Networks": endpoints}}


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """Old to new.

    `containers`: ids and names to full ids; `names`: ids and names to new names; `networks`: old ids and names to new
    (name, id); `volumes`: names; `addresses`: static addresses. `drop_macs`: both would run side by side.
    """

    project: str
    new_project: str
    names: Mapping[str, str]
    containers: Mapping[str, str]
    networks: Mapping[str, tuple[str, str]]
    volumes: Mapping[str, str]
    addresses: Mapping[str, str] = field(default_factory=dict)
    drop_macs: bool = False


def new_container_name(entry: Member, project: str, new_project: str) -> str:
    """As compose names it, with - or _ after the project; a name of its own gets the new project before it."""
    if new_project == project:
        return entry.name
    for separator in ("-", "_"):
        if entry.name.startswith(project + separator):
            return new_project + entry.name.removeprefix(project)
    return f"{new_project}-{entry.name}"


def new_resource_name(labels: Mapping[str, str], key_label: str, project: str, new_project: str) -> str | None:
    """The new name of a network or volume that the project itself made; None for one that it only uses."""
    if labels.get(PROJECT_LABEL) != project or not labels.get(key_label):
        return None
    return f"{new_project}_{labels[key_label]}"


def of_project(labels: Mapping[str, str], new_project: str) -> dict[str, str]:
    """A network's or volume's labels in the new project."""
    return {**labels, PROJECT_LABEL: new_project}


def renamed(inspect: Inspect, renaming: Renaming) -> dict[str, Any]:
    """A member's inspect as if it belonged to the new project: what its clone must equal."""
    labels = {**labels_of(inspect), PROJECT_LABEL: renaming.new_project}
    config = {**inspect["Config"], "Labels": labels}
    if renaming.drop_macs and config.get("MacAddress"):
        config["MacAddress"] = ""
    endpoints = {}
    for key, raw in endpoints_of(inspect).items():
        name, identifier = _network_of(key, raw, renaming) or (key, raw.get("NetworkID"))
        endpoints[name] = _endpoint(raw, inspect, renaming, identifier)
    settings = {**(inspect.get("NetworkSettings") or {}), "Networks": endpoints}
    mounts = [renamed_volume(mount, renaming.volumes, "Name") for mount in inspect.get("Mounts") or []]
    host = _host(inspect, renaming)
    return {**inspect, "Config": config, "HostConfig": host, "NetworkSettings": settings, "Mounts": mounts}


def _network_of(key: str, raw: Inspect, renaming: Renaming) -> tuple[str, str] | None:
    """The new network of an endpoint; one that never was started knows its network by name alone."""
    return renaming.networks.get(str(raw.get("NetworkID") or key))


def _endpoint(raw: Inspect, inspect: Inspect, renaming: Renaming, identifier: Any) -> dict[str, Any]:
    old_name = str(inspect["Name"]).removeprefix("/")
    aliases = [
        renaming.names.get(old_name, alias) if alias == old_name else alias for alias in raw.get("Aliases") or []
    ]
    addresses = {
        key: renaming.addresses.get(str(value), value) if isinstance(value, str) else value
        for key, value in (raw.get("IPAMConfig") or {}).items()
    }
    links = [_link(str(link), renaming) for link in raw.get("Links") or []]
    changed = {"NetworkID": identifier, "Aliases": aliases or None, "IPAMConfig": addresses or None}
    mac = {"MacAddress": ""} if renaming.drop_macs else {}
    return {**raw, **changed, **mac, "Links": links or None}


def _host(inspect: Inspect, renaming: Renaming) -> dict[str, Any]:
    host = dict(inspect["HostConfig"])
    for key in ("NetworkMode", "PidMode", "IpcMode"):
        host[key] = _mode(str(host.get(key) or ""), inspect, renaming) if host.get(key) else host.get(key)
    host["Links"] = [_link(str(link), renaming) for link in host.get("Links") or []] or None
    host["VolumesFrom"] = [_taken(str(entry), renaming) for entry in host.get("VolumesFrom") or []] or None
    host["Binds"] = [renamed_bind(str(bind), renaming.volumes) for bind in host.get("Binds") or []] or host.get("Binds")
    host["Mounts"] = [renamed_mount(mount, renaming.volumes) for mount in host.get("Mounts") or []] or None
    return host


def _mode(mode: str, inspect: Inspect, renaming: Renaming) -> str:
    kind, colon, target = mode.partition(":")
    if colon and kind == "container":
        return f"container:{renaming.containers.get(target, target)}"
    for key, raw in endpoints_of(inspect).items():
        old_id, network = str(raw.get("NetworkID") or ""), _network_of(key, raw, renaming)
        if network and (mode == key or (len(mode) >= _SHORTEST_ID and old_id.startswith(mode))):
            return network[0]
    return renaming.networks[mode][0] if mode in renaming.networks else mode


def _link(link: str, renaming: Renaming) -> str:
    target, colon, alias = link.partition(":")
    name = target.removeprefix("/")
    return f"{'/' if target.startswith('/') else ''}{renaming.names.get(name, name)}{colon}{alias}"


def _taken(entry: str, renaming: Renaming) -> str:
    target, colon, mode = entry.partition(":")
    return f"{renaming.containers.get(target, target)}{colon}{mode}"
