"""A saved container as a drill boots it: nothing of the host, of other containers or of the outside is in its reach."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from containers_app.specs.clone_mounts import as_bind, clean, destination_of, inherited_binds
from containers_app.specs.clone_networks import has_own_network
from containers_app.specs.fidelity import Difference, prove
from containers_app.specs.network import endpoints_of, own_aliases
from containers_app.specs.privilege import host_powers
from containers_app.specs.saved import SavedConfiguration

DEFAULT_MEMORY_BYTES = 1024**3
DEFAULT_NANO_PROCESSORS = 10**9
DEFAULT_PROCESSES = 512
LOWEST_MEMORY_BYTES = 6 * 1024**2
_INSIDE = ("volume", "tmpfs", "image")
_LOG = MappingProxyType({"Type": "local", "Config": {"max-size": "10m", "max-file": "2"}})
# Engines before 26 pass questions about outside names on, even for a network that has no way out: nobody answers here.
_NOWHERE = "127.0.0.1"
# The bridge has no address, so that not even the host can be reached through it.
_NETWORK_OPTIONS = MappingProxyType({"com.docker.network.bridge.inhibit_ipv4": "true"})
_LIMITED, _APART = "A drill has limits of its own.", "A drill has an internal network of its own, and no ports."
_NO_FOLDERS = "A drill mounts no folder of the host: a volume filled from the backup is in its place, or nothing."
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "Config": "A drill is isolated.",
        "Config.Labels": "Other programs act on labels, so a drill has none.",
        "Config.MacAddress": _APART,
        "HostConfig": "A drill is isolated.",
        **dict.fromkeys(("HostConfig.Binds", "HostConfig.Mounts", "HostConfig.VolumesFrom", "Mounts"), _NO_FOLDERS),
        **dict.fromkeys(("NetworkSettings", *(f"HostConfig.{key}" for key in ("NetworkMode", "Links", "Dns"))), _APART),
        **dict.fromkeys(("HostConfig.PortBindings", "HostConfig.PublishAllPorts"), _APART),
        **dict.fromkeys((f"HostConfig.{key}" for key in ("Memory", "MemorySwap", "MemoryReservation")), _LIMITED),
        **dict.fromkeys((f"HostConfig.{key}" for key in ("NanoCpus", "CpuQuota", "CpuPeriod", "PidsLimit")), _LIMITED),
    }
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a container of a drill may use; None: its own limit, or the default where it has none."""

    memory_bytes: int | None = None
    nano_processors: int | None = None


@dataclass(frozen=True, kw_only=True)
class Isolated:
    """`saved` is the configuration to boot. `powers`: why it may not be; each is one sentence.

    `stand_ins` are the volumes that stand for folders of the host, by folder; `left_out` mount points of folders that
    the backup does not have, of which `writable` may have held data. `differences` all have a reason.
    """

    saved: SavedConfiguration
    powers: tuple[str, ...]
    stand_ins: Mapping[str, str]
    left_out: tuple[str, ...]
    writable: tuple[str, ...]
    differences: tuple[Difference, ...] = field(repr=False)

    @property
    def reasons(self) -> dict[str, str]:
        """Why what an Engine makes of it may differ from it, by the names of the proof's fields."""
        # Where a kernel does not count swap, an Engine makes another limit of it; an image may ask for its own volumes.
        return {"HostConfig.MemorySwap": _LIMITED, **{f"Mounts.{path}": _NO_FOLDERS for path in self.left_out}}


def isolated(original: SavedConfiguration, *, network: str, limits: Limits, folders: frozenset[str]) -> Isolated:
    """The configuration for a drill in the network of this name; `folders` are those of the host in the backup."""
    source = original.container
    outside = [mount for mount in source.get("Mounts") or [] if mount.get("Type") not in _INSIDE]
    stand_ins = {path: _stand_in(path) for mount in outside if (path := str(mount.get("Source"))) in folders}
    gone = [mount for mount in outside if str(mount.get("Source")) not in stand_ins]
    apart = has_own_network(source["HostConfig"].get("NetworkMode")) or _is_joined(source)
    container = _mounted({**source, "HostConfig": _host(source, limits)}, stand_ins)
    container = {**container, "Config": _config(source["Config"])}
    container = _in_network(container, network) if apart else container
    mode = source["HostConfig"].get("NetworkMode")
    return Isolated(
        saved=replace(
            original,
            container=container,
            networks={network: _network(network)} if apart else {},
            volumes={name: _plain(name) for name in original.volumes},
        ),
        powers=host_powers({"HostConfig": {**container["HostConfig"], "NetworkMode": mode}, "Mounts": []}, {}),
        stand_ins=stand_ins,
        left_out=tuple(str(mount.get("Destination")) for mount in gone),
        writable=tuple(str(mount.get("Destination")) for mount in gone if mount.get("RW", True)),
        differences=prove(source, container, expected=REASONS).differences,
    )


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    address = {"MacAddress": ""} if config.get("MacAddress") else {}
    return {**config, "Labels": {}, **address}


def _is_joined(source: Mapping[str, Any]) -> bool:
    """Whether it uses the network of another container, which is not in the drill."""
    return str(source["HostConfig"].get("NetworkMode") or "").startswith("container:")


