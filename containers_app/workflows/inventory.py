"""The inventory: rows that follow the Engine by events, and by a list now and then; they outlive what they describe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from containers_app.engine.gateway import EngineReader
from containers_app.errors import ContainerNotFound, MycoError
from containers_app.models import Container, DockerHost
from containers_app.specs.engine import ContainerSummary

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
_CHANGES = frozenset({"state", "name", "image"})


def reconcile(host: DockerHost, reader: EngineReader) -> int:
    """Make the rows equal to the Engine's list. Returns how many containers it has. Raises the Engine's errors.

    Only new and changed containers are inspected: a list of 500 is one call.
    """
    note_reachable(host, reader)
    known = {row.engine_id: row for row in Container.objects.filter(host=host)}
    listed = reader.containers()
    for summary in listed:
        row = known.get(summary.id)
        if row is None or _differs(row, summary):
            refresh(host, reader, summary.id)
    present = [summary.id for summary in listed]
    Container.objects.filter(host=host, engine_id__in=present).update(last_seen_at=timezone.now(), removed_at=None)
    Container.objects.filter(host=host, removed_at=None).exclude(engine_id__in=present).update(
        removed_at=timezone.now()
    )
    return len(listed)


def refresh(host: DockerHost, reader: EngineReader, container_id: str) -> Container | None:
    """Read one container again. None, and the row marked removed, when the Engine has it no more."""
    try:
        raw = reader.inspect(container_id)
    except ContainerNotFound:
        Container.objects.filter(host=host, engine_id=container_id, removed_at=None).update(removed_at=timezone.now())
        return None
    return remember(host, raw)


def remember(host: DockerHost, raw: Mapping[str, Any]) -> Container:
    """Keep what an inspect answer says."""
    columns = {name: _storable(name, value) for name, value in describe(raw).items()}
    row = Container(host=host, engine_id=str(raw["Id"]), **columns)
    Container.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=("host", "engine_id"), update_fields=tuple(columns)
    )
    return row


def note_reachable(host: DockerHost, reader: EngineReader) -> None:
    """Write what the Engine says of itself."""
    version, now = reader.version(), timezone.now()
    DockerHost.objects.filter(pk=host.pk).update(
        reachable=True,
        last_error="",
        engine_version=version.engine,
        api_version=version.api,
        platform=version.platform,
        last_seen_at=now,
        checked_at=now,
    )


def note_unreachable(host: DockerHost, error: MycoError) -> None:
    """Write that the Engine does not answer, and why."""
    DockerHost.objects.filter(pk=host.pk).update(
        reachable=False, last_error=error.message[:500], checked_at=timezone.now()
    )


def describe(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of one inspect answer. Of the environment only the names."""
    config, state = raw.get("Config") or {}, raw.get("State") or {}
    labels = config.get("Labels") or {}
    return {
        "name": str(raw.get("Name", "")).removeprefix("/"),
        "image": str(config.get("Image", "")),
        "image_id": str(raw.get("Image", "")),
        "state": str(state.get("Status", "")),
        "exit_code": state.get("ExitCode") if state.get("Status") in ("exited", "dead") else None,
        "health": str((state.get("Health") or {}).get("Status", "")).replace("none", ""),
        "stack": str(labels.get(PROJECT_LABEL, "")),
        "service": str(labels.get(SERVICE_LABEL, "")),
        "ports": _ports(raw),
        "networks": sorted((raw.get("NetworkSettings") or {}).get("Networks") or {}),
        "mounts": [_mount(mount) for mount in raw.get("Mounts") or []],
        "labels": {str(name): str(value) for name, value in labels.items()},
        "environment_names": sorted(entry.partition("=")[0] for entry in config.get("Env") or []),
        "engine_created_at": parse_datetime(str(raw.get("Created", ""))[:26].rstrip("Z") + "+00:00"),
        "last_seen_at": timezone.now(),
        "removed_at": None,
    }


def _storable(column: str, value: Any) -> Any:
    """What a database takes: whoever makes containers chooses labels and names, and must not stop the inventory."""
    kept = _clean(value)
    longest = getattr(Container._meta.get_field(column), "max_length", None)
    return kept[:longest] if isinstance(kept, str) else kept


def _clean(value: Any) -> Any:
    """Without the two kinds of character that PostgreSQL refuses: NUL, and halves of a pair."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_clean(key): _clean(entry) for key, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list) else value


def _differs(row: Container, summary: ContainerSummary) -> bool:
    seen = {"state": row.state, "name": row.name, "image": row.image}
    told = {"state": summary.state, "name": summary.name, "image": summary.image}
    return any(seen[field] != told[field] for field in _CHANGES) or row.removed_at is not None


def _ports(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The asked-for bindings: a stopped container has no others."""
    bindings = (raw.get("HostConfig") or {}).get("PortBindings") or {}
    live = (raw.get("NetworkSettings") or {}).get("Ports") or {}
    ports = []
    for spec, wanted in sorted(bindings.items()):
        number, _, protocol = spec.partition("/")
        for binding in live.get(spec) or wanted or []:
            ports.append(
                {
                    "container": int(number),
                    "protocol": protocol or "tcp",
                    "host": binding.get("HostPort") or None,
                    "hostIp": binding.get("HostIp") or None,
                }
            )
    return ports


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": str(mount.get("Type", "")),
        "name": mount.get("Name") or None,
        "source": mount.get("Source") or None,
        "target": str(mount.get("Destination", "")),
        "readOnly": not mount.get("RW", True),
    }


def epoch(moment: datetime) -> float:
    """Seconds since 1970, for the Engine's event stream."""
    return moment.astimezone(UTC).timestamp()
