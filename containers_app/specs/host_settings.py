"""The `HostConfig` of a container as a typed record (Docker Engine API 1.51, definition HostConfig)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from containers_app.specs.record import (
    BOOLEAN,
    INTEGER,
    INTEGERS,
    TEXT,
    TEXT_MAP,
    TEXTS,
    Record,
    engine_field,
    many,
    mapped,
    nullable,
    record,
)

_OPTIONS_OF_TYPE = {
    "bind": "bind_options",
    "volume": "volume_options",
    "image": "image_options",
    "tmpfs": "temporary_options",
    "cluster": "cluster_options",
}


@dataclass(frozen=True, kw_only=True)
class LogSettings(Record):
    driver: str | None = engine_field("Type", TEXT)
    # Options of a log driver hold tokens of log services.
    options: Mapping[str, str] | None = engine_field("Config", TEXT_MAP, secret=True)


@dataclass(frozen=True, kw_only=True)
class RestartPolicy(Record):
    name: str | None = engine_field("Name", TEXT)
    maximum_retries: int | None = engine_field("MaximumRetryCount", INTEGER)


@dataclass(frozen=True, kw_only=True)
class PortBinding(Record):
    address: str | None = engine_field("HostIp", TEXT)
    port: str | None = engine_field("HostPort", TEXT)


@dataclass(frozen=True, kw_only=True)
class WeightDevice(Record):
    path: str | None = engine_field("Path", TEXT)
    weight: int | None = engine_field("Weight", INTEGER)


@dataclass(frozen=True, kw_only=True)
class RateDevice(Record):
    path: str | None = engine_field("Path", TEXT)
    rate: int | None = engine_field("Rate", INTEGER)


@dataclass(frozen=True, kw_only=True)
class DeviceMapping(Record):
    on_host: str | None = engine_field("PathOnHost", TEXT)
    in_container: str | None = engine_field("PathInContainer", TEXT)
    permissions: str | None = engine_field("CgroupPermissions", TEXT)


@dataclass(frozen=True, kw_only=True)
class DeviceRequest(Record):
    driver: str | None = engine_field("Driver", TEXT)
    count: int | None = engine_field("Count", INTEGER)
    device_ids: tuple[str, ...] | None = engine_field("DeviceIDs", TEXTS)
    capabilities: tuple[tuple[str, ...], ...] | None = engine_field("Capabilities", many(TEXTS))
    options: Mapping[str, str] | None = engine_field("Options", TEXT_MAP)


@dataclass(frozen=True, kw_only=True)
class Limit(Record):
    name: str | None = engine_field("Name", TEXT)
    soft: int | None = engine_field("Soft", INTEGER)
    hard: int | None = engine_field("Hard", INTEGER)


@dataclass(frozen=True, kw_only=True)
class BindOptions(Record):
    propagation: str | None = engine_field("Propagation", TEXT)
    non_recursive: bool | None = engine_field("NonRecursive", BOOLEAN)
    create_mountpoint: bool | None = engine_field("CreateMountpoint", BOOLEAN)
    read_only_non_recursive: bool | None = engine_field("ReadOnlyNonRecursive", BOOLEAN)
    read_only_force_recursive: bool | None = engine_field("ReadOnlyForceRecursive", BOOLEAN)


@dataclass(frozen=True, kw_only=True)
class VolumeDriver(Record):
    name: str | None = engine_field("Name", TEXT)
    # Options of a volume driver hold passwords of file servers.
    options: Mapping[str, str] | None = engine_field("Options", TEXT_MAP, secret=True)


@dataclass(frozen=True, kw_only=True)
class VolumeOptions(Record):
    no_copy: bool | None = engine_field("NoCopy", BOOLEAN)
    labels: Mapping[str, str] | None = engine_field("Labels", TEXT_MAP, secret=True)
    subpath: str | None = engine_field("Subpath", TEXT)
    driver: VolumeDriver | None = engine_field("DriverConfig", record(VolumeDriver))


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Record):
    subpath: str | None = engine_field("Subpath", TEXT)


@dataclass(frozen=True, kw_only=True)
class TemporaryOptions(Record):
    size_bytes: int | None = engine_field("SizeBytes", INTEGER)
    mode: int | None = engine_field("Mode", INTEGER)
    options: tuple[tuple[str, ...], ...] | None = engine_field("Options", many(TEXTS))


@dataclass(frozen=True, kw_only=True)
class ClusterOptions(Record):
    """An empty object in the Engine's API."""


