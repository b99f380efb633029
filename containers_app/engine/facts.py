"""Looks up, by reading only, what has to be known about an Engine before a clone is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from containers_app.engine.gateway import EngineReader
from containers_app.errors import AmbiguousReference, ContainerNotFound, ImageNotFound, InvalidRequest
from containers_app.specs.clone_mounts import container_of
from containers_app.specs.clone_volumes import VolumeFacts
from containers_app.specs.container import CloneFacts
from containers_app.specs.engine import ContainerSummary, EngineVersion, NetworkSummary
from containers_app.specs.overrides import AS_THE_SOURCE, Overrides
from containers_app.specs.reference import choose

Mounts = tuple[Mapping[str, Any], ...]


class Origin(Protocol):
    """The Engine of a source as far as a plan asks it: a real one, or what a backup remembers of one."""

    def version(self) -> EngineVersion:
        """Its version and platform."""

    def image(self, reference_or_id: str, /) -> Mapping[str, Any]:
        """The Engine's JSON for an image. Raises ImageNotFound."""

    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        """The Engine's JSON for every volume, by name."""


def clone_facts(
    reader: EngineReader,
    source: Mapping[str, Any],
    overrides: Overrides = AS_THE_SOURCE,
    *,
    origin: Origin | None = None,
    networks: tuple[NetworkSummary, ...] | None = None,
) -> CloneFacts:
    """Gather the facts for one inspected source; `origin` is its Engine where the clone goes to another one.

    `networks` are those of the Engine, where they are known already.

    Raises EngineUnavailable, TimedOut or EngineError.
    """
    image_id, reference = str(source["Image"]), str(source["Config"].get("Image") or "")
    home: Origin = origin or reader
    named = _image_id(home, reference)
    known = named == image_id or _image_id(home, image_id) is not None
    there = None if origin is None else _image_id(reader, reference)
    moves = origin is not None and _image_id(reader, image_id) is None
    return CloneFacts(
        api=reader.api,
        engine=reader.engine,
        # On another Engine the reference is kept only where it means the same image, or comes with the image.
        reference_image_id=named if origin is None or there == image_id or (moves and there is None) else there,
        image_exists=known,
        image_to_move=moves,
        image_config=_image_config(home, image_id) if known and _concerns_image(overrides) else None,
        chosen_image_id=_image_id(reader, overrides.image) if overrides.image else None,
        networks=reader.networks() if networks is None else networks,
        volumes_from=_volumes_from(reader, source),
    )


def volume_facts(
    reader: Origin, source: Mapping[str, Any], overrides: Overrides = AS_THE_SOURCE
) -> dict[str, VolumeFacts]:
    """Every volume of the Engine by name; asked for only where a volume is mounted."""
    mounted = any(mount.get("Type") == "volume" for mount in source.get("Mounts") or [])
    return every_volume(reader) if mounted or overrides.mounts else {}


def every_volume(reader: Origin) -> dict[str, VolumeFacts]:
    """Every volume of the Engine, by name."""
    return {
        name: VolumeFacts(
            name=name,
            driver=str(raw.get("Driver") or "local"),
            options=dict(raw.get("Options") or {}),
            labels=dict(raw.get("Labels") or {}),
        )
        for name, raw in reader.volumes().items()
    }


def _concerns_image(overrides: Overrides) -> bool:
    """Whether the image's own defaults have to be told apart from the container's settings."""
    return overrides.image is not None or bool(overrides.environment.drop or overrides.labels.drop or overrides.mounts)


def _image_config(reader: Origin, image_id: str) -> Mapping[str, Any]:
    return reader.image(image_id).get("Config") or {}


def _image_id(reader: Origin, reference: str) -> str | None:
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
