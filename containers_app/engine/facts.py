"""Looks up, by reading only, what has to be known about an Engine before a clone is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.engine.gateway import EngineReader
from containers_app.errors import AmbiguousReference, ContainerNotFound, ImageNotFound, InvalidRequest
from containers_app.specs.clone_mounts import container_of
from containers_app.specs.container import CloneFacts
from containers_app.specs.engine import ContainerSummary
from containers_app.specs.reference import choose

Mounts = tuple[Mapping[str, Any], ...]


def clone_facts(reader: EngineReader, source: Mapping[str, Any]) -> CloneFacts:
    """Gather the facts for one inspected source. Raises EngineUnavailable, TimedOut or EngineError."""
    image_id = str(source["Image"])
    named = _image_id(reader, str(source["Config"].get("Image") or ""))
    return CloneFacts(
        api=reader.api,
        engine=reader.version().engine,
        reference_image_id=named,
        image_exists=named == image_id or _image_id(reader, image_id) is not None,
        networks=reader.networks(),
        volumes_from=_volumes_from(reader, source),
    )


def _image_id(reader: EngineReader, reference: str) -> str | None:
    try:
        return str(reader.image(reference).get("Id") or "") or None
    except ImageNotFound:
        return None


def _volumes_from(reader: EngineReader, source: Mapping[str, Any]) -> dict[str, Mounts | None]:
    names = {container_of(str(entry)) for entry in source["HostConfig"].get("VolumesFrom") or []}
    if not names:
        return {}
    containers = reader.containers()
    return {name: _mounts(reader, name, containers) for name in names}


def _mounts(reader: EngineReader, name: str, containers: tuple[ContainerSummary, ...]) -> Mounts | None:
    try:
        return tuple(reader.inspect(choose(name.removeprefix("/"), containers).id).get("Mounts") or [])
    except (ContainerNotFound, AmbiguousReference, InvalidRequest):
        return None