@dataclass(frozen=True, kw_only=True)
class MountSpec(Record):
    """One entry of `HostConfig.Mounts`."""

    kind: str | None = engine_field("Type", TEXT)
    source: str | None = engine_field("Source", TEXT)
    target: str | None = engine_field("Target", TEXT)
    read_only: bool | None = engine_field("ReadOnly", BOOLEAN)
    consistency: str | None = engine_field("Consistency", TEXT)
    bind_options: BindOptions | None = engine_field("BindOptions", record(BindOptions))
    volume_options: VolumeOptions | None = engine_field("VolumeOptions", record(VolumeOptions))
    image_options: ImageOptions | None = engine_field("ImageOptions", record(ImageOptions))
    temporary_options: TemporaryOptions | None = engine_field("TmpfsOptions", record(TemporaryOptions))
    cluster_options: ClusterOptions | None = engine_field("ClusterOptions", record(ClusterOptions))

    def cleaned(self) -> MountSpec:
        """Without options of another mount type, which Engines report and from API 1.42 refuse."""
        own = _OPTIONS_OF_TYPE.get(self.kind or "")
        foreign: dict[str, Any] = {name: None for name in _OPTIONS_OF_TYPE.values() if name != own}
        return replace(self, **foreign)


_WEIGHTS = many(record(WeightDevice))
_RATES = many(record(RateDevice))
_PORTS = mapped(nullable(many(record(PortBinding))))


