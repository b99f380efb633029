"""What a clone may have otherwise than its source: typed, by an allow-list, each mistake named by its field.

Values that people keep secrets in (environment, command lines, labels, health tests) are write-only: `shown` has their
names alone, and `raw` is kept out of every repr.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from containers_app.errors import InvalidRequest
from containers_app.specs import fields
from containers_app.specs.bindings import same_binding
from containers_app.specs.clone_mounts import clean
from containers_app.specs.engine import LABEL_PREFIX
from containers_app.specs.network import NETWORKS_ALONE

WRITE_ONLY = "[write-only]"
# A log takes everything under a name like the request's for a secret; these are names alone.
_SHOWN_AS = MappingProxyType({"env": "variables"})
# The request's names of resources, and the record's; sizes in bytes.
RESOURCES: Mapping[str, str] = MappingProxyType(
    {
        "memoryBytes": "memory_bytes",
        "memoryReservationBytes": "memory_reservation_bytes",
        "memorySwapBytes": "memory_swap_bytes",
        "shmSizeBytes": "shared_memory_bytes",
        "nanoCpus": "nano_processors",
        "cpuShares": "processor_shares",
        "cpuQuota": "processor_quota",
        "cpuPeriod": "processor_period",
        "cpusetCpus": "processor_set",
        "pidsLimit": "processes_limit",
    }
)
RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_KNOWN = frozenset(
    {"image", "command", "entrypoint", "env", "labels", "ports", "networks", "mounts"}
    | {"resources", "restartPolicy", "user", "hostname", "healthcheck"}
)
# What each override may change in an inspect; an image brings defaults for everything that it can define.
_OF_IMAGE = (
    *(f"Config.{key}" for key in ("Cmd", "Entrypoint", "Env", "Labels", "Volumes", "ExposedPorts", "WorkingDir")),
    *(f"Config.{key}" for key in ("User", "Shell", "Image", "StopSignal", "OnBuild", "Healthcheck", "ArgsEscaped")),
    "Image",
    "Mounts",
)
_CHANGED_BY_NAME = MappingProxyType({"env": "Env", "labels": "Labels"})
_TOUCHED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image": _OF_IMAGE,
        "command": ("Config.Cmd",),
        "entrypoint": ("Config.Entrypoint",),
        "ports": ("Config.ExposedPorts", "HostConfig.PortBindings", "HostConfig.PublishAllPorts"),
        "networks": ("NetworkSettings.Networks", "HostConfig.NetworkMode", "Config.MacAddress", "Config.ExposedPorts"),
        "mounts": ("Config.Volumes", "HostConfig.Binds", "HostConfig.Mounts", "HostConfig.Tmpfs"),
        "resources": (
            *(f"HostConfig.{key}" for key in ("Memory", "MemoryReservation", "MemorySwap", "ShmSize", "PidsLimit")),
            *(f"HostConfig.{key}" for key in ("NanoCpus", "CpuShares", "CpuQuota", "CpuPeriod", "CpusetCpus")),
        ),
        "restartPolicy": ("HostConfig.RestartPolicy", "HostConfig.AutoRemove"),
        "user": ("Config.User",),
        "hostname": ("Config.Hostname",),
        "healthcheck": ("Config.Healthcheck",),
    }
)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,511}", re.ASCII)
_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", re.ASCII)
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,254}", re.ASCII)
_PROCESSORS = re.compile(r"[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*", re.ASCII)
_SECONDS_TO_NANOSECONDS = 10**9


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Entries to set and names to drop; values stay out of the repr."""

    set: Mapping[str, str] = field(default_factory=dict, repr=False)
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PortOverride:
    """One published port; `host` None asks for any free one."""

    container: int
    protocol: str
    host: int | None
    host_ip: str | None


@dataclass(frozen=True, kw_only=True)
class NetworkOverride:
    """One network to join, by name or id; the first is the primary one."""

    name: str
    aliases: tuple[str, ...]
    ipv4: str | None
    ipv6: str | None


