"""What of a clone cannot go to another Engine, or is not understood there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from containers_app.specs.clone_mounts import container_of
from containers_app.specs.clone_networks import has_own_network
from containers_app.specs.collisions import Collision
from containers_app.specs.container import ClonePlan

# From which API on an Engine knows a field (Docker Engine API, version history).
_SINCE = (
    ("HostConfig.Annotations", (1, 43)),
    ("Healthcheck.StartInterval", (1, 44)),
    ("HostConfig.Mounts.VolumeOptions.Subpath", (1, 45)),
    ("HostConfig.Mounts.ImageOptions", (1, 48)),
    ("NetworkingConfig.EndpointsConfig.GwPriority", (1, 48)),
)
_BRIDGE: Mapping[str, Any] = {"overrides": {"networks": [{"name": "bridge"}]}}
_NAMESPACES = ("NetworkMode", "PidMode", "IpcMode")


def foreign_references(
    wanted: Mapping[str, Any], plan: ClonePlan, *, made: Collection[str] = ()
) -> Iterator[Collision]:
    """Other containers and networks that the clone refers to and another Engine does not have.

    `made`: ids and names of containers that are made there before it.
    """
    host = plan.create.host.body()
    for key in _NAMESPACES:
        kind, _, target = str(host.get(key) or "").partition(":")
        if kind == "container" and target not in made:
            message = f"It uses a namespace of another container ({key}), which is not on the other host."
            resolution = _BRIDGE if key == "NetworkMode" else None
            yield Collision(kind="network", subject=key, message=message, resolution=resolution, blocks="create")
    for link in host.get("Links") or []:
        if str(link).partition(":")[0] in made:
            continue
        message = f"It is linked to {link}, which is not on the other host."
        yield Collision(kind="network", subject=str(link), message=message, blocks="create")
    for entry in host.get("VolumesFrom") or []:
        if container_of(str(entry)) in made:
            continue
        message = f"It takes volumes from {entry}, which is not on the other host: copy them."
        yield Collision(
            kind="volume", subject=str(entry), message=message, resolution={"data": "volumes"}, blocks="create"
        )
    yield from _networks(wanted, plan)
    # An entry without a colon asks for a volume at a path of the container.
    paths = [str(bind).partition(":")[0] for bind in host.get("Binds") or [] if ":" in str(bind)]
    paths += [str(mount.get("Source")) for mount in host.get("Mounts") or [] if mount.get("Type") == "bind"]
    for path in sorted({path for path in paths if path.startswith("/")}):
        message = f"It binds the host's path {path}: see that the other host has it."
        yield Collision(kind="volume", subject=path, message=message)


def _networks(wanted: Mapping[str, Any], plan: ClonePlan) -> Iterator[Collision]:
    gone = [warning.message for warning in plan.warnings if warning.code == "NETWORK_GONE"]
    if not gone or not has_own_network(wanted["HostConfig"].get("NetworkMode")):
        return
    for name in (wanted.get("NetworkSettings") or {}).get("Networks") or {}:
        if any(f"The network {name} " in message for message in gone):
            yield Collision(
                kind="network",
                subject=name,
                message=f"The network {name} is not on the other host: make it there, or choose another one.",
                resolution=_BRIDGE,
                blocks="create",
            )


def newer_fields(body: Mapping[str, Any], *, api: str) -> Iterator[tuple[str, str]]:
    """Fields of a create request that an Engine of this API leaves out, with the API that knows them."""
    spoken = tuple(int(part) for part in api.split("."))
    for path, since in _SINCE:
        if spoken < since and _has(body, path.split(".")):
            yield path, ".".join(str(part) for part in since)


def _has(value: Any, path: list[str]) -> bool:
    """Whether something stands at a path; lists, and the free keys of endpoints, are looked through."""
    if not path:
        return value not in (None, "", 0, [], {})
    if isinstance(value, list):
        return any(_has(entry, path) for entry in value)
    if not isinstance(value, Mapping):
        return False
    if path[0] in value:
        return _has(value[path[0]], path[1:])
    return path[0] == "GwPriority" and any(_has(entry, path) for entry in value.values() if isinstance(entry, Mapping))
