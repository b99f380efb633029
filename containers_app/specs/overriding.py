"""A create request with overrides laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from containers_app.specs.clone_mounts import destination_of
from containers_app.specs.host_settings import HostSettings, PortBinding, RestartPolicy
from containers_app.specs.overrides import HealthOverride, MountOverride, Overrides, PortOverride
from containers_app.specs.settings import ContainerSettings, CreateRequest, Healthcheck


def overridden(create: CreateRequest, overrides: Overrides, image_environment: frozenset[str]) -> CreateRequest:
    """The request with the overrides; networks and image are laid out by the plan.

    `image_environment` names the variables of the image: a dropped one of these is unset by its bare name, because an
    Engine adds what is only left out (moby, container/env.go, ReplaceOrAppendEnvVars).
    """
    settings = _settings(create.settings, overrides, image_environment)
    host = _host(create.host, overrides)
    return replace(create, settings=_mounted(settings, overrides.mounts), host=host)


def _settings(
    settings: ContainerSettings, overrides: Overrides, image_environment: frozenset[str]
) -> ContainerSettings:
    changes: dict[str, Any] = {
        "environment": _environment(settings.environment or (), overrides, image_environment),
        "labels": {
            **{key: value for key, value in (settings.labels or {}).items() if key not in overrides.labels.drop},
            **overrides.labels.set,
        },
    }
    if overrides.entrypoint is not None:
        changes["entrypoint"] = overrides.entrypoint or ("",)
    for name in ("command", "user", "hostname"):
        if getattr(overrides, name) is not None:
            changes[name] = getattr(overrides, name)
    if overrides.healthcheck is not None:
        changes["healthcheck"] = _healthcheck(overrides.healthcheck)
    if overrides.ports is not None:
        keys = {_port_key(port) for port in overrides.ports}
        changes["exposed_ports"] = {**(settings.exposed_ports or {}), **dict.fromkeys(sorted(keys))}
    return replace(settings, **changes)


def _environment(entries: tuple[str, ...], overrides: Overrides, image_environment: frozenset[str]) -> tuple[str, ...]:
    """Changed variables keep their place, new ones come last."""
    changes = overrides.environment
    names = [entry.partition("=")[0] for entry in entries]
    kept = tuple(
        f"{name}={changes.set[name]}" if name in changes.set else entry
        for name, entry in zip(names, entries, strict=True)
        if name not in changes.drop
    )
    added = tuple(f"{name}={value}" for name, value in changes.set.items() if name not in names)
    return (*kept, *added, *(name for name in changes.drop if name in image_environment))


def _healthcheck(wanted: HealthOverride) -> Healthcheck:
    return Healthcheck(
        test=wanted.test,
        interval=wanted.interval,
        timeout=wanted.timeout,
        start_period=wanted.start_period,
        start_interval=wanted.start_interval,
        retries=wanted.retries,
    )


def _host(host: HostSettings, overrides: Overrides) -> HostSettings:
    changes: dict[str, Any] = _resources(host, overrides.resources)
    if overrides.restart_policy is not None:
        name, retries = overrides.restart_policy
        changes["restart_policy"] = RestartPolicy(name=name, maximum_retries=retries)
        # An Engine takes one or the other.
        changes["auto_remove"] = False if name != "no" else host.auto_remove
    if overrides.ports is not None:
        changes["port_bindings"] = _bindings(overrides.ports)
        changes["publish_all_ports"] = False
    return _remounted(replace(host, **changes), overrides.mounts)


def _resources(host: HostSettings, wanted: Mapping[str, int | str]) -> dict[str, Any]:
    """Two ways to limit processors exclude each other, and swap may not be less than memory."""
    changes: dict[str, Any] = dict(wanted)
    if "nano_processors" in wanted:
        changes = {"processor_quota": None, "processor_period": None, **changes}
    elif {"processor_quota", "processor_period"} & set(wanted):
        changes = {"nano_processors": None, **changes}
    swap, memory = host.memory_swap_bytes, wanted.get("memory_bytes")
    if isinstance(memory, int) and swap is not None and 0 < swap < max(memory, 2 * (host.memory_bytes or 0) + 1):
        changes = {"memory_swap_bytes": None, **changes}
    return changes


def _port_key(port: PortOverride) -> str:
    return f"{port.container}/{port.protocol}"


def _bindings(ports: tuple[PortOverride, ...]) -> dict[str, tuple[PortBinding, ...]]:
    bindings: dict[str, tuple[PortBinding, ...]] = {}
    for port in ports:
        binding = PortBinding(address=port.host_ip or "", port=str(port.host or ""))
        bindings[_port_key(port)] = (*bindings.get(_port_key(port), ()), binding)
    return bindings


def _mounted(settings: ContainerSettings, mounts: tuple[MountOverride, ...]) -> ContainerSettings:
    """`Config.Volumes` with the fresh volumes that are asked for and without what is replaced."""
    if not mounts:
        return settings
    targets = {mount.target for mount in mounts}
    fresh = {mount.target: None for mount in mounts if mount.kind == "volume" and mount.source is None}
    kept = {path: value for path, value in (settings.volumes or {}).items() if path not in targets}
    return replace(settings, volumes={**kept, **fresh})


def _remounted(host: HostSettings, mounts: tuple[MountOverride, ...]) -> HostSettings:
    if not mounts:
        return host
    targets = {mount.target for mount in mounts}
    binds = [bind for bind in host.binds or () if destination_of(bind) not in targets]
    binds += [_bind(mount) for mount in mounts if mount.kind in ("bind", "volume") and mount.source]
    temporary = {path: options for path, options in (host.temporary or {}).items() if path not in targets}
    temporary |= {mount.target: "ro" if mount.read_only else "" for mount in mounts if mount.kind == "tmpfs"}
    return replace(
        host,
        binds=tuple(binds),
        mounts=tuple(mount for mount in host.mounts or () if mount.target not in targets),
        temporary=temporary,
    )


def _bind(mount: MountOverride) -> str:
    return f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"