@dataclass(frozen=True, kw_only=True)
class MountOverride:
    """What is mounted at `target`: kind `bind`, `volume` (no source: a fresh one), `tmpfs`, or `none`."""

    kind: str
    target: str
    source: str | None
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class HealthOverride:
    """A healthcheck; durations in nanoseconds, None for the Engine's default. The test `("NONE",)` switches it off."""

    test: tuple[str, ...] = field(repr=False)
    interval: int | None
    timeout: int | None
    start_period: int | None
    start_interval: int | None
    retries: int | None


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Checked overrides; None and empty mean "as the source". `raw` is the request they were read from."""

    image: str | None = None
    command: tuple[str, ...] | None = field(default=None, repr=False)
    entrypoint: tuple[str, ...] | None = field(default=None, repr=False)
    environment: Changes = field(default_factory=Changes, repr=False)
    labels: Changes = field(default_factory=Changes)
    ports: tuple[PortOverride, ...] | None = None
    networks: tuple[NetworkOverride, ...] | None = None
    mounts: tuple[MountOverride, ...] = ()
    resources: Mapping[str, int | str] = field(default_factory=dict)
    restart_policy: tuple[str, int] | None = None
    user: str | None = None
    hostname: str | None = None
    healthcheck: HealthOverride | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def touched(self) -> tuple[str, ...]:
        """The inspected fields, or beginnings of them, that these overrides may make different."""
        asked = (name for name, value in self.raw.items() if value is not None and value != {})
        return tuple(field_name for name in asked for field_name in (*_TOUCHED.get(name, ()), *self._named(name)))

    def _named(self, name: str) -> Iterator[str]:
        """Of what is changed by name, no other is excused."""
        changes = {"env": self.environment, "labels": self.labels}.get(name)
        if changes:
            yield from (f"Config.{_CHANGED_BY_NAME[name]}.{key}" for key in (*changes.set, *changes.drop))
        if name == "mounts":
            yield from (f"Mounts.{mount.target}" for mount in self.mounts)

    @property
    def shown(self) -> dict[str, Any]:
        """The request without its write-only values: what rows, the ledger and pages may keep."""
        return {_SHOWN_AS.get(name, name): _shown(name, value) for name, value in self.raw.items()}


AS_THE_SOURCE = Overrides()


def read_overrides(raw: Mapping[str, Any], *, inside: str = "options.overrides.") -> Overrides:
    """Check a request's overrides. Raises InvalidRequest that names the field."""
    fields.only(raw, _KNOWN, inside=inside)
    return Overrides(
        image=_matching(raw, "image", _IMAGE, inside, "an image's name, with a tag or a digest"),
        command=fields.texts(raw, "command", inside=inside),
        entrypoint=fields.texts(raw, "entrypoint", inside=inside),
        environment=_environment(raw, inside),
        labels=_labels(raw, inside),
        ports=_ports(raw, inside),
        networks=_networks(raw, inside),
        mounts=_mounts(raw, inside),
        resources=_resources(raw, inside),
        restart_policy=_restart_policy(raw, inside),
        user=fields.text(raw, "user", inside=inside),
        hostname=_matching(raw, "hostname", _HOSTNAME, inside, "1 to 64 letters, digits, . and -"),
        healthcheck=_healthcheck(raw, inside),
        raw=raw,
    )


def _shown(name: str, value: Any) -> Any:
    if name in ("env", "labels") and isinstance(value, Mapping):
        return {"set": sorted(value.get("set") or {}), "drop": list(value.get("drop") or [])}
    if name in ("command", "entrypoint") and value is not None:
        return WRITE_ONLY
    if name == "healthcheck" and isinstance(value, Mapping):
        return {**value, "test": WRITE_ONLY} if value else {}
    return value


def _matching(raw: Mapping[str, Any], name: str, grammar: re.Pattern[str], inside: str, words: str) -> str | None:
    value = fields.text(raw, name, inside=inside, longest=512)
    if value is not None and grammar.fullmatch(value) is None:
        raise InvalidRequest(f"'{inside}{name}' must be {words}", field=inside + name)
    return value


def _changes(raw: Mapping[str, Any], name: str, inside: str) -> Changes:
    found, within = fields.mapping(raw, name, inside=inside), f"{inside}{name}."
    fields.only(found, frozenset({"set", "drop"}), inside=within)
    changes = Changes(
        set=fields.text_map(found, "set", inside=within),
        drop=fields.texts(found, "drop", inside=within) or (),
    )
    both = set(changes.set) & set(changes.drop)
    if both:
        twice = fields.printable(min(both))
        raise InvalidRequest(f"'{within}drop' names {twice}, which '{within}set' sets", field=f"{within}drop")
    return changes


def _environment(raw: Mapping[str, Any], inside: str) -> Changes:
    changes = _changes(raw, "env", inside)
    for part, names in (("set", changes.set), ("drop", changes.drop)):
        if any(not name or "=" in name for name in names):
            field_name = f"{inside}env.{part}"
            raise InvalidRequest(f"'{field_name}' has a name that is empty or holds '='", field=field_name)
    return changes


