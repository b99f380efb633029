"""A create request with overrides laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from containers_app.errors import InvalidRequest
from containers_app.specs.clone_mounts import clean, destination_of
from containers_app.specs.host_settings import HostSettings, MountSpec, PortBinding, RestartPolicy
from containers_app.specs.overrides import HealthOverride, MountOverride, Overrides, PortOverride
from containers_app.specs.settings import ContainerSettings, CreateRequest, Healthcheck


def overridden(create: CreateRequest, overrides: Overrides, image_environment: frozenset[str]) -> CreateRequest:
    """The request with the overrides; networks and image are laid out by the plan.

    `image_environment` names the variables of the image: a dropped one of these is unset by its bare name, because an
    Engine adds what is only left out (moby, container/env.go, ReplaceOrAppendEnvVars). Raises InvalidRequest for what
    the clone's namespaces cannot have.
    """
    _check_namespaces(create.host, overrides)
    settings = _settings(create.settings, overrides, image_environment)
    host = _host(create.host, overrides)
    return replace(create, settings=_mounted(settings, overrides.mounts), host=host)


def _check_namespaces(host: HostSettings, overrides: Overrides) -> None:
    """Refuse what an Engine would refuse (moby, runconfig/hostconfig_unix.go, validateNetMode)."""
    joined = (host.network_mode or "").startswith("container:")
    if overrides.ports and joined:
        raise _impossible("ports", "it uses the network of another container, which publishes the ports of both")
    if overrides.hostname is not None and joined:
        raise _impossible("hostname", "it uses the network of another container, and its host name with it")
    if overrides.hostname is not None and host.uts_mode == "host":
        raise _impossible("hostname", "it uses the host's own name")


def _impossible(name: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"'options.overrides.{name}' cannot be: {reason}", field=f"options.overrides.{name}")


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
    """The limits, and what must give way: two ways to limit processors exclude each other."""
    changes: dict[str, Any] = dict(wanted)
    if wanted.get("nano_processors"):
        changes = {"processor_quota": None, "processor_period": None, **changes}
    elif wanted.get("processor_quota") or wanted.get("processor_period"):
        changes = {"nano_processors": None, **changes}
    memory = wanted.get("memory_bytes")
    return {**_other_memory(host, memory), **changes} if isinstance(memory, int) else changes


def _other_memory(host: HostSettings, memory: int) -> dict[str, Any]:
    """Limits that follow another memory limit: swap, which is counted with it, keeps its size; without one there is
    none, and the Engine's own default (twice the memory) stays the default. A reservation may not exceed it.
    """
    before, swap, reserved = (host.memory_bytes or 0, host.memory_swap_bytes or 0, host.memory_reservation_bytes or 0)
    changes: dict[str, Any] = {}
    if swap > 0:
        changes["memory_swap_bytes"] = None if not memory or swap == 2 * before else memory + swap - before
    if 0 < memory < reserved:
        changes["memory_reservation_bytes"] = memory
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
    fresh = {mount.target: None for mount in mounts if _is_fresh(mount) and not mount.read_only}
    kept = {path: value for path, value in (settings.volumes or {}).items() if clean(path) not in targets}
    return replace(settings, volumes={**kept, **fresh})


def _is_fresh(mount: MountOverride) -> bool:
    return mount.kind == "volume" and mount.source is None


def _remounted(host: HostSettings, mounts: tuple[MountOverride, ...]) -> HostSettings:
    if not mounts:
        return host
    targets = {mount.target for mount in mounts}
    binds = [bind for bind in host.binds or () if destination_of(bind) not in targets]
    binds += [_bind(mount) for mount in mounts if mount.kind in ("bind", "volume") and mount.source]
    kept = tuple(mount for mount in host.mounts or () if clean(mount.target or "") not in targets)
    # `Config.Volumes` has no way to say that a fresh volume is read only.
    locked = (mount.target for mount in mounts if _is_fresh(mount) and mount.read_only)
    fresh = tuple(MountSpec(kind="volume", target=target, read_only=True) for target in locked)
    temporary = {path: options for path, options in (host.temporary or {}).items() if clean(path) not in targets}
    temporary |= {mount.target: "ro" if mount.read_only else "" for mount in mounts if mount.kind == "tmpfs"}
    return replace(host, binds=tuple(binds), mounts=(*kept, *fresh), temporary=temporary)


def _bind(mount: MountOverride) -> str:
    return f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"