def _host(source: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    host = dict(source["HostConfig"])
    return {
        **host,
        **_limited(host, limits),
        "PortBindings": {},
        "PublishAllPorts": False,
        "Links": None,
        "Dns": [_NOWHERE],
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "LogConfig": dict(_LOG),
        "VolumeDriver": "",
        "VolumesFrom": None,
        "Binds": [*(host.get("Binds") or []), *(inherited_binds(source, ()) if host.get("VolumesFrom") else ())],
    }


def _limited(host: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    memory = limits.memory_bytes or int(host.get("Memory") or 0) or DEFAULT_MEMORY_BYTES
    reserved, processes = int(host.get("MemoryReservation") or 0), int(host.get("PidsLimit") or 0)
    return {
        # Swap counts with it, so there is none.
        **{"Memory": memory, "MemorySwap": memory, "MemoryReservation": min(reserved, memory)},
        **_processors(host, limits.nano_processors),
        "PidsLimit": processes if processes > 0 else DEFAULT_PROCESSES,
    }


def _processors(host: Mapping[str, Any], asked: int | None) -> dict[str, Any]:
    """An Engine takes one of the two ways to limit them."""
    if not asked and int(host.get("CpuQuota") or 0) > 0:
        return {}
    nano = asked or int(host.get("NanoCpus") or 0) or DEFAULT_NANO_PROCESSORS
    return {"NanoCpus": nano, "CpuQuota": 0, "CpuPeriod": 0}


def _mounted(container: dict[str, Any], stand_ins: Mapping[str, str]) -> dict[str, Any]:
    """With volumes alone: those of the container, and those that stand for a folder of the host."""
    every = list(container.get("Mounts") or [])
    replaced = [_as_volume(mount, stand_ins) for mount in every if str(mount.get("Source")) in stand_ins]
    kept = [_local(mount) for mount in every if mount.get("Type") in _INSIDE]
    outside = {str(mount.get("Destination")) for mount in every if mount.get("Type") not in _INSIDE}
    host = container["HostConfig"]
    binds = [bind for bind in host["Binds"] if destination_of(bind) not in outside and not _is_folder(bind)]
    binds += [as_bind(mount) for mount in replaced]
    mounts = list(_own_mounts(host.get("Mounts") or [], outside))
    places = sorted((*kept, *replaced), key=lambda mount: str(mount.get("Destination")))
    return {**container, "HostConfig": {**host, "Binds": binds or None, "Mounts": mounts or None}, "Mounts": places}


def _is_folder(bind: str) -> bool:
    """A path alone asks for a fresh volume there."""
    return bind.startswith("/") and ":" in bind


def _own_mounts(mounts: list[Mapping[str, Any]], outside: set[str]) -> Iterator[dict[str, Any]]:
    """Without folders of the host, and without drivers, whose options reach what they please."""
    for mount in mounts:
        if mount.get("Type") not in _INSIDE or clean(str(mount.get("Target"))) in outside:
            continue
        given = mount.get("VolumeOptions") or {}
        options = {key: given[key] for key in ("NoCopy", "Subpath") if key in given}
        yield {**mount, **({"VolumeOptions": options or None} if mount.get("Type") == "volume" else {})}


def _local(mount: Mapping[str, Any]) -> dict[str, Any]:
    return {**mount, "Driver": "local"} if mount.get("Type") == "volume" else dict(mount)


def _as_volume(mount: Mapping[str, Any], stand_ins: Mapping[str, str]) -> dict[str, Any]:
    name, place, writable = stand_ins[str(mount["Source"])], mount["Destination"], bool(mount.get("RW", True))
    named = {"Type": "volume", "Name": name, "Source": "", "Destination": place, "Driver": "local"}
    return {**named, "Mode": "rw" if writable else "ro", "RW": writable, "Propagation": ""}


def _stand_in(folder: str) -> str:
    """A name that no volume of a container has: as long as an id, so that the new one is called after its place."""
    return hashlib.sha256(f"folder {folder}".encode("utf-8", "surrogateescape")).hexdigest()


def _plain(name: str) -> dict[str, Any]:
    return {"Name": name, "Driver": "local", "Options": None, "Labels": None}


def _in_network(container: dict[str, Any], network: str) -> dict[str, Any]:
    """Found in it by all the names that it had: others in the drill look it up by these."""
    aliases = dict.fromkeys([str(container["Name"]).removeprefix("/")])
    for endpoint in endpoints_of(container).values():
        aliases |= dict.fromkeys(own_aliases(tuple(endpoint.get("Aliases") or ()), str(container["Id"])) or ())
    settings = {**(container.get("NetworkSettings") or {}), "Networks": {network: {"Aliases": list(aliases)}}}
    host = {**container["HostConfig"], "NetworkMode": network}
    return {**container, "HostConfig": host, "NetworkSettings": settings}


def _network(name: str) -> dict[str, Any]:
    """As an Engine would describe it."""
    plain = {"Name": name, "Driver": "bridge", "Scope": "local", "Internal": True, "IPAM": {"Driver": "default"}}
    return {**plain, "Options": dict(_NETWORK_OPTIONS), "Labels": {}}