def _labels(raw: Mapping[str, Any], inside: str) -> Changes:
    changes = _changes(raw, "labels", inside)
    for part, names in (("set", changes.set), ("drop", changes.drop)):
        if any(not name or name.startswith(LABEL_PREFIX) for name in names):
            field_name = f"{inside}labels.{part}"
            words = f"may not name the empty label and labels of {LABEL_PREFIX}*"
            raise InvalidRequest(f"'{field_name}' {words}", field=field_name)
    return changes


def _ports(raw: Mapping[str, Any], inside: str) -> tuple[PortOverride, ...] | None:
    entries = fields.objects(raw, "ports", inside=inside)
    if entries is None:
        return None
    ports: list[PortOverride] = []
    for within, entry in entries:
        port = _port(entry, within)
        if any(_same_host_port(port, other) for other in ports):
            raise InvalidRequest(f"'{within}host' is asked for by another entry as well", field=f"{within}host")
        ports.append(port)
    return tuple(ports)


def _same_host_port(one: PortOverride, other: PortOverride) -> bool:
    taken = (other.host_ip or "", other.host or 0, other.protocol)
    return one.host is not None and same_binding((one.host_ip or "", one.host, one.protocol), taken)


def _port(entry: Mapping[str, Any], within: str) -> PortOverride:
    fields.only(entry, frozenset({"container", "host", "hostIp", "protocol"}), inside=within)
    number = fields.whole(entry, "container", inside=within, lowest=1, highest=65535)
    if number is None:
        raise InvalidRequest(f"'{within}container' is required", field=f"{within}container")
    return PortOverride(
        container=number,
        protocol=fields.choice(entry, "protocol", ("tcp", "udp", "sctp"), inside=within, default="tcp"),
        host=fields.whole(entry, "host", inside=within, lowest=1, highest=65535),
        host_ip=_address(entry, "hostIp", within, (4, 6)),
    )


def _networks(raw: Mapping[str, Any], inside: str) -> tuple[NetworkOverride, ...] | None:
    entries = fields.objects(raw, "networks", inside=inside)
    if entries is None:
        return None
    networks = tuple(_network(entry, within) for within, entry in entries)
    names = [network.name for network in networks]
    for number, name in enumerate(names):
        field_name = f"{inside}networks[{number}].name"
        if name in names[:number]:
            raise InvalidRequest(f"'{field_name}' names a network twice", field=field_name)
        if name in NETWORKS_ALONE and len(names) > 1:
            raise InvalidRequest(f"'{field_name}' stands alone: no other network goes with {name}", field=field_name)
    return networks


def _network(entry: Mapping[str, Any], within: str) -> NetworkOverride:
    fields.only(entry, frozenset({"name", "aliases", "ipv4Address", "ipv6Address"}), inside=within)
    name = fields.required_text(entry, "name", inside=within)
    if _NETWORK.fullmatch(name) is None:
        raise InvalidRequest(f"'{within}name' must be a network's name or id", field=f"{within}name")
    return NetworkOverride(
        name=name,
        aliases=fields.texts(entry, "aliases", inside=within, longest=253) or (),
        ipv4=_address(entry, "ipv4Address", within, (4,)),
        ipv6=_address(entry, "ipv6Address", within, (6,)),
    )


def _address(entry: Mapping[str, Any], name: str, within: str, versions: tuple[int, ...]) -> str | None:
    value = fields.text(entry, name, inside=within)
    if value is None:
        return None
    kinds = " or ".join(f"IPv{version}" for version in versions)
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise InvalidRequest(f"'{within}{name}' must be an {kinds} address", field=within + name) from error
    # A zone such as in fe80::1%eth0 may hold any text, and Engines take none.
    if address.version not in versions or "%" in value:
        raise InvalidRequest(f"'{within}{name}' must be an {kinds} address", field=within + name)
    return str(address)


def _mounts(raw: Mapping[str, Any], inside: str) -> tuple[MountOverride, ...]:
    entries = fields.objects(raw, "mounts", inside=inside) or ()
    mounts: list[MountOverride] = []
    for within, entry in entries:
        mount = _mount(entry, within)
        if mount.target in {other.target for other in mounts}:
            raise InvalidRequest(f"'{within}target' has a mount in another entry", field=f"{within}target")
        mounts.append(mount)
    return tuple(mounts)


def _mount(entry: Mapping[str, Any], within: str) -> MountOverride:
    fields.only(entry, frozenset({"type", "source", "target", "readOnly"}), inside=within)
    kind = fields.choice(entry, "type", ("bind", "volume", "tmpfs", "none"), inside=within, default="volume")
    source = fields.text(entry, "source", inside=within, longest=4096)
    if not _source_fits(kind, source):
        words = "an absolute path for a bind, a volume's name or nothing for a volume, nothing otherwise"
        raise InvalidRequest(f"'{within}source' must be {words}", field=f"{within}source")
    return MountOverride(
        kind=kind,
        target=_path(fields.required_text(entry, "target", inside=within, longest=4096), f"{within}target"),
        source=source,
        read_only=fields.flag(entry, "readOnly", inside=within),
    )