@dataclass(frozen=True, kw_only=True)
class HostSettings(Record):
    """Every `HostConfig` field that is configuration; `ContainerIDFile` is not, it names a file of the source."""

    binds: tuple[str, ...] | None = engine_field("Binds", TEXTS)
    mounts: tuple[MountSpec, ...] | None = engine_field("Mounts", many(record(MountSpec)))
    volumes_from: tuple[str, ...] | None = engine_field("VolumesFrom", TEXTS)
    volume_driver: str | None = engine_field("VolumeDriver", TEXT)
    temporary: Mapping[str, str] | None = engine_field("Tmpfs", TEXT_MAP)
    storage_options: Mapping[str, str] | None = engine_field("StorageOpt", TEXT_MAP)
    log: LogSettings | None = engine_field("LogConfig", record(LogSettings))
    network_mode: str | None = engine_field("NetworkMode", TEXT)
    port_bindings: Mapping[str, tuple[PortBinding, ...] | None] | None = engine_field("PortBindings", _PORTS)
    publish_all_ports: bool | None = engine_field("PublishAllPorts", BOOLEAN)
    links: tuple[str, ...] | None = engine_field("Links", TEXTS)
    dns: tuple[str, ...] | None = engine_field("Dns", TEXTS)
    dns_options: tuple[str, ...] | None = engine_field("DnsOptions", TEXTS)
    dns_search: tuple[str, ...] | None = engine_field("DnsSearch", TEXTS)
    extra_hosts: tuple[str, ...] | None = engine_field("ExtraHosts", TEXTS)
    restart_policy: RestartPolicy | None = engine_field("RestartPolicy", record(RestartPolicy))
    auto_remove: bool | None = engine_field("AutoRemove", BOOLEAN)
    console_size: tuple[int, ...] | None = engine_field("ConsoleSize", INTEGERS)
    annotations: Mapping[str, str] | None = engine_field("Annotations", TEXT_MAP)
    capabilities_added: tuple[str, ...] | None = engine_field("CapAdd", TEXTS)
    capabilities_dropped: tuple[str, ...] | None = engine_field("CapDrop", TEXTS)
    groups_added: tuple[str, ...] | None = engine_field("GroupAdd", TEXTS)
    privileged: bool | None = engine_field("Privileged", BOOLEAN)
    security_options: tuple[str, ...] | None = engine_field("SecurityOpt", TEXTS)
    masked_paths: tuple[str, ...] | None = engine_field("MaskedPaths", TEXTS)
    read_only_paths: tuple[str, ...] | None = engine_field("ReadonlyPaths", TEXTS)
    read_only_root: bool | None = engine_field("ReadonlyRootfs", BOOLEAN)
    cgroup_namespace_mode: str | None = engine_field("CgroupnsMode", TEXT)
    cgroup: str | None = engine_field("Cgroup", TEXT)
    cgroup_parent: str | None = engine_field("CgroupParent", TEXT)
    ipc_mode: str | None = engine_field("IpcMode", TEXT)
    pid_mode: str | None = engine_field("PidMode", TEXT)
    uts_mode: str | None = engine_field("UTSMode", TEXT)
    user_namespace_mode: str | None = engine_field("UsernsMode", TEXT)
    shared_memory_bytes: int | None = engine_field("ShmSize", INTEGER)
    kernel_parameters: Mapping[str, str] | None = engine_field("Sysctls", TEXT_MAP)
    runtime: str | None = engine_field("Runtime", TEXT)
    isolation: str | None = engine_field("Isolation", TEXT)
    use_init: bool | None = engine_field("Init", BOOLEAN)
    out_of_memory_score: int | None = engine_field("OomScoreAdj", INTEGER)
    out_of_memory_kill_disabled: bool | None = engine_field("OomKillDisable", BOOLEAN)
    processor_shares: int | None = engine_field("CpuShares", INTEGER)
    processor_period: int | None = engine_field("CpuPeriod", INTEGER)
    processor_quota: int | None = engine_field("CpuQuota", INTEGER)
    processor_realtime_period: int | None = engine_field("CpuRealtimePeriod", INTEGER)
    processor_realtime_runtime: int | None = engine_field("CpuRealtimeRuntime", INTEGER)
    processor_set: str | None = engine_field("CpusetCpus", TEXT)
    memory_node_set: str | None = engine_field("CpusetMems", TEXT)
    processor_count: int | None = engine_field("CpuCount", INTEGER)
    processor_percent: int | None = engine_field("CpuPercent", INTEGER)
    nano_processors: int | None = engine_field("NanoCpus", INTEGER)
    memory_bytes: int | None = engine_field("Memory", INTEGER)
    memory_reservation_bytes: int | None = engine_field("MemoryReservation", INTEGER)
    memory_swap_bytes: int | None = engine_field("MemorySwap", INTEGER)
    memory_swappiness: int | None = engine_field("MemorySwappiness", INTEGER)
    kernel_memory_bytes: int | None = engine_field("KernelMemory", INTEGER)
    kernel_memory_tcp_bytes: int | None = engine_field("KernelMemoryTCP", INTEGER)
    processes_limit: int | None = engine_field("PidsLimit", INTEGER)
    limits: tuple[Limit, ...] | None = engine_field("Ulimits", many(record(Limit)))
    devices: tuple[DeviceMapping, ...] | None = engine_field("Devices", many(record(DeviceMapping)))
    device_cgroup_rules: tuple[str, ...] | None = engine_field("DeviceCgroupRules", TEXTS)
    device_requests: tuple[DeviceRequest, ...] | None = engine_field("DeviceRequests", many(record(DeviceRequest)))
    block_weight: int | None = engine_field("BlkioWeight", INTEGER)
    block_weight_devices: tuple[WeightDevice, ...] | None = engine_field("BlkioWeightDevice", _WEIGHTS)
    block_read_bytes: tuple[RateDevice, ...] | None = engine_field("BlkioDeviceReadBps", _RATES)
    block_write_bytes: tuple[RateDevice, ...] | None = engine_field("BlkioDeviceWriteBps", _RATES)
    block_read_operations: tuple[RateDevice, ...] | None = engine_field("BlkioDeviceReadIOps", _RATES)
    block_write_operations: tuple[RateDevice, ...] | None = engine_field("BlkioDeviceWriteIOps", _RATES)
    windows_maximum_operations: int | None = engine_field("IOMaximumIOps", INTEGER)
    windows_maximum_bandwidth: int | None = engine_field("IOMaximumBandwidth", INTEGER)