def _source_fits(kind: str, source: str | None) -> bool:
    if kind == "bind":
        return source is not None and source.startswith("/") and ":" not in source and ".." not in source.split("/")
    return source is None or (kind == "volume" and _VOLUME.fullmatch(source) is not None)


def _path(value: str, field_name: str) -> str:
    """A path in the container, as an Engine compares it. A colon would end it in a bind."""
    path = clean(value)
    if not value.startswith("/") or path == "/" or ":" in value or ".." in value.split("/"):
        raise InvalidRequest(f"'{field_name}' must be an absolute path below /, without : and ..", field=field_name)
    return path


def _resources(raw: Mapping[str, Any], inside: str) -> dict[str, int | str]:
    found, within = fields.mapping(raw, "resources", inside=inside), f"{inside}resources."
    fields.only(found, frozenset(RESOURCES), inside=within)
    values: dict[str, int | str | None] = {
        name: fields.whole(found, name, inside=within, lowest=-1 if name in ("memorySwapBytes", "pidsLimit") else 0)
        for name in RESOURCES
        if name != "cpusetCpus"
    }
    values["cpusetCpus"] = _matching(found, "cpusetCpus", _PROCESSORS, within, "a list such as 0-1,3")
    _check_resources(values, within)
    return {RESOURCES[name]: value for name, value in values.items() if value is not None}


def _check_resources(values: Mapping[str, int | str | None], within: str) -> None:
    """Refuse what an Engine would refuse (moby, daemon/daemon_unix.go, verifyPlatformContainerResources)."""
    memory, swap, reservation = (
        int(values[name] or 0) for name in ("memoryBytes", "memorySwapBytes", "memoryReservationBytes")
    )
    if values["nanoCpus"] and (values["cpuQuota"] or values["cpuPeriod"]):
        raise InvalidRequest(f"'{within}nanoCpus' excludes cpuQuota and cpuPeriod", field=f"{within}nanoCpus")
    if 0 < swap < memory or (swap > 0 and values["memoryBytes"] == 0):
        words = "counts memory and swap together, so it may not be less than memoryBytes"
        raise InvalidRequest(f"'{within}memorySwapBytes' {words}", field=f"{within}memorySwapBytes")
    if reservation > memory > 0:
        field_name = f"{within}memoryReservationBytes"
        raise InvalidRequest(f"'{field_name}' may not be more than memoryBytes", field=field_name)


def _restart_policy(raw: Mapping[str, Any], inside: str) -> tuple[str, int] | None:
    found, within = fields.mapping(raw, "restartPolicy", inside=inside), f"{inside}restartPolicy."
    if not found:
        return None
    fields.only(found, frozenset({"name", "maximumRetries"}), inside=within)
    retries = fields.whole(found, "maximumRetries", inside=within, highest=2**31) or 0
    name = fields.choice(found, "name", RESTART_POLICIES, inside=within, default="no")
    if retries and name != "on-failure":
        raise InvalidRequest(f"'{within}maximumRetries' goes with on-failure only", field=f"{within}maximumRetries")
    return name, retries


def _healthcheck(raw: Mapping[str, Any], inside: str) -> HealthOverride | None:
    found, within = fields.mapping(raw, "healthcheck", inside=inside), f"{inside}healthcheck."
    if not found:
        return None
    seconds = ("intervalSeconds", "timeoutSeconds", "startPeriodSeconds", "startIntervalSeconds")
    fields.only(found, frozenset({"test", "retries", *seconds}), inside=within)
    test = fields.texts(found, "test", inside=within)
    if not test or test[0] not in ("NONE", "CMD", "CMD-SHELL") or (test[0] == "NONE") != (len(test) == 1):
        words = "must be NONE alone, or begin with CMD or CMD-SHELL and go on with a command"
        raise InvalidRequest(f"'{within}test' {words}", field=f"{within}test")
    interval, timeout, start_period, start_interval = (
        _nanoseconds(fields.whole(found, name, inside=within, highest=86400)) for name in seconds
    )
    return HealthOverride(
        test=test,
        interval=interval,
        timeout=timeout,
        start_period=start_period,
        start_interval=start_interval,
        retries=fields.whole(found, "retries", inside=within, highest=1000),
    )


def _nanoseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * _SECONDS_TO_NANOSECONDS
